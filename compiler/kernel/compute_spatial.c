// What resize and its gradient compute: taps from tables, one for each row and column.
#include "compiler/kernel/compute.h"
#include "compiler/ops/build.h"
#include "compiler/ops/rules.h"

typedef struct ResizeAxis {
  bool is_same; // low = index, no weight
  IrExpr *low, *high, *weight;
} ResizeAxis;

static ResizeTap tap_of(const Node *node, int64_t in, int64_t out, int64_t i) {
  return resize_tap(resize_is_nearest(node), node_attr(node, "align_corners").i == 1, in, out, i);
}

static ResizeAxis resize_axis(Lower *lower, const Node *node, int axis, IrExpr *i) {
  Ir *ir = lower->ir;
  int64_t in = node->in[0]->shape.dim[axis], out = node->shape.dim[axis];
  if (in == out) return (ResizeAxis){.is_same = true, .low = i};
  double *low = ARENA_ARRAY(ir->arena, double, out), *high = ARENA_ARRAY(ir->arena, double, out),
         *weight = ARENA_ARRAY(ir->arena, double, out);
  for (int64_t k = 0; k < out; k++) {
    ResizeTap tap = tap_of(node, in, out, k);
    low[k] = (double)tap.low;
    high[k] = (double)tap.high;
    weight[k] = tap.weight;
  }
  bool is_y = axis == 2;
  ResizeAxis r = {.low = ir_lookup(ir, ir_table(ir, is_y ? "top" : "left", IR_INDEX, out, low), i, 0, in - 1)};
  if (resize_is_nearest(node)) {
    r.is_same = true;
    return r;
  }
  r.high = ir_lookup(ir, ir_table(ir, is_y ? "bottom" : "right", IR_INDEX, out, high), i, 0, in - 1);
  r.weight = ir_load(ir, ir_table(ir, is_y ? "down" : "across", IR_FLOAT, out, weight), i);
  return r;
}

// a + weight * (b - a)
static IrExpr *between(Ir *ir, IrExpr *a, IrExpr *b, IrExpr *weight) {
  return ir_op2(ir, OP_add, a, ir_op2(ir, OP_mul, weight, ir_op2(ir, OP_sub, b, a)));
}

IrExpr *compute_resize(Lower *lower, const Node *node, IrExpr *const *index) {
  Ir *ir = lower->ir;
  ResizeAxis y = resize_axis(lower, node, 2, index[2]), x = resize_axis(lower, node, 3, index[3]);
  IrExpr *row[2];
  for (int k = 0; k < (y.is_same ? 1 : 2); k++) {
    IrExpr *at[4] = {index[0], index[1], k ? y.high : y.low, x.low};
    row[k] = lower_value(lower, node->in[0], at);
    if (x.is_same) continue;
    at[3] = x.high;
    row[k] = between(ir, row[k], lower_value(lower, node->in[0], at), x.weight);
  }
  return y.is_same ? row[0] : between(ir, row[0], row[1], y.weight);
}

ResizeGather compute_resize_gather(Arena *arena, const Node *node, int axis) {
  int64_t in = node->shape.dim[axis], out = node->in[0]->shape.dim[axis]; // sizes of the resize that this reverses
  int64_t *first = ARENA_ARRAY(arena, int64_t, in), *last = ARENA_ARRAY(arena, int64_t, in);
  for (int64_t k = 0; k < in; k++) first[k] = out, last[k] = -1;
  for (int64_t k = 0; k < out; k++) {
    ResizeTap tap = tap_of(node, in, out, k);
    int64_t touched[2] = {tap.low, tap.weight != 0 ? tap.high : tap.low};
    for (int t = 0; t < 2; t++) {
      if (k < first[touched[t]]) first[touched[t]] = k;
      if (k > last[touched[t]]) last[touched[t]] = k;
    }
  }
  int64_t length = 1;
  for (int64_t k = 0; k < in; k++) {
    if (last[k] - first[k] + 1 > length) length = last[k] - first[k] + 1;
  }
  ResizeGather gather = {length, ARENA_ARRAY(arena, double, in), ARENA_ARRAY(arena, double, in *length)};
  for (int64_t k = 0; k < in; k++) {
    int64_t from = first[k] + length <= out ? first[k] : out - length;
    gather.start[k] = (double)from;
    for (int64_t j = 0; j < length; j++) {
      ResizeTap tap = tap_of(node, in, out, from + j);
      if (tap.low == k) gather.weight[k * length + j] += 1 - tap.weight;
      if (tap.high == k) gather.weight[k * length + j] += tap.weight;
    }
  }
  return gather;
}

typedef struct GatherAxis {
  IrVar *var;
  IrExpr *source, *weight;
} GatherAxis;

static GatherAxis gather_axis(Lower *lower, const Node *node, int axis, IrExpr *i) {
  Ir *ir = lower->ir;
  int64_t in = node->shape.dim[axis], out = node->in[0]->shape.dim[axis];
  ResizeGather gather = compute_resize_gather(ir->arena, node, axis);
  bool is_y = axis == 2;
  GatherAxis g = {.var = ir_var(ir, IR_INDEX, is_y ? "ky" : "kx", 0, gather.length - 1)};
  IrExpr *k = ir_ref(ir, g.var);
  IrBuffer *starts = ir_table(ir, is_y ? "top" : "left", IR_INDEX, in, gather.start);
  g.source = ir_add(ir, ir_lookup(ir, starts, i, 0, out - gather.length), k);
  IrBuffer *weights = ir_table(ir, is_y ? "down" : "across", IR_FLOAT, in * gather.length, gather.weight);
  g.weight = ir_load(ir, weights, ir_add(ir, ir_scale(ir, i, gather.length), k));
  return g;
}

IrExpr *compute_resize_grad(Lower *lower, const Node *node, IrExpr *const *index) {
  Ir *ir = lower->ir;
  GatherAxis y = gather_axis(lower, node, 2, index[2]), x = gather_axis(lower, node, 3, index[3]);
  IrExpr *at[4] = {index[0], index[1], y.source, x.source};
  IrExpr *weighted = ir_op2(ir, OP_mul, x.weight, lower_value(lower, node->in[0], at));
  IrExpr *row = ir_op2(ir, OP_mul, y.weight, ir_reduce(ir, OP_add, x.var, x.var->hi + 1, weighted));
  return ir_reduce(ir, OP_add, y.var, y.var->hi + 1, row);
}
