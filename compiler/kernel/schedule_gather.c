// Lanes that are gathered from far apart: when they are not worth it, and in which order they are read line by line.
#include "compiler/kernel/schedule_map.h"
#include "compiler/kernel/tuning.h"

// ---- reductions

typedef struct Along {
  Ir *ir;
  const IrVar *var; // of the reduction
} Along;

static bool is_gather_along(const IrExpr *e, const void *context) {
  const Along *along = context;
  int64_t coef;
  return e->kind == IR_GATHER && e->i != 1 && ir_affine_in(e->arg[0], along->var, &coef) && coef == 1;
}

static bool is_load_across(const IrExpr *e, const void *context) {
  return e->kind == IR_LOAD && e->type == IR_VECTOR && ir_uses(e->arg[0], ((const Along *)context)->var);
}

// A reduction of neighbours, whose lanes were gathered from far apart: it makes vectors of the neighbours itself.
static bool is_row_reduction(const IrExpr *e, const void *ir) {
  if (e->kind != IR_REDUCE || e->i < ((const Ir *)ir)->target->vector) return false;
  Along along = {(Ir *)ir, e->var};
  return ir_any(along.ir, e->arg[0], is_gather_along, &along) && !ir_any(along.ir, e->arg[0], is_load_across, &along);
}

bool map_gathers_rows(const Map *map, const MapStore *stores) {
  for (int k = 0; k < map->n_stores; k++) {
    if (ir_any(map->lower->ir, stores[k].value, is_row_reduction, map->lower->ir)) return true;
  }
  return false;
}

// ---- order

typedef struct Gathers {
  const IrVar *inner, *outer;
} Gathers;

// Gathered lanes whose neighbours are those of the outer loop, while the inner one goes from line to line.
static bool is_gather_of_outer(const IrExpr *e, const void *context) {
  enum { LINE = 16 }; // floats
  const Gathers *g = context;
  int64_t inner, outer;
  return e->kind == IR_GATHER && ir_affine_in(e->arg[0], g->inner, &inner) &&
         ir_affine_in(e->arg[0], g->outer, &outer) && outer == 1 && inner >= LINE;
}

void map_stretch_gathers(Map *map) {
  enum { STRETCH = 8, LINE_BYTES = 64 };
  const Target *target = map->lower->ir->target;
  if (map->has_reductions || map->lanes != MAP_CHANNELS || map->n_loops < 2) return;
  MapLoop *outer = &map->loop[map->n_loops - 2], *inner = outer + 1;
  Gathers gathers = {inner->var, outer->var};
  bool is_good = inner->n * target->vector * LINE_BYTES > target->l1;
  for (int k = 0; is_good && k < map->n_stores; k++)
    is_good = ir_any(map->lower->ir, map->store[k].value, is_gather_of_outer, &gathers);
  if (!is_good) return;
  MapLoop kept = *outer;
  *outer = *inner, *inner = kept;
  map->n_outer = map->n_loops - 1;
  map->tiled = map->n_loops - 2;
  map->tile = tuning_knob(map->lower->ir, "turns", STRETCH, 4, 4 * STRETCH);
}
