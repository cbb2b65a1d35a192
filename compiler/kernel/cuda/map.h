// The generic schedule on CUDA: the loops of a Map become blocks and threads.
//
// Without reductions a thread computes one element, or four neighbours where all memory allows it. With reductions the
// outer loops (those that every reduction depends on) number rows. A block computes several rows; the lanes of a row
// share its reductions and then its elements (the inner loops). Where rows are few, several blocks share them, and the
// last one to finish adds up and does what follows.
#ifndef SG_KERNEL_CUDA_MAP_H
#define SG_KERNEL_CUDA_MAP_H

#include "compiler/kernel/schedule_map.h"

enum { CUDA_BLOCK = 256, CUDA_QUAD = 4 };

typedef struct CudaPlan {
  int64_t n_rows, n_inner; // turns of the outer loops and of the inner ones
  int rows, lanes;         // of a block, which has rows * lanes threads
  bool is_row_fast;        // neighbouring threads are rows, else lanes
  int64_t parts;           // blocks that share rows
  bool is_quad;            // four neighbours a thread
  int64_t n_blocks;
} CudaPlan;

// What the reductions of the rows look like.
typedef struct CudaReductions {
  int n;
  bool is_nested;     // one depends on another
  bool is_guarded;    // one stands behind a condition
  int64_t longest;    // elements of the longest
  int64_t work;       // turns of the loops that each of those elements takes
  int64_t inner;      // elements of those that each element of a row has for itself; 0 = none
  int64_t stride;     // the smallest distance between neighbours of a reduction, in floats
  int64_t row_stride; // the smallest distance between neighbouring rows
} CudaReductions;

// Whether a variable of loops from .. to - 1 occurs in e.
bool cuda_uses_loops(const Map *map, const IrExpr *e, int from, int to);

CudaReductions cuda_reductions(const Map *map);
void cuda_plan(Map *map, CudaPlan *plan);

// Appends to `body` what block number `block` (0 .. n_blocks - 1) does.
void cuda_put(Map *map, const CudaPlan *plan, IrStmt *body, IrExpr *block);

// Whether one kernel is good for all of the group, which has no contraction; as kernel_can_fuse.
bool cuda_can_fuse(const Target *target, const Group *group, Text *why);

// Fills the function of a group by the generic schedule. Sets *out_row_floats to the floats of the row that it is,
// where the function takes rows, else to 0.
void cuda_schedule(Lower *lower, int64_t *out_row_floats);

// ---- parts in files of their own

// Four neighbours along the last loop a thread: whether all memory allows it, and the nest for the thread's number.
bool cuda_can_quad(Map *map);
void cuda_put_quads(Map *map, IrStmt *body, IrExpr *thread);
// One quad from turn `first` of the last loop on; the other loops' variables are set.
void cuda_put_quad(Map *map, IrStmt *body, IrExpr *first);
// Appends to `body` the loads of what the values read at var, var + 1, ..., and puts number `lane` of those in place.
void cuda_load_quads(Map *map, IrStmt *body, const IrVar *var, IrExpr *first, IrExpr *lane, int n, IrExpr **value);

// Puts one pass over the elements in the place of two, where a value needs the mean and the variance of the same ones.
void cuda_moments(Ir *ir, int n, IrExpr **value);

// The stores of the row, or those of its elements, in the innermost open loop.
void cuda_put_stores(Emit *emit, const Map *map, bool of_row);

// Sets the variables of the loops from .. to - 1 so that together they take turn number `turn`.
void cuda_let_loops(Ir *ir, IrStmt *body, MapLoop *loops, int from, int to, IrExpr *turn);

#endif
