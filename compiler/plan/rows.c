// Rows: equal kernels that do not depend on each other become one step, which computes all of them in one launch.
//
// Two steps with the same longest way to the end of the run cannot depend on each other, and merging such steps never
// makes a cycle. Only steps that leave little in the slab are merged: what they read and write is live all at once.
#include <string.h>

#include "compiler/plan/plan.h"

enum { MOST_LEFT = 1 << 14 }; // floats in the slab

typedef struct Rows {
  Plan *plan;
  int *height; // by step: the steps after it on the longest way to the end
  int *into;   // by step: the one that it has become a row of, or itself
} Rows;

// Steps stand nearly in order, so that a round or two settle it.
static void find_heights(Rows *r) {
  const Plan *plan = r->plan;
  for (bool changed = true; changed;) {
    changed = false;
    for (int i = plan->n_steps - 1; i >= 0; i--) {
      for (int k = 0, earlier; (earlier = plan_earlier(&plan->steps[i], k)) >= 0; k++) {
        int *before = &r->height[earlier];
        if (*before > r->height[i]) continue;
        *before = r->height[i] + 1;
        changed = true;
      }
    }
  }
}

static bool leaves_little(const Plan *plan, const PlanStep *step) {
  int64_t floats = 0;
  for (int k = step->n_read; k < step->n_args; k++) {
    const Buffer *buffer = &plan->buffers[step->args[k].buffer];
    if (buffer->kind == BUFFER_SLAB) floats += buffer->size;
  }
  return floats <= MOST_LEFT;
}

static bool can_join(const Rows *r, int a, int b) {
  const PlanStep *x = &r->plan->steps[a], *y = &r->plan->steps[b];
  return r->height[a] == r->height[b] && x->is_setup == y->is_setup && x->n_rows < SG_COUNTERS &&
         strcmp(x->group->row_symbol, y->group->row_symbol) == 0;
}

// Appends step b to a as further rows. All rows' reads stand before all rows' writes.
static void append(Plan *plan, PlanStep *a, const PlanStep *b) {
  PlanArg *args = ARENA_ARRAY(plan->arena, PlanArg, a->n_args + b->n_args);
  int n = 0;
  for (int k = 0; k < a->n_read; k++) args[n++] = a->args[k];
  for (int k = 0; k < b->n_read; k++) args[n++] = b->args[k];
  for (int k = a->n_read; k < a->n_args; k++) args[n++] = a->args[k];
  for (int k = b->n_read; k < b->n_args; k++) args[n++] = b->args[k];
  a->args = args;
  a->n_args = n;
  a->n_read += b->n_read;
  ARENA_PUSH(plan->arena, a->row, a->n_rows, a->cap_rows, b->group);
}

// Drops the steps that went into others; what came before or after them comes before or after those.
static void renumber(Rows *r) {
  Plan *plan = r->plan;
  int *number = ARENA_ARRAY(plan->arena, int, plan->n_steps + 1), n = 0;
  for (int i = 0; i < plan->n_steps; i++) number[i] = r->into[i] == i ? n++ : -1;
  PlanStep *steps = ARENA_ARRAY(plan->arena, PlanStep, n + 1);
  PlanStep *old = plan->steps;
  int n_old = plan->n_steps;
  for (int i = 0; i < n_old; i++) {
    if (number[i] < 0) continue;
    steps[number[i]] = old[i];
    steps[number[i]].before = NULL;
    steps[number[i]].n_before = steps[number[i]].cap_before = 0;
    if (old[i].behind >= 0) steps[number[i]].behind = number[r->into[old[i].behind]];
  }
  plan->steps = steps;
  plan->n_steps = plan->cap_steps = n;
  for (int i = 0; i < n_old; i++) {
    for (int k = 0; k < old[i].n_before; k++)
      plan_add_before(plan, number[r->into[i]], number[r->into[old[i].before[k]]]);
  }
  for (int i = 0; i < plan->graph->n_nodes; i++) {
    if (plan->producer[i] >= 0) plan->producer[i] = number[r->into[plan->producer[i]]];
  }
}

void plan_rows(Plan *plan) {
  int n = plan->n_steps;
  Rows r = {plan, ARENA_ARRAY(plan->arena, int, n + 1), ARENA_ARRAY(plan->arena, int, n + 1)};
  find_heights(&r);
  int *open = ARENA_ARRAY(plan->arena, int, n + 1), n_open = 0; // steps that others may join
  for (int i = 0; i < n; i++) {
    r.into[i] = i;
    PlanStep *step = &plan->steps[i];
    if (!step->group || !step->group->row_symbol) continue;
    ARENA_PUSH(plan->arena, step->row, step->n_rows, step->cap_rows, step->group);
    if (!leaves_little(plan, step)) continue;
    int k = 0;
    while (k < n_open && !can_join(&r, open[k], i)) k++;
    if (k == n_open) {
      open[n_open++] = i;
      continue;
    }
    append(plan, &plan->steps[open[k]], step);
    r.into[i] = open[k];
  }
  renumber(&r);
}
