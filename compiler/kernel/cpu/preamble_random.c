// Preamble, fourth part: random numbers (Philox4x32-10; see runtime/base/random.h, which gives the same words).
#include "compiler/kernel/preamble.h"

static const char functions[] =
    "INLINE void philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1, float *out) {\n"
    "  for (int round = 0; round < 10; round++) {\n"
    "    const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;\n"
    "    const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;\n"
    "    c1 = (uint32_t)p1, c3 = (uint32_t)p0, c0 = n0, c2 = n2;\n"
    "    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;\n"
    "  }\n"
    "  out[0] = (float)(c0 >> 8) * 0x1p-24f, out[1] = (float)(c1 >> 8) * 0x1p-24f;\n"
    "  out[2] = (float)(c2 >> 8) * 0x1p-24f, out[3] = (float)(c3 >> 8) * 0x1p-24f;\n"
    "}\n"
    "INLINE uint32_t key_word(float f) { return f > 0 ? (f < 16777215 ? (uint32_t)f : 16777215) : 0; }\n"
    // out[from] .. out[from + n - 1], which are the elements key[2] * each + from .. of a stream.
    "SHARED void random_run(const float *key, i64 stream, i64 each, float *out, i64 from, i64 n) {\n"
    "  const uint32_t k0 = key_word(key[0]), k1 = key_word(key[1]);\n"
    "  const uint32_t s0 = (uint32_t)stream, s1 = (uint32_t)((uint64_t)stream >> 32);\n"
    "  const i64 first = (each ? key_word(key[2]) * each : 0) + from;\n"
    "  for (i64 i = -(first % 4); i < n; i += 4) {\n"
    "    const uint64_t block = (uint64_t)(first + i) / 4;\n"
    "    float word[4];\n"
    "    philox((uint32_t)block, (uint32_t)(block >> 32), s0, s1, k0, k1, word);\n"
    "    for (i64 k = i < 0 ? -i : 0; k < imin(4, n - i); k++) out[from + i + k] = word[k];\n"
    "  }\n"
    "}\n";

void preamble_random(Text *out) { text_put(out, functions); }
