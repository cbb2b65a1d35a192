// Gradients of resizes on CUDA: a block brings what its results gather to shared memory, by whole rows.
#ifndef SG_CUDA_RESIZE_GRAD_H
#define SG_CUDA_RESIZE_GRAD_H

#include "compiler/kernel/lower.h"

// The gradient of a large resize, with elementwise ops of its operand in front and of its results behind it; NULL where
// the group is anything else. A group that also reduces it is left to the generic schedule, which spares the way of the
// results through memory.
const Node *cuda_resize_grad_in(const Group *group);
void cuda_resize_grad_schedule(Lower *lower, const Node *core);
void cuda_preamble_resize_grad(Text *out);

#endif
