// CUDA compile: NVRTC.
#include "runtime/cuda_compile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/cuda_api.h"
#include "runtime/kernel_build.h"

// ---- architectures --------------------------------------------------------------------------------------------------

static int compare_ints(const void *a, const void *b) {
  int x = *(const int *)a, y = *(const int *)b;
  return (x > y) - (x < y);
}

Status cuda_architectures(Arena *arena, int **out, int *out_n) {
  const CudaApi *api;
  TRY(cuda_api_open(CUDA_NVRTC, &api));
  int n = 0;
  NvrtcResult result = api->nvrtcGetNumSupportedArchs(&n);
  *out = ARENA_ARRAY(arena, int, n + 1);
  if (!result) result = api->nvrtcGetSupportedArchs(*out);
  if (result) return status_make(EXIT_DEVICE, "NVRTC does not say what it makes: %s", api->nvrtcGetErrorString(result));
  qsort(*out, (size_t)n, sizeof **out, compare_ints);
  *out_n = n;
  return STATUS_OK;
}

Status cuda_compiler_version(Text *out) {
  const CudaApi *api;
  int major = 0, minor = 0;
  TRY(cuda_api_open(CUDA_NVRTC, &api));
  NvrtcResult result = api->nvrtcVersion(&major, &minor);
  if (result) return status_make(EXIT_DEVICE, "NVRTC has no version: %s", api->nvrtcGetErrorString(result));
  text_printf(out, "%d.%d", major, minor);
  return STATUS_OK;
}

static Status not_known(int compute, const int *known, int n) {
  Text list = {0}, version = {0};
  status_free(cuda_compiler_version(&version));
  for (int i = 0; i < n; i++) text_printf(&list, "%ssm_%d", i ? ", " : "", known[i]);
  bool is_old = n > 0 && compute < known[0];
  Status status = status_make(EXIT_DEVICE, "NVRTC %s makes code for %s, but not for sm_%d: name %s in SGC_NVRTC%s",
                              text_get(&version), text_get(&list), compute, is_old ? "an older one" : "a newer one",
                              is_old ? " (that of CUDA 12.9 still makes code for sm_50 to sm_70)" : "");
  text_free(&list);
  text_free(&version);
  return status;
}

Status cuda_code_choose(int compute, CudaCode *out) {
  const char *stated = getenv("SGC_CUDA_CODE");
  bool wants_ptx = stated && !strcmp(stated, "ptx");
  if (stated && *stated && !wants_ptx && strcmp(stated, "cubin"))
    return status_make(EXIT_USAGE, "SGC_CUDA_CODE is '%s'; it may be ptx or cubin", stated);
  Arena *arena = arena_new();
  int *known = NULL, n = 0, best = 0;
  Status status = cuda_architectures(arena, &known, &n);
  for (int i = 0; i < n; i++)
    if (known[i] <= compute) best = known[i];
  if (!status && !best) status = not_known(compute, known, n);
  *out = (CudaCode){best, wants_ptx || best != compute};
  arena_free(arena);
  return status;
}

Status cuda_code_exact(int compute, bool is_ptx, CudaCode *out) {
  Arena *arena = arena_new();
  int *known = NULL, n = 0;
  bool is_known = false;
  Status status = cuda_architectures(arena, &known, &n);
  for (int i = 0; i < n; i++) is_known |= known[i] == compute;
  if (!status && !is_known) status = not_known(compute, known, n);
  *out = (CudaCode){compute, is_ptx};
  arena_free(arena);
  return status;
}

// ---- compiling ------------------------------------------------------------------------------------------------------

static Command compile_options(const char *flags, CudaCode code, bool is_verbose) {
  Command options = {0};
  char architecture[64];
  snprintf(architecture, sizeof architecture, "--gpu-architecture=%s_%d", code.is_ptx ? "compute" : "sm", code.compute);
  command_add(&options, architecture);
  command_add_words(&options, flags ? flags : "");
  if (is_verbose && !code.is_ptx) command_add(&options, "--ptxas-options=-v");
  return options;
}

static void put_log(const CudaApi *api, NvrtcProgram program, Text *log) {
  size_t size = 0;
  if (api->nvrtcGetProgramLogSize(program, &size) || size < 2) return;
  char *text = malloc(size);
  if (!text) BUG("out of memory");
  if (!api->nvrtcGetProgramLog(program, text)) text_write(log, text, size - 1); // closed by a zero
  free(text);
}

static NvrtcResult put_image(const CudaApi *api, NvrtcProgram program, bool is_ptx, Text *image) {
  size_t size = 0;
  NvrtcResult result = is_ptx ? api->nvrtcGetPTXSize(program, &size) : api->nvrtcGetCUBINSize(program, &size);
  if (result) return result;
  char *bytes = malloc(size + 1);
  if (!bytes) BUG("out of memory");
  result = is_ptx ? api->nvrtcGetPTX(program, bytes) : api->nvrtcGetCUBIN(program, bytes);
  if (!result) text_write(image, bytes, is_ptx ? strlen(bytes) : size);
  free(bytes);
  return result;
}

Status cuda_compile(const char *source, const char *flags, CudaCode code, bool is_verbose, Text *image, Text *log) {
  const CudaApi *api;
  NvrtcProgram program = NULL;
  TRY(cuda_api_open(CUDA_NVRTC, &api));
  Command options = compile_options(flags, code, is_verbose);
  NvrtcResult result = api->nvrtcCreateProgram(&program, source, "kernels.cu", 0, NULL, NULL);
  if (!result) {
    result = api->nvrtcCompileProgram(program, options.n, (const char *const *)options.word);
    put_log(api, program, log);
  }
  if (!result) result = put_image(api, program, code.is_ptx, image);
  if (program) api->nvrtcDestroyProgram(&program);
  command_free(&options);
  if (!result) return STATUS_OK;
  return status_make(EXIT_DEVICE, "NVRTC: %s", api->nvrtcGetErrorString(result));
}
