// The pool: every task once whatever the number of workers, sleeping and waking, one thread, more threads than cores.
#include <stdatomic.h>
#include <unistd.h>

#include "runtime/cpu_pool.h"
#include "tests/check.h"

enum { MAX_TASKS = 5000, MAX_WORKERS = 8 };

typedef struct Tally {
  _Atomic int runs[MAX_TASKS];
  _Atomic int inside[MAX_WORKERS];
  _Atomic int n_clashes, n_bad;
  int n_workers;
  int64_t n_tasks;
  int plain[MAX_TASKS]; // written without atomics: each task owns its place
} Tally;

static void count(void *context, int worker, int64_t begin, int64_t end) {
  Tally *tally = context;
  if (worker < 0 || worker >= tally->n_workers || begin < 0 || begin >= end || end > tally->n_tasks) {
    tally->n_bad++;
    return;
  }
  if (tally->inside[worker]++) tally->n_clashes++;
  for (int64_t i = begin; i < end; i++) {
    tally->runs[i]++;
    tally->plain[i] += (int)i;
  }
  tally->inside[worker]--;
}

static void check_runs(int threads, int64_t n_tasks, int repeats, useconds_t pause) {
  Pool *pool;
  Status status = pool_open(threads, &pool);
  CHECK(!status, "pool of %d: %s", threads, status_message(status));
  if (status) return;
  CHECK(pool_threads(pool) == threads, "%d threads, asked for %d", pool_threads(pool), threads);
  Tally *tally = calloc(1, sizeof *tally);
  tally->n_workers = threads;
  tally->n_tasks = n_tasks;
  int wrong = 0;
  for (int r = 1; r <= repeats; r++) {
    pool_run(pool, count, tally, n_tasks);
    // Results must be visible here without atomics.
    for (int64_t i = 0; i < n_tasks; i++) wrong += tally->plain[i] != (int)i * r || tally->runs[i] != r;
    if (pause) usleep(pause);
  }
  CHECK(!wrong, "%d tasks not run exactly once (%d threads, %d tasks)", wrong, threads, (int)n_tasks);
  CHECK(!tally->n_bad && !tally->n_clashes, "%d bad ranges, %d workers twice inside", tally->n_bad, tally->n_clashes);
  free(tally);
  pool_close(pool);
}

// Workers asleep on the futex must not delay or lose a job.
static void test_sleep(void) { check_runs(2, 64, 20, 3000); }

static void test_wrap(void) { // more jobs than the gate's number holds
  Pool *pool;
  if (pool_open(2, &pool)) return;
  Tally *tally = calloc(1, sizeof *tally);
  tally->n_workers = 2;
  tally->n_tasks = 4;
  int repeats = 70000;
  for (int r = 0; r < repeats; r++) pool_run(pool, count, tally, 4);
  CHECK(tally->runs[0] == repeats && tally->runs[3] == repeats, "ran %d times, not %d", tally->runs[0], repeats);
  CHECK(!tally->n_bad && !tally->n_clashes, "bad ranges or clashes");
  free(tally);
  pool_close(pool);
}

static void test_shutdown(void) { // at once, before workers reached their loop
  int n_closed = 0;
  for (int i = 0; i < 50; i++) {
    Pool *pool;
    if (pool_open(4, &pool)) continue;
    pool_close(pool);
    n_closed++;
  }
  pool_close(NULL);
  CHECK(n_closed == 50, "%d of 50 pools opened and closed", n_closed);
}

int main(void) {
  for (int threads = 1; threads <= MAX_WORKERS; threads += threads < 3 ? 1 : 5) {
    check_runs(threads, 1, 50, 0);
    check_runs(threads, 3, 200, 0);
    check_runs(threads, 17, 200, 0);
    check_runs(threads, MAX_TASKS, 50, 0);
    check_runs(threads, 0, 3, 0);
  }
  test_sleep();
  test_wrap();
  test_shutdown();
  return check_report("pool");
}
