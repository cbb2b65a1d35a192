// Counters against counts by hand: requests, sectors, bank conflicts, DRAM bytes, floating-point operations.
#include "tests/simgpu/sim_case.h"

static const char *const source =
    "extern \"C\" {\n"
    "__global__ void strided(const float *x, float *y, long long step) { y[threadIdx.x] = x[threadIdx.x * step] * 2 + "
    "1; }\n"
    "__global__ void same(const float *x, float *y) { y[blockIdx.x * 32 + threadIdx.x] = x[0]; }\n"
    "__global__ void wide(const float4 *x, float4 *y) { y[threadIdx.x] = x[threadIdx.x]; }\n"
    "__global__ void banks(float *y, long long step) { extern __shared__ float s[]; s[threadIdx.x * step] = 1;\n"
    "  __syncthreads(); y[threadIdx.x] = s[threadIdx.x * step]; }\n"
    "__global__ void banks4(float *y) { __shared__ float4 s[32]; s[threadIdx.x] = make_float4(1, 2, 3, 4);\n"
    "  __syncthreads(); y[threadIdx.x] = s[threadIdx.x ^ 1].x; }\n"
    "__global__ void looped(const float *x, float *y, long long n) { float s = 0; if (threadIdx.x < 8)\n"
    "#pragma unroll 1\n"
    "  for (int i = 0; i < n; i++) s = fmaf(x[i * 8 + threadIdx.x], 3.0f, s); y[threadIdx.x] = s; }\n"
    "}\n";

static void expect(const char *title, uint64_t requests, uint64_t sectors, uint64_t ideal, uint64_t read,
                   uint64_t written) {
  const SimCounters *c = sim_machine_counters();
  CHECK(c->requests == requests && c->sectors == sectors && c->ideal_sectors == ideal,
        "%s: %llu requests, %llu sectors, %llu ideal", title, (unsigned long long)c->requests,
        (unsigned long long)c->sectors, (unsigned long long)c->ideal_sectors);
  CHECK(c->dram_read == read && c->dram_written == written, "%s: read %llu, written %llu", title,
        (unsigned long long)c->dram_read, (unsigned long long)c->dram_written);
}

static void expect_shared(const char *title, uint64_t requests, uint64_t waves) {
  const SimCounters *c = sim_machine_counters();
  CHECK(c->shared_requests == requests && c->shared_waves == waves, "%s: %llu requests, %llu waves", title,
        (unsigned long long)c->shared_requests, (unsigned long long)c->shared_waves);
}

int main(void) {
  Nvrtc nvrtc;
  sim_memory_open(1, 16 << 20);
  if (!nvrtc_open(&nvrtc)) {
    CHECK_SKIP("no libnvrtc.so: counters are not tested");
    return check_report("counts");
  }
  static float zero[4096];
  sim_options.counts = true;
  for (int compute = 75; compute <= 100; compute += 25) {
    char *ptx = ptx_of(&nvrtc, source, compute);
    sim_options.compute = compute;
    SimModule *module = load(ptx);
    uint64_t x = buffer(zero, sizeof zero), y = buffer(zero, sizeof zero);
    for (SimOrder order = SIM_FORWARDS; module && order <= SIM_SHUFFLED; order++) {
      sim_options.order = order;
      // One warp reads and writes 128 bytes each: 4 sectors, as good as can be.
      RUN(module, "strided", 1, 32, 0, x, y, 1);
      expect("step 1", 2, 8, 8, 128, 128);
      CHECK(sim_machine_counters()->flops == 64, "%llu flops", (unsigned long long)sim_machine_counters()->flops);
      CHECK(sim_machine_counters()->instructions >= 32 * 8, "%llu instructions",
            (unsigned long long)sim_machine_counters()->instructions);
      RUN(module, "strided", 1, 32, 0, x, y, 8);
      expect("step 8", 2, 36, 8, 1024, 128);
      RUN(module, "strided", 1, 32, 0, x + 4, y, 1);
      expect("shifted", 2, 9, 8, 160, 128);
      RUN(module, "strided", 1, 20, 0, x, y, 1);
      expect("20 lanes", 2, 6, 6, 96, 96);
      RUN(module, "same", 4, 32, 0, x, y);
      expect("the same word", 8, 20, 20, 32, 512);
      RUN(module, "wide", 1, 64, 0, x, y);
      expect("16 bytes a lane", 4, 64, 64, 1024, 1024);
      RUN(module, "looped", 1, 32, 0, x, y, 10);
      expect("8 lanes, 10 times", 11, 14, 14, 320, 128);
      CHECK(sim_machine_counters()->flops == 160, "%llu flops", (unsigned long long)sim_machine_counters()->flops);
      RUN(module, "banks", 1, 32, 32 * 4 * 33, y, 1);
      expect_shared("step 1", 2, 2);
      RUN(module, "banks", 1, 32, 32 * 4 * 33, y, 2);
      expect_shared("step 2", 2, 4);
      RUN(module, "banks", 1, 32, 32 * 4 * 33, y, 32);
      expect_shared("step 32", 2, 64);
      RUN(module, "banks", 1, 64, 64 * 4 * 33, y, 33);
      expect_shared("step 33", 4, 4);
      RUN(module, "banks4", 1, 32, 0, y);
      expect_shared("float4", 4 + 1, 4 + 4);
    }
    sim_memory_free(x);
    sim_memory_free(y);
    sim_module_unload(module);
    free(ptx);
  }
  return check_report("counts");
}
