// Compose: pointwise convolutions one after another become one, where its weight, their product, costs less than the
// multiply-adds that are saved: W2 (W1 x + b1) + b2 = (W2 W1) x + (W2 b1 + b2).
//
// A product of a matrix with the pixels of a single picture is such a convolution too, and becomes one first.
// Equal but for rounding.
#include "compiler/ops/build.h"
#include "compiler/pass/pass.h"
#include "compiler/pass/rewrite.h"

// The operand that is one number for each channel, if the node adds such a thing to a picture; else NULL.
static Node *bias_of(const Node *node) {
  if (node->op != OP_add || node->shape.rank != 4) return NULL;
  for (int k = 0; k < 2; k++) {
    Node *bias = node->in[k];
    Shape s = bias->shape;
    bool is_flat = s.rank >= 3 && s.dim[s.rank - 1] == 1 && s.dim[s.rank - 2] == 1 && (s.rank == 3 || s.dim[0] == 1);
    if (is_flat && s.dim[s.rank - 3] == node->shape.dim[1] && shape_equal(node->in[1 - k]->shape, node->shape))
      return bias;
  }
  return NULL;
}

static Node *picture_of(const Node *add) { return add->in[add->in[0] == bias_of(add)]; }

// ---- a matrix times pixels -----------------------------------------------------------------------------------------

static Node *as_convolution(const Users *users, Graph *graph, const Node *node) {
  if (node->op != OP_reshape || node->shape.rank != 4 || node->shape.dim[0] != 1) return NULL;
  const Node *product = node->in[0];
  if (product->op != OP_matmul || !is_only_for(users, product, node)) return NULL;
  Node *matrix = product->in[0], *pixels = product->in[1];
  if (pixels->op != OP_reshape || node_attr(product, "transpose_a").i || node_attr(product, "transpose_b").i)
    return NULL;
  Node *picture = pixels->in[0];
  Shape m = matrix->shape, p = picture->shape, y = node->shape;
  bool is_picture = p.rank == 4 && p.dim[0] == 1 && p.dim[2] == y.dim[2] && p.dim[3] == y.dim[3];
  if (!is_picture || m.rank < 2 || shape_elements(m) != y.dim[1] * p.dim[1] || m.dim[m.rank - 1] != p.dim[1])
    return NULL;
  int rank = pixels->shape.rank;
  if (rank < 2 || pixels->shape.dim[rank - 2] != p.dim[1] || product->shape.dim[product->shape.rank - 2] != y.dim[1])
    return NULL;
  Node *weight = graph_reshape(graph, matrix, SHAPE(y.dim[1], p.dim[1], 1, 1));
  return build_conv2d(graph, picture, weight, (ConvAttrs){.stride = 1, .dilation = 1, .groups = 1});
}

// ---- two convolutions ----------------------------------------------------------------------------------------------

static bool saves_work(const Users *users, const Node *first, const Node *second) {
  const Node *w1 = first->in[1], *w2 = second->in[1];
  double in = (double)w1->shape.dim[1], middle = (double)w1->shape.dim[0], out = (double)w2->shape.dim[0];
  double pixels = (double)(shape_elements(first->shape) / first->shape.dim[1]);
  bool is_once = w1->id < users->n && w2->id < users->n && users->is_fixed[w1->id] && users->is_fixed[w2->id];
  double now = pixels * (in * middle + middle * out), then = pixels * in * out + (is_once ? 0 : in * middle * out);
  return then < 0.9 * now;
}

// `second`, with what is added behind it (or NULL), on the input of the convolution before it.
static Node *composed(const Users *users, Graph *graph, const Node *second, Node *bias) {
  const Node *first = second->in[0], *add = NULL;
  Node *inner = NULL;
  if (!is_only_for(users, first, second)) return NULL;
  if ((inner = bias_of(first))) {
    add = first;
    first = picture_of(add);
    if (!is_only_for(users, first, add)) return NULL;
  }
  int64_t padding = conv_attrs(second).padding;
  if (!conv_is_pointwise(first) || conv_attrs(first).padding || !saves_work(users, first, second)) return NULL;
  Shape w1 = first->in[1]->shape, w2 = second->in[1]->shape;
  Node *left = graph_reshape(graph, second->in[1], SHAPE(w2.dim[0], w2.dim[1]));
  Node *right = graph_reshape(graph, first->in[1], SHAPE(w1.dim[0], w1.dim[1]));
  Node *weight =
      graph_reshape(graph, build_matmul(graph, left, right, false, false), SHAPE(w2.dim[0], w1.dim[1], 1, 1));
  Node *y = build_conv2d(graph, first->in[0], weight, conv_attrs(first));
  Shape flat = SHAPE(1, w2.dim[0], 1, 1);
  if (inner) {
    Node *column = graph_reshape(graph, inner, SHAPE(w1.dim[0], 1));
    Node *shift = graph_reshape(graph, build_matmul(graph, left, column, false, false), flat);
    // Around the picture there is no b1.
    if (!padding && bias) bias = graph_binary(graph, OP_add, shift, graph_reshape(graph, bias, flat));
    else if (!padding) bias = shift;
    else y = graph_binary(graph, OP_add, y, shift);
  }
  y = build_pad_picture(graph, y, padding);
  return bias ? graph_binary(graph, OP_add, y, bias) : y;
}

static Node *rewrite(void *context, Graph *graph, Node *node) {
  const Users *users = context;
  Node *convolution = as_convolution(users, graph, node);
  if (convolution) return convolution;
  Node *bias = bias_of(node);
  if (bias) {
    const Node *picture = picture_of(node);
    return conv_is_pointwise(picture) && is_only_for(users, picture, node) ? composed(users, graph, picture, bias)
                                                                           : NULL;
  }
  // A bias that follows comes along, at its own node.
  const Node *user = node->id < users->n ? users->only[node->id] : NULL;
  if (!conv_is_pointwise(node) || (user && bias_of(user))) return NULL;
  return composed(users, graph, node, NULL);
}

bool pass_compose(const PassContext *context, Graph *graph) {
  return !context->exact && graph_rewrite_by_users(graph, rewrite);
}
