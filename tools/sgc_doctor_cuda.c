// sgc doctor: what was found of CUDA: libraries, versions, GPUs, and why not.
#include "runtime/cuda_api.h"
#include "runtime/cuda_device.h"
#include "tools/sgc.h"

// Prints the reason and frees the status. True if there was none.
static bool is_well(const char *name, Status status) {
  if (!status) return true;
  printf("%-10s %s\n", name, status_message(status));
  status_free(status);
  return false;
}

static void print_gpu(int number) {
  CudaGpu gpu;
  CudaCode code;
  char name[32];
  snprintf(name, sizeof name, "cuda:%d", number);
  if (!is_well(name, cuda_gpu(number, &gpu))) return;
  int64_t available = 0;
  printf("%-10s %s: sm_%d, %d multiprocessors, %.0f MB\n", name, gpu.name, gpu.compute, gpu.multiprocessors,
         1e-6 * (double)gpu.memory);
  if (!is_well("", cuda_gpu_free_memory(number, &available))) return;
  printf("%-10s %.0f MB are free\n", "", 1e-6 * (double)available);
  if (!is_well("", cuda_code_choose(gpu.compute, &code))) return;
  printf("%-10s kernels as %s_%d: %s\n", "", code.is_ptx ? "compute" : "sm", code.compute,
         code.is_ptx ? "PTX, which the driver translates" : "machine code");
}

static void print_driver(void) {
  const CudaApi *api;
  int count = 0, version = 0;
  if (!is_well("driver", cuda_api_open(CUDA_DRIVER, &api))) return;
  api->cuDriverGetVersion(&version);
  printf("%-10s %s: CUDA %d.%d\n", "driver", cuda_api_path(CUDA_DRIVER), version / 1000, version % 1000 / 10);
  if (!is_well("gpus", cuda_gpu_count(&count))) return;
  for (int i = 0; i < count; i++) print_gpu(i);
}

static void print_nvrtc(void) {
  Arena *arena = arena_new();
  Text version = {0};
  int *known = NULL, n = 0;
  if (is_well("nvrtc", cuda_compiler_version(&version)) && is_well("nvrtc", cuda_architectures(arena, &known, &n))) {
    printf("%-10s %s: %s, makes", "nvrtc", cuda_api_path(CUDA_NVRTC), text_get(&version));
    for (int i = 0; i < n; i++) printf(" sm_%d", known[i]);
    printf("\n");
  }
  text_free(&version);
  arena_free(arena);
}

static void print_libraries(void) {
  const CudaApi *api;
  if (is_well("cublaslt", cuda_api_open(CUDA_BLAS, &api))) {
    size_t version = api->cublasLtGetVersion();
    printf("%-10s %s: %zu.%zu.%zu\n", "cublaslt", cuda_api_path(CUDA_BLAS), version / 10000, version % 10000 / 100,
           version % 100);
  }
  int version = 0;
  if (!is_well("nccl", cuda_api_open(CUDA_NCCL, &api))) return;
  if (api->ncclGetVersion(&version))
    printf("%-10s %s: it does not say its version\n", "nccl", cuda_api_path(CUDA_NCCL));
  else
    printf("%-10s %s: %d.%d.%d\n", "nccl", cuda_api_path(CUDA_NCCL), version / 10000, version % 10000 / 100,
           version % 100);
}

void sgc_doctor_cuda(void) {
  print_driver();
  print_nvrtc();
  print_libraries();
}
