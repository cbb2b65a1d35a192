// Between the files of the machine: a launch, the workers that run its blocks, and what blocks are made of.
#ifndef SIM_MACHINE_RUN_H
#define SIM_MACHINE_RUN_H

#include "tests/simgpu/kernel_thread.h"
#include "tests/simgpu/machine.h"
#include "tests/simgpu/memory.h"

#include <pthread.h>
#include <setjmp.h>

enum { WARP = 32, MAX_BARRIERS = 16, MODES = 8 };

struct SimModule {
  char *text; // C
  int n_kernels, n_symbols;
  struct Kernel *kernels;
  void *libraries[MODES]; // dlopened, by mode: +1 races, +2 counts, +4 optimised
  const SimLibrary *code[MODES];
  double seconds;                 // that its kernels have run
  uint64_t *symbols[SIM_DEVICES]; // addresses, NULL before the first use on the device
};

typedef struct Kernel {
  SimKernel known; // first: a SimKernel is a Kernel
} Kernel;

// machine_compile.c: path of the shared library of a C text; compiles it where the cache (SIMGPU_CACHE) has none.
bool compile_cached(const char *text, int mode, char path[512], char *why, size_t n_why);

// The code of a kernel as sim_options ask for it; compiles it where that was not done yet. NULL and the reason if it
// cannot be done.
const SimEntry *module_entry(const SimKernel *kernel, char *why, size_t n_why);
// Addresses of a module's variables on a device; NULL and the reason if memory is short.
const uint64_t *module_symbols(SimModule *module, int device, char *why, size_t n_why);

typedef struct Launch {
  const SimKernel *kernel;
  const SimEntry *entry;
  const SimLaunch *launch;
  const uint64_t *symbols;
  SimFault *fault;
  uint32_t n_blocks, n_threads;
  uint32_t next; // block in the order that no worker has taken yet
  bool is_stopped;
  pthread_mutex_t lock;
} Launch;

typedef struct Worker {
  Launch *launch;
  SimBlock block;
  SimThread *threads;
  int n_threads, n_warps, n_exited;
  uint8_t *shared_map, *locals, *saves;
  uint64_t random;
  uint32_t arrived[MAX_BARRIERS];
  uint64_t barriers; // releases so far
  jmp_buf jump;
} Worker;

static inline Worker *worker_of(SimBlock *block) { return block->machine; }
uint64_t worker_random(Worker *worker);
// A permutation of 0 .. n-1 as sim_options.order asks for.
void worker_order(Worker *worker, int n, int *out);

// machine_block.c
void worker_run_block(Worker *worker, uint32_t index);

// machine_warp.c: lets lanes of a warp go on whose collective operation is complete; false if there is none.
bool warp_resolve(Worker *worker, int warp);

// machine_matrix.c: all lanes of a warp wait at one matrix instruction; does it.
void matrix_run(Worker *worker, SimThread *lanes);

// machine_fault.c
void fault_at(SimThread *thread, SimBlock *block, SimFaultKind kind, unsigned site, const char *format, ...)
    __attribute__((noreturn, format(printf, 5, 6)));
void fault_code(SimThread *thread, SimBlock *block, int kind, uint64_t address, unsigned n, unsigned site)
    __attribute__((noreturn));
uint8_t *access_global(SimThread *thread, SimBlock *block, uint64_t address, unsigned n, int access, unsigned site);
void access_shared(SimThread *thread, SimBlock *block, uint64_t address, unsigned n, int access, unsigned site);
// "PTX line 210, source line 17: ld.global.f32 ..."
void describe_site(const SimBlock *block, unsigned site, char *out, size_t n_out);
void describe_thread(const SimThread *thread, const SimBlock *block, char *out, size_t n_out);

// machine_copy.c
void copy_start(SimThread *thread, SimBlock *block, uint64_t to, uint64_t from, unsigned n, unsigned n_source,
                unsigned site);
void copy_commit(SimThread *thread, SimBlock *block);
void copy_await(SimThread *thread, SimBlock *block, int groups_left, unsigned site);
void copy_forget(SimThread *thread); // frees what the thread still has

// machine_print.c
int print_formatted(SimThread *thread, SimBlock *block, uint64_t format, uint64_t arguments, unsigned site);
void assert_failed(SimThread *thread, SimBlock *block, uint64_t message, uint64_t file, unsigned line,
                   uint64_t function, unsigned site) __attribute__((noreturn));

// machine_race.c
void race_begin(Worker *worker);       // of a launch
void race_begin_block(Worker *worker); // of a block
void race_end(Worker *worker);
void race_access(SimThread *thread, SimBlock *block, int is_shared, uint64_t address, unsigned n, int access,
                 unsigned site);
void race_fence(SimThread *thread, SimBlock *block, int level);
void race_barrier(Worker *worker, uint32_t barrier, const bool *takes_part); // by thread
void race_arrive(Worker *worker, uint32_t barrier, int warp);
void race_warp(Worker *worker, int warp, uint32_t mask);

// machine_count.c
void count_begin(Worker *worker);
void count_block(Worker *worker); // a block has ended
void count_end(Worker *worker);
void count_access(SimThread *thread, SimBlock *block, int is_shared, uint64_t address, unsigned n, int access,
                  unsigned site);

extern const SimApi machine_api;

#endif
