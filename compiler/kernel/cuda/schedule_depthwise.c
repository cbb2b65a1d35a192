// Schedules of depthwise convolutions on CUDA.
#include "compiler/kernel/cuda/contract.h"
#include "compiler/kernel/ir_build.h"
#include "runtime/kernel_abi.h"

enum { THREADS = 128 };

typedef struct Depthwise {
  Lower *lower;
  Ir *ir;
  const Node *core;
} Depthwise;

static Depthwise begin(Lower *lower, const CudaContract *contract) {
  Ir *ir = lower->ir;
  return (Depthwise){.lower = lower, .ir = ir, .core = contract->core};
}

static IrStmt *put_results(Depthwise *d) {
  IrVar *params[4];
  IrExpr *index[4];
  cuda_pixel(d->ir, d->core->shape, params, index);
  return cuda_put_results(d->lower, d->ir->function->body, "finish", d->core, 4, params, index, ir_int(d->ir, 1));
}

// "C, H, W, OH, OW, KH, KW, S, P, D", as the templates take them; x is the larger picture, y the smaller one.
static const char *geometry(const Depthwise *d, Shape x, Shape y, Shape w) {
  const Node *core = d->core;
  return arena_printf(d->ir->arena, "%lld, %lld, %lld, %lld, %lld, %lld, %lld, %lld, %lld, %lld", (long long)x.dim[1],
                      (long long)x.dim[2], (long long)x.dim[3], (long long)y.dim[2], (long long)y.dim[3],
                      (long long)w.dim[2], (long long)w.dim[3], (long long)node_attr(core, "stride").i,
                      (long long)node_attr(core, "padding").i, (long long)node_attr(core, "dilation").i);
}

// ---- what the calls touch

// As sg_depthwise_dw reads its operand for `rows` results of a column from y0 on.
static void count_window(Depthwise *d, IrStmt *block, IrStmt *source, IrExpr *n, IrExpr *c, IrExpr *y0, IrExpr *x,
                         int rows, Shape picture, Shape weight) {
  Ir *ir = d->ir;
  int64_t stride = node_attr(d->core, "stride").i, padding = node_attr(d->core, "padding").i;
  int64_t dilation = node_attr(d->core, "dilation").i;
  for (int64_t j = 0; j <= (rows - 1) * stride + (weight.dim[2] - 1) * dilation; j++) {
    bool is_used = false;
    for (int r = 0; r < rows; r++) {
      int64_t from = j - r * stride;
      is_used = is_used || (from >= 0 && from % dilation == 0 && from / dilation < weight.dim[2]);
    }
    IrExpr *y = ir_offset(ir, ir_scale(ir, y0, stride), j - padding);
    for (int64_t k = 0; is_used && k < weight.dim[3]; k++) {
      IrExpr *column = ir_offset(ir, ir_scale(ir, x, stride), k * dilation - padding);
      IrExpr *is_inside = ir_and(ir, ir_inside(ir, y, picture.dim[2]), ir_inside(ir, column, picture.dim[3]));
      cuda_call(ir, cuda_where(ir, block, is_inside), source, (IrExpr *[]){n, c, y, column}, false);
    }
  }
}

// Calls with `rows` neighbouring rows.
static void count_rows(Depthwise *d, IrStmt *block, IrStmt *lambda, IrExpr *n, IrExpr *c, IrExpr *y0, IrExpr *x,
                       int64_t rows, int64_t height) {
  Ir *ir = d->ir;
  for (int64_t r = 0; r < rows; r++) {
    IrExpr *y = ir_offset(ir, y0, r);
    cuda_call(ir, cuda_where(ir, block, ir_inside(ir, y, height)), lambda, (IrExpr *[]){n, c, y, x}, false);
  }
}

static void count_taps(Depthwise *d, IrStmt *block, IrStmt *lambda, IrExpr *c, Shape weight) {
  IrExpr *tap;
  block = ir_count(d->ir, block, "tap", weight.dim[2] * weight.dim[3], &tap);
  cuda_call(d->ir, block, lambda, (IrExpr *[]){c, tap}, false);
}

// As sg_depthwise_dx reads.
static void count_meeting(Depthwise *d, IrStmt *block, IrStmt *source, IrExpr *n, IrExpr *c, IrExpr *u, IrExpr *x,
                          Shape gradient, Shape weight) {
  Ir *ir = d->ir;
  int64_t stride = node_attr(d->core, "stride").i, padding = node_attr(d->core, "padding").i;
  int64_t dilation = node_attr(d->core, "dilation").i;
  for (int64_t ty = 0; ty < ceil_div(weight.dim[2], stride); ty++) {
    for (int64_t tx = 0; tx < ceil_div(weight.dim[3], stride); tx++) {
      IrExpr *y = ir_offset(ir, u, -ty * dilation);
      IrExpr *column = ir_offset(ir, ir_div(ir, ir_offset(ir, x, padding), stride), -tx * dilation);
      IrExpr *is_inside = ir_and(ir, ir_inside(ir, y, gradient.dim[2]), ir_inside(ir, column, gradient.dim[3]));
      cuda_call(ir, cuda_where(ir, block, is_inside), source, (IrExpr *[]){n, c, y, column}, false);
    }
  }
}

// ---- schedules

static void schedule_forward(Depthwise *d, const CudaWindow *window) {
  Ir *ir = d->ir;
  const Node *core = d->core, *x = core->in[0], *w = core->in[1];
  Shape to = core->shape;
  int64_t planes = to.dim[0] * to.dim[1];
  IrExpr *thread = ir_threads(ir, window->threads), *at[3];
  ir_tasks(ir, 3,
           (int64_t[]){ceil_div(planes, window->tp), ceil_div(to.dim[2], window->th), ceil_div(to.dim[3], window->tw)},
           (const char *[]){"planes", "row", "column"}, at);
  CudaCorner corner = {ir_scale(ir, at[0], window->tp), ir_int(ir, planes), ir_scale(ir, at[1], window->th),
                       ir_scale(ir, at[2], window->tw)};
  IrStmt *source = cuda_put_window_source(d->lower, x), *weight = cuda_put_taps(d->lower, w), *finish = put_results(d);
  cuda_window_count(ir, source, weight, window, &corner, NULL, thread);
  int64_t groups = window->th / window->rows, items = window->tp * groups * window->tw;
  IrVar *item = ir_var(ir, IR_INDEX, "item", 0, items - 1);
  IrStmt *writes = ir_for(ir, cuda_calls(ir, finish), item, thread, ir_int(ir, items), window->threads, IR_SERIAL);
  IrExpr *i = ir_ref(ir, item), *column = ir_add(ir, corner.x, ir_mod(ir, i, window->tw)),
         *rest = ir_div(ir, i, window->tw);
  IrExpr *y = ir_add(ir, corner.y, ir_scale(ir, ir_mod(ir, rest, groups), window->rows));
  IrExpr *plane = ir_add(ir, corner.plane, ir_div(ir, rest, groups)), *c = ir_mod(ir, plane, to.dim[1]);
  IrExpr *is_in = ir_and(ir, ir_less(ir, plane, corner.end), ir_less(ir, column, ir_int(ir, to.dim[3])));
  count_rows(d, cuda_where(ir, writes, is_in), finish, ir_div(ir, plane, to.dim[1]), c, y, column, window->rows,
             to.dim[2]);
  IrExpr *memory = ir_address(ir, ir_shared(ir, "window", IR_FLOAT, cuda_window_floats(window)), ir_int(ir, 0));
  const char *call =
      arena_printf(ir->arena, "sg_depthwise<%s, %d, %lld, %lld, %lld, %d>", cuda_window_name(window, ir->arena),
                   window->threads, (long long)to.dim[1], (long long)to.dim[2], (long long)to.dim[3], window->rows);
  ir_do(ir, ir->function->body, call, 8,
        (IrExpr *[]){corner.plane, corner.end, corner.y, corner.x, ir_ref(ir, source->var), ir_ref(ir, weight->var),
                     ir_ref(ir, finish->var), memory});
}

static void schedule_backward(Depthwise *d) {
  Ir *ir = d->ir;
  const Node *core = d->core, *x = core->in[0], *w = core->in[1];
  Shape to = core->shape;
  int64_t stride = node_attr(core, "stride").i, padding = node_attr(core, "padding").i;
  int64_t groups = (to.dim[2] - 1 + padding) / stride - padding / stride + 1;
  int64_t count = to.dim[0] * to.dim[1] * groups * to.dim[3];
  IrExpr *thread = ir_threads(ir, THREADS), *block;
  ir_tasks(ir, 1, (int64_t[]){ceil_div(count, THREADS)}, (const char *[]){"block"}, &block);
  IrExpr *id = ir_add(ir, ir_scale(ir, block, THREADS), thread);
  IrStmt *source = cuda_put_picture(d->lower, "source", x), *weight = cuda_put_taps(d->lower, w),
         *finish = put_results(d);
  IrExpr *is_in = ir_less(ir, id, ir_int(ir, count)), *column = ir_mod(ir, id, to.dim[3]);
  IrExpr *rest = ir_div(ir, id, to.dim[3]), *group = ir_mod(ir, rest, groups), *plane = ir_div(ir, rest, groups);
  IrExpr *c = ir_mod(ir, plane, to.dim[1]), *n = ir_div(ir, plane, to.dim[1]);
  IrExpr *u = ir_offset(ir, group, padding / stride);
  count_taps(d, cuda_where(ir, cuda_calls(ir, weight), is_in), weight, c, w->shape);
  count_meeting(d, cuda_where(ir, cuda_calls(ir, source), is_in), source, n, c, u, column, x->shape, w->shape);
  count_rows(d, cuda_where(ir, cuda_calls(ir, finish), is_in), finish, n, c,
             ir_offset(ir, ir_scale(ir, u, stride), -padding), column, stride, to.dim[2]);
  const char *call = arena_printf(ir->arena, "sg_depthwise_dx<%s>", geometry(d, to, x->shape, w->shape));
  ir_do(ir, ir->function->body, call, 5,
        (IrExpr *[]){id, ir_int(ir, count), ir_ref(ir, source->var), ir_ref(ir, weight->var), ir_ref(ir, finish->var)});
}

void cuda_schedule_depthwise(Lower *lower, const CudaContract *contract) {
  Depthwise d = begin(lower, contract);
  if (contract->core->op == OP_conv2d_dx) schedule_backward(&d);
  else schedule_forward(&d, &contract->window);
}

void cuda_schedule_depthwise_dw(Lower *lower, const CudaContract *contract) {
  Depthwise d = begin(lower, contract);
  Ir *ir = d.ir;
  const Node *core = d.core, *x = core->in[0], *g = core->in[1];
  Shape w = core->shape;
  int rows = g->shape.dim[2] >= 4 ? 4 : 1;
  int64_t channels = w.dim[0], items = g->shape.dim[0] * ceil_div(g->shape.dim[2], rows) * g->shape.dim[3];
  int threads = items >= 512 ? 256 : 64;
  while (threads < w.dim[2] * w.dim[3]) threads *= 2; // a thread finishes a tap
  int64_t splits = 1, wanted = (int64_t)cuda_multiprocessors(contract->target) * 4;
  while (channels <= SG_COUNTERS && channels * splits < wanted && items >= 4 * threads * splits) splits *= 2;
  IrExpr *thread = ir_threads(ir, threads);
  IrExpr *at[2];
  ir_tasks(ir, 2, (int64_t[]){splits, channels}, (const char *[]){"split", "channel"}, at);
  IrExpr *partial = ir_call(ir, IR_POINTER, "sg_nowhere", 0, NULL);
  if (splits > 1) {
    int64_t size = splits * channels * w.dim[2] * w.dim[3];
    partial = ir_address(ir, ir_scratch(ir, "partial", IR_FLOAT, size), ir_int(ir, 0));
  }
  IrStmt *source = cuda_put_picture(lower, "source", x), *gradient = cuda_put_picture(lower, "gradient", g);
  IrVar *params[2];
  IrExpr *index[4];
  cuda_tap(ir, w, params, index);
  IrStmt *finish = cuda_put_results(lower, ir->function->body, "finish", core, 2, params, index, ir_int(ir, 1));
  int64_t width = g->shape.dim[3], groups = ceil_div(g->shape.dim[2], rows), part = ceil_div(items, splits);
  IrVar *item = ir_var(ir, IR_INDEX, "item", 0, items - 1);
  IrExpr *begin_at = ir_scale(ir, at[0], part), *i = ir_ref(ir, item), *x0 = ir_mod(ir, i, width);
  IrExpr *end = ir_min(ir, ir_offset(ir, begin_at, part), ir_int(ir, items));
  IrExpr *y0 = ir_scale(ir, ir_mod(ir, ir_div(ir, i, width), groups), rows), *n = ir_div(ir, i, width * groups);
  begin_at = ir_add(ir, begin_at, thread);
  IrStmt *reads = ir_for(ir, cuda_calls(ir, source), item, begin_at, end, threads, IR_SERIAL);
  IrStmt *others = ir_for(ir, cuda_calls(ir, gradient), item, begin_at, end, threads, IR_SERIAL);
  count_window(&d, reads, source, n, at[1], y0, x0, rows, x->shape, w);
  count_rows(&d, others, gradient, n, at[1], y0, x0, rows, g->shape.dim[2]);
  IrExpr *is_last =
      ir_and(ir, ir_equal(ir, at[0], ir_int(ir, splits - 1)), ir_less(ir, thread, ir_int(ir, w.dim[2] * w.dim[3])));
  cuda_call(ir, cuda_where(ir, cuda_calls(ir, finish), is_last), finish, (IrExpr *[]){at[1], thread}, false);
  const char *call = arena_printf(ir->arena, "sg_depthwise_dw<%d, %lld, %lld, %s, %d>", threads, (long long)splits,
                                  (long long)x->shape.dim[0], geometry(&d, x->shape, g->shape, w), rows);
  ir_do(
      ir, ir->function->body, call, 6,
      (IrExpr *[]){at[1], at[0], ir_ref(ir, source->var), ir_ref(ir, gradient->var), ir_ref(ir, finish->var), partial});
}
