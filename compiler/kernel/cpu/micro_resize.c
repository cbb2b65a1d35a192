// Micro-kernel of interpolation: some rows of one channel block, first along the rows, then between them.
#include "compiler/kernel/cpu/micro.h"

static const char *const rows =
    "// Rows y0 .. y1 - 1 of `width` pixels from x, whose rows are `row` floats apart. xt, yt hold two\n"
    "// source columns or\n"
    "// rows for each of the result, xw, yw the weight of the second. `wide` takes the source rows, stretched.\n"
    "SG_SHARED void sg_resize(const int *xt, const float *xw, const int *yt, const float *yw,\n"
    "                         const float *x, float *wide,\n"
    "                         float *y, int64_t row, int64_t width, int64_t y0, int64_t y1) {\n"
    "  if (y0 >= y1) return;\n"
    "  const int64_t first = yt[2 * y0], last = yt[2 * y1 - 1], pitch = width * SG_VL;\n"
    "  for (int64_t r = first; r <= last; r++) {\n"
    "    const float *q = x + r * row;\n"
    "    float *to = wide + (r - first) * pitch;\n"
    "#pragma GCC unroll 4\n"
    "    for (int64_t i = 0; i < width; i++) {\n"
    "      const sg_f a = SG_LD(q + xt[2 * i] * SG_VL), b = SG_LD(q + xt[2 * i + 1] * SG_VL);\n"
    "      SG_ST(to + i * SG_VL, a + (b - a) * xw[i]);\n"
    "    }\n"
    "  }\n"
    "  for (int64_t oy = y0; oy < y1; oy++) {\n"
    "    const float *p = wide + (yt[2 * oy] - first) * pitch, *q = wide + (yt[2 * oy + 1] - first) * pitch;\n"
    "    const float w = yw[oy];\n"
    "    float *to = y + oy * pitch;\n"
    "#pragma GCC unroll 4\n"
    "    for (int64_t i = 0; i < pitch; i += SG_VL) {\n"
    "      const sg_f a = SG_LD(p + i), b = SG_LD(q + i);\n"
    "      SG_ST(to + i, a + (b - a) * w);\n"
    "    }\n"
    "  }\n"
    "}\n";

void micro_resize(const Target *target, Text *out) {
  (void)target;
  text_put(out, rows);
}
