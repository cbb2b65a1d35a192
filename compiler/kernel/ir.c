// Building kernels: functions, buffers and expressions of numbers.
#include "compiler/kernel/ir.h"

#include <string.h>

#include "compiler/graph.h"
#include "compiler/kernel/ir_build.h"
#include "runtime/base/status.h"
#include "runtime/kernel_abi.h"

Ir *ir_new(Arena *arena, const Target *target) {
  Ir *ir = ARENA_ARRAY(arena, Ir, 1);
  ir->arena = arena;
  ir->target = target;
  ir->function = ARENA_ARRAY(arena, IrFunction, 1);
  ir->function->name = "kernel";
  ir->function->about = "";
  ir->function->n_tasks = 1;
  ir->function->body = ARENA_ARRAY(arena, IrStmt, 1);
  ir->function->body->kind = IR_BLOCK;
  ir->function->task = ir_var(ir, IR_INDEX, "task", 0, 0);
  ir->function->thread = ir_var(ir, IR_INDEX, "thread", 0, 0);
  ir->function->block = 1;
  return ir;
}

IrExpr *ir_threads(Ir *ir, int n) {
  ir->function->block = n;
  ir->function->thread->hi = n - 1;
  return ir_ref(ir, ir->function->thread);
}

// ---- buffers

static IrBuffer *buffer_new(Ir *ir, IrBufferKind kind, IrType type, const char *name, int64_t size) {
  IrFunction *function = ir->function;
  IrBuffer *buffer = ARENA_ARRAY(ir->arena, IrBuffer, 1);
  *buffer = (IrBuffer){.id = ir->n_buffers++, .kind = kind, .type = type, .name = name, .size = size};
  if (kind == IR_BUFFER_IN || kind == IR_BUFFER_OUT)
    ARENA_PUSH(ir->arena, function->args, function->n_args, function->cap_args, buffer);
  else ARENA_PUSH(ir->arena, function->locals, function->n_locals, function->cap_locals, buffer);
  return buffer;
}

IrBuffer *ir_arg(Ir *ir, const char *name, bool is_out, int64_t offset) {
  IrBuffer *buffer = buffer_new(ir, is_out ? IR_BUFFER_OUT : IR_BUFFER_IN, IR_FLOAT, name, 0);
  buffer->offset = offset;
  return buffer;
}

IrBuffer *ir_scratch(Ir *ir, const char *name, IrType type, int64_t elements) {
  IrBuffer *buffer = buffer_new(ir, IR_BUFFER_SCRATCH, type, name, elements);
  if (ir->target->kind == TARGET_CUDA && !ir->function->scratch) ir->function->scratch = SG_COUNTERS;
  buffer->offset = ir->function->scratch;
  int64_t floats = type == IR_DOUBLE ? 2 * elements : elements;
  ir->function->scratch += (floats + 15) / 16 * 16;
  return buffer;
}

IrBuffer *ir_shared(Ir *ir, const char *name, IrType type, int64_t elements) {
  IrBuffer *buffer = buffer_new(ir, IR_BUFFER_SHARED, type, name, elements);
  buffer->offset = ir->function->shared;
  ir->function->shared += ((type == IR_DOUBLE ? 8 : 4) * elements + 15) / 16 * 16;
  return buffer;
}

IrBuffer *ir_stack(Ir *ir, const char *name, int64_t floats) {
  return buffer_new(ir, IR_BUFFER_STACK, IR_FLOAT, name, floats);
}

IrBuffer *ir_table(Ir *ir, const char *name, IrType type, int64_t n, const double *values) {
  IrFunction *function = ir->function;
  for (int k = 0; k < function->n_locals; k++) {
    IrBuffer *b = function->locals[k];
    if (b->kind == IR_BUFFER_TABLE && b->type == type && b->size == n &&
        memcmp(b->values, values, sizeof(double) * (size_t)n) == 0)
      return b;
  }
  IrBuffer *buffer = buffer_new(ir, IR_BUFFER_TABLE, type, name, n);
  buffer->values = arena_memdup(ir->arena, values, sizeof(double) * (size_t)n);
  return buffer;
}

// ---- expressions

IrExpr *ir_node(Ir *ir, IrKind kind, IrType type, int n_args) {
  IrExpr *e = ARENA_ARRAY(ir->arena, IrExpr, 1);
  e->kind = kind;
  e->type = type;
  e->n_args = n_args;
  e->arg = n_args ? ARENA_ARRAY(ir->arena, IrExpr *, n_args) : NULL;
  return e;
}

IrExpr *ir_number(Ir *ir, double value) {
  IrExpr *e = ir_node(ir, IR_NUMBER, IR_FLOAT, 0);
  e->f = value;
  return e;
}

static IrExpr *load(Ir *ir, IrKind kind, IrType type, const IrBuffer *buffer, IrExpr *index, IrExpr *n) {
  IrExpr *e = ir_node(ir, kind, type, n ? 2 : 1);
  e->buffer = buffer;
  e->arg[0] = index;
  if (n) e->arg[1] = n;
  return e;
}

IrExpr *ir_load(Ir *ir, const IrBuffer *buffer, IrExpr *index) {
  if (buffer->kind == IR_BUFFER_TABLE && index->kind == IR_INT)
    return buffer->type == IR_INDEX ? ir_int(ir, (int64_t)buffer->values[index->i])
                                    : ir_number(ir, buffer->values[index->i]);
  return load(ir, IR_LOAD, buffer->type, buffer, index, NULL);
}

IrExpr *ir_vload(Ir *ir, const IrBuffer *buffer, IrExpr *index) {
  return load(ir, IR_LOAD, buffer->type == IR_DOUBLE ? IR_DVECTOR : IR_VECTOR, buffer, index, NULL);
}

IrExpr *ir_vload_n(Ir *ir, const IrBuffer *buffer, IrExpr *index, IrExpr *n) {
  if (ir_is_int(n, ir->target->vector)) return ir_vload(ir, buffer, index);
  return load(ir, IR_LOAD_N, IR_VECTOR, buffer, index, n);
}

IrExpr *ir_gather(Ir *ir, const IrBuffer *buffer, IrExpr *index, int64_t stride, IrExpr *n) {
  if (n && ir_is_int(n, ir->target->vector)) n = NULL;
  if (stride == 1) return n ? ir_vload_n(ir, buffer, index, n) : ir_vload(ir, buffer, index);
  if (stride == 0) return ir_splat(ir, ir_load(ir, buffer, index));
  IrExpr *e = load(ir, IR_GATHER, IR_VECTOR, buffer, index, n);
  e->i = stride;
  return e;
}

IrExpr *ir_address(Ir *ir, const IrBuffer *buffer, IrExpr *index) {
  return load(ir, IR_ADDRESS, IR_POINTER, buffer, index, NULL);
}

// The type that operands of both types are widened to.
static IrType wider(IrType a, IrType b) {
  bool is_vector = a == IR_VECTOR || a == IR_DVECTOR || b == IR_VECTOR || b == IR_DVECTOR;
  bool is_double = a == IR_DOUBLE || a == IR_DVECTOR || b == IR_DOUBLE || b == IR_DVECTOR;
  if (is_vector) return is_double ? IR_DVECTOR : IR_VECTOR;
  return is_double ? IR_DOUBLE : IR_FLOAT;
}

IrExpr *ir_widen(Ir *ir, IrType type, IrExpr *e) {
  if (e->type == IR_INDEX) e = ir_convert(ir, IR_FLOAT, e);
  if (e->type == type) return e;
  if (type == IR_VECTOR) return ir_splat(ir, e);
  if (type == IR_DVECTOR && (e->type == IR_FLOAT || e->type == IR_DOUBLE))
    return ir_splat(ir, ir_convert(ir, IR_DOUBLE, e));
  return ir_convert(ir, type, e);
}

IrExpr *ir_op(Ir *ir, Op op, const AttrValue *attr, int n, IrExpr *const *args) {
  IrType type = IR_FLOAT;
  bool all_numbers = true;
  for (int k = 0; k < n; k++) {
    type = wider(type, args[k]->type);
    all_numbers = all_numbers && args[k]->kind == IR_NUMBER;
  }
  if (all_numbers && n > 0 && type == IR_FLOAT) {
    double a = args[0]->f, b = n > 1 ? args[1]->f : 0, c = n > 2 ? args[2]->f : 0;
    return ir_number(ir, (float)op_scalar(op, attr, a, b, c));
  }
  IrExpr *e = ir_node(ir, IR_OP, type, n);
  e->op = op;
  e->attr = op_info(op)->n_attrs ? attr : NULL;
  for (int k = 0; k < n; k++) e->arg[k] = ir_widen(ir, type, args[k]);
  return e;
}

IrExpr *ir_op1(Ir *ir, Op op, IrExpr *a) { return ir_op(ir, op, NULL, 1, &a); }
IrExpr *ir_op2(Ir *ir, Op op, IrExpr *a, IrExpr *b) { return ir_op(ir, op, NULL, 2, (IrExpr *[]){a, b}); }

IrExpr *ir_select(Ir *ir, IrExpr *condition, IrExpr *a, IrExpr *b) {
  if (condition->kind == IR_INT) return condition->i ? a : b;
  IrType type = a->type;
  if (a->type != b->type) {
    type = wider(a->type, b->type);
    a = ir_widen(ir, type, a);
    b = ir_widen(ir, type, b);
  }
  IrExpr *e = ir_node(ir, IR_SELECT, type, 3);
  e->arg[0] = condition;
  e->arg[1] = a;
  e->arg[2] = b;
  e->lo = a->lo < b->lo ? a->lo : b->lo;
  e->hi = a->hi > b->hi ? a->hi : b->hi;
  return e;
}

IrExpr *ir_splat(Ir *ir, IrExpr *a) {
  if (a->type == IR_VECTOR || a->type == IR_DVECTOR) return a;
  if (a->type == IR_INDEX) a = ir_convert(ir, IR_FLOAT, a);
  IrExpr *e = ir_node(ir, IR_SPLAT, a->type == IR_DOUBLE ? IR_DVECTOR : IR_VECTOR, 1);
  e->arg[0] = a;
  return e;
}

IrExpr *ir_convert(Ir *ir, IrType type, IrExpr *a) {
  if (a->type == type) return a;
  if (a->kind == IR_INT && type == IR_FLOAT) return ir_number(ir, (double)a->i);
  IrExpr *e = ir_node(ir, IR_CONVERT, type, 1);
  e->arg[0] = a;
  e->lo = -IR_ANY;
  e->hi = IR_ANY;
  return e;
}

IrExpr *ir_lanes(Ir *ir, Op op, IrExpr *vector, IrExpr *n) {
  IrExpr *e = ir_node(ir, IR_LANES, vector->type == IR_DVECTOR ? IR_DOUBLE : IR_FLOAT, 2);
  e->op = op;
  e->arg[0] = vector;
  e->arg[1] = n;
  return e;
}

IrExpr *ir_lane_id(Ir *ir) { return ir_node(ir, IR_LANE_ID, IR_VECTOR, 0); }

IrExpr *ir_call(Ir *ir, IrType type, const char *name, int n, IrExpr *const *args) {
  IrExpr *e = ir_node(ir, IR_CALL, type, n);
  e->name = name;
  for (int k = 0; k < n; k++) e->arg[k] = args[k];
  e->lo = -IR_ANY;
  e->hi = IR_ANY;
  return e;
}

IrExpr *ir_reduce(Ir *ir, Op op, IrVar *var, int64_t n, IrExpr *body) {
  if (n == 1) return ir_substitute(ir, body, var, ir_int(ir, 0));
  IrExpr *e = ir_node(ir, IR_REDUCE, body->type, 1);
  e->op = op;
  e->var = var;
  e->i = n;
  e->arg[0] = body;
  return e;
}
