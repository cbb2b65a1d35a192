// Gathers: the right operand of a convolution's product, an element of a picture for each pixel and each tap of each
// channel. Where it lies is a sum of what depends on the pixel and what depends on the depth, and whether it lies in
// the picture is a question to the pixel and the tap: so a thread, which keeps its pixel, asks once for all channels.
#ifndef SG_CUDA_GATHER_H
#define SG_CUDA_GATHER_H

#include "compiler/kernel/cuda/contract.h"

// The product's right operand in its parts, as functions of its variables.
typedef struct CudaGather {
  const IrBuffer *buffer;
  IrExpr *pixel, *step; // of n and of k: their sum is the element's index
  IrVar *tap;           // k modulo the product's taps
  IrExpr *has;          // of n and the tap: whether the element is there; else it is zero
} CudaGather;

// False where the operand has no such parts.
bool cuda_gather(Lower *lower, const CudaProduct *product, CudaGather *out);
// Appends the operand's local functions to the kernel's body and gives the call that makes the template's operand of
// them. `*first` is one of them, which what the operand touches may be said of (cuda_calls).
IrExpr *cuda_put_gather(Lower *lower, const CudaProduct *product, const CudaGather *gather, IrStmt **first);
void cuda_preamble_gather(Text *out);

#endif
