// Rules: declarations of all functions that rows of ops.def name. Private to compiler/ops/.
//
// For a row OP(..., S, G, R, E, doc): shape_S in shape_*.c, grad_G in grad_*.c, ref_R in ref_*.c, expand_E in expand.c.
// Several rows may name the same function. `none` and `no_grad` name no function: op.c puts NULL in the table.
#ifndef SG_OPS_RULES_H
#define SG_OPS_RULES_H

#include "compiler/graph.h"
#include "compiler/ops/op.h"

typedef bool ShapeRule(Node *node, Text *why);
typedef void GradRule(Graph *graph, Node *node, Node *gout, Node **gin);
typedef void RefRule(const RefArgs *args);
typedef Node *ExpandRule(Graph *graph, Node *node);

#define OP(id, n_in, cls, flags, attrs, shape, grad, ref, expand, doc)                                                 \
  ShapeRule shape_##shape;                                                                                             \
  GradRule grad_##grad;                                                                                                \
  RefRule ref_##ref;                                                                                                   \
  ExpandRule expand_##expand;
#include "compiler/ops/ops.def"
#undef OP

// ---- helpers of shape rules (shape_common.c); on failure they append the reason to `why` and return false

// Finds the common shape of two by NumPy's rule.
bool broadcast_shapes(Shape a, Shape b, Shape *out, Text *why);
// Brings a possibly negative axis into 0..rank-1.
bool normalize_axis(int64_t *axis, int rank, Text *why);
// Brings axes into range, in ascending order, refusing none at all and repeated ones.
bool normalize_axes(Shape *axes, int rank, Text *why);
// Checks the rank of an operand; `what` names it in the message.
bool require_rank(const char *what, Shape shape, int rank, Text *why);
// Sets node->shape after checking it with op_shape_ok.
bool set_shape(Node *node, Shape shape, Text *why);

// The size of a convolution's result along one axis; 0 or less where the kernel does not fit.
int64_t conv_size(int64_t in, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation);

// ---- the interpolation rule, one axis at a time (shape_spatial.c)

// Output index `i` of an axis resized from `in` to `out` reads (1 - weight) * x[low] + weight * x[high].
// Bilinear with aligned corners: source i * (in - 1) / (out - 1); without: max(0, (i + 0.5) * in / out - 0.5).
// Nearest: floor(i * in / out), weight 0.
typedef struct ResizeTap {
  int64_t low, high;
  double weight;
} ResizeTap;
ResizeTap resize_tap(bool is_nearest, bool align_corners, int64_t in, int64_t out, int64_t i);

#endif
