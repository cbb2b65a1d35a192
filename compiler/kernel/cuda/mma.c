// Template of tiles that tensor cores multiply, for the matrix products of gemm.c: tf32, bf16 and f16 factors, f32
// sums. Factors are rounded on their way to shared memory.

#include "compiler/kernel/cuda/contract.h"

static const char multiply[] =
    // One warp's D += A * B for 16 x 8 results: a holds 4 words, b 2, d 4 sums (the layout of mma.sync).
    "template <int KIND> INLINE void sg_mma(float *d, const unsigned *a, const unsigned *b) {\n"
    "#if __CUDA_ARCH__ >= 800\n"
    "  if constexpr (KIND == 1) {\n"
    "    asm(\"mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
    "{%0,%1,%2,%3};\"\n"
    "        : \"+f\"(d[0]), \"+f\"(d[1]), \"+f\"(d[2]), \"+f\"(d[3])\n"
    "        : \"r\"(a[0]), \"r\"(a[1]), \"r\"(a[2]), \"r\"(a[3]), \"r\"(b[0]), \"r\"(b[1]));\n"
    "  } else if constexpr (KIND == 2) {\n"
    "    asm(\"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
    "{%0,%1,%2,%3};\"\n"
    "        : \"+f\"(d[0]), \"+f\"(d[1]), \"+f\"(d[2]), \"+f\"(d[3])\n"
    "        : \"r\"(a[0]), \"r\"(a[1]), \"r\"(a[2]), \"r\"(a[3]), \"r\"(b[0]), \"r\"(b[1]));\n"
    "  } else {\n"
    "    asm(\"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
    "{%0,%1,%2,%3};\"\n"
    "        : \"+f\"(d[0]), \"+f\"(d[1]), \"+f\"(d[2]), \"+f\"(d[3])\n"
    "        : \"r\"(a[0]), \"r\"(a[1]), \"r\"(a[2]), \"r\"(a[3]), \"r\"(b[0]), \"r\"(b[1]));\n"
    "  }\n"
    "#else\n"
    "  static_assert(KIND == 3, \"these tensor cores multiply f16 only\");\n"
    "#pragma unroll\n"
    "  for (int i = 0; i < 2; i++) {\n"
    "    asm(\"mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};\"\n"
    "        : \"+f\"(d[0]), \"+f\"(d[1]), \"+f\"(d[2]), \"+f\"(d[3])\n"
    "        : \"r\"(a[2 * i]), \"r\"(a[2 * i + 1]), \"r\"(b[i]));\n"
    "  }\n"
    "#endif\n"
    "}\n";

static const char tile[] =
    // A tile by tensor cores: a warp makes WM x WN results. KIND 1: factors are rounded to tf32, a word each; 2: to
    // bf16, 3: to f16, two of k in a word. In every case a thread's words of a step are in rows lane % 4 and lane % 4 +
    // 4 of eight.
    "template <int BM_, int BN_, int BK_, int WM_, int WN_, int KIND> struct SgMma {\n"
    "  static constexpr int BM = BM_, BN = BN_, BK = BK_, WM = WM_, WN = WN_, KP = KIND == 1 ? 1 : 2, PAD = 8;\n"
    "  static constexpr int MM = WM / 16, NN = WN / 8, COUNT = MM * NN * 4, WARPS_N = BN / WN, WARPS = BM / WM * "
    "WARPS_N;\n"
    "  static constexpr int THREADS = 32 * WARPS, ROWS = 8, PASSES = 2 * MM, LINE = WN + 8;\n"
    "  static constexpr bool IS_PLAIN = false;\n"
    "  using Word = unsigned;\n"
    "  static SG_METHOD Word word(float low, float high) {\n"
    "    Word w;\n"
    "#if __CUDA_ARCH__ >= 800\n"
    "    if constexpr (KIND == 1) asm(\"cvt.rna.tf32.f32 %0, %1;\" : \"=r\"(w) : \"f\"(low));\n"
    "    else if constexpr (KIND == 2) asm(\"cvt.rn.bf16x2.f32 %0, %1, %2;\" : \"=r\"(w) : \"f\"(high), \"f\"(low));\n"
    "    else asm(\"cvt.rn.f16x2.f32 %0, %1, %2;\" : \"=r\"(w) : \"f\"(high), \"f\"(low));\n"
    "#else\n"
    "    asm(\"{ .reg .b16 l, h; cvt.rn.f16.f32 l, %1; cvt.rn.f16.f32 h, %2; mov.b32 %0, {l, h}; }\"\n"
    "        : \"=r\"(w)\n"
    "        : \"f\"(low), \"f\"(high));\n"
    "#endif\n"
    "    return w;\n"
    "  }\n"
    "  static SG_METHOD int row(int pass, int r) { return pass * 8 + r; }\n"
    "  static SG_METHOD void multiply(const Word *a, const Word *b, float (&sum)[COUNT]) {\n"
    "    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;\n"
    "    a += t * (BM + PAD) + g;\n"
    "    b += t * (BN + PAD) + g;\n"
    "#pragma unroll\n"
    "    for (int k = 0; k < BK / KP; k += 8) {\n"
    "      Word x[MM][4], y[NN][2];\n"
    "#pragma unroll\n"
    "      for (int i = 0; i < MM; i++)\n"
    "#pragma unroll\n"
    "        for (int q = 0; q < 4; q++) x[i][q] = a[(k + q / 2 * 4) * (BM + PAD) + i * 16 + q % 2 * 8];\n"
    "#pragma unroll\n"
    "      for (int j = 0; j < NN; j++)\n"
    "#pragma unroll\n"
    "        for (int q = 0; q < 2; q++) y[j][q] = b[(k + q * 4) * (BN + PAD) + j * 8];\n"
    "#pragma unroll\n"
    "      for (int i = 0; i < MM; i++)\n"
    "#pragma unroll\n"
    "        for (int j = 0; j < NN; j++) sg_mma<KIND>(&sum[(i * NN + j) * 4], x[i], y[j]);\n"
    "    }\n"
    "  }\n"
    "  static SG_METHOD void put(const float (&sum)[COUNT], int pass, float *to) {\n"
    "    const int lane = threadIdx.x % 32;\n"
    "#pragma unroll\n"
    "    for (int j = 0; j < NN; j++) {\n"
    "      alignas(8) float y[2];\n"
    "#pragma unroll\n"
    "      for (int i = 0; i < 2; i++) y[i] = sum[(pass / 2 * NN + j) * 4 + pass % 2 * 2 + i];\n"
    "      sg_copy<2>(to + lane / 4 * LINE + j * 8 + lane % 4 * 2, y);\n"
    "    }\n"
    "  }\n"
    "};\n";

void cuda_preamble_mma(Precision precision, Text *out) {
  if (precision == PRECISION_F32) return;
  text_put(out, multiply);
  text_put(out, tile);
}
