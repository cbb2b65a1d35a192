// Contract: groups around a convolution or a matrix product become calls of the micro-kernels.
//
// What the kernels take (the layout pass aims at it; anything else is left to the plain loops of the generic schedule):
//   conv2d, groups 1   x BLOCKED or plain; weight LAYOUT_WEIGHT (where target_has_pairs: _PAIRS) whose O map is that
//                      of the result if that is blocked; result BLOCKED or plain (plain is meant for few channels:
//                      lanes are scattered at the store)
//   conv2d_winograd    x and result BLOCKED, weight likewise with the map of the result
//   conv2d depthwise   (groups = C = O) x and result BLOCKED with equal maps, weight LAYOUT_WEIGHT_DW of the same map
//   conv2d_dx          depthwise, as above; groups 1: gradient and result BLOCKED, weight plain (with stride 1 it is a
//                      conv2d of the turned weight before it comes here)
//   conv2d_dw_winograd x and gradient BLOCKED, result plain
//   conv2d_dw          x and gradient as above; result plain [O, I / groups, kh, kw]
//   matmul             everything plain
// A group may add to the contraction: a per-channel bias ([1, C, 1, 1] or [C, 1, 1], plain or blocked), an activation,
// a residual, and further element-wise nodes on a blocked result and reductions of its rows of pixels, or, behind a
// pointwise convolution, reductions of each pixel's channels and what is computed of these. In front of a pointwise
// convolution it may have a depthwise one with its own bias and activation, or what is computed element by element of
// stored values, if the value between outgrows the cache; in front of a depthwise one a resize to no fewer rows, or a
// concat of stored and so resized values; in front of tiles a resize to no fewer rows and columns. Depthwise gradients
// by the input may be followed by such nodes, too; other gradients and matrix products stand alone.
#ifndef SG_CONTRACT_H
#define SG_CONTRACT_H

#include "compiler/kernel/kernel.h"
#include "compiler/kernel/lower.h"

// Whether the group contains a contraction at all, fused or alone.
bool contract_is_in(const Group *group);

// Whether contract_schedule can compute the whole group; if not and `why` is given, appends the reason in a few words.
// A group without a contraction is refused.
bool contract_can_fuse(const Target *target, const Group *group, Text *why);

// Fills the function of lower_ir(lower) - tasks, scratch, body - for a group that contract_can_fuse accepts.
void contract_schedule(Lower *lower);

// The matrix product that the group is, if it is one that a device's library can compute; in `arena`, or NULL.
const Gemm *contract_as_gemm(const Target *target, const Group *group, Arena *arena);

// Appends the micro-kernels. Stands after the generic preamble.
void contract_preamble(const Target *target, Text *source);

#endif
