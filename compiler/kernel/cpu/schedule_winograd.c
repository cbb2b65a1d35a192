// Schedules of Winograd's tiles. Convolutions: a task makes some rows of tiles, or some output blocks of them; where
// the latter would transform the same tiles too often, the tasks do so together ("joint"). Gradients by the weight: a
// task owns some blocks of channels on both sides and adds up the tiles of all images for them, or a part of these.
#include "compiler/kernel/cpu/micro.h"
#include "compiler/kernel/cpu/schedule_conv.h"
#include "compiler/kernel/tuning.h"
#include "compiler/ops/winograd.h"
#include "runtime/kernel_abi.h"

enum {
  LINE = 64, // bytes of a line of the caches
  TILES_LEAST = 24,
  TILES_OF_PART = 128, // fewest of a part of a gradient's sums: adding these up then stays a small share of the work
  TASKS = 8
};

static int64_t even(int64_t n) { return n + n % 2; } // weights may stand in pairs of blocks
static int64_t most_of(int64_t a, int64_t b) { return a > b ? a : b; }

// Tiles at once, divisible by all register tiles: as many as stay in the cache with their sums; but with fewer than a
// few rows of register tiles the weights would come from far for too little work. Where not even these stay there, and
// are few beside the weights, it is the rounds that cost.
static int64_t tiles_at_once(const Schedule *schedule, int64_t elements, int64_t inputs, int64_t x_blocks,
                             int64_t blocks) {
  int64_t n = MICRO_WINOGRAD_TILES, l2 = schedule->contract.target->l2, vector = 4 * elements * schedule->vl;
  int64_t tile = vector * (x_blocks + blocks), weights = vector * inputs * blocks;
  while (n > TILES_LEAST && tile * n > l2 / 2) n /= 2;
  return tile * n > l2 && weights > 4 * tile * n ? 2 * n : n;
}

// Floats from an element to the next, for so many of one. An odd number of lines: no element shares a line with
// another, and the same tile of all elements falls on as many sets of the cache as there are elements.
static int64_t pitch_of(int64_t floats) {
  enum { FLOATS = LINE / sizeof(float) };
  return FLOATS * (ceil_div(floats, FLOATS) | 1);
}

// Tiles of m x m results, in the d x d grids that dilation d cuts a picture into.
typedef struct Grid {
  int64_t dilation, ty, tx, rows; // rows of tiles in a grid, tiles in a row, rows in all grids
} Grid;

static Grid grid_of(const Node *node, const Node *picture, int64_t m) {
  int64_t dilation = node_attr(node, "dilation").i;
  int64_t ty = winograd_tiles(height_of(picture), dilation, m), tx = winograd_tiles(width_of(picture), dilation, m);
  return (Grid){dilation, ty, tx, dilation * dilation * ty};
}

// Numbers of the tables of both, `y` being the convolution's result or its gradient.
static void put_tile_numbers(const Schedule *schedule, const Grid *grid, const Node *x, const Node *y, int64_t *c) {
  c[MICRO_XB] = height_of(x) * width_of(x) * schedule->vl;
  c[MICRO_YB] = c[MICRO_RB] = height_of(y) * width_of(y) * schedule->vl;
  c[MICRO_WINOGRAD_H] = height_of(x);
  c[MICRO_WINOGRAD_W] = width_of(x);
  c[MICRO_WINOGRAD_OH] = height_of(y);
  c[MICRO_WINOGRAD_OW] = width_of(y);
  c[MICRO_WINOGRAD_PAD] = node_attr(schedule->contract.core.node, "padding").i;
  c[MICRO_WINOGRAD_DILATION] = grid->dilation;
  c[MICRO_WINOGRAD_TY] = grid->ty;
  c[MICRO_WINOGRAD_TX] = grid->tx;
}

// What there is to share out: rows of tx tiles, for each of which `inputs` channels in x_blocks become so many blocks.
typedef struct Work {
  int64_t tx, rows, most, inputs, x_blocks, blocks;
} Work;

enum { LOAD = 8, STORE = 7, WEIGHTS = 3, PIXELS = 8 }; // in products of vectors an element of a tile

// What the workers take for all images with tasks of `size` rows and `part` output blocks. Each task transforms its
// tiles, each round of these brings weights.
static int64_t time_of(const Work *work, int64_t images, int64_t size, int64_t part) {
  int64_t tasks = images * ceil_div(work->rows, size) * ceil_div(work->blocks, part);
  int64_t tiles = size * work->tx, rounds = ceil_div(tiles, work->most);
  int64_t columns = PIXELS * ceil_div(tiles, PIXELS) + rounds * WEIGHTS;
  return worker_turns(tasks) * (tiles * (LOAD * work->x_blocks + STORE * part) + work->inputs * part * columns);
}

// And where the tasks of an image transform and multiply all of its tiles together, which then lie far away.
static int64_t time_of_joint(const Work *work, int64_t images, int64_t elements) {
  enum { FAR = 4 };
  int64_t tiles = work->rows * work->tx, columns = PIXELS * ceil_div(tiles, PIXELS) + WEIGHTS;
  int64_t loads = MICRO_WINOGRAD_UNIT * worker_turns(ceil_div(work->x_blocks, MICRO_WINOGRAD_UNIT));
  int64_t part = even(ceil_div(work->blocks, TASKS)), stores = part * worker_turns(ceil_div(work->blocks, part));
  int64_t products = worker_turns(elements) * work->inputs * work->blocks * columns / elements;
  return images * (tiles * ((LOAD + FAR) * loads + (STORE + FAR) * stores) + products);
}

// Into how many parts output blocks are shared out, with so many rows a task.
static int64_t choose_parts_of_outputs(const Work *work, int64_t images, int64_t size, int64_t *time) {
  int64_t best = 1;
  *time = time_of(work, images, size, even(work->blocks));
  for (int64_t parts = 2; parts <= ceil_div(work->blocks, 2); parts++) {
    int64_t other = time_of(work, images, size, even(ceil_div(work->blocks, parts)));
    if (other < *time) *time = other, best = parts;
  }
  return best;
}

static int64_t choose_rows(const Work *work, int64_t images) {
  int64_t best = 1, least, time;
  choose_parts_of_outputs(work, images, best, &least);
  for (int64_t size = 2; size <= work->rows; size++) {
    if (even_pieces(work->rows, size) != size) continue;
    choose_parts_of_outputs(work, images, size, &time);
    if (time < least) least = time, best = size;
  }
  return best;
}

static bool is_far(const Schedule *schedule, const Node *picture) {
  int64_t plane = 4 * schedule->vl * height_of(picture) * width_of(picture);
  return target_outgrows_caches(schedule->contract.target, plane * blocks_of(schedule, picture));
}

// Whether a result that will be far is stored by whole lines of the cache: these need not be fetched to be written.
static bool streams(const Schedule *schedule, const Node *y) {
  bool has_lines = 4 * schedule->vl * width_of(y) % LINE == 0 && node_attr(y, "dilation").i == 1;
  return !schedule->contract.has_rest && has_lines && is_far(schedule, y);
}

// Whether all images' tiles and sums, of so many vectors an image, may stay in memory that tasks share.
static bool may_join(const Schedule *schedule, int64_t images, int64_t vectors) {
  const Target *target = schedule->contract.target;
  return images * MICRO_WINOGRAD_COUNTERS <= SG_COUNTERS && 4 * schedule->vl * vectors * images <= target->l3 / 2;
}

// Of how many channels weights are transformed at once: half of the second cache is theirs.
static int64_t channels_at_once(const Schedule *schedule, int64_t inputs) {
  const Target *target = schedule->contract.target;
  int64_t fit = target->l2 / 2 / (4 * micro_winograd_read_room(target, 0)) / schedule->vl * schedule->vl;
  int64_t channels = fit < schedule->vl ? schedule->vl : fit;
  return channels < inputs ? channels : inputs;
}

void schedule_winograd(Schedule *schedule) {
  Ir *ir = schedule->ir;
  const Contract *contract = &schedule->contract;
  const ContractStage *core = &contract->core;
  const Node *y = core->node, *x = y->in[0], *u = y->in[1];
  const FrontPart *front = contract->front.n ? contract->front.part : NULL;
  const Node *source = front ? front->source : x;
  int64_t m = winograd_m(u->shape), t = m + 2, vl = schedule->vl;
  bool reads = u->shape.dim[2] == 3;
  Grid grid = grid_of(y, y, m);
  int64_t images = y->shape.dim[0], rows = grid.rows, inputs = x->shape.dim[1];
  int64_t x_blocks = blocks_of(schedule, x), blocks = blocks_of(schedule, y);
  int64_t most = tiles_at_once(schedule, t * t, inputs, x_blocks, blocks);
  most = tuning_knob(ir, "tiles", most, 4, MICRO_WINOGRAD_TILES);

  Work work = {grid.tx, rows, most, inputs, x_blocks, blocks};
  int64_t size = choose_rows(&work, images);
  size = even_pieces(rows, tuning_knob(ir, "rows", size, 1, rows));
  int64_t time, parts = choose_parts_of_outputs(&work, images, size, &time);
  bool may = may_join(schedule, images, t * t * rows * grid.tx * (x_blocks + blocks));
  bool is_joint = may && parts > 1 && time_of_joint(&work, images, t * t) < time;
  is_joint = reads || tuning_knob(ir, "joint", is_joint, 0, may);
  if (is_joint) size = rows, most = rows * grid.tx, parts = TASKS;
  if (most > size * grid.tx) most = size * grid.tx;
  int64_t pieces = ceil_div(rows, size);
  parts = tuning_knob(ir, "parts", parts, 1, blocks);
  int64_t part = even(ceil_div(blocks, parts));
  parts = ceil_div(blocks, part);
  IrExpr *index[3], *r0, *r1;
  ir_tasks(ir, 3, (int64_t[]){images, pieces, parts}, (const char *const[]){"n", "piece", "part"}, index);
  Region region = {.n = index[0]};
  piece(ir, index[1], size, rows, &r0, &r1);
  piece(ir, index[2], part, blocks, &region.b0, &region.b1);

  int64_t tile_pitch = pitch_of(x_blocks * most * vl), sum_pitch = pitch_of((is_joint ? blocks : part) * most * vl);
  int64_t *c = ARENA_ARRAY(ir->arena, int64_t, MICRO_WINOGRAD + 3 * x->layout->c.n);
  stage_numbers(schedule, c);
  put_tile_numbers(schedule, &grid, x, y, c);
  c[MICRO_XB] = height_of(source) * width_of(source) * vl;
  c[MICRO_WINOGRAD_AT_ONCE] = most;
  c[MICRO_WINOGRAD_TILE_PITCH] = tile_pitch;
  c[MICRO_WINOGRAD_SUM_PITCH] = sum_pitch;
  c[MICRO_WINOGRAD_BLOCKS] = x_blocks;
  c[MICRO_WINOGRAD_INPUTS] = inputs;
  c[MICRO_WINOGRAD_STREAMS] = streams(schedule, y);
  c[MICRO_WINOGRAD_FETCHES] = !front && grid.dilation == 1 && is_far(schedule, x);
  c[MICRO_WINOGRAD_OUTPUTS] = blocks;
  c[MICRO_WINOGRAD_TASKS] = parts;
  c[MICRO_WINOGRAD_CHUNKS] = x->layout->c.n;
  put_chunks(schedule, x->layout, most * vl, c + MICRO_WINOGRAD);

  int64_t room = t * t * (tile_pitch + sum_pitch);
  IrExpr *residual = core->residual ? image_of(schedule, core->residual, region.n, NULL) : no_address(schedule);
  IrExpr *shape = numbers(schedule, "shape", c, MICRO_WINOGRAD + 3 * x->layout->c.n), *args[18] = {shape};
  int n = 1;
  if (front) {
    resize_tables(schedule, front->resize, 2, &args[1], &args[2]);
    resize_tables(schedule, front->resize, 3, &args[3], &args[4]);
    args[5] = ir_int(ir, width_of(source) * vl);
    n = 6;
  }
  IrExpr *operands[] = {image_of(schedule, source, region.n, NULL),
                        weight_of(schedule, u, NULL),
                        image_of(schedule, contract->result, region.n, NULL),
                        bias_of(schedule, core),
                        residual,
                        ir_number(ir, core->slope)};
  for (size_t i = 0; i < sizeof operands / sizeof *operands; i++) args[n++] = operands[i];
  if (!is_joint) args[n++] = r0, args[n++] = r1;
  args[n++] = region.b0, args[n++] = region.b1;
  if (is_joint) {
    IrExpr *count = ir_scale(ir, region.n, MICRO_WINOGRAD_COUNTERS);
    args[n + 1] = ir_address(ir, ir_shared(ir, "counters", IR_FLOAT, SG_COUNTERS), count);
    args[n] = ir_address(ir, ir_shared(ir, "tiles", IR_FLOAT, images * room), ir_scale(ir, region.n, room));
    n += 2;
  } else args[n++] = ir_address(ir, ir_scratch(ir, "tiles", IR_FLOAT, room), ir_int(ir, 0));
  if (reads) {
    int64_t channels = channels_at_once(schedule, inputs);
    int64_t own = micro_winograd_read_room(contract->target, channels);
    args[n++] = ir_address(ir, ir_scratch(ir, "own", IR_FLOAT, own), ir_int(ir, 0));
    args[n++] = ir_int(ir, channels);
  }
  const char *kind = reads ? "read_" : is_joint ? "joint_" : "";
  const char *name = arena_printf(ir->arena, "sg_winograd_%s%s%d", kind, front ? "resized_" : "", (int)m);
  ir_do(ir, schedule->body, name, n, args);
  region.y0 = ir_scale(ir, r0, m); // only where the rows of tiles are rows of the result
  region.y1 = ir_min(ir, ir_scale(ir, r1, m), ir_int(ir, height_of(y)));
  schedule_rest(schedule, schedule->body, &region);
}

// Blocks of either side that a task owns: sums for a third of the cache, and tasks for many workers where there are too
// few tiles for `parts` of them. What owns more blocks transforms tiles less often.
static void choose_parts(const Schedule *schedule, int64_t x_blocks, int64_t g_blocks, int64_t parts, int64_t *x_part,
                         int64_t *g_part) {
  int64_t room = schedule->contract.target->l2 / 3 / (4 * 36 * schedule->vl * schedule->vl);
  *x_part = x_blocks, *g_part = g_blocks;
  while (*x_part * *g_part > room ||
         (parts * ceil_div(x_blocks, *x_part) * ceil_div(g_blocks, *g_part) < TASKS && *x_part * *g_part > 16)) {
    int64_t *larger = *x_part > *g_part ? x_part : g_part;
    *larger = ceil_div(*larger, 2);
  }
}

void schedule_grad_winograd(Schedule *schedule) {
  Ir *ir = schedule->ir;
  const Target *target = schedule->contract.target;
  const Node *node = schedule->contract.core.node, *x = node->in[0], *g = node->in[1];
  Grid grid = grid_of(node, g, 4);
  int64_t vl = schedule->vl, lanes = micro_grad_lanes(target), x_blocks = blocks_of(schedule, x);
  int64_t g_blocks = blocks_of(schedule, g), tiles = grid.rows * grid.tx, x_part, g_part;
  int64_t images = g->shape.dim[0], tasks = 2 * TASKS;
  choose_parts(schedule, x_blocks, g_blocks, parts_of(images, tiles, TASKS, TILES_OF_PART).n, &x_part, &g_part);
  x_part = tuning_knob(ir, "x_part", x_part, 1, x_blocks);
  g_part = tuning_knob(ir, "g_part", g_part, 1, g_blocks);
  int64_t x_parts = ceil_div(x_blocks, x_part), g_parts = ceil_div(g_blocks, g_part);
  int64_t size = x_part * vl * g_part * vl, most_parts = parts_most(x_parts * g_parts, 36 * size, 4 * tasks);
  int64_t model = ceil_div(tasks, x_parts * g_parts);
  int64_t share = tuning_knob(ir, "parts", model < most_parts ? model : most_parts, 1, most_parts);
  Parts parts = parts_of(images, tiles, share, TILES_OF_PART);
  // Each round reads and writes all sums: the more tiles, the fewer rounds. Both stay in the cache.
  int64_t left = target->l2 * 3 / 4 - 4 * 36 * vl * vl * x_part * g_part;
  int64_t fit = most_of(16, left / (4 * 36 * vl * (x_part + g_part)));
  fit = tuning_knob(ir, "tiles", fit < MICRO_WINOGRAD_TILES ? fit : MICRO_WINOGRAD_TILES, 4, MICRO_WINOGRAD_TILES);
  int64_t at_once = even_pieces(parts.size, fit);
  int64_t x_pitch = pitch_of(x_part * at_once * vl), g_pitch = pitch_of(g_part * at_once * vl);
  int64_t c[MICRO_WINOGRAD] = {
      [MICRO_WINOGRAD_AT_ONCE] = at_once, [MICRO_WINOGRAD_TILE_PITCH] = x_pitch, [MICRO_WINOGRAD_SUM_PITCH] = g_pitch};
  put_tile_numbers(schedule, &grid, x, g, c);
  // One element's tiles are a picture of one row, the kernel a single tap.
  int64_t e[MICRO_GRAD] = {
      [MICRO_GRAD_H] = 1,
      [MICRO_GRAD_W] = at_once,
      [MICRO_GRAD_OW] = at_once,
      [MICRO_GRAD_KH] = 1,
      [MICRO_GRAD_KW] = 1,
      [MICRO_GRAD_STRIDE] = 1,
      [MICRO_GRAD_DILATION] = 1,
      [MICRO_GRAD_VP] = vl,
      [MICRO_GRAD_VB] = at_once * vl,
      [MICRO_GRAD_SP] = vl,
      [MICRO_GRAD_SL] = 1,
      [MICRO_GRAD_SB] = at_once * vl,
      [MICRO_GRAD_PER_BLOCK] = vl / lanes,
      [MICRO_GRAD_INPUTS] = node->shape.dim[1],
  };
  IrExpr *elements = numbers(schedule, "element", e, MICRO_GRAD), *index[3], *range[4];
  e[MICRO_GRAD_KH] = e[MICRO_GRAD_KW] = 3;
  IrExpr *taps = numbers(schedule, "taps", e, MICRO_GRAD);
  ir_tasks(ir, 3, (int64_t[]){x_parts, g_parts, parts.n}, (const char *const[]){"x_part", "g_part", "part"}, index);
  IrExpr *x0, *x1, *g0, *g1;
  piece(ir, index[0], x_part, x_blocks, &x0, &x1);
  piece(ir, index[1], g_part, g_blocks, &g0, &g1);
  IrExpr *n_x = ir_sub(ir, x1, x0), *n_g = ir_sub(ir, g1, g0);
  IrExpr *sums = ir_address(ir, ir_scratch(ir, "sums", IR_FLOAT, 36 * size), ir_int(ir, 0));
  IrExpr *scratch = ir_address(ir, ir_scratch(ir, "tiles", IR_FLOAT, 36 * (x_pitch + g_pitch)), ir_int(ir, 0));
  ir_do(ir, schedule->body, "sg_zero", 2, (IrExpr *[]){sums, ir_int(ir, 36 * size)});
  part_range(ir, &parts, index[2], images, tiles, range);
  IrVar *image = ir_var(ir, IR_INDEX, "n", 0, images - 1);
  IrExpr *n = ir_ref(ir, image);
  IrStmt *body = ir_for(ir, schedule->body, image, range[0], range[1], 1, IR_SERIAL);
  IrExpr *args[] = {numbers(schedule, "shape", c, MICRO_WINOGRAD),
                    elements,
                    image_of(schedule, x, n, ir_scale(ir, x0, c[MICRO_XB])),
                    image_of(schedule, g, n, ir_scale(ir, g0, c[MICRO_YB])),
                    n_x,
                    n_g,
                    range[2],
                    range[3],
                    sums,
                    scratch};
  ir_do(ir, body, "sg_winograd_dw", 10, args);
  ir_do(ir, schedule->body, "sg_winograd_dw_end", 3, (IrExpr *[]){sums, n_x, n_g});
  int64_t per_block = vl / lanes;
  IrExpr *last[] = {taps,
                    lane_map(schedule, "v_channel", g, g_blocks * vl),
                    lane_map(schedule, "s_channel", x, x_blocks * vl),
                    sums,
                    ir_address(ir, lower_out(schedule->lower, schedule->contract.result), ir_int(ir, 0)),
                    g0,
                    g1,
                    ir_scale(ir, x0, per_block),
                    ir_scale(ir, x1, per_block),
                    ir_int(ir, lanes)};
  IrExpr *group = ir_add(ir, ir_scale(ir, index[0], g_parts), index[1]);
  IrStmt *end = join_parts(schedule, &parts, group, x_parts * g_parts, index[2], sums, 9 * size);
  ir_do(ir, end, "sg_wstore", 10, last);
}
