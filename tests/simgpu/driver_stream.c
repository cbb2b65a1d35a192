#include "tests/simgpu/driver_graph.h"
#include "tests/simgpu/driver_handle.h"
#include "tests/simgpu/stream_order.h"
#include "tests/simgpu/stream_schedule.h"

CUresult CUDAAPI cuStreamCreateWithPriority(CUstream *phStream, unsigned int flags, int priority) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  if (!phStream || (flags & ~(unsigned)CU_STREAM_NON_BLOCKING)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  if (priority > 0) priority = 0;
  if (priority < -5) priority = -5;
  *phStream = (CUstream)stream_new(context, flags, priority);
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuStreamCreate(CUstream *phStream, unsigned int Flags) {
  return cuStreamCreateWithPriority(phStream, Flags, 0);
}

CUresult CUDAAPI cuStreamDestroy(CUstream hStream) {
  Context *context;
  CUresult result = driver_enter_failed(&context);
  if (result) return result;
  Stream *stream = handle_is(hStream, HANDLE_STREAM) ? (Stream *)hStream : NULL;
  if (!stream || stream == stream->context->legacy) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
  if (stream->capture) capture_break(stream->capture);
  if (stream->capture) return driver_leave(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  stream_retire(stream); // what it holds still runs
  return driver_leave(context->error);
}

// Enters for a call about a stream.
static CUresult enter_stream(CUstream handle, Stream **out_stream) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  *out_stream = stream_of(handle, context);
  return *out_stream ? CUDA_SUCCESS : driver_leave(CUDA_ERROR_INVALID_HANDLE);
}

CUresult CUDAAPI cuStreamSynchronize(CUstream hStream) {
  Stream *stream;
  CUresult result = enter_stream(hStream, &stream);
  if (result) return result;
  result = capture_forbids_wait(stream);
  if (result) return driver_leave(result);
  Context *context = stream->context; // another thread may destroy the stream meanwhile
  schedule_wait_stream(stream);
  return driver_leave(context->error);
}

CUresult CUDAAPI cuStreamQuery(CUstream hStream) {
  Stream *stream;
  CUresult result = enter_stream(hStream, &stream);
  if (result) return result;
  result = capture_forbids_wait(stream);
  if (result) return driver_leave(result);
  Context *context = stream->context;
  Op *last = stream->lane.last ? op_keep(stream->lane.last) : NULL;
  if (last) schedule_nudge();
  bool done = !last || last->done;
  if (last && done) stream_order_host(last);
  else if (done) stream_order_host_lane(&stream->lane);
  op_release(last);
  if (context->error) return driver_leave(context->error);
  return driver_leave(done ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY);
}

CUresult CUDAAPI cuStreamGetPriority(CUstream hStream, int *priority) {
  Stream *stream;
  CUresult result = enter_stream(hStream, &stream);
  if (result) return result;
  *priority = stream->priority;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuStreamGetFlags(CUstream hStream, unsigned int *flags) {
  Stream *stream;
  CUresult result = enter_stream(hStream, &stream);
  if (result) return result;
  *flags = stream->flags;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuStreamGetId(CUstream hStream, unsigned long long *streamId) {
  Stream *stream;
  CUresult result = enter_stream(hStream, &stream);
  if (result) return result;
  *streamId = stream->id;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuStreamGetCtx(CUstream hStream, CUcontext *pctx) {
  Stream *stream;
  CUresult result = enter_stream(hStream, &stream);
  if (result) return result;
  *pctx = (CUcontext)stream->context;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuStreamGetDevice(CUstream hStream, CUdevice *device) {
  Stream *stream;
  CUresult result = enter_stream(hStream, &stream);
  if (result) return result;
  *device = stream->context->device;
  return driver_leave(CUDA_SUCCESS);
}

// ---- host functions

typedef struct HostWork {
  Work work;
  CUhostFn function;
  void *user;
} HostWork;

// The lock is given back while the function runs, since it may wait for a thread that calls the driver.
static bool host_run(Op *op) {
  const HostWork *host = (const HostWork *)op->work;
  stream_order_host(op); // the function may tell anyone
  driver_unlock();
  driver_in_callback(true);
  host->function(host->user);
  driver_in_callback(false);
  driver_lock();
  return true;
}

static const WorkType host_type = {.name = "host function", .node = CU_GRAPH_NODE_TYPE_HOST, .run = host_run};

CUresult CUDAAPI cuLaunchHostFunc(CUstream hStream, CUhostFn fn, void *userData) {
  Stream *stream;
  CUresult result = enter_stream(hStream, &stream);
  if (result) return result;
  if (!fn) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  HostWork *host = work_new(&host_type, sizeof *host);
  host->function = fn;
  host->user = userData;
  schedule_expect_host();
  return driver_leave(stream_put(stream, &host->work, NULL));
}
