// Flat kernels: one loop over whole buffers, whose text does not say how long they are.
#include "compiler/kernel/cuda/flat.h"

#include "compiler/kernel/cuda/team.h"
#include "compiler/kernel/group.h"
#include "runtime/kernel_abi.h"

enum { MOST_FLOATS = 1 << 30, A_BLOCK = CUDA_BLOCK * SG_ROW_FLOATS };

// ---- which

typedef struct Survey {
  const Map *map;
  const IrVar *var; // of the elements
} Survey;

static bool is_whole_buffer(const Map *map, const IrBuffer *buffer) {
  const Group *group = map->lower->group;
  for (int k = 0; k < group->n_ins; k++) {
    if (map->lower->in[k] == buffer) return storage_offset(group->ins[k]) % CUDA_QUAD == 0;
  }
  return false;
}

// A use of the element's number that is not "this element".
static bool is_elsewhere(const IrExpr *e, const void *context) {
  const Survey *s = context;
  if (e->kind == IR_REDUCE || e->kind == IR_SELECT) return true;
  for (int k = 0; k < e->n_args; k++) {
    const IrExpr *index = e->arg[k];
    if (index->type != IR_INDEX || !ir_uses(index, s->var)) continue;
    if (e->kind != IR_LOAD || index->kind != IR_REF || !is_whole_buffer(s->map, e->buffer)) return true;
  }
  return false;
}

static bool is_flat_value(const Map *map, const IrExpr *e, const IrVar *var) {
  Survey s = {map, var};
  return !ir_any(map->lower->ir, e, is_elsewhere, &s);
}

static int64_t elements_floats(const Map *map) {
  const Group *group = map->lower->group;
  if (map->n_loops != 1 || map->has_reductions || map->loop[0].n > MOST_FLOATS) return 0;
  for (int k = 0; k < group->n_outs; k++) {
    if (storage_offset(group->outs[k]) % CUDA_QUAD) return 0;
  }
  for (int k = 0; k < map->n_stores; k++) {
    const MapStore *store = &map->store[k];
    bool is_here = store->offset->kind == IR_REF && store->offset->var == map->loop[0].var;
    if (!is_here || !is_flat_value(map, store->value, map->loop[0].var)) return 0;
  }
  return map->loop[0].n;
}

// Announces the stores and gets the one set of reductions that they need; false where it is not one set.
static bool find_sums(Map *map, Emit *emit, IrStmt *body, Reduction *r) {
  emit_begin(emit, map->lower, body);
  for (int k = 0; k < map->n_stores; k++) emit_expect(emit, map->store[k].value);
  if (!emit->n_reductions) return false;
  reduction_prepare(emit, r, emit->reductions[0], 0);
  for (int k = 0; k < emit->n_reductions; k++) {
    bool is_known = false; // a member, or a link in its chain
    for (int i = 0; i < r->n; i++) {
      for (const IrExpr *e = r->whole[i]; e->kind == IR_REDUCE; e = e->arg[0])
        is_known = is_known || e == emit->reductions[k];
    }
    if (!is_known) return false;
  }
  return true;
}

static int64_t sums_floats(Map *map) {
  Emit emit;
  Reduction r;
  CudaReductions all = cuda_reductions(map);
  if (map->n_loops || !all.n || all.is_nested || all.is_guarded) return 0;
  if (!find_sums(map, &emit, ir_block(map->lower->ir, ARENA_ARRAY(map->lower->ir->arena, IrStmt, 1)), &r)) return 0;
  if (r.n_axes != 1 || r.axis[0].n > MOST_FLOATS) return 0;
  for (int k = 0; k < r.n; k++) {
    if (!is_flat_value(map, r.body[k], r.axis[0].var)) return 0;
  }
  return r.axis[0].n;
}

static bool is_scalar(const Map *map) { return !map->n_loops && !map->has_reductions; }

int64_t cuda_flat_floats(Map *map) {
  if (is_scalar(map)) return 1;
  return map->n_loops ? elements_floats(map) : sums_floats(map);
}

// ---- how

typedef struct Row {
  IrExpr *floats, *first; // of the row; the thread's first element
} Row;

static Row begin_row(Map *map, int64_t floats) {
  Ir *ir = map->lower->ir;
  IrFunction *function = ir->function;
  IrExpr *thread = ir_threads(ir, CUDA_BLOCK);
  function->has_rows = true;
  function->row_floats = ir_var(ir, IR_INDEX, "floats", 1, MOST_FLOATS);
  function->piece = ir_var(ir, IR_INDEX, "piece", 0, MOST_FLOATS / A_BLOCK - 1);
  function->n_tasks = ceil_div(floats, A_BLOCK);
  function->task->hi = MOST_FLOATS; // of all rows
  IrExpr *first = ir_add(ir, ir_scale(ir, ir_ref(ir, function->piece), A_BLOCK), ir_scale(ir, thread, SG_ROW_FLOATS));
  first = ir_ref(ir, ir_let(ir, function->body, "first", first));
  return (Row){ir_ref(ir, function->row_floats), first};
}

// Four elements at once, and one by one those at the end that are fewer. Returns both blocks.
static IrStmt *split(Ir *ir, IrStmt *body, const Row *row, IrStmt **out_rest) {
  IrStmt *choice = ir_if(ir, body, ir_less(ir, row->first, ir_offset(ir, row->floats, 1 - SG_ROW_FLOATS)));
  *out_rest = ir_else(ir, choice);
  return choice->body[0];
}

static void free_of_size(IrVar *var) {
  var->lo = 0;
  var->hi = MOST_FLOATS;
}

static void put_elements(Map *map, const Row *row) {
  Ir *ir = map->lower->ir;
  IrVar *var = map->loop[0].var;
  free_of_size(var);
  IrStmt *rest;
  IrStmt *whole = split(ir, ir->function->body, row, &rest);
  cuda_put_quad(map, whole, row->first);
  Emit emit;
  emit_begin(&emit, map->lower, rest);
  for (int k = 0; k < map->n_stores; k++) emit_expect(&emit, map->store[k].value);
  emit_open(&emit, var, row->first, row->floats, 1, IR_SERIAL);
  map->n_outer = map->n_loops;
  cuda_put_stores(&emit, map, false);
  emit_close(&emit);
}

// A row is one number.
static void put_scalars(Map *map, const Row *row) {
  Ir *ir = map->lower->ir;
  Emit emit;
  emit_begin(&emit, map->lower, ir_if(ir, ir->function->body, ir_equal(ir, row->first, ir_int(ir, 0)))->body[0]);
  for (int k = 0; k < map->n_stores; k++) emit_expect(&emit, map->store[k].value);
  cuda_put_stores(&emit, map, false);
}

// Sums of this block's elements, into partial[block], and the last block of the row adds those up.
static void put_sums(Map *map, const Row *row) {
  Ir *ir = map->lower->ir;
  IrFunction *function = ir->function;
  IrStmt *body = function->body, *rest;
  Emit emit;
  Reduction r;
  find_sums(map, &emit, body, &r);
  IrVar *var = r.axis[0].var, *lane = ir_var(ir, IR_INDEX, "lane", 0, CUDA_QUAD - 1);
  free_of_size(var);
  for (int k = 0; k < r.n; k++) r.sum[k] = reduction_accumulator(&emit, "sum", IR_FLOAT, r.whole[k]->op);
  IrStmt *whole = split(ir, emit_block(&emit), row, &rest);
  IrExpr **quad = arena_memdup(ir->arena, r.body, sizeof(IrExpr *) * (size_t)r.n);
  cuda_load_quads(map, whole, var, row->first, ir_ref(ir, lane), r.n, quad);
  for (int k = 0; k < 2; k++) {
    Emit inner;
    emit_begin(&inner, map->lower, k ? rest : whole);
    if (k) emit_open(&inner, var, row->first, row->floats, 1, IR_SERIAL);
    else emit_open(&inner, lane, ir_int(ir, 0), ir_int(ir, CUDA_QUAD), 1, IR_UNROLLED);
    reduction_accumulate(&inner, &r, k ? r.body : quad, r.sum);
    emit_close(&inner);
  }
  CudaPlan plan = {.rows = 1, .lanes = CUDA_BLOCK};
  Emit after;
  cuda_rows_join(&emit, &r, &plan, A_BLOCK, &after);
  IrStmt *before = ir_block(ir, emit_block(&after));
  IrExpr *is_first = ir_equal(ir, ir_ref(ir, function->thread), ir_int(ir, 0));
  emit_open_block(&after, before, ir_if(ir, emit_block(&after), is_first)->body[0]);
  cuda_put_stores(&after, map, false);
  emit_close(&after);
}

void cuda_put_flat(Map *map, int64_t floats) {
  Row row = begin_row(map, floats);
  if (is_scalar(map)) put_scalars(map, &row);
  else if (map->n_loops) put_elements(map, &row);
  else put_sums(map, &row);
}
