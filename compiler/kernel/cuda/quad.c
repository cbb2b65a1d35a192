// Four neighbours a thread: whole quads are loaded and stored at once.
#include "compiler/kernel/cuda/map.h"

#include "compiler/kernel/group.h"

// ---- whether

typedef struct Survey {
  const Map *map;
  const IrVar *var; // of the last loop
  IrMap seen;
  bool can;
} Survey;

// Whether the index is a multiple of four for every turn that is one. (Of what is no sum of known multiples nothing is
// known.)
static bool is_quad_index(const IrExpr *index, const IrVar *var) {
  if (index->kind == IR_INT) return index->i % CUDA_QUAD == 0;
  if (index->kind == IR_REF) return index->var == var;
  if (index->kind != IR_SUM || index->i % CUDA_QUAD) return false;
  for (int k = 0; k < index->n_args; k++) {
    bool is_own = index->arg[k]->kind == IR_REF && index->arg[k]->var == var;
    if (is_own ? index->coef[k] != 1 : index->coef[k] % CUDA_QUAD != 0) return false;
  }
  return true;
}

static bool is_aligned(const Map *map, const IrBuffer *buffer) {
  const Group *group = map->lower->group;
  for (int k = 0; k < group->n_ins; k++) {
    if (map->lower->in[k] == buffer) return storage_offset(group->ins[k]) % CUDA_QUAD == 0;
  }
  for (int k = 0; k < group->n_outs; k++) {
    if (map->lower->out[k] == buffer) return storage_offset(group->outs[k]) % CUDA_QUAD == 0;
  }
  return false;
}

static bool is_quad_access(const Map *map, const IrBuffer *buffer, const IrExpr *index, const IrVar *var) {
  int64_t coef;
  return ir_affine_in(index, var, &coef) && coef == 1 && is_quad_index(index, var) && is_aligned(map, buffer);
}

static void survey(Survey *s, const IrExpr *e) {
  if (!s->can || e->n_args == 0 || ir_map_get(&s->seen, e)) return;
  ir_map_set(&s->seen, s->map->lower->ir->arena, e, s);
  if (e->kind == IR_REDUCE) s->can = false;
  if (e->kind == IR_LOAD && ir_uses(e->arg[0], s->var) && !is_quad_access(s->map, e->buffer, e->arg[0], s->var))
    s->can = false;
  if (e->kind == IR_SELECT && ir_uses(e, s->var)) s->can = false; // what it guards may not be loaded
  for (int k = 0; k < e->n_args; k++) survey(s, e->arg[k]);
}

bool cuda_can_quad(Map *map) {
  if (map->n_loops == 0 || map->has_reductions) return false;
  const MapLoop *last = &map->loop[map->n_loops - 1];
  Survey s = {.map = map, .var = last->var, .can = last->n % CUDA_QUAD == 0};
  for (int k = 0; k < map->n_stores && s.can; k++) {
    s.can = is_quad_access(map, map->store[k].buffer, map->store[k].offset, last->var);
    survey(&s, map->store[k].value);
  }
  return s.can;
}

// ---- how

typedef struct Quads {
  Map *map;
  IrStmt *body;
  const IrVar *var;
  IrExpr *first, *lane; // the quad's first turn, the number within it
  int n, cap;
  struct Quad {
    const IrBuffer *from;
    IrExpr *index;
    const IrBuffer *quad;
  } * list;
} Quads;

static const IrBuffer *quad_of(Quads *q, const IrBuffer *buffer, IrExpr *index) {
  Ir *ir = q->map->lower->ir;
  for (int k = 0; k < q->n; k++) {
    if (q->list[k].from == buffer && ir_same(q->list[k].index, index)) return q->list[k].quad;
  }
  struct Quad quad = {buffer, index, ir_stack(ir, buffer->name, CUDA_QUAD)};
  ARENA_PUSH(ir->arena, q->list, q->n, q->cap, quad);
  IrExpr *args[] = {ir_address(ir, quad.quad, ir_int(ir, 0)),
                    ir_address(ir, buffer, ir_substitute(ir, index, q->var, q->first))};
  ir_do(ir, q->body, "load_quad", 2, args);
  return quad.quad;
}

static IrExpr *quad_leaf(void *context, Ir *ir, IrExpr *e) {
  Quads *q = context;
  if (e->kind == IR_REF && e->var == q->var) return ir_add(ir, q->first, q->lane);
  if (e->kind != IR_LOAD || !ir_uses(e->arg[0], q->var)) return NULL;
  return ir_load(ir, quad_of(q, e->buffer, e->arg[0]), q->lane);
}

void cuda_load_quads(Map *map, IrStmt *body, const IrVar *var, IrExpr *first, IrExpr *lane, int n, IrExpr **value) {
  Quads q = {.map = map, .body = body, .var = var, .first = first, .lane = lane};
  ir_rewrite_all(map->lower->ir, n, value, quad_leaf, &q);
}

void cuda_put_quad(Map *map, IrStmt *body, IrExpr *first) {
  Ir *ir = map->lower->ir;
  const IrVar *var = map->loop[map->n_loops - 1].var;
  IrVar *lane = ir_var(ir, IR_INDEX, "lane", 0, CUDA_QUAD - 1);
  IrExpr **value = ARENA_ARRAY(ir->arena, IrExpr *, map->n_stores);
  for (int k = 0; k < map->n_stores; k++) value[k] = map->store[k].value;
  cuda_load_quads(map, body, var, first, ir_ref(ir, lane), map->n_stores, value);
  const IrBuffer **result = ARENA_ARRAY(ir->arena, const IrBuffer *, map->n_stores);
  Emit emit;
  emit_begin(&emit, map->lower, body);
  for (int k = 0; k < map->n_stores; k++) emit_expect(&emit, value[k]);
  emit_open(&emit, lane, ir_int(ir, 0), ir_int(ir, CUDA_QUAD), 1, IR_UNROLLED);
  for (int k = 0; k < map->n_stores; k++) {
    result[k] = ir_stack(ir, map->store[k].buffer->name, CUDA_QUAD);
    ir_store(ir, emit_block(&emit), result[k], ir_ref(ir, lane), emit_value(&emit, value[k]));
  }
  emit_close(&emit);
  for (int k = 0; k < map->n_stores; k++) {
    IrExpr *args[] = {ir_address(ir, map->store[k].buffer, ir_substitute(ir, map->store[k].offset, var, first)),
                      ir_address(ir, result[k], ir_int(ir, 0))};
    ir_do(ir, emit_block(&emit), "store_quad", 2, args);
  }
}

void cuda_put_quads(Map *map, IrStmt *body, IrExpr *thread) {
  Ir *ir = map->lower->ir;
  MapLoop loop[MAP_LOOPS];
  int n = map->n_loops;
  for (int k = 0; k < n; k++) loop[k] = map->loop[k];
  int64_t quads = loop[n - 1].n / CUDA_QUAD;
  loop[n - 1] = (MapLoop){ir_var(ir, IR_INDEX, "quad", 0, quads - 1), quads, 1};
  cuda_let_loops(ir, body, loop, 0, n, thread);
  cuda_put_quad(map, body, ir_scale(ir, ir_ref(ir, loop[n - 1].var), CUDA_QUAD));
}
