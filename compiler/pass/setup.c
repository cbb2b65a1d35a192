// Setup: marks what depends on weights only, to be computed once after loading and not in every run.
#include "compiler/pass/pass.h"

bool pass_setup(const PassContext *context, Graph *graph) {
  (void)context;
  Arena *scratch = arena_new();
  bool *is_fixed = ARENA_ARRAY(scratch, bool, graph->n_nodes + 1);
  for (int i = 0; i < graph->n_nodes; i++) is_fixed[i] = graph->nodes[i]->op != OP_input;
  // what a run writes back is another value in the next run
  for (int i = 0; i < graph->n_updates; i++) is_fixed[graph->updates[i].leaf->id] = false;
  bool is_changed = false;
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    for (int k = 0; k < node->n_in; k++) is_fixed[i] &= is_fixed[node->in[k]->id];
    bool is_setup = is_fixed[i] && !op_is_leaf(node->op);
    is_changed |= is_setup != node->is_setup;
    node->is_setup = is_setup;
  }
  arena_free(scratch);
  return is_changed;
}
