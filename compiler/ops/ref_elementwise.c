// Reference evaluators of leaves and elementwise ops, and the scalar functions behind them.
#include <math.h>
#include <string.h>

#include "compiler/ops/rules.h"
#include "compiler/ops/walk.h"
#include "runtime/base/status.h"

// Comparisons are written so that a NaN operand stays NaN: a diverging run must not look healthy.
static double lesser(double a, double b) { return a < b || isnan(a) ? a : b; }

static double greater(double a, double b) { return a > b || isnan(a) ? a : b; }

static double limit(double x, double lo, double hi) {
  if (x < lo) return lo;
  return x > hi ? hi : x;
}

double op_scalar(Op op, const AttrValue *attr, double a, double b, double c) {
  switch ((int)op) {
  case OP_neg: return -a;
  case OP_abs: return fabs(a);
  case OP_exp: return exp(a);
  case OP_log: return log(a);
  case OP_sqrt: return sqrt(a);
  case OP_rsqrt: return 1 / sqrt(a);
  case OP_sin: return sin(a);
  case OP_cos: return cos(a);
  case OP_tanh: return tanh(a);
  case OP_sigmoid: return 1 / (1 + exp(-a));
  case OP_relu: return a < 0 ? 0 : a;
  case OP_leaky_relu: return a > 0 ? a : attr[0].f * a;
  case OP_elu: return a > 0 ? a : attr[0].f * expm1(a);
  case OP_hard_sigmoid: return limit(a + 3, 0, 6) / 6;
  case OP_clamp: return limit(a, attr[0].f, attr[1].f);
  case OP_add: return a + b;
  case OP_sub: return a - b;
  case OP_mul: return a * b;
  case OP_div: return a / b;
  case OP_minimum: return lesser(a, b);
  case OP_maximum: return greater(a, b);
  case OP_less: return a < b;
  case OP_less_equal: return a <= b;
  case OP_equal: return a == b;
  case OP_select: return a != 0 ? b : c;
  default: BUG("%s is not elementwise", op_info(op)->name);
  }
}

void ref_elementwise(const RefArgs *args) {
  const Node *node = args->node;
  int64_t stride[3][MAX_RANK] = {{0}}, index[MAX_RANK] = {0}, offset[3] = {0};
  for (int k = 0; k < node->n_in; k++) walk_broadcast(node->in[k]->shape, node->shape, stride[k]);
  float *out = args->out;
  do {
    double x[3] = {0};
    for (int k = 0; k < node->n_in; k++) x[k] = args->in[k][offset[k]];
    *out++ = (float)op_scalar(node->op, node->attr, x[0], x[1], x[2]);
  } while (walk_next(node->shape, index, node->n_in, stride, offset));
}

// ---- leaves ---------------------------------------------------------------------------------------------------------

void ref_leaf(const RefArgs *args) {
  const Node *node = args->node;
  if (!node->data) BUG("%s '%s' has no value of its own", op_info(node->op)->name, node->name ? node->name : "");
  memcpy(args->out, node->data, sizeof(float) * (size_t)shape_elements(node->shape));
}

void ref_fill(const RefArgs *args) {
  float value = (float)node_attr(args->node, "value").f;
  for (int64_t i = 0, n = shape_elements(args->node->shape); i < n; i++) args->out[i] = value;
}

void ref_iota(const RefArgs *args) {
  AxisSplit split = walk_split(args->node->shape, node_attr(args->node, "axis").i);
  float *out = args->out;
  for (int64_t o = 0; o < split.outer; o++) {
    for (int64_t i = 0; i < split.n; i++) {
      for (int64_t k = 0; k < split.inner; k++) *out++ = (float)i;
    }
  }
}
