// Micro-kernels of pointwise and dense convolution: a register tile of pixels x output vectors, and the loops over it.
//
// A tile's sum runs over chunks: runs of input channels that lie in consecutive blocks, one or more for each tap of the
// kernel (of a plain value: runs of kernel columns of one channel). Chunks are three integers: the offset in x of the
// run's first channel, the offset in w of its weights, the number of channels. Where an accumulator holds two output
// blocks, their weights stand side by side (LAYOUT_WEIGHT_PAIRS); offsets in w are still those of one block. Taps that
// fall outside the picture are left out of the list. After SG_RUN products the sum goes into a second one: rounding
// errors of a long chain grow with the root of its length (patches of 16x16 pixels of 128 channels: 2e-6 instead of
// 1e-5 of the result).
#include "compiler/kernel/cpu/micro_tile.h"

enum { MAX_RUN = 512 };

// Adds the sum of earlier runs of chunks, if there is one.
static void put_earlier(const MicroTile *tile, Text *out) {
  text_put(out, "  if (run >= SG_SUMMED) {\n");
  micro_tile_each(tile, "aP_J += sum[P][J];", out);
  text_put(out, "  }\n");
}

static void put_tile(Text *out, const MicroTile *tile) {
  int vl = tile->vl;
  text_printf(
      out,
      "SG_INLINE void sg_tile_%dx%d(const SgTile *t, const float *x, const float *w, float *y, const float *b,\n"
      "                             const float *r, const int64_t pp, const int has_runs) {\n"
      "  const int64_t wb = t->wb;\n",
      tile->pixels, tile->vectors);
  for (int j = 0; j < tile->sums; j++) {
    text_printf(out, "  sg_f%d a0_%d = b ? SG_LD%d(b + %d, %d) : (sg_f%d){0};\n", tile->form, j, tile->form,
                j * tile->form * vl, vl, tile->form);
    for (int p = 1; p < tile->pixels; p++) {
      if (p == 1) text_printf(out, "  sg_f%d", tile->form);
      text_printf(out, " a%d_%d = a0_%d%s", p, j, j, p + 1 < tile->pixels ? "," : ";\n");
    }
  }
  text_printf(out, "  sg_f%d sum[%d][%d];\n  uint64_t run = 0; // SG_SUMMED more where there is a sum\n", tile->form,
              tile->pixels, tile->sums);
  text_put(out, "  const int64_t xb = t->xb, xs = has_runs ? 1 : t->xs, ws = (has_runs ? SG_VL : t->ws) * SG_PAIRED;\n"
                "  const int *c = t->chunk;\n"
                "  for (const int *e = c + 3 * t->n_chunks; c < e; c += 3) {\n"
                "   const float *q = x + c[0], *u = w + c[1] * SG_PAIRED;\n"
                "   int64_t n = c[2];\n");
  text_printf(out, "   for (; has_runs && n >= %d; n -= %d, q += xb, u += %d * SG_PAIRED) {\n", vl, vl, vl * vl);
  for (int k = 0; k < vl; k++) micro_tile_step(tile, k, out);
  text_printf(out, "   }\n   for (; n > 0; n--, q += xs, u += ws) {\n");
  micro_tile_step(tile, 0, out);
  text_put(out, "   }\n"
                "   run += c[2];\n"
                "   if (run % SG_SUMMED < SG_RUN || c + 3 == e) continue;\n");
  put_earlier(tile, out);
  micro_tile_each(tile, "sum[P][J] = aP_J, aP_J = (sg_fF){0};", out);
  text_put(out, "   run = SG_SUMMED;\n  }\n");
  put_earlier(tile, out);
  text_put(out, "  const int64_t rb = t->rb, yb = t->yb;\n"
                "  if (r && !t->add_after) {\n");
  micro_tile_each(tile, "aP_J += SG_LDF(r + V * rb + P * @, rb);", out);
  text_put(out, "  }\n  if (t->act == 1) {\n");
  micro_tile_each(tile, "aP_J = sg_reluF(aP_J);", out);
  text_put(out, "  } else if (t->act == 2) {\n   const float slope = t->slope;\n");
  micro_tile_each(tile, "aP_J = sg_leakyF(aP_J, slope);", out);
  text_printf(out,
              "  }\n"
              "  if (t->lanes || (r && t->add_after)) {\n"
              "   float z[%d][%d];\n",
              tile->pixels, tile->vectors * vl);
  micro_tile_each(tile, "SG_STF(z[P] + V * @, @, aP_J);", out);
  text_printf(out, "   sg_tile_end(t, z[0], y, r, %d, %d);\n   return;\n  }\n", tile->pixels, tile->vectors);
  micro_tile_each(tile, "SG_STF(y + V * yb + P * @, yb, aP_J);", out);
  text_put(out, "}\n");
}

// What few tiles need stands here once for all of them.
static const char *const tile_end =
    "// Sums z, [pixel][vector], take what a tile leaves to do, and go to y. Elsewhere than in blocks: rows of a "
    "matrix\n"
    "// (pixels are rows), or channels of a plain picture, yb apart; the last block may hold fewer lanes.\n"
    "SG_SHARED void sg_tile_end(const SgTile *t, float *z, float *y, const float *r, int64_t pixels, int64_t vectors) "
    "{\n"
    "  const int64_t yb = t->yb, rb = t->rb, lanes = t->lanes, row = vectors * SG_VL;\n"
    "  if (r && t->add_after)\n"
    "    for (int64_t j = 0; j < vectors; j++)\n"
    "      for (int64_t p = 0; p < pixels; p++) {\n"
    "        float *at = z + p * row + j * SG_VL;\n"
    "        SG_ST(at, SG_LD(at) + SG_LD(r + j * rb + p * SG_VL));\n"
    "      }\n"
    "  if (!lanes) {\n"
    "    for (int64_t j = 0; j < vectors; j++)\n"
    "      for (int64_t p = 0; p < pixels; p++) SG_ST(y + j * yb + p * SG_VL, SG_LD(z + p * row + j * SG_VL));\n"
    "  } else if (t->yp == 1) {\n"
    "    for (int64_t l = 0; l < lanes; l++, z++, y += yb)\n"
    "      for (int64_t p = 0; p < pixels; p++) y[p] = z[p * row];\n"
    "  } else {\n"
    "    for (int64_t p = 0; p < pixels; p++, y += t->yp, z += row) {\n"
    "      int64_t l = 0;\n"
    "      for (; l + SG_VL <= lanes; l += SG_VL) SG_ST(y + l, SG_LD(z + l));\n"
    "      for (; l < lanes; l++) y[l] = z[l];\n"
    "    }\n"
    "  }\n"
    "}\n";

// The largest tile of a width knows the distance between the scalars of neighbouring pixels. Smaller ones, for rests,
// ask for it, so that one serves all forms.
static bool knows_pitch(int number, int pixels) { return number == 0 && pixels > 1; }

// The tiles that know, or those that ask, as functions. `form`: b1 (blocked values, stride 1), p2 and the like; in
// blocks channels come in runs.
static void put_tile_functions(const Target *target, Text *out, const char *form, const char *pitch, bool know) {
  for (int j = 1; j <= MICRO_MAX_VECTORS; j++) {
    int sizes[MICRO_N_SIZES], n = micro_tile_sizes(target, j, sizes);
    for (int i = 0; i < n; i++) {
      if (knows_pitch(i, sizes[i]) != know) continue;
      text_printf(
          out,
          "SG_SHARED void sg_tile_%dx%d_%s(const SgTile *t, const float *x, const float *w, float *y, const float *b,\n"
          "                                const float *r) {\n"
          "  sg_tile_%dx%d(t, x, w, y, b, r, %s, %d);\n}\n",
          sizes[i], j, form, sizes[i], j, pitch, form[0] != 'p');
    }
  }
}

// sg_panel_X, which covers n pixels with tiles; a last tile that would not be full is moved back over the one before,
// or smaller ones follow where these have clearly fewer pixels to compute.
static void put_panel(const Target *target, Text *out, const char *form, const char *pitch) {
  put_tile_functions(target, out, form, pitch, true);
  text_printf(out,
              "SG_SHARED void sg_panel_%s(const SgTile *t, const float *x, const float *w, float *y, const float *b,\n"
              "                          const float *r, int64_t n, int vectors) {\n"
              "  static SgTileFn *const fn[%d][%d] = {\n",
              form, MICRO_MAX_VECTORS, MICRO_N_SIZES);
  for (int j = 1; j <= MICRO_MAX_VECTORS; j++) {
    int sizes[MICRO_N_SIZES], n = micro_tile_sizes(target, j, sizes);
    text_put(out, "    {");
    for (int i = 0; i < n; i++)
      text_printf(out, "sg_tile_%dx%d_%s, ", sizes[i], j,
                  knows_pitch(i, sizes[i]) ? form
                  : form[0] == 'p'         ? "pany"
                                           : "any");
    text_put(out, "},\n");
  }
  text_put(out, "  };\n  static const uint8_t size[][3] = {");
  for (int j = 1; j <= MICRO_MAX_VECTORS; j++) {
    int sizes[MICRO_N_SIZES] = {0};
    micro_tile_sizes(target, j, sizes);
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
                "    // Smaller ones take longer than their share, single pixels much longer.\n"
                "    const int64_t next = size[vectors - 1][i + 1], left = (n - p + next - 1) / next * next;\n"
                "    if (n - p <= next || (next > 1 && 4 * left <= 3 * full)) i++;\n"
                "    while (t->once && size[vectors - 1][i] > n - p) i++;\n"
                "    full = size[vectors - 1][i];\n"
                "    if (n - p < full) p = n - full;\n"
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
    "#define sg_f1 sg_f\n"
    "#define SG_LD1(p, pitch) SG_LD(p)\n"
    "#define SG_LDW1(p) SG_LD(p)\n"
    "#define SG_ST1(p, pitch, v) SG_ST(p, v)\n"
    "#define SG_STW1(p, v) SG_ST(p, v)\n"
    "#define sg_relu1 sg_relu\n"
    "#define sg_leaky1 sg_leaky\n"
    "typedef void SgTileFn(const SgTile *, const float *, const float *, float *, const float *, const float *);\n";

static void put_numbers(Text *out, int first, int n) {
  for (int i = 0; i < n; i++) text_printf(out, "%s%d", i ? ", " : "", first + i);
}

// Accumulators of two vectors, which stand in memory apart.
static void put_pairs(const Target *target, Text *out) {
  int vl = target->vector;
  text_printf(out, "typedef float sg_f2 __attribute__((vector_size(%d)));\n", 8 * vl);
  text_printf(out, "typedef float sg_fu2 __attribute__((vector_size(%d), aligned(4), may_alias));\n", 8 * vl);
  text_printf(out, "typedef int32_t sg_i2 __attribute__((vector_size(%d)));\n", 8 * vl);
  text_put(out, "#if defined(__clang__) || __GNUC__ >= 12\n#define SG_PAIR(a, b) __builtin_shufflevector(a, b, ");
  put_numbers(out, 0, 2 * vl);
  text_put(out, ")\n#define SG_FIRST(v) __builtin_shufflevector(v, v, ");
  put_numbers(out, 0, vl);
  text_put(out, ")\n#define SG_SECOND(v) __builtin_shufflevector(v, v, ");
  put_numbers(out, vl, vl);
  text_put(out, ")\n#else\n"
                "typedef union SgPair { sg_f2 pair; sg_f half[2]; } SgPair;\n"
                "#define SG_PAIR(a, b) ((SgPair){.half = {a, b}}.pair)\n"
                "#define SG_FIRST(v) ((SgPair){.pair = v}.half[0])\n"
                "#define SG_SECOND(v) ((SgPair){.pair = v}.half[1])\n"
                "#endif\n"
                "#define SG_LDW2(p) ((sg_f2)*(const sg_fu2 *)(p))\n"
                "#define SG_STW2(p, v) (*(sg_fu2 *)(p) = (sg_fu2)(v))\n"
                "#define SG_LD2(p, pitch) SG_PAIR(SG_LD(p), SG_LD((p) + (pitch)))\n"
                "#define SG_ST2(p, pitch, v) (SG_ST(p, SG_FIRST(v)), SG_ST((p) + (pitch), SG_SECOND(v)))\n"
                "SG_INLINE sg_f2 sg_relu2(sg_f2 v) { return (sg_f2)((sg_i2)v & ~(v < 0)); }\n"
                "SG_INLINE sg_f2 sg_leaky2(sg_f2 v, float slope) {\n"
                "  sg_i2 m = v > 0;\n"
                "  return (sg_f2)(((sg_i2)v & m) | ((sg_i2)(v * slope) & ~m));\n"
                "}\n");
}

void micro_gemm(const Target *target, Text *out) {
  text_put(out, types);
  text_printf(out,
              "#define SG_RUN %d\n#define SG_SUMMED ((uint64_t)1 << 40)\n#define SG_VECTORS %d\n#define SG_PAIRED %d\n",
              MAX_RUN, micro_max_vectors(target), target_paired(target));
  if (target_paired(target) == 2) put_pairs(target, out);
  text_printf(out, "%s  return %s;\n}\n",
              "// Output blocks to compute at once when `left` are to come and `most` is what the registers hold.\n"
              "SG_INLINE int sg_vectors(int64_t left, int most) {\n",
              target_paired(target) == 2 ? "left == 8 ? 4 : left >= most ? most : left > 1 ? (int)(left & ~1) : 1"
                                         : "left <= most ? (int)left : left == 4 && most == 3 ? 2 : most");
  text_put(out, tile_end);
  for (int j = 1; j <= MICRO_MAX_VECTORS; j++) {
    int sizes[MICRO_N_SIZES], n = micro_tile_sizes(target, j, sizes);
    for (int i = 0; i < n; i++) {
      MicroTile tile = micro_tile_of(target, sizes[i], j);
      put_tile(out, &tile);
    }
  }
  put_tile_functions(target, out, "any", "t->pp", false);
  put_tile_functions(target, out, "pany", "t->pp", false);
  put_panel(target, out, "b1", "SG_VL");
  put_panel(target, out, "b2", "2 * SG_VL");
  put_panel(target, out, "p1", "1");
  put_panel(target, out, "p2", "2");
  put_panel(target, out, "any", "t->pp");
  put_panel(target, out, "pany", "t->pp");
}
