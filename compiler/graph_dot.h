// Graph -> DOT: the picture of a graph, for Graphviz.
#ifndef SG_GRAPH_DOT_H
#define SG_GRAPH_DOT_H

#include "compiler/graph.h"

typedef struct DotOptions {
  int depth;         // modules nested deeper are folded into one box: 0 folds everything into the model; -1 = fold none
  const char *title; // NULL = the graph's name
} DotOptions;

// Appends the text of a directed graph. Modules are nested clusters, or one box with their parameters and
// multiply-adds where they are folded; values run along the edges with their shapes; nodes of one fused kernel
// (Node.group) share a tint; parameters, states and constants are counted, not drawn. `options` may be NULL.
void graph_dot(const Graph *graph, const DotOptions *options, Text *out);

#endif
