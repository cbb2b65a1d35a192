// Queues: which steps run side by side, and what waits for what.
//
// Long chains of steps that do not depend on each other (the base learners of a stack, weight gradients beside the
// backward pass) get queues of their own; everything else stays with what it follows. A step's clock says, for each
// queue, up to which step of it everything has certainly been done when the step begins; what the clock does not cover
// already, the step waits for. Collective operations have a queue for each lane, so that an urgent one runs beside a
// large one that began before; all stand in one order, the same on all devices.
#include <string.h>

#include "compiler/plan/plan.h"
#include "runtime/base/status.h"

enum { MAX_CHAINS = 64 };

typedef struct Chains {
  const QueueStep *steps;
  int n;
  int *chain;     // by step: its number, or -1
  int64_t *sum;   // cost of the heaviest path that ends here
  int *previous;  // on that path, or -1
  int64_t *start; // when the step could begin if nothing but what it depends on held it up
  int n_chains;
  int64_t begin[MAX_CHAINS], end[MAX_CHAINS], cost[MAX_CHAINS];
} Chains;

// The last step of the heaviest path through steps that belong to no chain yet, or -1.
static int find_heaviest(Chains *c) {
  int best = -1;
  for (int i = 0; i < c->n; i++) {
    if (c->chain[i] >= 0 || c->steps[i].lane >= 0) continue;
    c->sum[i] = c->steps[i].cost;
    c->previous[i] = -1;
    for (int k = 0; k < c->steps[i].n_before; k++) {
      int before = c->steps[i].before[k];
      if (c->chain[before] >= 0 || c->steps[before].lane >= 0) continue;
      if (c->sum[before] + c->steps[i].cost <= c->sum[i]) continue;
      c->sum[i] = c->sum[before] + c->steps[i].cost;
      c->previous[i] = before;
    }
    if (best < 0 || c->sum[i] > c->sum[best]) best = i;
  }
  return best;
}

static void find_starts(Chains *c) {
  for (int i = 0; i < c->n; i++) {
    for (int k = 0; k < c->steps[i].n_before; k++) {
      int before = c->steps[i].before[k];
      int64_t end = c->start[before] + c->steps[before].cost;
      if (end > c->start[i]) c->start[i] = end;
    }
  }
}

// Chains of at least that cost, heaviest first.
static void find_chains(Chains *c, int64_t least) {
  while (c->n_chains < MAX_CHAINS) {
    int last = find_heaviest(c);
    if (last < 0 || (c->n_chains && c->sum[last] < least)) return;
    int number = c->n_chains++;
    c->cost[number] = c->sum[last];
    c->end[number] = c->start[last] + c->steps[last].cost;
    for (int i = last; i >= 0; i = c->previous[i]) {
      c->chain[i] = number;
      c->begin[number] = c->start[i];
    }
  }
}

static int64_t overlap(const Chains *c, int a, int b) {
  int64_t begin = c->begin[a] > c->begin[b] ? c->begin[a] : c->begin[b];
  int64_t end = c->end[a] < c->end[b] ? c->end[a] : c->end[b];
  return end > begin ? end - begin : 0;
}

// Each chain goes to the queue whose chains it meets least in time.
static void choose_queues(const Chains *c, int n_queues, int *queue_of_chain) {
  for (int i = 0; i < c->n_chains; i++) {
    int64_t met[MAX_QUEUES] = {0};
    int best = 0;
    for (int k = 0; k < i; k++) met[queue_of_chain[k]] += overlap(c, i, k);
    for (int q = 1; q < n_queues; q++) {
      if (met[q] < met[best]) best = q;
    }
    queue_of_chain[i] = best;
  }
}

void queues_assign(const QueueStep *steps, int n, int n_queues, Arena *arena, int *queue) {
  if (n_queues < 1 || n_queues > MAX_QUEUES) BUG("%d queues", n_queues);
  Chains c = {.steps = steps,
              .n = n,
              .chain = ARENA_ARRAY(arena, int, n + 1),
              .sum = ARENA_ARRAY(arena, int64_t, n + 1),
              .previous = ARENA_ARRAY(arena, int, n + 1),
              .start = ARENA_ARRAY(arena, int64_t, n + 1)};
  int queue_of_chain[MAX_CHAINS];
  int64_t total = 0;
  for (int i = 0; i < n; i++) {
    c.chain[i] = -1;
    total += steps[i].cost;
  }
  if (n_queues > 1) {
    find_starts(&c);
    find_chains(&c, total / 50);
    choose_queues(&c, n_queues, queue_of_chain);
  }
  for (int i = 0; i < n; i++) {
    queue[i] = 0;
    if (steps[i].lane >= 0) {
      queue[i] = MAX_QUEUES + steps[i].lane;
    } else if (c.chain[i] >= 0) {
      queue[i] = queue_of_chain[c.chain[i]];
    } else { // stays with the latest of those that it follows
      int latest = -1;
      for (int k = 0; k < steps[i].n_before; k++) {
        int before = steps[i].before[k];
        if (steps[before].lane < 0 && before > latest) latest = before;
      }
      if (latest >= 0) queue[i] = queue[latest];
    }
  }
}

// ---- clocks ---------------------------------------------------------------------------------------------------------

// Whether step `before` of queue `queue` is done when a step with that clock begins.
static bool is_covered(const QueueClock *clock, int queue, int before) { return clock->at[queue] >= before; }

bool queue_clock_covers(const QueueClock *now, const QueueClock *end) {
  for (int q = 0; q < ALL_QUEUES; q++) {
    if (end->at[q] > now->at[q]) return false;
  }
  return true;
}

void queue_clock_join(QueueClock *clock, const QueueClock *other) {
  for (int q = 0; q < ALL_QUEUES; q++) {
    if (other->at[q] > clock->at[q]) clock->at[q] = other->at[q];
  }
}

void queues_wait(const QueueStep *steps, int n, const int *queue, Arena *arena, QueueClock *clocks, int **waits,
                 int *n_waits) {
  int last[ALL_QUEUES];
  for (int q = 0; q < ALL_QUEUES; q++) last[q] = -1;
  for (int i = 0; i < n; i++) {
    QueueClock *clock = &clocks[i];
    for (int q = 0; q < ALL_QUEUES; q++) clock->at[q] = -1;
    if (last[queue[i]] >= 0) queue_clock_join(clock, &clocks[last[queue[i]]]);
    if (last[queue[i]] >= 0) clock->at[queue[i]] = last[queue[i]];
    waits[i] = ARENA_ARRAY(arena, int, ALL_QUEUES);
    n_waits[i] = 0;
    // The latest first: what it waited for itself need not be waited for again.
    for (int below = n;;) {
      int latest = -1;
      for (int k = 0; k < steps[i].n_before; k++) {
        int before = steps[i].before[k];
        if (before < below && before > latest && !is_covered(clock, queue[before], before)) latest = before;
      }
      if (latest < 0) break;
      waits[i][n_waits[i]++] = latest;
      queue_clock_join(clock, &clocks[latest]);
      clock->at[queue[latest]] = latest;
      below = latest;
    }
    last[queue[i]] = i;
  }
}
