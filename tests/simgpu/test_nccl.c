// Communicators and collectives.
#include "tests/check.h"
#if __has_include(<cuda.h>) && __has_include(<nccl.h>)
#include "tests/simgpu/calls_nccl.h"
#include "tests/simgpu/half.h"
#include <pthread.h>

static void close_all(void) {
  for (int r = 0; r < RANKS; r++) DONE(ncclCommDestroy, comm[r]);
}

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

int main(void) {
  int version = 0;
  if (!calls_nccl_begin()) return check_report("test_nccl");
  DONE(ncclGetVersion, &version);
  CHECK(version >= 21800, "version %d", version);
  open_all();
  collectives();
  types();
  ring();
  order();
  graphs();
  close_all();
  threads();
  init_in_group();
  if (simulator.report) CHECK_TEXT(simulator.report(), "", "faults");
  return check_report("test_nccl");
}
#else
int main(void) {
  CHECK_SKIP("no headers of CUDA and NCCL");
  return check_report("test_nccl");
}
#endif
