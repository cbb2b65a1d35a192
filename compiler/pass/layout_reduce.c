// Layout reduce: a large reduction to few results becomes two, so that there is work for all threads.
//
// sum over (N, H, W) of [N, C, H, W] = sum over (N, H) of the sums over W: the first has a result for each row of each
// image, and takes in what is computed element by element; the second is small.
#include "compiler/pass/layout.h"

enum {
  WANTED_PARTS = 32,      // independent results that keep all threads busy
  LARGE_ELEMENTS = 16384, // reduced into one result; fewer are done faster than shared
};

static bool is_reduced(Shape axes, int axis) {
  for (int i = 0; i < axes.rank; i++) {
    if (axes.dim[i] == axis) return true;
  }
  return false;
}

// Results that are computed apart: channels count in blocks, the last kept axis in vectors.
static int64_t count_parts(const Node *x, Shape axes, int block) {
  int64_t parts = 1;
  bool is_last = true;
  for (int i = x->shape.rank - 1; i >= 0; i--) {
    if (is_reduced(axes, i)) continue;
    int64_t n = x->shape.dim[i];
    if (is_last || (x->shape.rank == 4 && i == 1)) n = (n + block - 1) / block;
    is_last = false;
    parts *= n;
  }
  return parts;
}

// The axes to reduce first: all but leading ones that make parts enough. Empty if there is nothing to split.
static Shape first_axes(const Node *node, int block) {
  const Node *x = node->in[0];
  Shape axes = node_attr(node, "axes").ints, first = {0};
  int64_t parts = count_parts(x, axes, block), reduced = 1, inner = 1;
  for (int i = 0; i < axes.rank; i++) reduced *= x->shape.dim[axes.dim[i]];
  if (parts >= WANTED_PARTS || reduced < LARGE_ELEMENTS) return first;
  for (int i = 0; i < x->shape.rank; i++) {
    if (!is_reduced(axes, i)) continue;
    if (parts < WANTED_PARTS) {
      parts *= x->shape.dim[i];
    } else {
      first.dim[first.rank++] = i;
      inner *= x->shape.dim[i];
    }
  }
  if (inner == 1 || inner == reduced) first.rank = 0;
  return first;
}

static Node *reduce(Graph *graph, Op op, Node *x, Shape axes, bool keep) {
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(op, "axes")].ints = axes;
  attrs[op_attr_index(op, "keep")].i = keep;
  return graph_add(graph, op, &x, 1, attrs);
}

bool layout_split_reductions(Graph *graph, int block) {
  int n = graph->n_nodes;
  bool changed = false;
  for (int i = 0; i < n; i++) {
    Node *node = graph->nodes[i];
    if ((node->op != OP_sum && node->op != OP_max) || node->is_setup) continue;
    Shape first = first_axes(node, block);
    if (first.rank == 0) continue;
    graph_at(graph, node);
    Node *rows = reduce(graph, node->op, node->in[0], first, true);
    Node *whole = reduce(graph, node->op, rows, node_attr(node, "axes").ints, node_attr(node, "keep").i);
    whole->name = node->name;
    graph_replace(graph, node, whole);
    changed = true;
  }
  if (changed) graph_sort(graph);
  return changed;
}
