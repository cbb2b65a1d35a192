// Micro-kernels of pointwise convolution by Strassen's products: pixels, input and output channels are each cut into
// two halves, and seven products of quarters, of the register tile's loops (micro_gemm.c), do for eight.
//
// Winograd's form of it (Strassen, "Gaussian Elimination is not Optimal", 1969; Winograd, "On Multiplication of 2 x 2
// Matrices", 1971), with A pixels x inputs, B inputs x outputs, C = A B:
//   S1 = A21 + A22   S2 = S1 - A11   S3 = A11 - A21   S4 = A12 - S2
//   T1 = B12 - B11   T2 = B22 - T1   T3 = B22 - B12   T4 = T2 - B21
//   U2 = A11 B11 + S2 T2   U3 = U2 + S3 T3   U4 = U2 + S1 T1
//   C11 = A11 B11 + A12 B21   C12 = U4 + S4 B22   C21 = U3 - A22 T4   C22 = U3 + S1 T1
// A chain of products adds up in one tile's registers, which are stored on the way where a sum is needed again: the
// chains A11 B11, C11; U2, U3, C21 and U4, C12 take all seven products, and C22 is U4 + (U3 - U2). B's sums are made
// once (LAYOUT_WEIGHT_STRASSEN), in the order of the chains. Both halves of the inputs are whole blocks, whichever
// segment these stand in: runs of such as follow each other in either half. Channels beyond are added to each result at
// the end of its chain. Rounding errors are bounded by the norms of A and B, not element by element (Higham, "Accuracy
// and Stability of Numerical Algorithms", 2002, 23.2.2): about three times as large as those of the product itself.
#include "compiler/kernel/cpu/micro_tile.h"

#include <string.h>

#include "runtime/base/status.h"

static const char *const weight =
    "// Outputs g0 .. g1 - 1, in registers' widths, of each half; w plain. c: outputs, inputs, half, runs, those "
    "beyond.\n"
    "SG_SHARED void sg_strassen_weight(const int *c, const float *w, float *to, int64_t g0, int64_t g1) {\n"
    "  enum { U = SG_VL * SG_PAIRED };\n"
    "  const int64_t inputs = c[1], half = c[2], below = c[0] / 2, rest = inputs - 2 * half, size = below * half;\n"
    "  for (int64_t g = g0; g < g1; g++) {\n"
    "    const float *row = w + g * U * inputs;\n"
    "    float *at = to + g * half * U;\n"
    "    const int *run = c + 5;\n"
    "    for (; run < c + 5 + 3 * c[3]; run += 3) {\n"
    "      const int64_t d = run[1] - run[0];\n"
    "      for (int64_t k = run[0]; k < run[0] + run[2]; k++) {\n"
    "        const float *p = row + k, *q = p + below * inputs;\n"
    "        for (int64_t i = 0; i < U; i++, at++, p += inputs, q += inputs) {\n"
    "          const float t1 = q[0] - p[0], t2 = q[d] - t1;\n"
    "          at[0] = p[0], at[size] = p[d], at[2 * size] = t2, at[3 * size] = q[d] - q[0];\n"
    "          at[4 * size] = p[d] - t2, at[5 * size] = t1, at[6 * size] = q[d];\n"
    "        }\n"
    "      }\n"
    "    }\n"
    "    at = to + 7 * size + g * rest * U;\n"
    "    for (; run < c + 5 + 3 * (c[3] + c[4]); run += 3) {\n"
    "      for (int64_t k = run[0]; k < run[0] + run[2]; k++, at += U) {\n"
    "        const float *p = row + k, *q = p + below * inputs;\n"
    "        for (int64_t i = 0; i < U; i++) at[i] = p[i * inputs], at[below * rest + i] = q[i * inputs];\n"
    "      }\n"
    "    }\n"
    "  }\n"
    "}\n";

static const char *const types =
    "typedef struct SgLink {\n"
    "  const float *x, *w;        // of the first pixel and block\n"
    "  int64_t xb, wb, channels;  // pitches of their blocks\n"
    "  float *kept;               // where the sum up to here is kept, or NULL: [pixel][block]\n"
    "} SgLink;\n"
    "typedef struct SgChain {\n"
    "  const SgLink *link;\n"
    "  int64_t n_links, yb, act;\n"
    "  const float *from;         // a kept sum to begin with, or NULL\n"
    "  float slope;\n"
    "} SgChain;\n"
    "typedef void SgChainFn(const SgChain *, int64_t, float *, const float *);\n";

// The sum of a chain's products for the tile at `pixel`, with bias and ReLU.
static void put_chain(const MicroTile *tile, Text *out) {
  int width = tile->vectors * tile->vl, vl = tile->vl;
  text_printf(out,
              "SG_SHARED void sg_chain_%dx%d(const SgChain *c, int64_t pixel, float *y, const float *b) {\n"
              "  const int64_t yb = c->yb, pp = SG_VL;\n",
              tile->pixels, tile->vectors);
  micro_tile_each(tile, "sg_fF aP_J = {0};", out);
  text_printf(out, "  if (c->from) {\n   const float *from = c->from + pixel * %d;\n", width);
  for (int p = 0; p < tile->pixels; p++) {
    for (int j = 0; j < tile->sums; j++)
      text_printf(out, "   a%d_%d = SG_LDW%d(from + %d);\n", p, j, tile->form, p * width + j * tile->form * vl);
  }
  text_printf(out,
              "  }\n"
              "  for (const SgLink *e = c->link; e < c->link + c->n_links; e++) {\n"
              "   const float *q = e->x + pixel * SG_VL, *u = e->w;\n"
              "   const int64_t xb = e->xb, wb = e->wb;\n"
              "   int64_t n = e->channels;\n"
              "   for (; n >= %d; n -= %d, q += xb, u += %d * SG_PAIRED) {\n",
              vl, vl, vl * vl);
  for (int k = 0; k < vl; k++) micro_tile_step(tile, k, out);
  text_put(out, "   }\n   for (; n > 0; n--, q++, u += SG_VL * SG_PAIRED) {\n");
  micro_tile_step(tile, 0, out);
  text_printf(out,
              "   }\n"
              "   if (!e->kept) continue;\n"
              "   float *to = e->kept + pixel * %d;\n",
              width);
  for (int p = 0; p < tile->pixels; p++) {
    for (int j = 0; j < tile->sums; j++)
      text_printf(out, "   SG_STW%d(to + %d, a%d_%d);\n", tile->form, p * width + j * tile->form * vl, p, j);
  }
  text_put(out, "  }\n  if (b) {\n");
  micro_tile_each(tile, "aP_J += SG_LDF(b + V * @, @);", out);
  text_put(out, "  }\n");
  text_put(out, "  if (c->act == 1) {\n");
  micro_tile_each(tile, "aP_J = sg_reluF(aP_J);", out);
  text_put(out, "  }\n");
  micro_tile_each(tile, "SG_STF(y + V * yb + P * @, yb, aP_J);", out);
  text_put(out, "}\n");
}

// As micro_tile_sizes; where one accumulator a pixel is all that is left, smaller tiles do, and compile sooner.
static int chain_sizes(const Target *target, int vectors, int sizes[MICRO_N_SIZES]) {
  if (vectors % target_paired(target)) return 0;
  int n = micro_tile_sizes(target, vectors, sizes);
  if (vectors > target_paired(target) || n < 2) return n;
  memmove(sizes, sizes + 1, sizeof *sizes * (size_t)--n);
  return n;
}

static void put_chains(const Target *target, Text *out) {
  int most = micro_max_vectors(target), sizes[MICRO_N_SIZES];
  for (int j = 1; j <= most; j++) {
    int n = chain_sizes(target, j, sizes);
    for (int i = 0; i < n; i++) {
      MicroTile tile = micro_tile_of(target, sizes[i], j);
      put_chain(&tile, out);
    }
  }
  text_printf(out,
              "// The chain for n pixels; a last tile that would not be full is moved back over the one before.\n"
              "SG_SHARED void sg_chain(const SgChain *c, int64_t n, int64_t vectors, float *y, const float *b) {\n"
              "  static SgChainFn *const fn[%d][%d] = {\n",
              most, MICRO_N_SIZES);
  Text counts = {0};
  for (int j = 1; j <= most; j++) {
    int n = chain_sizes(target, j, sizes);
    text_put(out, "    {");
    text_put(&counts, "{");
    for (int i = 0; i < n; i++) {
      text_printf(out, "sg_chain_%dx%d, ", sizes[i], j);
      text_printf(&counts, "%d, ", sizes[i]);
    }
    text_put(out, "},\n");
    text_put(&counts, "}, ");
  }
  text_printf(out,
              "  };\n"
              "  static const uint8_t size[][%d] = {%s};\n"
              "  int i = 0;\n"
              "  for (int64_t p = 0; p < n; p += size[vectors - 1][i]) {\n"
              "    while (size[vectors - 1][i] > n || (n - p < size[vectors - 1][i] && n - p <= size[vectors - 1][i + "
              "1])) i++;\n"
              "    if (p + size[vectors - 1][i] > n) p = n - size[vectors - 1][i];\n"
              "    fn[vectors - 1][i](c, p, y + p * SG_VL, b);\n"
              "    for (int64_t k = 0; c->act == 2 && k < vectors * size[vectors - 1][i]; k++) {\n"
              "      float *at = y + k %% vectors * c->yb + (p + k / vectors) * SG_VL;\n"
              "      SG_ST(at, sg_leaky(SG_LD(at), c->slope));\n"
              "    }\n"
              "  }\n"
              "}\n",
              MICRO_N_SIZES, text_get(&counts));
  text_free(&counts);
}

static const char *const product =
    "// S1 .. S4, `size` floats apart, of a run of blocks of m pixels cut into halves of h.\n"
    "SG_INLINE void sg_strassen_terms(const float *p, const float *q, int64_t xb, int64_t blocks, int64_t m,\n"
    "                                 int64_t h, float *s, int64_t pitch, int64_t size) {\n"
    "  for (int64_t k = 0, below = (m - h) * SG_VL; k < blocks; k++, p += xb, q += xb, s += pitch) {\n"
    "    for (int64_t i = 0; i < h * SG_VL; i += SG_VL) {\n"
    "      const sg_f a11 = SG_LD(p + i), a21 = SG_LD(p + below + i), s1 = a21 + SG_LD(q + below + i), s2 = s1 - a11;\n"
    "      SG_ST(s + i, s1);\n"
    "      SG_ST(s + size + i, s2);\n"
    "      SG_ST(s + 2 * size + i, a11 - a21);\n"
    "      SG_ST(s + 3 * size + i, SG_LD(q + i) - s2);\n"
    "    }\n"
    "  }\n"
    "}\n"
    "// The links of n runs in the half that `which` says.\n"
    "SG_INLINE SgLink *sg_strassen_links(SgLink *to, const int *run, int64_t n, int64_t which, const float *x,\n"
    "                                    int64_t xb, const float *w, int64_t wb) {\n"
    "  for (; n > 0; n--, to++, w += run[2] * SG_VL * SG_PAIRED, run += 3)\n"
    "    *to = (SgLink){x + run[which], w, xb, wb, run[2], 0};\n"
    "  return to;\n"
    "}\n"
    "// As sg_gemm; g0 .. g1 - 1 are blocks of the first half of the outputs, and stand for those of the second, too.\n"
    "SG_SHARED void sg_strassen(const int *c, const float *x, const float *w, float *y, const float *b, float slope,\n"
    "                           int64_t n, int64_t g0, int64_t g1, float *room) {\n"
    "  const int64_t xb = c[0], yb = c[2], block = c[7], half = c[8], outputs = c[9], beyond = c[10], n_runs = c[11],\n"
    "                n_beyond = c[12], wb = half * SG_VL, rb = beyond * SG_VL, most = (block / 2 * 3 + 16) / 2,\n"
    "                pitch = (most + 1) * SG_VL, size = half / SG_VL * pitch, quarter = outputs * half,\n"
    "                sums = SG_VECTORS * most * SG_VL;\n"
    "  const int *runs = c + 13, *rest = runs + 3 * n_runs;\n"
    "  float *s1 = room, *s2 = s1 + size, *s3 = s2 + size, *s4 = s3 + size, *p1 = s4 + size, *u2 = p1 + sums,\n"
    "        *u3 = u2 + sums, *u4 = u3 + sums;\n"
    "  const int64_t run = sg_run(n, block);\n"
    "  for (int64_t at = 0; at < n; at += run, x += run * SG_VL, y += run * SG_VL) {\n"
    "    const int64_t m = n - at < run ? n - at : run, h = (m + 1) / 2, below = (m - h) * SG_VL;\n"
    "    float *s = s1;\n"
    "    for (const int *r = runs; r < rest; s += r[2] / SG_VL * pitch, r += 3)\n"
    "      sg_strassen_terms(x + r[0], x + r[1], xb, r[2] / SG_VL, m, h, s, pitch, size);\n"
    "    for (int64_t g = g0, j; g < g1; g += j) {\n"
    "      const float *u = w + g * wb, *u_rest = w + 7 * quarter + g * rb;\n"
    "      const float *b1 = b ? b + g * SG_VL : b, *b2 = b ? b1 + outputs : b;\n"
    "      float *c11 = y + g * yb, *c12 = c11 + outputs / SG_VL * yb;\n"
    "      j = sg_vectors(g1 - g, SG_VECTORS);\n"
    "      SgLink link[3 * SG_SEGMENTS], *end = sg_strassen_links(link, runs, n_runs, 0, x, xb, u, wb);\n"
    "      SgChain chain = {link, 0, yb, c[4], 0, slope};\n"
    "      end[-1].kept = p1;\n"
    "      end = sg_strassen_links(end, runs, n_runs, 1, x, xb, u + quarter, wb);\n"
    "      end = sg_strassen_links(end, rest, n_beyond, 0, x, xb, u_rest, rb);\n"
    "      chain.n_links = end - link;\n"
    "      sg_chain(&chain, h, j, c11, b1);\n"
    "      link[0] = (SgLink){s2, u + 2 * quarter, pitch, wb, half, u2};\n"
    "      link[1] = (SgLink){s3, u + 3 * quarter, pitch, wb, half, u3};\n"
    "      end = sg_strassen_links(link + 2, runs, n_runs, 1, x + below, xb, u + 4 * quarter, wb);\n"
    "      end = sg_strassen_links(end, rest, n_beyond, 0, x + below, xb, u_rest, rb);\n"
    "      chain.n_links = end - link, chain.from = p1;\n"
    "      sg_chain(&chain, h, j, c11 + below, b1);\n"
    "      u_rest += outputs * beyond;\n"
    "      link[0] = (SgLink){s1, u + 5 * quarter, pitch, wb, half, u4};\n"
    "      link[1] = (SgLink){s4, u + 6 * quarter, pitch, wb, half, 0};\n"
    "      end = sg_strassen_links(link + 2, rest, n_beyond, 0, x, xb, u_rest, rb);\n"
    "      chain.n_links = end - link, chain.from = u2;\n"
    "      sg_chain(&chain, h, j, c12, b2);\n"
    "      for (int64_t i = 0; i < h * j * SG_VL; i += SG_VL)\n"
    "        SG_ST(u4 + i, SG_LD(u4 + i) + (SG_LD(u3 + i) - SG_LD(u2 + i)));\n"
    "      end = sg_strassen_links(link, rest, n_beyond, 0, x + below, xb, u_rest, rb);\n"
    "      chain.n_links = end - link, chain.from = u4;\n"
    "      sg_chain(&chain, h, j, c12 + below, b2);\n"
    "    }\n"
    "  }\n"
    "}\n";

// The `at`th channel in whole blocks of the segments, and how many follow it, itself included, in its own.
static int64_t whole_channel(const Layout *weight, int64_t at, int64_t *out_left) {
  int64_t first = 0;
  for (int i = 0; i < weight->in.n; i++) {
    int64_t segment = weight->in.segment[i], whole = segment / weight->block * weight->block;
    *out_left = whole - at;
    if (at < whole) return first + at;
    at -= whole;
    first += segment;
  }
  BUG("halves larger than all whole blocks");
}

StrassenOrder micro_strassen_order(const Layout *weight) {
  StrassenOrder order = {0};
  int64_t half = weight->half, rest = 2 * half, first = 0;
  for (int64_t at = 0, *run = order.run[0]; at < half; at += run[2], run += 3, order.n++) {
    int64_t left[2];
    for (int k = 0; k < 2; k++) run[k] = whole_channel(weight, at + k * half, &left[k]);
    run[2] = left[0] < left[1] ? left[0] : left[1];
    if (run[2] > half - at) run[2] = half - at;
  }
  for (int i = 0; i < weight->in.n; i++) {
    int64_t segment = weight->in.segment[i], taken = segment / weight->block * weight->block;
    if (taken > rest) taken = rest;
    rest -= taken;
    int64_t *run = order.run[order.n + order.n_beyond];
    run[0] = run[1] = first + taken, run[2] = segment - taken;
    if (run[2]) order.n_beyond++;
    first += segment;
  }
  return order;
}

int64_t micro_strassen_room(const Target *target, int64_t half, int64_t block) {
  int64_t most = (block / 2 * 3 + 16) / 2; // half of what sg_run gives at most
  return 4 * half * (most + 1) + 4 * micro_max_vectors(target) * target->vector * most;
}

void micro_strassen(const Target *target, Text *out) {
  text_put(out, weight);
  text_put(out, types);
  text_printf(out, "#define SG_SEGMENTS %d\n", MICRO_STRASSEN_SEGMENTS);
  put_chains(target, out);
  text_put(out, product);
}
