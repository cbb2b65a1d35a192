// What lanes and blocks do together: shuffles, votes, reductions, barriers, activemask, and copies that land later.
#include "tests/simgpu/sim_case.h"

static const char *const source =
    "extern \"C\" {\n"
    "__global__ void shuffles(const int *x, int *y) { int i = threadIdx.x, v = x[i]; int *o = y + 10 * i;\n"
    "  o[0] = __shfl_xor_sync(~0u, v, 5); o[1] = __shfl_up_sync(~0u, v, 3); o[2] = __shfl_down_sync(~0u, v, 3);\n"
    "  o[3] = __shfl_sync(~0u, v, i + 7); o[4] = __shfl_sync(~0u, v, 3, 8); o[5] = __shfl_up_sync(~0u, v, 2, 16);\n"
    "  o[6] = __shfl_down_sync(~0u, v, 5, 8); o[7] = __shfl_xor_sync(~0u, v, 9, 16);\n"
    "  o[8] = (int)__shfl_xor_sync(~0u, (long long)v << 20, 1) ; o[9] = (int)__shfl_down_sync(~0u, v * 0.5, 1); }\n"
    "__global__ void halves(const int *x, int *y) { int i = threadIdx.x, v = x[i];\n"
    "  if (i % 2) y[i] = __shfl_xor_sync(0xaaaaaaaa, v, 2); else y[i] = __shfl_xor_sync(0x55555555, v, 4); }\n"
    "__global__ void votes(const int *x, int *y) { int i = threadIdx.x, v = x[i]; int *o = y + 8 * i;\n"
    "  o[0] = __ballot_sync(~0u, v & 1); o[1] = __any_sync(~0u, v == 3); o[2] = __all_sync(~0u, v >= 0);\n"
    "  o[3] = __all_sync(~0u, v > 3); o[4] = __match_any_sync(~0u, v % 3); int p; o[5] = __match_all_sync(~0u, 7, "
    "&p);\n"
    "  o[6] = p; o[7] = __match_all_sync(~0u, v, &p) + p; }\n"
    "__global__ void reduces(const int *x, int *y) { int i = threadIdx.x, v = x[i]; int *o = y + 8 * i;\n"
    "#if __CUDA_ARCH__ >= 800\n"
    "  o[0] = __reduce_add_sync(~0u, v); o[1] = __reduce_min_sync(~0u, v - 9); o[2] = __reduce_max_sync(~0u, v - 9);\n"
    "  o[3] = __reduce_and_sync(~0u, v | 64); o[4] = __reduce_or_sync(~0u, v); o[5] = __reduce_xor_sync(~0u, v);\n"
    "  o[6] = __reduce_min_sync(~0u, (unsigned)v - 9u); o[7] = __reduce_max_sync(~0u, (unsigned)v - 9u);\n"
    "#endif\n"
    "}\n"
    "__global__ void active(int *y) { int i = threadIdx.x; if (i % 3 == 0) y[i] = __activemask(); else y[i] = 0; }\n"
    "__global__ void counted(const int *x, int *y) { int v = x[threadIdx.x];\n"
    "  y[3 * threadIdx.x] = __syncthreads_count(v & 1); y[3 * threadIdx.x + 1] = __syncthreads_and(v >= 0);\n"
    "  y[3 * threadIdx.x + 2] = __syncthreads_or(v == 1000); }\n"
    "__global__ void ended(const int *x, int *y) { if (threadIdx.x >= 20) return;\n"
    "  y[threadIdx.x] = __ballot_sync(~0u, 1) + __shfl_sync(~0u, x[threadIdx.x], 19); }\n"
    "__global__ void loops(int *y) { int s = 0; for (int k = 0; k < threadIdx.x; k++) { s += k; "
    "__syncwarp(__activemask());\n"
    "  } y[threadIdx.x] = s; }\n"
    "__global__ void warps(int *y) { __shared__ int s[4]; int w = threadIdx.x / 32; if (threadIdx.x % 32 == 0) s[w] = "
    "w + 1;\n"
    "  if (w < 2) asm volatile(\"bar.sync 1, 64;\" ::: \"memory\"); else asm volatile(\"barrier.sync 2, 64;\" ::: "
    "\"memory\");\n"
    "  y[threadIdx.x] = s[w ^ 1]; }\n"
    "#if __CUDA_ARCH__ >= 900\n"
    "__global__ void elected(int *y) { unsigned leader, is; asm volatile(\"{.reg .pred p; elect.sync %0|p, "
    "0xffffffff;\"\n"
    "  \" selp.u32 %1, 1, 0, p;}\" : \"=r\"(leader), \"=r\"(is)); y[threadIdx.x] = leader * 2 + is; }\n"
    "#endif\n"
    "#if __CUDA_ARCH__ >= 800\n"
    "#define COPY(to, from, n) asm volatile(\"cp.async.ca.shared.global [%0], [%1], %2;\" ::\\\n"
    "  \"r\"((unsigned)__cvta_generic_to_shared(to)), \"l\"(from), \"n\"(n) : \"memory\")\n"
    "#define COMMIT() asm volatile(\"cp.async.commit_group;\" ::: \"memory\")\n"
    "#define WAIT(n) asm volatile(\"cp.async.wait_group %0;\" :: \"n\"(n) : \"memory\")\n"
    "__global__ void pipeline(const float *x, float *y, long long early) { __shared__ float t[2][32]; int i = "
    "threadIdx.x;\n"
    "  float s = 0; COPY(&t[0][i], x + i, 4); COMMIT();\n"
    "  for (int k = 0; k < 8; k++) { if (k + 1 < 8) { COPY(&t[(k + 1) & 1][i], x + (k + 1) * 32 + i, 4); } COMMIT();\n"
    "    if (!early) WAIT(1); __syncthreads(); s += t[k & 1][31 - i]; __syncthreads(); } y[i] = s; }\n"
    "__global__ void wide(const float *x, float *y, long long n) { __shared__ __align__(16) float t[128]; int i = "
    "threadIdx.x;\n"
    "  asm volatile(\"cp.async.cg.shared.global [%0], [%1], 16, %2;\" :: \"r\"((unsigned)__cvta_generic_to_shared(t + "
    "4 * i)),\n"
    "  \"l\"(x + 4 * i), \"r\"((int)n)); asm volatile(\"cp.async.wait_all;\" ::: \"memory\"); __syncthreads();\n"
    "  for (int k = 0; k < 4; k++) y[4 * i + k] = t[4 * i + k]; }\n"
    "#endif\n"
    "}\n";

static void check_shuffles(SimModule *module, int compute) {
  enum { N = 32 };
  int x[N], y[10 * N];
  for (int i = 0; i < N; i++) x[i] = 3 * i + 1;
  uint64_t dx = buffer(x, sizeof x), dy = buffer(NULL, sizeof y);
  RUN(module, "shuffles", 1, N, 0, dx, dy);
  fetch(dy, y, sizeof y);
  for (int i = 0; i < N; i++) {
    const int *o = y + 10 * i;
    CHECK(o[0] == x[i ^ 5] && o[1] == x[i < 3 ? i : i - 3] && o[2] == x[i + 3 > 31 ? i : i + 3], "lane %d", i);
    CHECK(o[3] == x[(i + 7) % 32] && o[4] == x[i / 8 * 8 + 3] && o[5] == x[i % 16 < 2 ? i : i - 2], "lane %d", i);
    CHECK(o[6] == x[i % 8 + 5 > 7 ? i : i + 5] && o[7] == x[i ^ 9], "lane %d", i);
    CHECK(o[8] == x[i ^ 1] << 20 && o[9] == (int)(x[i == 31 ? 31 : i + 1] * 0.5), "lane %d: %d %d", i, o[8], o[9]);
  }
  RUN(module, "halves", 1, N, 0, dx, dy);
  fetch(dy, y, 4 * N);
  for (int i = 0; i < N; i++) CHECK(y[i] == x[i ^ (i % 2 ? 2 : 4)], "halves %d: %d", i, y[i]);
  for (int i = 0; i < N; i++) x[i] = i;
  char why[200];
  memcpy(sim_memory_range(dx, sizeof x, SIM_WRITE, why, sizeof why), x, sizeof x);
  RUN(module, "votes", 1, N, 0, dx, dy);
  fetch(dy, y, 32 * N);
  for (int i = 0; i < N; i++) {
    const int *o = y + 8 * i;
    unsigned same = 0;
    for (int k = 0; k < N; k++) same |= (unsigned)(k % 3 == i % 3) << k;
    CHECK(o[0] == (int)0xaaaaaaaa && o[1] == 1 && o[2] == 1 && o[3] == 0 && o[4] == (int)same, "lane %d", i);
    CHECK(o[5] == -1 && o[6] == 1 && o[7] == 0, "match_all %d: %d %d %d", i, o[5], o[6], o[7]);
  }
  if (compute >= 80) {
    RUN(module, "reduces", 1, N, 0, dx, dy);
    fetch(dy, y, 32 * N);
    for (int i = 0; i < N; i++) {
      const int *o = y + 8 * i;
      CHECK(o[0] == 496 && o[1] == -9 && o[2] == 22 && o[3] == 64 && o[4] == 31 && o[5] == 0, "lane %d", i);
      CHECK(o[6] == 0 && o[7] == -1, "unsigned: %d %d", o[6], o[7]);
    }
  }
  RUN(module, "ended", 1, N, 0, dx, dy);
  fetch(dy, y, 80);
  for (int i = 0; i < 20; i++) CHECK(y[i] == 0xfffff + 19, "ended %d: 0x%x", i, (unsigned)y[i]);
  sim_memory_free(dx);
  sim_memory_free(dy);
}

static void check_barriers(SimModule *module, int compute) {
  enum { N = 128 };
  int x[N], y[3 * N];
  for (int i = 0; i < N; i++) x[i] = i * i % 11;
  uint64_t dx = buffer(x, sizeof x), dy = buffer(NULL, sizeof y);
  RUN(module, "active", 1, 32, 0, dy);
  fetch(dy, y, 128);
  for (int i = 0; i < 32; i++) CHECK(y[i] == (i % 3 ? 0 : 0x49249249), "active %d: 0x%x", i, (unsigned)y[i]);
  RUN(module, "counted", 1, N, 0, dx, dy);
  fetch(dy, y, sizeof y);
  int odd = 0;
  for (int i = 0; i < N; i++) odd += x[i] & 1;
  for (int i = 0; i < N; i++) CHECK(y[3 * i] == odd && y[3 * i + 1] == 1 && y[3 * i + 2] == 0, "counted %d", i);
  RUN(module, "loops", 1, 32, 0, dy);
  fetch(dy, y, 128);
  for (int i = 0; i < 32; i++) CHECK(y[i] == i * (i - 1) / 2, "loops %d: %d", i, y[i]);
  RUN(module, "warps", 1, 128, 0, dy);
  fetch(dy, y, 512);
  for (int i = 0; i < 128; i++) CHECK(y[i] == (i / 32 ^ 1) + 1, "warps %d: %d", i, y[i]);
  if (compute >= 90) {
    RUN(module, "elected", 1, 32, 0, dy);
    fetch(dy, y, 128);
    for (int i = 0; i < 32; i++) CHECK(y[i] == (i == 0), "elected %d: %d", i, y[i]);
  }
  sim_memory_free(dx);
  sim_memory_free(dy);
}

static void check_copies(SimModule *module) {
  float x[256], y[128];
  for (int i = 0; i < 256; i++) x[i] = (float)(i * i % 97);
  uint64_t dx = buffer(x, sizeof x), dy = buffer(NULL, sizeof y);
  RUN(module, "pipeline", 1, 32, 0, dx, dy, 0);
  fetch(dy, y, 128);
  for (int i = 0; i < 32; i++) {
    float sum = 0;
    for (int k = 0; k < 8; k++) sum += x[32 * k + 31 - i];
    CHECK(y[i] == sum, "pipeline %d: %g, not %g", i, (double)y[i], (double)sum);
  }
  FAULTS(SIM_RACE, "cp.async", module, "pipeline", 1, 32, 0, dx, dy, 1);
  RUN(module, "wide", 1, 32, 0, dx, dy, 12);
  fetch(dy, y, 512);
  for (int i = 0; i < 128; i++) CHECK(y[i] == (i % 4 == 3 ? 0 : x[i]), "wide %d: %g", i, (double)y[i]);
  FAULTS(SIM_BAD_ADDRESS, "cp.async of 16 bytes from a source of 20", module, "wide", 1, 32, 0, dx, dy, 20);
  FAULTS(SIM_BAD_ADDRESS, "past an allocation", module, "wide", 1, 32, 0, dx + 640, dy, 16);
  sim_memory_free(dx);
  sim_memory_free(dy);
}

static char *source_for(int compute) {
  (void)compute;
  return strdup(source);
}

static void check(SimModule *module, int compute) {
  for (SimOrder order = SIM_FORWARDS; order <= SIM_SHUFFLED; order++) {
    set_order(order);
    check_shuffles(module, compute);
    check_barriers(module, compute);
    if (compute >= 80) check_copies(module);
  }
}

int main(void) { return test_architectures("ptx warp", source_for, check); }
