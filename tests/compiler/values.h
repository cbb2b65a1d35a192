// values.h: a plain evaluation of a graph for tests, that can be run again with other leaves.
#ifndef SG_TESTS_VALUES_H
#define SG_TESTS_VALUES_H

#include <string.h>

#include "compiler/graph.h"
#include "compiler/ops/eval.h"
#include "runtime/base/hash.h"

// of[id] is the value of node id, row-major; NULL until set or computed. All in the arena.
typedef struct Values {
  Arena *arena;
  float **of;
} Values;

static inline Values values_new(Arena *arena, const Graph *graph) {
  return (Values){arena, ARENA_ARRAY(arena, float *, graph->n_nodes + 1)};
}

static inline float *values_leaf(Values *values, const Node *leaf) {
  if (!values->of[leaf->id]) values->of[leaf->id] = ARENA_ARRAY(values->arena, float, shape_elements(leaf->shape));
  return values->of[leaf->id];
}

static inline double unit_random(uint64_t seed, uint64_t i) {
  uint64_t z = seed + (i + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return (double)(z >> 40) * 0x1p-24;
}

static inline bool has_given_value(const Node *node) {
  return node->op == OP_input || node->op == OP_param || node->op == OP_state;
}

// Values for leaves that have none yet, drawn from lo..hi by the leaf's name: equal leaves of two graphs agree. Those
// that must be positive by what their names say are drawn from 0.5..1.5.
static inline void values_fill(Values *values, const Graph *graph, double lo, double hi) {
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if (!has_given_value(node) || values->of[i]) continue;
    float *out = values_leaf(values, node);
    uint64_t seed = hash_fnv64(node->name);
    bool is_positive = strstr(node->name, "var") || strstr(node->name, "adamw.v") || !strcmp(node->name, "hyper");
    double from = is_positive ? 0.5 : lo, to = is_positive ? 1.5 : hi;
    for (int64_t k = 0; k < shape_elements(node->shape); k++) {
      out[k] = (float)(from + (to - from) * unit_random(seed, (uint64_t)k));
    }
  }
}

// Computes every node whose leaves have values. Nodes that have one already (leaves that were set) keep it.
static inline void values_run(Values *values, const Graph *graph) {
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if (has_given_value(node)) continue;
    if (!values->of[i]) values->of[i] = ARENA_ARRAY(values->arena, float, shape_elements(node->shape));
    const float *in[1024];
    for (int k = 0; k < node->n_in; k++) in[k] = values->of[node->in[k]->id];
    node_eval(node, in, values->of[i]);
  }
}

#endif
