// Hash: 128-bit content hashes through xxHash.
#include "runtime/base/hash.h"

#include <stdio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

Hash hash_bytes(const void *data, size_t size) {
  XXH128_hash_t hash = XXH3_128bits(data, size);
  return (Hash){hash.high64, hash.low64};
}

Hash hash_combine(Hash a, Hash b) {
  Hash both[2] = {a, b};
  return hash_bytes(both, sizeof both);
}

void hash_text(Hash hash, char out[HASH_TEXT]) {
  snprintf(out, HASH_TEXT, "%016llx%016llx", (unsigned long long)hash.high, (unsigned long long)hash.low);
}

uint64_t hash_fnv64(const char *text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const unsigned char *c = (const unsigned char *)text; *c; c++) hash = (hash ^ *c) * 0x100000001b3u;
  return hash;
}
