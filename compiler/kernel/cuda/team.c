// Reductions by the lanes of a row: strided loops, then sums over threads in a fixed order.
//
// As on the CPU, runs of at most REDUCTION_RUN additions in float are added to a double.
#include "compiler/kernel/cuda/team.h"

#include "runtime/kernel_abi.h"

// ---- elements

// One axis over all elements.
static Axis flat_axis(Ir *ir, Reduction *r) {
  if (r->n_axes == 1) return r->axis[0];
  int64_t n = 1;
  for (int a = 0; a < r->n_axes; a++) n *= r->axis[a].n;
  Axis flat = {ir_var(ir, IR_INDEX, "e", 0, n - 1), n};
  IrExpr *rest = ir_ref(ir, flat.var);
  for (int a = r->n_axes - 1; a >= 0; a--) {
    IrExpr *index = a ? ir_mod(ir, rest, r->axis[a].n) : rest;
    rest = ir_div(ir, rest, r->axis[a].n);
    ir_substitute_all(ir, r->n, r->body, r->axis[a].var, index);
  }
  return flat;
}

// Elements from .. to of the axis by steps of `lanes`, added to r->sum.
static void put_loops(Emit *emit, Reduction *r, Axis axis, IrExpr *from, IrExpr *to, int64_t lanes, bool has_runs) {
  Ir *ir = emit->ir;
  if (!has_runs) {
    emit_open(emit, axis.var, from, to, lanes, IR_SERIAL);
    reduction_accumulate(emit, r, r->body, r->sum);
    emit_close(emit);
    return;
  }
  IrVar *start = ir_var(ir, IR_INDEX, "start", 0, axis.n - 1);
  emit_open(emit, start, from, to, REDUCTION_RUN * lanes, IR_SERIAL);
  for (int k = 0; k < r->n; k++)
    r->run[k] = r->whole[k]->op == OP_add ? reduction_accumulator(emit, "run", IR_FLOAT, OP_add) : r->sum[k];
  IrExpr *begin = ir_ref(ir, start);
  emit_open(emit, axis.var, begin, ir_min(ir, ir_offset(ir, begin, REDUCTION_RUN * lanes), to), lanes, IR_SERIAL);
  reduction_accumulate(emit, r, r->body, r->run);
  emit_close(emit);
  for (int k = 0; k < r->n; k++) {
    if (r->run[k] != r->sum[k]) ir_accumulate(ir, emit_block(emit), OP_add, r->sum[k], ir_ref(ir, r->run[k]));
  }
  emit_close(emit);
}

// ---- lanes

// The lanes' values together, in all of them.
static IrExpr *combined(Ir *ir, const CudaPlan *plan, Op op, IrExpr *value) {
  const char *what = op == OP_add ? "sum" : "max";
  int threads = plan->rows * plan->lanes;
  const char *name;
  if (plan->is_row_fast && plan->rows > 1)
    name = arena_printf(ir->arena, "column_%s<%d, %d>", what, threads, plan->rows);
  else if (plan->lanes == threads) name = arena_printf(ir->arena, "block_%s<%d>", what, threads);
  else name = arena_printf(ir->arena, "team_%s<%d>", what, plan->lanes);
  return ir_call(ir, value->type, name, 1, &value);
}

static IrExpr *as_float(Emit *emit, const IrExpr *whole, IrExpr *value) {
  Ir *ir = emit->ir;
  if (value->type == IR_DOUBLE) value = ir_convert(ir, IR_FLOAT, value);
  if (value->kind == IR_REF) return value;
  return ir_ref(ir, ir_let(ir, emit_block(emit), whole->label ? whole->label : "total", value));
}

void cuda_team_reduce(Emit *emit, Reduction *r) {
  Ir *ir = emit->ir;
  CudaTeam *team = emit->team;
  const CudaPlan *plan = team->plan;
  Axis axis = flat_axis(ir, r);
  int64_t share = ceil_div(axis.n, plan->parts);
  share = ceil_div(share, plan->lanes) * plan->lanes;
  IrExpr *from = team->lane, *to = ir_int(ir, axis.n);
  if (plan->parts > 1) {
    IrExpr *first = ir_scale(ir, team->part, share);
    from = ir_add(ir, first, team->lane);
    to = ir_ref(ir, ir_let(ir, emit_block(emit), "end_of_part", ir_min(ir, ir_offset(ir, first, share), to)));
  }
  bool has_runs = share / plan->lanes > REDUCTION_RUN;
  for (int k = 0; k < r->n; k++) {
    Op op = r->whole[k]->op;
    r->sum[k] = reduction_accumulator(emit, op == OP_add ? "sum" : "largest",
                                      has_runs && op == OP_add ? IR_DOUBLE : IR_FLOAT, op);
  }
  put_loops(emit, r, axis, from, to, plan->lanes, has_runs);
  for (int k = 0; k < r->n; k++) {
    IrExpr *value = combined(ir, plan, r->whole[k]->op, ir_ref(ir, r->sum[k]));
    if (plan->parts > 1) {
      value = ir_ref(ir, ir_let(ir, emit_block(emit), "part_of_sum", value));
      ARENA_PUSH(ir->arena, team->partial, team->n_partial, team->cap_partial,
                 ((CudaPartial){.whole = r->whole[k], .value = value}));
    } else {
      value = as_float(emit, r->whole[k], value);
    }
    emit_remember(emit, r->whole[k], value, 0);
  }
}

// ---- blocks

static void store_partials(Emit *emit) {
  Ir *ir = emit->ir;
  CudaTeam *team = emit->team;
  const CudaPlan *plan = team->plan;
  IrExpr *at = ir_add(ir, ir_scale(ir, team->row, plan->parts), team->part);
  IrStmt *first = ir_if(ir, emit_block(emit), ir_equal(ir, team->lane, ir_int(ir, 0)))->body[0];
  int64_t n = ceil_div(plan->n_rows, plan->rows) * plan->rows * plan->parts;
  for (int k = 0; k < team->n_partial; k++) {
    CudaPartial *p = &team->partial[k];
    p->scratch = ir_scratch(ir, p->whole->label ? p->whole->label : "partial", p->value->type, n);
    ir_store(ir, first, p->scratch, at, p->value);
  }
}

static void load_totals(Emit *emit, const CudaTeam *team) {
  Ir *ir = emit->ir;
  const CudaPlan *plan = team->plan;
  for (int k = 0; k < team->n_partial; k++) {
    const CudaPartial *p = &team->partial[k];
    Op op = p->whole->op;
    IrVar *total = reduction_accumulator(emit, "total", p->value->type, op);
    IrVar *q = ir_var(ir, IR_INDEX, "q", 0, plan->parts - 1);
    IrStmt *loop = ir_for(ir, emit_block(emit), q, team->lane, ir_int(ir, plan->parts), plan->lanes, IR_SERIAL);
    IrExpr *at = ir_add(ir, ir_scale(ir, team->row, plan->parts), ir_ref(ir, q));
    ir_accumulate(ir, loop, op, total, ir_load(ir, p->scratch, at));
    emit_remember(emit, p->whole, as_float(emit, p->whole, combined(ir, plan, op, ir_ref(ir, total))), 0);
  }
}

static bool is_node(const IrExpr *e, const void *node) { return e == node; }

// Whether the reduction is a link in the chain of another (none depends on another here).
static bool is_link(Emit *emit, const IrExpr *e) {
  for (int k = 0; k < emit->n_reductions; k++) {
    if (emit->reductions[k] != e && ir_any(emit->ir, emit->reductions[k], is_node, e)) return true;
  }
  return false;
}

void cuda_team_join(Emit *emit, Emit *after) {
  Ir *ir = emit->ir;
  CudaTeam *team = emit->team;
  int n = emit->n_reductions;
  for (int k = 0; k < n; k++) {
    if (!is_link(emit, emit->reductions[k])) emit_value(emit, emit->reductions[k]);
  }
  store_partials(emit);
  IrExpr *is_last = ir_call(ir, IR_INDEX, "LAST_BLOCK", 2, (IrExpr *[]){team->group, ir_int(ir, team->plan->parts)});
  emit_begin(after, emit->lower, ir_if(ir, emit_block(emit), is_last)->body[0]);
  load_totals(after, team);
}

void cuda_rows_join(Emit *emit, const Reduction *r, const CudaPlan *plan, int64_t floats, Emit *after) {
  Ir *ir = emit->ir;
  IrFunction *function = ir->function;
  IrExpr *thread = ir_ref(ir, function->thread), *task = ir_ref(ir, function->task), *value[MAX_TOGETHER];
  IrBuffer *partial = ir_scratch(ir, "partial", IR_FLOAT, function->n_tasks * r->n);
  function->scratch = SG_COUNTERS + function->n_tasks * r->n; // without gaps: rows are added up
  for (int k = 0; k < r->n; k++) {
    IrExpr *sum = combined(ir, plan, r->whole[k]->op, ir_ref(ir, r->sum[k]));
    value[k] = ir_ref(ir, ir_let(ir, emit_block(emit), "part_of_sum", sum));
  }
  IrStmt *first = ir_if(ir, emit_block(emit), ir_equal(ir, thread, ir_int(ir, 0)))->body[0];
  for (int k = 0; k < r->n; k++) ir_store(ir, first, partial, ir_offset(ir, ir_scale(ir, task, r->n), k), value[k]);
  IrExpr *blocks = ir_div(ir, ir_offset(ir, ir_ref(ir, function->row_floats), floats - 1), floats);
  IrExpr *is_last = ir_call(ir, IR_INDEX, "LAST_OF_ROW", 1, &blocks);
  emit_begin(after, emit->lower, ir_if(ir, emit_block(emit), is_last)->body[0]);
  IrExpr *first_block = ir_sub(ir, task, ir_ref(ir, function->piece));
  for (int k = 0; k < r->n; k++) {
    Op op = r->whole[k]->op;
    IrVar *total = reduction_accumulator(after, "total", op == OP_add ? IR_DOUBLE : IR_FLOAT, op);
    IrVar *q = ir_var(ir, IR_INDEX, "q", 0, function->piece->hi);
    IrStmt *loop = ir_for(ir, emit_block(after), q, thread, blocks, plan->lanes, IR_SERIAL);
    IrExpr *at = ir_scale(ir, ir_add(ir, first_block, ir_ref(ir, q)), r->n);
    ir_accumulate(ir, loop, op, total, ir_load(ir, partial, ir_offset(ir, at, k)));
    emit_remember(after, r->whole[k], as_float(after, r->whole[k], combined(ir, plan, op, ir_ref(ir, total))), 0);
  }
}
