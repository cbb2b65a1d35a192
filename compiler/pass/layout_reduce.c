// Layout reduce: a large reduction to few results becomes two, so that there is work for all threads.
//
// sum over (N, H, W) of [N, C, H, W] = sum over (N, H) of the sums over W: the first has a result for each row of each
// image, and takes in what is computed element by element, or goes into the kernel of the convolution that makes the
// rows; the second is small.
#include "compiler/pass/layout.h"

enum {
  WANTED_PARTS = 32,        // independent results that keep all threads busy
  LARGE_ELEMENTS = 16384,   // reduced into one result; fewer are done faster than shared
  SHORTEST_ROW = 16,        // that is worth a sum of its own
  LARGE_PICTURES = 1 << 17, // elements that had better be reduced when they are made
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
    if (is_last || (x->shape.rank == 4 && i == 1)) n = ceil_div(n, block);
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

// ---- squares of distances ------------------------------------------------------------------------------------------
//
// The sum of (x - m)^2 along a row is that of (x - r)^2 plus the row's length times (r - m)^2, r being the row's mean,
// whatever m is. So the squares need not wait for m, which is the mean of everything where it matters: sum and squares
// of each row are found while the row is in the cache, and x is read once.

typedef struct Distance {
  Node *x, *m;
} Distance;

// Whether the node is sum((x - m)^2), m being one value along all reduced axes.
static bool match_distance(const Node *node, Distance *out) {
  if (node->op != OP_sum || node->is_setup || node->in[0]->op != OP_mul) return false;
  const Node *square = node->in[0];
  if (square->in[0] != square->in[1] || square->in[0]->op != OP_sub) return false;
  *out = (Distance){square->in[0]->in[0], square->in[0]->in[1]};
  if (out->x->shape.rank != 4 || !shape_equal(out->x->shape, square->shape)) return false;
  Shape axes = node_attr(node, "axes").ints;
  for (int i = 0; i < axes.rank; i++) {
    int axis = (int)axes.dim[i] - (4 - out->m->shape.rank);
    if (axis >= 0 && out->m->shape.dim[axis] != 1) return false;
  }
  return true;
}

// Reduces over (N, H, W) or (H, W): rows, if there are enough elements to care.
static bool has_rows(const Node *node) {
  const Node *x = node->in[0];
  Shape axes = node_attr(node, "axes").ints;
  if (x->shape.rank != 4 || is_reduced(axes, 1) || !is_reduced(axes, 2) || !is_reduced(axes, 3)) return false;
  return shape_elements(x->shape) >= LARGE_PICTURES && x->shape.dim[3] >= SHORTEST_ROW;
}

// Sums of the rows of x, made once.
static Node *row_sums(Graph *graph, Node *x, Node **made) {
  if (!made[x->id]) {
    graph_at(graph, x);
    made[x->id] = reduce(graph, OP_sum, x, SHAPE(3), true);
  }
  return made[x->id];
}

static Node *distance_by_rows(Graph *graph, const Node *node, Distance distance, Node **made) {
  if (!has_rows(node)) return NULL;
  double length = (double)distance.x->shape.dim[3];
  Node *sums = row_sums(graph, distance.x, made);
  graph_at(graph, node);
  Node *mean = graph_binary(graph, OP_mul, sums, graph_scalar(graph, 1 / length));
  Node *inner = graph_binary(graph, OP_sub, distance.x, mean);
  Node *squares = reduce(graph, OP_sum, graph_binary(graph, OP_mul, inner, inner), SHAPE(3), true);
  Node *outer = graph_binary(graph, OP_sub, mean, distance.m);
  Shape axes = node_attr(node, "axes").ints;
  bool keep = node_attr(node, "keep").i;
  // two sums, so that the squares of the rows stay apart from m, which has to be waited for
  Node *between = reduce(graph, OP_sum, graph_binary(graph, OP_mul, outer, outer), axes, keep);
  between = graph_binary(graph, OP_mul, between, graph_scalar(graph, length));
  return graph_binary(graph, OP_add, reduce(graph, OP_sum, squares, axes, keep), between);
}

// ---- the pass ------------------------------------------------------------------------------------------------------

static Node *by_rows(Graph *graph, Node *node, int block) {
  Shape first = has_rows(node) ? SHAPE(3) : first_axes(node, block);
  if (first.rank == 0) return NULL;
  graph_at(graph, node);
  Node *rows = reduce(graph, node->op, node->in[0], first, true);
  return reduce(graph, node->op, rows, node_attr(node, "axes").ints, node_attr(node, "keep").i);
}

bool layout_split_reductions(Graph *graph, int block) {
  int n = graph->n_nodes;
  bool changed = false;
  Arena *scratch = arena_new();
  Node **made = ARENA_ARRAY(scratch, Node *, n + 1); // row_sums, by x
  Node **with = ARENA_ARRAY(scratch, Node *, n + 1);
  for (int i = 0; i < n; i++) {
    Distance distance;
    if (match_distance(graph->nodes[i], &distance)) with[i] = distance_by_rows(graph, graph->nodes[i], distance, made);
  }
  for (int i = 0; i < n; i++) {
    Node *node = graph->nodes[i];
    if ((node->op != OP_sum && node->op != OP_max) || node->is_setup || with[i]) continue;
    if (node->op == OP_sum && made[node->in[0]->id] && has_rows(node)) {
      graph_at(graph, node);
      with[i] = reduce(graph, OP_sum, made[node->in[0]->id], node_attr(node, "axes").ints, node_attr(node, "keep").i);
    } else {
      with[i] = by_rows(graph, node, block);
    }
  }
  for (int i = 0; i < n; i++) {
    if (!with[i]) continue;
    with[i]->name = graph->nodes[i]->name;
    graph_replace(graph, graph->nodes[i], with[i]);
    changed = true;
  }
  arena_free(scratch);
  if (changed) graph_sort(graph);
  return changed;
}
