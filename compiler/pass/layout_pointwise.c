// Layout pointwise: a padded 1x1 convolution is an unpadded one whose result is padded with zeros.
//
// The kernels of pointwise convolutions are matrix products over all pixels; borders would take them to the slower
// kernels of larger windows. U-Net bridges inherited from AdaBins are padded like this.
#include "compiler/ops/build.h"
#include "compiler/pass/layout.h"

static bool is_padded_pointwise(const Node *node) {
  return conv_is_pointwise(node) && node_attr(node, "padding").i != 0;
}

static Node *pad_result(Graph *graph, Node *node) {
  AttrValue attrs[OP_MAX_ATTRS];
  for (int i = 0; i < op_info(node->op)->n_attrs; i++) attrs[i] = node->attr[i];
  int64_t padding = node_attr(node, "padding").i;
  attrs[op_attr_index(OP_conv2d, "padding")].i = 0;
  graph_at(graph, node);
  Node *inner = graph_add(graph, OP_conv2d, node->in, 2, attrs);
  Node *outer = build_pad_picture(graph, inner, padding);
  inner->is_setup = outer->is_setup = node->is_setup;
  inner->name = outer->name = node->name;
  return outer;
}

bool layout_unpad_pointwise(Graph *graph) {
  int n = graph->n_nodes;
  bool changed = false;
  for (int i = 0; i < n; i++) {
    Node *node = graph->nodes[i];
    if (!is_padded_pointwise(node)) continue;
    graph_replace(graph, node, pad_result(graph, node));
    changed = true;
  }
  if (changed) graph_sort(graph);
  return changed;
}
