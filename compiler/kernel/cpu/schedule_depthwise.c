// Schedules of depthwise convolutions: rows of channel blocks.
#include "compiler/kernel/cpu/micro.h"
#include "compiler/kernel/cpu/schedule_conv.h"
#include "compiler/kernel/tuning.h"

// Whether a micro-kernel for exactly this kernel exists.
static bool is_common(int64_t kernel, int64_t stride, int64_t dilation) {
  return (kernel == 3 || kernel == 5 || kernel == 7) && stride <= 2 && dilation == 1;
}

// What stands in front of the convolution: the rows of one block, or those that they are blended of.
typedef struct Rows {
  IrExpr *from; // NULL: `blend`, and the rows begin .. end - 1 that the region reads
  IrExpr *blend[BLEND_ARGS], *begin, *end;
} Rows;

// The call for one block.
static void put_rows(Schedule *schedule, IrStmt *body, const ContractStage *stage, IrExpr *bias, const Region *region,
                     IrExpr *block, const Rows *rows, IrExpr *to) {
  Ir *ir = schedule->ir;
  const Node *y = stage->node, *x = y->in[0], *w = y->in[1];
  int64_t kernel = w->shape.dim[2], stride = node_attr(y, "stride").i, dilation = node_attr(y, "dilation").i;
  int64_t c[MICRO_DW] = {
      [MICRO_DW_H] = height_of(x),
      [MICRO_DW_W] = width_of(x),
      [MICRO_DW_OW] = width_of(y),
      [MICRO_DW_PAD] = node_attr(y, "padding").i,
      [MICRO_DW_ROW] = width_of(x) * schedule->vl,
      [MICRO_DW_Y_ROW] = width_of(y) * schedule->vl,
      [MICRO_DW_ACT] = stage->act,
      [MICRO_DW_KERNEL] = kernel,
      [MICRO_DW_STRIDE] = stride,
      [MICRO_DW_DILATION] = dilation,
  };
  const char *name = rows->from ? "sg_dw_any" : "sg_dw_blended";
  if (rows->from && is_common(kernel, stride, dilation))
    name = arena_printf(ir->arena, "sg_dw_%d_%d", (int)kernel, (int)stride);
  if (stage->bias) bias = ir_call(ir, IR_POINTER, "SG_AT", 2, (IrExpr *[]){bias, ir_scale(ir, block, schedule->vl)});
  IrExpr *args[8 + BLEND_ARGS + 2];
  int n = 0;
  args[n++] = numbers(schedule, "rows", c, MICRO_DW);
  if (rows->from) args[n++] = rows->from;
  for (int i = 0; !rows->from && i < BLEND_ARGS; i++) args[n++] = rows->blend[i];
  args[n++] = weight_of(schedule, w, ir_scale(ir, block, kernel * kernel * schedule->vl));
  args[n++] = to;
  args[n++] = bias;
  args[n++] = ir_number(ir, stage->slope);
  if (!rows->from) args[n++] = rows->begin;
  if (!rows->from) args[n++] = rows->end;
  args[n++] = region->y0;
  args[n++] = region->y1;
  ir_do(ir, body, name, n, args);
}

// A loop over the blocks of the region that lie in first .. first + count - 1.
static IrStmt *block_loop(Schedule *schedule, const Region *region, int64_t first, int64_t count, IrExpr **out) {
  Ir *ir = schedule->ir;
  IrVar *b = ir_var(ir, IR_INDEX, "block", first, first + count - 1);
  IrExpr *begin = ir_max(ir, region->b0, ir_int(ir, first)), *end = ir_min(ir, region->b1, ir_int(ir, first + count));
  *out = ir_ref(ir, b);
  return ir_for(ir, schedule->body, b, begin, end, 1, IR_SERIAL);
}

// Rows that the region reads, clipped to the picture: begin .. end - 1.
static void rows_read(Ir *ir, const Node *y, const Region *region, IrExpr **begin, IrExpr **end) {
  int64_t stride = node_attr(y, "stride").i, padding = node_attr(y, "padding").i, height = height_of(y->in[0]);
  int64_t span = (y->in[1]->shape.dim[2] - 1) * node_attr(y, "dilation").i + 1;
  *begin = ir_max(ir, ir_offset(ir, ir_scale(ir, region->y0, stride), -padding), ir_int(ir, 0));
  *end = ir_offset(ir, ir_scale(ir, ir_offset(ir, region->y1, -1), stride), span - padding);
  *end = ir_min(ir, *end, ir_int(ir, height));
}

void put_depthwise(Schedule *schedule, const ContractStage *stage, IrExpr *bias, const Region *region,
                   const IrBuffer *to, IrExpr *at, int64_t pitch) {
  Ir *ir = schedule->ir;
  const Node *y = stage->node, *x = y->in[0];
  Front front = schedule->contract.front;
  if (!front.n) {
    front.n = 1;
    front.part[0] = (FrontPart){.source = x, .blocks = blocks_of(schedule, x)};
  }
  IrExpr *begin, *end;
  rows_read(ir, y, region, &begin, &end);
  Resizer *resizer = NULL;
  for (int i = 0; i < front.n; i++) {
    const FrontPart *part = &front.part[i];
    int64_t plane = height_of(part->source) * width_of(part->source) * schedule->vl;
    IrExpr *block;
    IrStmt *body = block_loop(schedule, region, part->first, part->blocks, &block);
    IrExpr *offset = ir_scale(ir, ir_offset(ir, block, -part->first), plane);
    Rows rows = {.from = image_of(schedule, part->source, region->n, offset), .begin = begin, .end = end};
    if (part->resize) {
      if (!resizer) resizer = resizer_new(schedule, y, region->rows);
      if (resizer_blends(resizer)) {
        blend_args(schedule, resizer, part, rows.from, rows.blend);
        rows.from = NULL;
      } else {
        rows.from = put_resize(schedule, resizer, body, part, rows.from, begin, end);
      }
    }
    put_rows(schedule, body, stage, bias, region, block, &rows,
             ir_address(ir, to, ir_add(ir, at, ir_scale(ir, block, pitch))));
  }
}

void schedule_depthwise(Schedule *schedule) {
  Ir *ir = schedule->ir;
  const Contract *contract = &schedule->contract;
  const Node *y = contract->core.node;
  int64_t kernel = y->in[1]->shape.dim[2], vl = schedule->vl;
  int64_t images = y->shape.dim[0], blocks = blocks_of(schedule, y), height = height_of(y);
  // Depthwise kernels wait for memory as much as they compute.
  int64_t row_work = 3 * width_of(y) * kernel * kernel * vl, plane_work = row_work * height;
  int64_t rows = height, group = 1;
  if (plane_work > 2 * TASK_WORK) rows = ceil_div(height, plane_work / TASK_WORK);
  else group = ceil_div(TASK_WORK, plane_work);
  if (group > blocks) group = blocks;
  group = even_pieces(blocks, tuning_knob(ir, "blocks", group, 1, blocks));
  rows = tuning_knob(ir, "rows", rows, 1, height);
  int64_t pieces = shared_pieces(height, rows, images * ceil_div(blocks, group));
  IrExpr *index[3];
  ir_tasks(ir, 3, (int64_t[]){images, ceil_div(blocks, group), pieces}, (const char *const[]){"n", "part", "piece"},
           index);
  Region region = {.n = index[0], .rows = ceil_div(height, pieces)};
  piece(ir, index[1], group, blocks, &region.b0, &region.b1);
  share(ir, index[2], pieces, height, &region.y0, &region.y1);
  IrExpr *bias = bias_of(schedule, &contract->core);
  const Node *result = contract->result;
  put_depthwise(schedule, &contract->core, bias, &region, buffer_of(schedule, result),
                ir_scale(ir, region.n, storage_batch_stride(result)), height * width_of(y) * vl);
  schedule_rest(schedule, schedule->body, &region);
}

void schedule_depthwise_dx(Schedule *schedule) {
  Ir *ir = schedule->ir;
  const Node *node = schedule->contract.core.node, *g = node->in[0], *w = node->in[1];
  int64_t kernel = w->shape.dim[2], vl = schedule->vl, images = node->shape.dim[0], height = height_of(node);
  int64_t blocks = blocks_of(schedule, node), row = width_of(node) * vl;
  // A task takes whole blocks; what it reads and writes costs more than the arithmetic.
  int64_t group = ceil_div(TASK_WORK, 8 * row * height);
  if (group > blocks) group = blocks;
  group = tuning_knob(ir, "blocks", group, 1, blocks);
  IrExpr *index[2], *b0, *b1;
  ir_tasks(ir, 2, (int64_t[]){images, ceil_div(blocks, group)}, (const char *const[]){"n", "part"}, index);
  piece(ir, index[1], group, blocks, &b0, &b1);
  int64_t c[MICRO_DW] = {
      [MICRO_DW_H] = height,       [MICRO_DW_W] = width_of(node),
      [MICRO_DW_OW] = width_of(g), [MICRO_DW_PAD] = node_attr(node, "padding").i,
      [MICRO_DW_ROW] = row,        [MICRO_DW_Y_ROW] = width_of(g) * vl,
      [MICRO_DW_KERNEL] = kernel,  [MICRO_DW_STRIDE] = node_attr(node, "stride").i,
      [MICRO_DW_DILATION] = 1,     [MICRO_DW_OH] = height_of(g),
  };
  IrVar *b = ir_var(ir, IR_INDEX, "block", 0, blocks - 1);
  IrStmt *loop = ir_for(ir, schedule->body, b, b0, b1, 1, IR_SERIAL);
  IrExpr *block = ir_ref(ir, b), *y0 = ir_int(ir, 0), *y1 = ir_int(ir, height);
  if (schedule->contract.has_rest) { // so many rows that they are still in the cache then
    int64_t fit = schedule->contract.target->l2 / 8 / (4 * row);
    int64_t rows = even_pieces(height, tuning_knob(ir, "rows", fit < 1 ? 1 : fit < height ? fit : height, 1, height));
    IrVar *first = ir_var(ir, IR_INDEX, "first", 0, height - 1);
    loop = ir_for(ir, loop, first, y0, y1, rows, IR_SERIAL);
    y0 = ir_ref(ir, first);
    y1 = ir_ref(ir, ir_let(ir, loop, "end", ir_min(ir, ir_offset(ir, y0, rows), y1)));
  }
  IrExpr *args[] = {
      numbers(schedule, "rows", c, MICRO_DW),
      image_of(schedule, g, index[0], ir_scale(ir, block, height_of(g) * width_of(g) * vl)),
      weight_of(schedule, w, ir_scale(ir, block, kernel * kernel * vl)),
      image_of(schedule, schedule->contract.result, index[0], ir_scale(ir, block, height * row)),
      y0,
      y1,
  };
  ir_do(ir, loop, "sg_dwdx", 6, args);
  Region region = {.n = index[0], .y0 = y0, .y1 = y1, .b0 = block, .b1 = ir_offset(ir, block, 1)};
  schedule_rest(schedule, loop, &region);
}
