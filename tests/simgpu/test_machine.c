// Kernels of CUDA C on the machine: they compute what they should in every order of threads and blocks, and each kind
// of fault is found and told with its place.
#include "tests/simgpu/sim_case.h"

static const char *const source =
    "struct Pair { int n; float v[8]; };\n"
    "__device__ int counter = 5; __constant__ float table[4] = {1, 2, 3, 4}; __device__ const char *text = \"abc\";\n"
    "__device__ __noinline__ float helper(const float *p, int n) {\n"
    "  float s = 0; for (int i = 0; i < n; i++) s += p[i]; __syncthreads(); return s; }\n"
    "extern \"C\" {\n"
    "__global__ void axpy(const float *x, float *y, long long n) {\n"
    "  long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; if (i < n) y[i] += 2 * x[i]; }\n"
    "__global__ void turn(const float *x, float *y) {\n"
    "  __shared__ float tile[64]; int i = threadIdx.x; tile[i] = x[i]; __syncthreads(); y[i] = tile[63 - i]; }\n"
    "__global__ void sum(const float *x, float *y, long long n) {\n"
    "  __shared__ float part[32]; float s = 0; for (int i = threadIdx.x; i < n; i += blockDim.x) s += x[i];\n"
    "  for (int o = 16; o; o >>= 1) s += __shfl_xor_sync(~0u, s, o);\n"
    "  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = s; __syncthreads();\n"
    "  if (threadIdx.x == 0) { float t = 0; for (int i = 0; i < blockDim.x / 32; i++) t += part[i]; *y = t; } }\n"
    "__global__ void globals(float *y) { y[threadIdx.x] = table[threadIdx.x & 3] + counter + text[1]; }\n"
    "__global__ void dynamic(int *y) { extern __shared__ int d[]; d[threadIdx.x] = threadIdx.x * 3; __syncthreads();\n"
    "  y[threadIdx.x] = d[threadIdx.x ^ 1]; }\n"
    "__global__ void called(const float *x, float *y) { y[threadIdx.x] = helper(x, threadIdx.x) + 1; }\n"
    "__global__ void by_value(Pair p, float *y, long long i) { y[threadIdx.x] = p.v[(p.n + threadIdx.x + i) & 7]; }\n"
    "__global__ void switched(const int *x, int *y) { int i = threadIdx.x, v = 0; switch (x[i]) {\n"
    "  case 0: v = 7; break; case 1: v = i * i; break; case 2: v = i + 100; break; case 3: v = i ^ 5; break;\n"
    "  case 4: v = -i; break; case 5: v = i * 77 % 13; break; default: v = 1; } y[i] = v; }\n"
    "__global__ void counts(unsigned *a, int *b) { atomicInc(a, 9); atomicAdd(b, 2); atomicMax(b + 1, threadIdx.x); }\n"
    "__global__ void local(const int *x, int *y) { int q[8]; for (int i = 0; i < 8; i++) q[i] = x[i] + i;\n"
    "  y[threadIdx.x] = q[x[threadIdx.x & 7] & 7]; }\n"
    "__global__ void printing(long long n) { if (threadIdx.x == 0) printf(\"%s has %d and %.2f, %lld\\n\", \"it\", 7, "
    "2.5,\n"
    "  n); }\n"
    // faults
    "__global__ void past(float *y, long long i) { y[i] = 1; }\n"
    "__global__ void load_from(const float *x, float *y, long long i) { y[0] = x[i]; }\n"
    "__global__ void misaligned(float *y) { *(float *)((char *)y + 2) = 1; }\n"
    "__global__ void vector(float *y) { *(float4 *)(y + 1) = make_float4(1, 2, 3, 4); }\n"
    "__global__ void tile_past(float *y, long long i) { __shared__ float t[64]; t[threadIdx.x + i] = 1; "
    "__syncthreads();\n"
    "  y[threadIdx.x] = t[threadIdx.x]; }\n"
    "__global__ void tile_unset(float *y) { __shared__ float t[64]; if (threadIdx.x) t[threadIdx.x] = 1;\n"
    "  __syncthreads(); y[threadIdx.x] = t[threadIdx.x]; }\n"
    "__global__ void dynamic_past(int *y) { extern __shared__ int d[]; d[threadIdx.x + 1] = 1; y[threadIdx.x] = "
    "d[threadIdx.x + 1]; }\n"
    "__global__ void half_barrier(float *y) { if (threadIdx.x < 16) __syncthreads(); y[threadIdx.x] = 1; }\n"
    "__global__ void two_barriers(float *y, long long i) { if (threadIdx.x < i) { y[0] = 1; __syncthreads(); } else {\n"
    "  y[1] = 2; __syncthreads(); } y[threadIdx.x] = 1; }\n"
    "__global__ void bad_mask(float *y) { if (threadIdx.x < 16) y[threadIdx.x] = __shfl_xor_sync(~0u, 1.0f, 1); }\n"
    "__global__ void not_named(float *y) { y[threadIdx.x] = __shfl_xor_sync(0xffff, 1.0f, 1); }\n"
    "__global__ void bad_lane(float *y) { if (threadIdx.x < 16) y[threadIdx.x] = __shfl_sync(0xffff, 1.0f, 20); }\n"
    "__global__ void endless(volatile float *y) { while (y[0] == 0) ; }\n"
    "__global__ void traps(long long n) { if (threadIdx.x == n) __trap(); }\n"
    "__global__ void asserts(long long n) { assert(threadIdx.x != n); }\n"
    "__global__ void __launch_bounds__(64) bounded(float *y) { y[threadIdx.x] = 1; }\n"
    "}\n";

static void check_results(SimModule *module) {
  float x[100], y[100];
  for (int i = 0; i < 100; i++) x[i] = (float)i, y[i] = 1;
  uint64_t dx = buffer(x, sizeof x), dy = buffer(y, sizeof y);
  RUN(module, "axpy", 4, 32, 0, dx, dy, 100);
  fetch(dy, y, sizeof y);
  for (int i = 0; i < 100; i++) CHECK(y[i] == 1 + 2 * x[i], "axpy %d: %g", i, (double)y[i]);
  RUN(module, "turn", 1, 64, 0, dx, dy);
  fetch(dy, y, sizeof y);
  for (int i = 0; i < 64; i++) CHECK(y[i] == 63 - i, "turn %d: %g", i, (double)y[i]);
  RUN(module, "sum", 1, 96, 0, dx, dy, 100);
  fetch(dy, y, 4);
  CHECK(y[0] == 4950, "sum %g", (double)y[0]);
  RUN(module, "globals", 1, 4, 0, dy);
  fetch(dy, y, 16);
  for (int i = 0; i < 4; i++) CHECK(y[i] == i + 1 + 5 + 'b', "globals %d: %g", i, (double)y[i]);
  RUN(module, "called", 1, 8, 0, dx, dy);
  fetch(dy, y, 32);
  for (int i = 0; i < 8; i++) CHECK(y[i] == i * (i - 1) / 2 + 1, "called %d: %g", i, (double)y[i]);
  RUN(module, "bounded", 1, 64, 0, dy);
  sim_memory_free(dx);
  sim_memory_free(dy);
}

static void check_integers(SimModule *module) {
  int x[64], y[64];
  for (int i = 0; i < 64; i++) x[i] = i % 7;
  uint64_t dx = buffer(x, sizeof x), dy = buffer(x, sizeof x);
  RUN(module, "switched", 1, 64, 0, dx, dy);
  fetch(dy, y, sizeof y);
  for (int i = 0; i < 64; i++) {
    int want[] = {7, i * i, i + 100, i ^ 5, -i, i * 77 % 13, 1};
    CHECK(y[i] == want[x[i]], "switched %d: %d", i, y[i]);
  }
  RUN(module, "dynamic", 2, 64, 256, dy);
  fetch(dy, y, sizeof y);
  for (int i = 0; i < 64; i++) CHECK(y[i] == 3 * (i ^ 1), "dynamic %d: %d", i, y[i]);
  RUN(module, "local", 1, 8, 0, dx, dy);
  fetch(dy, y, 32);
  for (int i = 0; i < 8; i++) CHECK(y[i] == x[x[i] & 7] + (x[i] & 7), "local %d: %d", i, y[i]);
  int zero[4] = {0};
  uint64_t dz = buffer(zero, sizeof zero);
  RUN(module, "counts", 3, 37, 0, dz, dz + 4);
  fetch(dz, zero, sizeof zero);
  CHECK(zero[0] == 111 % 10 && zero[1] == 222 && zero[2] == 36, "counts: %d %d %d", zero[0], zero[1], zero[2]);
  sim_memory_free(dx);
  sim_memory_free(dy);
  sim_memory_free(dz);
}

// A structure by value with a computed index: parameters as the driver lays them out.
static void check_parameters(SimModule *module) {
  const SimKernel *kernel = sim_module_kernel(module, "by_value");
  struct {
    int n;
    float v[8];
    uint64_t y, i;
  } params = {2, {0, 1, 2, 3, 4, 5, 6, 7}, buffer(NULL, 32), 1};
  SimFault fault;
  SimLaunch launch = {.grid = {1, 1, 1}, .block = {8, 1, 1}, .params = &params};
  float y[8];
  CHECK(kernel->n_params == 3 && kernel->param_size[0] == 36 && kernel->param_offset[1] == 40 &&
            kernel->param_bytes == 56,
        "layout: %u bytes", kernel->param_bytes);
  CHECK(sim_machine_run(kernel, &launch, &fault), "%s", fault.text);
  fetch(params.y, y, sizeof y);
  for (int k = 0; k < 8; k++) CHECK(y[k] == ((k + 3) & 7), "by_value %d: %g", k, (double)y[k]);
  sim_memory_free(params.y);
  uint64_t address, bytes;
  CHECK(sim_module_global(module, "table", 0, &address, &bytes) && bytes == 16, "no table");
  CHECK(fetch(address, y, 16) && y[3] == 4, "table holds %g", (double)y[3]);
  CHECK(!sim_module_global(module, "nothing", 0, &address, &bytes), "a variable that is not");
}

static void check_faults(SimModule *module) {
  float x[64] = {0};
  uint64_t dx = buffer(x, sizeof x), fresh = buffer(NULL, 64), dead = buffer(x, sizeof x), zero = buffer(x, 4);
  sim_memory_free(dead);
  FAULTS(SIM_BAD_ADDRESS, "0 bytes past an allocation of 256 bytes", module, "past", 1, 1, 0, dx, 64);
  FAULTS(SIM_BAD_ADDRESS, "source line", module, "past", 1, 1, 0, dx, -1ull);
  FAULTS(SIM_BAD_ADDRESS, "in memory that was freed", module, "past", 1, 1, 0, dead, 3);
  FAULTS(SIM_BAD_ADDRESS, "in no device's memory", module, "past", 1, 1, 0, (uint64_t)(uintptr_t)x, 0);
  FAULTS(SIM_BAD_ADDRESS, "past an allocation", module, "load_from", 1, 1, 0, dx, dx, 70);
  FAULTS(SIM_UNINITIALISED, "nobody wrote byte 0", module, "load_from", 1, 1, 0, fresh, dx, 3);
  FAULTS(SIM_MISALIGNED, "not aligned", module, "misaligned", 1, 1, 0, dx);
  FAULTS(SIM_MISALIGNED, "not aligned", module, "vector", 1, 1, 0, dx);
  FAULTS(SIM_BAD_ADDRESS, "past the 256 bytes of", module, "tile_past", 1, 64, 0, dx, 1);
  RUN(module, "tile_past", 1, 64, 0, dx, 0);
  FAULTS(SIM_UNINITIALISED, "nobody wrote", module, "tile_unset", 1, 64, 0, dx);
  FAULTS(SIM_BAD_ADDRESS, "past the 128 bytes of dynamic", module, "dynamic_past", 1, 32, 128, dx);
  FAULTS(SIM_BARRIER, "divergent barrier", module, "half_barrier", 1, 32, 0, dx);
  FAULTS(SIM_BARRIER, "divergent barrier", module, "two_barriers", 1, 64, 0, dx, 32);
  FAULTS(SIM_BARRIER, "divergent barrier", module, "two_barriers", 1, 64, 0, dx, 5);
  RUN(module, "two_barriers", 1, 64, 0, dx, 64);
  FAULTS(SIM_BARRIER, "shuffle from lane", module, "bad_lane", 1, 32, 0, dx);
  FAULTS(SIM_BARRIER, "does not name the lane", module, "not_named", 1, 32, 0, dx);
  sim_options.max_steps = 100000;
  FAULTS(SIM_ENDLESS, "endless loop", module, "endless", 1, 32, 0, zero);
  sim_options.max_steps = 1ull << 32;
  FAULTS(SIM_TRAP, "trap by thread (3,0,0)", module, "traps", 1, 32, 0, 3);
  FAULTS(SIM_TRAP, "assertion failed: threadIdx.x != n", module, "asserts", 1, 32, 0, 3);
  FAULTS(SIM_BAD_LAUNCH, "bound is 64", module, "bounded", 1, 65, 0, dx);
  FAULTS(SIM_BAD_LAUNCH, "a dimension is 0", module, "bounded", 0, 64, 0, dx);
  FAULTS(SIM_BAD_LAUNCH, "too large", module, "past", 1, 1025, 0, dx, 0);
  FAULTS(SIM_BAD_LAUNCH, "shared memory", module, "past", 1, 32, 300000, dx, 0);
  sim_memory_free(dx);
  sim_memory_free(fresh);
  sim_memory_free(zero);
}

static void check_memory_faults(void) {
  char why[300];
  uint64_t a = buffer(NULL, 100), start, bytes;
  CHECK(sim_memory_find(a + 99, &start, &bytes) && start == a && bytes == 100, "find");
  CHECK(!sim_memory_find(a + 100, &start, &bytes), "found past the end");
  CHECK(!sim_memory_range(a, 101, SIM_WRITE, why, sizeof why) && strstr(why, "past"), "%s", why);
  CHECK(!sim_memory_range(a, 100, SIM_READ, why, sizeof why) && strstr(why, "never written"), "%s", why);
  CHECK(sim_memory_range(a, 100, SIM_WRITE, why, sizeof why) && sim_memory_range(a, 100, SIM_READ, why, sizeof why),
        "written, then read: %s", why);
  CHECK(!sim_memory_free(a + 4), "freed in the middle");
  CHECK(sim_memory_free(a) && !sim_memory_free(a), "freed twice");
  CHECK(!sim_memory_range(a, 4, SIM_READ, why, sizeof why) && strstr(why, "freed"), "%s", why);
  CHECK(!sim_memory_alloc(0, sim_memory_capacity(0) + 1, &a), "more than there is");
  // Room comes back when there is no other, many times over.
  for (int k = 0; k < 100; k++) {
    CHECK(sim_memory_alloc(0, sim_memory_capacity(0) / 2, &a), "round %d", k);
    sim_memory_free(a);
  }
  CHECK(sim_memory_used(0) == 0 && sim_memory_peak(0) >= sim_memory_capacity(0) / 2, "used %llu",
        (unsigned long long)sim_memory_used(0));
}

// Peers: another device's memory is a fault unless the launch may touch it.
static void check_peers(SimModule *module) {
  uint64_t far;
  char why[200];
  CHECK(sim_memory_alloc(1, 64, &far), "device 1");
  memset(sim_memory_range(far, 64, SIM_WRITE, why, sizeof why), 0, 64);
  SimFault fault;
  uint64_t params[2] = {far, 2};
  SimLaunch launch = {.grid = {1, 1, 1}, .block = {1, 1, 1}, .params = params};
  const SimKernel *kernel = sim_module_kernel(module, "past");
  CHECK(!sim_machine_run(kernel, &launch, &fault) && fault.kind == SIM_BAD_ADDRESS && strstr(fault.text, "no access"),
        "%s", fault.text);
  launch.peers = 2;
  CHECK(sim_machine_run(kernel, &launch, &fault), "%s", fault.text);
  float *there = sim_memory_range(far, 64, SIM_READ, why, sizeof why);
  CHECK(there && there[2] == 1, "nothing arrived");
  sim_memory_free(far);
}

static void check_refusals(void) {
  static const struct {
    const char *body, *words;
  } cases[] = {
      {"bogus.u32 %r0,%r1;", "PTX line 5: this instruction is not known: bogus.u32"},
      {"add.wrong.u32 %r0,%r1,%r1;", "PTX line 5: this form is not known"},
      {"add.u32 %r0,%r1;", "this form is not known"},
      {"add.u32 %r0,%r9,1;", "not known"},
      {"mov.u32 %r0,%tid.q;", "register %tid.q"},
      {"bra NOWHERE;", "label NOWHERE"},
      {"tcgen05.alloc.cta_group::1.sync.aligned.b32 [%r0],32;", "not known"},
      {"ld.global.v3.f32 %r0,[%d0];", "not known"},
      {"cvt.u64.u32 %r0,%r1;", "too narrow"},
  };
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    char ptx[600], why[400] = "";
    snprintf(
        ptx, sizeof ptx,
        ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(){.reg .b32 %%r<4>;.reg .b64 %%d<2>;\n%s\n"
        "ret;}\n",
        cases[k].body);
    SimModule *module = sim_module_load(ptx, why, sizeof why);
    CHECK(!module && strstr(why, cases[k].words), "%s: %s", cases[k].body, why);
    sim_module_unload(module);
  }
  char why[400] = "";
  CHECK(!sim_module_load(".version 8.0\n.target sm_130\n.address_size 64\n", why, sizeof why) && strstr(why, "sm_130"),
        "%s", why);
}

int main(void) {
  static const int computes[] = {75, 80, 90, 100};
  Nvrtc nvrtc;
  sim_memory_open(2, 16 << 20);
  check_memory_faults();
  check_refusals();
  if (!nvrtc_open(&nvrtc)) {
    CHECK_SKIP("no libnvrtc.so: kernels of CUDA C are not tested");
    return check_report("machine");
  }
  for (size_t k = 0; k < sizeof computes / sizeof *computes; k++) {
    char *ptx = ptx_of(&nvrtc, source, computes[k]);
    sim_options.compute = computes[k];
    SimModule *module = load(ptx);
    for (SimOrder order = SIM_FORWARDS; module && order <= SIM_SHUFFLED; order++) {
      sim_options.order = order;
      sim_options.threads = order == SIM_FORWARDS ? 3 : 1;
      sim_optimise_after = order == SIM_BACKWARDS ? 0 : 1e9; // both ways of compiling
      check_results(module);
      check_integers(module);
      check_parameters(module);
      check_faults(module);
      check_peers(module);
    }
    if (k == 0) RUN(module, "printing", 1, 32, 0, 1ull << 40);
    sim_options.order = SIM_FORWARDS;
    sim_module_unload(module);
    free(ptx);
  }
  CHECK(sim_memory_leaks(0) == 0, "%d buffers are left", sim_memory_leaks(0));
  return check_report("machine");
}
