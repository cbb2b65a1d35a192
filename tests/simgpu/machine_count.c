#include "tests/simgpu/machine_run.h"
static SimCounters counters;
const SimCounters *sim_machine_counters(void) { return &counters; }
void count_begin(Worker *worker) { (void)worker; }
void count_block(Worker *worker) { (void)worker; }
void count_end(Worker *worker) { (void)worker; }
void count_access(SimThread *thread, SimBlock *block, int is_shared, uint64_t address, unsigned n, int access,
                  unsigned site) {
  (void)thread;
  (void)block;
  (void)is_shared;
  (void)address;
  (void)n;
  (void)access;
  (void)site;
}
