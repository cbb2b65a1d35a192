// Templates of depthwise convolutions on CUDA, one channel at a time: forward, and the gradients by operand and weight.
//
// Memory is what they take: forward, a block brings what its results read to shared memory (window.h); in the gradients
// a thread loads an element once for several results (or sums), and neighbouring threads stand at neighbouring columns.

#include "compiler/kernel/cuda/contract.h"
#include "compiler/kernel/cuda/window.h"

static const char forward[] =
    // The block's results of OH x OW, from (y0, x0) of the plane on, a thread's being R rows of a column; weight(c, k)
    // is tap k.
    "template <class Window, int THREADS, int C, int OH, int OW, int R, class Source, class Weight, class Out>\n"
    "INLINE void sg_depthwise(int plane, int end, int y0, int x0, Source source, Weight weight, Out out, float "
    "*memory) "
    "{\n"
    "  constexpr int TW = Window::TW, GROUPS = Window::TH / R;\n"
    "  Window::template bring<THREADS>(memory, source, weight, plane, end, y0, x0);\n"
    "  sg_wait_async();\n"
    "  __syncthreads();\n"
    "  for (int i = threadIdx.x; i < Window::TP * GROUPS * TW; i += THREADS) {\n"
    "    const int x = i % TW, y = i / TW % GROUPS * R, p = i / (TW * GROUPS), c = (plane + p) % C, n = (plane + p) / "
    "C;\n"
    "    if (plane + p >= end || y0 + y >= OH || x0 + x >= OW) continue;\n"
    "    float sum[R];\n"
    "    Window::template add_up<R>(memory, p, y, x, sum);\n"
    "#pragma unroll\n"
    "    for (int r = 0; r < R; r++) {\n"
    "      if (OH % R == 0 || y0 + y + r < OH) out(n, c, y0 + y + r, x0 + x, sum[r]);\n"
    "    }\n"
    "  }\n"
    "}\n";

static const char backward[] =
    // The gradient by x, of height H and width W, from that of the result. Row y meets the taps ky = (y + P) modulo S,
    // S further, ...: a thread computes the S rows that read the same elements. D is 1 unless S is.
    "template <int C, int H, int W, int OH, int OW, int KH, int KW, int S, int P, int D, class Source, class Weight,\n"
    "          class Out>\n"
    "INLINE void sg_depthwise_dx(int id, int count, Source source, Weight weight, Out out) {\n"
    "  constexpr int FIRST = P / S, GROUPS = (H - 1 + P) / S - FIRST + 1, TY = (KH + S - 1) / S, TX = (KW + S - 1) / "
    "S;\n"
    "  if (id >= count) return;\n"
    "  const int x = id % W, u = id / W % GROUPS + FIRST, c = id / (W * GROUPS) % C, n = id / (W * GROUPS) / C;\n"
    "  const int v = (x + P) / S, rx = (x + P) % S;\n"
    "  float sum[S];\n"
    "#pragma unroll\n"
    "  for (int r = 0; r < S; r++) sum[r] = 0.0f;\n"
    "#pragma unroll\n"
    "  for (int tx = 0; tx < TX; tx++) {\n"
    "    const int ix = v - tx * D, kx = tx * S + rx;\n"
    "    const bool is_column = ix >= 0 && ix < OW && (KW % S == 0 || kx < KW);\n"
    "#pragma unroll\n"
    "    for (int ty = 0; ty < TY; ty++) {\n"
    "      const int iy = u - ty * D;\n"
    "      const float g = is_column && iy >= 0 && iy < OH ? source(n, c, iy, ix) : 0.0f;\n"
    "#pragma unroll\n"
    "      for (int r = 0; r < S; r++) {\n"
    "        if (ty * S + r < KH) sum[r] += g * (KW % S == 0 || kx < KW ? weight(c, (ty * S + r) * KW + kx) : 0.0f);\n"
    "      }\n"
    "    }\n"
    "  }\n"
    "#pragma unroll\n"
    "  for (int r = 0; r < S; r++) {\n"
    "    const int y = u * S + r - P;\n"
    "    if (y >= 0 && y < H) out(n, c, y, x, sum[r]);\n"
    "  }\n"
    "}\n";

static const char by_weight[] =
    // The gradient by the weight of channel c: KH x KW sums over the pixels of N images, of which part `split` of
    // SPLITS here. THREADS share them, R rows of a column at a time; source and gradient(n, c, y, x) are values.
    "template <int THREADS, int SPLITS, int N, int C, int H, int W, int OH, int OW, int KH, int KW, int S, int P, int "
    "D,\n"
    "          int R, class Source, class Gradient, class Out>\n"
    "INLINE void sg_depthwise_dw(int c, int split, Source source, Gradient gradient, Out out, float *partial) {\n"
    "  constexpr int GROUPS = (OH + R - 1) / R, ITEMS = N * GROUPS * OW, PART = (ITEMS + SPLITS - 1) / SPLITS;\n"
    "  constexpr int TAPS = KH * KW, WARPS = THREADS / 32;\n"
    "  float sum[TAPS];\n"
    "#pragma unroll\n"
    "  for (int k = 0; k < TAPS; k++) sum[k] = 0.0f;\n"
    "  const int end = (split + 1) * PART < ITEMS ? (split + 1) * PART : ITEMS;\n"
    "#pragma unroll 1\n"
    "  for (int item = split * PART + threadIdx.x; item < end; item += THREADS) {\n"
    "    const int x = item % OW, y0 = item / OW % GROUPS * R, n = item / (OW * GROUPS);\n"
    "    float g[R];\n"
    "#pragma unroll\n"
    "    for (int r = 0; r < R; r++) g[r] = OH % R == 0 || y0 + r < OH ? gradient(n, c, y0 + r, x) : 0.0f;\n"
    "    sg_walk<KH, KW, S, D, R>(\n"
    "        [&](int j, int i) {\n"
    "          const int iy = y0 * S + j - P, ix = x * S + i - P;\n"
    "          return iy >= 0 && iy < H && ix >= 0 && ix < W ? source(n, c, iy, ix) : 0.0f;\n"
    "        },\n"
    "        [&](int r, int k, float v) { sum[k] += v * g[r]; });\n"
    "  }\n"
    "  __shared__ float lines[WARPS * TAPS];\n"
    "#pragma unroll\n"
    "  for (int k = 0; k < TAPS; k++) {\n"
    "    const float all = team_sum<32>(sum[k]);\n"
    "    if (threadIdx.x % 32 == 0) lines[threadIdx.x / 32 * TAPS + k] = all;\n"
    "  }\n"
    "  __syncthreads();\n"
    "  const int k = threadIdx.x;\n"
    "  float total = 0.0f;\n"
    "  if (k < TAPS) {\n"
    "    for (int i = 0; i < WARPS; i++) total += lines[i * TAPS + k];\n"
    "    if (SPLITS > 1) partial[(split * C + c) * TAPS + k] = total;\n"
    "  }\n"
    "  if (SPLITS > 1) {\n"
    "    if (!is_last_block(partial - SG_COUNTERS, c, SPLITS)) return;\n"
    "    total = 0.0f;\n"
    "    for (int i = 0; i < SPLITS && k < TAPS; i++) total += __ldcg(&partial[(i * C + c) * TAPS + k]);\n"
    "  }\n"
    "  if (k < TAPS) out(c, k, total);\n"
    "}\n";

void cuda_preamble_depthwise(Text *out) {
  cuda_preamble_window(out);
  text_put(out, forward);
  text_put(out, backward);
  text_put(out, by_weight);
}
