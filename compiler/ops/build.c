// Build: nodes with attributes, named rather than counted.
#include "compiler/ops/build.h"

#include "runtime/base/status.h"

static AttrValue *slot(AttrValue *attrs, Op op, const char *name) {
  int index = op_attr_index(op, name);
  if (index < 0) BUG("%s has no attribute '%s'", op_info(op)->name, name);
  return &attrs[index];
}

static void set_int(AttrValue *attrs, Op op, const char *name, int64_t value) { slot(attrs, op, name)->i = value; }

static void set_conv(AttrValue *attrs, Op op, ConvAttrs conv) {
  set_int(attrs, op, "stride", conv.stride);
  set_int(attrs, op, "padding", conv.padding);
  set_int(attrs, op, "dilation", conv.dilation);
  set_int(attrs, op, "groups", conv.groups);
}

bool resize_is_nearest(const Node *resize) { return node_attr(resize, "mode").i == 1; }

ConvAttrs conv_attrs(const Node *conv) {
  return (ConvAttrs){.stride = node_attr(conv, "stride").i,
                     .padding = node_attr(conv, "padding").i,
                     .dilation = node_attr(conv, "dilation").i,
                     .groups = node_attr(conv, "groups").i};
}

bool conv_is_pointwise(const Node *node) {
  if (node->op != OP_conv2d) return false;
  Shape weight = node->in[1]->shape;
  ConvAttrs attrs = conv_attrs(node);
  return weight.dim[2] == 1 && weight.dim[3] == 1 && attrs.stride == 1 && attrs.groups == 1;
}

Node *build_scale(Graph *graph, Node *x, double factor) {
  return factor == 1 ? x : graph_binary(graph, OP_mul, x, graph_scalar(graph, factor));
}

Node *build_broadcast(Graph *graph, Node *x, Shape shape) {
  if (shape_equal(x->shape, shape)) return x;
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  slot(attrs, OP_broadcast, "shape")->ints = shape;
  return graph_add(graph, OP_broadcast, &x, 1, attrs);
}

Node *build_concat(Graph *graph, Node *const *parts, int n, int axis) {
  if (n == 1) return parts[0];
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  set_int(attrs, OP_concat, "axis", axis);
  return graph_add(graph, OP_concat, parts, n, attrs);
}

Node *build_pad_axis(Graph *graph, Node *x, int axis, int64_t before, int64_t after) {
  if (!before && !after) return x;
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  Shape *lo = &slot(attrs, OP_pad, "before")->ints, *hi = &slot(attrs, OP_pad, "after")->ints;
  lo->rank = hi->rank = x->shape.rank;
  lo->dim[axis] = before;
  hi->dim[axis] = after;
  return graph_add(graph, OP_pad, &x, 1, attrs);
}

Node *build_pad_picture(Graph *graph, Node *x, int64_t padding) {
  if (!padding) return x;
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(OP_pad, "before")].ints = SHAPE(0, 0, padding, padding);
  attrs[op_attr_index(OP_pad, "after")].ints = SHAPE(0, 0, padding, padding);
  return graph_add(graph, OP_pad, &x, 1, attrs);
}

Node *build_flip(Graph *graph, Node *x, int axis) {
  if (x->shape.dim[axis] == 1) return x;
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  set_int(attrs, OP_flip, "axis", axis);
  return graph_add(graph, OP_flip, &x, 1, attrs);
}

Node *build_max(Graph *graph, Node *x, int axis) {
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  slot(attrs, OP_max, "axes")->ints = SHAPE(axis);
  set_int(attrs, OP_max, "keep", 1);
  return graph_add(graph, OP_max, &x, 1, attrs);
}

Node *build_cumsum(Graph *graph, Node *x, int axis, bool is_reverse) {
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  set_int(attrs, OP_cumsum, "axis", axis);
  set_int(attrs, OP_cumsum, "reverse", is_reverse);
  return graph_add(graph, OP_cumsum, &x, 1, attrs);
}

Node *build_matmul(Graph *graph, Node *a, Node *b, bool transpose_a, bool transpose_b) {
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  set_int(attrs, OP_matmul, "transpose_a", transpose_a);
  set_int(attrs, OP_matmul, "transpose_b", transpose_b);
  return graph_add(graph, OP_matmul, (Node *[]){a, b}, 2, attrs);
}

Node *build_conv2d(Graph *graph, Node *x, Node *weight, ConvAttrs conv) {
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  set_conv(attrs, OP_conv2d, conv);
  return graph_add(graph, OP_conv2d, (Node *[]){x, weight}, 2, attrs);
}

Node *build_conv2d_dx(Graph *graph, Node *gout, Node *weight, ConvAttrs conv, int64_t height, int64_t width) {
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  set_conv(attrs, OP_conv2d_dx, conv);
  set_int(attrs, OP_conv2d_dx, "height", height);
  set_int(attrs, OP_conv2d_dx, "width", width);
  return graph_add(graph, OP_conv2d_dx, (Node *[]){gout, weight}, 2, attrs);
}

Node *build_conv2d_dw(Graph *graph, Node *x, Node *gout, ConvAttrs conv, int64_t kh, int64_t kw) {
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  set_conv(attrs, OP_conv2d_dw, conv);
  set_int(attrs, OP_conv2d_dw, "kh", kh);
  set_int(attrs, OP_conv2d_dw, "kw", kw);
  return graph_add(graph, OP_conv2d_dw, (Node *[]){x, gout}, 2, attrs);
}

Shape shape_keep(Shape shape, Shape axes) {
  for (int i = 0; i < axes.rank; i++) shape.dim[axes.dim[i]] = 1;
  return shape;
}

int64_t shape_count(Shape shape, Shape axes) {
  int64_t n = 1;
  for (int i = 0; i < axes.rank; i++) n *= shape.dim[axes.dim[i]];
  return n;
}
