// Capture of streams into graphs, and graphs' launches.
#include "tests/check.h"
#if __has_include(<cuda.h>)
#include "tests/simgpu/calls.h"
#include <pthread.h>

enum { N = 256, SEEDS = 16 };

static CUmodule module;
static CUfunction scale, add;
static CUdeviceptr x, y, z;
static CUstream s[3];
static CUevent fork_event, join_event;

static void begin(CUstream stream) { OK(cuStreamBeginCapture, stream, CU_STREAM_CAPTURE_MODE_GLOBAL); }

static void set(CUdeviceptr p, float value) {
  unsigned bits;
  memcpy(&bits, &value, 4);
  OK(cuMemsetD32, p, bits, N);
  OK(cuCtxSynchronize);
}

static float first_of(CUdeviceptr p) {
  float value = NAN;
  OK(cuMemcpyDtoH, &value, p, 4);
  return value;
}

// x *= 2; beside each other y = x + x and z = x * ... ; then y = y + z. The join may be forgotten.
static CUgraph capture_diamond(void) {
  CUgraph graph = NULL;
  begin(s[0]);
  calls_scale(scale, x, 2, N, s[0]);
  OK(cuEventRecord, fork_event, s[0]);
  OK(cuStreamWaitEvent, s[1], fork_event, 0);
  calls_add(add, x, x, y, N, s[0]);
  OK(cuMemcpyDtoDAsync, z, x, 4 * N, s[1]);
  calls_scale(scale, z, 10, N, s[1]);
  OK(cuEventRecord, join_event, s[1]);
  OK(cuStreamWaitEvent, s[0], join_event, 0);
  calls_add(add, y, z, y, N, s[0]);
  CUstreamCaptureStatus status;
  OK(cuStreamIsCapturing, s[1], &status);
  CHECK(status == CU_STREAM_CAPTURE_STATUS_ACTIVE, "status %d", status);
  OK(cuStreamEndCapture, s[0], &graph);
  OK(cuStreamIsCapturing, s[1], &status);
  CHECK(status == CU_STREAM_CAPTURE_STATUS_NONE, "status %d", status);
  return graph;
}

static void shape(void) {
  CUgraph graph = capture_diamond();
  CUgraphNode nodes[8], from[8], to[8];
  size_t n = 0, edges = 0, roots = 0;
  OK(cuGraphGetNodes, graph, NULL, &n);
  CHECK(n == 5, "%zu nodes", n);
  OK(cuGraphGetRootNodes, graph, NULL, &roots);
  CHECK(roots == 1, "%zu roots", roots);
  OK(cuGraphGetEdges, graph, NULL, NULL, NULL, &edges);
  CHECK(edges == 5, "%zu edges", edges);
  edges = 8;
  OK(cuGraphGetEdges, graph, from, to, NULL, &edges);
  n = 8;
  OK(cuGraphGetNodes, graph, nodes, &n);
  int kernels = 0, copies = 0;
  for (size_t k = 0; k < n; k++) {
    CUgraphNodeType type;
    OK(cuGraphNodeGetType, nodes[k], &type);
    kernels += type == CU_GRAPH_NODE_TYPE_KERNEL;
    copies += type == CU_GRAPH_NODE_TYPE_MEMCPY;
  }
  CHECK(kernels == 4 && copies == 1, "%d kernels, %d copies", kernels, copies);
  OK(cuGraphDestroy, graph);
}

static void launches(void) {
  CUgraph graph = capture_diamond();
  CUgraphExec exec = NULL;
  set(x, 1);
  set(y, 0);
  OK(cuGraphInstantiate, &exec, graph, 0);
  OK(cuGraphDestroy, graph); // the exec stands on its own
  OK(cuGraphUpload, exec, s[2]);
  CHECK(first_of(y) == 0, "capturing runs nothing");
  int right = 0;
  for (int seed = 0; seed < SEEDS; seed++) {
    option_number("SIMGPU_SEED", seed);
    set(x, 1);
    OK(cuGraphLaunch, exec, s[2]);
    OK(cuGraphLaunch, exec, s[2]);        // after the first
    calls_scale(scale, y, 0.5f, N, s[2]); // and this after both
    OK(cuStreamSynchronize, s[2]);
    right += first_of(y) == 24 && first_of(x) == 4; // x = 4: y = 8 + 40, half of it
  }
  CHECK(right == SEEDS, "%d of %d right", right, SEEDS);
  OK(cuGraphExecDestroy, exec);
}

// Two launches of one exec in different streams don't overlap, though nothing else orders them.
static void one_exec_at_a_time(void) {
  CUgraph graph = NULL;
  CUgraphExec exec = NULL;
  begin(s[0]);
  calls_scale(scale, x, 2, N, s[0]);
  calls_add(add, x, x, y, N, s[0]);
  calls_add(add, y, z, z, N, s[0]);
  OK(cuStreamEndCapture, s[0], &graph);
  OK(cuGraphInstantiate, &exec, graph, 0);
  int right = 0;
  for (int seed = 0; seed < SEEDS; seed++) {
    option_number("SIMGPU_SEED", seed);
    set(x, 1);
    set(z, 0);
    OK(cuGraphLaunch, exec, s[1]);
    OK(cuGraphLaunch, exec, s[2]);
    OK(cuCtxSynchronize);
    right += first_of(z) == 12; // 4 and 8
  }
  CHECK(right == SEEDS, "%d of %d right", right, SEEDS);
  OK(cuGraphLaunch, exec, s[1]);
  OK(cuGraphExecDestroy, exec); // while it may run
  OK(cuCtxSynchronize);
  OK(cuGraphDestroy, graph);
}

// A graph whose forgotten edge lets the last kernel come too early, over seeds.
static void missing_wait(void) {
  CUgraph graph = NULL;
  CUgraphExec exec = NULL;
  begin(s[0]);
  OK(cuEventRecord, fork_event, s[0]);
  OK(cuStreamWaitEvent, s[1], fork_event, 0);
  calls_scale(scale, x, 3, N, s[1]);
  calls_add(add, x, x, y, N, s[0]); // should have waited
  OK(cuEventRecord, join_event, s[1]);
  OK(cuStreamWaitEvent, s[0], join_event, 0);
  OK(cuStreamEndCapture, s[0], &graph);
  OK(cuGraphInstantiate, &exec, graph, 0);
  int wrong = 0;
  for (int seed = 0; seed < SEEDS; seed++) {
    option_number("SIMGPU_SEED", seed);
    set(x, 1);
    OK(cuGraphLaunch, exec, s[0]);
    OK(cuStreamSynchronize, s[0]);
    wrong += first_of(y) != 6;
  }
  if (simulator.report) CHECK(wrong >= SEEDS / 8 && wrong < SEEDS, "%d of %d wrong", wrong, SEEDS);
  OK(cuGraphExecDestroy, exec);
  OK(cuGraphDestroy, graph);
}

static CUgraph capture_scales(float first, float second, int n) {
  CUgraph graph = NULL;
  begin(s[0]);
  calls_scale(scale, x, first, N, s[0]);
  if (n > 1) calls_scale(scale, x, second, N, s[0]);
  OK(cuStreamEndCapture, s[0], &graph);
  return graph;
}

static void update(void) {
  CUgraph two = capture_scales(2, 3, 2), other = capture_scales(5, 7, 2), one = capture_scales(2, 0, 1);
  CUgraphExec exec = NULL;
  CUgraphExecUpdateResultInfo info;
  OK(cuGraphInstantiate, &exec, two, 0);
  OK(cuGraphExecUpdate, exec, other, &info);
  CHECK(info.result == CU_GRAPH_EXEC_UPDATE_SUCCESS, "result %d", info.result);
  GIVES(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, cuGraphExecUpdate, exec, one, &info);
  CHECK(info.result == CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, "result %d", info.result);
  set(x, 1);
  OK(cuGraphLaunch, exec, s[0]);
  OK(cuStreamSynchronize, s[0]);
  CHECK(first_of(x) == 35, "%g", first_of(x));
  OK(cuGraphExecDestroy, exec);
  OK(cuGraphDestroy, two);
  OK(cuGraphDestroy, other);
  OK(cuGraphDestroy, one);
}

static void CUDA_CB count(void *user) { ++*(int *)user; }

// All kinds of operations become nodes, and pinned memory is read when the graph runs.
static void kinds(void) {
  CUgraph graph = NULL;
  CUgraphExec exec = NULL;
  int *pinned, calls = 0;
  OK(cuMemHostAlloc, (void **)&pinned, 8, 0);
  begin(s[0]);
  OK(cuMemcpyHtoDAsync, x, pinned, 4, s[0]);
  OK(cuMemsetD32Async, x + 4, 9, 1, s[0]);
  OK(cuMemcpyDtoHAsync, pinned + 1, x, 4, s[0]);
  OK(cuLaunchHostFunc, s[0], count, &calls);
  OK(cuStreamEndCapture, s[0], &graph);
  OK(cuGraphInstantiate, &exec, graph, 0);
  SimgpuStats before, after;
  if (simulator.stats) simulator.stats(&before);
  for (int k = 1; k <= 3; k++) {
    pinned[0] = k;
    OK(cuGraphLaunch, exec, s[0]);
    OK(cuStreamSynchronize, s[0]);
    CHECK(pinned[1] == k && calls == k, "launch %d: %d, %d calls", k, pinned[1], calls);
  }
  if (simulator.stats) {
    simulator.stats(&after);
    CHECK(after.graph_launches == before.graph_launches + 3, "%d launches", (int)after.graph_launches);
    CHECK(after.copies == before.copies + 6 && after.copied_bytes == before.copied_bytes + 24, "copies");
  }
  OK(cuGraphExecDestroy, exec);
  OK(cuGraphDestroy, graph);
  OK(cuMemFreeHost, pinned);
}

// ---- what a capture forbids

// Ends a capture that must have failed.
static void ends(CUstream stream, CUresult want, const char *why) {
  CUgraph graph = (CUgraph)1;
  CUresult result = gpu.cuStreamEndCapture(stream, &graph);
  CHECK(result == want && !graph, "%s: %s", why, calls_error(result));
  CUstreamCaptureStatus status;
  OK(cuStreamIsCapturing, stream, &status);
  CHECK(status == CU_STREAM_CAPTURE_STATUS_NONE, "status %d", status);
}

static void forbidden(void) {
  CUgraph graph = NULL;
  CUdeviceptr p;
  CUstream blocking;
  begin(s[0]);
  GIVES(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamSynchronize, s[0]);
  GIVES(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuMemsetD32Async, x, 0, 1, s[0]);
  ends(s[0], CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "synchronised");
  begin(s[0]);
  GIVES(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamQuery, s[0]);
  ends(s[0], CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "asked");
  begin(s[0]);
  GIVES(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuCtxSynchronize);
  ends(s[0], CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "context synchronised");
  begin(s[0]);
  GIVES(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuMemAlloc, &p, 4);
  ends(s[0], CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "allocated");
  OK(cuStreamBeginCapture, s[0], CU_STREAM_CAPTURE_MODE_RELAXED);
  OK(cuMemAlloc, &p, 4);
  OK(cuMemFree, p);
  OK(cuStreamEndCapture, s[0], &graph);
  OK(cuGraphDestroy, graph);
  // The legacy stream waits for blocking streams, captured ones cannot be waited for.
  OK(cuStreamCreate, &blocking, CU_STREAM_DEFAULT);
  begin(blocking);
  GIVES(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, cuMemsetD32Async, x, 0, 1, NULL);
  ends(blocking, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "the legacy stream used");
  begin(s[0]);
  OK(cuMemsetD32Async, x, 0, 1, NULL); // no bond with a non-blocking stream
  OK(cuStreamEndCapture, s[0], &graph);
  OK(cuGraphDestroy, graph);
  GIVES(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamBeginCapture, NULL, CU_STREAM_CAPTURE_MODE_GLOBAL);
  OK(cuStreamDestroy, blocking);
}

// ---- captures and threads

static CUresult thread_alloc, thread_end;

static void *meddle(void *unused) {
  CUcontext context;
  CUdeviceptr p = 0;
  CUgraph graph;
  gpu.cuDevicePrimaryCtxRetain(&context, 0);
  gpu.cuCtxSetCurrent(context);
  thread_alloc = gpu.cuMemAlloc(&p, 4);
  if (p) gpu.cuMemFree(p);
  thread_end = gpu.cuStreamEndCapture(s[0], &graph);
  gpu.cuDevicePrimaryCtxRelease(0);
  return unused;
}

static void threads(void) {
  pthread_t thread;
  CUgraph graph = NULL;
  begin(s[0]);
  pthread_create(&thread, NULL, meddle, NULL);
  pthread_join(thread, NULL);
  CHECK(thread_alloc == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "%s", calls_error(thread_alloc));
  CHECK(thread_end == CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "%s", calls_error(thread_end));
  ends(s[0], CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "another thread allocated");
  OK(cuStreamBeginCapture, s[0], CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  pthread_create(&thread, NULL, meddle, NULL);
  pthread_join(thread, NULL);
  CHECK(thread_alloc == CUDA_SUCCESS, "%s", calls_error(thread_alloc));
  CHECK(thread_end == CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "%s", calls_error(thread_end));
  OK(cuStreamEndCapture, s[0], &graph);
  OK(cuGraphDestroy, graph);
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  CUdeviceptr p;
  begin(s[0]);
  OK(cuThreadExchangeStreamCaptureMode, &mode);
  CHECK(mode == CU_STREAM_CAPTURE_MODE_GLOBAL, "mode %d", mode);
  OK(cuMemAlloc, &p, 4); // for a moment this thread may
  OK(cuMemFree, p);
  OK(cuThreadExchangeStreamCaptureMode, &mode);
  OK(cuStreamEndCapture, s[0], &graph);
  OK(cuGraphDestroy, graph);
}

static void joins(void) {
  CUgraph graph = NULL;
  begin(s[0]);
  GIVES(CUDA_ERROR_ILLEGAL_STATE, cuStreamBeginCapture, s[0], CU_STREAM_CAPTURE_MODE_GLOBAL);
  OK(cuEventRecord, fork_event, s[0]);
  OK(cuStreamWaitEvent, s[1], fork_event, 0);
  calls_scale(scale, x, 2, N, s[1]);
  ends(s[0], CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "a fork without join");
  GIVES(CUDA_ERROR_ILLEGAL_STATE, cuStreamEndCapture, s[0], &graph);
  begin(s[0]);
  OK(cuEventRecord, fork_event, s[0]);
  OK(cuStreamWaitEvent, s[1], fork_event, 0);
  GIVES(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, cuStreamEndCapture, s[1], &graph);
  ends(s[0], CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "ended in another stream");
  OK(cuEventRecord, join_event, s[2]);
  begin(s[0]);
  GIVES(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, cuStreamWaitEvent, s[0], join_event, 0);
  ends(s[0], CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "waited for work outside");
  begin(s[0]);
  begin(s[1]);
  OK(cuEventRecord, fork_event, s[0]);
  GIVES(CUDA_ERROR_STREAM_CAPTURE_MERGE, cuStreamWaitEvent, s[1], fork_event, 0);
  GIVES(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamWaitEvent, s[1], fork_event, 0);
  GIVES(CUDA_ERROR_INVALID_VALUE, cuStreamWaitEvent, s[2], fork_event, 0);
  ends(s[0], CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "merged");
  ends(s[1], CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "merged");
  begin(s[0]);
  OK(cuEventRecord, fork_event, s[0]);
  GIVES(CUDA_ERROR_CAPTURED_EVENT, cuEventSynchronize, fork_event);
  ends(s[0], CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "an event of the capture awaited");
  OK(cuEventRecord, fork_event, s[0]); // the event is as good as new
  OK(cuEventSynchronize, fork_event);
}

int main(void) {
  if (!calls_begin(1)) {
    CHECK(0, "the library opens");
    return check_report("test_driver_graph");
  }
  OK(cuModuleLoadData, &module, calls_ptx);
  scale = calls_kernel(module, "scale");
  add = calls_kernel(module, "add");
  OK(cuMemAlloc, &x, 4 * N);
  OK(cuMemAlloc, &y, 4 * N);
  OK(cuMemAlloc, &z, 4 * N);
  for (int k = 0; k < 3; k++) OK(cuStreamCreate, &s[k], CU_STREAM_NON_BLOCKING);
  OK(cuEventCreate, &fork_event, CU_EVENT_DISABLE_TIMING);
  OK(cuEventCreate, &join_event, CU_EVENT_DISABLE_TIMING);
  set(x, 1);
  shape();
  launches();
  one_exec_at_a_time();
  missing_wait();
  update();
  kinds();
  forbidden();
  threads();
  joins();
  if (simulator.report) CHECK_TEXT(simulator.report(), "", "faults");
  return check_report("test_driver_graph");
}
#else
int main(void) {
  CHECK_SKIP("no CUDA toolkit's headers");
  return check_report("test_driver_graph");
}
#endif
