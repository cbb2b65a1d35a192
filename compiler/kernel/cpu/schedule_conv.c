// Schedules of convolutions with one group: pointwise over pixels, pointwise behind a depthwise one over tiles of rows,
// and kernels with taps over rows.
#include "compiler/kernel/cpu/schedule_conv.h"
#include "compiler/kernel/cpu/micro.h"
#include "compiler/kernel/tuning.h"

static int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

void stage_numbers(const Schedule *schedule, int64_t *c) {
  const ContractStage *core = &schedule->contract.core;
  const Node *y = core->node, *w = y->in[1];
  int64_t pixels = height_of(y) * width_of(y);
  bool is_plain = !node_is_blocked(y);
  c[MICRO_WB] = w->shape.dim[1] * w->shape.dim[2] * w->shape.dim[3] * schedule->vl;
  c[MICRO_YB] = c[MICRO_RB] = is_plain ? pixels : pixels * schedule->vl;
  c[MICRO_ACT] = core->act;
  c[MICRO_AFTER] = core->add_after;
  c[MICRO_CHANNELS] = is_plain ? y->shape.dim[1] : 0;
}

// Pixels that sg_gemm passes over with all weights before it goes on: their input should stay in the cache.
static int64_t pixel_block(const Schedule *schedule, int64_t inputs) {
  const Target *target = schedule->contract.target;
  int64_t tile = micro_tile_pixels(target, 2);
  int64_t fit = target->l2 / 2 / (4 * inputs) / tile * tile;
  return most(2 * tile, least(round_up(96, tile), fit));
}

static IrExpr *gemm_numbers(const Schedule *schedule, const Pixels *pixels) {
  const Node *w = schedule->contract.core.node->in[1];
  const Layout *layout = pixels->layout;
  int64_t inputs = w->shape.dim[1];
  int64_t *c = ARENA_ARRAY(schedule->ir->arena, int64_t, MICRO_GEMM + 3 * layout->c.n);
  stage_numbers(schedule, c);
  c[MICRO_XB] = pixels->pitch;
  if (pixels->y_pitch) c[MICRO_YB] = pixels->y_pitch;
  c[MICRO_BLOCK] = tuning_knob(schedule->ir, "block", pixel_block(schedule, inputs), 1, 1 << 14);
  c[MICRO_CHUNKS] = layout->c.n;
  put_chunks(schedule, layout, pixels->pitch, c + MICRO_GEMM);
  return numbers(schedule, "shape", c, MICRO_GEMM + 3 * layout->c.n);
}

// So few output channels that lanes are better spent on input channels.
static bool has_few_outputs(const Schedule *schedule) {
  const Node *y = schedule->contract.core.node;
  return !node_is_blocked(y) && 2 * y->shape.dim[1] <= schedule->vl;
}

// Room for the packed weights and lists of sg_few_*.
static IrExpr *few_scratch(const Schedule *schedule, const Layout *x, int64_t taps) {
  int64_t positions = channel_blocks(x) * (int64_t)schedule->vl, outputs = schedule->contract.core.node->shape.dim[1];
  int64_t size = taps * (outputs * positions + 6 * x->c.n);
  return ir_address(schedule->ir, ir_scratch(schedule->ir, "pack", IR_FLOAT, size), ir_int(schedule->ir, 0));
}

void put_gemm(Schedule *schedule, IrStmt *body, const Pixels *pixels) {
  Ir *ir = schedule->ir;
  const ContractStage *core = &schedule->contract.core;
  if (has_strassen(schedule)) {
    put_strassen(schedule, body, pixels, pixel_block(schedule, core->node->in[1]->shape.dim[1]));
    return;
  }
  IrExpr *shape = gemm_numbers(schedule, pixels), *slope = ir_number(ir, core->slope);
  IrExpr *w = weight_of(schedule, core->node->in[1], NULL);
  if (has_few_outputs(schedule)) {
    int64_t positions = channel_blocks(pixels->layout) * (int64_t)schedule->vl;
    IrExpr *args[] = {shape,
                      pixels->x,
                      w,
                      pixels->y,
                      pixels->bias,
                      slope,
                      pixels->count,
                      ir_int(ir, core->node->in[1]->shape.dim[1]),
                      ir_int(ir, positions),
                      few_scratch(schedule, pixels->layout, 1)};
    ir_do(ir, body, "sg_few_gemm", 10, args);
    return;
  }
  IrExpr *args[] = {shape, pixels->x,     w,          pixels->y, pixels->bias, pixels->residual,
                    slope, pixels->count, pixels->b0, pixels->b1};
  ir_do(ir, body, "sg_gemm", 10, args);
}

// The product over a region, `unit` pixels a row of it, and what follows; `x` holds its first pixel at offset `at`.
static void put_product(Schedule *schedule, const Region *region, int64_t unit, const Layout *layout, int64_t pitch,
                        const IrBuffer *x, IrExpr *at) {
  Ir *ir = schedule->ir;
  const Contract *contract = &schedule->contract;
  const ContractStage *core = &contract->core;
  if (contract->has_pixels) {
    put_pixels(schedule, region, layout, pitch, x, at);
    return;
  }
  IrExpr *first = ir_scale(ir, region->y0, unit * (node_is_blocked(core->node) ? schedule->vl : 1));
  Pixels pixels = {
      .layout = layout,
      .pitch = pitch,
      .x = ir_address(ir, x, at),
      .y = image_of(schedule, contract->result, region->n, first),
      .bias = bias_of(schedule, core),
      .residual = core->residual ? image_of(schedule, core->residual, region->n, first) : no_address(schedule),
      .count = ir_scale(ir, ir_sub(ir, region->y1, region->y0), unit),
      .b0 = region->b0,
      .b1 = region->b1,
  };
  put_gemm(schedule, schedule->body, &pixels);
  schedule_rest(schedule, schedule->body, region);
}

static void pointwise_alone(Schedule *schedule) {
  Ir *ir = schedule->ir;
  const Contract *contract = &schedule->contract;
  const Node *y = contract->core.node, *x = y->in[0];
  int64_t images = y->shape.dim[0], blocks = blocks_of(schedule, y), inputs = x->shape.dim[1];
  // What follows is computed by rows; otherwise pixels are as good.
  int64_t unit = contract->has_rest || contract->has_pixels ? width_of(y) : 1,
          units = height_of(y) * width_of(y) / unit;
  int64_t work = unit * inputs * blocks * schedule->vl; // of a unit
  int64_t size = most(ceil_div(TASK_WORK, work), ceil_div(96, unit));
  // A few pixels more rather than a last piece that reads all weights for the few that are left.
  if (unit == 1)
    size = round_up(ceil_div(units, most(1, (units + size / 2) / size)), micro_tile_pixels(contract->target, 2));
  size = least(size, units);
  // With something to follow, no more than what the cache holds until then.
  if (contract->has_rest) size = least(size, most(1, contract->target->l2 / 2 / (4 * unit * blocks * schedule->vl)));
  size = tuning_knob(ir, unit > 1 ? "rows" : "pixels", size, 1, units);
  if (unit > 1) size = even_pieces(units, size);
  int64_t pieces = ceil_div(units, size), part = blocks;
  if (!contract->has_pixels) part = part_of_blocks(schedule, images * pieces, size * work, blocks);
  if (has_strassen(schedule)) part = contract->has_rest ? blocks : round_up(part, 2 * target_paired(contract->target));
  int64_t parts = ceil_div(blocks, part);
  IrExpr *index[3];
  ir_tasks(ir, 3, (int64_t[]){images, pieces, parts}, (const char *const[]){"n", "piece", "part"}, index);
  Region region = {.n = index[0]};
  piece(ir, index[1], size, units, &region.y0, &region.y1);
  piece(ir, index[2], part, blocks, &region.b0, &region.b1);
  IrExpr *at = ir_scale(ir, region.n, storage_batch_stride(x));
  at = ir_add(ir, at, ir_scale(ir, region.y0, unit * schedule->vl));
  put_product(schedule, &region, unit, x->layout, height_of(x) * width_of(x) * schedule->vl, buffer_of(schedule, x),
              at);
}

// The operand of a region, element by element: row 0 of block 0 is at `at` in `to`, blocks are `pitch` floats apart.
static void put_made(Schedule *schedule, const Region *region, const IrBuffer *to, IrExpr *at, int64_t pitch) {
  Ir *ir = schedule->ir;
  const Node *x = schedule->contract.made;
  IrVar *b = ir_var(ir, IR_INDEX, "b", 0, blocks_of(schedule, x) - 1);
  IrStmt *body = ir_for(ir, schedule->body, b, region->b0, region->b1, 1, IR_SERIAL);
  IrVar *y = ir_var(ir, IR_INDEX, "y", 0, height_of(x) - 1);
  body = ir_for(ir, body, y, region->y0, region->y1, 1, IR_SERIAL);
  LanePoint point = {.layout = x->layout, .n = region->n, .b = ir_ref(ir, b), .y = ir_ref(ir, y)};
  body = ir_count(ir, body, "x", width_of(x), &point.x);
  IrExpr *value;
  lower_lanes(schedule->lower, body, 1, &x, &point, 0, NULL, NULL, &value);
  IrExpr *pixel = ir_add(ir, ir_scale(ir, point.y, width_of(x)), point.x);
  ir_store(ir, body, to, ir_add(ir, at, ir_add(ir, ir_scale(ir, point.b, pitch), ir_scale(ir, pixel, schedule->vl))),
           value);
}

// The operand, be it a depthwise result, lives in scratch, a few rows at a time; each channel block is followed by a
// gap, so that blocks do not fall on the same lines of the cache.
static void pointwise_behind(Schedule *schedule) {
  Ir *ir = schedule->ir;
  const Contract *contract = &schedule->contract;
  const Node *y = contract->core.node, *x = y->in[0];
  int64_t images = y->shape.dim[0], height = height_of(y), width = width_of(y);
  int64_t inputs = blocks_of(schedule, x), row = width * schedule->vl;
  // As many rows as the cache holds, but pieces enough for many workers, and pixels enough for the weights to pay.
  int64_t fit = most(1, contract->target->l2 * 3 / 4 / (4 * inputs * row));
  int64_t rows = least(least(8, fit), most(ceil_div(images * height, 16), ceil_div(48, width)));
  rows = tuning_knob(ir, "rows", rows, 1, most(rows, least(height, 32)));
  int64_t pieces = shared_pieces(height, rows, images);
  rows = ceil_div(height, pieces);
  int64_t pitch = round_up(rows * row, 1024) + 16 + schedule->vl;
  IrExpr *index[2];
  ir_tasks(ir, 2, (int64_t[]){images, pieces}, (const char *const[]){"n", "piece"}, index);
  Region region = {.n = index[0], .b0 = ir_int(ir, 0), .b1 = ir_int(ir, blocks_of(schedule, y))};
  share(ir, index[1], pieces, height, &region.y0, &region.y1);
  IrExpr *lead_bias = contract->has_lead ? bias_of(schedule, &contract->lead) : NULL;
  const IrBuffer *tile = ir_scratch(ir, "tile", IR_FLOAT, inputs * pitch);
  Region inside = {region.n, region.y0, region.y1, ir_int(ir, 0), ir_int(ir, inputs), rows};
  IrExpr *at = ir_scale(ir, region.y0, -row);
  if (contract->has_lead) put_depthwise(schedule, &contract->lead, lead_bias, &inside, tile, at, pitch);
  else put_made(schedule, &inside, tile, at, pitch);
  put_product(schedule, &region, width, x->layout, pitch, tile, ir_int(ir, 0));
}

void schedule_pointwise(Schedule *schedule) {
  if (schedule->contract.has_lead || schedule->contract.made) pointwise_behind(schedule);
  else pointwise_alone(schedule);
}

// ---- kernels with taps ----------------------------------------------------------------------------------------------

// `pitch`: floats between the blocks that the segments lie in.
static IrExpr *conv_numbers(const Schedule *schedule, int64_t pitch) {
  const Node *y = schedule->contract.core.node, *x = y->in[0], *w = y->in[1];
  bool is_plain = !node_is_blocked(x);
  int n_segments = is_plain ? 0 : x->layout->c.n;
  int64_t *c = ARENA_ARRAY(schedule->ir->arena, int64_t, MICRO_CONV + 2 * n_segments);
  stage_numbers(schedule, c);
  int64_t pixel = is_plain ? 1 : schedule->vl;
  c[MICRO_XB] = height_of(x) * width_of(x) * pixel;
  c[MICRO_H] = height_of(x);
  c[MICRO_W] = width_of(x);
  c[MICRO_OW] = width_of(y);
  c[MICRO_KH] = w->shape.dim[2];
  c[MICRO_KW] = w->shape.dim[3];
  c[MICRO_STRIDE] = node_attr(y, "stride").i;
  c[MICRO_PAD] = node_attr(y, "padding").i;
  c[MICRO_DILATION] = node_attr(y, "dilation").i;
  c[MICRO_ROW] = width_of(x) * pixel;
  c[MICRO_PIXEL] = pixel;
  c[MICRO_IS_PLAIN] = is_plain;
  c[MICRO_Y_ROW] = width_of(y) * (c[MICRO_CHANNELS] ? 1 : schedule->vl);
  c[MICRO_INPUTS] = x->shape.dim[1];
  c[MICRO_SEGMENTS] = n_segments;
  if (!is_plain) put_segments(schedule, x->layout, pitch, c + MICRO_CONV);
  return numbers(schedule, "shape", c, MICRO_CONV + 2 * n_segments);
}

static const char *conv_function(const Node *y) {
  int64_t stride = node_attr(y, "stride").i;
  bool is_blocked = node_is_blocked(y->in[0]);
  if (stride > 2) return is_blocked ? "sg_conv_any" : "sg_conv_pany";
  if (is_blocked) return stride == 1 ? "sg_conv_b1" : "sg_conv_b2";
  return stride == 1 ? "sg_conv_p1" : "sg_conv_p2";
}

// Columns of the kernel at once, if the weights of all are more than the cache holds; else 0. Those of a register tile
// stay in the first cache for all pixels.
static int64_t deep_columns(const Schedule *schedule) {
  const Contract *contract = &schedule->contract;
  const Node *y = contract->core.node, *x = y->in[0], *w = y->in[1];
  bool is_plain = !node_is_blocked(x) || !node_is_blocked(y);
  if (is_plain || contract->core.residual || contract->has_rest || node_attr(y, "padding").i) return 0;
  if (4 * shape_elements(w->shape) <= 2 * contract->target->l2) return 0;
  int64_t weights = 4 * x->shape.dim[1] * micro_max_vectors(contract->target) * schedule->vl; // of a column
  int64_t columns = least(most(1, contract->target->l1 * 3 / 4 / weights), w->shape.dim[3]);
  return tuning_knob(schedule->ir, "columns", columns, 0, w->shape.dim[3]);
}

static void schedule_deep(Schedule *schedule, int64_t columns) {
  enum { PIECES = 4 }; // each reads all weights
  Ir *ir = schedule->ir;
  const Contract *contract = &schedule->contract;
  const Node *y = contract->core.node, *x = y->in[0];
  int64_t images = y->shape.dim[0], pixels = height_of(y) * width_of(y);
  // Whole tiles of pixels, as evenly as these can be shared out.
  int64_t unit = micro_tile_pixels(contract->target, micro_max_vectors(contract->target)),
          tiles = ceil_div(pixels, unit);
  int64_t pieces = tuning_knob(ir, "pieces", least(tiles, ceil_div(PIECES, images)), 1, least(tiles, 64));
  IrExpr *index[2], *tile0, *tile1;
  ir_tasks(ir, 2, (int64_t[]){images, pieces}, (const char *const[]){"n", "piece"}, index);
  share(ir, index[1], pieces, tiles, &tile0, &tile1);
  IrExpr *q0 = ir_scale(ir, tile0, unit), *q1 = ir_min(ir, ir_scale(ir, tile1, unit), ir_int(ir, pixels));
  // A vector between blocks keeps these from falling on the same lines of the cache.
  int64_t blocks = blocks_of(schedule, x), pitch = (ceil_div(tiles, pieces) * unit + 1) * schedule->vl;
  int64_t room = contract->target->l2 * 3 / 4 / (4 * blocks * pitch) / columns * columns;
  int64_t packed = least(most(columns, room), y->in[1]->shape.dim[3]);
  const IrBuffer *pack = ir_scratch(ir, "pack", IR_FLOAT, packed * blocks * pitch);
  const IrBuffer *list = ir_scratch(ir, "chunks", IR_FLOAT, 3 * columns * x->layout->c.n);
  IrExpr *args[] = {conv_numbers(schedule, pitch),
                    image_of(schedule, x, index[0], NULL),
                    weight_of(schedule, y->in[1], NULL),
                    image_of(schedule, contract->result, index[0], NULL),
                    bias_of(schedule, &contract->core),
                    ir_number(ir, contract->core.slope),
                    q0,
                    q1,
                    ir_int(ir, 0),
                    ir_int(ir, blocks_of(schedule, y)),
                    ir_int(ir, columns),
                    ir_int(ir, packed),
                    ir_int(ir, blocks),
                    ir_int(ir, pitch),
                    ir_address(ir, pack, ir_int(ir, 0)),
                    ir_address(ir, list, ir_int(ir, 0))};
  ir_do(ir, schedule->body, "sg_conv_deep", 16, args);
}

void schedule_dense(Schedule *schedule) {
  int64_t columns = deep_columns(schedule);
  if (columns) {
    schedule_deep(schedule, columns);
    return;
  }
  Ir *ir = schedule->ir;
  const Contract *contract = &schedule->contract;
  const ContractStage *core = &contract->core;
  const Node *y = core->node, *x = y->in[0], *w = y->in[1];
  int64_t images = y->shape.dim[0], blocks = blocks_of(schedule, y), height = height_of(y);
  int64_t taps = w->shape.dim[2] * w->shape.dim[3];
  int64_t lanes = has_few_outputs(schedule) ? y->shape.dim[1] : blocks * schedule->vl;
  int64_t work = width_of(y) * x->shape.dim[1] * taps * lanes; // of a row
  int64_t rows = least(height, most(ceil_div(TASK_WORK, work), least(4, ceil_div(height, 8))));
  rows = tuning_knob(ir, "rows", rows, 1, height);
  int64_t pieces = shared_pieces(height, rows, images);
  int64_t part = part_of_blocks(schedule, images * pieces, height * work / pieces, blocks);
  int64_t parts = ceil_div(blocks, part);
  IrExpr *index[3];
  ir_tasks(ir, 3, (int64_t[]){images, pieces, parts}, (const char *const[]){"n", "piece", "part"}, index);
  Region region = {.n = index[0]};
  share(ir, index[1], pieces, height, &region.y0, &region.y1);
  piece(ir, index[2], part, blocks, &region.b0, &region.b1);
  int64_t x_pitch = height_of(x) * width_of(x) * schedule->vl;
  IrExpr *shape = conv_numbers(schedule, x_pitch), *from = image_of(schedule, x, region.n, NULL);
  IrExpr *weight = weight_of(schedule, w, NULL), *to = image_of(schedule, contract->result, region.n, NULL);
  IrExpr *bias = bias_of(schedule, core), *slope = ir_number(ir, core->slope);
  if (has_few_outputs(schedule) && node_is_blocked(x)) {
    int64_t positions = channel_blocks(x->layout) * (int64_t)schedule->vl;
    IrExpr *args[] = {shape,
                      from,
                      weight,
                      to,
                      bias,
                      slope,
                      region.y0,
                      region.y1,
                      ir_int(ir, positions),
                      few_scratch(schedule, x->layout, taps)};
    ir_do(ir, schedule->body, "sg_few_conv", 10, args);
    return;
  }
  int64_t chunks = taps * (node_is_blocked(x) ? x->layout->c.n : x->shape.dim[1]);
  IrExpr *residual = core->residual ? image_of(schedule, core->residual, region.n, NULL) : no_address(schedule);
  IrExpr *list = ir_address(ir, ir_scratch(ir, "chunks", IR_FLOAT, 3 * chunks), ir_int(ir, 0));
  IrExpr *args[] = {shape, from, weight, to, bias, residual, slope, region.y0, region.y1, region.b0, region.b1, list};
  ir_do(ir, schedule->body, conv_function(y), 12, args);
  schedule_rest(schedule, schedule->body, &region);
}
