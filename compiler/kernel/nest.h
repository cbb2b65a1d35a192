// Nest: rewriting of expressions that schedules are made of - merging two loops, turning a variable into lanes.
#ifndef SG_KERNEL_NEST_H
#define SG_KERNEL_NEST_H

#include "compiler/kernel/ir_build.h"
#include "compiler/kernel/lower.h"

// Whether all index expressions in e use (a, b) only as a * extent_b + b, so that one variable can take their place.
bool nest_can_merge(Ir *ir, const IrExpr *e, const IrVar *a, const IrVar *b, int64_t extent_b);

// What a vector's lanes stand for. `lane` counts lanes that may all be touched (whole blocks of storage); `valid`
// counts those of which only the first n_valid hold anything (NULL = all).
typedef struct Lanes {
  IrVar *lane, *valid; // either may be NULL
  IrExpr *n_valid;
} Lanes;

// Turns n scalar expressions into vectors over the lanes (floats where they do not depend on them), in place. False
// where some index depends on them in a way that no vector access has; the expressions are then of no use.
bool nest_vectorise(Ir *ir, int n, IrExpr **e, const Lanes *lanes);
// How an offset depends on the lanes: sets *out_base to it at lane 0 and *out_stride; false where it is not linear.
bool nest_lane_stride(Ir *ir, IrExpr *offset, const Lanes *lanes, IrExpr **out_base, int64_t *out_stride,
                      bool *out_is_partial);

// Puts block and lane of the channel variables as functions of their channel.
IrExpr *nest_scalar_channels(Lower *lower, IrExpr *e);
void nest_scalar_channel(Lower *lower, int n, IrExpr **e, const ChannelVar *channel); // of one, in n expressions

#endif
