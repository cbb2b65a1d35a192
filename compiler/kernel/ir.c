// Building kernels: buffers, numbers and statements.
#include "compiler/kernel/ir.h"

#include <stdarg.h>
#include <string.h>

#include "compiler/graph.h"
#include "compiler/kernel/ir_build.h"
#include "runtime/base/status.h"

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
  return ir;
}

// ---- buffers

static IrBuffer *buffer_new(Ir *ir, IrBufferKind kind, IrType type, const char *name, int64_t size) {
  IrFunction *function = ir->function;
  IrBuffer *buffer = ARENA_ARRAY(ir->arena, IrBuffer, 1);
  *buffer = (IrBuffer){.kind = kind, .type = type, .name = name, .size = size};
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
  buffer->offset = ir->function->scratch;
  int64_t floats = type == IR_DOUBLE ? 2 * elements : elements;
  ir->function->scratch += (floats + 15) / 16 * 16;
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

static IrExpr *widen(Ir *ir, IrType type, IrExpr *e) {
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
  for (int k = 0; k < n; k++) e->arg[k] = widen(ir, type, args[k]);
  return e;
}

IrExpr *ir_op1(Ir *ir, Op op, IrExpr *a) { return ir_op(ir, op, NULL, 1, &a); }
IrExpr *ir_op2(Ir *ir, Op op, IrExpr *a, IrExpr *b) { return ir_op(ir, op, NULL, 2, (IrExpr *[]){a, b}); }

IrExpr *ir_select(Ir *ir, IrExpr *condition, IrExpr *a, IrExpr *b) {
  if (condition->kind == IR_INT) return condition->i ? a : b;
  IrType type = a->type;
  if (a->type != b->type) {
    type = wider(a->type, b->type);
    a = widen(ir, type, a);
    b = widen(ir, type, b);
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

// ---- rewriting

static int map_slot(const IrMap *map, const IrExpr *key) {
  int at = (int)((unsigned)((uintptr_t)key >> 4) * 2654435761u & (unsigned)(map->cap - 1));
  while (map->key[at] && map->key[at] != key) at = (at + 1) & (map->cap - 1);
  return at;
}

void *ir_map_get(const IrMap *map, const IrExpr *key) { return map->cap ? map->value[map_slot(map, key)] : NULL; }

void ir_map_set(IrMap *map, Arena *arena, const IrExpr *key, void *value) {
  if (2 * map->n >= map->cap) {
    IrMap old = *map;
    map->cap = old.cap ? 2 * old.cap : 32;
    map->key = ARENA_ARRAY(arena, const IrExpr *, map->cap);
    map->value = ARENA_ARRAY(arena, void *, map->cap);
    for (int k = 0; k < old.cap; k++) {
      if (!old.key[k]) continue;
      int at = map_slot(map, old.key[k]);
      map->key[at] = old.key[k];
      map->value[at] = old.value[k];
    }
  }
  int at = map_slot(map, key);
  map->n += !map->key[at];
  map->key[at] = key;
  map->value[at] = value;
}

static bool any(IrMap *seen, Arena *arena, const IrExpr *e, bool (*test)(const IrExpr *, const void *),
                const void *context) {
  if (test(e, context)) return true;
  if (e->n_args == 0 || ir_map_get(seen, e)) return false;
  ir_map_set(seen, arena, e, seen);
  for (int k = 0; k < e->n_args; k++) {
    if (any(seen, arena, e->arg[k], test, context)) return true;
  }
  return false;
}

bool ir_any(Ir *ir, const IrExpr *e, bool (*test)(const IrExpr *e, const void *context), const void *context) {
  IrMap seen = {0};
  return any(&seen, ir->arena, e, test, context);
}

typedef struct Rewrite {
  IrRewriteFn *leaf;
  void *context;
  IrMap done; // from old to new nodes
} Rewrite;

static IrExpr *rebuild(Ir *ir, IrExpr *e, IrExpr **arg) {
  switch (e->kind) {
  case IR_SUM: {
    IrExpr *sum = ir_int(ir, e->i);
    for (int k = 0; k < e->n_args; k++) sum = ir_add(ir, sum, ir_scale(ir, arg[k], e->coef[k]));
    return sum;
  }
  case IR_PRODUCT: return ir_product(ir, arg[0], arg[1]);
  case IR_DIV: return ir_div(ir, arg[0], e->i);
  case IR_MOD: return ir_mod(ir, arg[0], e->i);
  case IR_MIN: return ir_min(ir, arg[0], arg[1]);
  case IR_MAX: return ir_max(ir, arg[0], arg[1]);
  case IR_LESS: return ir_less(ir, arg[0], arg[1]);
  case IR_EQUAL: return ir_equal(ir, arg[0], arg[1]);
  case IR_AND: return ir_and(ir, arg[0], arg[1]);
  case IR_NOT: return ir_not(ir, arg[0]);
  case IR_LOAD:
    if (e->type == IR_INDEX) return ir_lookup(ir, e->buffer, arg[0], e->lo, e->hi);
    return e->type == e->buffer->type ? ir_load(ir, e->buffer, arg[0]) : ir_vload(ir, e->buffer, arg[0]);
  case IR_LOAD_N: return ir_vload_n(ir, e->buffer, arg[0], arg[1]);
  case IR_GATHER: return ir_gather(ir, e->buffer, arg[0], e->i, e->n_args > 1 ? arg[1] : NULL);
  case IR_ADDRESS: return ir_address(ir, e->buffer, arg[0]);
  case IR_OP: return ir_op(ir, e->op, e->attr, e->n_args, arg);
  case IR_SELECT: return ir_select(ir, arg[0], arg[1], arg[2]);
  case IR_SPLAT: return ir_splat(ir, arg[0]);
  case IR_CONVERT: return ir_convert(ir, e->type, arg[0]);
  case IR_LANES: return ir_lanes(ir, e->op, arg[0], arg[1]);
  case IR_CALL: return ir_call(ir, e->type, e->name, e->n_args, arg);
  case IR_REDUCE: return ir_reduce(ir, e->op, e->var, e->i, arg[0]);
  case IR_INT:
  case IR_NUMBER:
  case IR_REF:
  case IR_LANE_ID: return e;
  }
  BUG("expression of kind %d", e->kind);
}

static IrExpr *rewrite(Rewrite *r, Ir *ir, IrExpr *e) {
  IrExpr *result = ir_map_get(&r->done, e);
  if (result) return result;
  result = r->leaf(r->context, ir, e);
  if (!result) {
    bool changed = false;
    IrExpr **arg = e->n_args ? ARENA_ARRAY(ir->arena, IrExpr *, e->n_args) : NULL;
    for (int k = 0; k < e->n_args; k++) {
      arg[k] = rewrite(r, ir, e->arg[k]);
      changed = changed || arg[k] != e->arg[k];
    }
    result = e;
    if (changed) {
      result = rebuild(ir, e, arg);
      if (!result->label) result->label = e->label;
    }
  }
  ir_map_set(&r->done, ir->arena, e, result);
  return result;
}

IrExpr *ir_rewrite(Ir *ir, IrExpr *e, IrRewriteFn *leaf, void *context) {
  Rewrite r = {.leaf = leaf, .context = context};
  return rewrite(&r, ir, e);
}

typedef struct Substitution {
  const IrVar *var;
  IrExpr *by;
} Substitution;

static IrExpr *substitute_leaf(void *context, Ir *ir, IrExpr *e) {
  (void)ir;
  const Substitution *s = context;
  return e->kind == IR_REF && e->var == s->var ? s->by : NULL;
}

IrExpr *ir_substitute(Ir *ir, IrExpr *e, const IrVar *var, IrExpr *by) {
  Substitution s = {var, by};
  return ir_rewrite(ir, e, substitute_leaf, &s);
}

// ---- statements

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
  s->value = var->type == IR_INDEX || var->type == IR_POINTER ? value : widen(ir, var->type, value);
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

void ir_comment(Ir *ir, IrStmt *block, const char *format, ...) {
  va_list args;
  va_start(args, format);
  stmt_new(ir, block, IR_COMMENT)->text = arena_vprintf(ir->arena, format, args);
  va_end(args);
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
