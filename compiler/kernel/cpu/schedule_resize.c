// Interpolation in front of a convolution: its tables, and in front of a depthwise one only the rows that a tile reads,
// one block at a time.
#include "compiler/kernel/cpu/schedule_conv.h"
#include "compiler/ops/rules.h"

struct Resizer {
  const IrBuffer *wide, *rows; // source rows, stretched; rows of the result
};

static ResizeTap tap_of(const Node *resize, int axis, int64_t i) {
  bool is_nearest = node_attr(resize, "mode").i == 1, is_aligned = node_attr(resize, "align_corners").i == 1;
  return resize_tap(is_nearest, is_aligned, resize->in[0]->shape.dim[axis], resize->shape.dim[axis], i);
}

Resizer *resizer_new(Schedule *schedule, const Node *depthwise, int64_t rows) {
  const Front *front = &schedule->contract.front;
  int64_t stride = node_attr(depthwise, "stride").i, padding = node_attr(depthwise, "padding").i;
  int64_t span = (depthwise->in[1]->shape.dim[2] - 1) * node_attr(depthwise, "dilation").i + 1;
  int64_t height = height_of(depthwise->in[0]), width = width_of(depthwise->in[0]), wide = 1, tall = 1;
  for (int64_t y0 = 0; y0 < height_of(depthwise); y0 += rows) {
    int64_t begin = y0 * stride - padding, end = (y0 + rows - 1) * stride - padding + span;
    if (begin < 0) begin = 0;
    if (end > height) end = height;
    if (end - begin > tall) tall = end - begin;
    for (int i = 0; i < front->n && begin < end; i++) {
      const Node *resize = front->part[i].resize;
      if (!resize) continue;
      int64_t sources = tap_of(resize, 2, end - 1).high - tap_of(resize, 2, begin).low + 1;
      if (sources > wide) wide = sources;
    }
  }
  Resizer *resizer = ARENA_ARRAY(schedule->ir->arena, Resizer, 1);
  resizer->wide = ir_scratch(schedule->ir, "wide", IR_FLOAT, wide * width * schedule->vl);
  resizer->rows = ir_scratch(schedule->ir, "rows", IR_FLOAT, tall * width * schedule->vl);
  return resizer;
}

void resize_tables(Schedule *schedule, const Node *resize, int axis, IrExpr **out_taps, IrExpr **out_weights) {
  Ir *ir = schedule->ir;
  int n = (int)resize->shape.dim[axis];
  int64_t *taps = ARENA_ARRAY(ir->arena, int64_t, 2 * n);
  double *weights = ARENA_ARRAY(ir->arena, double, n);
  for (int i = 0; i < n; i++) {
    ResizeTap tap = tap_of(resize, axis, i);
    taps[2 * i] = tap.low;
    taps[2 * i + 1] = tap.high;
    weights[i] = tap.weight;
  }
  *out_taps = numbers(schedule, axis == 2 ? "row_of" : "column_of", taps, 2 * n);
  *out_weights =
      ir_address(ir, ir_table(ir, axis == 2 ? "row_weight" : "column_weight", IR_FLOAT, n, weights), ir_int(ir, 0));
}

IrExpr *put_resize(Schedule *schedule, Resizer *resizer, IrStmt *body, const FrontPart *part, IrExpr *from,
                   IrExpr *begin, IrExpr *end) {
  Ir *ir = schedule->ir;
  const Node *resize = part->resize;
  int64_t pitch = width_of(resize) * schedule->vl;
  IrExpr *xt, *xw, *yt, *yw;
  resize_tables(schedule, resize, 3, &xt, &xw);
  resize_tables(schedule, resize, 2, &yt, &yw);
  IrExpr *row_0 = ir_address(ir, resizer->rows, ir_scale(ir, begin, -pitch));
  IrExpr *args[] = {xt,
                    xw,
                    yt,
                    yw,
                    from,
                    ir_address(ir, resizer->wide, ir_int(ir, 0)),
                    row_0,
                    ir_int(ir, width_of(part->source) * schedule->vl),
                    ir_int(ir, width_of(resize)),
                    begin,
                    end};
  ir_do(ir, body, "sg_resize", 11, args);
  return row_0;
}
