// Emitting values: placement at the outermost loop that they depend on, and variables for what is shared.
#include "compiler/kernel/emit.h"

#include "runtime/base/status.h"

void emit_begin(Emit *emit, Lower *lower, IrStmt *body) {
  *emit = (Emit){.lower = lower, .ir = lower->ir, .n_levels = 1};
  emit->level[0] = (EmitLevel){.pre = ir_block(lower->ir, body)};
}

static void expect(Emit *emit, IrExpr *e, bool is_guarded) {
  intptr_t n = (intptr_t)ir_map_get(&emit->uses, e);
  ir_map_set(&emit->uses, emit->ir->arena, e, (void *)(n + 1));
  if (n) return;
  if (e->kind == IR_REDUCE && !is_guarded)
    ARENA_PUSH(emit->ir->arena, emit->reductions, emit->n_reductions, emit->cap_reductions, e);
  for (int k = 0; k < e->n_args; k++) expect(emit, e->arg[k], is_guarded || e->kind == IR_SELECT);
}

void emit_expect(Emit *emit, IrExpr *e) { expect(emit, e, false); }

// ---- loops

static void forget_levels(Emit *emit) { emit->levels = (IrMap){0}; }

static EmitLevel *push(Emit *emit, IrVar *var, IrStmt *body) {
  if (emit->n_levels == EMIT_LEVELS) BUG("loops nested deeper than %d", EMIT_LEVELS);
  EmitLevel *level = &emit->level[emit->n_levels++];
  *level = (EmitLevel){.var = var, .pre = ir_block(emit->ir, body)};
  forget_levels(emit);
  return level;
}

void emit_open(Emit *emit, IrVar *var, IrExpr *begin, IrExpr *end, int64_t step, IrLoop loop) {
  EmitLevel *outer = &emit->level[emit->n_levels - 1];
  IrStmt *after = outer->pre, *before = ir_block(emit->ir, after);
  IrStmt *body = ir_for(emit->ir, after, var, begin, end, step, loop);
  outer->pre = before;
  outer->after = after;
  push(emit, var, body);
}

void emit_open_block(Emit *emit, IrStmt *before, IrStmt *block) {
  EmitLevel *outer = &emit->level[emit->n_levels - 1];
  outer->after = outer->pre;
  outer->pre = before;
  push(emit, NULL, block);
}

void emit_close(Emit *emit) {
  int closed = --emit->n_levels;
  emit->level[closed - 1].pre = emit->level[closed - 1].after;
  int n = emit->memo_kept;
  for (int k = n; k < emit->n_memo; k++) {
    if (emit->memo[k].level < closed) emit->memo[n++] = emit->memo[k];
  }
  emit->n_memo = n;
  forget_levels(emit);
}

IrStmt *emit_block(Emit *emit) { return emit->level[emit->n_levels - 1].pre; }

// ---- levels

static int find_level(const Emit *emit, const IrVar *var) {
  for (int k = emit->n_levels - 1; k > 0; k--) {
    if (emit->level[k].var == var) return k;
  }
  return 0;
}

int emit_level_of(Emit *emit, const IrExpr *e) {
  if (e->kind == IR_REF) {
    int level = find_level(emit, e->var);
    return level < emit->floor ? emit->floor : level;
  }
  intptr_t known = (intptr_t)ir_map_get(&emit->levels, e);
  if (known) return (int)known - 1;
  int level = emit->floor;
  for (int k = 0; k < e->n_args; k++) {
    int own = emit_level_of(emit, e->arg[k]);
    if (own > level) level = own;
  }
  ir_map_set(&emit->levels, emit->ir->arena, e, (void *)(intptr_t)(level + 1));
  return level;
}

// ---- variables

void emit_remember(Emit *emit, const IrExpr *e, IrExpr *value, int level) {
  ARENA_PUSH(emit->ir->arena, emit->memo, emit->n_memo, emit->cap_memo, ((EmitMemo){e, value, level}));
}

IrExpr *emit_recall(const Emit *emit, const IrExpr *e) {
  for (int k = emit->n_memo - 1; k >= 0; k--) {
    if (emit->memo[k].key == e) return emit->memo[k].value;
  }
  return NULL;
}

// ---- values

static IrExpr *value(Emit *emit, IrExpr *e, int at);

static IrExpr *index_leaf(void *context, Ir *ir, IrExpr *e) {
  (void)ir;
  Emit *emit = context;
  return e->kind == IR_CONVERT ? value(emit, e, emit->n_levels - 1) : NULL;
}

// An index; values converted to one get variables.
static IrExpr *index_value(Emit *emit, IrExpr *e) { return ir_rewrite(emit->ir, e, index_leaf, emit); }

static bool is_reduction(const IrExpr *e, const void *unused) {
  (void)unused;
  return e->kind == IR_REDUCE;
}

// if (condition) with statements in its branches, where ?: does not do.
static IrExpr *branch(Emit *emit, IrExpr *e) {
  Ir *ir = emit->ir;
  int level = emit->n_levels - 1;
  IrExpr *nothing = ir_number(ir, 0);
  IrStmt *before = ir_block(ir, emit_block(emit));
  IrVar *var = ir_mutable(ir, emit_block(emit), "chosen", e->type == IR_VECTOR ? ir_splat(ir, nothing) : nothing);
  IrStmt *choice = ir_if(ir, emit_block(emit), index_value(emit, e->arg[0]));
  int floor = emit->floor;
  for (int k = 0; k < 2; k++) {
    emit_open_block(emit, before, k ? ir_else(ir, choice) : choice->body[0]);
    emit->floor = emit->n_levels - 1;
    forget_levels(emit);
    IrExpr *chosen = value(emit, e->arg[1 + k], emit->n_levels - 1);
    ir_assign(ir, emit_block(emit), var, chosen);
    emit_close(emit);
  }
  emit->floor = floor;
  forget_levels(emit);
  emit_remember(emit, e, ir_ref(ir, var), level);
  return ir_ref(ir, var);
}

static IrExpr *with_args(Ir *ir, const IrExpr *e, IrExpr **arg) {
  IrExpr *copy = ir_node(ir, e->kind, e->type, e->n_args);
  *copy = *e;
  copy->arg = arg;
  return copy;
}

static bool is_plain(const IrExpr *e) {
  return e->kind == IR_INT || e->kind == IR_NUMBER || e->kind == IR_REF || e->kind == IR_LANE_ID ||
         (e->kind == IR_SPLAT && (e->arg[0]->kind == IR_NUMBER || e->arg[0]->kind == IR_REF));
}

static IrExpr *value(Emit *emit, IrExpr *e, int at) {
  Ir *ir = emit->ir;
  if (is_plain(e)) return e;
  if (e->type == IR_INDEX && e->kind != IR_CONVERT) return index_value(emit, e);
  IrExpr *known = emit_recall(emit, e);
  if (known) return known;
  if (e->kind == IR_REDUCE) return emit_reduction(emit, e);
  if (e->kind == IR_SELECT && !emit->is_guarded && ir_any(ir, e, is_reduction, NULL)) return branch(emit, e);
  int own = emit_level_of(emit, e);
  bool was_guarded = emit->is_guarded;
  IrExpr **arg = e->n_args ? ARENA_ARRAY(ir->arena, IrExpr *, e->n_args) : NULL;
  for (int k = 0; k < e->n_args; k++) {
    emit->is_guarded = was_guarded || (e->kind == IR_SELECT && k > 0);
    arg[k] = value(emit, e->arg[k], own);
  }
  emit->is_guarded = was_guarded;
  IrExpr *result = with_args(ir, e, arg);
  bool is_shared = (intptr_t)ir_map_get(&emit->uses, e) > 1;
  if (was_guarded || !(is_shared || own < at || e->label) || is_plain(result)) return result;
  const char *name = e->label ? e->label : e->buffer ? e->buffer->name : e->type == IR_INDEX ? "at" : "t";
  IrExpr *variable = ir_ref(ir, ir_let(ir, emit->level[own].pre, name, result));
  emit_remember(emit, e, variable, own);
  return variable;
}

IrExpr *emit_value(Emit *emit, IrExpr *e) { return value(emit, e, emit->n_levels - 1); }
