// CPU caches: their sizes, as the system tells them.
#ifndef SG_BASE_CPU_CACHE_H
#define SG_BASE_CPU_CACHE_H

#include <stdint.h>

// Bytes of the data cache of that level (1, 2, 3) that the first core uses, or `fallback` where the system does not
// tell.
int64_t cpu_cache_bytes(int level, int64_t fallback);

#endif
