#include "tests/simgpu/driver_guard.h"
#include "tests/simgpu/stream_order.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// Whole pages.
typedef struct Guard {
  Op *op;
  uint64_t start, end;
  bool writes;
  struct Guard *next;
} Guard;

static Guard *guards;
static struct sigaction old_action;
static bool has_handler;
static uint64_t page_bytes;

static bool overlaps(const Guard *guard, uint64_t start, uint64_t end) {
  return guard->start < end && start < guard->end;
}

// Sets what the guards say of the pages of a range.
static void protect(uint64_t start, uint64_t end) {
  for (uint64_t page = start; page < end; page += page_bytes) {
    int allowed = PROT_READ | PROT_WRITE;
    for (const Guard *guard = guards; guard; guard = guard->next)
      if (overlaps(guard, page, page + page_bytes)) allowed &= guard->writes ? PROT_NONE : PROT_READ;
    mprotect((void *)(uintptr_t)page, page_bytes, allowed);
  }
}

// Ends the guards that `ends` says to; all those of a range if it is NULL.
static void release(uint64_t start, uint64_t end, bool (*ends)(const Guard *guard)) {
  for (Guard **link = &guards; *link;) {
    Guard *guard = *link;
    if (!overlaps(guard, start, end) || (ends && !ends(guard))) {
      link = &guard->next;
      continue;
    }
    *link = guard->next;
    protect(guard->start, guard->end);
    op_release(guard->op);
    free(guard);
  }
}

static void on_access(int signal, siginfo_t *info, void *unused) {
  (void)signal, (void)unused;
  uint64_t at = (uint64_t)(uintptr_t)info->si_addr / page_bytes * page_bytes;
  driver_lock();
  const Guard *found = NULL;
  for (const Guard *guard = guards; guard && !found; guard = guard->next)
    if (overlaps(guard, at, at + page_bytes)) found = guard;
  if (found) {
    char text[160];
    work_describe(found->op->work, text, sizeof text);
    driver_report("order: the host %s pinned memory at 0x%llx, which a %s %s, and it has not waited for that",
                  found->writes ? "touches" : "writes", (unsigned long long)(uintptr_t)info->si_addr, text,
                  found->writes ? "writes" : "reads");
    release(at, at + page_bytes, NULL);
  }
  driver_unlock();
  if (!found) sigaction(SIGSEGV, &old_action, NULL); // the access is made again, and is someone else's
}

void guard_copy(Op *op, uint64_t start, size_t bytes, bool writes) {
  if (!sim_options.finds_races) return;
  page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
  uint64_t first = (start + page_bytes - 1) / page_bytes * page_bytes, end = (start + bytes) / page_bytes * page_bytes;
  if (first >= end) return;
  if (!has_handler) {
    struct sigaction action = {.sa_sigaction = on_access, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &old_action);
    has_handler = true;
  }
  Guard *guard = malloc(sizeof *guard);
  if (!guard) abort();
  *guard = (Guard){.op = op_keep(op), .start = first, .end = end, .writes = writes, .next = guards};
  guards = guard;
  protect(first, end);
}

void guard_open(uint64_t start, size_t bytes) {
  for (const Guard *guard = guards; guard; guard = guard->next)
    if (overlaps(guard, start, start + bytes))
      mprotect((void *)(uintptr_t)guard->start, guard->end - guard->start, PROT_READ | PROT_WRITE);
}

void guard_close(uint64_t start, size_t bytes) {
  for (const Guard *guard = guards; guard; guard = guard->next)
    if (overlaps(guard, start, start + bytes)) protect(guard->start, guard->end);
}

static bool is_known(const Guard *guard) {
  return guard->op->done && (!sim_options.finds_races || stream_order_host_knows(guard->op));
}

void guard_update(void) {
  if (guards) release(0, UINT64_MAX, is_known);
}

void guard_forget(uint64_t start, size_t bytes) {
  if (guards) release(start, start + bytes, NULL);
}
