// Races are found, and right programs raise none: barriers, warp barriers, fences with atomics.
#include "tests/simgpu/sim_case.h"

static const char *const source =
    "#define LAST(before, after, count, mid)\\\n"
    "  __shared__ bool last; float s = 0; long long i0 = blockIdx.x * (long long)blockDim.x + threadIdx.x;\\\n"
    "  for (long long i = i0; i < n; i += gridDim.x * blockDim.x) s += x[i];\\\n"
    "  for (int o = 16; o; o >>= 1) s += __shfl_xor_sync(~0u, s, o);\\\n"
    "  if (threadIdx.x % 32 == 0) { part[blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32] = s; before; }\\\n"
    "  mid; if (threadIdx.x == 0) { after; last = count == gridDim.x - 1; } __syncthreads();\\\n"
    "  if (last && threadIdx.x == 0) { float t = 0;\\\n"
    "    for (int i = 0; i < gridDim.x * (blockDim.x / 32); i++) t += part[i]; *y = t; }\n"
    "#define KERNEL(name, ...) __global__ void name(const float *x, float *part, unsigned *counter, float *y, long "
    "long n)"
    " { LAST(__VA_ARGS__) }\n"
    "extern \"C\" {\n"
    // each writer fences; then a barrier; then one atomic
    "KERNEL(each_fences, __threadfence(), , atomicInc(counter, gridDim.x - 1), __syncthreads())\n"
    // a barrier, then one thread fences for all and does the atomic
    "KERNEL(one_fences, , __threadfence(), atomicInc(counter, gridDim.x - 1), __syncthreads())\n"
    "KERNEL(no_fence, , , atomicInc(counter, gridDim.x - 1), __syncthreads())\n"
    "KERNEL(no_barrier, , __threadfence(), atomicInc(counter, gridDim.x - 1), )\n"
    "KERNEL(late_fence, , , ([&] { unsigned v = atomicInc(counter, gridDim.x - 1); __threadfence(); return v; }()),"
    " __syncthreads())\n"
    "KERNEL(block_fence, , __threadfence_block(), atomicInc(counter, gridDim.x - 1), __syncthreads())\n"
    "KERNEL(no_atomic, , __threadfence(), (*counter)++, __syncthreads())\n"
    "__global__ void turn(const float *x, float *y) { __shared__ float t[64]; int i = threadIdx.x; t[i] = x[i];\n"
    "  __syncthreads(); y[i] = t[63 - i]; }\n"
    "__global__ void turn_early(const float *x, float *y) { __shared__ float t[64]; int i = threadIdx.x; t[i] = 0; "
    "__syncthreads(); t[i] = x[i];\n"
    "  y[i] = t[63 - i] + t[i]; }\n"
    "__global__ void twice(const float *x, float *y) { __shared__ float t[64]; int i = threadIdx.x; float s = 0;\n"
    "  for (int k = 0; k < 3; k++) { t[i] = x[i] + k; __syncthreads(); s += t[63 - i]; } y[i] = s; }\n"
    "__global__ void twice_right(const float *x, float *y) { __shared__ float t[64]; int i = threadIdx.x; float s = "
    "0;\n"
    "  for (int k = 0; k < 3; k++) { t[i] = x[i] + k; __syncthreads(); s += t[63 - i]; __syncthreads(); } y[i] = s; }\n"
    "__global__ void in_warp(const float *x, float *y) { __shared__ float t[64]; int i = threadIdx.x; t[i] = x[i];\n"
    "  __syncwarp(); y[i] = t[i ^ 1]; }\n"
    "__global__ void in_warp_bare(const float *x, float *y) { __shared__ float t[64]; int i = threadIdx.x;\n"
    "  t[i] = 0; __syncthreads(); t[i] = x[i];\n"
    "  y[i] = t[i ^ 1]; }\n"
    "__global__ void across_warps(const float *x, float *y) { __shared__ float t[64]; int i = threadIdx.x;\n"
    "  t[i] = 0; __syncthreads(); t[i] = x[i];\n"
    "  __syncwarp(); y[i] = t[i ^ 32]; }\n"
    "__global__ void neighbours(const float *x, float *y) { __shared__ unsigned char t[64]; int i = threadIdx.x;\n"
    "  ((unsigned char *)y)[i] = t[i] = (unsigned char)x[i]; ((unsigned short *)y)[32 + i] = i; }\n"
    "__global__ void all_write(float *y) { y[threadIdx.x / 2] = 1; }\n"
    "__global__ void blocks_write(float *y) { if (threadIdx.x == 0) y[blockIdx.x / 2] = 1; }\n"
    "__global__ void blocks_read(float *y) { if (threadIdx.x == 0) y[blockIdx.x] = y[blockIdx.x ^ 1]; }\n"
    "__global__ void global_turn(float *y) { y[64 + threadIdx.x] = 1; __syncthreads(); y[threadIdx.x] = y[127 - "
    "threadIdx.x];\n"
    "}\n"
    "__global__ void global_turn_early(float *y) { y[64 + threadIdx.x] = 1; y[threadIdx.x] = y[127 - threadIdx.x]; }\n"
    "__global__ void atomics(int *y) { atomicAdd(y, 1); __syncthreads(); }\n"
    "__global__ void atomic_and_read(int *y) { atomicAdd(y, 1); if (threadIdx.x == 5) y[1] = y[0]; }\n"
    "__global__ void flag(volatile int *f, int *data) { if (blockIdx.x == 0) { data[threadIdx.x] = 7; "
    "__threadfence();\n"
    "  __syncthreads(); if (threadIdx.x == 0) f[0] = 1; } else { if (threadIdx.x == 0) while (f[0] == 0) ;\n"
    "  __syncthreads(); data[32 + threadIdx.x] = data[threadIdx.x ^ 1]; } }\n"
    "__global__ void named(const float *x, float *y) { __shared__ float t[64]; int i = threadIdx.x;\n"
    "  if (i < 64) { t[i] = x[i]; asm volatile(\"bar.sync 1, "
    "64;\" ::: \"memory\"); y[i] = t[63 - i]; } "
    "__syncthreads(); }\n"
    "__global__ void handed(const float *x, float *y) { __shared__ float t[32]; int i = threadIdx.x;\n"
    "  if (i < 32) { t[i] = x[i]; asm volatile(\"bar.arrive 2, 64;\" ::: \"memory\"); }\n"
    "  else { asm volatile(\"bar.sync 2, 64;\" ::: \"memory\"); y[i] = t[63 - i]; } }\n"
    "__global__ void handed_back(const float *x, float *y) { __shared__ float t[32]; int i = threadIdx.x;\n"
    "  if (i < 32) { t[i] = x[i]; asm volatile(\"bar.arrive 2, 64;\" ::: \"memory\"); t[i] = 0; }\n"
    "  else { asm volatile(\"bar.sync 2, 64;\" ::: \"memory\"); y[i] = t[63 - i]; } }\n"
    "}\n";

static void check_last_block(SimModule *module) {
  float x[1000];
  for (int i = 0; i < 1000; i++) x[i] = 1;
  unsigned zero = 0;
  uint64_t dx = buffer(x, sizeof x), part = buffer(x, sizeof x), counter = buffer(&zero, 4), y = buffer(NULL, 4);
  static const char *const right[] = {"each_fences", "one_fences"};
  static const char *const wrong[] = {"no_fence", "no_barrier", "late_fence", "block_fence", "no_atomic"};
  for (int k = 0; k < 2; k++) {
    float sum = 0;
    RUN(module, right[k], 5, 96, 0, dx, part, counter, y, 1000);
    RUN(module, right[k], 5, 96, 0, dx, part, counter, y, 1000);
    fetch(y, &sum, 4);
    CHECK(sum == 1000, "%s: %g", right[k], (double)sum);
  }
  for (int k = 0; k < 5; k++) {
    char why[200];
    memset(sim_memory_range(counter, 4, SIM_WRITE, why, sizeof why), 0, 4);
    FAULTS(SIM_RACE, "nothing orders", module, wrong[k], 5, 96, 0, dx, part, counter, y, 1000);
  }
  sim_memory_free(dx);
  sim_memory_free(part);
  sim_memory_free(counter);
  sim_memory_free(y);
}

static void check_blocks(SimModule *module) {
  float x[256] = {0};
  uint64_t dx = buffer(x, sizeof x), y = buffer(x, sizeof x);
  static const char *const right[] = {"turn", "twice_right", "in_warp", "neighbours", "handed"};
  static const char *const wrong[] = {"turn_early", "twice", "in_warp_bare", "across_warps", "handed_back"};
  for (int k = 0; k < 5; k++) {
    RUN(module, right[k], 1, 64, 0, dx, y);
    FAULTS(SIM_RACE, "nothing orders", module, wrong[k], 1, 64, 0, dx, y);
  }
  RUN(module, "named", 1, 96, 0, dx, y);
  FAULTS(SIM_RACE, "by thread (", module, "all_write", 1, 64, 0, y);
  FAULTS(SIM_RACE, "of block (", module, "blocks_write", 4, 32, 0, y);
  FAULTS(SIM_RACE, "source line", module, "blocks_read", 4, 32, 0, y);
  RUN(module, "global_turn", 1, 64, 0, y);
  FAULTS(SIM_RACE, "nothing orders", module, "global_turn_early", 1, 64, 0, y);
  RUN(module, "atomics", 3, 64, 0, y);
  FAULTS(SIM_RACE, "atomic", module, "atomic_and_read", 1, 64, 0, y);
  sim_memory_free(dx);
  sim_memory_free(y);
  if (sim_options.order != SIM_FORWARDS) return; // the second block waits for the first
  int zero[64] = {0};
  uint64_t f = buffer(zero, 4), data = buffer(zero, sizeof zero);
  RUN(module, "flag", 2, 32, 0, f, data);
  sim_memory_free(f);
  sim_memory_free(data);
}

int main(void) {
  static const int computes[] = {75, 90, 100};
  Nvrtc nvrtc;
  sim_memory_open(1, 16 << 20);
  if (!nvrtc_open(&nvrtc)) {
    CHECK_SKIP("no libnvrtc.so: races are not tested");
    return check_report("races");
  }
  sim_options.finds_races = true;
  for (size_t k = 0; k < sizeof computes / sizeof *computes; k++) {
    char *ptx = ptx_of(&nvrtc, source, computes[k]);
    sim_options.compute = computes[k];
    SimModule *module = load(ptx);
    for (SimOrder order = SIM_FORWARDS; module && order <= SIM_SHUFFLED; order++) {
      sim_options.order = order;
      sim_options.seed = k;
      check_last_block(module);
      check_blocks(module);
    }
    sim_module_unload(module);
    free(ptx);
  }
  CHECK(sim_memory_leaks(0) == 0, "%d buffers are left", sim_memory_leaks(0));
  return check_report("races");
}
