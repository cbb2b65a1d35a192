// The model's graph as TensorBoard draws it.
#include <string.h>

#include "tools/sgrun_board.h"

// Dots of instance paths become slashes.
static char *slashed(Arena *arena, const char *path) {
  char *copy = arena_strdup(arena, path);
  for (char *at = copy; *at; at++)
    if (*at == '.') *at = '/';
  return copy;
}

static const char *node_name(const Graph *graph, const Node *node) {
  Arena *arena = graph->arena;
  if (node->op == OP_input) return node->name;
  if (op_is_leaf(node->op) && node->name) return slashed(arena, node->name);
  const char *path = graph->modules[node->module].path;
  const char *what = node->name ? node->name : op_info(node->op)->name;
  return arena_printf(arena, "%s%s%s_%d", slashed(arena, path), *path ? "/" : "", what, node->id);
}

const EventNode *board_graph(const Graph *graph, int *out_n) {
  Arena *arena = graph->arena;
  EventNode *nodes = ARENA_ARRAY(arena, EventNode, graph->n_nodes + graph->n_outputs);
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    const char **inputs = ARENA_ARRAY(arena, const char *, node->n_in);
    for (int k = 0; k < node->n_in; k++) inputs[k] = nodes[node->in[k]->id].name;
    const char *source = NULL;
    if (node->loc.file) source = arena_printf(arena, "%s:%d", node->loc.file, node->loc.line);
    nodes[i] = (EventNode){node_name(graph, node), op_info(node->op)->name, inputs, node->n_in, node->shape, source};
  }
  int n = graph->n_nodes;
  for (int i = 0; i < graph->n_outputs; i++) {
    const GraphOutput *output = &graph->outputs[i];
    if (output->is_tap) continue;
    const char **input = ARENA_ARRAY(arena, const char *, 1);
    *input = nodes[output->node->id].name;
    nodes[n++] =
        (EventNode){arena_printf(arena, "output/%s", output->name), "output", input, 1, output->node->shape, NULL};
  }
  *out_n = n;
  return nodes;
}
