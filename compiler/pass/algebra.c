// Algebra: local rewrites until none applies.
//
// What they make of batch norm in training (sums, variance, normalisation and ReLU, in the terms of stdlib/conv.net):
//   forward:  read x for sum(x); read x for sum((x - mean)^2); read x, write y.
//   backward: read g, y, x for sum(g') and sum(g' (x - mean)), where g' = g where y > 0; read g, y, x, write dx.
// Five passes, where every rule by itself would give eleven: the gradient through both means needs the same sum(g')
// that the bias needs once factors of one value a channel are drawn out of sums, and the broadcasts of the reductions'
// gradients vanish in the element-wise ops that use them. All in between is arithmetic on [1, C, 1, 1].
#include "compiler/pass/algebra.h"

#include "compiler/pass/rewrite.h"

// Every rule makes the graph smaller or moves an op in one direction only, so this is never reached; were it, the
// graph would be correct all the same.
enum { MAX_ROUNDS = 100 };

static Node *simplify(void *context, Graph *graph, Node *node) {
  switch (op_info(node->op)->cls) {
  case CLASS_ELEMENTWISE: return simplify_elementwise(context, graph, node);
  case CLASS_REDUCE: return simplify_reduction(context, graph, node);
  case CLASS_MOVEMENT:
  case CLASS_CONTRACT:
  case CLASS_SPATIAL: return simplify_movement(context, graph, node);
  default: return NULL;
  }
}

bool pass_algebra(const PassContext *context, Graph *graph) {
  bool is_changed = false;
  for (int round = 0; round < MAX_ROUNDS; round++) {
    if (!graph_rewrite(graph, simplify, (void *)context)) break;
    is_changed = true;
  }
  return is_changed;
}
