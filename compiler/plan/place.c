// Place: the plan's steps in order, its buffers at their offsets.
#include "compiler/plan/plan.h"
#include "runtime/base/status.h"

// Appends the steps of one phase to plan->order.
static void order_phase(Plan *plan, bool is_setup, int *n_done) {
  Arena *arena = arena_new();
  int *number = ARENA_ARRAY(arena, int, plan->n_steps + 1), *step_of = ARENA_ARRAY(arena, int, plan->n_steps + 1);
  int n = 0;
  for (int i = 0; i < plan->n_steps; i++) {
    if (plan->steps[i].is_setup != is_setup) continue;
    number[i] = n;
    step_of[n++] = i;
  }
  OrderStep *steps = ARENA_ARRAY(arena, OrderStep, n + 1);
  int64_t *size = ARENA_ARRAY(arena, int64_t, plan->n_buffers + 1);
  int *seen = ARENA_ARRAY(arena, int, plan->n_buffers + 1); // 1 + the step that named the buffer last
  for (int b = 0; b < plan->n_buffers; b++) {
    if (plan->buffers[b].kind == BUFFER_SLAB) size[b] = memory_round(plan->buffers[b].size);
  }
  for (int i = 0; i < n; i++) {
    const PlanStep *step = &plan->steps[step_of[i]];
    int *before = ARENA_ARRAY(arena, int, step->n_before + 2), *touches = ARENA_ARRAY(arena, int, step->n_args + 1);
    int n_before = 0, n_touches = 0;
    for (int k = 0, earlier; (earlier = plan_earlier(step, k)) >= 0; k++) before[n_before++] = number[earlier];
    for (int k = 0; k < step->n_args; k++) {
      int b = step->args[k].buffer;
      if (seen[b] == i + 1) continue;
      seen[b] = i + 1;
      touches[n_touches++] = b;
    }
    steps[i] = (OrderStep){before, n_before, touches, n_touches, plan_lane(step)};
  }
  int *order = ARENA_ARRAY(arena, int, n + 1);
  order_steps(steps, n, size, plan->n_buffers, plan->graph->is_scheduled, arena, order);
  for (int i = 0; i < n; i++) plan->order[(*n_done)++] = step_of[order[i]];
  arena_free(arena);
}

// ---- queues ---------------------------------------------------------------------------------------------------------

int64_t plan_step_cost(const Plan *plan, const PlanStep *step) {
  enum { START = 3000000, FLOPS_A_BYTE = 10 };
  int64_t cost = START;
  for (int k = 0; k < step->n_args; k++) cost += 4 * plan->buffers[step->args[k].buffer].size;
  for (int k = 0; step->group && k < step->group->n_nodes; k++)
    cost += node_cost(step->group->nodes[k]).flops / FLOPS_A_BYTE;
  return cost;
}

// Sets the queue of each step of the run, what it waits for, and the moment at which it begins, by place in the order.
// Setup steps stand on the first queue, and are done when the run begins.
static QueueClock *make_queues(Plan *plan, Arena *arena) {
  int n = plan->n_steps - plan->n_setup, *order = plan->order + plan->n_setup;
  int *place = ARENA_ARRAY(arena, int, plan->n_steps + 1);
  for (int i = 0; i < n; i++) place[order[i]] = i;
  QueueStep *steps = ARENA_ARRAY(arena, QueueStep, n + 1);
  for (int i = 0; i < n; i++) {
    const PlanStep *step = &plan->steps[order[i]];
    int *before = ARENA_ARRAY(arena, int, step->n_before + 1);
    for (int k = 0; k < step->n_before; k++) before[k] = place[step->before[k]];
    steps[i] = (QueueStep){before, step->n_before, plan_step_cost(plan, step), plan_lane(step)};
  }
  QueueClock *clocks = ARENA_ARRAY(arena, QueueClock, plan->n_steps + 1);
  queues_assign(steps, n, plan->n_queues, arena, plan->queue + plan->n_setup);
  queues_wait(steps, n, plan->queue + plan->n_setup, plan->arena, clocks + plan->n_setup, plan->waits + plan->n_setup,
              plan->n_waits + plan->n_setup);
  for (int i = 0; i < plan->n_steps; i++) {
    for (int q = 0; q < ALL_QUEUES; q++) {
      int *at = &clocks[i].at[q];
      if (i < plan->n_setup) *at = q == 0 ? i - 1 : -1;
      else *at = *at >= 0 ? *at + plan->n_setup : q == 0 ? plan->n_setup - 1 : -1;
    }
  }
  return clocks;
}

// Whether all of the run stands on one queue, so that places in the order say what comes before what.
static bool has_one_queue(const Plan *plan) {
  for (int i = 0; i < plan->n_steps; i++) {
    if (plan->queue[i] != 0) return false;
  }
  return true;
}

// ---- taking over ----------------------------------------------------------------------------------------------------

// Buffers that share memory, as trees; the root's item stands for all.
static int find_root(int *parent, int b) {
  while (parent[b] != b) b = parent[b] = parent[parent[b]];
  return b;
}

// Whether another argument of the step lies in that memory.
static bool is_shared(const PlanStep *step, int except1, int except2, int *parent, int root) {
  for (int k = 0; k < step->n_args; k++) {
    if (k != except1 && k != except2 && find_root(parent, step->args[k].buffer) == root) return true;
  }
  return false;
}

// Whether the step at that place is the last that needs the memory, whatever else is running.
static bool dies_at(const Plan *plan, const MemoryItem *item, int at, const QueueClock *clocks) {
  if (item->last != at) return false;
  if (!item->end) return true;
  QueueClock now = clocks[at];
  now.at[plan->queue[at]] = at;
  return queue_clock_covers(&now, item->end);
}

// Lets an element-wise kernel write over an operand of equal form that dies with it.
static void take_over(Plan *plan, int at, MemoryItem *items, int *parent, const QueueClock *clocks) {
  const PlanStep *step = &plan->steps[plan->order[at]];
  if (!step->group || plan->is_apart) return;
  for (int o = step->n_read; o < step->n_args; o++) {
    int out = step->args[o].buffer;
    const Group *group, *reader;
    const Node *value = plan_step_out(step, o - step->n_read, &group);
    if (plan->buffers[out].kind != BUFFER_SLAB || value->into || parent[out] != out || items[out].first != at) continue;
    for (int k = 0; k < step->n_read; k++) {
      int in = step->args[k].buffer, root = find_root(parent, in);
      if (plan->buffers[in].kind != BUFFER_SLAB || step->args[k].offset || !dies_at(plan, &items[root], at, clocks) ||
          root == out)
        continue;
      const Node *operand = plan_step_in(step, k, &reader);
      if (reader != group || operand->into || plan->buffers[in].size != plan->buffers[out].size) continue;
      if (is_shared(step, k, o, parent, root) || is_shared(step, o, o, parent, out)) continue;
      if (!plan_can_overwrite(group, value, operand)) continue;
      parent[out] = root;
      items[root].last = items[out].last;
      if (items[root].end) queue_clock_join((QueueClock *)items[root].end, items[out].end);
      items[out].size = 0;
      break;
    }
  }
}

// ---- offsets --------------------------------------------------------------------------------------------------------

// When each item is needed, as the queues see it.
static void set_moments(const Plan *plan, MemoryItem *items, const QueueClock *clocks, Arena *arena) {
  for (int i = 0; i < plan->n_steps; i++) {
    const PlanStep *step = &plan->steps[plan->order[i]];
    for (int k = 0; k < step->n_args; k++) {
      MemoryItem *item = &items[step->args[k].buffer];
      if (!item->begin) {
        QueueClock *end = ARENA_ARRAY(arena, QueueClock, 1);
        for (int q = 0; q < ALL_QUEUES; q++) end->at[q] = -1;
        item->begin = arena_memdup(arena, &clocks[i], sizeof *clocks);
        item->end = end;
      }
      QueueClock *begin = (QueueClock *)item->begin, *end = (QueueClock *)item->end;
      for (int q = 0; q < ALL_QUEUES; q++) {
        if (clocks[i].at[q] < begin->at[q]) begin->at[q] = clocks[i].at[q];
      }
      if (i > end->at[plan->queue[i]]) end->at[plan->queue[i]] = i;
      for (int q = 0; q < ALL_QUEUES && plan->buffers[step->args[k].buffer].is_brief; q++) begin->at[q] = -1;
    }
  }
}

static void place_slab(Plan *plan) {
  Arena *arena = arena_new();
  int n = plan->n_buffers;
  const QueueClock *clocks = make_queues(plan, arena);
  MemoryItem *items = ARENA_ARRAY(arena, MemoryItem, n + 1);
  int *parent = ARENA_ARRAY(arena, int, n + 1);
  for (int b = 0; b < n; b++) {
    parent[b] = b;
    items[b].first = -1;
  }
  for (int i = 0; i < plan->n_steps; i++) {
    const PlanStep *step = &plan->steps[plan->order[i]];
    for (int k = 0; k < step->n_args; k++) {
      MemoryItem *item = &items[step->args[k].buffer];
      if (item->first < 0) item->first = i;
      item->last = i;
      item->size = plan->buffers[step->args[k].buffer].size;
    }
  }
  for (int b = 0; b < n; b++) { // set before all steps; what nobody reads may be written over at once
    if (!plan->buffers[b].is_brief) continue;
    items[b] = (MemoryItem){plan->buffers[b].size, .first = 0, .last = items[b].last > 0 ? items[b].last : 0};
  }
  if (!has_one_queue(plan)) set_moments(plan, items, clocks, arena);
  for (int i = 0; i < plan->n_steps; i++) take_over(plan, i, items, parent, clocks);
  for (int b = 0; b < n; b++) {
    if (!buffer_in_slab(&plan->buffers[b])) items[b] = (MemoryItem){.first = -1, .last = -1};
  }
  plan->slab = memory_place(items, n, arena);
  for (int b = 0; b < n; b++) {
    if (buffer_in_slab(&plan->buffers[b])) plan->buffers[b].offset = items[find_root(parent, b)].offset;
  }
  arena_free(arena);
}

void plan_memory(Plan *plan) {
  plan->order = ARENA_ARRAY(plan->arena, int, plan->n_steps + 1);
  plan->queue = ARENA_ARRAY(plan->arena, int, plan->n_steps + 1);
  plan->waits = ARENA_ARRAY(plan->arena, int *, plan->n_steps + 1);
  plan->n_waits = ARENA_ARRAY(plan->arena, int, plan->n_steps + 1);
  int n = 0;
  order_phase(plan, true, &n);
  plan->n_setup = n;
  order_phase(plan, false, &n);
  plan->persistent = 0;
  for (int b = 0; b < plan->n_buffers; b++) {
    Buffer *buffer = &plan->buffers[b];
    if (buffer_in_slab(buffer)) continue;
    buffer->offset = plan->persistent;
    plan->persistent += memory_round(buffer->size);
  }
  place_slab(plan);
}
