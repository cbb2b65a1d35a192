// Pool: the threads, the gate by which they enter and leave jobs, and the sharing out of tasks.
#include "runtime/cpu_pool.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/parallel.h"

// The gate is one word, so that entering a job is one compare-and-swap and a worker that comes late stays out:
// the job's number in the upper half, OPEN while it may be entered, and below it how many workers are inside.
// A worker that misses a job because the number wrapped around merely leaves it to the others.
enum { GATE_OPEN = 1 << 15, GATE_INSIDE = GATE_OPEN - 1, GATE_NUMBER = 1 << 16, MAX_THREADS = 1024 };
enum { SPIN_NANOSECONDS = 60000 }; // how long a thread waits awake before it sleeps

// Each worker's share of the tasks; it and thieves take from the front. Alone on its cache lines.
typedef struct Share {
  _Alignas(128) _Atomic int64_t next;
  int64_t end;
} Share;

typedef struct Worker {
  Pool *pool;
  int index;
  pthread_t thread;
} Worker;

struct Pool {
  _Alignas(128) _Atomic uint32_t gate;
  _Alignas(128) _Atomic uint32_t n_asleep; // workers that may be in futex_wait
  _Atomic bool is_closing, caller_waits;
  int threads, spins;
  // The job: written by the caller while nobody is inside, read by those inside.
  PoolJob *job;
  void *context;
  int64_t chunk;
  Share *shares;
  Worker *workers;
  cpu_set_t taken; // cores that workers are bound to
};

static void futex_wait(_Atomic uint32_t *word, uint32_t seen) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake_all(_Atomic uint32_t *word) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static inline void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

// Works through its own share, so that it meets the same data again in the next job, then through those of others.
static void work(Pool *pool, int index) {
  for (int i = 0; i < pool->threads; i++) {
    int victim = index + i < pool->threads ? index + i : index + i - pool->threads;
    Share *share = &pool->shares[victim];
    int64_t chunk = pool->chunk, end = share->end;
    for (;;) {
      if (atomic_load_explicit(&share->next, memory_order_relaxed) >= end) break;
      int64_t begin = atomic_fetch_add_explicit(&share->next, chunk, memory_order_relaxed);
      if (begin >= end) break;
      pool->job(pool->context, index, begin, begin + chunk < end ? begin + chunk : end);
    }
  }
}

// Waits until the gate differs from `seen`; spins first.
static void wait_for_change(Pool *pool, uint32_t seen) {
  for (int i = 0; i < pool->spins; i++) {
    if (atomic_load_explicit(&pool->gate, memory_order_relaxed) != seen) return;
    pause_briefly();
  }
  // Whoever changes the gate does so before looking at n_asleep, both in sequential order: no wake-up is lost.
  atomic_fetch_add(&pool->n_asleep, 1);
  if (atomic_load(&pool->gate) == seen) futex_wait(&pool->gate, seen);
  atomic_fetch_sub(&pool->n_asleep, 1);
}

static void *worker_main(void *argument) {
  Worker *worker = argument;
  Pool *pool = worker->pool;
  uint32_t done = 0; // number of the last job it was in
  for (;;) {
    uint32_t gate = atomic_load_explicit(&pool->gate, memory_order_acquire);
    if (atomic_load(&pool->is_closing)) return NULL;
    if (!(gate & GATE_OPEN) || gate / GATE_NUMBER == done) {
      wait_for_change(pool, gate);
      continue;
    }
    if (!atomic_compare_exchange_weak_explicit(&pool->gate, &gate, gate + 1, memory_order_acquire,
                                               memory_order_relaxed))
      continue;
    done = gate / GATE_NUMBER;
    work(pool, worker->index);
    uint32_t left = atomic_fetch_sub(&pool->gate, 1) - 1;
    if (!(left & GATE_INSIDE) && atomic_load(&pool->caller_waits)) futex_wake_all(&pool->gate);
  }
}

// Moves the caller off a core that a worker is bound to: the system takes 10 ms and more to see that the two share it.
static void settle(const Pool *pool) {
  int core = sched_getcpu();
  cpu_set_t allowed, left;
  if (core < 0 || !CPU_ISSET(core, &pool->taken) || sched_getaffinity(0, sizeof allowed, &allowed)) return;
  CPU_AND(&left, &allowed, &pool->taken);
  CPU_XOR(&left, &allowed, &left);
  if (sched_setaffinity(0, sizeof left, &left)) return; // none is left
  sched_setaffinity(0, sizeof allowed, &allowed);
}

void pool_run(Pool *pool, PoolJob *job, void *context, int64_t n_tasks) {
  if (n_tasks <= 0) return;
  if (pool->threads == 1 || n_tasks == 1) {
    job(context, 0, 0, n_tasks);
    return;
  }
  settle(pool);
  pool->job = job;
  pool->context = context;
  int64_t share = (n_tasks + pool->threads - 1) / pool->threads;
  pool->chunk = share >= 8 ? share / 8 : 1; // eight helpings a worker: even enough, and few atomics
  for (int i = 0; i < pool->threads; i++) {
    int64_t begin = i * share < n_tasks ? i * share : n_tasks;
    pool->shares[i].end = begin + share < n_tasks ? begin + share : n_tasks;
    atomic_store_explicit(&pool->shares[i].next, begin, memory_order_relaxed);
  }
  uint32_t gate = atomic_load_explicit(&pool->gate, memory_order_relaxed);
  atomic_store(&pool->gate, ((gate / GATE_NUMBER + 1) * (uint32_t)GATE_NUMBER) | GATE_OPEN);
  if (atomic_load(&pool->n_asleep)) futex_wake_all(&pool->gate);
  work(pool, 0);

  gate = atomic_fetch_and_explicit(&pool->gate, ~(uint32_t)GATE_OPEN, memory_order_acquire) & ~(uint32_t)GATE_OPEN;
  for (int i = 0; gate & GATE_INSIDE; i++) {
    if (i < pool->spins) {
      pause_briefly();
    } else {
      atomic_store(&pool->caller_waits, true);
      gate = atomic_load(&pool->gate);
      if (gate & GATE_INSIDE) futex_wait(&pool->gate, gate);
      atomic_store(&pool->caller_waits, false);
    }
    gate = atomic_load_explicit(&pool->gate, memory_order_acquire);
  }
}

// One worker to a core, where the pool has the machine to itself; the caller is not bound, because threads and
// processes that it starts later would inherit its place.
static void pin_workers(Pool *pool) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) || CPU_COUNT(&allowed) != pool->threads) return;
  int index = 0;
  for (int core = 0; core < CPU_SETSIZE && index < pool->threads; core++) {
    if (!CPU_ISSET(core, &allowed)) continue;
    if (index > 0) {
      cpu_set_t own;
      CPU_ZERO(&own);
      CPU_SET(core, &own);
      if (!pthread_setaffinity_np(pool->workers[index].thread, sizeof own, &own)) // refused: it runs anywhere
        CPU_SET(core, &pool->taken);
    }
    index++;
  }
}

// Pauses that take SPIN_NANOSECONDS: a pause is 10 to 150 cycles, by make of processor.
static int count_spins(void) {
  enum { TRIAL = 200 };
  double least = 1e9;
  for (int round = 0; round < 3; round++) { // the shortest: not the one in which the system took the core away
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < TRIAL; i++) pause_briefly();
    clock_gettime(CLOCK_MONOTONIC, &end);
    double took = 1e9 * (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec);
    if (took < least) least = took;
  }
  double spins = SPIN_NANOSECONDS * (double)TRIAL / (least > 1 ? least : 1);
  return spins < 100000 ? (int)spins : 100000;
}

Status pool_open(int threads, Pool **out) {
  int cores = parallel_cores();
  if (threads <= 0) threads = cores;
  if (threads > MAX_THREADS) threads = MAX_THREADS;
  Pool *pool = aligned_alloc(128, sizeof *pool);
  if (!pool) BUG("out of memory");
  memset(pool, 0, sizeof *pool);
  pool->threads = threads;
  pool->spins = threads > 1 && threads <= cores ? count_spins() : 0; // spinning would keep a core from those who work
  pool->shares = aligned_alloc(128, (size_t)threads * sizeof *pool->shares);
  pool->workers = calloc((size_t)threads, sizeof *pool->workers);
  if (!pool->shares || !pool->workers) BUG("out of memory");
  memset(pool->shares, 0, (size_t)threads * sizeof *pool->shares);
  for (int i = 1; i < threads; i++) {
    pool->workers[i] = (Worker){.pool = pool, .index = i};
    int error = pthread_create(&pool->workers[i].thread, NULL, worker_main, &pool->workers[i]);
    if (error) {
      pool->threads = i;
      pool_close(pool);
      return status_make(EXIT_DEVICE, "cannot start %d threads: %s", threads, strerror(error));
    }
  }
  pin_workers(pool);
  *out = pool;
  return STATUS_OK;
}

void pool_close(Pool *pool) {
  if (!pool) return;
  atomic_store(&pool->is_closing, true);
  atomic_fetch_add(&pool->gate, GATE_NUMBER); // whoever is about to sleep sees a change
  futex_wake_all(&pool->gate);
  for (int i = 1; i < pool->threads; i++) pthread_join(pool->workers[i].thread, NULL);
  free(pool->workers);
  free(pool->shares);
  free(pool);
}

int pool_threads(const Pool *pool) { return pool->threads; }
