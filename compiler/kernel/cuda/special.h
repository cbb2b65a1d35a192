// Schedules on CUDA of ops that no scalar expression describes.
#ifndef SG_KERNEL_CUDA_SPECIAL_H
#define SG_KERNEL_CUDA_SPECIAL_H

#include "compiler/kernel/lower.h"

// Whether the op is one of them; it is then computed alone.
bool cuda_special_is(Op op);
void cuda_special_schedule(Lower *lower);

// The functions that they call.
void cuda_special_preamble(Text *out);

#endif
