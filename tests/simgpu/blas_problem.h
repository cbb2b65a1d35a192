// The simulated cuBLASLt: descriptors, and the matrix product that they describe together.
#ifndef SIM_BLAS_PROBLEM_H
#define SIM_BLAS_PROBLEM_H

#include "tests/simgpu/driver_state.h"
#include <cublasLt.h>

// What lies in the library's opaque structs.
typedef struct BlasDesc {
  uint64_t magic;
  uint64_t bias, aux; // device addresses
  int64_t bias_stride, aux_ld, aux_stride;
  int32_t compute, scale, pointer_mode, trans_a, trans_b, trans_c, fill, sm_count, bias_type;
  uint32_t epilogue;
} BlasDesc;

typedef struct BlasLayout {
  uint64_t magic;
  uint64_t rows, cols;
  int64_t ld, batch_stride;
  int32_t order, batch;
  uint32_t type, batch_mode;
} BlasLayout;

typedef struct BlasPreference {
  uint64_t magic;
  uint64_t workspace;
  uint32_t align[4]; // of A, B, C, D: bytes
  uint32_t search, reduction;
  float waves;
} BlasPreference;

// What lies in cublasLtMatmulAlgo_t.
typedef struct BlasAlgo {
  uint64_t magic;
  int32_t id;
  uint32_t align[4]; // that the caller has promised
  uint64_t workspace;
  uint64_t shape; // of the problem that it was chosen for
} BlasAlgo;

enum { BLAS_DIRECT, BLAS_SPLIT, BLAS_BACKWARDS, BLAS_ALGOS }; // ids: how the sums go

// A matrix in memory.
typedef struct BlasMatrix {
  cudaDataType_t type;
  uint64_t lines, length; // of contiguous elements: columns of the column order, rows of the row order
  int64_t ld, batch_stride;
  int64_t row_step, col_step; // elements, of op(X) for A and B
} BlasMatrix;

// D = act(alpha op(A) op(B) + beta C + bias): op(A) is m x k, op(B) k x n.
typedef struct BlasProblem {
  uint64_t m, n, k;
  int batch;
  BlasMatrix a, b, c, d;
  cublasComputeType_t compute;
  bool relu, has_bias;
  cudaDataType_t bias_type;
  uint64_t bias; // of m elements
  int64_t bias_stride;
} BlasProblem;

size_t blas_type_bytes(cudaDataType_t type); // 0: not simulated

const BlasDesc *blas_desc(const void *handle);
const BlasLayout *blas_layout(const void *handle);
const BlasPreference *blas_preference(const void *handle); // all NULL where it is none

// What the descriptors say together; an error, reported, where they contradict each other or say what is not simulated.
cublasStatus_t blas_problem(cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                            cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d, BlasProblem *out);
// The algorithm of this number for the problem, 0 being the best; false if there is no such that the preference allows.
bool blas_algo(const BlasProblem *problem, const BlasPreference *preference, int number, BlasAlgo *out);
uint64_t blas_shape(const BlasProblem *problem); // tells problems apart

// sum[i][j] += the products over k in [first, end) of packed a (m x k) and b (k x n).
void blas_gemm(uint64_t m, uint64_t n, uint64_t k, uint64_t first, uint64_t end, const float *a, const float *b,
               float *sum);

#endif
