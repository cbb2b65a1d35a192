// Machine: PTX becomes host code, and kernels run on it, checked.
//
// The driver half of the simulator (driver_*.c, blas.c, nccl.c) calls the machine through this header and memory.h
// alone. Calls are made under the simulator's lock: one launch runs at a time.
#ifndef SIM_MACHINE_H
#define SIM_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum SimOrder { SIM_FORWARDS, SIM_BACKWARDS, SIM_SHUFFLED } SimOrder;

// Set once by the driver half from the environment; tests may change it between launches.
typedef struct SimOptions {
  int compute;        // 75, 80, 90, 100: what devices report, and what PTX may ask for at most
  int threads;        // host threads that run blocks
  SimOrder order;     // in which threads and blocks run
  uint64_t seed;      // of the shuffled order
  bool finds_races;   // slow
  bool counts;        // fills SimCounters, slow
  uint64_t max_steps; // instructions a thread may run before it counts as endless
} SimOptions;
extern SimOptions sim_options;

typedef struct SimModule SimModule;

// Modules are first compiled in a way that takes little time; one whose kernels have run for so many seconds is
// compiled anew, so that it runs well. The results are the same bits.
extern double sim_optimise_after;

typedef struct SimKernel {
  const char *name;
  SimModule *module;
  unsigned static_shared, max_threads; // bytes; threads a block (.maxntid, else 1024)
  int n_params;
  const unsigned *param_offset, *param_size;
  unsigned param_bytes;
} SimKernel;

// Translates, compiles (cached on disk by content) and loads PTX text. NULL and the reason, naming the PTX line, where
// it cannot: an instruction or form that is not known is refused here, never skipped. Several threads may load at once,
// without the lock.
SimModule *sim_module_load(const char *ptx, char *why, size_t n_why);
void sim_module_unload(SimModule *module);
const SimKernel *sim_module_kernel(const SimModule *module, const char *name); // NULL if there is none
int sim_module_count(const SimModule *module);
const SimKernel *sim_module_at(const SimModule *module, int k);
// Address and size of a .global or .const variable on a device.
bool sim_module_global(SimModule *module, const char *name, int device, uint64_t *out_address, uint64_t *out_bytes);

typedef struct SimLaunch {
  int device;
  uint32_t grid[3], block[3];
  uint32_t shared;    // dynamic, bytes
  const void *params; // param_bytes
  uint32_t peers;     // bit k: memory of device k may be accessed
} SimLaunch;

typedef enum SimFaultKind {
  SIM_OK,
  SIM_BAD_LAUNCH,    // the real driver would refuse it: CUDA_ERROR_INVALID_VALUE, nothing ran
  SIM_BAD_ADDRESS,   // CUDA_ERROR_ILLEGAL_ADDRESS: out of bounds, freed
  SIM_MISALIGNED,    // CUDA_ERROR_MISALIGNED_ADDRESS
  SIM_UNINITIALISED, // a byte that nobody wrote was read
  SIM_RACE,
  SIM_BARRIER, // divergent barrier, bad shuffle mask, threads that wait for ever
  SIM_ENDLESS, // CUDA_ERROR_LAUNCH_TIMEOUT
  SIM_TRAP,    // trap, failed assertion
  SIM_UNSUPPORTED,
} SimFaultKind;

typedef struct SimFault {
  SimFaultKind kind;
  // "kernel NAME: read of 4 bytes at 0x... (12 bytes past an allocation of 400 bytes) by thread (3,0,0) of block
  // (1,0,0); PTX line 210, source line 17: ld.global.f32 ..."
  char text[768];
} SimFault;

// Runs all blocks; what is written before a fault stays written.
bool sim_machine_run(const SimKernel *kernel, const SimLaunch *launch, SimFault *fault);

// Where it is set and sim_options.finds_races: called at the end of a launch for each piece of global memory that the
// kernel touched, of 4 bytes or less.
extern void (*sim_touched)(uint64_t address, unsigned bytes, bool was_read, bool was_written);

typedef struct SimCounters {
  uint64_t instructions, flops;           // of threads
  uint64_t requests, sectors;             // global loads and stores of warps, and the 32-byte sectors they touched
  uint64_t ideal_sectors;                 // what the distinct bytes of each request would need if they lay together
  uint64_t shared_requests, shared_waves; // equal where no bank conflicts are
  uint64_t dram_read, dram_written;       // bytes of distinct sectors over the launch
} SimCounters;
const SimCounters *sim_machine_counters(void); // of the last launch, where sim_options.counts

#endif
