// Eval: computes values with the reference evaluators. Slow and exact: for tests, constant folding, finite
// differences, and as fallback where no C compiler is at hand. Layouts and fusion marks are ignored: every value is
// plain row-major.
#ifndef SG_OPS_EVAL_H
#define SG_OPS_EVAL_H

#include "compiler/graph.h"

// Computes one node: in[i] is the value of node->in[i], `out` has room for shape_elements(node->shape) floats.
// Constants, fill and iota take no operands; an input, param or state is our own bug here.
void node_eval(const Node *node, const float *const *in, float *out);

// Computes the whole graph, which must be in order (graph_sort). Returns values[id] for each node, living in `arena`.
// leaf_values[id] is the value of each input, param and state (lent; it becomes values[id] itself); leaf_values may be
// NULL. Where a leaf has no value, values[id] is NULL for it and for everything that depends on it: so the same
// function computes what follows from constants alone.
const float **graph_eval(const Graph *graph, Arena *arena, const float *const *leaf_values);

#endif
