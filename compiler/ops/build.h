// Build: shorthands with which gradient rules, expansions and passes write nodes that have attributes.
//
// All of them append to the graph and treat a shape error as our own bug, as graph_add does.
#ifndef SG_OPS_BUILD_H
#define SG_OPS_BUILD_H

#include "compiler/graph.h"

typedef struct ConvAttrs {
  int64_t stride, padding, dilation, groups;
} ConvAttrs;

// Of a conv2d, conv2d_dx or conv2d_dw node.
ConvAttrs conv_attrs(const Node *conv);
// Whether a resize or its gradient takes the nearest place, so that values are repeated and not blended.
bool resize_is_nearest(const Node *resize);
// Whether the node is a conv2d that multiplies the channels at each place by one matrix; padding may stand around.
bool conv_is_pointwise(const Node *node);

Node *build_scale(Graph *graph, Node *x, double factor); // x * factor; x itself for 1
Node *build_broadcast(Graph *graph, Node *x, Shape shape);
Node *build_concat(Graph *graph, Node *const *parts, int n, int axis);
// `before` and `after` zeros along one axis; x itself if both are 0.
Node *build_pad_axis(Graph *graph, Node *x, int axis, int64_t before, int64_t after);
Node *build_pad_picture(Graph *graph, Node *x, int64_t padding); // zeros around [N, C, H, W]; x itself for 0
Node *build_flip(Graph *graph, Node *x, int axis);
Node *build_max(Graph *graph, Node *x, int axis); // keeps the axis
Node *build_cumsum(Graph *graph, Node *x, int axis, bool is_reverse);
Node *build_matmul(Graph *graph, Node *a, Node *b, bool transpose_a, bool transpose_b);
Node *build_conv2d(Graph *graph, Node *x, Node *weight, ConvAttrs attrs);
// Gradient by x [.., height, width], and by the weight [.., kh, kw].
Node *build_conv2d_dx(Graph *graph, Node *gout, Node *weight, ConvAttrs attrs, int64_t height, int64_t width);
Node *build_conv2d_dw(Graph *graph, Node *x, Node *gout, ConvAttrs attrs, int64_t kh, int64_t kw);

// The shape with the axes (a list, as in sum's attribute) set to 1: what a reduction with keep gives.
Shape shape_keep(Shape shape, Shape axes);
// Number of elements that a reduction over the axes brings together.
int64_t shape_count(Shape shape, Shape axes);

#endif
