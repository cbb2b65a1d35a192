// Schedules of ops that no scalar expression describes: concat by copies, cumsum, nearest, scatter_add, random, weights
// of Strassen's products and Winograd's tiles.
#include "compiler/kernel/schedule_special.h"

#include "compiler/kernel/cpu/micro.h"
#include "compiler/kernel/group.h"
#include "compiler/kernel/schedule_map.h"
#include "runtime/base/status.h"

// ---- concat: one nest an input that was not written in place; tasks of the first come first

typedef struct Copy {
  Map map;
  int64_t first_task;
} Copy;

static MapLoop axis_loop(Ir *ir, Shape shape, int k) {
  return (MapLoop){ir_var(ir, IR_INDEX, lower_axis_name(shape.rank, k), 0, shape.dim[k] - 1), shape.dim[k], 1};
}

void concat_copy(Lower *lower, Node *node, int k, int64_t start, Map *out) {
  Ir *ir = lower->ir;
  Node *in = node->in[k];
  int64_t axis = node_attr(node, "axis").i;
  MapLoop loop[MAP_LOOPS];
  IrExpr *from[MAX_RANK], *to[MAX_RANK];
  // Channels that go into a block stand side by side there.
  bool is_turned = node->layout && !in->layout && axis == 1;
  for (int i = 0; i < in->shape.rank; i++) {
    int at = !is_turned || i < axis ? i : i == axis ? in->shape.rank - 1 : i - 1;
    loop[at] = axis_loop(ir, in->shape, i);
    from[i] = to[i] = ir_ref(ir, loop[at].var);
  }
  to[axis] = ir_offset(ir, to[axis], start);
  IrExpr *value = lower_value(lower, in, from);
  MapStore store = {lower->out[0], lower_offset(lower, node, to), value, NULL};
  map_stores(out, lower, in->shape.rank, loop, 1, &store);
}

static void schedule_concat(Lower *lower, Node *node) {
  Ir *ir = lower->ir;
  Copy *copies = ARENA_ARRAY(ir->arena, Copy, node->n_in);
  int n = 0;
  int64_t n_tasks = 0, start = 0;
  for (int k = 0; k < node->n_in; k++) {
    if (!concat_is_in_place(node, k)) {
      copies[n].first_task = n_tasks;
      concat_copy(lower, node, k, start, &copies[n].map);
      n_tasks += copies[n++].map.n_tasks;
    }
    start += node->in[k]->shape.dim[node_attr(node, "axis").i];
  }
  IrFunction *function = ir->function;
  if (n_tasks == n) { // all are small
    for (int k = 0; k < n; k++) map_put(&copies[k].map, function->body, ir_int(ir, 0));
    return;
  }
  function->n_tasks = n_tasks;
  function->task->hi = n_tasks - 1;
  IrExpr *task = ir_ref(ir, function->task);
  IrStmt *block = function->body;
  for (int k = 0; k < n; k++) {
    IrExpr *own = ir_offset(ir, task, -copies[k].first_task);
    IrStmt *choice = NULL, *body = block;
    if (k + 1 < n) {
      choice = ir_if(ir, block, ir_less(ir, task, ir_int(ir, copies[k + 1].first_task)));
      body = choice->body[0];
    }
    if (copies[k].map.n_tasks > 1) {
      IrVar *piece = ir_var(ir, IR_INDEX, "piece", 0, copies[k].map.n_tasks - 1);
      ir_let_as(ir, body, piece, own);
      own = ir_ref(ir, piece);
    } else {
      own = ir_int(ir, 0);
    }
    map_put(&copies[k].map, body, own);
    if (choice) block = ir_else(ir, choice);
  }
}

// ---- cumsum: a loop along the axis inside loops over the others

static void schedule_cumsum(Lower *lower, Node *node) {
  Ir *ir = lower->ir;
  int64_t axis = node_attr(node, "axis").i, n = node->shape.dim[axis];
  IrExpr *index[MAX_RANK];
  IrStmt *block = ir->function->body;
  IrVar *var[MAX_RANK];
  for (int k = 0; k < node->shape.rank; k++) {
    var[k] = ir_var(ir, IR_INDEX, lower_axis_name(node->shape.rank, k), 0, node->shape.dim[k] - 1);
    index[k] = ir_ref(ir, var[k]);
  }
  // A chain of additions has no parallel form that keeps its bits; rows are independent.
  int split = axis == 0 ? 1 : 0;
  bool is_split = node->shape.rank > 1 && node->shape.dim[split] > 1 && shape_elements(node->shape) > 1 << 16;
  if (is_split) ir_tasks(ir, 1, &node->shape.dim[split], (const char *const[]){"row"}, &index[split]);
  for (int k = 0; k < node->shape.rank; k++) {
    if (k == axis || (is_split && k == split) || node->shape.dim[k] == 1) continue;
    block = ir_for(ir, block, var[k], ir_int(ir, 0), ir_int(ir, node->shape.dim[k]), 1, IR_SERIAL);
  }
  IrVar *sum = ir_mutable(ir, block, "sum", ir_convert(ir, IR_DOUBLE, ir_number(ir, 0)));
  if (n > 1) block = ir_for(ir, block, var[axis], ir_int(ir, 0), ir_int(ir, n), 1, IR_SERIAL);
  if (node_attr(node, "reverse").i) index[axis] = ir_sub(ir, ir_int(ir, n - 1), index[axis]);
  IrExpr *element = nest_scalar_channels(lower, lower_value(lower, node->in[0], index));
  ir_accumulate(ir, block, OP_add, sum, element);
  IrExpr *offset = nest_scalar_channels(lower, lower_offset(lower, node, index));
  ir_store(ir, block, lower->out[0], offset, ir_convert(ir, IR_FLOAT, ir_ref(ir, sum)));
}

// ---- rows that a function of the preamble computes whole

// Numbers have no memory: a row of them is written out.
static IrExpr *number_row(Lower *lower, const Node *node) {
  Ir *ir = lower->ir;
  int64_t n = node->shape.dim[1];
  IrBuffer *numbers = ir_scratch(ir, "numbers", IR_FLOAT, n);
  IrExpr *i;
  IrStmt *loop = ir_count(ir, ir->function->body, "i", n, &i);
  ir_store(ir, loop, numbers, i, ir_number(ir, node_attr(node, "value").f));
  return ir_address(ir, numbers, ir_int(ir, 0));
}

static IrExpr *row_address(Lower *lower, const Node *node, IrExpr *row) {
  if (node_is_number(node)) return number_row(lower, node);
  const IrBuffer *buffer = lower_out(lower, node) ? lower_out(lower, node) : lower_in(lower, node);
  if (node->layout && node->layout->kind != LAYOUT_PLAIN) BUG("an index op on a blocked value");
  IrExpr *index[] = {row, ir_int(lower->ir, 0)};
  return ir_address(lower->ir, buffer, lower_offset(lower, node, index));
}

static void schedule_nearest(Lower *lower, Node *node) {
  Ir *ir = lower->ir;
  const Node *points = node->in[1];
  int64_t n_points = points->shape.dim[1];
  IrExpr *row;
  ir_tasks(ir, 1, node->shape.dim, (const char *const[]){"row"}, &row);
  IrBuffer *sorted = ir_scratch(ir, "sorted", IR_FLOAT, 4 * n_points);
  IrExpr *args[] = {row_address(lower, node->in[0], row), row_address(lower, points, row),
                    row_address(lower, node->in[2], row), row_address(lower, node, row),
                    ir_int(ir, node->shape.dim[1]),       ir_int(ir, n_points),
                    ir_address(ir, sorted, ir_int(ir, 0))};
  ir_do(ir, ir->function->body, "nearest_row", 7, args);
}

static void schedule_scatter_add(Lower *lower, Node *node) {
  Ir *ir = lower->ir;
  IrExpr *row;
  ir_tasks(ir, 1, node->shape.dim, (const char *const[]){"row"}, &row);
  IrBuffer *sums = ir_scratch(ir, "sums", IR_DOUBLE, node->shape.dim[1]);
  IrExpr *args[] = {row_address(lower, node->in[0], row), row_address(lower, node->in[1], row),
                    row_address(lower, node, row),        ir_int(ir, node->in[0]->shape.dim[1]),
                    ir_int(ir, node->shape.dim[1]),       ir_address(ir, sums, ir_int(ir, 0))};
  ir_do(ir, ir->function->body, "scatter_add_row", 6, args);
}

// ---- random: runs of elements, each of which depends on its number alone

enum { RANDOM_RUN = 1 << 14 }; // a multiple of the four words of a block

static void schedule_random(Lower *lower, Node *node) {
  Ir *ir = lower->ir;
  if (node->layout && node->layout->kind != LAYOUT_PLAIN) BUG("random numbers of a blocked value");
  int64_t n = shape_elements(node->shape), n_runs = ceil_div(n, RANDOM_RUN);
  IrExpr *run, *zero = ir_int(ir, 0), *index[MAX_RANK];
  ir_tasks(ir, 1, &n_runs, (const char *const[]){"run"}, &run);
  for (int k = 0; k < node->shape.rank; k++) index[k] = zero;
  IrExpr *from = ir_scale(ir, run, RANDOM_RUN);
  IrExpr *count = n_runs == 1 ? ir_int(ir, n) : ir_min(ir, ir_int(ir, RANDOM_RUN), ir_sub(ir, ir_int(ir, n), from));
  const Node *key = node->in[0];
  IrExpr *args[] = {ir_address(ir, lower_in(lower, key), lower_offset(lower, key, index)),
                    ir_int(ir, node_attr(node, "stream").i),
                    ir_int(ir, node_attr(node, "each").i),
                    ir_address(ir, lower->out[0], lower_offset(lower, node, index)),
                    from,
                    count};
  ir_do(ir, ir->function->body, "random_run", 6, args);
}

// ---- weights of Strassen's products: by a micro-kernel

static void schedule_strassen_weight(Lower *lower, Node *node) {
  enum { TASK = 1 << 16, HEAD = 5 }; // elements; numbers before the runs
  Ir *ir = lower->ir;
  const Node *w = node->in[0];
  int64_t unit = ir->target->vector * target_paired(ir->target), inputs = w->shape.dim[1];
  int64_t units = w->shape.dim[0] / 2 / unit, size = ceil_div(TASK, unit * inputs), pieces = ceil_div(units, size);
  StrassenOrder order = micro_strassen_order(node->layout);
  double numbers[HEAD + sizeof order.run / sizeof **order.run] = {(double)w->shape.dim[0], (double)inputs,
                                                                  node->layout->half, order.n, order.n_beyond};
  int n = HEAD + 3 * (order.n + order.n_beyond);
  for (int i = HEAD; i < n; i++) numbers[i] = (double)order.run[(i - HEAD) / 3][(i - HEAD) % 3];
  IrExpr *piece, *zero = ir_int(ir, 0);
  ir_tasks(ir, 1, &pieces, (const char *const[]){"piece"}, &piece);
  IrExpr *first = ir_scale(ir, piece, size);
  IrExpr *args[] = {ir_address(ir, ir_table(ir, "shape", IR_INDEX, n, numbers), zero),
                    ir_address(ir, lower_in(lower, w), zero), ir_address(ir, lower->out[0], zero), first,
                    ir_min(ir, ir_offset(ir, first, size), ir_int(ir, units))};
  ir_do(ir, ir->function->body, "sg_strassen_weight", 5, args);
}

// ---- weights of Winograd's tiles: by a micro-kernel

static void schedule_winograd_weight(Lower *lower, Node *node) {
  enum { PIECE = 64 }; // input channels of a task
  Ir *ir = lower->ir;
  const Layout *layout = node->layout;
  int64_t inputs = node->shape.dim[1], pairs = layout->kind == LAYOUT_WEIGHT_PAIRS ? 2 : 1;
  int blocks = (int)channel_blocks(layout), n = 0, first = 0;
  double *numbers = ARENA_ARRAY(ir->arena, double, MICRO_WEIGHT + 2 * blocks);
  numbers[MICRO_WEIGHT_INPUTS] = (double)inputs;
  numbers[MICRO_WEIGHT_ELEMENTS] = (double)(node->shape.dim[2] * node->shape.dim[3]);
  numbers[MICRO_WEIGHT_BLOCKS] = blocks;
  numbers[MICRO_WEIGHT_PAIRS] = (double)pairs;
  numbers[MICRO_WEIGHT_STREAMS] = target_outgrows_caches(ir->target, 4 * layout_elements(node->shape, layout));
  for (int k = 0; k < layout->c.n; k++) {
    for (int left = layout->c.segment[k], lanes; left > 0; left -= lanes, first += lanes) {
      lanes = left < layout->block ? left : layout->block;
      numbers[MICRO_WEIGHT + n++] = first;
      numbers[MICRO_WEIGHT + n++] = lanes;
    }
  }
  int64_t counts[] = {ceil_div(blocks, pairs), ceil_div(inputs, PIECE)};
  IrExpr *task[2], *zero = ir_int(ir, 0);
  ir_tasks(ir, 2, counts, (const char *const[]){"group", "piece"}, task);
  IrExpr *from = ir_scale(ir, task[1], PIECE);
  const IrBuffer *room = ir_scratch(ir, "room", IR_FLOAT, micro_winograd_weight_room(ir->target));
  IrExpr *args[] = {ir_address(ir, ir_table(ir, "shape", IR_INDEX, MICRO_WEIGHT + n, numbers), zero),
                    ir_address(ir, lower_in(lower, node->in[0]), zero),
                    ir_address(ir, lower_in(lower, node->in[1]), zero),
                    ir_address(ir, lower->out[0], zero),
                    task[0],
                    from,
                    ir_min(ir, ir_offset(ir, from, PIECE), ir_int(ir, inputs)),
                    ir_address(ir, room, zero)};
  ir_do(ir, ir->function->body, "sg_winograd_weight", 8, args);
}

// ---- all

bool special_is(Op op) {
  return op == OP_concat || op == OP_cumsum || op == OP_nearest || op == OP_scatter_add || op == OP_random ||
         op == OP_strassen_weight || op == OP_winograd_weight;
}

void special_schedule(Lower *lower) {
  Node *node = lower->group->nodes[0];
  switch (node->op) {
  case OP_concat: schedule_concat(lower, node); return;
  case OP_cumsum: schedule_cumsum(lower, node); return;
  case OP_nearest: schedule_nearest(lower, node); return;
  case OP_scatter_add: schedule_scatter_add(lower, node); return;
  case OP_random: schedule_random(lower, node); return;
  case OP_strassen_weight: schedule_strassen_weight(lower, node); return;
  case OP_winograd_weight: schedule_winograd_weight(lower, node); return;
  default: BUG("%s has no schedule of its own", op_info(node->op)->name);
  }
}
