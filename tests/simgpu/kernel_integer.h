// Integer instructions of PTX whose results C leaves undefined or has no operator for.
#ifndef SIM_KERNEL_INTEGER_H
#define SIM_KERNEL_INTEGER_H

#include "kernel_thread.h"

// Division by zero gives all ones, as the hardware's; the remainder is then the dividend.
#define SIM_DIVISION(bits)                                                                                             \
  SIM_INLINE uint##bits##_t div_u##bits(uint##bits##_t a, uint##bits##_t b) {                                          \
    return b ? (uint##bits##_t)(a / b) : (uint##bits##_t) ~(uint##bits##_t)0;                                          \
  }                                                                                                                    \
  SIM_INLINE uint##bits##_t rem_u##bits(uint##bits##_t a, uint##bits##_t b) {                                          \
    return b ? (uint##bits##_t)(a % b) : a;                                                                            \
  }                                                                                                                    \
  SIM_INLINE int##bits##_t div_s##bits(int##bits##_t a, int##bits##_t b) {                                             \
    return b == 0 ? (int##bits##_t) - 1 : b == -1 ? (int##bits##_t)(0 - (uint##bits##_t)a) : (int##bits##_t)(a / b);   \
  }                                                                                                                    \
  SIM_INLINE int##bits##_t rem_s##bits(int##bits##_t a, int##bits##_t b) {                                             \
    return b == 0 ? a : b == -1 ? (int##bits##_t)0 : (int##bits##_t)(a % b);                                           \
  }                                                                                                                    \
  SIM_INLINE uint##bits##_t shl_u##bits(uint##bits##_t a, uint32_t n) {                                                \
    return n >= bits ? 0 : (uint##bits##_t)(a << n);                                                                   \
  }                                                                                                                    \
  SIM_INLINE uint##bits##_t shr_u##bits(uint##bits##_t a, uint32_t n) {                                                \
    return n >= bits ? 0 : (uint##bits##_t)(a >> n);                                                                   \
  }                                                                                                                    \
  SIM_INLINE int##bits##_t shr_s##bits(int##bits##_t a, uint32_t n) {                                                  \
    return (int##bits##_t)(a >> (n >= bits ? bits - 1 : n));                                                           \
  }
SIM_DIVISION(16)
SIM_DIVISION(32)
SIM_DIVISION(64)

SIM_INLINE uint16_t mul_hi_u16(uint16_t a, uint16_t b) { return (uint16_t)((uint32_t)a * b >> 16); }
SIM_INLINE int16_t mul_hi_s16(int16_t a, int16_t b) { return (int16_t)((int32_t)a * b >> 16); }
SIM_INLINE uint32_t mul_hi_u32(uint32_t a, uint32_t b) { return (uint32_t)((uint64_t)a * b >> 32); }
SIM_INLINE int32_t mul_hi_s32(int32_t a, int32_t b) { return (int32_t)((int64_t)a * b >> 32); }
SIM_INLINE uint64_t mul_hi_u64(uint64_t a, uint64_t b) { return (uint64_t)((unsigned __int128)a * b >> 64); }
SIM_INLINE int64_t mul_hi_s64(int64_t a, int64_t b) { return (int64_t)((__int128)a * b >> 64); }

// 24-bit products: low 32 of the 48 bits, or the high 32.
SIM_INLINE uint64_t mul24_u(uint32_t a, uint32_t b) { return (uint64_t)(a & 0xffffff) * (b & 0xffffff); }
SIM_INLINE int64_t mul24_s(uint32_t a, uint32_t b) {
  return (int64_t)((int32_t)(a << 8) >> 8) * ((int32_t)(b << 8) >> 8);
}

SIM_INLINE int32_t saturate_s32(int64_t a) {
  return a > INT32_MAX ? INT32_MAX : a < INT32_MIN ? INT32_MIN : (int32_t)a;
}

#define SIM_FIELDS(bits)                                                                                               \
  SIM_INLINE uint##bits##_t bfe_u##bits(uint##bits##_t a, uint32_t at, uint32_t n) {                                   \
    at &= 255, n &= 255;                                                                                               \
    uint##bits##_t shifted = at >= bits ? 0 : a >> at;                                                                 \
    return n >= bits ? shifted : shifted & (((uint##bits##_t)1 << n) - 1);                                             \
  }                                                                                                                    \
  SIM_INLINE int##bits##_t bfe_s##bits(int##bits##_t a, uint32_t at, uint32_t n) {                                     \
    at &= 255, n &= 255;                                                                                               \
    if (n == 0) return 0;                                                                                              \
    if (at >= bits) return a < 0 ? -1 : 0;                                                                             \
    if (at + n >= bits) return a >> at; /* the sign is the top bit */                                                  \
    return (int##bits##_t)((uint##bits##_t)a << (bits - at - n)) >> (bits - n);                                        \
  }                                                                                                                    \
  SIM_INLINE uint##bits##_t bfi_u##bits(uint##bits##_t a, uint##bits##_t b, uint32_t at, uint32_t n) {                 \
    at &= 255, n &= 255;                                                                                               \
    if (n == 0 || at >= bits) return b;                                                                                \
    uint##bits##_t mask = (n >= bits ? ~(uint##bits##_t)0 : ((uint##bits##_t)1 << n) - 1) << at;                       \
    return (b & ~mask) | ((a << at) & mask);                                                                           \
  }                                                                                                                    \
  SIM_INLINE uint##bits##_t brev_u##bits(uint##bits##_t a) {                                                           \
    uint##bits##_t out = 0;                                                                                            \
    for (int k = 0; k < bits; k++) out |= ((a >> k) & 1) << (bits - 1 - k);                                            \
    return out;                                                                                                        \
  }
SIM_FIELDS(32)
SIM_FIELDS(64)

SIM_INLINE uint32_t clz_u32(uint32_t a) { return a ? (uint32_t)__builtin_clz(a) : 32; }
SIM_INLINE uint32_t clz_u64(uint64_t a) { return a ? (uint32_t)__builtin_clzll(a) : 64; }

// Position of the highest bit that differs from the sign, or with `shift` how far it would have to be shifted.
SIM_INLINE uint32_t bfind_u32(uint32_t a, bool shift) {
  return a ? (shift ? clz_u32(a) : 31 - clz_u32(a)) : 0xffffffffu;
}
SIM_INLINE uint32_t bfind_u64(uint64_t a, bool shift) {
  return a ? (shift ? clz_u64(a) : 63 - clz_u64(a)) : 0xffffffffu;
}
SIM_INLINE uint32_t bfind_s32(int32_t a, bool shift) { return bfind_u32((uint32_t)(a < 0 ? ~a : a), shift); }
SIM_INLINE uint32_t bfind_s64(int64_t a, bool shift) { return bfind_u64((uint64_t)(a < 0 ? ~a : a), shift); }

// Position of the n-th set bit from a base, downwards for negative n.
SIM_INLINE uint32_t fns(uint32_t mask, uint32_t base, int32_t n) {
  if (base > 31) return 0xffffffffu;
  if (n == 0) return mask >> base & 1 ? base : 0xffffffffu;
  int step = n > 0 ? 1 : -1, left = n > 0 ? n : -n;
  for (int at = (int)base; at >= 0 && at < 32; at += step)
    if (mask >> at & 1 && --left == 0) return (uint32_t)at;
  return 0xffffffffu;
}

SIM_INLINE uint32_t byte_of(uint64_t bytes, uint32_t selector) {
  uint32_t byte = (uint32_t)(bytes >> (8 * (selector & 7))) & 255;
  return selector & 8 ? (byte & 128 ? 255 : 0) : byte;
}
SIM_INLINE uint32_t prmt(uint32_t a, uint32_t b, uint32_t c) {
  uint64_t bytes = (uint64_t)b << 32 | a;
  return byte_of(bytes, c) | byte_of(bytes, c >> 4) << 8 | byte_of(bytes, c >> 8) << 16 | byte_of(bytes, c >> 12) << 24;
}
// The modes with a rule of their own for the selector.
enum { PRMT_F4E, PRMT_B4E, PRMT_RC8, PRMT_ECL, PRMT_ECR, PRMT_RC16 };
SIM_INLINE uint32_t prmt_mode(uint32_t a, uint32_t b, uint32_t c, int mode) {
  uint32_t s = c & 3, selector = 0;
  for (uint32_t k = 0; k < 4; k++) {
    uint32_t from = mode == PRMT_F4E   ? s + k
                    : mode == PRMT_B4E ? (s + 8 - k) & 7
                    : mode == PRMT_RC8 ? s
                    : mode == PRMT_ECL ? (k > s ? k : s)
                    : mode == PRMT_ECR ? (k < s ? k : s)
                                       : 2 * (s & 1) + (k & 1);
    selector |= (from & 7) << (4 * k);
  }
  return prmt(a, b, selector);
}

SIM_INLINE uint32_t lop3(uint32_t a, uint32_t b, uint32_t c, unsigned table) {
  uint32_t out = 0;
  for (unsigned k = 0; k < 8; k++)
    if (table >> k & 1) out |= (k & 4 ? a : ~a) & (k & 2 ? b : ~b) & (k & 1 ? c : ~c);
  return out;
}

SIM_INLINE uint32_t shf_l(uint32_t low, uint32_t high, uint32_t n, bool wraps) {
  n = wraps ? n & 31 : n > 32 ? 32 : n;
  return (uint32_t)(((uint64_t)high << 32 | low) << n >> 32);
}
SIM_INLINE uint32_t shf_r(uint32_t low, uint32_t high, uint32_t n, bool wraps) {
  n = wraps ? n & 31 : n > 32 ? 32 : n;
  return (uint32_t)(((uint64_t)high << 32 | low) >> n);
}

SIM_INLINE int32_t byte_value(uint32_t word, int k, bool is_signed) {
  return is_signed ? (int8_t)(word >> (8 * k)) : (uint8_t)(word >> (8 * k));
}
SIM_INLINE uint32_t dp4a(uint32_t a, uint32_t b, uint32_t c, bool a_signed, bool b_signed) {
  for (int k = 0; k < 4; k++) c += (uint32_t)(byte_value(a, k, a_signed) * byte_value(b, k, b_signed));
  return c;
}
SIM_INLINE uint32_t dp2a(uint32_t a, uint32_t b, uint32_t c, bool a_signed, bool b_signed, bool high) {
  for (int k = 0; k < 2; k++) {
    int32_t half = a_signed ? (int16_t)(a >> (16 * k)) : (uint16_t)(a >> (16 * k));
    c += (uint32_t)half * (uint32_t)byte_value(b, k + 2 * high, b_signed);
  }
  return c;
}

// Two or four integers in a word (vadd2 and kin are compiled to these on today's targets).
SIM_INLINE uint32_t add_u16x2(uint32_t a, uint32_t b) {
  return ((a + b) & 0xffff) | ((a & 0xffff0000u) + (b & 0xffff0000u));
}
#define SIM_PAIR(name, type, operator)                                                                                 \
  SIM_INLINE uint32_t name(uint32_t a, uint32_t b) {                                                                   \
    type al = (type)a, bl = (type)b, ah = (type)(a >> 16), bh = (type)(b >> 16);                                       \
    return (uint16_t)(al operator bl ? al : bl) | (uint32_t)(uint16_t)(ah operator bh ? ah : bh) << 16;                \
  }
SIM_PAIR(min_u16x2, uint16_t, <)
SIM_PAIR(max_u16x2, uint16_t, >)
SIM_PAIR(min_s16x2, int16_t, <)
SIM_PAIR(max_s16x2, int16_t, >)

// Four differences of bytes, or their sum added to c.
SIM_INLINE uint32_t vabsdiff4(uint32_t a, uint32_t b, uint32_t c, bool a_signed, bool b_signed, bool adds) {
  uint32_t out = adds ? c : 0;
  for (int k = 0; k < 4; k++) {
    int32_t difference = byte_value(a, k, a_signed) - byte_value(b, k, b_signed);
    uint32_t size = (uint32_t)(difference < 0 ? -difference : difference);
    out += adds ? size : (size & 255) << (8 * k);
  }
  return out;
}

// A mask of n bits from a position; bits beyond 32 are cut off or, wrapping, counted modulo 32.
SIM_INLINE uint32_t bmsk(uint32_t at, uint32_t n, bool wraps) {
  if (wraps) at &= 31, n &= 31;
  if (at > 31 || n == 0) return 0;
  return (n > 31 ? ~0u : (1u << n) - 1) << at;
}
// The lowest n bits, extended by their sign or by zeros.
SIM_INLINE uint32_t szext(uint32_t a, uint32_t n, bool is_signed, bool wraps) {
  if (wraps) n &= 31;
  if (n > 31) return a;
  if (n == 0) return 0;
  uint32_t low = a & ((1u << n) - 1);
  return is_signed && low >> (n - 1) ? low | ~0u << n : low;
}

#endif
