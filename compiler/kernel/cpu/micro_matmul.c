// Micro-kernel of matrix products: b is packed into panels of one vector's width, then the tiles of sg_gemm run over
// rows of a as if they were pixels.
#include "compiler/kernel/cpu/micro.h"

static const char *const product =
    "// y[k * y_row + l] = x[l * x_row + k] for n_l x n_k numbers.\n"
    "SG_SHARED void sg_turn(const float *x, int64_t x_row, float *y, int64_t y_row, int64_t n_l, int64_t n_k) {\n"
    "  int64_t l = 0;\n"
    "  for (; l + SG_VL <= n_l; l += SG_VL) {\n"
    "    int64_t k = 0;\n"
    "    for (; k + SG_VL <= n_k; k += SG_VL) {\n"
    "      sg_f r[SG_VL], t[SG_VL];\n"
    "#pragma GCC unroll 16\n"
    "      for (int i = 0; i < SG_VL; i++) r[i] = SG_LD(x + (l + i) * x_row + k);\n"
    "#pragma GCC unroll 4\n"
    "      for (int step = 1; step < SG_VL; step *= 2) {\n"
    "#pragma GCC unroll 8\n"
    "        for (int i = 0; i < SG_VL / 2; i++) {\n"
    "          t[2 * i] = SG_LOW(r[i], r[i + SG_VL / 2]);\n"
    "          t[2 * i + 1] = SG_HIGH(r[i], r[i + SG_VL / 2]);\n"
    "        }\n"
    "#pragma GCC unroll 16\n"
    "        for (int i = 0; i < SG_VL; i++) r[i] = t[i];\n"
    "      }\n"
    "#pragma GCC unroll 16\n"
    "      for (int i = 0; i < SG_VL; i++) SG_ST(y + (k + i) * y_row + l, r[i]);\n"
    "    }\n"
    "    for (; k < n_k; k++)\n"
    "      for (int i = 0; i < SG_VL; i++) y[k * y_row + l + i] = x[(l + i) * x_row + k];\n"
    "  }\n"
    "  for (; l < n_l; l++)\n"
    "    for (int64_t k = 0; k < n_k; k++) y[k * y_row + l] = x[l * x_row + k];\n"
    "}\n"
    "SG_SHARED void sg_matmul(const int *c, const float *a, const float *b, float *y, int64_t m0, int64_t m1,\n"
    "                         int64_t n0, int64_t n1, float *pack) {\n"
    "  const int64_t rows = c[0], columns = c[1], inner = c[2], ta = c[3], tb = c[4],\n"
    "      blocks = (n1 - n0 + SG_VL - 1) / SG_VL;\n"
    "  float *turned = pack + (blocks + SG_PAIRED - 1) / SG_PAIRED * SG_PAIRED * SG_VL * inner;\n"
    "  for (int64_t g = 0; g < blocks; g++) {\n"
    "    float *panel = pack + g / SG_PAIRED * (SG_PAIRED * SG_VL * inner) + g % SG_PAIRED * SG_VL;\n"
    "    const int64_t n = n0 + g * SG_VL, lanes = n1 - n < SG_VL ? n1 - n : SG_VL;\n"
    "    if (lanes < SG_VL)\n"
    "      for (int64_t k = 0; k < inner; k++) sg_zero(panel + k * SG_VL * SG_PAIRED, SG_VL);\n"
    "    if (tb) {\n"
    "      sg_turn(b + n * inner, inner, panel, SG_VL * SG_PAIRED, lanes, inner);\n"
    "    } else if (lanes == SG_VL) {\n"
    "      for (int64_t k = 0; k < inner; k++) SG_ST(panel + k * SG_VL * SG_PAIRED, SG_LD(b + k * columns + n));\n"
    "    } else {\n"
    "      for (int64_t k = 0; k < inner; k++)\n"
    "        for (int64_t l = 0; l < lanes; l++) panel[k * SG_VL * SG_PAIRED + l] = b[k * columns + n + l];\n"
    "    }\n"
    "  }\n"
    "  const int whole[] = {0, 0, (int)inner};\n"
    "  SgTile t = {.chunk = whole, .n_chunks = 1, .xb = SG_VL, .wb = SG_VL * inner, .yp = columns, .pp = inner};\n"
    "  for (int64_t m = m0; m < m1; m += 48) {\n"
    "    const int64_t n_rows = m1 - m < 48 ? m1 - m : 48;\n"
    "    const float *from = a + m * inner;\n"
    "    if (ta) sg_turn(a + m, rows, turned, inner, inner, n_rows), from = turned;\n"
    "    for (int64_t g = 0; g < blocks;) {\n"
    "      const int j = sg_vectors(blocks - g, n_rows == 1 ? 4 : SG_VECTORS);\n"
    "      const int64_t left = n1 - n0 - g * SG_VL;\n"
    "      t.lanes = left < j * SG_VL ? left : j * SG_VL;\n"
    "      sg_panel_any(&t, from, pack + g * SG_VL * inner, y + m * columns + n0 + g * SG_VL, SG_NONE(),\n"
    "                   SG_NONE(), n_rows, j);\n"
    "      g += j;\n"
    "    }\n"
    "  }\n"
    "}\n";

// Vectors that take turns from the low, or the high, halves of a and b.
static void put_interleave(Text *out, const char *name, int vl, int first) {
  for (int is_gnu = 0; is_gnu < 2; is_gnu++) {
    text_printf(out,
                is_gnu ? "#else\n#define %s(a, b) __builtin_shuffle(a, b, (sg_i){"
                       : "#if defined(__clang__)\n#define %s(a, b) __builtin_shufflevector(a, b, ",
                name);
    for (int i = 0; i < vl; i++) text_printf(out, "%s%d", i ? ", " : "", first + i / 2 + i % 2 * vl);
    text_put(out, is_gnu ? "})\n#endif\n" : ")\n");
  }
}

void micro_matmul(const Target *target, Text *out) {
  put_interleave(out, "SG_LOW", target->vector, 0);
  put_interleave(out, "SG_HIGH", target->vector, target->vector / 2);
  text_put(out, product);
}
