// CUDA GEMM: matrix products by cuBLASLt, in the place of kernels that compute the same.
#ifndef SG_CUDA_GEMM_H
#define SG_CUDA_GEMM_H

#include "runtime/cuda_context.h"

enum { CUDA_GEMM_WAYS = 4, CUDA_GEMM_WORKSPACE = 32 << 20 }; // bytes

// A product made ready: descriptors, and the library's ways of computing it, the ones it thinks fastest first.
typedef struct CudaGemm {
  const Gemm *gemm;
  BlasDesc desc;
  BlasLayout a, b, out;
  BlasAlgorithm way[CUDA_GEMM_WAYS];
  int n_ways; // 0 where the library has none
} CudaGemm;

// The device's handle of the library, made on first use; NULL where there is no cuBLASLt.
BlasHandle cuda_blas(CudaDevice *cuda);
// EXIT_DEVICE where the library refuses; cuda_gemm_end ends it always. For workspaces of CUDA_GEMM_WORKSPACE bytes.
Status cuda_gemm_begin(CudaDevice *cuda, const Gemm *gemm, CudaGemm *out);
void cuda_gemm_end(CudaDevice *cuda, CudaGemm *gemm);
// Puts the product into the stream; `args` as the step has them.
Status cuda_gemm_put(CudaDevice *cuda, CudaGemm *gemm, int way, const CudaAddress *args, CudaAddress workspace,
                     CudaStream stream);

// Which way to compute a step that is a product: a number of a way, or -1 for its kernel. Measured on the device the
// first time, on the step's own memory, whose result is overwritten; the kernel cache remembers it, so that later runs
// give the same bits. Where nothing can be measured (SGC_CUDA_TUNE=0) a table decides.
Status cuda_gemm_choose(CudaDevice *cuda, CudaGemm *gemm, const struct CudaStep *step, CudaAddress workspace,
                        int *out_way);

#endif
