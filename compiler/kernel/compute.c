// What ops compute, as expressions: index spaces, reductions, loads of operands at mapped indices.
#include "compiler/kernel/compute.h"

#include "compiler/kernel/ir_build.h"
#include "runtime/base/status.h"

// ---- elementwise

// The index of an operand that NumPy's rule broadcasts to `rank` axes.
static void broadcast_index(Ir *ir, const Node *operand, int rank, IrExpr *const *index, IrExpr **out) {
  int skip = rank - operand->shape.rank;
  for (int k = 0; k < operand->shape.rank; k++) out[k] = operand->shape.dim[k] == 1 ? ir_int(ir, 0) : index[k + skip];
}

static IrExpr *elementwise(Lower *lower, const Node *node, IrExpr *const *index) {
  IrExpr *arg[3], *at[MAX_RANK];
  for (int k = 0; k < node->n_in; k++) {
    broadcast_index(lower->ir, node->in[k], node->shape.rank, index, at);
    arg[k] = lower_value(lower, node->in[k], at);
  }
  return ir_op(lower->ir, node->op, node->attr, node->n_in, arg);
}

// ---- reductions

static bool is_bound_here(const IrExpr *e, const void *var) { return e->kind == IR_REDUCE && e->var == var; }
static bool binds(Ir *ir, const IrExpr *e, const IrVar *var) { return ir_any(ir, e, is_bound_here, var); }

static bool is_in(Shape axes, int axis) {
  for (int a = 0; a < axes.rank; a++) {
    if (axes.dim[a] == axis) return true;
  }
  return false;
}

// The factors of a product, apart by whether the variables of a sum occur in them.
typedef struct Factors {
  Lower *lower;
  Ir *ir;
  IrVar *const *var;         // MAX_RANK, some NULL
  IrExpr *inside, *outside;  // products; NULL = 1
  IrMap free[1 << MAX_RANK]; // by `bound` of is_summed: what it found free of the variables
} Factors;

// Whether e refers to one of the variables, or to the block or lane of a channel that one of them counts, other than
// under a reduction that binds it anew. Bit k of `bound` says that var[k] is bound.
static bool is_summed(Factors *f, const IrExpr *e, unsigned bound) {
  if (e->kind == IR_REF) {
    const ChannelVar *channel = lower_channel(f->lower, e->var);
    for (int k = 0; k < MAX_RANK; k++) {
      if (f->var[k] && !(bound >> k & 1) && (e->var == f->var[k] || (channel && channel->var == f->var[k])))
        return true;
    }
    return false;
  }
  if (e->n_args == 0 || ir_map_get(&f->free[bound], e)) return false;
  unsigned inner = bound;
  for (int k = 0; k < MAX_RANK; k++) {
    if (e->kind == IR_REDUCE && e->var == f->var[k]) inner |= 1u << k;
  }
  for (int k = 0; k < e->n_args; k++) {
    if (is_summed(f, e->arg[k], inner)) return true;
  }
  ir_map_set(&f->free[bound], f->ir->arena, e, f);
  return false;
}

static void take_factors(Factors *f, IrExpr *e, bool is_divisor) {
  Ir *ir = f->ir;
  if (e->kind == IR_OP && (e->op == OP_mul || e->op == OP_div)) {
    take_factors(f, e->arg[0], is_divisor);
    take_factors(f, e->arg[1], is_divisor != (e->op == OP_div));
    return;
  }
  IrExpr **product = is_summed(f, e, 0) ? &f->inside : &f->outside;
  if (*product) *product = ir_op2(ir, is_divisor ? OP_div : OP_mul, *product, e);
  else *product = is_divisor ? ir_op2(ir, OP_div, ir_number(ir, 1), e) : e;
}

static IrExpr *reduction(Lower *lower, const Node *node, IrExpr *const *index) {
  Ir *ir = lower->ir;
  const Node *x = node->in[0];
  Shape axes = node_attr(node, "axes").ints;
  bool is_kept = node_attr(node, "keep").i;
  for (int attempt = 0;; attempt++) {
    IrVar *var[MAX_RANK] = {0};
    IrExpr *at[MAX_RANK];
    bool is_free = true; // no variable is used around or inside for something else
    for (int k = 0, next = 0; k < x->shape.rank; k++) {
      if (!is_in(axes, k)) {
        at[k] = index[next++];
        continue;
      }
      next += is_kept;
      var[k] = lower_reduce_var(lower, lower_axis_name(x->shape.rank, k), x->shape.dim[k], attempt);
      at[k] = ir_ref(ir, var[k]);
      for (int i = 0; i < node->shape.rank; i++) is_free = is_free && !ir_uses(index[i], var[k]);
    }
    if (!is_free) continue;
    Factors f = {.lower = lower, .ir = ir, .var = var, .inside = lower_value(lower, x, at)};
    if (node->op == OP_sum) {
      // Factors that do not depend on the variables are multiplied in once, after the sum.
      IrExpr *value = f.inside;
      f.inside = NULL;
      take_factors(&f, value, false);
      if (!f.inside || !f.outside) f.inside = value, f.outside = NULL;
    }
    for (int k = 0; is_free && k < x->shape.rank; k++) is_free = !var[k] || !binds(ir, f.inside, var[k]);
    if (!is_free) continue;
    for (int k = x->shape.rank - 1; k >= 0; k--) {
      if (var[k]) f.inside = ir_reduce(ir, node->op == OP_max ? OP_maximum : OP_add, var[k], x->shape.dim[k], f.inside);
    }
    return f.outside ? ir_op2(ir, OP_mul, f.inside, f.outside) : f.inside;
  }
}

// ---- movement

static IrExpr *reshape(Lower *lower, const Node *node, IrExpr *const *index) {
  Ir *ir = lower->ir;
  const Node *x = node->in[0];
  IrExpr *flat = ir_int(ir, 0), *at[MAX_RANK];
  for (int k = 0; k < node->shape.rank; k++) flat = ir_add(ir, ir_scale(ir, flat, node->shape.dim[k]), index[k]);
  for (int k = x->shape.rank - 1; k >= 0; k--) {
    at[k] = k == 0 ? flat : ir_mod(ir, flat, x->shape.dim[k]);
    flat = ir_div(ir, flat, x->shape.dim[k]);
  }
  return lower_value(lower, x, at);
}

static IrExpr *concat(Lower *lower, const Node *node, IrExpr *const *index) {
  Ir *ir = lower->ir;
  int64_t axis = node_attr(node, "axis").i;
  int64_t start[node->n_in + 1];
  start[0] = 0;
  for (int k = 0; k < node->n_in; k++) start[k + 1] = start[k] + node->in[k]->shape.dim[axis];
  IrExpr *value = NULL;
  for (int k = node->n_in - 1; k >= 0; k--) {
    IrExpr *at[MAX_RANK];
    for (int i = 0; i < node->shape.rank; i++) at[i] = index[i];
    at[axis] = ir_offset(ir, index[axis], -start[k]);
    IrExpr *part = lower_value(lower, node->in[k], at);
    value = value ? ir_select(ir, ir_less(ir, index[axis], ir_int(ir, start[k + 1])), part, value) : part;
  }
  return value;
}

static IrExpr *pad(Lower *lower, const Node *node, IrExpr *const *index) {
  Ir *ir = lower->ir;
  Shape before = node_attr(node, "before").ints;
  IrExpr *at[MAX_RANK], *is_inside = ir_int(ir, 1);
  for (int k = 0; k < node->shape.rank; k++) {
    at[k] = ir_offset(ir, index[k], -before.dim[k]);
    is_inside = ir_and(ir, is_inside, ir_inside(ir, at[k], node->in[0]->shape.dim[k]));
  }
  return ir_select(ir, is_inside, lower_value(lower, node->in[0], at), ir_number(ir, node_attr(node, "value").f));
}

// Ops that take each element from one place of their operand.
static IrExpr *moved(Lower *lower, const Node *node, IrExpr *const *index) {
  Ir *ir = lower->ir;
  IrExpr *at[MAX_RANK];
  for (int k = 0; k < node->shape.rank; k++) at[k] = index[k];
  switch (node->op) {
  case OP_transpose: {
    Shape perm = node_attr(node, "perm").ints;
    for (int k = 0; k < node->shape.rank; k++) at[perm.dim[k]] = index[k];
    break;
  }
  case OP_broadcast: broadcast_index(ir, node->in[0], node->shape.rank, index, at); break;
  case OP_slice: {
    int64_t axis = node_attr(node, "axis").i;
    at[axis] = ir_offset(ir, ir_scale(ir, index[axis], node_attr(node, "step").i), node_attr(node, "start").i);
    break;
  }
  case OP_flip: {
    int64_t axis = node_attr(node, "axis").i;
    at[axis] = ir_sub(ir, ir_int(ir, node->shape.dim[axis] - 1), index[axis]);
    break;
  }
  default: break; // relayout
  }
  return lower_value(lower, node->in[0], at);
}

// ---- contractions: sums of products

// The factors at the indices of the node's operands.
static void product_of(Lower *lower, const Node *node, IrExpr *const *at_a, IrExpr *const *at_b, ComputeProduct *out) {
  out->a = lower_value(lower, node->in[0], at_a);
  out->b = lower_value(lower, node->in[1], at_b);
}

static IrExpr *sum_var(Lower *lower, ComputeProduct *out, const char *name, int64_t n) {
  IrVar *var = ir_var(lower->ir, IR_INDEX, name, 0, n - 1);
  out->var[out->n_vars++] = var;
  return ir_ref(lower->ir, var);
}

static void matmul(Lower *lower, const Node *node, IrExpr *const *index, ComputeProduct *out) {
  Ir *ir = lower->ir;
  const Node *in[2] = {node->in[0], node->in[1]};
  bool is_turned[2] = {node_attr(node, "transpose_a").i, node_attr(node, "transpose_b").i};
  int rank = node->shape.rank;
  int64_t depth = in[0]->shape.dim[in[0]->shape.rank - (is_turned[0] ? 2 : 1)];
  IrExpr *k = sum_var(lower, out, "k", depth), *at[2][MAX_RANK];
  for (int side = 0; side < 2; side++) {
    int own = in[side]->shape.rank;
    for (int axis = 0; axis < own - 2; axis++)
      at[side][axis] = in[side]->shape.dim[axis] == 1 ? ir_int(ir, 0) : index[axis + rank - own];
    IrExpr *row = side == 0 ? index[rank - 2] : k, *column = side == 0 ? k : index[rank - 1];
    at[side][own - 2] = is_turned[side] ? column : row;
    at[side][own - 1] = is_turned[side] ? row : column;
  }
  product_of(lower, node, at[0], at[1], out);
}

typedef struct ConvAttrs {
  int64_t stride, padding, dilation, groups;
} ConvAttrs;

static ConvAttrs conv_attrs(const Node *node) {
  return (ConvAttrs){node_attr(node, "stride").i, node_attr(node, "padding").i, node_attr(node, "dilation").i,
                     node_attr(node, "groups").i};
}

// Where output row `i` meets input row through kernel row `k`.
static IrExpr *conv_source(Ir *ir, ConvAttrs a, IrExpr *i, IrExpr *k) {
  return ir_offset(ir, ir_add(ir, ir_scale(ir, i, a.stride), ir_scale(ir, k, a.dilation)), -a.padding);
}

static void conv2d(Lower *lower, const Node *node, IrExpr *const *index, ComputeProduct *out) {
  Ir *ir = lower->ir;
  ConvAttrs a = conv_attrs(node);
  const Node *x = node->in[0], *w = node->in[1];
  int64_t outputs = w->shape.dim[0] / a.groups, inputs = w->shape.dim[1];
  IrExpr *i = sum_var(lower, out, "i", inputs), *ky = sum_var(lower, out, "ky", w->shape.dim[2]);
  IrExpr *kx = sum_var(lower, out, "kx", w->shape.dim[3]);
  IrExpr *channel = ir_add(ir, ir_scale(ir, outputs == 1 ? index[1] : ir_div(ir, index[1], outputs), inputs), i);
  IrExpr *y = conv_source(ir, a, index[2], ky), *column = conv_source(ir, a, index[3], kx);
  out->meets = ir_and(ir, ir_inside(ir, y, x->shape.dim[2]), ir_inside(ir, column, x->shape.dim[3]));
  product_of(lower, node, (IrExpr *[]){index[0], channel, y, column}, (IrExpr *[]){index[1], i, ky, kx}, out);
}

// Sets *out to the output index that meets input index `i` through kernel index `k`; returns where there is one.
static IrExpr *conv_meeting(Ir *ir, ConvAttrs a, IrExpr *i, IrExpr *k, int64_t n, IrExpr **out) {
  IrExpr *scaled = ir_offset(ir, ir_sub(ir, i, ir_scale(ir, k, a.dilation)), a.padding);
  *out = ir_div(ir, scaled, a.stride);
  return ir_and(ir, ir_inside(ir, *out, n), ir_equal(ir, ir_mod(ir, scaled, a.stride), ir_int(ir, 0)));
}

static void conv2d_dx(Lower *lower, const Node *node, IrExpr *const *index, ComputeProduct *out) {
  Ir *ir = lower->ir;
  ConvAttrs a = conv_attrs(node);
  const Node *g = node->in[0], *w = node->in[1];
  int64_t outputs = w->shape.dim[0] / a.groups, inputs = w->shape.dim[1];
  IrExpr *k = sum_var(lower, out, "o", outputs), *ky = sum_var(lower, out, "ky", w->shape.dim[2]);
  IrExpr *kx = sum_var(lower, out, "kx", w->shape.dim[3]), *y, *x;
  IrExpr *group = inputs == 1 ? index[1] : ir_div(ir, index[1], inputs);
  IrExpr *o = ir_add(ir, ir_scale(ir, group, outputs), k);
  IrExpr *i = inputs == 1 ? ir_int(ir, 0) : ir_mod(ir, index[1], inputs);
  IrExpr *meets_y = conv_meeting(ir, a, index[2], ky, g->shape.dim[2], &y);
  out->meets = ir_and(ir, meets_y, conv_meeting(ir, a, index[3], kx, g->shape.dim[3], &x));
  product_of(lower, node, (IrExpr *[]){index[0], o, y, x}, (IrExpr *[]){o, i, ky, kx}, out);
}

static void conv2d_dw(Lower *lower, const Node *node, IrExpr *const *index, ComputeProduct *out) {
  Ir *ir = lower->ir;
  ConvAttrs a = conv_attrs(node);
  const Node *x = node->in[0], *g = node->in[1];
  int64_t outputs = node->shape.dim[0] / a.groups, inputs = node->shape.dim[1];
  IrExpr *n = sum_var(lower, out, "n", g->shape.dim[0]), *gy = sum_var(lower, out, "y", g->shape.dim[2]);
  IrExpr *gx = sum_var(lower, out, "x", g->shape.dim[3]);
  IrExpr *group = outputs == 1 ? index[0] : ir_div(ir, index[0], outputs);
  IrExpr *channel = ir_add(ir, ir_scale(ir, group, inputs), index[1]);
  IrExpr *y = conv_source(ir, a, gy, index[2]), *column = conv_source(ir, a, gx, index[3]);
  out->meets = ir_and(ir, ir_inside(ir, y, x->shape.dim[2]), ir_inside(ir, column, x->shape.dim[3]));
  product_of(lower, node, (IrExpr *[]){n, channel, y, column}, (IrExpr *[]){n, index[0], gy, gx}, out);
}

ComputeProduct compute_product(Lower *lower, const Node *node, IrExpr *const *index) {
  ComputeProduct p = {.meets = ir_int(lower->ir, 1)};
  switch (node->op) {
  case OP_matmul: matmul(lower, node, index, &p); break;
  case OP_conv2d: conv2d(lower, node, index, &p); break;
  case OP_conv2d_dx: conv2d_dx(lower, node, index, &p); break;
  case OP_conv2d_dw: conv2d_dw(lower, node, index, &p); break;
  default: BUG("%s is no sum of products", op_info(node->op)->name);
  }
  return p;
}

static IrExpr *contraction(Lower *lower, const Node *node, IrExpr *const *index) {
  Ir *ir = lower->ir;
  ComputeProduct p = compute_product(lower, node, index);
  IrExpr *value = ir_select(ir, p.meets, ir_op2(ir, OP_mul, p.a, p.b), ir_number(ir, 0));
  for (int k = p.n_vars - 1; k >= 0; k--) value = ir_reduce(ir, OP_add, p.var[k], p.var[k]->hi + 1, value);
  return value;
}

// ---- index

// 0 where the index lies outside the row.
static IrExpr *gather(Lower *lower, const Node *node, IrExpr *const *index) {
  Ir *ir = lower->ir;
  const Node *x = node->in[0];
  IrExpr *number = lower_value(lower, node->in[1], index), *zero = ir_number(ir, 0);
  IrExpr *is_below = ir_op2(ir, OP_less, number, zero); // -0.5 would be cut to 0
  number = ir_op(ir, OP_select, NULL, 3, (IrExpr *[]){is_below, ir_number(ir, -1), number});
  IrExpr *where = ir_convert(ir, IR_INDEX, number);
  return ir_select(ir, ir_inside(ir, where, x->shape.dim[1]), lower_value(lower, x, (IrExpr *[]){index[0], where}),
                   ir_number(ir, 0));
}

// What a row of `size` sums collects: of each value those that go there. (On the CPU a kernel of its own goes through
// the values once.)
static IrExpr *scatter_add(Lower *lower, const Node *node, IrExpr *const *index) {
  Ir *ir = lower->ir;
  const Node *values = node->in[0];
  IrVar *var = ir_var(ir, IR_INDEX, "i", 0, values->shape.dim[1] - 1);
  IrExpr *at[] = {index[0], ir_ref(ir, var)}, *zero = ir_number(ir, 0);
  IrExpr *number = lower_value(lower, node->in[1], at);
  IrExpr *is_below = ir_op2(ir, OP_less, number, zero);
  number = ir_op(ir, OP_select, NULL, 3, (IrExpr *[]){is_below, ir_number(ir, -1), number});
  IrExpr *is_here = ir_equal(ir, ir_convert(ir, IR_INDEX, number), index[1]);
  return ir_reduce(ir, OP_add, var, values->shape.dim[1], ir_select(ir, is_here, lower_value(lower, values, at), zero));
}

// ---- all

bool compute_can(Op op) {
  switch (op) {
  case OP_cumsum:
  case OP_nearest:
  case OP_scatter_add:
  case OP_random:
  case OP_input:
  case OP_param:
  case OP_state:
  case OP_constant: return false;
  case OP_all_reduce: return false;
  default: return op_info(op)->cls != CLASS_COMPOSITE;
  }
}

IrExpr *compute_value(Lower *lower, const Node *node, IrExpr *const *index) {
  Ir *ir = lower->ir;
  if (op_info(node->op)->cls == CLASS_ELEMENTWISE) return elementwise(lower, node, index);
  switch (node->op) {
  case OP_fill: return ir_number(ir, node_attr(node, "value").f);
  case OP_iota: return ir_convert(ir, IR_FLOAT, index[node_attr(node, "axis").i]);
  case OP_sum:
  case OP_max: return reduction(lower, node, index);
  case OP_reshape: return reshape(lower, node, index);
  case OP_transpose:
  case OP_broadcast:
  case OP_slice:
  case OP_flip:
  case OP_relayout: return moved(lower, node, index);
  case OP_concat: return concat(lower, node, index);
  case OP_pad: return pad(lower, node, index);
  case OP_matmul:
  case OP_conv2d:
  case OP_conv2d_dx:
  case OP_conv2d_dw: return contraction(lower, node, index);
  case OP_resize: return compute_resize(lower, node, index);
  case OP_resize_grad: return compute_resize_grad(lower, node, index);
  case OP_gather: return gather(lower, node, index);
  case OP_scatter_add: return scatter_add(lower, node, index);
  default: BUG("%s has no scalar form", op_info(node->op)->name);
  }
}
