// Reference evaluator of random numbers: the words of a Philox stream whose seed is the key.
#include "compiler/ops/rules.h"
#include "runtime/base/random.h"

// A whole number in 0 .. 2^24 - 1, whatever the float is.
static uint64_t key_word(float f) { return f > 0 ? (f < 16777215 ? (uint64_t)f : 16777215) : 0; }

void ref_random(const RefArgs *args) {
  const float *key = args->in[0];
  Random random = {.seed = key_word(key[1]) << 32 | key_word(key[0]),
                   .stream = (uint64_t)node_attr(args->node, "stream").i};
  uint64_t each = (uint64_t)node_attr(args->node, "each").i, first = each ? key_word(key[2]) * each : 0;
  for (int64_t i = 0, n = shape_elements(args->node->shape); i < n; i++)
    args->out[i] = (float)(random_word_at(&random, first + (uint64_t)i) >> 8) * 0x1p-24f;
}
