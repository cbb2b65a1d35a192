// Gradients of resizes: template and schedule.
#include "compiler/kernel/cuda/resize_grad.h"

#include "compiler/kernel/compute.h"
#include "compiler/kernel/cuda/contract.h"
#include "compiler/kernel/ir_build.h"

static const char gather[] =
    // TH x TW results of TP planes of C x H x W, from (y0, x0) on: sums of LY x LX elements of GH x GW from (top[y],
    // left[x]) on, weighted by down[y, .] and across[x, .]. All that they read are ROWS x COLUMNS elements.
    "template <int THREADS, int C, int H, int W, int GH, int GW, int LY, int LX, int TP, int TH, int TW, int ROWS, int "
    "COLUMNS,\n"
    "          class Source, class Out>\n"
    "INLINE void sg_resize_grad(int plane, int end, int y0, int x0, const int *top, const int *left, const float "
    "*down,\n"
    "                           const float *across, Source source, Out out, float *memory) {\n"
    "  const int first_y = top[y0], first_x = left[x0] / 8 * 8;\n"
    "#pragma unroll 2\n"
    "  for (int i = threadIdx.x; i < TP * ROWS * COLUMNS; i += THREADS) {\n"
    "    const int x = first_x + i % COLUMNS, y = first_y + i / COLUMNS % ROWS, p = plane + i / (COLUMNS * ROWS);\n"
    "    memory[i] = p < end && y < GH && x < GW ? source(p / C, p % C, y, x) : 0.0f;\n"
    "  }\n"
    "  __syncthreads();\n"
    "  for (int i = threadIdx.x; i < TP * TH * TW; i += THREADS) {\n"
    "    const int x = x0 + i % TW, y = y0 + i / TW % TH, p = i / (TW * TH);\n"
    "    if (plane + p >= end || y >= H || x >= W) continue;\n"
    "    const float *from = memory + (p * ROWS + top[y] - first_y) * COLUMNS + left[x] - first_x;\n"
    "    float weight[LX], sum = 0.0f;\n"
    "#pragma unroll\n"
    "    for (int k = 0; k < LX; k++) weight[k] = across[x * LX + k];\n"
    "#pragma unroll 4\n"
    "    for (int j = 0; j < LY; j++) {\n"
    "      float row = 0.0f;\n"
    "#pragma unroll\n"
    "      for (int k = 0; k < LX; k++) row += weight[k] * from[j * COLUMNS + k];\n"
    "      sum += down[y * LY + j] * row;\n"
    "    }\n"
    "    out((plane + p) / C, (plane + p) % C, y, x, sum);\n"
    "  }\n"
    "}\n";

void cuda_preamble_resize_grad(Text *out) { text_put(out, gather); }

enum {
  THREADS = 256,
  LARGE = 1 << 15,      // elements of the operand
  MOST_TAPS = 16,       // along an axis
  MOST_FLOATS = 8 << 10 // of shared memory
};

const Node *cuda_resize_grad_in(const Group *group) {
  const Node *core = NULL;
  for (int i = 0; i < group->n_nodes; i++) {
    const Node *node = group->nodes[i];
    OpClass cls = op_info(node->op)->cls;
    if (node->op == OP_resize_grad && !core) core = node;
    else if (cls != CLASS_ELEMENTWISE) return NULL;
  }
  if (!core || shape_elements(core->in[0]->shape) < LARGE) return NULL;
  for (int i = 0; i < group->n_outs; i++) {
    if (!shape_equal(group->outs[i]->shape, core->shape)) return NULL;
  }
  for (int axis = 2; axis < 4; axis++) {
    if (core->in[0]->shape.dim[axis] > core->shape.dim[axis] * (MOST_TAPS / 2 - 1)) return NULL;
  }
  return core;
}

// ---- sizes

typedef struct Axis {
  int64_t results, tile;
  ResizeGather of;
  int64_t extent; // elements that a tile's results read, from a multiple of `whole` on
} Axis;

static void set_extent(Axis *a, int64_t whole) {
  a->extent = 1;
  for (int64_t first = 0; first < a->results; first += a->tile) {
    int64_t last = first + a->tile < a->results ? first + a->tile - 1 : a->results - 1;
    int64_t begin = (int64_t)a->of.start[first] / whole * whole, n = (int64_t)a->of.start[last] + a->of.length - begin;
    if (n > a->extent) a->extent = n;
  }
  a->extent = ceil_div(a->extent, whole) * whole;
}

void cuda_resize_grad_schedule(Lower *lower, const Node *core) {
  enum { SECTOR = 8 };
  Ir *ir = lower->ir;
  IrStmt *body = ir->function->body;
  Shape to = core->shape, from = core->in[0]->shape;
  Axis y = {.results = to.dim[2], .of = compute_resize_gather(ir->arena, core, 2)};
  Axis x = {.results = to.dim[3], .of = compute_resize_gather(ir->arena, core, 3)};
  x.tile = to.dim[3] < 64 ? to.dim[3] : 32;
  y.tile = ceil_div(to.dim[2], ceil_div(to.dim[2], ceil_div(THREADS, x.tile)));
  set_extent(&x, SECTOR);
  set_extent(&y, 1);
  for (; y.extent * x.extent > MOST_FLOATS && y.tile > 1; y.tile = (y.tile + 1) / 2) set_extent(&y, 1);
  set_extent(&y, 1);
  int64_t planes = to.dim[0] * to.dim[1], down = ceil_div(y.results, y.tile), across = ceil_div(x.results, x.tile),
          tp = 1;
  while (down * across == 1 && 2 * tp * y.tile * x.tile <= THREADS && 2 * tp * y.extent * x.extent <= MOST_FLOATS)
    tp *= 2;

  IrExpr *thread = ir_threads(ir, THREADS), *at[3];
  ir_tasks(ir, 3, (int64_t[]){ceil_div(planes, tp), down, across}, (const char *[]){"planes", "row", "column"}, at);
  IrExpr *plane = ir_scale(ir, at[0], tp), *y0 = ir_scale(ir, at[1], y.tile), *x0 = ir_scale(ir, at[2], x.tile);
  IrExpr *end = ir_int(ir, planes);
  const IrBuffer *table[] = {ir_table(ir, "top", IR_INDEX, y.results, y.of.start),
                             ir_table(ir, "left", IR_INDEX, x.results, x.of.start),
                             ir_table(ir, "down", IR_FLOAT, y.results * y.of.length, y.of.weight),
                             ir_table(ir, "across", IR_FLOAT, x.results * x.of.length, x.of.weight)};
  IrStmt *source = cuda_put_picture(lower, "source", core->in[0]);
  IrVar *var[4];
  IrExpr *index[4];
  for (int i = 0; i < 4; i++) {
    var[i] = ir_var(ir, IR_INDEX, lower_axis_name(4, i), 0, to.dim[i] - 1);
    index[i] = ir_ref(ir, var[i]);
  }
  IrStmt *finish = cuda_put_results(lower, body, "finish", core, 4, var, index, ir_int(ir, 1));

  // What the template touches.
  int64_t elements = tp * y.extent * x.extent, items = tp * y.tile * x.tile;
  IrVar *item = ir_var(ir, IR_INDEX, "item", 0, (elements > items ? elements : items) - 1);
  IrExpr *i = ir_ref(ir, item), *line = ir_div(ir, i, x.extent);
  IrStmt *reads = ir_for(ir, cuda_calls(ir, source), item, thread, ir_int(ir, elements), THREADS, IR_SERIAL);
  IrExpr *first_y = ir_lookup(ir, table[0], y0, 0, from.dim[2] - 1),
         *first_x = ir_lookup(ir, table[1], x0, 0, from.dim[3] - 1);
  IrExpr *iy = ir_add(ir, first_y, ir_mod(ir, line, y.extent)), *p = ir_add(ir, plane, ir_div(ir, line, y.extent));
  IrExpr *ix = ir_add(ir, ir_scale(ir, ir_div(ir, first_x, SECTOR), SECTOR), ir_mod(ir, i, x.extent));
  IrExpr *is_in =
      ir_and(ir, ir_less(ir, p, end), ir_and(ir, ir_inside(ir, iy, from.dim[2]), ir_inside(ir, ix, from.dim[3])));
  cuda_call(ir, cuda_where(ir, reads, is_in), source,
            (IrExpr *[]){ir_div(ir, p, to.dim[1]), ir_mod(ir, p, to.dim[1]), iy, ix}, false);
  IrStmt *writes = ir_for(ir, cuda_calls(ir, finish), item, thread, ir_int(ir, items), THREADS, IR_SERIAL);
  line = ir_div(ir, i, x.tile);
  IrExpr *oy = ir_add(ir, y0, ir_mod(ir, line, y.tile)), *ox = ir_add(ir, x0, ir_mod(ir, i, x.tile));
  p = ir_add(ir, plane, ir_div(ir, line, y.tile));
  is_in = ir_and(ir, ir_less(ir, p, end), ir_and(ir, ir_inside(ir, oy, to.dim[2]), ir_inside(ir, ox, to.dim[3])));
  cuda_call(ir, cuda_where(ir, writes, is_in), finish,
            (IrExpr *[]){ir_div(ir, p, to.dim[1]), ir_mod(ir, p, to.dim[1]), oy, ox}, false);

  IrExpr *zero = ir_int(ir, 0), *address[4];
  for (int k = 0; k < 4; k++) address[k] = ir_address(ir, table[k], zero);
  IrExpr *memory = ir_address(ir, ir_shared(ir, "window", IR_FLOAT, elements), zero);
  const char *call = arena_printf(
      ir->arena, "sg_resize_grad<%d, %lld, %lld, %lld, %lld, %lld, %lld, %lld, %lld, %lld, %lld, %lld, %lld>", THREADS,
      (long long)to.dim[1], (long long)to.dim[2], (long long)to.dim[3], (long long)from.dim[2], (long long)from.dim[3],
      (long long)y.of.length, (long long)x.of.length, (long long)tp, (long long)y.tile, (long long)x.tile,
      (long long)y.extent, (long long)x.extent);
  ir_do(ir, body, call, 11,
        (IrExpr *[]){plane, end, y0, x0, address[0], address[1], address[2], address[3], ir_ref(ir, source->var),
                     ir_ref(ir, finish->var), memory});
}
