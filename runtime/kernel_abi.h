// Kernel ABI: what generated code and the runtime agree on.
#ifndef SG_KERNEL_ABI_H
#define SG_KERNEL_ABI_H

#include <stdint.h>

// Computes tasks begin .. end-1 of a kernel. `arg` are the kernel's buffers, inputs first, then outputs; `scratch` is
// the worker's own memory, 64-byte aligned. `context` are the step's numbers (SgNumber), for generated code that takes
// some; the reference evaluator's step finds its node there. Tasks are independent: any split over workers gives the
// same bits.
//
// Kernels whose tasks share sums find, behind their arguments, memory of the launch (Step.shared bytes): SG_COUNTERS
// 32-bit words, zero before and after every launch, and room. Tasks leave their parts there and count themselves; the
// last one adds the parts up, in the order of the tasks. Or tasks make together what all of them read: each takes units
// of that work until none is left, then waits for those that others have taken.
typedef void SgKernel(const void *context, float *const *arg, int64_t begin, int64_t end, float *scratch);

// A size or constant that is not in a kernel's text but comes with the step, so that steps share a kernel. Tables of
// int32_t, two a number, follow the others; one of those says how many integers on each begins.
typedef union SgNumber {
  int64_t i;
  float f; // the other bits are zero
} SgNumber;

// CUDA kernels take one pointer for each argument, inputs first, then outputs, and last, where the step has any, the
// scratch memory of the launch:
//   extern "C" __global__ void SYMBOL(const float *in0, ..., float *out0, ..., float *scratch)
// Block number blockIdx.x is the task. Scratch begins with SG_COUNTERS 32-bit words that are zero before and after
// every launch: blocks that share a result count themselves there (atomicInc wraps to zero), and the last one adds up
// what the others left in scratch, in a fixed order.
//
// A step with rows takes a table in device memory instead of arguments:
//   extern "C" __global__ void SYMBOL(const long long *table, int n_rows, float *scratch)
// Row i is the words table[i * (2 + n)] ...: its first block, its floats, then the addresses of its n arguments. Each
// thread computes SG_ROW_FLOATS floats, so that a row of f floats takes ceil(f / (block * SG_ROW_FLOATS)) blocks. A
// step has at most SG_COUNTERS rows.
enum { SG_COUNTERS = 1024, SG_ROW_FLOATS = 4 };

#endif
