// Schedules of contractions, common part: operands, tasks, and the element-wise nodes that follow.
#include <math.h>

#include "compiler/kernel/cpu/micro.h"
#include "compiler/kernel/cpu/schedule_conv.h"
#include "compiler/kernel/tuning.h"

int64_t height_of(const Node *node) { return node->shape.dim[2]; }
int64_t width_of(const Node *node) { return node->shape.dim[3]; }

int64_t blocks_of(const Schedule *schedule, const Node *node) {
  if (node_is_blocked(node)) return channel_blocks(node->layout);
  return ceil_div(node->shape.dim[1], schedule->vl);
}

const IrBuffer *buffer_of(const Schedule *schedule, const Node *node) {
  const IrBuffer *buffer = lower_out(schedule->lower, node);
  return buffer ? buffer : lower_in(schedule->lower, node);
}

IrExpr *image_of(const Schedule *schedule, const Node *node, IrExpr *n, IrExpr *at) {
  Ir *ir = schedule->ir;
  IrExpr *offset = ir_scale(ir, n, storage_batch_stride(node));
  if (at) offset = ir_add(ir, offset, at);
  return ir_address(ir, buffer_of(schedule, node), offset);
}

IrExpr *weight_of(const Schedule *schedule, const Node *node, IrExpr *at) {
  return ir_address(schedule->ir, lower_in(schedule->lower, node), at ? at : ir_int(schedule->ir, 0));
}

IrExpr *no_address(const Schedule *schedule) { return ir_call(schedule->ir, IR_POINTER, "SG_NONE", 0, NULL); }

IrExpr *numbers(const Schedule *schedule, const char *name, const int64_t *value, int n) {
  double *values = ARENA_ARRAY(schedule->ir->arena, double, n);
  for (int i = 0; i < n; i++) values[i] = (double)value[i];
  return ir_address(schedule->ir, ir_table(schedule->ir, name, IR_INDEX, n, values), ir_int(schedule->ir, 0));
}

int put_segments(const Schedule *schedule, const Layout *layout, int64_t block_pitch, int64_t *out) {
  int64_t block = 0;
  for (int i = 0; i < layout->c.n; i++) {
    out[2 * i] = block * block_pitch;
    out[2 * i + 1] = layout->c.segment[i];
    block += ceil_div(layout->c.segment[i], schedule->vl);
  }
  return 2 * layout->c.n;
}

void put_chunks(const Schedule *schedule, const Layout *layout, int64_t block_pitch, int64_t *out) {
  int64_t *segment = ARENA_ARRAY(schedule->ir->arena, int64_t, 2 * layout->c.n), at = 0;
  put_segments(schedule, layout, block_pitch, segment);
  for (int i = 0; i < layout->c.n; i++, out += 3) {
    out[0] = segment[2 * i], out[1] = at * schedule->vl, out[2] = segment[2 * i + 1];
    at += out[2];
  }
}

IrExpr *lane_map(const Schedule *schedule, const char *name, const Node *node, int64_t n) {
  int64_t *map = ARENA_ARRAY(schedule->ir->arena, int64_t, n);
  for (int64_t i = 0; i < n; i++) map[i] = -1;
  for (int64_t c = 0; c < node->shape.dim[1]; c++)
    map[node_is_blocked(node) ? channel_position(node->layout, c) : c] = c;
  return numbers(schedule, name, map, (int)n);
}

IrExpr *bias_of(Schedule *schedule, const ContractStage *stage) {
  Ir *ir = schedule->ir;
  const Node *bias = stage->bias, *node = stage->node;
  if (!bias) return no_address(schedule);
  IrExpr *source = weight_of(schedule, bias, NULL);
  if (node_is_blocked(bias)) return source;
  ChannelMap one = {1, (int[]){(int)node->shape.dim[1]}};
  ChannelMap map = node_is_blocked(node) ? node->layout->c : one;
  bool is_whole = true;
  for (int i = 0; i < map.n; i++) is_whole &= map.segment[i] % schedule->vl == 0;
  if (is_whole) return source;
  int64_t *segment = ARENA_ARRAY(ir->arena, int64_t, map.n + 1);
  segment[0] = map.n;
  for (int i = 0; i < map.n; i++) segment[i + 1] = map.segment[i];
  int64_t size = blocks_of(schedule, node) * schedule->vl;
  IrExpr *spread = ir_address(ir, ir_scratch(ir, "bias", IR_FLOAT, size), ir_int(ir, 0));
  IrExpr *args[] = {numbers(schedule, "segments", segment, map.n + 1), source, spread};
  ir_do(ir, schedule->body, "sg_spread", 3, args);
  return spread;
}

void piece(Ir *ir, IrExpr *i, int64_t size, int64_t extent, IrExpr **begin, IrExpr **end) {
  *begin = ir_scale(ir, i, size);
  *end = ir_min(ir, ir_offset(ir, *begin, size), ir_int(ir, extent));
}

int64_t even_pieces(int64_t extent, int64_t size) {
  int64_t pieces = ceil_div(extent, size);
  return ceil_div(extent, pieces);
}

int64_t worker_turns(int64_t tasks) {
  enum { MANY = 8 };
  return 2 * ceil_div(tasks, 2) + MANY * ceil_div(tasks, MANY);
}

int64_t shared_pieces(int64_t extent, int64_t size, int64_t others) {
  enum { BESIDES = 8 }; // what a piece costs besides its units: an eighth of `size`
  int64_t least = ceil_div(extent, size), best = least;
  double time = HUGE_VAL;
  for (int64_t pieces = least; pieces <= extent && 2 * pieces <= 3 * least; pieces++) {
    double units = (double)extent / (double)pieces + (double)size / BESIDES;
    double other = (double)worker_turns(others * pieces) * units;
    if (other < time) time = other, best = pieces;
  }
  return best;
}

void share(Ir *ir, IrExpr *i, int64_t pieces, int64_t extent, IrExpr **begin, IrExpr **end) {
  *begin = ir_div(ir, ir_scale(ir, i, extent), pieces);
  *end = ir_div(ir, ir_scale(ir, ir_offset(ir, i, 1), extent), pieces);
}

int64_t part_of_blocks(const Schedule *schedule, int64_t others, int64_t work, int64_t blocks) {
  enum { ENOUGH = 32 }; // tasks in all; more would only read x more often
  const Target *target = schedule->contract.target;
  int64_t parts = ceil_div(ENOUGH, others), most = micro_max_vectors(target), pair = target_paired(target);
  if (parts > work / TASK_WORK) parts = work / TASK_WORK;
  if (parts > ceil_div(blocks, most)) parts = ceil_div(blocks, most);
  parts = tuning_knob(schedule->ir, "parts", parts < 1 ? 1 : parts, 1, blocks);
  int64_t part = ceil_div(blocks, parts);
  return ceil_div(part, pair) * pair;
}

void schedule_rest(Schedule *schedule, IrStmt *body, const Region *region) {
  const Contract *contract = &schedule->contract;
  if (!contract->has_rest) return;
  Ir *ir = schedule->ir;
  const Node *top = contract->core.top;
  IrVar *b = ir_var(ir, IR_INDEX, "b", 0, blocks_of(schedule, top) - 1);
  body = ir_for(ir, body, b, region->b0, region->b1, 1, IR_SERIAL);
  rows_put(schedule->lower, body, &contract->rows, top, contract->result, region->n, ir_ref(ir, b), region->y0,
           region->y1);
}
