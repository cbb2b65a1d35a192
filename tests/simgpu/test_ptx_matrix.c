// Matrix instructions against plain products: mma of every shape with the fragment layouts of the PTX manual written
// out in the kernel, wmma through mma.h, ldmatrix and stmatrix.
#include "tests/simgpu/sim_case.h"

// A kernel for each shape: lane (g, t) fetches its elements from row-major A (m x k) and column-major B (k x n).
static const char *const source =
    "#include <cuda_fp16.h>\n#include <cuda_bf16.h>\n#include <mma.h>\n"
    "using namespace nvcuda;\n"
    "#define LANE int l = threadIdx.x, g = l >> 2, t = l & 3\n"
    "__device__ unsigned h2(const float *p) { __half2 v = __floats2half2_rn(p[0], p[1]); return *(unsigned *)&v; }\n"
    "#define PUT(n) y[g * n + 2 * t] = d[0], y[g * n + 2 * t + 1] = d[1]; y[(g + 8) * n + 2 * t] = d[2], "
    "y[(g + 8) * n + 2 * t + 1] = d[3]\n"
    "extern \"C\" {\n"
    "#define ONES float d[4] = {1, 1, 1, 1}\n"
    "#define D4 \"+f\"(d[0]), \"+f\"(d[1]), \"+f\"(d[2]), \"+f\"(d[3])\n"
    "__global__ void f16_8(const float *a, const float *b, float *y) { LANE; ONES;\n"
    "  asm volatile(\"mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3},{%4,%5},{%6},{%0,%1,%2,%3};\" : "
    "D4 :\n"
    "    \"r\"(h2(a + g * 8 + 2 * t)), \"r\"(h2(a + (g + 8) * 8 + 2 * t)), \"r\"(h2(b + g * 8 + 2 * t))); PUT(8); }\n"
    "#if __CUDA_ARCH__ >= 800\n"
    "__device__ unsigned tf(float p) { unsigned r; asm(\"cvt.rna.tf32.f32 %0, %1;\" : \"=r\"(r) : \"f\"(p)); return r; "
    "}\n"
    "__device__ unsigned bf(const float *p) { __nv_bfloat162 v = __floats2bfloat162_rn(p[0], p[1]);\n"
    "  return *(unsigned *)&v; }\n"
    "__device__ unsigned s8(const float *p) { return (unsigned char)(int)p[0] | (unsigned char)(int)p[1] << 8 |\n"
    "  (unsigned char)(int)p[2] << 16 | (unsigned)(unsigned char)(int)p[3] << 24; }\n"
    "__global__ void f16_16(const float *a, const float *b, float *y) { LANE; ONES;\n"
    "  asm volatile(\"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
    "{%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};\"\n"
    "    : D4 : \"r\"(h2(a + g * 16 + 2 * t)), \"r\"(h2(a + (g + 8) * 16 + 2 * t)), \"r\"(h2(a + g * 16 + 2 * t + "
    "8)),\n"
    "    \"r\"(h2(a + (g + 8) * 16 + 2 * t + 8)), \"r\"(h2(b + g * 16 + 2 * t)), \"r\"(h2(b + g * 16 + 2 * t + 8))); "
    "PUT(8); }\n"
    "__global__ void half_16(const float *a, const float *b, float *y) { LANE; unsigned c[2] = {0x3c003c00, "
    "0x3c003c00};\n"
    "  asm volatile(\"mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%0,%1},{%2,%3,%4,%5},{%6,%7},{%0,%1};\"\n"
    "    : \"+r\"(c[0]), \"+r\"(c[1]) : \"r\"(h2(a + g * 16 + 2 * t)), \"r\"(h2(a + (g + 8) * 16 + 2 * t)),\n"
    "    \"r\"(h2(a + g * 16 + 2 * t + 8)), \"r\"(h2(a + (g + 8) * 16 + 2 * t + 8)), \"r\"(h2(b + g * 16 + 2 * t)),\n"
    "    \"r\"(h2(b + g * 16 + 2 * t + 8))); float2 u = __half22float2(*(__half2 *)&c[0]), v = "
    "__half22float2(*(__half2 *)&c[1]);\n"
    "  float d[4] = {u.x, u.y, v.x, v.y}; PUT(8); }\n"
    "__global__ void bf16_8(const float *a, const float *b, float *y) { LANE; ONES;\n"
    "  asm volatile(\"mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5},{%6},{%0,%1,%2,%3};\" : "
    "D4 :\n"
    "    \"r\"(bf(a + g * 8 + 2 * t)), \"r\"(bf(a + (g + 8) * 8 + 2 * t)), \"r\"(bf(b + g * 8 + 2 * t))); PUT(8); }\n"
    "__global__ void bf16_16(const float *a, const float *b, float *y) { LANE; ONES;\n"
    "  asm volatile(\"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},\"\n"
    "    \"{%0,%1,%2,%3};\" : D4 : \"r\"(bf(a + g * 16 + 2 * t)), \"r\"(bf(a + (g + 8) * 16 + 2 * t)),\n"
    "    \"r\"(bf(a + g * 16 + 2 * t + 8)), \"r\"(bf(a + (g + 8) * 16 + 2 * t + 8)), \"r\"(bf(b + g * 16 + 2 * t)),\n"
    "    \"r\"(bf(b + g * 16 + 2 * t + 8))); PUT(8); }\n"
    "__global__ void tf32_4(const float *a, const float *b, float *y) { LANE; ONES;\n"
    "  asm volatile(\"mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3},{%4,%5},{%6},{%0,%1,%2,%3};\" : "
    "D4 :\n"
    "    \"r\"(tf(a[g * 4 + t])), \"r\"(tf(a[(g + 8) * 4 + t])), \"r\"(tf(b[g * 4 + t]))); PUT(8); }\n"
    "__global__ void tf32_8(const float *a, const float *b, float *y) { LANE; ONES;\n"
    "  asm volatile(\"mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
    "{%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};\"\n"
    "    : D4 : \"r\"(tf(a[g * 8 + t])), \"r\"(tf(a[(g + 8) * 8 + t])), \"r\"(tf(a[g * 8 + t + 4])),\n"
    "    \"r\"(tf(a[(g + 8) * 8 + t + 4])), \"r\"(tf(b[g * 8 + t])), \"r\"(tf(b[g * 8 + t + 4]))); PUT(8); }\n"
    "__global__ void s8_32(const float *a, const float *b, float *y) { LANE; int c[4] = {1, 1, 1, 1};\n"
    "  asm volatile(\"mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
    "{%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};\"\n"
    "    : \"+r\"(c[0]), \"+r\"(c[1]), \"+r\"(c[2]), \"+r\"(c[3]) : \"r\"(s8(a + g * 32 + 4 * t)),\n"
    "    \"r\"(s8(a + (g + 8) * 32 + 4 * t)), \"r\"(s8(a + g * 32 + 4 * t + 16)), \"r\"(s8(a + (g + 8) * 32 + 4 * t + "
    "16)),\n"
    "    \"r\"(s8(b + g * 32 + 4 * t)), \"r\"(s8(b + g * 32 + 4 * t + 16)));\n"
    "  float d[4] = {(float)c[0], (float)c[1], (float)c[2], (float)c[3]}; PUT(8); }\n"
    "__global__ void f64_4(const float *a, const float *b, float *y) { LANE; double d[2] = {1, 1};\n"
    "  asm volatile(\"mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0,%1},{%2},{%3},{%0,%1};\" : \"+d\"(d[0]), "
    "\"+d\"(d[1])\n"
    "    : \"d\"((double)a[g * 4 + t]), \"d\"((double)b[g * 4 + t])); y[g * 8 + 2 * t] = d[0]; y[g * 8 + 2 * t + 1] = "
    "d[1]; }\n"
    "__global__ void wmma_tf32(const float *a, const float *b, float *y) {\n"
    "  wmma::fragment<wmma::matrix_a, 16, 16, 8, wmma::precision::tf32, wmma::row_major> fa;\n"
    "  wmma::fragment<wmma::matrix_b, 16, 16, 8, wmma::precision::tf32, wmma::col_major> fb;\n"
    "  wmma::fragment<wmma::accumulator, 16, 16, 8, float> fc; wmma::fill_fragment(fc, 1.0f);\n"
    "  wmma::load_matrix_sync(fa, a, 8); wmma::load_matrix_sync(fb, b, 8);\n"
    "  for (int i = 0; i < fa.num_elements; i++) fa.x[i] = wmma::__float_to_tf32(fa.x[i]);\n"
    "  for (int i = 0; i < fb.num_elements; i++) fb.x[i] = wmma::__float_to_tf32(fb.x[i]);\n"
    "  wmma::mma_sync(fc, fa, fb, fc); wmma::store_matrix_sync(y, fc, 16, wmma::mem_row_major); }\n"
    "__global__ void wmma_bf16(const float *a, const float *b, float *y) { __shared__ __nv_bfloat16 s[2][256];\n"
    "  for (int i = threadIdx.x; i < 256; i += 32) s[0][i] = __float2bfloat16(a[i]), s[1][i] = "
    "__float2bfloat16(b[i]);\n"
    "  __syncthreads(); wmma::fragment<wmma::matrix_a, 16, 16, 16, __nv_bfloat16, wmma::row_major> fa;\n"
    "  wmma::fragment<wmma::matrix_b, 16, 16, 16, __nv_bfloat16, wmma::col_major> fb;\n"
    "  wmma::fragment<wmma::accumulator, 16, 16, 16, float> fc; wmma::fill_fragment(fc, 1.0f);\n"
    "  wmma::load_matrix_sync(fa, s[0], 16); wmma::load_matrix_sync(fb, s[1], 16);\n"
    "  wmma::mma_sync(fc, fa, fb, fc); wmma::store_matrix_sync(y, fc, 16, wmma::mem_row_major); }\n"
    "#endif\n"
    "__global__ void wmma_half(const float *a, const float *b, float *y) { __shared__ __half s[2][256];\n"
    "  __shared__ float c[256]; for (int i = threadIdx.x; i < 256; i += 32) s[0][i] = a[i], s[1][i] = b[i];\n"
    "  __syncthreads(); wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> fa;\n"
    "  wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::col_major> fb;\n"
    "  wmma::fragment<wmma::accumulator, 16, 16, 16, float> fc; wmma::fill_fragment(fc, 0.5f);\n"
    "  wmma::load_matrix_sync(fa, s[0], 16); wmma::load_matrix_sync(fb, s[1], 16);\n"
    "  for (int i = 0; i < fc.num_elements; i++) fc.x[i] *= 2; wmma::mma_sync(fc, fa, fb, fc);\n"
    "  wmma::store_matrix_sync(c, fc, 16, wmma::mem_col_major); __syncthreads();\n"
    "  for (int i = threadIdx.x; i < 256; i += 32) y[i] = c[i % 16 * 16 + i / 16]; }\n"
    "__global__ void rows(float *y, long long trans) { __shared__ __align__(16) __half s[4][64]; int l = threadIdx.x;\n"
    "  for (int i = l; i < 256; i += 32) s[i / 64][i % 64] = (float)i; __syncwarp(); unsigned r[4];\n"
    "  unsigned at = (unsigned)__cvta_generic_to_shared(&s[l / 8][l % 8 * 8]);\n"
    "  if (trans) asm volatile(\"ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3},[%4];\" : \"=r\"(r[0]),\n"
    "    \"=r\"(r[1]), \"=r\"(r[2]), \"=r\"(r[3]) : \"r\"(at));\n"
    "  else asm volatile(\"ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3},[%4];\" : \"=r\"(r[0]), "
    "\"=r\"(r[1]),\n"
    "    \"=r\"(r[2]), \"=r\"(r[3]) : \"r\"(at));\n"
    "  for (int i = 0; i < 4; i++) { float2 v = __half22float2(*(__half2 *)&r[i]); y[8 * l + 2 * i] = v.x;\n"
    "    y[8 * l + 2 * i + 1] = v.y; } }\n"
    "#if __CUDA_ARCH__ >= 900\n"
    "__global__ void back(float *y) { __shared__ __align__(16) __half s[2][64]; int l = threadIdx.x;\n"
    "  __half2 v = __floats2half2_rn(2 * l, 2 * l + 1), w = __floats2half2_rn(64 + 2 * l, 65 + 2 * l);\n"
    "  unsigned at = (unsigned)__cvta_generic_to_shared(&s[l / 8 & 1][l % 8 * 8]);\n"
    "  asm volatile(\"stmatrix.sync.aligned.m8n8.x2.shared.b16 [%0],{%1,%2};\" :: \"r\"(at), \"r\"(*(unsigned *)&v),\n"
    "    \"r\"(*(unsigned *)&w) : \"memory\"); __syncwarp();\n"
    "  for (int i = l; i < 128; i += 32) y[i] = s[i / 64][i % 64]; }\n"
    "#endif\n"
    "}\n";

typedef struct Shape {
  const char *name;
  int compute, m, n, k;
} Shape;

static void check_products(SimModule *module, int compute) {
  static const Shape shapes[] = {
      {"f16_8", 75, 16, 8, 8},       {"f16_16", 80, 16, 8, 16},     {"half_16", 80, 16, 8, 16},
      {"bf16_8", 80, 16, 8, 8},      {"bf16_16", 80, 16, 8, 16},    {"tf32_4", 80, 16, 8, 4},
      {"tf32_8", 80, 16, 8, 8},      {"s8_32", 80, 16, 8, 32},      {"f64_4", 80, 8, 8, 4},
      {"wmma_half", 75, 16, 16, 16}, {"wmma_bf16", 80, 16, 16, 16}, {"wmma_tf32", 80, 16, 16, 8},
  };
  float a[512], b[512], y[256];
  for (int i = 0; i < 512; i++) a[i] = (float)(i * 7 % 13 - 6), b[i] = (float)(i * 5 % 11 - 5);
  uint64_t da = buffer(a, sizeof a), db = buffer(b, sizeof b), dy = buffer(NULL, sizeof y);
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
    const Shape *x = &shapes[s];
    if (x->compute > compute) continue;
    RUN(module, x->name, 1, 32, 0, da, db, dy);
    fetch(dy, y, sizeof *y * (size_t)(x->m * x->n));
    int wrong = 0;
    for (int i = 0; i < x->m; i++)
      for (int j = 0; j < x->n; j++) {
        float sum = 1;
        for (int k = 0; k < x->k; k++) sum += a[i * x->k + k] * b[j * x->k + k];
        wrong += sum != y[i * x->n + j];
      }
    CHECK(!wrong, "%s: %d of %d elements are wrong", x->name, wrong, x->m * x->n);
  }
  sim_memory_free(da);
  sim_memory_free(db);
  sim_memory_free(dy);
}

static void check_rows(SimModule *module, int compute) {
  float y[256];
  uint64_t dy = buffer(NULL, sizeof y);
  for (uint64_t trans = 0; trans < 2; trans++) {
    RUN(module, "rows", 1, 32, 0, dy, trans);
    fetch(dy, y, sizeof y);
    for (int l = 0; l < 32; l++)
      for (int i = 0; i < 4; i++)
        for (int k = 0; k < 2; k++) {
          int row = l / 4, column = 2 * (l % 4) + k, want = 64 * i + (trans ? column * 8 + row : row * 8 + column);
          CHECK(y[8 * l + 2 * i + k] == want, "ldmatrix lane %d: %g, not %d", l, (double)y[8 * l + 2 * i + k], want);
        }
  }
  if (compute >= 90) {
    RUN(module, "back", 1, 32, 0, dy);
    fetch(dy, y, 512);
    for (int i = 0; i < 128; i++) CHECK(y[i] == i, "stmatrix %d: %g", i, (double)y[i]);
  }
  FAULTS(SIM_BARRIER, "", module, "rows", 1, 31, 0, dy, 0);
  sim_memory_free(dy);
}

static char *source_for(int compute) {
  (void)compute;
  return strdup(source);
}

static void check(SimModule *module, int compute) {
  for (SimOrder order = SIM_FORWARDS; order <= SIM_SHUFFLED; order++) {
    set_order(order);
    check_products(module, compute);
    check_rows(module, compute);
  }
}

int main(void) { return test_architectures("ptx matrix", source_for, check); }
