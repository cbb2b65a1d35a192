// Affine: values of one a channel that scale and shift a convolution's result (or operand) go into its weight and one
// bias. Batch norm at inference is the case that matters; the linear layer with a vector is the other.
//
// Only values that no run changes are folded, and the arithmetic on them stays as nodes, which the setup pass finds.
// Only where nothing else needs the unscaled result, as otherwise it would be computed twice.
#include "compiler/ops/build.h"
#include "compiler/pass/pass.h"
#include "compiler/pass/rewrite.h"

enum { MAX_LINKS = 16 };

// From a contraction up to the last of the affine ops on its result.
typedef struct Chain {
  Node *root;
  Node *link[MAX_LINKS];
  int value[MAX_LINKS]; // which operand of link[i] is the value; -1: none (neg)
  int n;
} Chain;

typedef struct Facts {
  bool *is_fixed;
  Node **only_user;
  Chain **chain_ending_at;
  int n; // nodes they were found for
} Facts;

// Axis of channels: 1 of a picture, the last one of a product.
static int channel_axis(const Node *root) { return root->op == OP_conv2d ? 1 : root->shape.rank - 1; }

// Whether the value has one element for each index of the axis (or one for all) of a tensor of rank `rank`.
static bool is_channelwise(const Node *value, int axis, int rank) {
  int skipped = rank - value->shape.rank;
  for (int i = 0; i < value->shape.rank; i++) {
    if (i + skipped != axis && value->shape.dim[i] != 1) return false;
  }
  return skipped >= 0;
}

static bool is_contraction(const Facts *facts, const Node *node) {
  if (node->op != OP_conv2d && node->op != OP_matmul) return false;
  if (node->in[1]->id >= facts->n) return false; // new, so not a weight
  return facts->is_fixed[node->in[1]->id] && !facts->is_fixed[node->id];
}

// Which operand of `user` is a value that acts on `x` by channel: its index, -1 for neg, -2 where user is no such op.
static int acting_value(const Facts *facts, const Node *user, const Node *x, int axis) {
  enum { NONE = -2 };
  if (!user || !shape_equal(user->shape, x->shape)) return NONE;
  if (user->op == OP_neg) return -1;
  if (user->op != OP_add && user->op != OP_sub && user->op != OP_mul && user->op != OP_div) return NONE;
  int k = user->in[0] == x ? 1 : 0;
  if (user->op == OP_div && k == 0) return NONE;
  const Node *value = user->in[k];
  return facts->is_fixed[value->id] && is_channelwise(value, axis, x->shape.rank) ? k : NONE;
}

static bool is_worth_it(const Chain *chain) {
  if (chain->n > 1) return true;
  const Node *link = chain->link[0];
  return chain->n == 1 && link->op != OP_add && !(link->op == OP_sub && chain->value[0] == 1);
}

static void find_chains(Graph *graph, Facts *facts, Arena *scratch) {
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *root = graph->nodes[i];
    if (!is_contraction(facts, root)) continue;
    Chain *chain = ARENA_ARRAY(scratch, Chain, 1);
    chain->root = root;
    for (Node *x = root; chain->n < MAX_LINKS;) {
      Node *user = facts->only_user[x->id];
      int k = acting_value(facts, user, x, channel_axis(root));
      if (k < -1) break;
      chain->value[chain->n] = k;
      chain->link[chain->n++] = x = user;
    }
    if (is_worth_it(chain)) facts->chain_ending_at[chain->link[chain->n - 1]->id] = chain;
  }
}

// ---- putting a chain together

typedef struct Affine {
  Node *scale, *shift; // NULL = 1, NULL = 0
} Affine;

static Node *negated(Graph *graph, Node *x) { return graph_unary(graph, OP_neg, x); }

static void compose(Graph *graph, Affine *affine, const Node *link, int k) {
  Node *v = k < 0 ? NULL : link->in[k];
  Node *scale = affine->scale, *shift = affine->shift;
  bool is_negated = link->op == OP_neg || (link->op == OP_sub && k == 0);
  if (is_negated) {
    scale = scale ? negated(graph, scale) : graph_scalar(graph, -1);
    shift = shift ? negated(graph, shift) : NULL;
  }
  switch (link->op) {
  case OP_mul:
    scale = scale ? graph_binary(graph, OP_mul, scale, v) : v;
    shift = shift ? graph_binary(graph, OP_mul, shift, v) : NULL;
    break;
  case OP_div:
    scale = graph_binary(graph, OP_div, scale ? scale : graph_scalar(graph, 1), v);
    shift = shift ? graph_binary(graph, OP_div, shift, v) : NULL;
    break;
  case OP_sub:
    if (!is_negated) {
      shift = shift ? graph_binary(graph, OP_sub, shift, v) : negated(graph, v);
      break;
    } // fall through
  case OP_add: shift = shift ? graph_binary(graph, OP_add, shift, v) : v; break;
  default: break;
  }
  *affine = (Affine){scale, shift};
}

// The value in a given shape of the same number of elements, or as a plain number.
static Node *shaped(Graph *graph, Node *value, Shape shape) {
  return graph_reshape(graph, value, is_single(value) ? (Shape){0} : shape);
}

// The contraction's weight with each output channel scaled.
static Node *scale_outputs(Graph *graph, const Node *root, Node *scale) {
  Node *weight = root->in[1];
  int64_t n = root->shape.dim[channel_axis(root)];
  Shape shape = SHAPE(n);
  if (root->op == OP_conv2d) shape = SHAPE(n, 1, 1, 1);
  else if (node_attr(root, "transpose_b").i) shape = SHAPE(n, 1);
  return graph_binary(graph, OP_mul, weight, shaped(graph, scale, shape));
}

static Node *with_operands(Graph *graph, const Node *root, Node *x, Node *weight) {
  return graph_add(graph, root->op, (Node *[]){x, weight}, 2, root->attr);
}

static Node *fold_chain(Graph *graph, const Chain *chain) {
  const Node *root = chain->root;
  Affine affine = {0};
  for (int i = 0; i < chain->n; i++) compose(graph, &affine, chain->link[i], chain->value[i]);
  graph_at(graph, root);
  Node *weight = affine.scale ? scale_outputs(graph, root, affine.scale) : root->in[1];
  Node *y = with_operands(graph, root, root->in[0], weight);
  y->name = root->name;
  graph_at(graph, chain->link[chain->n - 1]);
  if (!affine.shift) return y;
  int64_t n = root->shape.dim[channel_axis(root)];
  Node *bias = shaped(graph, affine.shift, root->op == OP_conv2d ? SHAPE(1, n, 1, 1) : SHAPE(n));
  return graph_binary(graph, OP_add, y, bias);
}

// ---- scale and shift in front

// The value in the shape that meets the input channels of the weight; NULL where groups forbid it.
static Node *along_inputs(Graph *graph, const Node *root, Node *value) {
  if (is_single(value)) return shaped(graph, value, (Shape){0});
  int64_t n = shape_elements(value->shape);
  if (root->op == OP_matmul) {
    return graph_reshape(graph, value, node_attr(root, "transpose_b").i ? SHAPE(n) : SHAPE(n, 1));
  }
  if (conv_attrs(root).groups == 1) return graph_reshape(graph, value, SHAPE(1, n, 1, 1));
  if (root->in[1]->shape.dim[1] == 1 && root->shape.dim[1] == n) return graph_reshape(graph, value, SHAPE(n, 1, 1, 1));
  return NULL;
}

// W applied to a constant vector: what a shift of the operand adds to every place of the result. NULL where zero
// padding or groups make it differ from place to place.
static Node *shift_through(Graph *graph, const Node *root, Node *value) {
  Node *weight = root->in[1];
  if (root->op == OP_matmul) {
    int64_t k = root->in[0]->shape.dim[root->in[0]->shape.rank - 1];
    return build_matmul(graph, build_broadcast(graph, shaped(graph, value, SHAPE(1, k)), SHAPE(1, k)), weight, false,
                        node_attr(root, "transpose_b").i);
  }
  ConvAttrs conv = conv_attrs(root);
  if (conv.padding || conv.groups != 1) return NULL;
  Node *product = graph_binary(graph, OP_mul, weight, along_inputs(graph, root, value));
  return graph_reshape(graph, graph_sum(graph, product, (int[]){1, 2, 3}, 3, true), SHAPE(1, root->shape.dim[1], 1, 1));
}

static Node *fold_operand(const Facts *facts, Graph *graph, const Node *root) {
  Node *x = root->in[0];
  if (x->id >= facts->n || facts->only_user[x->id] != root || x->n_in != 2) return NULL;
  if (root->op == OP_matmul && node_attr(root, "transpose_a").i) return NULL;
  int axis = root->op == OP_conv2d ? 1 : x->shape.rank - 1;
  for (int k = 0; k < 2; k++) {
    Node *inner = x->in[k];
    if (x->in[0] == x->in[1] || inner->id >= facts->n || x->in[1 - k]->id >= facts->n) continue;
    if (facts->is_fixed[inner->id] || acting_value(facts, x, inner, axis) != 1 - k) continue;
    Node *value = x->in[1 - k];
    if (x->op == OP_mul || x->op == OP_div) {
      Node *factor = along_inputs(graph, root, value);
      return factor ? with_operands(graph, root, inner, graph_binary(graph, x->op, root->in[1], factor)) : NULL;
    }
    if (x->op == OP_sub && k == 1) continue; // value - x: the sign is of no use in front
    Node *shift = shift_through(graph, root, value);
    return shift ? graph_binary(graph, x->op, with_operands(graph, root, inner, root->in[1]), shift) : NULL;
  }
  return NULL;
}

// ---- the pass

static Facts find_facts(Graph *graph, Arena *scratch) {
  return (Facts){.is_fixed = find_fixed(graph, scratch),
                 .only_user = find_only_users(graph, scratch),
                 .chain_ending_at = ARENA_ARRAY(scratch, Chain *, graph->n_nodes + 1),
                 .n = graph->n_nodes};
}

static Node *rewrite_result(void *context, Graph *graph, Node *node) {
  const Facts *facts = context;
  return facts->chain_ending_at[node->id] ? fold_chain(graph, facts->chain_ending_at[node->id]) : NULL;
}

static Node *rewrite_operand(void *context, Graph *graph, Node *node) {
  const Facts *facts = context;
  return is_contraction(facts, node) ? fold_operand(facts, graph, node) : NULL;
}

bool pass_affine(const PassContext *context, Graph *graph) {
  if (context->exact) return false;
  bool is_changed = false, is_again = true;
  graph_sort(graph); // a dead user would hide that another is the only one
  while (is_again) {
    Arena *scratch = arena_new();
    Facts facts = find_facts(graph, scratch);
    is_again = graph_rewrite(graph, rewrite_operand, &facts);
    if (!is_again) {
      find_chains(graph, &facts, scratch);
      is_again = graph_rewrite(graph, rewrite_result, &facts);
    }
    is_changed |= is_again;
    arena_free(scratch);
  }
  return is_changed;
}
