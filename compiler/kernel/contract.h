// Contract: groups around a convolution or a matrix product become calls of the micro-kernels.
//
// What the kernels take (the layout pass aims at it; anything else is left to the plain loops of the generic schedule):
//   conv2d, groups 1   x BLOCKED or plain; weight LAYOUT_WEIGHT whose O map is that of the result if that is blocked;
//                      result BLOCKED or plain (plain is meant for few channels: lanes are scattered at the store)
//   conv2d depthwise   (groups = C = O) x and result BLOCKED with equal maps, weight LAYOUT_WEIGHT_DW of the same map
//   conv2d_dx          as conv2d: depthwise with any stride; dense only with stride 1 through conv2d (expand pass)
//   conv2d_dw          x and gradient as above; result plain [O, I / groups, kh, kw]
//   matmul             everything plain
// A group may add to the contraction: a per-channel bias ([1, C, 1, 1] or [C, 1, 1], plain or blocked), further
// element-wise nodes on the result with operands of the result's shape and layout or broadcast ones, and in front of a
// pointwise convolution a depthwise one with its own bias and activation.
#ifndef SG_CONTRACT_H
#define SG_CONTRACT_H

#include "compiler/kernel/kernel.h"

// Whether the group contains a contraction at all, fused or alone.
bool contract_is_in(const Group *group);

// Whether contract_emit can compute the whole group; if not and `why` is given, appends the reason in a few words.
// A group without a contraction is refused.
bool contract_can_fuse(const Target *target, const Group *group, Text *why);

// Appends the C function info->symbol (which the caller has set; the function is not static) for a group that
// contract_can_fuse accepts, and sets n_tasks, scratch, flops and bytes. Arguments: pointers to the first element of
// each of ins, then of outs (storage_offset already added).
void contract_emit(const Target *target, const Group *group, Arena *arena, Text *source, KernelInfo *info);

// Appends the micro-kernels. Stands after the generic preamble, whose vector type and mathematics it may use.
void contract_preamble(const Target *target, Text *source);

#endif
