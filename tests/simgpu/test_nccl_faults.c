// What the simulated NCCL notices: wrong arguments, ranks that disagree, die or never come.
#include "tests/check.h"
#if __has_include(<cuda.h>) && __has_include(<nccl.h>)
#include "tests/simgpu/calls_nccl.h"

static ncclUniqueId unique;

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
  if (!calls_nccl_begin()) return check_report("test_nccl_faults");
  if (!simulator.report) {
    CHECK_SKIP("on real devices these hang or are undefined");
    return check_report("test_nccl_faults");
  }
  open_all();
  mistakes();
  disagreement();
  memory();
  failure("1:2", ncclSystemError, ncclRemoteError);
  failure("1:2:hang", ncclSuccess, ncclSuccess);
  return check_report("test_nccl_faults");
}
#else
int main(void) {
  CHECK_SKIP("no headers of CUDA and NCCL");
  return check_report("test_nccl_faults");
}
#endif
