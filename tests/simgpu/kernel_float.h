// Floating point of PTX: bit casts, half and bfloat16, rounding modes, conversions.
#ifndef SIM_KERNEL_FLOAT_H
#define SIM_KERNEL_FLOAT_H

#include "kernel_thread.h"

#include <math.h>

SIM_INLINE float u2f(uint32_t bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}
SIM_INLINE uint32_t f2u(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return bits;
}
SIM_INLINE double u2d(uint64_t bits) {
  double value;
  memcpy(&value, &bits, 8);
  return value;
}
SIM_INLINE uint64_t d2u(double value) {
  uint64_t bits;
  memcpy(&bits, &value, 8);
  return bits;
}

SIM_INLINE float flush(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x; }
SIM_INLINE float saturate(float x) { return x > 0 ? (x < 1 ? x : 1) : 0; } // NaN gives 0
SIM_INLINE double saturate_f64(double x) { return x > 0 ? (x < 1 ? x : 1) : 0; }

// ---- 16-bit formats

SIM_INLINE float h2f(uint16_t bits) {
#ifdef __FLT16_MANT_DIG__
  _Float16 value;
  memcpy(&value, &bits, 2);
  return (float)value;
#else
  uint32_t sign = (uint32_t)(bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
  if (exponent == 31) return u2f(sign | 0x7f800000u | fraction << 13);
  if (exponent == 0) return copysignf((float)fraction * 0x1p-24f, u2f(sign));
  return u2f(sign | (exponent + 112) << 23 | fraction << 13);
#endif
}
SIM_INLINE float b2f(uint16_t bits) { return u2f((uint32_t)bits << 16); }

// The nearest float whose last bit is set unless it is exact: a second rounding then cannot err.
SIM_INLINE float odd_float(double x) {
  float near = (float)x;
  if ((double)near == x || near != near || isinf(near)) return near;
  uint32_t bits = f2u(near);
  if (fabs((double)near) > fabs(x)) bits--;
  return u2f(bits | 1);
}
// a + b to odd.
SIM_INLINE double odd_sum(double a, double b) {
  double sum = a + b, part = sum - a, error = (a - (sum - part)) + (b - part);
  if (error == 0 || error != error || isinf(sum)) return sum;
  uint64_t bits = d2u(sum);
  if ((error < 0) == (sum > 0)) bits--; // towards zero
  return u2d(bits | 1);
}

// What a value becomes in a format of so many significant bits and least normal exponent; mode as in ROUND_.
enum { ROUND_NEAREST, ROUND_ZERO, ROUND_DOWN, ROUND_UP, ROUND_AWAY }; // AWAY: nearest, ties away from zero
SIM_INLINE double round_format(double x, int digits, int least, int mode) {
  if (x != x || isinf(x) || x == 0) return x;
  int exponent;
  frexp(x, &exponent);
  if (exponent - 1 < least) exponent = least + 1;
  double unit = ldexp(1, exponent - digits), scaled = x / unit, whole = trunc(scaled), rest = fabs(scaled - whole);
  bool away = false;
  switch (mode) {
  case ROUND_NEAREST: away = rest > 0.5 || (rest == 0.5 && fmod(whole, 2) != 0); break;
  case ROUND_AWAY: away = rest >= 0.5; break;
  case ROUND_DOWN: away = rest > 0 && x < 0; break;
  case ROUND_UP: away = rest > 0 && x > 0; break;
  }
  return copysign((fabs(whole) + away) * unit, x);
}

SIM_INLINE uint16_t half_bits(double rounded) { // of a value that is a half already, or too large for one
  uint16_t sign = d2u(rounded) >> 63 ? 0x8000 : 0;
  double a = fabs(rounded);
  if (a != a) return 0x7fff;
  if (a > 65504) return (uint16_t)(sign | 0x7c00);
  if (a < 0x1p-14) return (uint16_t)(sign | (uint16_t)(a * 0x1p24));
  int exponent;
  double fraction = frexp(a, &exponent);
  return (uint16_t)(sign | ((exponent + 14) << 10) | ((uint16_t)(fraction * 2048) & 0x3ff));
}
SIM_INLINE uint16_t d2h_mode(double x, int mode) {
  double rounded = round_format(x, 11, -14, mode);
  bool keeps = mode == ROUND_ZERO || (mode == ROUND_DOWN && x > 0) || (mode == ROUND_UP && x < 0);
  if (fabs(rounded) > 65504 && keeps && !isinf(x)) rounded = copysign(65504, x);
  return half_bits(rounded);
}
SIM_INLINE uint16_t f2h(float x) {
#ifdef __FLT16_MANT_DIG__
  _Float16 value = (_Float16)x;
  uint16_t bits;
  memcpy(&bits, &value, 2);
  return x != x ? 0x7fff : bits;
#else
  return d2h_mode(x, ROUND_NEAREST);
#endif
}
SIM_INLINE uint16_t d2h(double x) { return f2h(odd_float(x)); }
SIM_INLINE uint16_t f2b(float x) {
  uint32_t bits = f2u(x);
  return x != x ? 0x7fff : (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
SIM_INLINE uint16_t d2b(double x) { return f2b(odd_float(x)); }
SIM_INLINE uint16_t f2b_mode(float x, int mode) {
  uint32_t bits = f2u(x);
  if (x != x) return 0x7fff;
  if (mode == ROUND_NEAREST) return f2b(x);
  bool away = (bits & 0xffff) && ((mode == ROUND_DOWN && x < 0) || (mode == ROUND_UP && x > 0));
  return (uint16_t)((bits >> 16) + away);
}
SIM_INLINE uint32_t f2tf(float x, int mode) { // tf32 keeps 10 bits of the fraction
  uint32_t bits = f2u(x);
  if (x != x) return 0x7fffffff;
  if ((bits & 0x7f800000u) == 0x7f800000u) return bits;
  if (mode == ROUND_AWAY) bits += 0x1000;
  else if (mode == ROUND_NEAREST) bits += 0xfff + (bits >> 13 & 1);
  return bits & ~0x1fffu;
}

// ---- minimum and maximum: NaN loses, unless the instruction says .NaN; -0 is less than +0

SIM_INLINE float min_f32(float a, float b) {
  return a != a ? b : b != b ? a : a == b ? u2f(f2u(a) | f2u(b)) : a < b ? a : b;
}
SIM_INLINE float max_f32(float a, float b) {
  return a != a ? b : b != b ? a : a == b ? u2f(f2u(a) & f2u(b)) : a > b ? a : b;
}
SIM_INLINE double min_f64(double a, double b) {
  return a != a ? b : b != b ? a : a == b ? u2d(d2u(a) | d2u(b)) : a < b ? a : b;
}
SIM_INLINE double max_f64(double a, double b) {
  return a != a ? b : b != b ? a : a == b ? u2d(d2u(a) & d2u(b)) : a > b ? a : b;
}
SIM_INLINE float min_nan_f32(float a, float b) { return a != a || b != b ? u2f(0x7fffffff) : min_f32(a, b); }
SIM_INLINE float max_nan_f32(float a, float b) { return a != a || b != b ? u2f(0x7fffffff) : max_f32(a, b); }
SIM_INLINE float xorsign(float a, float b, float chosen) { // min.xorsign.abs
  return u2f((f2u(chosen) & 0x7fffffff) | ((f2u(a) ^ f2u(b)) & 0x80000000u));
}

// ---- 16-bit arithmetic, one or two lanes

SIM_INLINE uint16_t saturate_h(uint16_t x) { return f2h(saturate(h2f(x))); }
SIM_INLINE uint16_t saturate_b(uint16_t x) { return f2b(saturate(b2f(x))); }
SIM_INLINE uint16_t flush_h(uint16_t x) { return x & 0x7c00 ? x : x & 0x8000; }
SIM_INLINE uint16_t flush_b(uint16_t x) { return x & 0x7f80 ? x : x & 0x8000; }
SIM_INLINE uint16_t relu_h(uint16_t x) { return (x & 0x7fff) > 0x7c00 ? 0x7fff : x & 0x8000 ? 0 : x; }
SIM_INLINE uint16_t relu_b(uint16_t x) { return (x & 0x7fff) > 0x7f80 ? 0x7fff : x & 0x8000 ? 0 : x; }
#define SIM_SIXTEEN(letter, digits_fma)                                                                                \
  SIM_INLINE uint16_t add_##letter(uint16_t a, uint16_t b) {                                                           \
    return d2##letter((double)letter##2f(a) + (double)letter##2f(b));                                                  \
  }                                                                                                                    \
  SIM_INLINE uint16_t sub_##letter(uint16_t a, uint16_t b) {                                                           \
    return d2##letter((double)letter##2f(a) - (double)letter##2f(b));                                                  \
  }                                                                                                                    \
  SIM_INLINE uint16_t mul_##letter(uint16_t a, uint16_t b) {                                                           \
    return d2##letter((double)letter##2f(a) * (double)letter##2f(b));                                                  \
  }                                                                                                                    \
  SIM_INLINE uint16_t fma_##letter(uint16_t a, uint16_t b, uint16_t c) {                                               \
    return d2##letter(odd_sum((double)letter##2f(a) * (double)letter##2f(b), (double)letter##2f(c)));                  \
  }                                                                                                                    \
  SIM_INLINE uint16_t min_##letter(uint16_t a, uint16_t b) {                                                           \
    return f2##letter(min_f32(letter##2f(a), letter##2f(b)));                                                          \
  }                                                                                                                    \
  SIM_INLINE uint16_t max_##letter(uint16_t a, uint16_t b) {                                                           \
    return f2##letter(max_f32(letter##2f(a), letter##2f(b)));                                                          \
  }                                                                                                                    \
  SIM_INLINE uint16_t min_nan_##letter(uint16_t a, uint16_t b) {                                                       \
    return f2##letter(min_nan_f32(letter##2f(a), letter##2f(b)));                                                      \
  }                                                                                                                    \
  SIM_INLINE uint16_t max_nan_##letter(uint16_t a, uint16_t b) {                                                       \
    return f2##letter(max_nan_f32(letter##2f(a), letter##2f(b)));                                                      \
  }                                                                                                                    \
  SIM_INLINE uint16_t neg_##letter(uint16_t a) { return a ^ 0x8000; }                                                  \
  SIM_INLINE uint16_t abs_##letter(uint16_t a) { return a & 0x7fff; }                                                  \
  SIM_INLINE uint16_t tanh_##letter(uint16_t a) { return f2##letter(tanhf(letter##2f(a))); }                           \
  SIM_INLINE uint16_t ex2_##letter(uint16_t a) { return f2##letter(exp2f(letter##2f(a))); }
SIM_SIXTEEN(h, 22)
SIM_SIXTEEN(b, 16)
#define LANE(word, k)       ((uint16_t)((word) >> (16 * (k))))
#define BOTH(first, second) ((uint32_t)(uint16_t)(first) | (uint32_t)(uint16_t)(second) << 16)
SIM_INLINE bool is_nan_h(uint16_t a) { return (a & 0x7fff) > 0x7c00; }

// ---- float32 in a rounding mode: the exact result is sum + error, both doubles

SIM_INLINE float directed_float(double sum, double error, int mode) {
  float near = (float)sum;
  if (near != near || isinf(sum)) return near;
  double over = (double)near - sum; // exact
  bool above = over > error, below = over < error;
  if (!above && !below) return near;
  bool down = mode == ROUND_DOWN || (mode == ROUND_ZERO && (sum > 0 || (sum == 0 && error > 0)));
  if (above && down) return nextafterf(near, -INFINITY);
  if (below && !down) return nextafterf(near, INFINITY);
  return near;
}
SIM_INLINE float sum_mode(double a, double b, int mode) {
  double sum = a + b, part = sum - a, error = (a - (sum - part)) + (b - part);
  if (isinf(sum) || sum != sum) return (float)sum;
  if (sum == 0 && error == 0 && mode == ROUND_DOWN && !(d2u(a) == 0 && d2u(b) == 0)) return -0.0f;
  return directed_float(sum, error, mode);
}
SIM_INLINE float add_mode(float a, float b, int mode) { return sum_mode(a, b, mode); }
SIM_INLINE float mul_mode(float a, float b, int mode) { return directed_float((double)a * b, 0, mode); }
SIM_INLINE float fma_mode(float a, float b, float c, int mode) { return sum_mode((double)a * b, c, mode); }
SIM_INLINE float div_mode(float a, float b, int mode) {
  float near = a / b;
  if (near != near || isinf(a) || isinf(b) || b == 0 || a == 0) return near;
  if (isinf(near))
    return mode == ROUND_UP && near > 0     ? near
           : mode == ROUND_DOWN && near < 0 ? near
           : mode == ROUND_NEAREST          ? near
                                            : copysignf(0x1.fffffep127f, near);
  double rest = fma(-(double)near, b, a); // exact; its sign against b says on which side the quotient lies
  if (rest == 0) return near;
  bool below = (rest > 0) == (b > 0); // the quotient is larger than near
  bool down = mode == ROUND_DOWN || (mode == ROUND_ZERO && (a > 0) == (b > 0));
  if (!below && down) return nextafterf(near, -INFINITY);
  if (below && !down) return nextafterf(near, INFINITY);
  return near;
}
SIM_INLINE float sqrt_mode(float a, int mode) {
  float near = sqrtf(a);
  if (near != near || isinf(near) || a == 0) return near;
  double rest = fma(-(double)near, near, a);
  if (rest < 0 && mode != ROUND_UP) return nextafterf(near, -INFINITY);
  if (rest > 0 && mode == ROUND_UP) return nextafterf(near, INFINITY);
  return near;
}
SIM_INLINE float round_f32(double x, int mode) { return mode == ROUND_NEAREST ? (float)x : directed_float(x, 0, mode); }

// ---- conversions

SIM_INLINE double integral(double x, int mode) {
  return mode == ROUND_ZERO ? trunc(x) : mode == ROUND_DOWN ? floor(x) : mode == ROUND_UP ? ceil(x) : nearbyint(x);
}
// Float to integer clamps to the target's range; NaN gives 0, of 64 bits the lowest.
SIM_INLINE int64_t to_signed(double x, int mode, int bits) {
  if (x != x) return bits == 64 ? INT64_MIN : 0;
  double whole = integral(x, mode), bound = bits == 64 ? 0x1p63 : bits == 32 ? 0x1p31 : bits == 16 ? 0x1p15 : 0x1p7;
  if (whole >= bound) return (int64_t)((1ull << (bits - 1)) - 1);
  if (whole < -bound) return -(int64_t)((1ull << (bits - 1)) - 1) - 1;
  return (int64_t)whole;
}
SIM_INLINE uint64_t to_unsigned(double x, int mode, int bits) {
  if (x != x) return bits == 64 ? 1ull << 63 : 0;
  double whole = integral(x, mode), bound = bits == 64 ? 0x1p64 : bits == 32 ? 0x1p32 : bits == 16 ? 0x1p16 : 0x1p8;
  if (whole >= bound) return bits == 64 ? ~0ull : (1ull << bits) - 1;
  if (whole <= 0) return 0;
  return (uint64_t)whole;
}
// 64-bit integers to float32 with one rounding in any mode.
SIM_INLINE float from_s64(int64_t a, int mode) {
  if (mode == ROUND_NEAREST) return (float)a;
  double high = (double)(a >> 32) * 0x1p32, low = (double)(uint32_t)a;
  return sum_mode(high, low, mode);
}
SIM_INLINE float from_u64(uint64_t a, int mode) {
  if (mode == ROUND_NEAREST) return (float)a;
  return sum_mode((double)(a >> 32) * 0x1p32, (double)(uint32_t)a, mode);
}
SIM_INLINE bool class_of(double x, int which) { // testp
  switch (which) {
  case 0: return isfinite(x);
  case 1: return isinf(x);
  case 2: return x == x;
  default: return x != x;
  }
}

#endif
