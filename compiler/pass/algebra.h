// Algebra's rules by class of op; algebra.c runs them. Each returns the better node or NULL.
#ifndef SG_PASS_ALGEBRA_H
#define SG_PASS_ALGEBRA_H

#include "compiler/pass/pass.h"

Node *simplify_elementwise(const PassContext *context, Graph *graph, Node *node);
Node *simplify_movement(const PassContext *context, Graph *graph, Node *node);
Node *simplify_reduction(const PassContext *context, Graph *graph, Node *node);
// A binary element-wise op on reshapes of one shape, done before the reshape.
Node *join_reshapes(Graph *graph, Node *node);
// A sum of two values padded to stand side by side.
Node *join_pads(Graph *graph, Node *node);

#endif
