// Reference evaluators of movements: all of them are strided copies.
#include <string.h>

#include "compiler/ops/rules.h"
#include "compiler/ops/walk.h"

void ref_copy(const RefArgs *args) {
  memcpy(args->out, args->in[0], sizeof(float) * (size_t)shape_elements(args->node->shape));
}

void ref_transpose(const RefArgs *args) {
  const Node *node = args->node;
  Shape perm = node_attr(node, "perm").ints;
  int64_t own[MAX_RANK], from[MAX_RANK], to[MAX_RANK];
  walk_strides(node->in[0]->shape, own);
  walk_strides(node->shape, to);
  for (int i = 0; i < perm.rank; i++) from[i] = own[perm.dim[i]];
  walk_copy(node->shape, args->in[0], from, args->out, to);
}

void ref_broadcast(const RefArgs *args) {
  Shape shape = args->node->shape;
  int64_t from[MAX_RANK], to[MAX_RANK];
  walk_broadcast(args->node->in[0]->shape, shape, from);
  walk_strides(shape, to);
  walk_copy(shape, args->in[0], from, args->out, to);
}

void ref_concat(const RefArgs *args) {
  const Node *node = args->node;
  int64_t axis = node_attr(node, "axis").i, from[MAX_RANK], to[MAX_RANK];
  walk_strides(node->shape, to);
  float *out = args->out;
  for (int k = 0; k < node->n_in; k++) {
    Shape part = node->in[k]->shape;
    walk_strides(part, from);
    walk_copy(part, args->in[k], from, out, to);
    out += part.dim[axis] * to[axis];
  }
}

void ref_slice(const RefArgs *args) {
  const Node *node = args->node;
  int64_t axis = node_attr(node, "axis").i, from[MAX_RANK], to[MAX_RANK];
  walk_strides(node->in[0]->shape, from);
  walk_strides(node->shape, to);
  const float *first = args->in[0] + node_attr(node, "start").i * from[axis];
  from[axis] *= node_attr(node, "step").i;
  walk_copy(node->shape, first, from, args->out, to);
}

void ref_pad(const RefArgs *args) {
  const Node *node = args->node;
  float value = (float)node_attr(node, "value").f;
  for (int64_t i = 0, n = shape_elements(node->shape); i < n; i++) args->out[i] = value;
  Shape before = node_attr(node, "before").ints, x = node->in[0]->shape;
  int64_t from[MAX_RANK], to[MAX_RANK];
  walk_strides(x, from);
  walk_strides(node->shape, to);
  float *first = args->out;
  for (int i = 0; i < x.rank; i++) first += before.dim[i] * to[i];
  walk_copy(x, args->in[0], from, first, to);
}

void ref_flip(const RefArgs *args) {
  Shape shape = args->node->shape;
  int64_t axis = node_attr(args->node, "axis").i, from[MAX_RANK], to[MAX_RANK];
  walk_strides(shape, from);
  walk_strides(shape, to);
  const float *last = args->in[0] + (shape.dim[axis] - 1) * from[axis];
  from[axis] = -from[axis];
  walk_copy(shape, last, from, args->out, to);
}
