// Reductions over the same elements, made ready for their loops; between emit_reduce.c and schedule_tile.c.
#ifndef SG_KERNEL_EMIT_REDUCE_H
#define SG_KERNEL_EMIT_REDUCE_H

#include "compiler/kernel/emit.h"

enum {
  MAX_CHAIN = 12,
  MAX_TOGETHER = 16,
  REDUCTION_RUN = 128, // additions in float, before the sum goes to a double
};

typedef struct Axis {
  IrVar *var;
  int64_t n;
} Axis;

// One set of reductions over the same elements.
typedef struct Reduction {
  int n; // how many
  IrExpr *whole[MAX_TOGETHER], *body[MAX_TOGETHER];
  IrExpr *scalar[MAX_TOGETHER]; // the bodies for the last elements, that fill no vector
  IrVar *sum[MAX_TOGETHER], *run[MAX_TOGETHER], *rest[MAX_TOGETHER];
  int n_axes;
  Axis axis[MAX_CHAIN]; // outermost first
  bool is_across;       // lanes are elements, to be combined at the end
  int64_t step;         // elements of the last axis that one vector takes
  int level;
} Reduction;

// Takes the reduction `e` and those announced ones that may share its loops (which stand at `level`), turns channel
// axes into blocks whose lanes are elements where that is possible, and merges axes.
void reduction_prepare(Emit *emit, Reduction *r, IrExpr *e, int level);
double reduction_identity(Op op);
// A variable for running results, and the statement that adds one element of each body to its own.
IrVar *reduction_accumulator(Emit *emit, const char *name, IrType type, Op op);
void reduction_accumulate(Emit *emit, Reduction *r, IrExpr **body, IrVar **into);

#endif
