// Layout flat: sums of whole products become sums over flat operands, with results that can stand in a concat.
//
//   reshape [1] (sum over all axes of mul(a, b)) = sum over [0], kept, of mul(reshape [n] a, reshape [n] b)
// The squares of gradients under a global norm are the case that matters: hundreds of numbers, which would have to be
// copied together.
#include "compiler/pass/layout.h"

static bool is_sum_of_all(const Node *node) { return node->op == OP_sum && node->shape.rank == 0; }

static Node *flat_product(Graph *graph, const Node *product) {
  Node *in[2];
  for (int k = 0; k < 2; k++) in[k] = graph_reshape(graph, product->in[k], SHAPE(shape_elements(product->shape)));
  return graph_binary(graph, OP_mul, in[0], in[1]);
}

bool layout_flatten_sums(Graph *graph) {
  Arena *arena = arena_new();
  int *uses = graph_count_uses(graph, arena), n = graph->n_nodes;
  bool changed = false;
  for (int i = 0; i < n; i++) {
    Node *node = graph->nodes[i];
    if (node->op != OP_reshape || node->shape.rank != 1 || !is_sum_of_all(node->in[0])) continue;
    const Node *sum = node->in[0], *product = sum->in[0];
    if (uses[sum->id] != 1 || product->op != OP_mul || uses[product->id] != 1) continue;
    if (!shape_equal(product->in[0]->shape, product->shape) || !shape_equal(product->in[1]->shape, product->shape))
      continue;
    graph_at(graph, sum);
    Node *flat = graph_sum(graph, flat_product(graph, product), (int[]){0}, 1, true);
    flat->is_setup = node->is_setup;
    graph_replace(graph, node, flat);
    changed = true;
  }
  arena_free(arena);
  if (changed) graph_sort(graph);
  return changed;
}
