// Device: a table of functions. The CPU implements it here; CUDA and test doubles implement the same table.
#ifndef SG_DEVICE_H
#define SG_DEVICE_H

#include <stdbool.h>

#include "runtime/base/status.h"
#include "runtime/program.h"

typedef struct Device Device;

// What a sequence is made of: a list of a program's steps, and where the buffers lie. All is lent; what it points to
// must outlive the sequence.
typedef struct SequencePlan {
  const Program *program;
  void *module; // of the program, from load
  const Step *steps;
  int n_steps;
  float *const *address; // of each buffer of the program, on the device
  // Host memory (from alloc_host) of each input and output that the sequence is to move, NULL for the other buffers;
  // NULL as a whole where nothing is to be moved.
  float *const *host;
} SequencePlan;

typedef struct DeviceTable {
  const char *kind; // "cpu", "cuda"
  bool is_host;     // its memory can be read and written by the caller directly
  // Memory of the device, 64-byte aligned, zeroed.
  Status (*alloc)(Device *device, int64_t floats, float **out);
  void (*free)(Device *device, float *memory);
  // Host memory that the device copies by itself, 64-byte aligned, zeroed.
  Status (*alloc_host)(Device *device, int64_t floats, float **out);
  void (*free_host)(Device *device, float *memory);
  // Copies behind all that runs; done when they return.
  Status (*upload)(Device *device, float *to, const float *from, int64_t floats);
  Status (*download)(Device *device, float *to, const float *from, int64_t floats);
  // Makes the program's kernels callable and sets aside the scratch memory they need; EXIT_DEVICE where the device
  // has not memory enough for the whole program. *out_module may become NULL where the program has no source.
  Status (*load)(Device *device, const Program *program, void **out_module);
  void (*unload)(Device *device, void *module);
  // Makes the steps ready to run: nothing is looked up or allocated while they do. EXIT_DEVICE if the module lacks a
  // step's kernel.
  Status (*prepare)(Device *device, const SequencePlan *plan, void **out_sequence);
  void (*drop)(Device *device, void *sequence); // NULL is allowed
  // Begins to copy the sequence's inputs, also while an earlier run is under way, whose inputs stay as they were. Their
  // host memory must not be written before the next `run` has returned.
  Status (*send)(Device *device, void *sequence);
  // Runs all steps on the inputs as they were at `send`, or, without one since the last run, as they are. Returns when
  // all is done or queued and the inputs' host memory may be written again. With `seconds`, waits for each step and
  // writes how long it took.
  Status (*run)(Device *device, void *sequence, double *seconds);
  // Waits for all that was begun; outputs are in host memory then.
  Status (*sync)(Device *device);
  int64_t (*memory)(const Device *device); // bytes held beyond what alloc gave, such as scratch
  void (*close)(Device *device);
} DeviceTable;

// Joins the devices of one job: what STEP_ALL_REDUCE asks for. Implemented by who brings the devices together.
typedef struct Collective Collective;
struct Collective {
  // to[i] = sum (or, if `is_max`, maximum) over all devices of from[i]; `to` may be `from`. On a device with queues it
  // is put into `queue` (the device's own handle: a CUstream) and may return before it is done; else `queue` is NULL.
  //
  // Operations of one lane run one after another, those of different lanes side by side where the devices have queues.
  // All devices call for all operations of all lanes in one order, and put into their queues nothing that waits for an
  // operation which they call for later. So nothing waits for ever: of the operations not done on all devices take the
  // one called for first. What comes before it, in its lane or in what it reads, waits for earlier ones alone, which
  // are done; so every device comes to it. The two that may be under way on a device must fit there at the same time,
  // as NCCL's do, which take a few blocks each.
  Status (*all_reduce)(Collective *collective, CollectiveLane lane, bool is_max, const float *from, float *to,
                       int64_t floats, void *queue);
  // Asked again and again while the host waits for such a queue, `waited` seconds so far: an error ends the waiting,
  // and what is in the queue ends by itself then. NULL: never asked.
  Status (*check)(Collective *collective, double waited);
  // Whether what all_reduce puts into a queue can be captured into a CUDA graph and replayed.
  bool is_capturable;
  // The same in two parts, for devices without queues: `begin` returns at once and numbers the operation, which then
  // runs beside the computation; `finish` waits until it, and so all before it, are done. NULL: all_reduce alone.
  Status (*begin)(Collective *collective, bool is_max, const float *from, float *to, int64_t floats, int64_t *number);
  Status (*finish)(Collective *collective, int64_t number);
};

struct Device {
  const DeviceTable *table;
  // Set by the owner, or NULL: told, at most once, of what the user should know though nothing failed.
  void (*notice)(void *context, const char *text);
  void *notice_context;
  Collective *collective; // set by the owner, or NULL: the device is alone, and its own values are the sums
};

// The CPU with a pool of `threads` workers (0 = as many as the process may use).
Status device_open_cpu(int threads, Device **out);
void device_close(Device *device);        // NULL is allowed
int device_threads(const Device *device); // of a CPU device; 1 for others

#endif
