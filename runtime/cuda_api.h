// CUDA API: the functions of the driver, NVRTC, cuBLASLt and NCCL that we call, opened when the program runs.
//
// Nothing of the toolkit is needed to build; one program runs with and without a GPU. The declarations are our own:
// tests/runtime/test_cuda_api.c compares them with the toolkit's headers. Names are those of the libraries' symbols.
#ifndef SG_CUDA_API_H
#define SG_CUDA_API_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"
#include "runtime/base/text.h"

typedef enum CudaLibrary { CUDA_DRIVER, CUDA_NVRTC, CUDA_BLAS, CUDA_NCCL, CUDA_LIBRARIES } CudaLibrary;

// ---- types: handles are those of the headers; enumerations are unsigned ------------------------------------------

typedef unsigned CudaResult;
typedef int CudaOrdinal;                // CUdevice
typedef unsigned long long CudaAddress; // CUdeviceptr
typedef struct CUctx_st *CudaContext;
typedef struct CUmod_st *CudaModule;
typedef struct CUfunc_st *CudaFunction;
typedef struct CUstream_st *CudaStream;
typedef struct CUevent_st *CudaEvent;
typedef struct CUgraph_st *CudaGraph;
typedef struct CUgraphExec_st *CudaGraphExec;

typedef unsigned NvrtcResult;
typedef struct _nvrtcProgram *NvrtcProgram;

typedef unsigned BlasResult;
typedef struct cublasLtContext *BlasHandle;
typedef struct BlasDesc *BlasDesc;             // cublasLtMatmulDesc_t
typedef struct BlasLayout *BlasLayout;         // cublasLtMatrixLayout_t
typedef struct BlasPreference *BlasPreference; // cublasLtMatmulPreference_t
typedef struct BlasAlgorithm {
  uint64_t data[8];
} BlasAlgorithm; // cublasLtMatmulAlgo_t
typedef struct BlasHeuristic {
  BlasAlgorithm algorithm;
  size_t workspace;
  BlasResult state;
  float waves;
  int reserved[4];
} BlasHeuristic; // cublasLtMatmulHeuristicResult_t

typedef unsigned NcclResult;
typedef struct ncclComm *NcclComm;
typedef struct NcclId {
  char internal[128];
} NcclId; // ncclUniqueId

// ---- values: X(ours, value, theirs) ------------------------------------------------------------------------------

#define CUDA_VALUES(X)                                                                                                 \
  X(CUDA_OK, 0, CUDA_SUCCESS)                                                                                          \
  X(CUDA_OUT_OF_MEMORY, 2, CUDA_ERROR_OUT_OF_MEMORY)                                                                   \
  X(CUDA_NO_DEVICE, 100, CUDA_ERROR_NO_DEVICE)                                                                         \
  X(CUDA_BAD_IMAGE, 200, CUDA_ERROR_INVALID_IMAGE)                                                                     \
  X(CUDA_NO_BINARY, 209, CUDA_ERROR_NO_BINARY_FOR_GPU)                                                                 \
  X(CUDA_BAD_PTX, 218, CUDA_ERROR_INVALID_PTX)                                                                         \
  X(CUDA_UNSUPPORTED_PTX, 222, CUDA_ERROR_UNSUPPORTED_PTX_VERSION)                                                     \
  X(CUDA_NOT_READY, 600, CUDA_ERROR_NOT_READY)                                                                         \
  X(CUDA_FIRST_FAULT, 700, CUDA_ERROR_ILLEGAL_ADDRESS)                                                                 \
  X(CUDA_LAST_FAULT, 719, CUDA_ERROR_LAUNCH_FAILED)                                                                    \
  X(CUDA_ATTRIBUTE_MULTIPROCESSORS, 16, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)                                      \
  X(CUDA_ATTRIBUTE_COMPUTE_MAJOR, 75, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)                                    \
  X(CUDA_ATTRIBUTE_COMPUTE_MINOR, 76, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)                                    \
  X(CUDA_ATTRIBUTE_SHARED_OPTIN, 97, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)                            \
  X(CUDA_FUNCTION_MAX_THREADS, 0, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK)                                             \
  X(CUDA_FUNCTION_SHARED, 1, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES)                                                      \
  X(CUDA_FUNCTION_DYNAMIC_SHARED, 8, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)                                  \
  X(CUDA_STREAM_NON_BLOCKING, 1, CU_STREAM_NON_BLOCKING)                                                               \
  X(CUDA_EVENT_DEFAULT, 0, CU_EVENT_DEFAULT)                                                                           \
  X(CUDA_EVENT_NO_TIMING, 2, CU_EVENT_DISABLE_TIMING)                                                                  \
  X(CUDA_CAPTURE_RELAXED, 2, CU_STREAM_CAPTURE_MODE_RELAXED)                                                           \
  X(CUDA_JIT_ERROR_LOG, 5, CU_JIT_ERROR_LOG_BUFFER)                                                                    \
  X(CUDA_JIT_ERROR_LOG_BYTES, 6, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)                                                   \
  X(NVRTC_OK, 0, NVRTC_SUCCESS)                                                                                        \
  X(BLAS_OK, 0, CUBLAS_STATUS_SUCCESS)                                                                                 \
  X(BLAS_UNSUPPORTED, 15, CUBLAS_STATUS_NOT_SUPPORTED)                                                                 \
  X(BLAS_COMPUTE_F32, 68, CUBLAS_COMPUTE_32F)                                                                          \
  X(BLAS_COMPUTE_TF32, 77, CUBLAS_COMPUTE_32F_FAST_TF32)                                                               \
  X(BLAS_COMPUTE_F16, 74, CUBLAS_COMPUTE_32F_FAST_16F)                                                                 \
  X(BLAS_COMPUTE_BF16, 75, CUBLAS_COMPUTE_32F_FAST_16BF)                                                               \
  X(BLAS_R32F, 0, CUDA_R_32F)                                                                                          \
  X(BLAS_PLAIN, 0, CUBLAS_OP_N)                                                                                        \
  X(BLAS_TRANSPOSED, 1, CUBLAS_OP_T)                                                                                   \
  X(BLAS_DESC_TRANSA, 3, CUBLASLT_MATMUL_DESC_TRANSA)                                                                  \
  X(BLAS_DESC_TRANSB, 4, CUBLASLT_MATMUL_DESC_TRANSB)                                                                  \
  X(BLAS_DESC_EPILOGUE, 7, CUBLASLT_MATMUL_DESC_EPILOGUE)                                                              \
  X(BLAS_DESC_BIAS, 8, CUBLASLT_MATMUL_DESC_BIAS_POINTER)                                                              \
  X(BLAS_EPILOGUE_NONE, 1, CUBLASLT_EPILOGUE_DEFAULT)                                                                  \
  X(BLAS_EPILOGUE_RELU, 2, CUBLASLT_EPILOGUE_RELU)                                                                     \
  X(BLAS_EPILOGUE_BIAS, 4, CUBLASLT_EPILOGUE_BIAS)                                                                     \
  X(BLAS_EPILOGUE_RELU_BIAS, 6, CUBLASLT_EPILOGUE_RELU_BIAS)                                                           \
  X(BLAS_LAYOUT_BATCH, 5, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT)                                                          \
  X(BLAS_LAYOUT_STRIDE, 6, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET)                                                \
  X(BLAS_PREFER_WORKSPACE, 1, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)                                                \
  X(NCCL_OK, 0, ncclSuccess)                                                                                           \
  X(NCCL_UNDER_WAY, 7, ncclInProgress)                                                                                 \
  X(NCCL_FLOAT32, 7, ncclFloat32)                                                                                      \
  X(NCCL_SUM, 0, ncclSum)                                                                                              \
  X(NCCL_MAX, 2, ncclMax)

typedef enum CudaValue {
#define CUDA_VALUE(ours, value, theirs) ours = value,
  CUDA_VALUES(CUDA_VALUE)
#undef CUDA_VALUE
} CudaValue;

// ---- functions: X(library, result, name, parameters) -------------------------------------------------------------

#define CUDA_FUNCTIONS(X)                                                                                              \
  X(CUDA_DRIVER, CudaResult, cuInit, (unsigned flags))                                                                 \
  X(CUDA_DRIVER, CudaResult, cuDriverGetVersion, (int *version))                                                       \
  X(CUDA_DRIVER, CudaResult, cuGetErrorName, (CudaResult error, const char **text))                                    \
  X(CUDA_DRIVER, CudaResult, cuGetErrorString, (CudaResult error, const char **text))                                  \
  X(CUDA_DRIVER, CudaResult, cuDeviceGetCount, (int *count))                                                           \
  X(CUDA_DRIVER, CudaResult, cuDeviceGet, (CudaOrdinal * device, int number))                                          \
  X(CUDA_DRIVER, CudaResult, cuDeviceGetName, (char *name, int size, CudaOrdinal device))                              \
  X(CUDA_DRIVER, CudaResult, cuDeviceGetAttribute, (int *value, unsigned attribute, CudaOrdinal device))               \
  X(CUDA_DRIVER, CudaResult, cuDeviceTotalMem_v2, (size_t * bytes, CudaOrdinal device))                                \
  X(CUDA_DRIVER, CudaResult, cuDevicePrimaryCtxRetain, (CudaContext * context, CudaOrdinal device))                    \
  X(CUDA_DRIVER, CudaResult, cuDevicePrimaryCtxRelease_v2, (CudaOrdinal device))                                       \
  X(CUDA_DRIVER, CudaResult, cuCtxSetCurrent, (CudaContext context))                                                   \
  X(CUDA_DRIVER, CudaResult, cuCtxSynchronize, (void))                                                                 \
  X(CUDA_DRIVER, CudaResult, cuMemGetInfo_v2, (size_t * available, size_t * total))                                    \
  X(CUDA_DRIVER, CudaResult, cuMemAlloc_v2, (CudaAddress * address, size_t bytes))                                     \
  X(CUDA_DRIVER, CudaResult, cuMemFree_v2, (CudaAddress address))                                                      \
  X(CUDA_DRIVER, CudaResult, cuMemAllocHost_v2, (void **memory, size_t bytes))                                         \
  X(CUDA_DRIVER, CudaResult, cuMemFreeHost, (void *memory))                                                            \
  X(CUDA_DRIVER, CudaResult, cuMemsetD32Async, (CudaAddress to, unsigned value, size_t words, CudaStream stream))      \
  X(CUDA_DRIVER, CudaResult, cuMemcpyHtoDAsync_v2,                                                                     \
    (CudaAddress to, const void *from, size_t bytes, CudaStream stream))                                               \
  X(CUDA_DRIVER, CudaResult, cuMemcpyDtoHAsync_v2, (void *to, CudaAddress from, size_t bytes, CudaStream stream))      \
  X(CUDA_DRIVER, CudaResult, cuMemcpyDtoDAsync_v2,                                                                     \
    (CudaAddress to, CudaAddress from, size_t bytes, CudaStream stream))                                               \
  X(CUDA_DRIVER, CudaResult, cuStreamCreate, (CudaStream * stream, unsigned flags))                                    \
  X(CUDA_DRIVER, CudaResult, cuStreamDestroy_v2, (CudaStream stream))                                                  \
  X(CUDA_DRIVER, CudaResult, cuStreamSynchronize, (CudaStream stream))                                                 \
  X(CUDA_DRIVER, CudaResult, cuStreamQuery, (CudaStream stream))                                                       \
  X(CUDA_DRIVER, CudaResult, cuStreamWaitEvent, (CudaStream stream, CudaEvent event, unsigned flags))                  \
  X(CUDA_DRIVER, CudaResult, cuStreamBeginCapture_v2, (CudaStream stream, unsigned mode))                              \
  X(CUDA_DRIVER, CudaResult, cuStreamEndCapture, (CudaStream stream, CudaGraph * graph))                               \
  X(CUDA_DRIVER, CudaResult, cuEventCreate, (CudaEvent * event, unsigned flags))                                       \
  X(CUDA_DRIVER, CudaResult, cuEventDestroy_v2, (CudaEvent event))                                                     \
  X(CUDA_DRIVER, CudaResult, cuEventRecord, (CudaEvent event, CudaStream stream))                                      \
  X(CUDA_DRIVER, CudaResult, cuEventSynchronize, (CudaEvent event))                                                    \
  X(CUDA_DRIVER, CudaResult, cuEventElapsedTime, (float *milliseconds, CudaEvent from, CudaEvent to))                  \
  X(CUDA_DRIVER, CudaResult, cuModuleLoadDataEx,                                                                       \
    (CudaModule * module, const void *image, unsigned n_options, unsigned *options, void **values))                    \
  X(CUDA_DRIVER, CudaResult, cuModuleUnload, (CudaModule module))                                                      \
  X(CUDA_DRIVER, CudaResult, cuModuleGetFunction, (CudaFunction * function, CudaModule module, const char *name))      \
  X(CUDA_DRIVER, CudaResult, cuFuncGetAttribute, (int *value, unsigned attribute, CudaFunction function))              \
  X(CUDA_DRIVER, CudaResult, cuFuncSetAttribute, (CudaFunction function, unsigned attribute, int value))               \
  X(CUDA_DRIVER, CudaResult, cuLaunchKernel,                                                                           \
    (CudaFunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,     \
     unsigned block_z, unsigned shared, CudaStream stream, void **parameters, void **extra))                           \
  X(CUDA_DRIVER, CudaResult, cuGraphInstantiateWithFlags,                                                              \
    (CudaGraphExec * exec, CudaGraph graph, unsigned long long flags))                                                 \
  X(CUDA_DRIVER, CudaResult, cuGraphLaunch, (CudaGraphExec exec, CudaStream stream))                                   \
  X(CUDA_DRIVER, CudaResult, cuGraphExecDestroy, (CudaGraphExec exec))                                                 \
  X(CUDA_DRIVER, CudaResult, cuGraphDestroy, (CudaGraph graph))                                                        \
                                                                                                                       \
  X(CUDA_NVRTC, const char *, nvrtcGetErrorString, (NvrtcResult error))                                                \
  X(CUDA_NVRTC, NvrtcResult, nvrtcVersion, (int *major, int *minor))                                                   \
  X(CUDA_NVRTC, NvrtcResult, nvrtcGetNumSupportedArchs, (int *count))                                                  \
  X(CUDA_NVRTC, NvrtcResult, nvrtcGetSupportedArchs, (int *architectures))                                             \
  X(CUDA_NVRTC, NvrtcResult, nvrtcCreateProgram,                                                                       \
    (NvrtcProgram * program, const char *source, const char *name, int n_headers, const char *const *headers,          \
     const char *const *names))                                                                                        \
  X(CUDA_NVRTC, NvrtcResult, nvrtcDestroyProgram, (NvrtcProgram * program))                                            \
  X(CUDA_NVRTC, NvrtcResult, nvrtcCompileProgram, (NvrtcProgram program, int n_options, const char *const *options))   \
  X(CUDA_NVRTC, NvrtcResult, nvrtcGetPTXSize, (NvrtcProgram program, size_t * bytes))                                  \
  X(CUDA_NVRTC, NvrtcResult, nvrtcGetPTX, (NvrtcProgram program, char *ptx))                                           \
  X(CUDA_NVRTC, NvrtcResult, nvrtcGetCUBINSize, (NvrtcProgram program, size_t * bytes))                                \
  X(CUDA_NVRTC, NvrtcResult, nvrtcGetCUBIN, (NvrtcProgram program, char *cubin))                                       \
  X(CUDA_NVRTC, NvrtcResult, nvrtcGetProgramLogSize, (NvrtcProgram program, size_t * bytes))                           \
  X(CUDA_NVRTC, NvrtcResult, nvrtcGetProgramLog, (NvrtcProgram program, char *log))                                    \
                                                                                                                       \
  X(CUDA_BLAS, BlasResult, cublasLtCreate, (BlasHandle * handle))                                                      \
  X(CUDA_BLAS, BlasResult, cublasLtDestroy, (BlasHandle handle))                                                       \
  X(CUDA_BLAS, size_t, cublasLtGetVersion, (void))                                                                     \
  X(CUDA_BLAS, const char *, cublasLtGetStatusString, (BlasResult status))                                             \
  X(CUDA_BLAS, BlasResult, cublasLtMatmulDescCreate, (BlasDesc * desc, unsigned compute, unsigned scale))              \
  X(CUDA_BLAS, BlasResult, cublasLtMatmulDescDestroy, (BlasDesc desc))                                                 \
  X(CUDA_BLAS, BlasResult, cublasLtMatmulDescSetAttribute,                                                             \
    (BlasDesc desc, unsigned attribute, const void *value, size_t bytes))                                              \
  X(CUDA_BLAS, BlasResult, cublasLtMatrixLayoutCreate,                                                                 \
    (BlasLayout * layout, unsigned type, uint64_t rows, uint64_t columns, int64_t leading))                            \
  X(CUDA_BLAS, BlasResult, cublasLtMatrixLayoutDestroy, (BlasLayout layout))                                           \
  X(CUDA_BLAS, BlasResult, cublasLtMatrixLayoutSetAttribute,                                                           \
    (BlasLayout layout, unsigned attribute, const void *value, size_t bytes))                                          \
  X(CUDA_BLAS, BlasResult, cublasLtMatmulPreferenceCreate, (BlasPreference * preference))                              \
  X(CUDA_BLAS, BlasResult, cublasLtMatmulPreferenceDestroy, (BlasPreference preference))                               \
  X(CUDA_BLAS, BlasResult, cublasLtMatmulPreferenceSetAttribute,                                                       \
    (BlasPreference preference, unsigned attribute, const void *value, size_t bytes))                                  \
  X(CUDA_BLAS, BlasResult, cublasLtMatmulAlgoGetHeuristic,                                                             \
    (BlasHandle handle, BlasDesc desc, BlasLayout a, BlasLayout b, BlasLayout c, BlasLayout d,                         \
     BlasPreference preference, int n_wanted, BlasHeuristic *results, int *n_found))                                   \
  X(CUDA_BLAS, BlasResult, cublasLtMatmul,                                                                             \
    (BlasHandle handle, BlasDesc desc, const void *alpha, const void *a, BlasLayout a_layout, const void *b,           \
     BlasLayout b_layout, const void *beta, const void *c, BlasLayout c_layout, void *d, BlasLayout d_layout,          \
     const BlasAlgorithm *algorithm, void *workspace, size_t workspace_bytes, CudaStream stream))                      \
                                                                                                                       \
  X(CUDA_NCCL, NcclResult, ncclGetVersion, (int *version))                                                             \
  X(CUDA_NCCL, const char *, ncclGetErrorString, (NcclResult error))                                                   \
  X(CUDA_NCCL, NcclResult, ncclGetUniqueId, (NcclId * id))                                                             \
  X(CUDA_NCCL, NcclResult, ncclCommInitAll, (NcclComm * comms, int n_devices, const int *devices))                     \
  X(CUDA_NCCL, NcclResult, ncclCommInitRank, (NcclComm * comm, int n_ranks, NcclId id, int rank))                      \
  X(CUDA_NCCL, NcclResult, ncclCommDestroy, (NcclComm comm))                                                           \
  X(CUDA_NCCL, NcclResult, ncclCommAbort, (NcclComm comm))                                                             \
  X(CUDA_NCCL, NcclResult, ncclCommGetAsyncError, (NcclComm comm, NcclResult * error))                                 \
  X(CUDA_NCCL, NcclResult, ncclGroupStart, (void))                                                                     \
  X(CUDA_NCCL, NcclResult, ncclGroupEnd, (void))                                                                       \
  X(CUDA_NCCL, NcclResult, ncclAllReduce,                                                                              \
    (const void *from, void *to, size_t count, unsigned type, unsigned operation, NcclComm comm, CudaStream stream))

typedef struct CudaApi {
#define CUDA_FUNCTION(library, result, name, parameters) result(*name) parameters;
  CUDA_FUNCTIONS(CUDA_FUNCTION)
#undef CUDA_FUNCTION
} CudaApi;

// Opens the library on the first call of the process: the file that SGC_CUDA, SGC_NVRTC, SGC_CUBLASLT or SGC_NCCL
// names ("none": as if there were none), or the first in the usual places. Its functions are in *out; those of other
// libraries are NULL until these are opened. EXIT_DEVICE says what is missing, where it was looked for, and the remedy.
// Of any thread.
Status cuda_api_open(CudaLibrary library, const CudaApi **out);
// The file that the opened library came from; "" before.
const char *cuda_api_path(CudaLibrary library);
const char *cuda_api_name(CudaLibrary library); // for people: "CUDA driver" ...

// An error of the driver as a Status (EXIT_DEVICE): "WHAT: ILLEGAL_ADDRESS (an illegal memory access ...)"; OK of OK.
Status cuda_api_check(const CudaApi *api, CudaResult result, const char *format, ...)
    __attribute__((format(printf, 3, 4), warn_unused_result));

#endif
