// Windows of pictures in shared memory: the template, the choice of sizes, what it touches.
#include "compiler/kernel/cuda/window.h"

#include "compiler/kernel/cuda/contract.h"
#include "compiler/kernel/ir_build.h"
#include "compiler/ops/build.h"

static const char walk[] =
    // Goes through what R results of a column read, S rows apart: KH x KW taps, D apart. load(j, x) is the element in
    // row j and column x from the first one on; take(r, k, v) gives v to result r by its tap k. Each is loaded once.
    "template <int KH, int KW, int S, int D, int R, class Load, class Take> INLINE void sg_walk(Load load, Take take) "
    "{\n"
    "#pragma unroll\n"
    "  for (int j = 0; j <= (R - 1) * S + (KH - 1) * D; j++) {\n"
    "    bool is_used = false;\n"
    "#pragma unroll\n"
    "    for (int r = 0; r < R; r++) is_used = is_used || (j >= r * S && (j - r * S) % D == 0 && (j - r * S) / D < "
    "KH);\n"
    "    if (!is_used) continue;\n"
    "#pragma unroll\n"
    "    for (int kx = 0; kx < KW; kx++) {\n"
    "      const float v = load(j, kx * D);\n"
    "#pragma unroll\n"
    "      for (int r = 0; r < R; r++) {\n"
    "        if (j >= r * S && (j - r * S) % D == 0 && (j - r * S) / D < KH) take(r, (j - r * S) / D * KW + kx, v);\n"
    "      }\n"
    "    }\n"
    "  }\n"
    "}\n";

static const char window[] =
    // A value, or what lies at an address, on its way to shared memory.
    "INLINE void sg_place(float *to, float value) { *to = value; }\n"
    "INLINE void sg_place(float *to, const float *from) { sg_copy_async<1>(to, from); }\n"
    // What TH x TW results of each of TP planes of C x H x W read. Columns that are S apart are neighbours in shared
    // memory, where a warp then meets no bank twice. Warps walk rows from whole sectors on where rows begin at such.
    "template <int C, int H, int W, int KH, int KW, int S, int P, int D, int TP_, int TH_, int TW_> struct SgWindow {\n"
    "  static constexpr int TP = TP_, TH = TH_, TW = TW_;\n"
    "  static constexpr int ROWS = (TH - 1) * S + (KH - 1) * D + 1, COLUMNS = (TW - 1) * S + (KW - 1) * D + 1;\n"
    "  static constexpr int SHARE = (COLUMNS + S - 1) / S, PITCH = S * SHARE;\n"
    "  static constexpr bool IS_ALIGNED = W % 8 == 0 && (TW * S % 8 == 0 || TW * S >= W);\n"
    "  static constexpr int LEAD = IS_ALIGNED ? (8 - P % 8) % 8 : 0;\n"
    "  static constexpr int LINE = IS_ALIGNED ? (LEAD + COLUMNS + 7) / 8 * 8 : COLUMNS;\n"
    "  static SG_METHOD int at(int p, int y, int x) { return (p * ROWS + y) * PITCH + x % S * SHARE + x / S; }\n"
    "  static constexpr int TAPS = KH * KW, FLOATS = TP * ROWS * PITCH;\n"
    // From the result (y0, x0) of the plane on, of planes below `end`; source(n, c, y, x) is an element or its address,
    // weight(c, k) tap k of a channel. Taps stand behind the window. All is there after sg_wait_async and a barrier. A
    // thread keeps its places in the picture and goes through the planes: what depends on the place is computed once,
    // of places outside as of the nearest inside, as no branch may stand in front of it.
    "  template <int THREADS, class Source, class Weight>\n"
    "  static SG_METHOD void bring(float *to, Source source, Weight weight, int plane, int end, int y0, int x0) {\n"
    "    for (int i = threadIdx.x; i < TP * TAPS; i += THREADS)\n"
    "      to[FLOATS + i] = plane + i / TAPS < end ? weight((plane + i / TAPS) % C, i % TAPS) : 0.0f;\n"
    "    for (int i = threadIdx.x; i < ROWS * LINE; i += THREADS) {\n"
    "      const int x = i % LINE - LEAD, y = i / LINE, iy = y0 * S - P + y, ix = x0 * S - P + x;\n"
    "      if (IS_ALIGNED && (x < 0 || x >= COLUMNS)) continue;\n"
    "      const bool is_inside = iy >= 0 && iy < H && ix >= 0 && ix < W;\n"
    "      const int cy = iy < 0 ? 0 : iy < H ? iy : H - 1, cx = ix < 0 ? 0 : ix < W ? ix : W - 1;\n"
    "      int n = plane / C, c = plane % C;\n"
    "#pragma unroll 4\n"
    "      for (int p = 0; p < TP; p++) {\n"
    "        auto element = source(n, c, cy, cx);\n"
    "        if (!is_inside || plane + p >= end) element = 0;\n"
    "        sg_place(&to[at(p, y, x)], element);\n"
    "        if (plane + p + 1 < end && ++c == C) c = 0, n++;\n"
    "      }\n"
    "    }\n"
    "  }\n"
    // R results of a column, from (y, x) of plane p on.
    "  template <int R> static SG_METHOD void add_up(const float *from, int p, int y, int x, float (&sum)[R]) {\n"
    "    float w[TAPS];\n"
    "#pragma unroll\n"
    "    for (int k = 0; k < TAPS; k++) w[k] = from[FLOATS + p * TAPS + k];\n"
    "#pragma unroll\n"
    "    for (int r = 0; r < R; r++) sum[r] = 0.0f;\n"
    "    sg_walk<KH, KW, S, D, R>(\n"
    "        [&](int j, int i) { return from[(p * ROWS + y * S + j) * PITCH + i % S * SHARE + x + i / S]; },\n"
    "        [&](int r, int k, float v) { sum[r] += v * w[k]; });\n"
    "  }\n"
    "};\n";

void cuda_preamble_window(Text *out) {
  text_put(out, walk);
  text_put(out, window);
}

// ---- sizes

typedef struct Geometry {
  Shape x, y, w;
  int64_t stride, padding, dilation;
} Geometry;

static Geometry geometry_of(const Node *conv) {
  ConvAttrs attrs = conv_attrs(conv);
  return (Geometry){conv->in[0]->shape, conv->shape, conv->in[1]->shape, attrs.stride, attrs.padding, attrs.dilation};
}

// As the constants of SgWindow.
typedef struct Extent {
  int64_t rows, columns, lead, line;
} Extent;

static Extent extent_of(const CudaWindow *window) {
  Geometry g = geometry_of(window->conv);
  Extent e = {.rows = (window->th - 1) * g.stride + (g.w.dim[2] - 1) * g.dilation + 1,
              .columns = (window->tw - 1) * g.stride + (g.w.dim[3] - 1) * g.dilation + 1};
  bool is_aligned = g.x.dim[3] % 8 == 0 && (window->tw * g.stride % 8 == 0 || window->tw * g.stride >= g.x.dim[3]);
  e.lead = is_aligned ? (8 - g.padding % 8) % 8 : 0;
  e.line = is_aligned ? ceil_div(e.lead + e.columns, 8) * 8 : e.columns;
  return e;
}

int cuda_window_floats(const CudaWindow *window) {
  Geometry g = geometry_of(window->conv);
  Extent e = extent_of(window);
  return (int)(window->tp * (e.rows * ceil_div(e.columns, g.stride) * g.stride + g.w.dim[2] * g.w.dim[3]));
}

// Rows or columns of the picture that all tiles along the axis bring.
static int64_t brought(int64_t size, int64_t results, int64_t tile, int64_t extent, const Geometry *g) {
  int64_t sum = 0;
  for (int64_t first = 0; first < results; first += tile) {
    int64_t from = first * g->stride - g->padding, to = from + extent;
    sum += (to < size ? to : size) - (from > 0 ? from : 0);
  }
  return sum;
}

double cuda_window_overlap(const CudaWindow *window) {
  Geometry g = geometry_of(window->conv);
  Extent e = extent_of(window);
  int64_t rows = brought(g.x.dim[2], g.y.dim[2], window->th, e.rows, &g);
  int64_t columns = brought(g.x.dim[3], g.y.dim[3], window->tw, e.columns, &g);
  return (double)(rows * columns) / (double)(g.x.dim[2] * g.x.dim[3]);
}

const char *cuda_window_name(const CudaWindow *window, Arena *arena) {
  Geometry g = geometry_of(window->conv);
  return arena_printf(arena, "SgWindow<%lld, %lld, %lld, %lld, %lld, %lld, %lld, %lld, %d, %d, %d>",
                      (long long)g.x.dim[1], (long long)g.x.dim[2], (long long)g.x.dim[3], (long long)g.w.dim[2],
                      (long long)g.w.dim[3], (long long)g.stride, (long long)g.padding, (long long)g.dilation,
                      window->tp, window->th, window->tw);
}

// ---- the choice

enum {
  MOST_FLOATS = 6 << 10, // of shared memory, so that several blocks fit
  MOST_PLANES = 64,
  BUSY = 1024, // threads that keep a multiprocessor busy
  START = 32,  // instructions of a thread until it has begun
  BRING = 6,   // ... for an element of a window
  AT_ONCE = 4, // elements that a thread loads before it needs the first: the loop in SgWindow is unrolled so far
};

// Instructions of a thread for `rows` results of a column.
static int64_t work_of(const Geometry *g, int rows) {
  int64_t taps = g->w.dim[2] * g->w.dim[3], lines = 0;
  for (int64_t j = 0; j <= (rows - 1) * g->stride + (g->w.dim[2] - 1) * g->dilation; j++) {
    bool is_used = false;
    for (int r = 0; r < rows; r++) {
      int64_t from = j - r * g->stride;
      is_used = is_used || (from >= 0 && from % g->dilation == 0 && from / g->dilation < g->w.dim[2]);
    }
    lines += is_used;
  }
  return lines * g->w.dim[3] + taps / 2 + rows * (taps + 6) + 12;
}

int64_t cuda_window_price(const CudaWindow *window, int64_t price) {
  Geometry g = geometry_of(window->conv);
  Extent e = extent_of(window);
  return e.rows * e.columns * (BRING + price) / (window->th * window->tw) + work_of(&g, window->rows) / window->rows;
}

int64_t cuda_window_trips(const CudaWindow *window) {
  Extent e = extent_of(window);
  return ceil_div(window->tp * ceil_div(e.rows * e.line, window->threads), AT_ONCE);
}

static double time_of(const Target *target, const CudaWindow *window, int64_t price) {
  Geometry g = geometry_of(window->conv);
  Extent e = extent_of(window);
  int64_t threads = window->threads, items = (int64_t)window->tp * (window->th / window->rows) * window->tw;
  int64_t blocks = ceil_div(g.y.dim[0] * g.y.dim[1], window->tp) * ceil_div(g.y.dim[2], window->th) *
                   ceil_div(g.y.dim[3], window->tw);
  int64_t bring = window->tp * ceil_div(e.rows * e.line, threads) * (BRING + price);
  double work = (double)(START + bring + ceil_div(items, threads) * work_of(&g, window->rows)) * (double)threads;
  double all = (double)cuda_multiprocessors(target), busy = (double)(blocks * threads) / (all * BUSY);
  double room = (double)target->l1 / (4.0 * cuda_window_floats(window) + 1024) * (double)threads / BUSY;
  double time = work * (double)blocks;
  if (busy < 1) time /= busy;
  return room < 1 ? time / room : time;
}

CudaWindow cuda_choose_window(const Target *target, const Node *conv, int64_t price) {
  enum { WARP = 32, WIDE = 96 };
  Geometry g = geometry_of(conv);
  CudaWindow best = {0};
  double best_time = 0;
  int planes = (int)(g.y.dim[0] * g.y.dim[1]), height = (int)g.y.dim[2], width = (int)g.y.dim[3];
  for (int rows = 1; rows <= (width < WARP ? 1 : 4); rows *= 2) { // narrow warps would write rows far apart
    for (int th = rows;; th = 2 * th < height ? 2 * th : ceil_div(height, rows) * rows) {
      for (int tw = WARP;; tw *= 2) {
        if (tw >= width || tw > WIDE) tw = width;
        for (int tp = 1; tp < 2 * planes && tp <= MOST_PLANES; tp *= 2) {
          for (int threads = 64; threads <= 256; threads *= 2) {
            CudaWindow window = {conv, tp, th, tw, rows, threads};
            if (tp > 1 && (th < height || tw < width)) continue;
            if (cuda_window_floats(&window) > MOST_FLOATS) continue;
            double time = time_of(target, &window, price);
            if (best.conv && time >= best_time) continue;
            best = window;
            best_time = time;
          }
        }
        if (tw == width) break;
      }
      if (th >= height) break;
    }
  }
  return best;
}

CudaWindow cuda_choose_patch(const Node *conv, int pixels, int tp, int threads) {
  CudaWindow best = {0};
  int64_t best_work = 0;
  Geometry g = geometry_of(conv);
  int height = (int)g.y.dim[2], width = (int)g.y.dim[3];
  for (int tw = 8;; tw += 8) { // whole sectors of rows, or whole rows
    if (tw > width) tw = width;
    int most = pixels / tw < height ? pixels / tw : height;
    for (int rows = 1; rows <= 4 && rows <= most; rows++) {
      CudaWindow window = {conv, tp, most / rows * rows, tw, rows, threads};
      Extent e = extent_of(&window);
      int64_t tiles = ceil_div(height, window.th) * ceil_div(width, tw);
      int64_t bring = tp * ceil_div(e.rows * e.line, threads) * BRING;
      int64_t add_up = ceil_div((int64_t)tp * (window.th / rows) * tw, threads) * work_of(&g, rows);
      int64_t multiply = (int64_t)pixels * tp / 4;
      int64_t work = tiles * (bring + add_up + multiply);
      if (best.conv && work >= best_work) continue;
      best = window;
      best_work = work;
    }
    if (tw == width || tw >= pixels) break;
  }
  return best;
}

// ---- local functions, and what they touch

void cuda_pixel(Ir *ir, Shape shape, IrVar *params[4], IrExpr *index[4]) {
  for (int i = 0; i < 4; i++) {
    params[i] = ir_var(ir, IR_INDEX, lower_axis_name(4, i), 0, shape.dim[i] - 1);
    index[i] = ir_ref(ir, params[i]);
  }
}

void cuda_tap(Ir *ir, Shape weight, IrVar *params[2], IrExpr *index[4]) {
  params[0] = ir_var(ir, IR_INDEX, "c", 0, weight.dim[0] - 1);
  params[1] = ir_var(ir, IR_INDEX, "tap", 0, weight.dim[2] * weight.dim[3] - 1);
  index[0] = ir_ref(ir, params[0]);
  index[1] = ir_int(ir, 0);
  index[2] = ir_div(ir, ir_ref(ir, params[1]), weight.dim[3]);
  index[3] = ir_mod(ir, ir_ref(ir, params[1]), weight.dim[3]);
}

IrStmt *cuda_put_picture(Lower *lower, const char *name, const Node *node) {
  IrVar *params[4];
  IrExpr *index[4];
  cuda_pixel(lower->ir, node->shape, params, index);
  return cuda_put_value(lower, lower->ir->function->body, name, lower_value(lower, node, index), 4, params);
}

IrStmt *cuda_put_window_source(Lower *lower, const Node *node) {
  IrVar *params[4];
  IrExpr *index[4];
  cuda_pixel(lower->ir, node->shape, params, index);
  return cuda_put_source(lower, lower->ir->function->body, "source", lower_value(lower, node, index), 4, params);
}

IrStmt *cuda_put_taps(Lower *lower, const Node *weight) {
  IrVar *params[2];
  IrExpr *index[4];
  cuda_tap(lower->ir, weight->shape, params, index);
  return cuda_put_value(lower, lower->ir->function->body, "weight", lower_value(lower, weight, index), 2, params);
}

void cuda_window_count(Ir *ir, IrStmt *source, IrStmt *weight, const CudaWindow *window, const CudaCorner *corner,
                       const CudaSteps *steps, IrExpr *thread) {
  Geometry g = geometry_of(window->conv);
  Extent e = extent_of(window);
  int64_t taps = g.w.dim[2] * g.w.dim[3], items[] = {window->tp * taps, e.rows * e.line};
  for (int k = 0; k < 2; k++) {
    IrStmt *block = cuda_calls(ir, k ? source : weight);
    if (steps) block = ir_for(ir, block, steps->var, steps->begin, steps->end, window->tp, IR_SERIAL);
    IrVar *item = ir_var(ir, IR_INDEX, "item", 0, items[k] - 1);
    block = ir_for(ir, block, item, thread, ir_int(ir, items[k]), window->threads, IR_SERIAL);
    IrExpr *i = ir_ref(ir, item), *p = ir_div(ir, i, taps);
    if (k) block = ir_count(ir, block, "p", window->tp, &p);
    IrExpr *plane = ir_add(ir, corner->plane, p), *c = ir_mod(ir, plane, g.x.dim[1]);
    IrExpr *is_here = ir_less(ir, plane, corner->end);
    if (k == 0) {
      cuda_call(ir, cuda_where(ir, block, is_here), weight, (IrExpr *[]){c, ir_mod(ir, i, taps)}, false);
      continue;
    }
    IrExpr *column = ir_offset(ir, ir_mod(ir, i, e.line), -e.lead);
    IrExpr *y = ir_offset(ir, ir_add(ir, ir_scale(ir, corner->y, g.stride), ir_div(ir, i, e.line)), -g.padding);
    IrExpr *x = ir_offset(ir, ir_add(ir, ir_scale(ir, corner->x, g.stride), column), -g.padding);
    is_here = ir_and(ir, is_here, ir_and(ir, ir_inside(ir, y, g.x.dim[2]), ir_inside(ir, x, g.x.dim[3])));
    is_here = ir_and(ir, is_here, ir_inside(ir, column, e.columns));
    cuda_call(ir, cuda_where(ir, block, is_here), source, (IrExpr *[]){ir_div(ir, plane, g.x.dim[1]), c, y, x}, false);
  }
}
