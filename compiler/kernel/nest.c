// Rewriting of expressions: merging two loop variables, and turning one into the lanes of vectors.
#include "compiler/kernel/nest.h"

// ---- merging

typedef struct Merge {
  Arena *arena;
  IrMap seen; // nodes found good
  const IrVar *a, *b;
  int64_t extent_b;
} Merge;

static bool can_merge(Merge *m, const IrExpr *e) {
  if (e->kind == IR_INT || e->kind == IR_NUMBER) return true;
  if (e->kind == IR_REF) return e->var != m->a && e->var != m->b;
  if (ir_map_get(&m->seen, e)) return true;
  if (e->kind == IR_SUM) {
    int64_t coef_a = 0, coef_b = 0;
    for (int k = 0; k < e->n_args; k++) {
      const IrExpr *term = e->arg[k];
      if (term->kind == IR_REF && term->var == m->a) coef_a = e->coef[k];
      else if (term->kind == IR_REF && term->var == m->b) coef_b = e->coef[k];
      else if (!can_merge(m, term)) return false;
    }
    if (coef_a != coef_b * m->extent_b) return false;
  } else {
    for (int k = 0; k < e->n_args; k++) {
      if (!can_merge(m, e->arg[k])) return false;
    }
  }
  ir_map_set(&m->seen, m->arena, e, m);
  return true;
}

bool nest_can_merge(Ir *ir, const IrExpr *e, const IrVar *a, const IrVar *b, int64_t extent_b) {
  Merge m = {.arena = ir->arena, .a = a, .b = b, .extent_b = extent_b};
  return can_merge(&m, e);
}

// ---- lanes

typedef struct Vectoriser {
  const Lanes *lanes;
  bool has_failed;
} Vectoriser;

static bool uses_lanes(const IrExpr *e, const Lanes *lanes) {
  return (lanes->lane && ir_uses(e, lanes->lane)) || (lanes->valid && ir_uses(e, lanes->valid));
}

bool nest_lane_stride(Ir *ir, IrExpr *offset, const Lanes *lanes, IrExpr **out_base, int64_t *out_stride,
                      bool *out_is_partial) {
  int64_t coef[2] = {0, 0};
  const IrVar *var[2] = {lanes->lane, lanes->valid};
  for (int k = 0; k < 2; k++) {
    if (!var[k]) continue;
    if (!ir_affine_in(offset, var[k], &coef[k])) return false;
  }
  if (coef[0] && coef[1]) return false;
  *out_base = offset;
  for (int k = 0; k < 2; k++) {
    if (coef[k]) *out_base = ir_substitute(ir, *out_base, var[k], ir_int(ir, 0));
  }
  *out_stride = coef[0] + coef[1];
  *out_is_partial = coef[1] != 0 && lanes->n_valid;
  return true;
}

// Whether as many neighbours in the table as a vector has lanes, wherever they begin, ascend by less than `span`.
static bool is_within(const IrBuffer *table, int64_t lanes, int64_t span) {
  for (int64_t i = 0; i + 1 < table->size; i++) {
    int64_t last = i + lanes <= table->size ? i + lanes - 1 : table->size - 1;
    if (table->values[i + 1] < table->values[i] || table->values[last] - table->values[i] >= (double)span) return false;
  }
  return true;
}

// The function that takes the lanes out of one or two vectors side by side, at less cost than a load for each of them;
// NULL where they do not lie so near. What it reads lies between elements that the table names, `out_end` behind them.
static const char *pick_near(const Ir *ir, const IrBuffer *table, int64_t *out_end) {
  static const char *const name[] = {"vpick_1", "vpick_2"};
  int64_t lanes = ir->target->vector;
  if (table->kind != IR_BUFFER_TABLE) return NULL;
  *out_end = (int64_t)table->values[table->size - 1] + 1;
  for (int k = 0; k < 2; k++) {
    int64_t span = (k + 1) * lanes;
    if (*out_end - (int64_t)table->values[0] >= span && is_within(table, lanes, span)) return name[k];
  }
  return NULL;
}

// A load whose index takes one term from a table of integers, at neighbouring places for the lanes; NULL otherwise.
static IrExpr *pick(Ir *ir, IrExpr *e, const Lanes *lanes) {
  IrExpr *index = e->arg[0], *chosen = NULL, *place;
  int64_t coef = 1, stride, end;
  bool is_partial;
  if (index->kind != IR_SUM) chosen = index;
  for (int k = 0; index->kind == IR_SUM && k < index->n_args; k++) {
    if (!uses_lanes(index->arg[k], lanes)) continue;
    if (chosen) return NULL;
    chosen = index->arg[k];
    coef = index->coef[k];
  }
  if (!chosen || chosen->kind != IR_LOAD ||
      !nest_lane_stride(ir, chosen->arg[0], lanes, &place, &stride, &is_partial) || stride != 1)
    return NULL;
  const char *near = coef == 1 && !is_partial ? pick_near(ir, chosen->buffer, &end) : NULL;
  IrExpr *base = ir_sub(ir, index, ir_scale(ir, chosen, coef));
  IrExpr *args[] = {ir_address(ir, e->buffer, base), ir_address(ir, chosen->buffer, place),
                    ir_int(ir, near ? end : coef), lanes->n_valid};
  if (near) return ir_call(ir, IR_VECTOR, near, 3, args);
  return is_partial ? ir_call(ir, IR_VECTOR, "vpick_n", 4, args) : ir_call(ir, IR_VECTOR, "vpick", 3, args);
}

static IrExpr *vectorise_leaf(void *context, Ir *ir, IrExpr *e) {
  Vectoriser *v = context;
  IrExpr *base;
  int64_t stride;
  bool is_partial;
  if (e->kind == IR_REF || e->kind == IR_INT || e->kind == IR_NUMBER) {
    if (e->kind == IR_REF && uses_lanes(e, v->lanes)) v->has_failed = true;
    return e;
  }
  if (e->type == IR_INDEX) {
    if (uses_lanes(e, v->lanes)) v->has_failed = true;
    return e;
  }
  if (e->kind == IR_LOAD || (e->kind == IR_CONVERT && e->arg[0]->type == IR_INDEX)) {
    if (!uses_lanes(e->arg[0], v->lanes)) return e;
    if (e->type != IR_FLOAT || !nest_lane_stride(ir, e->arg[0], v->lanes, &base, &stride, &is_partial)) {
      IrExpr *picked = e->kind == IR_LOAD && e->type == IR_FLOAT ? pick(ir, e, v->lanes) : NULL;
      v->has_failed = v->has_failed || !picked;
      return picked ? picked : e;
    }
    if (e->kind == IR_LOAD) return ir_gather(ir, e->buffer, base, stride, is_partial ? v->lanes->n_valid : NULL);
    IrExpr *step = ir_op2(ir, OP_mul, ir_lane_id(ir), ir_number(ir, (double)stride));
    return ir_op2(ir, OP_add, ir_convert(ir, IR_FLOAT, base), stride == 1 ? ir_lane_id(ir) : step);
  }
  if (e->kind == IR_LOAD_N || e->kind == IR_GATHER || e->kind == IR_ADDRESS || e->kind == IR_LANES) {
    if (uses_lanes(e, v->lanes)) v->has_failed = true;
    return e;
  }
  return NULL;
}

bool nest_vectorise(Ir *ir, int n, IrExpr **e, const Lanes *lanes) {
  Vectoriser v = {.lanes = lanes};
  ir_rewrite_all(ir, n, e, vectorise_leaf, &v);
  return !v.has_failed;
}

void nest_scalar_channel(Lower *lower, int n, IrExpr **e, const ChannelVar *channel) {
  Ir *ir = lower->ir;
  IrExpr *position = lower_position(lower, channel->layout, ir_ref(ir, channel->var));
  ir_substitute_all(ir, n, e, channel->block, ir_div(ir, position, channel->layout->block));
  ir_substitute_all(ir, n, e, channel->lane, ir_mod(ir, position, channel->layout->block));
}

IrExpr *nest_scalar_channels(Lower *lower, IrExpr *e) {
  for (int k = 0; k < lower->n_channels; k++) nest_scalar_channel(lower, 1, &e, &lower->channels[k]);
  return e;
}
