// CUDA GEMM: descriptors of cuBLASLt, which keeps matrices column by column.
//
// What is kept row by row as m x n is an n x m matrix to the library, so it computes out^T = b^T a^T: our b is its
// first factor, and the bias of our columns is one of its rows, as its epilogue wants it.
#include "runtime/cuda_gemm.h"

#include <stdint.h>

static Status blas_check(const CudaDevice *cuda, BlasResult result, const char *what) {
  if (result == BLAS_OK) return STATUS_OK;
  return status_make(EXIT_DEVICE, "%s: cuBLASLt: %s: %s", cuda->name, what, cuda->api->cublasLtGetStatusString(result));
}
#define BLAS_TRY(call, what) TRY(blas_check(cuda, (call), (what)))

BlasHandle cuda_blas(CudaDevice *cuda) {
  const CudaApi *api;
  if (cuda->blas || cuda->has_no_blas) return cuda->blas;
  Status status = cuda_api_open(CUDA_BLAS, &api);
  if (!status) status = blas_check(cuda, cuda->api->cublasLtCreate(&cuda->blas), "opening it");
  cuda->has_no_blas = status != STATUS_OK;
  status_free(status); // kernels do it then
  return cuda->blas;
}

// A matrix kept row by row as rows x columns, `next` floats from row to row.
static Status make_layout(CudaDevice *cuda, int64_t rows, int64_t columns, int64_t next, int64_t batch, int64_t stride,
                          BlasLayout *out) {
  const CudaApi *api = cuda->api;
  int32_t count = (int32_t)batch;
  BLAS_TRY(api->cublasLtMatrixLayoutCreate(out, BLAS_R32F, (uint64_t)columns, (uint64_t)rows, next), "a layout");
  if (batch == 1) return STATUS_OK;
  BLAS_TRY(api->cublasLtMatrixLayoutSetAttribute(*out, BLAS_LAYOUT_BATCH, &count, sizeof count), "a batch");
  return blas_check(cuda, api->cublasLtMatrixLayoutSetAttribute(*out, BLAS_LAYOUT_STRIDE, &stride, sizeof stride),
                    "a batch's stride");
}

static Status make_desc(CudaDevice *cuda, const Gemm *gemm, BlasDesc *out) {
  static const unsigned computes[] = {BLAS_COMPUTE_F32, BLAS_COMPUTE_TF32, BLAS_COMPUTE_F16, BLAS_COMPUTE_BF16};
  static const uint32_t epilogues[2][2] = {{BLAS_EPILOGUE_NONE, BLAS_EPILOGUE_RELU},
                                           {BLAS_EPILOGUE_BIAS, BLAS_EPILOGUE_RELU_BIAS}};
  const CudaApi *api = cuda->api;
  int32_t first = gemm->b_transposed ? BLAS_TRANSPOSED : BLAS_PLAIN,
          second = gemm->a_transposed ? BLAS_TRANSPOSED : BLAS_PLAIN;
  uint32_t epilogue = epilogues[gemm->has_bias][gemm->relu];
  BLAS_TRY(api->cublasLtMatmulDescCreate(out, computes[gemm->precision], BLAS_R32F), "a description");
  BLAS_TRY(api->cublasLtMatmulDescSetAttribute(*out, BLAS_DESC_TRANSA, &first, sizeof first), "a description");
  BLAS_TRY(api->cublasLtMatmulDescSetAttribute(*out, BLAS_DESC_TRANSB, &second, sizeof second), "a description");
  return blas_check(cuda, api->cublasLtMatmulDescSetAttribute(*out, BLAS_DESC_EPILOGUE, &epilogue, sizeof epilogue),
                    "an epilogue");
}

static Status find_ways(CudaDevice *cuda, CudaGemm *gemm) {
  const CudaApi *api = cuda->api;
  BlasPreference preference;
  BlasHeuristic found[CUDA_GEMM_WAYS];
  size_t workspace = CUDA_GEMM_WORKSPACE;
  int n = 0;
  BLAS_TRY(api->cublasLtMatmulPreferenceCreate(&preference), "preferences");
  BlasResult result =
      api->cublasLtMatmulPreferenceSetAttribute(preference, BLAS_PREFER_WORKSPACE, &workspace, sizeof workspace);
  if (!result)
    result = api->cublasLtMatmulAlgoGetHeuristic(cuda->blas, gemm->desc, gemm->b, gemm->a, gemm->out, gemm->out,
                                                 preference, CUDA_GEMM_WAYS, found, &n);
  api->cublasLtMatmulPreferenceDestroy(preference);
  if (result == BLAS_UNSUPPORTED) n = 0;
  else if (result) return blas_check(cuda, result, "ways of computing a product");
  for (int i = 0; i < n; i++)
    if (found[i].state == BLAS_OK) gemm->way[gemm->n_ways++] = found[i].algorithm;
  return STATUS_OK;
}

Status cuda_gemm_begin(CudaDevice *cuda, const Gemm *gemm, CudaGemm *out) {
  *out = (CudaGemm){.gemm = gemm};
  if (!cuda_blas(cuda)) return STATUS_OK;
  bool ta = gemm->a_transposed, tb = gemm->b_transposed;
  TRY(make_desc(cuda, gemm, &out->desc));
  TRY(make_layout(cuda, ta ? gemm->k : gemm->m, ta ? gemm->m : gemm->k, gemm->a_row, gemm->batch, gemm->a_batch,
                  &out->a));
  TRY(make_layout(cuda, tb ? gemm->n : gemm->k, tb ? gemm->k : gemm->n, gemm->b_row, gemm->batch, gemm->b_batch,
                  &out->b));
  TRY(make_layout(cuda, gemm->m, gemm->n, gemm->out_row, gemm->batch, gemm->out_batch, &out->out));
  return find_ways(cuda, out);
}

void cuda_gemm_end(CudaDevice *cuda, CudaGemm *gemm) {
  const CudaApi *api = cuda->api;
  if (gemm->desc) api->cublasLtMatmulDescDestroy(gemm->desc);
  if (gemm->a) api->cublasLtMatrixLayoutDestroy(gemm->a);
  if (gemm->b) api->cublasLtMatrixLayoutDestroy(gemm->b);
  if (gemm->out) api->cublasLtMatrixLayoutDestroy(gemm->out);
  *gemm = (CudaGemm){0};
}

Status cuda_gemm_put(CudaDevice *cuda, CudaGemm *gemm, int way, const CudaAddress *args, CudaAddress workspace,
                     CudaStream stream) {
  static const float one = 1, zero = 0;
  const CudaApi *api = cuda->api;
  bool has_bias = gemm->gemm->has_bias;
  CudaAddress a = args[gemm->gemm->b_first], b = args[!gemm->gemm->b_first];
  void *out = (void *)(uintptr_t)args[2 + has_bias];
  if (has_bias)
    BLAS_TRY(api->cublasLtMatmulDescSetAttribute(gemm->desc, BLAS_DESC_BIAS, &args[2], sizeof(void *)), "a bias");
  return blas_check(cuda,
                    api->cublasLtMatmul(cuda->blas, gemm->desc, &one, (const void *)(uintptr_t)b, gemm->b,
                                        (const void *)(uintptr_t)a, gemm->a, &zero, out, gemm->out, out, gemm->out,
                                        &gemm->way[way], (void *)(uintptr_t)workspace, CUDA_GEMM_WORKSPACE, stream),
                    "a product");
}
