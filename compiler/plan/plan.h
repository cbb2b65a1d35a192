// Plan: from groups of nodes to steps on buffers, in an order, with places in memory.
//
//   plan_build     values -> buffers, groups and copies -> steps, what must run before what
//   order_steps    an order of low peak memory
//   queues_assign  which steps run side by side
//   memory_place   lifetimes -> offsets
#ifndef SG_PLAN_H
#define SG_PLAN_H

#include "compiler/kernel/group.h"
#include "runtime/program.h"

// ---- memory -----------------------------------------------------------------------------------------------------

// A moment as the queues see it: at[q] is the latest step of queue q that is certainly done, or -1. The last queues are
// the lanes of the collective operations.
enum { MAX_QUEUES = 4, ALL_QUEUES = MAX_QUEUES + LANE_COUNT };
typedef struct QueueClock {
  int at[ALL_QUEUES];
} QueueClock;

// Whether everything up to `end` is certainly done by `now`.
bool queue_clock_covers(const QueueClock *now, const QueueClock *end);
// The later of both, queue by queue.
void queue_clock_join(QueueClock *clock, const QueueClock *other);

// A piece of memory that is needed from step `first` to step `last`, both included. Where queues run side by side that
// is not enough: `begin` is the moment before all steps that need it, `end` the last steps that need it; NULL where
// there is one queue.
typedef struct MemoryItem {
  int64_t size; // floats; rounded up to PROGRAM_ALIGN when placed
  int first, last;
  const QueueClock *begin, *end;
  int64_t offset; // result: a multiple of PROGRAM_ALIGN
} MemoryItem;

// The floats that a piece of so many takes up: a multiple of PROGRAM_ALIGN.
static inline int64_t memory_round(int64_t floats) {
  return ceil_div(floats, PROGRAM_ALIGN) * PROGRAM_ALIGN;
}

// Places the items so that no two that may be needed at the same time overlap: largest first, each into the smallest
// gap that holds it. Returns the floats that all of them need together.
int64_t memory_place(MemoryItem *items, int n, Arena *arena);

// The most that is needed at any one step: no placing can be better.
int64_t memory_bound(const MemoryItem *items, int n);

// ---- order ------------------------------------------------------------------------------------------------------

// A step as the order sees it: what must have run before, and which temporary buffers it touches.
typedef struct OrderStep {
  const int *before;
  int n_before;
  const int *touches; // numbers of buffers, each once
  int n_touches;
  int lane; // of an operation of all devices, which runs beside the others; else -1
} OrderStep;

// Writes an order (order[i] = step to run i-th) in which every step follows those before it, and which keeps the peak
// of live buffers low: the better of the given order and a greedy one. Deterministic. Buffer b has size[b] floats and
// is live from the first step that touches it to the last. The steps must stand in a possible order themselves or
// at least be free of cycles (BUG). Collective operations begin as soon as they can; the steps that read their results
// come when nothing else is left to do, those of LANE_LARGE last of all. With `is_given` the given order is kept as far
// as that can be.
void order_steps(const OrderStep *steps, int n_steps, const int64_t *size, int n_buffers, bool is_given, Arena *arena,
                 int *order);

// Peak of live buffers, in floats, under an order.
int64_t order_peak(const OrderStep *steps, int n_steps, const int64_t *size, int n_buffers, const int *order,
                   Arena *arena);

// ---- queues -----------------------------------------------------------------------------------------------------

// A step as queues see it, in the order of the steps: all of `before` have lower numbers.
typedef struct QueueStep {
  const int *before;
  int n_before;
  int64_t cost; // a rough time, in any unit
  int lane;     // of an operation of all devices; else -1
} QueueStep;

// Sets queue[i]: 0 .. n_queues - 1 (at most MAX_QUEUES), or MAX_QUEUES + lane for collective operations.
void queues_assign(const QueueStep *steps, int n, int n_queues, Arena *arena, int *queue);
// Sets for each step the moment at which it begins, and the steps of other queues that it waits for so that all in
// `before` are done: as few as possible. The arrays of waits live in `arena`.
void queues_wait(const QueueStep *steps, int n, const int *queue, Arena *arena, QueueClock *clocks, int **waits,
                 int *n_waits);

// ---- steps and buffers -------------------------------------------------------------------------------------------

typedef struct PlanArg {
  int buffer;
  int64_t offset; // floats
} PlanArg;

typedef struct PlanStep {
  const Group *group; // NULL: a copy of `copied` floats from argument 0 to argument 1
  int64_t copied;
  const Node *about; // what it is named after: the group's last member, the node copied
  bool is_setup;
  PlanArg *args; // n_read inputs, then outputs; of all rows
  int n_args, n_read;
  const Group **row; // the groups computed together, where the kernel takes rows
  int n_rows, cap_rows;
  int *before; // steps that must have run
  int n_before, cap_before;
  int behind; // of a collective operation: another one that must stand before it, but need not have run; or -1
} PlanStep;

typedef struct Plan {
  Arena *arena;
  const Graph *graph;
  Buffer *buffers; // offsets are set by plan_memory
  int n_buffers, cap_buffers;
  PlanStep *steps;
  int n_steps, cap_steps;
  bool is_apart;   // views and concats in place are ignored: every value has a buffer of its own, row by row
  int *buffer_of;  // by node that is its own storage root: its buffer, or -1
  int *producer;   // by node: the step that computes it, or -1
  int64_t *extent; // by node: floats that its buffer must have
  int *order;      // all steps, setup first
  int n_setup;
  int n_queues; // that the run may use side by side
  int *queue;   // by place in the order
  int **waits;  // by place in the order: the places that it waits for
  int *n_waits;
  int64_t persistent, slab;
} Plan;

// Makes buffers for the graph's inputs, outputs, parameters, constants and the values that groups read and write, steps
// for the groups, and copies where an output or update cannot be written where it belongs; orders the steps and gives
// every buffer its offset. Everything lives in `arena`.
// `n_queues` of the device run side by side; of a graph that is scheduled, one, in the order of its nodes.
Plan *plan_build(const Graph *graph, const Group *groups, int n_groups, bool is_apart, int n_queues, Arena *arena);

// The parts of it that stand in files of their own.

// Lets producers of updates write straight into the parameter where no reader of the old value comes later, and adds
// copies for the others.
void plan_updates(Plan *plan);
// Makes one step of equal kernels that take rows.
void plan_rows(Plan *plan);
// Orders the steps, lets results take over the memory of operands that die, and gives every buffer its offset.
void plan_memory(Plan *plan);

// Whether the group may write its output `out` over its input `in`: it reads and writes each element at one index.
bool plan_can_overwrite(const Group *group, const Node *out, const Node *in);

// The value that is written (read) as that argument, counted from the first written (read) one, and the group that
// does.
const Node *plan_step_out(const PlanStep *step, int i, const Group **out_group);
const Node *plan_step_in(const PlanStep *step, int i, const Group **out_group);
// A rough time of a step, in bytes moved: what is computed, and what starting a kernel costs.
int64_t plan_step_cost(const Plan *plan, const PlanStep *step);
// The lane of a step that is an operation of all devices together; else -1.
int plan_lane(const PlanStep *step);

int plan_add_buffer(Plan *plan, Buffer buffer);
// Adds a step that copies a plain value into a buffer, after the steps that compute the value.
int plan_add_copy(Plan *plan, const Node *value, int to_buffer);
void plan_add_before(Plan *plan, int step, int earlier);
// The k-th of the steps that must stand before it in the order: `before`, then `behind`; -1 past the last.
static inline int plan_earlier(const PlanStep *step, int k) {
  return k < step->n_before ? step->before[k] : k == step->n_before ? step->behind : -1;
}
// Buffer and offset that hold a value.
PlanArg plan_arg(Plan *plan, const Node *value);

// ---- the reference target --------------------------------------------------------------------------------------

// A group for each node that is not a leaf with a buffer of its own, reading all its operands.
Group *reference_groups(const Graph *graph, Arena *arena, int *out_n);
// The kernel that evaluates the node given as its context.
SgKernel reference_kernel;

#endif
