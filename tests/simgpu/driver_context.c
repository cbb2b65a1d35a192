// Primary contexts, the current context of a thread, and peer access.
#include "tests/simgpu/driver_graph.h"
#include "tests/simgpu/driver_handle.h"
#include "tests/simgpu/driver_memory.h"
#include "tests/simgpu/stream_order.h"
#include "tests/simgpu/stream_schedule.h"

// Enters for a call about a device.
static CUresult enter_device(CUdevice dev) {
  CUresult result = driver_enter(NULL);
  if (result) return result;
  return dev >= 0 && dev < driver_devices ? CUDA_SUCCESS : driver_leave(CUDA_ERROR_INVALID_DEVICE);
}

CUresult CUDAAPI cuDevicePrimaryCtxRetain(CUcontext *pctx, CUdevice dev) {
  CUresult result = enter_device(dev);
  if (result) return result;
  if (!pctx) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  driver_contexts[dev].retained++;
  *pctx = (CUcontext)&driver_contexts[dev];
  return driver_leave(CUDA_SUCCESS);
}

static void retire_stream(void *handle, void *context) {
  Stream *stream = handle;
  if (stream->context == context && stream != stream->context->legacy) stream_retire(stream);
}

// Ends the context's streams and frees its memory.
static void destroy(Context *context) {
  schedule_wait_context(context);
  if (context->error) stream_order_host_all(); // what ran is over, whatever was dropped
  handle_each(HANDLE_STREAM, retire_stream, context);
  memory_free_all(context);
  context->error = CUDA_SUCCESS;
  context->peers = 1u << context->device;
}

CUresult CUDAAPI cuDevicePrimaryCtxRelease(CUdevice dev) {
  CUresult result = enter_device(dev);
  if (result) return result;
  Context *context = &driver_contexts[dev];
  if (!context->retained) return driver_leave(CUDA_ERROR_INVALID_CONTEXT);
  if (context->retained == 1) destroy(context);
  context->retained--;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuDevicePrimaryCtxReset(CUdevice dev) {
  CUresult result = enter_device(dev);
  if (result) return result;
  if (driver_contexts[dev].retained) destroy(&driver_contexts[dev]);
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuDevicePrimaryCtxSetFlags(CUdevice dev, unsigned int flags) {
  CUresult result = enter_device(dev);
  if (result) return result;
  driver_contexts[dev].flags = flags;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuDevicePrimaryCtxGetState(CUdevice dev, unsigned int *flags, int *active) {
  CUresult result = enter_device(dev);
  if (result) return result;
  if (flags) *flags = driver_contexts[dev].flags;
  if (active) *active = driver_contexts[dev].retained > 0;
  return driver_leave(CUDA_SUCCESS);
}

// ---- the current context

CUresult CUDAAPI cuCtxSetCurrent(CUcontext ctx) {
  CUresult result = driver_enter(NULL);
  if (result) return result;
  if (ctx && !driver_context(ctx)) return driver_leave(CUDA_ERROR_INVALID_CONTEXT);
  driver_set_current(driver_context(ctx));
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuCtxGetCurrent(CUcontext *pctx) {
  CUresult result = driver_enter(NULL);
  if (result) return result;
  if (!pctx) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  *pctx = (CUcontext)driver_current();
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuCtxPushCurrent(CUcontext ctx) {
  CUresult result = driver_enter(NULL);
  if (result) return result;
  Context *context = driver_context(ctx);
  if (!context) return driver_leave(CUDA_ERROR_INVALID_CONTEXT);
  return driver_leave(driver_push_context(context) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CUresult CUDAAPI cuCtxPopCurrent(CUcontext *pctx) {
  CUresult result = driver_enter(NULL);
  if (result) return result;
  Context *context = driver_current();
  if (!driver_pop_context()) return driver_leave(CUDA_ERROR_INVALID_CONTEXT);
  if (pctx) *pctx = (CUcontext)context;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuCtxGetDevice(CUdevice *device) {
  Context *context;
  CUresult result = driver_enter_failed(&context);
  if (result) return result;
  if (!device) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  *device = context->device;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuCtxGetFlags(unsigned int *flags) {
  Context *context;
  CUresult result = driver_enter_failed(&context);
  if (result) return result;
  *flags = context->flags;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuCtxGetApiVersion(CUcontext ctx, unsigned int *version) {
  CUresult result = driver_enter(NULL);
  if (result) return result;
  if (ctx && !driver_context(ctx)) return driver_leave(CUDA_ERROR_INVALID_CONTEXT);
  *version = 13000;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuCtxGetStreamPriorityRange(int *leastPriority, int *greatestPriority) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  if (leastPriority) *leastPriority = 0;
  if (greatestPriority) *greatestPriority = -5;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuCtxSynchronize(void) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  result = capture_forbids_wait_context(context);
  if (result) return driver_leave(result);
  schedule_wait_context(context);
  return driver_leave(context->error);
}

// ---- peers

CUresult CUDAAPI cuDeviceCanAccessPeer(int *canAccessPeer, CUdevice dev, CUdevice peerDev) {
  CUresult result = enter_device(dev);
  if (result) return result;
  if (peerDev < 0 || peerDev >= driver_devices) return driver_leave(CUDA_ERROR_INVALID_DEVICE);
  *canAccessPeer = dev != peerDev;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuDeviceGetP2PAttribute(int *value, CUdevice_P2PAttribute attrib, CUdevice srcDevice,
                                         CUdevice dstDevice) {
  CUresult result = enter_device(srcDevice);
  if (result) return result;
  if (dstDevice < 0 || dstDevice >= driver_devices || dstDevice == srcDevice)
    return driver_leave(CUDA_ERROR_INVALID_DEVICE);
  *value = attrib == CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuCtxEnablePeerAccess(CUcontext peerContext, unsigned int Flags) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  Context *peer = driver_context(peerContext);
  if (Flags) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  if (!peer || peer == context) return driver_leave(CUDA_ERROR_INVALID_CONTEXT);
  if (context->peers >> peer->device & 1) return driver_leave(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
  context->peers |= 1u << peer->device;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuCtxDisablePeerAccess(CUcontext peerContext) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  Context *peer = driver_context(peerContext);
  if (!peer || peer == context) return driver_leave(CUDA_ERROR_INVALID_CONTEXT);
  if (!(context->peers >> peer->device & 1)) return driver_leave(CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
  context->peers &= ~(1u << peer->device);
  return driver_leave(CUDA_SUCCESS);
}
