// Parallel: threads that take turn after turn from one counter; the cores that there are.
#include "runtime/base/parallel.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/status.h"

// The CPU quota of the control group in whole cores, or INT_MAX.
static int cgroup_cores(void) {
  double quota = 0, period = 0;
  FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
  if (file) {
    if (fscanf(file, "%lf %lf", &quota, &period) != 2) quota = 0; // "max": no quota
    fclose(file);
  } else {
    FILE *quota_file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "re");
    FILE *period_file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "re");
    if (!quota_file || fscanf(quota_file, "%lf", &quota) != 1) quota = 0;
    if (!period_file || fscanf(period_file, "%lf", &period) != 1) period = 0;
    if (quota_file) fclose(quota_file);
    if (period_file) fclose(period_file);
  }
  if (quota <= 0 || period <= 0) return INT_MAX;
  int cores = (int)(quota / period + 0.99);
  return cores < 1 ? 1 : cores;
}

int parallel_cores(void) {
  cpu_set_t set;
  int cores = sched_getaffinity(0, sizeof set, &set) ? (int)sysconf(_SC_NPROCESSORS_ONLN) : CPU_COUNT(&set);
  int quota = cgroup_cores();
  if (quota < cores) cores = quota;
  return cores < 1 ? 1 : cores;
}

// ---- the loop -------------------------------------------------------------------------------------------------------

typedef struct Worker {
  Parallel *parallel;
  int number;
  pthread_t thread;
} Worker;

struct Parallel {
  ParallelTurn *turn;
  void *context;
  int n_turns, n_threads;
  _Atomic int next;
  Worker worker[]; // the threads
};

static void work(Parallel *parallel, int number) {
  for (int i; (i = atomic_fetch_add(&parallel->next, 1)) < parallel->n_turns;)
    parallel->turn(parallel->context, number, i);
}

static void *worker_main(void *argument) {
  Worker *worker = argument;
  work(worker->parallel, worker->number);
  return NULL;
}

Parallel *parallel_start(int n_turns, int n_workers, ParallelTurn *turn, void *context) {
  int most = n_workers > 1 ? n_workers - 1 : 0;
  Parallel *parallel = calloc(1, sizeof *parallel + sizeof *parallel->worker * (size_t)most);
  if (!parallel) BUG("out of memory");
  parallel->turn = turn;
  parallel->context = context;
  parallel->n_turns = n_turns;
  while (parallel->n_threads < most) {
    Worker *worker = &parallel->worker[parallel->n_threads];
    *worker = (Worker){.parallel = parallel, .number = parallel->n_threads + 1};
    if (pthread_create(&worker->thread, NULL, worker_main, worker)) break; // fewer do it too
    parallel->n_threads++;
  }
  return parallel;
}

void parallel_finish(Parallel *parallel) {
  work(parallel, 0);
  for (int i = 0; i < parallel->n_threads; i++) pthread_join(parallel->worker[i].thread, NULL);
  free(parallel);
}
