// Schedule of matrix products: tasks over the leading axes, pieces of rows and pieces of columns.
#include "compiler/kernel/cpu/micro.h"
#include "compiler/kernel/cpu/schedule_conv.h"

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
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

void schedule_matmul(Schedule *schedule) {
  Ir *ir = schedule->ir;
  const Target *target = schedule->contract.target;
  const Node *y = schedule->contract.core.node, *a = y->in[0], *b = y->in[1];
  int n_leading = y->shape.rank - 2;
  bool ta = node_attr(y, "transpose_a").i, tb = node_attr(y, "transpose_b").i;
  int64_t m = y->shape.dim[n_leading], n = y->shape.dim[n_leading + 1], k = a->shape.dim[a->shape.rank - (ta ? 2 : 1)];
  // Columns whose panel stays in the cache, in whole vectors; rows enough for packing it to pay.
  int64_t vl = schedule->vl,
          columns = clamp(target->l2 / 2 / (4 * k) / (6 * vl) * (6 * vl), 6 * vl, ceil_div(n, vl) * vl);
  if (columns > n) columns = n;
  int64_t rows = clamp(ceil_div(TASK_WORK, k * columns), 48, m > 48 ? m : 48);
  rows = even_pieces(m, rows);
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
  const IrBuffer *pack = ir_scratch(ir, "pack", IR_FLOAT, k * (ceil_div(columns, vl) * vl + 48));
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
