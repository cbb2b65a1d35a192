// Compute: what each op computes, said once, as an expression over its operands' values.
#ifndef SG_KERNEL_COMPUTE_H
#define SG_KERNEL_COMPUTE_H

#include "compiler/kernel/lower.h"

// The value of the node at the index; operands are asked for with lower_value. Ops that no scalar expression
// describes (cumsum, nearest, scatter_add) are refused by compute_can and have schedules of their own.
IrExpr *compute_value(Lower *lower, const Node *node, IrExpr *const *index);
bool compute_can(Op op);

// An element of a contraction: the sum over all `var` (0 .. hi, the last innermost) of a * b where `meets` holds; a and
// b are elements of the first and second operand, which exist only there.
typedef struct ComputeProduct {
  int n_vars;
  IrVar *var[3];
  IrExpr *a, *b, *meets;
} ComputeProduct;
ComputeProduct compute_product(Lower *lower, const Node *node, IrExpr *const *index);

// ---- its parts in other files

IrExpr *compute_resize(Lower *lower, const Node *node, IrExpr *const *index);
IrExpr *compute_resize_grad(Lower *lower, const Node *node, IrExpr *const *index);

// What a resize_grad gathers along an axis (2 or 3): result i is a sum of `length` elements from start[i] on, with
// weight[i * length + .].
typedef struct ResizeGather {
  int64_t length;
  double *start, *weight; // in the arena
} ResizeGather;
ResizeGather compute_resize_gather(Arena *arena, const Node *node, int axis);

#endif
