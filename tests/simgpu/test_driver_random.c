// Random programs over several streams with just the waits that they need, run directly and as a graph, against the
// same done in order on the host.
#include "tests/check.h"
#if __has_include(<cuda.h>)
#include "tests/simgpu/calls.h"

enum { BUFFERS = 6, STREAMS = 4, LENGTH = 40, N = 16, PROGRAMS = 30 };

typedef enum Kind { SCALE, ADD, COPY, FILL, KINDS } Kind;

typedef struct Action {
  Kind kind;
  int stream, to, a, b;
  float by;
} Action;

static CUmodule module;
static CUfunction scale, add;
static CUdeviceptr buffer[BUFFERS];
static CUstream s[STREAMS];
static CUevent done[LENGTH], fork_event, join_event;
static uint32_t state;

static int random_below(int n) {
  state = state * 1664525 + 1013904223;
  return (int)((state >> 8) % (uint32_t)n);
}

static void make(Action *program) {
  for (int k = 0; k < LENGTH; k++)
    program[k] = (Action){.kind = random_below(3) ? ADD : (Kind)random_below(KINDS),
                          .stream = random_below(STREAMS),
                          .to = random_below(BUFFERS),
                          .a = random_below(BUFFERS),
                          .b = random_below(BUFFERS),
                          .by = (float)(1 + random_below(3)) * 0.5f};
  for (int k = 0; k < LENGTH; k++) // mostly sums go on from what was there, so that each value matters
    if (program[k].kind == ADD && random_below(4)) program[k].a = program[k].to;
}

static bool reads(const Action *x, int b) {
  return (x->kind == SCALE && x->to == b) || (x->kind == ADD && (x->a == b || x->b == b)) ||
         (x->kind == COPY && x->a == b);
}

static void on_host(const Action *program, float value[BUFFERS]) {
  for (int b = 0; b < BUFFERS; b++) value[b] = (float)(b + 1);
  for (int k = 0; k < LENGTH; k++) {
    const Action *x = &program[k];
    switch (x->kind) {
    case SCALE: value[x->to] *= x->by; break;
    case ADD: value[x->to] = value[x->a] + value[x->b]; break;
    case COPY: value[x->to] = value[x->a]; break;
    default: value[x->to] = x->by;
    }
  }
}

// Puts the program into the streams: each action waits for those of other streams that it conflicts with; one wait may
// be left out. Gives the number of waits.
static int put(const Action *program, int left_out) {
  int waits = 0;
  for (int k = 0; k < LENGTH; k++) {
    const Action *x = &program[k];
    CUstream stream = s[x->stream];
    for (int i = 0; i < k; i++) {
      const Action *y = &program[i];
      if (y->stream == x->stream || !(y->to == x->to || reads(x, y->to) || reads(y, x->to))) continue;
      if (waits++ != left_out) gpu.cuStreamWaitEvent(stream, done[i], 0);
    }
    unsigned bits;
    memcpy(&bits, &x->by, 4);
    switch (x->kind) {
    case SCALE: calls_scale(scale, buffer[x->to], x->by, N, stream); break;
    case ADD: calls_add(add, buffer[x->a], buffer[x->b], buffer[x->to], N, stream); break;
    case COPY:
      if (x->a != x->to) gpu.cuMemcpyDtoDAsync(buffer[x->to], buffer[x->a], 4 * N, stream);
      break;
    default: gpu.cuMemsetD32Async(buffer[x->to], bits, N, stream);
    }
    gpu.cuEventRecord(done[k], stream);
  }
  return waits;
}

static void start(void) {
  for (int b = 0; b < BUFFERS; b++) {
    float value = (float)(b + 1);
    unsigned bits;
    memcpy(&bits, &value, 4);
    OK(cuMemsetD32, buffer[b], bits, N);
  }
  OK(cuCtxSynchronize);
}

static bool is_right(const float want[BUFFERS]) {
  bool right = !gpu.cuCtxSynchronize();
  for (int b = 0; b < BUFFERS && right; b++) {
    float got[N];
    right = !gpu.cuMemcpyDtoH(got, buffer[b], sizeof got) && got[0] == want[b] && got[N - 1] == want[b];
  }
  return right;
}

static bool as_graph(const Action *program, const float want[BUFFERS]) {
  CUgraph graph = NULL;
  CUgraphExec exec = NULL;
  OK(cuStreamBeginCapture, s[0], CU_STREAM_CAPTURE_MODE_GLOBAL);
  OK(cuEventRecord, fork_event, s[0]);
  for (int k = 1; k < STREAMS; k++) OK(cuStreamWaitEvent, s[k], fork_event, 0);
  put(program, -1);
  for (int k = 1; k < STREAMS; k++) {
    OK(cuEventRecord, join_event, s[k]);
    OK(cuStreamWaitEvent, s[0], join_event, 0);
  }
  OK(cuStreamEndCapture, s[0], &graph);
  OK(cuGraphInstantiate, &exec, graph, 0);
  OK(cuGraphDestroy, graph);
  start();
  OK(cuGraphLaunch, exec, s[1]);
  bool right = is_right(want);
  OK(cuGraphExecDestroy, exec);
  return right;
}

int main(void) {
  if (!calls_begin(1)) {
    CHECK(0, "the library opens");
    return check_report("test_driver_random");
  }
  OK(cuModuleLoadData, &module, calls_ptx);
  scale = calls_kernel(module, "scale");
  add = calls_kernel(module, "add");
  for (int k = 0; k < BUFFERS; k++) OK(cuMemAlloc, &buffer[k], 4 * N);
  for (int k = 0; k < STREAMS; k++) OK(cuStreamCreate, &s[k], CU_STREAM_NON_BLOCKING);
  for (int k = 0; k < LENGTH; k++) OK(cuEventCreate, &done[k], CU_EVENT_DISABLE_TIMING);
  OK(cuEventCreate, &fork_event, CU_EVENT_DISABLE_TIMING);
  OK(cuEventCreate, &join_event, CU_EVENT_DISABLE_TIMING);
  int direct = 0, graphs = 0, wrong = 0, told = 0, missing = 0;
  for (int races = 0; races < 2; races++) {
    option("SIMGPU_RACES", races ? "1" : NULL);
    for (int k = 0; k < PROGRAMS; k++) {
      Action program[LENGTH];
      float want[BUFFERS];
      state = (uint32_t)k;
      make(program);
      on_host(program, want);
      option_number("SIMGPU_SEED", k);
      start();
      int waits = put(program, -1);
      direct += is_right(want);
      graphs += as_graph(program, want);
      if (simulator.report) CHECK_TEXT(simulator.report(), "", "program %d", k);
      start();
      missing += waits > 0;
      put(program, random_below(waits ? waits : 1)); // often another wait covers for the one left out
      wrong += !is_right(want) && !races;
      if (!simulator.report) continue;
      told += strstr(simulator.report(), "nothing orders them") != NULL;
      simulator.reset();
    }
  }
  CHECK(direct == 2 * PROGRAMS, "%d of %d right", direct, 2 * PROGRAMS);
  CHECK(graphs == 2 * PROGRAMS, "%d of %d right as graphs", graphs, 2 * PROGRAMS);
  printf("%d programs lack a wait: %d ended with another result, %d were told of\n", missing / 2, wrong, told);
  if (simulator.report) CHECK(told >= 3 && told >= wrong, "a wait left out: %d told of", told);
  return check_report("test_driver_random");
}
#else
int main(void) {
  CHECK_SKIP("no CUDA toolkit's headers");
  return check_report("test_driver_random");
}
#endif
