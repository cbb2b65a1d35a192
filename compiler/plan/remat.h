// Rematerialisation: values that are computed a second time, before a late use, rather than kept in memory until then.
//
//   remat_model   what the steps of a plan read and write in the slab, and how their results can be computed again
//   remat_search  which results, and before which steps, so that the slab stays below a size at the least cost
//
// A schedule is nothing but the steps of a plan in their order with recomputations among them: a step reads the latest
// values of a buffer that stand before it. So a value that is computed again frees its memory from its last use before
// to the first after, and an operand that is not computed again is kept for as long as that needs it.
//
// The greedy choice by memory over cost is that of XLA's rematerialisation pass; that operands which are gone are
// computed again as well gives the segments between checkpoints of Chen et al., Training deep nets with sublinear
// memory cost, 2016.
#ifndef SG_PLAN_REMAT_H
#define SG_PLAN_REMAT_H

#include "compiler/plan/plan.h"

// A step of the plan's run, or that part of one which computes the values of one buffer again.
typedef struct RematOp {
  const PlanStep *step;
  int buffer;   // whose values a recomputation computes; -1 of a step
  Node **nodes; // members of the step's group that a recomputation computes, in topological order
  int n_nodes;
  const int *reads, *writes; // buffers of the slab, each once; without `buffer` in what its recomputation reads
  int n_reads, n_writes;
  const int *over; // pairs of buffers: the second may take over the memory of the first if that dies here
  int n_over;      // pairs
  int64_t aside;   // floats of results that a recomputation makes besides and nobody reads
  int64_t cost;    // of a recomputation: a rough time (plan_step_cost)
} RematOp;

typedef struct RematBuffer {
  int64_t size;       // floats in the slab; 0 for buffers elsewhere
  int again, n_again; // ops that compute its values again, in the order of the plan; none: it cannot be
  int64_t cost;       // of these together
} RematBuffer;

typedef struct RematModel {
  RematOp *ops; // the steps of the run in the plan's order, then the recomputations
  int n_steps, n_ops;
  RematBuffer *buffers; // of the plan
  int n_buffers;
} RematModel;

typedef struct RematItem {
  int op;
  bool begins; // the first of those that compute a buffer again: what reads it from here on reads the new values
} RematItem;

typedef struct RematSchedule {
  RematItem *items;
  int n;
} RematSchedule;

// Everything lives in `arena` and refers to the plan. `index` is of the plan's graph.
RematModel *remat_model(const Plan *plan, const Target *target, GroupIndex *index, Arena *arena);

// The plan's own schedule.
RematSchedule remat_begin(const RematModel *model, Arena *arena);

// The most floats that are live at any one step, as if nothing were lost between buffers.
int64_t remat_peak(const RematModel *model, const RematSchedule *schedule);

// Computes more values again until no more than `most` floats of the slab are live at any step, and none that are not
// needed for that. Returns whether that was reached; if not, `schedule` is the nearest that was found. It may hold
// recomputations before, and gets items of its own in `arena`.
bool remat_search(const RematModel *model, int64_t most, RematSchedule *schedule, Arena *arena);

// ---- parts of the search that stand in a file of their own

// What a schedule needs.
typedef struct RematNeed {
  int64_t peak;
  double excess; // floats above the limit, summed over the steps
  double cost;   // of all recomputations
} RematNeed;

// Scratch for measuring schedules of up to `cap` items.
typedef struct RematMeter RematMeter;
RematMeter *remat_meter(const RematModel *model, int cap, Arena *arena);
// `live`, if not NULL, gets the floats that are live at each item.
RematNeed remat_measure(RematMeter *meter, const RematSchedule *schedule, int64_t most, int64_t *live);

// Drops recomputations whose values nobody reads.
void remat_drop_unread(RematMeter *meter, RematSchedule *schedule);

// How far a recomputation goes back for operands that are not in memory any more.
typedef enum RematReach {
  REMAT_KEEP,  // they are kept in memory for it
  REMAT_CHEAP, // those that cost little more than their way through memory are computed again too
  REMAT_FAR,   // all that can be
  REMAT_REACHES
} RematReach;
// Computes the buffer again before the item at that place, into `out`, which has room. With `merges`, later
// recomputations of the same values are dropped, up to the next. Returns false where that is the same as a nearer reach
// or without merging, where there is no room, and where a buffer that is read is just being computed in parts.
bool remat_insert(RematMeter *meter, const RematSchedule *schedule, int buffer, int place, RematReach reach,
                  bool merges, RematSchedule *out);

#endif
