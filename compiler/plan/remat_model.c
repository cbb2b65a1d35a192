// Remat model: a plan as ops that read and write buffers of the slab, and what can be computed again.
#include "compiler/plan/remat.h"

typedef struct Modeller {
  const Plan *plan;
  const Target *target;
  GroupIndex *index;
  Arena *arena;
  RematModel *model;
  bool *is_copied; // by buffer: a copy reads it, which knows the value itself alone
  int *seen;       // by buffer: scratch
  int n_seen;
  int cap_ops;
} Modeller;

// Buffers so much smaller than the slab do not count: there are many of them, and they hold little.
enum { SMALLEST_SHARE = 4096 };

static bool counts(const Plan *plan, int buffer) {
  return plan->buffers[buffer].kind == BUFFER_SLAB && SMALLEST_SHARE * plan->buffers[buffer].size >= plan->slab;
}

// The buffers of the arguments that lie in the slab, each once, without `except`.
static const int *distinct(Modeller *m, const PlanArg *args, int n, int except, int *out_n) {
  int *list = ARENA_ARRAY(m->arena, int, n + 1), found = 0, mark = ++m->n_seen;
  for (int i = 0; i < n; i++) {
    int buffer = args[i].buffer;
    if (buffer == except || !counts(m->plan, buffer) || m->seen[buffer] == mark) continue;
    m->seen[buffer] = mark;
    list[found++] = buffer;
  }
  *out_n = found;
  return list;
}

// Pairs as take_over in place.c finds them.
static const int *find_over(Modeller *m, const PlanStep *step, int *out_n) {
  const Plan *plan = m->plan;
  int *pairs = NULL, n = 0, cap = 0;
  for (int o = step->n_read; step->group && !plan->is_apart && o < step->n_args; o++) {
    for (int k = 0; k < step->n_read; k++) {
      int in = step->args[k].buffer, out = step->args[o].buffer;
      if (in == out || step->args[k].offset || !counts(plan, in) || !counts(plan, out)) continue;
      if (plan->buffers[in].size != plan->buffers[out].size) continue;
      const Group *group = NULL;
      const Node *value = plan_step_out(step, o - step->n_read, &group), *operand = plan_step_in(step, k, &group);
      if (value->into || operand->into || !plan_can_overwrite(group, value, operand)) continue;
      ARENA_PUSH(m->arena, pairs, n, cap, in);
      ARENA_PUSH(m->arena, pairs, n, cap, out);
    }
  }
  *out_n = n / 2;
  return pairs;
}

static void add_op(Modeller *m, RematOp op) { ARENA_PUSH(m->arena, m->model->ops, m->model->n_ops, m->cap_ops, op); }

static void add_step(Modeller *m, const PlanStep *step) {
  RematOp op = {.step = step, .buffer = -1};
  op.reads = distinct(m, step->args, step->n_read, -1, &op.n_reads);
  op.writes = distinct(m, step->args + step->n_read, step->n_args - step->n_read, -1, &op.n_writes);
  op.over = find_over(m, step, &op.n_over);
  for (int k = 0; k < step->n_read && !step->group; k++) m->is_copied[step->args[k].buffer] = true;
  add_op(m, op);
}

// ---- computing again ------------------------------------------------------------------------------------------------

// Members that the step's values in the buffer are made of.
static bool *find_needed(Modeller *m, const PlanStep *step, int buffer) {
  const Group *group = step->group;
  bool *is_needed = ARENA_ARRAY(m->arena, bool, group->n_nodes);
  for (int i = 0; i < group->n_outs; i++) {
    if (step->args[step->n_read + i].buffer != buffer) continue;
    for (int k = 0; k < group->n_nodes; k++) is_needed[k] |= group->nodes[k] == group->outs[i];
  }
  for (int i = group->n_nodes - 1; i >= 0; i--) {
    for (int k = 0; k < group->nodes[i]->n_in && is_needed[i]; k++) {
      for (int j = 0; j < i; j++) is_needed[j] |= group->nodes[j] == group->nodes[i]->in[k];
    }
  }
  return is_needed;
}

static bool is_sum(const Node *node) {
  OpClass cls = op_info(node->op)->cls;
  return cls == CLASS_REDUCE || cls == CLASS_CONTRACT || cls == CLASS_COMPOSITE;
}

// The part of the step's kernel that is computed again for the buffer. How sums are split may depend on all that a
// kernel does: where there are any, the whole kernel runs again, so that every bit stays. NULL if it cannot be: what
// all devices do together, and what the kernel generator does not make by itself.
static Group *find_part(Modeller *m, const PlanStep *step, int buffer) {
  const Group *group = step->group;
  bool *is_needed = find_needed(m, step, buffer), has_sums = false, is_pure = true;
  Node **nodes = ARENA_ARRAY(m->arena, Node *, group->n_nodes);
  int n = 0;
  for (int i = 0; i < group->n_nodes; i++) {
    has_sums |= is_needed[i] && is_sum(group->nodes[i]);
    is_pure &= op_info(group->nodes[i]->op)->cls != CLASS_COLLECTIVE && !op_is_leaf(group->nodes[i]->op);
  }
  for (int i = 0; i < group->n_nodes; i++) {
    if (is_needed[i] || has_sums) nodes[n++] = group->nodes[i];
  }
  Group *part = ARENA_ARRAY(m->arena, Group, 1);
  *part = n == group->n_nodes ? *group : group_make(m->index, nodes, n, m->arena);
  return is_pure && (n == group->n_nodes || kernel_can_fuse(m->target, part, NULL)) ? part : NULL;
}

// The floats of what a whole kernel makes for other buffers.
static int64_t measure_aside(const PlanStep *step, const Group *part, int buffer) {
  int64_t floats = 0;
  for (int i = step->n_read; i < step->n_args && part->n_nodes == step->group->n_nodes; i++) {
    const Node *value = step->group->outs[i - step->n_read];
    if (step->args[i].buffer != buffer) floats += memory_round(layout_elements(value->shape, value->layout));
  }
  return floats;
}

// Adds the op that computes the step's values in the buffer again; false if that cannot be.
static bool add_again(Modeller *m, const PlanStep *step, int buffer) {
  if (!step->group || step->n_rows) return false;
  const Group *part = find_part(m, step, buffer);
  if (!part) return false;
  PlanArg *args = ARENA_ARRAY(m->arena, PlanArg, part->n_ins + 1);
  for (int i = 0; i < part->n_ins; i++) {
    for (int k = 0; k < step->n_read; k++) {
      if (step->group->ins[k] == part->ins[i]) args[i] = step->args[k];
    }
  }
  args[part->n_ins] = (PlanArg){.buffer = buffer};
  PlanStep priced = {.group = part, .args = args, .n_args = part->n_ins + 1, .n_read = part->n_ins, .behind = -1};
  int *written = arena_memdup(m->arena, &buffer, sizeof buffer);
  RematOp op = {.step = step,
                .buffer = buffer,
                .nodes = part->nodes,
                .n_nodes = part->n_nodes,
                .writes = written,
                .n_writes = 1,
                .aside = measure_aside(step, part, buffer)};
  op.reads = distinct(m, args, part->n_ins, buffer, &op.n_reads);
  op.cost = plan_step_cost(m->plan, &priced);
  add_op(m, op);
  return true;
}

// The ops that compute each buffer again stand together, in the order of the plan.
static void add_recomputations(Modeller *m) {
  RematModel *model = m->model;
  int n_buffers = model->n_buffers;
  int *n_writers = ARENA_ARRAY(m->arena, int, n_buffers + 1), **writers = ARENA_ARRAY(m->arena, int *, n_buffers + 1);
  int *capacity = ARENA_ARRAY(m->arena, int, n_buffers + 1);
  for (int i = 0; i < model->n_steps; i++) {
    for (int k = 0; k < model->ops[i].n_writes; k++) {
      int buffer = model->ops[i].writes[k];
      ARENA_PUSH(m->arena, writers[buffer], n_writers[buffer], capacity[buffer], i);
    }
  }
  for (int b = 0; b < n_buffers; b++) {
    RematBuffer *buffer = &model->buffers[b];
    int first = model->n_ops;
    bool is_possible = n_writers[b] > 0 && !m->is_copied[b];
    for (int i = 0; i < n_writers[b] && is_possible; i++) is_possible = add_again(m, model->ops[writers[b][i]].step, b);
    if (!is_possible) {
      model->n_ops = first;
      continue;
    }
    *buffer = (RematBuffer){.size = buffer->size, .again = first, .n_again = n_writers[b]};
    for (int i = first; i < model->n_ops; i++) buffer->cost += model->ops[i].cost;
  }
}

RematModel *remat_model(const Plan *plan, const Target *target, GroupIndex *index, Arena *arena) {
  Modeller m = {.plan = plan, .target = target, .index = index, .arena = arena};
  m.model = ARENA_ARRAY(arena, RematModel, 1);
  m.model->n_buffers = plan->n_buffers;
  m.model->buffers = ARENA_ARRAY(arena, RematBuffer, plan->n_buffers + 1);
  m.is_copied = ARENA_ARRAY(arena, bool, plan->n_buffers + 1);
  m.seen = ARENA_ARRAY(arena, int, plan->n_buffers + 1);
  for (int b = 0; b < plan->n_buffers; b++) {
    if (counts(plan, b)) m.model->buffers[b].size = memory_round(plan->buffers[b].size);
  }
  for (int i = plan->n_setup; i < plan->n_steps; i++) add_step(&m, &plan->steps[plan->order[i]]);
  m.model->n_steps = m.model->n_ops;
  add_recomputations(&m);
  return m.model;
}

RematSchedule remat_begin(const RematModel *model, Arena *arena) {
  RematSchedule schedule = {.items = ARENA_ARRAY(arena, RematItem, model->n_steps + 1), .n = model->n_steps};
  for (int i = 0; i < model->n_steps; i++) schedule.items[i].op = i;
  return schedule;
}
