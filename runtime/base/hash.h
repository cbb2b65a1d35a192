// Hash: 128-bit content hashes (XXH3) for caches, checkpoints and digests. Not cryptographic.
#ifndef SG_BASE_HASH_H
#define SG_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct Hash {
  uint64_t high, low;
} Hash;

Hash hash_bytes(const void *data, size_t size);
Hash hash_combine(Hash a, Hash b);

enum { HASH_TEXT = 33 };
// Writes 32 lower-case hexadecimal digits and a zero to `out`.
void hash_text(Hash hash, char out[HASH_TEXT]);

// FNV-1a, 64 bits: the hash that the golden generator and the names of random streams are defined by.
uint64_t hash_fnv64(const char *text);

#endif
