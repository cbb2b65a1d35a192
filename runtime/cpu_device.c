// CPU device: kernels are functions of a shared object, or given ones, run by a pool over their tasks.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/base/clock.h"
#include "runtime/base/cpu.h"
#include "runtime/cpu_pool.h"
#include "runtime/device.h"
#include "runtime/kernel_cache.h"

typedef struct CpuDevice {
  Device device;
  Pool *pool;
  float *scratch; // `stride` floats for each worker
  int64_t stride;
  float *shared; // of the tasks of a launch: counters, which are zero between launches, and `n_shared` floats in all
  int64_t n_shared;
  bool gave_notice;
} CpuDevice;

// ---- memory ---------------------------------------------------------------------------------------------------------

// Regions come straight from the system, the large ones on huge pages where it has them, but for their ends; the size
// stands before the floats.
enum { HEADER = 64 };
static const size_t huge_page = (size_t)1 << 21;

// The system clears memory when it is touched for the first time: all threads do that here, side by side, rather than
// one of them while it copies weights.
static void touch(void *context, int worker, int64_t begin, int64_t end) {
  (void)worker;
  char *memory = context;
  size_t bytes, from = (size_t)begin * huge_page, to = (size_t)end * huge_page;
  memcpy(&bytes, memory, sizeof bytes);
  madvise(memory + from, (to < bytes ? to : bytes) - from, MADV_POPULATE_WRITE); // refused: it is cleared later
}

static Status cpu_alloc(Device *device, int64_t floats, float **out) {
  CpuDevice *cpu = (CpuDevice *)device;
  if (floats < 0 || (uint64_t)floats > (SIZE_MAX - 2 * huge_page) / sizeof(float))
    return status_make(EXIT_DEVICE, "cannot allocate %lld floats", (long long)floats);
  size_t bytes = (size_t)floats * sizeof(float) + HEADER;
  char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return status_make(EXIT_DEVICE, "cannot allocate %.1f MB of memory: %s", (double)bytes / 1e6, strerror(errno));
  if (bytes >= huge_page) madvise(memory, bytes, MADV_HUGEPAGE); // refused: small pages do
  memcpy(memory, &bytes, sizeof bytes);
  if (bytes >= huge_page) pool_run(cpu->pool, touch, memory, (int64_t)((bytes + huge_page - 1) / huge_page));
  *out = (float *)(void *)(memory + HEADER);
  return STATUS_OK;
}

static void cpu_free(Device *device, float *memory) {
  (void)device;
  if (!memory) return;
  char *start = (char *)memory - HEADER;
  size_t bytes;
  memcpy(&bytes, start, sizeof bytes);
  munmap(start, bytes);
}

static Status cpu_copy(Device *device, float *to, const float *from, int64_t floats) {
  (void)device;
  memcpy(to, from, (size_t)floats * sizeof *to);
  return STATUS_OK;
}

static void find_need(const Step *steps, int n, int64_t *scratch, int64_t *shared) {
  for (int i = 0; i < n; i++) {
    if (steps[i].scratch > *scratch) *scratch = steps[i].scratch;
    if (steps[i].shared / 4 > *shared) *shared = steps[i].shared / 4;
  }
}

// New memory of the system is zero.
static Status reserve_shared(CpuDevice *cpu, int64_t need) {
  if (need <= cpu->n_shared) return STATUS_OK;
  float *shared;
  TRY(cpu_alloc(&cpu->device, need, &shared));
  cpu_free(&cpu->device, cpu->shared);
  cpu->shared = shared;
  cpu->n_shared = need;
  return STATUS_OK;
}

// Scratch for every worker and memory for all of them, as much as the program's hungriest step needs.
static Status reserve_scratch(CpuDevice *cpu, const Program *program) {
  int64_t need = 0, shared = 0;
  find_need(program->setup, program->n_setup, &need, &shared);
  find_need(program->steps, program->n_steps, &need, &shared);
  TRY(reserve_shared(cpu, shared));
  if (need <= cpu->stride) return STATUS_OK;
  int64_t threads = pool_threads(cpu->pool);
  if (need > INT64_MAX / 64 / threads) return status_make(EXIT_DEVICE, "a kernel needs too much scratch memory");
  int64_t stride = (need + 63) / 64 * 64 + 64; // a page's worth of distance keeps workers off each other's lines
  float *scratch;
  TRY(cpu_alloc(&cpu->device, stride * threads, &scratch));
  cpu_free(&cpu->device, cpu->scratch);
  cpu->scratch = scratch;
  cpu->stride = stride;
  return STATUS_OK;
}

static int64_t cpu_memory(const Device *device) {
  const CpuDevice *cpu = (const CpuDevice *)device;
  return (cpu->stride * pool_threads(cpu->pool) + cpu->n_shared) * (int64_t)sizeof(float);
}

// ---- kernels --------------------------------------------------------------------------------------------------------

static void pass_notice(void *context, const char *text) {
  CpuDevice *cpu = context;
  if (cpu->gave_notice || !cpu->device.notice) return;
  cpu->gave_notice = true;
  cpu->device.notice(cpu->device.notice_context, text);
}

// Refuses kernels that are made for a GPU or another kind of CPU ("cpu-neon-4").
static Status check_target(const Program *program) {
  if (!program->source || !program->target) return STATUS_OK;
  if (!strncmp(program->target, "cuda", 4))
    return status_make(EXIT_DEVICE, "the program's kernels are made for %s, not for the CPU", program->target);
  char kind[16];
  if (sscanf(program->target, "cpu-%15[^-]", kind) != 1 || cpu_executes(kind)) return STATUS_OK;
  return status_make(EXIT_DEVICE,
                     "the program's kernels are made for %s, which this %s machine does not execute: compile for "
                     "--target=cpu, or run it on such a machine",
                     program->target, cpu_machine());
}

static Status cpu_load(Device *device, const Program *program, void **out_module) {
  CpuDevice *cpu = (CpuDevice *)device;
  TRY(check_target(program));
  TRY(reserve_scratch(cpu, program));
  KernelModule *module = NULL;
  if (program->source) TRY(kernel_module_load(program->source, program->cc_flags, pass_notice, cpu, &module));
  *out_module = module;
  return STATUS_OK;
}

static void cpu_unload(Device *device, void *module) {
  (void)device;
  kernel_module_close(module);
}

// ---- sequences ------------------------------------------------------------------------------------------------------

typedef struct Launch {
  SgKernel *function; // NULL: an all-reduce
  const void *context;
  float **args; // last, where tasks share memory, its address
  int n_args;
  int64_t n_tasks;
  bool is_max;           // of an all-reduce
  int64_t number;        // of an all-reduce that runs beside the computation, from `begin`
  struct Launch *awaits; // the last all-reduce that has to be done before, or NULL
  float *scratch;
  int64_t stride;
} Launch;

typedef struct CpuSequence {
  Arena *arena;
  Launch *launches;
  int n;
} CpuSequence;

static Status make_launch(Arena *arena, const SequencePlan *plan, const Step *step, Launch *out) {
  *out = (Launch){.function = step->function,
                  .context = step->function ? step->context : step->numbers,
                  .n_args = step->n_args,
                  .n_tasks = step->n_tasks};
  if (step->rows) return status_make(EXIT_DEVICE, "'%s' is a kernel with rows, which the CPU has not", step->symbol);
  if (step->kind == STEP_ALL_REDUCE) out->is_max = !strcmp(step->symbol, "max");
  else if (!out->function && plan->module) out->function = kernel_module_find(plan->module, step->symbol);
  if (step->kind == STEP_KERNEL && !out->function)
    return status_make(EXIT_DEVICE, "the compiled kernels lack '%s'", step->symbol);
  out->args = ARENA_ARRAY(arena, float *, step->n_args + 1);
  for (int i = 0; i < step->n_args; i++) out->args[i] = plan->address[step->arg_buffer[i]] + step->arg_offset[i];
  return STATUS_OK;
}

static Status cpu_prepare(Device *device, const SequencePlan *plan, void **out) {
  (void)device;
  Arena *arena = arena_new();
  CpuSequence *sequence = ARENA_ARRAY(arena, CpuSequence, 1);
  *sequence = (CpuSequence){arena, ARENA_ARRAY(arena, Launch, plan->n_steps + 1), plan->n_steps};
  for (int i = 0; i < plan->n_steps; i++) {
    const Step *step = &plan->steps[i];
    Launch *launch = &sequence->launches[i];
    Status status = make_launch(arena, plan, step, launch);
    for (int k = 0; k < step->n_waits && !status; k++) { // all-reduces run in order: the last one says it of all
      Launch *other = &sequence->launches[step->waits[k]];
      if (plan->steps[step->waits[k]].kind == STEP_ALL_REDUCE && other > launch->awaits) launch->awaits = other;
    }
    if (!status) continue;
    arena_free(arena);
    return status;
  }
  *out = sequence;
  return STATUS_OK;
}

static void cpu_drop(Device *device, void *sequence) {
  (void)device;
  if (sequence) arena_free(((CpuSequence *)sequence)->arena);
}

static Status cpu_send(Device *device, void *sequence) {
  (void)device;
  (void)sequence;
  return STATUS_OK;
}

static void run_tasks(void *context, int worker, int64_t begin, int64_t end) {
  const Launch *launch = context;
  launch->function(launch->context, launch->args, begin, end, launch->scratch + worker * launch->stride);
}

static Status all_reduce(CpuDevice *cpu, Launch *launch) {
  Collective *collective = cpu->device.collective;
  if (collective && collective->begin)
    return collective->begin(collective, launch->is_max, launch->args[0], launch->args[1], launch->n_tasks,
                             &launch->number);
  if (collective)
    return collective->all_reduce(collective, LANE_LARGE, launch->is_max, launch->args[0], launch->args[1],
                                  launch->n_tasks, NULL);
  memmove(launch->args[1], launch->args[0], (size_t)launch->n_tasks * sizeof(float));
  return STATUS_OK;
}

static Status finish(CpuDevice *cpu, const Launch *launch) {
  Collective *collective = cpu->device.collective;
  return collective && collective->begin ? collective->finish(collective, launch->number) : STATUS_OK;
}

static Status cpu_run(Device *device, void *sequence, double *seconds) {
  CpuDevice *cpu = (CpuDevice *)device;
  const CpuSequence *all = sequence;
  const Launch *under_way = NULL; // the last all-reduce
  for (int i = 0; i < all->n; i++) {
    Launch *launch = &all->launches[i];
    double start = seconds ? clock_seconds() : 0;
    if (launch->awaits) TRY(finish(cpu, launch->awaits));
    launch->scratch = cpu->scratch; // another program may have asked for more since
    launch->stride = cpu->stride;
    launch->args[launch->n_args] = cpu->shared;
    if (launch->function) pool_run(cpu->pool, run_tasks, launch, launch->n_tasks);
    else TRY(all_reduce(cpu, launch));
    if (!launch->function) under_way = launch;
    if (seconds && !launch->function) TRY(finish(cpu, launch));
    if (seconds) seconds[i] = clock_seconds() - start;
  }
  return under_way ? finish(cpu, under_way) : STATUS_OK; // it may be an output
}

static Status cpu_sync(Device *device) {
  (void)device;
  return STATUS_OK;
}

// ---- opening and closing --------------------------------------------------------------------------------------------

static void cpu_close(Device *device) {
  CpuDevice *cpu = (CpuDevice *)device;
  pool_close(cpu->pool);
  cpu_free(device, cpu->scratch);
  cpu_free(device, cpu->shared);
  free(cpu);
}

static const DeviceTable cpu_table = {.kind = "cpu",
                                      .is_host = true,
                                      .alloc = cpu_alloc,
                                      .free = cpu_free,
                                      .alloc_host = cpu_alloc,
                                      .free_host = cpu_free,
                                      .upload = cpu_copy,
                                      .download = cpu_copy,
                                      .load = cpu_load,
                                      .unload = cpu_unload,
                                      .prepare = cpu_prepare,
                                      .drop = cpu_drop,
                                      .send = cpu_send,
                                      .run = cpu_run,
                                      .sync = cpu_sync,
                                      .memory = cpu_memory,
                                      .close = cpu_close};

Status device_open_cpu(int threads, Device **out) {
  Pool *pool;
  TRY(pool_open(threads, &pool));
  CpuDevice *cpu = calloc(1, sizeof *cpu);
  if (!cpu) BUG("out of memory");
  *cpu = (CpuDevice){.device = {.table = &cpu_table}, .pool = pool};
  *out = &cpu->device;
  return STATUS_OK;
}

int device_threads(const Device *device) {
  return device->table == &cpu_table ? pool_threads(((const CpuDevice *)device)->pool) : 1;
}
