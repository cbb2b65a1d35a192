// Share: how samples are dealt out among devices: in order, and as evenly as may be. 32 over 10 is 4, 4, 3, 3, ...
#ifndef SG_BASE_SHARE_H
#define SG_BASE_SHARE_H

#include <stdint.h>

typedef struct Share {
  int64_t first, n;
} Share;

// What device `index` of `count` gets of `n` things; nothing where there are fewer things than devices before it.
static inline Share share_of(int64_t n, int count, int index) {
  int64_t each = n / count, more = n % count;
  return (Share){index * each + (index < more ? index : more), each + (index < more)};
}

#endif
