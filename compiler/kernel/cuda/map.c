// The generic schedule on CUDA: nests of blocks and threads.
#include "compiler/kernel/cuda/map.h"

#include "compiler/kernel/cuda/flat.h"
#include "compiler/kernel/cuda/resize_grad.h"
#include "compiler/kernel/cuda/team.h"

void cuda_let_loops(Ir *ir, IrStmt *body, MapLoop *loops, int from, int to, IrExpr *turn) {
  for (int k = to - 1; k >= from; k--) {
    bool is_first = k == from;
    ir_let_as(ir, body, loops[k].var, is_first ? turn : ir_mod(ir, turn, loops[k].n));
    turn = is_first ? turn : ir_div(ir, turn, loops[k].n);
  }
}

// Whether the store belongs to the row as a whole: no inner loop occurs in it.
static bool is_of_row(const Map *map, const MapStore *store) {
  return map->n_outer < map->n_loops && !cuda_uses_loops(map, store->offset, map->n_outer, map->n_loops);
}

static int count_of_row(const Map *map) {
  int n = 0;
  for (int k = 0; k < map->n_stores; k++) n += is_of_row(map, &map->store[k]);
  return n;
}

// The stores of the row, or those of its elements. All values before all stores: a result may stand where an operand
// stood.
void cuda_put_stores(Emit *emit, const Map *map, bool of_row) {
  Ir *ir = emit->ir;
  IrExpr **value = ARENA_ARRAY(ir->arena, IrExpr *, map->n_stores);
  for (int k = 0; k < map->n_stores; k++) {
    if (is_of_row(map, &map->store[k]) != of_row) continue;
    value[k] = emit_value(emit, map->store[k].value);
    if (map->n_stores > 1 && value[k]->kind != IR_REF && value[k]->kind != IR_NUMBER)
      value[k] = ir_ref(ir, ir_let(ir, emit_block(emit), map->store[k].buffer->name, value[k]));
  }
  for (int k = 0; k < map->n_stores; k++) {
    if (value[k]) ir_store(ir, emit_block(emit), map->store[k].buffer, map->store[k].offset, value[k]);
  }
}

static IrStmt *guarded(Ir *ir, IrStmt *body, IrExpr *condition) {
  return ir_is_int(condition, 1) ? body : ir_if(ir, body, condition)->body[0];
}

// A thread a row: the row's reductions and elements in loops.
static void put_rows_of_threads(Map *map, const CudaPlan *plan, IrStmt *body, IrExpr *turn) {
  Ir *ir = map->lower->ir;
  body = guarded(ir, body, ir_less(ir, turn, ir_int(ir, plan->n_rows)));
  if (plan->is_quad) {
    cuda_put_quads(map, body, turn);
    return;
  }
  if (map->n_outer) cuda_let_loops(ir, body, map->loop, 0, map->n_outer, turn);
  Emit emit;
  emit_begin(&emit, map->lower, body);
  for (int k = 0; k < map->n_stores; k++) emit_expect(&emit, map->store[k].value);
  cuda_put_stores(&emit, map, true);
  for (int k = map->n_outer; k < map->n_loops; k++)
    emit_open(&emit, map->loop[k].var, ir_int(ir, 0), ir_int(ir, map->loop[k].n), 1, IR_SERIAL);
  cuda_put_stores(&emit, map, false);
  for (int k = map->n_outer; k < map->n_loops; k++) emit_close(&emit);
}

// ---- rows of lanes

// The number of the row and of the lane within it.
static void find_lane(const CudaPlan *plan, IrStmt *body, Ir *ir, IrExpr *block, CudaTeam *team) {
  IrExpr *thread = ir_ref(ir, ir->function->thread);
  int rows = plan->rows, lanes = plan->lanes;
  bool is_row_fast = plan->is_row_fast;
  IrExpr *lane = is_row_fast ? ir_div(ir, thread, rows) : ir_mod(ir, thread, lanes);
  IrExpr *own = is_row_fast ? ir_mod(ir, thread, rows) : ir_div(ir, thread, lanes);
  *team = (CudaTeam){.plan = plan, .group = block, .part = ir_int(ir, 0)};
  if (plan->parts > 1) {
    team->part = ir_ref(ir, ir_let(ir, body, "part", ir_mod(ir, block, plan->parts)));
    team->group = ir_div(ir, block, plan->parts);
  }
  team->lane = lane->kind == IR_REF ? lane : ir_ref(ir, ir_let(ir, body, "lane", lane));
  IrExpr *row = ir_add(ir, ir_scale(ir, team->group, rows), own);
  team->row = row->kind == IR_REF || row->kind == IR_INT ? row : ir_ref(ir, ir_let(ir, body, "row", row));
}

// One variable for all inner loops.
static IrVar *flatten_inner(Map *map, const CudaPlan *plan) {
  Ir *ir = map->lower->ir;
  if (map->n_loops - map->n_outer == 1) return map->loop[map->n_outer].var;
  IrVar *var = ir_var(ir, IR_INDEX, "i", 0, plan->n_inner - 1);
  IrExpr *rest = ir_ref(ir, var);
  for (int k = map->n_loops - 1; k >= map->n_outer; k--) {
    const MapLoop *loop = &map->loop[k];
    map_substitute(map, loop->var, k > map->n_outer ? ir_mod(ir, rest, loop->n) : rest);
    rest = ir_div(ir, rest, loop->n);
  }
  map->loop[map->n_outer] = (MapLoop){var, plan->n_inner, 1};
  map->n_loops = map->n_outer + 1;
  return var;
}

// What one lane does for its row.
static void put_row(Emit *emit, Map *map, const CudaTeam *team, bool of_row) {
  Ir *ir = emit->ir;
  IrExpr *is_mine =
      ir_and(ir, ir_equal(ir, team->lane, ir_int(ir, 0)), ir_less(ir, team->row, ir_int(ir, team->plan->n_rows)));
  IrStmt *before = ir_block(ir, emit_block(emit));
  emit_open_block(emit, before, guarded(ir, emit_block(emit), is_mine));
  cuda_put_stores(emit, map, of_row);
  emit_close(emit);
}

// The row's elements by its lanes. What they need of the whole row is computed before, by all threads.
static void put_elements(Emit *emit, Map *map, const CudaTeam *team) {
  Ir *ir = emit->ir;
  const CudaPlan *plan = team->plan;
  IrVar *inner = plan->n_inner > 1 ? flatten_inner(map, plan) : NULL;
  for (int k = 0; k < map->n_stores; k++) emit_expect(emit, map->store[k].value);
  if (!inner) {
    put_row(emit, map, team, false);
    return;
  }
  if (count_of_row(map)) put_row(emit, map, team, true);
  IrStmt *before = ir_block(ir, emit_block(emit));
  emit_open_block(emit, before, guarded(ir, emit_block(emit), ir_less(ir, team->row, ir_int(ir, plan->n_rows))));
  emit_open(emit, inner, team->lane, ir_int(ir, plan->n_inner), plan->lanes, IR_SERIAL);
  cuda_put_stores(emit, map, false);
  emit_close(emit);
  emit_close(emit);
}

static void put_teams(Map *map, const CudaPlan *plan, IrStmt *body, IrExpr *block) {
  Ir *ir = map->lower->ir;
  CudaTeam team;
  find_lane(plan, body, ir, block, &team);
  // Threads beyond the last row go through its motions: they take part in barriers.
  IrExpr *row = ir_min(ir, team.row, ir_int(ir, plan->n_rows - 1));
  if (map->n_outer) cuda_let_loops(ir, body, map->loop, 0, map->n_outer, row);
  Emit emit, after;
  emit_begin(&emit, map->lower, body);
  emit.team = &team;
  if (plan->parts == 1) {
    put_elements(&emit, map, &team);
    return;
  }
  for (int k = 0; k < map->n_stores; k++) emit_expect(&emit, map->store[k].value);
  cuda_team_join(&emit, &after);
  put_elements(&after, map, &team);
}

// ---- all

void cuda_put(Map *map, const CudaPlan *plan, IrStmt *body, IrExpr *block) {
  Ir *ir = map->lower->ir;
  if (plan->lanes > 1) {
    put_teams(map, plan, body, block);
    return;
  }
  put_rows_of_threads(map, plan, body, ir_add(ir, ir_scale(ir, block, plan->rows), ir_ref(ir, ir->function->thread)));
}

void cuda_schedule(Lower *lower, int64_t *out_row_floats) {
  Ir *ir = lower->ir;
  const Node *resize_grad = cuda_resize_grad_in(lower->group);
  if (resize_grad) {
    cuda_resize_grad_schedule(lower, resize_grad);
    return;
  }
  Map map;
  CudaPlan plan;
  map_outputs(&map, lower);
  *out_row_floats = cuda_flat_floats(&map);
  if (*out_row_floats) {
    cuda_put_flat(&map, *out_row_floats);
    return;
  }
  cuda_plan(&map, &plan);
  ir_threads(ir, plan.rows * plan.lanes);
  ir->function->n_tasks = plan.n_blocks;
  ir->function->task->hi = plan.n_blocks - 1;
  cuda_put(&map, &plan, ir->function->body, ir_ref(ir, ir->function->task));
}
