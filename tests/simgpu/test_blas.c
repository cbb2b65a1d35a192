// cuBLASLt's matrix products.
#include "tests/check.h"
#if __has_include(<cuda.h>) && __has_include(<cublasLt.h>)
#include "tests/simgpu/calls.h"
#include "tests/simgpu/half.h"
#include <cublasLt.h>

#define BLAS_CALLS(X)                                                                                                  \
  X(cublasLtCreate)                                                                                                    \
  X(cublasLtDestroy)                                                                                                   \
  X(cublasLtGetVersion)                                                                                                \
  X(cublasLtGetCudartVersion)                                                                                          \
  X(cublasLtGetStatusName)                                                                                             \
  X(cublasLtGetStatusString)                                                                                           \
  X(cublasLtMatmulDescCreate) X(cublasLtMatmulDescDestroy) X(cublasLtMatmulDescSetAttribute)                           \
      X(cublasLtMatmulDescGetAttribute) X(cublasLtMatmulDescInit_internal) X(cublasLtMatrixLayoutCreate)               \
          X(cublasLtMatrixLayoutDestroy) X(cublasLtMatrixLayoutSetAttribute) X(cublasLtMatrixLayoutGetAttribute)       \
              X(cublasLtMatrixLayoutInit_internal) X(cublasLtMatmulPreferenceCreate)                                   \
                  X(cublasLtMatmulPreferenceDestroy) X(cublasLtMatmulPreferenceSetAttribute)                           \
                      X(cublasLtMatmulPreferenceGetAttribute) X(cublasLtMatmulPreferenceInit_internal)                 \
                          X(cublasLtMatmulAlgoGetHeuristic) X(cublasLtMatmulAlgoCheck) X(cublasLtMatmul)

static struct {
#define FIELD(name) __typeof__(name) *name;
  BLAS_CALLS(FIELD)
#undef FIELD
} blas;

#define RETURNS(want, name, ...)                                                                                       \
  do {                                                                                                                 \
    cublasStatus_t gave_ = blas.name(__VA_ARGS__);                                                                     \
    CHECK(gave_ == (want), "%s gives %s", #name, blas.cublasLtGetStatusName(gave_));                                   \
  } while (0)
#define DONE(name, ...) RETURNS(CUBLAS_STATUS_SUCCESS, name, __VA_ARGS__)

enum { ROOM = 40960, WORKSPACE = 1 << 20 };

static cublasLtHandle_t handle;
static CUdeviceptr a, b, c, d, bias, workspace;
static float host_a[ROOM], host_b[ROOM], host_c[ROOM], host_d[ROOM], host_bias[ROOM];

// A product to try.
typedef struct Case {
  const char *name;
  int m, n, k, batch;
  bool ta, tb, by_rows;
  int pad; // of the leading dimensions
  cudaDataType_t type, out_type;
  cublasComputeType_t compute;
  uint32_t epilogue;
  float alpha, beta;
  double tolerance;
} Case;

static const Case cases[] = {
    {"plain", 17, 33, 29, 1, 0, 0, 0, 0, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F, 1, 1, 0, 1e-5},
    {"transposed, padded", 20, 12, 65, 1, 1, 1, 0, 3, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F, 1, 0.5f, 2, 1e-5},
    {"rows, batch", 9, 300, 16, 3, 0, 1, 1, 4, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F, 1, 1, 1, 1e-5},
    {"bias", 12, 16, 24, 1, 1, 0, 0, 0, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F, CUBLASLT_EPILOGUE_BIAS, 1, 0, 1e-5},
    {"relu", 12, 16, 24, 1, 0, 0, 0, 0, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F, CUBLASLT_EPILOGUE_RELU, 1, 0, 1e-5},
    {"relu of bias", 12, 16, 24, 2, 1, 0, 0, 0, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F, CUBLASLT_EPILOGUE_RELU_BIAS,
     1, 0, 1e-5},
    {"tf32", 32, 32, 64, 1, 0, 0, 0, 0, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32, 1, 1, 0, 4e-3},
    {"half to float", 32, 24, 40, 1, 1, 0, 0, 0, CUDA_R_16F, CUDA_R_32F, CUBLAS_COMPUTE_32F, 1, 1, 0, 1e-5},
    {"half", 32, 24, 40, 1, 1, 0, 0, 8, CUDA_R_16F, CUDA_R_16F, CUBLAS_COMPUTE_32F, CUBLASLT_EPILOGUE_BIAS, 1, 0, 4e-3},
    {"all in half", 32, 24, 40, 1, 1, 0, 0, 0, CUDA_R_16F, CUDA_R_16F, CUBLAS_COMPUTE_16F, 1, 1, 0, 2e-2},
    {"bfloat16", 32, 24, 40, 1, 0, 1, 0, 0, CUDA_R_16BF, CUDA_R_16BF, CUBLAS_COMPUTE_32F, 1, 1, 1, 3e-2},
};

static size_t bytes_of(cudaDataType_t type) { return type == CUDA_R_32F ? 4 : 2; }

// Numbers in [-1, 1) that the type holds exactly.
static void fill(float *host, int n, cudaDataType_t type, uint32_t seed) {
  for (int k = 0; k < n; k++) {
    seed = seed * 1664525 + 1013904223;
    float x = (float)(seed >> 8) * 0x1p-23f - 1;
    host[k] = type == CUDA_R_16F    ? f16_to_float(f16_of_float(x))
              : type == CUDA_R_16BF ? bf16_to_float(bf16_of_float(x))
                                    : x;
  }
}

static void upload(CUdeviceptr to, const float *host, int n, cudaDataType_t type) {
  static uint16_t halves[ROOM];
  for (int k = 0; k < n; k++) halves[k] = type == CUDA_R_16F ? f16_of_float(host[k]) : bf16_of_float(host[k]);
  OK(cuMemcpyHtoD, to, type == CUDA_R_32F ? (const void *)host : halves, (size_t)n * bytes_of(type));
}

static void download(float *host, CUdeviceptr from, int n, cudaDataType_t type) {
  static uint16_t halves[ROOM];
  OK(cuMemcpyDtoH, type == CUDA_R_32F ? (void *)host : halves, from, (size_t)n * bytes_of(type));
  for (int k = 0; k < n && type != CUDA_R_32F; k++)
    host[k] = type == CUDA_R_16F ? f16_to_float(halves[k]) : bf16_to_float(halves[k]);
}

// A layout with its place in memory.
typedef struct Matrix {
  cublasLtMatrixLayout_t layout;
  int rows, cols, ld, stride;
  bool by_rows;
} Matrix;

static Matrix matrix(const Case *t, int rows, int cols, cudaDataType_t type) {
  Matrix m = {.rows = rows, .cols = cols, .by_rows = t->by_rows};
  m.ld = (t->by_rows ? cols : rows) + t->pad;
  m.stride = m.ld * (t->by_rows ? rows : cols);
  DONE(cublasLtMatrixLayoutCreate, &m.layout, type, (uint64_t)rows, (uint64_t)cols, m.ld);
  int32_t order = t->by_rows ? CUBLASLT_ORDER_ROW : CUBLASLT_ORDER_COL, batch = t->batch;
  int64_t stride = m.stride;
  DONE(cublasLtMatrixLayoutSetAttribute, m.layout, CUBLASLT_MATRIX_LAYOUT_ORDER, &order, sizeof order);
  DONE(cublasLtMatrixLayoutSetAttribute, m.layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch, sizeof batch);
  DONE(cublasLtMatrixLayoutSetAttribute, m.layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride);
  return m;
}

static int place(const Matrix *m, int batch, int i, int j) {
  return batch * m->stride + (m->by_rows ? i * m->ld + j : i + j * m->ld);
}

typedef struct Problem {
  cublasLtMatmulDesc_t desc;
  Matrix a, b, d; // C is like D
  cublasLtMatmulPreference_t preference;
  cublasLtMatmulHeuristicResult_t found[4];
  int n_found;
} Problem;

static void describe(const Case *t, Problem *p) {
  cublasOperation_t ta = t->ta ? CUBLAS_OP_T : CUBLAS_OP_N, tb = t->tb ? CUBLAS_OP_T : CUBLAS_OP_N;
  uint64_t room = WORKSPACE;
  DONE(cublasLtMatmulDescCreate, &p->desc, t->compute, t->compute == CUBLAS_COMPUTE_16F ? CUDA_R_16F : CUDA_R_32F);
  DONE(cublasLtMatmulDescSetAttribute, p->desc, CUBLASLT_MATMUL_DESC_TRANSA, &ta, sizeof ta);
  DONE(cublasLtMatmulDescSetAttribute, p->desc, CUBLASLT_MATMUL_DESC_TRANSB, &tb, sizeof tb);
  DONE(cublasLtMatmulDescSetAttribute, p->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &t->epilogue, sizeof t->epilogue);
  DONE(cublasLtMatmulDescSetAttribute, p->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
  p->a = matrix(t, t->ta ? t->k : t->m, t->ta ? t->m : t->k, t->type);
  p->b = matrix(t, t->tb ? t->n : t->k, t->tb ? t->k : t->n, t->type);
  p->d = matrix(t, t->m, t->n, t->out_type);
  DONE(cublasLtMatmulPreferenceCreate, &p->preference);
  DONE(cublasLtMatmulPreferenceSetAttribute, p->preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &room,
       sizeof room);
  DONE(cublasLtMatmulAlgoGetHeuristic, handle, p->desc, p->a.layout, p->b.layout, p->d.layout, p->d.layout,
       p->preference, 4, p->found, &p->n_found);
  CHECK(p->n_found >= 1, "%s: %d algorithms", t->name, p->n_found);
}

static void forget(Problem *p) {
  DONE(cublasLtMatmulDescDestroy, p->desc);
  DONE(cublasLtMatrixLayoutDestroy, p->a.layout);
  DONE(cublasLtMatrixLayoutDestroy, p->b.layout);
  DONE(cublasLtMatrixLayoutDestroy, p->d.layout);
  DONE(cublasLtMatmulPreferenceDestroy, p->preference);
}

static cublasStatus_t multiply(const Case *t, const Problem *p, const cublasLtMatmulAlgo_t *algo, CUdeviceptr space,
                               size_t n_space, CUstream stream) {
  uint16_t half[2] = {f16_of_float(t->alpha), f16_of_float(t->beta)};
  bool narrow = t->compute == CUBLAS_COMPUTE_16F;
  return blas.cublasLtMatmul(handle, p->desc, narrow ? (void *)&half[0] : &t->alpha, (void *)a, p->a.layout, (void *)b,
                             p->b.layout, narrow ? (void *)&half[1] : &t->beta, (void *)c, p->d.layout, (void *)d,
                             p->d.layout, algo, (void *)space, n_space, (cudaStream_t)stream);
}

static double want(const Case *t, const Problem *p, int batch, int i, int j) {
  double sum = 0;
  for (int l = 0; l < t->k; l++)
    sum += (double)host_a[place(&p->a, batch, t->ta ? l : i, t->ta ? i : l)] *
           host_b[place(&p->b, batch, t->tb ? j : l, t->tb ? l : j)];
  sum = t->alpha * sum + t->beta * host_c[place(&p->d, batch, i, j)];
  if (t->epilogue & CUBLASLT_EPILOGUE_BIAS) sum += host_bias[i];
  return t->epilogue & CUBLASLT_EPILOGUE_RELU && sum < 0 ? 0 : sum;
}

static void product(const Case *t) {
  Problem p;
  describe(t, &p);
  fill(host_a, p.a.stride * t->batch, t->type, 1);
  fill(host_b, p.b.stride * t->batch, t->type, 2);
  fill(host_c, p.d.stride * t->batch, t->out_type, 3);
  fill(host_bias, t->m, t->out_type, 4);
  upload(a, host_a, p.a.stride * t->batch, t->type);
  upload(b, host_b, p.b.stride * t->batch, t->type);
  upload(c, host_c, p.d.stride * t->batch, t->out_type);
  upload(bias, host_bias, t->m, t->out_type);
  for (int k = 0; k < p.n_found; k++) {
    OK(cuMemsetD8, d, 0xff, p.d.stride * (size_t)t->batch * bytes_of(t->out_type));
    cublasStatus_t status = multiply(t, &p, &p.found[k].algo, workspace, p.found[k].workspaceSize, NULL);
    CHECK(status == CUBLAS_STATUS_SUCCESS, "%s: %s", t->name, blas.cublasLtGetStatusName(status));
    download(host_d, d, p.d.stride * t->batch, t->out_type);
    double worst = 0;
    for (int batch = 0; batch < t->batch; batch++)
      for (int i = 0; i < t->m; i++)
        for (int j = 0; j < t->n; j++) {
          double error = fabs(host_d[place(&p.d, batch, i, j)] - want(t, &p, batch, i, j));
          if (!(error <= worst)) worst = error;
        }
    CHECK(worst <= t->tolerance * sqrt(t->k), "%s, algorithm %d: error %g", t->name, k, worst);
    if (t->pad) CHECK(isnan(host_d[t->by_rows ? t->n : t->m]), "%s: what lies between is not touched", t->name);
    if (t->compute == CUBLAS_COMPUTE_32F_FAST_TF32)
      CHECK(worst > 1e-4, "%s: rounds its inputs, error %g", t->name, worst);
  }
  forget(&p);
}

// The product waits for its stream and keeps alpha as it was at the call; captured, it is a node.
static void in_streams(void) {
  const Case *t = &cases[0];
  Problem p;
  CUstream stream;
  CUgraph graph = NULL;
  CUgraphExec exec = NULL;
  describe(t, &p);
  OK(cuStreamCreate, &stream, CU_STREAM_NON_BLOCKING);
  OK(cuStreamBeginCapture, stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
  OK(cuMemsetD32Async, a, 0x3f800000, (size_t)(t->m * t->k), stream);
  OK(cuMemsetD32Async, b, 0x3f800000, (size_t)(t->k * t->n), stream);
  CHECK(!multiply(t, &p, &p.found[0].algo, workspace, WORKSPACE, stream), "in a capture");
  OK(cuMemsetD32Async, a, 0, (size_t)(t->m * t->k), stream);
  OK(cuStreamEndCapture, stream, &graph);
  OK(cuGraphInstantiate, &exec, graph, 0);
  for (int seed = 0; seed < 4; seed++) {
    option_number("SIMGPU_SEED", seed);
    OK(cuMemsetD32, d, 0, 1);
    OK(cuCtxSynchronize);
    OK(cuGraphLaunch, exec, stream);
    OK(cuStreamSynchronize, stream);
    download(host_d, d, 1, CUDA_R_32F);
    CHECK(host_d[0] == (float)t->k, "%g", host_d[0]);
  }
  OK(cuGraphExecDestroy, exec);
  OK(cuGraphDestroy, graph);
  OK(cuStreamDestroy, stream);
  forget(&p);
}

// Two streams that share a workspace spoil each other's sums, over seeds; with a workspace each they don't.
static void workspaces(void) {
  const Case *t = &cases[0];
  Problem p;
  CUstream stream[2];
  int wrong[2] = {0, 0};
  if (!simulator.report) return;
  describe(t, &p);
  for (int k = 0; k < 2; k++) OK(cuStreamCreate, &stream[k], CU_STREAM_NON_BLOCKING);
  CUdeviceptr own_d = d, other_d = d + 4 * ROOM / 2, own_a = a, other_a = a + 4 * ROOM / 2;
  OK(cuMemsetD32, a, 0x3f800000, ROOM / 2);
  OK(cuMemsetD32, other_a, 0x40000000, ROOM / 2);
  OK(cuMemsetD32, b, 0x3f800000, ROOM);
  for (int own = 0; own < 2; own++)
    for (int seed = 0; seed < 16; seed++) {
      option_number("SIMGPU_SEED", seed);
      OK(cuMemsetD32, d, 0, ROOM);
      OK(cuCtxSynchronize);
      multiply(t, &p, &p.found[0].algo, workspace, WORKSPACE / 2, stream[0]);
      a = other_a, d = other_d;
      multiply(t, &p, &p.found[0].algo, workspace + (own ? WORKSPACE / 2 : 0), WORKSPACE / 2, stream[1]);
      a = own_a, d = own_d;
      OK(cuCtxSynchronize);
      OK(cuMemcpyDtoH, host_d, d, 4);
      OK(cuMemcpyDtoH, host_d + 1, other_d, 4);
      wrong[own] += host_d[0] != (float)t->k || host_d[1] != 2 * (float)t->k;
    }
  CHECK(p.found[0].workspaceSize > 0 && wrong[0] >= 3, "%d of 16 wrong with one workspace", wrong[0]);
  CHECK(wrong[1] == 0, "%d of 16 wrong with two", wrong[1]);
  for (int k = 0; k < 2; k++) OK(cuStreamDestroy, stream[k]);
  forget(&p);
}

static void mistakes(void) {
  const Case *t = &cases[0];
  Problem p, other;
  Case wide = *t;
  if (!simulator.report) return;
  describe(t, &p);
  cublasLtMatmulAlgo_t *algo = &p.found[0].algo;
  CHECK(multiply(t, &p, algo, workspace, 16, NULL) == CUBLAS_STATUS_INVALID_VALUE, "a small workspace");
  CHECK(reported("workspace is smaller"), "a small workspace");
  CHECK(multiply(t, &p, algo, workspace + 16, WORKSPACE - 256, NULL) == CUBLAS_STATUS_INVALID_VALUE, "unaligned");
  CHECK(reported("multiple of 256"), "an unaligned workspace");
  a += 4;
  CHECK(multiply(t, &p, algo, workspace, WORKSPACE, NULL) == CUBLAS_STATUS_INVALID_VALUE, "an unaligned matrix");
  CHECK(reported("less aligned"), "an unaligned matrix");
  a += 4 * ROOM - 256 - 4;
  CHECK(multiply(t, &p, algo, workspace, WORKSPACE, NULL) == CUBLAS_STATUS_INVALID_VALUE, "past the end");
  CHECK(reported("do not lie in device memory"), "past the end");
  a -= 4 * ROOM - 256;
  CUdeviceptr kept = d;
  d = a;
  CHECK(multiply(t, &p, algo, workspace, WORKSPACE, NULL) == CUBLAS_STATUS_INVALID_VALUE, "overlap");
  CHECK(reported("D overlaps A"), "overlap");
  d = kept;
  wide.n++;
  describe(&wide, &other);
  CHECK(multiply(&wide, &other, algo, workspace, WORKSPACE, NULL) == CUBLAS_STATUS_INVALID_VALUE, "another shape");
  CHECK(reported("another problem"), "an algorithm of another problem");
  int found = 0;
  cublasLtMatmulHeuristicResult_t result;
  RETURNS(CUBLAS_STATUS_INVALID_VALUE, cublasLtMatmulAlgoGetHeuristic, handle, p.desc, p.a.layout, other.b.layout,
          p.d.layout, p.d.layout, p.preference, 1, &result, &found);
  CHECK(reported("do not fit together") && !found, "shapes that don't fit");
  RETURNS(CUBLAS_STATUS_NOT_SUPPORTED, cublasLtMatmulAlgoCheck, handle, other.desc, other.a.layout, other.b.layout,
          other.d.layout, other.d.layout, algo, &result);
  forget(&other);
  uint32_t gelu = CUBLASLT_EPILOGUE_GELU;
  DONE(cublasLtMatmulDescSetAttribute, p.desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &gelu, sizeof gelu);
  RETURNS(CUBLAS_STATUS_NOT_SUPPORTED, cublasLtMatmulAlgoGetHeuristic, handle, p.desc, p.a.layout, p.b.layout,
          p.d.layout, p.d.layout, p.preference, 1, &result, &found);
  RETURNS(CUBLAS_STATUS_INVALID_VALUE, cublasLtMatmulDescSetAttribute, p.desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &gelu, 8);
  size_t written = 0;
  gelu = 0;
  DONE(cublasLtMatmulDescGetAttribute, p.desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &gelu, sizeof gelu, &written);
  CHECK(gelu == CUBLASLT_EPILOGUE_GELU && written == 4, "%u, %zu", gelu, written);
  forget(&p);
  // A product of memory that nobody wrote.
  describe(t, &p);
  CUdeviceptr fresh;
  OK(cuMemAlloc, &fresh, 4 * ROOM);
  kept = b;
  b = fresh;
  CHECK(multiply(t, &p, algo, workspace, WORKSPACE, NULL) == CUBLAS_STATUS_SUCCESS, "queued");
  GIVES(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize);
  CHECK(reported("matrix B"), "memory that nobody wrote");
  b = kept;
  OK(cuMemFree, fresh);
  forget(&p);
}

int main(void) {
  CHECK(calls_begin(1), "the library opens");
  void *library = calls_open("SGC_CUBLASLT");
#define LOAD(name)                                                                                                     \
  *(void **)&blas.name = library ? dlsym(library, #name) : NULL;                                                       \
  CHECK(blas.name, "%s", #name);
  BLAS_CALLS(LOAD)
  if (!blas.cublasLtMatmul) return check_report("test_blas");
  CHECK(blas.cublasLtGetVersion() >= 110000, "version %zu", blas.cublasLtGetVersion());
  CUdeviceptr *all[] = {&a, &b, &c, &d, &bias};
  for (int k = 0; k < 5; k++) OK(cuMemAlloc, all[k], 4 * ROOM);
  OK(cuMemAlloc, &workspace, WORKSPACE);
  DONE(cublasLtCreate, &handle);
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) product(&cases[k]);
  in_streams();
  workspaces();
  if (simulator.report) CHECK_TEXT(simulator.report(), "", "faults");
  mistakes();
  DONE(cublasLtDestroy, handle);
  RETURNS(CUBLAS_STATUS_NOT_INITIALIZED, cublasLtDestroy, handle);
  return check_report("test_blas");
}
#else
int main(void) {
  CHECK_SKIP("no headers of CUDA and cuBLASLt");
  return check_report("test_blas");
}
#endif
