// What copies need to know of memory.
#ifndef SIM_DRIVER_MEMORY_H
#define SIM_DRIVER_MEMORY_H

#include "tests/simgpu/driver_state.h"

// Whether a host range is pinned: allocated by the driver or registered.
bool memory_is_pinned(const void *start, size_t bytes);
// Whether a device range lies in one live allocation.
bool memory_is_device(CUdeviceptr start, size_t bytes);
void memory_free_all(Context *context);

#endif
