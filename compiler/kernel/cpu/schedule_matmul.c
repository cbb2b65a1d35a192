// Schedule of matrix products: tasks over the leading axes, pieces of rows and pieces of columns.
#include "compiler/kernel/cpu/micro.h"
#include "compiler/kernel/cpu/schedule_conv.h"
#include "compiler/kernel/tuning.h"

static int64_t clamp(int64_t x, int64_t lo, int64_t hi) { return x < lo ? lo : x > hi ? hi : x; }

// Address of the matrix of an operand (or the result) that belongs to the leading indices; sizes of 1 repeat.
static IrExpr *matrix_of(const Schedule *schedule, const Node *node, int n_leading, IrExpr *const *index) {
  Ir *ir = schedule->ir;
  int own = node->shape.rank - 2;
  int64_t step = node->shape.dim[own] * node->shape.dim[own + 1];
  IrExpr *at = ir_int(ir, 0);
  for (int k = own - 1; k >= 0; k--) {
    if (node->shape.dim[k] > 1) at = ir_add(ir, at, ir_scale(ir, index[k + n_leading - own], step));
    step *= node->shape.dim[k];
  }
  return ir_address(ir, buffer_of(schedule, node), at);
}

// Rows and columns of a task. Columns are cut first: a task packs its part of b once for all its rows.
static void choose_pieces(const Target *target, int64_t m, int64_t n, int64_t k, int64_t products, int64_t *out_rows,
                          int64_t *out_columns) {
  enum { TASKS = 16, LEAST_ROWS = 48 };
  int64_t unit = micro_max_vectors(target) * target->vector;
  // A panel that stays in the cache, in whole register tiles, and work enough.
  int64_t most = clamp(target->l2 / 2 / (4 * k) / unit * unit, unit, ceil_div(n, unit) * unit);
  int64_t wanted = clamp(products * m * n * k / TASK_WORK, 1, TASKS);
  int64_t parts = clamp(ceil_div(wanted, products), ceil_div(n, most), ceil_div(n, unit));
  int64_t columns = ceil_div(ceil_div(n, parts), unit) * unit;
  if (columns > n) columns = n;
  parts = ceil_div(n, columns) * products;
  int64_t rows = ceil_div(m, clamp(ceil_div(wanted, parts), 1, ceil_div(m, LEAST_ROWS)));
  *out_rows = rows, *out_columns = columns;
}

void schedule_matmul(Schedule *schedule) {
  Ir *ir = schedule->ir;
  const Target *target = schedule->contract.target;
  const Node *y = schedule->contract.core.node, *a = y->in[0], *b = y->in[1];
  int n_leading = y->shape.rank - 2;
  bool ta = node_attr(y, "transpose_a").i, tb = node_attr(y, "transpose_b").i;
  int64_t m = y->shape.dim[n_leading], n = y->shape.dim[n_leading + 1], k = a->shape.dim[a->shape.rank - (ta ? 2 : 1)];
  int64_t rows, columns;
  choose_pieces(target, m, n, k, shape_elements(y->shape) / (m * n), &rows, &columns);
  columns = tuning_knob(ir, "columns", columns, 1, n);
  rows = tuning_knob(ir, "rows", rows, 1, m);
  int64_t extent[MAX_RANK + 2];
  const char *names[MAX_RANK + 2];
  IrExpr *index[MAX_RANK + 2], *m0, *m1, *n0, *n1;
  for (int i = 0; i < n_leading; i++) {
    extent[i] = y->shape.dim[i];
    names[i] = "i";
  }
  extent[n_leading] = ceil_div(m, rows);
  extent[n_leading + 1] = ceil_div(n, columns);
  names[n_leading] = "row_piece";
  names[n_leading + 1] = "column_piece";
  ir_tasks(ir, n_leading + 2, extent, names, index);
  piece(ir, index[n_leading], rows, m, &m0, &m1);
  piece(ir, index[n_leading + 1], columns, n, &n0, &n1);
  int64_t c[MICRO_MATMUL] = {m, n, k, ta, tb};
  int64_t unit = target_paired(target) * schedule->vl;
  const IrBuffer *pack = ir_scratch(ir, "pack", IR_FLOAT, k * (ceil_div(columns, unit) * unit + 48));
  IrExpr *args[] = {numbers(schedule, "shape", c, MICRO_MATMUL),
                    matrix_of(schedule, a, n_leading, index),
                    matrix_of(schedule, b, n_leading, index),
                    matrix_of(schedule, schedule->contract.result, n_leading, index),
                    m0,
                    m1,
                    n0,
                    n1,
                    ir_address(ir, pack, ir_int(ir, 0))};
  ir_do(ir, schedule->body, "sg_matmul", 9, args);
}
