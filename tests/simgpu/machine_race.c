#include "tests/simgpu/machine_run.h"
void race_begin(Worker *worker) { (void)worker; }
void race_begin_block(Worker *worker) { (void)worker; }
void race_end(Worker *worker) { (void)worker; }
void race_access(SimThread *thread, SimBlock *block, int is_shared, uint64_t address, unsigned n, int access,
                 unsigned site) {
  (void)thread;
  (void)block;
  (void)is_shared;
  (void)address;
  (void)n;
  (void)access;
  (void)site;
}
void race_fence(SimThread *thread, SimBlock *block, int level) {
  (void)thread;
  (void)block;
  (void)level;
}
void race_barrier(Worker *worker, const bool *takes_part) {
  (void)worker;
  (void)takes_part;
}
void race_warp(Worker *worker, int warp, uint32_t mask) {
  (void)worker;
  (void)warp;
  (void)mask;
}
