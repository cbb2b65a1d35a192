// Gradient rules of matrix products and convolutions.
#include "compiler/ops/build.h"
#include "compiler/ops/rules.h"

enum { MAX_PADDING = 1 << 20 }; // of conv2d's shape rule

// A' = a or its transpose, B' likewise, y = A' B'. Then dA' = g B'^T and dB' = A'^T g.
static void grad_product(Graph *graph, Node *a, Node *b, bool ta, bool tb, Node *gout, Node **gin) {
  gin[0] = ta ? build_matmul(graph, b, gout, tb, true) : build_matmul(graph, gout, b, false, !tb);
  gin[1] = tb ? build_matmul(graph, gout, a, true, ta) : build_matmul(graph, a, gout, !ta, false);
}

static int64_t leading(Shape shape) {
  int64_t n = 1;
  for (int i = 0; i + 2 < shape.rank; i++) n *= shape.dim[i];
  return n;
}

// All but the last axis as one.
static Node *as_rows(Graph *graph, Node *x) {
  const int64_t *last = &x->shape.dim[x->shape.rank - 2];
  return graph_reshape(graph, x, SHAPE(leading(x->shape) * last[0], last[1]));
}

void grad_matmul(Graph *graph, Node *node, Node *gout, Node **gin) {
  Node *a = node->in[0], *b = node->in[1];
  bool ta = node_attr(node, "transpose_a").i, tb = node_attr(node, "transpose_b").i;
  bool is_linear = !ta && b->shape.rank == 2 && a->shape.rank > 2;
  if (is_linear) {
    // one matrix for all of a's rows: its gradient is one product, not a sum of many
    Node *by_row[2];
    grad_product(graph, as_rows(graph, a), b, ta, tb, as_rows(graph, gout), by_row);
    gin[0] = graph_reshape(graph, by_row[0], a->shape);
    gin[1] = by_row[1];
    return;
  }
  grad_product(graph, a, b, ta, tb, gout, gin);
  if (leading(a->shape) != leading(gout->shape) || a->shape.rank != gout->shape.rank) {
    gin[0] = graph_sum_to(graph, gin[0], a->shape);
  }
  if (leading(b->shape) != leading(gout->shape) || b->shape.rank != gout->shape.rank) {
    gin[1] = graph_sum_to(graph, gin[1], b->shape);
  }
}

// The weight [O, I / groups, kh, kw] of the convolution that takes the gradient of the result to that of x: outputs and
// inputs change places within each group, and the kernel is turned by half a circle.
static Node *turned_weight(Graph *graph, Node *weight, int64_t groups) {
  Shape s = weight->shape;
  int64_t out = s.dim[0] / groups, in = s.dim[1], kh = s.dim[2], kw = s.dim[3];
  Node *w = weight;
  if (groups == 1) {
    w = graph_transpose(graph, w, (int[]){1, 0, 2, 3});
  } else if (out != 1 || in != 1) {
    w = graph_reshape(graph, w, SHAPE(groups, out, in, kh, kw));
    w = graph_transpose(graph, w, (int[]){0, 2, 1, 3, 4});
    w = graph_reshape(graph, w, SHAPE(groups * in, out, kh, kw));
  }
  return build_flip(graph, build_flip(graph, w, 2), 3);
}

// Whether the kernel tiles x: each element of x meets one element of the result.
static bool is_tiling(ConvAttrs conv, Shape weight, Shape x, Shape y) {
  if (conv.groups != 1 || conv.dilation != 1 || conv.padding != 0) return false;
  for (int axis = 2; axis < 4; axis++) {
    if (conv.stride != weight.dim[axis] || x.dim[axis] != y.dim[axis] * conv.stride) return false;
  }
  return true;
}

// The gradient of a tiling convolution is a product: for each place of the result a tile [I, k, k].
static Node *tiles_dx(Graph *graph, Node *gout, Node *weight, Shape x) {
  Shape g = gout->shape, w = weight->shape;
  Node *places = graph_reshape(graph, gout, SHAPE(g.dim[0], g.dim[1], g.dim[2] * g.dim[3]));
  Node *kernels = graph_reshape(graph, weight, SHAPE(w.dim[0], w.dim[1] * w.dim[2] * w.dim[3]));
  Node *tiles = build_matmul(graph, places, kernels, true, false);
  tiles = graph_reshape(graph, tiles, SHAPE(g.dim[0], g.dim[2], g.dim[3], w.dim[1], w.dim[2], w.dim[3]));
  return graph_reshape(graph, graph_transpose(graph, tiles, (int[]){0, 3, 1, 4, 2, 5}), x);
}

static Node *conv_dx(Graph *graph, Node *node, Node *gout) {
  Node *x = node->in[0], *weight = node->in[1];
  ConvAttrs conv = conv_attrs(node);
  int64_t kh = weight->shape.dim[2], kw = weight->shape.dim[3];
  int64_t padding = conv.dilation * (kh - 1) - conv.padding;
  if (conv.stride > 1 && is_tiling(conv, weight->shape, x->shape, node->shape))
    return tiles_dx(graph, gout, weight, x->shape);
  if (conv.stride == 1 && kh == kw && padding >= -MAX_PADDING && padding <= MAX_PADDING) {
    // Padding beyond the kernel's reach: outputs at the border saw nothing of x.
    for (int axis = 2; padding < 0 && axis < 4; axis++)
      gout = graph_slice(graph, gout, axis, -padding, gout->shape.dim[axis] + padding);
    ConvAttrs back = conv;
    back.padding = padding < 0 ? 0 : padding;
    return build_conv2d(graph, gout, turned_weight(graph, weight, conv.groups), back);
  }
  return build_conv2d_dx(graph, gout, weight, conv, x->shape.dim[2], x->shape.dim[3]);
}

void grad_conv2d(Graph *graph, Node *node, Node *gout, Node **gin) {
  Shape weight = node->in[1]->shape;
  gin[0] = conv_dx(graph, node, gout);
  gin[1] = build_conv2d_dw(graph, node->in[0], gout, conv_attrs(node), weight.dim[2], weight.dim[3]);
}
