// Reference evaluators of contractions. One row or plane at a time is accumulated in double.
#include "compiler/ops/rules.h"
#include "compiler/ops/walk.h"

static void store(float *out, const double *acc, int64_t n) {
  for (int64_t i = 0; i < n; i++) out[i] = (float)acc[i];
}

static void clear(double *acc, int64_t n) {
  for (int64_t i = 0; i < n; i++) acc[i] = 0;
}

void ref_matmul(const RefArgs *args) {
  const Node *node = args->node;
  Shape a = node->in[0]->shape, b = node->in[1]->shape, lead = node->shape;
  bool is_ta = node_attr(node, "transpose_a").i, is_tb = node_attr(node, "transpose_b").i;
  int64_t rows = lead.dim[lead.rank - 2], columns = lead.dim[lead.rank - 1];
  int64_t inner = a.dim[a.rank - (is_ta ? 2 : 1)];
  int64_t a_row = is_ta ? 1 : inner, a_inner = is_ta ? rows : 1;
  int64_t b_inner = is_tb ? 1 : columns, b_column = is_tb ? inner : 1;
  int64_t a_size = rows * inner, b_size = inner * columns;
  a.rank -= 2;
  b.rank -= 2;
  lead.rank -= 2;
  int64_t stride[2][MAX_RANK] = {{0}}, index[MAX_RANK] = {0}, matrix[2] = {0};
  walk_broadcast(a, lead, stride[0]);
  walk_broadcast(b, lead, stride[1]);
  Arena *scratch = arena_new();
  double *acc = ARENA_ARRAY(scratch, double, columns);
  float *out = args->out;
  do {
    const float *x = args->in[0] + matrix[0] * a_size, *y = args->in[1] + matrix[1] * b_size;
    for (int64_t i = 0; i < rows; i++, out += columns) {
      clear(acc, columns);
      for (int64_t k = 0; k < inner; k++) {
        double left = x[i * a_row + k * a_inner];
        for (int64_t j = 0; j < columns; j++) acc[j] += left * y[k * b_inner + j * b_column];
      }
      store(out, acc, columns);
    }
  } while (walk_next(lead, index, 2, stride, matrix));
  arena_free(scratch);
}

// ---- convolution ----------------------------------------------------------------------------------------------------

// A convolution's sizes: x [n, c, h, w], weight [o, c / groups, kh, kw], result [n, o, oh, ow].
typedef struct Conv {
  int64_t n, c, h, w, o, kh, kw, oh, ow;
  int64_t stride, padding, dilation, groups, c_each, o_each;
} Conv;

static Conv conv_of(const Node *node, Shape x, Shape weight, Shape result) {
  int64_t groups = node_attr(node, "groups").i;
  return (Conv){
      .n = x.dim[0],
      .c = x.dim[1],
      .h = x.dim[2],
      .w = x.dim[3],
      .o = weight.dim[0],
      .kh = weight.dim[2],
      .kw = weight.dim[3],
      .oh = result.dim[2],
      .ow = result.dim[3],
      .stride = node_attr(node, "stride").i,
      .padding = node_attr(node, "padding").i,
      .dilation = node_attr(node, "dilation").i,
      .groups = groups,
      .c_each = x.dim[1] / groups,
      .o_each = weight.dim[0] / groups,
  };
}

// Result positions from..to of an axis for which kernel element k reads inside 0..in-1, and the place read at from.
typedef struct Range {
  int64_t from, to, read;
} Range;

static Range conv_range(const Conv *v, int64_t in, int64_t out, int64_t k) {
  int64_t shift = k * v->dilation - v->padding; // reads i * stride + shift
  Range range = {.from = shift < 0 ? (-shift + v->stride - 1) / v->stride : 0};
  range.to = shift > in - 1 ? 0 : (in - 1 - shift) / v->stride + 1;
  if (range.to > out) range.to = out;
  range.read = range.from * v->stride + shift;
  return range;
}

void ref_conv2d(const RefArgs *args) {
  const Node *node = args->node;
  Conv v = conv_of(node, node->in[0]->shape, node->in[1]->shape, node->shape);
  Arena *scratch = arena_new();
  double *acc = ARENA_ARRAY(scratch, double, v.oh *v.ow);
  for (int64_t no = 0; no < v.n * v.o; no++) {
    int64_t n = no / v.o, o = no % v.o, first = o / v.o_each * v.c_each;
    clear(acc, v.oh * v.ow);
    for (int64_t i = 0; i < v.c_each * v.kh * v.kw; i++) {
      int64_t c = i / (v.kh * v.kw), ky = i / v.kw % v.kh, kx = i % v.kw;
      double weight = args->in[1][o * v.c_each * v.kh * v.kw + i];
      const float *x = args->in[0] + (n * v.c + first + c) * v.h * v.w;
      Range ry = conv_range(&v, v.h, v.oh, ky), rx = conv_range(&v, v.w, v.ow, kx);
      for (int64_t y = ry.from, iy = ry.read; y < ry.to; y++, iy += v.stride) {
        const float *row = x + iy * v.w + rx.read;
        for (int64_t j = 0; j < rx.to - rx.from; j++) acc[y * v.ow + rx.from + j] += weight * row[j * v.stride];
      }
    }
    store(args->out + no * v.oh * v.ow, acc, v.oh * v.ow);
  }
  arena_free(scratch);
}

void ref_conv2d_dx(const RefArgs *args) {
  const Node *node = args->node;
  Conv v = conv_of(node, node->shape, node->in[1]->shape, node->in[0]->shape);
  Arena *scratch = arena_new();
  double *acc = ARENA_ARRAY(scratch, double, v.h *v.w);
  for (int64_t nc = 0; nc < v.n * v.c; nc++) {
    int64_t n = nc / v.c, c = nc % v.c, first = c / v.c_each * v.o_each;
    clear(acc, v.h * v.w);
    for (int64_t i = 0; i < v.o_each * v.kh * v.kw; i++) {
      int64_t o = first + i / (v.kh * v.kw), ky = i / v.kw % v.kh, kx = i % v.kw;
      double weight = args->in[1][((o * v.c_each + c % v.c_each) * v.kh + ky) * v.kw + kx];
      const float *g = args->in[0] + (n * v.o + o) * v.oh * v.ow;
      Range ry = conv_range(&v, v.h, v.oh, ky), rx = conv_range(&v, v.w, v.ow, kx);
      for (int64_t y = ry.from, iy = ry.read; y < ry.to; y++, iy += v.stride) {
        double *row = acc + iy * v.w + rx.read;
        for (int64_t j = 0; j < rx.to - rx.from; j++) row[j * v.stride] += weight * g[y * v.ow + rx.from + j];
      }
    }
    store(args->out + nc * v.h * v.w, acc, v.h * v.w);
  }
  arena_free(scratch);
}

void ref_conv2d_dw(const RefArgs *args) {
  const Node *node = args->node;
  Conv v = conv_of(node, node->in[0]->shape, node->shape, node->in[1]->shape);
  for (int64_t i = 0; i < v.o * v.c_each * v.kh * v.kw; i++) {
    int64_t kx = i % v.kw, ky = i / v.kw % v.kh, c = i / (v.kw * v.kh) % v.c_each, o = i / (v.kw * v.kh * v.c_each);
    Range ry = conv_range(&v, v.h, v.oh, ky), rx = conv_range(&v, v.w, v.ow, kx);
    double acc = 0;
    for (int64_t n = 0; n < v.n; n++) {
      const float *x = args->in[0] + (n * v.c + o / v.o_each * v.c_each + c) * v.h * v.w;
      const float *g = args->in[1] + (n * v.o + o) * v.oh * v.ow;
      for (int64_t y = ry.from, iy = ry.read; y < ry.to; y++, iy += v.stride) {
        const float *row = x + iy * v.w + rx.read;
        for (int64_t j = 0; j < rx.to - rx.from; j++) acc += (double)row[j * v.stride] * g[y * v.ow + rx.from + j];
      }
    }
    args->out[i] = (float)acc;
  }
}
