// CUDA module: a program's kernels in the device's context. Modules that several programs have are loaded once.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/cuda_cache.h"
#include "runtime/cuda_context.h"

typedef struct CudaKernels {
  Arena *arena;
  StrMap *functions; // by symbol
  CudaLoaded **loaded;
  int n_loaded, cap_loaded;
} CudaKernels;

// ---- loading an image -----------------------------------------------------------------------------------------------

static Status refused_image(CudaDevice *cuda, CudaResult result, const char *log) {
  Status status = cuda_check(cuda, result, "loading kernels%s%s", *log ? ": " : "", log);
  if (result != CUDA_UNSUPPORTED_PTX && result != CUDA_NO_BINARY && result != CUDA_BAD_PTX && result != CUDA_BAD_IMAGE)
    return status;
  Text version = {0};
  int driver = 0;
  status_free(cuda_compiler_version(&version));
  cuda->api->cuDriverGetVersion(&driver);
  Status fuller = status_make(EXIT_DEVICE,
                              "%s; NVRTC is %s, and the driver is made for CUDA %d.%d: update the driver, "
                              "or name an NVRTC of its version in SGC_NVRTC",
                              status_message(status), text_get(&version), driver / 1000, driver % 1000 / 10);
  status_free(status);
  text_free(&version);
  return fuller;
}

static Status load_image(CudaDevice *cuda, const CudaImage *image, CudaModule *out) {
  char log[2048] = "";
  unsigned options[] = {CUDA_JIT_ERROR_LOG, CUDA_JIT_ERROR_LOG_BYTES};
  void *values[] = {log, (void *)(uintptr_t)sizeof log};
  CudaResult result = cuda->api->cuModuleLoadDataEx(out, image->data, 2, options, values);
  log[sizeof log - 1] = 0;
  return result ? refused_image(cuda, result, log) : STATUS_OK;
}

static Status take_image(CudaDevice *cuda, const CudaImage *image, CudaLoaded **out) {
  for (CudaLoaded *loaded = cuda->loaded; loaded; loaded = loaded->next)
    if (!memcmp(&loaded->content, &image->content, sizeof image->content)) {
      loaded->n_users++;
      *out = loaded;
      return STATUS_OK;
    }
  CudaModule module;
  TRY(load_image(cuda, image, &module));
  CudaLoaded *loaded = malloc(sizeof *loaded);
  if (!loaded) BUG("out of memory");
  *loaded = (CudaLoaded){image->content, module, 1, cuda->loaded};
  cuda->loaded = loaded;
  *out = loaded;
  return STATUS_OK;
}

static void give_image(CudaDevice *cuda, CudaLoaded *loaded) {
  if (--loaded->n_users) return;
  CudaLoaded **at = &cuda->loaded;
  while (*at != loaded) at = &(*at)->next;
  *at = loaded->next;
  cuda->api->cuModuleUnload(loaded->module);
  free(loaded);
}

// ---- a program's kernels --------------------------------------------------------------------------------------------

static Status take_kernels(CudaDevice *cuda, const CudaImages *images, CudaKernels *kernels) {
  for (int i = 0; i < images->n; i++) {
    const CudaImage *image = &images->image[i];
    CudaLoaded *loaded;
    TRY(take_image(cuda, image, &loaded));
    ARENA_PUSH(kernels->arena, kernels->loaded, kernels->n_loaded, kernels->cap_loaded, loaded);
    for (int k = 0; k < image->n_symbols; k++) {
      CudaFunction function;
      CUDA_TRY(cuda, cuda->api->cuModuleGetFunction(&function, loaded->module, image->symbol[k]), "the kernel '%s'",
               image->symbol[k]);
      strmap_set(kernels->functions, image->symbol[k], function);
    }
  }
  return STATUS_OK;
}

static void pass_notice(void *context, const char *text) { cuda_notice(context, text); }

// Of what the program was compiled for, "cuda-sm_80": its number, or 0 if it is no such program.
static int program_compute(const Program *program) {
  int compute = 0;
  return program->target && sscanf(program->target, "cuda-sm_%d", &compute) == 1 ? compute : 0;
}

static Status check_target(const CudaDevice *cuda, const Program *program) {
  int compute = program_compute(program);
  if (program->source && !compute)
    return status_make(EXIT_DEVICE, "the kernels of '%s' are made for %s, not for a GPU", program->name,
                       program->target);
  if (compute > cuda->compute)
    return status_make(EXIT_DEVICE, "the kernels of '%s' are made for sm_%d, but %s is an older sm_%d", program->name,
                       compute, cuda->name, cuda->compute);
  return STATUS_OK;
}

Status cuda_load(Device *device, const Program *program, void **out) {
  CudaDevice *cuda = cuda_of(device);
  CudaImages *images = NULL;
  CudaCode code;
  *out = NULL;
  TRY(cuda_enter(cuda));
  TRY(check_target(cuda, program));
  TRY(cuda_memory_fits(cuda, program));
  if (!program->source) return STATUS_OK;
  TRY(cuda_code_choose(cuda->compute, &code));
  TRY(cuda_images_load(program->source, program->cc_flags, code, pass_notice, cuda, &images));
  Arena *arena = arena_new();
  CudaKernels *kernels = ARENA_ARRAY(arena, CudaKernels, 1);
  *kernels = (CudaKernels){.arena = arena, .functions = strmap_new(arena)};
  Status status = take_kernels(cuda, images, kernels);
  cuda_images_free(images);
  if (status) cuda_unload(device, kernels);
  else *out = kernels;
  return status;
}

void cuda_unload(Device *device, void *module) {
  CudaDevice *cuda = cuda_of(device);
  CudaKernels *kernels = module;
  if (!kernels) return;
  status_free(cuda_enter(cuda));
  for (int i = 0; i < kernels->n_loaded; i++) give_image(cuda, kernels->loaded[i]);
  arena_free(kernels->arena);
}

CudaFunction cuda_function(const void *module, const char *symbol) {
  const CudaKernels *kernels = module;
  return kernels ? strmap_get(kernels->functions, symbol) : NULL;
}
