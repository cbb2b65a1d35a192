// Shape rules of reductions and movements.
#include "compiler/ops/rules.h"

// The attribute in place, so that rules can bring it into its normal form.
static AttrValue *attr_of(Node *node, const char *name) { return &node->attr[op_attr_index(node->op, name)]; }

bool shape_reduce(Node *node, Text *why) {
  Shape x = node->in[0]->shape, *axes = &attr_of(node, "axes")->ints;
  if (!normalize_axes(axes, x.rank, why)) return false;
  bool is_kept = attr_of(node, "keep")->i, is_reduced[MAX_RANK] = {false};
  for (int i = 0; i < axes->rank; i++) is_reduced[axes->dim[i]] = true;
  Shape shape = {0};
  for (int i = 0; i < x.rank; i++) {
    if (!is_reduced[i] || is_kept) shape.dim[shape.rank++] = is_reduced[i] ? 1 : x.dim[i];
  }
  return set_shape(node, shape, why);
}

static bool keep_with_axis(Node *node, Text *why) {
  Shape x = node->in[0]->shape;
  return normalize_axis(&attr_of(node, "axis")->i, x.rank, why) && set_shape(node, x, why);
}

bool shape_cumsum(Node *node, Text *why) { return keep_with_axis(node, why); }

bool shape_softmax(Node *node, Text *why) { return keep_with_axis(node, why); }

bool shape_flip(Node *node, Text *why) { return keep_with_axis(node, why); }

bool shape_reshape(Node *node, Text *why) {
  Shape x = node->in[0]->shape, *shape = &attr_of(node, "shape")->ints;
  char from[SHAPE_TEXT], to[SHAPE_TEXT];
  int64_t n = shape_elements(x);
  int open = -1;
  Shape known = *shape; // with 1 where the size is open
  for (int i = 0; i < shape->rank; i++) {
    if (shape->dim[i] != -1) continue;
    if (open >= 0) {
      text_printf(why, "only one size of %s may be -1", shape_text(*shape, to));
      return false;
    }
    open = i;
    known.dim[i] = 1;
  }
  if (!op_shape_ok(known, why)) return false;
  int64_t n_known = shape_elements(known);
  if (open >= 0 && n % n_known == 0) {
    shape->dim[open] = n / n_known;
  } else if (n_known != n || open >= 0) {
    text_printf(why, "cannot reshape %s, which has %lld elements, to %s", shape_text(x, from), (long long)n,
                shape_text(*shape, to));
    return false;
  }
  return set_shape(node, *shape, why);
}

bool shape_transpose(Node *node, Text *why) {
  Shape x = node->in[0]->shape, *perm = &attr_of(node, "perm")->ints, shape = x;
  char px[SHAPE_TEXT], pp[SHAPE_TEXT];
  if (perm->rank != x.rank) {
    text_printf(why, "perm %s must name each axis of %s once", shape_text(*perm, pp), shape_text(x, px));
    return false;
  }
  bool is_seen[MAX_RANK] = {false};
  for (int i = 0; i < perm->rank; i++) {
    if (!normalize_axis(&perm->dim[i], x.rank, why)) return false;
    if (is_seen[perm->dim[i]]) {
      text_printf(why, "perm %s names axis %lld twice", shape_text(*perm, pp), (long long)perm->dim[i]);
      return false;
    }
    is_seen[perm->dim[i]] = true;
    shape.dim[i] = x.dim[perm->dim[i]];
  }
  return set_shape(node, shape, why);
}

bool shape_broadcast(Node *node, Text *why) {
  Shape x = node->in[0]->shape, to = attr_of(node, "shape")->ints, common;
  if (!op_shape_ok(to, why) || !broadcast_shapes(x, to, &common, why)) return false;
  if (!shape_equal(common, to)) {
    char from[SHAPE_TEXT], text[SHAPE_TEXT];
    text_printf(why, "%s cannot be repeated to %s", shape_text(x, from), shape_text(to, text));
    return false;
  }
  return set_shape(node, to, why);
}

bool shape_concat(Node *node, Text *why) {
  Shape shape = node->in[0]->shape;
  int64_t *axis = &attr_of(node, "axis")->i;
  if (!normalize_axis(axis, shape.rank, why)) return false;
  for (int k = 1; k < node->n_in; k++) {
    Shape other = node->in[k]->shape;
    char a[SHAPE_TEXT], b[SHAPE_TEXT];
    if (other.rank != shape.rank) {
      text_printf(why, "numbers of axes differ: %s and %s", shape_text(node->in[0]->shape, a), shape_text(other, b));
      return false;
    }
    for (int i = 0; i < shape.rank; i++) {
      if (i == *axis || other.dim[i] == shape.dim[i]) continue;
      text_printf(why, "sizes of axis %d differ: %lld and %lld, of shapes %s and %s", i, (long long)shape.dim[i],
                  (long long)other.dim[i], shape_text(node->in[0]->shape, a), shape_text(other, b));
      return false;
    }
    shape.dim[*axis] += other.dim[*axis];
    if (!op_shape_ok(shape, why)) return false;
  }
  return set_shape(node, shape, why);
}

bool shape_slice(Node *node, Text *why) {
  Shape shape = node->in[0]->shape;
  int64_t *axis = &attr_of(node, "axis")->i, *start = &attr_of(node, "start")->i, *stop = &attr_of(node, "stop")->i;
  int64_t step = attr_of(node, "step")->i;
  if (!normalize_axis(axis, shape.rank, why)) return false;
  int64_t size = shape.dim[*axis];
  int64_t from = *start < 0 ? *start + size : *start, to = *stop < 0 ? *stop + size : *stop;
  char text[SHAPE_TEXT];
  if (step < 1) {
    text_printf(why, "step must be at least 1, not %lld", (long long)step);
    return false;
  }
  if (from < 0 || to > size || from >= to) {
    text_printf(why, "elements %lld to %lld of axis %lld do not exist in %s", (long long)*start, (long long)*stop,
                (long long)*axis, shape_text(shape, text));
    return false;
  }
  *start = from;
  *stop = to;
  shape.dim[*axis] = (to - from - 1) / step + 1;
  return set_shape(node, shape, why);
}

bool shape_pad(Node *node, Text *why) {
  Shape shape = node->in[0]->shape, before = attr_of(node, "before")->ints, after = attr_of(node, "after")->ints;
  char text[SHAPE_TEXT];
  if (before.rank != shape.rank || after.rank != shape.rank) {
    text_printf(why, "before and after need one size for each axis of %s", shape_text(shape, text));
    return false;
  }
  for (int i = 0; i < shape.rank; i++) {
    if (before.dim[i] < 0 || after.dim[i] < 0) {
      text_printf(why, "padding of axis %d is negative", i);
      return false;
    }
    if (before.dim[i] > (int64_t)1 << 40 || after.dim[i] > (int64_t)1 << 40) {
      text_printf(why, "padding of axis %d is too large", i);
      return false;
    }
    shape.dim[i] += before.dim[i] + after.dim[i];
  }
  return set_shape(node, shape, why);
}
