// Module tree: module instances as people see them, with their costs.
#include "compiler/module_tree.h"

#include <string.h>

TreeModule *module_tree(const Graph *graph, Arena *arena) {
  TreeModule *tree = ARENA_ARRAY(arena, TreeModule, graph->n_modules);
  for (int i = 1; i < graph->n_modules; i++) {
    int caller = tree[graph->modules[i].parent].shown;
    bool is_named = strcmp(graph->modules[i].path, graph->modules[caller].path) != 0;
    tree[i].shown = is_named ? i : caller;
    if (!is_named) continue;
    tree[i].parent = caller;
    tree[i].depth = tree[caller].depth + 1;
    tree[caller].n_children++;
  }
  for (int i = 0; i < graph->n_nodes; i++) {
    Cost cost = node_cost(graph->nodes[i]);
    TreeModule *own = &tree[tree[graph->nodes[i]->module].shown];
    own->own_parameters += cost.parameters;
    own->own_multiply_adds += cost.multiply_adds;
  }
  module_tree_sum(graph, tree);
  return tree;
}

void module_tree_sum(const Graph *graph, TreeModule *tree) {
  for (int i = graph->n_modules - 1; i >= 0; i--) { // callers stand before those they call
    if (tree[i].shown != i) continue;
    tree[i].parameters += tree[i].own_parameters;
    tree[i].multiply_adds += tree[i].own_multiply_adds;
    if (i == 0) break;
    tree[tree[i].parent].parameters += tree[i].parameters;
    tree[tree[i].parent].multiply_adds += tree[i].multiply_adds;
  }
}

int module_at_depth(const TreeModule *tree, int module, int depth) {
  module = tree[module].shown;
  while (tree[module].depth > depth) module = tree[module].parent;
  return module;
}

const char *module_path_from(const Graph *graph, int module, int from) {
  const char *path = graph->modules[module].path, *start = graph->modules[from].path;
  size_t n = strlen(start);
  return n && !strncmp(path, start, n) && path[n] == '.' ? path + n + 1 : path;
}
