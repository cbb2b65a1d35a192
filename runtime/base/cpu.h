// Cpu: which kinds of processor this machine is.
#ifndef SG_BASE_CPU_H
#define SG_BASE_CPU_H

#include <stdbool.h>

// What `uname -m` says: "x86_64", "aarch64"; of a program that is emulated, the emulated machine.
const char *cpu_machine(void);

// Whether this machine executes code made for that kind: "sse2", "avx2" (with fused multiply-adds), "avx512vl" (AVX-512
// for vectors of any width), "avx512" (512 bits), "neon", or "generic", which is what a compiler assumes without being
// told. False for kinds that there are not.
bool cpu_executes(const char *kind);

#endif
