// Mean and variance over the same elements in one pass.
//
// A sum of squared distances from the mean needs the mean first: two passes, and two kernels where blocks share a row.
// With any value K near the elements, A = sum(x - K) and B = sum((x - K)^2) give both at once:
//   sum(x) = A + n K        sum((x - mean)^2) = B - A^2 / n
// The difference loses about (1 + d^2) of the precision, d being the distance of K from the mean in standard
// deviations. K is the median of three elements, so that no single outlier is taken.
#include <math.h>

#include "compiler/kernel/cuda/map.h"
#include "compiler/kernel/emit_reduce.h"

enum { MAX_MOMENTS = 16 };

// A sum over several variables, one chain of reductions.
typedef struct Chain {
  IrExpr *whole, *body;
  IrVar *var[MAX_CHAIN];
  int n;
  int64_t count; // elements
} Chain;

typedef struct Moments {
  Chain sum, squares;
  IrExpr *new_sum, *new_squares;
} Moments;

typedef struct Finder {
  Ir *ir;
  IrMap seen;
  Moments list[MAX_MOMENTS];
  int n;
} Finder;

static bool read_chain(IrExpr *e, Chain *out) {
  *out = (Chain){.whole = e, .count = 1};
  for (; e->kind == IR_REDUCE && e->op == OP_add && out->n < MAX_CHAIN; e = e->arg[0]) {
    out->var[out->n++] = e->var;
    out->count *= e->i;
  }
  out->body = e;
  return out->n > 0 && e->kind != IR_REDUCE;
}

static bool is_reduction(const IrExpr *e, const void *unused) {
  (void)unused;
  return e->kind == IR_REDUCE;
}

static IrExpr *substituted(Ir *ir, IrExpr *e, const Chain *from, IrVar *const *to) {
  for (int k = 0; k < from->n; k++) e = ir_substitute(ir, e, from->var[k], ir_ref(ir, to[k]));
  return e;
}

// The sum that `mean` divides by the number of elements, or NULL.
static IrExpr *sum_of_mean(IrExpr *mean, int64_t count) {
  if (mean->kind != IR_OP || (mean->op != OP_mul && mean->op != OP_div)) return NULL;
  IrExpr *a = mean->arg[0], *b = mean->arg[1];
  if (mean->op == OP_mul && a->kind == IR_NUMBER) {
    a = mean->arg[1];
    b = mean->arg[0];
  }
  if (a->kind != IR_REDUCE || b->kind != IR_NUMBER) return NULL;
  double share = mean->op == OP_mul ? b->f : 1 / b->f;
  return fabs(share * (double)count - 1) < 1e-6 ? a : NULL;
}

// The sum of (x - mean)^2 where mean is that of the same x.
static bool match(Ir *ir, IrExpr *e, Moments *out) {
  if (!read_chain(e, &out->squares)) return false;
  const IrExpr *square = out->squares.body;
  if (square->kind != IR_OP || square->op != OP_mul || square->arg[0] != square->arg[1]) return false;
  const IrExpr *distance = square->arg[0];
  if (distance->kind != IR_OP || distance->op != OP_sub) return false;
  IrExpr *sum = sum_of_mean(distance->arg[1], out->squares.count);
  if (!sum || !read_chain(sum, &out->sum) || out->sum.n != out->squares.n) return false;
  for (int k = 0; k < out->sum.n; k++) {
    if (out->sum.var[k]->hi != out->squares.var[k]->hi) return false;
  }
  if (ir_any(ir, out->sum.body, is_reduction, NULL)) return false;
  return ir_same(substituted(ir, out->sum.body, &out->sum, out->squares.var), distance->arg[0]);
}

static void find(Finder *f, IrExpr *e) {
  if (e->n_args == 0 || e->type == IR_INDEX || ir_map_get(&f->seen, e)) return;
  ir_map_set(&f->seen, f->ir->arena, e, f);
  if (e->kind == IR_REDUCE && f->n < MAX_MOMENTS && match(f->ir, e, &f->list[f->n])) f->n++;
  for (int k = 0; k < e->n_args; k++) find(f, e->arg[k]);
}

// Element number `at` of the sum.
static IrExpr *element(Ir *ir, const Chain *sum, int64_t at) {
  IrExpr *e = sum->body;
  for (int k = sum->n - 1; k >= 0; k--) {
    int64_t n = sum->var[k]->hi + 1;
    e = ir_substitute(ir, e, sum->var[k], ir_int(ir, at % n));
    at /= n;
  }
  return e;
}

static IrExpr *median(Ir *ir, IrExpr *a, IrExpr *b, IrExpr *c) {
  IrExpr *low = ir_op2(ir, OP_minimum, a, b), *high = ir_op2(ir, OP_maximum, a, b);
  return ir_op2(ir, OP_maximum, low, ir_op2(ir, OP_minimum, high, c));
}

static IrExpr *summed(Ir *ir, const Chain *like, IrExpr *body) {
  for (int k = like->n - 1; k >= 0; k--) body = ir_reduce(ir, OP_add, like->var[k], like->var[k]->hi + 1, body);
  return body;
}

static void rebuild(Ir *ir, Moments *m) {
  const Chain *sum = &m->sum;
  int64_t n = sum->count;
  IrExpr *near = median(ir, element(ir, sum, n / 4), element(ir, sum, n / 2), element(ir, sum, 3 * n / 4));
  near->label = "near";
  IrExpr *x = ir_op2(ir, OP_sub, sum->body, near);
  IrExpr *a = summed(ir, sum, x), *b = summed(ir, sum, ir_op2(ir, OP_mul, x, x));
  m->new_sum = ir_op2(ir, OP_add, a, ir_op2(ir, OP_mul, near, ir_number(ir, (double)n)));
  IrExpr *part = ir_op2(ir, OP_mul, ir_op2(ir, OP_mul, a, a), ir_number(ir, 1 / (double)n));
  m->new_squares = ir_op2(ir, OP_maximum, ir_number(ir, 0), ir_op2(ir, OP_sub, b, part));
  m->new_sum->label = m->sum.whole->label;
  m->new_squares->label = m->squares.whole->label;
}

static IrExpr *leaf(void *context, Ir *ir, IrExpr *e) {
  (void)ir;
  const Finder *f = context;
  for (int k = 0; e->kind == IR_REDUCE && k < f->n; k++) {
    if (e == f->list[k].squares.whole) return f->list[k].new_squares;
    if (e == f->list[k].sum.whole) return f->list[k].new_sum;
  }
  return NULL;
}

void cuda_moments(Ir *ir, int n, IrExpr **value) {
  Finder f = {.ir = ir};
  for (int k = 0; k < n; k++) find(&f, value[k]);
  if (!f.n) return;
  for (int k = 0; k < f.n; k++) rebuild(ir, &f.list[k]);
  ir_rewrite_all(ir, n, value, leaf, &f);
}
