// State that all parts of the driver half share: the lock, devices' contexts, the current context, faults.
#ifndef SIM_DRIVER_STATE_H
#define SIM_DRIVER_STATE_H

#include "tests/simgpu/machine.h"
#include "tests/simgpu/memory.h"
#include "tests/simgpu/simgpu.h"
#include <cuda.h>

struct Stream;

typedef struct Allocation {
  uint64_t address;
  struct Allocation *next;
} Allocation;

// The primary context of a device; CUcontext points at it.
typedef struct Context {
  int device;
  int retained;
  unsigned flags;
  CUresult error; // sticky: of the first fault
  uint32_t peers; // bit k: memory of device k may be accessed
  struct Stream *legacy;
  Allocation *allocations;
} Context;

typedef struct DriverOptions {
  bool eager;        // operations run as soon as they can
  uint64_t seed;     // of the order in which they run otherwise
  bool trace, quiet; // what stderr gets: each operation; nothing
  int pageable;      // 0: chosen by the seed, 1: staged during the call, 2: read and written late
  int deadlock_ms;   // how long a wait without progress lasts before it counts as endless
  char nccl_fail[64];
} DriverOptions;

extern DriverOptions driver_options;
extern SimgpuStats driver_stats;
extern Context driver_contexts[SIM_DEVICES];
extern int driver_devices; // 0 before cuInit

// Takes the lock for a call that needs the driver initialised, and a current context without a sticky error if
// out_context is not NULL. On success driver_leave must follow; on failure the lock is not held.
CUresult driver_enter(Context **out_context);
// As driver_enter with a context, but a call that the context's sticky error doesn't hinder.
CUresult driver_enter_failed(Context **out_context);
// Gives the simulator a chance to run something and returns the lock. Returns `result`.
CUresult driver_leave(CUresult result);
// The bare lock, for library calls.
void driver_lock(void), driver_unlock(void);
// Waits, lock given back meanwhile, until something changed or so many ms went by; false if nothing changed.
bool driver_wait(int ms);
void driver_changed(void);
// Marks this thread as one that runs a host function, which may not call the driver.
void driver_in_callback(bool yes);

uint64_t driver_thread(void); // a number of the calling thread's own, from 1
bool driver_open(void);       // for cuInit, under the lock
Context *driver_current(void);
void driver_set_current(Context *context);
bool driver_push_context(Context *context);
bool driver_pop_context(void);
Context *driver_context(CUcontext handle); // NULL if it is none that is retained

// Adds a line to the report, and prints it.
void driver_report(const char *format, ...) __attribute__((format(printf, 1, 2)));
// A fault on a context: reported; all later calls on the context return `error`.
void driver_fail(Context *context, CUresult error, const char *format, ...) __attribute__((format(printf, 3, 4)));
void driver_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t driver_random(void); // next number of the seeded sequence

#endif
