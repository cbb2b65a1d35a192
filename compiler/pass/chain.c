// Chain: products of matrices one after another are multiplied in the cheaper order, before the graph is
// differentiated, so that the gradient is that of the cheaper order, too: W (A x) = (W A) x, where x has many columns.
//
// Here x are the pixels of a picture, A a matrix for each picture, such as queries of a transformer, and W a pointwise
// convolution. Equal but for rounding. (In inference pass_compose does it, where there is one picture.)
#include "compiler/ops/build.h"
#include "compiler/pass/pass.h"
#include "compiler/pass/rewrite.h"

// Whether nothing but one operand of `user`, and what is looked at on request, is made of the node.
static bool is_needed_for(const Graph *graph, const Node *node, const Node *user) {
  for (int i = 0; i < graph->n_nodes; i++) {
    for (int k = 0; k < graph->nodes[i]->n_in; k++) {
      if (graph->nodes[i]->in[k] == node && graph->nodes[i] != user) return false;
    }
  }
  for (int i = 0; i < graph->n_outputs; i++) {
    if (graph->outputs[i].node == node && !graph->outputs[i].is_tap) return false;
  }
  for (int i = 0; i < graph->n_updates; i++) {
    if (graph->updates[i].value == node) return false;
  }
  return true;
}

// The convolution as a product with its operand's pixels, or NULL.
static Node *reassociated(void *context, Graph *graph, Node *node) {
  (void)context;
  if (!conv_is_pointwise(node) || conv_attrs(node).padding) return NULL;
  const Node *picture = node->in[0];
  if (picture->op != OP_reshape || picture->in[0]->op != OP_matmul) return NULL;
  const Node *product = picture->in[0];
  Node *matrix = product->in[0], *pixels = product->in[1], *weight = node->in[1];
  Shape m = matrix->shape, x = pixels->shape, y = node->shape;
  if (m.rank != 3 || x.rank != 3 || node_attr(product, "transpose_a").i || node_attr(product, "transpose_b").i)
    return NULL;
  bool is_by_picture = m.dim[0] == y.dim[0] && x.dim[0] == y.dim[0] && m.dim[1] == picture->shape.dim[1];
  if (!is_by_picture || x.dim[2] != y.dim[2] * y.dim[3]) return NULL;
  if (!is_needed_for(graph, product, picture) || !is_needed_for(graph, picture, node)) return NULL;
  double pixel_count = (double)(x.dim[0] * x.dim[2]), in = (double)x.dim[1], middle = (double)m.dim[1],
         out = (double)y.dim[1];
  double now = pixel_count * (in * middle + middle * out),
         then = pixel_count * in * out + (double)x.dim[0] * out * middle * in;
  if (then >= 0.9 * now) return NULL;
  Node *left = graph_reshape(graph, weight, SHAPE(weight->shape.dim[0], weight->shape.dim[1]));
  Node *both = build_matmul(graph, left, matrix, false, false);
  return graph_reshape(graph, build_matmul(graph, both, pixels, false, false), y);
}

bool chain_build(Graph *graph) { return graph_rewrite(graph, reassociated, NULL); }
