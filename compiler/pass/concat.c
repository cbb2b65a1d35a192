// Concat pass: producers write into their slice of a concat, so that nothing has to be copied.
//
// An input stands in place if a kernel stores it, it is kept nowhere else, and its elements are one run of the
// concat's storage in each image: so between blocked values along the channels, whose segments the concat keeps, along
// the channels of plain ones where kernels take images with gaps between them (CUDA), and wherever all axes in front of
// the concat's have one element.
#include "compiler/kernel/group.h"
#include "compiler/pass/fuse.h"
#include "compiler/pass/pass.h"

static bool images_are_one(const Node *concat, int64_t axis) {
  for (int i = 0; i < axis; i++) {
    if (concat->shape.dim[i] != 1) return false;
  }
  return true;
}

static bool is_run(const Node *concat, const Target *target) {
  int64_t axis = node_attr(concat, "axis").i;
  if (node_is_blocked(concat) || target->kind == TARGET_CUDA) return axis <= 1 || images_are_one(concat, axis);
  return images_are_one(concat, axis);
}

// What input k takes of the concat's storage, in the unit of Node.into_offset: blocks of axis 1, or elements if plain.
static int64_t room_of(const Node *concat, int k) {
  const Node *in = concat->in[k];
  bool is_axis_1 = node_attr(concat, "axis").i == 1;
  if (!node_is_blocked(concat)) return shape_elements(in->shape) / (is_axis_1 ? in->shape.dim[0] : 1);
  if (!node_is_blocked(in)) return 0; // in the last block of the input in front
  return channel_blocks(in->layout) * (node_attr(concat, "axis").i == 0 ? in->shape.dim[0] : 1);
}

// Whether a value is read through a view that needs it to have no gaps and to begin at a whole block.
static bool has_tight_view(const GroupIndex *index, const Node *node) {
  for (int i = index->first[node->id]; i < index->first[node->id + 1]; i++) {
    const Node *user = index->user[i];
    if (!node_is_view(user)) continue;
    if (user->op != OP_slice || (!node_is_blocked(node) && node_attr(user, "axis").i == 0)) return true;
  }
  return false;
}

static bool can_stand(const GroupIndex *index, const Node *concat, const Node *in) {
  if (in->into || index->is_result[in->id] || in->is_setup != concat->is_setup) return false;
  if (!node_needs_kernel(in) && in->op != OP_concat) return false; // a leaf
  if (in->op == OP_random) return false;                           // written in one run
  if (!layout_equal(in->layout, concat->layout) && (!node_is_blocked(in) || !node_is_blocked(concat))) return false;
  return (node_is_blocked(in) && in->shape.dim[0] == 1) || !has_tight_view(index, in);
}

// Input `in` is a value seen as a row, and is used so alone: a gradient in its bucket. The row stands in the concat and
// the value in the row, where its kernel writes it: without gaps, as the value knows nothing of the concat's images.
static bool place_row(const GroupIndex *index, Node *concat, Node *in, int at) {
  if (in->op != OP_reshape || !node_is_view(in) || node_is_blocked(concat) || index->is_result[in->id]) return false;
  if (!images_are_one(concat, node_attr(concat, "axis").i)) return false;
  Node *value = in->in[0];
  int uses = index->first[value->id + 1] - index->first[value->id],
      row_uses = index->first[in->id + 1] - index->first[in->id];
  if (uses != 1 || row_uses != 1 || value->into || index->is_result[value->id]) return false;
  if (!node_needs_kernel(value) || value->op == OP_random || value->is_setup != concat->is_setup) return false;
  if (!layout_equal(value->layout, concat->layout)) return false;
  value->into = in;
  in->into = concat;
  in->into_offset = at;
  return true;
}

static bool place_inputs(const GroupIndex *index, Node *concat) {
  bool changed = false;
  int64_t at = 0;
  for (int k = 0; k < concat->n_in; at += room_of(concat, k++)) {
    Node *in = concat->in[k];
    if (at > INT32_MAX) continue;
    if (place_row(index, concat, in, (int)at)) changed = true;
    if (in->into == concat || !can_stand(index, concat, in)) continue;
    in->into = concat;
    in->into_offset = (int)at;
    changed = true;
  }
  return changed;
}

// By group: its members.
static int *count_members(const Graph *graph, Arena *arena) {
  int n = 0;
  for (int i = 0; i < graph->n_nodes; i++)
    if (graph->nodes[i]->group >= n) n = graph->nodes[i]->group + 1;
  int *members = ARENA_ARRAY(arena, int, n + 1);
  for (int i = 0; i < graph->n_nodes; i++)
    if (graph->nodes[i]->group >= 0) members[graph->nodes[i]->group]++;
  return members;
}

// Whether the concat is the only member of its group: one that is computed inside another kernel is not stored.
static bool is_alone(const int *members, const Node *concat) {
  return concat->group < 0 || members[concat->group] == 1;
}

// The kernels, then what was said before: the near misses.
static void put_kernels_first(const Graph *graph, Text *explain) {
  Text before = *explain;
  *explain = (Text){0};
  explain_kernels(graph, explain);
  text_put(explain, text_get(&before));
  text_free(&before);
}

bool pass_concat(const PassContext *context, Graph *graph) {
  Arena *arena = arena_new();
  bool changed = false;
  const GroupIndex *index = group_index(graph, arena);
  const int *members = count_members(graph, arena);
  for (int i = 0; context->target->kind != TARGET_REFERENCE && i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    if (node->op != OP_concat || !is_run(node, context->target) || !is_alone(members, node)) continue;
    changed |= place_inputs(index, node);
    if (!node_needs_kernel(node)) node->group = -1;
  }
  // kernels are numbered in the order in which they can run
  int n;
  Group *groups = group_collect(graph, arena, &n);
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < groups[i].n_nodes; k++) groups[i].nodes[k]->group = i;
  }
  if (context->explain) put_kernels_first(graph, context->explain);
  arena_free(arena);
  return changed || n > 0;
}
