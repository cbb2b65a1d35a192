// Device: a table of functions. The CPU implements it here; CUDA and test doubles implement the same table.
#ifndef SG_DEVICE_H
#define SG_DEVICE_H

#include <stdbool.h>

#include "runtime/base/status.h"
#include "runtime/program.h"

typedef struct Device Device;

typedef struct DeviceTable {
  const char *kind; // "cpu"
  bool is_host;     // its memory can be read and written by the caller directly
  // Memory of the device, 64-byte aligned, zeroed.
  Status (*alloc)(Device *device, int64_t floats, float **out);
  void (*free)(Device *device, float *memory);
  Status (*upload)(Device *device, float *to, const float *from, int64_t floats);
  Status (*download)(Device *device, float *to, const float *from, int64_t floats);
  // Makes the program's kernels callable and sets aside the scratch memory they need. *out_module may become NULL
  // where the program has no source.
  Status (*load)(Device *device, const Program *program, void **out_module);
  void (*unload)(Device *device, void *module);
  // The function of a symbol in a loaded module, or NULL.
  SgKernel *(*resolve)(Device *device, void *module, const char *symbol);
  // Runs one kernel over all its tasks; args are device addresses. Returns when it is done or queued.
  Status (*launch)(Device *device, SgKernel *function, const void *context, float *const *args, int64_t n_tasks,
                   int64_t scratch);
  Status (*sync)(Device *device);
  int64_t (*memory)(const Device *device); // bytes held beyond what alloc gave: scratch of the workers
  void (*close)(Device *device);
} DeviceTable;

struct Device {
  const DeviceTable *table;
  // Set by the owner, or NULL: told, at most once, of what the user should know though nothing failed.
  void (*notice)(void *context, const char *text);
  void *notice_context;
};

// The CPU with a pool of `threads` workers (0 = as many as the process may use).
Status device_open_cpu(int threads, Device **out);
void device_close(Device *device);        // NULL is allowed
int device_threads(const Device *device); // of a CPU device; 1 for others

#endif
