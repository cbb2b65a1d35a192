// Patches: a depthwise convolution in front of a pointwise one, in the same kernel. Columns of the product are then
// tiles of a picture, whose windows (window.h) a block brings to shared memory some channels at a time.
#ifndef SG_CUDA_PATCH_H
#define SG_CUDA_PATCH_H

#include "compiler/kernel/cuda/contract.h"

// The columns of a product as tiles of pictures.
typedef struct CudaPatch {
  const Node *core; // the pointwise convolution, whose operand is made of window.conv
  CudaWindow window;
  int64_t pixels; // columns of a tile, of which th x tw are pixels
  IrExpr *image, *y, *x;
} CudaPatch;

// Makes the product's columns, which the tile was chosen for, those of whole patches.
CudaPatch cuda_patch(Lower *lower, const Node *core, const Node *depthwise, const CudaTile *tile, CudaProduct *product);
// From now on `column` is the number of the block's tile: where that stands, and what the product's results are.
void cuda_patch_open(Lower *lower, CudaPatch *patch, IrExpr *column, CudaProduct *product);
// The right operand of sg_gemm, of which the block multiplies k from `begin` to below `end`.
IrExpr *cuda_put_patch(Lower *lower, const CudaPatch *patch, IrExpr *thread, IrExpr *begin, IrExpr *end);
void cuda_preamble_patch(Text *out);

#endif
