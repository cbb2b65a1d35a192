// Micro-kernels of convolution by Winograd's tiles (compiler/ops/winograd.h has the matrices).
//
// Some tiles of the picture are transformed, vectors being channels: element e of tile i of block b stands at
// [e][b][i]. So each of the t * t elements is a product of matrices - tiles times output blocks, summed over channels -
// by the register tile of micro_gemm.c, whose sums [e][output block][i] are then transformed back. One element's
// matrices stay in the cache.
#include "compiler/kernel/cpu/micro.h"

// B' and A' for one line, with the symmetry of the points used: y(p) and y(-p) are the sum and the difference of what
// even and odd powers give.
static const char *const lines =
    "SG_INLINE void sg_winograd_in_4(sg_f *d, const int s) {\n"
    "  const sg_f d0 = d[0], d1 = d[s], d2 = d[2 * s], d3 = d[3 * s], d4 = d[4 * s], d5 = d[5 * s];\n"
    "  const sg_f e = d4 - d2 * 2.0f, o = (d3 - d1 * 2.0f) * 0.70710678118654752f;\n"
    "  const sg_f f = d4 - d2 * 0.5f, q = (d3 - d1 * 0.5f) * 1.41421356237309505f;\n"
    "  d[0] = d0 - d2 * 2.5f + d4, d[s] = e + o, d[2 * s] = e - o, d[3 * s] = f + q, d[4 * s] = f - q;\n"
    "  d[5 * s] = d1 - d3 * 2.5f + d5;\n"
    "}\n"
    "SG_INLINE void sg_winograd_out_4(sg_f *m, const int s) {\n"
    "  const sg_f e = m[s] + m[2 * s], o = m[s] - m[2 * s], f = m[3 * s] + m[4 * s], q = m[3 * s] - m[4 * s];\n"
    "  const sg_f m5 = m[5 * s];\n"
    "  m[0] = m[0] + e + f, m[s] = o * 0.70710678118654752f + q * 1.41421356237309505f;\n"
    "  m[2 * s] = e * 0.5f + f * 2.0f, m[3 * s] = o * 0.35355339059327376f + q * 2.82842712474619010f + m5;\n"
    "}\n"
    "SG_INLINE void sg_winograd_in_2(sg_f *d, const int s) {\n"
    "  const sg_f d0 = d[0], d1 = d[s], d2 = d[2 * s], d3 = d[3 * s];\n"
    "  d[0] = d2 - d0, d[s] = d2 + d1, d[2 * s] = d2 - d1, d[3 * s] = d3 - d1;\n"
    "}\n"
    "SG_INLINE void sg_winograd_out_2(sg_f *m, const int s) {\n"
    "  const sg_f m1 = m[s], m2 = m[2 * s];\n"
    "  m[0] = m[0] + m1 + m2, m[s] = m1 - m2 + m[3 * s];\n"
    "}\n";

// M stands for the size of a tile's result.
static const char *const loops =
    "// One block of n tiles, whose results begin at `place`, to v.\n"
    "SG_SHARED void sg_winograd_load_M(const int *c, const float *x, float *v, const int64_t (*place)[2], int64_t n)\n"
    "{\n"
    "  enum { T = M + 2 };\n"
    "  const int64_t h = c[8], w = c[9], pad = c[12], d = c[13], pitch = c[17];\n"
    "  for (; n > 0; n--, place++, v += SG_VL) {\n"
    "    const int64_t iy = place[0][0] - pad, ix = place[0][1] - pad;\n"
    "    const int is_inside = iy >= 0 && iy + (T - 1) * d < h && ix >= 0 && ix + (T - 1) * d < w;\n"
    "    sg_f t[T * T];\n"
    "    if (is_inside) {\n"
    "      const float *p = x + (iy * w + ix) * SG_VL;\n"
    "      for (int i = 0; i < T; i++)\n"
    "        for (int k = 0; k < M * SG_VL; k += 16) __builtin_prefetch(p + i * d * w * SG_VL + (T + M) * SG_VL + k);\n"
    "      for (int k = 0; k < T; k++, p += d * SG_VL) {\n"
    "        for (int i = 0; i < T; i++) t[i * T + k] = SG_LD(p + i * d * w * SG_VL);\n"
    "        sg_winograd_in_M(t + k, T);\n"
    "      }\n"
    "    } else {\n"
    "      for (int k = 0; k < T; k++) {\n"
    "        const int64_t at = ix + k * d;\n"
    "        for (int i = 0; i < T; i++) {\n"
    "          const int64_t row = iy + i * d;\n"
    "          const int is_in = row >= 0 && row < h && at >= 0 && at < w;\n"
    "          t[i * T + k] = is_in ? SG_LD(x + (row * w + at) * SG_VL) : (sg_f){0};\n"
    "        }\n"
    "        sg_winograd_in_M(t + k, T);\n"
    "      }\n"
    "    }\n"
    "    for (int i = 0; i < T; i++) {\n"
    "      sg_winograd_in_M(t + i * T, 1);\n"
    "      for (int k = 0; k < T; k++) SG_ST(v + (i * T + k) * pitch, t[i * T + k]);\n"
    "    }\n"
    "  }\n"
    "}\n"
    "// Sums of one output block to the results of n tiles; y and r are the block's.\n"
    "SG_SHARED void sg_winograd_store_M(const int *c, const float *sums, float *y, const float *b, const float *r,\n"
    "                                   float slope, const int64_t (*place)[2], int64_t n) {\n"
    "  enum { T = M + 2 };\n"
    "  const int64_t oh = c[10], ow = c[11], d = c[13], pitch = c[18], act = c[4], after = c[5];\n"
    "  const sg_f bias = b ? SG_LD(b) : (sg_f){0};\n"
    "  for (; n > 0; n--, place++, sums += SG_VL) {\n"
    "    sg_f t[T * T];\n"
    "    for (int k = 0; k < T; k++) {\n"
    "      for (int i = 0; i < T; i++) t[i * T + k] = SG_LD(sums + (i * T + k) * pitch);\n"
    "      sg_winograd_out_M(t + k, T);\n"
    "    }\n"
    "    for (int i = 0; i < M; i++) {\n"
    "      const int64_t oy = place[0][0] + i * d;\n"
    "      if (oy >= oh) break;\n"
    "      sg_winograd_out_M(t + i * T, 1);\n"
    "      for (int k = 0; k < M; k++) {\n"
    "        const int64_t ox = place[0][1] + k * d, at = (oy * ow + ox) * SG_VL;\n"
    "        if (ox >= ow) break;\n"
    "        sg_f value = t[i * T + k] + bias;\n"
    "        if (r && !after) value += SG_LD(r + at);\n"
    "        if (act == 1) value = sg_relu(value);\n"
    "        else if (act == 2) value = sg_leaky(value, slope);\n"
    "        if (r && after) value += SG_LD(r + at);\n"
    "        SG_ST(y + at, value);\n"
    "      }\n"
    "    }\n"
    "  }\n"
    "}\n"
    "SG_SHARED void sg_winograd_M(const int *c, const float *x, const float *u, float *y, const float *b,\n"
    "                             const float *r, float slope, int64_t r0, int64_t r1, int64_t g0, int64_t g1,\n"
    "                             float *tiles) {\n"
    "  enum { T = M + 2 };\n"
    "  const int64_t d = c[13], ty = c[14], tx = c[15], most = c[16], inputs = c[20], end = r1 * tx;\n"
    "  float *sums = tiles + T * T * (int64_t)c[17];\n"
    "  int64_t place[SG_TILES][2];\n"
    "  SgTile t;\n"
    "  sg_tile_set(&t, c, slope);\n"
    "  t.xb = t.yb = most * SG_VL, t.pp = SG_VL, t.act = 0, t.lanes = 0;\n"
    "  t.chunk = c + 22, t.n_chunks = c[21];\n"
    "  for (int64_t q = r0 * tx; q < end;) {\n"
    "    const int64_t left = end - q, n = left < most ? left : most;\n"
    "    for (int64_t i = 0; i < n; i++) {\n"
    "      const int64_t row = (q + i) / tx, grid = row / ty;\n"
    "      place[i][0] = grid / d + d * M * (row % ty), place[i][1] = grid % d + d * M * ((q + i) % tx);\n"
    "    }\n"
    "    for (int64_t k = 0; k < c[19]; k++)\n"
    "      sg_winograd_load_M(c, x + k * c[0], tiles + k * most * SG_VL, place, n);\n"
    "    for (int64_t e = 0; e < T * T; e++) {\n"
    "      for (int64_t g = g0; g < g1;) {\n"
    "        const int j = sg_vectors(g1 - g, SG_VECTORS);\n"
    "        sg_panel_b1(&t, tiles + e * c[17], u + g * t.wb + e * inputs * SG_VL,\n"
    "                    sums + e * c[18] + (g - g0) * most * SG_VL, 0, 0, n, j);\n"
    "        g += j;\n"
    "      }\n"
    "    }\n"
    "    for (int64_t g = g0; g < g1; g++)\n"
    "      sg_winograd_store_M(c, sums + (g - g0) * most * SG_VL, y + g * c[2], b ? b + g * SG_VL : b,\n"
    "                          r ? r + g * c[3] : r, slope, place, n);\n"
    "    q += n;\n"
    "  }\n"
    "}\n";

// The text with M, where it stands alone or behind an underscore, as a number.
static void put_for(Text *out, const char *text, char m) {
  for (const char *p = text; *p; p++) {
    bool is_word = *p == 'M' && (p[-1] == '_' || p[-1] == ' ' || p[-1] == '(') && !(p[1] >= 'A' && p[1] <= 'Z');
    text_write(out, is_word ? &m : p, 1);
  }
}

void micro_winograd(const Target *target, Text *out) {
  (void)target;
  text_printf(out, "#define SG_TILES %d\n", MICRO_WINOGRAD_TILES);
  text_put(out, lines);
  put_for(out, loops, '4');
  put_for(out, loops, '2');
}
