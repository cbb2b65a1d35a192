// What the files of the IR share among themselves.
#ifndef SG_KERNEL_IR_BUILD_H
#define SG_KERNEL_IR_BUILD_H

#include "compiler/kernel/ir.h"

// A node with room for n operands; everything else zero.
IrExpr *ir_node(Ir *ir, IrKind kind, IrType type, int n_args);
// The number e as the wider type (float to vector or double, vector to double vector, index to float).
IrExpr *ir_widen(Ir *ir, IrType type, IrExpr *e);
// The largest integer that is not above a / b.
int64_t ir_floor_div(int64_t a, int64_t b);
// Equal structure: the same value wherever both may be evaluated.
bool ir_same(const IrExpr *a, const IrExpr *b);

// Whether `test` holds for e or anything under it.
bool ir_any(Ir *ir, const IrExpr *e, bool (*test)(const IrExpr *e, const void *context), const void *context);

// A map from expression nodes (by address) to pointers, in an arena. Zero-initialise it.
typedef struct IrMap {
  int n, cap;
  const IrExpr **key;
  void **value;
} IrMap;
void *ir_map_get(const IrMap *map, const IrExpr *key); // NULL where there is none
void ir_map_set(IrMap *map, Arena *arena, const IrExpr *key, void *value);

// Rebuilds e bottom up through the simplifying constructors. `leaf` is asked first, at every node: what it returns
// (unless NULL) replaces the node whole. Shared nodes stay shared.
typedef IrExpr *IrRewriteFn(void *context, Ir *ir, IrExpr *e);
IrExpr *ir_rewrite(Ir *ir, IrExpr *e, IrRewriteFn *leaf, void *context);
// The same for n expressions at once, in place: what they share stays shared.
void ir_rewrite_all(Ir *ir, int n, IrExpr **e, IrRewriteFn *leaf, void *context);
void ir_substitute_all(Ir *ir, int n, IrExpr **e, const IrVar *var, IrExpr *by);

#endif
