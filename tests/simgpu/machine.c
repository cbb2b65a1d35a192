#include "tests/simgpu/machine.h"

#include "tests/simgpu/kernel_float.h"
#include "tests/simgpu/machine_run.h"

#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

SimOptions sim_options = {.compute = 80, .threads = 1, .order = SIM_FORWARDS, .seed = 1, .max_steps = 1ull << 32};

// ---- services of kernels that need no other file

// f64 arithmetic in a rounding mode; volatile keeps the compiler from moving it out of the mode.
static __attribute__((noinline)) double directed(int operation, int mode, double a, double b, double c) {
  static const int modes[] = {
      [ROUND_NEAREST] = FE_TONEAREST, [ROUND_ZERO] = FE_TOWARDZERO, [ROUND_DOWN] = FE_DOWNWARD, [ROUND_UP] = FE_UPWARD};
  volatile double x = a, y = b, z = c, result;
  fesetround(modes[mode]);
  switch (operation) {
  case 0: result = x + y; break;
  case 1: result = x * y; break;
  case 2: result = fma(x, y, z); break;
  case 3: result = x / y; break;
  default: result = sqrt(x);
  }
  fesetround(FE_TONEAREST);
  return result;
}

const SimApi machine_api = {
    .fault = fault_code,
    .global = access_global,
    .shared = access_shared,
    .race = race_access,
    .touch = count_access,
    .fence = race_fence,
    .copy = copy_start,
    .commit = copy_commit,
    .await_copies = copy_await,
    .print = print_formatted,
    .assert_fail = assert_failed,
    .directed = directed,
};

// ---- launches

static uint32_t shared_limit(void) { // bytes a block may have on devices of that kind
  return sim_options.compute < 80 ? 65536 : sim_options.compute < 90 ? 166912 : 232448;
}

static bool refuse(const SimKernel *kernel, const SimLaunch *launch, SimFault *fault) {
  const uint32_t *grid = launch->grid, *block = launch->block;
  uint64_t threads = (uint64_t)block[0] * block[1] * block[2];
  char why[300] = "";
  if (!grid[0] || !grid[1] || !grid[2] || !threads) snprintf(why, sizeof why, "a dimension is 0");
  else if (grid[0] > 0x7fffffffu || grid[1] > 65535 || grid[2] > 65535)
    snprintf(why, sizeof why, "the grid is too large");
  else if ((uint64_t)grid[0] * grid[1] * grid[2] > 0xffffffffull)
    snprintf(why, sizeof why, "the grid is too large to run");
  else if (threads > 1024 || block[2] > 64) snprintf(why, sizeof why, "the block is too large");
  else if (threads > kernel->max_threads)
    snprintf(why, sizeof why, "the kernel's bound is %u threads a block", kernel->max_threads);
  else if ((uint64_t)kernel->static_shared + launch->shared > shared_limit())
    snprintf(why, sizeof why, "%u + %u bytes of shared memory, a block may have %u", kernel->static_shared,
             launch->shared, shared_limit());
  if (!*why) return false;
  fault->kind = SIM_BAD_LAUNCH;
  snprintf(fault->text, sizeof fault->text, "kernel %s: bad launch of %ux%ux%u blocks of %ux%ux%u threads: %s",
           kernel->name, grid[0], grid[1], grid[2], block[0], block[1], block[2], why);
  return true;
}

// A map for the shared memory of a block and its state; one is kept for the next launch, all of it dead.
static uint8_t *spare_map;

static uint8_t *take_map(void) {
  uint8_t *map = spare_map;
  spare_map = NULL;
  if (map) return map;
  map = mmap(NULL, 2 * SIM_SHARED_SPAN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) abort();
  return map;
}

static void give_map(uint8_t *map, size_t used) {
  if (spare_map) {
    munmap(map, 2 * SIM_SHARED_SPAN);
    return;
  }
  memset(map, SIM_DEAD, used);
  spare_map = map;
}

static Worker *worker_new(Launch *run) {
  Worker *worker = calloc(1, sizeof *worker);
  const SimEntry *entry = run->entry;
  const SimArena *arena = sim_memory_arena(run->launch->device);
  const uint32_t *size = run->launch->block;
  size_t n = run->n_threads, local = (entry->frame_end + 15) / 16 * 16, save = (entry->save_bytes + 15) / 16 * 16;
  if (!worker) abort();
  worker->launch = run;
  worker->n_threads = (int)n;
  worker->n_warps = (int)((n + WARP - 1) / WARP);
  worker->threads = calloc(n, sizeof *worker->threads);
  worker->locals = calloc(n, local + 16);
  worker->saves = calloc(n, save + 16);
  worker->shared_map = take_map();
  if (!worker->threads || !worker->locals || !worker->saves) abort();
  SimBlock *block = &worker->block;
  *block = (SimBlock){.api = &machine_api,
                      .global_base = arena->base,
                      .global_limit = ~(arena->span - 1),
                      .global = arena->bytes,
                      .global_span = arena->span,
                      .shared = worker->shared_map + SIM_SHARED_SPAN,
                      .dynamic_bytes = run->launch->shared,
                      .local_bytes = entry->local_bytes,
                      .param_bytes = entry->param_bytes,
                      .params = run->launch->params,
                      .symbols = run->symbols,
                      .machine = worker};
  block->dynamic = (entry->shared_end + entry->dynamic_align - 1) / entry->dynamic_align * entry->dynamic_align;
  for (int axis = 0; axis < 3; axis++) {
    block->ntid[axis] = size[axis];
    block->nctaid[axis] = run->launch->grid[axis];
  }
  for (size_t k = 0; k < n; k++) {
    SimThread *thread = &worker->threads[k];
    thread->index = (uint32_t)k;
    thread->lane = (uint32_t)(k % WARP);
    thread->warp = (uint32_t)(k / WARP);
    thread->tid[0] = (uint32_t)(k % size[0]);
    thread->tid[1] = (uint32_t)(k / size[0] % size[1]);
    thread->tid[2] = (uint32_t)(k / size[0] / size[1]);
    thread->local = worker->locals + k * local;
    thread->save = worker->saves + k * save;
  }
  return worker;
}

static void worker_free(Worker *worker) {
  for (int k = 0; k < worker->n_threads; k++) copy_forget(&worker->threads[k]);
  give_map(worker->shared_map, worker->block.dynamic + worker->block.dynamic_bytes);
  free(worker->threads);
  free(worker->locals);
  free(worker->saves);
  free(worker);
}

static uint64_t common_divisor(uint64_t a, uint64_t b) {
  while (b) {
    uint64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

// The k-th block to run. Shuffled: steps through all of them that share no divisor with their number.
static uint32_t block_of(const Launch *run, uint32_t k) {
  uint64_t n = run->n_blocks;
  if (sim_options.order == SIM_FORWARDS) return k;
  if (sim_options.order == SIM_BACKWARDS) return (uint32_t)(n - 1 - k);
  uint64_t step = (sim_options.seed * 0x9e3779b97f4a7c15ull >> 32) % n;
  while (common_divisor(step, n) != 1) step++;
  return (uint32_t)((k * step + sim_options.seed % n) % n);
}

static void *work(void *context) {
  Worker *worker = context;
  Launch *run = worker->launch;
  if (setjmp(worker->jump)) return NULL;
  for (;;) {
    uint32_t k = __atomic_fetch_add(&run->next, 1, __ATOMIC_RELAXED);
    if (k >= run->n_blocks || __atomic_load_n(&run->is_stopped, __ATOMIC_RELAXED)) return NULL;
    worker_run_block(worker, block_of(run, k));
    if (sim_options.counts) count_block(worker);
  }
}

static void run_workers(Launch *run) {
  Worker *workers[64];
  pthread_t threads[64];
  bool is_serial = sim_options.finds_races || sim_options.counts;
  int n = is_serial || sim_options.threads < 1 ? 1 : sim_options.threads > 64 ? 64 : sim_options.threads;
  if ((uint32_t)n > run->n_blocks) n = (int)run->n_blocks;
  workers[0] = worker_new(run);
  for (int k = 1; k < n; k++) workers[k] = worker_new(run);
  if (sim_options.finds_races) race_begin(workers[0]);
  if (sim_options.counts) count_begin(workers[0]);
  for (int k = 1; k < n; k++)
    if (pthread_create(&threads[k], NULL, work, workers[k])) abort();
  work(workers[0]);
  for (int k = 1; k < n; k++) pthread_join(threads[k], NULL);
  if (sim_options.counts) count_end(workers[0]);
  if (sim_options.finds_races) race_end(workers[0]);
  for (int k = 0; k < n; k++) worker_free(workers[k]);
}

static double seconds_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

bool sim_machine_run(const SimKernel *kernel, const SimLaunch *launch, SimFault *fault) {
  char why[400];
  *fault = (SimFault){.kind = SIM_OK};
  if (refuse(kernel, launch, fault)) return false;
  Launch run = {.kernel = kernel, .launch = launch, .fault = fault};
  run.entry = module_entry(kernel, why, sizeof why);
  run.symbols = run.entry ? module_symbols(kernel->module, launch->device, why, sizeof why) : NULL;
  if (!run.symbols || !sim_memory_arena(launch->device)) {
    fault->kind = SIM_UNSUPPORTED;
    snprintf(fault->text, sizeof fault->text, "kernel %s: %s", kernel->name, run.symbols ? "no such device" : why);
    return false;
  }
  run.n_blocks = launch->grid[0] * launch->grid[1] * launch->grid[2];
  run.n_threads = launch->block[0] * launch->block[1] * launch->block[2];
  pthread_mutex_init(&run.lock, NULL);
  double begin = seconds_now();
  run_workers(&run);
  kernel->module->seconds += seconds_now() - begin;
  pthread_mutex_destroy(&run.lock);
  return fault->kind == SIM_OK;
}
