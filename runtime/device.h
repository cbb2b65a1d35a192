// Device: a table of functions. The CPU implements it here; CUDA and test doubles implement the same table.
#ifndef SG_DEVICE_H
#define SG_DEVICE_H

#include "runtime/base/status.h"
#include "runtime/program.h"

typedef struct Device Device;

typedef struct DeviceTable {
  const char *kind; // "cpu"
  // Memory of the device, 64-byte aligned, zeroed.
  Status (*alloc)(Device *device, int64_t floats, float **out);
  void (*free)(Device *device, float *memory);
  Status (*upload)(Device *device, float *to, const float *from, int64_t floats);
  Status (*download)(Device *device, float *to, const float *from, int64_t floats);
  // Makes the program's kernels callable: sets Step.function of copies of its steps, kept behind *out.
  Status (*load)(Device *device, const Program *program, void **out_module);
  void (*unload)(Device *device, void *module);
  // The function of a symbol in a loaded module.
  SgKernel *(*resolve)(Device *device, void *module, const char *symbol);
  // Runs one kernel over all its tasks; args are device addresses. Returns when it is done or queued.
  Status (*launch)(Device *device, SgKernel *function, const void *context, float *const *args, int64_t n_tasks,
                   int64_t scratch);
  Status (*sync)(Device *device);
  void (*close)(Device *device);
} DeviceTable;

struct Device {
  const DeviceTable *table;
};

// The CPU with a pool of `threads` workers (0 = as many as the process may use).
Status device_open_cpu(int threads, Device **out);
void device_close(Device *device); // NULL is allowed

#endif
