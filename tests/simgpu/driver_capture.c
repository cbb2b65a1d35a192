#include "tests/simgpu/driver_graph.h"
#include "tests/simgpu/driver_handle.h"
#include <stdlib.h>
#include <string.h>

static Capture *captures;
static uint64_t next_capture = 1;
static __thread CUstreamCaptureMode thread_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;

Capture *capture_find(uint64_t id) {
  for (Capture *capture = captures; capture; capture = capture->next)
    if (capture->id == id) return capture;
  return NULL;
}

void capture_break(Capture *capture) { capture->broken = true; }

CUresult capture_forbids_unsafe(void) {
  CUresult result = CUDA_SUCCESS;
  if (thread_mode == CU_STREAM_CAPTURE_MODE_RELAXED) return result;
  for (Capture *capture = captures; capture; capture = capture->next) {
    bool own = capture->thread == driver_thread() && capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED;
    bool others = thread_mode == CU_STREAM_CAPTURE_MODE_GLOBAL && capture->mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
    if (!own && !others) continue;
    capture_break(capture);
    result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  return result;
}

CUresult capture_forbids_wait(Stream *stream) {
  if (stream->capture) {
    capture_break(stream->capture);
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  if (stream == stream->context->legacy) {
    CUresult result = capture_forbids_legacy(stream->context);
    if (result) return result;
  }
  return capture_forbids_unsafe();
}

static bool is_capturing(const Lane *lane, const Context *context) {
  if (!lane->lasting) return false;
  const Stream *stream = (const Stream *)lane;
  return stream->context == context && stream->capture;
}

CUresult capture_forbids_wait_context(Context *context) {
  CUresult result = CUDA_SUCCESS;
  for (Lane *lane = stream_lanes; lane; lane = lane->next)
    if (is_capturing(lane, context)) {
      capture_break(((Stream *)lane)->capture);
      result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
  return result;
}

CUresult capture_forbids_legacy(Context *context) {
  CUresult result = CUDA_SUCCESS;
  for (Lane *lane = stream_lanes; lane; lane = lane->next)
    if (is_capturing(lane, context) && !(((Stream *)lane)->flags & CU_STREAM_NON_BLOCKING)) {
      capture_break(((Stream *)lane)->capture);
      result = CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    }
  return result;
}

static void set_tail(Stream *stream, Node *const *nodes, int n_nodes) {
  Node **tail = n_nodes ? malloc(sizeof *tail * (size_t)n_nodes) : NULL;
  if (n_nodes) memcpy(tail, nodes, sizeof *tail * (size_t)n_nodes);
  free(stream->tail);
  stream->tail = tail;
  stream->n_tail = n_nodes;
}

CUresult capture_depend(Capture *capture, Stream *stream, Node *const *nodes, int n_nodes) {
  if (stream->capture && stream->capture != capture) {
    capture_break(stream->capture);
    capture_break(capture);
    return CUDA_ERROR_STREAM_CAPTURE_MERGE;
  }
  if (stream == stream->context->legacy) {
    capture_break(capture);
    return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  }
  if (capture->broken) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (!stream->capture) {
    stream->capture = capture;
    set_tail(stream, nodes, n_nodes);
    return CUDA_SUCCESS;
  }
  for (int k = 0; k < n_nodes; k++) {
    bool known = false;
    for (int i = 0; i < stream->n_tail; i++) known |= stream->tail[i] == nodes[k];
    if (known) continue;
    stream->tail = realloc(stream->tail, sizeof *stream->tail * (size_t)(stream->n_tail + 1));
    if (!stream->tail) abort();
    stream->tail[stream->n_tail++] = nodes[k];
  }
  return CUDA_SUCCESS;
}

CUresult stream_put(Stream *stream, Work *work, Op **out_op) {
  CUresult result = CUDA_SUCCESS;
  if (out_op) *out_op = NULL;
  if (stream == stream->context->legacy) result = capture_forbids_legacy(stream->context);
  else if (stream->capture && stream->capture->broken) result = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (result) {
    work_release(work);
  } else if (stream->capture) {
    Node *node = graph_add(stream->capture->graph, stream->context, work, stream->tail, stream->n_tail);
    set_tail(stream, &node, 1);
  } else {
    Op *op = stream_issue(stream, work, NULL, 0);
    if (out_op) *out_op = op;
  }
  return result;
}

// ---- the interface

CUresult CUDAAPI cuStreamBeginCapture(CUstream hStream, CUstreamCaptureMode mode) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  Stream *stream = stream_of(hStream, context);
  if (!stream) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
  if (mode > CU_STREAM_CAPTURE_MODE_RELAXED) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  if (stream == context->legacy) return driver_leave(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  if (stream->capture) return driver_leave(CUDA_ERROR_ILLEGAL_STATE);
  Capture *capture = calloc(1, sizeof *capture);
  if (!capture) abort();
  *capture = (Capture){.graph = graph_new(),
                       .origin = stream,
                       .mode = mode,
                       .id = next_capture++,
                       .thread = driver_thread(),
                       .next = captures};
  captures = capture;
  stream->capture = capture;
  set_tail(stream, NULL, 0);
  return driver_leave(CUDA_SUCCESS);
}

// Marks a node and all that it depends on.
static void mark_before(const Node *node, bool *seen) {
  if (seen[node->index]) return;
  seen[node->index] = true;
  for (int k = 0; k < node->n_after; k++) mark_before(node->after[k], seen);
}

// Whether what the other streams of the capture did comes before what the origin will do next.
static bool is_joined(const Capture *capture) {
  bool *seen = calloc((size_t)capture->graph->n_nodes + 1, sizeof *seen);
  if (!seen) abort();
  for (int k = 0; k < capture->origin->n_tail; k++) mark_before(capture->origin->tail[k], seen);
  bool joined = true;
  for (Lane *lane = stream_lanes; lane; lane = lane->next) {
    const Stream *stream = (const Stream *)lane;
    if (!lane->lasting || stream->capture != capture) continue;
    for (int k = 0; k < stream->n_tail; k++) joined &= seen[stream->tail[k]->index];
  }
  free(seen);
  return joined;
}

static void end(Capture *capture) {
  for (Lane *lane = stream_lanes; lane; lane = lane->next) {
    Stream *stream = (Stream *)lane;
    if (!lane->lasting || stream->capture != capture) continue;
    stream->capture = NULL;
    set_tail(stream, NULL, 0);
  }
  for (Capture **link = &captures; *link; link = &(*link)->next)
    if (*link == capture) {
      *link = capture->next;
      break;
    }
  free(capture);
}

CUresult CUDAAPI cuStreamEndCapture(CUstream hStream, CUgraph *phGraph) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  Stream *stream = stream_of(hStream, context);
  if (!stream) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
  Capture *capture = stream->capture;
  if (!capture) return driver_leave(CUDA_ERROR_ILLEGAL_STATE);
  if (phGraph) *phGraph = NULL;
  if (capture->origin != stream) {
    capture_break(capture);
    return driver_leave(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
  }
  if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED && capture->thread != driver_thread())
    return driver_leave(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
  if (capture->broken) result = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  else if (!is_joined(capture)) result = CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
  else if (!phGraph) result = CUDA_ERROR_INVALID_VALUE;
  if (result) graph_free(capture->graph);
  else *phGraph = (CUgraph)capture->graph;
  end(capture);
  return driver_leave(result);
}

static CUstreamCaptureStatus status_of(const Stream *stream) {
  if (!stream->capture) return CU_STREAM_CAPTURE_STATUS_NONE;
  return stream->capture->broken ? CU_STREAM_CAPTURE_STATUS_INVALIDATED : CU_STREAM_CAPTURE_STATUS_ACTIVE;
}

CUresult CUDAAPI cuStreamIsCapturing(CUstream hStream, CUstreamCaptureStatus *captureStatus) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  Stream *stream = stream_of(hStream, context);
  if (!stream) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
  if (stream == context->legacy && (result = capture_forbids_legacy(context))) return driver_leave(result);
  *captureStatus = status_of(stream);
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuStreamGetCaptureInfo(CUstream hStream, CUstreamCaptureStatus *captureStatus_out, cuuint64_t *id_out,
                                        CUgraph *graph_out, const CUgraphNode **dependencies_out,
                                        const CUgraphEdgeData **edgeData_out, size_t *numDependencies_out) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  Stream *stream = stream_of(hStream, context);
  if (!stream || !captureStatus_out) return driver_leave(stream ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_INVALID_HANDLE);
  *captureStatus_out = status_of(stream);
  if (*captureStatus_out == CU_STREAM_CAPTURE_STATUS_ACTIVE) {
    if (id_out) *id_out = stream->capture->id;
    if (graph_out) *graph_out = (CUgraph)stream->capture->graph;
    if (dependencies_out) *dependencies_out = (const CUgraphNode *)stream->tail;
    if (edgeData_out) *edgeData_out = NULL;
    if (numDependencies_out) *numDependencies_out = (size_t)stream->n_tail;
  }
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode) {
  if (!mode || *mode > CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_ERROR_INVALID_VALUE;
  CUstreamCaptureMode old = thread_mode;
  thread_mode = *mode;
  *mode = old;
  return CUDA_SUCCESS;
}
