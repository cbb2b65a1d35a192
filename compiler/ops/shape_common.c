// Shape rules, common part: sizes that a tensor may have, broadcasting, axes, leaves.
#include <stdlib.h>

#include "compiler/ops/rules.h"

static const int64_t MAX_ELEMENTS = (int64_t)1 << 40;

bool op_shape_ok(Shape shape, Text *why) {
  if (shape.rank < 0 || shape.rank > MAX_RANK) {
    if (why) text_printf(why, "a tensor has at most %d axes, not %d", MAX_RANK, shape.rank);
    return false;
  }
  char text[SHAPE_TEXT];
  int64_t n = 1;
  for (int i = 0; i < shape.rank; i++) {
    if (shape.dim[i] < 1) {
      if (why) text_printf(why, "size of axis %d of %s is not positive", i, shape_text(shape, text));
      return false;
    }
    if (shape.dim[i] > MAX_ELEMENTS / n) {
      if (why) text_printf(why, "%s has more than 2^40 elements", shape_text(shape, text));
      return false;
    }
    n *= shape.dim[i];
  }
  return true;
}

bool set_shape(Node *node, Shape shape, Text *why) {
  if (!op_shape_ok(shape, why)) return false;
  node->shape = shape;
  return true;
}

bool broadcast_shapes(Shape a, Shape b, Shape *out, Text *why) {
  Shape shape = {.rank = a.rank > b.rank ? a.rank : b.rank};
  for (int i = 0; i < shape.rank; i++) {
    int ia = i - (shape.rank - a.rank), ib = i - (shape.rank - b.rank);
    int64_t da = ia < 0 ? 1 : a.dim[ia], db = ib < 0 ? 1 : b.dim[ib];
    if (da != db && da != 1 && db != 1) {
      char ta[SHAPE_TEXT], tb[SHAPE_TEXT];
      text_printf(why, "sizes of axis %d differ: %lld and %lld, of shapes %s and %s", i, (long long)da, (long long)db,
                  shape_text(a, ta), shape_text(b, tb));
      return false;
    }
    shape.dim[i] = da == 1 ? db : da;
  }
  *out = shape;
  return true;
}

bool normalize_axis(int64_t *axis, int rank, Text *why) {
  if (*axis >= -rank && *axis < rank) {
    if (*axis < 0) *axis += rank;
    return true;
  }
  text_printf(why, "axis %lld does not exist, the operand has %d ax%s", (long long)*axis, rank,
              rank == 1 ? "is" : "es");
  return false;
}

static int by_value(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

bool normalize_axes(Shape *axes, int rank, Text *why) {
  if (axes->rank == 0) {
    text_put(why, "axes is empty");
    return false;
  }
  for (int i = 0; i < axes->rank; i++) {
    if (!normalize_axis(&axes->dim[i], rank, why)) return false;
  }
  qsort(axes->dim, (size_t)axes->rank, sizeof axes->dim[0], by_value);
  for (int i = 1; i < axes->rank; i++) {
    if (axes->dim[i] == axes->dim[i - 1]) {
      text_printf(why, "axis %lld is named twice", (long long)axes->dim[i]);
      return false;
    }
  }
  return true;
}

bool require_rank(const char *what, Shape shape, int rank, Text *why) {
  if (shape.rank == rank) return true;
  char text[SHAPE_TEXT];
  text_printf(why, "%s must have %d axes, but its shape is %s", what, rank, shape_text(shape, text));
  return false;
}

// ---- leaves and ops that keep the shape -----------------------------------------------------------------------------

bool shape_given(Node *node, Text *why) { return op_shape_ok(node->shape, why); }

bool shape_same(Node *node, Text *why) { return set_shape(node, node->in[0]->shape, why); }

bool shape_all_reduce(Node *node, Text *why) {
  if (node->n_in > 2 || (node->n_in == 2 && node->in[1]->op != OP_all_reduce)) {
    text_put(why, "the operands are a value and, at most, the all-reduce before");
    return false;
  }
  return set_shape(node, node->in[0]->shape, why);
}

bool shape_fill(Node *node, Text *why) { return set_shape(node, node_attr(node, "shape").ints, why); }

bool shape_random(Node *node, Text *why) {
  int64_t words = node_attr(node, "each").i > 0 ? 3 : 2;
  if (shape_equal(node->in[0]->shape, SHAPE(words))) return set_shape(node, node_attr(node, "shape").ints, why);
  text_printf(why, "the key is not of shape [%d]", (int)words);
  return false;
}

bool shape_iota(Node *node, Text *why) {
  Shape shape = node_attr(node, "shape").ints;
  return normalize_axis(&node->attr[op_attr_index(node->op, "axis")].i, shape.rank, why) && set_shape(node, shape, why);
}

bool shape_elementwise(Node *node, Text *why) {
  Shape shape = node->in[0]->shape;
  for (int i = 1; i < node->n_in; i++) {
    if (!broadcast_shapes(shape, node->in[i]->shape, &shape, why)) return false;
  }
  if (node->op == OP_clamp) {
    double lo = node_attr(node, "lo").f, hi = node_attr(node, "hi").f;
    if (!(lo <= hi)) {
      text_printf(why, "lo is above hi: %g and %g", lo, hi);
      return false;
    }
  }
  return set_shape(node, shape, why);
}
