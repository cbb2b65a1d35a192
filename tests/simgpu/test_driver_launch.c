// Modules, launches, and faults: what a call refuses, and what spoils the context.
#include "tests/check.h"
#if __has_include(<cuda.h>)
#include "tests/simgpu/calls.h"

enum { N = 1000 };

static CUmodule module;
static CUdeviceptr x;

static void modules(void) {
  CUmodule none = NULL;
  CUfunction function;
  char log[512] = "untouched";
  CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void *values[] = {log, (void *)sizeof log};
  static const char bad[] =
      ".version 7.0\n.target sm_75\n.address_size 64\n.visible .entry k()\n{\n  frobnicate.u32 %r1;\n}\n";
  CUresult result = gpu.cuModuleLoadDataEx(&none, bad, 2, options, values);
  CHECK(result == CUDA_ERROR_INVALID_PTX, "%s", calls_error(result));
  CHECK(strstr(log, "frobnicate"), "log: %s", log);
  CHECK((size_t)values[1] > 0 && (size_t)values[1] <= sizeof log, "%zu bytes of log", (size_t)values[1]);
  CHECK(reported("frobnicate"), "bad PTX");
  static const char cubin[64] = "\177ELF\2\1\1";
  result = gpu.cuModuleLoadData(&none, cubin);
  CHECK(result == CUDA_ERROR_NO_BINARY_FOR_GPU || result == CUDA_ERROR_INVALID_IMAGE, "%s", calls_error(result));
  CHECK(reported("machine code"), "a cubin");
  result = gpu.cuModuleLoadData(&none, "not a module at all");
  CHECK(result == CUDA_ERROR_INVALID_IMAGE || result == CUDA_ERROR_INVALID_PTX, "%s", calls_error(result));
  CHECK(reported("neither PTX"), "text");
  if (simulator.report) {
    GIVES(CUDA_ERROR_INVALID_PTX, cuModuleLoadData, &none, ".version 9.0\n.target sm_999\n");
    CHECK(reported("sm_999"), "PTX of a newer device");
  }
  GIVES(CUDA_ERROR_NOT_FOUND, cuModuleGetFunction, &function, module, "nothing");
  unsigned n = 0;
  OK(cuModuleGetFunctionCount, &n, module);
  CHECK(n == 4, "%u functions", n);
  const char *name = NULL;
  OK(cuFuncGetName, &name, calls_kernel(module, "scale"));
  CHECK_TEXT(name, "scale", "name of a function");
  size_t offset = 0, size = 0;
  OK(cuFuncGetParamInfo, calls_kernel(module, "scale"), 1, &offset, &size);
  CHECK(offset == 8 && size == 4, "parameter at %zu of %zu", offset, size);
  GIVES(CUDA_ERROR_INVALID_VALUE, cuFuncGetParamInfo, calls_kernel(module, "scale"), 3, &offset, &size);
}

static void variables(void) {
  CUdeviceptr offset;
  size_t bytes = 0;
  float value = 2.5f, back[2] = {0};
  OK(cuModuleGetGlobal, &offset, &bytes, module, "offset");
  CHECK(bytes == 8, "%zu bytes", bytes);
  OK(cuMemcpyHtoD, offset, &value, 4);
  GIVES(CUDA_ERROR_NOT_FOUND, cuModuleGetGlobal, &offset, &bytes, module, "nothing");
  OK(cuMemsetD32, x, 0, N);
  int n = N;
  void *params[] = {&x, &n};
  OK(cuLaunchKernel, calls_kernel(module, "shift"), 8, 1, 1, 128, 1, 1, 0, NULL, params, NULL);
  OK(cuMemcpyDtoH, back, x, 8);
  CHECK(back[0] == 2.5f && back[1] == 2.5f, "%g %g", back[0], back[1]);
}

static void attributes(void) {
  CUfunction shift = calls_kernel(module, "shift"), turn = calls_kernel(module, "turn");
  int value = 0, most = 0, blocks = 0, grid = 0, block = 0;
  OK(cuFuncGetAttribute, &value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, shift);
  CHECK(value == 128, "%d threads", value);
  OK(cuFuncGetAttribute, &value, CU_FUNC_ATTRIBUTE_NUM_REGS, shift);
  CHECK(value > 0 && value < 256, "%d registers", value);
  OK(cuDeviceGetAttribute, &most, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 0);
  float host[64];
  for (int k = 0; k < 64; k++) host[k] = (float)k;
  OK(cuMemcpyHtoD, x, host, sizeof host);
  void *params[] = {&x};
  if (most > 49152) {
    GIVES(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel, turn, 1, 1, 1, 64, 1, 1, 50000, NULL, params, NULL);
    CHECK(reported("MAX_DYNAMIC_SHARED"), "too much shared memory");
    OK(cuFuncSetAttribute, turn, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 50000);
  }
  OK(cuLaunchKernel, turn, 1, 1, 1, 64, 1, 1, most > 49152 ? 50000 : 256, NULL, params, NULL);
  GIVES(CUDA_ERROR_INVALID_VALUE, cuFuncSetAttribute, turn, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, most + 1);
  OK(cuMemcpyDtoH, host, x, sizeof host);
  CHECK(host[0] == 63 && host[63] == 0, "turned: %g %g", host[0], host[63]);
  OK(cuOccupancyMaxActiveBlocksPerMultiprocessor, &blocks, shift, 128, 0);
  CHECK(blocks >= 8 && blocks <= 32, "%d blocks", blocks);
  OK(cuOccupancyMaxActiveBlocksPerMultiprocessor, &value, shift, 128, 40000);
  CHECK(value >= 1 && value < blocks, "%d blocks with shared memory", value);
  OK(cuOccupancyMaxPotentialBlockSize, &grid, &block, shift, NULL, 0, 0);
  CHECK(block >= 32 && block <= 128 && grid >= 1, "%d blocks of %d", grid, block);
}

// Parameters in one buffer, and launches by a config.
static void ways(void) {
  CUfunction scale = calls_kernel(module, "scale");
  struct {
    CUdeviceptr x;
    float by;
    int n;
  } buffer = {x, 3, N};
  size_t size = sizeof buffer;
  void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &buffer, CU_LAUNCH_PARAM_BUFFER_SIZE, &size, CU_LAUNCH_PARAM_END};
  OK(cuMemsetD32, x, 0x3f800000, N);
  OK(cuLaunchKernel, scale, 8, 1, 1, 128, 1, 1, 0, NULL, NULL, extra);
  CUlaunchAttribute hint = {.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION};
  CUlaunchConfig config = {.gridDimX = 8,
                           .gridDimY = 1,
                           .gridDimZ = 1,
                           .blockDimX = 128,
                           .blockDimY = 1,
                           .blockDimZ = 1,
                           .attrs = &hint,
                           .numAttrs = 1};
  void *params[] = {&buffer.x, &buffer.by, &buffer.n};
  OK(cuLaunchKernelEx, &config, scale, params, NULL);
  float value = 0;
  OK(cuMemcpyDtoH, &value, x + 4 * (N - 1), 4);
  CHECK(value == 9, "%g", value);
}

static void refused(void) {
  CUfunction scale = calls_kernel(module, "scale"), shift = calls_kernel(module, "shift");
  int n = N;
  float by = 1;
  void *params[] = {&x, &by, &n}, *two[] = {&x, &n};
  GIVES(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel, scale, 0, 1, 1, 128, 1, 1, 0, NULL, params, NULL);
  CHECK(reported("dimension of the grid"), "no blocks");
  GIVES(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel, scale, 1, 65536, 1, 128, 1, 1, 0, NULL, params, NULL);
  CHECK(reported("dimension of the grid"), "a tall grid");
  GIVES(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel, scale, 1, 1, 1, 2048, 1, 1, 0, NULL, params, NULL);
  CHECK(reported("dimension of the block"), "2048 threads");
  GIVES(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel, scale, 1, 1, 1, 1, 1, 128, 0, NULL, params, NULL);
  CHECK(reported("dimension of the block"), "a deep block");
  if (simulator.report) {
    GIVES(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel, shift, 1, 1, 1, 256, 1, 1, 0, NULL, two, NULL);
    CHECK(reported("launch bounds"), "more threads than the bounds");
    GIVES(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel, scale, 1, 1, 1, 32, 1, 1, 0, NULL, NULL, NULL);
    CHECK(reported("parameters are missing"), "no parameters");
  }
  float value;
  OK(cuMemcpyDtoH, &value, x, 4); // none of these spoils the context
}

// ---- faults; on a device they would end the process's use of it

static void faults(void) {
  if (!simulator.report) return;
  CUdeviceptr small, gone;
  CUfunction scale = calls_kernel(module, "scale");
  CUstream stream;
  CUevent event;
  float value = 0;
  OK(cuMemAlloc, &small, 40);
  OK(cuMemsetD32, small, 0, 10);
  calls_scale(scale, small, 1, 11, NULL);
  GIVES(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize);
  GIVES(CUDA_ERROR_ILLEGAL_ADDRESS, cuMemcpyDtoH, &value, small, 4); // from here on, all calls
  GIVES(CUDA_ERROR_ILLEGAL_ADDRESS, cuStreamCreate, &stream, 0);
  GIVES(CUDA_ERROR_ILLEGAL_ADDRESS, cuMemFree, small);
  CHECK(calls_scale(scale, small, 1, 1, NULL) == CUDA_ERROR_ILLEGAL_ADDRESS, "a launch");
  CUcontext context;
  OK(cuCtxGetCurrent, &context);
  CHECK(reported("kernel"), "out of bounds");
  OK(cuMemFree, small);
  // Work that comes after a fault is dropped, in other streams of the context too.
  OK(cuMemAlloc, &gone, 40);
  OK(cuMemsetD32, x, 0, 1);
  OK(cuCtxSynchronize);
  OK(cuStreamCreate, &stream, CU_STREAM_NON_BLOCKING);
  OK(cuEventCreate, &event, 0);
  calls_scale(scale, gone, 1, 10, stream); // never written
  gpu.cuEventRecord(event, stream);        // these may tell already
  gpu.cuMemsetD32Async(x, 5, 1, stream);
  CHECK(gpu.cuEventSynchronize(event) != CUDA_SUCCESS, "a read of memory that nobody wrote");
  simulator.reset();
  OK(cuMemcpyDtoH, &value, x, 4);
  CHECK(value == 0, "the memset after the fault ran");
  // Freed while a launch is pending: the launch faults unless it happened to run before.
  OK(cuMemFree, gone);
  int used = 0;
  for (int seed = 0; seed < 16; seed++) {
    option_number("SIMGPU_SEED", seed);
    OK(cuMemAlloc, &gone, 40);
    OK(cuMemsetD32, gone, 0, 10);
    OK(cuCtxSynchronize);
    calls_scale(scale, gone, 1, 10, stream);
    OK(cuMemFree, gone);
    used += gpu.cuStreamSynchronize(stream) == CUDA_ERROR_ILLEGAL_ADDRESS;
    simulator.reset();
  }
  CHECK(used >= 8, "%d of 16 used after they were freed", used);
  // A module unloaded, and pinned memory freed, while something pending needs them.
  CUmodule second;
  void *pinned;
  OK(cuModuleLoadData, &second, calls_ptx);
  calls_scale(calls_kernel(second, "scale"), x, 1, 1, stream);
  OK(cuModuleUnload, second);
  GIVES(CUDA_ERROR_LAUNCH_FAILED, cuStreamSynchronize, stream);
  CHECK(reported("unloaded before it ran"), "a module gone");
  OK(cuMemHostAlloc, &pinned, 4, 0);
  OK(cuMemcpyHtoDAsync, x, pinned, 4, stream);
  OK(cuMemFreeHost, pinned);
  GIVES(CUDA_ERROR_ILLEGAL_ADDRESS, cuStreamSynchronize, stream);
  CHECK(reported("pinned source was freed"), "pinned memory gone");
  OK(cuStreamDestroy, stream);
  OK(cuEventDestroy, event);
}

int main(void) {
  if (!calls_begin(1)) {
    CHECK(0, "the library opens");
    return check_report("test_driver_launch");
  }
  OK(cuModuleLoadData, &module, calls_ptx);
  OK(cuMemAlloc, &x, 4 * N);
  modules();
  variables();
  attributes();
  ways();
  refused();
  faults();
  OK(cuModuleUnload, module);
  if (simulator.report) CHECK_TEXT(simulator.report(), "", "faults");
  return check_report("test_driver_launch");
}
#else
int main(void) {
  CHECK_SKIP("no CUDA toolkit's headers");
  return check_report("test_driver_launch");
}
#endif
