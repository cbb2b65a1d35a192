// How blocks and threads share a map's work.
#include "compiler/kernel/cuda/map.h"
#include "compiler/kernel/group.h"

#include "compiler/kernel/compute.h"
#include "runtime/kernel_abi.h"

static int64_t turns(const Map *map, int from, int to) {
  int64_t n = 1;
  for (int k = from; k < to; k++) n *= map->loop[k].n;
  return n;
}

// ---- what the reductions look like

typedef struct Survey {
  const Map *map;
  CudaReductions *out;
  IrMap seen;
} Survey;

static bool is_reference(const IrExpr *e, const void *var) { return e->kind == IR_REF && e->var == var; }

bool cuda_uses_loops(const Map *map, const IrExpr *e, int from, int to) {
  for (int k = from; k < to; k++) {
    if (ir_any(map->lower->ir, e, is_reference, map->loop[k].var)) return true;
  }
  return false;
}

static void note_stride(int64_t *least, const IrExpr *index, const IrVar *var) {
  int64_t coef;
  if (!ir_affine_in(index, var, &coef) || coef == 0) return;
  if (coef < 0) coef = -coef;
  if (!*least || coef < *least) *least = coef;
}

// Loads that depend on the innermost variable of a reduction, or on the fastest row.
static void survey_loads(Survey *s, IrMap *seen, const IrExpr *e, const IrVar *element) {
  if (e->n_args == 0 || ir_map_get(seen, e)) return;
  ir_map_set(seen, s->map->lower->ir->arena, e, s);
  if (e->kind == IR_LOAD && e->type == IR_FLOAT && e->buffer->kind == IR_BUFFER_IN) {
    note_stride(&s->out->stride, e->arg[0], element);
    if (s->map->n_outer && ir_uses(e->arg[0], element))
      note_stride(&s->out->row_stride, e->arg[0], s->map->loop[s->map->n_outer - 1].var);
  }
  for (int k = 0; k < e->n_args; k++) survey_loads(s, seen, e->arg[k], element);
}

// Turns of the loops of a reduction and of those inside it.
static int64_t elements_below(const IrExpr *e) {
  int64_t n = 1;
  for (; e->kind == IR_REDUCE; e = e->arg[0]) n *= e->i;
  return n;
}

// The reductions in the body of a chain (which begins at `top`): those of its elements, and whether there are others.
static void survey_body(Survey *s, IrMap *seen, const IrExpr *top, const IrExpr *e) {
  Ir *ir = s->map->lower->ir;
  if (e->n_args == 0 || e->type == IR_INDEX || ir_map_get(seen, e)) return;
  ir_map_set(seen, ir->arena, e, s);
  if (e->kind == IR_REDUCE) {
    bool is_of_element = false;
    for (const IrExpr *link = top; link->kind == IR_REDUCE && link->op == top->op; link = link->arg[0])
      is_of_element = is_of_element || ir_any(ir, e, is_reference, link->var);
    s->out->is_nested |= !is_of_element;
    int64_t work = elements_below(e);
    if (is_of_element && work > s->out->work) s->out->work = work;
    if (is_of_element) return;
  }
  for (int k = 0; k < e->n_args; k++) survey_body(s, seen, top, e->arg[k]);
}

static void survey(Survey *s, const IrExpr *e, bool is_guarded) {
  const Map *map = s->map;
  if (e->n_args == 0 || e->type == IR_INDEX || ir_map_get(&s->seen, e)) return;
  ir_map_set(&s->seen, map->lower->ir->arena, e, s);
  if (e->kind == IR_REDUCE && cuda_uses_loops(map, e, map->n_outer, map->n_loops)) {
    s->out->inner += elements_below(e);
  } else if (e->kind == IR_REDUCE) {
    const IrExpr *body = e, *last = e;
    int64_t n = 1;
    for (; body->kind == IR_REDUCE && body->op == e->op; body = body->arg[0]) {
      last = body;
      n *= body->i;
    }
    s->out->n++;
    if (n > s->out->longest) s->out->longest = n;
    s->out->is_guarded |= is_guarded;
    IrMap seen = {0}, seen_in_body = {0};
    survey_body(s, &seen_in_body, e, body);
    survey_loads(s, &seen, body, last->var);
    survey(s, body, is_guarded);
    return;
  }
  for (int k = 0; k < e->n_args; k++) survey(s, e->arg[k], is_guarded || e->kind == IR_SELECT);
}

CudaReductions cuda_reductions(const Map *map) {
  CudaReductions out = {.work = 1};
  Survey s = {.map = map, .out = &out};
  for (int k = 0; k < map->n_stores; k++) survey(&s, map->store[k].value, false);
  return out;
}

// ---- how threads share them

enum {
  FULL = 432,          // blocks that keep a large device busy
  MANY_ROWS = 1 << 15, // threads that do
  FEW = 8,             // elements of a reduction that are no work for several threads
  MODEST = 32,
  WARP = 32,
  LONG = 1024,      // elements that are worth a block
  VERY_LONG = 2048, // ... the largest one, where there are few
  MOST_LANES = 1024,
  LEAST_SHARE = 8, // elements a thread, for a row to be shared by blocks
};

static int power_of_two(int64_t at_least, int most) {
  int n = 1;
  while (n < at_least && n < most) n *= 2;
  return n;
}

static void choose_lanes(CudaPlan *plan, const CudaReductions *r) {
  bool is_near = r->stride && (r->stride < r->row_stride || !r->row_stride); // along memory
  if (r->longest <= FEW || (!is_near && (r->longest <= MODEST || plan->n_rows >= MANY_ROWS))) return;
  plan->is_row_fast = !is_near && plan->n_rows > 1;
  if (plan->is_row_fast) {
    plan->rows = power_of_two(plan->n_rows, WARP);
    plan->lanes = CUDA_BLOCK / plan->rows;
    return;
  }
  bool is_few = plan->n_rows * WARP < FULL * CUDA_BLOCK; // warps would not fill the device
  if (r->longest > LONG || (is_few && r->longest > 2 * WARP)) {
    plan->rows = 1;
    plan->lanes = power_of_two(r->longest / 2, CUDA_BLOCK);
    return;
  }
  plan->lanes = power_of_two(r->longest / 2, WARP);
  plan->rows = CUDA_BLOCK / plan->lanes;
}

// Blocks that share rows: as many as fill the device, each with enough to do.
static int64_t choose_parts(const CudaPlan *plan, const CudaReductions *r) {
  int64_t groups = ceil_div(plan->n_rows, plan->rows);
  if (plan->lanes == 1 || r->is_nested || r->is_guarded || r->inner || groups > SG_COUNTERS || plan->n_inner > LONG)
    return 1;
  int64_t wanted = FULL / groups, most = r->longest / (plan->lanes * LEAST_SHARE);
  int64_t parts = wanted < most ? wanted : most;
  return parts > 1 ? parts : 1;
}

void cuda_plan(Map *map, CudaPlan *plan) {
  CudaReductions r = cuda_reductions(map);
  if (!r.n) map->n_outer = map->n_loops; // what there is, is each element's own
  *plan = (CudaPlan){.rows = CUDA_BLOCK,
                     .lanes = 1,
                     .is_row_fast = true,
                     .parts = 1,
                     .n_rows = turns(map, 0, map->n_outer),
                     .n_inner = turns(map, map->n_outer, map->n_loops)};
  if (cuda_can_quad(map)) {
    plan->is_quad = true;
    plan->n_rows /= CUDA_QUAD;
  }
  if (r.n) choose_lanes(plan, &r);
  plan->parts = choose_parts(plan, &r);
  if (plan->lanes == CUDA_BLOCK && plan->parts == 1 && plan->n_rows < FULL / 2 && r.longest >= VERY_LONG)
    plan->lanes = MOST_LANES;
  plan->n_blocks = ceil_div(plan->n_rows, plan->rows) * plan->parts;
}

// ---- which groups

// Whether results are those of the largest one's elements, or of its rows.
static bool shapes_fit(const Group *group) {
  const Shape *most = &group->outs[0]->shape;
  for (int k = 1; k < group->n_outs; k++) {
    if (shape_elements(group->outs[k]->shape) > shape_elements(*most)) most = &group->outs[k]->shape;
  }
  for (int k = 0; k < group->n_outs; k++) {
    const Shape *shape = &group->outs[k]->shape;
    if (shape->rank != most->rank) return false;
    for (int i = 0; i < most->rank; i++) {
      if (shape->dim[i] != most->dim[i] && shape->dim[i] != 1) return false;
    }
  }
  return true;
}

// Each store must be done once: by its element, or by its row.
static bool stores_fit(const Map *map) {
  for (int k = 0; k < map->n_stores; k++) {
    int n_inner = 0;
    for (int i = 0; i < map->n_loops; i++) {
      bool is_used = cuda_uses_loops(map, map->store[k].offset, i, i + 1);
      if (i < map->n_outer && !is_used) return false;
      n_inner += i >= map->n_outer && is_used;
    }
    if (n_inner && n_inner < map->n_loops - map->n_outer) return false;
  }
  return true;
}

// The most elements that one thread goes through.
static int64_t longest_thread(const CudaPlan *plan, const CudaReductions *r) {
  int64_t turns = ceil_div(plan->n_inner, plan->lanes);
  return r->longest * r->n * r->work / plan->parts / plan->lanes + turns * (1 + r->inner);
}

enum {
  LAUNCH = 1 << 20, // operations of all threads that take about as long as to start a kernel
  PATIENCE = 64,    // elements of a thread that do
};

bool cuda_can_fuse(const Target *target, const Group *group, Text *why) {
  for (int k = 0; k < group->n_nodes; k++) {
    if (!compute_can(group->nodes[k]->op)) return group_refuse(why, "one of the ops has a kernel of its own");
  }
  if (!shapes_fit(group)) return group_refuse(why, "the results have different shapes");
  Arena *arena = arena_new();
  Map map;
  CudaPlan plan;
  map_outputs(&map, lower_new(ir_new(arena, target), group));
  cuda_plan(&map, &plan);
  CudaReductions r = cuda_reductions(&map);
  bool fits = stores_fit(&map);
  int64_t cost = map_price(&map), thread = longest_thread(&plan, &r), n_blocks = plan.n_blocks;
  arena_free(arena);
  if (!fits) return group_refuse(why, "the results have different shapes");
  if (cost > LAUNCH && cost > 3 * map_price_apart(group))
    return group_refuse(why, "values would be computed more than once");
  if (thread > PATIENCE && n_blocks < FULL / 2) {
    if (why)
      text_printf(why, "together they would not be parallel: %lld elements a thread in %lld blocks", (long long)thread,
                  (long long)n_blocks);
    return false;
  }
  return true;
}
