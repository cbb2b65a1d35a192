// cp.async: a copy is asked for, and its bytes land when its group is waited for, not before: whoever reads too early
// finds the bytes pending.
#include "tests/simgpu/kernel_memory.h"
#include "tests/simgpu/machine_run.h"

#include <stdlib.h>
#include <string.h>

typedef struct Copy {
  uint64_t to, from;
  unsigned n, n_source, site;
  uint64_t group;
} Copy;

typedef struct Copies {
  Copy *items;
  int n, room;
  uint64_t group; // number of the group that commit will close
} Copies;

void copy_start(SimThread *thread, SimBlock *block, uint64_t to, uint64_t from, unsigned n, unsigned n_source,
                unsigned site) {
  Copies *copies = thread->copies;
  if (!copies && !(copies = thread->copies = calloc(1, sizeof *copies))) abort();
  if (to >> 48 == 2) to ^= SIM_SHARED_WINDOW;
  if (n_source > n)
    fault_at(thread, block, SIM_BAD_ADDRESS, site, "cp.async of %u bytes from a source of %u", n, n_source);
  access_shared(thread, block, to, n, ACCESS_WRITE, site);
  if (sim_options.finds_races) race_access(thread, block, 1, to, n, ACCESS_WRITE, site);
  if (from & (n - 1)) access_global(thread, block, from, n, ACCESS_READ, site);
  for (unsigned k = 0; k < n_source;) { // a shorter source is read in what aligned pieces it has
    unsigned piece = 1;
    while (2 * piece <= n_source - k && !(k & (2 * piece - 1))) piece *= 2;
    access_global(thread, block, from + k, piece, ACCESS_READ, site);
    if (sim_options.finds_races) race_access(thread, block, 0, from + k, piece, ACCESS_READ, site);
    if (sim_options.counts) count_access(thread, block, 0, from + k, piece, ACCESS_READ, site);
    k += piece;
  }
  if (sim_options.counts) count_access(thread, block, 1, to, n, ACCESS_WRITE, site);
  memset(block->shared + to - SIM_SHARED_SPAN, SIM_PENDING, n);
  if (copies->n == copies->room) {
    copies->room = copies->room ? 2 * copies->room : 16;
    copies->items = realloc(copies->items, sizeof *copies->items * (size_t)copies->room);
    if (!copies->items) abort();
  }
  copies->items[copies->n++] = (Copy){to, from, n, n_source, site, copies->group};
}

void copy_commit(SimThread *thread, SimBlock *block) {
  (void)block;
  Copies *copies = thread->copies;
  if (!copies && !(copies = thread->copies = calloc(1, sizeof *copies))) abort();
  copies->group++;
}

static void land(SimThread *thread, SimBlock *block, const Copy *copy) {
  uint8_t *to = block->shared + copy->to;
  memset(to, 0, copy->n);
  if (copy->n_source) {
    uint8_t *from = access_global(thread, block, copy->from, 1, ACCESS_READ, copy->site);
    memcpy(to, from, copy->n_source);
  }
  memset(to - SIM_SHARED_SPAN, SIM_WRITTEN, copy->n);
  if (sim_options.finds_races) race_access(thread, block, 1, copy->to, copy->n, ACCESS_WRITE, copy->site);
}

void copy_await(SimThread *thread, SimBlock *block, int groups_left, unsigned site) {
  (void)site;
  Copies *copies = thread->copies;
  if (!copies) return;
  // Groups below the bound land, in any order.
  uint64_t bound = groups_left < 0                         ? copies->group + 1
                   : copies->group > (uint64_t)groups_left ? copies->group - (uint64_t)groups_left
                                                           : 0;
  int n = 0, kept = 0;
  while (n < copies->n && copies->items[n].group < bound) n++;
  if (n > 0) {
    int small[64], *order = n <= 64 ? small : malloc(sizeof *order * (size_t)n);
    if (!order) abort();
    worker_order(worker_of(block), n, order);
    for (int k = 0; k < n; k++) land(thread, block, &copies->items[order[k]]);
    if (order != small) free(order);
  }
  for (int k = n; k < copies->n; k++) copies->items[kept++] = copies->items[k];
  copies->n = kept;
  if (groups_left < 0) copies->group++;
}

void copy_forget(SimThread *thread) {
  Copies *copies = thread->copies;
  if (!copies) return;
  free(copies->items);
  free(copies);
  thread->copies = NULL;
}
