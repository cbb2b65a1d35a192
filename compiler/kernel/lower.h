// Lower: values of graph nodes as IR expressions, at logical indices or at vectors of lanes; used by all schedules.
#ifndef SG_KERNEL_LOWER_H
#define SG_KERNEL_LOWER_H

#include "compiler/kernel/ir.h"
#include "compiler/kernel/kernel.h"

// A group being lowered: its buffers, and what is known of its nodes so far.
typedef struct Lower Lower;

// Declares the arguments of the group (named after the user's variables) in the ABI's order, the name and the leading
// comment of the function.
Lower *lower_new(Ir *ir, const Group *group);

Ir *lower_ir(const Lower *lower);
const Group *lower_group(const Lower *lower);
// The buffer of a value in group->ins, or of one in group->outs; NULL if it is neither. The buffer's offset already
// counts storage_offset, so that element 0 is the value's first.
const IrBuffer *lower_in(const Lower *lower, const Node *node);
const IrBuffer *lower_out(const Lower *lower, const Node *node);

// Offset in floats of a logical element of the value in its buffer, by layout and batch stride.
IrExpr *lower_offset(Lower *lower, const Node *node, IrExpr *const *index);

// A place in a blocked value (N, C, H, W): image n, block b of the channels, pixel y, x; the lanes are the block's
// channels. For operands of rank 4 that broadcast, sizes of 1 count.
typedef struct LanePoint {
  const Layout *layout; // of the value that `b` counts the blocks of
  IrExpr *n, *b, *y, *x;
} LanePoint;

// Offset in floats of lane 0 of a blocked value at that point (b counts blocks of the value's own layout).
IrExpr *lower_lane_offset(Lower *lower, const Node *node, const LanePoint *at);

// The vector value of an elementwise member of the group (or of an input) at the point, with every elementwise
// producer inside the group computed in place and the values in `bound` taken as given: bound_value[i] is the vector
// of bound[i] at this point. This is how contraction schedules apply their epilogue. Broadcast operands may be plain
// scalars, [1, C, 1, 1], [N, C, 1, 1] or [C, 1, 1] (plain or blocked) or blocked values with the same channel map.
// Lets of shared values are appended to `block`.
IrExpr *lower_lanes(Lower *lower, IrStmt *block, const Node *node, const LanePoint *at, int n_bound,
                    const Node *const *bound, IrExpr *const *bound_value);
// Whether lower_lanes can: all operands of the elementwise members that are reached from `node` down to `bound`.
bool lower_can_lanes(const Group *group, const Node *node, const Layout *layout, int n_bound, const Node *const *bound,
                     Text *why);

#endif
