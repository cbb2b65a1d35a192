// Races: two accesses of a byte, one of them a write, that nothing orders (machine_order.h) and that are not both
// atomic.
//
// Of every word it is kept who wrote it last and who read it; a word that is accessed in smaller pieces is split into
// bytes. Words of global memory lie in pages that are made when they are first touched.
#include "tests/simgpu/machine_order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Mark {
  uint32_t block, time; // time 0: nobody
  uint32_t thread : 10, is_strong : 1, site : 21;
} Mark;

// Readers: the last one, another thread of its block, and one of another block.
typedef struct Cell {
  Mark write, read, read_other, read_far;
  struct Cell *bytes; // NULL while the word is whole
} Cell;

enum { PAGE_BYTES = 4096, PAGE_WORDS = PAGE_BYTES / 4 };

typedef struct Page {
  uint64_t number;
  Cell cells[PAGE_WORDS];
} Page;

static struct {
  Order *order;
  Page **pages; // open addressing
  size_t n_pages, room_pages;
  Page *latest;
  Cell *shared;
  Cell **split; // bytes of split words, to be freed
  size_t n_split, room_split;
} races;

// Pages of earlier launches: the system's own pages behind them cost more than the marks.
enum { SPARE_PAGES = 4096 };
static Page *spare[SPARE_PAGES];
static int n_spare;

static void *must(void *memory) {
  if (!memory) abort();
  return memory;
}

void race_begin(Worker *worker) {
  races.order = order_new(worker->launch->n_blocks, worker->n_threads);
  size_t shared_bytes = worker->block.dynamic + worker->block.dynamic_bytes;
  races.shared = must(calloc(shared_bytes / 4 + 8, sizeof *races.shared));
}

void race_begin_block(Worker *worker) { order_begin_block(races.order, worker->block.index); }

void (*sim_touched)(uint64_t address, unsigned bytes, bool was_read, bool was_written);

// A word that was read and then written counts as written alone, which conflicts with all that a read does.
static void tell_touched(const Page *page) {
  for (uint64_t k = 0; k < PAGE_WORDS; k++) {
    const Cell *cell = &page->cells[k];
    for (uint64_t b = 0; b < (cell->bytes ? 4 : 1); b++) {
      const Cell *part = cell->bytes ? &cell->bytes[b] : cell;
      bool was_read = part->read.time, was_written = part->write.time;
      if (was_read || was_written)
        sim_touched(page->number * PAGE_BYTES + 4 * k + b, cell->bytes ? 1 : 4, was_read, was_written);
    }
  }
}

void race_end(Worker *worker) {
  (void)worker;
  for (size_t k = 0; sim_touched && k < races.room_pages; k++)
    if (races.pages[k]) tell_touched(races.pages[k]);
  for (size_t k = 0; k < races.room_pages; k++)
    if (races.pages[k] && n_spare < SPARE_PAGES) spare[n_spare++] = races.pages[k];
    else free(races.pages[k]);
  for (size_t k = 0; k < races.n_split; k++) free(races.split[k]);
  free(races.split);
  free(races.pages);
  free(races.shared);
  order_free(races.order);
  memset(&races, 0, sizeof races);
}

static Page **slot_of(uint64_t number) {
  size_t at = (size_t)(number * 0x9e3779b97f4a7c15ull >> 20) & (races.room_pages - 1);
  while (races.pages[at] && races.pages[at]->number != number) at = (at + 1) & (races.room_pages - 1);
  return &races.pages[at];
}

static Cell *global_cell(uint64_t address) {
  uint64_t number = address / PAGE_BYTES;
  if (!races.latest || races.latest->number != number) {
    if (2 * (races.n_pages + 1) > races.room_pages) {
      Page **old = races.pages;
      size_t n_old = races.room_pages;
      races.room_pages = n_old ? 2 * n_old : 256;
      races.pages = must(calloc(races.room_pages, sizeof *races.pages));
      for (size_t k = 0; k < n_old; k++)
        if (old[k]) *slot_of(old[k]->number) = old[k];
      free(old);
    }
    Page **slot = slot_of(number);
    if (!*slot) {
      *slot = n_spare ? memset(spare[--n_spare], 0, sizeof **slot) : must(calloc(1, sizeof **slot));
      (*slot)->number = number;
      races.n_pages++;
    }
    races.latest = *slot;
  }
  return &races.latest->cells[address % PAGE_BYTES / 4];
}

// ---- one cell

typedef struct Access {
  SimThread *thread;
  SimBlock *block;
  uint64_t address;
  unsigned n, site;
  int kind;
  bool is_shared, writes, is_strong;
} Access;

static const char *verb(bool writes, bool is_strong) { return is_strong ? "atomic access" : writes ? "write" : "read"; }

static __attribute__((noreturn)) void report(const Access *access, const Mark *other, bool other_writes) {
  const SimLaunch *launch = worker_of(access->block)->launch->launch;
  SimBlock where = *access->block;
  SimThread thread = {.index = other->thread};
  char who[120], site[190], place[160] = "";
  where.ctaid[0] = other->block % launch->grid[0];
  where.ctaid[1] = other->block / launch->grid[0] % launch->grid[1];
  where.ctaid[2] = other->block / launch->grid[0] / launch->grid[1];
  thread.tid[0] = thread.index % launch->block[0];
  thread.tid[1] = thread.index / launch->block[0] % launch->block[1];
  thread.tid[2] = thread.index / launch->block[0] / launch->block[1];
  describe_thread(&thread, &where, who, sizeof who);
  describe_site(access->block, other->site, site, sizeof site);
  if (!access->is_shared) sim_memory_describe(access->address, place, sizeof place);
  fault_at(access->thread, access->block, SIM_RACE, access->site,
           "race at %s0x%llx%s%s%s: nothing orders the %s by %s (%s) before the %s", access->is_shared ? "shared " : "",
           (unsigned long long)access->address, *place ? " (" : "", place, *place ? ")" : "",
           verb(other_writes, other->is_strong), who, site, verb(access->writes, access->is_strong));
}

static void check(const Access *access, const Mark *mark, bool mark_writes) {
  if (!mark->time) return;
  bool same_block = mark->block == access->block->index;
  if (access->is_shared && !same_block) return; // another block's shared memory
  if (same_block && mark->thread == access->thread->index) return;
  if (mark->is_strong && access->is_strong) return;
  if (!order_knows(races.order, (int)access->thread->index, mark->block, mark->thread, mark->time,
                   mark->is_strong ? access->address : 0))
    report(access, mark, mark_writes);
}

static void visit(const Access *access, Cell *cell) {
  Mark mark = {access->block->index, order_now(races.order), access->thread->index, access->is_strong, access->site};
  check(access, &cell->write, true);
  if (access->writes) {
    check(access, &cell->read, false);
    check(access, &cell->read_other, false);
    check(access, &cell->read_far, false);
    cell->write = mark;
    if (!access->is_strong) memset(&cell->read, 0, 3 * sizeof cell->read);
    return;
  }
  if (cell->read.time && cell->read.block != mark.block) {
    cell->read_far = cell->read;
    memset(&cell->read_other, 0, sizeof cell->read_other);
  } else if (cell->read.time && cell->read.thread != mark.thread) {
    cell->read_other = cell->read;
  }
  cell->read = mark;
}

static void split(Cell *cell) {
  Cell *bytes = must(calloc(4, sizeof *bytes));
  for (int k = 0; k < 4; k++) bytes[k] = *cell;
  for (int k = 0; k < 4; k++) bytes[k].bytes = NULL;
  cell->bytes = bytes;
  if (races.n_split == races.room_split) {
    races.room_split = races.room_split ? 2 * races.room_split : 64;
    races.split = must(realloc(races.split, sizeof *races.split * races.room_split));
  }
  races.split[races.n_split++] = bytes;
}

void race_access(SimThread *thread, SimBlock *block, int is_shared, uint64_t address, unsigned n, int kind,
                 unsigned site) {
  bool reads = kind == ACCESS_ATOMIC || kind == ACCESS_READ || kind == ACCESS_STRONG_READ;
  Access access = {thread, block, address, n, site, kind, is_shared, false, false};
  access.writes = kind == ACCESS_ATOMIC || kind == ACCESS_WRITE || kind == ACCESS_STRONG_WRITE;
  access.is_strong = kind == ACCESS_ATOMIC || kind == ACCESS_STRONG_READ || kind == ACCESS_STRONG_WRITE;
  for (unsigned k = 0; k < n;) {
    Cell *cell = is_shared ? &races.shared[(address + k) / 4] : global_cell(address + k);
    unsigned piece = n - k < 4 ? n - k : 4;
    if (piece < 4 && !cell->bytes) split(cell);
    if (!cell->bytes) visit(&access, cell);
    else
      for (unsigned b = 0; b < piece; b++) visit(&access, &cell->bytes[(address + k + b) % 4]);
    k += piece;
  }
  if (access.is_strong && !is_shared) order_strong(races.order, (int)thread->index, address, reads, access.writes);
}

void race_fence(SimThread *thread, SimBlock *block, int level) {
  (void)block;
  if (level > 0) order_fence(races.order, (int)thread->index);
}

void race_barrier(Worker *worker, uint32_t barrier, const bool *takes_part) {
  (void)worker;
  order_barrier(races.order, barrier, takes_part);
}

void race_arrive(Worker *worker, uint32_t barrier, int warp) {
  (void)worker;
  order_arrive(races.order, barrier, warp);
}

void race_warp(Worker *worker, int warp, uint32_t mask) {
  (void)worker;
  order_warp(races.order, warp, mask);
}
