// CUDA choice: kernel or library for a product: measured once, remembered in the kernel cache, or by a table.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/cuda_gemm.h"
#include "runtime/kernel_bundle.h"
#include "runtime/kernel_cache.h"
#include "runtime/kernel_shelf.h"

// ---- remembered -----------------------------------------------------------------------------------------------------

// Where the choice is kept: by GPU, versions of driver and library, product, and the kernel that it competes with.
static bool choice_path(CudaDevice *cuda, const CudaGemm *gemm, const CudaStep *step, Text *out, Hash *key) {
  Text directory = {0}, about = {0};
  CudaGpu gpu;
  int driver = 0;
  Status status = cuda_gpu(cuda->number, &gpu);
  cuda->api->cuDriverGetVersion(&driver);
  text_printf(&about, "gemm 1\n%s\n%d %zu\n", gpu.name, driver, cuda->api->cublasLtGetVersion());
  Hash context = hash_bytes(text_get(&about), about.size);
  const Gemm *g = gemm->gemm;
  text_printf(&about, "%lld %lld %lld %lld %lld %lld %lld %lld %lld %lld %d %d %d %d %d\n%s", (long long)g->m,
              (long long)g->n, (long long)g->k, (long long)g->batch, (long long)g->a_row, (long long)g->b_row,
              (long long)g->out_row, (long long)g->a_batch, (long long)g->b_batch, (long long)g->out_batch,
              g->a_transposed, g->b_transposed, g->has_bias, g->relu, (int)g->precision, step->step->symbol);
  *key = hash_bytes(text_get(&about), about.size);
  bool is_there = !status && kernel_cache_directory(&directory);
  if (is_there) shelf_path(text_get(&directory), context, *key, SHELF_CHOICE, out);
  status_free(status);
  text_free(&directory);
  text_free(&about);
  return is_there;
}

// The way as the library describes it: its list may be another one tomorrow.
static bool recall(const char *path, const CudaGemm *gemm, int *out_way) {
  Text object = {0};
  bool is_known = false;
  if (bundle_read(path, &object) && object.size == sizeof(BlasAlgorithm)) {
    static const BlasAlgorithm kernel = {{0}};
    is_known = !memcmp(object.data, &kernel, sizeof kernel);
    *out_way = -1;
    for (int i = 0; i < gemm->n_ways && !is_known; i++) {
      is_known = !memcmp(object.data, &gemm->way[i], sizeof gemm->way[i]);
      *out_way = i;
    }
  }
  text_free(&object);
  return is_known;
}

static void remember(const char *path, Hash key, const CudaGemm *gemm, int way) {
  static const BlasAlgorithm kernel = {{0}};
  Text directory = {0};
  const BlasAlgorithm *chosen = way < 0 ? &kernel : &gemm->way[way];
  if (kernel_cache_directory(&directory)) {
    Status status = file_make_directory(text_get(&directory));
    if (!status) status = bundle_write(path, chosen, sizeof *chosen, &key, 1);
    status_free(status); // measured again next time
  }
  text_free(&directory);
}

// ---- measured -------------------------------------------------------------------------------------------------------

static Status put_way(CudaDevice *cuda, CudaGemm *gemm, int way, const CudaStep *ready, CudaAddress workspace) {
  const Step *step = ready->step;
  if (way >= 0) return cuda_gemm_put(cuda, gemm, way, ready->args, workspace, ready->stream);
  return cuda_check(cuda,
                    cuda->api->cuLaunchKernel(ready->function, ready->n_blocks, 1, 1, (unsigned)step->block, 1, 1,
                                              (unsigned)step->shared, ready->stream, ready->parameters, NULL),
                    "kernel '%s' (%s)", step->symbol, step->label);
}

// The least time of several runs, after one that does not count.
static Status measure(CudaDevice *cuda, CudaGemm *gemm, int way, const CudaStep *ready, CudaAddress workspace,
                      const CudaEvent clock[2], float *out) {
  enum { RUNS = 5 };
  const CudaApi *api = cuda->api;
  *out = 0;
  for (int i = 0; i <= RUNS; i++) {
    float milliseconds = 0;
    CUDA_TRY(cuda, api->cuEventRecord(clock[0], ready->stream), "timing a product");
    TRY(put_way(cuda, gemm, way, ready, workspace));
    CUDA_TRY(cuda, api->cuEventRecord(clock[1], ready->stream), "timing a product");
    TRY(cuda_wait(cuda, ready->stream));
    CUDA_TRY(cuda, api->cuEventElapsedTime(&milliseconds, clock[0], clock[1]), "timing a product");
    if (i == 1 || (i > 1 && milliseconds < *out)) *out = milliseconds;
  }
  return STATUS_OK;
}

static Status measure_all(CudaDevice *cuda, CudaGemm *gemm, const CudaStep *ready, CudaAddress workspace,
                          const CudaEvent clock[2], int *out_way) {
  float best = 0;
  *out_way = -1;
  for (int way = -1; way < gemm->n_ways; way++) {
    float milliseconds = 0;
    TRY(measure(cuda, gemm, way, ready, workspace, clock, &milliseconds));
    if (way >= 0 && milliseconds >= best) continue;
    best = milliseconds;
    *out_way = way;
  }
  return STATUS_OK;
}

// ---- by a table -----------------------------------------------------------------------------------------------------

// Not measured: libraries are good at products whose tiles fill a GPU, and little is lost where they are not.
static int by_table(const Gemm *gemm) {
  enum { LEAST_SIDE = 128, LEAST_DEPTH = 64 };
  static const double least_work = 1 << 26; // multiply-adds
  double work = (double)gemm->m * (double)gemm->n * (double)gemm->k * (double)gemm->batch;
  bool is_large = gemm->m >= LEAST_SIDE && gemm->n >= LEAST_SIDE && gemm->k >= LEAST_DEPTH && work >= least_work;
  return is_large ? 0 : -1;
}

Status cuda_gemm_choose(CudaDevice *cuda, CudaGemm *gemm, const CudaStep *step, CudaAddress workspace, int *out_way) {
  *out_way = -1;
  if (!gemm->n_ways) return STATUS_OK;
  const char *tune = getenv("SGC_CUDA_TUNE");
  if (tune && !strcmp(tune, "0")) {
    *out_way = by_table(gemm->gemm);
    return STATUS_OK;
  }
  Text path = {0};
  Hash key;
  bool has_path = choice_path(cuda, gemm, step, &path, &key);
  Status status = STATUS_OK;
  if (!has_path || !recall(text_get(&path), gemm, out_way)) {
    CudaEvent clock[2] = {0};
    for (int i = 0; i < 2 && !status; i++)
      status = cuda_check(cuda, cuda->api->cuEventCreate(&clock[i], CUDA_EVENT_DEFAULT), "making an event");
    if (!status) status = measure_all(cuda, gemm, step, workspace, clock, out_way);
    if (!status && has_path) remember(text_get(&path), key, gemm, *out_way);
    for (int i = 0; i < 2; i++)
      if (clock[i]) cuda->api->cuEventDestroy_v2(clock[i]);
  }
  text_free(&path);
  return status;
}
