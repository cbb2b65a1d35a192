// The libraries' functions as a program finds them that opens the libraries at run time; for the tests of the driver
// half. The types are the real headers', so that a declaration of ours that differs would not compile. SGC_CUDA,
// SGC_CUBLASLT and SGC_NCCL name other libraries than the simulator: then the same tests say what those do.
#ifndef SIM_CALLS_H
#define SIM_CALLS_H

#include "tests/simgpu/simgpu.h"
#include <cuda.h>
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRIVER_CALLS(X)                                                                                                \
  X(cuCtxDisablePeerAccess)                                                                                            \
  X(cuCtxEnablePeerAccess)                                                                                             \
  X(cuCtxGetApiVersion)                                                                                                \
  X(cuCtxGetCurrent)                                                                                                   \
  X(cuCtxGetDevice)                                                                                                    \
  X(cuCtxGetFlags)                                                                                                     \
  X(cuCtxGetStreamPriorityRange)                                                                                       \
  X(cuCtxPopCurrent) X(cuCtxPushCurrent) X(cuCtxSetCurrent) X(cuCtxSynchronize) X(cuDeviceCanAccessPeer) X(            \
      cuDeviceGet) X(cuDeviceGetAttribute) X(cuDeviceGetByPCIBusId) X(cuDeviceGetCount) X(cuDeviceGetDefaultMemPool)   \
      X(cuDeviceGetMemPool) X(cuDeviceGetName) X(cuDeviceGetP2PAttribute) X(cuDeviceGetPCIBusId) X(cuDeviceGetUuid)    \
          X(cuDevicePrimaryCtxGetState) X(cuDevicePrimaryCtxRelease) X(cuDevicePrimaryCtxReset) X(                     \
              cuDevicePrimaryCtxRetain) X(cuDevicePrimaryCtxSetFlags) X(cuDeviceTotalMem) X(cuDriverGetVersion)        \
              X(cuEventCreate) X(cuEventDestroy) X(cuEventElapsedTime) X(cuEventQuery) X(cuEventRecord) X(             \
                  cuEventRecordWithFlags) X(cuEventSynchronize) X(cuFuncGetAttribute) X(cuFuncGetName)                 \
                  X(cuFuncGetParamInfo) X(cuFuncSetAttribute) X(cuFuncSetCacheConfig) X(cuGetErrorName) X(             \
                      cuGetErrorString) X(cuGetProcAddress) X(cuGraphCreate) X(cuGraphDestroy) X(cuGraphExecDestroy)   \
                      X(cuGraphExecUpdate) X(cuGraphGetEdges) X(cuGraphGetNodes) X(cuGraphGetRootNodes) X(             \
                          cuGraphInstantiateWithFlags) X(cuGraphInstantiateWithParams) X(cuGraphLaunch)                \
                          X(cuGraphNodeGetDependencies) X(cuGraphNodeGetType) X(cuGraphUpload) X(cuInit) X(            \
                              cuLaunchHostFunc) X(cuLaunchKernel) X(cuLaunchKernelEx) X(cuMemAlloc) X(cuMemAllocAsync) \
                              X(cuMemAllocHost) X(cuMemFree) X(cuMemFreeAsync) X(cuMemFreeHost) X(                     \
                                  cuMemGetAddressRange) X(cuMemGetInfo) X(cuMemHostAlloc) X(cuMemHostGetDevicePointer) \
                                  X(cuMemHostGetFlags) X(cuMemHostRegister) X(cuMemHostUnregister) X(                  \
                                      cuMemPoolGetAttribute) X(cuMemPoolSetAttribute) X(cuMemPoolTrimTo) X(cuMemcpy)   \
                                      X(cuMemcpyAsync) X(cuMemcpyDtoD) X(cuMemcpyDtoDAsync) X(cuMemcpyDtoH) X(         \
                                          cuMemcpyDtoHAsync) X(cuMemcpyHtoD) X(cuMemcpyHtoDAsync) X(cuMemcpyPeer)      \
                                          X(cuMemcpyPeerAsync) X(cuMemsetD16) X(cuMemsetD16Async) X(cuMemsetD32) X(    \
                                              cuMemsetD32Async) X(cuMemsetD8) X(cuMemsetD8Async)                       \
                                              X(cuModuleEnumerateFunctions) X(cuModuleGetFunction) X(                  \
                                                  cuModuleGetFunctionCount) X(cuModuleGetGlobal)                       \
                                                  X(cuModuleGetLoadingMode) X(cuModuleLoad) X(cuModuleLoadData) X(     \
                                                      cuModuleLoadDataEx) X(cuModuleLoadFatBinary) X(cuModuleUnload)   \
                                                      X(cuOccupancyMaxActiveBlocksPerMultiprocessor) X(                \
                                                          cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags)        \
                                                          X(cuOccupancyMaxPotentialBlockSize) X(cuPointerGetAttribute) \
                                                              X(cuStreamBeginCapture) X(cuStreamCreate) X(             \
                                                                  cuStreamCreateWithPriority) X(cuStreamDestroy)       \
                                                                  X(cuStreamEndCapture) X(cuStreamGetCaptureInfo) X(   \
                                                                      cuStreamGetCtx) X(cuStreamGetDevice)             \
                                                                      X(cuStreamGetFlags) X(cuStreamGetId) X(          \
                                                                          cuStreamGetPriority) X(cuStreamIsCapturing)  \
                                                                          X(cuStreamQuery) X(cuStreamSynchronize)      \
                                                                              X(cuStreamWaitEvent)                     \
                                                                                  X(cuThreadExchangeStreamCaptureMode)

#define CALL_FIELD_(name) __typeof__(name) *name;
#define CALL_FIELD(name)  CALL_FIELD_(name) // once more, for cuda.h's macros that add a version
static struct { DRIVER_CALLS(CALL_FIELD) } gpu;

static struct {
  void *library;
  __typeof__(simgpu_report) *report; // these are NULL on a real device
  __typeof__(simgpu_reset) *reset;
  __typeof__(simgpu_configure) *configure;
  __typeof__(simgpu_stats) *stats;
  __typeof__(simgpu_memory) *memory;
} simulator;

// Opens a library: the one that the variable names, or the simulator beside this program's build directory.
static inline void *calls_open(const char *variable) {
  char path[4096];
  const char *named = getenv(variable);
  ssize_t n = readlink("/proc/self/exe", path, sizeof path - 64);
  path[n > 0 ? n : 0] = 0;
  char *at = strstr(path, "/tests/simgpu/");
  if (at) strcpy(at, "/libsimgpu.so");
  void *library = dlopen(named && *named ? named : path, RTLD_NOW | RTLD_LOCAL);
  if (!library) printf("%s\n", dlerror());
  return library;
}

// Fills `gpu`; false, with a word, if the library or one of its functions is missing.
static inline bool calls_load(void) {
  bool whole = true;
  simulator.library = calls_open("SGC_CUDA");
  if (!simulator.library) return false;
#define CALL_LOAD_(name)                                                                                               \
  *(void **)&gpu.name = dlsym(simulator.library, #name);                                                               \
  if (!gpu.name) whole = false, printf("%s is missing\n", #name);
#define CALL_LOAD(name) CALL_LOAD_(name)
  DRIVER_CALLS(CALL_LOAD)
#undef CALL_LOAD
#undef CALL_LOAD_
  *(void **)&simulator.report = dlsym(simulator.library, "simgpu_report");
  *(void **)&simulator.reset = dlsym(simulator.library, "simgpu_reset");
  *(void **)&simulator.configure = dlsym(simulator.library, "simgpu_configure");
  *(void **)&simulator.stats = dlsym(simulator.library, "simgpu_stats");
  *(void **)&simulator.memory = dlsym(simulator.library, "simgpu_memory");
  return whole;
}

static inline const char *calls_error(CUresult error) {
  const char *name = NULL;
  if (!gpu.cuGetErrorName || gpu.cuGetErrorName(error, &name) || !name) return "an unknown error";
  return name;
}

// Checks that a call of `gpu` gives this result.
#define GIVES(want, name, ...)                                                                                         \
  do {                                                                                                                 \
    CUresult gave_ = gpu.name(__VA_ARGS__);                                                                            \
    CHECK(gave_ == (want), "%s gives %s", #name, calls_error(gave_));                                                  \
  } while (0)
#define OK(name, ...) GIVES(CUDA_SUCCESS, name, __VA_ARGS__)

// Sets an option of the simulator from here on, and the seed's sequence back to its start.
static inline void option(const char *name, const char *value) {
  if (value) setenv(name, value, 1);
  else unsetenv(name);
  if (simulator.configure) simulator.configure();
}

static inline void option_number(const char *name, int value) {
  char text[32];
  snprintf(text, sizeof text, "%d", value);
  option(name, text);
}

// Opens the library and makes the context of device 0 current, with so many simulated devices.
static inline bool calls_begin(int devices) {
  setenv("SIMGPU_QUIET", "1", 0);
  option_number("SIMGPU_DEVICES", devices);
  CUcontext context;
  return calls_load() && !gpu.cuInit(0) && !gpu.cuDevicePrimaryCtxRetain(&context, 0) && !gpu.cuCtxSetCurrent(context);
}

// Whether the report of faults holds the words; it is emptied. True where there is no simulator to ask.
static inline bool reported(const char *words) {
  if (!simulator.report) return true;
  bool found = strstr(simulator.report(), words) != NULL;
  if (!found) printf("report without \"%s\":\n%s", words, simulator.report());
  simulator.reset();
  return found;
}

// ---- a few kernels, of threads along x:
// scale(float *x, float by, int n)                       x *= by
// add(const float *a, const float *b, float *out, int n) out = a + b
// shift(float *x, int n)                                 x += offset[0]; at most 128 threads a block
// turn(float *x)                                         one block's floats turned around through dynamic shared memory
// offset: a variable of 2 floats

static const char calls_ptx[] = ".version 7.0\n"
                                ".target sm_75\n"
                                ".address_size 64\n"
                                ".global .align 4 .b8 offset[8];\n"
                                ".extern .shared .align 16 .b8 s[];\n"
                                ".visible .entry scale(\n"
                                ".param .u64 scale_param_0,\n"
                                ".param .f32 scale_param_1,\n"
                                ".param .u32 scale_param_2\n"
                                ")\n"
                                "{\n"
                                ".reg .pred %p<2>;\n"
                                ".reg .f32 %f<4>;\n"
                                ".reg .b32 %r<6>;\n"
                                ".reg .b64 %rd<5>;\n"
                                "ld.param.u64 %rd1, [scale_param_0];\n"
                                "ld.param.f32 %f1, [scale_param_1];\n"
                                "ld.param.u32 %r2, [scale_param_2];\n"
                                "mov.u32 %r3, %ctaid.x;\n"
                                "mov.u32 %r4, %ntid.x;\n"
                                "mov.u32 %r5, %tid.x;\n"
                                "mad.lo.s32 %r1, %r3, %r4, %r5;\n"
                                "setp.ge.s32 %p1, %r1, %r2;\n"
                                "@%p1 bra $L__BB0_2;\n"
                                "cvta.to.global.u64 %rd2, %rd1;\n"
                                "mul.wide.s32 %rd3, %r1, 4;\n"
                                "add.s64 %rd4, %rd2, %rd3;\n"
                                "ld.global.f32 %f2, [%rd4];\n"
                                "mul.f32 %f3, %f2, %f1;\n"
                                "st.global.f32 [%rd4], %f3;\n"
                                "$L__BB0_2:\n"
                                "ret;\n"
                                "}\n"
                                ".visible .entry add(\n"
                                ".param .u64 add_param_0,\n"
                                ".param .u64 add_param_1,\n"
                                ".param .u64 add_param_2,\n"
                                ".param .u32 add_param_3\n"
                                ")\n"
                                "{\n"
                                ".reg .pred %p<2>;\n"
                                ".reg .f32 %f<4>;\n"
                                ".reg .b32 %r<6>;\n"
                                ".reg .b64 %rd<11>;\n"
                                "ld.param.u64 %rd1, [add_param_0];\n"
                                "ld.param.u64 %rd2, [add_param_1];\n"
                                "ld.param.u64 %rd3, [add_param_2];\n"
                                "ld.param.u32 %r2, [add_param_3];\n"
                                "mov.u32 %r3, %ctaid.x;\n"
                                "mov.u32 %r4, %ntid.x;\n"
                                "mov.u32 %r5, %tid.x;\n"
                                "mad.lo.s32 %r1, %r3, %r4, %r5;\n"
                                "setp.ge.s32 %p1, %r1, %r2;\n"
                                "@%p1 bra $L__BB1_2;\n"
                                "cvta.to.global.u64 %rd4, %rd1;\n"
                                "mul.wide.s32 %rd5, %r1, 4;\n"
                                "add.s64 %rd6, %rd4, %rd5;\n"
                                "cvta.to.global.u64 %rd7, %rd2;\n"
                                "add.s64 %rd8, %rd7, %rd5;\n"
                                "ld.global.f32 %f1, [%rd8];\n"
                                "ld.global.f32 %f2, [%rd6];\n"
                                "add.f32 %f3, %f2, %f1;\n"
                                "cvta.to.global.u64 %rd9, %rd3;\n"
                                "add.s64 %rd10, %rd9, %rd5;\n"
                                "st.global.f32 [%rd10], %f3;\n"
                                "$L__BB1_2:\n"
                                "ret;\n"
                                "}\n"
                                ".visible .entry shift(\n"
                                ".param .u64 shift_param_0,\n"
                                ".param .u32 shift_param_1\n"
                                ")\n"
                                ".maxntid 128, 1, 1\n"
                                "{\n"
                                ".reg .pred %p<2>;\n"
                                ".reg .f32 %f<4>;\n"
                                ".reg .b32 %r<6>;\n"
                                ".reg .b64 %rd<5>;\n"
                                "ld.param.u64 %rd1, [shift_param_0];\n"
                                "ld.param.u32 %r2, [shift_param_1];\n"
                                "mov.u32 %r3, %ctaid.x;\n"
                                "mov.u32 %r4, %ntid.x;\n"
                                "mov.u32 %r5, %tid.x;\n"
                                "mad.lo.s32 %r1, %r3, %r4, %r5;\n"
                                "setp.ge.s32 %p1, %r1, %r2;\n"
                                "@%p1 bra $L__BB2_2;\n"
                                "cvta.to.global.u64 %rd2, %rd1;\n"
                                "mul.wide.s32 %rd3, %r1, 4;\n"
                                "add.s64 %rd4, %rd2, %rd3;\n"
                                "ld.global.f32 %f1, [%rd4];\n"
                                "ld.global.f32 %f2, [offset];\n"
                                "add.f32 %f3, %f2, %f1;\n"
                                "st.global.f32 [%rd4], %f3;\n"
                                "$L__BB2_2:\n"
                                "ret;\n"
                                "}\n"
                                ".visible .entry turn(\n"
                                ".param .u64 turn_param_0\n"
                                ")\n"
                                "{\n"
                                ".reg .f32 %f<3>;\n"
                                ".reg .b32 %r<10>;\n"
                                ".reg .b64 %rd<5>;\n"
                                "ld.param.u64 %rd1, [turn_param_0];\n"
                                "cvta.to.global.u64 %rd2, %rd1;\n"
                                "mov.u32 %r1, %tid.x;\n"
                                "mul.wide.u32 %rd3, %r1, 4;\n"
                                "add.s64 %rd4, %rd2, %rd3;\n"
                                "ld.global.f32 %f1, [%rd4];\n"
                                "shl.b32 %r2, %r1, 2;\n"
                                "mov.u32 %r3, s;\n"
                                "add.s32 %r4, %r3, %r2;\n"
                                "st.shared.f32 [%r4], %f1;\n"
                                "bar.sync 0;\n"
                                "mov.u32 %r5, %ntid.x;\n"
                                "not.b32 %r6, %r1;\n"
                                "add.s32 %r7, %r5, %r6;\n"
                                "shl.b32 %r8, %r7, 2;\n"
                                "add.s32 %r9, %r3, %r8;\n"
                                "ld.shared.f32 %f2, [%r9];\n"
                                "st.global.f32 [%rd4], %f2;\n"
                                "ret;\n"
                                "}\n";

static inline CUfunction calls_kernel(CUmodule module, const char *name) {
  CUfunction function = NULL;
  if (gpu.cuModuleGetFunction(&function, module, name)) printf("no kernel %s\n", name);
  return function;
}

static inline CUresult calls_scale(CUfunction scale, CUdeviceptr x, float by, int n, CUstream stream) {
  void *params[] = {&x, &by, &n};
  return gpu.cuLaunchKernel(scale, (unsigned)(n + 127) / 128, 1, 1, 128, 1, 1, 0, stream, params, NULL);
}

static inline CUresult calls_add(CUfunction add, CUdeviceptr a, CUdeviceptr b, CUdeviceptr out, int n, CUstream s) {
  void *params[] = {&a, &b, &out, &n};
  return gpu.cuLaunchKernel(add, (unsigned)(n + 127) / 128, 1, 1, 128, 1, 1, 0, s, params, NULL);
}

#endif
