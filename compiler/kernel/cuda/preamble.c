// Preamble of CUDA kernels: integers, random numbers, and what the threads of a block do together.
//
// Sums over threads have a fixed order, so that results are the same bits on every run. Functions that contain a
// barrier say so; all threads of the block have to call them.
#include "compiler/kernel/preamble.h"

static const char integers[] = "#pragma nv_diag_suppress 177\n" // what a kernel does not need
                               "typedef long long i64;\n"
                               "#define INLINE static __device__ __forceinline__\n"
                               "#define INF __int_as_float(0x7f800000)\n"
                               "INLINE int imin(int a, int b) { return a < b ? a : b; }\n"
                               "INLINE int imax(int a, int b) { return a > b ? a : b; }\n"
                               "INLINE i64 imin(i64 a, i64 b) { return a < b ? a : b; }\n"
                               "INLINE i64 imax(i64 a, i64 b) { return a > b ? a : b; }\n"
                               "INLINE int floor_div(int a, int b) { return a / b - (a % b < 0); }\n"
                               "INLINE int floor_mod(int a, int b) { return a % b + (a % b < 0 ? b : 0); }\n"
                               "INLINE i64 floor_div(i64 a, i64 b) { return a / b - (a % b < 0); }\n"
                               "INLINE i64 floor_mod(i64 a, i64 b) { return a % b + (a % b < 0 ? b : 0); }\n";

static const char quads[] = "INLINE void load_quad(float *to, const float *from) {\n"
                            "  const float4 q = *(const float4 *)from;\n"
                            "  to[0] = q.x, to[1] = q.y, to[2] = q.z, to[3] = q.w;\n"
                            "}\n"
                            "INLINE void store_quad(float *to, const float *from) {\n"
                            "  *(float4 *)to = make_float4(from[0], from[1], from[2], from[3]);\n"
                            "}\n";

static const char teams[] =
    // Over W neighbouring threads of a warp (a power of two).
    "template <int W> INLINE unsigned team_mask() {\n"
    "  return W == 32 ? 0xffffffffu : ((1u << (W % 32)) - 1) << (threadIdx.x % 32 / W * W);\n"
    "}\n"
    "template <int W, typename T> INLINE T team_sum(T v) {\n"
    "  for (int d = W / 2; d > 0; d /= 2) v += __shfl_xor_sync(team_mask<W>(), v, d);\n"
    "  return v;\n"
    "}\n"
    "template <int W> INLINE float team_max(float v) {\n"
    "  for (int d = W / 2; d > 0; d /= 2) v = smaximum(v, __shfl_xor_sync(team_mask<W>(), v, d));\n"
    "  return v;\n"
    "}\n"
    // Over the N threads of the block (a multiple of 32); with barriers.
    "template <int N, typename T> INLINE T block_sum(T v) {\n"
    "  __shared__ T part[32];\n"
    "  v = team_sum<32>(v);\n"
    "  __syncthreads();\n"
    "  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;\n"
    "  __syncthreads();\n"
    "  return team_sum<32>(threadIdx.x % 32 < N / 32 ? part[threadIdx.x % 32] : (T)0);\n"
    "}\n"
    "template <int N> INLINE float block_max(float v) {\n"
    "  __shared__ float part[32];\n"
    "  v = team_max<32>(v);\n"
    "  __syncthreads();\n"
    "  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;\n"
    "  __syncthreads();\n"
    "  return team_max<32>(threadIdx.x % 32 < N / 32 ? part[threadIdx.x % 32] : -INF);\n"
    "}\n"
    // Over the N / R threads whose numbers are equal modulo R; with barriers.
    "template <int N, int R, typename T> INLINE T column_sum(T v) {\n"
    "  __shared__ T part[N];\n"
    "  __syncthreads();\n"
    "  part[threadIdx.x] = v;\n"
    "  __syncthreads();\n"
    "  v = 0;\n"
    "  for (int i = threadIdx.x % R; i < N; i += R) v += part[i];\n"
    "  return v;\n"
    "}\n"
    "template <int N, int R> INLINE float column_max(float v) {\n"
    "  __shared__ float part[N];\n"
    "  __syncthreads();\n"
    "  part[threadIdx.x] = v;\n"
    "  __syncthreads();\n"
    "  v = -INF;\n"
    "  for (int i = threadIdx.x % R; i < N; i += R) v = smaximum(v, part[i]);\n"
    "  return v;\n"
    "}\n"
    // Whether n blocks have come here, this one last: it sees what the others wrote. With barriers.
    "INLINE bool is_last_block(float *scratch, int counter, int n) {\n"
    "  __shared__ int is_last;\n"
    "  __threadfence();\n"
    "  __syncthreads();\n"
    "  if (threadIdx.x == 0) is_last = atomicInc((unsigned *)scratch + counter, n - 1) == n - 1;\n"
    "  __syncthreads();\n"
    "  __threadfence();\n"
    "  return is_last;\n"
    "}\n"
    "#define LAST_BLOCK(counter, n) is_last_block(scratch, counter, n)\n"
    "#define LAST_OF_ROW(n) is_last_block(scratch, row, n)\n"
    // The row whose blocks contain this one; a row has `stride` words, its first block first.
    "INLINE int find_row(const long long *table, int n_rows, int stride) {\n"
    "  int from = 0, to = n_rows;\n"
    "  while (to - from > 1) {\n"
    "    const int middle = (from + to) / 2;\n"
    "    if (table[(i64)middle * stride] <= (i64)blockIdx.x) from = middle;\n"
    "    else to = middle;\n"
    "  }\n"
    "  return from;\n"
    "}\n";

static const char random_numbers[] =
    "INLINE unsigned key_word(float f) { return f > 0 ? (f < 16777215 ? (unsigned)f : 16777215u) : 0u; }\n"
    // The four numbers of a stream from element 4 * block on (Philox4x32-10).
    "INLINE float4 random_block(const float *key, i64 stream, i64 block) {\n"
    "  unsigned k0 = key_word(key[0]), k1 = key_word(key[1]);\n"
    "  unsigned c0 = (unsigned)block, c1 = (unsigned)((unsigned long long)block >> 32);\n"
    "  unsigned c2 = (unsigned)stream, c3 = (unsigned)((unsigned long long)stream >> 32);\n"
    "  for (int round = 0; round < 10; round++) {\n"
    "    const unsigned h0 = __umulhi(0xD2511F53u, c0), l0 = 0xD2511F53u * c0;\n"
    "    const unsigned h1 = __umulhi(0xCD9E8D57u, c2), l1 = 0xCD9E8D57u * c2;\n"
    "    c0 = h1 ^ c1 ^ k0, c2 = h0 ^ c3 ^ k1, c1 = l1, c3 = l0;\n"
    "    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;\n"
    "  }\n"
    "  const float unit = 1.0f / 16777216;\n"
    "  return make_float4((float)(c0 >> 8) * unit, (float)(c1 >> 8) * unit, (float)(c2 >> 8) * unit,\n"
    "                     (float)(c3 >> 8) * unit);\n"
    "}\n";

void preamble_cuda(Text *out) {
  text_put(out, integers);
  preamble_scalar(out);
  text_put(out, quads);
  text_put(out, teams);
  text_put(out, random_numbers);
}
