// Graph verifier: the invariants every graph keeps between passes. Messages cite their numbers.
//
//    1  a node's id is its place in Graph.nodes
//    2  operands are nodes of the graph and stand before their user
//    3  the number of operands is the op's
//    4  attributes have their normal form and the shape is what the op's rule derives
//    5  inputs, parameters and states have names, no two the same
//    6  constants have data, other nodes have none
//    7  outputs and taps refer to nodes of the graph and have names, no two the same
//    8  an update goes from a node of the same shape to a parameter or state, at most one to each
//    9  module indices exist, and a module's parent stands before it
//   10  a layout's segments add up to the size of its channel axis
//   11  a value kept inside another is either an input of it, a concat, that lies in the same layout and fits, or a
//       view: a reshape, relayout or slice of it; or a reshape that is an input of a concat keeps its operand
//   12  a setup node depends on parameters, states, constants and setup nodes only
#include <string.h>

#include "compiler/graph.h"
#include "runtime/base/strmap.h"

__attribute__((format(printf, 4, 5))) static bool broken(Text *why, int invariant, const Node *node, const char *format,
                                                         ...) {
  text_printf(why, "invariant %d: ", invariant);
  if (node) text_printf(why, "%%%d = %s: ", node->id, op_info(node->op)->name);
  va_list args;
  va_start(args, format);
  text_vprintf(why, format, args);
  va_end(args);
  return false;
}

static bool is_member(const Graph *graph, const Node *node) {
  return node && node->id >= 0 && node->id < graph->n_nodes && graph->nodes[node->id] == node;
}

static bool is_named_leaf(const Node *node) {
  return node->op == OP_input || node->op == OP_param || node->op == OP_state;
}

// ---- nodes ----------------------------------------------------------------------------------------------------------

static bool check_operands(const Graph *graph, const Node *node, Text *why) {
  for (int k = 0; k < node->n_in; k++) {
    if (!is_member(graph, node->in[k])) return broken(why, 2, node, "operand %d is not in the graph", k);
    if (node->in[k]->id >= node->id) return broken(why, 2, node, "operand %d, %%%d, stands behind", k, node->in[k]->id);
  }
  int n_in = op_info(node->op)->n_in;
  if (n_in == OP_VARIADIC ? node->n_in < 1 : node->n_in != n_in) {
    return broken(why, 3, node, "%d operands where the op takes %d", node->n_in, n_in);
  }
  return true;
}

static bool attributes_equal(const Node *a, const Node *b) {
  const OpInfo *info = op_info(a->op);
  for (int i = 0; i < info->n_attrs; i++) {
    AttrValue x = a->attr[i], y = b->attr[i];
    bool is_equal = true;
    switch (info->attrs[i].kind) {
    case ATTR_FLOAT: is_equal = !memcmp(&x.f, &y.f, sizeof x.f); break;
    case ATTR_INTS: is_equal = shape_equal(x.ints, y.ints); break;
    default: is_equal = x.i == y.i; break;
    }
    if (!is_equal) return false;
  }
  return true;
}

static bool check_shape(const Node *node, Text *why) {
  AttrValue attrs[OP_MAX_ATTRS];
  Node copy = *node;
  copy.attr = attrs; // the rule puts them into their normal form
  for (int i = 0; i < op_info(node->op)->n_attrs; i++) attrs[i] = node->attr[i];
  Text reason = {0};
  if (!op_info(node->op)->shape(&copy, &reason)) {
    broken(why, 4, node, "%s", text_get(&reason));
    text_free(&reason);
    return false;
  }
  text_free(&reason);
  char derived[SHAPE_TEXT], present[SHAPE_TEXT];
  if (!shape_equal(copy.shape, node->shape)) {
    return broken(why, 4, node, "shape %s, but the rule derives %s", shape_text(node->shape, present),
                  shape_text(copy.shape, derived));
  }
  if (!attributes_equal(&copy, node)) return broken(why, 4, node, "an attribute is not in its normal form");
  return true;
}

static bool check_leaf(const Node *node, StrMap *names, Text *why) {
  if (is_named_leaf(node)) {
    if (!node->name || !*node->name) return broken(why, 5, node, "a leaf without a name");
    if (strmap_get(names, node->name)) return broken(why, 5, node, "another leaf is named '%s'", node->name);
    strmap_set(names, node->name, (void *)node->name);
  }
  if ((node->op == OP_constant) != (node->data != NULL)) {
    return broken(why, 6, node, node->data ? "data in a node that is no constant" : "a constant without data");
  }
  return true;
}

static bool check_layout(const Node *node, Text *why) {
  const Layout *layout = node->layout;
  if (!layout || layout->kind == LAYOUT_PLAIN) return true;
  if (layout->block < 1 || layout->c.n < 1) return broken(why, 10, node, "a layout without blocks or segments");
  bool is_blocked = layout->kind == LAYOUT_BLOCKED;
  if (is_blocked ? node->shape.rank < 2 : node->shape.rank != 4) {
    return broken(why, 10, node, "a layout for another number of axes");
  }
  int64_t channels = 0;
  for (int i = 0; i < layout->c.n; i++) {
    if (layout->c.segment[i] < 1) return broken(why, 10, node, "an empty segment");
    channels += layout->c.segment[i];
  }
  int64_t size = node->shape.dim[is_blocked ? 1 : 0];
  if (channels == size) return true;
  return broken(why, 10, node, "segments of %lld channels for an axis of %lld", (long long)channels, (long long)size);
}

// Size of the storage in the units of Node.into_offset: blocks of channels and images, or elements.
static int64_t storage_extent(const Node *node) {
  bool is_blocked = node_is_blocked(node);
  return is_blocked ? channel_blocks(node->layout) * node->shape.dim[0] : shape_elements(node->shape);
}

static bool is_view_of(const Node *node, const Node *into) {
  return (node->op == OP_reshape || node->op == OP_relayout || node->op == OP_slice) && node->in[0] == into;
}

static bool is_input_of(const Node *node, const Node *into) {
  for (int k = 0; k < into->n_in; k++) {
    if (into->in[k] == node) return into->op == OP_concat;
  }
  return false;
}

static bool check_into(const Graph *graph, const Node *node, Text *why) {
  const Node *into = node->into;
  if (!into) return true;
  if (!is_member(graph, into)) return broken(why, 11, node, "kept in a node that is not in the graph");
  if (is_view_of(node, into) && node->op != OP_slice) return true;
  if (is_view_of(into, node) && into->op == OP_reshape) return true; // seen as a row that stands in a concat
  if (!is_view_of(node, into) && !is_input_of(node, into)) {
    return broken(why, 11, node, "kept in %%%d, which it is neither an input nor a view of", into->id);
  }
  bool is_blocked = node_is_blocked(node);
  bool is_into_blocked = node_is_blocked(into);
  if (is_blocked != is_into_blocked || (is_blocked && node->layout->block != into->layout->block)) {
    return broken(why, 11, node, "kept in %%%d, which has another layout", into->id);
  }
  if (node->into_offset < 0 || node->into_offset + storage_extent(node) > storage_extent(into)) {
    return broken(why, 11, node, "does not fit into %%%d at %d", into->id, node->into_offset);
  }
  return true;
}

static bool check_setup(const Node *node, Text *why) {
  if (!node->is_setup) return true;
  for (int k = 0; k < node->n_in; k++) {
    const Node *in = node->in[k];
    bool is_early = in->is_setup || (op_is_leaf(in->op) && in->op != OP_input);
    if (!is_early) return broken(why, 12, node, "a setup node depends on %%%d", in->id);
  }
  if (node->op == OP_input) return broken(why, 12, node, "an input is no setup");
  return true;
}

static bool check_node(const Graph *graph, int i, StrMap *names, Text *why) {
  const Node *node = graph->nodes[i];
  if (node->id != i) return broken(why, 1, node, "stands at place %d", i);
  if (node->module < 0 || node->module >= graph->n_modules) return broken(why, 9, node, "no module %d", node->module);
  return check_operands(graph, node, why) && check_shape(node, why) && check_leaf(node, names, why) &&
         check_layout(node, why) && check_into(graph, node, why) && check_setup(node, why);
}

// ---- the rest of the graph ------------------------------------------------------------------------------------------

static bool check_outputs(const Graph *graph, StrMap *names, Text *why) {
  for (int i = 0; i < graph->n_outputs; i++) {
    const GraphOutput *output = &graph->outputs[i];
    if (!output->name || !*output->name) return broken(why, 7, NULL, "output %d has no name", i);
    if (!is_member(graph, output->node)) return broken(why, 7, NULL, "output '%s' is not in the graph", output->name);
    if (strmap_get(names, output->name)) return broken(why, 7, NULL, "two outputs are named '%s'", output->name);
    strmap_set(names, output->name, (void *)output->name);
  }
  return true;
}

static bool check_updates(const Graph *graph, StrMap *leaves, Text *why) {
  for (int i = 0; i < graph->n_updates; i++) {
    const Node *leaf = graph->updates[i].leaf, *value = graph->updates[i].value;
    if (!is_member(graph, leaf) || !is_member(graph, value)) {
      return broken(why, 8, NULL, "update %d is not in the graph", i);
    }
    if (leaf->op != OP_param && leaf->op != OP_state) return broken(why, 8, leaf, "cannot be updated");
    char a[SHAPE_TEXT], b[SHAPE_TEXT];
    if (!shape_equal(leaf->shape, value->shape)) {
      return broken(why, 8, leaf, "shape %s, its update %s", shape_text(leaf->shape, a), shape_text(value->shape, b));
    }
    if (strmap_get(leaves, leaf->name)) return broken(why, 8, leaf, "'%s' is updated twice", leaf->name);
    strmap_set(leaves, leaf->name, (void *)leaf->name);
  }
  return true;
}

static bool check_modules(const Graph *graph, Text *why) {
  if (graph->n_modules < 1) return broken(why, 9, NULL, "no module 0");
  for (int i = 0; i < graph->n_modules; i++) {
    int parent = graph->modules[i].parent;
    if (parent < 0 || (i ? parent >= i : parent != 0))
      return broken(why, 9, NULL, "module %d has parent %d", i, parent);
  }
  return true;
}

bool graph_verify(const Graph *graph, Text *why) {
  Arena *scratch = arena_new();
  bool is_ok = check_modules(graph, why);
  StrMap *names = strmap_new(scratch);
  for (int i = 0; is_ok && i < graph->n_nodes; i++) is_ok = check_node(graph, i, names, why);
  is_ok = is_ok && check_outputs(graph, strmap_new(scratch), why) && check_updates(graph, strmap_new(scratch), why);
  arena_free(scratch);
  return is_ok;
}
