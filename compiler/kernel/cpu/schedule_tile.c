// Reductions over far elements. One result at a time would touch one cache line in each of hundreds of places that
// often share a cache set; a tile reads a run of neighbours at each place, and keeps running results in arrays.
#include "compiler/kernel/cpu/schedule_tile.h"

#include <string.h>

#include "compiler/kernel/emit_reduce.h"

enum {
  FAR = 512,          // floats between elements
  MANY = 16,          // elements
  MOST_ADDED = 512,   // additions to one float
  TOGETHER = 4,       // elements between a load of the running results and their store
  TILE_FLOATS = 16384 // of each operand, to stay in the second cache from pass to pass
};

// ---- whether

typedef struct Survey {
  Map *map;
  const IrVar *turn; // of the tile
  IrMap seen;
  bool is_good, is_entangled;
  int64_t most; // elements of the longest reduction
} Survey;

static int64_t coefficient(const IrExpr *index, const IrVar *var) {
  int64_t coef;
  return ir_affine_in(index, var, &coef) ? coef : 0;
}

typedef struct Strides {
  const IrVar *turn, *element, *block;
  int64_t width;
} Strides;

// A load of neighbours for neighbouring turns, far apart for neighbouring elements.
static bool is_far_load(const IrExpr *e, const void *context) {
  const Strides *s = context;
  if (e->kind != IR_LOAD || e->type == IR_INDEX) return false;
  int64_t turn = coefficient(e->arg[0], s->turn), element = coefficient(e->arg[0], s->element);
  if (s->block && !element) element = coefficient(e->arg[0], s->block);
  return turn > 0 && turn <= s->width && element >= FAR;
}

static bool is_reference(const IrExpr *e, const void *var) { return e->kind == IR_REF && e->var == var; }

typedef struct Binding {
  Ir *ir;
  const IrVar *var;
  const ChannelVar *channel; // or NULL
} Binding;

static bool is_bound(const IrExpr *e, const void *context) {
  const Binding *b = context;
  return e->kind == IR_REF &&
         (e->var == b->var || (b->channel && (e->var == b->channel->block || e->var == b->channel->lane)));
}

static bool is_reduction_of_bound(const IrExpr *e, const void *context) {
  const Binding *b = context;
  return e->kind == IR_REDUCE && ir_any(b->ir, e, is_bound, b);
}

// Whether a reduction inside e, other than those that make up one chain with it, depends on a variable of the chain.
static bool is_entangled(const Map *map, const IrExpr *e) {
  const IrExpr *body = e;
  while (body->kind == IR_REDUCE && body->op == e->op) body = body->arg[0];
  for (; e != body; e = e->arg[0]) {
    Binding b = {map->lower->ir, e->var, lower_channel(map->lower, e->var)};
    if (ir_any(b.ir, body, is_reduction_of_bound, &b)) return true;
  }
  return false;
}

static void survey(Survey *s, const IrExpr *e, int64_t n_around) {
  Ir *ir = s->map->lower->ir;
  if (e->n_args == 0 || e->type == IR_INDEX || ir_map_get(&s->seen, e)) return;
  ir_map_set(&s->seen, ir->arena, e, s);
  if (e->kind == IR_REDUCE) {
    int64_t n = n_around * e->i;
    const ChannelVar *channel = lower_channel(s->map->lower, e->var);
    Strides strides = {s->turn, e->var, channel ? channel->block : NULL, ir->target->vector};
    bool depends = ir_any(ir, e, is_reference, s->turn);
    s->is_entangled = s->is_entangled || is_entangled(s->map, e);
    if (depends && n > s->most) s->most = n;
    if (depends && e->arg[0]->kind != IR_REDUCE && ir_any(ir, e, is_far_load, &strides)) s->is_good = true;
    n_around = e->arg[0]->kind == IR_REDUCE && e->arg[0]->op == e->op ? n : 1;
  } else {
    n_around = 1;
  }
  for (int k = 0; k < e->n_args; k++) survey(s, e->arg[k], n_around);
}

int64_t tile_turns(Map *map, int loop) {
  Ir *ir = map->lower->ir;
  if (!map->has_reductions || map->tail || loop < 0) return 0;
  Survey s = {.map = map, .turn = map->loop[loop].var};
  for (int k = 0; k < map->n_stores; k++) survey(&s, map->store[k].value, 1);
  if (!s.is_good || s.is_entangled || s.most < MANY || s.most > MOST_ADDED) return 0;
  int64_t step = loop == map->stepped ? ir->target->vector : 1, n_turns = map->loop[loop].n / step;
  int64_t turns = TILE_FLOATS / s.most / step;
  if (turns < 16) turns = 16;
  return n_turns >= 2 * turns ? turns : 0;
}

// ---- how

typedef struct Done {
  int n, cap;
  const IrExpr **reduction;
  IrExpr **by;
} Done;

typedef struct Tiler {
  Emit *emit;
  Map *map;
  IrVar *turn;
  int64_t step, turns;
  IrExpr *begin, *end;
  Done done;
  IrMap seen;
} Tiler;

static IrExpr *done_leaf(void *context, Ir *ir, IrExpr *e) {
  (void)ir;
  const Done *done = context;
  for (int k = 0; k < done->n; k++) {
    if (done->reduction[k] == e) return done->by[k];
  }
  return NULL;
}

static void open_turns(Tiler *t) { emit_open(t->emit, t->turn, t->begin, t->end, t->step, IR_SERIAL); }

// Where the turn's result stands in an array with `width` floats a turn.
static IrExpr *place(Tiler *t, int64_t width) {
  Ir *ir = t->emit->ir;
  IrExpr *at = ir_sub(ir, ir_ref(ir, t->turn), t->begin);
  return t->step > 1 ? at : ir_scale(ir, at, width);
}

static IrExpr *result_load(Tiler *t, const IrBuffer *buffer, IrType type) {
  Ir *ir = t->emit->ir;
  if (type == IR_VECTOR) return ir_vload(ir, buffer, place(t, ir->target->vector));
  return ir_load(ir, buffer, place(t, 1));
}

// Several elements of the last axis for one turn of its loop, those of the same place together. Returns their number.
static int take_together(Ir *ir, Reduction *r, IrExpr **out_element) {
  Axis *last = &r->axis[r->n_axes - 1];
  int step = TOGETHER;
  while (last->n % step) step--;
  IrVar *var = ir_var(ir, IR_INDEX, last->var->name, 0, last->n - step);
  for (int k = 0; k < step; k++) {
    memcpy(out_element + k * r->n, r->body, sizeof(IrExpr *) * (size_t)r->n);
    ir_substitute_all(ir, r->n, out_element + k * r->n, last->var, ir_offset(ir, ir_ref(ir, var), k));
  }
  last->var = var;
  return step * r->n;
}

static void put_reductions(Tiler *t, IrExpr *first) {
  Emit *emit = t->emit;
  Ir *ir = emit->ir;
  Reduction r;
  reduction_prepare(emit, &r, first, emit->n_levels - 1);
  int64_t width = r.body[0]->type == IR_VECTOR ? ir->target->vector : 1;
  IrBuffer *result[MAX_TOGETHER];
  open_turns(t);
  for (int k = 0; k < r.n; k++) {
    Op op = r.whole[k]->op;
    result[k] = ir_stack(ir, op == OP_add ? "sums" : "maxima", t->turns * (t->step > 1 ? t->step : width));
    IrExpr *start = ir_number(ir, reduction_identity(op));
    ir_store(ir, emit_block(emit), result[k], place(t, width), width > 1 ? ir_splat(ir, start) : start);
  }
  emit_close(emit);
  IrExpr *element[TOGETHER * MAX_TOGETHER];
  int n = take_together(ir, &r, element), step = n / r.n;
  for (int a = 0; a < r.n_axes; a++)
    emit_open(emit, r.axis[a].var, ir_int(ir, 0), ir_int(ir, r.axis[a].n), a == r.n_axes - 1 ? step : 1, IR_SERIAL);
  open_turns(t);
  ir_rewrite_all(ir, n, element, done_leaf, &t->done);
  for (int k = 0; k < n; k++) emit_expect(emit, element[k]);
  IrExpr *sum[MAX_TOGETHER];
  for (int k = 0; k < n; k++) {
    IrExpr *old = k < r.n ? result_load(t, result[k], element[k]->type) : sum[k % r.n];
    sum[k % r.n] = ir_op2(ir, r.whole[k % r.n]->op, old, emit_value(emit, element[k]));
  }
  for (int k = 0; k < r.n; k++) ir_store(ir, emit_block(emit), result[k], place(t, width), sum[k]);
  emit_close(emit);
  for (int a = 0; a < r.n_axes; a++) emit_close(emit);
  if (r.is_across) {
    open_turns(t);
    for (int k = 0; k < r.n; k++) {
      IrExpr *lanes = result_load(t, result[k], IR_VECTOR);
      result[k] = ir_stack(ir, r.whole[k]->label ? r.whole[k]->label : "totals", t->turns);
      ir_store(ir, emit_block(emit), result[k], place(t, 1),
               ir_lanes(ir, r.whole[k]->op, lanes, ir_int(ir, ir->target->vector)));
    }
    emit_close(emit);
  }
  for (int k = 0; k < r.n; k++) {
    Done *done = &t->done;
    int n = done->n, cap = done->cap;
    ARENA_PUSH(ir->arena, done->reduction, n, cap, r.whole[k]);
    ARENA_PUSH(ir->arena, done->by, done->n, done->cap, result_load(t, result[k], r.whole[k]->type));
    // Companions are known from here on, as if a variable held them.
    emit_remember(emit, r.whole[k], done->by[done->n - 1], emit->n_levels - 1);
  }
}

// Inner ones first.
static void visit(Tiler *t, IrExpr *e) {
  Ir *ir = t->emit->ir;
  if (e->n_args == 0 || e->type == IR_INDEX || ir_map_get(&t->seen, e)) return;
  ir_map_set(&t->seen, ir->arena, e, t);
  for (int k = 0; k < e->n_args; k++) {
    IrExpr *inner = e->arg[k];
    while (e->kind == IR_REDUCE && inner->kind == IR_REDUCE && inner->op == e->op) inner = inner->arg[0];
    visit(t, inner);
  }
  if (e->kind != IR_REDUCE || !ir_any(ir, e, is_reference, t->turn) || done_leaf(&t->done, ir, e)) return;
  put_reductions(t, e);
}

MapStore *tile_reductions(Emit *emit, Map *map, int loop, int64_t turns, IrExpr *begin, IrExpr *end) {
  Ir *ir = emit->ir;
  Tiler t = {.emit = emit,
             .map = map,
             .turn = map->loop[loop].var,
             .step = loop == map->stepped ? ir->target->vector : 1,
             .turns = turns,
             .begin = begin,
             .end = end};
  MapStore *stores = arena_memdup(ir->arena, map->store, sizeof(MapStore) * (size_t)map->n_stores);
  IrExpr **value = ARENA_ARRAY(ir->arena, IrExpr *, map->n_stores);
  for (int k = 0; k < map->n_stores; k++) {
    visit(&t, stores[k].value);
    value[k] = stores[k].value;
  }
  ir_rewrite_all(ir, map->n_stores, value, done_leaf, &t.done);
  for (int k = 0; k < map->n_stores; k++) stores[k].value = value[k];
  return stores;
}
