#include "tests/simgpu/stream_schedule.h"
#include "tests/simgpu/stream_order.h"
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PATIENCE = 12 }; // with other processes

static uint64_t haste; // of 16: how often a call that doesn't wait runs something
static uint64_t n_touches;
static bool idle_started;

static bool can_run(Op *op) {
  if (op->running) return false;
  if (op->context->error) return true; // to be dropped
  return op_is_free(op) && (!op->work->type->ready || op->work->type->ready(op));
}

static Op *choose(void) {
  Op *best = NULL;
  if (!driver_options.eager && driver_random() % 8 == 0)
    for (Lane *lane = stream_lanes; lane; lane = lane->next)
      if (lane->first && driver_random() % 4 == 0) lane->rank = driver_random();
  for (Lane *lane = stream_lanes; lane; lane = lane->next) {
    Op *op = lane->first;
    if (!op || (best && (driver_options.eager ? op->number > best->number : lane->rank < best->lane->rank))) continue;
    if (can_run(op)) best = op;
  }
  return best;
}

static void trace(const Op *op) {
  if (!driver_options.trace) return;
  char text[256];
  work_describe(op->work, text, sizeof text);
  const Lane *lane = op->lane;
  if (lane->lasting)
    driver_trace("device %d stream %llu: %s", op->context->device, (unsigned long long)((const Stream *)lane)->id,
                 text);
  else driver_trace("device %d graph: %s", op->context->device, text);
}

// Runs one operation; false if none can.
static bool step(void) {
  Op *op = choose();
  if (!op) return false;
  bool finished = true;
  op->running = true;
  if (op->context->error) {
    if (op->work->type->cancel) op->work->type->cancel(op);
  } else {
    trace(op);
    stream_order_begin(op);
    finished = op->work->type->run(op);
  }
  op->running = false;
  if (finished) op_finish(op);
  else {
    op->lane->rank = driver_random(); // its middle is where another stream does harm
    driver_changed();
  }
  return true;
}

// ---- waits without end

static bool only_thread(void) {
  DIR *tasks = opendir("/proc/self/task");
  int n = 0;
  for (struct dirent *entry; tasks && (entry = readdir(tasks));) n += entry->d_name[0] != '.';
  if (tasks) closedir(tasks);
  return n == 1;
}

static bool any_running(void) {
  for (Lane *lane = stream_lanes; lane; lane = lane->next)
    if (lane->first && lane->first->running) return true;
  return false;
}

// Whether something of another process may go on, for which there is more patience.
static bool any_may_come(void) {
  for (Lane *lane = stream_lanes; lane; lane = lane->next) {
    Op *op = lane->first;
    if (op && !op->context->error && op->work->type->may_come && op_is_free(op) && op->work->type->may_come(op))
      return true;
  }
  return false;
}

// Names the operations that hold up this one: the first of its stream and, from there, of what that waits for.
static void report_deadlock(Op *op) {
  char text[1024];
  size_t used = 0;
  for (int depth = 0; op && depth < 6; depth++) {
    if (op->lane) op = op->lane->first;
    char what[256];
    work_describe(op->work, what, sizeof what);
    int n = snprintf(text + used, sizeof text - used, "%s%s of device %d", depth ? ", which waits for " : "", what,
                     op->context->device);
    if (n < 0 || (used += (size_t)n) >= sizeof text) break;
    if (!op_is_free(op)) {
      op = op->after[0];
      continue;
    }
    char missing[128] = "";
    if (op->work->type->missing) op->work->type->missing(op, missing, sizeof missing);
    if (missing[0] && used < sizeof text)
      snprintf(text + used, sizeof text - used, ", for which %s does not come", missing);
    break;
  }
  driver_report("deadlock: waiting for %s", text);
}

bool schedule_wait(Op *op) {
  op_keep(op);
  bool ends = true;
  int waited = 0;
  while (!op->done) {
    if (step()) {
      waited = 0;
      continue;
    }
    int slice = 20;
    if (driver_wait(slice)) {
      waited = 0;
      continue;
    }
    if (any_running()) continue;
    waited += slice;
    if (waited < driver_options.deadlock_ms && !only_thread()) continue;
    if (waited < PATIENCE * driver_options.deadlock_ms && any_may_come()) continue;
    report_deadlock(op);
    driver_fail(op->context, CUDA_ERROR_LAUNCH_TIMEOUT, "device %d failed: nothing can end this wait",
                op->context->device);
    ends = false;
  }
  stream_order_host(op);
  op_release(op);
  return ends;
}

bool schedule_wait_stream(Stream *stream) {
  stream_order_host_lane(&stream->lane);
  return !stream->lane.last || schedule_wait(stream->lane.last);
}

bool schedule_wait_context(Context *context) {
  Op **last = NULL;
  int n = 0;
  for (Lane *lane = stream_lanes; lane; lane = lane->next) {
    if (lane->lasting && ((Stream *)lane)->context == context) stream_order_host_lane(lane);
    if (lane->last && lane->last->context == context) {
      last = realloc(last, sizeof(Op *) * (size_t)(n + 1));
      if (!last) abort();
      last[n++] = op_keep(lane->last);
    }
  }
  bool ends = true;
  for (int k = 0; k < n; k++) {
    ends = schedule_wait(last[k]) && ends;
    op_release(last[k]);
  }
  free(last);
  return ends;
}

static Op *first_failed(void) {
  for (Lane *lane = stream_lanes; lane; lane = lane->next)
    if (lane->first && lane->first->context->error && !lane->first->running) return lane->first;
  return NULL;
}

void schedule_drop(void) {
  for (Op *op; (op = first_failed());) {
    if (op->work->type->cancel) op->work->type->cancel(op);
    op_finish(op);
  }
}

void schedule_nudge(void) {
  if (driver_random() % 2) step();
}

void schedule_breathe(void) {
  if (driver_options.eager)
    while (step()) {
    }
  else if (stream_ops && driver_random() % 16 < haste) step();
}

void schedule_restart(void) {
  static const uint64_t hastes[4] = {0, 0, 1, 6};
  haste = hastes[driver_random() % 4];
}

// ---- a device that goes on by itself

void schedule_touch(void) { n_touches++; }

static void *idle_loop(void *none) {
  uint64_t seen = 0;
  for (;;) {
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    driver_lock();
    while (stream_ops && seen == n_touches && step()) {
      driver_unlock(); // whoever waits for the lock comes first
      driver_lock();
    }
    seen = n_touches;
    driver_unlock();
  }
  return none;
}

void schedule_expect_host(void) {
  if (idle_started) return;
  idle_started = true;
  pthread_t thread;
  if (pthread_create(&thread, NULL, idle_loop, NULL)) abort();
  pthread_detach(thread);
}
