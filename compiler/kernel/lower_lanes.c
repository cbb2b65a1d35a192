// Elementwise members of a group at a vector of channels: the epilogue of contraction schedules.
#include "compiler/kernel/emit.h"
#include "compiler/kernel/group.h"
#include "runtime/base/status.h"

static IrExpr *or_zero(Ir *ir, const Node *node, int axis, IrExpr *index) {
  return node->shape.dim[axis] == 1 ? ir_int(ir, 0) : index;
}

IrExpr *lower_lane_offset(Lower *lower, const Node *node, const LanePoint *at) {
  Ir *ir = lower->ir;
  int64_t row = node->shape.dim[3] * node->layout->block;
  IrExpr *offset = ir_scale(ir, or_zero(ir, node, 0, at->n), storage_batch_stride(node));
  offset = ir_add(ir, offset, ir_scale(ir, at->b, row * node->shape.dim[2]));
  offset = ir_add(ir, offset, ir_scale(ir, or_zero(ir, node, 2, at->y), row));
  return ir_add(ir, offset, ir_scale(ir, or_zero(ir, node, 3, at->x), node->layout->block));
}

// Values known at an index, which are then not computed.
static void bind(Lower *lower, const Node *node, IrExpr *const *index, IrExpr *value) {
  IrExpr *at[MAX_RANK];
  for (int k = 0; k < node->shape.rank; k++) at[k] = or_zero(lower->ir, node, k, index[k]);
  lower_bind(lower, node, at, value);
}

// The values as vectors over the channels of block at[0].b; false if one has no such form.
static bool lanes_of(Lower *lower, int n, const Node *const *node, const LanePoint *at, int n_bound,
                     const Node *const *bound, IrExpr *const *bound_value, IrExpr **out_value) {
  Ir *ir = lower->ir;
  int64_t n_channels = 0;
  for (int k = 0; k < at->layout->c.n; k++) n_channels += at->layout->c.segment[k];
  IrVar *c = ir_var(ir, IR_INDEX, "c", 0, n_channels - 1);
  ChannelVar channel = {.var = c,
                        .block = ir_var(ir, IR_INDEX, "b", 0, channel_blocks(at->layout) - 1),
                        .lane = ir_var(ir, IR_INDEX, "lane", 0, at->layout->block - 1),
                        .layout = at->layout};
  ARENA_PUSH(ir->arena, lower->channels, lower->n_channels, lower->cap_channels, channel);
  IrExpr *index[4] = {at->n, ir_ref(ir, c), at->y, at->x};
  for (int k = 0; k < n_bound; k++) {
    if (bound_value) bind(lower, bound[k], index, bound_value[k]);
    else lower_read_back(lower, bound[k]);
  }
  for (int i = 0; i < n; i++) {
    IrExpr *own[4] = {at[i].n, index[1], at[i].y, at[i].x};
    for (int k = 0; k < 4; k++) own[k] = or_zero(ir, node[i], k, own[k]);
    out_value[i] = lower_value(lower, node[i], own);
  }
  Lanes lanes = {.lane = channel.lane,
                 .valid = ir_var(ir, IR_INDEX, "lane", 0, at->layout->block - 1),
                 .n_valid = lower_block_lanes(lower, at->layout, at->b)};
  ir_substitute_all(ir, n, out_value, channel.block, at->b);
  IrExpr *logical = ir_add(ir, lower_block_start(lower, at->layout, at->b), ir_ref(ir, lanes.valid));
  ir_substitute_all(ir, n, out_value, c, logical);
  if (!nest_vectorise(ir, n, out_value, &lanes)) return false;
  for (int i = 0; i < n; i++) out_value[i] = ir_splat(ir, out_value[i]);
  return true;
}

void lower_lanes(Lower *lower, IrStmt *block, int n, const Node *const *node, const LanePoint *at, int n_bound,
                 const Node *const *bound, IrExpr *const *bound_value, IrExpr **out_value) {
  if (!lanes_of(lower, n, node, at, n_bound, bound, bound_value, out_value))
    BUG("%s or another has no vector form; lower_can_lanes was not asked", op_info(node[0]->op)->name);
  Emit emit;
  emit_begin(&emit, lower, block);
  for (int i = 0; i < n; i++) emit_expect(&emit, out_value[i]);
  for (int i = 0; i < n; i++) out_value[i] = emit_value(&emit, out_value[i]);
}

static bool is_member(const Group *group, const Node *node) {
  for (int k = 0; k < group->n_nodes; k++) {
    if (group->nodes[k] == node) return true;
  }
  return false;
}

// Whether everything that is computed from `bound` (or inputs) up to the node is elementwise, or reduces rows.
static bool is_made_of(const Group *group, const Node *node, int n_bound, const Node *const *bound, bool can_reduce) {
  for (int k = 0; k < n_bound; k++) {
    if (bound[k] == node) return true;
  }
  if (!is_member(group, node)) return true;
  if (op_info(node->op)->cls != CLASS_ELEMENTWISE && !(can_reduce && node_reduces_rows(node))) return false;
  for (int k = 0; k < node->n_in; k++) {
    if (!is_made_of(group, node->in[k], n_bound, bound, can_reduce)) return false;
  }
  return true;
}

bool lower_can_lanes(const Group *group, const Node *node, const Layout *layout, int n_bound, const Node *const *bound,
                     bool is_stored, Text *why) {
  if (node->shape.rank != 4 || !is_made_of(group, node, n_bound, bound, is_stored)) {
    if (why) text_printf(why, "%s is not elementwise on a picture", op_info(node->op)->name);
    return false;
  }
  Arena *arena = arena_new();
  Target target = {.kind = TARGET_CPU, .vector = layout->block};
  Ir *ir = ir_new(arena, &target);
  Lower *lower = lower_new(ir, group);
  LanePoint at = {.layout = layout,
                  .n = ir_ref(ir, ir_var(ir, IR_INDEX, "n", 0, node->shape.dim[0] - 1)),
                  .b = ir_ref(ir, ir_var(ir, IR_INDEX, "b", 0, channel_blocks(layout) - 1)),
                  .y = ir_ref(ir, ir_var(ir, IR_INDEX, "y", 0, node->shape.dim[2] - 1)),
                  .x = ir_ref(ir, ir_var(ir, IR_INDEX, "x", 0, node->shape.dim[3] - 1))};
  IrExpr **value = ARENA_ARRAY(arena, IrExpr *, n_bound);
  for (int k = 0; k < n_bound; k++) value[k] = ir_ref(ir, ir_var(ir, IR_VECTOR, "bound", 0, 0));
  IrExpr *made;
  bool can = lanes_of(lower, 1, &node, &at, n_bound, bound, is_stored ? NULL : value, &made);
  if (!can && why) text_put(why, "an operand is not stored by the same channels");
  arena_free(arena);
  return can;
}
