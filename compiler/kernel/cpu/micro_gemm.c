// Micro-kernels of pointwise and dense convolution: a register tile of pixels x output vectors, and the loops over it.
//
// A tile's sum runs over chunks: runs of input channels that lie in consecutive blocks, one or more for each tap of the
// kernel (of a plain value: runs of kernel columns of one channel). Chunks are three integers: the offset in x of the
// run's first channel, the offset in w of its weights, the number of channels. Taps that fall outside the picture are
// left out of the list. After SG_RUN products the sum goes into a second one: rounding errors of a long chain grow with
// the root of its length (patches of 16x16 pixels of 128 channels: 2e-6 instead of 1e-5 of the result).
#include <stdio.h>

#include "compiler/kernel/cpu/micro.h"

enum { MAX_VECTORS = 4, N_SIZES = 3, MAX_RUN = 512 };

int micro_max_vectors(const Target *target) { return target->registers >= 32 ? 3 : 2; }

// Accumulators, one vector of weights for each output vector and one broadcast must fit the registers.
int micro_tile_pixels(const Target *target, int vectors) {
  static const int few[MAX_VECTORS + 1] = {0, 8, 6, 4, 1}, many[MAX_VECTORS + 1] = {0, 16, 12, 8, 1};
  return (target->registers >= 32 ? many : few)[vectors];
}

// The pixel counts of tiles with that many vectors, largest first; the last is 1.
static int tile_sizes(const Target *target, int vectors, int sizes[N_SIZES]) {
  int p = micro_tile_pixels(target, vectors), n = 0;
  sizes[n++] = p;
  if (p > 4) sizes[n++] = 4;
  if (p > 1) sizes[n++] = 1;
  return n;
}

// One step of the sum: channel k of the chunk.
static void put_step(Text *out, int pixels, int vectors, int vl, int k) {
  text_put(out, "     {");
  for (int j = 0; j < vectors; j++) text_printf(out, " sg_f w%d = SG_LD(u + %d * wb + %d);", j, j, k * vl);
  text_put(out, "\n");
  for (int p = 0; p < pixels; p++) {
    text_printf(out, "      { float s = q[%d * pp + %d];", p, k);
    for (int j = 0; j < vectors; j++) text_printf(out, " a%d_%d += w%d * s;", p, j, j);
    text_put(out, " }\n");
  }
  text_put(out, "     }\n");
}

static void put_each(Text *out, int pixels, int vectors, const char *format) {
  for (int p = 0; p < pixels; p++) {
    text_put(out, "   ");
    for (int j = 0; j < vectors; j++) {
      text_put(out, " ");
      // The format's letters P and J stand for the numbers of the accumulator.
      for (const char *c = format; *c; c++) {
        if (*c == 'P' || *c == 'J') {
          text_printf(out, "%d", *c == 'P' ? p : j);
        } else {
          text_write(out, c, 1);
        }
      }
    }
    text_put(out, "\n");
  }
}

static void put_tile(Text *out, int pixels, int vectors, int vl) {
  text_printf(
      out,
      "SG_INLINE void sg_tile_%dx%d(const SgTile *t, const float *x, const float *w, float *y, const float *b,\n"
      "                             const float *r, const int64_t pp, const int has_runs) {\n"
      "  const int64_t wb = t->wb, yb = t->yb;\n",
      pixels, vectors);
  for (int j = 0; j < vectors; j++) {
    text_printf(out, "  sg_f a0_%d = b ? SG_LD(b + %d) : (sg_f){0};\n", j, j * vl);
    for (int p = 1; p < pixels; p++)
      text_printf(out, "%s a%d_%d = a0_%d%s", p == 1 ? "  sg_f" : "", p, j, j, p + 1 < pixels ? "," : ";\n");
  }
  text_printf(out, "  sg_f sum[%d][%d];\n  int64_t run = 0, has_sum = 0;\n", pixels, vectors);
  text_put(out, "  const int64_t xb = t->xb, xs = has_runs ? 1 : t->xs, ws = has_runs ? SG_VL : t->ws;\n"
                "  const int *c = t->chunk;\n"
                "  for (const int *e = c + 3 * t->n_chunks; c < e; c += 3) {\n"
                "   const float *q = x + c[0], *u = w + c[1];\n"
                "   int64_t n = c[2];\n");
  text_printf(out, "   for (; has_runs && n >= %d; n -= %d, q += xb, u += %d) {\n", vl, vl, vl * vl);
  for (int k = 0; k < vl; k++) put_step(out, pixels, vectors, vl, k);
  text_printf(out, "   }\n   for (; n > 0; n--, q += xs, u += ws) {\n");
  put_step(out, pixels, vectors, vl, 0);
  text_put(out, "   }\n"
                "   run += c[2];\n"
                "   if (run < SG_RUN || c + 3 == e) continue;\n");
  put_each(out, pixels, vectors, "sum[P][J] = has_sum ? sum[P][J] + aP_J : aP_J, aP_J = (sg_f){0};");
  text_put(out, "   run = 0, has_sum = 1;\n  }\n  if (has_sum) {\n");
  put_each(out, pixels, vectors, "aP_J += sum[P][J];");
  text_put(out, "  }\n"
                "  const float slope = t->slope;\n"
                "  const int64_t rb = t->rb;\n"
                "  if (r && !t->add_after) {\n");
  char line[96];
  snprintf(line, sizeof line, "aP_J += SG_LD(r + J * rb + P * %d);", vl);
  put_each(out, pixels, vectors, line);
  text_put(out, "  }\n  if (t->act == 1) {\n");
  put_each(out, pixels, vectors, "aP_J = sg_relu(aP_J);");
  text_put(out, "  } else if (t->act == 2) {\n");
  put_each(out, pixels, vectors, "aP_J = sg_leaky(aP_J, slope);");
  text_put(out, "  }\n  if (r && t->add_after) {\n");
  put_each(out, pixels, vectors, line);
  text_put(out, "  }\n  if (t->lanes == 0) {\n");
  snprintf(line, sizeof line, "SG_ST(y + J * yb + P * %d, aP_J);", vl);
  put_each(out, pixels, vectors, line);
  // Elsewhere: rows of a matrix (pixels are rows), or channels of a plain picture, yb apart; the last block may hold
  // fewer lanes.
  text_printf(out, "  } else {\n   float z[%d][%d];\n", pixels, vectors * vl);
  snprintf(line, sizeof line, "SG_ST(z[P] + J * %d, aP_J);", vl);
  put_each(out, pixels, vectors, line);
  text_printf(out,
              "   if (t->yp == 1) {\n"
              "    for (int64_t l = 0; l < t->lanes; l++)\n"
              "     for (int p = 0; p < %d; p++) y[l * yb + p] = z[p][l];\n"
              "   } else {\n"
              "    for (int p = 0; p < %d; p++, y += t->yp) {\n"
              "     int64_t l = 0;\n"
              "     for (; l + SG_VL <= t->lanes; l += SG_VL) SG_ST(y + l, SG_LD(z[p] + l));\n"
              "     for (; l < t->lanes; l++) y[l] = z[p][l];\n"
              "    }\n   }\n  }\n}\n",
              pixels, pixels);
}

// The tiles as functions with a fixed distance between the scalars of neighbouring pixels, and sg_panel_X, which covers
// n pixels with them; a last tile that would not be full is moved back over the one before, or smaller ones follow.
static void put_panel(const Target *target, Text *out, const char *suffix, const char *pitch) {
  int max = micro_max_vectors(target);
  for (int j = 1; j <= MAX_VECTORS; j++) {
    int sizes[N_SIZES], n = tile_sizes(target, j, sizes);
    for (int i = j > max ? n - 1 : 0; i < n; i++)
      text_printf(
          out,
          "SG_SHARED void sg_tile_%dx%d_%s(const SgTile *t, const float *x, const float *w, float *y, const float *b,\n"
          "                                const float *r) {\n"
          "  sg_tile_%dx%d(t, x, w, y, b, r, %s, %d);\n}\n",
          sizes[i], j, suffix, sizes[i], j, pitch, suffix[0] != 'p');
  }
  text_printf(out,
              "SG_SHARED void sg_panel_%s(const SgTile *t, const float *x, const float *w, float *y, const float *b,\n"
              "                          const float *r, int64_t n, int vectors) {\n"
              "  static SgTileFn *const fn[%d][%d] = {\n",
              suffix, MAX_VECTORS, N_SIZES);
  for (int j = 1; j <= MAX_VECTORS; j++) {
    int sizes[N_SIZES], n = tile_sizes(target, j, sizes);
    text_put(out, "    {");
    for (int i = j > max ? n - 1 : 0; i < n; i++) text_printf(out, "sg_tile_%dx%d_%s, ", sizes[i], j, suffix);
    text_put(out, "},\n");
  }
  text_put(out, "  };\n  static const uint8_t size[][3] = {");
  for (int j = 1; j <= MAX_VECTORS; j++) {
    int sizes[N_SIZES] = {0}, n = tile_sizes(target, j, sizes);
    if (j > max) sizes[0] = sizes[n - 1], sizes[1] = sizes[2] = 0;
    text_printf(out, "{%d, %d, %d}, ", sizes[0], sizes[1], sizes[2]);
  }
  text_put(out, "};\n"
                "  int i = 0;\n"
                "  while (size[vectors - 1][i] > n) i++;\n"
                "  const int64_t yp = t->lanes ? t->yp : SG_VL, pp = t->pp;\n"
                "  for (int64_t p = 0, full = size[vectors - 1][i]; p < n;) {\n"
                "    fn[vectors - 1][i](t, x + p * pp, w, y + p * yp, b, r ? r + p * yp : r);\n"
                "    p += full;\n"
                "    if (p == n || p + full <= n) continue;\n"
                "    if (!t->once) p = n - full;\n"
                "    while (t->once && size[vectors - 1][i] > n - p) i++;\n"
                "    full = size[vectors - 1][i];\n"
                "  }\n"
                "}\n");
}

static const char *const types =
    "typedef struct SgTile {\n"
    "  const int *chunk;          // offset in x, offset in w, channels (kernel columns, if x is plain)\n"
    "  int64_t n_chunks, xb, wb;      // pitches in floats of the blocks of x and w\n"
    "  int64_t yb, rb;                // of the blocks of y and r; of its channels if y is plain\n"
    "  int64_t act, add_after, lanes; // activation; r is added after it; lanes to store if y is not blocked, else 0\n"
    "  int64_t yp;                    // pitch of the pixels of y, if it is not blocked\n"
    "  int64_t pp;                    // pitch of the pixels of x\n"
    "  int64_t once;                  // no pixel may be computed twice, as y is added to\n"
    "  int64_t xs, ws;                // pitches within a chunk, if x is plain\n"
    "  float slope;\n"
    "} SgTile;\n"
    "typedef void SgTileFn(const SgTile *, const float *, const float *, float *, const float *, const float *);\n";

void micro_gemm(const Target *target, Text *out) {
  text_put(out, types);
  text_printf(out, "#define SG_RUN %d\n", MAX_RUN);
  for (int j = 1; j <= MAX_VECTORS; j++) {
    int sizes[N_SIZES], n = tile_sizes(target, j, sizes);
    for (int i = j > micro_max_vectors(target) ? n - 1 : 0; i < n; i++) put_tile(out, sizes[i], j, target->vector);
  }
  put_panel(target, out, "b1", "SG_VL");
  put_panel(target, out, "b2", "2 * SG_VL");
  put_panel(target, out, "p1", "1");
  put_panel(target, out, "p2", "2");
  put_panel(target, out, "any", "t->pp");
  put_panel(target, out, "pany", "t->pp");
}
