// Updates: the new values of parameters and state, written over the old ones when nobody needs those any more.
#include "compiler/plan/plan.h"

bool plan_can_overwrite(const Group *group, const Node *out, const Node *in) {
  bool is_by_element = group_is_pointwise(group) || (out->op == OP_all_reduce && in == out->in[0]);
  return shape_equal(out->shape, in->shape) && layout_equal(out->layout, in->layout) && is_by_element;
}

static bool reads(const PlanStep *step, int buffer) {
  for (int k = 0; k < step->n_read; k++) {
    if (step->args[k].buffer == buffer) return true;
  }
  return false;
}

// Whether `step` reads the leaf's buffer in a way that lets it write `value` there: once, at the index that it writes.
static bool can_overwrite_leaf(const Plan *plan, int number, const Node *value, const Node *leaf) {
  const PlanStep *step = &plan->steps[number];
  int n_reads = 0;
  for (int k = 0; k < step->n_read; k++) n_reads += step->args[k].buffer == plan->buffer_of[leaf->id];
  if (!n_reads) return true;
  bool is_direct = false;
  for (int k = 0; k < step->group->n_ins; k++) is_direct |= step->group->ins[k] == leaf;
  return n_reads == 1 && is_direct && plan_can_overwrite(step->group, value, leaf);
}

// Marks the step and all that must come after it.
static void mark_later(const Plan *plan, int step, bool *is_later) {
  for (int i = 0; i < plan->n_steps; i++) is_later[i] = i == step;
  for (bool changed = true; changed;) { // steps nearly stand in order, so that a round or two settle it
    changed = false;
    for (int i = 0; i < plan->n_steps; i++) {
      for (int k = 0, earlier; !is_later[i] && (earlier = plan_earlier(&plan->steps[i], k)) >= 0; k++)
        changed |= is_later[i] = is_later[earlier];
    }
  }
}

// The step that may write the update's value straight over the leaf, or -1.
static int find_direct_writer(const Plan *plan, const GraphUpdate *update, bool *is_later) {
  const Node *value = update->value;
  int writer = plan->producer[value->id];
  if (writer < 0 || plan->steps[writer].is_setup || (value->into && !plan->is_apart)) return -1;
  if (!layout_equal(value->layout, NULL) || value->op == OP_concat) return -1; // a concat may have several writers
  int buffer = plan->buffer_of[value->id];
  if (plan->buffers[buffer].kind != BUFFER_SLAB || plan->buffers[buffer].size != shape_elements(value->shape))
    return -1;
  if (!can_overwrite_leaf(plan, writer, value, update->leaf)) return -1;
  mark_later(plan, writer, is_later);
  for (int i = 0; i < plan->n_steps; i++) {
    if (i != writer && is_later[i] && reads(&plan->steps[i], plan->buffer_of[update->leaf->id])) return -1;
  }
  return writer;
}

// `writer` destroys what the buffer held when the run began: everyone else who wants that comes first.
static void add_readers_before(Plan *plan, int buffer, int writer) {
  for (int i = 0; i < plan->n_steps; i++) {
    if (i != writer && reads(&plan->steps[i], buffer)) plan_add_before(plan, writer, i);
  }
}

static void move_buffer(Plan *plan, int from, int to) {
  for (int i = 0; i < plan->n_steps; i++) {
    for (int k = 0; k < plan->steps[i].n_args; k++) {
      if (plan->steps[i].args[k].buffer == from) plan->steps[i].args[k].buffer = to;
    }
  }
  plan->buffers[from].size = 0; // nobody uses it
}

static bool is_updated(const Plan *plan, const Node *leaf) {
  for (int i = 0; i < plan->graph->n_updates; i++) {
    if (plan->graph->updates[i].leaf == leaf) return true;
  }
  return false;
}

// A copy of the value, if it stands in the buffer of a leaf that this run overwrites: the number of a buffer, or -1.
static int stage(Plan *plan, const Node *value) {
  const Node *root = plan->is_apart ? value : storage_root(value);
  if (!op_is_leaf(root->op) || !is_updated(plan, root)) return -1;
  int64_t size = shape_elements(value->shape);
  int buffer = plan_add_buffer(plan, (Buffer){.kind = BUFFER_SLAB, .shape = value->shape, .size = size});
  plan_add_copy(plan, value, buffer);
  return buffer;
}

void plan_updates(Plan *plan) {
  const Graph *graph = plan->graph;
  int n = graph->n_updates;
  int *staged = ARENA_ARRAY(plan->arena, int, n + 1), *staging_step = ARENA_ARRAY(plan->arena, int, n + 1);
  for (int i = 0; i < n; i++) {
    staged[i] = stage(plan, graph->updates[i].value);
    staging_step[i] = plan->n_steps - 1;
  }
  bool *is_direct = ARENA_ARRAY(plan->arena, bool, n + 1);
  bool *is_later = ARENA_ARRAY(plan->arena, bool, plan->n_steps + 1);
  for (int i = 0; i < n; i++) {
    const GraphUpdate *update = &graph->updates[i];
    int writer = staged[i] < 0 ? find_direct_writer(plan, update, is_later) : -1;
    if (writer < 0) continue;
    is_direct[i] = true;
    int leaf = plan->buffer_of[update->leaf->id];
    add_readers_before(plan, leaf, writer);
    move_buffer(plan, plan->buffer_of[update->value->id], leaf);
    plan->buffer_of[update->value->id] = leaf;
  }
  for (int i = 0; i < n; i++) {
    if (is_direct[i]) continue;
    const GraphUpdate *update = &graph->updates[i];
    int leaf = plan->buffer_of[update->leaf->id];
    int copy = plan_add_copy(plan, update->value, leaf);
    add_readers_before(plan, leaf, copy);
    if (staged[i] < 0) continue;
    plan->steps[copy].args[0] = (PlanArg){staged[i], 0};
    plan_add_before(plan, copy, staging_step[i]);
  }
}
