// Allocation of device memory. cuMemFree doesn't wait for what is queued: the real one may, but need not.
#include "tests/simgpu/driver_memory.h"
#include "tests/simgpu/driver_graph.h"
#include "tests/simgpu/stream_order.h"
#include <stdlib.h>

bool memory_is_device(CUdeviceptr start, size_t bytes) {
  uint64_t base, size;
  return sim_memory_find(start, &base, &size) && start - base + bytes <= size;
}

static CUresult allocate(Context *context, CUdeviceptr *out, size_t bytes) {
  if (!out || !bytes) return CUDA_ERROR_INVALID_VALUE;
  uint64_t address;
  if (!sim_memory_alloc(context->device, bytes, &address)) return CUDA_ERROR_OUT_OF_MEMORY;
  Allocation *allocation = malloc(sizeof *allocation);
  if (!allocation) abort();
  *allocation = (Allocation){.address = address, .next = context->allocations};
  context->allocations = allocation;
  *out = address;
  return CUDA_SUCCESS;
}

// False if no allocation of the driver begins there. `op`: the operation that frees; NULL: the host does.
static bool release(CUdeviceptr address, Op *op) {
  uint64_t start, bytes;
  if (sim_memory_find(address, &start, &bytes) && start == address) {
    if (op) stream_order_touch(op, start, bytes, SIM_WRITE), stream_order_host(op);
    stream_order_free(start, bytes);
  }
  for (int k = 0; k < driver_devices; k++)
    for (Allocation **link = &driver_contexts[k].allocations; *link; link = &(*link)->next)
      if ((*link)->address == address) {
        Allocation *allocation = *link;
        *link = allocation->next;
        free(allocation);
        return sim_memory_free(address);
      }
  return false;
}

void memory_free_all(Context *context) {
  while (context->allocations) release(context->allocations->address, NULL);
}

CUresult CUDAAPI cuMemAlloc(CUdeviceptr *dptr, size_t bytesize) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  result = capture_forbids_unsafe();
  return driver_leave(result ? result : allocate(context, dptr, bytesize));
}

CUresult CUDAAPI cuMemFree(CUdeviceptr dptr) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result || !dptr) return result ? result : driver_leave(CUDA_SUCCESS);
  result = capture_forbids_unsafe();
  if (result) return driver_leave(result);
  if (release(dptr, NULL)) return driver_leave(CUDA_SUCCESS);
  driver_report("cuMemFree: no allocation begins at 0x%llx", dptr);
  return driver_leave(CUDA_ERROR_INVALID_VALUE);
}

// ---- in the order of a stream

// The memory is there at once; what uses it must all the same come after the operation.
typedef struct AllocWork {
  Work work;
  CUdeviceptr address;
  size_t bytes;
} AllocWork;

static bool alloc_run(Op *op) {
  const AllocWork *alloc = (const AllocWork *)op->work;
  if (memory_is_device(alloc->address, alloc->bytes)) stream_order_touch(op, alloc->address, alloc->bytes, SIM_WRITE);
  else
    driver_fail(op->context, CUDA_ERROR_LAUNCH_FAILED,
                "cuMemAllocAsync: 0x%llx was freed before its stream came to allocate it, and nothing orders them",
                alloc->address);
  return true;
}

static const WorkType alloc_type = {.name = "alloc", .node = CU_GRAPH_NODE_TYPE_MEM_ALLOC, .run = alloc_run};

typedef struct FreeWork {
  Work work;
  CUdeviceptr address;
} FreeWork;

static bool free_run(Op *op) {
  CUdeviceptr address = ((FreeWork *)op->work)->address;
  if (!release(address, op))
    driver_fail(op->context, CUDA_ERROR_ILLEGAL_ADDRESS, "cuMemFreeAsync: 0x%llx was freed already", address);
  return true;
}

static void free_cancel(Op *op) { release(((FreeWork *)op->work)->address, op); }

static const WorkType free_type = {
    .name = "free", .node = CU_GRAPH_NODE_TYPE_MEM_FREE, .run = free_run, .cancel = free_cancel};

// Enters for a call on a stream that can't be captured.
static CUresult enter_stream(CUstream handle, Context **out_context, Stream **out_stream) {
  CUresult result = driver_enter(out_context);
  if (result) return result;
  *out_stream = stream_of(handle, *out_context);
  if (!*out_stream) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
  if (!(*out_stream)->capture) return CUDA_SUCCESS;
  capture_break((*out_stream)->capture); // the real driver makes a node of it, which is not simulated
  return driver_leave(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
}

CUresult CUDAAPI cuMemAllocAsync(CUdeviceptr *dptr, size_t bytesize, CUstream hStream) {
  Context *context;
  Stream *stream;
  CUresult result = enter_stream(hStream, &context, &stream);
  if (result) return result;
  result = allocate(stream->context, dptr, bytesize);
  if (result) return driver_leave(result);
  AllocWork *work = work_new(&alloc_type, sizeof *work);
  work->address = *dptr;
  work->bytes = bytesize;
  return driver_leave(stream_put(stream, &work->work, NULL));
}

CUresult CUDAAPI cuMemFreeAsync(CUdeviceptr dptr, CUstream hStream) {
  Context *context;
  Stream *stream;
  CUresult result = enter_stream(hStream, &context, &stream);
  if (result || !dptr) return result ? result : driver_leave(CUDA_SUCCESS);
  uint64_t start, bytes;
  if (!sim_memory_find(dptr, &start, &bytes) || start != dptr) {
    driver_report("cuMemFreeAsync: no allocation begins at 0x%llx", dptr);
    return driver_leave(CUDA_ERROR_INVALID_VALUE);
  }
  FreeWork *work = work_new(&free_type, sizeof *work);
  work->address = dptr;
  return driver_leave(stream_put(stream, &work->work, NULL));
}

// ---- pools: each device has one, which keeps nothing

static char pools[SIM_DEVICES];
static uint64_t pool_threshold[SIM_DEVICES];

static int pool_device(CUmemoryPool pool) {
  for (int k = 0; k < driver_devices; k++)
    if (pool == (CUmemoryPool)&pools[k]) return k;
  return -1;
}

CUresult CUDAAPI cuDeviceGetDefaultMemPool(CUmemoryPool *pool_out, CUdevice dev) {
  CUresult result = driver_enter(NULL);
  if (result) return result;
  if (dev < 0 || dev >= driver_devices) return driver_leave(CUDA_ERROR_INVALID_DEVICE);
  *pool_out = (CUmemoryPool)&pools[dev];
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice dev) { return cuDeviceGetDefaultMemPool(pool, dev); }

CUresult CUDAAPI cuMemPoolTrimTo(CUmemoryPool pool, size_t minBytesToKeep) {
  (void)minBytesToKeep;
  CUresult result = driver_enter(NULL);
  return result ? result : driver_leave(pool_device(pool) < 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS);
}

CUresult CUDAAPI cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value) {
  CUresult result = driver_enter(NULL);
  if (result) return result;
  int device = pool_device(pool);
  if (device < 0 || !value || attr != CU_MEMPOOL_ATTR_RELEASE_THRESHOLD) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  pool_threshold[device] = *(const cuuint64_t *)value;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value) {
  CUresult result = driver_enter(NULL);
  if (result) return result;
  int device = pool_device(pool);
  if (device < 0 || !value) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  switch (attr) {
  case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD: *(cuuint64_t *)value = pool_threshold[device]; break;
  case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
  case CU_MEMPOOL_ATTR_USED_MEM_CURRENT: *(cuuint64_t *)value = sim_memory_used(device); break;
  case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
  case CU_MEMPOOL_ATTR_USED_MEM_HIGH: *(cuuint64_t *)value = sim_memory_peak(device); break;
  default: return driver_leave(CUDA_ERROR_INVALID_VALUE);
  }
  return driver_leave(CUDA_SUCCESS);
}

// ---- questions

CUresult CUDAAPI cuMemGetInfo(size_t *free, size_t *total) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  *total = sim_memory_capacity(context->device);
  *free = *total - sim_memory_used(context->device);
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuMemGetAddressRange(CUdeviceptr *pbase, size_t *psize, CUdeviceptr dptr) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  uint64_t base, size;
  if (!sim_memory_find(dptr, &base, &size)) return driver_leave(CUDA_ERROR_NOT_FOUND);
  if (pbase) *pbase = base;
  if (psize) *psize = size;
  return driver_leave(CUDA_SUCCESS);
}
