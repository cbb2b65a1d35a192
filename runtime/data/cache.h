// Cache: decoded or rendered samples kept in memory up to a number of bytes. For the loader alone.
#ifndef SG_DATA_CACHE_H
#define SG_DATA_CACHE_H

#include "runtime/data/dataset.h"

typedef struct SampleCache SampleCache;

// With max_bytes 0 it keeps nothing. Thread-safe.
SampleCache *cache_new(int64_t max_bytes);
void cache_free(SampleCache *cache);

// The kept sample, lent until cache_free (nothing is ever evicted: an epoch visits every sample once, so the ones kept
// first are as good as any); NULL if it is not there.
const Sample *cache_get(SampleCache *cache, int64_t index);

// Keeps the sample if there is room: it then belongs to the cache and *sample becomes {0}. Returns where the sample is
// now: in the cache, or still at `sample`.
const Sample *cache_put(SampleCache *cache, int64_t index, Sample *sample);

#endif
