// Layout pass: stores activations in channel blocks and inserts relayout nodes where blocked and plain values meet.
//
// Each node is visited once, in order. Its operands are asked for in the layouts that its kernel wants; `need` makes
// the relayout at the first asking and remembers it. Leaves, outputs and updates stay plain.
#include "compiler/pass/layout.h"

#include "compiler/pass/pass.h"
#include "runtime/base/status.h"

typedef struct Version {
  Node *node;
  struct Version *next;
} Version;

typedef struct Rewriter {
  Graph *graph;
  Arena *scratch;
  LayoutClasses *classes;
  int block;
  LayoutKind weight; // of dense convolutions
  int n_old;         // nodes before the pass; only these have a row in the arrays below
  Node **value;      // what stands for the old node now
  Version **others;  // by id: the value in other layouts
  int n_others;      // rows of `others`
  bool changed;
} Rewriter;

// Constants, and what depends on weights that no update changes, are computed once after loading.
static bool is_computed_once(const Graph *graph, const Node *node) {
  if (node->is_setup || node->op == OP_constant || node->op == OP_fill || node->op == OP_iota) return true;
  if (node->op != OP_param && node->op != OP_state) return false;
  for (int i = 0; i < graph->n_updates; i++) {
    if (graph->updates[i].leaf == node) return false;
  }
  return true;
}

// Nodes made by the pass have ids beyond the arrays until the graph is sorted; `others` grows with them.
static Version **versions(Rewriter *rewriter, const Node *node) {
  if (node->id >= rewriter->n_others) {
    int n = 2 * node->id + 1;
    rewriter->others = arena_grow(rewriter->scratch, rewriter->others, sizeof(Version *) * (size_t)rewriter->n_others,
                                  sizeof(Version *) * (size_t)n);
    rewriter->n_others = n;
  }
  return &rewriter->others[node->id];
}

static void remember(Rewriter *rewriter, const Node *node, Node *other) {
  Version *version = ARENA_ARRAY(rewriter->scratch, Version, 1);
  Version **list = versions(rewriter, node);
  *version = (Version){.node = other, .next = *list};
  *list = version;
}

// The value of `node` in the given layout (NULL = plain).
static Node *need(Rewriter *rewriter, Node *node, const Layout *layout) {
  if (layout_equal(node->layout, layout)) return node;
  if (node->op == OP_relayout && layout_equal(node->in[0]->layout, layout)) return node->in[0];
  for (Version *version = *versions(rewriter, node); version; version = version->next) {
    if (layout_equal(version->node->layout, layout)) return version->node;
  }
  graph_at(rewriter->graph, node);
  Node *other = graph_add(rewriter->graph, OP_relayout, &node, 1, NULL);
  other->layout = layout;
  other->is_setup = is_computed_once(rewriter->graph, node);
  remember(rewriter, node, other);
  rewriter->changed = true;
  return other;
}

// A reshape that shares its place and time with what it reshapes.
static Node *reshaped(Rewriter *rewriter, Node *node, Shape shape) {
  if (shape_equal(node->shape, shape)) return node;
  graph_at(rewriter->graph, node);
  Node *other = graph_reshape(rewriter->graph, node, shape);
  other->is_setup = is_computed_once(rewriter->graph, node);
  return other;
}

// ---- operands, by op ------------------------------------------------------------------------------------------------

// The operand as rank 4, ones in front, so that its channels are found on axis 1.
static Node *with_rank_4(Rewriter *rewriter, Node *in) {
  Shape shape = {.rank = 4};
  int extra = 4 - in->shape.rank;
  for (int i = 0; i < 4; i++) shape.dim[i] = i < extra ? 1 : in->shape.dim[i - extra];
  Node *plain = need(rewriter, in, NULL);
  for (Version *version = *versions(rewriter, plain); version; version = version->next) {
    if (version->node->op == OP_reshape && shape_equal(version->node->shape, shape)) return version->node;
  }
  Node *other = reshaped(rewriter, plain, shape);
  remember(rewriter, plain, other);
  return other;
}

static void rewrite_elementwise(Rewriter *rewriter, Node *node, const Layout *layout) {
  for (int k = 0; k < node->n_in; k++) {
    Node *in = node->in[k];
    if (in->op == OP_fill) continue; // a number in the kernel's text
    int axis = in->shape.rank - 3;   // that of the channels
    bool has_channels = layout && axis >= 0 && in->shape.dim[axis] != 1;
    if (has_channels && in->shape.rank < 4) in = with_rank_4(rewriter, in);
    node->in[k] = need(rewriter, in, has_channels ? layout : NULL);
  }
  node->layout = layout;
}

static void rewrite_all(Rewriter *rewriter, Node *node, const Layout *layout) {
  for (int k = 0; k < node->n_in; k++) node->in[k] = need(rewriter, node->in[k], layout);
  node->layout = layout;
}

static void rewrite_conv(Rewriter *rewriter, Node *node, const Layout *layout) {
  ConvKind kind = conv_kind(node);
  Arena *arena = rewriter->graph->arena;
  if (node->op == OP_conv2d_dw) {
    if (kind == CONV_DENSE) return; // reads any, stores plain
    const Layout *both = node->in[1]->layout ? node->in[1]->layout : node->in[0]->layout;
    if (kind == CONV_GROUPED) both = NULL;
    rewrite_all(rewriter, node, both);
    node->layout = NULL;
    return;
  }
  const Layout *weight = NULL;
  if (kind == CONV_DEPTHWISE && layout) {
    weight = layout_make(arena, LAYOUT_WEIGHT_DW, rewriter->block, layout->c);
  } else if (kind == CONV_DENSE && node->op == OP_conv2d) {
    weight = layout ? layout_make(arena, rewriter->weight, rewriter->block, layout->c)
                    : layout_single(arena, rewriter->weight, rewriter->block, node->shape.dim[1]);
  }
  node->in[1] = need(rewriter, node->in[1], weight);
  if (kind != CONV_DENSE) node->in[0] = need(rewriter, node->in[0], kind == CONV_DEPTHWISE ? layout : NULL);
  node->layout = layout;
}

// A run of inputs that are too narrow for blocks of their own becomes one input.
static Node *packed_run(Rewriter *rewriter, Node *const *in, int n) {
  if (n == 1) return in[0];
  Node **plain = ARENA_ARRAY(rewriter->scratch, Node *, n);
  bool is_setup = true;
  for (int i = 0; i < n; i++) {
    plain[i] = need(rewriter, in[i], NULL);
    is_setup &= is_computed_once(rewriter->graph, plain[i]);
  }
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(OP_concat, "axis")].i = 1;
  graph_at(rewriter->graph, in[0]);
  Node *run = graph_add(rewriter->graph, OP_concat, plain, n, attrs);
  run->is_setup = is_setup;
  return run;
}

// A concat along the channels is stored as the segments of its inputs, one after the other; inputs that fill the last
// block of the one in front of them stay plain and belong to its last segment. Returns the node that has the layout of
// its class: itself, or a relayout if that was cut differently.
static Node *rewrite_concat(Rewriter *rewriter, Node *node, const Layout *layout) {
  int n = 0;
  ChannelMap map = {0};
  int *segment = ARENA_ARRAY(rewriter->scratch, int, node->shape.dim[1]);
  Node **in = ARENA_ARRAY(rewriter->scratch, Node *, node->n_in);
  for (int k = 0; k < node->n_in;) {
    int stop = k + 1, fillers = node_is_blocked(node->in[k]) ? layout_fillers(rewriter->classes, node, k) : 0;
    if (!node_is_blocked(node->in[k])) {
      while (stop < node->n_in && !node_is_blocked(node->in[stop])) stop++;
    }
    Node *run = packed_run(rewriter, node->in + k, stop - k);
    if (!node_is_blocked(run)) {
      const Layout *single = layout_single(rewriter->graph->arena, LAYOUT_BLOCKED, rewriter->block, run->shape.dim[1]);
      run = need(rewriter, run, single);
    }
    for (int i = 0; i < run->layout->c.n; i++) segment[map.n++] = run->layout->c.segment[i];
    in[n++] = run;
    if (fillers) {
      in[n] = packed_run(rewriter, node->in + stop, fillers);
      segment[map.n - 1] += (int)in[n++]->shape.dim[1];
      stop += fillers;
    }
    k = stop;
  }
  for (int k = 0; k < n; k++) node->in[k] = in[k];
  node->n_in = n;
  map.segment = segment;
  node->layout = layout_make(rewriter->graph->arena, LAYOUT_BLOCKED, rewriter->block, map);
  return need(rewriter, node, layout);
}

// A slice of channels begins and ends at segments; the operand is cut into new ones if it did not have them.
static Node *rewrite_slice(Rewriter *rewriter, Node *node, const Layout *layout) {
  Arena *arena = rewriter->graph->arena;
  int64_t start = node_attr(node, "start").i, stop = node_attr(node, "stop").i;
  Node *x = node->in[0];
  if (node_attr(node, "step").i != 1 || !node_is_blocked(x)) {
    node->in[0] = need(rewriter, x, NULL);
    return need(rewriter, node, layout);
  }
  if (!layout) return node; // a few channels of a blocked value: read where they are, stored plain
  const Layout *range = layout_range(arena, x->layout, start, stop);
  if (!range) {
    ChannelMap map = {0};
    int segment[3];
    if (start > 0) segment[map.n++] = (int)start;
    segment[map.n++] = (int)(stop - start);
    if (stop < x->shape.dim[1]) segment[map.n++] = (int)(x->shape.dim[1] - stop);
    map.segment = segment;
    const Layout *cut = layout_make(arena, LAYOUT_BLOCKED, rewriter->block, map);
    node->in[0] = need(rewriter, x, cut);
    range = layout_single(arena, LAYOUT_BLOCKED, rewriter->block, stop - start);
  }
  node->layout = range;
  return need(rewriter, node, layout);
}

static bool reduces_channels(const Node *node) {
  Shape axes = node_attr(node, "axes").ints;
  for (int i = 0; i < axes.rank; i++) {
    if (axes.dim[i] == 1) return true;
  }
  return false;
}

// Reductions of blocked values keep their axes, and so their layout; a reshape of the plain result drops them.
static Node *rewrite_reduce(Rewriter *rewriter, Node *node) {
  Node *x = node->in[0];
  if (!node_is_blocked(x)) {
    node->in[0] = need(rewriter, x, NULL);
    return node;
  }
  const Layout *layout = reduces_channels(node) ? NULL : x->layout;
  int keep = op_attr_index(node->op, "keep");
  if (node->attr[keep].i) {
    node->layout = layout;
    return node;
  }
  AttrValue attrs[OP_MAX_ATTRS];
  for (int i = 0; i < op_info(node->op)->n_attrs; i++) attrs[i] = node->attr[i];
  attrs[keep].i = 1;
  graph_at(rewriter->graph, node);
  Node *kept = graph_add(rewriter->graph, node->op, node->in, 1, attrs);
  kept->layout = layout;
  kept->is_setup = node->is_setup;
  Node *result = reshaped(rewriter, need(rewriter, kept, NULL), node->shape);
  result->name = node->name;
  return result;
}

// Returns what stands for the node's value from now on.
static Node *rewrite(Rewriter *rewriter, Node *node) {
  const Layout *layout = layout_class(rewriter->classes, node);
  switch (node->op) {
  case OP_conv2d:
  case OP_conv2d_dx:
  case OP_conv2d_dw: rewrite_conv(rewriter, node, layout); return node;
  case OP_sum:
  case OP_max: return rewrite_reduce(rewriter, node);
  case OP_concat:
    if (layout && node_attr(node, "axis").i == 1) return rewrite_concat(rewriter, node, layout);
    rewrite_all(rewriter, node, layout);
    return node;
  case OP_slice:
    if (node_attr(node, "axis").i == 1 && node->shape.rank == 4) return rewrite_slice(rewriter, node, layout);
    rewrite_all(rewriter, node, layout);
    return node;
  case OP_broadcast:
    node->in[0] =
        need(rewriter, node->in[0], node->in[0]->shape.rank == 4 && node->in[0]->shape.dim[1] != 1 ? layout : NULL);
    node->layout = node->in[0]->layout ? layout : NULL;
    return need(rewriter, node, layout);
  default:
    if (op_info(node->op)->cls == CLASS_ELEMENTWISE) rewrite_elementwise(rewriter, node, layout);
    else rewrite_all(rewriter, node, layout);
    return node;
  }
}

bool pass_layout(const PassContext *context, Graph *graph) {
  if (context->target->kind == TARGET_CUDA) { // all values stay row by row
    bool is_changed = layout_flatten_sums(graph);
    return layout_mark_views(graph, true) > 0 || is_changed;
  }
  if (context->target->kind != TARGET_CPU) return false;
  bool is_prepared = layout_unpad_pointwise(graph);
  if (!context->exact) is_prepared |= layout_split_reductions(graph, context->target->vector);
  Arena *scratch = arena_new();
  Rewriter rewriter = {
      .graph = graph,
      .scratch = scratch,
      .block = context->target->vector,
      .weight = target_has_pairs(context->target) ? LAYOUT_WEIGHT_PAIRS : LAYOUT_WEIGHT,
      .n_old = graph->n_nodes,
      .value = ARENA_ARRAY(scratch, Node *, graph->n_nodes + 1),
  };
  // Layouts found by the analysis go into the graph's arena, they outlive the pass.
  rewriter.classes = layout_classes_find(graph, context->target->vector, graph->arena);
  for (int i = 0; i < rewriter.n_old; i++) {
    Node *node = graph->nodes[i];
    for (int k = 0; k < node->n_in; k++) node->in[k] = rewriter.value[node->in[k]->id];
    rewriter.value[i] = rewrite(&rewriter, node);
    if (rewriter.value[i] != node || node->layout) rewriter.changed = true;
  }
  for (int i = 0; i < graph->n_outputs; i++) {
    GraphOutput *output = &graph->outputs[i];
    output->node = need(&rewriter, rewriter.value[output->node->id], NULL);
  }
  for (int i = 0; i < graph->n_updates; i++) {
    GraphUpdate *update = &graph->updates[i];
    update->value = need(&rewriter, rewriter.value[update->value->id], NULL);
  }
  graph_sort(graph);
  bool has_views = layout_mark_views(graph, false) > 0;
  arena_free(scratch);
  return is_prepared || rewriter.changed || has_views;
}
