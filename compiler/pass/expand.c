// Expand: composite ops into primitive ones, after gradients were taken of them as a whole.
#include "compiler/pass/pass.h"
#include "compiler/pass/rewrite.h"

static Node *expand_node(void *context, Graph *graph, Node *node) {
  (void)context;
  const OpInfo *info = op_info(node->op);
  return info->expand ? info->expand(graph, node) : NULL;
}

bool pass_expand(const PassContext *context, Graph *graph) {
  (void)context;
  return graph_rewrite(graph, expand_node, NULL);
}
