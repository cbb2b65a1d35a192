// Access: the warps of a kernel, followed lane by lane.
#include "compiler/kernel/cuda/access.h"

#include <stdlib.h>
#include <string.h>

#include "compiler/kernel/ir_build.h"

enum { LANES = 32, SECTOR = 32, TURNS = 2, SAMPLES = 3 };

// An integer in each lane.
typedef struct Value {
  bool is_known;
  int64_t lane[LANES];
} Value;

typedef struct Follower {
  Ir *ir;
  Value *var; // by id
  CudaAccess *out;
} Follower;

// ---- integers -------------------------------------------------------------------------------------------------------

static Value evaluate(Follower *f, const IrExpr *e);

static Value of_sum(Follower *f, const IrExpr *e) {
  Value sum = {.is_known = true};
  for (int l = 0; l < LANES; l++) sum.lane[l] = e->i;
  for (int k = 0; k < e->n_args; k++) {
    Value part = evaluate(f, e->arg[k]);
    sum.is_known = sum.is_known && part.is_known;
    for (int l = 0; l < LANES; l++) sum.lane[l] += e->coef[k] * part.lane[l];
  }
  return sum;
}

static int64_t combine(const IrExpr *e, int64_t a, int64_t b) {
  switch (e->kind) {
  case IR_PRODUCT: return a * b;
  case IR_DIV: return ir_floor_div(a, e->i);
  case IR_MOD: return a - e->i * ir_floor_div(a, e->i);
  case IR_MIN: return a < b ? a : b;
  case IR_MAX: return a > b ? a : b;
  case IR_LESS: return a < b;
  case IR_EQUAL: return a == b;
  case IR_AND: return a && b;
  case IR_NOT: return !a;
  default: return 0;
  }
}

static Value of_table(Follower *f, const IrExpr *e) {
  Value index = evaluate(f, e->arg[0]);
  for (int l = 0; l < LANES && index.is_known; l++) {
    bool is_inside = index.lane[l] >= 0 && index.lane[l] < e->buffer->size; // idle lanes may lie outside
    index.lane[l] = is_inside ? (int64_t)e->buffer->values[index.lane[l]] : 0;
  }
  return index;
}

static Value evaluate(Follower *f, const IrExpr *e) {
  Value value = {0};
  switch (e->kind) {
  case IR_INT:
    value.is_known = true;
    for (int l = 0; l < LANES; l++) value.lane[l] = e->i;
    return value;
  case IR_REF: return f->var[e->var->id];
  case IR_SUM: return of_sum(f, e);
  case IR_LOAD: return e->buffer->kind == IR_BUFFER_TABLE && e->type == IR_INDEX ? of_table(f, e) : value;
  case IR_PRODUCT:
  case IR_DIV:
  case IR_MOD:
  case IR_MIN:
  case IR_MAX:
  case IR_LESS:
  case IR_EQUAL:
  case IR_AND:
  case IR_NOT: {
    Value a = evaluate(f, e->arg[0]), b = e->n_args > 1 ? evaluate(f, e->arg[1]) : a;
    value.is_known = a.is_known && b.is_known;
    for (int l = 0; l < LANES && value.is_known; l++) value.lane[l] = combine(e, a.lane[l], b.lane[l]);
    return value;
  }
  default: return value;
  }
}

// ---- requests -------------------------------------------------------------------------------------------------------

static bool is_global(const IrBuffer *buffer) {
  return buffer->kind == IR_BUFFER_IN || buffer->kind == IR_BUFFER_OUT || buffer->kind == IR_BUFFER_SCRATCH;
}

static int compare(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

// One request of the active lanes, each for `bytes` bytes at buffer[index].
static void add_request(Follower *f, const IrBuffer *buffer, const IrExpr *index, int bytes, uint32_t active,
                        double weight) {
  if (!is_global(buffer) || !active) return;
  Value at = evaluate(f, index);
  if (!at.is_known) {
    f->out->unknown += weight;
    return;
  }
  int element = buffer->type == IR_DOUBLE ? 8 : 4, n = 0, n_sectors = 0;
  int64_t start[LANES], n_bytes = 0;
  for (int l = 0; l < LANES; l++) {
    if (active >> l & 1) start[n++] = buffer->offset * 4 + at.lane[l] * element;
  }
  qsort(start, (size_t)n, sizeof *start, compare);
  int64_t end = INT64_MIN, last_sector = INT64_MIN;
  for (int k = 0; k < n; k++) {
    int64_t from = start[k] > end ? start[k] : end, to = start[k] + bytes;
    if (to > from) n_bytes += to - from;
    if (to > end) end = to;
    for (int64_t s = ir_floor_div(start[k], SECTOR); s <= ir_floor_div(to - 1, SECTOR); s++) {
      n_sectors += s > last_sector;
      if (s > last_sector) last_sector = s;
    }
  }
  f->out->requests += weight;
  f->out->sectors += weight * n_sectors;
  f->out->ideal_sectors += weight * (double)((n_bytes + SECTOR - 1) / SECTOR);
}

static uint32_t lanes_where(const Value *condition) {
  uint32_t mask = 0;
  for (int l = 0; l < LANES; l++) mask |= (uint32_t)(condition->lane[l] != 0) << l;
  return mask;
}

// The loads in an expression.
static void follow_expr(Follower *f, const IrExpr *e, uint32_t active, double weight) {
  if (e->kind == IR_SELECT) {
    Value condition = evaluate(f, e->arg[0]);
    uint32_t mask = condition.is_known ? lanes_where(&condition) : UINT32_MAX;
    follow_expr(f, e->arg[0], active, weight);
    follow_expr(f, e->arg[1], active & mask, weight);
    follow_expr(f, e->arg[2], condition.is_known ? active & ~mask : active, weight);
    return;
  }
  for (int k = 0; k < e->n_args; k++) follow_expr(f, e->arg[k], active, weight);
  if (e->kind == IR_LOAD) add_request(f, e->buffer, e->arg[0], e->type == IR_DOUBLE ? 8 : 4, active, weight);
}

// A function of the preamble: those of quads touch memory once, others say themselves what they touch.
static void follow_call(Follower *f, const IrExpr *call, uint32_t active, double weight) {
  bool is_quad = !strcmp(call->name, "load_quad") || !strcmp(call->name, "store_quad");
  bool is_one = !strcmp(call->name, "load_one"); // of IrStmt.calls
  for (int k = 0; k < call->n_args; k++) {
    const IrExpr *arg = call->arg[k];
    if ((is_quad || is_one) && arg->kind == IR_ADDRESS)
      add_request(f, arg->buffer, arg->arg[0], is_quad ? 16 : 4, active, weight);
    else follow_expr(f, arg, active, weight);
  }
}

// ---- statements -----------------------------------------------------------------------------------------------------

static void follow(Follower *f, const IrStmt *s, uint32_t active, double weight);

static void set(Follower *f, const IrVar *var, const IrExpr *value) {
  if (var->type == IR_INDEX) f->var[var->id] = evaluate(f, value);
}

// The first turns of the loop, and of each how many lanes take part.
static void follow_loop(Follower *f, const IrStmt *s, uint32_t active, double weight) {
  Value begin = evaluate(f, s->begin), end = evaluate(f, s->end), *var = &f->var[s->var->id];
  if (!begin.is_known || !end.is_known) {
    var->is_known = false;
    follow(f, s->body[0], active, weight);
    return;
  }
  int64_t turns = 0;
  for (int l = 0; l < LANES; l++) {
    int64_t own = active >> l & 1 ? (end.lane[l] - begin.lane[l] + s->step - 1) / s->step : 0;
    if (own > turns) turns = own;
  }
  // The whole turns stand for all but the last, in which lanes may be idle.
  int64_t turn[TURNS] = {0, turns - 1};
  double share[TURNS] = {(double)(turns - 1), 1};
  for (int k = turns > 1 ? 0 : 1; k < TURNS && turns > 0; k++) {
    uint32_t mask = 0;
    var->is_known = true;
    for (int l = 0; l < LANES; l++) {
      var->lane[l] = begin.lane[l] + turn[k] * s->step;
      mask |= (uint32_t)(var->lane[l] < end.lane[l]) << l;
    }
    follow(f, s->body[0], active & mask, weight * share[k]);
  }
}

// Of blocks that share a result, the last one alone goes on: one of how many.
static double share_of_last(Follower *f, const IrExpr *condition) {
  if (condition->kind != IR_CALL || strncmp(condition->name, "LAST_", 5)) return 1;
  Value blocks = evaluate(f, condition->arg[condition->n_args - 1]);
  return blocks.is_known && blocks.lane[0] > 0 ? 1.0 / (double)blocks.lane[0] : 1;
}

static void follow_if(Follower *f, const IrStmt *s, uint32_t active, double weight) {
  Value condition = evaluate(f, s->value);
  weight *= share_of_last(f, s->value);
  follow_expr(f, s->value, active, weight);
  uint32_t mask = condition.is_known ? lanes_where(&condition) : UINT32_MAX;
  if (active & mask) follow(f, s->body[0], active & mask, weight);
  uint32_t rest = condition.is_known ? active & ~mask : active;
  if (s->n_body > 1 && rest) follow(f, s->body[1], rest, weight);
}

static void follow(Follower *f, const IrStmt *s, uint32_t active, double weight) {
  switch (s->kind) {
  case IR_BLOCK:
    for (int k = 0; k < s->n_body; k++) follow(f, s->body[k], active, weight);
    return;
  case IR_FOR: follow_loop(f, s, active, weight); return;
  case IR_LET:
  case IR_ASSIGN:
    follow_expr(f, s->value, active, weight);
    set(f, s->var, s->value);
    return;
  case IR_STORE:
    follow_expr(f, s->value, active, weight);
    add_request(f, s->buffer, s->index, s->value->type == IR_DOUBLE ? 8 : 4, active, weight);
    return;
  case IR_IF: follow_if(f, s, active, weight); return;
  case IR_DO: follow_call(f, s->value, active, weight); return;
  case IR_LAMBDA:
    if (s->calls) follow(f, s->calls, active, weight);
    return;
  case IR_STORE_N:
  case IR_BARRIER:
  }
}

// Three of n, spread out; returns how many.
static int samples(int64_t n, int64_t *out) {
  int count = 0;
  for (int k = 0; k < SAMPLES; k++) {
    int64_t at = k * (n - 1) / (SAMPLES - 1);
    if (!count || out[count - 1] != at) out[count++] = at;
  }
  return count;
}

CudaAccess cuda_access(Ir *ir, int64_t row_floats) {
  const IrFunction *function = ir->function;
  CudaAccess access = {0};
  int64_t warps = (function->block + LANES - 1) / LANES, block[SAMPLES], warp[SAMPLES];
  if (!function->thread || function->n_tasks < 1) return access;
  Arena *arena = arena_new();
  int n_blocks = samples(function->n_tasks, block), n_warps = samples(warps, warp);
  double weight = (double)function->n_tasks * (double)warps / (n_blocks * n_warps);
  for (int b = 0; b < n_blocks; b++) {
    for (int w = 0; w < n_warps; w++) {
      Follower f = {.ir = ir, .var = ARENA_ARRAY(arena, Value, ir->n_vars + 1), .out = &access};
      uint32_t active = 0;
      Value *task = &f.var[function->task->id], *thread = &f.var[function->thread->id];
      task->is_known = thread->is_known = true;
      if (function->has_rows) { // as if the table had this row alone
        f.var[function->piece->id].is_known = f.var[function->row_floats->id].is_known = true;
        for (int l = 0; l < LANES; l++) {
          f.var[function->piece->id].lane[l] = block[b];
          f.var[function->row_floats->id].lane[l] = row_floats;
        }
      }
      for (int l = 0; l < LANES; l++) {
        task->lane[l] = block[b];
        thread->lane[l] = warp[w] * LANES + l;
        active |= (uint32_t)(thread->lane[l] < function->block) << l;
      }
      follow(&f, function->body, active, weight);
    }
  }
  arena_free(arena);
  access.requests += function->requests;
  access.sectors += function->sectors;
  access.ideal_sectors += function->ideal_sectors;
  return access;
}
