// Contractions as products of matrices: which axes are rows, columns and depth, and what the operands are there.
#include "compiler/kernel/cuda/contract.h"
#include "compiler/kernel/ir_build.h"
#include "runtime/base/status.h"

static IrVar *variable(Ir *ir, const char *name, int64_t n) { return ir_var(ir, IR_INDEX, name, 0, n > 0 ? n - 1 : 0); }

static void set_sizes(Ir *ir, CudaProduct *p, int64_t batches, int64_t m, int64_t n, int64_t k) {
  p->batches = batches, p->m = m, p->n = n, p->k = k;
  p->batch_var = variable(ir, "batch", batches);
  p->m_var = variable(ir, "m", m);
  p->n_var = variable(ir, "n", n);
  p->k_var = variable(ir, "k", k);
  p->is_valid = ir_int(ir, 1);
}

// Splits a number over axes of the given sizes, the last fastest.
static void split_index(Ir *ir, IrExpr *flat, int n, const int64_t *size, IrExpr **out) {
  for (int i = n - 1; i >= 0; i--) {
    out[i] = i ? ir_mod(ir, flat, size[i]) : flat;
    flat = ir_div(ir, flat, size[i]);
  }
}

// Puts expressions in place of the variables of a sum. What holds where the factors meet goes with the factor that
// moves with it.
static void set_factors(Ir *ir, CudaProduct *p, ComputeProduct *sum, IrExpr *const *at, bool is_swapped) {
  IrExpr *e[3] = {sum->a, sum->b, sum->meets};
  for (int i = 0; i < sum->n_vars; i++) ir_substitute_all(ir, 3, e, sum->var[i], at[i]);
  e[0] = ir_select(ir, e[2], e[0], ir_number(ir, 0));
  p->a = e[is_swapped ? 1 : 0];
  p->b = e[is_swapped ? 0 : 1];
}

// Whether the matrices of the operand are the same for all leading indices.
static bool is_shared(const Node *operand) {
  for (int i = 0; i + 2 < operand->shape.rank; i++) {
    if (operand->shape.dim[i] != 1) return false;
  }
  return true;
}

static void matmul(Lower *lower, const Node *node, CudaProduct *p) {
  Ir *ir = lower->ir;
  const Node *a = node->in[0], *b = node->in[1];
  int n_leading = node->shape.rank - 2;
  int64_t batches = 1, rows = node->shape.dim[n_leading];
  for (int i = 0; i < n_leading; i++) batches *= node->shape.dim[i];
  int64_t depth = a->shape.dim[a->shape.rank - (node_attr(node, "transpose_a").i ? 2 : 1)];
  bool is_tall = is_shared(b); // leading axes are more rows
  set_sizes(ir, p, is_tall ? 1 : batches, is_tall ? batches * rows : rows, node->shape.dim[n_leading + 1], depth);
  IrExpr *m = ir_ref(ir, p->m_var);
  if (is_tall) {
    split_index(ir, m, n_leading + 1, node->shape.dim, p->index);
  } else {
    split_index(ir, ir_ref(ir, p->batch_var), n_leading, node->shape.dim, p->index);
    p->index[n_leading] = m;
  }
  p->index[n_leading + 1] = ir_ref(ir, p->n_var);
  ComputeProduct sum = compute_product(lower, node, p->index);
  set_factors(ir, p, &sum, (IrExpr *[]){ir_ref(ir, p->k_var)}, false);
}

// Rows are output channels, columns pixels of all images, depth input channels and taps.
static void conv2d(Lower *lower, const Node *node, CudaProduct *p) {
  Ir *ir = lower->ir;
  Shape w = node->in[1]->shape, y = node->shape;
  int64_t groups = node_attr(node, "groups").i, rows = w.dim[0] / groups;
  set_sizes(ir, p, groups, rows, y.dim[0] * y.dim[2] * y.dim[3], w.dim[1] * w.dim[2] * w.dim[3]);
  p->taps = w.dim[2] * w.dim[3];
  IrExpr *pixel[3], *tap[3];
  split_index(ir, ir_ref(ir, p->n_var), 3, (int64_t[]){y.dim[0], y.dim[2], y.dim[3]}, pixel);
  split_index(ir, ir_ref(ir, p->k_var), 3, w.dim + 1, tap);
  p->index[0] = pixel[0];
  p->index[1] = ir_add(ir, ir_scale(ir, ir_ref(ir, p->batch_var), rows), ir_ref(ir, p->m_var));
  p->index[2] = pixel[1];
  p->index[3] = pixel[2];
  ComputeProduct sum = compute_product(lower, node, p->index);
  set_factors(ir, p, &sum, tap, true);
}

// Rows are input channels, columns pixels, depth output channels and taps.
static void conv2d_dx(Lower *lower, const Node *node, CudaProduct *p) {
  Ir *ir = lower->ir;
  Shape w = node->in[1]->shape, x = node->shape;
  int64_t groups = node_attr(node, "groups").i, outputs = w.dim[0] / groups;
  set_sizes(ir, p, groups, w.dim[1], x.dim[0] * x.dim[2] * x.dim[3], outputs * w.dim[2] * w.dim[3]);
  p->taps = w.dim[2] * w.dim[3];
  IrExpr *pixel[3], *tap[3];
  split_index(ir, ir_ref(ir, p->n_var), 3, (int64_t[]){x.dim[0], x.dim[2], x.dim[3]}, pixel);
  split_index(ir, ir_ref(ir, p->k_var), 3, (int64_t[]){outputs, w.dim[2], w.dim[3]}, tap);
  p->index[0] = pixel[0];
  p->index[1] = ir_add(ir, ir_scale(ir, ir_ref(ir, p->batch_var), w.dim[1]), ir_ref(ir, p->m_var));
  p->index[2] = pixel[1];
  p->index[3] = pixel[2];
  ComputeProduct sum = compute_product(lower, node, p->index);
  set_factors(ir, p, &sum, tap, true);
}

// With stride s, pixel y meets the taps ky with y + padding = ky modulo s only. So y + padding = s * u + r, ky = s * t
// + r, and the gradient is read at u - t: r goes to the channels, u to the pixels, t to the depth, and no product is
// with a zero in between. Channels and remainders are columns where s is so large that neighbours in x are found there.
static void conv2d_dx_strided(Lower *lower, const Node *node, CudaProduct *p) {
  Ir *ir = lower->ir;
  Shape w = node->in[1]->shape, x = node->shape;
  int64_t groups = node_attr(node, "groups").i, outputs = w.dim[0] / groups, s = node_attr(node, "stride").i;
  int64_t padding = node_attr(node, "padding").i, first = padding / s;
  int64_t count[2], taps[2];
  for (int i = 0; i < 2; i++) {
    count[i] = (x.dim[2 + i] - 1 + padding) / s - first + 1;
    taps[i] = ceil_div(w.dim[2 + i], s);
  }
  int64_t channels = w.dim[1] * s * s, pixels = x.dim[0] * count[0] * count[1];
  bool is_turned = s >= 4;
  set_sizes(ir, p, groups, is_turned ? pixels : channels, is_turned ? channels : pixels, outputs * taps[0] * taps[1]);
  if (!is_turned) p->taps = taps[0] * taps[1];
  IrExpr *pixel[3], *channel[3], *depth[3], *tap[3];
  split_index(ir, ir_ref(ir, is_turned ? p->m_var : p->n_var), 3, (int64_t[]){x.dim[0], count[0], count[1]}, pixel);
  split_index(ir, ir_ref(ir, is_turned ? p->n_var : p->m_var), 3, (int64_t[]){w.dim[1], s, s}, channel);
  split_index(ir, ir_ref(ir, p->k_var), 3, (int64_t[]){outputs, taps[0], taps[1]}, depth);
  p->index[0] = pixel[0];
  p->index[1] = ir_add(ir, ir_scale(ir, ir_ref(ir, p->batch_var), w.dim[1]), channel[0]);
  tap[0] = depth[0];
  IrExpr *is_tap = ir_int(ir, 1);
  for (int i = 0; i < 2; i++) {
    IrExpr *u = ir_offset(ir, pixel[1 + i], first), *r = channel[1 + i];
    p->index[2 + i] = ir_offset(ir, ir_add(ir, ir_scale(ir, u, s), r), -padding);
    p->is_valid = ir_and(ir, p->is_valid, ir_inside(ir, p->index[2 + i], x.dim[2 + i]));
    tap[1 + i] = ir_add(ir, ir_scale(ir, depth[1 + i], s), r);
    is_tap = ir_and(ir, is_tap, ir_less(ir, tap[1 + i], ir_int(ir, w.dim[2 + i])));
  }
  ComputeProduct sum = compute_product(lower, node, p->index);
  set_factors(ir, p, &sum, tap, !is_turned);
  IrExpr **weight = is_turned ? &p->b : &p->a;
  *weight = ir_select(ir, is_tap, *weight, ir_number(ir, 0));
}

// Rows are output channels, columns input channels and taps, depth pixels of all images.
static void conv2d_dw(Lower *lower, const Node *node, CudaProduct *p) {
  Ir *ir = lower->ir;
  Shape g = node->in[1]->shape, w = node->shape;
  int64_t groups = node_attr(node, "groups").i, rows = w.dim[0] / groups;
  set_sizes(ir, p, groups, rows, w.dim[1] * w.dim[2] * w.dim[3], g.dim[0] * g.dim[2] * g.dim[3]);
  IrExpr *pixel[3];
  split_index(ir, ir_ref(ir, p->k_var), 3, (int64_t[]){g.dim[0], g.dim[2], g.dim[3]}, pixel);
  split_index(ir, ir_ref(ir, p->n_var), 3, w.dim + 1, p->index + 1);
  p->index[0] = ir_add(ir, ir_scale(ir, ir_ref(ir, p->batch_var), rows), ir_ref(ir, p->m_var));
  ComputeProduct sum = compute_product(lower, node, p->index);
  set_factors(ir, p, &sum, pixel, true);
}

CudaProduct cuda_product(Lower *lower, const Node *core) {
  CudaProduct p = {0};
  switch (core->op) {
  case OP_matmul: matmul(lower, core, &p); return p;
  case OP_conv2d: conv2d(lower, core, &p); return p;
  case OP_conv2d_dx:
    if (node_attr(core, "stride").i > 1 && node_attr(core, "dilation").i == 1) conv2d_dx_strided(lower, core, &p);
    else conv2d_dx(lower, core, &p);
    return p;
  case OP_conv2d_dw: conv2d_dw(lower, core, &p); return p;
  default: BUG("%s is no contraction", op_info(core->op)->name);
  }
}
