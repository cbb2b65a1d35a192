// Operands and results as local functions of the kernel.
#include <stdlib.h>

#include "compiler/kernel/cuda/contract.h"
#include "compiler/kernel/ir_build.h"
#include "compiler/kernel/schedule_map.h"

// ---- what memory an operand is

bool cuda_find_place(IrExpr *e, CudaPlace *out) {
  *out = (CudaPlace){0};
  for (; e->kind == IR_SELECT && e->arg[2]->kind == IR_NUMBER && e->arg[2]->f == 0; e = e->arg[1]) {
    if (out->guard) return false;
    out->guard = e->arg[0];
  }
  if (e->kind != IR_LOAD || e->type != IR_FLOAT || e->buffer->kind != IR_BUFFER_IN) return false;
  out->buffer = e->buffer;
  out->index = e->arg[0];
  return true;
}

// The load with the most different addresses; for the direction in which values that are computed are read.
static const IrExpr *any_load(const IrExpr *e, const IrVar *c, const IrVar *k) {
  if (e->kind == IR_LOAD && e->type == IR_FLOAT && ir_uses(e, c) && ir_uses(e, k)) return e;
  for (int i = 0; i < e->n_args; i++) {
    const IrExpr *found = any_load(e->arg[i], c, k);
    if (found) return found;
  }
  return NULL;
}

// ---- directions

typedef struct Point {
  const IrVar *var[2];
  int64_t at[2];
} Point;

// The index at a point; other variables count as their least value, and what is not known as 0.
static int64_t index_at(const IrExpr *e, const Point *point) {
  switch (e->kind) {
  case IR_INT: return e->i;
  case IR_REF:
    for (int i = 0; i < 2; i++) {
      if (e->var == point->var[i]) return point->at[i];
    }
    return e->var->lo;
  case IR_SUM: {
    int64_t sum = e->i;
    for (int i = 0; i < e->n_args; i++) sum += e->coef[i] * index_at(e->arg[i], point);
    return sum;
  }
  case IR_PRODUCT: return index_at(e->arg[0], point) * index_at(e->arg[1], point);
  case IR_DIV: return ir_floor_div(index_at(e->arg[0], point), e->i);
  case IR_MOD: {
    int64_t value = index_at(e->arg[0], point);
    return value - e->i * ir_floor_div(value, e->i);
  }
  default: return 0;
  }
}

// How far apart in memory neighbours along var[which] are, on average; far is far.
static int64_t distance(const IrExpr *index, const IrVar *c, int64_t n_c, const IrVar *k, int64_t n_k, int which) {
  enum { SAMPLES = 32, FAR = 8 };
  int64_t n[2] = {n_c, n_k}, total = 0;
  if (n[which] < 2) return FAR * SAMPLES;
  uint64_t random = 1;
  for (int s = 0; s < SAMPLES; s++) {
    Point point = {.var = {c, k}};
    for (int i = 0; i < 2; i++) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      point.at[i] = (int64_t)(random >> 33) % (n[i] - (i == which));
    }
    int64_t here = index_at(index, &point);
    point.at[which]++;
    int64_t step = llabs(index_at(index, &point) - here);
    total += step < FAR ? step : FAR;
  }
  return total;
}

// ---- vectors

static int64_t buffer_start(const Lower *lower, const IrBuffer *buffer) {
  for (int i = 0; i < lower->group->n_ins; i++) {
    if (lower->in[i] == buffer) return storage_offset(lower->group->ins[i]) + buffer->offset;
  }
  return 1;
}

static bool is_multiple(const IrExpr *e, int64_t of) {
  if (e->kind == IR_INT) return e->i % of == 0;
  if (e->kind != IR_SUM || e->i % of) return false;
  for (int i = 0; i < e->n_args; i++) {
    if (e->coef[i] % of) return false;
  }
  return true;
}

// Whether each four neighbours along var, from a multiple of four on, are four neighbours in memory from an address
// aligned to them on.
static bool is_by_four(Lower *lower, const CudaPlace *place, const IrVar *var, int64_t n) {
  Ir *ir = lower->ir;
  if (n % 4 || buffer_start(lower, place->buffer) % 4) return false;
  IrVar *j = ir_var(ir, IR_INDEX, "j", 0, 3), *four = ir_var(ir, IR_INDEX, "four", 0, n / 4 - 1);
  IrExpr *at = ir_add(ir, ir_scale(ir, ir_ref(ir, four), 4), ir_ref(ir, j));
  IrExpr *index = ir_substitute(ir, place->index, var, at);
  int64_t step;
  if (!ir_affine_in(index, j, &step) || step != 1) return false;
  if (!is_multiple(ir_sub(ir, index, ir_ref(ir, j)), 4)) return false;
  return !place->guard || !ir_uses(ir_substitute(ir, place->guard, var, at), j);
}

// ---- prices

static int64_t price_of(Ir *ir, const IrExpr *e, IrMap *seen) {
  if (ir_map_get(seen, e)) return 0;
  ir_map_set(seen, ir->arena, e, ir);
  int64_t price = 0;
  for (int i = 0; i < e->n_args; i++) price += price_of(ir, e->arg[i], seen);
  switch (e->kind) {
  case IR_OP: return price + map_op_price(e->op);
  case IR_REDUCE: return price * e->i;
  case IR_LOAD: return price + COST_LOAD;
  case IR_DIV:
  case IR_MOD: return price + 3;
  case IR_SUM: return price + e->n_args;
  case IR_SELECT:
  case IR_LESS:
  case IR_EQUAL:
  case IR_PRODUCT: return price + 1;
  default: return price;
  }
}

CudaOperand cuda_operand(Lower *lower, IrExpr *e, const IrVar *c, int64_t n_c, const IrVar *k, int64_t n_k) {
  IrMap seen = {0};
  CudaOperand operand = {.price = price_of(lower->ir, e, &seen)};
  CudaPlace place;
  bool is_place = cuda_find_place(e, &place);
  const IrExpr *load = is_place ? NULL : any_load(e, c, k), *index = is_place ? place.index
                                                                     : load   ? load->arg[0]
                                                                              : NULL;
  operand.along_k = index && distance(index, c, n_c, k, n_k, 1) < distance(index, c, n_c, k, n_k, 0);
  if (is_place) {
    bool is_four = is_by_four(lower, &place, operand.along_k ? k : c, operand.along_k ? n_k : n_c);
    operand.read = is_four ? CUDA_READ_FOUR : CUDA_READ_ONE;
  }
  enum { COSTLY = 24 };
  if (!is_place && operand.price > COSTLY) operand.read = CUDA_READ_COSTLY;
  return operand;
}

// ---- functions

static void put_lambda_value(Lower *lower, IrStmt *lambda, IrExpr *e) {
  Emit emit;
  emit_begin(&emit, lower, lambda->body[0]);
  emit_expect(&emit, e);
  lambda->value = emit_value(&emit, e);
}

IrStmt *cuda_put_value(Lower *lower, IrStmt *body, const char *name, IrExpr *e, int n_params, IrVar *const *params) {
  IrStmt *lambda = ir_lambda(lower->ir, body, name, n_params, params);
  put_lambda_value(lower, lambda, e);
  return lambda;
}

// Appends the local function for the place's address, nowhere where its guard fails.
static IrStmt *put_place(Lower *lower, IrStmt *body, const char *name, const CudaPlace *place, int n_params,
                         IrVar *const *params) {
  Ir *ir = lower->ir;
  IrStmt *lambda = ir_lambda(ir, body, name, n_params, params);
  Emit emit;
  emit_begin(&emit, lower, lambda->body[0]);
  emit_expect(&emit, place->index);
  if (place->guard) emit_expect(&emit, place->guard);
  IrExpr *guard = place->guard ? emit_value(&emit, place->guard) : NULL;
  IrExpr *address = ir_address(ir, place->buffer, emit_value(&emit, place->index));
  lambda->value = guard ? ir_select(ir, guard, address, ir_call(ir, IR_POINTER, "sg_nowhere", 0, NULL)) : address;
  return lambda;
}

// A variable for each element of a constant table, in front of any branch.
static IrExpr *table_leaf(void *context, Ir *ir, IrExpr *e) {
  if (e->kind != IR_LOAD || e->buffer->kind != IR_BUFFER_TABLE) return NULL;
  return ir_ref(ir, ir_let(ir, context, e->buffer->name, e));
}

IrStmt *cuda_put_source(Lower *lower, IrStmt *body, const char *name, IrExpr *e, int n_params, IrVar *const *params) {
  CudaPlace place;
  if (cuda_find_place(e, &place)) return put_place(lower, body, name, &place, n_params, params);
  IrStmt *lambda = ir_lambda(lower->ir, body, name, n_params, params);
  e = ir_rewrite(lower->ir, e, table_leaf, ir_block(lower->ir, lambda->body[0]));
  put_lambda_value(lower, lambda, e);
  return lambda;
}

IrStmt *cuda_put_operand(Lower *lower, IrStmt *body, const char *name, CudaRead read, IrExpr *e, IrVar *c, IrVar *k) {
  IrVar *params[] = {c, k};
  if (read == CUDA_READ_VALUE || read == CUDA_READ_COSTLY) return cuda_put_value(lower, body, name, e, 2, params);
  return cuda_put_source(lower, body, name, e, 2, params);
}

IrStmt *cuda_put_results(Lower *lower, IrStmt *body, const char *name, const Node *core, int n_params,
                         IrVar *const *params, IrExpr *const *index, IrExpr *is_valid) {
  Ir *ir = lower->ir;
  const Group *group = lower->group;
  IrVar *all[n_params + 1], *sum = ir_var(ir, IR_FLOAT, "sum", 0, 0);
  for (int i = 0; i < n_params; i++) all[i] = params[i];
  all[n_params] = sum;
  IrStmt *lambda = ir_lambda(ir, body, name, n_params + 1, all), *block = lambda->body[0];
  if (!ir_is_int(is_valid, 1)) block = ir_if(ir, block, is_valid)->body[0];
  lower_bind(lower, core, index, ir_ref(ir, sum));
  IrExpr *value[group->n_outs], *offset[group->n_outs];
  Emit emit;
  emit_begin(&emit, lower, block);
  for (int i = 0; i < group->n_outs; i++) {
    value[i] = lower_value(lower, group->outs[i], index);
    offset[i] = lower_offset(lower, group->outs[i], index);
    emit_expect(&emit, value[i]);
    emit_expect(&emit, offset[i]);
  }
  for (int i = 0; i < group->n_outs; i++) {
    IrExpr *at = emit_value(&emit, offset[i]), *result = emit_value(&emit, value[i]);
    ir_store(ir, emit_block(&emit), lower_out(lower, group->outs[i]), at, result);
  }
  return lambda;
}
