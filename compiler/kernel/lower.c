// Lowering of values: buffers, offsets by layout, and sharing of what was asked for twice.
#include "compiler/kernel/lower.h"

#include <string.h>

#include "compiler/kernel/compute.h"
#include "compiler/kernel/ir_build.h"
#include "runtime/base/status.h"

typedef struct LowerMemo {
  const Node *node;
  IrExpr *index[MAX_RANK];
  IrExpr *value;
} LowerMemo;

typedef struct LowerTile {
  const Node *node;
  const IrBuffer *buffer;
  int64_t pitch;
  IrExpr *x0;
} LowerTile;

// The user's name for a value, or the op's; of an instance path the last two parts.
static const char *value_name(Ir *ir, const Node *node) {
  const char *name = node->name ? node->name : op_info(node->op)->name;
  const char *dot = strrchr(name, '.');
  while (dot && dot > name && dot[-1] != '.') dot--;
  if (dot) name = dot;
  return arena_strdup(ir->arena, name);
}

Lower *lower_new(Ir *ir, const Group *group) {
  Lower *lower = ARENA_ARRAY(ir->arena, Lower, 1);
  lower->ir = ir;
  lower->group = group;
  lower->in = ARENA_ARRAY(ir->arena, IrBuffer *, group->n_ins);
  lower->out = ARENA_ARRAY(ir->arena, IrBuffer *, group->n_outs);
  for (int k = 0; k < group->n_ins; k++) lower->in[k] = ir_arg(ir, value_name(ir, group->ins[k]), false, 0);
  for (int k = 0; k < group->n_outs; k++) lower->out[k] = ir_arg(ir, value_name(ir, group->outs[k]), true, 0);
  return lower;
}

const IrBuffer *lower_in(const Lower *lower, const Node *node) {
  for (int k = 0; k < lower->group->n_ins; k++) {
    if (lower->group->ins[k] == node) return lower->in[k];
  }
  return NULL;
}

const IrBuffer *lower_out(const Lower *lower, const Node *node) {
  for (int k = 0; k < lower->group->n_outs; k++) {
    if (lower->group->outs[k] == node) return lower->out[k];
  }
  return NULL;
}

IrVar *lower_reduce_var(Lower *lower, const char *name, int64_t n, int skip) {
  for (int k = 0; k < lower->n_reduce_vars; k++) {
    IrVar *var = lower->reduce_vars[k];
    if (var->hi == n - 1 && strcmp(var->name, name) == 0 && skip-- == 0) return var;
  }
  IrVar *var = ir_var(lower->ir, IR_INDEX, name, 0, n - 1);
  ARENA_PUSH(lower->ir->arena, lower->reduce_vars, lower->n_reduce_vars, lower->cap_reduce_vars, var);
  return var;
}

Ir *lower_ir(const Lower *lower) { return lower->ir; }
const Group *lower_group(const Lower *lower) { return lower->group; }

const char *lower_axis_name(int rank, int k) {
  static const char *const names[] = {"n", "c", "y", "x"};
  static const char *const others[] = {"i", "j", "k", "l", "m", "o"};
  return rank == 4 ? names[k] : others[k];
}

static IrExpr *load_held(Lower *lower, IrExpr *const *index);

IrExpr *lower_value(Lower *lower, const Node *node, IrExpr *const *index) {
  Ir *ir = lower->ir;
  int rank = node->shape.rank;
  for (int k = 0; k < lower->n_memo; k++) {
    const LowerMemo *memo = &lower->memo[k];
    bool is_same = memo->node == node;
    for (int axis = 0; is_same && axis < rank; axis++) is_same = ir_same(memo->index[axis], index[axis]);
    if (is_same) return memo->value;
  }
  if (lower->tile && lower->tile->node == node) return load_held(lower, index);
  const IrBuffer *buffer = lower_in(lower, node);
  for (int k = 0; k < lower->n_stored; k++) {
    if (lower->stored[k] == node) buffer = lower_out(lower, node);
  }
  IrExpr *value = buffer ? ir_load(ir, buffer, lower_offset(lower, node, index)) : compute_value(lower, node, index);
  if (!buffer && !value->label && (value->kind == IR_OP || value->kind == IR_REDUCE))
    value->label = value_name(ir, node);
  lower_bind(lower, node, index, value);
  return value;
}

void lower_bind(Lower *lower, const Node *node, IrExpr *const *index, IrExpr *value) {
  LowerMemo memo = {.node = node, .value = value};
  for (int axis = 0; axis < node->shape.rank; axis++) memo.index[axis] = index[axis];
  ARENA_PUSH(lower->ir->arena, lower->memo, lower->n_memo, lower->cap_memo, memo);
}

// ---- channels

// Numbers of the layout's blocks or channels, as a table.
static IrBuffer *channel_table(Lower *lower, const char *name, int64_t n, const double *values) {
  return ir_table(lower->ir, name, IR_INDEX, n, values);
}

// Whether channel c stands at position c, so that no table is needed.
static bool is_dense(const Layout *layout) {
  for (int k = 0; k + 1 < layout->c.n; k++) {
    if (layout->c.segment[k] % layout->block) return false;
  }
  return true;
}

static int64_t channel_count(const Layout *layout) {
  int64_t n = 0;
  for (int k = 0; k < layout->c.n; k++) n += layout->c.segment[k];
  return n;
}

// For each block its first logical channel and how many it holds.
static int block_spans(Arena *arena, const Layout *layout, double **out_start, double **out_lanes) {
  int n = 0, n_blocks = channel_blocks(layout);
  double *start = ARENA_ARRAY(arena, double, n_blocks), *lanes = ARENA_ARRAY(arena, double, n_blocks);
  int64_t first = 0;
  for (int k = 0; k < layout->c.n; k++) {
    int segment = layout->c.segment[k];
    for (int at = 0; at < segment; at += layout->block) {
      start[n] = (double)(first + at);
      lanes[n++] = segment - at < layout->block ? segment - at : layout->block;
    }
    first += segment;
  }
  *out_start = start;
  *out_lanes = lanes;
  return n;
}

IrExpr *lower_block_start(Lower *lower, const Layout *layout, IrExpr *block) {
  if (is_dense(layout)) return ir_scale(lower->ir, block, layout->block);
  double *start, *lanes;
  int n = block_spans(lower->ir->arena, layout, &start, &lanes);
  return ir_lookup(lower->ir, channel_table(lower, "first_channel", n, start), block, 0, channel_count(layout) - 1);
}

IrExpr *lower_block_lanes(Lower *lower, const Layout *layout, IrExpr *block) {
  Ir *ir = lower->ir;
  int64_t n_channels = channel_count(layout);
  if (is_dense(layout)) {
    IrExpr *left = ir_sub(ir, ir_int(ir, n_channels), ir_scale(ir, block, layout->block));
    return n_channels % layout->block ? ir_min(ir, ir_int(ir, layout->block), left) : ir_int(ir, layout->block);
  }
  double *start, *lanes;
  int n = block_spans(ir->arena, layout, &start, &lanes);
  return ir_lookup(ir, channel_table(lower, "n_lanes", n, lanes), block, 1, layout->block);
}

IrExpr *lower_position(Lower *lower, const Layout *layout, IrExpr *channel) {
  if (is_dense(layout)) return channel;
  int64_t n = channel_count(layout);
  double *position = ARENA_ARRAY(lower->ir->arena, double, n);
  for (int64_t c = 0; c < n; c++) position[c] = channel_position(layout, c);
  return ir_lookup(lower->ir, channel_table(lower, "position", n, position), channel, 0,
                   (int64_t)channel_blocks(layout) * layout->block - 1);
}

ChannelVar *lower_channel(const Lower *lower, const IrVar *var) {
  for (int k = 0; k < lower->n_channels; k++) {
    ChannelVar *c = &lower->channels[k];
    if (c->var == var || c->block == var || c->lane == var) return c;
  }
  return NULL;
}

// The channels start .. start + n - 1 of the layout, if they are whole segments, as a layout of their own.
static const Layout *whole_segments(Arena *arena, const Layout *layout, int64_t start, int64_t n, int64_t *out_block) {
  int first = 0;
  int64_t block = 0;
  for (; first < layout->c.n && start > 0; first++) {
    start -= layout->c.segment[first];
    block += ceil_div(layout->c.segment[first], layout->block);
  }
  int end = first;
  for (; end < layout->c.n && n > 0; end++) n -= layout->c.segment[end];
  if (start != 0 || n != 0) return NULL;
  *out_block = block;
  Layout *part = ARENA_ARRAY(arena, Layout, 1);
  *part = (Layout){.kind = LAYOUT_BLOCKED, .block = layout->block, .c = {end - first, layout->c.segment + first}};
  return part;
}

// A bare variable, or one plus a constant.
static const IrVar *variable_plus(const IrExpr *e, int64_t *out_plus) {
  *out_plus = e->kind == IR_SUM ? e->i : 0;
  if (e->kind == IR_SUM && e->n_args == 1 && e->coef[0] == 1) e = e->arg[0];
  return e->kind == IR_REF ? e->var : NULL;
}

// Splits a channel index into block and lane.
static void split_channel(Lower *lower, const Layout *layout, IrExpr *channel, IrExpr **out_block, IrExpr **out_lane) {
  Ir *ir = lower->ir;
  int64_t plus, first_block = 0;
  const IrVar *var = variable_plus(channel, &plus);
  const Layout *part = var && var->lo == 0 ? whole_segments(ir->arena, layout, plus, var->hi + 1, &first_block) : NULL;
  if (part) {
    ChannelVar *known = lower_channel(lower, var);
    if (!known) {
      ChannelVar new = {.var = (IrVar *)var,
                        .block = ir_var(ir, IR_INDEX, "b", 0, channel_blocks(part) - 1),
                        .lane = ir_var(ir, IR_INDEX, "lane", 0, part->block - 1),
                        .layout = part};
      ARENA_PUSH(ir->arena, lower->channels, lower->n_channels, lower->cap_channels, new);
      known = &lower->channels[lower->n_channels - 1];
    }
    if (known->var == var && channels_equal(known->layout, part)) {
      *out_block = ir_offset(ir, ir_ref(ir, known->block), first_block);
      *out_lane = ir_ref(ir, known->lane);
      return;
    }
  }
  IrExpr *position = lower_position(lower, layout, channel);
  *out_block = ir_div(ir, position, layout->block);
  *out_lane = ir_mod(ir, position, layout->block);
}

// ---- offsets

// index[0] * stride[0] + ... over the listed sizes, the last fastest; the first may have a stride of its own.
static IrExpr *linear(Ir *ir, int n, const int64_t *size, IrExpr *const *index, int64_t first_stride) {
  IrExpr *offset = ir_int(ir, 0);
  int64_t stride = 1;
  for (int k = n - 1; k >= 0; k--) {
    if (k == 0 && first_stride) stride = first_stride;
    offset = ir_add(ir, ir_scale(ir, index[k], stride), offset);
    stride *= size[k];
  }
  return offset;
}

IrExpr *lower_offset(Lower *lower, const Node *node, IrExpr *const *index) {
  Ir *ir = lower->ir;
  const Shape shape = node->shape;
  const Layout *layout = node->layout;
  if (!layout || layout->kind == LAYOUT_PLAIN)
    return linear(ir, shape.rank, shape.dim, index, node->into && shape.rank ? storage_batch_stride(node) : 0);
  if (shape.rank != 4) BUG("%s of rank %d has a blocked layout", op_info(node->op)->name, shape.rank);
  IrExpr *block, *lane;
  split_channel(lower, layout, index[layout->kind == LAYOUT_BLOCKED ? 1 : 0], &block, &lane);
  switch (layout->kind) {
  case LAYOUT_BLOCKED:
    return linear(ir, 5, (int64_t[]){shape.dim[0], channel_blocks(layout), shape.dim[2], shape.dim[3], layout->block},
                  (IrExpr *[]){index[0], block, index[2], index[3], lane}, storage_batch_stride(node));
  case LAYOUT_WEIGHT:
    return linear(ir, 5, (int64_t[]){channel_blocks(layout), shape.dim[2], shape.dim[3], shape.dim[1], layout->block},
                  (IrExpr *[]){block, index[2], index[3], index[1], lane}, 0);
  case LAYOUT_WEIGHT_PAIRS:
    return linear(
        ir, 6,
        (int64_t[]){(channel_blocks(layout) + 1) / 2, shape.dim[2], shape.dim[3], shape.dim[1], 2, layout->block},
        (IrExpr *[]){ir_div(ir, block, 2), index[2], index[3], index[1], ir_mod(ir, block, 2), lane}, 0);
  case LAYOUT_WEIGHT_DW:
    return linear(ir, 5, (int64_t[]){channel_blocks(layout), shape.dim[1], shape.dim[2], shape.dim[3], layout->block},
                  (IrExpr *[]){block, index[1], index[2], index[3], lane}, 0);
  case LAYOUT_WEIGHT_STRASSEN:
  case LAYOUT_PLAIN: break;
  }
  BUG("layout of kind %d", layout->kind);
}

void lower_hold(Lower *lower, const Node *node, const IrBuffer *tile, int64_t pitch, IrExpr *x0) {
  lower->tile = ARENA_ARRAY(lower->ir->arena, LowerTile, 1);
  *lower->tile = (LowerTile){node, tile, pitch, x0};
}

void lower_read_back(Lower *lower, const Node *out) {
  ARENA_PUSH(lower->ir->arena, lower->stored, lower->n_stored, lower->cap_stored, out);
}

static IrExpr *load_held(Lower *lower, IrExpr *const *index) {
  Ir *ir = lower->ir;
  const LowerTile *tile = lower->tile;
  const Layout *layout = tile->node->layout;
  IrExpr *block, *lane;
  split_channel(lower, layout, index[1], &block, &lane);
  IrExpr *offset = ir_scale(ir, ir_sub(ir, index[3], tile->x0), layout->block);
  offset = ir_add(ir, ir_scale(ir, block, tile->pitch), ir_add(ir, offset, lane));
  return ir_load(ir, tile->buffer, offset);
}
