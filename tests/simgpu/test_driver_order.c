// With SIMGPU_RACES, a missing wait is found whatever the order in which operations happen to run.
#include "tests/check.h"
#if __has_include(<cuda.h>)
#include "tests/simgpu/calls.h"

enum { N = 64, SEEDS = 6 };

static CUmodule module;
static CUfunction scale, add;
static CUdeviceptr x, y, z, big;
static CUstream s[3];
static CUevent event, other;
static CUgraphExec exec;

static void begin(void) {
  OK(cuMemsetD32, x, 0x3f800000, N);
  OK(cuMemsetD32, y, 0, N);
  OK(cuMemsetD32, z, 0, N);
  OK(cuCtxSynchronize);
}

// Each program takes `waits`: whether it waits where it must. In the order of the calls all of them are right.

static void writes_then_reads(bool waits) {
  calls_scale(scale, x, 2, N, s[0]);
  gpu.cuEventRecord(event, s[0]);
  if (waits) gpu.cuStreamWaitEvent(s[1], event, 0);
  calls_add(add, x, x, y, N, s[1]);
}

static void reads_then_writes(bool waits) {
  calls_add(add, x, x, y, N, s[0]);
  gpu.cuEventRecord(event, s[0]);
  if (waits) gpu.cuStreamWaitEvent(s[1], event, 0);
  gpu.cuMemsetD32Async(x, 0, N, s[1]);
}

static void second_reader(bool waits) {
  calls_add(add, x, x, y, N, s[0]);
  gpu.cuEventRecord(event, s[0]);
  calls_add(add, x, x, z, N, s[1]);
  gpu.cuEventRecord(other, s[1]);
  gpu.cuStreamWaitEvent(s[2], event, 0);
  if (waits) gpu.cuStreamWaitEvent(s[2], other, 0);
  gpu.cuMemsetD32Async(x, 0, N, s[2]);
}

static void through_a_third(bool waits) {
  calls_scale(scale, x, 2, N, s[0]);
  gpu.cuEventRecord(event, s[0]);
  gpu.cuStreamWaitEvent(s[1], event, 0);
  if (waits) gpu.cuEventRecord(event, s[1]); // else the event is still that of before
  if (!waits) gpu.cuEventRecord(event, s[2]);
  gpu.cuStreamWaitEvent(s[2], event, 0);
  calls_scale(scale, x, 2, N, s[2]);
}

static void host_waits(bool waits) {
  calls_scale(scale, x, 2, N, s[0]);
  gpu.cuEventRecord(event, s[0]);
  gpu.cuEventRecord(other, s[1]);
  gpu.cuEventSynchronize(waits ? event : other);
  calls_scale(scale, x, 2, N, s[1]);
}

static void host_asks(bool waits) {
  calls_scale(scale, x, 2, N, s[0]);
  if (waits)
    while (gpu.cuStreamQuery(s[0]) == CUDA_ERROR_NOT_READY) {
    }
  calls_scale(scale, x, 2, N, s[1]);
}

static void legacy(bool waits) {
  CUstream blocking = NULL;
  gpu.cuStreamCreate(&blocking, waits ? CU_STREAM_DEFAULT : CU_STREAM_NON_BLOCKING);
  calls_scale(scale, x, 2, N, blocking);
  calls_scale(scale, x, 2, N, NULL);
  gpu.cuStreamSynchronize(blocking);
  calls_scale(scale, x, 2, N, blocking);
  gpu.cuStreamDestroy(blocking);
}

static void neighbours(bool waits) { // halves of one vector are nobody's concern
  calls_scale(scale, x, 2, N / 2, s[0]);
  calls_scale(scale, x + 4 * N / 2 - (waits ? 0 : 4), 2, N / 2, s[1]);
}

static void freed(bool waits) {
  CUdeviceptr p = 0;
  gpu.cuMemAlloc(&p, 4 * N);
  gpu.cuMemsetD32Async(p, 0, N, s[0]);
  calls_add(add, p, p, y, N, s[0]);
  if (waits) gpu.cuStreamSynchronize(s[0]);
  gpu.cuMemFree(p);
}

static void stream_ordered(bool waits) {
  CUdeviceptr p = 0;
  gpu.cuMemAllocAsync(&p, 4 * N, s[0]);
  gpu.cuEventRecord(event, s[0]);
  if (waits) gpu.cuStreamWaitEvent(s[1], event, 0);
  gpu.cuMemsetD32Async(p, 0, N, s[1]);
  gpu.cuEventRecord(other, s[1]);
  gpu.cuStreamWaitEvent(s[2], other, 0);
  gpu.cuMemFreeAsync(p, s[2]);
}

// ---- the host's own accesses of pinned memory, of which whole pages are watched

enum { PAGES = 1 << 18, MIDDLE = PAGES / 8 };
static int *pinned;

static void staging_written(bool waits) {
  gpu.cuMemcpyHtoDAsync(big, pinned, PAGES, s[0]);
  gpu.cuEventRecord(event, s[0]);
  if (pinned[MIDDLE] == 77) puts("reading is allowed");
  if (waits) gpu.cuEventSynchronize(event);
  pinned[MIDDLE] = 1;
  gpu.cuMemcpyHtoDAsync(big, pinned, PAGES, s[0]);
}

static void result_read(bool waits) {
  gpu.cuMemcpyDtoHAsync(pinned, big, PAGES, s[0]);
  while (waits && gpu.cuStreamQuery(s[0]) == CUDA_ERROR_NOT_READY) {
  }
  if (pinned[MIDDLE] == 77) puts("as it happens");
}

static void result_of_a_graph(bool waits) {
  CUgraph graph = NULL;
  gpu.cuStreamBeginCapture(s[0], CU_STREAM_CAPTURE_MODE_GLOBAL);
  gpu.cuMemsetD32Async(big, 3, PAGES / 4, s[0]);
  gpu.cuMemcpyDtoHAsync(pinned, big, PAGES, s[0]);
  gpu.cuStreamEndCapture(s[0], &graph);
  gpu.cuGraphInstantiate(&exec, graph, 0);
  gpu.cuGraphDestroy(graph);
  gpu.cuGraphLaunch(exec, s[0]);
  if (waits) gpu.cuStreamSynchronize(s[0]);
  if (waits && pinned[MIDDLE] != 3) puts("wrong result");
  pinned[MIDDLE] = 0;
  gpu.cuGraphExecDestroy(exec);
}

static void in_a_graph(bool waits) {
  CUgraph graph = NULL;
  gpu.cuStreamBeginCapture(s[0], CU_STREAM_CAPTURE_MODE_GLOBAL);
  gpu.cuEventRecord(event, s[0]);
  gpu.cuStreamWaitEvent(s[1], event, 0);
  calls_scale(scale, x, 2, N, s[1]);
  gpu.cuEventRecord(other, s[1]);
  calls_scale(scale, y, 2, N, s[0]);
  if (waits) gpu.cuStreamWaitEvent(s[0], other, 0);
  calls_add(add, x, y, z, N, s[0]);
  if (!waits) gpu.cuStreamWaitEvent(s[0], other, 0);
  gpu.cuStreamEndCapture(s[0], &graph);
  gpu.cuGraphInstantiate(&exec, graph, 0);
  gpu.cuGraphDestroy(graph);
  for (int k = 0; k < 3; k++) gpu.cuGraphLaunch(exec, s[2]);
  calls_scale(scale, z, 2, N, s[2]);
  gpu.cuGraphExecDestroy(exec);
}

static const struct {
  const char *name;
  void (*run)(bool waits);
  const char *words;
} programs[] = {
    {"writes, then reads", writes_then_reads, "and nothing orders them"},
    {"reads, then writes", reads_then_writes, "and nothing orders them"},
    {"a second reader", second_reader, "memset of 256 bytes of device 0"},
    {"an order through a third stream", through_a_third, "kernel scale"},
    {"the host waits", host_waits, "and nothing orders them"},
    {"the host asks", host_asks, "and nothing orders them"},
    {"the legacy stream", legacy, "and nothing orders them"},
    {"neighbours", neighbours, "and nothing orders them"},
    {"freed", freed, "freed"},
    {"memory in a stream's order", stream_ordered, "nothing orders them"},
    {"a staging buffer is written", staging_written, "the host writes pinned memory"},
    {"a result is read", result_read, "the host touches pinned memory"},
    {"a graph's result is touched", result_of_a_graph, "the host touches pinned memory"},
    {"in a graph", in_a_graph, "graph's branch"},
};

static void all(bool eager) {
  option("SIMGPU_EAGER", eager ? "1" : NULL);
  for (size_t k = 0; k < sizeof programs / sizeof *programs; k++) {
    int found = 0, clean = 0;
    for (int seed = 0; seed < SEEDS; seed++) {
      option_number("SIMGPU_SEED", seed);
      begin();
      programs[k].run(true);
      clean += !gpu.cuCtxSynchronize() && !*simulator.report();
      if (*simulator.report()) printf("%s", simulator.report());
      simulator.reset();
      begin();
      programs[k].run(false);
      gpu.cuCtxSynchronize();
      found += strstr(simulator.report(), programs[k].words) != NULL;
      simulator.reset();
    }
    CHECK(clean == SEEDS, "%s, %s: clean in %d of %d runs", programs[k].name, eager ? "eager" : "lazy", clean, SEEDS);
    CHECK(found == SEEDS, "%s, %s: found in %d of %d runs", programs[k].name, eager ? "eager" : "lazy", found, SEEDS);
  }
}

int main(void) {
  setenv("SIMGPU_RACES", "1", 1);
  if (!calls_begin(1) || !simulator.report) {
    CHECK_SKIP("only the simulator finds missing waits");
    return check_report("test_driver_order");
  }
  OK(cuModuleLoadData, &module, calls_ptx);
  scale = calls_kernel(module, "scale");
  add = calls_kernel(module, "add");
  OK(cuMemAlloc, &x, 4 * N);
  OK(cuMemAlloc, &y, 4 * N);
  OK(cuMemAlloc, &z, 4 * N);
  OK(cuMemAlloc, &big, PAGES);
  OK(cuMemsetD32, big, 0, PAGES / 4);
  OK(cuMemAllocHost, (void **)&pinned, PAGES);
  for (int k = 0; k < 3; k++) OK(cuStreamCreate, &s[k], CU_STREAM_NON_BLOCKING);
  OK(cuEventCreate, &event, CU_EVENT_DISABLE_TIMING);
  OK(cuEventCreate, &other, CU_EVENT_DISABLE_TIMING);
  all(true);
  all(false);
  OK(cuMemcpyHtoDAsync, big, pinned, PAGES, s[0]);
  OK(cuMemFreeHost, pinned); // while it is watched
  gpu.cuCtxSynchronize();
  simulator.reset();
  return check_report("test_driver_order");
}
#else
int main(void) {
  CHECK_SKIP("no CUDA toolkit's headers");
  return check_report("test_driver_order");
}
#endif
