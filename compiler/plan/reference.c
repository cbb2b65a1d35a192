// Reference target: every node a step of its own, run by the op's reference evaluator on plain buffers.
#include "compiler/ops/eval.h"
#include "compiler/plan/plan.h"

Group *reference_groups(const Graph *graph, Arena *arena, int *out_n) {
  Group *groups = ARENA_ARRAY(arena, Group, graph->n_nodes + 1);
  int n = 0;
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    bool has_buffer = node->op == OP_input || node->op == OP_param || node->op == OP_state || node->op == OP_constant;
    if (has_buffer) continue;
    Node **self = arena_memdup(arena, &node, sizeof node);
    groups[n] =
        (Group){.id = n, .nodes = self, .n_nodes = 1, .ins = node->in, .n_ins = node->n_in, .outs = self, .n_outs = 1};
    n++;
  }
  *out_n = n;
  return groups;
}

void reference_kernel(const void *context, float *const *arg, int64_t begin, int64_t end, float *scratch) {
  (void)scratch;
  const Node *node = context;
  if (begin < end) node_eval(node, (const float *const *)arg, arg[node->n_in]);
}
