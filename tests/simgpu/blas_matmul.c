// cublasLtMatmul: checks at the call, the product in the stream's time. The algorithm that splits k works in two
// steps with the workspace between them, so that a workspace which two streams share shows.
#include "tests/simgpu/blas_problem.h"
#include "tests/simgpu/driver_graph.h"
#include "tests/simgpu/driver_handle.h"
#include "tests/simgpu/driver_memory.h"
#include "tests/simgpu/half.h"
#include "tests/simgpu/stream_order.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct MatmulWork {
  Work work;
  BlasProblem problem;
  int algo;
  float alpha, beta;
  uint64_t a, b, c, d, workspace, workspace_bytes;
} MatmulWork;

// ---- elements

static float load(const void *base, cudaDataType_t type, int64_t at) {
  if (type == CUDA_R_32F) return ((const float *)base)[at];
  uint16_t half = ((const uint16_t *)base)[at];
  return type == CUDA_R_16F ? f16_to_float(half) : bf16_to_float(half);
}

static void store(void *base, cudaDataType_t type, int64_t at, float x) {
  if (type == CUDA_R_32F) ((float *)base)[at] = x;
  else ((uint16_t *)base)[at] = type == CUDA_R_16F ? f16_of_float(x) : bf16_of_float(x);
}

// What the compute type makes of an input.
static float rounded(cublasComputeType_t compute, float x) {
  if (compute == CUBLAS_COMPUTE_32F_FAST_TF32) return sim_options.compute >= 80 ? float_to_tf32(x) : x;
  if (compute == CUBLAS_COMPUTE_32F_FAST_16F) return f16_to_float(f16_of_float(x));
  if (compute == CUBLAS_COMPUTE_32F_FAST_16BF) return bf16_to_float(bf16_of_float(x));
  return x;
}

// Host address of a matrix of the batch; NULL, and the context has failed, if a byte of it can't be accessed.
static void *matrix(Op *op, const char *name, const BlasMatrix *x, uint64_t address, int batch, SimAccess access) {
  char why[400], text[256];
  size_t bytes = blas_type_bytes(x->type);
  uint64_t start = address + (uint64_t)(x->batch_stride * batch) * bytes;
  bool dense = x->ld == (int64_t)x->length;
  void *base = NULL;
  for (uint64_t line = 0; line < (dense ? 1 : x->lines); line++) {
    uint64_t at = start + line * (uint64_t)x->ld * bytes, n = (dense ? x->lines : 1) * x->length * bytes;
    void *host = sim_memory_range(at, n, access, why, sizeof why);
    if (!host) {
      work_describe(op->work, text, sizeof text);
      driver_fail(op->context, CUDA_ERROR_ILLEGAL_ADDRESS, "%s: matrix %s: %s", text, name, why);
      return NULL;
    }
    stream_order_touch(op, at, n, access);
    if (!line) base = host;
  }
  return base;
}

static float *pack(const void *base, const BlasMatrix *x, uint64_t rows, uint64_t cols, cublasComputeType_t compute) {
  float *packed = malloc(sizeof *packed * rows * cols);
  if (!packed) abort();
  for (uint64_t i = 0; i < rows; i++)
    for (uint64_t j = 0; j < cols; j++) {
      float value = load(base, x->type, (int64_t)i * x->row_step + (int64_t)j * x->col_step);
      packed[i * cols + j] = rounded(compute, value);
    }
  return packed;
}

// ---- the steps

static void sum_products(const BlasProblem *p, const float *a, const float *b, uint64_t first, uint64_t end,
                         float *sum) {
  if (p->compute != CUBLAS_COMPUTE_16F && p->compute != CUBLAS_COMPUTE_16F_PEDANTIC) {
    blas_gemm(p->m, p->n, p->k, first, end, a, b, sum);
    return;
  }
  for (uint64_t l = first; l < end; l += 16) { // as many products as an instruction of the tensor cores adds
    blas_gemm(p->m, p->n, p->k, l, l + 16 < end ? l + 16 : end, a, b, sum);
    for (uint64_t k = 0; k < p->m * p->n; k++) sum[k] = f16_to_float(f16_of_float(sum[k]));
  }
}

static bool finish(Op *op, int batch, const float *sum) {
  const MatmulWork *work = (const MatmulWork *)op->work;
  const BlasProblem *p = &work->problem;
  char why[400];
  const void *c = NULL, *bias = NULL;
  if (work->beta != 0 && !(c = matrix(op, "C", &p->c, work->c, batch, SIM_READ))) return false;
  if (p->has_bias) {
    size_t bytes = blas_type_bytes(p->bias_type);
    uint64_t at = p->bias + (uint64_t)(p->bias_stride * batch) * bytes;
    bias = sim_memory_range(at, p->m * bytes, SIM_READ, why, sizeof why);
    if (!bias) {
      driver_fail(op->context, CUDA_ERROR_ILLEGAL_ADDRESS, "matmul: bias: %s", why);
      return false;
    }
    stream_order_touch(op, at, p->m * bytes, SIM_READ);
  }
  void *d = matrix(op, "D", &p->d, work->d, batch, SIM_WRITE);
  if (!d) return false;
  for (uint64_t i = 0; i < p->m; i++)
    for (uint64_t j = 0; j < p->n; j++) {
      float x = work->alpha * sum[i * p->n + j];
      if (c) x += work->beta * load(c, p->c.type, (int64_t)i * p->c.row_step + (int64_t)j * p->c.col_step);
      if (bias) x += load(bias, p->bias_type, (int64_t)i);
      if (p->relu) x = x > 0 ? x : 0;
      store(d, p->d.type, (int64_t)i * p->d.row_step + (int64_t)j * p->d.col_step, x);
    }
  return true;
}

// One matrix of the batch, over a part of k: into the workspace, or into D with what lies there.
static bool multiply(Op *op, int batch, bool to_workspace) {
  const MatmulWork *work = (const MatmulWork *)op->work;
  const BlasProblem *p = &work->problem;
  uint64_t area = p->m * p->n, half = p->k / 2;
  const void *a_base = matrix(op, "A", &p->a, work->a, batch, SIM_READ);
  const void *b_base = a_base ? matrix(op, "B", &p->b, work->b, batch, SIM_READ) : NULL;
  if (!b_base) return false;
  float *a = pack(a_base, &p->a, p->m, p->k, p->compute), *b = pack(b_base, &p->b, p->k, p->n, p->compute);
  float *sum = calloc(area, sizeof *sum), *partial = NULL;
  if (!sum) abort();
  bool done = true;
  if (work->algo == BLAS_SPLIT) {
    char why[400];
    uint64_t at = work->workspace + (uint64_t)batch * area * sizeof *sum;
    SimAccess access = to_workspace ? SIM_WRITE : SIM_READ;
    partial = sim_memory_range(at, area * sizeof *sum, access, why, sizeof why);
    stream_order_touch(op, at, area * sizeof *sum, access);
    if (!partial) {
      driver_fail(op->context, CUDA_ERROR_ILLEGAL_ADDRESS, "matmul: workspace: %s", why);
      done = false;
    } else if (to_workspace) {
      sum_products(p, a, b, half, p->k, sum);
      for (uint64_t k = 0; k < area; k++) partial[k] = sum[k];
    } else {
      sum_products(p, a, b, 0, half, sum);
      for (uint64_t k = 0; k < area; k++) sum[k] += partial[k];
    }
  } else if (work->algo == BLAS_BACKWARDS) {
    sum_products(p, a, b, half, p->k, sum);
    sum_products(p, a, b, 0, half, sum);
  } else sum_products(p, a, b, 0, p->k, sum);
  if (done && !to_workspace) done = finish(op, batch, sum);
  free(a);
  free(b);
  free(sum);
  return done;
}

static bool matmul_run(Op *op) {
  const MatmulWork *work = (const MatmulWork *)op->work;
  bool first = work->algo == BLAS_SPLIT && !op->issued;
  if (first) op->issued = (void *)work; // the second step is left
  else driver_stats.matmuls++;
  bool good = true;
  for (int k = 0; k < work->problem.batch && good; k++) good = multiply(op, k, first);
  return !first || !good;
}

static void matmul_describe(const Work *work, char *text, size_t n_text) {
  const BlasProblem *p = &((const MatmulWork *)work)->problem;
  snprintf(text, n_text, "matmul %llu x %llu x %llu, batch %d", (unsigned long long)p->m, (unsigned long long)p->n,
           (unsigned long long)p->k, p->batch);
}

static const WorkType matmul_type = {
    .name = "matmul", .node = CU_GRAPH_NODE_TYPE_KERNEL, .run = matmul_run, .describe = matmul_describe};

// ---- checks

static cublasStatus_t refuse(const char *why) {
  driver_report("cublasLtMatmul: %s", why);
  return CUBLAS_STATUS_INVALID_VALUE;
}

// Bytes from the first to the last element of the whole batch.
static uint64_t extent(const BlasMatrix *x, int batch) {
  uint64_t last = (uint64_t)(x->batch_stride * (batch - 1)) + (x->lines - 1) * (uint64_t)x->ld + x->length;
  return last * blas_type_bytes(x->type);
}

static bool overlap(uint64_t a, uint64_t n_a, uint64_t b, uint64_t n_b) { return a < b + n_b && b < a + n_a; }

static cublasStatus_t check(const MatmulWork *w, const BlasAlgo *algo, bool given) {
  const BlasProblem *p = &w->problem;
  const uint64_t address[4] = {w->a, w->b, w->c, w->d};
  const BlasMatrix *matrices[4] = {&p->a, &p->b, &p->c, &p->d};
  char text[200];
  for (int k = 0; k < 4; k++) {
    if (k == 2 && w->beta == 0) continue;
    uint64_t align = given ? algo->align[k] : blas_type_bytes(matrices[k]->type);
    snprintf(text, sizeof text, "%c lies at 0x%llx, less aligned than the %llu bytes that the algorithm was asked for",
             "ABCD"[k], (unsigned long long)address[k], (unsigned long long)align);
    if (align && address[k] % align) return refuse(text);
    snprintf(text, sizeof text, "%c's %llu bytes at 0x%llx do not lie in device memory", "ABCD"[k],
             (unsigned long long)extent(matrices[k], p->batch), (unsigned long long)address[k]);
    if (!memory_is_device(address[k], extent(matrices[k], p->batch))) return refuse(text);
  }
  uint64_t d = extent(&p->d, p->batch);
  if (overlap(w->d, d, w->a, extent(&p->a, p->batch)) || overlap(w->d, d, w->b, extent(&p->b, p->batch)))
    return refuse("D overlaps A or B");
  if (w->beta != 0 && overlap(w->d, d, w->c, extent(&p->c, p->batch)) &&
      (w->c != w->d || p->c.ld != p->d.ld || p->c.row_step != p->d.row_step))
    return refuse("D overlaps C and is not the same matrix");
  if (p->has_bias && !memory_is_device(p->bias, p->m * blas_type_bytes(p->bias_type)))
    return refuse("the bias does not lie in device memory");
  if (!algo->workspace) return CUBLAS_STATUS_SUCCESS;
  if (w->workspace_bytes < algo->workspace) return refuse("the workspace is smaller than the algorithm's");
  if (w->workspace % 256 || !memory_is_device(w->workspace, w->workspace_bytes))
    return refuse("the workspace does not lie in device memory, or not on a multiple of 256 bytes");
  return CUBLAS_STATUS_SUCCESS;
}

// The algorithm that was given, or the best for the workspace at hand.
static cublasStatus_t choose(const BlasProblem *problem, const cublasLtMatmulAlgo_t *given, uint64_t workspace,
                             BlasAlgo *out) {
  if (given) {
    *out = *(const BlasAlgo *)given;
    if (out->shape == blas_shape(problem) && out->id < BLAS_ALGOS) return CUBLAS_STATUS_SUCCESS;
    return refuse("the algorithm was chosen for another problem");
  }
  BlasPreference preference = {.workspace = workspace, .reduction = CUBLASLT_REDUCTION_SCHEME_MASK};
  blas_algo(problem, &preference, 0, out);
  return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t put(Context *context, MatmulWork *work, const cublasLtMatmulAlgo_t *algo, cudaStream_t handle) {
  Stream *stream = stream_of((CUstream)handle, context);
  if (!stream || stream->context != context) {
    work_release(&work->work);
    return refuse("the stream is not of the handle's device");
  }
  BlasAlgo chosen;
  cublasStatus_t status = choose(&work->problem, algo, work->workspace_bytes, &chosen);
  if (!status) status = check(work, &chosen, algo != NULL);
  if (status) {
    work_release(&work->work);
    return status;
  }
  work->algo = chosen.id;
  return stream_put(stream, &work->work, NULL) ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t CUBLASWINAPI cublasLtMatmul(cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t computeDesc,
                                           const void *alpha, const void *A, cublasLtMatrixLayout_t Adesc,
                                           const void *B, cublasLtMatrixLayout_t Bdesc, const void *beta, const void *C,
                                           cublasLtMatrixLayout_t Cdesc, void *D, cublasLtMatrixLayout_t Ddesc,
                                           const cublasLtMatmulAlgo_t *algo, void *workspace,
                                           size_t workspaceSizeInBytes, cudaStream_t stream) {
  Context *context;
  if (driver_enter(&context)) return CUBLAS_STATUS_EXECUTION_FAILED;
  MatmulWork *work = work_new(&matmul_type, sizeof *work);
  cublasStatus_t status = CUBLAS_STATUS_NOT_INITIALIZED;
  if (handle_is(lightHandle, HANDLE_BLAS))
    status = blas_problem(computeDesc, Adesc, Bdesc, Cdesc, Ddesc, &work->problem);
  if (!status && (!alpha || !beta)) status = refuse("alpha or beta is NULL");
  if (!status && *(Context **)lightHandle != context) status = refuse("the handle is not of the current device");
  if (status) {
    work_release(&work->work);
    driver_leave(CUDA_SUCCESS);
    return status;
  }
  cudaDataType_t scale = (cudaDataType_t)blas_desc(computeDesc)->scale;
  work->alpha = load(alpha, scale, 0);
  work->beta = load(beta, scale, 0);
  work->a = (uint64_t)(uintptr_t)A;
  work->b = (uint64_t)(uintptr_t)B;
  work->c = (uint64_t)(uintptr_t)C;
  work->d = (uint64_t)(uintptr_t)D;
  work->workspace = (uint64_t)(uintptr_t)workspace;
  work->workspace_bytes = workspaceSizeInBytes;
  status = put(context, work, algo, stream);
  driver_leave(CUDA_SUCCESS);
  return status;
}
