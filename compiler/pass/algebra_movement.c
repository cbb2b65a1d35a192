// Algebra of movement: movements of movements, movements that move nothing, transposes into products.
#include <string.h>

#include "compiler/ops/build.h"
#include "compiler/pass/algebra.h"
#include "compiler/pass/rewrite.h"

static Shape ints_of(const Node *node, const char *name) { return node_attr(node, name).ints; }
static int64_t int_of(const Node *node, const char *name) { return node_attr(node, name).i; }

// ---- reshape

enum { MAX_PULL = 8 }; // element-wise ops between two reshapes

// Whether `node`, of the shape of the reshape's operand, can be computed in shape `to` from what has that shape already
// or, with `leaves`, is a leaf. Counts the reshapes that vanish.
static bool can_pull(const Node *node, Shape from, Shape to, bool leaves, int depth, int *out_vanish) {
  if (node->shape.rank == 0) return true;
  if (!shape_equal(node->shape, from)) return false;
  if (node->op == OP_reshape && shape_equal(node->in[0]->shape, to)) {
    ++*out_vanish;
    return true;
  }
  if (op_is_leaf(node->op)) return leaves && (node->op == OP_param || node->op == OP_state);
  if (!is_elementwise(node) || depth == MAX_PULL) return false;
  for (int k = 0; k < node->n_in; k++) {
    if (!can_pull(node->in[k], from, to, leaves, depth + 1, out_vanish)) return false;
  }
  return true;
}

static Node *pull(Graph *graph, Node *node, Shape to) {
  if (node->shape.rank == 0) return node;
  if (node->op == OP_reshape && shape_equal(node->in[0]->shape, to)) return node->in[0];
  if (op_is_leaf(node->op)) return graph_reshape(graph, node, to);
  Node *in[3];
  for (int k = 0; k < node->n_in; k++) in[k] = pull(graph, node->in[k], to);
  return graph_add(graph, node->op, in, node->n_in, node->attr);
}

// The picture of which each cell becomes k x k equal ones between two reshapes, resized: kernels take that along, where
// they would have to store a broadcast. NULL where it is nothing of that kind.
static Node *repeated_cells(Graph *graph, const Node *node) {
  const Node *wide = node->in[0];
  if (node->shape.rank != 4 || wide->op != OP_broadcast || wide->in[0]->op != OP_reshape) return NULL;
  Node *x = wide->in[0]->in[0];
  if (x->shape.rank != 4 || wide->shape.rank != 6) return NULL;
  const int64_t *from = x->shape.dim, *to = wide->shape.dim, k = to[3];
  Shape cells = SHAPE(from[0], from[1], from[2], 1, from[3], 1), all = SHAPE(from[0], from[1], from[2], k, from[3], k),
        size = SHAPE(from[2] * k, from[3] * k);
  if (!shape_equal(wide->in[0]->shape, cells) || !shape_equal(wide->shape, all)) return NULL;
  if (!shape_equal(node->shape, SHAPE(from[0], from[1], size.dim[0], size.dim[1]))) return NULL;
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(OP_resize, "size")].ints = size;
  attrs[op_attr_index(OP_resize, "mode")].i = 1; // nearest
  attrs[op_attr_index(OP_resize, "align_corners")].i = -1;
  return graph_add(graph, OP_resize, &x, 1, attrs);
}

// Arithmetic between two reshapes that undo each other is done in the outer shape: values of one a channel then stay
// [1, C, 1, 1] from the reduction that makes them to the picture that they meet.
static Node *simplify_reshape(Graph *graph, Node *node) {
  Node *x = node->in[0];
  if (shape_equal(x->shape, node->shape)) return x;
  if (x->op == OP_reshape) return graph_reshape(graph, x->in[0], node->shape);
  if (x->op == OP_fill) return graph_fill(graph, node->shape, node_attr(x, "value").f);
  int vanish = 0;
  if (is_elementwise(x) && can_pull(x, x->shape, node->shape, true, 0, &vanish) && vanish) {
    return pull(graph, x, node->shape);
  }
  return repeated_cells(graph, node);
}

// The shape before the first reshape found below `node` through element-wise ops; NULL if there is none.
static const Shape *source_shape(const Node *node, int depth) {
  if (node->op == OP_reshape) return &node->in[0]->shape;
  for (int k = 0; k < node->n_in && is_elementwise(node) && depth < MAX_PULL; k++) {
    const Shape *shape = source_shape(node->in[k], depth + 1);
    if (shape) return shape;
  }
  return NULL;
}

// Where both operands come from reshapes of one shape of higher rank, the op is done there: what the gradient of a
// scale needs is then the same as what the forward pass computed. A square can share nothing of that kind.
Node *join_reshapes(Graph *graph, Node *node) {
  if (node->n_in != 2 || node->in[0] == node->in[1]) return NULL;
  if (!shape_equal(node->in[0]->shape, node->in[1]->shape)) return NULL;
  const Shape *to = source_shape(node->in[0], 0);
  if (!to || to->rank <= node->shape.rank) return NULL;
  for (int k = 0; k < 2; k++) {
    int vanish = 0;
    if (!can_pull(node->in[k], node->shape, *to, false, 0, &vanish) || !vanish) return NULL;
  }
  return graph_reshape(graph, pull(graph, node, *to), node->shape);
}

// ---- transpose, broadcast, flip

// Whether the axes that have more than one element keep their order.
static bool keeps_order(Shape perm, Shape shape) {
  int64_t last = -1;
  for (int i = 0; i < perm.rank; i++) {
    if (shape.dim[perm.dim[i]] == 1) continue;
    if (perm.dim[i] < last) return false;
    last = perm.dim[i];
  }
  return true;
}

static Node *simplify_transpose(Graph *graph, Node *node) {
  Node *x = node->in[0];
  Shape perm = ints_of(node, "perm");
  if (keeps_order(perm, x->shape)) return graph_reshape(graph, x, node->shape);
  if (x->op != OP_transpose) return NULL;
  Shape inner = ints_of(x, "perm");
  int both[MAX_RANK];
  for (int i = 0; i < perm.rank; i++) both[i] = (int)inner.dim[perm.dim[i]];
  return graph_transpose(graph, x->in[0], both);
}

static Node *simplify_broadcast(Graph *graph, Node *node) {
  Node *x = node->in[0];
  if (shape_equal(x->shape, node->shape)) return x;
  if (x->op == OP_broadcast) return build_broadcast(graph, x->in[0], node->shape);
  if (is_single(x) && x->op == OP_fill) return graph_fill(graph, node->shape, node_attr(x, "value").f);
  return is_single(node) ? graph_reshape(graph, x, node->shape) : NULL;
}

static Node *simplify_flip(Node *node) {
  Node *x = node->in[0];
  int64_t axis = int_of(node, "axis");
  if (x->shape.dim[axis] == 1) return x;
  return x->op == OP_flip && int_of(x, "axis") == axis ? x->in[0] : NULL;
}

// ---- slice, pad, concat

static Node *slice_of_concat(Graph *graph, Node *concat, int axis, int64_t start, int64_t stop) {
  int64_t at = 0;
  for (int i = 0; i < concat->n_in; i++) {
    int64_t size = concat->in[i]->shape.dim[axis];
    if (start >= at && stop <= at + size) {
      if (size == stop - start) return concat->in[i];
      return graph_slice(graph, concat->in[i], axis, start - at, stop - at);
    }
    at += size;
  }
  return NULL;
}

static Node *simplify_slice(Graph *graph, Node *node) {
  Node *x = node->in[0];
  if (shape_equal(x->shape, node->shape)) return x;
  int axis = (int)int_of(node, "axis");
  int64_t start = int_of(node, "start"), stop = int_of(node, "stop");
  if (int_of(node, "step") != 1) return NULL;
  if (x->op == OP_concat && int_of(x, "axis") == axis) return slice_of_concat(graph, x, axis, start, stop);
  if (x->op == OP_slice && int_of(x, "axis") == axis && int_of(x, "step") == 1) {
    int64_t offset = int_of(x, "start");
    return graph_slice(graph, x->in[0], axis, offset + start, offset + stop);
  }
  return NULL;
}

static Node *simplify_pad(Node *node) { return shape_equal(node->in[0]->shape, node->shape) ? node->in[0] : NULL; }

// The only axis along which a pad adds zeros; -1 if it adds along several, or adds another value.
static int zero_padded_axis(const Node *pad) {
  if (pad->op != OP_pad || node_attr(pad, "value").f != 0) return -1;
  Shape x = pad->in[0]->shape;
  int axis = -1;
  for (int i = 0; i < x.rank; i++) {
    if (x.dim[i] == pad->shape.dim[i]) continue;
    if (axis >= 0) return -1;
    axis = i;
  }
  return axis;
}

// A concat of two values, with the operands of either that is such a concat itself.
static Node *side_by_side(Graph *graph, Node *a, Node *b, int axis) {
  Node *side[2] = {a, b}, **parts = ARENA_ARRAY(graph->arena, Node *, a->n_in + b->n_in + 2);
  int n = 0;
  for (int k = 0; k < 2; k++) {
    bool is_open = side[k]->op == OP_concat && int_of(side[k], "axis") == axis;
    if (!is_open) parts[n++] = side[k];
    for (int i = 0; is_open && i < side[k]->n_in; i++) parts[n++] = side[k]->in[i];
  }
  return build_concat(graph, parts, n, axis);
}

// The gradients of neighbouring slices of one value stand side by side: pad(a) + pad(b) = pad(concat(a, b)).
Node *join_pads(Graph *graph, Node *node) {
  int axis = zero_padded_axis(node->in[0]);
  if (axis < 0 || axis != zero_padded_axis(node->in[1]) || !shape_equal(node->in[0]->shape, node->in[1]->shape)) {
    return NULL;
  }
  for (int k = 0; k < 2; k++) {
    Node *low = node->in[k], *high = node->in[1 - k];
    int64_t before = ints_of(low, "before").dim[axis], middle = before + low->in[0]->shape.dim[axis];
    if (ints_of(high, "before").dim[axis] != middle) continue;
    Node *both = side_by_side(graph, low->in[0], high->in[0], axis);
    return build_pad_axis(graph, both, axis, before, ints_of(high, "after").dim[axis]);
  }
  return NULL;
}

static bool continues_slice(const Node *a, const Node *b, int64_t axis) {
  return a->op == OP_slice && b->op == OP_slice && a->in[0] == b->in[0] && int_of(a, "axis") == axis &&
         int_of(b, "axis") == axis && int_of(a, "step") == 1 && int_of(b, "step") == 1 &&
         int_of(a, "stop") == int_of(b, "start");
}

// The longest concat of the graph, of fewer parts along the same axis, whose parts are a run of `node`'s: they begin at
// *out_first.
static Node *inner_concat(const Graph *graph, const Node *node, int *out_first) {
  Node *best = NULL;
  for (int i = 0; node->n_in > 2 && i < graph->n_nodes; i++) {
    Node *inner = graph->nodes[i];
    if (inner->op != OP_concat || inner->n_in >= node->n_in || inner->n_in < 2 || (best && inner->n_in <= best->n_in) ||
        int_of(inner, "axis") != int_of(node, "axis"))
      continue;
    for (int first = 0; first + inner->n_in <= node->n_in; first++) {
      if (memcmp(inner->in, node->in + first, (size_t)inner->n_in * sizeof *inner->in)) continue;
      best = inner;
      *out_first = first;
      break;
    }
  }
  return best;
}

// Neighbouring slices of one value are joined. Inner concats stay, and what stands side by side already is such an
// inner one: it may be needed by itself, and writing in place nests, so that no part is stored twice.
static Node *simplify_concat(Graph *graph, Node *node) {
  int axis = (int)int_of(node, "axis");
  if (node->n_in == 1) return node->in[0];
  int n = 0, first = 0;
  Node **parts = ARENA_ARRAY(graph->arena, Node *, node->n_in), *inner = inner_concat(graph, node, &first);
  bool is_changed = inner != NULL;
  for (int i = 0; i < node->n_in; i++) {
    Node *part = node->in[i];
    if (inner && i == first) {
      parts[n++] = inner;
      i += inner->n_in - 1;
    } else if (n && continues_slice(parts[n - 1], part, axis)) {
      parts[n - 1] = graph_slice(graph, part->in[0], axis, int_of(parts[n - 1], "start"), int_of(part, "stop"));
      is_changed = true;
    } else {
      parts[n++] = part;
    }
  }
  return is_changed ? build_concat(graph, parts, n, axis) : NULL;
}

// ---- products and pictures

// The operand of a transpose that swaps the last two axes and nothing else.
static Node *untransposed(Node *node) {
  if (node->op != OP_transpose) return NULL;
  Shape perm = ints_of(node, "perm");
  for (int i = 0; i + 2 < perm.rank; i++) {
    if (perm.dim[i] != i) return NULL;
  }
  return perm.rank >= 2 && perm.dim[perm.rank - 2] == perm.rank - 1 ? node->in[0] : NULL;
}

static Node *simplify_matmul(Graph *graph, Node *node) {
  Node *a = untransposed(node->in[0]), *b = untransposed(node->in[1]);
  if (!a && !b) return NULL;
  bool ta = int_of(node, "transpose_a"), tb = int_of(node, "transpose_b");
  return build_matmul(graph, a ? a : node->in[0], b ? b : node->in[1], a ? !ta : ta, b ? !tb : tb);
}

Node *simplify_movement(const PassContext *context, Graph *graph, Node *node) {
  (void)context;
  switch (node->op) {
  case OP_reshape: return simplify_reshape(graph, node);
  case OP_transpose: return simplify_transpose(graph, node);
  case OP_broadcast: return simplify_broadcast(graph, node);
  case OP_flip: return simplify_flip(node);
  case OP_slice: return simplify_slice(graph, node);
  case OP_pad: return simplify_pad(node);
  case OP_concat: return simplify_concat(graph, node);
  case OP_matmul: return simplify_matmul(graph, node);
  // all rules of interpolation read sample i for sample i where the sizes are equal
  case OP_resize:
  case OP_resize_grad: return shape_equal(node->in[0]->shape, node->shape) ? node->in[0] : NULL;
  default: return NULL;
  }
}
