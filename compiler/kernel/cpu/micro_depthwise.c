// Micro-kernels of depthwise convolution: output rows of one channel block.
//
// A tile of neighbouring outputs is computed kernel row by kernel row: the weights and the accumulators stay in
// registers, and each input vector is loaded once for all outputs that see it. Kernel rows outside the picture are
// skipped; columns that do not see the whole kernel are computed one by one.
#include "compiler/kernel/cpu/micro.h"

// The sums of `n` neighbouring outputs over one kernel row, whose inputs begin at `q` and whose weights are k0, k1, ...
static void put_sums(Text *out, int kernel, int stride, int n, const char *k) {
  for (int column = 0; column < (n - 1) * stride + kernel; column++) {
    bool is_used = false;
    for (int t = 0; t < n; t++) {
      int tap = column - t * stride;
      if (tap < 0 || tap >= kernel) continue;
      if (!is_used) text_printf(out, "    { sg_f s = SG_LD(q + %d * SG_VL);", column);
      is_used = true;
      text_printf(out, " a%d += s * %s%d;", t, k, tap);
    }
    if (is_used) text_put(out, " }\n");
  }
}

static void put_weights(Text *out, int kernel, const char *k, int row) {
  for (int i = 0; i < kernel; i++)
    text_printf(out, "%s %s%d = SG_LD(w + %d * SG_VL)", i ? "," : " const sg_f", k, i, row * kernel + i);
  text_put(out, ";\n");
}

static void put_start(Text *out, int n) {
  for (int t = 0; t < n; t++) text_printf(out, "%s a%d = b", t ? "," : " sg_f", t);
  text_put(out, ";\n");
}

static void put_end(Text *out, int n) {
  text_put(out, "    if (act == 1) {\n     ");
  for (int t = 0; t < n; t++) text_printf(out, " a%d = sg_relu(a%d);", t, t);
  text_put(out, "\n    } else if (act == 2) {\n     ");
  for (int t = 0; t < n; t++) text_printf(out, " a%d = sg_leaky(a%d, slope);", t, t);
  text_put(out, "\n    }\n   ");
  for (int t = 0; t < n; t++) text_printf(out, " SG_ST(y + %d * SG_VL, a%d);", t, t);
  text_put(out, "\n");
}

// `n` outputs of a row at the picture's edge: kernel rows k0 .. k1 - 1 exist. `x` is where the first output's tap (0,
// 0) would be.
static void put_tile(Text *out, int kernel, int stride, int n) {
  text_printf(
      out,
      "SG_INLINE void sg_dw_%d_%d_x%d(const float *x, const float *w, float *y, sg_f b, int64_t row, int64_t k0,\n"
      "                             int64_t k1, int64_t act, float slope) {\n ",
      kernel, stride, n);
  put_start(out, n);
  text_printf(out,
              "  w += k0 * %d * SG_VL;\n"
              "  for (int64_t ky = k0; ky < k1; ky++, w += %d * SG_VL) {\n"
              "    const float *q = x + ky * row;\n   ",
              kernel, kernel);
  put_weights(out, kernel, "k", 0);
  put_sums(out, kernel, stride, n, "k");
  text_put(out, "  }\n");
  put_end(out, n);
  text_put(out, "}\n");
}

// A row inside the picture, `n` >= `tile` outputs; with nine weights these stay in registers.
static void put_full_row(Text *out, int kernel, int stride, int tile) {
  text_printf(
      out,
      "SG_INLINE void sg_dw_%d_%d_full(const float *x0, const float *w, float *y0, sg_f b, int64_t row, int64_t n,\n"
      "                               int64_t act, float slope) {\n",
      kernel, stride);
  static const char *const names[] = {"k", "l", "m", "n", "o", "p", "q"};
  for (int ky = 0; kernel == 3 && ky < kernel; ky++) put_weights(out, kernel, names[ky], ky);
  text_printf(out,
              "  for (int64_t i = 0;; i = i + %d <= n ? i + %d : n - %d) {\n"
              "    const float *x = x0 + i * %d * SG_VL, *q = x;\n"
              "    float *y = y0 + i * SG_VL;\n   ",
              2 * tile, tile, tile, stride);
  put_start(out, tile);
  for (int ky = 0; ky < kernel; ky++) {
    if (ky) text_printf(out, "    q = x + %d * row;\n", ky);
    text_put(out, "    {\n   ");
    if (kernel != 3) put_weights(out, kernel, "k", ky);
    put_sums(out, kernel, stride, tile, kernel == 3 ? names[ky] : "k");
    text_put(out, "    }\n");
  }
  put_end(out, tile);
  text_printf(out, "    if (i + %d == n) break;\n  }\n}\n", tile);
}

// Every kernel, stride and dilation, one output at a time; also what the columns at the edges are computed with.
// `c` is MicroDepthwise of micro.h.
static const char *const point =
    "SG_INLINE void sg_dw_point(const int *c, const float *x, const float *w, float *y, const float *b,\n"
    "                           float slope,\n"
    "                           int64_t oy, int64_t ox) {\n"
    "  const int64_t iy = oy * c[8] - c[3], ix = ox * c[8] - c[3];\n"
    "  sg_f a = b ? SG_LD(b) : (sg_f){0};\n"
    "  for (int64_t ky = 0; ky < c[7]; ky++) {\n"
    "    const int64_t v = iy + ky * c[9];\n"
    "    if (v < 0 || v >= c[0]) continue;\n"
    "    for (int64_t kx = 0; kx < c[7]; kx++) {\n"
    "      const int64_t u = ix + kx * c[9];\n"
    "      if (u >= 0 && u < c[1]) a += SG_LD(x + v * c[4] + u * SG_VL) * SG_LD(w + (ky * c[7] + kx) * SG_VL);\n"
    "    }\n"
    "  }\n"
    "  SG_ST(y + oy * c[5] + ox * SG_VL, sg_act(a, c[6], slope));\n"
    "}\n"
    "// An output of which only the kernel columns a .. e - 1 lie in the picture; `x` is where its tap\n"
    "// (0, 0) would be.\n"
    "SG_INLINE void sg_dw_edge(const float *x, const float *w, float *y, sg_f b, int64_t row,\n"
    "                          int64_t kernel, int64_t k0,\n"
    "                          int64_t k1, int64_t a, int64_t e, int64_t act, float slope) {\n"
    "  for (int64_t ky = k0; ky < k1; ky++) {\n"
    "    sg_f s = {0};\n"
    "    for (int64_t kx = a; kx < e; kx++) s += SG_LD(x + ky * row + kx * SG_VL) * SG_LD(w + (ky *\n"
    "        kernel + kx) * SG_VL);\n"
    "    b += s;\n"
    "  }\n"
    "  SG_ST(y, sg_act(b, act, slope));\n"
    "}\n"
    "SG_SHARED void sg_dw_any(const int *c, const float *x, const float *w, float *y, const float *b,\n"
    "                         float slope,\n"
    "                         int64_t y0, int64_t y1) {\n"
    "  for (int64_t oy = y0; oy < y1; oy++)\n"
    "    for (int64_t ox = 0; ox < c[2]; ox++) sg_dw_point(c, x, w, y, b, slope, oy, ox);\n"
    "}\n";

static void put_rows(Text *out, int kernel, int stride, int tile) {
  put_full_row(out, kernel, stride, tile);
  put_tile(out, kernel, stride, 4);
  put_tile(out, kernel, stride, 1);
  text_printf(out,
              "SG_SHARED void sg_dw_%d_%d(const int *c, const float *x, const float *w, float *y, const float *b,\n"
              "                         float slope, int64_t y0, int64_t y1) {\n"
              "  const int64_t h = c[0], ow = c[2], pad = c[3], row = c[4], act = c[6], last = c[1] + pad - %d;\n"
              "  int64_t lo = (pad + %d) / %d, hi = last >= 0 ? last / %d + 1 : 0;\n"
              "  if (hi > ow) hi = ow;\n"
              "  if (lo > hi) lo = hi = ow;\n"
              "  const sg_f bias = b ? SG_LD(b) : (sg_f){0};\n"
              "  for (int64_t oy = y0; oy < y1; oy++) {\n"
              "    const int64_t iy = oy * %d - pad, k0 = iy < 0 ? -iy : 0, k1 = h - iy < %d ? h - iy : %d;\n"
              "    const float *xo = x + iy * row - pad * SG_VL;\n"
              "    float *yo = y + oy * c[5];\n"
              "    int64_t ox = lo;\n",
              kernel, stride, kernel, stride - 1, stride, stride, stride, kernel, kernel);
  text_printf(out,
              "    if (hi - lo >= %d && k0 == 0 && k1 == %d) {\n"
              "      sg_dw_%d_%d_full(xo + lo * %d * SG_VL, w, yo + lo * SG_VL, bias, row, hi - lo, act, slope);\n"
              "    } else {\n"
              "      for (; ox + 4 <= hi; ox += 4)\n"
              "        sg_dw_%d_%d_x4(xo + ox * %d * SG_VL, w, yo + ox * SG_VL, bias, row, k0, k1, act, slope);\n"
              "      for (; ox < hi; ox++)\n"
              "        sg_dw_%d_%d_x1(xo + ox * %d * SG_VL, w, yo + ox * SG_VL, bias, row, k0, k1, act, slope);\n"
              "    }\n"
              "    for (ox = 0; ox < ow; ox++) {\n"
              "      if (ox == lo && lo < hi) ox = hi;\n"
              "      if (ox >= ow) break;\n"
              "      const int64_t ix = ox * %d - pad, left = c[1] - ix;\n"
              "      sg_dw_edge(xo + ox * %d * SG_VL, w, yo + ox * SG_VL, bias, row, %d, k0, k1, ix < 0 ? -ix : 0,\n"
              "                 left < %d ? left : %d, act, slope);\n"
              "    }\n"
              "  }\n"
              "}\n",
              tile, kernel, kernel, stride, stride, kernel, stride, stride, kernel, stride, stride, stride, stride,
              kernel, kernel, kernel);
}

// Outputs of a row at once: their sums, the weights that stay, an input and what it is multiplied to must fit the
// registers.
static int tile_of(const Target *target, int kernel) {
  int weights = kernel == 3 ? 9 : kernel;
  return 8 + weights + 2 <= target->registers ? 8 : 4;
}

void micro_depthwise(const Target *target, Text *out) {
  text_put(out, point);
  for (int kernel = 3; kernel <= 7; kernel += 2)
    for (int stride = 1; stride <= 2; stride++) put_rows(out, kernel, stride, tile_of(target, kernel));
}
