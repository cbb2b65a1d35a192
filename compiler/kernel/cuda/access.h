// Access: how the warps of a finished CUDA kernel touch memory, found by following its statements.
//
// A few warps of a few blocks are followed, loops for a few of their turns; counts are extrapolated from these. Indices
// that depend on numbers in memory are not known; their accesses are counted as such and left out of the others.
#ifndef SG_KERNEL_CUDA_ACCESS_H
#define SG_KERNEL_CUDA_ACCESS_H

#include "compiler/kernel/ir.h"

typedef struct CudaAccess {
  double requests;      // loads and stores of whole warps, of memory that all blocks share
  double sectors;       // of 32 bytes that they touch, one request at a time
  double ideal_sectors; // as many as the distinct bytes of each request would fill if they lay together
  double unknown;       // requests at indices that are not known
} CudaAccess;

// `row_floats`: of a kernel that takes rows, the floats of its row.
CudaAccess cuda_access(Ir *ir, int64_t row_floats);

#endif
