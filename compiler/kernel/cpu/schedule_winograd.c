// Schedule of convolutions by Winograd's tiles: a task makes some rows of tiles, or some output blocks of them.
#include "compiler/kernel/cpu/micro.h"
#include "compiler/kernel/cpu/schedule_conv.h"

enum { TILES_LEAST = 24, TASKS = 8 };

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Tiles at once, divisible by all register tiles: as many as stay in the cache with their sums; but with fewer than a
// few rows of register tiles the weights would come from far for too little work.
static int64_t tiles_at_once(const Schedule *schedule, int64_t elements, int64_t blocks) {
  int64_t n = MICRO_WINOGRAD_TILES, room = schedule->contract.target->l2;
  while (n > TILES_LEAST && 4 * elements * blocks * schedule->vl * n > room) n /= 2;
  return n;
}

void schedule_winograd(Schedule *schedule) {
  Ir *ir = schedule->ir;
  const Contract *contract = &schedule->contract;
  const ContractStage *core = &contract->core;
  const Node *y = core->node, *x = y->in[0], *u = y->in[1];
  int64_t t = u->shape.dim[2], m = t - 2, dilation = node_attr(y, "dilation").i, vl = schedule->vl;
  int64_t ty = ceil_div(ceil_div(height_of(y), dilation), m), tx = ceil_div(ceil_div(width_of(y), dilation), m);
  int64_t images = y->shape.dim[0], rows = dilation * dilation * ty, inputs = x->shape.dim[1];
  int64_t x_blocks = blocks_of(schedule, x), blocks = blocks_of(schedule, y);
  int64_t most = tiles_at_once(schedule, t * t, x_blocks + blocks);

  // Rows enough for one round; where that leaves too few tasks, the output blocks are shared out as well.
  int64_t size = ceil_div(most, tx);
  if (size > rows) size = rows;
  size = even_pieces(rows, size);
  int64_t pieces = ceil_div(rows, size), parts = ceil_div(TASKS, images * pieces);
  if (parts > ceil_div(blocks, 2)) parts = ceil_div(blocks, 2);
  int64_t part = ceil_div(blocks, parts);
  parts = ceil_div(blocks, part);
  IrExpr *index[3], *r0, *r1;
  ir_tasks(ir, 3, (int64_t[]){images, pieces, parts}, (const char *const[]){"n", "piece", "part"}, index);
  Region region = {.n = index[0]};
  piece(ir, index[1], size, rows, &r0, &r1);
  piece(ir, index[2], part, blocks, &region.b0, &region.b1);

  // A vector between elements keeps these from falling on the same lines of the cache.
  int64_t tile_pitch = x_blocks * most * vl + vl, sum_pitch = part * most * vl + vl;
  int64_t *c = ARENA_ARRAY(ir->arena, int64_t, MICRO_WINOGRAD + 3 * x->layout->c.n);
  stage_numbers(schedule, c);
  c[MICRO_XB] = height_of(x) * width_of(x) * vl;
  c[MICRO_WINOGRAD_H] = height_of(x);
  c[MICRO_WINOGRAD_W] = width_of(x);
  c[MICRO_WINOGRAD_OH] = height_of(y);
  c[MICRO_WINOGRAD_OW] = width_of(y);
  c[MICRO_WINOGRAD_PAD] = node_attr(y, "padding").i;
  c[MICRO_WINOGRAD_DILATION] = dilation;
  c[MICRO_WINOGRAD_TY] = ty;
  c[MICRO_WINOGRAD_TX] = tx;
  c[MICRO_WINOGRAD_AT_ONCE] = most;
  c[MICRO_WINOGRAD_TILE_PITCH] = tile_pitch;
  c[MICRO_WINOGRAD_SUM_PITCH] = sum_pitch;
  c[MICRO_WINOGRAD_BLOCKS] = x_blocks;
  c[MICRO_WINOGRAD_INPUTS] = inputs;
  c[MICRO_WINOGRAD_CHUNKS] = x->layout->c.n;
  int64_t *segment = ARENA_ARRAY(ir->arena, int64_t, 2 * x->layout->c.n), at = 0;
  put_segments(schedule, x->layout, most * vl, segment);
  for (int i = 0; i < x->layout->c.n; i++) {
    int64_t *chunk = c + MICRO_WINOGRAD + 3 * i;
    chunk[0] = segment[2 * i], chunk[1] = at * vl, chunk[2] = segment[2 * i + 1];
    at += chunk[2];
  }

  const IrBuffer *tiles = ir_scratch(ir, "tiles", IR_FLOAT, t * t * (tile_pitch + sum_pitch));
  IrExpr *residual = core->residual ? image_of(schedule, core->residual, region.n, NULL) : no_address(schedule);
  IrExpr *args[] = {numbers(schedule, "shape", c, MICRO_WINOGRAD + 3 * x->layout->c.n),
                    image_of(schedule, x, region.n, NULL),
                    weight_of(schedule, u, NULL),
                    image_of(schedule, contract->result, region.n, NULL),
                    bias_of(schedule, core),
                    residual,
                    ir_number(ir, core->slope),
                    r0,
                    r1,
                    region.b0,
                    region.b1,
                    ir_address(ir, tiles, ir_int(ir, 0))};
  ir_do(ir, schedule->body, m == 4 ? "sg_winograd_4" : "sg_winograd_2", 12, args);
  region.y0 = ir_scale(ir, r0, m); // only where the rows of tiles are rows of the result
  region.y1 = ir_min(ir, ir_scale(ir, r1, m), ir_int(ir, height_of(y)));
  schedule_rest(schedule, &region);
}
