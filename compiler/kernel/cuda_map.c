// The generic schedule on CUDA: nests of blocks and threads.
#include "compiler/kernel/cuda_map.h"

#include "compiler/kernel/cuda_team.h"
#include "runtime/base/status.h"

void cuda_let_loops(Ir *ir, IrStmt *body, MapLoop *loops, int from, int to, IrExpr *turn) {
  for (int k = to - 1; k >= from; k--) {
    bool is_first = k == from;
    ir_let_as(ir, body, loops[k].var, is_first ? turn : ir_mod(ir, turn, loops[k].n));
    turn = is_first ? turn : ir_div(ir, turn, loops[k].n);
  }
}

// All values before all stores: a result may stand where an operand stood.
static void put_stores(Emit *emit, const Map *map) {
  Ir *ir = emit->ir;
  IrExpr **value = ARENA_ARRAY(ir->arena, IrExpr *, map->n_stores);
  for (int k = 0; k < map->n_stores; k++) {
    value[k] = emit_value(emit, map->store[k].value);
    if (map->n_stores > 1 && value[k]->kind != IR_REF && value[k]->kind != IR_NUMBER)
      value[k] = ir_ref(ir, ir_let(ir, emit_block(emit), map->store[k].buffer->name, value[k]));
  }
  for (int k = 0; k < map->n_stores; k++)
    ir_store(ir, emit_block(emit), map->store[k].buffer, map->store[k].offset, value[k]);
}

static IrStmt *guarded(Ir *ir, IrStmt *body, IrExpr *condition) {
  return ir_is_int(condition, 1) ? body : ir_if(ir, body, condition)->body[0];
}

// A thread a row: the row's reductions and elements in loops.
static void put_rows_of_threads(Map *map, const CudaPlan *plan, IrStmt *body, IrExpr *turn) {
  Ir *ir = map->lower->ir;
  body = guarded(ir, body, ir_less(ir, turn, ir_int(ir, plan->n_rows)));
  if (plan->is_quad) {
    cuda_put_quad(map, body, turn);
    return;
  }
  if (map->n_outer) cuda_let_loops(ir, body, map->loop, 0, map->n_outer, turn);
  Emit emit;
  emit_begin(&emit, map->lower, body);
  for (int k = 0; k < map->n_stores; k++) emit_expect(&emit, map->store[k].value);
  for (int k = map->n_outer; k < map->n_loops; k++)
    emit_open(&emit, map->loop[k].var, ir_int(ir, 0), ir_int(ir, map->loop[k].n), 1, IR_SERIAL);
  put_stores(&emit, map);
  for (int k = map->n_outer; k < map->n_loops; k++) emit_close(&emit);
}

void cuda_put(Map *map, const CudaPlan *plan, IrStmt *body, IrExpr *block) {
  Ir *ir = map->lower->ir;
  IrExpr *thread = ir_ref(ir, ir->function->thread);
  if (plan->lanes == 1) {
    IrExpr *turn = ir_add(ir, ir_scale(ir, block, plan->rows), thread);
    put_rows_of_threads(map, plan, body, turn);
    return;
  }
  BUG("no teams yet");
}

void cuda_schedule(Lower *lower) {
  Ir *ir = lower->ir;
  Map map;
  CudaPlan plan;
  map_outputs(&map, lower);
  cuda_plan(&map, &plan);
  ir_threads(ir, plan.rows * plan.lanes);
  ir->function->n_tasks = plan.n_blocks;
  ir->function->task->hi = plan.n_blocks - 1;
  cuda_put(&map, &plan, ir->function->body, ir_ref(ir, ir->function->task));
}
