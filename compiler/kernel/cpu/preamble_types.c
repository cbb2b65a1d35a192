// Preamble, first part: vector types and how they are loaded, stored, filled and summed.
#include "compiler/kernel/preamble.h"

static const char head[] = "#include <math.h>\n"
                           "#include <stdint.h>\n"
                           "#define INLINE static inline __attribute__((always_inline, unused))\n"
                           "#define SHARED static __attribute__((noinline, unused))\n"
                           "#define KERNEL(name) __attribute__((visibility(\"default\"))) \\\n"
                           "  void name(const void *context, float *const *arg, i64 begin, i64 end, float *scratch)\n"
                           "#define STACK(name, n) float name[n] __attribute__((aligned(64)))\n"
                           "typedef int64_t i64;\n"
                           "typedef union { i64 i; float f; } SgNumber;\n"
                           "#define NUMBER(k) (((const SgNumber *)context)[k])\n"
                           "typedef float vf __attribute__((vector_size(4 * V)));\n"
                           "typedef int32_t vi __attribute__((vector_size(4 * V)));\n"
                           "typedef double vd __attribute__((vector_size(8 * V)));\n"
                           "typedef int64_t vl __attribute__((vector_size(8 * V)));\n"
                           "typedef int32_t vi_anywhere __attribute__((vector_size(4 * V), aligned(4), may_alias));\n"
                           "typedef float vf_anywhere __attribute__((vector_size(4 * V), aligned(4), may_alias));\n"
                           "INLINE i64 imin(i64 a, i64 b) { return a < b ? a : b; }\n"
                           "INLINE i64 imax(i64 a, i64 b) { return a > b ? a : b; }\n"
                           "INLINE i64 floor_div(i64 a, i64 b) { return a / b - (a % b < 0); }\n"
                           "INLINE i64 floor_mod(i64 a, i64 b) { return a % b + (a % b < 0 ? b : 0); }\n"
                           "INLINE vf vload(const float *p) { return *(const vf_anywhere *)p; }\n"
                           "INLINE void vstore(float *p, vf v) { *(vf_anywhere *)p = v; }\n"
                           "INLINE vf vsplat(float x) { return x - (vf){0}; }\n"
                           "INLINE vd dsplat(double x) { return x - (vd){0}; }\n"
                           // Macros, because a parameter of 128 bytes makes GCC talk about its ABI.
                           "#define to_double(v) __builtin_convertvector(v, vd)\n"
                           "#define to_float(v) __builtin_convertvector(v, vf)\n"
                           "INLINE vf vsel(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }\n"
                           // The first n lanes. Called, not copied: a loop between a product and its sum would keep
                           // them from being one instruction, and takes cc longer than the rest of a small kernel.
                           "SHARED vf vload_n(const float *p, i64 n) {\n"
                           "  STACK(t, V) = {0};\n"
                           "  for (i64 i = 0; i < n; i++) t[i] = p[i];\n"
                           "  return vload(t);\n"
                           "}\n"
                           "SHARED void vstore_n(float *p, vf v, i64 n) {\n"
                           "  STACK(t, V);\n"
                           "  vstore(t, v);\n"
                           "  for (i64 i = 0; i < n; i++) p[i] = t[i];\n"
                           "}\n";

static const char tail[] =
    // A load of what was just stored in pieces waits for them: where n is known, lanes are put together in registers.
    "SHARED vf vgather_some(const float *p, i64 stride, i64 n) {\n"
    "  STACK(t, V) = {0};\n"
    "  for (i64 i = 0; i < n; i++) t[i] = p[i * stride];\n"
    "  return vload(t);\n"
    "}\n"
    "SHARED vf vpick_some(const float *p, const int *at, i64 scale, i64 n) {\n"
    "  STACK(t, V) = {0};\n"
    "  for (i64 i = 0; i < n; i++) t[i] = p[at[i] * scale];\n"
    "  return vload(t);\n"
    "}\n"
    "INLINE vf vgather_n(const float *p, i64 stride, i64 n) {\n"
    "  return __builtin_constant_p(n) ? vgather_first(p, stride, n) : vgather_some(p, stride, n);\n"
    "}\n"
    "INLINE vf vpick_n(const float *p, const int *at, i64 scale, i64 n) {\n"
    "  return __builtin_constant_p(n) ? vpick_first(p, at, scale, n) : vpick_some(p, at, scale, n);\n"
    "}\n"
    // The same as vpick out of a row of n floats, where at[0], ... ascend by less than one vector, or two.
    "#if defined __AVX2__ && !defined __clang__\n"
    "INLINE vi lanes_from(const int *at, i64 begin) { return *(const vi_anywhere *)at - (int)begin; }\n"
    "INLINE vf vpick_1(const float *p, const int *at, i64 n) {\n"
    "  const i64 begin = imin(at[0], n - V);\n"
    "  return __builtin_shuffle(vload(p + begin), lanes_from(at, begin));\n"
    "}\n"
    "INLINE vf vpick_2(const float *p, const int *at, i64 n) {\n"
    "  const i64 begin = imin(at[0], n - 2 * V);\n"
    "  return __builtin_shuffle(vload(p + begin), vload(p + begin + V), lanes_from(at, begin));\n"
    "}\n"
    "#else\n"
    "INLINE vf vpick_1(const float *p, const int *at, i64 n) { return vpick(p, at, 1); }\n"
    "INLINE vf vpick_2(const float *p, const int *at, i64 n) { return vpick(p, at, 1); }\n"
    "#endif\n"
    "INLINE vf vkeep(vf v, i64 n, float fill) { return vsel(lane_number < (int)n, v, vsplat(fill)); }\n"
    "SHARED float lanes_sum(vf v, i64 n) {\n"
    "  v = vkeep(v, n, 0);\n"
    "  STACK(t, V);\n"
    "  vstore(t, v);\n"
    "#pragma GCC unroll 4\n"
    "  for (int w = V / 2; w; w /= 2)\n"
    "#pragma GCC unroll 8\n"
    "    for (int i = 0; i < w; i++) t[i] += t[i + w];\n"
    "  return t[0];\n"
    "}\n"
    "SHARED double add_up(const double *p, i64 n) {\n"
    "  double sum = 0;\n"
    "  for (i64 i = 0; i < n; i++) sum += p[i];\n"
    "  return sum;\n"
    "}\n"
    "#define dlanes_sum(v, n) ({ \\\n"
    "  const vd lanes = (v); \\\n"
    "  add_up((const double *)&lanes, n); \\\n"
    "})\n"
    "SHARED float lanes_max(vf v, i64 n) {\n"
    "  v = vkeep(v, n, -__builtin_inff());\n"
    "  STACK(t, V);\n"
    "  vstore(t, v);\n"
    "#pragma GCC unroll 4\n"
    "  for (int w = V / 2; w; w /= 2)\n"
    "#pragma GCC unroll 8\n"
    "    for (int i = 0; i < w; i++) t[i] = t[i + w] > t[i] || t[i + w] != t[i + w] ? t[i + w] : t[i];\n"
    "  return t[0];\n"
    "}\n";

// name{0, 1, ...} with each number put through `item`, which may name it twice.
static void put_list(Text *out, const char *before, const char *item, int n, const char *after) {
  text_put(out, before);
  for (int k = 0; k < n; k++) {
    if (k) text_put(out, ", ");
    text_printf(out, item, k, k);
  }
  text_put(out, after);
}

void preamble_types(int width, Text *out) {
  text_printf(out, "#define V %d\n", width);
  text_put(out, head);
  put_list(out, "static const vi lane_number __attribute__((unused)) = {", "%d", width, "};\n");
  put_list(out, "static const vf lane_id __attribute__((unused)) = {", "%d", width, "};\n");
  put_list(out, "INLINE vf vpick(const float *p, const int *at, i64 scale) { return (vf){", "p[at[%d] * scale]", width,
           "}; }\n");
  put_list(out, "INLINE vf vgather(const float *p, i64 stride) { return (vf){", "p[%d * stride]", width, "}; }\n");
  put_list(out, "INLINE vf vpick_first(const float *p, const int *at, i64 scale, i64 n) { return (vf){",
           "%d < n ? p[at[%d] * scale] : 0", width, "}; }\n");
  put_list(out, "INLINE vf vgather_first(const float *p, i64 stride, i64 n) { return (vf){",
           "%d < n ? p[%d * stride] : 0", width, "}; }\n");
  text_put(out, tail);
}
