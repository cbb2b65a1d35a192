// Streams and events: what orders operations and what does not.
#include "tests/check.h"
#if __has_include(<cuda.h>)
#include "tests/simgpu/calls.h"
#include <pthread.h>

enum { N = 256, SEEDS = 24 };

static CUmodule module;
static CUfunction scale, add;
static CUdeviceptr x, y;
static CUstream s[3];
static CUevent event;

static void seed(int k) { option_number("SIMGPU_SEED", k); }

static float first_of(CUdeviceptr p) {
  float value = NAN;
  OK(cuMemcpyDtoH, &value, p, 4);
  return value;
}

// y = x * 2 * 3 in one stream, y + y in another, with the wait between them or without.
static bool two_streams(int k, bool waits) {
  seed(k);
  OK(cuMemsetD32, x, 0x3f800000, N);
  OK(cuMemsetD32, y, 0, N);
  OK(cuCtxSynchronize);
  calls_scale(scale, x, 2, N, s[0]);
  calls_scale(scale, x, 3, N, s[0]);
  OK(cuEventRecord, event, s[0]);
  if (waits) OK(cuStreamWaitEvent, s[1], event, 0);
  calls_add(add, x, x, y, N, s[1]);
  OK(cuStreamSynchronize, s[1]);
  OK(cuStreamSynchronize, s[0]);
  return first_of(y) == 12;
}

static void waits(void) {
  int right = 0, wrong = 0;
  for (int k = 0; k < SEEDS; k++) right += two_streams(k, true), wrong += !two_streams(k, false);
  CHECK(right == SEEDS, "%d of %d right with the wait", right, SEEDS);
  if (!simulator.report) return;
  CHECK(wrong >= SEEDS / 4, "%d of %d wrong without the wait", wrong, SEEDS);
  option("SIMGPU_EAGER", "1");
  wrong = 0;
  for (int k = 0; k < SEEDS; k++) wrong += !two_streams(k, false);
  CHECK(wrong == 0, "%d wrong when eager", wrong);
  option("SIMGPU_EAGER", NULL);
}

// The legacy stream waits for blocking streams and they for it; non-blocking ones are apart.
static bool legacy(int k, CUstream stream) {
  seed(k);
  OK(cuMemsetD32, x, 0x3f800000, N);
  OK(cuCtxSynchronize);
  calls_scale(scale, x, 2, N, stream);
  calls_add(add, x, x, y, N, NULL);
  calls_scale(scale, x, 5, N, stream);
  OK(cuStreamSynchronize, stream);
  float sum = first_of(y); // waits for the legacy stream
  return sum == 4;
}

static void legacy_stream(void) {
  CUstream blocking;
  int right = 0, apart = 0, per_thread = 0;
  OK(cuStreamCreate, &blocking, CU_STREAM_DEFAULT);
  for (int k = 0; k < SEEDS; k++) {
    right += legacy(k, blocking);
    per_thread += legacy(k, CU_STREAM_PER_THREAD);
    apart += !legacy(k, s[0]);
  }
  CHECK(right == SEEDS, "%d of %d with a blocking stream", right, SEEDS);
  CHECK(per_thread == SEEDS, "%d of %d with the thread's own", per_thread, SEEDS);
  if (simulator.report) CHECK(apart >= SEEDS / 4, "%d of %d differ with a non-blocking stream", apart, SEEDS);
  OK(cuStreamDestroy, blocking);
}

static void events(void) {
  CUevent other;
  float ms = -1;
  OK(cuEventCreate, &other, 0);
  OK(cuEventQuery, other); // never recorded
  OK(cuEventSynchronize, other);
  seed(3);
  CUevent start;
  OK(cuEventCreate, &start, 0);
  OK(cuEventRecord, start, s[0]);
  calls_scale(scale, x, 1, N, s[0]);
  OK(cuEventRecord, other, s[0]);
  int asked = 0;
  CUresult result;
  while ((result = gpu.cuEventQuery(other)) == CUDA_ERROR_NOT_READY) asked++;
  CHECK(result == CUDA_SUCCESS, "%s after %d questions", calls_error(result), asked);
  OK(cuEventElapsedTime, &ms, start, other);
  CHECK(ms >= 0, "%g ms", ms);
  while ((result = gpu.cuStreamQuery(s[0])) == CUDA_ERROR_NOT_READY) asked++;
  CHECK(result == CUDA_SUCCESS, "%s", calls_error(result));
  // An event holds its latest record: waiting for it is not waiting for an earlier one.
  OK(cuEventRecord, other, s[1]);
  OK(cuEventSynchronize, other);
  GIVES(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime, &ms, event, other); // one without times
  OK(cuEventDestroy, start);
  OK(cuEventDestroy, other);
}

static void attributes(void) {
  int least = 9, greatest = 9, priority = 9;
  unsigned flags = 9;
  CUstream urgent;
  OK(cuCtxGetStreamPriorityRange, &least, &greatest);
  CHECK(least == 0 && greatest < 0, "priorities %d to %d", least, greatest);
  OK(cuStreamCreateWithPriority, &urgent, CU_STREAM_NON_BLOCKING, greatest);
  OK(cuStreamGetPriority, urgent, &priority);
  CHECK(priority == greatest, "priority %d", priority);
  OK(cuStreamGetFlags, urgent, &flags);
  CHECK(flags == CU_STREAM_NON_BLOCKING, "flags %u", flags);
  CUcontext own, current;
  OK(cuStreamGetCtx, urgent, &own);
  OK(cuCtxGetCurrent, &current);
  CHECK(own == current, "its context");
  // Destroyed with work in it: the work still runs.
  OK(cuMemsetD32, x, 0x3f800000, N);
  OK(cuCtxSynchronize);
  calls_scale(scale, x, 7, N, urgent);
  OK(cuStreamDestroy, urgent);
  OK(cuCtxSynchronize);
  CHECK(first_of(x) == 7, "%g", first_of(x));
}

// ---- host functions

typedef struct Note {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  int calls;
  CUresult result;
} Note;

static void CUDA_CB note(void *user) {
  Note *n = user;
  CUdeviceptr p;
  pthread_mutex_lock(&n->lock);
  n->calls++;
  n->result = simulator.report ? gpu.cuMemAlloc(&p, 4) : CUDA_ERROR_NOT_PERMITTED;
  pthread_cond_signal(&n->changed);
  pthread_mutex_unlock(&n->lock);
}

static void host_functions(void) {
  Note n = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
  OK(cuLaunchHostFunc, s[0], note, &n);
  OK(cuStreamSynchronize, s[0]);
  CHECK(n.calls == 1 && n.result == CUDA_ERROR_NOT_PERMITTED, "%d calls, %s", n.calls, calls_error(n.result));
  // Nobody waits for the stream: the device goes on by itself.
  calls_scale(scale, x, 1, N, s[0]);
  OK(cuLaunchHostFunc, s[0], note, &n);
  pthread_mutex_lock(&n.lock);
  while (n.calls < 2) pthread_cond_wait(&n.changed, &n.lock);
  pthread_mutex_unlock(&n.lock);
  if (simulator.report) CHECK(reported("host function called the driver"), "the callbacks' calls");
}

// ---- threads

static void *worker(void *stream) {
  CUcontext context;
  gpu.cuDevicePrimaryCtxRetain(&context, 0);
  gpu.cuCtxSetCurrent(context);
  CUdeviceptr own;
  float sum = 0;
  gpu.cuMemAlloc(&own, 4 * N);
  for (int k = 0; k < 20; k++) {
    gpu.cuMemsetD32Async(own, 0x3f800000, N, stream);
    calls_scale(scale, own, 3, N, stream);
    float value = 0;
    gpu.cuMemcpyDtoHAsync(&value, own, 4, stream);
    gpu.cuStreamSynchronize(stream);
    sum += value;
  }
  gpu.cuMemFree(own);
  gpu.cuDevicePrimaryCtxRelease(0);
  return sum == 60 ? NULL : worker;
}

static void threads(void) {
  pthread_t thread[3];
  for (int k = 0; k < 3; k++) pthread_create(&thread[k], NULL, worker, s[k]);
  for (int k = 0; k < 3; k++) {
    void *wrong;
    pthread_join(thread[k], &wrong);
    CHECK(!wrong, "thread %d", k);
  }
}

static void handles(void) {
  CUstream gone;
  CUevent lost;
  OK(cuStreamCreate, &gone, 0);
  OK(cuStreamDestroy, gone);
  OK(cuEventCreate, &lost, 0);
  OK(cuEventDestroy, lost);
  if (!simulator.report) return; // undefined
  GIVES(CUDA_ERROR_INVALID_HANDLE, cuStreamSynchronize, gone);
  GIVES(CUDA_ERROR_INVALID_HANDLE, cuStreamDestroy, gone);
  GIVES(CUDA_ERROR_INVALID_HANDLE, cuEventRecord, lost, s[0]);
  GIVES(CUDA_ERROR_INVALID_HANDLE, cuStreamWaitEvent, s[0], lost, 0);
}

int main(void) {
  if (!calls_begin(1)) {
    CHECK(0, "the library opens");
    return check_report("test_driver_stream");
  }
  OK(cuModuleLoadData, &module, calls_ptx);
  scale = calls_kernel(module, "scale");
  add = calls_kernel(module, "add");
  OK(cuMemAlloc, &x, 4 * N);
  OK(cuMemAlloc, &y, 4 * N);
  for (int k = 0; k < 3; k++) OK(cuStreamCreate, &s[k], CU_STREAM_NON_BLOCKING);
  OK(cuEventCreate, &event, CU_EVENT_DISABLE_TIMING);
  waits();
  legacy_stream();
  events();
  attributes();
  host_functions();
  threads();
  handles();
  OK(cuModuleUnload, module);
  if (simulator.report) CHECK_TEXT(simulator.report(), "", "faults");
  return check_report("test_driver_stream");
}
#else
int main(void) {
  CHECK_SKIP("no CUDA toolkit's headers");
  return check_report("test_driver_stream");
}
#endif
