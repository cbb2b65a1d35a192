// What the files of the IR share among themselves.
#ifndef SG_KERNEL_IR_BUILD_H
#define SG_KERNEL_IR_BUILD_H

#include "compiler/kernel/ir.h"

// A node with room for n operands; everything else zero.
IrExpr *ir_node(Ir *ir, IrKind kind, IrType type, int n_args);
// Equal structure: the same value wherever both may be evaluated.
bool ir_same(const IrExpr *a, const IrExpr *b);

// Rebuilds e bottom up through the simplifying constructors. `leaf` is asked first, at every node: what it returns
// (unless NULL) replaces the node whole. Shared nodes stay shared.
typedef IrExpr *IrRewriteFn(void *context, Ir *ir, IrExpr *e);
IrExpr *ir_rewrite(Ir *ir, IrExpr *e, IrRewriteFn *leaf, void *context);

#endif
