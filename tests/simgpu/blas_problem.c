// From descriptors to a problem, and the algorithms for it.
#include "tests/simgpu/blas_problem.h"
#include "tests/simgpu/driver_handle.h"
#include <string.h>

static const uint64_t algo_magic = 0x73696d41;

size_t blas_type_bytes(cudaDataType_t type) {
  return type == CUDA_R_32F ? 4 : type == CUDA_R_16F || type == CUDA_R_16BF ? 2 : 0;
}

// A program may ask for what is not supported; contradictions are reported.
static cublasStatus_t refuse(cublasStatus_t status, const char *why) {
  if (status == CUBLAS_STATUS_INVALID_VALUE) driver_report("cuBLASLt: %s", why);
  return status;
}

// A layout as a matrix, with op(X) transposed or not.
static bool matrix(const BlasLayout *layout, bool transposed, BlasMatrix *out) {
  bool by_rows = layout->order == CUBLASLT_ORDER_ROW;
  *out = (BlasMatrix){.type = (cudaDataType_t)layout->type, .ld = layout->ld, .batch_stride = layout->batch_stride};
  out->lines = by_rows ? layout->rows : layout->cols;
  out->length = by_rows ? layout->cols : layout->rows;
  out->row_step = by_rows != transposed ? layout->ld : 1;
  out->col_step = by_rows != transposed ? 1 : layout->ld;
  return out->ld >= (int64_t)out->length && (by_rows || layout->order == CUBLASLT_ORDER_COL);
}

static bool types_fit(const BlasProblem *p, int scale) {
  switch (p->compute) {
  case CUBLAS_COMPUTE_32F:
  case CUBLAS_COMPUTE_32F_PEDANTIC: return scale == CUDA_R_32F && (p->d.type == p->a.type || p->d.type == CUDA_R_32F);
  case CUBLAS_COMPUTE_32F_FAST_TF32:
  case CUBLAS_COMPUTE_32F_FAST_16F:
  case CUBLAS_COMPUTE_32F_FAST_16BF: return scale == CUDA_R_32F && p->a.type == CUDA_R_32F && p->d.type == CUDA_R_32F;
  case CUBLAS_COMPUTE_16F:
  case CUBLAS_COMPUTE_16F_PEDANTIC: return scale == CUDA_R_16F && p->a.type == CUDA_R_16F && p->d.type == CUDA_R_16F;
  default: return false;
  }
}

cublasStatus_t blas_problem(cublasLtMatmulDesc_t desc_handle, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                            cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d, BlasProblem *out) {
  const BlasDesc *desc = blas_desc(desc_handle);
  const BlasLayout *la = blas_layout(a), *lb = blas_layout(b), *lc = blas_layout(c), *ld = blas_layout(d);
  if (!desc || !la || !lb || !lc || !ld) return refuse(CUBLAS_STATUS_INVALID_VALUE, "a descriptor is none");
  bool ta = desc->trans_a != CUBLAS_OP_N, tb = desc->trans_b != CUBLAS_OP_N;
  *out = (BlasProblem){.compute = (cublasComputeType_t)desc->compute, .batch = ld->batch};
  if (!matrix(la, ta, &out->a) || !matrix(lb, tb, &out->b) || !matrix(lc, false, &out->c) ||
      !matrix(ld, false, &out->d))
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "a leading dimension is too small, or an order not simulated");
  out->m = ld->rows;
  out->n = ld->cols;
  out->k = ta ? la->rows : la->cols;
  if ((ta ? la->cols : la->rows) != out->m || (tb ? lb->rows : lb->cols) != out->n ||
      (tb ? lb->cols : lb->rows) != out->k || lc->rows != out->m || lc->cols != out->n)
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "rows and columns do not fit together");
  if (!out->m || !out->n || !out->k) return refuse(CUBLAS_STATUS_INVALID_VALUE, "a matrix is empty");
  if (la->batch != out->batch || lb->batch != out->batch || lc->batch != out->batch || out->batch < 1)
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "batch counts differ");
  if (la->batch_mode || lb->batch_mode || lc->batch_mode || ld->batch_mode)
    return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "arrays of pointers are not simulated");
  if (desc->pointer_mode != CUBLASLT_POINTER_MODE_HOST)
    return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "alpha and beta on the device are not simulated");
  if (desc->trans_c != CUBLAS_OP_N || desc->fill != CUBLAS_FILL_MODE_LOWER)
    return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "a transposed C and fill modes are not supported");
  if (!blas_type_bytes(out->a.type) || out->a.type != out->b.type || out->c.type != out->d.type ||
      !types_fit(out, desc->scale))
    return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "this combination of types is not supported");
  if (out->a.type == CUDA_R_16BF && sim_options.compute < 80)
    return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "bfloat16 needs compute capability 8.0");
  uint32_t known = CUBLASLT_EPILOGUE_DEFAULT | CUBLASLT_EPILOGUE_RELU | CUBLASLT_EPILOGUE_BIAS;
  if (desc->epilogue & ~known) return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "the epilogue is not simulated");
  out->relu = desc->epilogue & CUBLASLT_EPILOGUE_RELU;
  out->has_bias = desc->epilogue & CUBLASLT_EPILOGUE_BIAS;
  out->bias = desc->bias;
  out->bias_stride = desc->bias_stride;
  out->bias_type = desc->bias_type < 0 ? out->d.type : (cudaDataType_t)desc->bias_type;
  if (out->has_bias && out->bias_type != out->d.type && out->bias_type != CUDA_R_32F)
    return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "the bias has another type than D");
  return CUBLAS_STATUS_SUCCESS;
}

// ---- algorithms

uint64_t blas_shape(const BlasProblem *p) {
  const uint64_t parts[] = {
      p->m,       p->n,      p->k, (uint64_t)p->batch, (uint64_t)p->a.type, (uint64_t)p->d.type, (uint64_t)p->compute,
      p->a.lines, p->b.lines};
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) hash = (hash ^ parts[k]) * 0x100000001b3;
  return hash;
}

// The one that splits k keeps half of the sums in the workspace. It comes first where there is room for that, so that
// programs have to do with workspaces.
bool blas_algo(const BlasProblem *problem, const BlasPreference *preference, int number, BlasAlgo *out) {
  uint64_t split = problem->m * problem->n * (uint64_t)problem->batch * sizeof(float);
  split = (split + 255) / 256 * 256;
  bool has_room = preference->workspace >= split && problem->k > 1 && preference->reduction;
  static const int with_room[] = {BLAS_SPLIT, BLAS_DIRECT, BLAS_BACKWARDS}, without[] = {BLAS_DIRECT, BLAS_BACKWARDS};
  if (number >= (has_room ? 3 : 2)) return false;
  *out = (BlasAlgo){
      .magic = algo_magic, .id = has_room ? with_room[number] : without[number], .shape = blas_shape(problem)};
  memcpy(out->align, preference->align, sizeof out->align);
  if (out->id == BLAS_SPLIT) out->workspace = split;
  return true;
}

cublasStatus_t CUBLASWINAPI cublasLtMatmulAlgoGetHeuristic(
    cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t operationDesc, cublasLtMatrixLayout_t Adesc,
    cublasLtMatrixLayout_t Bdesc, cublasLtMatrixLayout_t Cdesc, cublasLtMatrixLayout_t Ddesc,
    cublasLtMatmulPreference_t preference, int requestedAlgoCount,
    cublasLtMatmulHeuristicResult_t heuristicResultsArray[], int *returnAlgoCount) {
  if (!returnAlgoCount || requestedAlgoCount < 1 || !heuristicResultsArray || !blas_preference(preference))
    return CUBLAS_STATUS_INVALID_VALUE;
  *returnAlgoCount = 0;
  if (driver_enter(NULL)) return CUBLAS_STATUS_NOT_INITIALIZED;
  cublasStatus_t status = CUBLAS_STATUS_NOT_INITIALIZED;
  BlasProblem problem;
  BlasAlgo algo;
  if (handle_is(lightHandle, HANDLE_BLAS)) status = blas_problem(operationDesc, Adesc, Bdesc, Cdesc, Ddesc, &problem);
  for (int k = 0; status == CUBLAS_STATUS_SUCCESS && k < requestedAlgoCount; k++) {
    if (!blas_algo(&problem, blas_preference(preference), k, &algo)) break;
    cublasLtMatmulHeuristicResult_t *result = &heuristicResultsArray[k];
    memset(result, 0, sizeof *result);
    memcpy(&result->algo, &algo, sizeof algo);
    result->workspaceSize = algo.workspace;
    result->wavesCount = 1;
    *returnAlgoCount = k + 1;
  }
  driver_leave(CUDA_SUCCESS);
  return status;
}

cublasStatus_t CUBLASWINAPI cublasLtMatmulAlgoCheck(cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t operationDesc,
                                                    cublasLtMatrixLayout_t Adesc, cublasLtMatrixLayout_t Bdesc,
                                                    cublasLtMatrixLayout_t Cdesc, cublasLtMatrixLayout_t Ddesc,
                                                    const cublasLtMatmulAlgo_t *algo,
                                                    cublasLtMatmulHeuristicResult_t *result) {
  BlasProblem problem;
  BlasAlgo own;
  if (!algo || !result) return CUBLAS_STATUS_INVALID_VALUE;
  memcpy(&own, algo, sizeof own);
  if (driver_enter(NULL)) return CUBLAS_STATUS_NOT_INITIALIZED;
  cublasStatus_t status = CUBLAS_STATUS_NOT_INITIALIZED;
  if (handle_is(lightHandle, HANDLE_BLAS)) status = blas_problem(operationDesc, Adesc, Bdesc, Cdesc, Ddesc, &problem);
  if (!status && (own.magic != algo_magic || own.shape != blas_shape(&problem))) status = CUBLAS_STATUS_NOT_SUPPORTED;
  memset(result, 0, sizeof *result);
  result->algo = *algo;
  result->state = status;
  result->workspaceSize = own.workspace;
  result->wavesCount = 1;
  driver_leave(CUDA_SUCCESS);
  return status;
}
