// Picture: what of a graph is drawn - boxes, and the values that run between them. Private to compiler/.
//
// Left out are values that follow from parameters, states and constants alone (they count with the box that uses them)
// and values that only updates and taps need.
#ifndef SG_GRAPH_PICTURE_H
#define SG_GRAPH_PICTURE_H

#include "compiler/graph.h"
#include "compiler/module_tree.h"

typedef enum BoxKind { BOX_INPUT, BOX_NODE, BOX_MODULE, BOX_OUTPUT } BoxKind;

typedef struct PictureBox {
  BoxKind kind;
  const Node *node;   // INPUT, NODE; OUTPUT: the value
  int module;         // MODULE: the folded one. NODE: the one it belongs to
  const char *name;   // OUTPUT: its name
  const Node *result; // the last value that leaves the box, or NULL
  int64_t parameters, multiply_adds;
  bool is_rising; // stands behind the smallest map of an encoder and decoder: drawn upwards
} PictureBox;

typedef struct PictureEdge {
  int from, to;        // boxes
  const Node **values; // distinct, in the order of use
  int n_values, cap_values;
} PictureEdge;

typedef struct Picture {
  const Graph *graph;
  Arena *arena;
  TreeModule *tree;
  const bool *is_fed; // by node id: the value depends on an input
  PictureBox *boxes;
  int n_boxes, cap_boxes;
  PictureEdge *edges;
  int n_edges, cap_edges;
  int *n_inside; // for each module the number of its boxes, inner modules included
  bool is_u;     // an encoder goes down and a decoder comes up beside it
} Picture;

// Folds modules at `depth` (-1 = none).
Picture picture_new(const Graph *graph, int depth, Arena *arena);

#endif
