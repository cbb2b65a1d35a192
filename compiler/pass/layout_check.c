// Layout check: the combinations of layouts that some kernel takes.
//
//    1  leaves, outputs and update values are plain
//    2  only relayouts, and strassen_weight and winograd_weight of plain values, give weight layouts, and only
//       convolutions read them
//    3  element-wise: operands with channels have the layout of the result; other operands, numbers apart, are plain
//    4  conv2d, one group: x any; weight LAYOUT_WEIGHT or _PAIRS with the map of a blocked result or one segment
//       pointwise, x and result blocked: also a weight LAYOUT_WEIGHT_STRASSEN with the map of the result
//       conv2d_winograd: x and result blocked; weight likewise with the map of the result
//    5  conv2d and conv2d_dx, depthwise: x, result and weight (LAYOUT_WEIGHT_DW) have one map, or all are plain
//    6  conv2d_dx, one group: gradient any, weight plain, result any
//    7  conv2d_dw: result plain; depthwise: both operands have one map or are plain; one group: any
//       conv2d_dw_winograd: operands blocked, result plain
//    8  grouped otherwise: everything plain
//    9  reductions: result blocked as x if the channels stay, else plain
//   10  concat: plain, or along the channels the segments of its inputs, of which plain ones may fill the last block of
//       the one in front, or along another axis all of one map
//   11  slice of channels: plain, or the segments of its range, or plain out of blocked
//   12  other ops that keep channels: x and result have one map; the rest: everything plain
#include <string.h>

#include "compiler/ops/build.h"
#include "compiler/pass/layout.h"

__attribute__((format(printf, 4, 5))) static bool broken(Text *why, int rule, const Node *node, const char *format,
                                                         ...) {
  text_printf(why, "layout rule %d: %%%d = %s: ", rule, node->id, op_info(node->op)->name);
  va_list args;
  va_start(args, format);
  text_vprintf(why, format, args);
  va_end(args);
  text_put(why, "\n");
  return false;
}

static LayoutKind kind_of(const Node *node) { return node->layout ? node->layout->kind : LAYOUT_PLAIN; }
static bool is_plain(const Node *node) { return kind_of(node) == LAYOUT_PLAIN; }
static bool is_packed(const Node *node) {
  return kind_of(node) == LAYOUT_WEIGHT || kind_of(node) == LAYOUT_WEIGHT_PAIRS;
}

static bool check_elementwise(const Node *node, Text *why) {
  for (int k = 0; k < node->n_in; k++) {
    const Node *in = node->in[k];
    bool has_channels = in->shape.rank == 4 && in->shape.dim[1] != 1;
    if (in->op == OP_fill) continue;
    if (node_is_blocked(node) && in->shape.rank < 4 && in->shape.rank >= 3 && in->shape.dim[in->shape.rank - 3] != 1) {
      return broken(why, 3, node, "operand %d has channels but not four axes", k);
    }
    if (!layout_equal(in->layout, node_is_blocked(node) && has_channels ? node->layout : NULL)) {
      return broken(why, 3, node, "operand %d is cut differently", k);
    }
  }
  return true;
}

static bool check_dense(const Node *node, Text *why) {
  const Node *weight = node->in[1];
  if (node->op == OP_conv2d_dx) return is_plain(weight) || broken(why, 6, node, "its weight is packed");
  bool can_be_sums =
      node->op == OP_conv2d && conv_is_pointwise(node) && node_is_blocked(node) && node_is_blocked(node->in[0]);
  bool is_sums = can_be_sums && kind_of(weight) == LAYOUT_WEIGHT_STRASSEN;
  if (!is_packed(weight) && !is_sums) return broken(why, 4, node, "its weight is not packed");
  if (is_sums && !map_equal(weight->layout->in, node->in[0]->layout->c))
    return broken(why, 4, node, "its weight's sums are of other channels");
  if (node_is_blocked(node) ? !channels_equal(weight->layout, node->layout) : weight->layout->c.n != 1) {
    return broken(why, 4, node, "its weight is packed for other channels");
  }
  return true;
}

static bool check_conv(const Node *node, Text *why) {
  const Node *a = node->in[0], *b = node->in[1];
  ConvKind kind = conv_kind(node);
  bool is_plain_all = is_plain(a) && is_plain(b) && is_plain(node);
  if (kind == CONV_GROUPED) return is_plain_all || broken(why, 8, node, "not everything is plain");
  if (node->op == OP_conv2d_dw) {
    if (!is_plain(node)) return broken(why, 7, node, "its result is not plain");
    return kind == CONV_DENSE || layout_equal(a->layout, b->layout) || broken(why, 7, node, "operands differ");
  }
  if (kind == CONV_DENSE) return check_dense(node, why);
  if (is_plain_all) return true;
  if (!node_is_blocked(node) || !layout_equal(a->layout, node->layout))
    return broken(why, 5, node, "x and result differ");
  if (kind_of(b) != LAYOUT_WEIGHT_DW || !channels_equal(b->layout, node->layout)) {
    return broken(why, 5, node, "its weight is not packed for its channels");
  }
  return true;
}

static bool check_reduce(const Node *node, Text *why) {
  const Node *x = node->in[0];
  Shape axes = node_attr(node, "axes").ints;
  bool keeps = node_attr(node, "keep").i && node_is_blocked(x);
  for (int i = 0; i < axes.rank; i++) keeps &= axes.dim[i] != 1;
  if (layout_equal(node->layout, keeps ? x->layout : NULL)) return true;
  return broken(why, 9, node, "the result is stored in another way");
}

static bool check_concat(const Node *node, Text *why) {
  if (is_plain(node) || node_attr(node, "axis").i != 1) {
    for (int k = 0; k < node->n_in; k++) {
      if (!layout_equal(node->in[k]->layout, node->layout)) return broken(why, 10, node, "input %d differs", k);
    }
    return true;
  }
  int at = 0, filled = 0; // of segment `at` so far
  for (int k = 0; k < node->n_in; k++) {
    const Layout *in = node->in[k]->layout;
    int plain = (int)node->in[k]->shape.dim[1];
    if (!node_is_blocked(node->in[k]) && (!filled || filled % node->layout->block + plain != node->layout->block))
      return broken(why, 10, node, "input %d is neither blocked nor fills a block", k);
    for (int i = 0; i < (node_is_blocked(node->in[k]) ? in->c.n : 1); i++) {
      int size = node_is_blocked(node->in[k]) ? in->c.segment[i] : filled + plain;
      bool is_whole = at < node->layout->c.n && node->layout->c.segment[at] == size;
      bool is_last = node_is_blocked(node->in[k]) && i + 1 == in->c.n && k + 1 < node->n_in;
      if (!is_whole && !(is_last && !node_is_blocked(node->in[k + 1])))
        return broken(why, 10, node, "input %d has other segments", k);
      filled = is_whole ? 0 : size;
      at += is_whole;
    }
  }
  return at == node->layout->c.n || broken(why, 10, node, "more segments than the inputs have");
}

static bool check_slice(const Node *node, Text *why) {
  const Node *x = node->in[0];
  if (node_attr(node, "axis").i != 1 || is_plain(x)) {
    return layout_equal(x->layout, node->layout) || broken(why, 11, node, "x and result differ");
  }
  if (is_plain(node)) return true;
  Arena *arena = arena_new();
  const Layout *range = layout_range(arena, x->layout, node_attr(node, "start").i, node_attr(node, "stop").i);
  bool is_ok = range && layout_equal(range, node->layout);
  arena_free(arena);
  return is_ok || broken(why, 11, node, "not the segments of its range");
}

static bool check_node(const Node *node, Text *why) {
  OpClass cls = op_info(node->op)->cls;
  if (cls == CLASS_LEAF) return is_plain(node) || broken(why, 1, node, "a leaf is not plain");
  if (node->op == OP_relayout) return true;
  if (node->op == OP_strassen_weight)
    return (kind_of(node) == LAYOUT_WEIGHT_STRASSEN && is_plain(node->in[0])) ||
           broken(why, 2, node, "its operand is not plain, or its result is");
  if (node->op == OP_winograd_weight)
    return (is_packed(node) && is_plain(node->in[0]) && is_plain(node->in[1])) ||
           broken(why, 2, node, "its operands are not plain, or its result is");
  if (!is_plain(node) && !node_is_blocked(node)) return broken(why, 2, node, "gives a weight layout");
  bool is_winograd = node->op == OP_conv2d_winograd;
  bool is_conv = node->op == OP_conv2d || node->op == OP_conv2d_dx;
  for (int k = 0; k < node->n_in; k++) {
    bool is_weight = !is_plain(node->in[k]) && !node_is_blocked(node->in[k]);
    if (is_weight && !((is_conv || is_winograd) && k == 1)) return broken(why, 2, node, "reads a packed weight");
  }
  if (is_conv || node->op == OP_conv2d_dw) return check_conv(node, why);
  if (is_winograd && !(node_is_blocked(node) && node_is_blocked(node->in[0])))
    return broken(why, 4, node, "plain values");
  if (is_winograd) return check_dense(node, why);
  if (node->op == OP_conv2d_dw_winograd)
    return (is_plain(node) && node_is_blocked(node->in[0]) && node_is_blocked(node->in[1])) ||
           broken(why, 7, node, "its operands are not blocked, or its result is not plain");
  if (cls == CLASS_ELEMENTWISE) return check_elementwise(node, why);
  if (node->op == OP_sum || node->op == OP_max) return check_reduce(node, why);
  if (node->op == OP_concat) return check_concat(node, why);
  if (node->op == OP_slice && node->shape.rank == 4) return check_slice(node, why);
  if (node->op == OP_resize || node->op == OP_resize_grad || node->op == OP_pad || node->op == OP_flip ||
      node->op == OP_slice) {
    return layout_equal(node->in[0]->layout, node->layout) || broken(why, 12, node, "x and result differ");
  }
  if (node->op == OP_broadcast) return true; // reads any
  for (int k = 0; k < node->n_in; k++) {
    if (!is_plain(node->in[k])) return broken(why, 12, node, "operand %d is not plain", k);
  }
  return is_plain(node) || broken(why, 12, node, "the result is not plain");
}

bool layout_check(const Graph *graph, Text *why) {
  bool is_ok = true;
  for (int i = 0; i < graph->n_nodes; i++) is_ok &= check_node(graph->nodes[i], why);
  for (int i = 0; i < graph->n_outputs; i++) {
    const Node *node = graph->outputs[i].node;
    if (!is_plain(node)) is_ok = broken(why, 1, node, "output '%s' is not plain", graph->outputs[i].name);
  }
  for (int i = 0; i < graph->n_updates; i++) {
    if (!is_plain(graph->updates[i].value)) is_ok = broken(why, 1, graph->updates[i].value, "an update is not plain");
  }
  return is_ok;
}
