// Flat kernels: one loop over whole buffers, whose text does not say how long they are.
#include "compiler/kernel/schedule_map.h"

// An index of the one loop that is anything but "this vector".
static bool is_elsewhere(const IrExpr *e, const void *context) {
  const Map *map = context;
  if (e->kind == IR_REDUCE) return true;
  bool is_vector = e->kind == IR_LOAD && e->type == IR_VECTOR;
  for (int k = 0; k < e->n_args; k++) {
    if (e->arg[k]->type != IR_INDEX || !ir_uses(e->arg[k], map->loop[0].var)) continue;
    if (!is_vector || !ir_same(e->arg[k], map->store[0].offset)) return true;
  }
  return false;
}

bool map_is_flat(Map *map) {
  Ir *ir = map->lower->ir;
  const Group *group = map->lower->group;
  if (map->n_loops != 1 || map->lanes == MAP_SCALAR) return false;
  IrExpr *whole = ir_scale(ir, ir_ref(ir, map->loop[0].var), map->loop[0].lanes);
  for (int k = 0; k < map->n_stores; k++) {
    if (storage_root(group->outs[k]) != group->outs[k]) return false;
    if (!ir_same(map->store[k].offset, whole) || ir_any(ir, map->store[k].value, is_elsewhere, map)) return false;
  }
  return true;
}

void map_put_flat(Map *map) {
  IrFunction *function = map->lower->ir->function;
  int64_t floats = map->loop[0].n * map->loop[0].lanes;
  function->task = map->loop[0].var;
  function->n_tasks = ceil_div(floats, FLAT_TASK);
  function->flat = FLAT_TASK / map->loop[0].lanes;
  function->flat_step = map->stepped == 0 ? map->lower->ir->target->vector : 1;
  map->n_loops = map->n_split = 0;
  map->tail = NULL;
  map_put(map, function->body, NULL);
}
