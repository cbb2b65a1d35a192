// Order: which step runs when, so that little memory is live at once.
#include <string.h>

#include "compiler/plan/plan.h"
#include "runtime/base/status.h"

typedef struct Orderer {
  const OrderStep *steps;
  int n_steps;
  const int64_t *size;
  int *waits_for;           // by step: how many of `before` have not run
  int *first_after, *after; // by step: those that have it in `before`
  int *n_touches_left;      // by buffer
  bool *is_live;            // by buffer
} Orderer;

static void orderer_init(Orderer *o, const OrderStep *steps, int n_steps, const int64_t *size, int n_buffers,
                         Arena *arena) {
  *o = (Orderer){.steps = steps,
                 .n_steps = n_steps,
                 .size = size,
                 .waits_for = ARENA_ARRAY(arena, int, n_steps + 1),
                 .first_after = ARENA_ARRAY(arena, int, n_steps + 2),
                 .n_touches_left = ARENA_ARRAY(arena, int, n_buffers + 1),
                 .is_live = ARENA_ARRAY(arena, bool, n_buffers + 1)};
  int n = 0;
  for (int i = 0; i < n_steps; i++) {
    for (int k = 0; k < steps[i].n_before; k++) o->first_after[steps[i].before[k] + 1]++;
    for (int k = 0; k < steps[i].n_touches; k++) o->n_touches_left[steps[i].touches[k]]++;
    o->waits_for[i] = steps[i].n_before;
    n += steps[i].n_before;
  }
  for (int i = 0; i < n_steps; i++) o->first_after[i + 1] += o->first_after[i];
  o->after = ARENA_ARRAY(arena, int, n + 1);
  int *next = arena_memdup(arena, o->first_after, sizeof(int) * (size_t)(n_steps + 1));
  for (int i = 0; i < n_steps; i++) {
    for (int k = 0; k < steps[i].n_before; k++) o->after[next[steps[i].before[k]]++] = i;
  }
}

// Floats that become live, and those that then die, if the step runs now.
static void weigh(const Orderer *o, int step, int64_t *out_born, int64_t *out_died) {
  *out_born = *out_died = 0;
  for (int k = 0; k < o->steps[step].n_touches; k++) {
    int buffer = o->steps[step].touches[k];
    if (!o->is_live[buffer]) *out_born += o->size[buffer];
    if (o->n_touches_left[buffer] == 1) *out_died += o->size[buffer];
  }
}

static void run(Orderer *o, int step) {
  for (int k = 0; k < o->steps[step].n_touches; k++) {
    int buffer = o->steps[step].touches[k];
    o->is_live[buffer] = --o->n_touches_left[buffer] > 0;
  }
  for (int k = o->first_after[step]; k < o->first_after[step + 1]; k++) o->waits_for[o->after[k]]--;
}

int64_t order_peak(const OrderStep *steps, int n_steps, const int64_t *size, int n_buffers, const int *order,
                   Arena *arena) {
  Orderer o;
  orderer_init(&o, steps, n_steps, size, n_buffers, arena);
  int64_t live = 0, peak = 0, born, died;
  for (int i = 0; i < n_steps; i++) {
    weigh(&o, order[i], &born, &died);
    if (live + born > peak) peak = live + born;
    live += born - died;
    run(&o, order[i]);
  }
  return peak;
}

enum { TURNS = 4 };

// 0 for collective operations, 2 for steps that wait for an urgent one, 3 for a large one: lower ones go first, so that
// there is work to do while the network is busy.
static int turn_of(const Orderer *o, int step) {
  if (o->steps[step].lane >= 0) return 0;
  int turn = 1;
  for (int k = 0; k < o->steps[step].n_before; k++) {
    int lane = o->steps[o->steps[step].before[k]].lane;
    if (lane == LANE_LARGE) return 3;
    if (lane == LANE_URGENT) turn = 2;
  }
  return turn;
}

// Takes ready steps one after another: by rank, or the one that leaves the least live. Ties go to the lowest number,
// which keeps neighbours of the text together.
static void take_in_turn(Orderer *o, bool is_greedy, bool has_turns, int *order, Arena *arena) {
  int *ready = ARENA_ARRAY(arena, int, o->n_steps + 1); // ascending
  int n_ready = 0, n_done = 0;
  bool has_collectives = false;
  for (int i = 0; i < o->n_steps; i++) {
    if (!o->waits_for[i]) ready[n_ready++] = i;
    has_collectives |= has_turns && o->steps[i].lane >= 0;
  }
  while (n_ready) {
    int best = 0, best_turn = TURNS;
    int64_t best_growth = 0;
    for (int i = 0; (is_greedy || has_collectives) && i < n_ready; i++) {
      int turn = has_collectives ? turn_of(o, ready[i]) : 1;
      int64_t born = 0, died = 0;
      if (is_greedy) weigh(o, ready[i], &born, &died);
      if (turn > best_turn || (turn == best_turn && born - died >= best_growth)) continue;
      best = i;
      best_turn = turn;
      best_growth = born - died;
    }
    int step = ready[best];
    memmove(&ready[best], &ready[best + 1], sizeof *ready * (size_t)(--n_ready - best));
    run(o, step);
    order[n_done++] = step;
    for (int k = o->first_after[step]; k < o->first_after[step + 1]; k++) {
      int next = o->after[k];
      if (o->waits_for[next]) continue;
      o->waits_for[next] = -1; // named twice as a successor, ready once
      int at = n_ready++;
      for (; at > 0 && ready[at - 1] > next; at--) ready[at] = ready[at - 1];
      ready[at] = next;
    }
  }
  if (n_done < o->n_steps) BUG("steps wait for each other");
}

void order_steps(const OrderStep *steps, int n_steps, const int64_t *size, int n_buffers, bool is_given, Arena *arena,
                 int *order) {
  int *greedy = ARENA_ARRAY(arena, int, n_steps + 1);
  Orderer o;
  orderer_init(&o, steps, n_steps, size, n_buffers, arena);
  take_in_turn(&o, false, !is_given, order, arena);
  if (is_given) return;
  orderer_init(&o, steps, n_steps, size, n_buffers, arena);
  take_in_turn(&o, true, true, greedy, arena);
  int64_t plain_peak = order_peak(steps, n_steps, size, n_buffers, order, arena);
  if (order_peak(steps, n_steps, size, n_buffers, greedy, arena) < plain_peak)
    memcpy(order, greedy, sizeof *order * (size_t)n_steps);
}
