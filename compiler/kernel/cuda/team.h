// Reductions that several threads compute together: the lanes of a row, and blocks that share rows.
#ifndef SG_KERNEL_CUDA_TEAM_H
#define SG_KERNEL_CUDA_TEAM_H

#include "compiler/kernel/cuda/map.h"
#include "compiler/kernel/emit_reduce.h"

// A row's sum as far as this block knows it.
typedef struct CudaPartial {
  IrExpr *whole, *value;
  const IrBuffer *scratch; // of all rows and parts
} CudaPartial;

typedef struct CudaTeam {
  const CudaPlan *plan;
  IrExpr *lane;         // 0 .. plan->lanes - 1
  IrExpr *row;          // the row's number, which may lie beyond the last one
  IrExpr *part, *group; // where blocks share rows: which share this is, and of which group of rows
  CudaPartial *partial;
  int n_partial, cap_partial;
} CudaTeam;

// Emits a reduction of the row (level 0): each lane takes its elements, then the lanes' results are combined; all
// lanes get it. Where blocks share rows, notes what is known only in part.
void cuda_team_reduce(Emit *emit, Reduction *r);

// Where blocks share rows: computes all partial results that were announced, leaves them in scratch, and returns the
// block in which the last of the blocks goes on. There `after` is begun, and knows the whole results.
void cuda_team_join(Emit *emit, Emit *after);

// The same for the sums (r->sum) of blocks of `floats` elements of a row with a text of no size.
void cuda_rows_join(Emit *emit, const Reduction *r, const CudaPlan *plan, int64_t floats, Emit *after);

#endif
