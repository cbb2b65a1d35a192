// Checked memory accesses of generated kernels, and atomics.
#ifndef SIM_KERNEL_MEMORY_H
#define SIM_KERNEL_MEMORY_H

#include "kernel_thread.h"

#ifndef SIM_RACES
#define SIM_RACES 0
#endif
#ifndef SIM_COUNTS
#define SIM_COUNTS 0
#endif

// Quick to compile (accesses are calls, registers that live across a wait stay in memory) or quick to run.
#ifndef SIM_QUICK
#define SIM_QUICK 0
#endif
#if SIM_QUICK
#define SIM_ACCESS static __attribute__((noinline, unused))
#define SAVE(k)
#define BACK(k)
#else
#define SIM_ACCESS SIM_INLINE
#define SAVE(k)    S->m##k = r##k;
#define BACK(k)    r##k = S->m##k;
#endif

// Whether any of n bytes is not SIM_WRITTEN (3).
SIM_INLINE bool is_not_written(const uint8_t *state, const unsigned n) {
  uint64_t low, high;
  uint32_t word;
  uint16_t half;
  switch (n) {
  case 1: return *state != 3;
  case 2: memcpy(&half, state, 2); return half != 0x0303;
  case 4: memcpy(&word, state, 4); return word != 0x03030303u;
  case 8: memcpy(&low, state, 8); return low != 0x0303030303030303ull;
  default:
    memcpy(&low, state, 8);
    memcpy(&high, state + 8, 8);
    return ((low ^ 0x0303030303030303ull) | (high ^ 0x0303030303030303ull)) != 0;
  }
}

SIM_ACCESS uint8_t *global_at(SimThread *T, SimBlock *B, uint64_t address, const unsigned n, const int access,
                              unsigned site) {
  uint64_t offset = address - B->global_base;
  uint8_t *at = B->global + offset;
  if (SIM_UNLIKELY(offset & (B->global_limit | (n - 1))) || SIM_UNLIKELY(is_not_written(at - B->global_span, n)))
    at = B->api->global(T, B, address, n, access, site);
  if (SIM_RACES) B->api->race(T, B, 0, address, n, access, site);
  if (SIM_COUNTS) B->api->touch(T, B, 0, address, n, access, site);
  return at;
}

SIM_ACCESS uint8_t *shared_at(SimThread *T, SimBlock *B, uint64_t address, const unsigned n, const int access,
                              unsigned site) {
  uint8_t *at = B->shared + address;
  if (SIM_UNLIKELY(address & (~(SIM_SHARED_SPAN - 1) | (n - 1))) ||
      SIM_UNLIKELY(is_not_written(at - SIM_SHARED_SPAN, n)))
    B->api->shared(T, B, address, n, access, site);
  if (SIM_RACES) B->api->race(T, B, 1, address, n, access, site);
  if (SIM_COUNTS) B->api->touch(T, B, 1, address, n, access, site);
  return at;
}

enum { FAULT_LOCAL_BOUNDS = 100, FAULT_LOCAL_ALIGNMENT, FAULT_PARAM_BOUNDS, FAULT_FUEL, FAULT_TRAP, FAULT_BRANCH };

SIM_ACCESS uint8_t *local_at(SimThread *T, SimBlock *B, uint64_t address, const unsigned n, unsigned site) {
  if (SIM_UNLIKELY(address + n > B->local_bytes || address > B->local_bytes))
    B->api->fault(T, B, FAULT_LOCAL_BOUNDS, address, n, site);
  if (SIM_UNLIKELY(address & (n - 1))) B->api->fault(T, B, FAULT_LOCAL_ALIGNMENT, address, n, site);
  return T->local + address;
}

SIM_INLINE uint8_t *param_at(SimThread *T, SimBlock *B, uint64_t address, const unsigned n, unsigned site) {
  if (SIM_UNLIKELY(address + n > B->param_bytes || address > B->param_bytes))
    B->api->fault(T, B, FAULT_PARAM_BOUNDS, address, n, site);
  return (uint8_t *)B->params + address;
}

SIM_ACCESS uint8_t *generic_at(SimThread *T, SimBlock *B, uint64_t address, const unsigned n, const int access,
                               unsigned site) {
  switch (address >> 48) {
  case 2: return shared_at(T, B, address ^ SIM_SHARED_WINDOW, n, access, site);
  case 4: return local_at(T, B, address ^ SIM_LOCAL_WINDOW, n, site);
  case 8: return param_at(T, B, address ^ SIM_PARAM_WINDOW, n, site);
  default: return global_at(T, B, address, n, access, site);
  }
}

#define SIM_LOAD(type, name)                                                                                           \
  SIM_INLINE type load_##name(const uint8_t *at) {                                                                     \
    type value;                                                                                                        \
    memcpy(&value, at, sizeof value);                                                                                  \
    return value;                                                                                                      \
  }                                                                                                                    \
  SIM_INLINE void store_##name(uint8_t *at, type value) { memcpy(at, &value, sizeof value); }
SIM_LOAD(uint8_t, u8)
SIM_LOAD(uint16_t, u16)
SIM_LOAD(uint32_t, u32)
SIM_LOAD(uint64_t, u64)
SIM_LOAD(float, f32)
SIM_LOAD(double, f64)

// Atomics: several host threads may run blocks. Each returns the old bits.
#define SIM_ATOMIC(name, type, expression)                                                                             \
  SIM_INLINE type atomic_##name(uint8_t *at, type b, type c) {                                                         \
    type *cell = (type *)at, a = __atomic_load_n(cell, __ATOMIC_SEQ_CST), next;                                        \
    (void)b, (void)c;                                                                                                  \
    do next = (type)(expression);                                                                                      \
    while (!__atomic_compare_exchange_n(cell, &a, next, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));                       \
    return a;                                                                                                          \
  }
#define SIM_ATOMICS(bits)                                                                                              \
  SIM_ATOMIC(add_u##bits, uint##bits##_t, a + b)                                                                       \
  SIM_ATOMIC(exch_u##bits, uint##bits##_t, b)                                                                          \
  SIM_ATOMIC(cas_u##bits, uint##bits##_t, a == b ? c : a)                                                              \
  SIM_ATOMIC(and_u##bits, uint##bits##_t, a &b)                                                                        \
  SIM_ATOMIC(or_u##bits, uint##bits##_t, a | b)                                                                        \
  SIM_ATOMIC(xor_u##bits, uint##bits##_t, a ^ b)                                                                       \
  SIM_ATOMIC(min_u##bits, uint##bits##_t, b < a ? b : a)                                                               \
  SIM_ATOMIC(max_u##bits, uint##bits##_t, b > a ? b : a)                                                               \
  SIM_ATOMIC(min_s##bits, uint##bits##_t, (int##bits##_t)b < (int##bits##_t)a ? b : a)                                 \
  SIM_ATOMIC(max_s##bits, uint##bits##_t, (int##bits##_t)b > (int##bits##_t)a ? b : a)
SIM_ATOMICS(32)
SIM_ATOMICS(64)
SIM_ATOMIC(cas_u16, uint16_t, a == b ? c : a)
SIM_ATOMIC(exch_u16, uint16_t, b)
SIM_ATOMIC(inc_u32, uint32_t, a >= b ? 0 : a + 1)
SIM_ATOMIC(dec_u32, uint32_t, a == 0 || a > b ? b : a - 1)

#endif
