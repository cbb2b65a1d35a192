// Machine: what the cores of a CPU device can do at best, measured, and the time that a kernel needs there at least.
#ifndef SG_MACHINE_H
#define SG_MACHINE_H

#include "runtime/device.h"

// Second-level caches, the last-level cache, memory.
enum { MACHINE_LEVELS = 3 };

typedef struct Machine {
  double flops; // f32 operations a second of register tiles, a multiply-add counted as two
  // What all threads move together, from near to far: bytes a second of so many bytes; memory has no end.
  struct {
    int64_t bytes;
    double bandwidth;
  } level[MACHINE_LEVELS];
} Machine;

// Measures with all threads of the CPU device for about half a second: chains of multiply-adds in registers,
// and walks over so much memory as each level holds (half of it, and eight times the last cache): the better of
// reading it, and of updating it in place, which moves each element twice. `cc_flags` are those of
// the host's cc for this machine (Target.cc_flags). The best of several tries; a busy machine shows less. EXIT_DEVICE
// without a compiler.
Status machine_measure(Device *device, const char *cc_flags, Machine *out);

// Seconds that so many operations and so many bytes of distinct memory take at least, the roofline (Williams, Waterman
// and Patterson, 2009): the longer of computing and moving. As much as a cache holds may be there when the kernel
// begins, so the first bytes move at the speed of the nearest cache, those that it cannot hold at that of the next,
// and only what no cache holds at that of memory. `by_memory` is whether moving takes longer.
double machine_bound(const Machine *machine, int64_t flops, int64_t bytes, bool *by_memory);

// Appends {"gflops":..,"gbytes":..,"levels":[{"bytes":..,"gbytes":..},..]}: thousand millions a second; "gbytes" of the
// whole is that of memory, whose "bytes" are null.
void machine_print_json(const Machine *machine, Text *out);

#endif
