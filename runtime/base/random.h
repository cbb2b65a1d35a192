// Random: counter-based random numbers (Philox4x32-10), keyed by what they are for.
//
// The i-th number of a stream is a function of (seed, name, i) alone, so results depend neither on the order of
// drawing nor on how many workers draw. Algorithm: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as
// 1, 2, 3", SC 2011.
#ifndef SG_BASE_RANDOM_H
#define SG_BASE_RANDOM_H

#include <stdint.h>

// The bijection itself: ten rounds on a 128-bit counter under a 64-bit key.
void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

// A stream of random 32-bit words with a position. Copy it to fork it; set `position` to seek.
typedef struct Random {
  uint64_t seed;     // the key
  uint64_t stream;   // upper half of the counter
  uint64_t position; // index of the next word
} Random;

// The stream for a purpose: a parameter's name, "augment", "scene/17", ...
Random random_stream(uint64_t seed, const char *name);
// A stream within a stream, for example one for each sample; `index` 0 differs from the stream itself.
Random random_substream(Random random, uint64_t index);

// The word at an index, whatever the position.
uint32_t random_word_at(const Random *random, uint64_t index);

// Drawn at the position, which moves on by one word (two for random_normal).
uint32_t random_word(Random *random);
double random_uniform(Random *random);                          // in [0, 1), a multiple of 2^-32
double random_between(Random *random, double low, double high); // in [low, high)
uint32_t random_below(Random *random, uint32_t n);              // 0 .. n-1, n > 0; bias under n * 2^-32
double random_normal(Random *random);                           // mean 0, deviation 1 (Box-Muller)

// The key of one step of training for everything random in its graph (compiler/ops/ops.def: random): two whole numbers
// below 2^24, which floats hold exactly.
void random_step_key(uint64_t seed, int64_t step, float out[2]);

// Fills an array; element i depends on i alone. Uniform in [low, high], normal with the given mean and deviation.
void random_fill_uniform(Random random, float *out, int64_t n, double low, double high);
void random_fill_normal(Random random, float *out, int64_t n, double mean, double deviation);

#endif
