// Emitting reductions: loops with accumulators, vectors of partial results where the elements allow it.
//
// Sums of many elements stay exact to about 1e-7 of the sum of magnitudes: runs of at most RUN additions in float are
// added to a double. The order of additions is fixed by the shape alone.
#include <math.h>
#include <string.h>

#include "compiler/kernel/emit_reduce.h"

#include "compiler/kernel/cuda/team.h"
#include "runtime/base/status.h"

enum { RUN = REDUCTION_RUN, UNROLLED = 5 };

// ---- which reductions go together

static int chain(IrExpr *e, IrVar **var, int64_t *n, IrExpr **out_body) {
  int length = 0;
  Op op = e->op;
  while (e->kind == IR_REDUCE && e->op == op && length < MAX_CHAIN) {
    var[length] = e->var;
    n[length++] = e->i;
    e = e->arg[0];
  }
  *out_body = e;
  return length;
}

static bool is_node(const IrExpr *e, const void *node) { return e == node; }

static bool is_reference(const IrExpr *e, const void *var) { return e->kind == IR_REF && e->var == var; }

static bool is_bound_here(const IrExpr *e, const void *var) { return e->kind == IR_REDUCE && e->var == var; }

typedef struct Outside {
  Ir *ir;
  const IrExpr *top, *other;
} Outside;

// A variable that is not bound under `top` and does not occur under `other`.
static bool is_foreign(const IrExpr *e, const void *context) {
  const Outside *o = context;
  if (e->kind != IR_REF) return false;
  return !ir_any(o->ir, o->top, is_bound_here, e->var) && !ir_any(o->ir, o->other, is_reference, e->var);
}

static void find_companions(Emit *emit, Reduction *r) {
  Ir *ir = emit->ir;
  IrExpr *first = r->whole[0];
  for (int k = 0; k < emit->n_reductions && r->n < MAX_TOGETHER; k++) {
    IrExpr *e = emit->reductions[k], *body;
    IrVar *var[MAX_CHAIN];
    int64_t n[MAX_CHAIN];
    if (e == first || e->type != first->type || emit_recall(emit, e)) continue;
    bool fits = chain(e, var, n, &body) == r->n_axes;
    for (int i = 0; fits && i < r->n_axes; i++) fits = var[i] == r->axis[i].var;
    if (!fits || emit_level_of(emit, e) != emit_level_of(emit, first)) continue;
    Outside outside = {ir, e, first};
    fits = !ir_any(ir, e, is_foreign, &outside);
    for (int i = 0; fits && i < r->n; i++)
      fits = !ir_any(ir, e, is_node, r->whole[i]) && !ir_any(ir, r->whole[i], is_node, e);
    if (!fits) continue;
    r->whole[r->n] = e;
    r->body[r->n++] = body;
  }
}

// ---- lanes

// All bodies as vectors over the lanes; false (and nothing changed) if one has no such form.
static bool vectorise(Ir *ir, Reduction *r, const Lanes *lanes, IrVar *replaced, IrExpr *by) {
  IrExpr *vector[MAX_TOGETHER];
  memcpy(vector, r->body, sizeof vector);
  ir_substitute_all(ir, r->n, vector, replaced, by);
  if (!nest_vectorise(ir, r->n, vector, lanes)) return false;
  for (int k = 0; k < r->n; k++) {
    if (vector[k]->type != IR_VECTOR) return false;
  }
  memcpy(r->body, vector, sizeof(IrExpr *) * (size_t)r->n);
  r->is_across = true;
  return true;
}

double reduction_identity(Op op) { return op == OP_add ? 0 : -INFINITY; }

// The axis walks channels of blocked values: blocks become the loop and their channels the lanes if nothing else is
// vectorised yet; otherwise channels are found one by one.
static void resolve_channels(Emit *emit, Reduction *r, Axis *axis) {
  Lower *lower = emit->lower;
  Ir *ir = emit->ir;
  ChannelVar *channel = lower_channel(lower, axis->var);
  if (!channel || channel->var != axis->var) return;
  bool is_scalar = true;
  for (int k = 0; k < r->n; k++) is_scalar = is_scalar && r->body[k]->type == IR_FLOAT;
  if (is_scalar) {
    IrExpr *block = ir_ref(ir, channel->block);
    Lanes lanes = {.lane = channel->lane,
                   .valid = ir_var(ir, IR_INDEX, "lane", 0, channel->layout->block - 1),
                   .n_valid = lower_block_lanes(lower, channel->layout, block)};
    IrExpr *by = ir_add(ir, lower_block_start(lower, channel->layout, block), ir_ref(ir, lanes.valid));
    if (vectorise(ir, r, &lanes, axis->var, by)) {
      *axis = (Axis){channel->block, channel->block->hi + 1};
      if (ir_is_int(lanes.n_valid, ir->target->vector)) return;
      for (int k = 0; k < r->n; k++) {
        IrExpr *keep[] = {r->body[k], lanes.n_valid, ir_number(ir, reduction_identity(r->whole[k]->op))};
        r->body[k] = ir_call(ir, IR_VECTOR, "vkeep", 3, keep);
      }
      return;
    }
  }
  nest_scalar_channel(lower, r->n, r->body, channel);
}

static void merge_axes(Ir *ir, Reduction *r) {
  for (int a = r->n_axes - 2; a >= 0; a--) {
    Axis *outer = &r->axis[a], *inner = &r->axis[a + 1];
    bool can = true;
    for (int k = 0; can && k < r->n; k++) can = nest_can_merge(ir, r->body[k], outer->var, inner->var, inner->n);
    if (!can) continue;
    Axis merged = {ir_var(ir, IR_INDEX, inner->var->name, 0, outer->n * inner->n - 1), outer->n * inner->n};
    ir_substitute_all(ir, r->n, r->body, outer->var, ir_int(ir, 0));
    ir_substitute_all(ir, r->n, r->body, inner->var, ir_ref(ir, merged.var));
    *outer = merged;
    memmove(inner, inner + 1, sizeof(Axis) * (size_t)(r->n_axes - a - 2));
    r->n_axes--;
  }
}

static void vectorise_last(Ir *ir, Reduction *r) {
  Axis *last = &r->axis[r->n_axes - 1];
  if (ir->target->kind == TARGET_CUDA) return;
  for (int k = 0; k < r->n; k++) {
    if (r->body[k]->type != IR_FLOAT) return;
  }
  if (r->is_across || last->n < ir->target->vector) return;
  memcpy(r->scalar, r->body, sizeof r->scalar);
  Lanes lanes = {.lane = ir_var(ir, IR_INDEX, "lane", 0, ir->target->vector - 1)};
  IrExpr *by = ir_add(ir, ir_ref(ir, last->var), ir_ref(ir, lanes.lane));
  if (vectorise(ir, r, &lanes, last->var, by)) r->step = ir->target->vector;
}

// ---- statements

IrVar *reduction_accumulator(Emit *emit, const char *name, IrType type, Op op) {
  Ir *ir = emit->ir;
  IrExpr *start = ir_number(ir, reduction_identity(op));
  if (type == IR_VECTOR) start = ir_splat(ir, start);
  if (type == IR_DOUBLE) start = ir_convert(ir, IR_DOUBLE, start);
  if (type == IR_DVECTOR) start = ir_splat(ir, ir_convert(ir, IR_DOUBLE, start));
  return ir_mutable(ir, emit_block(emit), name, start);
}

void reduction_accumulate(Emit *emit, Reduction *r, IrExpr **body, IrVar **into) {
  for (int k = 0; k < r->n; k++) {
    if (!ir_map_get(&emit->uses, body[k])) emit_expect(emit, body[k]);
  }
  for (int k = 0; k < r->n; k++) {
    IrExpr *element = emit_value(emit, body[k]);
    ir_accumulate(emit->ir, emit_block(emit), r->whole[k]->op, into[k], element);
  }
}

static IrType double_of(IrType type) { return type == IR_VECTOR ? IR_DVECTOR : IR_DOUBLE; }

// Additions of runs to the sums, in the innermost open loop.
static void begin_runs(Emit *emit, Reduction *r) {
  for (int k = 0; k < r->n; k++) {
    if (r->whole[k]->op == OP_add) r->run[k] = reduction_accumulator(emit, "run", r->body[k]->type, OP_add);
    else r->run[k] = r->sum[k];
  }
}

static void end_runs(Emit *emit, Reduction *r) {
  for (int k = 0; k < r->n; k++) {
    if (r->run[k] != r->sum[k])
      ir_accumulate(emit->ir, emit_block(emit), OP_add, r->sum[k], ir_ref(emit->ir, r->run[k]));
  }
}

// Loops over axes from .. n_axes - 1 and adds their elements to `into`.
static void inner_loops(Emit *emit, Reduction *r, int from, IrVar **into) {
  Ir *ir = emit->ir;
  for (int a = from; a < r->n_axes; a++) {
    Axis *axis = &r->axis[a];
    bool is_last = a == r->n_axes - 1;
    emit_open(emit, axis->var, ir_int(ir, 0), ir_int(ir, is_last ? axis->n - axis->n % r->step : axis->n),
              is_last ? r->step : 1, axis->n <= UNROLLED ? IR_UNROLLED : IR_SERIAL);
  }
  reduction_accumulate(emit, r, r->body, into);
  for (int a = from; a < r->n_axes; a++) emit_close(emit);
}

// The last axis alone is longer than a run.
static void chunked_loop(Emit *emit, Reduction *r) {
  Ir *ir = emit->ir;
  Axis *last = &r->axis[r->n_axes - 1];
  int64_t end = last->n - last->n % r->step;
  IrVar *chunk = ir_var(ir, IR_INDEX, "start", 0, end - 1);
  emit_open(emit, chunk, ir_int(ir, 0), ir_int(ir, end), RUN * r->step, IR_SERIAL);
  begin_runs(emit, r);
  IrExpr *begin = ir_ref(ir, chunk);
  emit_open(emit, last->var, begin, ir_min(ir, ir_offset(ir, begin, RUN * r->step), ir_int(ir, end)), r->step,
            IR_SERIAL);
  reduction_accumulate(emit, r, r->body, r->run);
  emit_close(emit);
  end_runs(emit, r);
  emit_close(emit);
}

// Elements of the last axis that fill no vector.
static void rest_loop(Emit *emit, Reduction *r) {
  Ir *ir = emit->ir;
  Axis *last = &r->axis[r->n_axes - 1];
  if (last->n % r->step == 0) return;
  emit_open(emit, last->var, ir_int(ir, last->n - last->n % r->step), ir_int(ir, last->n), 1, IR_SERIAL);
  reduction_accumulate(emit, r, r->scalar, r->rest);
  emit_close(emit);
}

static void put_loops(Emit *emit, Reduction *r) {
  Ir *ir = emit->ir;
  Axis *last = &r->axis[r->n_axes - 1];
  int64_t steps = last->n / r->step;
  int from = r->n_axes - 1; // axes from .. n_axes - 1 make up a run
  while (from > 0 && steps * r->axis[from - 1].n <= RUN) steps *= r->axis[--from].n;
  bool has_runs = from > 0 || steps > RUN, has_rest = last->n % r->step != 0;
  for (int k = 0; k < r->n; k++) {
    IrType type = r->body[k]->type;
    Op op = r->whole[k]->op;
    const char *name = op == OP_add ? "sum" : "largest";
    r->sum[k] = reduction_accumulator(emit, name, has_runs && op == OP_add ? double_of(type) : type, op);
    if (has_rest) r->rest[k] = reduction_accumulator(emit, "rest", op == OP_add ? IR_DOUBLE : IR_FLOAT, op);
  }
  if (!has_runs && !has_rest) {
    inner_loops(emit, r, 0, r->sum);
    return;
  }
  if (has_rest) from = r->n_axes - 1;
  for (int a = 0; a < from; a++) emit_open(emit, r->axis[a].var, ir_int(ir, 0), ir_int(ir, r->axis[a].n), 1, IR_SERIAL);
  if (has_runs && from == r->n_axes - 1 && last->n / r->step > RUN) {
    chunked_loop(emit, r);
  } else if (has_runs) {
    begin_runs(emit, r);
    inner_loops(emit, r, from, r->run);
    end_runs(emit, r);
  } else {
    inner_loops(emit, r, from, r->sum);
  }
  if (has_rest) rest_loop(emit, r);
  for (int a = 0; a < from; a++) emit_close(emit);
}

// The variable that holds reduction k, made after its loops.
static IrExpr *finish(Emit *emit, Reduction *r, int k) {
  Ir *ir = emit->ir;
  Op op = r->whole[k]->op;
  IrExpr *total = ir_ref(ir, r->sum[k]);
  if (r->is_across) total = ir_lanes(ir, op, total, ir_int(ir, ir->target->vector));
  if (r->rest[k]) total = ir_op2(ir, op, total, ir_ref(ir, r->rest[k]));
  if (total->type == IR_DOUBLE || total->type == IR_DVECTOR)
    total = ir_convert(ir, total->type == IR_DOUBLE ? IR_FLOAT : IR_VECTOR, total);
  if (total->kind == IR_REF) return total;
  const char *name = r->whole[k]->label ? r->whole[k]->label : "total";
  return ir_ref(ir, ir_let(ir, emit_block(emit), name, total));
}

void reduction_prepare(Emit *emit, Reduction *r, IrExpr *e, int level) {
  *r = (Reduction){.n = 1, .whole = {e}, .step = 1, .level = level};
  IrVar *var[MAX_CHAIN];
  int64_t n[MAX_CHAIN];
  r->n_axes = chain(e, var, n, &r->body[0]);
  for (int k = 0; k < r->n_axes; k++) r->axis[k] = (Axis){var[k], n[k]};
  find_companions(emit, r);
  for (int k = 0; k < r->n_axes; k++) resolve_channels(emit, r, &r->axis[k]);
  merge_axes(emit->ir, r);
}

IrExpr *emit_reduction(Emit *emit, IrExpr *e) {
  Ir *ir = emit->ir;
  if (emit->is_guarded) BUG("a reduction inside a guarded expression");
  Reduction r;
  reduction_prepare(emit, &r, e, emit_level_of(emit, e));
  bool is_shared = emit->team && r.level == 0; // by the lanes of a row
  if (!is_shared) vectorise_last(ir, &r);

  // The loops stand at the level that the reduction depends on, however deep it was asked for.
  EmitLevel deeper[EMIT_LEVELS];
  memcpy(deeper, emit->level, sizeof deeper);
  int n_levels = emit->n_levels, memo_kept = emit->memo_kept;
  emit->n_levels = r.level + 1;
  emit->memo_kept = emit->n_memo;
  emit->levels = (IrMap){0};
  if (is_shared) cuda_team_reduce(emit, &r);
  else put_loops(emit, &r);
  for (int k = 0; k < r.n && !is_shared; k++) emit_remember(emit, r.whole[k], finish(emit, &r, k), r.level);
  emit->n_levels = n_levels;
  emit->memo_kept = memo_kept;
  emit->levels = (IrMap){0};
  // Where this level goes on after a loop that is still open is that loop's business.
  emit->level[r.level].after = deeper[r.level].after;
  for (int l = r.level + 1; l < n_levels; l++) emit->level[l] = deeper[l];
  return emit_recall(emit, e);
}
