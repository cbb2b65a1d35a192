// Kernel parts: which kernels of a source are compiled in one file with each other.
#ifndef SG_KERNEL_PARTS_H
#define SG_KERNEL_PARTS_H

#include "runtime/base/arena.h"

// Deals the kernels of the source out to so many files that the longest compilation is short. out[i] is the file, from
// 0, of the i-th kernel, the array lives in `arena`; returns how many kernels there are.
//
// A compilation is taken to last as long as its text: that of each PROGRAM_SHARED function that its kernels reach,
// once, with all that the compiler copies into it, and a fixed time for each kernel, which mostly calls. So kernels
// that call the same ones come together as long as that file is not the longest.
int kernel_parts_deal(const char *source, int parts, Arena *arena, int **out);

#endif
