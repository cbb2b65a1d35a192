// Graphs and their capture from streams.
#ifndef SIM_DRIVER_GRAPH_H
#define SIM_DRIVER_GRAPH_H

#include "tests/simgpu/stream_queue.h"

typedef struct Graph Graph;

// CUgraphNode points at it.
typedef struct Node {
  Graph *graph;
  Context *context;
  Work *work;
  struct Node **after;
  int n_after;
  int index; // in the graph
} Node;

// CUgraph points at it. A node comes after those that it depends on.
struct Graph {
  Node **nodes;
  int n_nodes;
};

// A capture in progress; one graph, one or more streams.
typedef struct Capture {
  Graph *graph;
  Stream *origin;
  CUstreamCaptureMode mode;
  uint64_t id;     // never used again
  uint64_t thread; // that began it
  bool broken;     // by an operation that is not permitted
  struct Capture *next;
} Capture;

Graph *graph_new(void);
void graph_free(Graph *graph);
// Takes over the reference to the work.
Node *graph_add(Graph *graph, Context *context, Work *work, Node *const *after, int n_after);

// Puts work into a stream: an operation, or a node if the stream is being captured. Takes over the reference to the
// work in any case. out_op (may be NULL) becomes the operation, which the queue owns, or NULL.
CUresult stream_put(Stream *stream, Work *work, Op **out_op);

Capture *capture_find(uint64_t id); // NULL when it has ended
// A call that may synchronise or otherwise endanger a capture: the error if some capture forbids it, which it breaks.
CUresult capture_forbids_unsafe(void);
// A call that waits for or asks about a stream; about all of a context.
CUresult capture_forbids_wait(Stream *stream);
CUresult capture_forbids_wait_context(Context *context);
// An implicit use of the context's legacy stream.
CUresult capture_forbids_legacy(Context *context);
void capture_break(Capture *capture);
// Makes the stream's next node depend on these too; the stream joins the capture if it isn't part of one.
CUresult capture_depend(Capture *capture, Stream *stream, Node *const *nodes, int n_nodes);

#endif
