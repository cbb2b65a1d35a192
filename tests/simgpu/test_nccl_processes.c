// Communicators whose ranks are in two processes of two devices each.
#include "tests/check.h"
#if __has_include(<cuda.h>) && __has_include(<nccl.h>)
#include "tests/simgpu/calls_nccl.h"
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum { OWN = 2 };                // ranks of each process
static int place, to_next, back; // which process this is; pipes to and from the other one
static const int end_of[2] = {OWN, RANKS};

#define FOR_OWN(r) for (int r = place * OWN; r < end_of[place]; r++)
#define EACH_OWN(call)                                                                                                 \
  do {                                                                                                                 \
    DONE(ncclGroupStart);                                                                                              \
    FOR_OWN(r) CHECK((call) == ncclSuccess, "rank %d", r);                                                             \
    DONE(ncclGroupEnd);                                                                                                \
  } while (0)

// Both processes are here.
static void meet(void) {
  char byte = 0;
  fflush(stdout);
  CHECK(write(to_next, &byte, 1) == 1 && read(back, &byte, 1) == 1, "the other process is gone");
}

// The id that the first process makes.
static ncclUniqueId agree(void) {
  ncclUniqueId id;
  memset(&id, 0, sizeof id);
  if (place == 0) {
    DONE(ncclGetUniqueId, &id);
    CHECK(write(to_next, &id, sizeof id) == sizeof id, "a pipe");
  } else CHECK(read(back, &id, sizeof id) == sizeof id, "a pipe");
  return id;
}

static void join(void) {
  ncclUniqueId id = agree();
  DONE(ncclGroupStart);
  FOR_OWN(r) {
    at(r);
    DONE(ncclCommInitRank, &comm[r], RANKS, id, r);
  }
  DONE(ncclGroupEnd);
}

static void leave(void) { FOR_OWN(r) DONE(ncclCommDestroy, comm[r]); }

static void collectives(void) {
  const ncclRedOp_t ops[] = {ncclSum, ncclProd, ncclMax, ncclMin, ncclAvg};
  const float want[] = {100 + 4 * 3, 13.f * 23 * 33 * 43, 43, 13, 28};
  for (int k = 0; k < 5; k++) {
    option_number("SIMGPU_SEED", 2 * k + place);
    fill();
    EACH_OWN(nccl.ncclAllReduce(I(r), O(r), N, ncclFloat32, ops[k], comm[r], (cudaStream_t)stream[r]));
    FOR_OWN(r) CHECK(output(r, 3) == want[k] && output(r, N) == 0, "all_reduce %d on %d: %g", k, r, output(r, 3));
  }
  fill();
  EACH_OWN(nccl.ncclReduce(I(r), O(r), N, ncclFloat32, ncclSum, 2, comm[r], (cudaStream_t)stream[r]));
  FOR_OWN(r) CHECK(output(r, 0) == (r == 2 ? 100 : 0), "reduce on %d: %g", r, output(r, 0));
  EACH_OWN(nccl.ncclBroadcast(I(r), O(r), N, ncclFloat32, 3, comm[r], (cudaStream_t)stream[r]));
  FOR_OWN(r) CHECK(output(r, 5) == 45, "broadcast on %d: %g", r, output(r, 5));
  EACH_OWN(nccl.ncclAllGather(I(r), O(r), N, ncclFloat32, comm[r], (cudaStream_t)stream[r]));
  FOR_OWN(r)
  CHECK(output(r, 0) == 10 && output(r, N) == 20 && output(r, 3 * N + 7) == 47, "all_gather: %g", output(r, N));
  EACH_OWN(nccl.ncclReduceScatter(I(r), O(r), N, ncclFloat32, ncclSum, comm[r], (cudaStream_t)stream[r]));
  FOR_OWN(r) CHECK(output(r, 1) == (float)(100 + 4 * (r * N + 1)), "reduce_scatter on %d: %g", r, output(r, 1));
}

static void ring(void) {
  fill();
  DONE(ncclGroupStart);
  FOR_OWN(r) {
    DONE(ncclSend, I(r), N, ncclFloat32, (r + 1) % RANKS, comm[r], (cudaStream_t)stream[r]);
    DONE(ncclRecv, O(r), N, ncclFloat32, (r + RANKS - 1) % RANKS, comm[r], (cudaStream_t)stream[r]);
  }
  DONE(ncclGroupEnd);
  FOR_OWN(r) CHECK(output(r, 4) == (float)((r + RANKS - 1) % RANKS + 1) * 10 + 4, "ring on %d: %g", r, output(r, 4));
}

// A collective comes behind what its stream holds, and before what comes after, plain and in a graph.
static void order(void) {
  CUgraph graph[RANKS];
  CUgraphExec exec[RANKS];
  for (int k = 0; k < 4; k++) {
    bool is_graph = k > 1;
    option_number("SIMGPU_SEED", 7 * k + place);
    fill();
    FOR_OWN(r) {
      at(r);
      if (is_graph) OK(cuStreamBeginCapture, stream[r], CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
      OK(cuMemsetD32Async, in[r], 0x3f800000, N, stream[r]);
    }
    EACH_OWN(nccl.ncclAllReduce(I(r), O(r), N, ncclFloat32, ncclSum, comm[r], (cudaStream_t)stream[r]));
    EACH_OWN(nccl.ncclAllReduce(O(r), O(r), N, ncclFloat32, ncclAvg, comm[r], (cudaStream_t)stream[r]));
    FOR_OWN(r) {
      at(r);
      OK(cuMemsetD32Async, in[r], 0, N, stream[r]);
      if (!is_graph) continue;
      OK(cuStreamEndCapture, stream[r], &graph[r]);
      OK(cuGraphInstantiate, &exec[r], graph[r], 0);
    }
    for (int run = 0; run < 3 && is_graph; run++) FOR_OWN(r) OK(cuGraphLaunch, exec[r], stream[r]);
    FOR_OWN(r) CHECK(output(r, 0) == 4, "case %d on %d: %g", k, r, output(r, 0));
    FOR_OWN(r) {
      if (!is_graph) continue;
      OK(cuGraphExecDestroy, exec[r]);
      OK(cuGraphDestroy, graph[r]);
    }
  }
}

// One that goes on by itself: the first process waits for a sum while the second's host does other work.
static void absence(void) {
  fill();
  EACH_OWN(nccl.ncclAllReduce(I(r), O(r), N, ncclFloat32, ncclSum, comm[r], (cudaStream_t)stream[r]));
  if (place == 1) meet();
  FOR_OWN(r) CHECK(output(r, 0) == 100, "rank %d: %g", r, output(r, 0));
  if (place == 0) meet();
}

static void disagreement(void) {
  if (!simulator.report) return;
  CHECK_TEXT(simulator.report(), "", "faults before");
  fill();
  EACH_OWN(nccl.ncclAllReduce(I(r), O(r), N - (size_t)place, ncclFloat32, ncclSum, comm[r], (cudaStream_t)stream[r]));
  FOR_OWN(r) {
    at(r);
    CHECK(gpu.cuStreamSynchronize(stream[r]) != CUDA_SUCCESS, "counts differ");
  }
  CHECK(strstr(simulator.report(), "ranks disagree on collective"), "%s", simulator.report());
  meet();
  simulator.reset();
}

// Two processes with one rank each on the same device: refused where it is noticed, and nobody waits for ever.
static void same_device(void) {
  if (!simulator.report) return;
  ncclUniqueId id = agree();
  ncclComm_t own = NULL;
  option_number("SIMGPU_DEADLOCK_MS", 300);
  at(1);
  CHECK(nccl.ncclCommInitRank(&own, 2, id, place) != ncclSuccess || place == 0, "a device twice");
  bool is_seen = strstr(simulator.report(), "are both on device 1") != NULL;
  char other = 0, mine = is_seen;
  CHECK(write(to_next, &mine, 1) == 1 && read(back, &other, 1) == 1, "a pipe");
  CHECK(mine || other, "nobody saw that a device was used twice: %s", simulator.report());
  option_number("SIMGPU_DEADLOCK_MS", 10000);
  simulator.reset();
}

// The other process is killed: nothing goes on here, and giving up ends what waits.
static void death(void) {
  fill();
  EACH_OWN(nccl.ncclAllReduce(I(r), O(r), N, ncclFloat32, ncclSum, comm[r], (cudaStream_t)stream[r]));
  FOR_OWN(r) CHECK(output(r, 0) == 100, "rank %d: %g", r, output(r, 0));
  meet();
  fflush(stdout);
  if (place == 1) _exit(check_failed ? 1 : raise(SIGKILL));
  EACH_OWN(nccl.ncclAllReduce(I(r), O(r), N, ncclFloat32, ncclSum, comm[r], (cudaStream_t)stream[r]));
  at(0);
  for (int k = 0; k < 100; k++) {
    CHECK(gpu.cuStreamQuery(stream[0]) == CUDA_ERROR_NOT_READY, "a sum without the other half");
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
  FOR_OWN(r) DONE(ncclCommAbort, comm[r]);
  FOR_OWN(r) {
    at(r);
    OK(cuStreamSynchronize, stream[r]);
  }
}

static int run_process(int number, int out_pipe, int in_pipe) {
  place = number;
  to_next = out_pipe;
  back = in_pipe;
  if (!calls_nccl_begin()) return check_failed ? 1 : 2;
  join();
  collectives();
  ring();
  order();
  absence();
  disagreement();
  leave();
  same_device();
  join();
  death();
  fflush(stdout);
  return check_failed ? 1 : 0;
}

int main(void) {
  int there[2], back_again[2], code[2] = {0};
  signal(SIGPIPE, SIG_IGN);
  CHECK(!pipe(there) && !pipe(back_again), "pipes");
  pid_t child[2];
  for (int p = 0; p < 2; p++) { // the libraries are opened in the children: they do not survive a fork
    child[p] = fork();
    if (child[p]) continue;
    close(p ? there[1] : there[0]);
    close(p ? back_again[0] : back_again[1]);
    _exit(run_process(p, p ? back_again[1] : there[1], p ? there[0] : back_again[0]));
  }
  for (int k = 0; k < 2; k++) {
    close(there[k]);
    close(back_again[k]);
  }
  for (int p = 0; p < 2; p++) CHECK(waitpid(child[p], &code[p], 0) == child[p], "process %d", p);
  if (WIFEXITED(code[0]) && WEXITSTATUS(code[0]) == 2) CHECK_SKIP("fewer than %d devices", RANKS);
  else {
    CHECK(WIFEXITED(code[0]) && WEXITSTATUS(code[0]) == 0, "the first process: 0x%x", code[0]);
    CHECK(WIFSIGNALED(code[1]) && WTERMSIG(code[1]) == SIGKILL, "the second process: 0x%x", code[1]);
  }
  return check_report("test_nccl_processes");
}
#else
int main(void) {
  CHECK_SKIP("no headers of CUDA and NCCL");
  return check_report("test_nccl_processes");
}
#endif
