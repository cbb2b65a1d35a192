// Schedules of weight gradients. A task owns some blocks and channels of the weight and adds up the pixels of all
// images for them, or of a part of these where such tasks would be too few; in one order however many workers there
// are.
#include "compiler/kernel/cpu/micro.h"
#include "compiler/kernel/cpu/schedule_conv.h"
#include "compiler/kernel/tuning.h"

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

// Loops over the images of a part and, inside, over pieces of at most `rows` of its rows of the gradient.
static IrStmt *pixel_loops(const Schedule *schedule, const Node *g, const Parts *parts, IrExpr *part, int64_t rows,
                           IrExpr **n, IrExpr **y0, IrExpr **y1) {
  Ir *ir = schedule->ir;
  IrExpr *range[4], *index;
  part_range(ir, parts, part, g->shape.dim[0], height_of(g), range);
  IrVar *image = ir_var(ir, IR_INDEX, "n", 0, g->shape.dim[0] - 1);
  *n = parts->images > 1 ? ir_ref(ir, image) : range[0];
  IrStmt *body = schedule->body;
  if (parts->images > 1) body = ir_for(ir, body, image, range[0], range[1], 1, IR_SERIAL);
  body = ir_count(ir, body, "piece", ceil_div(parts->size, rows), &index);
  *y0 = ir_add(ir, range[2], ir_scale(ir, index, rows));
  *y1 = rows < parts->size ? ir_min(ir, ir_offset(ir, *y0, rows), range[3]) : range[3];
  return body;
}

// Tasks enough for many workers.
static int64_t wanted_tasks(int64_t work) { return least(most(1, work / TASK_WORK), 32); }

// Fewest rows of a part, if there are more: adding up the parts then stays a small share of their products.
static int64_t rows_of_part(const Node *g) {
  enum { PIXELS = 256 };
  return ceil_div(PIXELS, width_of(g));
}

// The two operands as sg_wgrad_X takes them: `v` as vectors, `s` as scalars in tiles of `lanes` channels.
typedef struct Operands {
  const Node *v, *s;
  bool x_is_v;
  const char *suffix;
  int64_t lanes, v_blocks, s_tiles;
} Operands;

static Operands choose_operands(const Schedule *schedule) {
  const Node *x = schedule->contract.core.node->in[0], *g = schedule->contract.core.node->in[1];
  Operands o = {.v = g, .s = x, .x_is_v = !node_is_blocked(g)};
  if (o.x_is_v) o.v = x, o.s = g;
  o.v_blocks = blocks_of(schedule, o.v);
  int64_t most = micro_grad_lanes(schedule->contract.target), channels = o.s->shape.dim[1];
  if (node_is_blocked(o.s)) {
    o.suffix = "b";
    o.lanes = most;
    o.s_tiles = blocks_of(schedule, o.s) * schedule->vl / o.lanes;
  } else {
    o.lanes = channels % most == 0 ? most : channels % 3 == 0 ? 3 : 1;
    o.suffix = arena_printf(schedule->ir->arena, "p%d", (int)o.lanes);
    o.s_tiles = channels / o.lanes;
  }
  return o;
}

static IrExpr *grad_numbers(const Schedule *schedule, const Operands *o) {
  const Node *node = schedule->contract.core.node, *x = node->in[0], *g = node->in[1];
  bool is_plain = !node_is_blocked(o->s);
  int64_t vl = schedule->vl, s_plane = height_of(o->s) * width_of(o->s);
  int64_t c[MICRO_GRAD] = {
      [MICRO_GRAD_H] = height_of(x),
      [MICRO_GRAD_W] = width_of(x),
      [MICRO_GRAD_OW] = width_of(g),
      [MICRO_GRAD_KH] = node->shape.dim[2],
      [MICRO_GRAD_KW] = node->shape.dim[3],
      [MICRO_GRAD_STRIDE] = node_attr(node, "stride").i,
      [MICRO_GRAD_PAD] = node_attr(node, "padding").i,
      [MICRO_GRAD_DILATION] = node_attr(node, "dilation").i,
      [MICRO_GRAD_VP] = vl,
      [MICRO_GRAD_VROW] = width_of(o->v) * vl,
      [MICRO_GRAD_VB] = height_of(o->v) * width_of(o->v) * vl,
      [MICRO_GRAD_SP] = is_plain ? 1 : vl,
      [MICRO_GRAD_SROW] = width_of(o->s) * (is_plain ? 1 : vl),
      [MICRO_GRAD_SL] = is_plain ? s_plane : 1,
      [MICRO_GRAD_SB] = s_plane * (is_plain ? o->lanes : vl),
      [MICRO_GRAD_PER_BLOCK] = is_plain ? 1 : vl / o->lanes,
      [MICRO_GRAD_X_IS_V] = o->x_is_v,
      [MICRO_GRAD_INPUTS] = node->shape.dim[1],
  };
  return numbers(schedule, "shape", c, MICRO_GRAD);
}

void schedule_grad_dense(Schedule *schedule) {
  Ir *ir = schedule->ir;
  const Target *target = schedule->contract.target;
  const Node *node = schedule->contract.core.node, *g = node->in[1];
  int64_t vl = schedule->vl, taps = node->shape.dim[2] * node->shape.dim[3];
  Operands o = choose_operands(schedule);
  int64_t groups = ceil_div(o.v_blocks, micro_grad_vectors(target)); // register tiles along the blocks
  int64_t tile = o.lanes * vl * micro_grad_vectors(target);
  int64_t work = shape_elements(g->shape) / g->shape.dim[1] * taps * groups * o.s_tiles * tile;
  int64_t images = g->shape.dim[0], height = height_of(g), wanted = wanted_tasks(work);
  // Few enough sums in a task to stay in the cache. Tasks of other pixels read nothing twice, those of other sums do.
  int64_t others = most(1, 4 * taps * groups * o.s_tiles * tile / (target->l2 / 4));
  others = most(others, ceil_div(wanted, parts_of(images, height, wanted, rows_of_part(g)).n));
  int64_t v_parts = 1, s_parts = 1;
  while (v_parts * s_parts < others && v_parts * s_parts < groups * o.s_tiles) {
    if (groups / v_parts >= o.s_tiles / s_parts || s_parts >= o.s_tiles) v_parts++;
    else s_parts++;
  }
  v_parts = tuning_knob(ir, "v_parts", v_parts, 1, groups);
  s_parts = tuning_knob(ir, "s_parts", s_parts, 1, o.s_tiles);
  int64_t v_part = ceil_div(groups, v_parts) * micro_grad_vectors(target), s_part = ceil_div(o.s_tiles, s_parts);
  if (v_part > o.v_blocks) v_part = o.v_blocks;
  v_parts = ceil_div(o.v_blocks, v_part), s_parts = ceil_div(o.s_tiles, s_part);
  int64_t size = taps * s_part * o.lanes * v_part * vl, most_parts = parts_most(v_parts * s_parts, size, 4 * wanted);
  int64_t share = tuning_knob(ir, "parts", least(most_parts, ceil_div(wanted, v_parts * s_parts)), 1, most_parts);
  Parts parts = parts_of(images, height, share, rows_of_part(g));
  IrExpr *index[3], *b0, *b1, *t0, *t1;
  ir_tasks(ir, 3, (int64_t[]){v_parts, s_parts, parts.n}, (const char *const[]){"v_part", "s_part", "part"}, index);
  piece(ir, index[0], v_part, o.v_blocks, &b0, &b1);
  piece(ir, index[1], s_part, o.s_tiles, &t0, &t1);
  IrExpr *sums = ir_address(ir, ir_scratch(ir, "sums", IR_FLOAT, size), ir_int(ir, 0));
  ir_do(ir, schedule->body, "sg_zero", 2, (IrExpr *[]){sums, ir_int(ir, size)});
  // Rows of both values that stay in the cache while all tiles of the task pass over them.
  int64_t row = 4 * (v_part * vl * width_of(o.v) + s_part * o.lanes * width_of(o.s));
  int64_t rows = least(parts.size, most(1, target->l2 / 2 / row));
  rows = tuning_knob(ir, "rows", rows, 1, parts.size);
  IrExpr *n, *y0, *y1, *shape = grad_numbers(schedule, &o);
  IrStmt *body = pixel_loops(schedule, g, &parts, index[2], rows, &n, &y0, &y1);
  IrExpr *args[] = {shape, image_of(schedule, o.v, n, NULL), image_of(schedule, o.s, n, NULL), sums, y0, y1, b0, b1, t0,
                    t1};
  ir_do(ir, body, arena_printf(ir->arena, "sg_wgrad_%s", o.suffix), 10, args);
  IrExpr *v_map = lane_map(schedule, "v_channel", o.v, o.v_blocks * vl);
  IrExpr *s_map = lane_map(schedule, "s_channel", o.s, o.s_tiles * o.lanes);
  IrExpr *to = ir_address(ir, lower_out(schedule->lower, schedule->contract.result), ir_int(ir, 0));
  IrExpr *last[] = {shape, v_map, s_map, sums, to, b0, b1, t0, t1, ir_int(ir, o.lanes)};
  IrExpr *group = ir_add(ir, ir_scale(ir, index[0], s_parts), index[1]);
  IrStmt *end = join_parts(schedule, &parts, group, v_parts * s_parts, index[2], sums, size);
  ir_do(ir, end, "sg_wstore", 10, last);
}

void schedule_grad_depthwise(Schedule *schedule) {
  Ir *ir = schedule->ir;
  const Node *node = schedule->contract.core.node, *x = node->in[0], *g = node->in[1];
  int64_t vl = schedule->vl, kernel = node->shape.dim[2], taps = kernel * kernel, blocks = blocks_of(schedule, g);
  int64_t stride = node_attr(node, "stride").i, dilation = node_attr(node, "dilation").i;
  int64_t work = 3 * shape_elements(g->shape) / g->shape.dim[1] * taps * vl; // of a block; it waits for memory too
  int64_t some = ceil_div(TASK_WORK, work);
  if (some > blocks) some = blocks;
  some = tuning_knob(ir, "blocks", some, 1, blocks);
  int64_t share = ceil_div(wanted_tasks(work * blocks), ceil_div(blocks, some));
  Parts parts = parts_of(g->shape.dim[0], height_of(g), some > 1 ? 1 : share, rows_of_part(g));
  IrExpr *index[2], *b0, *b1;
  ir_tasks(ir, 2, (int64_t[]){ceil_div(blocks, some), parts.n}, (const char *const[]){"blocks", "part"}, index);
  piece(ir, index[0], some, blocks, &b0, &b1);
  int64_t c[MICRO_DW] = {
      [MICRO_DW_H] = height_of(x),       [MICRO_DW_W] = width_of(x),
      [MICRO_DW_OW] = width_of(g),       [MICRO_DW_PAD] = node_attr(node, "padding").i,
      [MICRO_DW_ROW] = width_of(x) * vl, [MICRO_DW_Y_ROW] = width_of(g) * vl,
      [MICRO_DW_KERNEL] = kernel,        [MICRO_DW_STRIDE] = stride,
      [MICRO_DW_DILATION] = dilation,
  };
  IrExpr *shape = numbers(schedule, "rows", c, MICRO_DW);
  IrExpr *map = lane_map(schedule, "channel", g, blocks * vl);
  IrExpr *sums = ir_address(ir, ir_scratch(ir, "sums", IR_FLOAT, taps * vl), ir_int(ir, 0));
  IrVar *b = ir_var(ir, IR_INDEX, "block", 0, blocks - 1);
  IrStmt *task = schedule->body;
  schedule->body = ir_for(ir, task, b, b0, b1, 1, IR_SERIAL);
  IrExpr *block = ir_ref(ir, b);
  ir_do(ir, schedule->body, "sg_zero", 2, (IrExpr *[]){sums, ir_int(ir, taps * vl)});
  IrExpr *n, *y0, *y1;
  IrStmt *body = pixel_loops(schedule, g, &parts, index[1], parts.size, &n, &y0, &y1);
  IrExpr *args[] = {shape,
                    image_of(schedule, x, n, ir_scale(ir, block, height_of(x) * width_of(x) * vl)),
                    image_of(schedule, g, n, ir_scale(ir, block, height_of(g) * width_of(g) * vl)),
                    sums,
                    y0,
                    y1};
  const char *name = "sg_dwgrad_any";
  if ((kernel == 3 || kernel == 5) && stride <= 2 && dilation == 1)
    name = arena_printf(ir->arena, "sg_dwgrad_%d_%d", (int)kernel, (int)stride);
  ir_do(ir, body, name, 6, args);
  IrExpr *last[] = {ir_call(ir, IR_POINTER, "SG_AT", 2, (IrExpr *[]){map, ir_scale(ir, block, vl)}), sums,
                    ir_address(ir, lower_out(schedule->lower, schedule->contract.result), ir_int(ir, 0)),
                    ir_int(ir, taps)};
  IrStmt *end = join_parts(schedule, &parts, block, blocks, index[1], sums, taps * vl);
  ir_do(ir, end, "sg_dwgrad_store", 4, last);
  schedule->body = task;
}
