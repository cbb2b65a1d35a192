// Copies. Where the driver's documentation ("API synchronization behavior") leaves a choice, the simulator takes the
// one that a careless program notices: copies of pinned memory run late, and what they will write is spoilt meanwhile;
// asynchronous copies of pageable memory are staged during the call or read and written late, as the seed or
// SIMGPU_PAGEABLE chooses; a synchronous copy from pageable memory returns when the source is staged, and its device
// side comes in the legacy stream's time.
#include "tests/simgpu/driver_graph.h"
#include "tests/simgpu/driver_guard.h"
#include "tests/simgpu/driver_memory.h"
#include "tests/simgpu/stream_order.h"
#include "tests/simgpu/stream_schedule.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

typedef enum Place { DEVICE, PINNED, PAGEABLE } Place;

typedef struct CopyWork {
  Work work;
  uint64_t to, from;
  Place to_place, from_place;
  size_t bytes;
  void *staged; // what `from` held, if the source is read during the call
} CopyWork;

static bool fail(Op *op, const char *why) {
  const CopyWork *copy = (const CopyWork *)op->work;
  driver_fail(op->context, CUDA_ERROR_ILLEGAL_ADDRESS, "copy of %zu bytes from 0x%llx to 0x%llx: %s", copy->bytes,
              (unsigned long long)copy->from, (unsigned long long)copy->to, why);
  return true;
}

static bool copy_run(Op *op) {
  const CopyWork *copy = (const CopyWork *)op->work;
  char why[512];
  void *from = (void *)(uintptr_t)copy->from, *to = (void *)(uintptr_t)copy->to;
  driver_stats.copies++;
  driver_stats.copied_bytes += copy->bytes;
  if (copy->staged) from = copy->staged;
  else if (copy->from_place == DEVICE) from = sim_memory_range(copy->from, copy->bytes, SIM_READ, why, sizeof why);
  else if (copy->from_place == PINNED && !memory_is_pinned(from, copy->bytes))
    return fail(op, "the pinned source was freed before the copy ran");
  if (!from) return fail(op, why);
  if (copy->to_place == DEVICE) to = sim_memory_range(copy->to, copy->bytes, SIM_WRITE, why, sizeof why);
  else if (copy->to_place == PINNED && !memory_is_pinned(to, copy->bytes))
    return fail(op, "the pinned destination was freed before the copy ran");
  if (!to) return fail(op, why);
  if (!copy->staged && copy->from_place == DEVICE) stream_order_touch(op, copy->from, copy->bytes, SIM_READ);
  if (copy->to_place == DEVICE) stream_order_touch(op, copy->to, copy->bytes, SIM_WRITE);
  // Pageable memory that is used late may be gone by now, which the kernel's copying survives.
  struct iovec local = {from, copy->bytes}, remote = {to, copy->bytes};
  if (copy->from_place == PAGEABLE && !copy->staged) {
    local.iov_base = to, remote.iov_base = from;
    if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != (ssize_t)copy->bytes)
      return fail(op, "the pageable source is no longer there");
  } else if (copy->to_place == PAGEABLE) {
    if (process_vm_writev(getpid(), &local, 1, &remote, 1, 0) != (ssize_t)copy->bytes)
      return fail(op, "the pageable destination is no longer there");
  } else {
    if (copy->from_place == PINNED) guard_open(copy->from, copy->bytes);
    if (copy->to_place == PINNED) guard_open(copy->to, copy->bytes);
    memmove(to, from, copy->bytes);
    if (copy->from_place == PINNED) guard_close(copy->from, copy->bytes);
    if (copy->to_place == PINNED) guard_close(copy->to, copy->bytes);
  }
  return true;
}

static void copy_issue(Op *op) {
  const CopyWork *copy = (const CopyWork *)op->work;
  if (copy->from_place == PINNED) guard_copy(op, copy->from, copy->bytes, false);
  if (copy->to_place == PINNED) guard_copy(op, copy->to, copy->bytes, true);
}

static void copy_destroy(Work *work) { free(((CopyWork *)work)->staged); }

static void copy_describe(const Work *work, char *text, size_t n_text) {
  const CopyWork *copy = (const CopyWork *)work;
  static const char *const places[] = {"device", "pinned", "pageable"};
  snprintf(text, n_text, "copy of %zu bytes, %s to %s", copy->bytes, places[copy->from_place], places[copy->to_place]);
}

static const WorkType copy_type = {.name = "copy",
                                   .node = CU_GRAPH_NODE_TYPE_MEMCPY,
                                   .issue = copy_issue,
                                   .run = copy_run,
                                   .destroy = copy_destroy,
                                   .describe = copy_describe};

static bool stages(void) {
  if (driver_options.pageable) return driver_options.pageable == 1;
  return driver_random() % 2;
}

static CUresult bad_range(const char *which, uint64_t address, size_t bytes) {
  driver_report("copy of %zu bytes: the %s 0x%llx does not lie in device memory", bytes, which,
                (unsigned long long)address);
  return CUDA_ERROR_INVALID_VALUE;
}

// A range that the caller says to be of the device or the host.
static bool place_of(uint64_t address, size_t bytes, bool device, Place *out) {
  if (device) *out = DEVICE;
  else *out = memory_is_pinned((const void *)(uintptr_t)address, bytes) ? PINNED : PAGEABLE;
  return !device || memory_is_device(address, bytes);
}

typedef struct Request {
  uint64_t to, from;
  bool to_device, from_device;
  size_t bytes;
} Request;

// Whether a copy that is queued reads or writes the host's range.
static bool is_awaited(uint64_t start, size_t bytes) {
  for (Lane *lane = stream_lanes; lane; lane = lane->next)
    for (const Op *op = lane->first; op; op = op->next) {
      const CopyWork *copy = (const CopyWork *)op->work;
      if (op->work->type != &copy_type) continue;
      if (copy->to_place != DEVICE && copy->to < start + bytes && start < copy->to + copy->bytes) return true;
      if (copy->from_place != DEVICE && copy->from < start + bytes && start < copy->from + copy->bytes) return true;
    }
  return false;
}

// What the destination holds is undefined until the copy is done: something that no stale value looks like.
static void spoil(uint64_t start, size_t bytes) {
  if (driver_options.eager || is_awaited(start, bytes)) return;
  guard_open(start, bytes);
  memset((void *)(uintptr_t)start, 0xff, bytes);
  guard_close(start, bytes);
}

static CUresult put_copy(Request r, Stream *stream, bool synchronous) {
  Context *context = stream->context;
  Place to, from;
  if (!r.bytes) return CUDA_SUCCESS;
  if (!place_of(r.to, r.bytes, r.to_device, &to)) return bad_range("destination", r.to, r.bytes);
  if (!place_of(r.from, r.bytes, r.from_device, &from)) return bad_range("source", r.from, r.bytes);
  if (synchronous) {
    CUresult result = capture_forbids_wait(stream);
    if (result) return result;
  }
  CopyWork *copy = work_new(&copy_type, sizeof *copy);
  copy->to = r.to, copy->from = r.from;
  copy->to_place = to, copy->from_place = from;
  copy->bytes = r.bytes;
  // Neither side on the device: it is over when the call returns, whatever the call.
  bool ends = (synchronous && (from == PINNED || to != DEVICE)) || (from != DEVICE && to != DEVICE);
  bool early = from == PAGEABLE && !stream->capture && !ends && (synchronous || stages());
  if (early) {
    if (synchronous) schedule_wait_stream(stream);
    copy->staged = malloc(r.bytes);
    if (!copy->staged) abort();
    memcpy(copy->staged, (const void *)(uintptr_t)r.from, r.bytes);
  }
  if (to == PAGEABLE && !stream->capture && stages()) ends = true;
  Op *op;
  if (to == PINNED && !ends && !stream->capture) spoil(r.to, r.bytes);
  CUresult result = stream_put(stream, &copy->work, &op);
  if (!result && op && ends) {
    schedule_wait(op);
    result = context->error;
  }
  return result;
}

// ---- the interface

static CUresult copy_now(Request r) {
  Context *context;
  CUresult result = driver_enter(&context);
  return result ? result : driver_leave(put_copy(r, stream_of(NULL, context), true));
}

// Between two places of device memory a synchronous call doesn't wait for the copy.
static CUresult copy_later(Request r, CUstream handle) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  Stream *stream = stream_of(handle, context);
  return driver_leave(stream ? put_copy(r, stream, false) : CUDA_ERROR_INVALID_HANDLE);
}

static uint64_t at(const void *host) { return (uint64_t)(uintptr_t)host; }

// Under unified addressing an address says itself where it points.
static Request unified(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  return (Request){to, from, sim_memory_device(to) >= 0, sim_memory_device(from) >= 0, bytes};
}

CUresult CUDAAPI cuMemcpyHtoD(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount) {
  return copy_now((Request){dstDevice, at(srcHost), true, false, ByteCount});
}

CUresult CUDAAPI cuMemcpyDtoH(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount) {
  return copy_now((Request){at(dstHost), srcDevice, false, true, ByteCount});
}

CUresult CUDAAPI cuMemcpyDtoD(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount) {
  return copy_later((Request){dstDevice, srcDevice, true, true, ByteCount}, NULL);
}

CUresult CUDAAPI cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount) {
  Request r = unified(dst, src, ByteCount);
  return r.to_device && r.from_device ? copy_later(r, NULL) : copy_now(r);
}

CUresult CUDAAPI cuMemcpyHtoDAsync(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount, CUstream hStream) {
  return copy_later((Request){dstDevice, at(srcHost), true, false, ByteCount}, hStream);
}

CUresult CUDAAPI cuMemcpyDtoHAsync(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount, CUstream hStream) {
  return copy_later((Request){at(dstHost), srcDevice, false, true, ByteCount}, hStream);
}

CUresult CUDAAPI cuMemcpyDtoDAsync(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount, CUstream hStream) {
  return copy_later((Request){dstDevice, srcDevice, true, true, ByteCount}, hStream);
}

CUresult CUDAAPI cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount, CUstream hStream) {
  return copy_later(unified(dst, src, ByteCount), hStream);
}

static CUresult copy_peer(CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context, size_t bytes,
                          CUstream handle) {
  int to_device = sim_memory_device(to), from_device = sim_memory_device(from);
  if (to_context != (CUcontext)&driver_contexts[to_device < 0 ? 0 : to_device] ||
      from_context != (CUcontext)&driver_contexts[from_device < 0 ? 0 : from_device])
    return CUDA_ERROR_INVALID_VALUE;
  return copy_later((Request){to, from, true, true, bytes}, handle);
}

CUresult CUDAAPI cuMemcpyPeer(CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice, CUcontext srcContext,
                              size_t ByteCount) {
  return copy_peer(dstDevice, dstContext, srcDevice, srcContext, ByteCount, NULL);
}

CUresult CUDAAPI cuMemcpyPeerAsync(CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice,
                                   CUcontext srcContext, size_t ByteCount, CUstream hStream) {
  return copy_peer(dstDevice, dstContext, srcDevice, srcContext, ByteCount, hStream);
}
