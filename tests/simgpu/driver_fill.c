// Memsets. None waits for the device, the synchronous ones neither.
#include "tests/simgpu/driver_graph.h"
#include "tests/simgpu/driver_memory.h"
#include "tests/simgpu/stream_order.h"
#include <stdio.h>
#include <string.h>

typedef struct FillWork {
  Work work;
  CUdeviceptr start;
  uint32_t value;
  size_t width, count; // bytes of an element, elements
} FillWork;

static bool fill_run(Op *op) {
  const FillWork *fill = (const FillWork *)op->work;
  char why[512];
  char *at = sim_memory_range(fill->start, fill->width * fill->count, SIM_WRITE, why, sizeof why);
  stream_order_touch(op, fill->start, fill->width * fill->count, SIM_WRITE);
  if (!at) driver_fail(op->context, CUDA_ERROR_ILLEGAL_ADDRESS, "memset: %s", why);
  else if (fill->width == 1) memset(at, (int)fill->value, fill->count);
  else
    for (size_t k = 0; k < fill->count; k++) memcpy(at + k * fill->width, &fill->value, fill->width); // little-endian
  return true;
}

static void fill_describe(const Work *work, char *text, size_t n_text) {
  const FillWork *fill = (const FillWork *)work;
  snprintf(text, n_text, "memset of %zu bytes", fill->width * fill->count);
}

static const WorkType fill_type = {
    .name = "memset", .node = CU_GRAPH_NODE_TYPE_MEMSET, .run = fill_run, .describe = fill_describe};

static CUresult fill(CUdeviceptr start, uint32_t value, size_t width, size_t count, CUstream handle) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result || !count) return result ? result : driver_leave(CUDA_SUCCESS);
  Stream *stream = stream_of(handle, context);
  if (!stream) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
  if (start % width || !memory_is_device(start, width * count)) {
    driver_report("memset of %zu bytes: 0x%llx does not lie in device memory", width * count, start);
    return driver_leave(CUDA_ERROR_INVALID_VALUE);
  }
  FillWork *work = work_new(&fill_type, sizeof *work);
  work->start = start;
  work->value = value;
  work->width = width;
  work->count = count;
  return driver_leave(stream_put(stream, &work->work, NULL));
}

CUresult CUDAAPI cuMemsetD8(CUdeviceptr dstDevice, unsigned char uc, size_t N) {
  return fill(dstDevice, uc, 1, N, NULL);
}
CUresult CUDAAPI cuMemsetD16(CUdeviceptr dstDevice, unsigned short us, size_t N) {
  return fill(dstDevice, us, 2, N, NULL);
}
CUresult CUDAAPI cuMemsetD32(CUdeviceptr dstDevice, unsigned int ui, size_t N) {
  return fill(dstDevice, ui, 4, N, NULL);
}
CUresult CUDAAPI cuMemsetD8Async(CUdeviceptr dstDevice, unsigned char uc, size_t N, CUstream hStream) {
  return fill(dstDevice, uc, 1, N, hStream);
}
CUresult CUDAAPI cuMemsetD16Async(CUdeviceptr dstDevice, unsigned short us, size_t N, CUstream hStream) {
  return fill(dstDevice, us, 2, N, hStream);
}
CUresult CUDAAPI cuMemsetD32Async(CUdeviceptr dstDevice, unsigned int ui, size_t N, CUstream hStream) {
  return fill(dstDevice, ui, 4, N, hStream);
}
