// Module tree: module instances as people see them, with their costs. Private to compiler/.
//
// A call without an @name has its caller's path: it is no part of its own in tables and pictures, its nodes count as
// the caller's.
#ifndef SG_MODULE_TREE_H
#define SG_MODULE_TREE_H

#include "compiler/graph.h"

typedef struct TreeModule {
  int shown;  // the module itself, or the nearest caller that has a path of its own
  int parent; // a shown module; 0 for the model
  int depth;  // 0 for the model
  int n_children;
  int64_t own_parameters, parameters; // of its own nodes, and with those of the modules inside
  int64_t own_multiply_adds, multiply_adds;
} TreeModule;

// One entry for each of Graph.modules; only those with shown == their index are parts of the tree.
TreeModule *module_tree(const Graph *graph, Arena *arena);

// Sums `own_` counts up into those with the modules inside; the latter are 0 before.
void module_tree_sum(const Graph *graph, TreeModule *tree);

// The shown module that holds `module` at the given depth or, where it lies higher, itself.
int module_at_depth(const TreeModule *tree, int module, int depth);

// The instance path as seen from the module `from`: "blocks.0.0" for encoder.blocks.0.0 seen from encoder.
const char *module_path_from(const Graph *graph, int module, int from);

#endif
