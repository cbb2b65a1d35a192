#include "tests/simgpu/kernel_memory.h"
#include "tests/simgpu/machine_run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void describe_site(const SimBlock *block, unsigned site, char *out, size_t n_out) {
  const SimEntry *entry = ((const Worker *)block->machine)->launch->entry;
  const SimSite *known = site < (unsigned)entry->n_sites ? &entry->sites[site] : NULL;
  if (!known || !known->text) snprintf(out, n_out, "PTX line unknown");
  else if (known->source_line)
    snprintf(out, n_out, "PTX line %d, source line %d: %.120s", known->line, known->source_line, known->text);
  else snprintf(out, n_out, "PTX line %d: %.120s", known->line, known->text);
}

void describe_thread(const SimThread *thread, const SimBlock *block, char *out, size_t n_out) {
  snprintf(out, n_out, "thread (%u,%u,%u) of block (%u,%u,%u)", thread->tid[0], thread->tid[1], thread->tid[2],
           block->ctaid[0], block->ctaid[1], block->ctaid[2]);
}

void fault_at(SimThread *thread, SimBlock *block, SimFaultKind kind, unsigned site, const char *format, ...) {
  Worker *worker = worker_of(block);
  Launch *launch = worker->launch;
  char what[400], who[120], where[200];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  describe_thread(thread, block, who, sizeof who);
  describe_site(block, site, where, sizeof where);
  pthread_mutex_lock(&launch->lock);
  if (!launch->is_stopped) {
    __atomic_store_n(&launch->is_stopped, true, __ATOMIC_RELAXED);
    launch->fault->kind = kind;
    snprintf(launch->fault->text, sizeof launch->fault->text, "kernel %s: %s by %s; %s", launch->kernel->name, what,
             who, where);
  }
  pthread_mutex_unlock(&launch->lock);
  longjmp(worker->jump, 1);
}

void fault_code(SimThread *thread, SimBlock *block, int kind, uint64_t address, unsigned n, unsigned site) {
  unsigned long long at = (unsigned long long)address;
  switch (kind) {
  case FAULT_LOCAL_BOUNDS:
    fault_at(thread, block, SIM_BAD_ADDRESS, site,
             "access of %u bytes at byte %llu of a thread's %u bytes of local memory", n, at, block->local_bytes);
  case FAULT_LOCAL_ALIGNMENT:
    fault_at(thread, block, SIM_MISALIGNED, site,
             "access of %u bytes at byte %llu of local memory, which is not aligned", n, at);
  case FAULT_PARAM_BOUNDS:
    fault_at(thread, block, SIM_BAD_ADDRESS, site, "read of %u bytes at byte %llu of %u bytes of parameters", n, at,
             block->param_bytes);
  case FAULT_FUEL:
    fault_at(thread, block, SIM_ENDLESS, site, "endless loop: more than %llu instructions",
             (unsigned long long)sim_options.max_steps);
  case FAULT_TRAP: fault_at(thread, block, SIM_TRAP, site, "trap");
  case FAULT_BRANCH: fault_at(thread, block, SIM_BAD_ADDRESS, site, "branch to no target of its table");
  default: fault_at(thread, block, SIM_UNSUPPORTED, site, "fault %d", kind);
  }
}

static const char *verb(int access) {
  return access == ACCESS_READ || access == ACCESS_STRONG_READ     ? "read"
         : access == ACCESS_WRITE || access == ACCESS_STRONG_WRITE ? "write"
                                                                   : "atomic";
}

static bool is_write(int access) { return access == ACCESS_WRITE || access == ACCESS_STRONG_WRITE; }

// Where it is, for a fault's text: valid until the next call in this thread.
static const char *where_global(uint64_t address) {
  static _Thread_local char text[160];
  sim_memory_describe(address, text, sizeof text);
  return text;
}

uint8_t *access_global(SimThread *thread, SimBlock *block, uint64_t address, unsigned n, int access, unsigned site) {
  const SimLaunch *launch = worker_of(block)->launch->launch;
  unsigned long long at = (unsigned long long)address;
  int device = sim_memory_device(address);
  if (device < 0) {
    const char *hint = address >> 48 == 2   ? " (it is a generic address of shared memory)"
                       : address >> 48 == 4 ? " (it is a generic address of local memory)"
                                            : "";
    fault_at(thread, block, SIM_BAD_ADDRESS, site, "%s of %u bytes at 0x%llx, in no device's memory%s", verb(access), n,
             at, hint);
  }
  if (address & (n - 1))
    fault_at(thread, block, SIM_MISALIGNED, site, "%s of %u bytes at 0x%llx, which is not aligned (%s)", verb(access),
             n, at, where_global(address));
  if (device != launch->device && !(launch->peers >> device & 1))
    fault_at(thread, block, SIM_BAD_ADDRESS, site,
             "%s of %u bytes at 0x%llx (%s) from device %d, which has no access to that device's memory", verb(access),
             n, at, where_global(address), launch->device);
  const SimArena *arena = sim_memory_arena(device);
  uint64_t offset = address - arena->base;
  uint8_t *bytes = arena->bytes + offset, *state = bytes - arena->span;
  for (unsigned k = 0; k < n; k++)
    if (state[k] == SIM_DEAD)
      fault_at(thread, block, SIM_BAD_ADDRESS, site, "%s of %u bytes at 0x%llx (%s)", verb(access), n, at,
               where_global(address + k));
  if (is_write(access)) {
    memset(state, SIM_WRITTEN, n);
    return bytes;
  }
  for (unsigned k = 0; k < n; k++)
    if (state[k] != SIM_WRITTEN)
      fault_at(thread, block, SIM_UNINITIALISED, site, "%s of %u bytes at 0x%llx, of which nobody wrote byte %u (%s)",
               verb(access), n, at, k, where_global(address));
  return bytes;
}

// "8 bytes past tile (256 bytes)"
static const char *where_shared(const SimBlock *block, uint64_t address) {
  static _Thread_local char out[160];
  const SimEntry *entry = ((const Worker *)block->machine)->launch->entry;
  const SimSharedVariable *before = NULL;
  for (int k = 0; k < entry->n_shared; k++)
    if (entry->shared[k].offset <= address && (!before || entry->shared[k].offset > before->offset))
      before = &entry->shared[k];
  if (block->dynamic_bytes && address >= block->dynamic) {
    uint64_t at = address - block->dynamic;
    if (at < block->dynamic_bytes)
      snprintf(out, sizeof out, "byte %llu of the dynamic shared memory", (unsigned long long)at);
    else
      snprintf(out, sizeof out, "%llu bytes past the %u bytes of dynamic shared memory",
               (unsigned long long)(at - block->dynamic_bytes), block->dynamic_bytes);
  } else if (!before) {
    snprintf(out, sizeof out, "before all shared variables");
  } else if (address - before->offset < before->bytes) {
    snprintf(out, sizeof out, "byte %llu of %s", (unsigned long long)(address - before->offset), before->name);
  } else {
    snprintf(out, sizeof out, "%llu bytes past the %u bytes of %s",
             (unsigned long long)(address - before->offset - before->bytes), before->bytes, before->name);
  }
  return out;
}

void access_shared(SimThread *thread, SimBlock *block, uint64_t address, unsigned n, int access, unsigned site) {
  unsigned long long at = (unsigned long long)address;
  if (address + n > SIM_SHARED_SPAN || address > SIM_SHARED_SPAN)
    fault_at(thread, block, SIM_BAD_ADDRESS, site, "%s of %u bytes at shared address 0x%llx (%s)", verb(access), n, at,
             where_shared(block, address));
  if (address & (n - 1))
    fault_at(thread, block, SIM_MISALIGNED, site, "%s of %u bytes at shared address 0x%llx, which is not aligned (%s)",
             verb(access), n, at, where_shared(block, address));
  uint8_t *state = block->shared + address - SIM_SHARED_SPAN;
  for (unsigned k = 0; k < n; k++) {
    if (state[k] == SIM_PENDING)
      fault_at(thread, block, SIM_RACE, site,
               "%s of %u shared bytes (%s) that a cp.async not waited for still has to write", verb(access), n,
               where_shared(block, address));
    if (state[k] == SIM_DEAD)
      fault_at(thread, block, SIM_BAD_ADDRESS, site, "%s of %u bytes at shared address 0x%llx (%s)", verb(access), n,
               at, where_shared(block, address + k));
  }
  if (is_write(access)) {
    memset(state, SIM_WRITTEN, n);
    return;
  }
  for (unsigned k = 0; k < n; k++)
    if (state[k] != SIM_WRITTEN)
      fault_at(thread, block, SIM_UNINITIALISED, site, "%s of %u shared bytes, of which nobody wrote byte %u (%s)",
               verb(access), n, k, where_shared(block, address));
}
