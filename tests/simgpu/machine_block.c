#include "tests/simgpu/machine_run.h"

#include <stdio.h>
#include <string.h>

uint64_t worker_random(Worker *worker) { // splitmix64
  uint64_t z = worker->random += 0x9e3779b97f4a7c15ull;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return z ^ z >> 31;
}

void worker_order(Worker *worker, int n, int *out) {
  for (int k = 0; k < n; k++) out[k] = sim_options.order == SIM_BACKWARDS ? n - 1 - k : k;
  if (sim_options.order != SIM_SHUFFLED) return;
  for (int k = n - 1; k > 0; k--) {
    int other = (int)(worker_random(worker) % (uint64_t)(k + 1)), kept = out[k];
    out[k] = out[other];
    out[other] = kept;
  }
}

static void begin(Worker *worker, uint32_t index) {
  const SimLaunch *launch = worker->launch->launch;
  const SimEntry *entry = worker->launch->entry;
  SimBlock *block = &worker->block;
  block->index = index;
  block->ctaid[0] = index % launch->grid[0];
  block->ctaid[1] = index / launch->grid[0] % launch->grid[1];
  block->ctaid[2] = index / launch->grid[0] / launch->grid[1];
  worker->n_exited = 0;
  worker->random = sim_options.seed * 0x9e3779b97f4a7c15ull + index;
  memset(worker->arrived, 0, sizeof worker->arrived);
  // Shared memory holds nothing yet: its old bytes stay, but nobody may read them.
  uint8_t *state = block->shared - SIM_SHARED_SPAN;
  for (int k = 0; k < entry->n_shared; k++) memset(state + entry->shared[k].offset, SIM_FRESH, entry->shared[k].bytes);
  memset(state + block->dynamic, SIM_FRESH, block->dynamic_bytes);
  for (int k = 0; k < worker->n_threads; k++) {
    SimThread *thread = &worker->threads[k];
    thread->pc = 0;
    thread->wait = WAIT_NOTHING;
    thread->fuel = (int64_t)sim_options.max_steps;
    thread->now = 0;
    copy_forget(thread);
  }
  if (sim_options.finds_races) race_begin_block(worker);
}

// Runs a warp's lanes until all of them wait for other warps or have ended.
static bool run_warp(Worker *worker, int warp) {
  int first = warp * WARP, n = worker->n_threads - first, order[WARP];
  bool progress = false;
  if (n > WARP) n = WARP;
  do {
    bool is_plain = sim_options.order == SIM_FORWARDS;
    if (!is_plain) worker_order(worker, n, order);
    for (int k = 0; k < n; k++) {
      SimThread *thread = &worker->threads[first + (is_plain ? k : order[k])];
      if (thread->wait != WAIT_NOTHING) continue;
      worker->launch->entry->run(thread, &worker->block);
      if (thread->wait == WAIT_EXITED) worker->n_exited++;
      progress = true;
    }
  } while (worker->n_exited < worker->n_threads && warp_resolve(worker, warp));
  return progress;
}

static const char *waits_for(const SimThread *thread) {
  switch (thread->wait) {
  case WAIT_EXITED: return "has ended";
  case WAIT_BARRIER: return "waits at a barrier";
  case WAIT_WARP: return "waits at a barrier of its warp";
  case WAIT_SHUFFLE: return "waits at a shuffle";
  case WAIT_MATRIX: return "waits at a matrix product";
  default: return "waits at an operation of its warp";
  }
}

static __attribute__((noreturn)) void conflict(Worker *worker, SimThread *thread, const SimThread *other,
                                               const char *what) {
  char who[120], where[200];
  describe_thread(other, &worker->block, who, sizeof who);
  if (other->wait == WAIT_EXITED) snprintf(where, sizeof where, "which has ended");
  else {
    char site[140];
    describe_site(&worker->block, other->site, site, sizeof site);
    snprintf(where, sizeof where, "which %s (%s)", waits_for(other), site);
  }
  fault_at(thread, &worker->block, SIM_BARRIER, thread->site, "%s: not reached by %s, %s; waited for", what, who,
           where);
}

// Compilers may copy a barrier into both ways of a branch that whole warps take: the copies have one source line.
static bool same_barrier(const Worker *worker, const SimThread *a, const SimThread *b) {
  if (a->wait != WAIT_BARRIER || b->wait != WAIT_BARRIER || a->barrier != b->barrier) return false;
  if (a->site == b->site || !a->in[1]) return true;
  const SimSite *sites = worker->launch->entry->sites;
  int line = sites[a->site].source_line, other = sites[b->site].source_line;
  return a->warp == b->warp ? line && line == other : line == other || !line || !other;
}

// A barrier of the whole block is complete when all of its threads wait there.
static void check_whole(Worker *worker, SimThread *thread) {
  for (int k = 0; k < worker->n_threads; k++) {
    SimThread *first = &worker->threads[k / WARP * WARP], *other = &worker->threads[k];
    if (!same_barrier(worker, thread, other)) conflict(worker, thread, other, "divergent barrier");
    if (!same_barrier(worker, first, other)) conflict(worker, first, other, "divergent barrier");
  }
}

// At a barrier of some warps all lanes of a warp wait at the same one.
static void check_aligned(Worker *worker, uint32_t number) {
  for (int k = 0; k < worker->n_threads; k++) {
    SimThread *first = &worker->threads[k / WARP * WARP], *other = &worker->threads[k];
    if (first->wait == WAIT_BARRIER && first->barrier == number && first->in[1] && !same_barrier(worker, first, other))
      conflict(worker, first, other, "divergent barrier");
  }
}

static void release(Worker *worker, uint32_t number) {
  bool takes_part[1024] = {false};
  uint32_t votes = 0, n = 0;
  for (int k = 0; k < worker->n_threads; k++) {
    SimThread *thread = &worker->threads[k];
    if (thread->wait != WAIT_BARRIER || thread->barrier != number) continue;
    takes_part[k] = true;
    votes += thread->in[0];
    n++;
  }
  for (int k = 0; k < worker->n_threads; k++) {
    SimThread *thread = &worker->threads[k];
    if (!takes_part[k]) continue;
    thread->out[0] = thread->sub == BARRIER_POPC ? votes : thread->sub == BARRIER_AND ? votes == n : votes > 0;
    thread->wait = WAIT_NOTHING;
  }
  worker->arrived[number] = 0;
  worker->barriers++;
  if (sim_options.finds_races) race_barrier(worker, number, takes_part);
  if (sim_options.counts && (int)n == worker->n_threads) count_block(worker);
}

// Lets the threads go on whose barrier is complete.
static bool release_barriers(Worker *worker) {
  uint32_t waiting[MAX_BARRIERS] = {0};
  SimThread *first[MAX_BARRIERS] = {0};
  for (int k = 0; k < worker->n_threads; k++) {
    SimThread *thread = &worker->threads[k];
    if (thread->wait != WAIT_BARRIER) continue;
    if (thread->barrier >= MAX_BARRIERS)
      fault_at(thread, &worker->block, SIM_BARRIER, thread->site, "barrier %u of 16", thread->barrier);
    if (thread->barrier_count % WARP)
      fault_at(thread, &worker->block, SIM_BARRIER, thread->site, "barrier of %u threads, which are no whole warps",
               thread->barrier_count);
    waiting[thread->barrier]++;
    if (!first[thread->barrier]) first[thread->barrier] = thread;
  }
  bool progress = false;
  for (uint32_t number = 0; number < MAX_BARRIERS; number++) {
    SimThread *thread = first[number];
    if (!thread) continue;
    uint32_t here = waiting[number] + worker->arrived[number];
    if (thread->barrier_count == 0 && (int)waiting[number] == worker->n_threads) {
      check_whole(worker, thread);
    } else if (thread->barrier_count && here >= thread->barrier_count) {
      if (here > thread->barrier_count)
        fault_at(thread, &worker->block, SIM_BARRIER, thread->site, "%u threads at a barrier of %u", here,
                 thread->barrier_count);
      check_aligned(worker, number);
    } else {
      continue;
    }
    release(worker, number);
    progress = true;
  }
  return progress;
}

// Nobody can go on.
static __attribute__((noreturn)) void stuck(Worker *worker) {
  SimThread *thread = NULL;
  for (int k = 0; k < worker->n_threads && !thread; k++)
    if (worker->threads[k].wait != WAIT_EXITED) thread = &worker->threads[k];
  if (thread->wait == WAIT_BARRIER)
    for (int k = 0; k < worker->n_threads; k++)
      if (worker->threads[k].wait != WAIT_BARRIER || worker->threads[k].barrier != thread->barrier)
        conflict(worker, thread, &worker->threads[k], "divergent barrier");
  for (int k = 0; k < worker->n_threads; k++) {
    SimThread *other = &worker->threads[k];
    if (other->warp == thread->warp && (thread->mask >> other->lane & 1) &&
        (other->wait != thread->wait || other->site != thread->site || other->mask != thread->mask))
      conflict(worker, thread, other,
               other->site == thread->site && other->wait == thread->wait ? "lanes name different masks"
                                                                          : "lane named by the mask never comes");
  }
  fault_at(thread, &worker->block, SIM_BARRIER, thread->site, "threads wait for ever, first waited for");
}

void worker_run_block(Worker *worker, uint32_t index) {
  int order[1024 / WARP];
  begin(worker, index);
  while (worker->n_exited < worker->n_threads) {
    bool progress = false;
    worker_order(worker, worker->n_warps, order);
    for (int k = 0; k < worker->n_warps; k++) progress |= run_warp(worker, order[k]);
    if (worker->n_exited == worker->n_threads) break;
    progress |= release_barriers(worker);
    if (!progress) stuck(worker);
  }
}
