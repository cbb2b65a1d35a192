// The simulator's names and types against the toolkit's: headers (by the compiler, through calls.h) and stub libraries.
#include "tests/check.h"
#if __has_include(<cuda.h>)
#include "tests/simgpu/calls.h"

// Every symbol of the simulator that begins like one of the library's is one of the library's.
static void against(const char *library, const char *pattern) {
  char command[4400], name[256], path[4096];
  ssize_t n = readlink("/proc/self/exe", path, sizeof path - 64);
  path[n > 0 ? n : 0] = 0;
  strcpy(strstr(path, "/tests/simgpu/"), "/libsimgpu.so");
  snprintf(command, sizeof command, "nm -D --defined-only '%s' | awk '$2 == \"T\" && $3 ~ /^%s/ {print $3}'", path,
           pattern);
  void *real = dlopen(library, RTLD_LAZY | RTLD_LOCAL);
  if (!real) {
    CHECK_SKIP("no %s to compare with", library);
    return;
  }
  FILE *names = popen(command, "r");
  int known = 0;
  while (names && fscanf(names, "%255s", name) == 1) {
    CHECK(dlsym(real, name) != NULL, "%s has no %s", library, name);
    known++;
  }
  if (names) pclose(names);
  CHECK(known > 10, "%d names found that begin with %s", known, pattern);
}

static void proc_address(void) {
  CUdriverProcAddressQueryResult status;
  void *function = NULL;
  OK(cuGetProcAddress, "cuMemAlloc", &function, 13000, 0, &status);
  CHECK(function == (void *)gpu.cuMemAlloc && status == CU_GET_PROC_ADDRESS_SUCCESS, "cuMemAlloc");
  OK(cuGetProcAddress, "cuInit", &function, 12000, 0, NULL);
  CHECK(function == (void *)gpu.cuInit, "cuInit");
  OK(cuGetProcAddress, "cuGraphInstantiate", &function, 12000, 0, NULL);
  CHECK(function == (void *)gpu.cuGraphInstantiateWithFlags, "cuGraphInstantiate");
  GIVES(CUDA_ERROR_NOT_FOUND, cuGetProcAddress, "cuNoSuchThing", &function, 13000, 0, &status);
  CHECK(status == CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND && !function, "cuNoSuchThing");
  if (simulator.report) {
    GIVES(CUDA_ERROR_NOT_FOUND, cuGetProcAddress, "cuGraphGetEdges", &function, 11000, 0, &status);
    CHECK(status == CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT, "an older cuGraphGetEdges");
  }
}

static void errors(void) {
  const char *text = NULL;
  OK(cuGetErrorName, CUDA_ERROR_ILLEGAL_ADDRESS, &text);
  CHECK_TEXT(text, "CUDA_ERROR_ILLEGAL_ADDRESS", "name of an error");
  OK(cuGetErrorString, CUDA_ERROR_INVALID_VALUE, &text);
  CHECK_TEXT(text, "invalid argument", "text of an error");
  GIVES(CUDA_ERROR_INVALID_VALUE, cuGetErrorName, (CUresult)12345, &text);
  CHECK(text == NULL, "an error that is none");
}

int main(void) {
  CHECK(calls_load(), "all functions are there");
  if (!gpu.cuInit) return check_report("test_driver_names");
  errors();
  proc_address();
  if (simulator.report) {
    int n = 0;
    option("SIMGPU_DEVICES", "0"); // as on a machine with a driver and no device
    GIVES(CUDA_ERROR_NO_DEVICE, cuInit, 0);
    GIVES(CUDA_ERROR_NOT_INITIALIZED, cuDeviceGetCount, &n);
    GIVES(CUDA_ERROR_INVALID_VALUE, cuInit, 1);
    against("/usr/local/cuda/lib64/stubs/libcuda.so", "cu[A-Z]");
    if (dlsym(simulator.library, "cublasLtMatmul")) against("libcublasLt.so.13", "cublas[A-Z]");
    if (dlsym(simulator.library, "ncclAllReduce")) against("libnccl.so.2", "nccl[A-Z]");
  }
  return check_report("test_driver_names");
}
#else
int main(void) {
  CHECK_SKIP("no CUDA toolkit's headers");
  return check_report("test_driver_names");
}
#endif
