// Folding: what can be computed from constants alone is computed now, by the reference functions.
#include <math.h>

#include "compiler/ops/eval.h"
#include "compiler/pass/pass.h"
#include "compiler/pass/rewrite.h"

// Beyond these a constant costs more (memory, and time of the compiler) than its computation after loading.
enum { MAX_ELEMENTS = 1 << 16, MAX_FLOPS = 1 << 24 };

static bool is_known(const Node *node) { return node->op == OP_constant || node->op == OP_fill || node->op == OP_iota; }

static bool all_fills(const Node *node) {
  for (int k = 0; k < node->n_in; k++) {
    if (node->in[k]->op != OP_fill) return false;
  }
  return true;
}

// Whether all values are the same number, bit for bit. NaN is none.
static bool is_uniform(Shape shape, const float *value) {
  int64_t n = shape_elements(shape);
  if (n < 1 || isnan(value[0])) return false;
  for (int64_t i = 1; i < n; i++) {
    if (value[i] != value[0] || !signbit(value[i]) != !signbit(value[0])) return false;
  }
  return true;
}

static const float *values_of(const Node *node, Arena *scratch) {
  if (node->op == OP_constant) return node->data;
  float *out = ARENA_ARRAY(scratch, float, shape_elements(node->shape));
  node_eval(node, NULL, out);
  return out;
}

static Node *evaluate(Graph *graph, Node *node) {
  if (shape_elements(node->shape) > MAX_ELEMENTS || node_cost(node).flops > MAX_FLOPS) return NULL;
  for (int k = 0; k < node->n_in; k++) {
    if (shape_elements(node->in[k]->shape) > 4 * MAX_ELEMENTS) return NULL;
  }
  Arena *scratch = arena_new();
  const float **in = ARENA_ARRAY(scratch, const float *, node->n_in);
  for (int k = 0; k < node->n_in; k++) in[k] = values_of(node->in[k], scratch);
  float *out = ARENA_ARRAY(scratch, float, shape_elements(node->shape));
  node_eval(node, in, out);
  Node *result =
      is_uniform(node->shape, out) ? graph_fill(graph, node->shape, out[0]) : graph_constant(graph, node->shape, out);
  arena_free(scratch);
  return result;
}

// Element-wise ops on repeated values repeat one value; movements of one repeated value repeat it, whatever the size.
static Node *fold_fills(const PassContext *context, Graph *graph, Node *node) {
  double v[3] = {0};
  for (int k = 0; k < node->n_in && k < 3; k++) {
    is_fill(node->in[k], &v[k]);
    if (context->exact) v[k] = (float)v[k];
  }
  if (is_elementwise(node)) {
    return graph_fill(graph, node->shape, op_scalar(node->op, node->attr, v[0], v[1], v[2]));
  }
  switch (node->op) {
  case OP_reshape:
  case OP_transpose:
  case OP_broadcast:
  case OP_slice:
  case OP_flip:
  case OP_resize:
  case OP_max: return graph_fill(graph, node->shape, v[0]);
  case OP_concat:
    for (int k = 1; k < node->n_in; k++) {
      if (!is_fill_of(node->in[k], v[0])) return NULL;
    }
    return graph_fill(graph, node->shape, v[0]);
  case OP_pad: return node_attr(node, "value").f == v[0] ? graph_fill(graph, node->shape, v[0]) : NULL;
  case OP_sum: {
    double n = (double)shape_elements(node->in[0]->shape) / (double)shape_elements(node->shape);
    return graph_fill(graph, node->shape, n * v[0]);
  }
  default: return NULL;
  }
}

static Node *fold(void *context, Graph *graph, Node *node) {
  if (node->op == OP_constant && is_uniform(node->shape, node->data)) {
    return graph_fill(graph, node->shape, node->data[0]);
  }
  if (op_is_leaf(node->op)) return NULL;
  for (int k = 0; k < node->n_in; k++) {
    if (!is_known(node->in[k])) return NULL;
  }
  Node *better = all_fills(node) ? fold_fills(context, graph, node) : NULL;
  return better ? better : evaluate(graph, node);
}

bool pass_fold(const PassContext *context, Graph *graph) { return graph_rewrite(graph, fold, (void *)context); }
