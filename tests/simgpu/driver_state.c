#include "tests/simgpu/driver_state.h"
#include "tests/simgpu/driver_guard.h"
#include "tests/simgpu/stream_order.h"
#include "tests/simgpu/stream_schedule.h"
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

DriverOptions driver_options;
SimgpuStats driver_stats;
Context driver_contexts[SIM_DEVICES];
int driver_devices;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint64_t n_changes;
static uint64_t random_state;

enum { CONTEXT_STACK = 32, REPORT_BYTES = 16384 };
static __thread Context *stack[CONTEXT_STACK];
static __thread int stack_depth; // the current context is the topmost
static __thread bool in_callback;
static char report[REPORT_BYTES];

// ---- options

static long long number_of(const char *name, long long otherwise) {
  const char *text = getenv(name);
  return text && *text ? strtoll(text, NULL, 0) : otherwise;
}

static void configure(void) {
  bool found_races = sim_options.finds_races;
  const char *order = getenv("SIMGPU_ORDER"), *pageable = getenv("SIMGPU_PAGEABLE"), *fail = getenv("SIMGPU_NCCL_FAIL");
  driver_options = (DriverOptions){
      .eager = number_of("SIMGPU_EAGER", 0) != 0,
      .seed = (uint64_t)number_of("SIMGPU_SEED", 0),
      .trace = number_of("SIMGPU_TRACE", 0) != 0,
      .quiet = number_of("SIMGPU_QUIET", 0) != 0,
      .pageable = !pageable                     ? 0
                  : !strcmp(pageable, "staged") ? 1
                  : !strcmp(pageable, "late")   ? 2
                                                : 0,
      .deadlock_ms = (int)number_of("SIMGPU_DEADLOCK_MS", 10000),
  };
  snprintf(driver_options.nccl_fail, sizeof driver_options.nccl_fail, "%s", fail ? fail : "");
  random_state = driver_options.seed;
  sim_options.threads = (int)number_of("SIMGPU_THREADS", 1);
  sim_options.order = !order                        ? SIM_FORWARDS
                      : !strcmp(order, "backwards") ? SIM_BACKWARDS
                      : !strcmp(order, "shuffled")  ? SIM_SHUFFLED
                                                    : SIM_FORWARDS;
  sim_options.seed = driver_options.seed;
  sim_options.finds_races = number_of("SIMGPU_RACES", 0) != 0;
  sim_options.counts = number_of("SIMGPU_COUNT", 0) != 0;
  if (sim_options.finds_races && !found_races) stream_order_restart();
  schedule_restart();
}

bool driver_open(void) {
  if (driver_devices) return true;
  int n = (int)number_of("SIMGPU_DEVICES", 1);
  if (n < 1) return false; // as on a machine with a driver and no device
  if (n > SIM_DEVICES) n = SIM_DEVICES;
  sim_options.compute = (int)number_of("SIMGPU_COMPUTE", 80);
  if (!sim_options.max_steps) sim_options.max_steps = 1ull << 32;
  configure();
  sim_memory_open(n, (uint64_t)number_of("SIMGPU_MEMORY_MB", 4096) << 20);
  for (int k = 0; k < n; k++) driver_contexts[k] = (Context){.device = k, .peers = 1u << k};
  driver_devices = n;
  return true;
}

// A number of the splitmix64 sequence (Steele, Lea and Flood 2014).
uint64_t driver_random(void) {
  uint64_t x = random_state += 0x9E3779B97F4A7C15u;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return x ^ x >> 31;
}

// ---- the lock

void driver_lock(void) { pthread_mutex_lock(&lock); }
void driver_unlock(void) { pthread_mutex_unlock(&lock); }
void driver_in_callback(bool yes) { in_callback = yes; }

uint64_t driver_thread(void) {
  static uint64_t n_threads;
  static __thread uint64_t own;
  if (!own) own = ++n_threads; // under the lock
  return own;
}

void driver_changed(void) {
  n_changes++;
  pthread_cond_broadcast(&changed);
}

bool driver_wait(int ms) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += ms / 1000;
  until.tv_nsec += (long)(ms % 1000) * 1000000;
  if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
  uint64_t before = n_changes;
  while (before == n_changes)
    if (pthread_cond_timedwait(&changed, &lock, &until) == ETIMEDOUT) return before != n_changes;
  return true;
}

static CUresult enter(Context **out_context, bool even_failed) {
  if (in_callback) {
    driver_report("a host function called the driver, which it may not");
    return CUDA_ERROR_NOT_PERMITTED;
  }
  driver_lock();
  CUresult result = CUDA_SUCCESS;
  if (!driver_devices) result = CUDA_ERROR_NOT_INITIALIZED;
  else if (out_context) {
    *out_context = driver_current();
    if (!*out_context || !(*out_context)->retained) result = CUDA_ERROR_INVALID_CONTEXT;
    else if (!even_failed) result = (*out_context)->error;
  }
  if (result) driver_unlock();
  else schedule_touch();
  return result;
}

CUresult driver_enter(Context **out_context) { return enter(out_context, false); }
CUresult driver_enter_failed(Context **out_context) { return enter(out_context, true); }

CUresult driver_leave(CUresult result) {
  schedule_breathe();
  guard_update();
  driver_unlock();
  return result;
}

// ---- contexts

Context *driver_current(void) { return stack_depth ? stack[stack_depth - 1] : NULL; }

void driver_set_current(Context *context) {
  if (stack_depth) stack_depth--;
  if (context) stack[stack_depth++] = context;
}

bool driver_push_context(Context *context) {
  if (stack_depth == CONTEXT_STACK) return false;
  stack[stack_depth++] = context;
  return true;
}

bool driver_pop_context(void) {
  if (!stack_depth) return false;
  stack_depth--;
  return true;
}

Context *driver_context(CUcontext handle) {
  for (int k = 0; k < driver_devices; k++)
    if (handle == (CUcontext)&driver_contexts[k] && driver_contexts[k].retained) return &driver_contexts[k];
  return NULL;
}

// ---- faults

static void report_line(const char *format, va_list args) {
  char line[1200];
  vsnprintf(line, sizeof line, format, args);
  size_t used = strlen(report);
  if (used + strlen(line) + 2 < sizeof report) sprintf(report + used, "%s\n", line);
  if (!driver_options.quiet) fprintf(stderr, "simgpu: %s\n", line);
}

void driver_report(const char *format, ...) {
  va_list args;
  va_start(args, format);
  report_line(format, args);
  va_end(args);
}

void driver_fail(Context *context, CUresult error, const char *format, ...) {
  va_list args;
  va_start(args, format);
  report_line(format, args);
  va_end(args);
  if (!context->error) context->error = error;
  driver_changed();
}

void driver_trace(const char *format, ...) {
  if (!driver_options.trace) return;
  char line[1200];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  fprintf(stderr, "simgpu: %s\n", line);
}

// ---- exports for tests

const char *simgpu_report(void) { return report; }

void simgpu_reset(void) {
  driver_lock();
  bool failed = false;
  for (int k = 0; k < driver_devices; k++) failed |= driver_contexts[k].error != CUDA_SUCCESS;
  if (failed) schedule_drop();
  for (int k = 0; k < driver_devices; k++) driver_contexts[k].error = CUDA_SUCCESS;
  stream_order_host_all();
  guard_update();
  report[0] = 0;
  driver_unlock();
}

void simgpu_configure(void) {
  driver_lock();
  configure();
  driver_unlock();
}

void simgpu_stats(SimgpuStats *out_stats) {
  driver_lock();
  *out_stats = driver_stats;
  driver_unlock();
}

void simgpu_memory(int device, uint64_t *out_used, uint64_t *out_peak, int *out_live) {
  driver_lock();
  *out_used = sim_memory_used(device);
  *out_peak = sim_memory_peak(device);
  *out_live = sim_memory_leaks(device);
  driver_unlock();
}
