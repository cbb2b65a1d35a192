// Schedule of gradients by the weight of dense convolutions on CUDA: the sizes of their tiles, what they touch.
#include "compiler/kernel/cuda/contract.h"
#include "compiler/kernel/ir_build.h"
#include "compiler/ops/build.h"
#include "runtime/kernel_abi.h"

enum { REGISTERS = 64 << 10, EACH = 128 }; // of a multiprocessor, of a thread

typedef struct Geometry {
  Shape x, g, w;
  int64_t padding, taps;
} Geometry;

static Geometry geometry_of(const Node *core) {
  Shape w = core->shape;
  return (Geometry){core->in[0]->shape, core->in[1]->shape, w, node_attr(core, "padding").i, w.dim[2] * w.dim[3]};
}

// As SgDense has them.
typedef struct Dense {
  int bm, bc, tm, ks, th, tw, q;
  int64_t splits, rows, columns; // tiles of output and of input channels
} Dense;

static int group_of(const Dense *d) { return d->bm / d->tm * d->bc; }
static int threads_of(const Dense *d) { return group_of(d) * d->ks; }
static int64_t window_of(const Dense *d, const Geometry *g) {
  return (d->th + g->w.dim[2] - 1) * (d->tw + g->w.dim[3] - 1);
}
// Columns before those of the window, and threads that walk a row of it.
static int64_t lead_of(const Dense *d, const Geometry *g) {
  return g->x.dim[3] % 8 || d->tw % 8 ? 0 : (8 - g->padding % 8) % 8;
}
static int64_t lanes_of(const Dense *d, const Geometry *g) {
  int64_t columns = d->tw + g->w.dim[3] - 1;
  return g->x.dim[3] % 8 || d->tw % 8 ? columns : ceil_div(lead_of(d, g) + columns, 8) * 8;
}
static int64_t items_of(const Dense *d, const Geometry *g) {
  return g->g.dim[0] * ceil_div(g->g.dim[2], d->th) * ceil_div(g->g.dim[3], d->tw);
}

static int64_t floats_of(const Dense *d, const Geometry *g) {
  int64_t lines = (int64_t)d->th * d->tw * (d->bm < 4 ? d->bm : d->bm + 4);
  int64_t floats = lines + d->bc * (window_of(d, g) | 1), meeting = group_of(d) * g->taps * (d->ks > 1 ? d->tm : 1);
  return floats > meeting ? floats : meeting;
}

bool cuda_dense_dw_fits(const Target *target, const Node *core) {
  enum { LEAST = 1 << 10, FEW = 5, MOST_TAPS = 9, FOR_TENSOR_CORES = 16 };
  if (core->op != OP_conv2d_dw || node_attr(core, "groups").i > 1) return false;
  if (node_attr(core, "stride").i > 1 || node_attr(core, "dilation").i > 1) return false;
  Geometry g = geometry_of(core);
  bool is_mma = g.w.dim[0] >= FOR_TENSOR_CORES && g.w.dim[1] * g.taps >= FOR_TENSOR_CORES;
  if (target->precision != PRECISION_F32 && is_mma) return false;
  return g.taps > 1 && g.taps <= MOST_TAPS && g.w.dim[1] >= FEW && g.g.dim[0] * g.g.dim[2] * g.g.dim[3] >= LEAST;
}

// Instructions of a block's warps for a tile of pixels.
static double price_of(const Dense *d, const Geometry *g) {
  enum { BRING = 24, SECTOR = 24, STEP = 300 }; // an element with its place; barriers, and the wait for memory
  double multiply = (double)d->th * d->tw * group_of(d) * (double)(d->tm * g->taps + g->w.dim[2] + d->tm / 4 + 2);
  double start = (double)d->th * d->q * group_of(d) * (double)(g->taps + 20);
  int64_t rows = d->th + g->w.dim[2] - 1, lanes = lanes_of(d, g);
  double bring = BRING * (double)(d->bc * rows * lanes + (int64_t)d->th * d->tw * d->bm);
  // Sectors of rows, and those that two requests touch.
  bring += SECTOR * (double)(d->bc * rows) * (lead_of(d, g) ? (double)lanes / 8 : (double)lanes / 8 * 1.25 + 2);
  return (multiply + start + bring) / 32 + STEP * threads_of(d) / 32.0;
}

// As many parts as fill the device once, or several times, best.
static void choose_splits(const Target *target, Dense *d, const Geometry *g, double price) {
  enum { ISSUE = 2, MEET = 6000, BYTES_A_CYCLE = 40, MOST = 4096 };
  int64_t items = items_of(d, g), tiles = d->rows * d->columns, resident = REGISTERS / (EACH * threads_of(d));
  int64_t room = target->l1 / (4 * floats_of(d, g) + 1024);
  if (resident > room) resident = room > 1 ? room : 1;
  double best = 0;
  for (int64_t splits = 1; splits <= MOST && splits <= items; splits++) {
    int64_t part = ceil_div(items, splits);
    if (part * (splits - 1) >= items || tiles * (1 + cuda_split_groups((int)splits)) > SG_COUNTERS) continue;
    int64_t waves = ceil_div(tiles * splits, resident * cuda_multiprocessors(target));
    int64_t groups = cuda_split_groups((int)splits), added = groups ? ceil_div(splits, groups) + groups : splits;
    double time = (double)(waves * resident * part) * price / ISSUE;
    if (splits > 1)
      time += MEET * (groups ? 2 : 1) + 8.0 * (double)(added * group_of(d) * d->tm * g->taps) / BYTES_A_CYCLE;
    if (best > 0 && time >= best) continue;
    best = time;
    d->splits = splits;
  }
}

static Dense choose(const Target *target, const Geometry *g) {
  enum { WIDE = 64, FLOATS = 9 << 10, THREADS = 128, MOST_WIDTH = 40 };
  int64_t m = g->w.dim[0], c = g->w.dim[1], height = g->g.dim[2], width = g->g.dim[3];
  Dense d = {.bc = c > 16 ? 32 : c > 8 ? 16 : 8, .tm = m > 4 ? 8 : m > 2 ? 4 : (int)m}, best = {0};
  d.rows = ceil_div(m, WIDE);
  d.bm = (int)ceil_div(ceil_div(m, d.rows), d.tm) * d.tm;
  d.columns = ceil_div(c, d.bc);
  for (d.ks = 1; 2 * threads_of(&d) <= THREADS;) d.ks *= 2;
  while (threads_of(&d) % 32) d.ks *= 2;
  int64_t most = target->l1 / 8 < FLOATS ? target->l1 / 8 : FLOATS;
  double best_price = 0;
  int whole = g->x.dim[3] % 8 || width < 32 ? 4 : 8; // rows of whole sectors, where there are such
  for (d.tw = 8; d.tw <= MOST_WIDTH && d.tw - width < whole; d.tw += whole) {
    for (d.q = 1; d.q <= 4 && d.tw / d.q >= 8; d.q *= 2) {
      if (d.tw % d.q) continue;
      for (d.th = 1; d.th <= 16 && d.th < 2 * height; d.th++) {
        if (d.th * d.q % d.ks || (floats_of(&d, g) > most && best.bm)) continue;
        double price = price_of(&d, g) * (double)items_of(&d, g);
        if (best.bm && price >= best_price) continue;
        best = d;
        best_price = price;
      }
    }
  }
  if (best.bm) choose_splits(target, &best, g, price_of(&best, g));
  return best;
}

// ---- what the calls touch

typedef struct Place {
  IrExpr *n, *y, *x; // of a tile of pixels
} Place;

// The loop over the block's tiles of pixels, and in it over `elements` of an operand.
static IrStmt *loop(Ir *ir, IrStmt *lambda, const Dense *d, const Geometry *g, IrExpr *split, IrExpr *thread,
                    int64_t elements, Place *place, IrExpr **i) {
  int64_t items = items_of(d, g), part = ceil_div(items, d->splits), across = ceil_div(g->g.dim[3], d->tw);
  int64_t down = ceil_div(g->g.dim[2], d->th);
  IrVar *item = ir_var(ir, IR_INDEX, "item", 0, items - 1), *element = ir_var(ir, IR_INDEX, "i", 0, elements - 1);
  IrExpr *begin = ir_scale(ir, split, part), *end = ir_min(ir, ir_offset(ir, begin, part), ir_int(ir, items));
  IrExpr *at = ir_ref(ir, item);
  place->n = ir_div(ir, at, down * across);
  place->y = ir_scale(ir, ir_mod(ir, ir_div(ir, at, across), down), d->th);
  place->x = ir_scale(ir, ir_mod(ir, at, across), d->tw);
  *i = ir_ref(ir, element);
  IrStmt *block = ir_for(ir, cuda_calls(ir, lambda), item, begin, end, 1, IR_SERIAL);
  return ir_for(ir, block, element, thread, ir_int(ir, elements), threads_of(d), IR_SERIAL);
}

static void count_gradient(Ir *ir, IrStmt *lambda, const Dense *d, const Geometry *g, IrExpr *m0, IrExpr *split,
                           IrExpr *thread) {
  int64_t pixels = (int64_t)d->th * d->tw, eights = ceil_div(pixels, 8), four = d->bm < 4 ? d->bm : 4;
  Place place;
  IrExpr *i;
  IrStmt *block = loop(ir, lambda, d, g, split, thread, eights * 8 * d->bm, &place, &i);
  IrExpr *p = ir_add(ir, ir_scale(ir, ir_mod(ir, ir_div(ir, i, 8 * four), eights), 8), ir_mod(ir, i, 8));
  IrExpr *m = ir_add(ir, ir_scale(ir, ir_div(ir, i, 8 * four * eights), four), ir_mod(ir, ir_div(ir, i, 8), four));
  IrExpr *y = ir_add(ir, place.y, ir_div(ir, p, d->tw)), *x = ir_add(ir, place.x, ir_mod(ir, p, d->tw));
  m = ir_add(ir, m0, m);
  IrExpr *is_in = ir_and(ir, ir_less(ir, p, ir_int(ir, pixels)), ir_less(ir, m, ir_int(ir, g->w.dim[0])));
  is_in = ir_and(ir, is_in, ir_less(ir, y, ir_int(ir, g->g.dim[2])));
  is_in = ir_and(ir, is_in, ir_less(ir, x, ir_int(ir, g->g.dim[3])));
  cuda_call(ir, cuda_where(ir, block, is_in), lambda, (IrExpr *[]){place.n, m, y, x}, false);
}

static void count_source(Ir *ir, IrStmt *lambda, const Dense *d, const Geometry *g, IrExpr *c0, IrExpr *split,
                         IrExpr *thread) {
  int64_t columns = d->tw + g->w.dim[3] - 1, lanes = lanes_of(d, g), rows = d->th + g->w.dim[2] - 1;
  Place place;
  IrExpr *i;
  IrStmt *block = loop(ir, lambda, d, g, split, thread, d->bc * rows * lanes, &place, &i);
  IrExpr *c = ir_add(ir, c0, ir_div(ir, i, rows * lanes)), *row = ir_mod(ir, ir_div(ir, i, lanes), rows);
  IrExpr *column = ir_offset(ir, ir_mod(ir, i, lanes), -lead_of(d, g));
  IrExpr *y = ir_offset(ir, ir_add(ir, place.y, row), -g->padding);
  IrExpr *x = ir_offset(ir, ir_add(ir, place.x, column), -g->padding);
  IrExpr *is_in = ir_and(ir, ir_inside(ir, y, g->x.dim[2]), ir_inside(ir, x, g->x.dim[3]));
  is_in = ir_and(ir, is_in, ir_and(ir, ir_inside(ir, column, columns), ir_less(ir, c, ir_int(ir, g->x.dim[1]))));
  cuda_call(ir, cuda_where(ir, block, is_in), lambda, (IrExpr *[]){place.n, c, y, x}, false);
}

static void count_results(Ir *ir, IrStmt *lambda, const Dense *d, const Geometry *g, IrExpr *m0, IrExpr *c0,
                          IrExpr *number, IrExpr *thread) {
  int64_t elements = group_of(d) * g->taps, wide = d->bc * g->taps;
  IrExpr *k, *is_last = ir_call(ir, IR_INDEX, "LAST_BLOCK", 2, (IrExpr *[]){number, ir_int(ir, d->splits)});
  IrStmt *block = ir_count(ir, cuda_where(ir, cuda_calls(ir, lambda), is_last), "k", d->tm, &k);
  IrVar *element = ir_var(ir, IR_INDEX, "i", 0, elements - 1);
  block = ir_for(ir, block, element, thread, ir_int(ir, elements), threads_of(d), IR_SERIAL);
  IrExpr *i = ir_ref(ir, element), *m = ir_add(ir, ir_add(ir, m0, ir_scale(ir, ir_div(ir, i, wide), d->tm)), k);
  IrExpr *n = ir_add(ir, ir_scale(ir, c0, g->taps), ir_mod(ir, i, wide));
  IrExpr *is_in = ir_less(ir, m, ir_int(ir, g->w.dim[0]));
  is_in = ir_and(ir, is_in, ir_less(ir, n, ir_int(ir, g->w.dim[1] * g->taps)));
  cuda_call(ir, cuda_where(ir, block, is_in), lambda, (IrExpr *[]){m, n}, false);
}

void cuda_schedule_dense_dw(Lower *lower, const CudaContract *contract) {
  Ir *ir = lower->ir;
  IrStmt *body = ir->function->body;
  const Node *core = contract->core;
  Geometry g = geometry_of(core);
  Dense d = choose(contract->target, &g);
  CudaProduct p = cuda_product(lower, core);
  int64_t tiles = d.rows * d.columns, size = tiles * d.splits * group_of(&d) * d.tm * g.taps;
  IrExpr *thread = ir_threads(ir, threads_of(&d)), *at[3];
  ir->function->blocks_a_multiprocessor = REGISTERS / (EACH * threads_of(&d));
  ir_tasks(ir, 3, (int64_t[]){d.splits, d.columns, d.rows}, (const char *[]){"split", "column", "row"}, at);
  IrExpr *m0 = ir_scale(ir, at[2], d.bm), *c0 = ir_scale(ir, at[1], d.bc);
  IrExpr *number = ir_add(ir, ir_scale(ir, at[1], d.rows), at[2]);
  IrExpr *partial = ir_call(ir, IR_POINTER, "sg_nowhere", 0, NULL);
  if (d.splits > 1) {
    partial = ir_address(ir, ir_scratch(ir, "partial", IR_FLOAT, size), ir_int(ir, 0));
    cuda_count_parts(ir, size);
  }
  IrStmt *source = cuda_put_picture(lower, "source", core->in[0]);
  IrStmt *gradient = cuda_put_picture(lower, "gradient", core->in[1]);
  IrStmt *finish = cuda_put_results(lower, body, "finish", core, 2, (IrVar *[]){p.m_var, p.n_var}, p.index, p.is_valid);
  count_source(ir, source, &d, &g, c0, at[0], thread);
  count_gradient(ir, gradient, &d, &g, m0, at[0], thread);
  count_results(ir, finish, &d, &g, m0, c0, number, thread);
  IrExpr *memory = ir_address(ir, ir_shared(ir, "memory", IR_FLOAT, floats_of(&d, &g)), ir_int(ir, 0));
  const char *call = arena_printf(
      ir->arena,
      "sg_dense_dw<SgDense<%d, %d, %d, %d, %d, %d, %d>, %lld, %lld, %lld, %lld, %lld, %lld, %lld, %lld, %lld, %lld, "
      "%lld, %lld>",
      d.bm, d.bc, d.tm, d.ks, d.th, d.tw, d.q, (long long)g.w.dim[0], (long long)g.w.dim[1], (long long)g.x.dim[0],
      (long long)g.x.dim[2], (long long)g.x.dim[3], (long long)g.g.dim[2], (long long)g.g.dim[3], (long long)g.w.dim[2],
      (long long)g.w.dim[3], (long long)g.padding, (long long)d.splits, (long long)tiles);
  ir_do(ir, body, call, 9,
        (IrExpr *[]){m0, c0, at[0], number, ir_ref(ir, source->var), ir_ref(ir, gradient->var), ir_ref(ir, finish->var),
                     partial, memory});
}
