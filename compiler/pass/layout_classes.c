// Layout classes: union-find over values that must share a channel map, and the borders of its segments.
//
// Values joined by element-wise ops, depthwise convolutions, resizes and spatial reductions share a class. A class is
// blocked if a convolution feeds it (directly or through a concat or slice) and it has channels enough. The segments
// of a class come from concats and slices: the border between two inputs of a concat is a border of its result, and
// borders inside an input are borders inside the result, and the other way round. Convolutions pass nothing on: their
// weights are packed for whatever maps stand on both sides.
#include <string.h>

#include "compiler/kernel/group.h"
#include "compiler/pass/layout.h"

struct LayoutClasses {
  const Graph *graph;
  const GroupIndex *index;
  Arena *arena;
  int block;
  int *parent;           // union-find, by node id
  bool *is_seeded;       // by root: a convolution feeds the class
  bool *is_weight;       // by node: a convolution's weight, or computed with one element by element
  bool **border;         // by root: border[c] = a segment begins at channel c; NULL until first asked
  const Layout **layout; // by root
  int **fillers;         // by node, a concat: what layout_fillers says of each input; NULL if 0 of all
};

ConvKind conv_kind(const Node *node) {
  int64_t groups = node_attr(node, "groups").i;
  if (groups == 1) return CONV_DENSE;
  int64_t a = node->op == OP_conv2d_dw ? node->in[0]->shape.dim[1] : node->shape.dim[1];
  int64_t b = node->op == OP_conv2d_dw ? node->in[1]->shape.dim[1] : node->in[0]->shape.dim[1];
  return groups == a && groups == b ? CONV_DEPTHWISE : CONV_GROUPED;
}

static int64_t channels(const Node *node) { return node->shape.rank == 4 ? node->shape.dim[1] : 0; }

// At least half of a block is used, and there are more channels than a picture has.
static bool is_wide(const LayoutClasses *classes, const Node *node) {
  return channels(node) > 3 && 2 * channels(node) >= classes->block;
}

// Whether the channel axis goes through the node untouched, other axes being free to change.
static bool keeps_channels(const Node *node) {
  switch (node->op) {
  case OP_resize:
  case OP_resize_grad: return true;
  case OP_conv2d:
  case OP_conv2d_dx: return conv_kind(node) == CONV_DEPTHWISE;
  case OP_sum:
  case OP_max: {
    Shape axes = node_attr(node, "axes").ints;
    for (int i = 0; i < axes.rank; i++) {
      if (axes.dim[i] == 1 || axes.dim[i] == 1 - node->in[0]->shape.rank) return false;
    }
    return true;
  }
  case OP_concat:
  case OP_slice:
  case OP_flip: return node_attr(node, "axis").i != 1;
  case OP_pad: return node_attr(node, "before").ints.dim[1] == 0 && node_attr(node, "after").ints.dim[1] == 0;
  default: return op_info(node->op)->cls == CLASS_ELEMENTWISE || node->op == OP_broadcast;
  }
}

// Whether a kernel exists that stores the node's value blocked.
static bool can_be_blocked(const Node *node) {
  if (node->shape.rank != 4) return false;
  switch (node->op) {
  case OP_conv2d:
  case OP_conv2d_dx: return conv_kind(node) != CONV_GROUPED;
  case OP_concat:
  case OP_slice: return true;
  default: return keeps_channels(node);
  }
}

static int find(const LayoutClasses *classes, int id) {
  int *parent = classes->parent;
  while (parent[id] != id) id = parent[id] = parent[parent[id]];
  return id;
}

static bool join(LayoutClasses *classes, const Node *a, const Node *b) {
  int i = find(classes, a->id), k = find(classes, b->id);
  if (i == k) return false;
  if (k < i) {
    int t = i;
    i = k;
    k = t;
  }
  classes->parent[k] = i;
  classes->is_seeded[i] |= classes->is_seeded[k];
  return true;
}

static bool is_seeded(const LayoutClasses *classes, const Node *node) {
  return classes->is_seeded[find(classes, node->id)];
}

static bool seed(LayoutClasses *classes, const Node *node) {
  bool *flag = &classes->is_seeded[find(classes, node->id)];
  bool is_new = !*flag;
  *flag = true;
  return is_new;
}

// A value that takes part: of rank 4, stored by a kernel that can write it blocked, and no weight.
static bool takes_part(const LayoutClasses *classes, const Node *node) {
  return can_be_blocked(node) && !classes->is_weight[node->id];
}

// Weights, their gradients and moments are of rank 4 too, but stay plain: marks them through element-wise ops.
static void find_weights(LayoutClasses *classes, Arena *scratch) {
  const Graph *graph = classes->graph;
  LayoutClasses same = {.parent = ARENA_ARRAY(scratch, int, graph->n_nodes + 1),
                        .is_seeded = ARENA_ARRAY(scratch, bool, graph->n_nodes + 1)};
  for (int i = 0; i < graph->n_nodes; i++) same.parent[i] = i;
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if (op_info(node->op)->cls == CLASS_ELEMENTWISE) {
      for (int k = 0; k < node->n_in; k++) {
        if (shape_equal(node->shape, node->in[k]->shape)) join(&same, node, node->in[k]);
      }
    }
    if (node->op == OP_conv2d || node->op == OP_conv2d_dx) seed(&same, node->in[1]);
    if (node->op == OP_conv2d_dw) seed(&same, node);
  }
  for (int i = 0; i < graph->n_nodes; i++) classes->is_weight[i] = is_seeded(&same, graph->nodes[i]);
}

// Joins what one node joins. Broadcast operands, such as the values of a channel, follow only if they are blocked
// anyway: what is computed from parameters alone is cheaper to convert at the end.
static bool join_node(LayoutClasses *classes, const Node *node) {
  bool changed = false;
  if (takes_part(classes, node) && keeps_channels(node)) {
    for (int k = 0; k < node->n_in; k++) {
      const Node *in = node->in[k];
      if (channels(in) != channels(node) || !takes_part(classes, in)) continue;
      bool is_broadcast = op_info(node->op)->cls == CLASS_ELEMENTWISE && !shape_equal(in->shape, node->shape) &&
                          !is_seeded(classes, in);
      if (!is_broadcast) changed |= join(classes, node, in);
    }
  }
  if (node->op == OP_conv2d_dw && conv_kind(node) == CONV_DEPTHWISE && takes_part(classes, node->in[0]) &&
      takes_part(classes, node->in[1])) {
    changed |= join(classes, node->in[0], node->in[1]);
  }
  return changed;
}

static bool seed_node(LayoutClasses *classes, const Node *node) {
  if (!takes_part(classes, node)) return false;
  if (node->op == OP_conv2d || node->op == OP_conv2d_dx) return seed(classes, node);
  if (node->op != OP_concat && node->op != OP_slice) return false;
  bool changed = false;
  for (int k = 0; k < node->n_in; k++) {
    const Node *in = node->in[k];
    if (!takes_part(classes, in)) continue;
    if (is_seeded(classes, in) && is_wide(classes, in)) changed |= seed(classes, node);
    if (is_seeded(classes, node) && is_wide(classes, node)) changed |= seed(classes, in);
  }
  return changed;
}

static bool is_blocked(const LayoutClasses *classes, const Node *node) {
  return takes_part(classes, node) && is_seeded(classes, node) && is_wide(classes, node);
}

// ---- segments -------------------------------------------------------------------------------------------------------

static bool *borders(LayoutClasses *classes, const Node *node) {
  bool **slot = &classes->border[find(classes, node->id)];
  if (!*slot) {
    *slot = ARENA_ARRAY(classes->arena, bool, channels(node) + 1);
    (*slot)[0] = (*slot)[channels(node)] = true;
  }
  return *slot;
}

static int64_t padded(const bool *border, int64_t n, int block) {
  int64_t total = 0, start = 0;
  for (int64_t c = 1; c <= n; c++) {
    if (!border[c]) continue;
    total += ceil_div(c - start, block) * block;
    start = c;
  }
  return total;
}

// Adds a border unless the value would then take more than twice its room. The concat or slice that asked in vain
// gets a relayout.
static bool add_border(LayoutClasses *classes, const Node *node, int64_t channel) {
  bool *border = borders(classes, node);
  if (border[channel]) return false;
  int64_t n = channels(node);
  border[channel] = true;
  if (padded(border, n, classes->block) <= 2 * (ceil_div(n, classes->block) * classes->block))
    return true;
  border[channel] = false;
  return false;
}

// Makes channels start .. stop of `whole` and all of `part` have the same borders; that at stop only if the part
// is closed.
static bool share_borders(LayoutClasses *classes, const Node *whole, int64_t start, const Node *part, bool is_closed) {
  int64_t n = channels(part);
  bool changed = add_border(classes, whole, start);
  if (is_closed) changed |= add_border(classes, whole, start + n);
  for (int64_t c = 1; c < n; c++) {
    if (borders(classes, part)[c]) changed |= add_border(classes, whole, start + c);
    if (borders(classes, whole)[start + c]) changed |= add_border(classes, part, c);
  }
  return changed;
}

// Whoever else uses an input relies on zeros in lanes without a channel; and the kernels of depthwise convolutions read
// what makes up a concat by themselves, whole blocks of it.
static bool may_be_filled(const LayoutClasses *classes, const Node *concat, const Node *in) {
  const GroupIndex *index = classes->index;
  if (index->is_result[in->id] || index->first[in->id + 1] - index->first[in->id] != 1) return false;
  for (int i = index->first[concat->id]; i < index->first[concat->id + 1]; i++) {
    const Node *user = index->user[i];
    if (user->op == OP_conv2d && conv_kind(user) == CONV_DEPTHWISE) return false;
  }
  return true;
}

// How many inputs behind input k would fill its last block, which reaches as far as the borders of now say; their
// channels are added to *out_stop, where input k ends.
static int find_fillers(LayoutClasses *classes, const Node *concat, int k, int64_t *out_stop) {
  const Node *in = concat->in[k];
  if (!is_blocked(classes, in) || !may_be_filled(classes, concat, in)) return 0;
  const bool *border = borders(classes, in);
  int64_t start = channels(in) - 1, taken = 0;
  while (!border[start]) start--;
  int64_t over = (channels(in) - start) % classes->block, room = over ? classes->block - over : 0;
  int stop = k + 1;
  while (stop < concat->n_in && taken < room && !is_blocked(classes, concat->in[stop]))
    taken += channels(concat->in[stop++]);
  if (!room || taken != room) return 0;
  *out_stop += taken;
  return stop - k - 1;
}

static bool border_node(LayoutClasses *classes, const Node *node) {
  bool changed = false;
  if (node->op == OP_concat && node_attr(node, "axis").i == 1 && is_blocked(classes, node)) {
    int64_t at = 0;
    for (int k = 0; k < node->n_in; at += channels(node->in[k++])) {
      if (!is_blocked(classes, node->in[k])) continue;
      int64_t stop = at + channels(node->in[k]);
      bool is_filled = find_fillers(classes, node, k, &stop) > 0;
      changed |= share_borders(classes, node, at, node->in[k], !is_filled);
      changed |= add_border(classes, node, stop);
    }
  }
  if (node->op == OP_slice && node_attr(node, "axis").i == 1 && node_attr(node, "step").i == 1 &&
      is_blocked(classes, node->in[0])) {
    int64_t start = node_attr(node, "start").i;
    if (is_blocked(classes, node)) changed |= share_borders(classes, node->in[0], start, node, true);
  }
  return changed;
}

// ---- layouts --------------------------------------------------------------------------------------------------------

const Layout *layout_make(Arena *arena, LayoutKind kind, int block, ChannelMap map) {
  Layout *layout = ARENA_ARRAY(arena, Layout, 1);
  *layout = (Layout){.kind = kind, .block = block, .c = map};
  layout->c.segment = arena_memdup(arena, map.segment, sizeof *map.segment * (size_t)map.n);
  return layout;
}

const Layout *layout_single(Arena *arena, LayoutKind kind, int block, int64_t channels) {
  return layout_make(arena, kind, block, (ChannelMap){.n = 1, .segment = (int[]){(int)channels}});
}

const Layout *layout_range(Arena *arena, const Layout *layout, int64_t start, int64_t stop) {
  ChannelMap map = {0};
  const int *first = layout->c.segment;
  int64_t at = 0;
  for (int i = 0; i < layout->c.n && at < stop; at += layout->c.segment[i++]) {
    if (at == start) first = &layout->c.segment[i];
    if (at >= start) map.n++;
    if (at < start && at + layout->c.segment[i] > start) return NULL;
  }
  if (at != stop) return NULL;
  map.segment = first;
  return layout_make(arena, layout->kind, layout->block, map);
}

static const Layout *make_layout(LayoutClasses *classes, const Node *node) {
  const bool *border = borders(classes, node);
  int64_t n = channels(node), start = 0;
  ChannelMap map = {0};
  int *segment = ARENA_ARRAY(classes->arena, int, n);
  for (int64_t c = 1; c <= n; c++) {
    if (!border[c]) continue;
    segment[map.n++] = (int)(c - start);
    start = c;
  }
  map.segment = segment;
  return layout_make(classes->arena, LAYOUT_BLOCKED, classes->block, map);
}

// A border between may have come later, from elsewhere in the class.
static void keep_fillers(LayoutClasses *classes, const Node *concat) {
  int64_t at = 0;
  for (int k = 0; k < concat->n_in; k++) {
    at += channels(concat->in[k]);
    int64_t stop = at;
    int n = find_fillers(classes, concat, k, &stop);
    if (!n || borders(classes, concat)[at] || !borders(classes, concat)[stop]) continue;
    int **slot = &classes->fillers[concat->id];
    if (!*slot) *slot = ARENA_ARRAY(classes->arena, int, concat->n_in);
    (*slot)[k] = n;
  }
}

LayoutClasses *layout_classes_find(const Graph *graph, int block, Arena *arena) {
  LayoutClasses *classes = ARENA_ARRAY(arena, LayoutClasses, 1);
  int n = graph->n_nodes + 1;
  *classes = (LayoutClasses){
      .graph = graph,
      .arena = arena,
      .block = block,
      .parent = ARENA_ARRAY(arena, int, n),
      .is_seeded = ARENA_ARRAY(arena, bool, n),
      .is_weight = ARENA_ARRAY(arena, bool, n),
      .border = ARENA_ARRAY(arena, bool *, n),
      .layout = ARENA_ARRAY(arena, const Layout *, n),
      .fillers = ARENA_ARRAY(arena, int *, n),
  };
  for (int i = 0; i < graph->n_nodes; i++) classes->parent[i] = i;
  Arena *scratch = arena_new();
  classes->index = group_index(graph, scratch);
  find_weights(classes, scratch);
  for (bool changed = true; changed;) {
    changed = false;
    for (int i = 0; i < graph->n_nodes; i++) {
      changed |= join_node(classes, graph->nodes[i]);
      changed |= seed_node(classes, graph->nodes[i]);
    }
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (int i = 0; i < graph->n_nodes; i++) changed |= border_node(classes, graph->nodes[i]);
  }
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    const Layout **slot = &classes->layout[find(classes, node->id)];
    if (is_blocked(classes, node) && !*slot) *slot = make_layout(classes, node);
    if (node->op == OP_concat && node_attr(node, "axis").i == 1 && is_blocked(classes, node))
      keep_fillers(classes, node);
  }
  arena_free(scratch);
  classes->index = NULL;
  return classes;
}

int layout_fillers(const LayoutClasses *classes, const Node *concat, int k) {
  const int *fillers = classes->fillers[concat->id];
  return fillers ? fillers[k] : 0;
}

const Layout *layout_class(const LayoutClasses *classes, const Node *node) {
  return is_blocked(classes, node) ? classes->layout[find(classes, node->id)] : NULL;
}
