// Micro-kernels of weight gradients: sums over pixels of products of two values, one as vectors, one as scalars.
//
// A register tile holds `lanes` scalar channels x `vectors` blocks of the other value. It is kept in memory between
// calls, all of it together, so that rows, images and pieces of them that fit the cache are added one after the other,
// always in the same order.
#include "compiler/kernel/cpu/micro.h"

#include <stdio.h>

int micro_grad_vectors(const Target *target) {
  if (target->registers < 32) return 3;
  return target->vector >= 8 ? 3 : 6;
}
int micro_grad_lanes(const Target *target) { return target->registers >= 32 && target->vector >= 8 ? 8 : 4; }

static const char *const walk = "// Pixels that two values are walked over together: rows of `n`, and how many floats "
                                "lie between rows, pixels and\n"
                                "// vectors of v and between rows, pixels and lanes of s.\n"
                                "typedef struct SgWalk {\n"
                                "  int64_t rows, n, v_row, v_pixel, vb, s_row, s_pixel, sl;\n"
                                "} SgWalk;\n";

// acc[lane][vector] += sum over the walk of s[lane] * v[vector].
static void put_tile(Text *out, int lanes, int vectors) {
  text_printf(
      out,
      "SG_INLINE void sg_wtile_%dx%d(const SgWalk *w, const float *v, const float *s, float *acc, const int64_t sl) {\n"
      "  const int64_t vp = w->v_pixel, vb = w->vb, sp = w->s_pixel;\n",
      lanes, vectors);
  for (int l = 0; l < lanes; l++) {
    text_put(out, "  sg_f");
    for (int j = 0; j < vectors; j++)
      text_printf(out, "%s a%d_%d = SG_LD(acc + %d * SG_VL)", j ? "," : "", l, j, l * vectors + j);
    text_put(out, ";\n");
  }
  text_put(out, "  for (int64_t r = w->rows; r > 0; r--, v += w->v_row, s += w->s_row) {\n"
                "   const float *p = v, *q = s;\n"
                "   for (int64_t n = w->n; n > 0; n--, p += vp, q += sp) {\n"
                "    const sg_f");
  for (int j = 0; j < vectors; j++) text_printf(out, "%s v%d = SG_LD(p + %d * vb)", j ? "," : "", j, j);
  text_put(out, ";\n");
  for (int l = 0; l < lanes; l++) {
    text_printf(out, "    { float x = q[%d * sl];", l);
    for (int j = 0; j < vectors; j++) text_printf(out, " a%d_%d += v%d * x;", l, j, j);
    text_put(out, " }\n");
  }
  text_put(out, "   }\n  }\n");
  for (int l = 0; l < lanes; l++) {
    text_put(out, " ");
    for (int j = 0; j < vectors; j++) text_printf(out, " SG_ST(acc + %d * SG_VL, a%d_%d);", l * vectors + j, l, j);
    text_put(out, "\n");
  }
  text_put(out, "}\n");
}

// `c` is MicroGrad of micro.h. Rows y0 .. y1 - 1 of the gradient; vector blocks b0 .. b1 - 1 and scalar tiles t0 ..
// t1 - 1 of every tap. `v` and `s` are the images' first elements.
static void put_rows(const Target *target, Text *out, const char *suffix, int lanes, const char *step) {
  int vectors = micro_grad_vectors(target);
  for (int j = 1; j <= vectors; j++)
    text_printf(out,
                "SG_SHARED void sg_wtile_%dx%d_%s(const SgWalk *w, const float *v, const float *s, float *acc) {\n"
                "  sg_wtile_%dx%d(w, v, s, acc, %s);\n}\n",
                lanes, j, suffix, lanes, j, step);
  text_printf(
      out,
      "SG_SHARED void sg_wgrad_%s(const int *c, const float *v, const float *s, float *acc, int64_t y0, int64_t y1,\n"
      "                           int64_t b0, int64_t b1, int64_t t0, int64_t t1) {\n"
      "  typedef void Tile(const SgWalk *, const float *, const float *, float *);\n"
      "  static Tile *const tile[] = {",
      suffix);
  for (int j = 1; j <= vectors; j++) text_printf(out, "%ssg_wtile_%dx%d_%s", j > 1 ? ", " : "", lanes, j, suffix);
  text_printf(
      out,
      "};\n"
      "  const int64_t h = c[0], w = c[1], ow = c[2], kh = c[3], kw = c[4], stride = c[5], pad = c[6], dil = c[7];\n"
      "  const int64_t vp = c[8], vrow = c[9], vb = c[10], sp = c[11], srow = c[12], sl = c[13], sb = c[14];\n"
      "  const int64_t per_block = c[15], x_is_v = c[16], v_stride = x_is_v ? stride : 1, s_stride = x_is_v ? 1 : "
      "stride;\n"
      "  SgWalk walk = {.v_row = vrow * v_stride, .v_pixel = vp * v_stride, .vb = vb, .s_row = srow * s_stride,\n"
      "                 .s_pixel = sp * s_stride, .sl = sl};\n"
      "  for (int64_t ky = 0; ky < kh; ky++)\n"
      "    for (int64_t kx = 0; kx < kw; kx++) {\n"
      "      // Outputs whose tap lies inside the picture.\n"
      "      const int64_t dy = ky * dil - pad, dx = kx * dil - pad;\n"
      "      int64_t lo = dx < 0 ? (stride - 1 - dx) / stride : 0, hi = w - dx > 0 ? (w - dx - 1) / stride + 1 : 0;\n"
      "      if (hi > ow) hi = ow;\n"
      "      int64_t top = dy < 0 ? (stride - 1 - dy) / stride : 0, end = h - dy > 0 ? (h - dy - 1) / stride + 1 : 0;\n"
      "      if (top < y0) top = y0;\n"
      "      if (end > y1) end = y1;\n"
      "      // Rows that follow each other without a gap are one.\n"
      "      const int64_t whole = stride == 1 && lo == 0 && hi == ow && ow == w, some = top < end && lo < hi;\n"
      "      walk.rows = whole ? 1 : end - top, walk.n = whole ? (end - top) * ow : hi - lo;\n"
      "      const int64_t in_x = (top * stride + dy) * (x_is_v ? vrow : srow) + (lo * stride + dx) * (x_is_v ? vp : "
      "sp);\n"
      "      const int64_t in_g = top * (x_is_v ? srow : vrow) + lo * (x_is_v ? sp : vp);\n"
      "      const float *vt = v + (x_is_v ? in_x : in_g), *st = s + (x_is_v ? in_g : in_x);\n"
      "      for (int64_t b = b0, j; b < b1; b += j) {\n"
      "        j = sg_wvectors(b1 - b);\n"
      "        for (int64_t t = t0; t < t1; t++, acc += %d * j * SG_VL)\n"
      "          if (some) tile[j - 1](&walk, vt + b * vb, st + t / per_block * sb + t %% per_block * %d, acc);\n"
      "      }\n"
      "    }\n"
      "}\n",
      lanes, lanes);
}

// Sums to their places in the plain [O, I, kh, kw]. `map` holds the logical channel of each vector lane of blocks b0 ..
// b1 - 1, then of each scalar lane of the tiles t0 .. t1 - 1; -1 in padding.
static const char *const store =
    "SG_SHARED void sg_wstore(const int *c, const int *v_map, const int *s_map, const float *acc,\n"
    "                         float *out, int64_t b0,\n"
    "                         int64_t b1, int64_t t0, int64_t t1, int64_t lanes) {\n"
    "  const int64_t taps = (int64_t)c[3] * c[4], x_is_v = c[16], inputs = c[17];\n"
    "  const int64_t v_step = x_is_v ? taps : inputs * taps, s_step = x_is_v ? inputs * taps : taps;\n"
    "  const int64_t n = (t1 - t0) * lanes, size = n * (b1 - b0) * SG_VL;\n"
    "  s_map += t0 * lanes;\n"
    "  for (int64_t b = b0, j; b < b1; b += j, acc += n * j * SG_VL) {\n"
    "    j = sg_wvectors(b1 - b);\n"
    "    for (int64_t k = 0; k < j * SG_VL; k++) {\n"
    "      const int64_t v = v_map[b * SG_VL + k];\n"
    "      const float *from = acc + k;\n"
    "      for (int64_t i = 0; v >= 0 && i < n; i++, from += j * SG_VL) {\n"
    "        float *to = out + v * v_step + s_map[i] * s_step;\n"
    "        for (int64_t tap = 0; s_map[i] >= 0 && tap < taps; tap++) to[tap] = from[tap * size];\n"
    "      }\n"
    "    }\n"
    "  }\n"
    "}\n";

static const char *const join =
    "// Leaves part number `part` of a sum of `n` with the others of its group, which stand in `parts`. For the last "
    "one "
    "to\n"
    "// come, and for no other, it is true, and `sums` then holds the whole, added up in the order of the parts.\n"
    "SG_SHARED int64_t sg_join(float *counters, float *parts, int64_t group, int64_t part, int64_t n, float *sums,\n"
    "                          int64_t size) {\n"
    "  int *count = (int *)counters + group;\n"
    "  parts += group * n * size;\n"
    "  __builtin_memcpy(parts + part * size, sums, sizeof(float) * size);\n"
    "  if (__atomic_fetch_add(count, 1, __ATOMIC_ACQ_REL) < n - 1) return 0;\n"
    "  __atomic_store_n(count, 0, __ATOMIC_RELAXED);\n"
    "  for (int64_t k = 0; k < size; k += SG_VL) {\n"
    "    sg_f sum = SG_LD(parts + k);\n"
    "    for (int64_t i = 1; i < n; i++) sum += SG_LD(parts + i * size + k);\n"
    "    SG_ST(sums + k, sum);\n"
    "  }\n"
    "  return 1;\n"
    "}\n";

// ---- depthwise ------------------------------------------------------------------------------------------------------

// One kernel row over the outputs lo .. hi - 1 that see all its columns, two at a time.
static void put_depthwise_row(Text *out, int kernel, int stride) {
  text_printf(out,
              "SG_INLINE void sg_dwgrad_row_%d_%d(const float *x, const float *g, float *acc, int64_t n) {\n"
              "  sg_f",
              kernel, stride);
  for (int k = 0; k < kernel; k++)
    text_printf(out, "%s a%d = SG_LD(acc + %d * SG_VL), b%d = {0}", k ? "," : "", k, k, k);
  text_printf(out, ";\n  for (; n >= 2; n -= 2, x += %d * SG_VL, g += 2 * SG_VL) {\n", 2 * stride);
  text_put(out, "    const sg_f g0 = SG_LD(g), g1 = SG_LD(g + SG_VL);\n");
  for (int column = 0; column < kernel + stride; column++) {
    text_printf(out, "    { sg_f s = SG_LD(x + %d * SG_VL);", column);
    if (column < kernel) text_printf(out, " a%d += s * g0;", column);
    if (column >= stride) text_printf(out, " b%d += s * g1;", column - stride);
    text_put(out, " }\n");
  }
  text_put(out, "  }\n  if (n) {\n    const sg_f g0 = SG_LD(g);\n   ");
  for (int k = 0; k < kernel; k++) text_printf(out, " a%d += SG_LD(x + %d * SG_VL) * g0;", k, k);
  text_put(out, "\n  }\n ");
  for (int k = 0; k < kernel; k++) text_printf(out, " SG_ST(acc + %d * SG_VL, a%d + b%d);", k, k, k);
  text_put(out, "\n}\n");
}

// `c` is MicroDepthwise of micro.h; adds rows y0 .. y1 - 1 of one block into acc[kernel * kernel].
static void put_depthwise(Text *out, const char *name, int kernel, int stride) {
  text_printf(out,
              "SG_SHARED void sg_dwgrad_%s(const int *c, const float *x, const float *g, float *acc,\n"
              "                            int64_t y0, int64_t y1) {\n"
              "  const int64_t h = c[0], w = c[1], ow = c[2], pad = c[3], row = c[4], kernel = c[7],\n"
              "      stride = c[8], dil = c[9];\n"
              "  int64_t lo = (pad + stride - 1) / stride, last = w + pad - (kernel - 1) * dil - 1;\n"
              "  int64_t hi = last >= 0 ? last / stride + 1 : 0;\n"
              "  if (hi > ow) hi = ow;\n"
              "  if (lo > hi) lo = hi = ow;\n",
              name);
  if (!kernel) text_put(out, "  lo = hi = ow;\n");
  text_put(out, "  for (int64_t oy = y0; oy < y1; oy++)\n"
                "    for (int64_t ky = 0; ky < kernel; ky++) {\n"
                "      const int64_t iy = oy * stride - pad + ky * dil;\n"
                "      if (iy < 0 || iy >= h) continue;\n"
                "      const float *xr = x + iy * row, *gr = g + oy * c[5];\n"
                "      float *a = acc + ky * kernel * SG_VL;\n");
  if (kernel)
    text_printf(out,
                "      if (lo < hi)\n"
                "        sg_dwgrad_row_%d_%d(xr + (lo * %d - pad) * SG_VL, gr + lo * SG_VL, a, hi - lo);\n",
                kernel, stride, stride);
  text_put(out,
           "      for (int64_t ox = lo > 0 ? 0 : hi; ox < ow; ox = ox + 1 == lo ? hi : ox + 1)\n"
           "        for (int64_t kx = 0; kx < kernel; kx++) {\n"
           "          const int64_t ix = ox * stride - pad + kx * dil;\n"
           "          if (ix < 0 || ix >= w) continue;\n"
           "          SG_ST(a + kx * SG_VL, SG_LD(a + kx * SG_VL) + SG_LD(xr + ix * SG_VL) * SG_LD(gr + ox * SG_VL));\n"
           "        }\n"
           "    }\n"
           "}\n");
}

static const char *const depthwise_store =
    "// Sums of one block to the plain [C, 1, k, k]; `map` holds the logical channel of each of its lanes.\n"
    "SG_SHARED void sg_dwgrad_store(const int *map, const float *acc, float *out, int64_t taps) {\n"
    "  for (int64_t l = 0; l < SG_VL; l++)\n"
    "    for (int64_t t = 0; map[l] >= 0 && t < taps; t++) out[map[l] * taps + t] = acc[t * SG_VL + l];\n"
    "}\n";

void micro_grad(const Target *target, Text *out) {
  int lanes = micro_grad_lanes(target);
  text_put(out, walk);
  text_printf(out,
              "// Vector blocks to sum at once when `left` are to come: no single one behind all that registers hold.\n"
              "SG_INLINE int64_t sg_wvectors(int64_t left) {\n"
              "  return left == %d ? %d : left < %d ? left : %d;\n"
              "}\n",
              micro_grad_vectors(target) + 1, micro_grad_vectors(target) - 1, micro_grad_vectors(target),
              micro_grad_vectors(target));
  for (int j = 1; j <= micro_grad_vectors(target); j++) {
    put_tile(out, lanes, j);
    put_tile(out, 3, j);
    put_tile(out, 1, j);
  }
  put_rows(target, out, "b", lanes, "1");
  char all[8];
  snprintf(all, sizeof all, "p%d", lanes);
  put_rows(target, out, all, lanes, "w->sl");
  put_rows(target, out, "p3", 3, "w->sl");
  put_rows(target, out, "p1", 1, "w->sl");
  text_put(out, store);
  text_put(out, join);
  static const char *const names[] = {"3_1", "3_2", "5_1", "5_2"};
  for (int i = 0; i < 4; i++) {
    int kernel = i < 2 ? 3 : 5, stride = 1 + i % 2;
    put_depthwise_row(out, kernel, stride);
    put_depthwise(out, names[i], kernel, stride);
  }
  put_depthwise(out, "any", 0, 0);
  text_put(out, depthwise_store);
}
