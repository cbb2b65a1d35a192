// Shard, second part: this device's share of values that are whole.
//
// Masks, grids, broadcast constants and random numbers with a batch axis are computed by no device in full: what they
// are made of is followed back, and made again for the device's samples. The number of the first sample is an input of
// the program, so that devices with equally many samples run the same program.
#include "compiler/ops/build.h"
#include "compiler/pass/rewrite.h"
#include "compiler/pass/shard.h"
#include "runtime/base/status.h"
#include "runtime/program.h"

typedef struct Made {
  int axis;
  int64_t inner;
  Node *share;
  struct Made *next;
} Made;

struct ShardShares {
  Sharder *sharder;
  Graph *graph;
  Made **made; // by the id of the whole value
  int n_made;  // rows of it
  Node *first; // [1]: the number of the device's first sample; NULL until asked for
};

ShardShares *shard_shares_new(Sharder *sharder) {
  ShardShares *shares = ARENA_ARRAY(sharder->scratch, ShardShares, 1);
  *shares = (ShardShares){.sharder = sharder, .graph = sharder->graph};
  return shares;
}

static Made **row_of(ShardShares *shares, const Node *node) {
  if (node->id >= shares->n_made) {
    int n = 2 * node->id + 1;
    shares->made = arena_grow(shares->sharder->scratch, shares->made, sizeof(Made *) * (size_t)shares->n_made,
                              sizeof(Made *) * (size_t)n);
    for (int i = shares->n_made; i < n; i++) shares->made[i] = NULL;
    shares->n_made = n;
  }
  return &shares->made[node->id];
}

static Node *first_sample(ShardShares *shares) {
  if (!shares->first) shares->first = graph_input(shares->graph, PROGRAM_FIRST_SAMPLE, SHAPE(1));
  return shares->first;
}

static Shape share_shape(const ShardShares *shares, Shape shape, int axis, int64_t inner) {
  shape.dim[axis] = shares->sharder->shard->samples * inner;
  return shape;
}

static Node *with_attrs(ShardShares *shares, const Node *like, Node *const *in) {
  return graph_add(shares->graph, like->op, in, like->n_in, like->attr);
}

// The number of the first of the device's elements along the axis.
static Node *first_element(ShardShares *shares, int64_t inner) {
  Node *first = build_scale(shares->graph, first_sample(shares), (double)inner);
  return graph_reshape(shares->graph, first, (Shape){0});
}

static Node *share_iota(ShardShares *shares, const Node *iota, int axis, int64_t inner) {
  Shape shape = share_shape(shares, iota->shape, axis, inner);
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(OP_iota, "shape")].ints = shape;
  attrs[op_attr_index(OP_iota, "axis")] = node_attr(iota, "axis");
  Node *own = graph_add(shares->graph, OP_iota, NULL, 0, attrs);
  if (node_attr(iota, "axis").i != axis) return own;
  return graph_binary(shares->graph, OP_add, own, first_element(shares, inner));
}

// The same words that one device would have drawn for these samples.
static Node *share_random(ShardShares *shares, const Node *random, int axis, int64_t inner) {
  Graph *graph = shares->graph;
  Shape shape = share_shape(shares, random->shape, axis, inner);
  int64_t each = inner;
  for (int i = axis + 1; i < shape.rank; i++) each *= shape.dim[i];
  Node *key = build_concat(graph, (Node *[]){random->in[0], first_sample(shares)}, 2, 0);
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(OP_random, "shape")].ints = shape;
  attrs[op_attr_index(OP_random, "stream")] = node_attr(random, "stream");
  attrs[op_attr_index(OP_random, "each")].i = each;
  return graph_add(graph, OP_random, &key, 1, attrs);
}

// Any value: its rows along the axis are gathered by their numbers.
static Node *pick(ShardShares *shares, Node *whole, int axis, int64_t inner) {
  Graph *graph = shares->graph;
  Shape shape = share_shape(shares, whole->shape, axis, inner);
  int64_t outer = 1, after = 1, n = whole->shape.dim[axis], n_own = shape.dim[axis];
  for (int i = 0; i < axis; i++) outer *= shape.dim[i];
  for (int i = axis + 1; i < shape.rank; i++) after *= shape.dim[i];
  Node *rows = graph_transpose(graph, graph_reshape(graph, whole, SHAPE(outer, n, after)), (int[]){0, 2, 1});
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(OP_iota, "shape")].ints = SHAPE(outer * after, n_own);
  attrs[op_attr_index(OP_iota, "axis")].i = 1;
  Node *number = graph_binary(graph, OP_add, graph_add(graph, OP_iota, NULL, 0, attrs), first_element(shares, inner));
  Node *picked =
      graph_add(graph, OP_gather, (Node *[]){graph_reshape(graph, rows, SHAPE(outer * after, n)), number}, 2, NULL);
  picked = graph_transpose(graph, graph_reshape(graph, picked, SHAPE(outer, after, n_own)), (int[]){0, 2, 1});
  return graph_reshape(graph, picked, shape);
}

static Node *share_elementwise(ShardShares *shares, const Node *node, int axis, int64_t inner) {
  Node **in = ARENA_ARRAY(shares->sharder->scratch, Node *, node->n_in);
  for (int k = 0; k < node->n_in; k++) {
    int own = axis - (node->shape.rank - node->in[k]->shape.rank);
    in[k] = own < 0 ? node->in[k] : shard_share(shares, node->in[k], own, inner);
  }
  return with_attrs(shares, node, in);
}

static Node *share_reshape(ShardShares *shares, Node *node, int axis, int64_t inner) {
  int from_axis;
  int64_t from_inner;
  if (!shard_reshaped_axis(shares->sharder->shard->batch, node->shape, axis, node->in[0]->shape, &from_axis,
                           &from_inner))
    return pick(shares, node, axis, inner);
  return graph_reshape(shares->graph, shard_share(shares, node->in[0], from_axis, from_inner),
                       share_shape(shares, node->shape, axis, inner));
}

static Node *share_transpose(ShardShares *shares, const Node *node, int axis, int64_t inner) {
  Shape perm = node_attr(node, "perm").ints;
  int list[MAX_RANK];
  for (int i = 0; i < perm.rank; i++) list[i] = (int)perm.dim[i];
  return graph_transpose(shares->graph, shard_share(shares, node->in[0], list[axis], inner), list);
}

static Node *share_broadcast(ShardShares *shares, Node *node, int axis, int64_t inner) {
  Node *x = node->in[0];
  int own = axis - (node->shape.rank - x->shape.rank);
  if (own >= 0) x = shard_share(shares, x, own, inner);
  return build_broadcast(shares->graph, x, share_shape(shares, node->shape, axis, inner));
}

// Whether the value can be made again from what it is computed from: no more work than picking it out.
static bool is_made_again(const Node *node) {
  switch (node->op) {
  case OP_fill:
  case OP_iota:
  case OP_broadcast:
  case OP_reshape:
  case OP_transpose: return true;
  default: return is_elementwise(node);
  }
}

static Node *make_share(ShardShares *shares, Node *whole, int axis, int64_t inner) {
  int64_t outer = 1;
  for (int i = 0; i < axis; i++) outer *= whole->shape.dim[i];
  if (whole->op == OP_random && outer == 1) return share_random(shares, whole, axis, inner);
  if (!is_made_again(whole)) return pick(shares, whole, axis, inner);
  switch (whole->op) {
  case OP_fill:
    return graph_fill(shares->graph, share_shape(shares, whole->shape, axis, inner), node_attr(whole, "value").f);
  case OP_iota: return share_iota(shares, whole, axis, inner);
  case OP_broadcast: return share_broadcast(shares, whole, axis, inner);
  case OP_reshape: return share_reshape(shares, whole, axis, inner);
  case OP_transpose: return share_transpose(shares, whole, axis, inner);
  default: return share_elementwise(shares, whole, axis, inner);
  }
}

Node *shard_share(ShardShares *shares, Node *whole, int axis, int64_t inner) {
  if (whole->shape.dim[axis] == 1) return whole;
  if (whole->shape.dim[axis] != shares->sharder->shard->batch * inner)
    BUG("axis %d of a value does not hold the batch", axis);
  for (Made *made = *row_of(shares, whole); made; made = made->next) {
    if (made->axis == axis && made->inner == inner) return made->share;
  }
  Made *made = ARENA_ARRAY(shares->sharder->scratch, Made, 1);
  *made = (Made){.axis = axis, .inner = inner, .share = make_share(shares, whole, axis, inner)};
  Made **row = row_of(shares, whole);
  made->next = *row;
  *row = made;
  return made->share;
}
