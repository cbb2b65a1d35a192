// NCCL's functions as a program finds them, and four ranks with their buffers; for the tests of NCCL.
#ifndef SIM_CALLS_NCCL_H
#define SIM_CALLS_NCCL_H

#include "tests/check.h"
#include "tests/simgpu/calls.h"
#include <nccl.h>

#define NCCL_CALLS(X)                                                                                                  \
  X(ncclGetVersion)                                                                                                    \
  X(ncclGetUniqueId)                                                                                                   \
  X(ncclCommInitRank)                                                                                                  \
  X(ncclCommInitRankConfig) X(ncclCommInitAll) X(ncclCommFinalize) X(ncclCommDestroy) X(ncclCommAbort)                 \
      X(ncclGetErrorString) X(ncclGetLastError) X(ncclCommGetAsyncError) X(ncclCommCount) X(ncclCommCuDevice)          \
          X(ncclCommUserRank) X(ncclReduce) X(ncclBcast) X(ncclBroadcast) X(ncclAllReduce) X(ncclReduceScatter)        \
              X(ncclAllGather) X(ncclSend) X(ncclRecv) X(ncclGroupStart) X(ncclGroupEnd)

static struct {
#define FIELD(name) __typeof__(name) *name;
  NCCL_CALLS(FIELD)
#undef FIELD
} nccl;

#define RETURNS(want, name, ...)                                                                                       \
  do {                                                                                                                 \
    ncclResult_t gave_ = nccl.name(__VA_ARGS__);                                                                       \
    CHECK(gave_ == (want), "%s gives %s", #name, nccl.ncclGetErrorString(gave_));                                      \
  } while (0)
#define DONE(name, ...) RETURNS(ncclSuccess, name, __VA_ARGS__)

enum { RANKS = 4, N = 100 };
static CUcontext context[RANKS];
static CUstream stream[RANKS];
static CUdeviceptr in[RANKS], out[RANKS];
static ncclComm_t comm[RANKS];

static inline void at(int r) { OK(cuCtxSetCurrent, context[r]); }

// Input k of rank r is (r + 1) * 10 + k, in so many parts of N.
static inline void fill(void) {
  float host[N * RANKS];
  for (int r = 0; r < RANKS; r++) {
    for (int k = 0; k < N * RANKS; k++) host[k] = (float)((r + 1) * 10 + k);
    at(r);
    OK(cuMemcpyHtoD, in[r], host, sizeof host);
    OK(cuMemsetD32, out[r], 0, N * RANKS);
    OK(cuCtxSynchronize);
  }
}

static inline float output(int r, int k) {
  float value = NAN;
  at(r);
  OK(cuStreamSynchronize, stream[r]);
  OK(cuMemcpyDtoH, &value, out[r] + 4 * (CUdeviceptr)k, 4);
  return value;
}

static inline void open_all(void) {
  DONE(ncclCommInitAll, comm, RANKS, NULL);
  for (int r = 0; r < RANKS; r++) {
    int count = 0, rank = -1, device = -1;
    DONE(ncclCommCount, comm[r], &count);
    DONE(ncclCommUserRank, comm[r], &rank);
    DONE(ncclCommCuDevice, comm[r], &device);
    CHECK(count == RANKS && rank == r && device == r, "%d, %d, %d", count, rank, device);
  }
}

#define EACH(call)                                                                                                     \
  do {                                                                                                                 \
    DONE(ncclGroupStart);                                                                                              \
    for (int r = 0; r < RANKS; r++) CHECK((call) == ncclSuccess, "rank %d", r);                                        \
    DONE(ncclGroupEnd);                                                                                                \
  } while (0)

#define I(r) ((const void *)in[r])
#define O(r) ((void *)out[r])

// Opens the library and the ranks' devices; false where there are fewer.
static inline bool calls_nccl_begin(void) {
  CHECK(calls_begin(RANKS), "the library opens");
  void *library = calls_open("SGC_NCCL");
#define LOAD(name)                                                                                                     \
  *(void **)&nccl.name = library ? dlsym(library, #name) : NULL;                                                       \
  CHECK(nccl.name, "%s", #name);
  NCCL_CALLS(LOAD)
#undef LOAD
  int n = 0;
  if (!nccl.ncclGetVersion || gpu.cuDeviceGetCount(&n) || n < RANKS) {
    CHECK_SKIP("%d devices, which is fewer than %d", n, RANKS);
    return false;
  }
  for (int r = 0; r < RANKS; r++) {
    OK(cuDevicePrimaryCtxRetain, &context[r], r);
    at(r);
    OK(cuStreamCreate, &stream[r], CU_STREAM_NON_BLOCKING);
    OK(cuMemAlloc, &in[r], 4 * N * RANKS);
    OK(cuMemAlloc, &out[r], 4 * N * RANKS);
  }
  return true;
}

#endif
