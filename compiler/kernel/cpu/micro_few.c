// Micro-kernels of convolutions with few output channels, such as heads: lanes are input channels here.
//
// With one to three outputs the lanes of an output block would stand idle. Instead each of a vector's worth of pixels
// sums products of input lanes, and at the end a tree of shuffles adds up the lanes of all of them at once; the sums of
// neighbouring pixels come out as one vector and are stored to the plain result.
#include "compiler/kernel/cpu/micro.h"

// Lanes of the sums of a vector's worth of pixels, added up and stored.
static void put_end(Text *out, int vl) {
  for (int n = vl; n > 1; n /= 2)
    for (int i = 0; i < n / 2; i++)
      text_printf(out, "  a%d = SG_LOW(a%d, a%d) + SG_HIGH(a%d, a%d);\n", i, i, i + n / 2, i, i + n / 2);
  text_put(out, "  SG_ST(y, sg_act(a0 + b, act, slope));\n}\n");
}

static void put_pixels(Text *out, int vl, int pixels) {
  text_printf(out,
              "SG_INLINE void sg_few_%d(const int *c, int64_t n_chunks, int64_t xb, int64_t pp, const float *x,\n"
              "                         const float *w, float *y, float b, int64_t act, float slope) {\n ",
              pixels);
  for (int p = 0; p < pixels; p++) text_printf(out, "%s a%d = {0}", p ? "," : " sg_f", p);
  text_put(out, ";\n"
                "  for (const int *e = c + 3 * n_chunks; c < e; c += 3) {\n"
                "    const float *q = x + c[0], *u = w + c[1];\n"
                "    int64_t n = c[2];\n"
                "    for (; n >= SG_VL; n -= SG_VL, q += xb, u += SG_VL) {\n"
                "      const sg_f k = SG_LD(u);\n     ");
  for (int p = 0; p < pixels; p++) text_printf(out, " a%d += SG_LD(q + %d * pp) * k;", p, p);
  text_put(out, "\n    }\n"
                "    if (n > 0) { // padding lanes may hold anything\n"
                "      const sg_i valid = sg_lane_id < (int32_t)n;\n"
                "      const sg_f k = SG_LD(u);\n     ");
  for (int p = 0; p < pixels; p++) text_printf(out, " a%d += (sg_f)((sg_i)SG_LD(q + %d * pp) & valid) * k;", p, p);
  text_put(out, "\n    }\n  }\n");
  if (pixels == 1) {
    text_put(out, "  float z[SG_VL], s = b;\n"
                  "  SG_ST(z, a0);\n"
                  "  for (int l = 0; l < SG_VL; l++) s += z[l];\n"
                  "  *y = act == 0 ? s : act == 1 ? (s < 0 ? 0 : s) : s > 0 ? s : s * slope;\n}\n");
    return;
  }
  put_end(out, vl);
}

// Products of one block of lanes with three taps of a line.
static void put_taps(Text *out, int vl, const char *load) {
  text_put(out, "        const sg_f k0 = SG_LD(u), k1 = SG_LD(u + one), k2 = SG_LD(u + two);\n        sg_f v;\n");
  for (int i = 0; i < vl + 2; i++) {
    text_put(out, "        v = ");
    text_printf(out, load, i);
    for (int k = 0; k < 3; k++)
      if (i - k >= 0 && i - k < vl) text_printf(out, ", a%d += v * k%d", i - k, k);
    text_put(out, ";\n");
  }
}

static void put_lines(Text *out, int vl) {
  text_put(
      out,
      "// A vector's worth of pixels side by side where taps come in lines of three, each of `segments` chunks: an\n"
      "// element is read once for all three. The row that comes next, `row` floats on, is fetched meanwhile.\n"
      "SG_INLINE void sg_few_lines(const int *c, int64_t n_chunks, int64_t segments, int64_t xb, int64_t row,\n"
      "                            const float *x, const float *w, float *y, float b, int64_t act,\n"
      "                            float slope) {\n ");
  for (int p = 0; p < vl; p++) text_printf(out, "%s a%d = {0}", p ? "," : " sg_f", p);
  text_put(out, ";\n"
                "  const int64_t line = 3 * 3 * segments;\n"
                "  for (const int *end = c + 3 * n_chunks; c < end; c += line)\n"
                "    for (const int *e = c; e < c + 3 * segments; e += 3) {\n"
                "      const float *q = x + e[0], *u = w + e[1];\n"
                "      const int64_t one = e[1 + 3 * segments] - e[1], two = e[1 + 6 * segments] - e[1];\n"
                "      int64_t n = e[2];\n"
                "      for (; n >= SG_VL; n -= SG_VL, q += xb, u += SG_VL) {\n"
                "        if (c + line == end)\n"
                "          for (int i = 0; i < SG_VL * SG_VL; i += 16) __builtin_prefetch(q + row + i);\n");
  put_taps(out, vl, "SG_LD(q + %d * SG_VL)");
  text_put(out, "      }\n"
                "      if (n > 0) { // padding lanes may hold anything\n"
                "        const sg_i valid = sg_lane_id < (int32_t)n;\n");
  put_taps(out, vl, "(sg_f)((sg_i)SG_LD(q + %d * SG_VL) & valid)");
  text_put(out, "      }\n    }\n");
  put_end(out, vl);
}

static const char *const loops =
    "// `n` pixels for each of `outputs` channels; w holds `weights` floats for each, lanes of input blocks. Where\n"
    "// `segments` is not 0 taps come in lines, of rows that are `row` floats apart.\n"
    "SG_SHARED void sg_few_run(const int *c, int64_t n_chunks, int64_t segments, const int *shape, int64_t pp,\n"
    "                          int64_t row, const float *x, const float *w,\n"
    "                          float *y, const float *b, float slope, int64_t n, int64_t weights) {\n"
    "  const int64_t xb = shape[0], yb = shape[2], act = shape[4], outputs = shape[6];\n"
    "  for (int64_t p = 0; p < n;) {\n"
    "    const int64_t full = n - p >= SG_VL || (p > 0 && n >= SG_VL), at = full && n - p < SG_VL ? n - SG_VL : p;\n"
    "    for (int64_t o = 0; o < outputs; o++) {\n"
    "      const float *u = w + o * weights, bias = b ? b[o] : 0;\n"
    "      if (full && segments)\n"
    "        sg_few_lines(c, n_chunks, segments, xb, row, x + at * pp, u, y + o * yb + at, bias, act, slope);\n"
    "      else if (full) sg_few_all(c, n_chunks, xb, pp, x + at * pp, u, y + o * yb + at, bias, act, slope);\n"
    "      else sg_few_1(c, n_chunks, xb, pp, x + at * pp, u, y + o * yb + at, bias, act, slope);\n"
    "    }\n"
    "    p = at + (full ? SG_VL : 1);\n"
    "  }\n"
    "}\n"
    "// Chunks whose weights stand in blocks of lanes, padded with zeros: `positions` of them a tap.\n"
    "SG_SHARED void sg_few_chunks(const int *from, int64_t n, int64_t inputs, int64_t positions, int *to) {\n"
    "  int64_t at = 0;\n"
    "  for (int64_t i = 0; i < n; i++) {\n"
    "    const int64_t k = from[3 * i + 1] / SG_VL;\n"
    "    if (k % inputs == 0) at = k / inputs * positions;\n"
    "    to[3 * i] = from[3 * i], to[3 * i + 1] = at, to[3 * i + 2] = from[3 * i + 2];\n"
    "    at += (from[3 * i + 2] + SG_VL - 1) / SG_VL * SG_VL;\n"
    "  }\n"
    "}\n"
    "// Weights [taps][inputs][lane of output] to [output][taps][positions].\n"
    "SG_SHARED void sg_few_weights(const int *chunk, int64_t n, const int *packed, const float *w, float *to,\n"
    "                              int64_t outputs, int64_t weights) {\n"
    "  __builtin_memset(to, 0, sizeof(float) * outputs * weights);\n"
    "  for (int64_t i = 0; i < n; i++)\n"
    "    for (int64_t k = 0; k < chunk[3 * i + 2]; k++)\n"
    "      for (int64_t o = 0; o < outputs; o++)\n"
    "        to[o * weights + packed[3 * i + 1] + k] = w[(chunk[3 * i + 1] + k * SG_VL) * SG_PAIRED + o];\n"
    "}\n"
    "// As sg_gemm, of one block with few channels. `pack` has room for outputs * positions floats and 3\n"
    "// ints a chunk.\n"
    "SG_SHARED void sg_few_gemm(const int *c, const float *x, const float *w, float *y, const float *b, float slope,\n"
    "                           int64_t n, int64_t inputs, int64_t positions, float *pack) {\n"
    "  int *list = (int *)(pack + c[6] * positions);\n"
    "  sg_few_chunks(c + 9, c[8], inputs, positions, list);\n"
    "  sg_few_weights(c + 9, c[8], list, w, pack, c[6], positions);\n"
    "  sg_few_run(list, c[8], 0, c, SG_VL, 0, x, pack, y, b, slope, n, positions);\n"
    "}\n"
    "// As sg_conv_X, likewise; `pack` holds kh * kw times as much, and the same again for lists.\n"
    "SG_SHARED void sg_few_conv(const int *c, const float *x, const float *w, float *y, const float *b, float slope,\n"
    "                           int64_t y0, int64_t y1, int64_t positions, float *pack) {\n"
    "  const int64_t width = c[9], ow = c[10], kw = c[12], stride = c[13], pad = c[14],\n"
    "      dilation = c[15], inputs = c[20];\n"
    "  const int64_t taps = (int64_t)c[11] * kw, weights = taps * positions, pp = stride * SG_VL;\n"
    "  int *list = (int *)(pack + c[6] * weights), *packed = list + 3 * taps * c[21];\n"
    "  // All taps as if the picture had no border, to pack the weights.\n"
    "  int64_t n = 0;\n"
    "  for (int64_t t = 0; t < taps; t++)\n"
    "    for (int64_t i = 0, at = t * inputs; i < c[21]; at += c[23 + 2 * i], i++, n++)\n"
    "      list[3 * n] = 0, list[3 * n + 1] = at * SG_VL, list[3 * n + 2] = c[23 + 2 * i];\n"
    "  sg_few_chunks(list, n, inputs, positions, packed);\n"
    "  sg_few_weights(list, n, packed, w, pack, c[6], weights);\n"
    "  for (int64_t oy = y0; oy < y1; oy++)\n"
    "    for (int64_t ox = 0, end; ox < ow; ox = end) {\n"
    "      // Columns ox .. end - 1 see the same kernel columns.\n"
    "      int64_t k0 = 0, k1 = kw;\n"
    "      while (k0 < kw && ox * stride - pad + k0 * dilation < 0) k0++;\n"
    "      while (k1 > k0 && ox * stride - pad + (k1 - 1) * dilation >= width) k1--;\n"
    "      end = ox + 1;\n"
    "      if (k0 == 0 && k1 == kw) end = (width - 1 + pad - (kw - 1) * dilation) / stride + 1;\n"
    "      if (end > ow) end = ow;\n"
    "      const int64_t m = sg_taps(c, oy, k0, k1, list);\n"
    "      sg_few_chunks(list, m, inputs, positions, packed);\n"
    "      const int64_t lines = kw == 3 && k0 == 0 && k1 == 3 && stride * dilation == 1 ? c[21] : 0;\n"
    "      sg_few_run(packed, m, lines, c, pp, c[16], x + ox * pp, pack, y + oy * c[19] + ox, b, slope, end - ox,\n"
    "                 weights);\n"
    "    }\n"
    "}\n";

void micro_few(const Target *target, Text *out) {
  int vl = target->vector;
  text_put(out, "static const sg_i sg_lane_id = {");
  for (int i = 0; i < vl; i++) text_printf(out, "%s%d", i ? ", " : "", i);
  text_put(out, "};\n");
  put_pixels(out, vl, 1);
  put_pixels(out, vl, vl);
  put_lines(out, vl);
  text_printf(out, "#define sg_few_all sg_few_%d\n", vl);
  text_put(out, loops);
}
