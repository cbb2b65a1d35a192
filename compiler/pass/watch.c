// Watch: for each of many nodes, whether one of its values is not finite.
#include <float.h>

#include "compiler/ops/build.h"
#include "compiler/pass/pass.h"

void watch_build(Graph *graph, Node *const *nodes, int n) {
  Node **flags = ARENA_ARRAY(graph->arena, Node *, n + 1);
  for (int i = 0; i < n; i++) {
    graph_at(graph, nodes[i]);
    // a comparison with NaN is false
    Node *is_finite =
        graph_binary(graph, OP_less_equal, graph_unary(graph, OP_abs, nodes[i]), graph_scalar(graph, (double)FLT_MAX));
    Node *flag = graph_select(graph, is_finite, graph_scalar(graph, 0), graph_scalar(graph, 1));
    for (int axis = 0; axis < flag->shape.rank; axis++) flag = build_max(graph, flag, axis);
    flags[i] = graph_reshape(graph, flag, SHAPE(1));
  }
  graph->n_outputs = graph->n_updates = 0;
  graph_output(graph, "watched", build_concat(graph, flags, n, 0), false);
  graph_sort(graph);
}
