// Micro-kernel of Winograd's products by weights that are stored as convolutions read them: some channels of a register
// tile's output blocks are transformed at a time, and multiplied while the second cache has them. Transformed weights
// are four times as large, and where tiles are few it is their way from memory that costs.
#include "compiler/kernel/cpu/micro_tile.h"

static const char *const text =
    "// G for one line.\n"
    "SG_INLINE void sg_winograd_kernel(sg_w g0, sg_w g1, sg_w g2, sg_w z[6]) {\n"
    "  const sg_w a = (g0 + g2 * 0.5f) * (-1 / 1.5f), b = g1 * (-0.70710678118654752f / 1.5f);\n"
    "  const sg_w e = (g0 + g2 * 2.0f) * (1 / 6.0f), f = g1 * (1.41421356237309505f / 6);\n"
    "  z[0] = g0, z[1] = a + b, z[2] = a - b, z[3] = e + f, z[4] = e - f, z[5] = g2;\n"
    "}\n"
    "// n channels of the output blocks that stand side by side, from w, taps `tap` floats apart, to u, elements "
    "`pitch`\n"
    "// apart.\n"
    "SG_SHARED void sg_winograd_kernels(const float *w, int64_t tap, int64_t n, float *u, int64_t pitch) {\n"
    "  for (; n > 0; n--, w += SG_VL * SG_PAIRED, u += SG_VL * SG_PAIRED) {\n"
    "    sg_w t[3][6], z[6];\n"
    "#pragma GCC unroll 3\n"
    "    for (int k = 0; k < 3; k++)\n"
    "      sg_winograd_kernel(SG_LOAD_W(w + k * tap), SG_LOAD_W(w + (3 + k) * tap), SG_LOAD_W(w + (6 + k) * tap), "
    "t[k]);\n"
    "#pragma GCC unroll 6\n"
    "    for (int i = 0; i < 6; i++) {\n"
    "      sg_winograd_kernel(t[0][i], t[1][i], t[2][i], z);\n"
    "#pragma GCC unroll 6\n"
    "      for (int k = 0; k < 6; k++) SG_STORE_W(u + (6 * i + k) * pitch, z[k]);\n"
    "    }\n"
    "  }\n"
    "}\n"
    "// The sums of all tiles for blocks g0 .. g1 - 1, of `channels` at a time, whose weights are transformed to u.\n"
    "SG_INLINE void sg_winograd_read(SgTile *t, const int *c, const float *tiles, const float *w, float *sums,\n"
    "                                int64_t g0, int64_t g1, float *u, int64_t channels) {\n"
    "  const int64_t unit = SG_VL * SG_PAIRED, wb = t->wb;\n"
    "  int run[3] = {0};\n"
    "  t->chunk = run, t->n_chunks = 1, t->once = 1, t->rb = t->yb, t->add_after = 0;\n"
    "  for (int64_t g = g0, j; g < g1; g += j) {\n"
    "    float *to = sums + g * t->yb;\n"
    "    j = sg_vectors(g1 - g, SG_VECTORS);\n"
    "    for (int64_t k = 0; k < c[25]; k++) {\n"
    "      const int *chunk = c + 26 + 3 * k;\n"
    "      for (int64_t i = 0; i < chunk[2]; i += run[2]) {\n"
    "        run[0] = chunk[0] + i / SG_VL * t->xb, run[2] = chunk[2] - i < channels ? chunk[2] - i : channels;\n"
    "        // A vector more, as elements at a power of two fall on the same lines of the cache.\n"
    "        const int64_t pitch = (run[2] + 1) * unit;\n"
    "        t->wb = 36 * (run[2] + 1) * SG_VL;\n"
    "        for (int64_t p = 0; p < j; p += SG_PAIRED)\n"
    "          sg_winograd_kernels(w + (g + p) * wb + (chunk[1] + i * SG_VL) * SG_PAIRED, c[20] * unit, run[2],\n"
    "                              u + p * t->wb, pitch);\n"
    "        for (int64_t e = 0; e < 36; e++)\n"
    "          sg_panel_b1(t, tiles + e * c[17], u + e * pitch, to + e * c[18], 0, k + i ? to + e * c[18] : 0, c[16], "
    "j);\n"
    "      }\n"
    "    }\n"
    "  }\n"
    "}\n";

int64_t micro_winograd_read_room(const Target *target, int64_t channels) {
  return 36 * (channels + 1) * target->vector * micro_max_vectors(target);
}

void micro_winograd_read(const Target *target, Text *out) {
  int form = target_paired(target);
  text_printf(out, "typedef sg_f%d sg_w;\n#define SG_LOAD_W SG_LDW%d\n#define SG_STORE_W SG_STW%d\n", form, form, form);
  text_put(out, text);
}
