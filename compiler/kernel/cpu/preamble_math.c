// Preamble, second part: the functions of elementwise ops, to about 2 ulp over the whole range.
//
// exp, log and tanh follow the reductions and polynomials of Cephes (S. Moshier, netlib.org/cephes, single precision);
// sine and cosine reduce their argument in double. A NaN gives a NaN; infinities and denormals are taken as they are.
#include "compiler/kernel/preamble.h"

static const char scalar[] =
    "INLINE float sabs(float x) { return fabsf(x); }\n"
    "INLINE float sexp(float x) { return expf(x); }\n"
    "INLINE float slog(float x) { return logf(x); }\n"
    "INLINE float ssqrt(float x) { return sqrtf(x); }\n"
    "INLINE float srsqrt(float x) { return 1 / sqrtf(x); }\n"
    "INLINE float ssin(float x) { return sinf(x); }\n"
    "INLINE float scos(float x) { return cosf(x); }\n"
    "INLINE float stanh(float x) { return tanhf(x); }\n"
    "INLINE float ssigmoid(float x) { return 1 / (1 + expf(-x)); }\n"
    "INLINE float srelu(float x) { return x < 0 ? 0 : x; }\n"
    "INLINE float sleaky_relu(float x, float slope) { return x > 0 ? x : slope * x; }\n"
    "INLINE float selu(float x, float alpha) { return x > 0 ? x : alpha * expm1f(x); }\n"
    "INLINE float sclamp(float x, float lo, float hi) { return x < lo ? lo : x > hi ? hi : x; }\n"
    "INLINE float shard_sigmoid(float x) { return sclamp(x + 3, 0, 6) / 6; }\n"
    "INLINE float sminimum(float a, float b) { return a < b || a != a ? a : b; }\n"
    "INLINE float smaximum(float a, float b) { return a > b || a != a ? a : b; }\n"
    "INLINE float sless(float a, float b) { return a < b; }\n"
    "INLINE float sless_equal(float a, float b) { return a <= b; }\n"
    "INLINE float sequal(float a, float b) { return a == b; }\n"
    "INLINE float sselect(float a, float b, float c) { return a != 0 ? b : c; }\n";

// a < b ? a : b and a > b ? a : b, so b if one is a NaN. The one instruction that x86 has for it GCC does not find in
// what stands behind #else: a comparison and two more.
static const char choices[] = "#if defined __AVX__ && V == 8\n"
                              "#define vleast(a, b) ((vf)__builtin_ia32_minps256(a, b))\n"
                              "#define vmost(a, b) ((vf)__builtin_ia32_maxps256(a, b))\n"
                              "#elif defined __SSE2__ && V == 4\n"
                              "#define vleast(a, b) ((vf)__builtin_ia32_minps(a, b))\n"
                              "#define vmost(a, b) ((vf)__builtin_ia32_maxps(a, b))\n"
                              "#else\n"
                              "INLINE vf vleast(vf a, vf b) { return vsel(a < b, a, b); }\n"
                              "INLINE vf vmost(vf a, vf b) { return vsel(a > b, a, b); }\n"
                              "#endif\n";

static const char simple[] = "#define INF __builtin_inff()\n"
                             "INLINE vf vabs(vf x) { return (vf)((vi)x & 0x7fffffff); }\n"
                             // GCC makes one instruction of the loop.
                             "INLINE vf vsqrt(vf x) {\n"
                             "  vf y;\n"
                             "#pragma omp simd\n"
                             "  for (int i = 0; i < V; i++) y[i] = __builtin_sqrtf(x[i]);\n"
                             "  return y;\n"
                             "}\n"
                             "INLINE vf vrsqrt(vf x) { return 1 / vsqrt(x); }\n"
                             "INLINE vf vrelu(vf x) { return vmost(vsplat(0), x); }\n"
                             "INLINE vf vleaky_relu(vf x, float slope) { return vsel(x > 0, x, slope * x); }\n"
                             "INLINE vf vminimum(vf a, vf b) { return vsel(a != a, a, vleast(a, b)); }\n"
                             "INLINE vf vmaximum(vf a, vf b) { return vsel(a != a, a, vmost(a, b)); }\n"
                             "INLINE vf vclamp(vf x, float lo, float hi) {\n"
                             "  return vleast(vsplat(hi), vmost(vsplat(lo), x));\n"
                             "}\n"
                             "INLINE vf vhard_sigmoid(vf x) { return vclamp(x + 3, 0, 6) / 6; }\n"
                             "INLINE vf vless(vf a, vf b) { return (vf)((a < b) & (vi)vsplat(1)); }\n"
                             "INLINE vf vless_equal(vf a, vf b) { return (vf)((a <= b) & (vi)vsplat(1)); }\n"
                             "INLINE vf vequal(vf a, vf b) { return (vf)((a == b) & (vi)vsplat(1)); }\n"
                             "INLINE vf vselect(vf a, vf b, vf c) { return vsel(a != 0, b, c); }\n";

static const char reduction[] =
    // x = n ln 2 + r, |r| <= ln 2 / 2; *e is exp(r) - 1, 0.05 ulp of exp(r) off. Beyond -104 .. 89 the number is of no
    // use.
    "INLINE vi reduce_exp(vf x, vf *e) {\n"
    "  const vf t = x * 1.44269504f + 12582912.0f;\n"
    "  const vf n = t - 12582912.0f;\n"
    "  const vf r = (x - n * 0.693359375f) - n * -2.12194440e-4f, s = r * r;\n"
    // by pairs, as many of these chains must be under way at once
    "  const vf p = (r * 8.368674e-3f + 4.1668266e-2f) + s * 1.3820634e-3f;\n"
    "  *e = (p * s + (r * 1.6666521e-1f + 4.9999994e-1f)) * s + r;\n"
    "  return (vi)t - 0x4b400000;\n"
    "}\n"
    "INLINE vf two_to(vi n) { return (vf)((n + 127) << 23); }\n";

// Of numbers around the smallest normal one and below nothing but zero, as arithmetic with those below is several times
// slower. NaNs pass as they are.
static const char exponential[] = "INLINE vf vexp(vf x) {\n"
                                  "  vf e;\n"
                                  "  const vi n = reduce_exp(x, &e), tiny = x < -87.336544f;\n"
                                  "  const vf y = (vf)((vi)(1 + e) + (n << 23));\n"
                                  "  return (vf)((vi)vsel(x > 88.722839f, vsplat(INF), vsel(x == x, y, x)) & ~tiny);\n"
                                  "}\n";

// The same where eight lanes can be looked up at once: x = (n - 1) ln 2 / 8 + r, so that three terms are enough.
// With r in ln 2 / 16 .. 3 ln 2 / 16, *e = exp(r) - 1 is positive, and the power, which is finite as long as the result
// is, carries it over the edge to infinity. TABLE: for each n mod 8 the bits of 2 to the (n mod 8 - 1) / 8, less those
// that (n mod 8) << 20 brings along. Found with coefficients rounded one by one; 1.2 ulp, over every seventh
// of all floats.
static const char looked_up[] =
    "INLINE vf vexp(vf x) {\n"
    "  x = vleast(vsplat(88.75f), x);\n" // which gives infinity; beyond, power would leave its range
    "  const vf t = x * 11.5415602f + 12582912.0f;\n"
    "  const vf n = t - 12582912.0f;\n"
    "  const vf r = (x - n * 8.66699219e-2f) - n * -2.65243054e-5f;\n" // less ln 2 / 8, which the polynomial adds
    "  const vf e = ((r * 1.8174987e-1f + 5.4533666e-1f) * r + 1.0905077f) * r + 9.0507716e-2f;\n"
    "  const vf power = (vf)(((vi)t << 20) + look_up(exp_table, (vi)t));\n"
    "  const vf y = power * e + power;\n"
    "  return (vf)((vi)y & ~(x < -87.25f));\n"
    "}\n";

static const char with_exponentials[] = "INLINE vf vsigmoid(vf x) { return 1 / (1 + vexp(-x)); }\n"
                                        "INLINE vf velu(vf x, float alpha) {\n"
                                        "  vf e;\n"
                                        // what comes of numbers above 0 is not taken
                                        "  const vf power = two_to(reduce_exp(vmost(vsplat(-80), x), &e));\n"
                                        "  return vsel(x > 0, x, alpha * (power * e + (power - 1)));\n"
                                        "}\n"
                                        "INLINE vf vtanh(vf x) {\n"
                                        "  const vf a = vabs(x), s = x * x;\n"
                                        "  vf p = s * -5.70498872745e-3f + 2.06390887954e-2f;\n"
                                        "  p = p * s - 5.37397155531e-2f;\n"
                                        "  p = p * s + 1.33314422036e-1f;\n"
                                        "  p = p * s - 3.33332819422e-1f;\n"
                                        "  const vf large = 1 - 2 / (vexp(a + a) + 1);\n"
                                        "  const vf signed_large = (vf)((vi)large | ((vi)x & INT32_MIN));\n"
                                        "  return vsel(a < 0.625f, p * s * x + x, signed_large);\n"
                                        "}\n";

static const char logarithm[] = "INLINE vf vlog(vf x) {\n"
                                "  const vi tiny = x < 1.17549435e-38f;\n"
                                "  const vf y = vsel(tiny, x * 8388608.0f, x);\n"
                                "  const vi bits = (vi)y;\n"
                                // y = m 2^k with m in sqrt(1/2) .. sqrt(2)
                                "  const vi k = ((bits - 0x3f3504f3) >> 23) - (tiny & 23);\n"
                                "  const vf m = (vf)(((bits - 0x3f3504f3) & 0x7fffff) + 0x3f3504f3);\n"
                                "  const vf f = m - 1, z = f * f, n = __builtin_convertvector(k, vf);\n"
                                "  vf p = f * 7.0376836292e-2f - 1.1514610310e-1f;\n"
                                "  p = p * f + 1.1676998740e-1f;\n"
                                "  p = p * f - 1.2420140846e-1f;\n"
                                "  p = p * f + 1.4249322787e-1f;\n"
                                "  p = p * f - 1.6668057665e-1f;\n"
                                "  p = p * f + 2.0000714765e-1f;\n"
                                "  p = p * f - 2.4999993993e-1f;\n"
                                "  p = p * f + 3.3333331174e-1f;\n"
                                "  const vf rest = p * f * z + n * -2.12194440e-4f - 0.5f * z;\n"
                                "  vf r = (f + rest) + n * 0.693359375f;\n"
                                "  r = vsel(x == INF, x, r);\n"
                                "  r = vsel(x == 0, vsplat(-INF), r);\n"
                                "  return vsel((x < 0) | (x != x), vsplat(__builtin_nanf(\"\")), r);\n"
                                "}\n";

static const char trigonometric[] =
    // sin(x + quarter * pi / 2)
    "SHARED vf sine(vf x, int quarter) {\n"
    "  const vi is_far = ~(vabs(x) < 1e8f);\n"
    "  vf far = x;\n"
    "  int n_far = 0;\n"
    "  for (int i = 0; i < V; i++) n_far += is_far[i] != 0;\n"
    "  if (n_far) {\n"
    "    for (int i = 0; i < V; i++) far[i] = quarter ? cosf(x[i]) : sinf(x[i]);\n"
    "  }\n"
    "  const vd d = to_double(x), t = d * 0.63661977236758134 + 6755399441055744.0;\n"
    "  const vd n = t - 6755399441055744.0;\n"
    "  const vf r = to_float((d - n * 1.5707963267948966) - n * 6.123233995736766e-17);\n"
    "  const vi q = __builtin_convertvector((vl)t, vi) + quarter;\n"
    "  const vf z = r * r;\n"
    "  vf s = z * -1.9515295891e-4f + 8.3321608736e-3f;\n"
    "  s = (s * z - 1.6666654611e-1f) * z * r + r;\n"
    "  vf c = z * 2.443315711809948e-5f - 1.388731625493765e-3f;\n"
    "  c = (c * z + 4.166664568298827e-2f) * z * z - 0.5f * z + 1;\n"
    "  const vf y = vsel((q & 1) != 0, c, s);\n"
    "  return vsel(is_far, far, (vf)((vi)y ^ ((q & 2) << 30)));\n"
    "}\n"
    "INLINE vf vsin(vf x) { return sine(x, 0); }\n"
    "INLINE vf vcos(vf x) { return sine(x, 1); }\n";

void preamble_scalar(Text *out) { text_put(out, scalar); }

static void put_exponential(int width, Text *out) {
  static const char *const table[] = {"0x3f6ac0c7", "0x3f700000", "0x3f6b95c2", "0x3f6837f0",
                                      "0x3f65fed7", "0x3f6504f3", "0x3f65672a", "0x3f6744fd"};
  if (width < 8) {
    text_put(out, exponential);
    return;
  }
  text_put(out, "#if defined(__clang__)\n"
                "INLINE vi look_up(vi table, vi at) {\n"
                "  for (int i = 0; i < V; i++) at[i] = table[at[i] & 7];\n"
                "  return at;\n"
                "}\n"
                "#else\n"
                "#define look_up(table, at) __builtin_shuffle(table, at)\n"
                "#endif\n"
                "static const vi exp_table __attribute__((unused)) = {");
  for (int k = 0; k < width; k++) text_printf(out, "%s%s", k ? ", " : "", table[k % 8]);
  text_put(out, "};\n");
  text_put(out, looked_up);
}

void preamble_math(int width, Text *out) {
  preamble_scalar(out);
  text_put(out, choices);
  text_put(out, simple);
  text_put(out, reduction);
  put_exponential(width, out);
  text_put(out, with_exponentials);
  text_put(out, logarithm);
  text_put(out, trigonometric);
}
