// Random: Philox4x32-10 and the distributions drawn from it.
#include "runtime/base/random.h"

#include <math.h>

#include "runtime/base/hash.h"

void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)p1;
    c3 = (uint32_t)p0;
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u; // the golden ratio
    k1 += 0xBB67AE85u; // sqrt(3) - 1
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

// The four words at 4 * block .. 4 * block + 3.
static void random_block(const Random *random, uint64_t block, uint32_t out[4]) {
  const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)random->stream,
                               (uint32_t)(random->stream >> 32)};
  const uint32_t key[2] = {(uint32_t)random->seed, (uint32_t)(random->seed >> 32)};
  philox4x32(counter, key, out);
}

Random random_stream(uint64_t seed, const char *name) { return (Random){.seed = seed, .stream = hash_fnv64(name)}; }

Random random_substream(Random random, uint64_t index) {
  // A block far beyond what anyone draws in order gives the new stream's identity.
  uint32_t word[4];
  random_block(&random, ~index, word);
  return (Random){.seed = random.seed, .stream = (uint64_t)word[1] << 32 | word[0]};
}

uint32_t random_word_at(const Random *random, uint64_t index) {
  uint32_t word[4];
  random_block(random, index / 4, word);
  return word[index % 4];
}

uint32_t random_word(Random *random) { return random_word_at(random, random->position++); }

double random_uniform(Random *random) { return random_word(random) * 0x1p-32; }

double random_between(Random *random, double low, double high) { return low + (high - low) * random_uniform(random); }

uint32_t random_below(Random *random, uint32_t n) { return (uint32_t)((uint64_t)random_word(random) * n >> 32); }

// Box-Muller: two independent normal numbers from two words. The radius' word counts from 1/2 so that log is finite.
static void box_muller(uint32_t word0, uint32_t word1, double *out0, double *out1) {
  const double tau = 6.283185307179586476925;
  double radius = sqrt(-2 * log((word0 + 0.5) * 0x1p-32)), angle = tau * (word1 * 0x1p-32);
  *out0 = radius * cos(angle);
  *out1 = radius * sin(angle);
}

double random_normal(Random *random) {
  uint32_t word0 = random_word(random), word1 = random_word(random);
  double value, unused;
  box_muller(word0, word1, &value, &unused);
  return value;
}

void random_step_key(uint64_t seed, int64_t step, float out[2]) {
  Random random = random_stream(seed, "step");
  for (int i = 0; i < 2; i++) out[i] = (float)(random_word_at(&random, 2 * (uint64_t)step + (uint64_t)i) >> 8);
}

void random_fill_uniform(Random random, float *out, int64_t n, double low, double high) {
  for (int64_t i = 0; i < n; i += 4) {
    uint32_t word[4];
    random_block(&random, (uint64_t)i / 4, word);
    for (int64_t j = i; j < n && j < i + 4; j++) out[j] = (float)(low + (high - low) * (word[j - i] * 0x1p-32));
  }
}

void random_fill_normal(Random random, float *out, int64_t n, double mean, double deviation) {
  for (int64_t i = 0; i < n; i += 4) {
    uint32_t word[4];
    double value[4];
    random_block(&random, (uint64_t)i / 4, word);
    box_muller(word[0], word[1], &value[0], &value[1]);
    box_muller(word[2], word[3], &value[2], &value[3]);
    for (int64_t j = i; j < n && j < i + 4; j++) out[j] = (float)(mean + deviation * value[j - i]);
  }
}
