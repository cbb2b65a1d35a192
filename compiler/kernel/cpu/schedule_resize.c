// Interpolation in front of a convolution: its tables, and in front of a depthwise one only the rows that a tile reads,
// one block at a time.
#include "compiler/kernel/cpu/schedule_conv.h"
#include "compiler/ops/build.h"
#include "compiler/ops/rules.h"

struct Resizer {
  const IrBuffer *wide, *rows; // source rows, stretched; rows of the result, or NULL where the convolution blends them
};

static ResizeTap tap_of(const Node *resize, int axis, int64_t i) {
  bool is_aligned = node_attr(resize, "align_corners").i == 1;
  return resize_tap(resize_is_nearest(resize), is_aligned, resize->in[0]->shape.dim[axis], resize->shape.dim[axis], i);
}

// Whether three rows of the picture are sums of three source rows at most, and the convolution sees no more.
static bool is_blended(const Node *depthwise, const Node *resize) {
  bool is_common = depthwise->in[1]->shape.dim[2] == 3 && node_attr(depthwise, "stride").i == 1 &&
                   node_attr(depthwise, "dilation").i == 1;
  for (int64_t last = height_of(resize) - 1, y = 0; is_common && y <= last; y++)
    is_common = tap_of(resize, 2, y + 2 < last ? y + 2 : last).high - tap_of(resize, 2, y).low < 3;
  return is_common;
}

Resizer *resizer_new(Schedule *schedule, const Node *depthwise, int64_t rows) {
  const Front *front = &schedule->contract.front;
  int64_t stride = node_attr(depthwise, "stride").i, padding = node_attr(depthwise, "padding").i;
  int64_t span = (depthwise->in[1]->shape.dim[2] - 1) * node_attr(depthwise, "dilation").i + 1;
  int64_t height = height_of(depthwise->in[0]), width = width_of(depthwise->in[0]), wide = 1, tall = 1;
  bool blends = true;
  for (int i = 0; i < front->n; i++) blends &= !front->part[i].resize || is_blended(depthwise, front->part[i].resize);
  for (int64_t y0 = 0; y0 + rows <= height_of(depthwise); y0++) {
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
  resizer->rows = blends ? NULL : ir_scratch(schedule->ir, "rows", IR_FLOAT, tall * width * schedule->vl);
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
  if (!out_weights) return;
  *out_weights =
      ir_address(ir, ir_table(ir, axis == 2 ? "row_weight" : "column_weight", IR_FLOAT, n, weights), ir_int(ir, 0));
}

bool resizer_blends(const Resizer *resizer) { return !resizer->rows; }

void blend_args(Schedule *schedule, const Resizer *resizer, const FrontPart *part, IrExpr *from, IrExpr **out) {
  Ir *ir = schedule->ir;
  bool has_weights = !resize_is_nearest(part->resize);
  resize_tables(schedule, part->resize, 3, &out[0], has_weights ? &out[1] : NULL);
  if (!has_weights) out[1] = no_address(schedule);
  resize_tables(schedule, part->resize, 2, &out[2], &out[3]);
  out[4] = from;
  out[5] = ir_address(ir, resizer->wide, ir_int(ir, 0));
  out[6] = ir_int(ir, width_of(part->source) * schedule->vl);
}

IrExpr *put_resize(Schedule *schedule, const Resizer *resizer, IrStmt *body, const FrontPart *part, IrExpr *from,
                   IrExpr *begin, IrExpr *end) {
  Ir *ir = schedule->ir;
  int64_t pitch = width_of(part->resize) * schedule->vl;
  IrExpr *blend[BLEND_ARGS];
  blend_args(schedule, resizer, part, from, blend);
  IrExpr *row_0 = ir_address(ir, resizer->rows, ir_scale(ir, begin, -pitch));
  IrExpr *args[] = {
      blend[0], blend[1], blend[2], blend[3], blend[4], blend[5], row_0, blend[6], ir_int(ir, width_of(part->resize)),
      begin,    end};
  ir_do(ir, body, "sg_resize", 11, args);
  return row_0;
}
