// Summary: the module tree of a graph with shapes, parameters and multiply-adds.
#include "compiler/graph_summary.h"

#include <stdio.h>
#include <string.h>

#include "compiler/module_tree.h"

const char *count_text(int64_t count, char out[COUNT_TEXT]) {
  char digits[24];
  int n = snprintf(digits, sizeof digits, "%lld", (long long)count), at = 0;
  for (int i = 0; i < n; i++) {
    bool is_group = i > 0 && (n - i) % 3 == 0 && digits[i - 1] != '-';
    if (is_group) out[at++] = ',';
    out[at++] = digits[i];
  }
  out[at] = 0;
  return out;
}

const char *count_short(int64_t count, char out[COUNT_TEXT]) {
  static const char *const units[] = {"", " k", " M", " G", " T", " P", " E"};
  double value = (double)count;
  int unit = 0;
  while (value >= 999.5 && unit < 6) {
    value /= 1000;
    unit++;
  }
  int decimals = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  snprintf(out, COUNT_TEXT, "%.*f%s", decimals, value, units[unit]);
  return out;
}

// Whether `module` is `other` or lies in it.
static bool is_inside(const TreeModule *tree, int module, int other) {
  return module_at_depth(tree, module, tree[other].depth) == other;
}

// last[m] becomes the last node of m, inner modules included, whose value something outside of m uses.
static void mark_user(const TreeModule *tree, const Node *value, int user, const Node **last) {
  // The value leaves each module that holds it but not the user.
  for (int m = tree[value->module].shown; user < 0 || !is_inside(tree, user, m); m = tree[m].parent) {
    if (!last[m] || last[m]->id < value->id) last[m] = value;
    if (m == 0) return;
  }
}

static const Node **find_results(const Graph *graph, const TreeModule *tree, Arena *arena) {
  const Node **last = ARENA_ARRAY(arena, const Node *, graph->n_modules);
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    for (int k = 0; k < node->n_in; k++) {
      if (!op_is_leaf(node->in[k]->op)) mark_user(tree, node->in[k], node->module, last);
    }
  }
  for (int i = 0; i < graph->n_outputs; i++) {
    if (!graph->outputs[i].is_tap) mark_user(tree, graph->outputs[i].node, -1, last);
  }
  return last;
}

// ---- torchinfo's rule

static bool is_in_attention(const Graph *graph, const TreeModule *tree, int module) {
  for (; module > 0; module = tree[module].parent)
    if (!strcmp(graph->modules[module].name, "self_attention")) return true;
  return false;
}

// How often torchinfo counts the parameters of a module: its output's positions or first axis.
static int64_t repetitions(Shape shape, bool is_convolution) {
  if (is_convolution) return shape.dim[0] * shape.dim[2] * shape.dim[3];
  if (shape.rank == 3) return shape.dim[1]; // tokens
  return shape.rank ? shape.dim[0] : 1;
}

static void count_as_torchinfo(const Graph *graph, TreeModule *tree, const Node **last, Arena *arena) {
  bool *is_convolution = ARENA_ARRAY(arena, bool, graph->n_modules);
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if (node->op == OP_conv2d) is_convolution[tree[node->module].shown] = true;
  }
  for (int i = 0; i < graph->n_modules; i++) {
    TreeModule *module = &tree[i];
    module->parameters = module->multiply_adds = 0;
    bool is_counted = module->shown == i && !module->n_children && last[i] && !is_in_attention(graph, tree, i);
    if (!is_counted) module->own_parameters = 0;
    module->own_multiply_adds =
        module->own_parameters ? module->own_parameters * repetitions(last[i]->shape, is_convolution[i]) : 0;
  }
  module_tree_sum(graph, tree);
}

// ---- all

GraphSummary graph_summary(const Graph *graph, int depth, CountRule rule, Arena *arena) {
  TreeModule *tree = module_tree(graph, arena);
  const Node **last = find_results(graph, tree, arena);
  if (rule == COUNT_TORCHINFO) count_as_torchinfo(graph, tree, last, arena);
  GraphSummary summary = {.rows = ARENA_ARRAY(arena, SummaryRow, graph->n_modules)};
  for (int i = 0; i < graph->n_modules; i++) { // the order of calls: callers before those they call
    if (tree[i].shown != i || (depth >= 0 && tree[i].depth > depth)) continue;
    summary.rows[summary.n_rows++] = (SummaryRow){
        .module = i,
        .depth = tree[i].depth,
        .path = graph->modules[i].path,
        .name = graph->modules[i].name,
        .shape = last[i] ? last[i]->shape : (Shape){0},
        .has_shape = last[i] != NULL,
        .n_children = tree[i].n_children,
        .own_parameters = tree[i].own_parameters,
        .parameters = tree[i].parameters,
        .own_multiply_adds = tree[i].own_multiply_adds,
        .multiply_adds = tree[i].multiply_adds,
    };
  }
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    int64_t n = shape_elements(node->shape);
    if (node->op == OP_state) summary.states += n;
    if (!op_is_leaf(node->op)) summary.activations += n;
  }
  summary.parameters = tree[0].parameters;
  summary.multiply_adds = tree[0].multiply_adds;
  return summary;
}
