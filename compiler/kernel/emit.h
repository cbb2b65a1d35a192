// Emit: turns expressions into statements inside open loops. What does not depend on an inner loop is computed before
// it; what is used twice gets a variable; reductions become loops, those over the same elements together.
#ifndef SG_KERNEL_EMIT_H
#define SG_KERNEL_EMIT_H

#include "compiler/kernel/nest.h"

// An open loop, or the task's body (the outermost level).
typedef struct EmitLevel {
  IrVar *var;    // NULL: none
  IrStmt *pre;   // where its next statement goes; while an inner loop is open, in front of that
  IrStmt *after; // where statements go once the inner loop is closed
} EmitLevel;

typedef struct EmitMemo {
  const IrExpr *key;
  IrExpr *value;
  int level;
} EmitMemo;

enum { EMIT_LEVELS = 48 };

typedef struct Emit {
  Lower *lower;
  Ir *ir;
  EmitLevel level[EMIT_LEVELS];
  int n_levels;
  int floor;      // no statement goes to a level below: the branch of an if is open
  EmitMemo *memo; // variables that hold values, forgotten when the loop that they stand in is closed
  int n_memo, cap_memo;
  int memo_kept;       // entries before it stay when a loop is closed
  IrMap uses;          // how often an expression is used
  IrMap levels;        // level_of, as long as the same loops are open
  IrExpr **reductions; // all that were expected and may share loops
  int n_reductions, cap_reductions;
  struct CudaTeam *team; // CUDA: whose threads share reductions of level 0, or NULL
  bool is_guarded;       // inside a branch of ?: that is printed in place
} Emit;

// Starts with the statements that `body` already has.
void emit_begin(Emit *emit, Lower *lower, IrStmt *body);

// Announces what will be emitted, to find what is used twice and which reductions may share loops.
void emit_expect(Emit *emit, IrExpr *e);

// Opens a loop inside the innermost one.
void emit_open(Emit *emit, IrVar *var, IrExpr *begin, IrExpr *end, int64_t step, IrLoop loop);
// Opens a block (such as the branch of an if) as a level without a variable; what does not depend on it goes to
// `before`.
void emit_open_block(Emit *emit, IrStmt *before, IrStmt *block);
void emit_close(Emit *emit);

// Where the next statement of the innermost loop goes.
IrStmt *emit_block(Emit *emit);

// Appends what is needed and returns an expression without reductions that can stand in the innermost loop.
IrExpr *emit_value(Emit *emit, IrExpr *e);

// ---- between emit.c and emit_reduce.c

// The innermost open level that e depends on.
int emit_level_of(Emit *emit, const IrExpr *e);
// A variable of level k holds the value of e from now on.
void emit_remember(Emit *emit, const IrExpr *e, IrExpr *value, int level);
IrExpr *emit_recall(const Emit *emit, const IrExpr *e); // or NULL
// Emits the reduction, and others that can share its loops; returns the variable that holds it.
IrExpr *emit_reduction(Emit *emit, IrExpr *e);

#endif
