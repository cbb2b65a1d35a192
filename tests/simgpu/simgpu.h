// What the simulator exports beside the libraries it stands in for: for tests, found by dlsym.
#ifndef SIM_SIMGPU_H
#define SIM_SIMGPU_H

#include <stdint.h>

typedef struct SimgpuStats {
  uint64_t launches; // kernels run
  uint64_t copies, copied_bytes;
  uint64_t collectives; // counted once for all ranks
  uint64_t matmuls;
  uint64_t graph_launches;
  uint64_t modules; // loaded
} SimgpuStats;

// All faults since the last reset, a line each; "" if there were none. Valid until the next call of the simulator.
const char *simgpu_report(void);
// Forgets faults. Contexts that failed lose what is pending in them and become usable again; their memory, streams and
// other handles stay.
void simgpu_reset(void);
// Reads SIMGPU_SEED, SIMGPU_EAGER, SIMGPU_ORDER, SIMGPU_RACES, SIMGPU_COUNT, SIMGPU_THREADS, SIMGPU_TRACE,
// SIMGPU_QUIET, SIMGPU_PAGEABLE, SIMGPU_DEADLOCK_MS and SIMGPU_NCCL_FAIL again. Devices, their memory and compute
// capability are fixed by cuInit.
void simgpu_configure(void);
// Of the process so far.
void simgpu_stats(SimgpuStats *out_stats);
// Device memory: bytes in use, the most there ever were, and live allocations.
void simgpu_memory(int device, uint64_t *out_used, uint64_t *out_peak, int *out_live);

#endif
