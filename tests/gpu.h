// gpu.h: the GPU that a test runs on: a real one, or the simulated one that the build makes.
#ifndef SG_TESTS_GPU_H
#define SG_TESTS_GPU_H

#include <libgen.h>
#include <unistd.h>

#include "runtime/cuda_api.h"
#include "runtime/cuda_device.h"
#include "tests/check.h"

// Whether there is a GPU for the test. SGC_CUDA says which; else a real one is used, or the simulated one, whose
// library the build puts into the directory above the test programs'. Says why not where there is none.
static inline bool gpu_find(const char *program) {
  int n = 0;
  Text version = {0};
  Status status = cuda_compiler_version(&version);
  text_free(&version);
  if (!status && !getenv("SGC_CUDA")) {
    const CudaApi *api;
    char copy[4096], path[4200];
    snprintf(copy, sizeof copy, "%s", program);
    snprintf(path, sizeof path, "%s/../../libsimgpu.so", dirname(copy));
    Status real = cuda_api_open(CUDA_DRIVER, &api);
    if (real && !access(path, R_OK)) {
      setenv("SGC_CUDA", path, 1);
      setenv("SGC_CUBLASLT", path, 1);
      setenv("SGC_NCCL", path, 1);
      setenv("SGC_CUDA_CODE", "ptx", 1);
      if (!getenv("SGC_CUDA_TUNE")) setenv("SGC_CUDA_TUNE", "0", 1); // times mean nothing there
    }
    status_free(real);
  }
  if (!status) status = cuda_gpu_count(&n);
  if (status) CHECK_SKIP("no GPU, and no simulated one: %s", status_message(status));
  status_free(status);
  return n > 0;
}

#endif
