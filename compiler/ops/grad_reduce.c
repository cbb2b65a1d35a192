// Gradient rules of reductions and softmax.
#include "compiler/ops/build.h"
#include "compiler/ops/rules.h"

// `value`, of the result's shape, with the reduced axes put back as axes of size 1.
static Node *with_axes(Graph *graph, const Node *node, Node *value) {
  Shape kept = shape_keep(node->in[0]->shape, node_attr(node, "axes").ints);
  return shape_equal(kept, value->shape) ? value : graph_reshape(graph, value, kept);
}

void grad_sum(Graph *graph, Node *node, Node *gout, Node **gin) {
  gin[0] = build_broadcast(graph, with_axes(graph, node, gout), node->in[0]->shape);
}

void grad_max(Graph *graph, Node *node, Node *gout, Node **gin) {
  Node *is_largest = graph_binary(graph, OP_equal, node->in[0], with_axes(graph, node, node));
  gin[0] = graph_select(graph, is_largest, with_axes(graph, node, gout), graph_scalar(graph, 0));
}

void grad_cumsum(Graph *graph, Node *node, Node *gout, Node **gin) {
  gin[0] = build_cumsum(graph, gout, (int)node_attr(node, "axis").i, !node_attr(node, "reverse").i);
}

// 2/n g (x - mean): what the mean itself would pass on vanishes, as the distances from it sum to 0. The mean is written
// as everybody writes it, sum(x) / n, so that it is the one that the forward pass computed.
void grad_variance(Graph *graph, Node *node, Node *gout, Node **gin) {
  Node *x = node->in[0];
  Shape axes = node_attr(node, "axes").ints;
  double n = (double)shape_count(x->shape, axes);
  int list[MAX_RANK];
  for (int i = 0; i < axes.rank; i++) list[i] = (int)axes.dim[i];
  bool keep = node_attr(node, "keep").i;
  Node *mean = graph_binary(graph, OP_div, graph_sum(graph, x, list, axes.rank, keep), graph_scalar(graph, n));
  Node *distance = graph_binary(graph, OP_sub, x, with_axes(graph, node, mean));
  Node *factor = with_axes(graph, node, build_scale(graph, gout, 2 / n));
  gin[0] = graph_binary(graph, OP_mul, distance, factor);
}

// y (g - sum(g y)).
void grad_softmax(Graph *graph, Node *node, Node *gout, Node **gin) {
  int axis = (int)node_attr(node, "axis").i;
  Node *share = graph_sum(graph, graph_binary(graph, OP_mul, gout, node), &axis, 1, true);
  gin[0] = graph_binary(graph, OP_mul, node, graph_binary(graph, OP_sub, gout, share));
}
