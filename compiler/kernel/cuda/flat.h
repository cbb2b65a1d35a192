// Flat kernels on CUDA: whole buffers element by element, or summed to scalars, in a text that holds no size. One
// launch computes many of them, a row of arguments each (see runtime/kernel_abi.h).
#ifndef SG_KERNEL_CUDA_FLAT_H
#define SG_KERNEL_CUDA_FLAT_H

#include "compiler/kernel/cuda/map.h"

// Floats of a flat kernel, or 0 where the map is none.
int64_t cuda_flat_floats(Map *map);
// Fills the function of such a map. `n_tasks` becomes the blocks of one row with that many floats.
void cuda_put_flat(Map *map, int64_t floats);

#endif
