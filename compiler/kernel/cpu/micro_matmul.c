// Micro-kernel of matrix products: b is packed into panels of one vector's width, then the tiles of sg_gemm run over
// rows of a as if they were pixels.
#include "compiler/kernel/cpu/micro.h"

static const char *const product =
    "SG_SHARED void sg_matmul(const int *c, const float *a, const float *b, float *y, int64_t m0,\n"
    "                         int64_t m1, int64_t n0,\n"
    "                         int64_t n1, float *pack) {\n"
    "  const int64_t rows = c[0], columns = c[1], inner = c[2], ta = c[3], tb = c[4],\n"
    "      blocks = (n1 - n0 + SG_VL - 1) / SG_VL;\n"
    "  float *panel = pack, *turned = pack + blocks * SG_VL * inner;\n"
    "  for (int64_t g = 0; g < blocks; g++, panel += SG_VL * inner) {\n"
    "    const int64_t n = n0 + g * SG_VL, lanes = n1 - n < SG_VL ? n1 - n : SG_VL;\n"
    "    if (!tb && lanes == SG_VL) {\n"
    "      for (int64_t k = 0; k < inner; k++) SG_ST(panel + k * SG_VL, SG_LD(b + k * columns + n));\n"
    "      continue;\n"
    "    }\n"
    "    const int64_t step = tb ? 1 : columns, lane = tb ? inner : 1;\n"
    "    for (int64_t l = 0; l < SG_VL; l++)\n"
    "      for (int64_t k = 0; k < inner; k++) panel[k * SG_VL + l] = l < lanes ? b[k * step + (n + l) * lane] : 0;\n"
    "  }\n"
    "  const int whole[] = {0, 0, (int)inner};\n"
    "  SgTile t = {.chunk = whole, .n_chunks = 1, .xb = SG_VL, .wb = SG_VL * inner, .yp = columns, .pp = inner};\n"
    "  for (int64_t m = m0; m < m1; m += 48) {\n"
    "    const int64_t n_rows = m1 - m < 48 ? m1 - m : 48;\n"
    "    const float *from = a + m * inner;\n"
    "    if (ta) {\n"
    "      for (int64_t k = 0; k < inner; k++)\n"
    "        for (int64_t i = 0; i < n_rows; i++) turned[i * inner + k] = a[k * rows + m + i];\n"
    "      from = turned;\n"
    "    }\n"
    "    for (int64_t g = 0; g < blocks;) {\n"
    "      const int j = sg_vectors(blocks - g, n_rows == 1 ? 4 : SG_VECTORS);\n"
    "      const int64_t left = n1 - n0 - g * SG_VL;\n"
    "      t.lanes = left < j * SG_VL ? left : j * SG_VL;\n"
    "      sg_panel_any(&t, from, pack + g * SG_VL * inner, y + m * columns + n0 + g * SG_VL, SG_NONE(),\n"
    "          SG_NONE(), n_rows,\n"
    "                   j);\n"
    "      g += j;\n"
    "    }\n"
    "  }\n"
    "}\n";

void micro_matmul(const Target *target, Text *out) {
  (void)target;
  text_put(out, product);
}
