#include "tests/simgpu/driver_graph.h"
#include "tests/simgpu/driver_handle.h"
#include "tests/simgpu/stream_order.h"
#include "tests/simgpu/stream_schedule.h"
#include <stdlib.h>
#include <string.h>

// CUevent points at it. Recorded in a stream, it holds the operation; recorded in a capture, the nodes before it.
typedef struct Event {
  Context *context;
  unsigned flags;
  Op *record;
  uint64_t capture; // id; 0: not recorded in one
  Node **nodes;
  int n_nodes;
} Event;

static void forget(Event *event) {
  op_release(event->record);
  free(event->nodes);
  event->record = NULL;
  event->nodes = NULL;
  event->n_nodes = 0;
  event->capture = 0;
}

CUresult CUDAAPI cuEventCreate(CUevent *phEvent, unsigned int Flags) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  unsigned known = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING;
  if (!phEvent || (Flags & ~known)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  Event *event = handle_new(HANDLE_EVENT, sizeof *event);
  event->context = context;
  event->flags = Flags;
  *phEvent = (CUevent)event;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuEventDestroy(CUevent hEvent) {
  Context *context;
  CUresult result = driver_enter_failed(&context);
  if (result) return result;
  if (!handle_is(hEvent, HANDLE_EVENT)) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
  forget((Event *)hEvent);
  handle_free(hEvent);
  return driver_leave(context->error);
}

static bool record_run(Op *op) {
  (void)op;
  return true;
}

static const WorkType record_type = {.name = "event", .node = CU_GRAPH_NODE_TYPE_EVENT_RECORD, .run = record_run};

CUresult CUDAAPI cuEventRecordWithFlags(CUevent hEvent, CUstream hStream, unsigned int flags) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  Stream *stream = stream_of(hStream, context);
  if (!handle_is(hEvent, HANDLE_EVENT) || !stream) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
  Event *event = (Event *)hEvent;
  if (event->context != stream->context) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
  if (flags & ~(unsigned)CU_EVENT_RECORD_EXTERNAL) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  if (stream->capture) {
    if (flags) { // an event node, which is not simulated
      capture_break(stream->capture);
      return driver_leave(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    }
    if (stream->capture->broken) return driver_leave(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    forget(event);
    event->capture = stream->capture->id;
    event->n_nodes = stream->n_tail;
    event->nodes = malloc(sizeof *event->nodes * (size_t)(stream->n_tail + 1));
    if (!event->nodes) abort();
    if (stream->n_tail) memcpy(event->nodes, stream->tail, sizeof *event->nodes * (size_t)stream->n_tail);
    return driver_leave(CUDA_SUCCESS);
  }
  Op *op;
  result = stream_put(stream, work_new(&record_type, sizeof(Work)), &op);
  if (result) return driver_leave(result);
  op_keep(op);
  forget(event);
  event->record = op;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuEventRecord(CUevent hEvent, CUstream hStream) { return cuEventRecordWithFlags(hEvent, hStream, 0); }

static CUresult wait_captured(const Event *event, Stream *stream) {
  Capture *capture = capture_find(event->capture);
  if (!capture) return CUDA_ERROR_CAPTURED_EVENT;
  if (capture->broken) return stream->capture ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_ERROR_INVALID_VALUE;
  return capture_depend(capture, stream, event->nodes, event->n_nodes);
}

CUresult CUDAAPI cuStreamWaitEvent(CUstream hStream, CUevent hEvent, unsigned int Flags) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  Stream *stream = stream_of(hStream, context);
  if (!handle_is(hEvent, HANDLE_EVENT) || !stream) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
  if (Flags) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  const Event *event = (const Event *)hEvent;
  if (event->capture) return driver_leave(wait_captured(event, stream));
  if (stream->capture) { // it would depend on work outside the graph
    capture_break(stream->capture);
    return driver_leave(CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
  }
  if (!event->record) return driver_leave(CUDA_SUCCESS);
  if (stream == context->legacy && (result = capture_forbids_legacy(context))) return driver_leave(result);
  stream_issue(stream, work_nothing(), &event->record, 1);
  return driver_leave(CUDA_SUCCESS);
}

// Enters for a call that waits for or asks about an event.
static CUresult enter_event(CUevent handle, Context **out_context, Event **out_event) {
  CUresult result = driver_enter(out_context);
  if (result) return result;
  if (!handle_is(handle, HANDLE_EVENT)) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
  *out_event = (Event *)handle;
  if ((*out_event)->capture) {
    Capture *capture = capture_find((*out_event)->capture);
    if (capture) capture_break(capture);
    return driver_leave(CUDA_ERROR_CAPTURED_EVENT);
  }
  result = capture_forbids_unsafe();
  return result ? driver_leave(result) : CUDA_SUCCESS;
}

CUresult CUDAAPI cuEventSynchronize(CUevent hEvent) {
  Context *context;
  Event *event;
  CUresult result = enter_event(hEvent, &context, &event);
  if (result) return result;
  Context *failed = event->context; // the event may be destroyed meanwhile
  if (event->record) schedule_wait(event->record);
  return driver_leave(failed->error);
}

CUresult CUDAAPI cuEventQuery(CUevent hEvent) {
  Context *context;
  Event *event;
  CUresult result = enter_event(hEvent, &context, &event);
  if (result) return result;
  context = event->context;
  Op *record = event->record ? op_keep(event->record) : NULL;
  if (record && !record->done) schedule_nudge();
  bool done = !record || record->done;
  if (record && done) stream_order_host(record);
  op_release(record);
  if (context->error) return driver_leave(context->error);
  return driver_leave(done ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY);
}

// Times are the host's, when the simulator ran the two records: good for no comparison, but never negative.
CUresult CUDAAPI cuEventElapsedTime(float *pMilliseconds, CUevent hStart, CUevent hEnd) {
  Context *context;
  Event *start, *end;
  CUresult result = enter_event(hStart, &context, &start);
  if (result) return result;
  driver_leave(CUDA_SUCCESS);
  result = enter_event(hEnd, &context, &end);
  if (result) return result;
  bool timed = start->record && end->record && !((start->flags | end->flags) & CU_EVENT_DISABLE_TIMING);
  if (!timed) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
  if (!start->record->done || !end->record->done) return driver_leave(CUDA_ERROR_NOT_READY);
  *pMilliseconds = (float)((end->record->finished - start->record->finished) * 1e3);
  return driver_leave(CUDA_SUCCESS);
}

#undef cuEventElapsedTime
CUresult CUDAAPI cuEventElapsedTime(float *pMilliseconds, CUevent hStart, CUevent hEnd) {
  return cuEventElapsedTime_v2(pMilliseconds, hStart, hEnd);
}
