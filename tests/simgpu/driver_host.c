// Pinned host memory, and questions about any pointer.
#include "tests/simgpu/driver_graph.h"
#include "tests/simgpu/driver_guard.h"
#include "tests/simgpu/driver_memory.h"
#include <stdlib.h>
#include <string.h>

typedef struct Pinned {
  char *start;
  size_t bytes;
  unsigned flags;
  bool registered; // the user's memory
  struct Pinned *next;
} Pinned;

static Pinned *pinned;

static Pinned *find(const void *start, size_t bytes) {
  for (Pinned *p = pinned; p; p = p->next)
    if ((const char *)start >= p->start && (const char *)start + bytes <= p->start + p->bytes) return p;
  return NULL;
}

bool memory_is_pinned(const void *start, size_t bytes) { return find(start, bytes) != NULL; }

static void pin(void *start, size_t bytes, unsigned flags, bool registered) {
  Pinned *p = malloc(sizeof *p);
  if (!p) abort();
  *p = (Pinned){.start = start, .bytes = bytes, .flags = flags, .registered = registered, .next = pinned};
  pinned = p;
}

// Copies that are still queued are not waited for; they fault when they run.
static CUresult unpin(void *start, bool registered) {
  for (Pinned **link = &pinned; *link; link = &(*link)->next) {
    Pinned *p = *link;
    if (p->start != (char *)start || p->registered != registered) continue;
    *link = p->next;
    guard_forget((uint64_t)(uintptr_t)p->start, p->bytes);
    if (!registered) free(p->start);
    free(p);
    return CUDA_SUCCESS;
  }
  return registered ? CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED : CUDA_ERROR_INVALID_VALUE;
}

CUresult CUDAAPI cuMemHostAlloc(void **pp, size_t bytesize, unsigned int Flags) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  unsigned known = CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED;
  if (!pp || !bytesize || (Flags & ~known)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  if ((result = capture_forbids_unsafe())) return driver_leave(result);
  void *start = NULL;
  if (bytesize > SIZE_MAX / 2 || posix_memalign(&start, 4096, bytesize)) return driver_leave(CUDA_ERROR_OUT_OF_MEMORY);
  memset(start, 0xCB, bytesize); // whoever counts on zeros sees that
  pin(start, bytesize, Flags, false);
  *pp = start;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuMemAllocHost(void **pp, size_t bytesize) { return cuMemHostAlloc(pp, bytesize, 0); }

CUresult CUDAAPI cuMemFreeHost(void *p) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result || !p) return result ? result : driver_leave(CUDA_SUCCESS);
  result = capture_forbids_unsafe();
  return driver_leave(result ? result : unpin(p, false));
}

CUresult CUDAAPI cuMemHostRegister(void *p, size_t bytesize, unsigned int Flags) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  unsigned known = CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP | CU_MEMHOSTREGISTER_READ_ONLY;
  if (!p || !bytesize || (Flags & ~known)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  if ((result = capture_forbids_unsafe())) return driver_leave(result);
  for (Pinned *other = pinned; other; other = other->next)
    if ((char *)p < other->start + other->bytes && other->start < (char *)p + bytesize)
      return driver_leave(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
  pin(p, bytesize, Flags, true);
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuMemHostUnregister(void *p) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  result = capture_forbids_unsafe();
  return driver_leave(result ? result : unpin(p, true));
}

CUresult CUDAAPI cuMemHostGetFlags(unsigned int *pFlags, void *p) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  const Pinned *range = find(p, 1);
  if (!range) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  *pFlags = range->flags;
  return driver_leave(CUDA_SUCCESS);
}

// Kernels can't reach host memory here, as CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY says.
CUresult CUDAAPI cuMemHostGetDevicePointer(CUdeviceptr *pdptr, void *p, unsigned int Flags) {
  (void)pdptr, (void)p, (void)Flags;
  Context *context;
  CUresult result = driver_enter(&context);
  return result ? result : driver_leave(CUDA_ERROR_NOT_SUPPORTED);
}

CUresult CUDAAPI cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr ptr) {
  CUresult result = driver_enter(NULL);
  if (result) return result;
  uint64_t start, bytes;
  bool device = sim_memory_find(ptr, &start, &bytes);
  const Pinned *host = device ? NULL : find((const void *)(uintptr_t)ptr, 1);
  if (!data || (!device && !host)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  switch (attribute) {
  case CU_POINTER_ATTRIBUTE_MEMORY_TYPE: *(unsigned *)data = device ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST; break;
  case CU_POINTER_ATTRIBUTE_CONTEXT:
    if (!device) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *(CUcontext *)data = (CUcontext)&driver_contexts[sim_memory_device(ptr)];
    break;
  case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
    if (!device) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *(CUdeviceptr *)data = ptr;
    break;
  case CU_POINTER_ATTRIBUTE_HOST_POINTER:
    if (!host) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *(void **)data = (void *)(uintptr_t)ptr;
    break;
  case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: *(int *)data = device ? sim_memory_device(ptr) : 0; break;
  case CU_POINTER_ATTRIBUTE_IS_MANAGED: *(unsigned char *)data = 0; break;
  case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
    *(CUdeviceptr *)data = device ? start : (CUdeviceptr)(uintptr_t)host->start;
    break;
  case CU_POINTER_ATTRIBUTE_RANGE_SIZE: *(size_t *)data = device ? bytes : host->bytes; break;
  default:
    driver_report("cuPointerGetAttribute: attribute %d is not simulated", (int)attribute);
    return driver_leave(CUDA_ERROR_INVALID_VALUE);
  }
  return driver_leave(CUDA_SUCCESS);
}
