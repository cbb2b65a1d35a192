// Layout views: values whose elements already stand in another value's storage, in the right order.
#include "compiler/kernel/group.h"
#include "compiler/pass/layout.h"

// All segments but the last are whole blocks: channel c stands at position c.
static bool has_dense_channels(const Layout *layout) {
  for (int i = 0; i + 1 < layout->c.n; i++) {
    if (layout->c.segment[i] % layout->block) return false;
  }
  return true;
}

// A relayout between plain and blocked that moves nothing: one pixel an image, channels without gaps. The padding
// lanes at the end are read from whatever follows; every buffer has room for them.
static bool is_same_bytes(const Node *relayout) {
  const Node *x = relayout->in[0];
  const Layout *blocked = node_is_blocked(x) ? x->layout : relayout->layout;
  if (relayout->shape.rank != 4 || !blocked || blocked->kind != LAYOUT_BLOCKED) return false;
  if (node_is_blocked(x) && node_is_blocked(relayout)) return false;
  const int64_t *dim = x->shape.dim;
  if (dim[2] * dim[3] != 1 || !has_dense_channels(blocked)) return false;
  if (dim[0] != 1 && dim[1] % blocked->block) return false;
  return storage_is_contiguous(x) && storage_offset(x) % blocked->block == 0;
}

// Sets *offset (in the unit of Node.into_offset) if the slice is one run of its operand's storage in each image.
static bool is_run(const Node *slice, int *offset) {
  const Node *x = slice->in[0];
  int64_t axis = node_attr(slice, "axis").i, start = node_attr(slice, "start").i;
  if (node_attr(slice, "step").i != 1) return false;
  if (node_is_blocked(x)) {
    if (axis != 1 || !node_is_blocked(slice)) return false;
    *offset = channel_position(x->layout, start) / x->layout->block;
    return true;
  }
  int64_t inner = 1;
  for (int i = 0; i < x->shape.rank; i++) {
    if (i < axis && x->shape.dim[i] != 1) return false;
    if (i > axis) inner *= x->shape.dim[i];
  }
  if (!storage_is_contiguous(x) || start * inner > INT32_MAX) return false;
  *offset = (int)(start * inner);
  return true;
}

// The same for a slice of the channels of plain pictures, with gaps between its images.
static bool is_run_of_images(const Node *slice, int *offset) {
  const Node *x = slice->in[0];
  int64_t start = node_attr(slice, "start").i;
  if (node_is_blocked(x) || node_attr(slice, "axis").i != 1 || node_attr(slice, "step").i != 1) return false;
  int64_t inner = shape_elements(x->shape) / (x->shape.dim[0] * x->shape.dim[1]);
  if (start * inner > INT32_MAX) return false;
  *offset = (int)(start * inner);
  return true;
}

int layout_mark_views(Graph *graph, bool with_gaps) {
  int n = 0;
  Arena *arena = arena_new();
  const GroupIndex *index = group_index(graph, arena);
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    if (node->n_in != 1 || node->in[0]->op == OP_fill || node->in[0]->op == OP_iota) continue;
    int offset = 0;
    bool is_view = false;
    if (node->op == OP_reshape) is_view = !node_is_blocked(node->in[0]) && storage_is_contiguous(node->in[0]);
    else if (node->op == OP_relayout) is_view = is_same_bytes(node);
    else if (node->op == OP_slice)
      is_view = is_run(node, &offset) || (with_gaps && !index->is_result[node->id] && is_run_of_images(node, &offset));
    if (!is_view) continue;
    node->into = node->in[0];
    node->into_offset = offset;
    n++;
  }
  arena_free(arena);
  return n;
}
