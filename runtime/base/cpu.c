// Cpu: asks the processor, by the compiler's built-in functions.
#include "runtime/base/cpu.h"

#include <string.h>
#include <sys/utsname.h>

const char *cpu_machine(void) {
#if defined(__x86_64__)
  return "x86_64";
#elif defined(__aarch64__)
  return "aarch64";
#else
  static struct utsname name;
  return uname(&name) ? "unknown" : name.machine;
#endif
}

bool cpu_executes(const char *kind) {
  if (!strcmp(kind, "generic")) return true;
#if defined(__x86_64__) || defined(__i386__)
  __builtin_cpu_init();
  bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (!strcmp(kind, "sse2")) return __builtin_cpu_supports("sse2");
  if (!strcmp(kind, "avx2")) return has_avx2;
  if (!strcmp(kind, "avx512vl") || !strcmp(kind, "avx512")) return has_avx2 && __builtin_cpu_supports("avx512vl");
#elif defined(__aarch64__)
  if (!strcmp(kind, "neon")) return true; // part of the architecture
#endif
  return false;
}
