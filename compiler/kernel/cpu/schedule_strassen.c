// Schedule of a pointwise product by Strassen's seven products of quarters.
#include "compiler/kernel/cpu/micro.h"
#include "compiler/kernel/cpu/schedule_conv.h"
#include "compiler/kernel/tuning.h"

bool has_strassen(const Schedule *schedule) {
  return schedule->contract.core.node->in[1]->layout->kind == LAYOUT_WEIGHT_STRASSEN;
}

// The chunks of the channels beyond `skip`, with offsets in what is stored of their weights; returns their number.
static int chunks_beyond(const Schedule *schedule, const Pixels *pixels, int64_t skip, int64_t *out) {
  int n_all = pixels->layout->c.n, n = 0;
  int64_t *all = ARENA_ARRAY(schedule->ir->arena, int64_t, 3 * n_all), at = 0;
  put_chunks(schedule, pixels->layout, pixels->pitch, all);
  for (int64_t *chunk = all; chunk < all + 3 * n_all; at += chunk[2], chunk += 3) {
    int64_t inside = skip > at ? skip - at : 0;
    if (inside >= chunk[2]) continue;
    out[3 * n] = chunk[0] + inside / schedule->vl * pixels->pitch;
    out[3 * n + 1] = chunk[1] + (inside - skip) * schedule->vl;
    out[3 * n++ + 2] = chunk[2] - inside;
  }
  return n;
}

void put_strassen(Schedule *schedule, IrStmt *body, const Pixels *pixels, int64_t block) {
  Ir *ir = schedule->ir;
  const ContractStage *core = &schedule->contract.core;
  const Node *w = core->node->in[1];
  int64_t half = w->layout->half;
  int64_t *c = ARENA_ARRAY(ir->arena, int64_t, MICRO_STRASSEN + 3 * pixels->layout->c.n);
  stage_numbers(schedule, c);
  c[MICRO_XB] = pixels->pitch;
  if (pixels->y_pitch) c[MICRO_YB] = pixels->y_pitch;
  c[MICRO_BLOCK] = ceil_div(tuning_knob(ir, "block", block, 1, 1 << 14), 16) * 16;
  c[MICRO_STRASSEN_HALF] = half;
  c[MICRO_STRASSEN_OUTPUTS] = w->shape.dim[0] / 2;
  c[MICRO_STRASSEN_REST] = w->shape.dim[1] - 2 * half;
  int n = chunks_beyond(schedule, pixels, 2 * half, c + MICRO_STRASSEN);
  c[MICRO_STRASSEN_CHUNKS] = n;
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
