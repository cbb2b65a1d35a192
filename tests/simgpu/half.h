// 16-bit floats and TF32 to float and back, rounding to nearest, ties to even.
#ifndef SIM_HALF_H
#define SIM_HALF_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float float_of_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

static inline uint32_t bits_of_float(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return bits;
}

// Drops the lowest bits of a float's 23 of the fraction, rounding; infinities and NaNs stay what they are.
static inline float float_round(float x, int bits) {
  if (isnan(x) || isinf(x)) return x;
  uint32_t all = bits_of_float(x), half = (1u << (bits - 1)) - 1 + (all >> bits & 1);
  return float_of_bits((all + half) & ~((1u << bits) - 1));
}

static inline float float_to_tf32(float x) { return float_round(x, 13); }

static inline float bf16_to_float(uint16_t h) { return float_of_bits((uint32_t)h << 16); }

static inline uint16_t bf16_of_float(float x) {
  if (isnan(x)) return 0x7fff;
  return (uint16_t)(bits_of_float(float_round(x, 16)) >> 16);
}

static inline float f16_to_float(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023;
  if (exponent == 31) return float_of_bits(sign | 0x7f800000 | fraction << 13);
  if (exponent) return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
  float tiny = (float)fraction * 0x1p-24f;
  return sign ? -tiny : tiny;
}

static inline uint16_t f16_of_float(float x) {
  uint16_t sign = (uint16_t)(bits_of_float(x) >> 16 & 0x8000);
  float size = fabsf(x);
  if (isnan(x)) return 0x7fff;
  if (size >= 65520) return sign | 0x7c00;
  if (size < 0x1p-14f) return sign | (uint16_t)lrintf(size * 0x1p24f); // also where it becomes the least normal
  uint32_t bits = bits_of_float(float_round(size, 13));
  return sign | (uint16_t)((bits >> 13) - (112u << 10));
}

#endif
