// CUDA C as NVRTC compiles it, against the same C on the host: integer expressions of all widths, the mathematical
// library, halves, vectors, atomics.
#include "tests/simgpu/sim_case.h"

// ---- integers: the same text is compiled here and there

#define EXPRESSIONS(X)                                                                                                 \
  X(a / 7 + b % 13)                                                                                                    \
  X(u / 10u + v % 1000u)                                                                                               \
  X(p / 1000 + q % 77)                                                                                                 \
  X(s / 1000003u + t % 12345u)                                                                                         \
  X(p / (b | 1))                                                                                                       \
  X(s % (v | 1))                                                                                                       \
  X(a *b + (a ^ b))                                                                                                    \
  X(p *q - (p & q))                                                                                                    \
  X((short)a *(short)b)                                                                                                \
  X((signed char)a + (unsigned char)b)                                                                                 \
  X((short)(a >> 3) / ((short)b | 1))                                                                                  \
  X(a << (b & 31))                                                                                                     \
  X(a >> (b & 31))                                                                                                     \
  X(u >> (v & 31))                                                                                                     \
  X(s << (v & 63))                                                                                                     \
  X(p >> (v & 63))                                                                                                     \
  X((u << 7) | (u >> 25))                                                                                              \
  X((s << 13) | (s >> 51))                                                                                             \
  X((long long)a *b)                                                                                                   \
  X((unsigned long long)u *v)                                                                                          \
  X(((unsigned long long)u * v) >> 32)                                                                                 \
  X(a < b ? a : b)                                                                                                     \
  X(u > v ? u : v)                                                                                                     \
  X(p < q ? q - p : p)                                                                                                 \
  X((a < b) + 2 * (u < v) + 4 * (p < q) + 8 * (s < t))                                                                 \
  X(a < 0 ? -a : a)                                                                                                    \
  X((int)(p >> 20) & 0xff00ff)                                                                                         \
  X((u & 0xff) << 24 | (u & 0xff00) << 8 | (u >> 8 & 0xff00) | u >> 24)                                                \
  X((unsigned short)(u * 3) + (unsigned short)(v >> 5))                                                                \
  X(a % 8 + a / 8 + u % 8u + u / 8u)                                                                                   \
  X(!(a & 1) && b > 3 ? 17 : ~a)                                                                                       \
  X((long long)(float)a + (long long)(double)q)                                                                        \
  X((long long)((float)(u & 0xffff) * 0.5f))                                                                           \
  X((int)((float)(a & 0xfffff) / 7.0f))                                                                                \
  X((unsigned char)((float)(u & 0xff) * 0.99f))                                                                        \
  X((long long)((double)(p >> 12) * 1.5))                                                                              \
  X((unsigned)(double)(v >> 1))

#define TEXT(...)    #__VA_ARGS__
#define AS_CUDA(...) "  y[k++] = (long long)(" TEXT(__VA_ARGS__) ");\n"
#define AS_HOST(...) want[k++] = (long long)(__VA_ARGS__);
#define ONE(...)     +1
enum { N_EXPRESSIONS = 0 EXPRESSIONS(ONE), N_INPUTS = 40 };

static const char *const integers =
    "extern \"C\" __global__ void integers(const long long *x, long long *out) {\n"
    "  int i = threadIdx.x, k = 0; long long *y = out + i * COUNT; long long p = x[2 * i], q = x[2 * i + 1];\n"
    "  unsigned long long s = p, t = q; int a = (int)p, b = (int)q; unsigned u = a, v = b;\n" EXPRESSIONS(
        AS_CUDA) "}\n";

// Overflow wraps, as on the device.
__attribute__((no_sanitize("undefined"), optimize("wrapv"))) static void check_integers(SimModule *module) {
  static const long long edges[] = {0,    1,      -1,         7,          -7,         255,           256,
                                    4096, -32768, 0x7fffffff, 0x80000000, 0xffffffff, 0x123456789ab, -0x123456789ab};
  long long x[2 * N_INPUTS], want[N_EXPRESSIONS], y[N_INPUTS * N_EXPRESSIONS];
  uint64_t state = 1;
  for (int i = 0; i < 2 * N_INPUTS; i++) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    x[i] = i < 28 ? edges[(i * 5 + i / 14) % 14] : (long long)(state >> (i % 40));
  }
  uint64_t dx = buffer(x, sizeof x), dy = buffer(NULL, sizeof y);
  RUN(module, "integers", 1, N_INPUTS, 0, dx, dy);
  if (!fetch(dy, y, sizeof y)) return;
  for (int i = 0; i < N_INPUTS; i++) {
    int k = 0;
    long long p = x[2 * i], q = x[2 * i + 1];
    unsigned long long s = (unsigned long long)p, t = (unsigned long long)q;
    int a = (int)p, b = (int)q;
    unsigned u = (unsigned)a, v = (unsigned)b;
    if (a == INT32_MIN) a = (int)(x[2 * i] = 5), p = 5, u = 5, s = 5; // -a would overflow here
    if (x[2 * i] == 5) continue;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-compare"
    EXPRESSIONS(AS_HOST)
#pragma GCC diagnostic pop
    for (k = 0; k < N_EXPRESSIONS; k++)
      CHECK(y[i * N_EXPRESSIONS + k] == want[k], "expression %d of %lld, %lld: %lld, not %lld", k, p, q,
            y[i * N_EXPRESSIONS + k], want[k]);
  }
  sim_memory_free(dx);
  sim_memory_free(dy);
}

// ---- the mathematical library

#define UNARY(X)                                                                                                       \
  X(exp)                                                                                                               \
  X(exp2)                                                                                                              \
  X(expm1)                                                                                                             \
  X(log)                                                                                                               \
  X(log1p)                                                                                                             \
  X(log2)                                                                                                              \
  X(log10)                                                                                                             \
  X(sin)                                                                                                               \
  X(cos)                                                                                                               \
  X(tan)                                                                                                               \
  X(asin)                                                                                                              \
  X(acos)                                                                                                              \
  X(atan) X(sinh) X(cosh) X(tanh) X(erf) X(erfc) X(cbrt) X(sqrt) X(floor) X(ceil) X(trunc) X(round) X(rint) X(fabs)
#define F_CUDA(name) "  y[k++] = " #name "f(v);\n"
#define D_CUDA(name) "  z[m++] = " #name "(w);\n"
#define F_HOST(name) {#name "f", name##f, name},
typedef struct Function {
  const char *name;
  float (*in_float)(float);
  double (*in_double)(double);
} Function;
static const Function functions[] = {UNARY(F_HOST)};
enum { N_FUNCTIONS = sizeof functions / sizeof *functions, N_BINARY = 6 };

static const char *const mathematics =
    "extern \"C\" __global__ void mathematics(const float *x, float *yy, double *zz) {\n"
    "  int i = threadIdx.x, k = 0, m = 0; float v = x[i], *y = yy + 26 * i; double w = v, *z = zz + 26 * i;\n" UNARY(
        F_CUDA) UNARY(D_CUDA) "}\n"
                              "extern \"C\" __global__ void binary(const float *x, float *yy) { int i = threadIdx.x; "
                              "float a = x[i], b = x[i + 1];\n"
                              "  float *y = yy + 6 * i; y[0] = powf(fabsf(a), b); y[1] = atan2f(a, b); y[2] = fmodf(a, "
                              "b); y[3] = hypotf(a, b);\n"
                              "  y[4] = __fdividef(a, b) + fmaxf(a, b) * fminf(a, b); y[5] = copysignf(a, b) + "
                              "ldexpf(a, 3) + fdimf(a, b); }\n"
                              "extern \"C\" __global__ void fast(const float *x, float *yy) { int i = threadIdx.x; "
                              "float a = x[i], *y = yy + 6 * i;\n"
                              "  y[0] = __expf(a); y[1] = __logf(fabsf(a) + 1); y[2] = __sinf(a); y[3] = "
                              "rsqrtf(fabsf(a) + 1); y[4] = __frcp_rn(a);\n"
                              "  y[5] = __saturatef(a) + __fsqrt_rn(fabsf(a)) + __powf(fabsf(a) + 1, 1.5f); }\n";

static bool is_near(double got, double want, double relative) {
  if (isnan(want)) return isnan(got);
  if (isinf(want) || want == 0) return got == want || (want == 0 && fabs(got) < 1e-30);
  return fabs(got - want) <= relative * fabs(want) + 1e-37;
}

static void check_mathematics(SimModule *module) {
  static const float x[] = {0.5f,  -0.5f, 1,     -1,     0.001f, -0.3f, 2.75f, -2.5f, 10.25f, -20.5f, 88,    1e-20f,
                            1e10f, 3e5f,  0.99f, -0.99f, 100,    0,     -0.0f, 1e38f, 3.5f,   1e-40f, -4.5f, 7};
  enum { N = sizeof x / sizeof *x };
  float y[N * N_FUNCTIONS];
  double z[N * N_FUNCTIONS];
  uint64_t dx = buffer(x, sizeof x), dy = buffer(NULL, sizeof y), dz = buffer(NULL, sizeof z);
  CHECK(N_FUNCTIONS == 26, "the kernel writes 26 results");
  RUN(module, "mathematics", 1, N, 0, dx, dy, dz);
  if (!fetch(dy, y, sizeof y) || !fetch(dz, z, sizeof z)) return;
  for (int i = 0; i < N; i++)
    for (int k = 0; k < N_FUNCTIONS; k++) {
      double want = functions[k].in_double(x[i]);
      float got = y[i * N_FUNCTIONS + k], as_float = (float)want;
      CHECK(is_near(got, as_float, 2e-6) || is_near(got, functions[k].in_float(x[i]), 2e-6), "%s(%g) is %.9g, not %.9g",
            functions[k].name, (double)x[i], (double)got, want);
      CHECK(is_near(z[i * N_FUNCTIONS + k], want, 1e-14), "%s(%g) in double is %.17g, not %.17g", functions[k].name,
            (double)x[i], z[i * N_FUNCTIONS + k], want);
    }
  RUN(module, "binary", 1, N - 1, 0, dx, dy);
  fetch(dy, y, sizeof *y * (N - 1) * N_BINARY);
  for (int i = 0; i < N - 1; i++) {
    double a = x[i], b = x[i + 1];
    if (b == 0 || fabs(a) > 1e37 || fabs(b) > 1e37 || fabs(b) < 1e-37) continue;
    const double want[] = {pow(fabs(a), b),
                           atan2(a, b),
                           fmod(a, b),
                           hypot(a, b),
                           a / b + fmax(a, b) * fmin(a, b),
                           copysign(a, b) + 8 * a + fdim(a, b)};
    for (int k = 0; k < N_BINARY; k++)
      CHECK(is_near(y[i * N_BINARY + k], (float)want[k], 3e-6), "binary %d of %g, %g: %.9g, not %.9g", k, a, b,
            (double)y[i * N_BINARY + k], want[k]);
  }
  RUN(module, "fast", 1, N, 0, dx, dy);
  fetch(dy, y, sizeof *y * N * N_BINARY);
  for (int i = 0; i < N; i++) {
    double a = x[i], b = fabs(a);
    if (b > 80 || b < 1e-30) continue;
    const double want[] = {exp(a),          log(b + 1), sin(a),
                           1 / sqrt(b + 1), 1 / a,      (a < 0 ? 0 : a > 1 ? 1 : a) + sqrt(b) + pow(b + 1, 1.5)};
    for (int k = 0; k < N_BINARY; k++)
      CHECK(fabs(y[i * N_BINARY + k] - want[k]) <= 2e-5 * fabs(want[k]) + 1e-6, "fast %d of %g: %.9g, not %.9g", k, a,
            (double)y[i * N_BINARY + k], want[k]);
  }
  sim_memory_free(dx);
  sim_memory_free(dy);
  sim_memory_free(dz);
}

// ---- halves, vectors, atomics

static const char *const others =
    "#include <cuda_fp16.h>\n#include <cuda_bf16.h>\n"
    "extern \"C\" {\n"
    "__global__ void halves(const float *x, float *y) { int i = threadIdx.x; __half a = __float2half(x[i]), b = "
    "__float2half(1.5f);\n"
    "  float *o = y + 8 * i; o[0] = __half2float(a * b + a); o[1] = __half2float(__hfma(a, b, b)); o[2] = a < b;\n"
    "  o[3] = __half2float(hexp(a)); o[4] = __half2float(hsqrt(__habs(a))); __half2 p = __floats2half2_rn(x[i], "
    "2.0f);\n"
    "  p = __hmul2(p, p); p = __hmax2(p, __float2half2_rn(1.0f)); o[5] = __low2float(p); o[6] = __high2float(p);\n"
    "  o[7] = __half2int_rn(a); }\n"
    "#if __CUDA_ARCH__ >= 800\n"
    "__global__ void brains(const float *x, float *y) { int i = threadIdx.x; __nv_bfloat16 a = "
    "__float2bfloat16(x[i]);\n"
    "  float *o = y + 4 * i; o[0] = __bfloat162float(a * a); o[1] = __bfloat162float(a + __float2bfloat16(1.0f));\n"
    "  __nv_bfloat162 p = __floats2bfloat162_rn(x[i], 3.0f); p = __hfma2(p, p, p); o[2] = __low2float(p);\n"
    "  o[3] = __high2float(p); }\n"
    "#endif\n"
    "__global__ void vectors(const float4 *x, float4 *y, const uchar4 *c, short2 *s, double2 *d, const longlong2 *l) "
    "{\n"
    "  int i = threadIdx.x; float4 v = __ldg(x + i); y[i] = make_float4(v.w, v.z, v.y, v.x); uchar4 u = c[i];\n"
    "  s[i] = make_short2(u.x + u.y, u.z - u.w); d[i] = make_double2(v.x, l[i].y + l[i].x); }\n"
    "__global__ void atoms(int *a, unsigned *u, float *f, double *d, unsigned long long *l, int *s) { int i = "
    "threadIdx.x;\n"
    "  __shared__ int t[2]; if (i < 2) t[i] = 0; __syncthreads(); atomicMin(a, i - 5); atomicMax(a + 1, i);\n"
    "  atomicAdd(a + 2, i); atomicSub(a + 3, i); atomicOr(u, 1u << i % 32); atomicXor(u + 1, i); atomicAnd(u + 2, "
    "~i);\n"
    "  atomicInc(u + 3, 10u); atomicDec(u + 4, 10u); atomicExch(f, 3.0f); atomicAdd(f + 1, 0.5f); atomicAdd(d, 0.25);\n"
    "  atomicAdd(l, 3ull); atomicMax(l + 1, (unsigned long long)i << 33); atomicCAS(a + 4, 7, 9); atomicAdd(t, 2);\n"
    "  atomicMax(t + 1, i); __syncthreads(); if (i == 0) s[0] = t[0], s[1] = t[1];\n"
    "  float *g = f + 2; int old = __float_as_int(*(volatile float *)g), seen; do { seen = old;\n"
    "    old = atomicCAS((int *)g, seen, __float_as_int(fmaxf(__int_as_float(seen), i * 0.5f))); } while (old != "
    "seen); }\n"
    "#if __CUDA_ARCH__ >= 900\n"
    "__global__ void atomic_halves(__half2 *h, __nv_bfloat162 *b, float4 *f) { atomicAdd(h, __floats2half2_rn(1, 2));\n"
    "  atomicAdd(b, __floats2bfloat162_rn(1, 2)); atomicAdd(&f->x, 1.0f); }\n"
    "#endif\n"
    "}\n";

static void check_halves(SimModule *module, int compute) {
  float x[16], y[128];
  for (int i = 0; i < 16; i++) x[i] = (float)(i - 8) * 0.375f;
  uint64_t dx = buffer(x, sizeof x), dy = buffer(NULL, sizeof y);
  RUN(module, "halves", 1, 16, 0, dx, dy);
  fetch(dy, y, sizeof y);
  for (int i = 0; i < 16; i++) {
    float a = x[i]; // exact in half, as are the products
    const float want[] = {a * 1.5f + a,    a * 1.5f + 1.5f, a < 1.5f, expf(a),
                          sqrtf(fabsf(a)), fmaxf(a * a, 1), 4,        rintf(a)};
    for (int k = 0; k < 8; k++)
      CHECK(fabsf(y[8 * i + k] - want[k]) <= 1e-3f * fabsf(want[k]), "half %d of %g: %g, not %g", k, (double)a,
            (double)y[8 * i + k], (double)want[k]);
  }
  if (compute >= 80) {
    RUN(module, "brains", 1, 16, 0, dx, dy);
    fetch(dy, y, 256);
  }
  for (int i = 0; compute >= 80 && i < 16; i++) {
    float a = x[i];
    const float want[] = {a * a, a + 1, a * a + a, 12};
    for (int k = 0; k < 4; k++)
      CHECK(fabsf(y[4 * i + k] - want[k]) <= 8e-3f * fabsf(want[k]), "bfloat16 %d of %g: %g, not %g", k, (double)a,
            (double)y[4 * i + k], (double)want[k]);
  }
  sim_memory_free(dx);
  sim_memory_free(dy);
}

static void check_vectors(SimModule *module) {
  enum { N = 8 };
  float x[4 * N], y[4 * N];
  unsigned char c[4 * N];
  short s[2 * N];
  double d[2 * N];
  long long l[2 * N];
  for (int i = 0; i < 4 * N; i++) x[i] = (float)i, c[i] = (unsigned char)(i * 37);
  for (int i = 0; i < 2 * N; i++) l[i] = (1ll << 40) + i;
  uint64_t dx = buffer(x, sizeof x), dy = buffer(NULL, sizeof y), dc = buffer(c, sizeof c), ds = buffer(NULL, sizeof s),
           dd = buffer(NULL, sizeof d), dl = buffer(l, sizeof l);
  RUN(module, "vectors", 1, N, 0, dx, dy, dc, ds, dd, dl);
  fetch(dy, y, sizeof y);
  fetch(ds, s, sizeof s);
  fetch(dd, d, sizeof d);
  for (int i = 0; i < N; i++) {
    for (int k = 0; k < 4; k++) CHECK(y[4 * i + k] == x[4 * i + 3 - k], "vector %d", i);
    CHECK(s[2 * i] == c[4 * i] + c[4 * i + 1] && s[2 * i + 1] == c[4 * i + 2] - c[4 * i + 3], "short2 %d", i);
    CHECK(d[2 * i] == x[4 * i] && d[2 * i + 1] == (double)(l[2 * i] + l[2 * i + 1]), "double2 %d", i);
  }
  FAULTS(SIM_MISALIGNED, "16 bytes", module, "vectors", 1, N, 0, dx + 4, dy, dc, ds, dd, dl);
  uint64_t all[] = {dx, dy, dc, ds, dd, dl};
  for (int k = 0; k < 6; k++) sim_memory_free(all[k]);
}

static void check_atomics(SimModule *module, int compute) {
  int a[5] = {100, -100, 0, 0, 7}, s[2];
  unsigned u[5] = {0, 0, ~0u, 0, 0}, xored = 0, anded = ~0u;
  float f[3] = {0, 0, 1};
  double d = 1;
  unsigned long long l[2] = {0};
  uint64_t da = buffer(a, sizeof a), du = buffer(u, sizeof u), df = buffer(f, sizeof f), dd = buffer(&d, sizeof d),
           dl = buffer(l, sizeof l), ds = buffer(NULL, sizeof s);
  RUN(module, "atoms", 1, 64, 0, da, du, df, dd, dl, ds);
  fetch(da, a, sizeof a);
  fetch(du, u, sizeof u);
  fetch(df, f, sizeof f);
  fetch(dd, &d, sizeof d);
  fetch(dl, l, sizeof l);
  fetch(ds, s, sizeof s);
  for (unsigned i = 0; i < 64; i++) xored ^= i, anded &= ~i;
  CHECK(a[0] == -5 && a[1] == 63 && a[2] == 2016 && a[3] == -2016 && a[4] == 9, "%d %d %d %d %d", a[0], a[1], a[2],
        a[3], a[4]);
  CHECK(u[0] == ~0u && u[1] == xored && u[2] == anded && u[3] == 64 % 11 && u[4] == 2, "%u %u %u %u %u", u[0], u[1],
        u[2], u[3], u[4]);
  CHECK(f[0] == 3 && f[1] == 32 && f[2] == 31.5f && d == 17, "%g %g %g %g", (double)f[0], (double)f[1], (double)f[2],
        d);
  CHECK(l[0] == 192 && l[1] == 63ull << 33 && s[0] == 128 && s[1] == 63, "%llu %llu %d %d", l[0], l[1], s[0], s[1]);
  if (compute >= 90) {
    uint64_t zero[2] = {0}, dh = buffer(zero, 4), db = buffer(zero, 4), dv = buffer(zero, 16);
    uint16_t h[2], b[2];
    RUN(module, "atomic_halves", 2, 4, 0, dh, db, dv);
    fetch(dh, h, 4);
    fetch(db, b, 4);
    CHECK(h[0] == 0x4800 && h[1] == 0x4c00 && b[0] == 0x4100 && b[1] == 0x4180, "%x %x %x %x", h[0], h[1], b[0], b[1]);
    sim_memory_free(dh);
    sim_memory_free(db);
    sim_memory_free(dv);
  }
  uint64_t all[] = {da, du, df, dd, dl, ds};
  for (int k = 0; k < 6; k++) sim_memory_free(all[k]);
}

// Whether mathematics is tested: on the two front ends, as it takes long.
static bool has_mathematics(int compute) { return compute == 75 || compute == 100; }

static char *source_for(int compute) {
  size_t n = strlen(integers) + strlen(mathematics) + strlen(others) + 200;
  char *text = malloc(n);
  snprintf(text, n, "#define COUNT %d\n%s%s%s", N_EXPRESSIONS, others, integers,
           has_mathematics(compute) ? mathematics : "");
  return text;
}

static void check(SimModule *module, int compute) {
  check_integers(module);
  if (has_mathematics(compute)) check_mathematics(module);
  check_halves(module, compute);
  check_vectors(module);
  sim_options.order = SIM_SHUFFLED;
  check_atomics(module, compute);
  sim_options.order = SIM_FORWARDS;
}

int main(void) { return test_architectures("ptx cuda", source_for, check); }
