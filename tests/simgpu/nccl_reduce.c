// What collectives compute. Reductions go in the order of ranks; 16-bit types are rounded after each step, as NCCL
// does.
#include "tests/simgpu/half.h"
#include "tests/simgpu/nccl_state.h"
#include <stdlib.h>
#include <string.h>

size_t nccl_type_bytes(ncclDataType_t type) {
  switch (type) {
  case ncclInt8:
  case ncclUint8: return 1;
  case ncclFloat16:
  case ncclBfloat16: return 2;
  case ncclInt32:
  case ncclUint32:
  case ncclFloat32: return 4;
  case ncclInt64:
  case ncclUint64:
  case ncclFloat64: return 8;
  default: return 0;
  }
}

size_t nccl_in_bytes(const Call *call, int rank, int n_ranks) {
  size_t bytes = call->count * nccl_type_bytes(call->type);
  switch (call->kind) {
  case BROADCAST: return rank == call->peer ? bytes : 0;
  case REDUCE_SCATTER: return bytes * (size_t)n_ranks;
  case RECV: return 0;
  default: return bytes;
  }
}

size_t nccl_out_bytes(const Call *call, int rank, int n_ranks) {
  size_t bytes = call->count * nccl_type_bytes(call->type);
  switch (call->kind) {
  case REDUCE: return rank == call->peer ? bytes : 0;
  case ALL_GATHER: return bytes * (size_t)n_ranks;
  case SEND: return 0;
  default: return bytes;
  }
}

#define STEP(x, y)                                                                                                     \
  (op == ncclProd  ? (x) * (y)                                                                                         \
   : op == ncclMax ? ((x) > (y) ? (x) : (y))                                                                           \
   : op == ncclMin ? ((x) < (y) ? (x) : (y))                                                                           \
                   : (x) + (y))

// One function a type: sum[k] = step(sum[k], x[k]), and the division by n for averages.
#define REDUCTION(name, type, wide)                                                                                    \
  static void name(ncclRedOp_t op, void *to, const void *from, size_t n) {                                             \
    type *sum = to;                                                                                                    \
    const type *x = from;                                                                                              \
    for (size_t k = 0; k < n; k++) sum[k] = (type)STEP((wide)sum[k], (wide)x[k]);                                      \
  }                                                                                                                    \
  static void name##_divide(void *to, size_t n, int ranks) {                                                           \
    type *sum = to;                                                                                                    \
    for (size_t k = 0; k < n; k++) sum[k] = (type)(sum[k] / (type)ranks);                                              \
  }
REDUCTION(reduce_i8, int8_t, int32_t)
REDUCTION(reduce_u8, uint8_t, uint32_t)
REDUCTION(reduce_i32, int32_t, int64_t)
REDUCTION(reduce_u32, uint32_t, uint32_t)
REDUCTION(reduce_i64, int64_t, uint64_t)
REDUCTION(reduce_u64, uint64_t, uint64_t)
REDUCTION(reduce_f32, float, float)
REDUCTION(reduce_f64, double, double)

#define REDUCTION_16(name, load, store)                                                                                \
  static void name(ncclRedOp_t op, void *to, const void *from, size_t n) {                                             \
    uint16_t *sum = to;                                                                                                \
    const uint16_t *y = from;                                                                                          \
    for (size_t k = 0; k < n; k++) {                                                                                   \
      float a = load(sum[k]), b = load(y[k]);                                                                          \
      sum[k] = store(STEP(a, b));                                                                                      \
    }                                                                                                                  \
  }                                                                                                                    \
  static void name##_divide(void *to, size_t n, int ranks) {                                                           \
    uint16_t *sum = to;                                                                                                \
    for (size_t k = 0; k < n; k++) sum[k] = store(load(sum[k]) / (float)ranks);                                        \
  }
REDUCTION_16(reduce_f16, f16_to_float, f16_of_float)
REDUCTION_16(reduce_bf16, bf16_to_float, bf16_of_float)

static void step(ncclDataType_t type, ncclRedOp_t op, void *sum, const void *x, size_t n) {
  switch (type) {
  case ncclInt8: reduce_i8(op, sum, x, n); break;
  case ncclUint8: reduce_u8(op, sum, x, n); break;
  case ncclInt32: reduce_i32(op, sum, x, n); break;
  case ncclUint32: reduce_u32(op, sum, x, n); break;
  case ncclInt64: reduce_i64(op, sum, x, n); break;
  case ncclUint64: reduce_u64(op, sum, x, n); break;
  case ncclFloat16: reduce_f16(op, sum, x, n); break;
  case ncclBfloat16: reduce_bf16(op, sum, x, n); break;
  case ncclFloat32: reduce_f32(op, sum, x, n); break;
  case ncclFloat64: reduce_f64(op, sum, x, n); break;
  default: abort();
  }
}

static void divide(ncclDataType_t type, void *sum, size_t n, int ranks) {
  switch (type) {
  case ncclInt8: reduce_i8_divide(sum, n, ranks); break;
  case ncclUint8: reduce_u8_divide(sum, n, ranks); break;
  case ncclInt32: reduce_i32_divide(sum, n, ranks); break;
  case ncclUint32: reduce_u32_divide(sum, n, ranks); break;
  case ncclInt64: reduce_i64_divide(sum, n, ranks); break;
  case ncclUint64: reduce_u64_divide(sum, n, ranks); break;
  case ncclFloat16: reduce_f16_divide(sum, n, ranks); break;
  case ncclBfloat16: reduce_bf16_divide(sum, n, ranks); break;
  case ncclFloat32: reduce_f32_divide(sum, n, ranks); break;
  case ncclFloat64: reduce_f64_divide(sum, n, ranks); break;
  default: abort();
  }
}

void nccl_compute(const Call *call, int n_ranks, void *const *in, void *const *out) {
  size_t part = call->count * nccl_type_bytes(call->type);
  bool scattered = call->kind == REDUCE_SCATTER, gathers = call->kind == ALL_GATHER;
  size_t parts = scattered || gathers ? (size_t)n_ranks : 1;
  char *result = malloc(part * parts + 1); // apart, since outputs may be inputs
  if (!result) abort();
  switch (call->kind) {
  case SEND:
  case RECV:
  case BROADCAST: memcpy(result, in[call->kind == BROADCAST ? call->peer : 0], part); break;
  case ALL_GATHER:
    for (int r = 0; r < n_ranks; r++) memcpy(result + part * (size_t)r, in[r], part);
    break;
  default:
    memcpy(result, in[0], part * parts);
    for (int r = 1; r < n_ranks; r++) step(call->type, call->op, result, in[r], call->count * parts);
    if (call->op == ncclAvg) divide(call->type, result, call->count * parts, n_ranks);
  }
  for (int r = 0; r < n_ranks; r++)
    if (out[r]) memcpy(out[r], scattered ? result + part * (size_t)r : result, gathers ? part * parts : part);
  free(result);
}
