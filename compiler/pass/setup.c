// Setup: marks what depends on weights only, to be computed once after loading and not in every run.
#include "compiler/pass/pass.h"
#include "compiler/pass/rewrite.h"

bool pass_setup(const PassContext *context, Graph *graph) {
  (void)context;
  Arena *scratch = arena_new();
  bool *is_fixed = find_fixed(graph, scratch);
  bool is_changed = false;
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    bool is_setup = is_fixed[i] && !op_is_leaf(node->op);
    is_changed |= is_setup != node->is_setup;
    node->is_setup = is_setup;
  }
  arena_free(scratch);
  return is_changed;
}
