// Costs of nodes and graphs: parameters, multiply-adds, floating-point operations, bytes.
#include "compiler/graph.h"
#include "compiler/ops/build.h"
#include "compiler/ops/winograd.h"

// Winograd's tiles of m x m results in a picture; each costs one product for each of its elements, besides the
// transforms.
static int64_t count_tiles(const Node *node, Shape picture, int64_t m) {
  return winograd_count_tiles(picture, node_attr(node, "dilation").i, m);
}

// Pairs of a result along an axis and a tap of the kernel that meet inside the picture of `extent` elements.
static int64_t count_taps(const Node *conv, int64_t extent, int64_t results, int64_t taps) {
  int64_t stride = node_attr(conv, "stride").i, padding = node_attr(conv, "padding").i,
          dilation = node_attr(conv, "dilation").i, n = 0;
  for (int64_t tap = 0; tap < taps; tap++) {
    int64_t first = tap * dilation - padding; // where the first result finds it
    int64_t begin = first < 0 ? (stride - 1 - first) / stride : 0;
    int64_t end = extent > first ? (extent - 1 - first) / stride + 1 : 0;
    if (end > results) end = results;
    if (end > begin) n += end - begin;
  }
  return n;
}

// The weight's shape with as many input channels as are multiplied: Strassen's products do with seven for eight.
static Shape multiplied(const Node *weight) {
  Shape shape = weight->shape;
  if (weight->layout) shape.dim[1] -= weight->layout->half / 4;
  return shape;
}

// Multiply-adds of a convolution or one of its gradients that fall on elements of the picture x [N, C, H, W], y being
// the result, of a kernel of weight's shape [O, C / groups, kh, kw].
static int64_t count_inside(const Node *conv, Shape x, Shape y, Shape weight) {
  return y.dim[0] * y.dim[1] * weight.dim[1] * count_taps(conv, x.dim[2], y.dim[2], weight.dim[2]) *
         count_taps(conv, x.dim[3], y.dim[3], weight.dim[3]);
}

static int64_t count_multiply_adds_inside(const Node *node, int64_t multiply_adds) {
  switch ((int)node->op) {
  case OP_conv2d: return count_inside(node, node->in[0]->shape, node->shape, multiplied(node->in[1]));
  case OP_conv2d_dx: return count_inside(node, node->shape, node->in[0]->shape, node->in[1]->shape);
  case OP_conv2d_dw: return count_inside(node, node->in[0]->shape, node->in[1]->shape, node->shape);
  default: return multiply_adds;
  }
}

// Operations of Winograd's transforms: each tile of each channel on both sides, and of a gradient by the weight the
// sums of each pair of channels. Of Strassen's sums: eight for four pixels and channels of x, seven for four of y.
static int64_t count_transforms(const Node *node) {
  if (node->op == OP_conv2d && node->in[1]->layout && node->in[1]->layout->half) {
    int64_t outputs = node->shape.dim[1], pixels = shape_elements(node->shape) / outputs;
    return pixels * (2 * node->in[1]->layout->half + 7 * outputs / 4);
  }
  if (node->op == OP_conv2d_winograd) {
    Shape u = node->in[1]->shape;
    int m = winograd_m(u);
    return count_tiles(node, node->shape, m) *
           (u.dim[1] * winograd_flops(m, WINOGRAD_INPUT) + u.dim[0] * winograd_flops(m, WINOGRAD_OUTPUT));
  }
  if (node->op == OP_conv2d_dw_winograd)
    return count_tiles(node, node->in[1]->shape, 4) * (node->shape.dim[1] * winograd_flops(4, WINOGRAD_INPUT) +
                                                       node->shape.dim[0] * winograd_flops(4, WINOGRAD_RESULT)) +
           node->shape.dim[0] * node->shape.dim[1] * winograd_flops(4, WINOGRAD_WEIGHT);
  return 0;
}

// Multiply-adds of a contraction as published figures have them: what a convolution reads of its zero padding counts
// like the rest.
static int64_t count_multiply_adds(const Node *node) {
  switch ((int)node->op) {
  case OP_matmul: {
    Shape a = node->in[0]->shape;
    return shape_elements(node->shape) * a.dim[a.rank - (node_attr(node, "transpose_a").i ? 2 : 1)];
  }
  case OP_conv2d: {
    Shape weight = multiplied(node->in[1]); // [O, C / groups, kh, kw]
    return shape_elements(node->shape) * weight.dim[1] * weight.dim[2] * weight.dim[3];
  }
  case OP_winograd_weight: return 9 * shape_elements(node->shape);
  case OP_conv2d_winograd: {
    Shape u = node->in[1]->shape;
    int64_t m = winograd_m(u);
    return count_tiles(node, node->shape, m) * u.dim[0] * u.dim[1] * (m + 2) * (m + 2);
  }
  case OP_conv2d_dw_winograd: return count_tiles(node, node->in[1]->shape, 4) * shape_elements(node->shape) * 36 / 9;
  case OP_conv2d_dx: {
    Shape weight = node->in[1]->shape;
    return shape_elements(node->in[0]->shape) * weight.dim[1] * weight.dim[2] * weight.dim[3];
  }
  case OP_conv2d_dw: {
    Shape weight = node->shape;
    return shape_elements(node->in[1]->shape) * weight.dim[1] * weight.dim[2] * weight.dim[3];
  }
  default: return 0;
  }
}

// Operations of everything else: about one for each scalar result of a step of the obvious algorithm.
static int64_t count_flops(const Node *node, int64_t inside) {
  int64_t n_out = shape_elements(node->shape), n_in = node->n_in ? shape_elements(node->in[0]->shape) : 0;
  switch (op_info(node->op)->cls) {
  case CLASS_ELEMENTWISE: return n_out;
  case CLASS_REDUCE: return n_in;
  case CLASS_SPATIAL: {
    bool is_nearest = resize_is_nearest(node);
    int64_t n_large = node->op == OP_resize ? n_out : n_in;                  // where the interpolation happens
    return is_nearest ? (node->op == OP_resize ? 0 : n_large) : 6 * n_large; // three lerps of a difference and an FMA
  }
  case CLASS_COMPOSITE: return node->op == OP_softmax ? 4 * n_in : 3 * n_in;
  case CLASS_INDEX: {
    if (node->op == OP_random) return 10 * n_out; // ten rounds of about four for four elements
    if (node->op != OP_nearest) return n_in;
    int64_t steps = 1;
    for (int64_t n = node->in[1]->shape.dim[1]; n > 1; n /= 2) steps++;
    return n_in * steps;
  }
  case CLASS_CONTRACT: return 2 * inside + count_transforms(node);
  case CLASS_COLLECTIVE: return n_out;
  case CLASS_MOVEMENT: return 2 * inside;
  case CLASS_LEAF: return 0;
  }
  return 0;
}

Cost node_cost(const Node *node) {
  Cost cost = {0};
  if (node->op == OP_param) cost.parameters = shape_elements(node->shape);
  if (op_is_leaf(node->op)) return cost;
  cost.multiply_adds = count_multiply_adds(node);
  cost.inside = count_multiply_adds_inside(node, cost.multiply_adds);
  cost.flops = count_flops(node, cost.inside);
  if (node->op == OP_reshape) return cost; // another view of the same memory
  cost.bytes = (int64_t)sizeof(float) * shape_elements(node->shape);
  for (int k = 0; k < node->n_in; k++) cost.bytes += (int64_t)sizeof(float) * shape_elements(node->in[k]->shape);
  return cost;
}

Cost graph_cost(const Graph *graph) {
  Cost total = {0};
  for (int i = 0; i < graph->n_nodes; i++) {
    Cost cost = node_cost(graph->nodes[i]);
    total.parameters += cost.parameters;
    total.multiply_adds += cost.multiply_adds;
    total.inside += cost.inside;
    total.flops += cost.flops;
    total.bytes += cost.bytes;
  }
  return total;
}
