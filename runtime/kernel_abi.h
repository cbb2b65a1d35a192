// Kernel ABI: what generated code and the runtime agree on.
#ifndef SG_KERNEL_ABI_H
#define SG_KERNEL_ABI_H

#include <stdint.h>

// Computes tasks begin .. end-1 of a kernel. `arg` are the kernel's buffers, inputs first, then outputs; `scratch` is
// the worker's own memory, 64-byte aligned. `context` is NULL for generated code; the reference evaluator's step
// finds its node there. Tasks are independent: any split over workers gives the same bits.
typedef void SgKernel(const void *context, float *const *arg, int64_t begin, int64_t end, float *scratch);

#endif
