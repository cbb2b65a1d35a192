// Rewrite: one walk over the graph that puts replacements in place.
#include "compiler/pass/rewrite.h"

#include "runtime/base/status.h"

static Node *current(Node *const *replaced, int n, Node *node) {
  // a replacement may stem from a node that was replaced earlier in the same walk, but never from a later one
  while (node->id < n && replaced[node->id]) node = replaced[node->id];
  return node;
}

static void check_shape(const Node *from, const Node *to) {
  if (shape_equal(from->shape, to->shape)) return;
  char a[SHAPE_TEXT], b[SHAPE_TEXT];
  BUG("%s %s rewritten to %s %s", op_info(from->op)->name, shape_text(from->shape, a), op_info(to->op)->name,
      shape_text(to->shape, b));
}

bool graph_rewrite(Graph *graph, RewriteRule *rule, void *context) {
  Arena *scratch = arena_new();
  int n = graph->n_nodes;
  Node **replaced = ARENA_ARRAY(scratch, Node *, n + 1);
  bool is_changed = false;
  for (int i = 0; i < n; i++) {
    Node *node = graph->nodes[i];
    for (int k = 0; k < node->n_in; k++) node->in[k] = current(replaced, n, node->in[k]);
    graph_at(graph, node);
    Node *better = rule(context, graph, node);
    if (!better || better == node) continue;
    check_shape(node, better);
    if (node->name && !better->name && !op_is_leaf(better->op)) better->name = node->name;
    replaced[i] = better;
    is_changed = true;
  }
  if (is_changed) {
    for (int i = 0; i < graph->n_outputs; i++) {
      graph->outputs[i].node = current(replaced, n, graph->outputs[i].node);
    }
    for (int i = 0; i < graph->n_updates; i++) {
      graph->updates[i].value = current(replaced, n, graph->updates[i].value);
    }
    graph_sort(graph);
  } else {
    graph->n_nodes = n; // what rules built and then did not use
  }
  arena_free(scratch);
  return is_changed;
}

bool is_fill(const Node *node, double *out_value) {
  if (node->op != OP_fill) return false;
  *out_value = node_attr(node, "value").f;
  return true;
}

bool is_fill_of(const Node *node, double value) {
  double got;
  return is_fill(node, &got) && got == value;
}

bool is_single(const Node *node) { return shape_elements(node->shape) == 1; }

bool is_elementwise(const Node *node) { return op_info(node->op)->cls == CLASS_ELEMENTWISE; }

bool *find_fixed(const Graph *graph, Arena *arena) {
  bool *result = ARENA_ARRAY(arena, bool, graph->n_nodes + 1);
  for (int i = 0; i < graph->n_nodes; i++) result[i] = graph->nodes[i]->op != OP_input;
  // what a run writes back is another value in the next run
  for (int i = 0; i < graph->n_updates; i++) result[graph->updates[i].leaf->id] = false;
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    for (int k = 0; k < node->n_in; k++) result[i] &= result[node->in[k]->id];
  }
  return result;
}

Node **find_only_users(const Graph *graph, Arena *arena) {
  int *uses = graph_count_uses(graph, arena);
  Node **users = ARENA_ARRAY(arena, Node *, graph->n_nodes + 1);
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    for (int k = 0; k < node->n_in; k++) {
      if (uses[node->in[k]->id] == 1) users[node->in[k]->id] = node;
    }
  }
  return users;
}

bool is_only_for(const Users *users, const Node *node, const Node *user) {
  return node->id < users->n && users->only[node->id] == user;
}

bool graph_rewrite_by_users(Graph *graph, RewriteRule *rule) {
  bool is_changed = false, is_again = true;
  graph_sort(graph); // a dead user would hide that another is the only one
  while (is_again) {
    Arena *scratch = arena_new();
    Users users = {find_only_users(graph, scratch), find_fixed(graph, scratch), graph->n_nodes};
    is_again = graph_rewrite(graph, rule, &users);
    is_changed |= is_again;
    arena_free(scratch);
  }
  return is_changed;
}
