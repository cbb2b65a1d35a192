// Patches: the template of the operand, and its parts as local functions.
#include "compiler/kernel/cuda/patch.h"

#include "compiler/kernel/ir_build.h"

static const char patch[] =
    // The operand: Window::TP channels of TH x TW results of a depthwise convolution at a time, from (y, x) of the
    // picture on, R rows of a column a thread. value(c, y, x, sum) is what becomes of its sum, inside of OH x OW.
    "template <class Window_, int R_, int OH_, int OW_, class Source, class Weight, class Value> struct SgPatch {\n"
    "  using Window = Window_;\n"
    "  static constexpr int R = R_, OH = OH_, OW = OW_;\n"
    "  Source source;\n"
    "  Weight weight;\n"
    "  Value value;\n"
    "  int plane, y, x;\n"
    "  float *memory;\n"
    "};\n"
    "template <class Window, int R, int OH, int OW, class Source, class Weight, class Value>\n"
    "INLINE SgPatch<Window, R, OH, OW, Source, Weight, Value> sg_patch(Source source, Weight weight, Value value, int "
    "plane,\n"
    "                                                                  int y, int x, float *memory) {\n"
    "  return {source, weight, value, plane, y, x, memory};\n"
    "}\n"
    "template <class T, int TILE, int C, int K, class Window, int R, int OH, int OW, class Source, class Weight, class "
    "Value>\n"
    "struct SgStage<T, TILE, C, K, SgPatch<Window, R, OH, OW, Source, Weight, Value>> {\n"
    "  using O = SgPatch<Window, R, OH, OW, Source, Weight, Value>;\n"
    "  static constexpr int STRIDE = TILE + T::PAD, KP = T::KP, TW = Window::TW, GROUPS = Window::TH / R;\n"
    "  static constexpr int IDLE = TILE - Window::TH * TW, DEEP = T::BK / KP;\n"
    "  static_assert(Window::TP == T::BK && IDLE >= 0, \"no such patch\");\n"
    "  SG_METHOD void begin(const O &, int, int) {}\n"
    // The window of the step before is done with.
    "  SG_METHOD void load(const O &o, int, int k0, typename T::Word *) {\n"
    "    Window::template bring<T::THREADS>(o.memory, o.source, o.weight, o.plane + k0, o.plane + K, o.y, o.x);\n"
    "  }\n"
    "  SG_METHOD void store(const O &o, int, int k0, typename T::Word *to) {\n"
    "    sg_wait_async();\n"
    "    __syncthreads();\n"
    "#pragma unroll 1\n"
    "    for (int i = threadIdx.x; i < DEEP * GROUPS * TW; i += T::THREADS) {\n"
    "      const int x = i % TW, y = i / TW % GROUPS * R, d = i / (TW * GROUPS);\n"
    "      float v[KP][R];\n"
    "#pragma unroll\n"
    "      for (int k = 0; k < KP; k++) {\n"
    "        const int c = k0 + d * KP + k;\n"
    "        const bool is_here = (K % T::BK == 0 || c < K) && (OW % TW == 0 || o.x + x < OW);\n"
    "        if (is_here) Window::template add_up<R>(o.memory, d * KP + k, y, x, v[k]);\n"
    "#pragma unroll\n"
    "        for (int r = 0; r < R; r++)\n"
    "          v[k][r] = is_here && (OH % R == 0 || o.y + y + r < OH) ? o.value(c, o.y + y + r, o.x + x, v[k][r]) : "
    "0.0f;\n"
    "      }\n"
    "#pragma unroll\n"
    "      for (int r = 0; r < R; r++) to[d * STRIDE + (y + r) * TW + x] = T::word(v[0][r], v[KP - 1][r]);\n"
    "    }\n"
    "    for (int i = threadIdx.x; i < DEEP * IDLE; i += T::THREADS)\n"
    "      to[i / (IDLE + !IDLE) * STRIDE + TILE - IDLE + i % (IDLE + !IDLE)] = T::word(0.0f, 0.0f);\n"
    "  }\n"
    "};\n";

void cuda_preamble_patch(Text *out) { text_put(out, patch); }

CudaPatch cuda_patch(Lower *lower, const Node *core, const Node *depthwise, const CudaTile *tile,
                     CudaProduct *product) {
  CudaPatch patch = {.core = core, .pixels = tile->bn};
  Shape y = core->shape;
  patch.window = cuda_choose_patch(depthwise, tile->bn, tile->bk, cuda_tile_threads(tile));
  product->n = y.dim[0] * ceil_div(y.dim[2], patch.window.th) * ceil_div(y.dim[3], patch.window.tw) * tile->bn;
  product->n_var = ir_var(lower->ir, IR_INDEX, "n", 0, product->n - 1);
  return patch;
}

void cuda_patch_open(Lower *lower, CudaPatch *patch, IrExpr *column, CudaProduct *product) {
  Ir *ir = lower->ir;
  IrStmt *body = ir->function->body;
  Shape shape = patch->core->shape;
  int64_t down = ceil_div(shape.dim[2], patch->window.th), across = ceil_div(shape.dim[3], patch->window.tw);
  patch->image = ir_div(ir, column, down * across);
  patch->y = ir_scale(ir, ir_mod(ir, ir_div(ir, column, across), down), patch->window.th);
  patch->x = ir_scale(ir, ir_mod(ir, column, across), patch->window.tw);
  IrExpr **const corner[] = {&patch->image, &patch->y, &patch->x};
  static const char *const names[] = {"image", "top", "left"};
  for (int i = 0; i < 3; i++) {
    if ((*corner[i])->kind != IR_INT) *corner[i] = ir_ref(ir, ir_let(ir, body, names[i], *corner[i]));
  }
  IrExpr *pixel = ir_mod(ir, ir_ref(ir, product->n_var), patch->pixels);
  product->index[0] = patch->image;
  product->index[1] = ir_ref(ir, product->m_var);
  product->index[2] = ir_add(ir, patch->y, ir_div(ir, pixel, patch->window.tw));
  product->index[3] = ir_add(ir, patch->x, ir_mod(ir, pixel, patch->window.tw));
  IrExpr *is_valid = ir_less(ir, pixel, ir_int(ir, patch->window.th * patch->window.tw));
  for (int i = 2; i < 4; i++) is_valid = ir_and(ir, is_valid, ir_less(ir, product->index[i], ir_int(ir, shape.dim[i])));
  product->is_valid = is_valid;
}

// What becomes of a sum of the depthwise convolution, until it is the operand.
static IrStmt *put_value(Lower *lower, const CudaPatch *patch) {
  Ir *ir = lower->ir;
  const Node *operand = patch->core->in[0];
  IrVar *params[4];
  IrExpr *index[4] = {patch->image};
  for (int i = 1; i < 4; i++) {
    params[i - 1] = ir_var(ir, IR_INDEX, lower_axis_name(4, i), 0, operand->shape.dim[i] - 1);
    index[i] = ir_ref(ir, params[i - 1]);
  }
  params[3] = ir_var(ir, IR_FLOAT, "sum", 0, 0);
  lower_bind(lower, patch->window.conv, index, ir_ref(ir, params[3]));
  return cuda_put_value(lower, ir->function->body, "value", lower_value(lower, operand, index), 4, params);
}

// As the stage of the operand takes its values.
static void count_values(Ir *ir, IrStmt *value, const CudaPatch *patch, const CudaSteps *steps, IrExpr *thread) {
  const CudaWindow *w = &patch->window;
  Shape shape = w->conv->shape;
  int64_t groups = w->th / w->rows, items = w->tp * groups * w->tw;
  IrVar *item = ir_var(ir, IR_INDEX, "item", 0, items - 1);
  IrExpr *i = ir_ref(ir, item), *rest = ir_div(ir, i, w->tw), *x = ir_add(ir, patch->x, ir_mod(ir, i, w->tw));
  IrExpr *y = ir_add(ir, patch->y, ir_scale(ir, ir_mod(ir, rest, groups), w->rows));
  IrExpr *c = ir_add(ir, ir_ref(ir, steps->var), ir_div(ir, rest, groups));
  IrExpr *is_in = ir_and(ir, ir_less(ir, c, ir_int(ir, shape.dim[1])), ir_less(ir, x, ir_int(ir, shape.dim[3])));
  IrStmt *block = ir_for(ir, cuda_calls(ir, value), steps->var, steps->begin, steps->end, w->tp, IR_SERIAL);
  block = ir_for(ir, block, item, thread, ir_int(ir, items), w->threads, IR_SERIAL);
  block = cuda_where(ir, block, is_in);
  for (int r = 0; r < w->rows; r++) {
    IrExpr *row = ir_offset(ir, y, r);
    cuda_call(ir, cuda_where(ir, block, ir_less(ir, row, ir_int(ir, shape.dim[2]))), value, (IrExpr *[]){c, row, x},
              false);
  }
}

IrExpr *cuda_put_patch(Lower *lower, const CudaPatch *patch, IrExpr *thread, IrExpr *begin, IrExpr *end) {
  Ir *ir = lower->ir;
  const CudaWindow *window = &patch->window;
  const Node *conv = window->conv;
  int64_t channels = conv->shape.dim[1];
  IrStmt *source = cuda_put_window_source(lower, conv->in[0]), *weight = cuda_put_taps(lower, conv->in[1]);
  IrStmt *value = put_value(lower, patch);
  IrVar *k0 = ir_var(ir, IR_INDEX, "k0", 0, channels - 1);
  IrExpr *plane = ir_scale(ir, patch->image, channels), *all = ir_offset(ir, plane, channels);
  CudaCorner corner = {ir_add(ir, plane, ir_ref(ir, k0)), all, patch->y, patch->x};
  CudaSteps steps = {k0, begin, end};
  cuda_window_count(ir, source, weight, window, &corner, &steps, thread);
  count_values(ir, value, patch, &steps, thread);
  IrExpr *memory = ir_address(ir, ir_shared(ir, "window", IR_FLOAT, cuda_window_floats(window)), ir_int(ir, 0));
  const char *call = arena_printf(ir->arena, "sg_patch<%s, %d, %lld, %lld>", cuda_window_name(window, ir->arena),
                                  window->rows, (long long)conv->shape.dim[2], (long long)conv->shape.dim[3]);
  return ir_call(ir, IR_INDEX, call, 7,
                 (IrExpr *[]){ir_ref(ir, source->var), ir_ref(ir, weight->var), ir_ref(ir, value->var), plane, patch->y,
                              patch->x, memory});
}
