// Streams as queues of operations. An operation may run when it is the first of its stream and all that it waits for
// is done; stream_schedule.h chooses among those that may.
#ifndef SIM_STREAM_QUEUE_H
#define SIM_STREAM_QUEUE_H

#include "tests/simgpu/driver_state.h"

typedef struct Op Op;
typedef struct Lane Lane;
typedef struct Work Work;

// What an operation does: a kernel launch, a copy... Shared by the node of a graph and the operations of its launches,
// and never changed once it is queued. A particular work begins with this struct.
typedef struct WorkType {
  const char *name;
  CUgraphNodeType node; // as which kind of node it appears in a graph
  // Called when an operation is queued, in the order of the user's calls. It may keep something in op->issued.
  void (*issue)(Op *op);
  // Whether the operation could go on now, being the first with nothing to wait for.
  bool (*ready)(Op *op);
  // Does it; failures go to driver_fail. False: it is not finished and stays the first.
  bool (*run)(Op *op);
  // In place of run where the context has failed.
  void (*cancel)(Op *op);
  void (*destroy)(Work *work); // what the work owns; the struct itself is freed by work_release
  // A few words for reports: "kernel scale".
  void (*describe)(const Work *work, char *text, size_t n_text);
  // What an operation that isn't ready lacks: "rank 1".
  void (*missing)(const Op *op, char *text, size_t n_text);
  // Whether that may still come by itself, from another process.
  bool (*may_come)(const Op *op);
} WorkType; // all but name, node and run may be NULL

struct Work {
  const WorkType *type;
  int references;
};

struct Op {
  Work *work;
  Context *context;
  uint64_t number; // in order of issue
  Op **after;      // what it waits for; done ones are dropped now and then
  int n_after;
  bool running, done;
  double finished; // seconds
  void *issued;
  uint32_t *clock; // stream_order.h's
  uint32_t place;
  int references;
  Lane *lane;
  Op *next;
};

// A queue. Streams have one, and each operation of a launched graph has one of its own.
struct Lane {
  Op *first, *last;
  uint64_t rank; // for the scheduler
  bool lasting;  // a stream's
  int chain;     // stream_order.h's
  uint32_t *clock;
  Lane *next, *previous;
};

struct Capture;
struct Node;

// CUstream points at it, except for the two special handles.
typedef struct Stream {
  Lane lane;
  Context *context;
  unsigned flags;
  int priority;
  uint64_t id;
  bool retired;            // destroyed by the user, still with work
  struct Capture *capture; // being captured
  struct Node **tail;      // nodes that the next captured one depends on
  int n_tail;
} Stream;

// A zeroed work of that many bytes with one reference.
void *work_new(const WorkType *type, size_t bytes);
Work *work_keep(Work *work);
void work_release(Work *work);
void work_describe(const Work *work, char *text, size_t n_text);

Op *op_keep(Op *op);
void op_release(Op *op); // NULL is nothing
// Makes an operation that has not begun wait for another one; NULL is nothing.
void op_wait_for(Op *op, Op *other);
// Whether all that it waits for is done; forgets those.
bool op_is_free(Op *op);
// Marks a lane's first operation as done, takes it off, and frees a lane that was the operation's alone.
void op_finish(Op *op);

// Streams. The handle of a user, of which NULL and CU_STREAM_LEGACY mean the legacy stream of the context and
// CU_STREAM_PER_THREAD the thread's own; NULL if it is no stream.
Stream *stream_of(CUstream handle, Context *context);
Stream *stream_new(Context *context, unsigned flags, int priority);
// No further use of the handle; freed when it has run out.
void stream_retire(Stream *stream);

// Appends an operation that also waits for `after`, takes over the work's reference and returns the operation, which
// the queue owns. Orders it against the context's legacy stream as the driver does.
Op *stream_issue(Stream *stream, Work *work, Op *const *after, int n_after);
// An operation in no stream that waits for `after` alone; it takes the next place in a chain of stream_order.h.
Op *stream_issue_apart(Context *context, int chain, Work *work, Op *const *after, int n_after);
// An operation without effect, to wait for others and be waited for.
Work *work_nothing(void);

extern Lane *stream_lanes;  // all, for the scheduler
extern uint64_t stream_ops; // operations queued and not done

#endif
