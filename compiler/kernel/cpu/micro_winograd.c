// Micro-kernels of convolution by Winograd's tiles (compiler/ops/winograd.h has the matrices).
//
// Some tiles of the picture are transformed, vectors being channels: element e of tile i of block b stands at
// [e][b][i]. So each of the t * t elements is a product of matrices - tiles times output blocks, summed over channels -
// by the register tile of micro_gemm.c, whose sums [e][output block][i] are then transformed back. One element's
// matrices stay in the cache.
#include "compiler/kernel/cpu/micro.h"

// B' and A' for one line of vectors, from x, s floats apart, to y, q floats apart, with the symmetry of the points
// used: y(p) and y(-p) are the sum and the difference of what even and odd powers give.
static const char *const lines =
    "SG_INLINE void sg_winograd_in_4(const float *x, const int64_t s, float *y, const int64_t q) {\n"
    "  const sg_f d0 = SG_LD(x), d1 = SG_LD(x + s), d2 = SG_LD(x + 2 * s), d3 = SG_LD(x + 3 * s),\n"
    "             d4 = SG_LD(x + 4 * s), d5 = SG_LD(x + 5 * s);\n"
    "  const sg_f a = d4 - d2 * 2.0f, b = (d3 - d1 * 2.0f) * 0.70710678118654752f;\n"
    "  const sg_f e = d4 - d2 * 0.5f, f = (d3 - d1 * 0.5f) * 1.41421356237309505f;\n"
    "  SG_ST(y, d0 - d2 * 2.5f + d4);\n"
    "  SG_ST(y + q, a + b);\n"
    "  SG_ST(y + 2 * q, a - b);\n"
    "  SG_ST(y + 3 * q, e + f);\n"
    "  SG_ST(y + 4 * q, e - f);\n"
    "  SG_ST(y + 5 * q, d1 - d3 * 2.5f + d5);\n"
    "}\n"
    "SG_INLINE void sg_winograd_out_4(const float *x, const int64_t s, float *y, const int64_t q) {\n"
    "  const sg_f m1 = SG_LD(x + s), m2 = SG_LD(x + 2 * s), m3 = SG_LD(x + 3 * s), m4 = SG_LD(x + 4 * s);\n"
    "  const sg_f a = m1 + m2, b = m1 - m2, e = m3 + m4, f = m3 - m4;\n"
    "  SG_ST(y, SG_LD(x) + a + e);\n"
    "  SG_ST(y + q, b * 0.70710678118654752f + f * 1.41421356237309505f);\n"
    "  SG_ST(y + 2 * q, a * 0.5f + e * 2.0f);\n"
    "  SG_ST(y + 3 * q, b * 0.35355339059327376f + f * 2.82842712474619010f + SG_LD(x + 5 * s));\n"
    "}\n"
    "SG_INLINE void sg_winograd_in_2(const float *x, const int64_t s, float *y, const int64_t q) {\n"
    "  const sg_f d0 = SG_LD(x), d1 = SG_LD(x + s), d2 = SG_LD(x + 2 * s), d3 = SG_LD(x + 3 * s);\n"
    "  SG_ST(y, d2 - d0);\n"
    "  SG_ST(y + q, d2 + d1);\n"
    "  SG_ST(y + 2 * q, d2 - d1);\n"
    "  SG_ST(y + 3 * q, d3 - d1);\n"
    "}\n"
    "SG_INLINE void sg_winograd_out_2(const float *x, const int64_t s, float *y, const int64_t q) {\n"
    "  const sg_f m1 = SG_LD(x + s), m2 = SG_LD(x + 2 * s);\n"
    "  SG_ST(y, SG_LD(x) + m1 + m2);\n"
    "  SG_ST(y + q, m1 - m2 + SG_LD(x + 3 * s));\n"
    "}\n";

// M stands for the size of a tile's result.
static const char *const loops =
    "// One block of n tiles, whose results begin at `place`, to v. What the next tile reads is asked for ahead.\n"
    "SG_SHARED void sg_winograd_load_M(const int *c, const float *x, float *v, const int64_t (*place)[2], int64_t n)\n"
    "{\n"
    "  enum { T = M + 2 };\n"
    "  const int64_t h = c[8], w = c[9], pad = c[12], d = c[13], pitch = c[17], row = w * d * SG_VL;\n"
    "  for (; n > 0; n--, place++, v += SG_VL) {\n"
    "    const int64_t iy = place[0][0] - pad, ix = place[0][1] - pad;\n"
    "    const int is_inside = iy >= 0 && iy + (T - 1) * d < h && ix >= 0 && ix + (T - 1) * d < w;\n"
    "    float t[T * T * SG_VL], border[T * T * SG_VL];\n"
    "    if (is_inside) {\n"
    "      const float *p = x + (iy * w + ix) * SG_VL;\n"
    "      for (int i = 0; i < T; i++)\n"
    "        for (int k = 0; k < M * SG_VL; k += 16) __builtin_prefetch(p + i * row + (T + M) * SG_VL + k);\n"
    "#pragma GCC unroll 6\n"
    "      for (int k = 0; k < T; k++) sg_winograd_in_M(p + k * d * SG_VL, row, t + k * SG_VL, T * SG_VL);\n"
    "    } else {\n"
    "      for (int i = 0; i < T; i++)\n"
    "        for (int k = 0; k < T; k++) {\n"
    "          const int64_t y = iy + i * d, at = ix + k * d;\n"
    "          const int is_in = y >= 0 && y < h && at >= 0 && at < w;\n"
    "          SG_ST(border + (i * T + k) * SG_VL, is_in ? SG_LD(x + (y * w + at) * SG_VL) : (sg_f){0});\n"
    "        }\n"
    "      for (int k = 0; k < T; k++) sg_winograd_in_M(border + k * SG_VL, T * SG_VL, t + k * SG_VL, T * SG_VL);\n"
    "    }\n"
    "#pragma GCC unroll 6\n"
    "    for (int i = 0; i < T; i++) sg_winograd_in_M(t + i * T * SG_VL, SG_VL, v + i * T * pitch, pitch);\n"
    "  }\n"
    "}\n"
    "// Sums of one output block to the results of n tiles; y and r are the block's.\n"
    "SG_SHARED void sg_winograd_store_M(const int *c, const float *sums, float *y, const float *b, const float *r,\n"
    "                                   float slope, const int64_t (*place)[2], int64_t n) {\n"
    "  enum { T = M + 2 };\n"
    "  const int64_t oh = c[10], ow = c[11], d = c[13], pitch = c[18], act = c[4], after = c[5];\n"
    "  const sg_f bias = b ? SG_LD(b) : (sg_f){0};\n"
    "  for (; n > 0; n--, place++, sums += SG_VL) {\n"
    "    float t[M * T * SG_VL], z[M * M * SG_VL];\n"
    "#pragma GCC unroll 6\n"
    "    for (int k = 0; k < T; k++) sg_winograd_out_M(sums + k * pitch, T * pitch, t + k * SG_VL, T * SG_VL);\n"
    "#pragma GCC unroll 4\n"
    "    for (int i = 0; i < M; i++) sg_winograd_out_M(t + i * T * SG_VL, SG_VL, z + i * M * SG_VL, SG_VL);\n"
    "    const int64_t rows = (oh - place[0][0] + d - 1) / d, columns = (ow - place[0][1] + d - 1) / d;\n"
    "    const int n_rows = rows < M ? rows : M, n_columns = columns < M ? columns : M;\n"
    "    for (int i = 0; i < n_rows; i++) {\n"
    "      const int64_t at = ((place[0][0] + i * d) * ow + place[0][1]) * SG_VL;\n"
    "      for (int k = 0; k < n_columns; k++) {\n"
    "        sg_f value = SG_LD(z + (i * M + k) * SG_VL) + bias;\n"
    "        if (r && !after) value += SG_LD(r + at + k * d * SG_VL);\n"
    "        if (act == 1) value = sg_relu(value);\n"
    "        else if (act == 2) value = sg_leaky(value, slope);\n"
    "        if (r && after) value += SG_LD(r + at + k * d * SG_VL);\n"
    "        SG_ST(y + at + k * d * SG_VL, value);\n"
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

static bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }

// The text with every M that is no part of a longer word in capitals as a number.
static void put_for(Text *out, const char *text, char m) {
  for (const char *p = text; *p; p++) {
    bool is_size = *p == 'M' && !is_capital(p[-1]) && !is_capital(p[1]);
    text_write(out, is_size ? &m : p, 1);
  }
}

void micro_winograd(const Target *target, Text *out) {
  (void)target;
  text_printf(out, "#define SG_TILES %d\n", MICRO_WINOGRAD_TILES);
  text_put(out, lines);
  put_for(out, loops, '4');
  put_for(out, loops, '2');
}
