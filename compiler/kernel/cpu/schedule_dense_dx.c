// Schedule of a dense strided convolution's gradient by its input. Weights come as they are trained; each task packs
// those of the channel blocks that it computes.
#include "compiler/kernel/cpu/micro.h"
#include "compiler/kernel/cpu/schedule_conv.h"
#include "compiler/kernel/tuning.h"

static IrExpr *dx_numbers(const Schedule *schedule) {
  const Node *node = schedule->contract.core.node, *g = node->in[0], *w = node->in[1];
  int64_t vl = schedule->vl, taps = w->shape.dim[2] * w->shape.dim[3];
  int n = MICRO_DX + 2 * g->layout->c.n;
  int64_t *c = ARENA_ARRAY(schedule->ir->arena, int64_t, n);
  c[MICRO_XB] = height_of(g) * width_of(g) * vl;
  c[MICRO_WB] = taps * w->shape.dim[0] * vl;
  c[MICRO_YB] = height_of(node) * width_of(node) * vl;
  c[MICRO_DX_OH] = height_of(g);
  c[MICRO_DX_OW] = width_of(g);
  c[MICRO_DX_W] = width_of(node);
  c[MICRO_DX_KH] = w->shape.dim[2];
  c[MICRO_DX_KW] = w->shape.dim[3];
  c[MICRO_DX_STRIDE] = node_attr(node, "stride").i;
  c[MICRO_DX_PAD] = node_attr(node, "padding").i;
  c[MICRO_DX_DILATION] = node_attr(node, "dilation").i;
  c[MICRO_DX_ROW] = width_of(g) * vl;
  c[MICRO_DX_INPUTS] = w->shape.dim[1];
  c[MICRO_DX_OUTPUTS] = w->shape.dim[0];
  c[MICRO_DX_SEGMENTS] = g->layout->c.n;
  put_segments(schedule, g->layout, c[MICRO_XB], c + MICRO_DX);
  return numbers(schedule, "shape", c, n);
}

void schedule_dense_dx(Schedule *schedule) {
  Ir *ir = schedule->ir;
  const Contract *contract = &schedule->contract;
  const Node *node = contract->core.node, *g = node->in[0], *w = node->in[1];
  int64_t vl = schedule->vl, images = node->shape.dim[0], height = height_of(node), blocks = blocks_of(schedule, node);
  int64_t taps = w->shape.dim[2] * w->shape.dim[3], outputs = w->shape.dim[0];
  // A task has few blocks, so that packing their weights (once for all rows of an image) stays a small part.
  int vectors = micro_max_vectors(contract->target);
  int64_t part = tuning_knob(ir, "blocks", blocks < vectors ? blocks : vectors, 1, blocks);
  IrExpr *index[2], *b0, *b1;
  ir_tasks(ir, 2, (int64_t[]){images, ceil_div(blocks, part)}, (const char *const[]){"n", "part"}, index);
  piece(ir, index[1], part, blocks, &b0, &b1);
  IrExpr *shape = dx_numbers(schedule), *zero = ir_int(ir, 0);
  int64_t line = (width_of(node) / node_attr(node, "stride").i + 1) * vl * part;
  IrExpr *packed = ir_address(ir, ir_scratch(ir, "packed", IR_FLOAT, (part + 1) / 2 * 2 * taps * outputs * vl), zero);
  IrExpr *pack[] = {shape, lane_map(schedule, "channel", node, blocks * vl), weight_of(schedule, w, NULL), packed, b0,
                    b1};
  ir_do(ir, schedule->body, "sg_dx_weights", 6, pack);
  IrExpr *args[] = {shape,
                    image_of(schedule, g, index[0], NULL),
                    packed,
                    image_of(schedule, node, index[0], NULL),
                    zero,
                    ir_int(ir, height),
                    b0,
                    b1,
                    ir_address(ir, ir_scratch(ir, "line", IR_FLOAT, line), zero),
                    ir_address(ir, ir_scratch(ir, "chunks", IR_FLOAT, 3 * taps * g->layout->c.n), zero)};
  ir_do(ir, schedule->body, "sg_dx", 10, args);
}
