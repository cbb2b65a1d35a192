// Eval: computes values with the reference evaluators.
#include "compiler/ops/eval.h"

#include "compiler/ops/rules.h"

void node_eval(const Node *node, const float *const *in, float *out) {
  op_info(node->op)->ref(&(RefArgs){.node = node, .in = in, .out = out});
}

static bool is_fed(const Node *node) { return node->op == OP_input || node->op == OP_param || node->op == OP_state; }

const float **graph_eval(const Graph *graph, Arena *arena, const float *const *leaf_values) {
  Arena *scratch = arena_new();
  int most_in = 1;
  for (int i = 0; i < graph->n_nodes; i++) {
    if (graph->nodes[i]->n_in > most_in) most_in = graph->nodes[i]->n_in;
  }
  const float **in = ARENA_ARRAY(scratch, const float *, most_in);
  const float **values = ARENA_ARRAY(arena, const float *, graph->n_nodes + 1);
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if (is_fed(node)) {
      values[i] = leaf_values ? leaf_values[i] : NULL;
      continue;
    }
    bool is_known = true;
    for (int k = 0; k < node->n_in; k++) {
      in[k] = values[node->in[k]->id];
      is_known = is_known && in[k];
    }
    if (!is_known) continue;
    float *out = ARENA_ARRAY(arena, float, shape_elements(node->shape));
    node_eval(node, in, out);
    values[i] = out;
  }
  arena_free(scratch);
  return values;
}
