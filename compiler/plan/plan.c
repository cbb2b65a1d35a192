// Plan: buffers for values, steps for groups, copies for results that cannot be computed in place.
#include "compiler/plan/plan.h"

#include "compiler/ops/eval.h"
#include "runtime/base/status.h"

// ---- buffers --------------------------------------------------------------------------------------------------------

int plan_add_buffer(Plan *plan, Buffer buffer) {
  ARENA_PUSH(plan->arena, plan->buffers, plan->n_buffers, plan->cap_buffers, buffer);
  return plan->n_buffers - 1;
}

// Floats from the value's first element to behind its last one, padding included.
static int64_t extent(const Node *node) {
  int64_t n = layout_elements(node->shape, node->layout);
  if (storage_is_contiguous(node)) return n;
  int64_t images = node->shape.dim[0];
  return (images - 1) * storage_batch_stride(node) + n / images;
}

// What no step computes: inputs, parameters, state, constants; numbers and counters where someone needs them in memory.
static Buffer leaf_buffer(Plan *plan, const Node *node) {
  Buffer buffer = {.name = node->name, .shape = node->shape, .size = shape_elements(node->shape)};
  if (node->op == OP_input) {
    buffer.kind = BUFFER_INPUT;
  } else if (node->op == OP_param || node->op == OP_state) {
    buffer.kind = BUFFER_PARAM;
    buffer.is_state = node->op == OP_state;
    buffer.stored_as_i64 = node->stored_as_i64;
    buffer.init_kind = (int)node->init.kind;
    buffer.init_a = node->init.a;
    buffer.init_b = node->init.b;
  } else {
    float *data = ARENA_ARRAY(plan->arena, float, buffer.size);
    node_eval(node, NULL, data);
    buffer.kind = BUFFER_CONSTANT;
    buffer.data = data;
  }
  return buffer;
}

// The buffer of a value that is its own storage root; made when first asked for.
static int root_buffer(Plan *plan, const Node *root) {
  int *number = &plan->buffer_of[root->id];
  if (*number >= 0) return *number;
  Buffer buffer = {.kind = BUFFER_SLAB, .shape = root->shape};
  if (op_is_leaf(root->op) && plan->producer[root->id] < 0) buffer = leaf_buffer(plan, root);
  if (plan->extent[root->id] > buffer.size) buffer.size = plan->extent[root->id];
  *number = plan_add_buffer(plan, buffer);
  return *number;
}

PlanArg plan_arg(Plan *plan, const Node *value) {
  if (plan->is_apart) return (PlanArg){root_buffer(plan, value), 0};
  return (PlanArg){root_buffer(plan, storage_root(value)), storage_offset(value)};
}

int plan_lane(const PlanStep *step) {
  bool is_collective = step->group && step->group->nodes[0]->op == OP_all_reduce;
  return is_collective ? (int)node_attr(step->group->nodes[0], "lane").i : -1;
}

// ---- steps ----------------------------------------------------------------------------------------------------------

void plan_add_before(Plan *plan, int step, int earlier) {
  PlanStep *s = &plan->steps[step];
  if (step == earlier || plan->steps[earlier].is_setup != s->is_setup) return;
  for (int i = 0; i < s->n_before; i++) {
    if (s->before[i] == earlier) return;
  }
  ARENA_PUSH(plan->arena, s->before, s->n_before, s->cap_before, earlier);
}

// The step comes after all that compute the value: one, or those behind a view or a concat written in place.
static void add_producers(Plan *plan, int step, const Node *value) {
  if (plan->producer[value->id] >= 0) plan_add_before(plan, step, plan->producer[value->id]);
  if (plan->is_apart || op_is_leaf(value->op)) return;
  for (int k = 0; k < value->n_in; k++) {
    bool is_part = node_is_view(value) || (value->op == OP_concat && concat_is_in_place(value, k));
    if (is_part) add_producers(plan, step, value->in[k]);
  }
}

int plan_add_copy(Plan *plan, const Node *value, int to_buffer) {
  int step = plan->n_steps;
  PlanStep copy = {.copied = shape_elements(value->shape),
                   .about = value,
                   .args = ARENA_ARRAY(plan->arena, PlanArg, 2),
                   .n_args = 2,
                   .n_read = 1,
                   .behind = -1};
  copy.args[0] = plan_arg(plan, value);
  copy.args[1] = (PlanArg){to_buffer, 0};
  ARENA_PUSH(plan->arena, plan->steps, plan->n_steps, plan->cap_steps, copy);
  add_producers(plan, step, value);
  return step;
}

static void add_group(Plan *plan, const Group *group) {
  PlanStep step = {.group = group,
                   .about = group->outs[group->n_outs - 1],
                   .is_setup = true,
                   .args = ARENA_ARRAY(plan->arena, PlanArg, group->n_ins + group->n_outs),
                   .n_args = group->n_ins + group->n_outs,
                   .n_read = group->n_ins,
                   .behind = -1};
  if (plan_lane(&step) >= 0) { // the all-reduce before is an operand for the order's sake alone
    step.n_read = 1;
    step.n_args = 2;
  }
  for (int i = 0; i < group->n_nodes; i++) // setup may read numbers and counters, which depend on nothing
    step.is_setup &= group->nodes[i]->is_setup || op_is_leaf(group->nodes[i]->op);
  for (int i = 0; i < group->n_outs; i++) plan->producer[group->outs[i]->id] = plan->n_steps;
  ARENA_PUSH(plan->arena, plan->steps, plan->n_steps, plan->cap_steps, step);
}

static void connect_group(Plan *plan, int number) {
  PlanStep *step = &plan->steps[number];
  const Group *group = step->group;
  for (int i = 0; i < step->n_read; i++) {
    step->args[i] = plan_arg(plan, group->ins[i]);
    add_producers(plan, number, group->ins[i]);
  }
  for (int i = 0; i < group->n_outs; i++) step->args[step->n_read + i] = plan_arg(plan, group->outs[i]);
  if (plan_lane(step) >= 0 && group->nodes[0]->n_in > 1) step->behind = plan->producer[group->nodes[0]->in[1]->id];
}

static const Group *row_of(const PlanStep *step, int i, int n) { return step->n_rows ? step->row[i / n] : step->group; }

const Node *plan_step_out(const PlanStep *step, int i, const Group **out_group) {
  *out_group = row_of(step, i, step->group->n_outs);
  return (*out_group)->outs[i % step->group->n_outs];
}

const Node *plan_step_in(const PlanStep *step, int i, const Group **out_group) {
  *out_group = row_of(step, i, step->group->n_ins);
  return (*out_group)->ins[i % step->group->n_ins];
}

// Setup values that the run reads are kept; the others live in the slab while setup runs.
static void keep_setup_values(Plan *plan) {
  bool *is_computed_in_setup = ARENA_ARRAY(plan->arena, bool, plan->n_buffers + 1);
  for (int i = 0; i < plan->n_steps; i++) {
    const PlanStep *step = &plan->steps[i];
    for (int k = step->n_read; k < step->n_args && step->is_setup; k++)
      is_computed_in_setup[step->args[k].buffer] = true;
  }
  for (int i = 0; i < plan->n_steps; i++) {
    const PlanStep *step = &plan->steps[i];
    for (int k = 0; k < step->n_args && !step->is_setup; k++) {
      Buffer *buffer = &plan->buffers[step->args[k].buffer];
      if (is_computed_in_setup[step->args[k].buffer] && buffer->kind == BUFFER_SLAB) buffer->kind = BUFFER_SETUP;
    }
  }
}

// Weights that the run does not read lie in the slab until setup has read them. Where there are updates the program
// trains, and they all are to be saved.
static void mark_brief_weights(Plan *plan) {
  for (int b = 0; b < plan->n_buffers; b++)
    plan->buffers[b].is_brief = plan->buffers[b].kind == BUFFER_PARAM && !plan->graph->n_updates;
  for (int i = 0; i < plan->n_steps; i++) {
    const PlanStep *step = &plan->steps[i];
    for (int k = 0; k < step->n_args && !step->is_setup; k++) plan->buffers[step->args[k].buffer].is_brief = false;
  }
}

// ---- results --------------------------------------------------------------------------------------------------------

// Whether the value's buffer can be the output itself: computed by the run, holding this value and nothing else.
static bool can_be_output(Plan *plan, const Node *value) {
  PlanArg arg = plan_arg(plan, value);
  const Buffer *buffer = &plan->buffers[arg.buffer];
  const Node *root = plan->is_apart ? value : storage_root(value);
  return buffer->kind == BUFFER_SLAB && !root->is_setup && arg.offset == 0 &&
         buffer->size == shape_elements(value->shape) && layout_equal(root->layout, NULL);
}

static void add_outputs(Plan *plan) {
  const Graph *graph = plan->graph;
  for (int i = 0; i < graph->n_outputs; i++) {
    const GraphOutput *output = &graph->outputs[i];
    const Node *value = output->node;
    if (!layout_equal(value->layout, NULL) || !storage_is_contiguous(value))
      BUG("output '%s' is not stored row by row", output->name);
    Buffer buffer = {BUFFER_OUTPUT, .name = output->name, .shape = value->shape, .size = shape_elements(value->shape)};
    if (can_be_output(plan, value)) plan->buffers[plan_arg(plan, value).buffer] = buffer;
    else plan_add_copy(plan, value, plan_add_buffer(plan, buffer));
  }
}

// ---- all of it ------------------------------------------------------------------------------------------------------

static void measure_roots(Plan *plan) {
  for (int i = 0; i < plan->graph->n_nodes; i++) {
    const Node *node = plan->graph->nodes[i];
    const Node *root = plan->is_apart ? node : storage_root(node);
    int64_t end = plan->is_apart ? shape_elements(node->shape) : storage_offset(node) + extent(node);
    if (end > plan->extent[root->id]) plan->extent[root->id] = end;
  }
}

Plan *plan_build(const Graph *graph, const Group *groups, int n_groups, bool is_apart, int n_queues, Arena *arena) {
  Plan *plan = ARENA_ARRAY(arena, Plan, 1);
  *plan = (Plan){.arena = arena,
                 .graph = graph,
                 .is_apart = is_apart,
                 .n_queues = graph->is_scheduled ? 1 : n_queues,
                 .buffer_of = ARENA_ARRAY(arena, int, graph->n_nodes + 1),
                 .producer = ARENA_ARRAY(arena, int, graph->n_nodes + 1),
                 .extent = ARENA_ARRAY(arena, int64_t, graph->n_nodes + 1)};
  for (int i = 0; i < graph->n_nodes; i++) plan->buffer_of[i] = plan->producer[i] = -1;
  measure_roots(plan);
  for (int i = 0; i < n_groups; i++) add_group(plan, &groups[i]);
  // Leaves that the outside knows stand first, whether read or not.
  for (int i = 0; i < graph->n_nodes; i++) {
    Op op = graph->nodes[i]->op;
    if (op == OP_input || op == OP_param || op == OP_state) root_buffer(plan, graph->nodes[i]);
  }
  for (int i = 0; i < n_groups; i++) connect_group(plan, i);
  add_outputs(plan);
  plan_updates(plan);
  keep_setup_values(plan);
  mark_brief_weights(plan);
  plan_rows(plan);
  plan_memory(plan);
  return plan;
}
