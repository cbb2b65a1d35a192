// Composite ops from primitive ones.
#include "compiler/ops/build.h"
#include "compiler/ops/rules.h"

// exp(x - max) / sum: the largest exponent is 0, so nothing overflows and the sum is at least 1.
Node *expand_softmax(Graph *graph, Node *node) {
  Node *x = node->in[0];
  int axis = (int)node_attr(node, "axis").i;
  Node *e = graph_unary(graph, OP_exp, graph_binary(graph, OP_sub, x, build_max(graph, x, axis)));
  return graph_binary(graph, OP_div, e, graph_sum(graph, e, &axis, 1, true));
}

// Mean of (x - mean)^2 in two passes over x. The difference of mean(x^2) and mean(x)^2 would be one pass less, and
// lose all digits where the mean is large against the deviation.
Node *expand_variance(Graph *graph, Node *node) {
  Node *x = node->in[0];
  Shape axes = node_attr(node, "axes").ints;
  bool keep = node_attr(node, "keep").i;
  int list[MAX_RANK];
  for (int i = 0; i < axes.rank; i++) list[i] = (int)axes.dim[i];
  Node *n = graph_scalar(graph, (double)shape_count(x->shape, axes));
  Node *mean = graph_binary(graph, OP_div, graph_sum(graph, x, list, axes.rank, keep), n);
  if (!keep) mean = graph_reshape(graph, mean, shape_keep(x->shape, axes));
  Node *distance = graph_binary(graph, OP_sub, x, mean);
  Node *square = graph_binary(graph, OP_mul, distance, distance);
  return graph_binary(graph, OP_div, graph_sum(graph, square, list, axes.rank, keep), n);
}
