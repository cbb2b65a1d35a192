// Algebra of reductions: one written form, constant factors drawn out, reductions of reductions.
#include "compiler/ops/build.h"
#include "compiler/pass/algebra.h"
#include "compiler/pass/rewrite.h"

static Node *reduce(Graph *graph, const Node *like, Node *x, Shape axes, bool keep) {
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(like->op, "axes")].ints = axes;
  attrs[op_attr_index(like->op, "keep")].i = keep;
  return graph_add(graph, like->op, &x, 1, attrs);
}

// The written form: axes of size 1 are not reduced; the others are kept as size 1, so that what was a picture stays one
// of the same rank, unless nothing but a number remains.
static Node *normal_form(Graph *graph, Node *node) {
  Node *x = node->in[0];
  Shape axes = node_attr(node, "axes").ints, useful = {0};
  for (int i = 0; i < axes.rank; i++) {
    if (x->shape.dim[axes.dim[i]] != 1) useful.dim[useful.rank++] = axes.dim[i];
  }
  if (!useful.rank) return graph_reshape(graph, x, node->shape);
  bool is_number = is_single(node);
  if (is_number) {
    // a number is summed over all axes, whichever of them have size 1
    useful.rank = x->shape.rank;
    for (int i = 0; i < useful.rank; i++) useful.dim[i] = i;
  }
  bool keep = node_attr(node, "keep").i;
  if (shape_equal(useful, axes) && keep == !is_number) return NULL;
  return graph_reshape(graph, reduce(graph, node, x, useful, !is_number), node->shape);
}

// Whether x has one value along all of the axes of a result of rank `rank`.
static bool is_constant_over(const Node *x, Shape axes, int rank) {
  for (int i = 0; i < axes.rank; i++) {
    int axis = (int)axes.dim[i] - (rank - x->shape.rank);
    if (axis >= 0 && x->shape.dim[axis] != 1) return false;
  }
  return true;
}

// `factor`, constant over the axes, in a shape that broadcasts against the result of the reduction.
static Node *beside_result(Graph *graph, Node *factor, Shape axes, int rank, bool keep) {
  if (keep || factor->shape.rank == 0) return factor;
  Shape left = {0};
  for (int i = 0; i < factor->shape.rank; i++) {
    bool is_reduced = false;
    for (int k = 0; k < axes.rank; k++) is_reduced |= axes.dim[k] == i + rank - factor->shape.rank;
    if (!is_reduced) left.dim[left.rank++] = factor->shape.dim[i];
  }
  return graph_reshape(graph, factor, left);
}

// sum(a * s) = sum(a) * s where s is constant over the axes; likewise / s and -.
static Node *draw_out(Graph *graph, Node *node) {
  Node *x = node->in[0];
  Shape axes = node_attr(node, "axes").ints;
  bool keep = node_attr(node, "keep").i;
  int rank = x->shape.rank;
  if (x->op == OP_neg) return graph_unary(graph, OP_neg, reduce(graph, node, x->in[0], axes, keep));
  if (x->op != OP_mul && x->op != OP_div) return NULL;
  for (int k = 1; k >= (x->op == OP_mul ? 0 : 1); k--) {
    Node *factor = x->in[k], *rest = x->in[1 - k];
    if (!is_constant_over(factor, axes, rank) || rest->shape.rank != rank) continue;
    Node *total = reduce(graph, node, rest, axes, keep);
    return graph_binary(graph, x->op, total, beside_result(graph, factor, axes, rank, keep));
  }
  return NULL;
}

// Likewise from one operand of a product: sum((a / s) * b) = sum(a * b) / s.
static Node *draw_out_of_factor(Graph *graph, Node *node) {
  Node *x = node->in[0];
  Shape axes = node_attr(node, "axes").ints;
  bool keep = node_attr(node, "keep").i;
  int rank = x->shape.rank;
  for (int k = 0; k < 2 && x->op == OP_mul; k++) {
    const Node *part = x->in[k];
    if ((part->op != OP_mul && part->op != OP_div) || part->shape.rank != rank) continue;
    Node *rest = part->in[0], *factor = part->in[1];
    if (!is_constant_over(factor, axes, rank) || !shape_equal(rest->shape, x->shape)) continue;
    Node *total = reduce(graph, node, graph_binary(graph, OP_mul, rest, x->in[1 - k]), axes, keep);
    return graph_binary(graph, part->op, total, beside_result(graph, factor, axes, rank, keep));
  }
  return NULL;
}

// sum(sum(x)) over the union of the axes, where the inner one keeps its axes.
static Node *merge(Graph *graph, Node *node) {
  Node *inner = node->in[0];
  if (inner->op != node->op || !node_attr(inner, "keep").i) return NULL;
  bool is_reduced[MAX_RANK] = {0};
  Shape a = node_attr(node, "axes").ints, b = node_attr(inner, "axes").ints, all = {0};
  for (int i = 0; i < a.rank; i++) is_reduced[a.dim[i]] = true;
  for (int i = 0; i < b.rank; i++) is_reduced[b.dim[i]] = true;
  bool keep = node_attr(node, "keep").i;
  if (!keep && !is_single(node)) return NULL;
  for (int i = 0; i < inner->shape.rank; i++) {
    if (is_reduced[i]) all.dim[all.rank++] = i;
  }
  return graph_reshape(graph, reduce(graph, node, inner->in[0], all, keep), node->shape);
}

// Repetitions are counted, not summed (and the largest of them is any).
static Node *of_broadcast(Graph *graph, Node *node) {
  Node *x = node->in[0];
  if (x->op != OP_broadcast) return NULL;
  Node *source = x->in[0];
  Shape axes = node_attr(node, "axes").ints;
  if (source->shape.rank != x->shape.rank || !is_constant_over(source, axes, x->shape.rank)) return NULL;
  Shape kept = x->shape;
  for (int i = 0; i < axes.rank; i++) kept.dim[axes.dim[i]] = 1;
  Node *one = build_broadcast(graph, source, kept);
  if (node->op == OP_sum) one = build_scale(graph, one, (double)shape_count(x->shape, axes));
  return graph_reshape(graph, one, node->shape);
}

Node *simplify_reduction(const PassContext *context, Graph *graph, Node *node) {
  if (node->op != OP_sum && node->op != OP_max) return NULL;
  Node *better = normal_form(graph, node);
  if (!better && (node->op == OP_max || !context->exact)) better = merge(graph, node);
  if (!better && (node->op == OP_max || !context->exact)) better = of_broadcast(graph, node);
  if (!better && node->op == OP_sum && !context->exact) better = draw_out(graph, node);
  if (!better && node->op == OP_sum && !context->exact) better = draw_out_of_factor(graph, node);
  return better;
}
