// Micro-kernels of depthwise convolution: output rows of one channel block.
//
// A tile of neighbouring outputs is computed kernel row by kernel row: the row's weights and the accumulators stay in
// registers, and each input vector is loaded once for all outputs that see it. Kernel rows outside the picture are
// skipped; columns that do not see the whole kernel are computed one by one.
#include "compiler/kernel/micro.h"

enum { TILE = 8 };

// `n` outputs of a row. `x` is where the first output's tap (0, 0) would be; kernel rows k0 .. k1 - 1 exist.
static void put_tile(Text *out, int kernel, int stride, int n) {
  text_printf(
      out,
      "SG_INLINE void sg_dw_%d_%d_x%d(const float *x, const float *w, float *y, sg_f b, int64_t row, int64_t k0,\n"
      "                             int64_t k1, int64_t act, float slope) {\n ",
      kernel, stride, n);
  for (int t = 0; t < n; t++) text_printf(out, "%s a%d = b", t ? "," : " sg_f", t);
  text_printf(out,
              ";\n  for (int64_t ky = k0; ky < k1; ky++) {\n"
              "    const float *q = x + ky * row, *u = w + ky * %d * SG_VL;\n   ",
              kernel);
  for (int i = 0; i < kernel; i++) text_printf(out, "%s k%d = SG_LD(u + %d * SG_VL)", i ? "," : " sg_f", i, i);
  text_put(out, ";\n");
  for (int column = 0; column < (n - 1) * stride + kernel; column++) {
    bool is_used = false;
    for (int t = 0; t < n; t++) {
      int tap = column - t * stride;
      if (tap < 0 || tap >= kernel) continue;
      if (!is_used) text_printf(out, "    { sg_f s = SG_LD(q + %d * SG_VL);", column);
      is_used = true;
      text_printf(out, " a%d += s * k%d;", t, tap);
    }
    if (is_used) text_put(out, " }\n");
  }
  text_put(out, "  }\n  if (act == 1) {\n   ");
  for (int t = 0; t < n; t++) text_printf(out, " a%d = sg_relu(a%d);", t, t);
  text_put(out, "\n  } else if (act == 2) {\n   ");
  for (int t = 0; t < n; t++) text_printf(out, " a%d = sg_leaky(a%d, slope);", t, t);
  text_put(out, "\n  }\n ");
  for (int t = 0; t < n; t++) text_printf(out, " SG_ST(y + %d * SG_VL, a%d);", t, t);
  text_put(out, "\n}\n");
}

// Every kernel, stride and dilation, one output at a time; also what the columns at the edges are computed with.
// `c` is MicroDepthwise of micro.h.
static const char *const point =
    "SG_INLINE void sg_dw_point(const int *c, const float *x, const float *w, float *y, const float *b, float "
    "slope,\n"
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
    "SG_SHARED void sg_dw_any(const int *c, const float *x, const float *w, float *y, const float *b, float "
    "slope,\n"
    "                         int64_t y0, int64_t y1) {\n"
    "  for (int64_t oy = y0; oy < y1; oy++)\n"
    "    for (int64_t ox = 0; ox < c[2]; ox++) sg_dw_point(c, x, w, y, b, slope, oy, ox);\n"
    "}\n";

static void put_rows(Text *out, int kernel, int stride) {
  put_tile(out, kernel, stride, TILE);
  put_tile(out, kernel, stride, 1);
  text_printf(out,
              "SG_SHARED void sg_dw_%d_%d(const int *c, const float *x, const float *w, float *y, const float *b,\n"
              "                         float slope, int64_t y0, int64_t y1) {\n"
              "  const int64_t h = c[0], ow = c[2], pad = c[3], row = c[4], last = c[1] + pad - %d;\n"
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
              "    if (hi - lo >= %d) {\n"
              "      for (;; ox = ox + %d <= hi ? ox + %d : hi - %d) {\n"
              "        sg_dw_%d_%d_x%d(xo + ox * %d * SG_VL, w, yo + ox * SG_VL, bias, row, k0, k1, c[6], slope);\n"
              "        if (ox + %d == hi) break;\n"
              "      }\n"
              "    } else {\n"
              "      for (; ox < hi; ox++)\n"
              "        sg_dw_%d_%d_x1(xo + ox * %d * SG_VL, w, yo + ox * SG_VL, bias, row, k0, k1, c[6], slope);\n"
              "    }\n"
              "    for (ox = 0; ox < lo; ox++) sg_dw_point(c, x, w, y, b, slope, oy, ox);\n"
              "    for (ox = hi; ox < ow; ox++) sg_dw_point(c, x, w, y, b, slope, oy, ox);\n"
              "  }\n"
              "}\n",
              TILE, 2 * TILE, TILE, TILE, kernel, stride, TILE, stride, TILE, kernel, stride, stride);
}

void micro_depthwise(const Target *target, Text *out) {
  (void)target; // the tile of eight fits sixteen registers
  text_put(out, point);
  for (int kernel = 3; kernel <= 7; kernel += 2)
    for (int stride = 1; stride <= 2; stride++) put_rows(out, kernel, stride);
}
