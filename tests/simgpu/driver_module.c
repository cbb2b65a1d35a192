// Modules. Only PTX text: the simulator has no use for machine code.
#include "tests/simgpu/driver_module.h"
#include "tests/simgpu/driver_graph.h"
#include "tests/simgpu/driver_handle.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// CUmodule points at it.
typedef struct Module {
  Context *context;
  SimModule *loaded;
  Function *functions; // those that were asked for
} Module;

// ---- JIT options

typedef struct Logs {
  char *error, *info;
  size_t n_error, n_info;
  void **error_size, **info_size; // where the option's value becomes the bytes written
} Logs;

static void read_logs(unsigned n, const CUjit_option *options, void **values, Logs *logs) {
  *logs = (Logs){0};
  for (unsigned k = 0; k < n; k++) switch (options[k]) {
    case CU_JIT_ERROR_LOG_BUFFER: logs->error = values[k]; break;
    case CU_JIT_INFO_LOG_BUFFER: logs->info = values[k]; break;
    case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
      logs->n_error = (size_t)(uintptr_t)values[k];
      logs->error_size = &values[k];
      break;
    case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
      logs->n_info = (size_t)(uintptr_t)values[k];
      logs->info_size = &values[k];
      break;
    default: break;
    }
}

static void write_log(char *log, size_t n, void **size, const char *text) {
  if (log && n) snprintf(log, n, "%s", text);
  size_t written = log && n ? strlen(log) : 0;
  if (size) *size = (void *)(uintptr_t)written;
}

// ---- loading

// The .target of PTX text; 0 if there is none.
static int target_of(const char *ptx) {
  const char *target = strstr(ptx, ".target");
  if (target) target = strstr(target, "sm_");
  return target ? atoi(target + 3) : 0;
}

static CUresult load(Context *context, const char *image, const Logs *logs, CUmodule *out) {
  char why[1024] = "";
  CUresult result = CUDA_SUCCESS;
  static const unsigned char elf[4] = {0x7f, 'E', 'L', 'F'}, fatbin[4] = {0x50, 0xed, 0x55, 0xba};
  bool binary = !memcmp(image, elf, 4) || !memcmp(image, fatbin, 4);
  Module *module = NULL;
  if (binary) {
    result = CUDA_ERROR_NO_BINARY_FOR_GPU;
    snprintf(why, sizeof why, "machine code: the simulated device takes PTX only");
  } else if (!strstr(image, ".version")) {
    result = CUDA_ERROR_INVALID_IMAGE;
    snprintf(why, sizeof why, "neither PTX nor a binary");
  } else if (target_of(image) > sim_options.compute) {
    result = CUDA_ERROR_INVALID_PTX;
    snprintf(why, sizeof why, "PTX for sm_%d on a device of sm_%d", target_of(image), sim_options.compute);
  } else {
    SimModule *loaded = sim_module_load(image, why, sizeof why);
    if (loaded) {
      module = handle_new(HANDLE_MODULE, sizeof *module);
      *module = (Module){.context = context, .loaded = loaded};
      *out = (CUmodule)module;
      driver_stats.modules++;
    } else result = CUDA_ERROR_INVALID_PTX;
  }
  if (result) driver_report("module not loaded: %s", why);
  write_log(logs->error, logs->n_error, logs->error_size, why);
  write_log(logs->info, logs->n_info, logs->info_size, "");
  return result;
}

CUresult CUDAAPI cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int numOptions, CUjit_option *options,
                                    void **optionValues) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  if (!module || !image || (numOptions && (!options || !optionValues))) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  if ((result = capture_forbids_unsafe())) return driver_leave(result);
  Logs logs;
  read_logs(numOptions, options, optionValues, &logs);
  return driver_leave(load(context, image, &logs, module));
}

CUresult CUDAAPI cuModuleLoadData(CUmodule *module, const void *image) {
  return cuModuleLoadDataEx(module, image, 0, NULL, NULL);
}

CUresult CUDAAPI cuModuleLoadFatBinary(CUmodule *module, const void *fatCubin) {
  return cuModuleLoadDataEx(module, fatCubin, 0, NULL, NULL);
}

CUresult CUDAAPI cuModuleLoad(CUmodule *module, const char *fname) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  driver_leave(CUDA_SUCCESS);
  FILE *file = fname ? fopen(fname, "rb") : NULL;
  if (!file) return CUDA_ERROR_FILE_NOT_FOUND;
  char *text = NULL;
  size_t n = 0, got = 1;
  while (got) {
    text = realloc(text, n + 65537);
    if (!text) abort();
    got = fread(text + n, 1, 65536, file);
    n += got;
  }
  text[n] = 0;
  fclose(file);
  result = n < 4 ? CUDA_ERROR_INVALID_IMAGE : cuModuleLoadData(module, text);
  free(text);
  return result;
}

CUresult CUDAAPI cuModuleUnload(CUmodule hmod) {
  Context *context;
  CUresult result = driver_enter_failed(&context);
  if (result) return result;
  if (!handle_is(hmod, HANDLE_MODULE)) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
  Module *module = (Module *)hmod;
  for (Function *f = module->functions; f; f = f->next) {
    f->kernel = NULL;
    handle_retire(f); // launches that are queued still point at it
  }
  sim_module_unload(module->loaded);
  handle_free(module);
  return driver_leave(context->error);
}

// ---- what a module holds

static Function *function_of(Module *module, const SimKernel *kernel) {
  for (Function *f = module->functions; f; f = f->next)
    if (f->kernel == kernel) return f;
  Function *f = handle_new(HANDLE_FUNCTION, sizeof *f);
  *f =
      (Function){.context = module->context, .kernel = kernel, .name = strdup(kernel->name), .next = module->functions};
  int room = 49152 - (int)kernel->static_shared;
  f->max_dynamic_shared = room > 0 ? room : 0;
  return module->functions = f;
}

CUresult CUDAAPI cuModuleGetFunction(CUfunction *hfunc, CUmodule hmod, const char *name) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  if (!handle_is(hmod, HANDLE_MODULE)) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
  if (!hfunc || !name) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  Module *module = (Module *)hmod;
  const SimKernel *kernel = sim_module_kernel(module->loaded, name);
  if (!kernel) return driver_leave(CUDA_ERROR_NOT_FOUND);
  *hfunc = (CUfunction)function_of(module, kernel);
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuModuleGetFunctionCount(unsigned int *count, CUmodule mod) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  if (!handle_is(mod, HANDLE_MODULE)) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
  *count = (unsigned)sim_module_count(((Module *)mod)->loaded);
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuModuleEnumerateFunctions(CUfunction *functions, unsigned int numFunctions, CUmodule mod) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  if (!handle_is(mod, HANDLE_MODULE)) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
  Module *module = (Module *)mod;
  int n = sim_module_count(module->loaded);
  for (int k = 0; k < n && k < (int)numFunctions; k++)
    functions[k] = (CUfunction)function_of(module, sim_module_at(module->loaded, k));
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuModuleGetGlobal(CUdeviceptr *dptr, size_t *bytes, CUmodule hmod, const char *name) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  if (!handle_is(hmod, HANDLE_MODULE)) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
  uint64_t address, size;
  Module *module = (Module *)hmod;
  if (!name || !sim_module_global(module->loaded, name, module->context->device, &address, &size))
    return driver_leave(CUDA_ERROR_NOT_FOUND);
  if (dptr) *dptr = address;
  if (bytes) *bytes = size;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuModuleGetLoadingMode(CUmoduleLoadingMode *mode) {
  *mode = CU_MODULE_EAGER_LOADING;
  return CUDA_SUCCESS;
}
