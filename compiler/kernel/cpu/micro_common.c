// Micro-kernels, common part: vector types, unaligned access, activations.
#include "compiler/kernel/cpu/micro.h"

// SG_LOW, SG_HIGH: a vector that takes turns from the low, or the high, halves of a and b.
static void put_halves(Text *out, int vl) {
  text_put(out, "#if defined(__clang__)\n"
                "#define SG_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)\n"
                "#else\n"
                "#define SG_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (sg_i){__VA_ARGS__})\n"
                "#endif\n");
  for (int half = 0; half < 2; half++) {
    text_printf(out, "#define SG_%s(a, b) SG_SHUFFLE(a, b", half ? "HIGH" : "LOW");
    for (int i = 0; i < vl; i++) text_printf(out, ", %d", half * vl / 2 + i / 2 + (i % 2 ? vl : 0));
    text_put(out, ")\n");
  }
}

void micro_common(const Target *target, Text *out) {
  int vl = target->vector;
  text_printf(out, "// ---- micro-kernels for vectors of %d floats and %d registers\n", vl, target->registers);
  text_printf(out, "#define SG_VL %d\n", vl);
  text_printf(out, "typedef float sg_f __attribute__((vector_size(%d)));\n", 4 * vl);
  text_printf(out, "typedef int32_t sg_i __attribute__((vector_size(%d)));\n", 4 * vl);
  text_printf(out, "typedef float sg_fu __attribute__((vector_size(%d), aligned(4), may_alias));\n", 4 * vl);
  text_put(out, "#define SG_LD(p) ((sg_f)*(const sg_fu *)(p))\n"
                "#define SG_ST(p, v) (*(sg_fu *)(p) = (sg_fu)(v))\n"
                "// Past the caches; SG_STREAMED() before another thread may read.\n"
                "#if defined(__clang__)\n"
                "#define SG_STREAM(p, v) __builtin_nontemporal_store(v, (sg_f *)(p))\n"
                "#elif defined(__SSE2__)\n");
  text_printf(out, "#define SG_STREAM(p, v) __builtin_ia32_movntps%s(p, v)\n", vl == 16 ? "512" : vl == 8 ? "256" : "");
  text_put(out, "#else\n"
                "#define SG_STREAM(p, v) SG_ST(p, v)\n"
                "#endif\n"
                "#if defined(__SSE2__)\n"
                "#define SG_STREAMED() __builtin_ia32_sfence()\n"
                "#else\n"
                "#define SG_STREAMED() __atomic_thread_fence(__ATOMIC_RELEASE)\n"
                "#endif\n"
                "// In loops that wait for another thread.\n"
                "#if defined(__x86_64__) || defined(__i386__)\n"
                "#define SG_PAUSE() __builtin_ia32_pause()\n"
                "#elif defined(__aarch64__)\n"
                "#define SG_PAUSE() __asm__ volatile(\"isb\")\n"
                "#else\n"
                "#define SG_PAUSE() ((void)0)\n"
                "#endif\n"
                "#define SG_SHARED static __attribute__((noinline, unused))\n"
                "#define SG_INLINE static inline __attribute__((always_inline, unused))\n"
                "SG_INLINE sg_f sg_relu(sg_f v) { return (sg_f)vmost((vf){0}, (vf)v); }\n"
                "SG_INLINE sg_f sg_leaky(sg_f v, float slope) {\n"
                "  sg_i m = v > 0;\n"
                "  return (sg_f)(((sg_i)v & m) | ((sg_i)(v * slope) & ~m));\n"
                "}\n"
                "#define SG_NONE() ((float *)0)\n"
                "#define SG_AT(p, i) ((p) + (i))\n"
                "SG_SHARED void sg_zero(float *to, int64_t n) { __builtin_memset(to, 0, sizeof(float) * n); }\n"
                "// Channels of consecutive segments, c[0] of them, each moved to the start of a block.\n"
                "SG_SHARED void sg_spread(const int *c, const float *from, float *to) {\n"
                "  for (int64_t i = 1; i <= c[0]; i++) {\n"
                "    __builtin_memcpy(to, from, sizeof(float) * c[i]);\n"
                "    from += c[i], to += (c[i] + SG_VL - 1) / SG_VL * SG_VL;\n"
                "  }\n"
                "}\n"
                "SG_INLINE sg_f sg_act(sg_f v, int64_t act, float slope) {\n"
                "  return act == 0 ? v : act == 1 ? sg_relu(v) : sg_leaky(v, slope);\n"
                "}\n");
  put_halves(out, vl);
}
