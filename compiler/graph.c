// Graph: building nodes, replacing, sorting, counting.
#include "compiler/graph.h"

#include <string.h>

#include "runtime/base/status.h"

Graph *graph_new(Arena *arena, const char *name) {
  Graph *graph = ARENA_ARRAY(arena, Graph, 1);
  graph->arena = arena;
  graph->name = arena_strdup(arena, name);
  graph_module(graph, name, "", 0, (SrcLoc){0});
  return graph;
}

void graph_at(Graph *graph, const Node *node) {
  graph->at_loc = node->loc;
  graph->at_module = node->module;
}

static void append(Graph *graph, Node *node) {
  node->id = graph->n_nodes;
  ARENA_PUSH(graph->arena, graph->nodes, graph->n_nodes, graph->cap_nodes, node);
}

static Node *node_new(Graph *graph, Op op) {
  Node *node = ARENA_ARRAY(graph->arena, Node, 1);
  node->op = op;
  node->attr = ARENA_ARRAY(graph->arena, AttrValue, op_info(op)->n_attrs);
  node->group = -1;
  node->loc = graph->at_loc;
  node->module = graph->at_module;
  return node;
}

// ---- adding ---------------------------------------------------------------------------------------------------------

static bool check_operands(const OpInfo *info, int n_in, Text *why) {
  if (info->n_in == OP_VARIADIC) {
    if (n_in >= 1) return true;
    text_printf(why, "%s takes at least one operand", info->name);
    return false;
  }
  if (n_in == info->n_in) return true;
  text_printf(why, "%s takes %d operand%s, not %d", info->name, info->n_in, info->n_in == 1 ? "" : "s", n_in);
  return false;
}

static bool check_attribute(const AttrSpec *spec, AttrValue value, Text *why) {
  switch (spec->kind) {
  case ATTR_BOOL:
    if (value.i == 0 || value.i == 1 || (value.i == spec->fallback.i && !spec->required)) return true;
    text_printf(why, "%s must be true or false", spec->name);
    return false;
  case ATTR_ENUM:
    if (value.i >= 0 && value.i < spec->n_choices) return true;
    text_printf(why, "%s has no choice %lld", spec->name, (long long)value.i);
    return false;
  case ATTR_INTS:
    if (value.ints.rank >= 0 && value.ints.rank <= MAX_RANK) return true;
    text_printf(why, "%s has %d numbers where %d are the limit", spec->name, value.ints.rank, MAX_RANK);
    return false;
  case ATTR_INT:
  case ATTR_FLOAT: return true;
  }
  BUG("attribute kind %d", (int)spec->kind);
}

static bool set_attributes(Node *node, const OpInfo *info, const AttrValue *attrs, Text *why) {
  for (int i = 0; i < info->n_attrs; i++) {
    const AttrSpec *spec = &info->attrs[i];
    if (!attrs && spec->required) {
      text_printf(why, "%s needs %s", info->name, spec->name);
      return false;
    }
    node->attr[i] = attrs ? attrs[i] : spec->fallback;
    if (!check_attribute(spec, node->attr[i], why)) return false;
  }
  return true;
}

// Ops whose shape comes from outside are made by the functions named after them.
static bool is_given(Op op) { return op == OP_input || op == OP_param || op == OP_state || op == OP_constant; }

Node *graph_try_add(Graph *graph, Op op, Node *const *in, int n_in, const AttrValue *attrs, Text *why) {
  const OpInfo *info = op_info(op);
  if (is_given(op)) BUG("%s is made by graph_%s", info->name, info->name);
  if (!check_operands(info, n_in, why)) return NULL;
  Node *node = node_new(graph, op);
  node->n_in = n_in;
  node->in = n_in ? arena_memdup(graph->arena, in, sizeof *in * (size_t)n_in) : NULL;
  if (!set_attributes(node, info, attrs, why) || !info->shape(node, why)) return NULL;
  append(graph, node);
  return node;
}

Node *graph_add(Graph *graph, Op op, Node *const *in, int n_in, const AttrValue *attrs) {
  Text why = {0};
  Node *node = graph_try_add(graph, op, in, n_in, attrs, &why);
  if (!node) BUG("cannot add %s: %s", op_info(op)->name, text_get(&why));
  text_free(&why);
  return node;
}

static Node *leaf_new(Graph *graph, Op op, const char *name, Shape shape) {
  Text why = {0};
  if (!op_shape_ok(shape, &why)) BUG("%s '%s': %s", op_info(op)->name, name ? name : "", text_get(&why));
  Node *node = node_new(graph, op);
  node->name = name ? arena_strdup(graph->arena, name) : NULL;
  node->shape = shape;
  append(graph, node);
  return node;
}

Node *graph_input(Graph *graph, const char *name, Shape shape) { return leaf_new(graph, OP_input, name, shape); }

Node *graph_param(Graph *graph, const char *name, Shape shape, Init init) {
  Node *node = leaf_new(graph, OP_param, name, shape);
  node->init = init;
  return node;
}

Node *graph_state(Graph *graph, const char *name, Shape shape, Init init) {
  Node *node = leaf_new(graph, OP_state, name, shape);
  node->init = init;
  return node;
}

Node *graph_constant(Graph *graph, Shape shape, const float *data) {
  Node *node = leaf_new(graph, OP_constant, NULL, shape);
  node->data = arena_memdup(graph->arena, data, sizeof *data * (size_t)shape_elements(shape));
  return node;
}

// ---- shorthands -----------------------------------------------------------------------------------------------------

Node *graph_fill(Graph *graph, Shape shape, double value) {
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(OP_fill, "shape")].ints = shape;
  attrs[op_attr_index(OP_fill, "value")].f = value;
  return graph_add(graph, OP_fill, NULL, 0, attrs);
}

Node *graph_scalar(Graph *graph, double value) { return graph_fill(graph, (Shape){0}, value); }

Node *graph_unary(Graph *graph, Op op, Node *x) { return graph_add(graph, op, &x, 1, NULL); }

Node *graph_binary(Graph *graph, Op op, Node *a, Node *b) { return graph_add(graph, op, (Node *[]){a, b}, 2, NULL); }

Node *graph_select(Graph *graph, Node *condition, Node *a, Node *b) {
  return graph_add(graph, OP_select, (Node *[]){condition, a, b}, 3, NULL);
}

Node *graph_sum(Graph *graph, Node *x, const int *axes, int n_axes, bool keep) {
  if (n_axes == 0) return x;
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  AttrValue *list = &attrs[op_attr_index(OP_sum, "axes")];
  list->ints.rank = n_axes;
  for (int i = 0; i < n_axes; i++) list->ints.dim[i] = axes[i];
  attrs[op_attr_index(OP_sum, "keep")].i = keep;
  return graph_add(graph, OP_sum, &x, 1, attrs);
}

Node *graph_reshape(Graph *graph, Node *x, Shape shape) {
  if (shape_equal(x->shape, shape)) return x;
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(OP_reshape, "shape")].ints = shape;
  return graph_add(graph, OP_reshape, &x, 1, attrs);
}

Node *graph_transpose(Graph *graph, Node *x, const int *perm) {
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  AttrValue *list = &attrs[op_attr_index(OP_transpose, "perm")];
  list->ints.rank = x->shape.rank;
  for (int i = 0; i < x->shape.rank; i++) list->ints.dim[i] = perm[i];
  return graph_add(graph, OP_transpose, &x, 1, attrs);
}

Node *graph_slice(Graph *graph, Node *x, int axis, int64_t start, int64_t stop) {
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(OP_slice, "axis")].i = axis;
  attrs[op_attr_index(OP_slice, "start")].i = start;
  attrs[op_attr_index(OP_slice, "stop")].i = stop;
  attrs[op_attr_index(OP_slice, "step")].i = 1;
  return graph_add(graph, OP_slice, &x, 1, attrs);
}

Node *graph_sum_to(Graph *graph, Node *x, Shape shape) {
  int extra = x->shape.rank - shape.rank;
  if (extra < 0) BUG("cannot sum rank %d to rank %d", x->shape.rank, shape.rank);
  int axes[MAX_RANK], n_axes = 0;
  for (int i = 0; i < x->shape.rank; i++) {
    if (i < extra || (shape.dim[i - extra] == 1 && x->shape.dim[i] != 1)) axes[n_axes++] = i;
  }
  return graph_reshape(graph, graph_sum(graph, x, axes, n_axes, true), shape);
}

void graph_output(Graph *graph, const char *name, Node *node, bool is_tap) {
  GraphOutput output = {.name = arena_strdup(graph->arena, name), .node = node, .is_tap = is_tap};
  ARENA_PUSH(graph->arena, graph->outputs, graph->n_outputs, graph->cap_outputs, output);
}

void graph_update(Graph *graph, Node *leaf, Node *value) {
  GraphUpdate update = {.leaf = leaf, .value = value};
  ARENA_PUSH(graph->arena, graph->updates, graph->n_updates, graph->cap_updates, update);
}

int graph_module(Graph *graph, const char *name, const char *path, int parent, SrcLoc loc) {
  ModuleInstance module = {
      .name = arena_strdup(graph->arena, name),
      .path = arena_strdup(graph->arena, path),
      .parent = parent,
      .loc = loc,
  };
  ARENA_PUSH(graph->arena, graph->modules, graph->n_modules, graph->cap_modules, module);
  return graph->n_modules - 1;
}

// ---- looking --------------------------------------------------------------------------------------------------------

Node *graph_find_leaf(const Graph *graph, const char *name) {
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    if (is_given(node->op) && node->name && !strcmp(node->name, name)) return node;
  }
  return NULL;
}

Node *graph_find_output(const Graph *graph, const char *name) {
  for (int i = 0; i < graph->n_outputs; i++) {
    if (!strcmp(graph->outputs[i].name, name)) return graph->outputs[i].node;
  }
  return NULL;
}

AttrValue node_attr(const Node *node, const char *name) {
  int i = op_attr_index(node->op, name);
  if (i < 0) BUG("%s has no attribute '%s'", op_info(node->op)->name, name);
  return node->attr[i];
}

bool node_is_blocked(const Node *node) { return node->layout && node->layout->kind == LAYOUT_BLOCKED; }

int *graph_count_uses(const Graph *graph, Arena *arena) {
  int *uses = ARENA_ARRAY(arena, int, graph->n_nodes + 1);
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    for (int k = 0; k < node->n_in; k++) uses[node->in[k]->id]++;
  }
  for (int i = 0; i < graph->n_outputs; i++) uses[graph->outputs[i].node->id]++;
  for (int i = 0; i < graph->n_updates; i++) uses[graph->updates[i].value->id]++;
  return uses;
}

// ---- changing -------------------------------------------------------------------------------------------------------

void graph_replace(Graph *graph, Node *from, Node *to) {
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    if (node == to) continue; // `to` may be made from `from`
    for (int k = 0; k < node->n_in; k++) {
      if (node->in[k] == from) node->in[k] = to;
    }
    if (node->into == from) node->into = to;
  }
  for (int i = 0; i < graph->n_outputs; i++) {
    if (graph->outputs[i].node == from) graph->outputs[i].node = to;
  }
  for (int i = 0; i < graph->n_updates; i++) {
    if (graph->updates[i].value == from) graph->updates[i].value = to;
  }
}

enum { UNSEEN = -1, OPEN = -2, DONE = -3 }; // kept in Node.id while sorting

typedef struct Frame {
  Node *node;
  int next; // operand to visit next
} Frame;

typedef struct Sorter {
  Node **order;
  int n_order;
  Frame *stack;
  int n_stack;
} Sorter;

static void sort_open(Sorter *sorter, Node *node) {
  if (node->id == DONE) return;
  if (node->id == OPEN) BUG("the graph has a cycle through %s", op_info(node->op)->name);
  node->id = OPEN;
  sorter->stack[sorter->n_stack++] = (Frame){.node = node};
}

// Emits the node after everything it needs. Not recursive: graphs of training steps are thousands of nodes deep.
static void sort_visit(Sorter *sorter, Node *root) {
  sort_open(sorter, root);
  while (sorter->n_stack) {
    Frame *frame = &sorter->stack[sorter->n_stack - 1];
    if (frame->next < frame->node->n_in) {
      sort_open(sorter, frame->node->in[frame->next++]);
    } else {
      frame->node->id = DONE;
      sorter->order[sorter->n_order++] = frame->node;
      sorter->n_stack--;
    }
  }
}

static int need(bool *needed, Node **stack, int n, Node *node) {
  if (needed[node->id]) return n;
  needed[node->id] = true;
  stack[n] = node;
  return n + 1;
}

// Marks what outputs and updates need. Operands may stand behind their users here, so this is a search of its own.
static bool *find_needed(const Graph *graph, Arena *scratch) {
  bool *needed = ARENA_ARRAY(scratch, bool, graph->n_nodes + 1);
  Node **stack = ARENA_ARRAY(scratch, Node *, graph->n_nodes + 1);
  int n = 0;
  for (int i = 0; i < graph->n_outputs; i++) n = need(needed, stack, n, graph->outputs[i].node);
  for (int i = 0; i < graph->n_updates; i++) {
    n = need(needed, stack, n, graph->updates[i].leaf);
    n = need(needed, stack, n, graph->updates[i].value);
  }
  for (int i = 0; i < graph->n_nodes; i++) {
    if (graph->nodes[i]->op == OP_input) n = need(needed, stack, n, graph->nodes[i]);
  }
  while (n) {
    Node *node = stack[--n];
    for (int k = 0; k < node->n_in; k++) n = need(needed, stack, n, node->in[k]);
  }
  return needed;
}

void graph_sort(Graph *graph) {
  Arena *scratch = arena_new();
  for (int i = 0; i < graph->n_nodes; i++) graph->nodes[i]->id = i;
  bool *needed = find_needed(graph, scratch);
  Node **nodes = arena_memdup(scratch, graph->nodes, sizeof(Node *) * (size_t)graph->n_nodes);
  int n = graph->n_nodes;
  for (int i = 0; i < n; i++) nodes[i]->id = UNSEEN;
  Sorter sorter = {.order = graph->nodes, .stack = ARENA_ARRAY(scratch, Frame, n + 1)};
  for (int i = 0; i < n; i++) {
    if (needed[i]) sort_visit(&sorter, nodes[i]);
  }
  graph->n_nodes = sorter.n_order;
  for (int i = 0; i < graph->n_nodes; i++) graph->nodes[i]->id = i;
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    if (node->into && node->into->id < 0) node->into = NULL;
  }
  arena_free(scratch);
}
