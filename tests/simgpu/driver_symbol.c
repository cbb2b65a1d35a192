// cuGetProcAddress: the library's own symbols by their names without version.
#include <cuda.h>
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

// Functions whose parameters an older version of the interface had otherwise, with the first version of ours.
static const struct {
  const char *name;
  int since;
} changed[] = {
    {"cuStreamGetCaptureInfo", 12030}, {"cuGraphGetEdges", 12030},    {"cuGraphNodeGetDependencies", 12030},
    {"cuGraphExecUpdate", 12000},      {"cuGraphInstantiate", 12000}, {"cuStreamBeginCapture", 10010},
};

static void *find(const char *name) {
  static void *self;
  if (!self) {
    Dl_info info;
    if (!dladdr((void *)find, &info)) return NULL;
    self = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    if (!self) self = dlopen(NULL, RTLD_LAZY);
  }
  if (!strcmp(name, "cuGraphInstantiate")) name = "cuGraphInstantiateWithFlags"; // as cuda.h says
  for (int version = 4; version > 1; version--) {
    char full[128];
    snprintf(full, sizeof full, "%s_v%d", name, version);
    void *symbol = dlsym(self, full);
    if (symbol) return symbol;
  }
  return dlsym(self, name);
}

CUresult CUDAAPI cuGetProcAddress(const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags,
                                  CUdriverProcAddressQueryResult *symbolStatus) {
  if (!symbol || !pfn || (flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM)) return CUDA_ERROR_INVALID_VALUE;
  bool old = false;
  for (size_t k = 0; k < sizeof changed / sizeof *changed; k++)
    old |= !strcmp(symbol, changed[k].name) && cudaVersion < changed[k].since;
  *pfn = strncmp(symbol, "cu", 2) || old ? NULL : find(symbol);
  if (symbolStatus)
    *symbolStatus = *pfn  ? CU_GET_PROC_ADDRESS_SUCCESS
                    : old ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
                          : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  return *pfn ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
