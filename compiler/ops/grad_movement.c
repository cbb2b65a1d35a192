// Gradient rules of ops that move values about, and of the index ops.
#include "compiler/ops/build.h"
#include "compiler/ops/rules.h"

void grad_reshape(Graph *graph, Node *node, Node *gout, Node **gin) {
  gin[0] = graph_reshape(graph, gout, node->in[0]->shape);
}

void grad_transpose(Graph *graph, Node *node, Node *gout, Node **gin) {
  Shape perm = node_attr(node, "perm").ints;
  int inverse[MAX_RANK];
  for (int i = 0; i < perm.rank; i++) inverse[perm.dim[i]] = i;
  gin[0] = graph_transpose(graph, gout, inverse);
}

void grad_broadcast(Graph *graph, Node *node, Node *gout, Node **gin) {
  gin[0] = graph_sum_to(graph, gout, node->in[0]->shape);
}

void grad_concat(Graph *graph, Node *node, Node *gout, Node **gin) {
  int axis = (int)node_attr(node, "axis").i;
  int64_t start = 0;
  for (int i = 0; i < node->n_in; i++) {
    int64_t size = node->in[i]->shape.dim[axis];
    gin[i] = graph_slice(graph, gout, axis, start, start + size);
    start += size;
  }
}

// Puts step - 1 zeros after each element of an axis.
static Node *stretch(Graph *graph, Node *x, int axis, int64_t step) {
  Shape shape = x->shape;
  int64_t before = 1, after = 1, n = shape.dim[axis];
  for (int i = 0; i < axis; i++) before *= shape.dim[i];
  for (int i = axis + 1; i < shape.rank; i++) after *= shape.dim[i];
  Node *apart = build_pad_axis(graph, graph_reshape(graph, x, SHAPE(before, n, 1, after)), 2, 0, step - 1);
  shape.dim[axis] = n * step;
  return graph_reshape(graph, apart, shape);
}

void grad_slice(Graph *graph, Node *node, Node *gout, Node **gin) {
  int axis = (int)node_attr(node, "axis").i;
  int64_t start = node_attr(node, "start").i, step = node_attr(node, "step").i;
  int64_t room = node->in[0]->shape.dim[axis] - start;
  Node *g = gout;
  if (step > 1) {
    g = stretch(graph, g, axis, step);
    if (g->shape.dim[axis] > room) g = graph_slice(graph, g, axis, 0, room);
  }
  gin[0] = build_pad_axis(graph, g, axis, start, room - g->shape.dim[axis]);
}

void grad_pad(Graph *graph, Node *node, Node *gout, Node **gin) {
  Shape before = node_attr(node, "before").ints, inner = node->in[0]->shape;
  Node *g = gout;
  for (int i = 0; i < inner.rank; i++) {
    if (g->shape.dim[i] == inner.dim[i]) continue;
    g = graph_slice(graph, g, i, before.dim[i], before.dim[i] + inner.dim[i]);
  }
  gin[0] = g;
}

void grad_flip(Graph *graph, Node *node, Node *gout, Node **gin) {
  gin[0] = build_flip(graph, gout, (int)node_attr(node, "axis").i);
}

void grad_gather(Graph *graph, Node *node, Node *gout, Node **gin) {
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(OP_scatter_add, "size")].i = node->in[0]->shape.dim[1];
  gin[0] = graph_add(graph, OP_scatter_add, (Node *[]){gout, node->in[1]}, 2, attrs);
  gin[1] = NULL;
}
