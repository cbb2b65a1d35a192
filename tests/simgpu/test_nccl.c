// Communicators and collectives.
#include "tests/check.h"
#if __has_include(<cuda.h>) && __has_include(<nccl.h>)
#include "tests/simgpu/calls.h"
#include "tests/simgpu/half.h"
#include <nccl.h>
#include <pthread.h>
#include <time.h>

#define NCCL_CALLS(X)                                                                                                  \
  X(ncclGetVersion)                                                                                                    \
  X(ncclGetUniqueId)                                                                                                   \
  X(ncclCommInitRank)                                                                                                  \
  X(ncclCommInitRankConfig)                                                                                            \
  X(ncclCommInitAll)                                                                                                   \
  X(ncclCommFinalize)                                                                                                  \
  X(ncclCommDestroy)                                                                                                   \
  X(ncclCommAbort) X(ncclGetErrorString) X(ncclGetLastError) X(ncclCommGetAsyncError) X(ncclCommCount)                 \
      X(ncclCommCuDevice) X(ncclCommUserRank) X(ncclReduce) X(ncclBcast) X(ncclBroadcast) X(ncclAllReduce)             \
          X(ncclReduceScatter) X(ncclAllGather) X(ncclSend) X(ncclRecv) X(ncclGroupStart) X(ncclGroupEnd)

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

static void at(int r) { OK(cuCtxSetCurrent, context[r]); }

// Input k of rank r is (r + 1) * 10 + k, in so many parts of N.
static void fill(void) {
  float host[N * RANKS];
  for (int r = 0; r < RANKS; r++) {
    for (int k = 0; k < N * RANKS; k++) host[k] = (float)((r + 1) * 10 + k);
    at(r);
    OK(cuMemcpyHtoD, in[r], host, sizeof host);
    OK(cuMemsetD32, out[r], 0, N * RANKS);
    OK(cuCtxSynchronize);
  }
}

static float output(int r, int k) {
  float value = NAN;
  at(r);
  OK(cuStreamSynchronize, stream[r]);
  OK(cuMemcpyDtoH, &value, out[r] + 4 * (CUdeviceptr)k, 4);
  return value;
}

static void open_all(void) {
  DONE(ncclCommInitAll, comm, RANKS, NULL);
  for (int r = 0; r < RANKS; r++) {
    int count = 0, rank = -1, device = -1;
    DONE(ncclCommCount, comm[r], &count);
    DONE(ncclCommUserRank, comm[r], &rank);
    DONE(ncclCommCuDevice, comm[r], &device);
    CHECK(count == RANKS && rank == r && device == r, "%d, %d, %d", count, rank, device);
  }
}

static void close_all(void) {
  for (int r = 0; r < RANKS; r++) DONE(ncclCommDestroy, comm[r]);
}

#define EACH(call)                                                                                                     \
  do {                                                                                                                 \
    DONE(ncclGroupStart);                                                                                              \
    for (int r = 0; r < RANKS; r++) CHECK((call) == ncclSuccess, "rank %d", r);                                        \
    DONE(ncclGroupEnd);                                                                                                \
  } while (0)

#define I(r) ((const void *)in[r])
#define O(r) ((void *)out[r])

static void collectives(void) {
  const ncclRedOp_t ops[] = {ncclSum, ncclProd, ncclMax, ncclMin, ncclAvg};
  const float want[] = {100 + 4 * 3, 13.f * 23 * 33 * 43, 43, 13, 28};
  for (int k = 0; k < 5; k++) {
    fill();
    EACH(nccl.ncclAllReduce(I(r), O(r), N, ncclFloat32, ops[k], comm[r], (cudaStream_t)stream[r]));
    for (int r = 0; r < RANKS; r++)
      CHECK(output(r, 3) == want[k] && output(r, N) == 0, "all_reduce %d on rank %d: %g", k, r, output(r, 3));
  }
  fill();
  EACH(nccl.ncclReduce(I(r), O(r), N, ncclFloat32, ncclSum, 2, comm[r], (cudaStream_t)stream[r]));
  CHECK(output(2, 0) == 100 && output(1, 0) == 0, "reduce: %g, %g", output(2, 0), output(1, 0));
  fill();
  EACH(nccl.ncclBroadcast(I(r), O(r), N, ncclFloat32, 3, comm[r], (cudaStream_t)stream[r]));
  CHECK(output(0, 5) == 45 && output(3, 5) == 45, "broadcast: %g", output(0, 5));
  fill();
  EACH(nccl.ncclAllGather(I(r), O(r), N, ncclFloat32, comm[r], (cudaStream_t)stream[r]));
  CHECK(output(1, 0) == 10 && output(1, N) == 20 && output(1, 3 * N + 7) == 47, "all_gather: %g", output(1, N));
  fill();
  EACH(nccl.ncclReduceScatter(I(r), O(r), N, ncclFloat32, ncclSum, comm[r], (cudaStream_t)stream[r]));
  CHECK(output(0, 1) == 104 && output(3, 1) == 100 + 4 * (3 * N + 1), "reduce_scatter: %g", output(3, 1));
  fill(); // in place
  EACH(nccl.ncclAllReduce(O(r), O(r), N, ncclFloat32, ncclSum, comm[r], (cudaStream_t)stream[r]));
  EACH(nccl.ncclBcast(O(r), N, ncclFloat32, 1, comm[r], (cudaStream_t)stream[r]));
  CHECK(output(2, 0) == 0, "in place: %g", output(2, 0));
}

static void types(void) {
  uint16_t half[2] = {f16_of_float(1.5f), f16_of_float(-2)}, brain[2] = {bf16_of_float(1.5f), bf16_of_float(-2)};
  int64_t wide[2] = {1ll << 40, -3};
  for (int r = 0; r < RANKS; r++) {
    at(r);
    OK(cuMemcpyHtoD, in[r], half, 4);
    OK(cuMemcpyHtoD, in[r] + 4, brain, 4);
    OK(cuMemcpyHtoD, in[r] + 8, wide, 16);
    OK(cuCtxSynchronize);
  }
  DONE(ncclGroupStart);
  for (int r = 0; r < RANKS; r++) {
    cudaStream_t s = (cudaStream_t)stream[r];
    DONE(ncclAllReduce, (void *)in[r], (void *)out[r], 2, ncclFloat16, ncclSum, comm[r], s);
    DONE(ncclAllReduce, (void *)(in[r] + 4), (void *)(out[r] + 4), 2, ncclBfloat16, ncclAvg, comm[r], s);
    DONE(ncclAllReduce, (void *)(in[r] + 8), (void *)(out[r] + 8), 2, ncclInt64, ncclSum, comm[r], s);
  }
  DONE(ncclGroupEnd);
  at(0);
  OK(cuStreamSynchronize, stream[0]);
  OK(cuMemcpyDtoH, half, out[0], 4);
  OK(cuMemcpyDtoH, brain, out[0] + 4, 4);
  OK(cuMemcpyDtoH, wide, out[0] + 8, 16);
  CHECK(f16_to_float(half[0]) == 6 && f16_to_float(half[1]) == -8, "half %g", f16_to_float(half[0]));
  CHECK(bf16_to_float(brain[0]) == 1.5f && bf16_to_float(brain[1]) == -2, "bfloat16 %g", bf16_to_float(brain[0]));
  CHECK(wide[0] == 1ll << 42 && wide[1] == -12, "int64 %lld", (long long)wide[0]);
}

// Everyone sends to the next and receives from the one before; without the group each would wait for the other.
static void ring(void) {
  fill();
  DONE(ncclGroupStart);
  for (int r = 0; r < RANKS; r++) {
    cudaStream_t s = (cudaStream_t)stream[r];
    DONE(ncclSend, I(r), N, ncclFloat32, (r + 1) % RANKS, comm[r], s);
    DONE(ncclRecv, O(r), N, ncclFloat32, (r + RANKS - 1) % RANKS, comm[r], s);
  }
  DONE(ncclGroupEnd);
  for (int r = 0; r < RANKS; r++)
    CHECK(output(r, 4) == (float)((r + RANKS - 1) % RANKS + 1) * 10 + 4, "rank %d got %g", r, output(r, 4));
}

// A collective waits for what its stream holds before it, on every rank; and what comes after waits for it.
static void order(void) {
  int right = 0;
  for (int seed = 0; seed < 12; seed++) {
    option_number("SIMGPU_SEED", seed);
    fill();
    for (int r = 0; r < RANKS; r++) {
      at(r);
      OK(cuMemsetD32Async, in[r], 0x3f800000, N, stream[r]);
    }
    EACH(nccl.ncclAllReduce(I(r), O(r), N, ncclFloat32, ncclSum, comm[r], (cudaStream_t)stream[r]));
    for (int r = 0; r < RANKS; r++) {
      at(r);
      OK(cuMemsetD32Async, in[r], 0, N, stream[r]);
    }
    bool all = true;
    for (int r = RANKS - 1; r >= 0; r--) all &= output(r, 0) == 4;
    right += all;
  }
  CHECK(right == 12, "%d of 12", right);
}

// Collectives in graphs, one a rank, launched twice.
static void graphs(void) {
  CUgraph graph[RANKS];
  CUgraphExec exec[RANKS];
  fill();
  for (int r = 0; r < RANKS; r++) {
    at(r);
    OK(cuStreamBeginCapture, stream[r], CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  }
  EACH(nccl.ncclAllReduce(I(r), O(r), N, ncclFloat32, ncclSum, comm[r], (cudaStream_t)stream[r]));
  EACH(nccl.ncclAllReduce(O(r), O(r), N, ncclFloat32, ncclAvg, comm[r], (cudaStream_t)stream[r]));
  for (int r = 0; r < RANKS; r++) {
    at(r);
    OK(cuStreamEndCapture, stream[r], &graph[r]);
    OK(cuGraphInstantiate, &exec[r], graph[r], 0);
  }
  for (int k = 0; k < 2; k++)
    for (int r = 0; r < RANKS; r++) {
      at(r);
      OK(cuGraphLaunch, exec[r], stream[r]);
    }
  for (int r = 0; r < RANKS; r++) {
    CHECK(output(r, 1) == 104, "rank %d: %g", r, output(r, 1));
    OK(cuGraphExecDestroy, exec[r]);
    OK(cuGraphDestroy, graph[r]);
  }
}

// ---- a thread for each rank

static ncclUniqueId unique;
static ncclResult_t thread_result[RANKS];

static void *rank_main(void *which) {
  int r = *(int *)which;
  gpu.cuCtxSetCurrent(context[r]);
  ncclComm_t own = NULL;
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 1;
  ncclResult_t result = nccl.ncclCommInitRankConfig(&own, RANKS, unique, r, &config);
  for (int k = 0; k < 10 && !result; k++) {
    result = nccl.ncclAllReduce(I(r), O(r), N, ncclFloat32, ncclSum, own, (cudaStream_t)stream[r]);
    if (!result && gpu.cuStreamSynchronize(stream[r])) result = ncclUnhandledCudaError;
  }
  if (!result) result = nccl.ncclCommFinalize(own);
  if (!result) result = nccl.ncclCommDestroy(own);
  thread_result[r] = result;
  return NULL;
}

static void threads(void) {
  pthread_t thread[RANKS];
  int ranks[RANKS];
  fill();
  DONE(ncclGetUniqueId, &unique);
  for (int r = 0; r < RANKS; r++) {
    ranks[r] = r;
    pthread_create(&thread[r], NULL, rank_main, &ranks[r]);
  }
  for (int r = 0; r < RANKS; r++) {
    pthread_join(thread[r], NULL);
    CHECK(thread_result[r] == ncclSuccess, "rank %d: %s", r, nccl.ncclGetErrorString(thread_result[r]));
  }
  CHECK(output(1, 2) == 108, "%g", output(1, 2));
}

static void init_in_group(void) {
  ncclComm_t own[2];
  DONE(ncclGetUniqueId, &unique);
  DONE(ncclGroupStart);
  for (int r = 0; r < 2; r++) {
    at(r);
    DONE(ncclCommInitRank, &own[r], 2, unique, r);
  }
  DONE(ncclGroupEnd);
  for (int r = 0; r < 2; r++) DONE(ncclCommDestroy, own[r]);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclResult_t state = ncclSuccess;
  DONE(ncclGetUniqueId, &unique);
  at(0);
  RETURNS(ncclInProgress, ncclCommInitRankConfig, &own[0], 2, unique, 0, &config);
  DONE(ncclCommGetAsyncError, own[0], &state);
  CHECK(state == ncclInProgress, "state %d", state);
  at(1);
  DONE(ncclCommInitRankConfig, &own[1], 2, unique, 1, &config);
  DONE(ncclCommGetAsyncError, own[0], &state);
  CHECK(state == ncclSuccess, "state %d", state);
  for (int r = 0; r < 2; r++) DONE(ncclCommDestroy, own[r]);
}

// ---- what must be noticed; on real devices these hang or are undefined

static void mistakes(void) {
  ncclComm_t one = NULL;
  fill();
  RETURNS(ncclInvalidArgument, ncclAllReduce, I(0), (void *)(out[0] + 4 * N * RANKS), N, ncclFloat32, ncclSum, comm[0],
          (cudaStream_t)stream[0]);
  CHECK(reported("are not memory of device 0"), "a buffer out of bounds");
  RETURNS(ncclInvalidArgument, ncclAllReduce, I(0), O(1), N, ncclFloat32, ncclSum, comm[0], (cudaStream_t)stream[0]);
  CHECK(reported("are not memory of device 0"), "a buffer of another device");
  RETURNS(ncclInvalidArgument, ncclAllReduce, I(0), (void *)(in[0] + 4), N, ncclFloat32, ncclSum, comm[0],
          (cudaStream_t)stream[0]);
  CHECK(reported("overlap"), "overlapping buffers");
  RETURNS(ncclInvalidUsage, ncclAllReduce, I(0), O(0), N, ncclFloat32, ncclSum, comm[0], (cudaStream_t)stream[1]);
  CHECK(reported("stream is not of device 0"), "a stream of another device");
  // Two ranks on one device; a rank that never comes.
  ncclComm_t twice[2];
  RETURNS(ncclInvalidUsage, ncclCommInitAll, twice, 2, (int[]){1, 1});
  CHECK(reported("both on device 1"), "a device twice");
  option("SIMGPU_DEADLOCK_MS", "60");
  DONE(ncclGetUniqueId, &unique);
  at(0);
  RETURNS(ncclSystemError, ncclCommInitRank, &one, 2, unique, 0);
  CHECK(reported("waits for rank 1"), "a rank that does not join");
}

static void disagreement(void) {
  open_all();
  DONE(ncclGroupStart);
  for (int r = 0; r < RANKS; r++)
    DONE(ncclAllReduce, I(r), O(r), r == 2 ? N - 1 : N, ncclFloat32, ncclSum, comm[r], (cudaStream_t)stream[r]);
  nccl.ncclGroupEnd();
  CHECK(gpu.cuStreamSynchronize(stream[0]) != CUDA_SUCCESS, "counts differ");
  CHECK(reported("ranks disagree on collective 1"), "counts differ");
  open_all();
  DONE(ncclGroupStart); // one rank has two collectives in the other order
  for (int r = 0; r < RANKS; r++) {
    cudaStream_t s = (cudaStream_t)stream[r];
    if (r == 1) DONE(ncclBroadcast, O(r), O(r), N, ncclFloat32, 0, comm[r], s);
    DONE(ncclAllReduce, I(r), O(r), N, ncclFloat32, ncclSum, comm[r], s);
    if (r != 1) DONE(ncclBroadcast, O(r), O(r), N, ncclFloat32, 0, comm[r], s);
  }
  nccl.ncclGroupEnd();
  CHECK(gpu.cuStreamSynchronize(stream[0]) != CUDA_SUCCESS, "order differs");
  CHECK(reported("rank 1's is broadcast"), "order differs");
  open_all();
  DONE(ncclAllReduce, I(0), O(0), N, ncclFloat32, ncclSum, comm[0], (cudaStream_t)stream[0]);
  RETURNS(ncclInvalidUsage, ncclAllReduce, I(1), O(1), N, ncclFloat32, ncclSum, comm[1], (cudaStream_t)stream[1]);
  CHECK(reported("outside a group"), "one thread, no group");
  // The other ranks never call: waiting is noticed to be endless.
  at(0);
  GIVES(CUDA_ERROR_LAUNCH_TIMEOUT, cuStreamSynchronize, stream[0]);
  CHECK(reported("all_reduce of 100 float32 by sum of device 0, for which rank 1 and 2 and 3 does not come"),
        "deadlock");
  // Two communicators used in different orders.
  ncclComm_t other[RANKS];
  open_all();
  DONE(ncclCommInitAll, other, RANKS, NULL);
  for (int half = 0; half < 2; half++) {
    DONE(ncclGroupStart);
    for (int r = 0; r < RANKS; r++)
      DONE(ncclAllReduce, I(r), O(r), N, ncclFloat32, ncclSum, (r == 0) == (half == 0) ? comm[r] : other[r],
           (cudaStream_t)stream[r]);
    DONE(ncclGroupEnd);
  }
  at(0);
  GIVES(CUDA_ERROR_LAUNCH_TIMEOUT, cuStreamSynchronize, stream[0]);
  CHECK(reported("deadlock"), "communicators in different orders");
  for (int r = 0; r < RANKS; r++) {
    DONE(ncclCommAbort, comm[r]);
    DONE(ncclCommAbort, other[r]);
  }
}

// A read of memory that nobody wrote, and a buffer freed too early.
static void memory(void) {
  CUdeviceptr fresh;
  open_all();
  fill();
  at(3);
  OK(cuMemAlloc, &fresh, 4 * N);
  EACH(nccl.ncclAllReduce(r == 3 ? (void *)fresh : (void *)in[r], O(r), N, ncclFloat32, ncclSum, comm[r],
                          (cudaStream_t)stream[r]));
  at(0);
  CHECK(gpu.cuStreamSynchronize(stream[0]) != CUDA_SUCCESS, "memory that nobody wrote");
  CHECK(reported("rank 3"), "memory that nobody wrote");
  at(3);
  OK(cuMemFree, fresh);
}

// A rank that dies or hangs: what the others see, and that aborting gets them on.
static void failure(const char *how, ncclResult_t own, ncclResult_t others) {
  ncclResult_t state = ncclSuccess;
  open_all();
  fill();
  option("SIMGPU_NCCL_FAIL", how);
  for (int k = 0; k < 2; k++) {
    ncclResult_t result[RANKS];
    nccl.ncclGroupStart();
    for (int r = 0; r < RANKS; r++)
      result[r] = nccl.ncclAllReduce(I(r), O(r), N, ncclFloat32, ncclSum, comm[r], (cudaStream_t)stream[r]);
    nccl.ncclGroupEnd();
    CHECK(result[0] == ncclSuccess && result[1] == (k ? own : ncclSuccess), "call %d: %d", k + 1, result[1]);
    if (k == 0) CHECK(output(0, 0) == 100, "%g", output(0, 0));
  }
  DONE(ncclCommGetAsyncError, comm[0], &state);
  CHECK(state == others, "state %d", state);
  at(0);
  int asked = 0;
  while (gpu.cuStreamQuery(stream[0]) == CUDA_ERROR_NOT_READY && asked < 100) asked++;
  if (own == ncclSuccess) CHECK(asked == 100, "ready after %d questions", asked);
  for (int r = 0; r < RANKS; r++) DONE(ncclCommAbort, comm[r]);
  for (int r = 0; r < RANKS; r++) {
    at(r);
    OK(cuStreamSynchronize, stream[r]);
  }
  option("SIMGPU_NCCL_FAIL", NULL);
}

int main(void) {
  CHECK(calls_begin(RANKS), "the library opens");
  void *library = calls_open("SGC_NCCL");
#define LOAD(name)                                                                                                     \
  *(void **)&nccl.name = library ? dlsym(library, #name) : NULL;                                                       \
  CHECK(nccl.name, "%s", #name);
  NCCL_CALLS(LOAD)
  int n = 0, version = 0;
  if (!nccl.ncclGetVersion || gpu.cuDeviceGetCount(&n) || n < RANKS) {
    CHECK_SKIP("%d devices, which is fewer than %d", n, RANKS);
    return check_report("test_nccl");
  }
  DONE(ncclGetVersion, &version);
  CHECK(version >= 21800, "version %d", version);
  for (int r = 0; r < RANKS; r++) {
    OK(cuDevicePrimaryCtxRetain, &context[r], r);
    at(r);
    OK(cuStreamCreate, &stream[r], CU_STREAM_NON_BLOCKING);
    OK(cuMemAlloc, &in[r], 4 * N * RANKS);
    OK(cuMemAlloc, &out[r], 4 * N * RANKS);
  }
  open_all();
  collectives();
  types();
  ring();
  order();
  graphs();
  close_all();
  threads();
  init_in_group();
  if (simulator.report) {
    CHECK_TEXT(simulator.report(), "", "faults");
    open_all();
    mistakes();
    disagreement();
    memory();
    failure("1:2", ncclSystemError, ncclRemoteError);
    failure("1:2:hang", ncclSuccess, ncclSuccess);
  }
  return check_report("test_nccl");
}
#else
int main(void) {
  CHECK_SKIP("no headers of CUDA and NCCL");
  return check_report("test_nccl");
}
#endif
