// Shard pass: the graph of a whole batch becomes that of one of several devices, which computes its share of the
// samples.
//
// Inputs of at least two axes whose first is the batch hold the device's samples alone; what is computed from them
// sample by sample is split like them. Sums and maxima over the batch are parts until an all-reduce makes them whole,
// so that means over the batch, batch norm's statistics and gradients are those of the whole batch, whatever the sizes
// of the shares. Everything else, the optimiser before all, every device computes alike.
#include "compiler/pass/shard.h"

#include "compiler/ops/build.h"
#include "compiler/pass/pass.h"
#include "runtime/base/status.h"

typedef struct Rewriter {
  Sharder sharder;
  ShardShares *shares;
  ShardReduces *reduces;
  Node **order; // the nodes in their new order
  int n, cap;
  int n_taken; // of the graph's nodes appended since, how many stand in `order`
} Rewriter;

// Moves what was appended to the graph behind the nodes so far.
static void take_new(Rewriter *rewriter) {
  const Graph *graph = rewriter->sharder.graph;
  for (; rewriter->n_taken < graph->n_nodes; rewriter->n_taken++)
    ARENA_PUSH(rewriter->sharder.scratch, rewriter->order, rewriter->n, rewriter->cap, graph->nodes[rewriter->n_taken]);
}

// Where operand k has the samples of a node that is split, in its own axes; false where it has none.
static bool wanted_axis(const Rewriter *rewriter, const Node *node, int k, Shape out, int *axis) {
  const ShardValue *value = &rewriter->sharder.value[node->id];
  int rank = node->in[k]->shape.rank;
  switch (op_info(node->op)->cls) {
  case CLASS_ELEMENTWISE: *axis = value->axis - (out.rank - rank); return *axis >= 0;
  case CLASS_INDEX: *axis = 0; return node->op != OP_random;
  default: *axis = value->axis; return node->op == OP_concat;
  }
}

// An operand that every device has, where the other one is split along an axis that both share.
static Node *share_of_contraction(Rewriter *rewriter, const Node *node, int k, Node *in) {
  const Node *other = node->in[1 - k];
  const ShardValue *value = &rewriter->sharder.value[other->id];
  if (node->op == OP_conv2d_dw) return shard_share(rewriter->shares, in, 0, 1);
  if (node->op != OP_matmul) return in;
  int from_end = other->shape.rank - value->axis;
  if (from_end > 2) { // a batch of matrices
    int axis = in->shape.rank - from_end;
    return axis < 0 ? in : shard_share(rewriter->shares, in, axis, value->inner);
  }
  if (rewriter->sharder.value[node->id].kind == SHARD_SPLIT) return in; // rows or columns of the result
  bool is_turned = node_attr(node, k ? "transpose_b" : "transpose_a").i;
  bool is_last = is_turned == (k == 1); // what is summed over: columns of a, rows of b
  return shard_share(rewriter->shares, in, in->shape.rank - (is_last ? 1 : 2), value->inner);
}

static bool is_seen_split(const Rewriter *rewriter, const Node *node) {
  return shard_seen(&rewriter->sharder, node) == SHARD_SPLIT;
}

// What the node reads on this device instead of operand k.
static Node *operand(Rewriter *rewriter, const Node *node, int k, Shape out, bool is_split) {
  Node *in = node->in[k];
  if (rewriter->sharder.value[in->id].is_reduced) in = shard_whole(rewriter->reduces, in);
  if (!is_split || is_seen_split(rewriter, node->in[k])) return in;
  graph_at(rewriter->sharder.graph, node);
  int axis;
  if (op_info(node->op)->cls == CLASS_CONTRACT) {
    if (!is_seen_split(rewriter, node->in[1 - k])) BUG("a contraction of whole values is split");
    return share_of_contraction(rewriter, node, k, in);
  }
  if (!wanted_axis(rewriter, node, k, out, &axis)) return in;
  return shard_share(rewriter->shares, in, axis, rewriter->sharder.value[node->id].inner);
}

// Shapes that attributes state.
static void set_shape_attribute(Rewriter *rewriter, Node *node) {
  const ShardValue *value = &rewriter->sharder.value[node->id];
  int index = op_attr_index(node->op, "shape");
  if (index < 0 || value->kind != SHARD_SPLIT) return;
  node->attr[index].ints.dim[value->axis] = rewriter->sharder.shard->samples * value->inner;
}

static void rewrite(Rewriter *rewriter, Node *node) {
  const ShardValue *value = &rewriter->sharder.value[node->id];
  if (node->op == OP_input && value->kind == SHARD_SPLIT) node->shape.dim[0] = rewriter->sharder.shard->samples;
  if (op_is_leaf(node->op)) return;
  bool is_split = false;
  for (int k = 0; k < node->n_in; k++) is_split |= is_seen_split(rewriter, node->in[k]);
  Node **in = ARENA_ARRAY(rewriter->sharder.graph->arena, Node *, node->n_in);
  for (int k = 0; k < node->n_in; k++) in[k] = operand(rewriter, node, k, node->shape, is_split);
  node->in = in;
  set_shape_attribute(rewriter, node);
  Text why = {0};
  if (!op_info(node->op)->shape(node, &why)) BUG("the share of %s: %s", op_info(node->op)->name, text_get(&why));
}

static Node *result(Rewriter *rewriter, Node *node) {
  return rewriter->sharder.value[node->id].is_reduced ? shard_whole(rewriter->reduces, node) : node;
}

static void rewrite_all(Rewriter *rewriter) {
  Graph *graph = rewriter->sharder.graph;
  for (int i = 0; i < rewriter->sharder.n; i++) {
    Node *node = graph->nodes[i];
    rewrite(rewriter, node);
    take_new(rewriter);
    ARENA_PUSH(rewriter->sharder.scratch, rewriter->order, rewriter->n, rewriter->cap, node);
    shard_reduces_after(rewriter->reduces, node);
    take_new(rewriter);
  }
  for (int i = 0; i < graph->n_outputs; i++) graph->outputs[i].node = result(rewriter, graph->outputs[i].node);
  for (int i = 0; i < graph->n_updates; i++) graph->updates[i].value = result(rewriter, graph->updates[i].value);
  take_new(rewriter);
  for (int i = 0; i < rewriter->n; i++) graph->nodes[i] = rewriter->order[i];
  graph_sort(graph);
  shard_chain(graph);
}

bool pass_shard(const PassContext *context, Graph *graph) {
  const Shard *shard = context->shard;
  if (!shard || shard->count < 2) return false;
  if (shard->samples < 1) BUG("a device has no samples");
  Arena *scratch = arena_new();
  Rewriter rewriter = {.sharder = {.graph = graph,
                                   .shard = shard,
                                   .diag = context->diag,
                                   .scratch = scratch,
                                   .value = ARENA_ARRAY(scratch, ShardValue, graph->n_nodes + 1),
                                   .n = graph->n_nodes},
                       .n_taken = graph->n_nodes};
  bool is_good = shard_find(&rewriter.sharder);
  if (is_good) {
    rewriter.shares = shard_shares_new(&rewriter.sharder);
    rewriter.reduces = shard_reduces_new(&rewriter.sharder);
    rewrite_all(&rewriter);
  }
  arena_free(scratch);
  return is_good;
}
