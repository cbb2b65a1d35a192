// Functions of loaded modules.
#ifndef SIM_DRIVER_MODULE_H
#define SIM_DRIVER_MODULE_H

#include "tests/simgpu/driver_state.h"

// CUfunction points at it. Outlives its module, so that a launch that comes too late is known as such.
typedef struct Function {
  Context *context;
  const SimKernel *kernel; // NULL once the module is unloaded
  char *name;
  int max_dynamic_shared; // what the launch may ask for beyond the static
  struct Function *next;  // of the module
} Function;

#endif
