// Algebra of element-wise ops: neutral elements, signs, constants drawn together, implicit broadcasting.
#include <math.h>

#include "compiler/ops/build.h"
#include "compiler/pass/algebra.h"
#include "compiler/pass/rewrite.h"

static Node *binary(Graph *graph, Op op, Node *a, Node *b) { return graph_binary(graph, op, a, b); }

// x in the place of a node that broadcast it against something of no further use.
static Node *alone(Graph *graph, const Node *node, Node *x) { return build_broadcast(graph, x, node->shape); }

// Far enough from the ends of f32 that drawing constants together makes nothing vanish or overflow that would not.
static bool is_moderate(double c) { return fabs(c) > 1e-30 && fabs(c) < 1e30; }

// Splits a commutative node with one fill among its operands into the fill's value and the other operand.
static bool split_fill(const Node *node, Op op, double *out_value, Node **out_rest) {
  if (node->op != op) return false;
  for (int k = 0; k < 2; k++) {
    if (is_fill(node->in[k], out_value) && shape_equal(node->in[1 - k]->shape, node->shape)) {
      *out_rest = node->in[1 - k];
      return true;
    }
  }
  return false;
}

static Node *simplify_add(const PassContext *context, Graph *graph, Node *node) {
  for (int k = 0; k < 2; k++) {
    Node *a = node->in[k], *b = node->in[1 - k];
    // -0 + 0 is +0, so dropping a zero may change a bit
    if (is_fill_of(b, 0) && !context->exact) return alone(graph, node, a);
    if (b->op == OP_neg) return binary(graph, OP_sub, a, b->in[0]);
  }
  if (!context->exact) {
    Node *joined = join_pads(graph, node);
    if (joined) return joined;
  }
  double c, d;
  Node *rest, *inner;
  if (!context->exact && split_fill(node, OP_add, &c, &rest) && split_fill(rest, OP_add, &d, &inner)) {
    return binary(graph, OP_add, inner, graph_scalar(graph, c + d));
  }
  return NULL;
}

static Node *simplify_sub(const PassContext *context, Graph *graph, Node *node) {
  Node *a = node->in[0], *b = node->in[1];
  if (is_fill_of(b, 0)) return alone(graph, node, a);
  if (is_fill_of(a, 0) && !context->exact) return graph_unary(graph, OP_neg, alone(graph, node, b));
  if (b->op == OP_neg) return binary(graph, OP_add, a, b->in[0]);
  return NULL;
}

static Node *simplify_mul(const PassContext *context, Graph *graph, Node *node) {
  double c, d;
  Node *rest, *inner;
  for (int k = 0; k < 2; k++) {
    Node *a = node->in[k], *b = node->in[1 - k];
    if (is_fill_of(b, 1)) return alone(graph, node, a);
    if (is_fill_of(b, -1)) return graph_unary(graph, OP_neg, alone(graph, node, a));
    if (is_fill_of(b, 0) && !context->exact) return graph_fill(graph, node->shape, 0);
    if (a->op == OP_neg && is_fill(b, &c)) return alone(graph, node, build_scale(graph, a->in[0], -c));
  }
  if (node->in[0]->op == OP_neg && node->in[1]->op == OP_neg) {
    return binary(graph, OP_mul, node->in[0]->in[0], node->in[1]->in[0]);
  }
  if (!context->exact && split_fill(node, OP_mul, &c, &rest) && split_fill(rest, OP_mul, &d, &inner) &&
      is_moderate(c * d)) {
    return binary(graph, OP_mul, inner, graph_scalar(graph, c * d));
  }
  return NULL;
}

// 1 / c is exact in f32.
static bool is_power_of_two(double c) {
  int exponent;
  return isfinite(c) && c != 0 && fabs(frexp(c, &exponent)) == 0.5 && exponent > -120 && exponent < 120;
}

static Node *simplify_div(const PassContext *context, Graph *graph, Node *node) {
  double c;
  if (!is_fill(node->in[1], &c)) return NULL;
  if (c == 1) return alone(graph, node, node->in[0]);
  if (!is_power_of_two(c) && (context->exact || !is_moderate(c))) return NULL;
  return alone(graph, node, build_scale(graph, node->in[0], 1 / c));
}

static Node *simplify_neg(const PassContext *context, Graph *graph, Node *node) {
  Node *x = node->in[0], *rest;
  double c;
  (void)context;
  if (x->op == OP_neg) return x->in[0];
  if (split_fill(x, OP_mul, &c, &rest)) return build_scale(graph, rest, -c);
  return NULL;
}

static Node *simplify_select(Graph *graph, Node *node) {
  Node *condition = node->in[0], *a = node->in[1], *b = node->in[2];
  double c;
  if (is_fill(condition, &c)) return alone(graph, node, c != 0 ? a : b);
  if (a == b) return alone(graph, node, a);
  if (a->op == OP_select && a->in[0] == condition) return graph_select(graph, condition, a->in[1], b);
  if (b->op == OP_select && b->in[0] == condition) return graph_select(graph, condition, a, b->in[2]);
  return NULL;
}

// What stands for operand k when broadcasting is left to the op: the source of a broadcast, a fill without shape.
static Node *bare(Graph *graph, Node *operand) {
  double value;
  if (operand->op == OP_broadcast) return operand->in[0];
  if (is_fill(operand, &value) && operand->shape.rank) return graph_scalar(graph, value);
  return operand;
}

static int64_t size_from_right(Shape shape, int i) { return i < shape.rank ? shape.dim[shape.rank - 1 - i] : 1; }

// Whether operands in[] still broadcast to `shape`.
static bool still_reach(Node *const *in, int n, Shape shape) {
  for (int i = 0; i < shape.rank; i++) {
    bool is_reached = false;
    for (int k = 0; k < n; k++) {
      is_reached |= i < in[k]->shape.rank && size_from_right(in[k]->shape, i) == size_from_right(shape, i);
    }
    if (!is_reached) return false;
  }
  return true;
}

static Node *drop_broadcasts(Graph *graph, Node *node) {
  if (node->n_in < 2) return NULL;
  Node *in[3];
  bool is_changed = false;
  for (int k = 0; k < node->n_in; k++) in[k] = node->in[k];
  for (int k = 0; k < node->n_in; k++) {
    if (in[k]->op != OP_broadcast && !(in[k]->op == OP_fill && in[k]->shape.rank)) continue;
    Node *before = in[k];
    in[k] = bare(graph, before);
    if (still_reach(in, node->n_in, node->shape)) is_changed = true;
    else in[k] = before;
  }
  return is_changed ? graph_add(graph, node->op, in, node->n_in, node->attr) : NULL;
}

Node *simplify_elementwise(const PassContext *context, Graph *graph, Node *node) {
  Node *better = NULL;
  switch (node->op) {
  case OP_add: better = simplify_add(context, graph, node); break;
  case OP_sub: better = simplify_sub(context, graph, node); break;
  case OP_mul: better = simplify_mul(context, graph, node); break;
  case OP_div: better = simplify_div(context, graph, node); break;
  case OP_neg: better = simplify_neg(context, graph, node); break;
  case OP_select: better = simplify_select(graph, node); break;
  case OP_abs:
    if (node->in[0]->op == OP_abs) better = node->in[0];
    if (node->in[0]->op == OP_neg) better = graph_unary(graph, OP_abs, node->in[0]->in[0]);
    break;
  case OP_relu:
    if (node->in[0]->op == OP_relu) better = node->in[0];
    break;
  default: break;
  }
  if (!better) better = drop_broadcasts(graph, node);
  return better ? better : join_reshapes(graph, node);
}
