// What reduces the channels of a pointwise convolution's result pixel by pixel, such as a mean weighted by a softmax. A
// stretch of a row's pixels is multiplied into scratch, where all channels of it are in the cache, and reduced from
// there: the result of the product, which may be far larger than all else, is never stored.
#include "compiler/kernel/cpu/schedule_conv.h"
#include "compiler/kernel/schedule_map.h"
#include "compiler/kernel/tuning.h"

enum { STRETCH = 96 };

// The group's results for pixels x0 .. x1 - 1 of a row, from the channels in `tile`.
static void put_reductions(Schedule *schedule, IrStmt *body, const IrBuffer *tile, int64_t pitch, int64_t stretch,
                           IrExpr *n, IrExpr *y, IrExpr *x0, IrExpr *x1) {
  Ir *ir = schedule->ir;
  Lower *lower = schedule->lower;
  const Group *group = schedule->contract.group;
  const Node *top = schedule->contract.core.top;
  lower_hold(lower, top, tile, pitch, x0);
  IrVar *x = ir_var(ir, IR_INDEX, "x", 0, width_of(top) - 1);
  IrExpr *index[4] = {n, ir_int(ir, 0), y, ir_ref(ir, x)};
  MapStore *stores = ARENA_ARRAY(ir->arena, MapStore, group->n_outs);
  for (int k = 0; k < group->n_outs; k++) {
    const Node *out = group->outs[k];
    IrExpr *offset = lower_offset(lower, out, index);
    stores[k] = (MapStore){.buffer = lower_out(lower, out), .offset = offset, .value = lower_value(lower, out, index)};
  }
  Map map = {.lower = lower,
             .n_loops = 1,
             .loop = {{.var = x, .n = width_of(top), .lanes = 1}},
             .n_stores = group->n_outs,
             .store = stores,
             .stepped = -1,
             .tile = stretch,
             .has_reductions = true};
  Emit emit;
  emit_begin(&emit, lower, body);
  for (int k = 0; k < map.n_stores; k++) emit_expect(&emit, stores[k].value);
  map_put_tile(&map, &emit, x0, x1);
}

void put_pixels(Schedule *schedule, const Region *region, const Layout *layout, int64_t pitch, const IrBuffer *x,
                IrExpr *at) {
  Ir *ir = schedule->ir;
  const Contract *contract = &schedule->contract;
  const ContractStage *core = &contract->core;
  int64_t width = width_of(core->node), blocks = blocks_of(schedule, core->node), vl = schedule->vl;
  int64_t stretch = tuning_knob(ir, "pixels", width < STRETCH ? width : STRETCH, 1, width < 512 ? width : 512);
  stretch = even_pieces(width, stretch);
  // A vector between blocks keeps these from falling on the same lines of the cache.
  int64_t y_pitch = (stretch + 1) * vl;
  const IrBuffer *tile = ir_scratch(ir, "pixels", IR_FLOAT, blocks * y_pitch);
  IrExpr *bias = bias_of(schedule, core);
  IrVar *row = ir_var(ir, IR_INDEX, "y", 0, height_of(core->node) - 1);
  IrStmt *body = ir_for(ir, schedule->body, row, region->y0, region->y1, 1, IR_SERIAL);
  IrVar *first = ir_var(ir, IR_INDEX, "first", 0, width - 1);
  body = ir_for(ir, body, first, ir_int(ir, 0), ir_int(ir, width), stretch, IR_SERIAL);
  IrExpr *y = ir_ref(ir, row), *x0 = ir_ref(ir, first), *x1 = ir_min(ir, ir_offset(ir, x0, stretch), ir_int(ir, width));
  if (width % stretch) x1 = ir_ref(ir, ir_let(ir, body, "end", x1));
  IrExpr *from = ir_add(ir, ir_scale(ir, ir_sub(ir, y, region->y0), width), x0);
  IrExpr *in_image = ir_scale(ir, ir_add(ir, ir_scale(ir, y, width), x0), vl);
  Pixels pixels = {
      .layout = layout,
      .pitch = pitch,
      .y_pitch = y_pitch,
      .x = ir_address(ir, x, ir_add(ir, at, ir_scale(ir, from, vl))),
      .y = ir_address(ir, tile, ir_int(ir, 0)),
      .bias = bias,
      .residual = core->residual ? image_of(schedule, core->residual, region->n, in_image) : no_address(schedule),
      .count = ir_sub(ir, x1, x0),
      .b0 = region->b0,
      .b1 = region->b1,
  };
  put_gemm(schedule, body, &pixels);
  put_reductions(schedule, body, tile, y_pitch, stretch, region->n, y, x0, x1);
}
