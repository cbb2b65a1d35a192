// The generic schedule: choice of loops, lanes and tasks, and the nest itself.
#include "compiler/kernel/schedule_map.h"

#include <string.h>

#include "compiler/kernel/cpu/schedule_tile.h"
#include "compiler/kernel/cuda/map.h"
#include "compiler/kernel/tuning.h"

enum { TASK_COST = 40000 }; // operations that are worth a task of their own

// ---- lanes

// All expressions of the stores in one array, so that rewriting keeps shared what they share.
static IrExpr **gather(const Map *map, const MapStore *store) {
  Ir *ir = map->lower->ir;
  IrExpr **e = ARENA_ARRAY(ir->arena, IrExpr *, 3 * map->n_stores);
  for (int k = 0; k < map->n_stores; k++) {
    e[k] = store[k].value;
    e[map->n_stores + k] = store[k].offset;
    e[2 * map->n_stores + k] = store[k].n_valid ? store[k].n_valid : ir_int(ir, 0);
  }
  return e;
}

static void scatter(const Map *map, IrExpr *const *e, MapStore *store) {
  for (int k = 0; k < map->n_stores; k++) {
    store[k].value = e[k];
    store[k].offset = e[map->n_stores + k];
    if (store[k].n_valid) store[k].n_valid = e[2 * map->n_stores + k];
  }
}

void map_substitute(Map *map, const IrVar *var, IrExpr *by) {
  IrExpr **e = gather(map, map->store);
  ir_substitute_all(map->lower->ir, 3 * map->n_stores, e, var, by);
  scatter(map, e, map->store);
}

// The stores as vector stores over the lanes of `by`, which takes the place of `replaced`; NULL if one has no such
// form.
static MapStore *vectorised(Map *map, const Lanes *lanes, IrVar *replaced, IrExpr *by) {
  Ir *ir = map->lower->ir;
  IrExpr **e = gather(map, map->store);
  ir_substitute_all(ir, 3 * map->n_stores, e, replaced, by);
  MapStore *out = arena_memdup(ir->arena, map->store, sizeof(MapStore) * (size_t)map->n_stores);
  scatter(map, e, out);
  for (int k = 0; k < map->n_stores; k++) {
    int64_t stride;
    bool is_partial;
    if (!nest_lane_stride(ir, out[k].offset, lanes, &out[k].offset, &stride, &is_partial) || stride != 1) return NULL;
    out[k].n_valid = is_partial ? lanes->n_valid : NULL;
  }
  if (!nest_vectorise(ir, map->n_stores, e, lanes)) return NULL;
  for (int k = 0; k < map->n_stores; k++) out[k].value = ir_splat(ir, e[k]);
  return out;
}

// Puts in block and lane of all channel loops but `kept` as functions of their channel.
static void scalar_channels(Map *map, const MapLoop *kept) {
  Lower *lower = map->lower;
  for (int k = 0; k < map->n_loops; k++) {
    const ChannelVar *channel = lower_channel(lower, map->loop[k].var);
    if (!channel || &map->loop[k] == kept) continue;
    IrExpr **e = gather(map, map->store);
    nest_scalar_channel(lower, 3 * map->n_stores, e, channel);
    scatter(map, e, map->store);
  }
}

static bool channels_to_lanes(Map *map, MapLoop *loop) {
  Lower *lower = map->lower;
  Ir *ir = lower->ir;
  const ChannelVar *channel = lower_channel(lower, loop->var);
  if (!channel) return false;
  MapStore *scalar = map->store;
  map->store = arena_memdup(ir->arena, scalar, sizeof(MapStore) * (size_t)map->n_stores);
  scalar_channels(map, loop);
  IrExpr *block = ir_ref(ir, channel->block);
  Lanes lanes = {.lane = channel->lane,
                 .valid = ir_var(ir, IR_INDEX, "lane", 0, channel->layout->block - 1),
                 .n_valid = lower_block_lanes(lower, channel->layout, block)};
  if (ir_is_int(lanes.n_valid, channel->layout->block)) lanes.n_valid = NULL;
  IrExpr *by = ir_add(ir, lower_block_start(lower, channel->layout, block), ir_ref(ir, lanes.valid));
  MapStore *stores = vectorised(map, &lanes, loop->var, by);
  map->store = stores ? stores : scalar;
  if (!stores) return false;
  map->lanes = MAP_CHANNELS;
  *loop = (MapLoop){channel->block, channel->block->hi + 1, channel->layout->block};
  return true;
}

static bool is_channel_reduction(const IrExpr *e, const void *lower) {
  if (e->kind != IR_REDUCE) return false;
  const ChannelVar *channel = lower_channel(lower, e->var);
  return channel && channel->var == e->var;
}

// Reductions over the channels of blocked values make vectors of them; lanes along pixels would have to be gathered.
static bool reduces_channels(const Map *map) {
  for (int k = 0; k < map->n_stores; k++) {
    if (ir_any(map->lower->ir, map->store[k].value, is_channel_reduction, map->lower)) return true;
  }
  return false;
}

static bool last_to_lanes(Map *map) {
  Ir *ir = map->lower->ir;
  int width = ir->target->vector;
  if (map->n_loops == 0) return false;
  MapLoop *last = &map->loop[map->n_loops - 1];
  if (last->n < width) return false;
  Lanes lanes = {.lane = ir_var(ir, IR_INDEX, "lane", 0, width - 1)};
  IrExpr *lane = ir_ref(ir, lanes.lane);
  MapStore *stores = vectorised(map, &lanes, last->var, ir_add(ir, ir_ref(ir, last->var), lane));
  if (!stores || map_gathers_rows(map, stores)) return false;
  int64_t rest = last->n % width;
  if (rest) {
    Lanes few = {.valid = ir_var(ir, IR_INDEX, "lane", 0, rest - 1), .n_valid = ir_int(ir, rest)};
    IrExpr *by = ir_offset(ir, ir_ref(ir, few.valid), last->n - rest);
    map->tail = vectorised(map, &few, last->var, by);
    if (!map->tail) return false;
  }
  map->store = stores;
  map->lanes = MAP_LAST;
  map->stepped = map->n_loops - 1;
  return true;
}

// ---- loops

static void remove_loop(Map *map, int k) {
  memmove(&map->loop[k], &map->loop[k + 1], sizeof(MapLoop) * (size_t)(map->n_loops - k - 1));
  map->n_loops--;
}

static void merge_loops(Map *map) {
  Ir *ir = map->lower->ir;
  for (int k = map->n_loops - 2; k >= 0; k--) {
    MapLoop *outer = &map->loop[k], *inner = &map->loop[k + 1];
    bool can = true;
    for (int s = 0; can && s < map->n_stores; s++)
      can = nest_can_merge(ir, map->store[s].offset, outer->var, inner->var, inner->n) &&
            nest_can_merge(ir, map->store[s].value, outer->var, inner->var, inner->n) &&
            (!map->store[s].n_valid || nest_can_merge(ir, map->store[s].n_valid, outer->var, inner->var, inner->n));
    if (!can) continue;
    int64_t n = outer->n * inner->n;
    IrVar *merged = ir_var(ir, IR_INDEX, "i", 0, n - 1);
    map_substitute(map, outer->var, ir_int(ir, 0));
    map_substitute(map, inner->var, ir_ref(ir, merged));
    *outer = (MapLoop){merged, n, outer->lanes * inner->lanes};
    remove_loop(map, k + 1);
  }
}

static int64_t stride_in(const MapStore *store, const IrVar *var) {
  int64_t stride;
  return ir_affine_in(store->offset, var, &stride) ? stride : 0;
}

// In the order of the first result's storage.
static void order_by_storage(Map *map) {
  for (int k = 1; k < map->n_loops; k++) {
    for (int j = k; j > 0; j--) {
      MapLoop a = map->loop[j - 1], b = map->loop[j];
      int64_t stride_a = stride_in(&map->store[0], a.var), stride_b = stride_in(&map->store[0], b.var);
      if (stride_a == 0 || stride_b == 0 || stride_a >= stride_b) break;
      map->loop[j - 1] = b;
      map->loop[j] = a;
    }
  }
}

typedef struct Outermost {
  Ir *ir;
  IrMap seen;
  bool has_any;
  bool is_used[MAP_LOOPS]; // by every outermost reduction
} Outermost;

static bool is_reference(const IrExpr *e, const void *var) { return e->kind == IR_REF && e->var == var; }

static void find_outermost(Map *map, Outermost *o, const IrExpr *e) {
  if (e->n_args == 0 || e->type == IR_INDEX || ir_map_get(&o->seen, e)) return;
  ir_map_set(&o->seen, o->ir->arena, e, o);
  if (e->kind == IR_REDUCE) {
    o->has_any = true;
    for (int k = 0; k < map->n_loops; k++)
      o->is_used[k] = o->is_used[k] && ir_any(o->ir, e, is_reference, map->loop[k].var);
    return;
  }
  for (int k = 0; k < e->n_args; k++) find_outermost(map, o, e->arg[k]);
}

// Loops that reductions do not depend on go inside, so that each reduction is computed once. Returns how many loops
// may be split into tasks.
static int order_by_reductions(Map *map) {
  Outermost o = {.ir = map->lower->ir};
  for (int k = 0; k < map->n_loops; k++) o.is_used[k] = true;
  for (int s = 0; s < map->n_stores; s++) find_outermost(map, &o, map->store[s].value);
  map->has_reductions = o.has_any;
  if (!o.has_any) return map->n_loops;
  MapLoop loop[MAP_LOOPS];
  int n = 0, stepped = map->stepped, n_outer = 0;
  for (int inner = 0; inner < 2; inner++) {
    for (int k = 0; k < map->n_loops; k++) {
      if (o.is_used[k] == inner) continue;
      if (k == map->stepped) stepped = n;
      loop[n++] = map->loop[k];
    }
    if (!inner) n_outer = n;
  }
  memcpy(map->loop, loop, sizeof(MapLoop) * (size_t)n);
  map->stepped = stepped;
  return n_outer;
}

// ---- tasks

static void split_tasks(Map *map, int n_may_split) {
  Ir *ir = map->lower->ir;
  map->cost = map_price(map);
  int64_t wanted = map->cost / TASK_COST;
  if (wanted > MAP_TASKS) wanted = MAP_TASKS;
  if (n_may_split) wanted = tuning_knob(ir, "tasks", wanted > 1 ? wanted : 1, 1, 4 * MAP_TASKS);
  map->n_tasks = 1;
  map->n_split = 0;
  for (int k = 0; k < n_may_split && wanted > 1; k++) {
    int64_t n = map->loop[k].n, step = k == map->stepped ? ir->target->vector : 1;
    int64_t parts = n < wanted ? n : wanted;
    int64_t chunk = ceil_div(ceil_div(n, parts), step) * step;
    parts = ceil_div(n, chunk);
    map->parts[k] = parts;
    map->chunk[k] = chunk;
    map->n_tasks *= parts;
    map->n_split = k + 1;
    if (chunk > 1) break;
    wanted = ceil_div(wanted, parts);
  }
}

void map_stores(Map *map, Lower *lower, int n_loops, const MapLoop *loops, int n_stores, const MapStore *stores) {
  Ir *ir = lower->ir;
  *map = (Map){.lower = lower, .n_stores = n_stores, .stepped = -1};
  for (int k = 0; k < n_loops; k++) {
    if (loops[k].n == 1) continue;
    map->loop[map->n_loops] = loops[k];
    map->loop[map->n_loops++].lanes = 1;
  }
  map->store = arena_memdup(ir->arena, stores, sizeof(MapStore) * (size_t)n_stores);
  for (int k = 0; k < map->n_loops && map->lanes == MAP_SCALAR; k++) channels_to_lanes(map, &map->loop[k]);
  if (map->lanes == MAP_SCALAR) scalar_channels(map, NULL);
  order_by_storage(map);
  merge_loops(map);
  if (ir->target->kind == TARGET_CUDA) { // loops become threads: see cuda/map.c
    IrExpr **value = ARENA_ARRAY(ir->arena, IrExpr *, n_stores);
    for (int k = 0; k < n_stores; k++) value[k] = map->store[k].value;
    cuda_moments(ir, n_stores, value);
    for (int k = 0; k < n_stores; k++) map->store[k].value = value[k];
    map->n_outer = order_by_reductions(map);
    map->cost = map_price(map);
    return;
  }
  if (map->lanes == MAP_SCALAR && !reduces_channels(map)) last_to_lanes(map);
  map->n_outer = order_by_reductions(map);
  map->tiled = map->n_outer - 1;
  map->tile = tile_turns(map, map->tiled);
  if (map->tile) map->tile = tuning_knob(ir, "turns", map->tile, 4, 4 * map->tile);
  else map_stretch_gathers(map);
  split_tasks(map, map->n_outer);
}

// The first of the largest results.
static int largest(Node *const *nodes, int n) {
  int best = 0;
  for (int k = 1; k < n; k++) {
    if (shape_elements(nodes[k]->shape) > shape_elements(nodes[best]->shape)) best = k;
  }
  return best;
}

void map_outputs(Map *map, Lower *lower) {
  Ir *ir = lower->ir;
  int n = lower->group->n_outs;
  Node *const *nodes = lower->group->outs;
  int first = largest(nodes, n);
  Shape shape = nodes[first]->shape;
  MapLoop loop[MAP_LOOPS];
  IrExpr *index[MAX_RANK];
  for (int k = 0; k < shape.rank; k++) {
    loop[k] = (MapLoop){ir_var(ir, IR_INDEX, lower_axis_name(shape.rank, k), 0, shape.dim[k] - 1), shape.dim[k], 1};
    index[k] = ir_ref(ir, loop[k].var);
  }
  MapStore *stores = ARENA_ARRAY(ir->arena, MapStore, n);
  for (int k = 0; k < n; k++) {
    int out = k == 0 ? first : k <= first ? k - 1 : k;
    IrExpr *at[MAX_RANK];
    for (int i = 0; i < shape.rank; i++) at[i] = nodes[out]->shape.dim[i] == 1 ? ir_int(ir, 0) : index[i];
    IrExpr *offset = lower_offset(lower, nodes[out], at);
    stores[k] = (MapStore){lower->out[out], offset, lower_value(lower, nodes[out], at), NULL};
  }
  map_stores(map, lower, shape.rank, loop, n, stores);
}

// ---- the nest

typedef struct Nest {
  Map *map;
  Emit emit;
  IrExpr *task_part[MAP_LOOPS]; // which part of a split loop this task does
} Nest;

static void put_stores(Map *map, Emit *emit, const MapStore *stores) {
  Ir *ir = map->lower->ir;
  // All values before all stores: a result may stand where an operand stood.
  IrExpr **value = ARENA_ARRAY(ir->arena, IrExpr *, map->n_stores);
  for (int k = 0; k < map->n_stores; k++) {
    value[k] = emit_value(emit, stores[k].value);
    if (map->n_stores > 1 && value[k]->kind != IR_REF && value[k]->kind != IR_NUMBER)
      value[k] = ir_ref(ir, ir_let(ir, emit_block(emit), stores[k].buffer->name, value[k]));
  }
  for (int k = 0; k < map->n_stores; k++) {
    IrStmt *block = emit_block(emit);
    if (stores[k].n_valid) ir_store_n(ir, block, stores[k].buffer, stores[k].offset, value[k], stores[k].n_valid);
    else ir_store(ir, block, stores[k].buffer, stores[k].offset, value[k]);
  }
}

// Reductions for the tile, then its results with the tile's turns innermost.
void map_put_tile(Map *map, Emit *emit, IrExpr *begin, IrExpr *end) {
  Ir *ir = map->lower->ir;
  const MapLoop *loop = &map->loop[map->tiled];
  int64_t step = map->tiled == map->stepped ? ir->target->vector : 1;
  const MapStore *stores = tile_reductions(emit, map, map->tiled, map->tile, begin, end);
  for (int k = 0; k < map->n_stores; k++) emit_expect(emit, stores[k].value);
  for (int k = map->tiled + 1; k < map->n_loops; k++)
    emit_open(emit, map->loop[k].var, ir_int(ir, 0), ir_int(ir, map->loop[k].n), 1, IR_SERIAL);
  emit_open(emit, loop->var, begin, end, step, IR_SERIAL);
  put_stores(map, emit, stores);
  emit_close(emit);
  for (int k = map->tiled + 1; k < map->n_loops; k++) emit_close(emit);
}

// The tiled loop and those inside it.
static void put_tiles(Nest *nest, IrExpr *from, IrExpr *to, int64_t step) {
  Map *map = nest->map;
  Ir *ir = map->lower->ir;
  Emit *emit = &nest->emit;
  IrVar *tile = ir_var(ir, IR_INDEX, "tile", 0, map->loop[map->tiled].n - 1);
  emit_open(emit, tile, from, to, map->tile * step, IR_SERIAL);
  IrExpr *begin = ir_ref(ir, tile), *end = ir_min(ir, ir_offset(ir, begin, map->tile * step), to);
  map_put_tile(map, emit, begin, ir_ref(ir, ir_let(ir, emit_block(emit), "end_of_tile", end)));
  emit_close(emit);
}

static void put_loop(Nest *nest, int k, const MapStore *stores) {
  Map *map = nest->map;
  Ir *ir = map->lower->ir;
  Emit *emit = &nest->emit;
  if (k == map->n_loops) {
    put_stores(map, emit, stores);
    return;
  }
  const MapLoop *loop = &map->loop[k];
  int64_t step = k == map->stepped ? ir->target->vector : 1, end = loop->n - loop->n % step;
  bool is_split = k < map->n_split && map->parts[k] > 1;
  // A loop of one turn around such that are tasks is none: what is put before it would not know their variables.
  bool is_around = k + 1 < map->n_split && map->parts[k] == 1 && map->chunk[k + 1] == 1;
  if ((is_split || is_around) && map->chunk[k] == 1) {
    ir_let_as(ir, emit_block(emit), loop->var, nest->task_part[k]);
    put_loop(nest, k + 1, stores);
    return;
  }
  IrExpr *from = ir_int(ir, 0), *to = ir_int(ir, end);
  if (is_split) {
    from = ir_scale(ir, nest->task_part[k], map->chunk[k]);
    to = ir_min(ir, ir_offset(ir, from, map->chunk[k]), to);
  }
  if (map->tile && k == map->tiled) {
    put_tiles(nest, from, to, step);
    return;
  }
  emit_open(emit, loop->var, from, to, step, IR_SERIAL);
  put_loop(nest, k + 1, stores);
  emit_close(emit);
  if (end == loop->n) return;
  IrStmt *before = ir_block(ir, emit_block(emit)), *block = ir_block(ir, emit_block(emit));
  if (is_split) block = ir_if(ir, block, ir_equal(ir, nest->task_part[k], ir_int(ir, map->parts[k] - 1)))->body[0];
  emit_open_block(emit, before, block);
  put_loop(nest, k + 1, map->tail);
  emit_close(emit);
}

void map_put(Map *map, IrStmt *body, IrExpr *task) {
  Ir *ir = map->lower->ir;
  Nest nest = {.map = map};
  for (int k = map->n_split - 1; k >= 0; k--) {
    IrExpr *part = ir_mod(ir, task, map->parts[k]);
    task = ir_div(ir, task, map->parts[k]);
    if (part->kind != IR_INT && part->kind != IR_REF && map->chunk[k] > 1)
      part = ir_ref(ir, ir_let(ir, body, "part", part));
    nest.task_part[k] = part;
  }
  emit_begin(&nest.emit, map->lower, body);
  for (int k = 0; k < map->n_stores; k++) emit_expect(&nest.emit, map->store[k].value);
  for (int k = 0; map->tail && k < map->n_stores; k++) emit_expect(&nest.emit, map->tail[k].value);
  put_loop(&nest, 0, map->store);
}
