// Interpolate late: pointwise work on an enlarged picture is done on the small one, which is enlarged then.
//
// conv(resize(x)) becomes resize(conv(x)) where the convolution is pointwise. Exact but for rounding: a pointwise
// convolution mixes channels at one place, a resize mixes places of one channel, so as linear maps they commute. A
// shift b of one value a channel commutes as well, since the weights of every interpolation sum to one: sum_i w_i (x_i
// + b) = sum_i w_i x_i + b. A resize to the nearest place only repeats values, so that every element-wise op whose
// other operands are the same everywhere commutes with it.
#include "compiler/ops/build.h"
#include "compiler/pass/pass.h"
#include "compiler/pass/rewrite.h"

// Arithmetic of one interpolated element, in the flops that a convolution's two per multiply-add are counted in.
enum { RESIZE_FLOPS = 8, MAX_LINKS = 8 };

// Whether the convolution, of any number of groups, reads nothing but the place that it writes.
static bool reads_one_place(const Node *conv) {
  if (conv->op != OP_conv2d) return false;
  Shape weight = conv->in[1]->shape;
  ConvAttrs attrs = conv_attrs(conv);
  return weight.dim[2] == 1 && weight.dim[3] == 1 && attrs.stride == 1 && attrs.padding == 0;
}

static int64_t area(const Node *node) { return node->shape.dim[2] * node->shape.dim[3]; }

static bool enlarges(const Node *resize) { return area(resize) > area(resize->in[0]); }

// Whether fewer places for the convolution outweigh more (or fewer) channels for the resize, or a second resize.
static bool saves_work(const Node *conv, const Node *resize, bool is_resize_kept) {
  double large = (double)area(resize), small = (double)area(resize->in[0]);
  double in = (double)conv->in[1]->shape.dim[1], out = (double)conv->shape.dim[1];
  double before = is_resize_kept ? 0 : (double)resize->shape.dim[1];
  return 2 * in * out * (large - small) > RESIZE_FLOPS * (out - before) * large;
}

// Whether the value is the same at all places of a channel.
static bool is_flat(const Node *value) {
  int rank = value->shape.rank;
  return (rank < 1 || value->shape.dim[rank - 1] == 1) && (rank < 2 || value->shape.dim[rank - 2] == 1);
}

// Which operand of an affine op is the picture, the other being flat; -1 if it is no such op.
static int picture_operand(const Node *node) {
  if (node->op != OP_add && node->op != OP_sub && node->op != OP_mul && node->op != OP_div) return -1;
  for (int k = 0; k < (node->op == OP_div ? 1 : 2); k++) {
    if (shape_equal(node->in[k]->shape, node->shape) && is_flat(node->in[1 - k]) && !is_flat(node->in[k])) return k;
  }
  return -1;
}

static Node *apply(Graph *graph, const Node *link, int k, Node *x) {
  Node *in[2] = {link->in[0], link->in[1]};
  in[k] = x;
  return graph_add(graph, link->op, in, 2, NULL);
}

static Node *resize_as(Graph *graph, const Node *resize, Node *x) {
  graph_at(graph, resize);
  return graph_add(graph, OP_resize, &x, 1, resize->attr);
}

static Node *move_convolution(const Users *users, Graph *graph, Node *conv) {
  const Node *link[MAX_LINKS];
  int side[MAX_LINKS], n = 0;
  const Node *user = conv, *x = conv->in[0];
  for (; is_only_for(users, x, user) && n < MAX_LINKS; n++) {
    int k = picture_operand(x);
    if (k < 0) break;
    link[n] = user = x;
    side[n] = k;
    x = x->in[k];
  }
  if (x->op != OP_resize || !enlarges(x) || !saves_work(conv, x, !is_only_for(users, x, user))) return NULL;
  Node *small = x->in[0];
  while (n--) small = apply(graph, link[n], side[n], small);
  return resize_as(graph, x, build_conv2d(graph, small, conv->in[1], conv_attrs(conv)));
}

// The convolution's bias follows it, so that it stays in one kernel with it.
static Node *move_bias(const Users *users, Graph *graph, Node *node) {
  int k = picture_operand(node);
  if (node->op != OP_add || k < 0) return NULL;
  const Node *resize = node->in[k];
  if (resize->op != OP_resize || !is_only_for(users, resize, node) || !enlarges(resize)) return NULL;
  if (!reads_one_place(resize->in[0]) || !is_only_for(users, resize->in[0], resize)) return NULL;
  return resize_as(graph, resize, apply(graph, node, k, resize->in[0]));
}

// An element-wise op on a picture whose places are repeated, and on what is the same everywhere.
static Node *move_elementwise(const Users *users, Graph *graph, Node *node) {
  if (!is_elementwise(node)) return NULL;
  const Node *resize = NULL;
  for (int k = 0; k < node->n_in; k++) {
    const Node *in = node->in[k];
    if (is_flat(in) && in->shape.rank <= node->shape.rank) continue;
    if (resize || in->op != OP_resize || !resize_is_nearest(in) || !shape_equal(in->shape, node->shape)) return NULL;
    resize = in;
  }
  if (!resize || !is_only_for(users, resize, node) || !enlarges(resize)) return NULL;
  Node *in[3];
  for (int k = 0; k < node->n_in; k++) in[k] = node->in[k] == resize ? resize->in[0] : node->in[k];
  return resize_as(graph, resize, graph_add(graph, node->op, in, node->n_in, node->attr));
}

static Node *rewrite(void *context, Graph *graph, Node *node) {
  if (reads_one_place(node)) return move_convolution(context, graph, node);
  Node *moved = move_bias(context, graph, node);
  return moved ? moved : move_elementwise(context, graph, node);
}

bool pass_interp(const PassContext *context, Graph *graph) {
  return !context->exact && graph_rewrite_by_users(graph, rewrite);
}
