// Lower: values of graph nodes as IR expressions at logical indices, and where they stand in memory.
//
// Expressions made here are scalar: one element of a value at an index. The schedules (schedule_*.c) decide how the
// index space is walked and turn one variable into the lanes of vectors.
#ifndef SG_KERNEL_LOWER_H
#define SG_KERNEL_LOWER_H

#include "compiler/kernel/ir.h"
#include "compiler/kernel/kernel.h"

// A variable that walks the channels of blocked values: element `var` of the channel axis stands in lane `lane` of
// block `block`. Made when a blocked value is first indexed by the bare variable; expressions then speak of block and
// lane, and the schedule either loops over them (lanes become a vector) or puts in what they are as functions of var.
typedef struct ChannelVar {
  IrVar *var, *block, *lane;
  const Layout *layout;
} ChannelVar;

// A group being lowered: its buffers, and what is known of its values so far.
typedef struct Lower {
  Ir *ir;
  const Group *group;
  IrBuffer **in, **out; // one for each of group->ins and group->outs
  ChannelVar *channels;
  int n_channels, cap_channels;
  struct LowerMemo *memo; // values at indices already asked for
  int n_memo, cap_memo;
  IrVar **reduce_vars;
  int n_reduce_vars, cap_reduce_vars;
  struct LowerTile *tile; // the member whose value stands in scratch, or NULL
  const Node **stored;    // members whose values are read from where they are stored
  int n_stored, cap_stored;
} Lower;

// Declares the arguments of the group, named after the user's variables, in the ABI's order.
Lower *lower_new(Ir *ir, const Group *group);

// The value of a node at a logical index (one expression an axis): a load if it is one of group->ins, a number if it
// is a fill, and otherwise what the op says (compute.c) of its operands' values.
IrExpr *lower_value(Lower *lower, const Node *node, IrExpr *const *index);

// From now on the value of the node at that index is the given one.
void lower_bind(Lower *lower, const Node *node, IrExpr *const *index, IrExpr *value);

// From now on the value of a blocked member of the group is read from scratch: pixels of the row at hand from column x0
// on, blocks `pitch` floats apart.
void lower_hold(Lower *lower, const Node *node, const IrBuffer *tile, int64_t pitch, IrExpr *x0);

// From now on the value of a member among group->outs is read from where it is stored.
void lower_read_back(Lower *lower, const Node *out);

// Offset in floats of a logical element from the value's first one, by layout and batch stride.
IrExpr *lower_offset(Lower *lower, const Node *node, IrExpr *const *index);

// The buffer of a value in group->ins, or of one in group->outs; NULL if it is neither.
const IrBuffer *lower_in(const Lower *lower, const Node *node);
const IrBuffer *lower_out(const Lower *lower, const Node *node);

// The channel variable behind var (as var, block or lane), or NULL.
ChannelVar *lower_channel(const Lower *lower, const IrVar *var);
// The first logical channel of a block, and how many of its lanes hold channels.
IrExpr *lower_block_start(Lower *lower, const Layout *layout, IrExpr *block);
IrExpr *lower_block_lanes(Lower *lower, const Layout *layout, IrExpr *block);
// Position (block * width + lane) of a logical channel.
IrExpr *lower_position(Lower *lower, const Layout *layout, IrExpr *channel);

Ir *lower_ir(const Lower *lower);
const Group *lower_group(const Lower *lower);

// ---- for schedules of contractions: the element-wise members that follow one, at a vector of channels

// A place in a blocked value (N, C, H, W): image n, block b of the channels, pixel y, x; the lanes are the block's
// channels.
typedef struct LanePoint {
  const Layout *layout; // the blocked layout that `b` counts the blocks of
  IrExpr *n, *b, *y, *x;
} LanePoint;

// Offset in floats of lane 0 of a blocked value of that channel map at the point.
IrExpr *lower_lane_offset(Lower *lower, const Node *node, const LanePoint *at);

// The vector values of n elementwise members of the group (or inputs), each at its point of one block of one layout,
// with every elementwise producer inside the group computed in place and the values in `bound` taken as given:
// bound_value[i] is the vector of bound[i] at the first point. Without bound_value, `bound` are results that have been
// stored, which are read back; values may then reduce rows of pixels, too (a point's x is of no meaning for those).
// Broadcast operands may be plain scalars, [1, C, 1, 1], [N, C, 1, 1] or [C, 1, 1] (plain or blocked) or blocked values
// with the same channel map. Lets of shared values are appended to `block`.
void lower_lanes(Lower *lower, IrStmt *block, int n, const Node *const *node, const LanePoint *at, int n_bound,
                 const Node *const *bound, IrExpr *const *bound_value, IrExpr **out_value);
// Whether lower_lanes can compute `node` from `bound`, given or `is_stored`; if not and `why` is given, says why.
bool lower_can_lanes(const Group *group, const Node *node, const Layout *layout, int n_bound, const Node *const *bound,
                     bool is_stored, Text *why);

// The variable number `skip` for reductions over n elements of an axis: the same one for equal questions, so that
// reductions over the same axes share what they load.
IrVar *lower_reduce_var(Lower *lower, const char *name, int64_t n, int skip);

// A short name for axis k of a value of that rank: n, c, y, x where it is 4.
const char *lower_axis_name(int rank, int k);

#endif
