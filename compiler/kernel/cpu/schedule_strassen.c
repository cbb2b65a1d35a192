// Schedule of a pointwise product by Strassen's seven products of quarters.
#include "compiler/kernel/cpu/micro.h"
#include "compiler/kernel/cpu/schedule_conv.h"
#include "compiler/kernel/tuning.h"

bool has_strassen(const Schedule *schedule) {
  return schedule->contract.core.node->in[1]->layout->kind == LAYOUT_WEIGHT_STRASSEN;
}

void put_strassen(Schedule *schedule, IrStmt *body, const Pixels *pixels, int64_t block) {
  Ir *ir = schedule->ir;
  const ContractStage *core = &schedule->contract.core;
  const Node *w = core->node->in[1];
  int64_t half = w->layout->half;
  StrassenOrder order = micro_strassen_order(w->layout);
  int n = order.n + order.n_beyond;
  int64_t *c = ARENA_ARRAY(ir->arena, int64_t, MICRO_STRASSEN + 3 * n);
  stage_numbers(schedule, c);
  c[MICRO_XB] = pixels->pitch;
  if (pixels->y_pitch) c[MICRO_YB] = pixels->y_pitch;
  c[MICRO_BLOCK] = ceil_div(tuning_knob(ir, "block", block, 1, 1 << 14), 16) * 16;
  c[MICRO_STRASSEN_HALF] = half;
  c[MICRO_STRASSEN_OUTPUTS] = w->shape.dim[0] / 2;
  c[MICRO_STRASSEN_REST] = w->shape.dim[1] - 2 * half;
  c[MICRO_STRASSEN_RUNS] = order.n;
  c[MICRO_STRASSEN_BEYOND] = order.n_beyond;
  for (int i = 0; i < n; i++) {
    int64_t *run = c + MICRO_STRASSEN + 3 * i;
    for (int k = 0; k < 2; k++)
      run[k] = channel_position(pixels->layout, order.run[i][k]) / schedule->vl * pixels->pitch;
    run[2] = order.run[i][2];
  }
  int64_t room = micro_strassen_room(schedule->contract.target, half, c[MICRO_BLOCK]);
  IrExpr *args[] = {numbers(schedule, "shape", c, MICRO_STRASSEN + 3 * n),
                    pixels->x,
                    weight_of(schedule, w, NULL),
                    pixels->y,
                    pixels->bias,
                    ir_number(ir, core->slope),
                    pixels->count,
                    ir_div(ir, pixels->b0, 2),
                    ir_div(ir, pixels->b1, 2),
                    ir_address(ir, ir_scratch(ir, "room", IR_FLOAT, room), ir_int(ir, 0))};
  ir_do(ir, body, "sg_strassen", 10, args);
}
