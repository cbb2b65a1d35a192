// Building kernels: statements.

#include "compiler/kernel/ir_build.h"

static IrStmt *stmt_new(Ir *ir, IrStmt *block, IrStmtKind kind) {
  IrStmt *s = ARENA_ARRAY(ir->arena, IrStmt, 1);
  s->kind = kind;
  ARENA_PUSH(ir->arena, block->body, block->n_body, block->cap_body, s);
  return s;
}

IrStmt *ir_block(Ir *ir, IrStmt *block) { return stmt_new(ir, block, IR_BLOCK); }

IrStmt *ir_for(Ir *ir, IrStmt *block, IrVar *var, IrExpr *begin, IrExpr *end, int64_t step, IrLoop loop) {
  IrStmt *s = stmt_new(ir, block, IR_FOR);
  s->var = var;
  s->begin = begin;
  s->end = end;
  s->step = step;
  s->loop = loop;
  return ir_block(ir, s);
}

IrStmt *ir_count(Ir *ir, IrStmt *block, const char *name, int64_t n, IrExpr **out) {
  if (n == 1) {
    *out = ir_int(ir, 0);
    return block;
  }
  IrVar *var = ir_var(ir, IR_INDEX, name, 0, n > 0 ? n - 1 : 0);
  *out = n > 0 ? ir_ref(ir, var) : ir_int(ir, 0);
  return ir_for(ir, block, var, ir_int(ir, 0), ir_int(ir, n), 1, IR_SERIAL);
}

static IrVar *let(Ir *ir, IrStmt *block, const char *name, IrExpr *value, bool is_mutable) {
  IrStmt *s = stmt_new(ir, block, IR_LET);
  s->var = ir_var(ir, value->type, name, is_mutable ? -IR_ANY : value->lo, is_mutable ? IR_ANY : value->hi);
  s->value = value;
  s->is_mutable = is_mutable;
  return s->var;
}

IrVar *ir_let(Ir *ir, IrStmt *block, const char *name, IrExpr *value) { return let(ir, block, name, value, false); }
IrVar *ir_mutable(Ir *ir, IrStmt *block, const char *name, IrExpr *value) { return let(ir, block, name, value, true); }

void ir_let_as(Ir *ir, IrStmt *block, IrVar *var, IrExpr *value) {
  IrStmt *s = stmt_new(ir, block, IR_LET);
  s->var = var;
  s->value = value;
}

void ir_assign(Ir *ir, IrStmt *block, IrVar *var, IrExpr *value) {
  IrStmt *s = stmt_new(ir, block, IR_ASSIGN);
  s->var = var;
  s->value = var->type == IR_INDEX || var->type == IR_POINTER ? value : ir_widen(ir, var->type, value);
}

void ir_accumulate(Ir *ir, IrStmt *block, Op op, IrVar *var, IrExpr *value) {
  ir_assign(ir, block, var, ir_op2(ir, op, ir_ref(ir, var), value));
}

void ir_store(Ir *ir, IrStmt *block, const IrBuffer *buffer, IrExpr *index, IrExpr *value) {
  IrStmt *s = stmt_new(ir, block, IR_STORE);
  s->buffer = buffer;
  s->index = index;
  s->value = value;
}

void ir_store_n(Ir *ir, IrStmt *block, const IrBuffer *buffer, IrExpr *index, IrExpr *value, IrExpr *n) {
  ir_store(ir, block, buffer, index, value);
  if (ir_is_int(n, ir->target->vector)) return;
  IrStmt *s = block->body[block->n_body - 1];
  s->kind = IR_STORE_N;
  s->end = n;
}

IrStmt *ir_if(Ir *ir, IrStmt *block, IrExpr *condition) {
  IrStmt *s = stmt_new(ir, block, IR_IF);
  s->value = condition;
  ir_block(ir, s);
  return s;
}

IrStmt *ir_else(Ir *ir, IrStmt *if_stmt) { return ir_block(ir, if_stmt); }

void ir_do(Ir *ir, IrStmt *block, const char *name, int n, IrExpr *const *args) {
  IrStmt *s = stmt_new(ir, block, IR_DO);
  s->value = ir_call(ir, IR_INDEX, name, n, args);
}

void ir_barrier(Ir *ir, IrStmt *block) { stmt_new(ir, block, IR_BARRIER); }

IrStmt *ir_lambda(Ir *ir, IrStmt *block, const char *name, int n_params, IrVar *const *param) {
  IrStmt *s = stmt_new(ir, block, IR_LAMBDA);
  s->var = ir_var(ir, IR_POINTER, name, 0, 0);
  s->param = arena_memdup(ir->arena, param, sizeof *param * (size_t)n_params);
  s->n_params = n_params;
  ir_block(ir, s);
  return s;
}

void ir_tasks(Ir *ir, int n, const int64_t *extent, const char *const *names, IrExpr **out) {
  IrFunction *function = ir->function;
  function->n_tasks = 1;
  for (int k = 0; k < n; k++) function->n_tasks *= extent[k];
  function->task->hi = function->n_tasks > 0 ? function->n_tasks - 1 : 0;
  if (function->n_tasks <= 1) {
    for (int k = 0; k < n; k++) out[k] = ir_int(ir, 0);
    return;
  }
  IrExpr *rest = ir_ref(ir, function->task);
  for (int k = n - 1; k >= 0; k--) {
    IrExpr *index = ir_mod(ir, rest, extent[k]);
    rest = ir_div(ir, rest, extent[k]);
    if (index->kind == IR_INT || index->kind == IR_REF) out[k] = index;
    else out[k] = ir_ref(ir, ir_let(ir, function->body, names[k], index));
  }
}
