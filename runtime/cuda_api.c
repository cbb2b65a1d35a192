// CUDA API: finding and opening the libraries.
#include "runtime/cuda_api.h"

#include <dlfcn.h>
#include <glob.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Library {
  const char *name, *variable;
  const char *files[6]; // newest first
  const char *remedy;
} Library;

static const Library libraries[CUDA_LIBRARIES] = {
    [CUDA_DRIVER] = {"CUDA driver", "SGC_CUDA", {"libcuda.so.1", "libcuda.so"}, "install NVIDIA's driver for the GPU"},
    [CUDA_NVRTC] = {"NVRTC",
                    "SGC_NVRTC",
                    {"libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2"},
                    "install the CUDA toolkit's NVRTC (a package such as cuda-nvrtc, or pip's nvidia-cuda-nvrtc)"},
    [CUDA_BLAS] = {"cuBLASLt",
                   "SGC_CUBLASLT",
                   {"libcublasLt.so", "libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so.11"},
                   "install the CUDA toolkit's cuBLAS (a package such as libcublas, or pip's nvidia-cublas)"},
    [CUDA_NCCL] = {"NCCL",
                   "SGC_NCCL",
                   {"libnccl.so.2", "libnccl.so"},
                   "install NCCL (a package such as libnccl2, or pip's nvidia-nccl)"},
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static CudaApi functions;
static char *paths[CUDA_LIBRARIES]; // of what is open

const char *cuda_api_name(CudaLibrary library) { return libraries[library].name; }

const char *cuda_api_path(CudaLibrary library) {
  pthread_mutex_lock(&lock);
  const char *path = paths[library] ? paths[library] : "";
  pthread_mutex_unlock(&lock);
  return path;
}

// ---- finding --------------------------------------------------------------------------------------------------------

// Opens the first file that fits the pattern below a directory.
static void *open_below(const char *directory, const char *below, const char *file) {
  if (!directory || !*directory) return NULL;
  char *pattern;
  if (asprintf(&pattern, "%s%s/%s", directory, below, file) < 0) BUG("out of memory");
  glob_t found;
  void *handle = NULL;
  if (!glob(pattern, 0, NULL, &found)) {
    for (size_t i = 0; !handle && i < found.gl_pathc; i++) handle = dlopen(found.gl_pathv[i], RTLD_NOW | RTLD_LOCAL);
    globfree(&found);
  }
  free(pattern);
  return handle;
}

// Where the loader looks by itself, then where the toolkit and pip put things.
static void *open_usual(const Library *library) {
  static const char *const homes[] = {"CUDA_HOME", "CUDA_PATH"};
  static const char *const places[] = {"/usr/local/cuda", "/opt/cuda", "/usr/lib/cuda"};
  static const char pip[] = "/lib/python3*/site-packages/nvidia/*/lib";
  enum { FILES = sizeof library->files / sizeof *library->files };
  void *handle = NULL;
  for (int i = 0; !handle && i < FILES && library->files[i]; i++) {
    const char *file = library->files[i];
    handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    for (int k = 0; !handle && k < 2; k++) handle = open_below(getenv(homes[k]), "/lib*", file);
    for (int k = 0; !handle && k < 3; k++) handle = open_below(places[k], "/lib*", file);
  }
  for (int i = 0; !handle && i < FILES && library->files[i]; i++) {
    handle = open_below(getenv("VIRTUAL_ENV"), pip, library->files[i]);
    if (!handle && getenv("HOME")) {
      char *local;
      if (asprintf(&local, "%s/.local", getenv("HOME")) < 0) BUG("out of memory");
      handle = open_below(local, pip, library->files[i]);
      free(local);
    }
  }
  return handle;
}

// ---- opening --------------------------------------------------------------------------------------------------------

typedef struct Entry {
  CudaLibrary library;
  const char *name;
  size_t offset; // in CudaApi
} Entry;
static const Entry entries[] = {
#define ENTRY(library, result, name, parameters) {library, #name, offsetof(CudaApi, name)},
    CUDA_FUNCTIONS(ENTRY)
#undef ENTRY
};
enum { ENTRIES = sizeof entries / sizeof *entries };

// The file a handle came from; the caller frees it.
static char *path_of(void *handle) {
  struct link_map *map = NULL;
  const char *name = dlinfo(handle, RTLD_DI_LINKMAP, &map) || !map->l_name ? "?" : map->l_name;
  char *copy = strdup(name);
  if (!copy) BUG("out of memory");
  return copy;
}

// Takes all functions of the library, or none.
static Status take_functions(CudaLibrary library, void *handle, const char *path) {
  CudaApi all = functions;
  for (int i = 0; i < ENTRIES; i++) {
    if (entries[i].library != library) continue;
    void *address = dlsym(handle, entries[i].name);
    if (!address)
      return status_make(EXIT_DEVICE, "the %s in '%s' lacks '%s': it is too old; update it, or name another one in %s",
                         libraries[library].name, path, entries[i].name, libraries[library].variable);
    memcpy((char *)&all + entries[i].offset, &address, sizeof address);
  }
  functions = all;
  return STATUS_OK;
}

static Status open_library(CudaLibrary number) {
  const Library *library = &libraries[number];
  const char *stated = getenv(library->variable);
  bool is_stated = stated && *stated;
  void *handle = is_stated ? dlopen(stated, RTLD_NOW | RTLD_LOCAL) : open_usual(library);
  if (!handle && is_stated)
    return status_make(EXIT_DEVICE, "cannot open the %s that %s names: %s", library->name, library->variable,
                       dlerror());
  if (!handle)
    return status_make(
        EXIT_DEVICE,
        "no %s found (%s in the loader's path, $CUDA_HOME, $CUDA_PATH, /usr/local/cuda, /opt/cuda, pip's "
        "packages): %s, or name its file in %s",
        library->name, library->files[0], library->remedy, library->variable);
  char *path = path_of(handle);
  Status status = take_functions(number, handle, path);
  if (status) {
    dlclose(handle);
    free(path);
  } else {
    paths[number] = path; // the handle stays open as long as the process lives
  }
  return status;
}

Status cuda_api_open(CudaLibrary library, const CudaApi **out) {
  const char *stated = getenv(libraries[library].variable);
  *out = NULL;
  if (stated && !strcmp(stated, "none"))
    return status_make(EXIT_DEVICE, "the %s is left out: %s is none", libraries[library].name,
                       libraries[library].variable);
  pthread_mutex_lock(&lock);
  Status status = paths[library] ? STATUS_OK : open_library(library);
  pthread_mutex_unlock(&lock);
  if (!status) *out = &functions;
  return status;
}

// ---- errors ---------------------------------------------------------------------------------------------------------

Status cuda_api_check(const CudaApi *api, CudaResult result, const char *format, ...) {
  if (result == CUDA_OK) return STATUS_OK;
  const char *name = NULL, *text = NULL;
  if (api->cuGetErrorName(result, &name) || !name) name = "an unknown error";
  if (api->cuGetErrorString(result, &text) || !text) text = "no description";
  char *what = NULL;
  va_list args;
  va_start(args, format);
  if (vasprintf(&what, format, args) < 0) BUG("out of memory");
  va_end(args);
  Status status = status_make(EXIT_DEVICE, "%s: %s (%s)", what, name, text);
  free(what);
  return status;
}
