// The symbol table of the CUDA libraries: our declarations against the toolkit's headers, the names against its
// libraries, and what is said when one is missing.
#include <dlfcn.h>
#include <unistd.h>

#include "runtime/cuda_api.h"
#include "tests/check.h"

// The Makefile adds the toolkit's headers to the path where they are.
#if __has_include(<cuda.h>) && __has_include(<nvrtc.h>) && __has_include(<cublasLt.h>) && __has_include(<nccl.h>)
#include <cublasLt.h>
#include <cuda.h>
#include <nccl.h>
#include <nvrtc.h>

static void check_values(void) {
#define VALUE(ours, value, theirs)                                                                                     \
  CHECK((long long)(ours) == (long long)(theirs), "%s is %lld, but %s is %lld", #ours, (long long)(ours), #theirs,     \
        (long long)(theirs));
  CUDA_VALUES(VALUE)
#undef VALUE
}

static void check_sizes(void) {
#define SIZE(ours, theirs)                                                                                             \
  CHECK(sizeof(ours) == sizeof(theirs) && _Alignof(ours) == _Alignof(theirs), "%s has %zu bytes, %s has %zu", #ours,   \
        sizeof(ours), #theirs, sizeof(theirs))
#define MEMBER(ours, ours_member, theirs, theirs_member)                                                               \
  CHECK(offsetof(ours, ours_member) == offsetof(theirs, theirs_member), "%s.%s", #ours, #ours_member)
  SIZE(CudaResult, CUresult);
  SIZE(CudaOrdinal, CUdevice);
  SIZE(CudaAddress, CUdeviceptr);
  SIZE(NvrtcResult, nvrtcResult);
  SIZE(BlasResult, cublasStatus_t);
  SIZE(BlasAlgorithm, cublasLtMatmulAlgo_t);
  SIZE(BlasHeuristic, cublasLtMatmulHeuristicResult_t);
  MEMBER(BlasHeuristic, workspace, cublasLtMatmulHeuristicResult_t, workspaceSize);
  MEMBER(BlasHeuristic, state, cublasLtMatmulHeuristicResult_t, state);
  MEMBER(BlasHeuristic, waves, cublasLtMatmulHeuristicResult_t, wavesCount);
  SIZE(NcclResult, ncclResult_t);
  SIZE(NcclId, ncclUniqueId);
}

// From here on our names in the table's signatures mean the toolkit's types: each function has to be of that very type.
#define CudaResult     CUresult
#define CudaOrdinal    CUdevice
#define CudaAddress    CUdeviceptr
#define NvrtcResult    nvrtcResult
#define NvrtcProgram   nvrtcProgram
#define BlasResult     cublasStatus_t
#define BlasHandle     cublasLtHandle_t
#define BlasDesc       cublasLtMatmulDesc_t
#define BlasLayout     cublasLtMatrixLayout_t
#define BlasPreference cublasLtMatmulPreference_t
#define BlasAlgorithm  cublasLtMatmulAlgo_t
#define BlasHeuristic  cublasLtMatmulHeuristicResult_t
#define NcclResult     ncclResult_t
#define NcclComm       ncclComm_t
#define NcclId         ncclUniqueId

// An enumeration and unsigned are compatible, which assignments know: the compiler refuses a signature that differs.
#pragma GCC diagnostic error "-Wincompatible-pointer-types"
__attribute__((unused)) static void check_signatures(void) {
#define SIGNATURE(library, result, name, parameters)                                                                   \
  {                                                                                                                    \
    result(*ours) parameters = name;                                                                                   \
    (void)ours;                                                                                                        \
  }
  CUDA_FUNCTIONS(SIGNATURE)
#undef SIGNATURE
}

static void check_headers(void) {
  check_values();
  check_sizes();
  CHECK(1, "the signatures compile");
}
#else
static void check_headers(void) { CHECK_SKIP("declarations: the toolkit's headers are not installed"); }
#endif

// Every name of the table is in the toolkit's library, or the driver's stub.
static void check_names(CudaLibrary library, const char *const *files) {
  void *handle = NULL;
  for (int i = 0; files[i] && !handle; i++) handle = dlopen(files[i], RTLD_LAZY | RTLD_LOCAL);
  if (!handle) {
    CHECK_SKIP("names of the %s: none is installed", cuda_api_name(library));
    return;
  }
#define NAME(of, result, name, parameters)                                                                             \
  if ((of) == library) CHECK(dlsym(handle, #name), "the %s has no %s", cuda_api_name(library), #name);
  CUDA_FUNCTIONS(NAME)
#undef NAME
}

#define TOOLKIT "/usr/local/cuda/lib64/"
static const char *const driver[] = {TOOLKIT "stubs/libcuda.so", "libcuda.so.1", NULL};
static const char *const nvrtc[] = {TOOLKIT "libnvrtc.so", "libnvrtc.so", NULL};
static const char *const blas[] = {TOOLKIT "libcublasLt.so", "libcublasLt.so", NULL};
static const char *const nccl[] = {TOOLKIT "libnccl.so", "libnccl.so.2", NULL};

static void check_missing(void) {
  const CudaApi *api = NULL;
  setenv("SGC_NCCL", "/nowhere/libnccl.so.2", 1);
  Status status = cuda_api_open(CUDA_NCCL, &api);
  CHECK(status_code(status) == EXIT_DEVICE && !api && strstr(status_message(status), "/nowhere/libnccl.so.2") &&
            strstr(status_message(status), "SGC_NCCL"),
        "a library that is not there: %s", status_message(status));
  status_free(status);

  // A library of another name has none of the functions: the first that is missing is named, and the file.
  setenv("SGC_NCCL", "libm.so.6", 1);
  status = cuda_api_open(CUDA_NCCL, &api);
  CHECK(status_code(status) == EXIT_DEVICE && strstr(status_message(status), "libm.so.6") &&
            strstr(status_message(status), "ncclGetVersion"),
        "a library without the functions: %s", status_message(status));
  status_free(status);
  CHECK_TEXT(cuda_api_path(CUDA_NCCL), "", "nothing was opened");
  unsetenv("SGC_NCCL");
}

static void check_nvrtc(void) {
  const CudaApi *api = NULL;
  Status status = cuda_api_open(CUDA_NVRTC, &api);
  if (status) {
    CHECK_SKIP("opening NVRTC: %s", status_message(status));
    CHECK(status_code(status) == EXIT_DEVICE && strstr(status_message(status), "SGC_NVRTC"), "no remedy: %s",
          status_message(status));
    status_free(status);
    return;
  }
  int major = 0, minor = 0;
  CHECK(api->nvrtcVersion(&major, &minor) == NVRTC_OK && major >= 11, "NVRTC %d.%d", major, minor);
  CHECK(!access(cuda_api_path(CUDA_NVRTC), R_OK), "opened from '%s'", cuda_api_path(CUDA_NVRTC));
}

int main(void) {
  check_headers();
  check_names(CUDA_DRIVER, driver);
  check_names(CUDA_NVRTC, nvrtc);
  check_names(CUDA_BLAS, blas);
  check_names(CUDA_NCCL, nccl);
  check_missing();
  check_nvrtc();
  return check_report("cuda api");
}
