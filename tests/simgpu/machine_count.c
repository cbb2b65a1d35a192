// Counters of a launch. Threads run one after the other, so every access is noted with how often its thread has been at
// that instruction; what the lanes of a warp did there for the same time is one request.
#include "tests/simgpu/machine_run.h"

#include <stdlib.h>
#include <string.h>

typedef struct Event {
  uint64_t address;
  uint32_t site, visit;
  uint8_t lane, n, is_shared;
} Event;

typedef struct Log { // of a warp
  Event *events;
  size_t n, room;
} Log;

enum { SECTOR = 32, PAGE_BYTES = 4096, PAGE_SECTORS = PAGE_BYTES / SECTOR };

typedef struct Page { // which sectors of 4 KiB were touched
  uint64_t number;
  bool is_used, read[PAGE_SECTORS], written[PAGE_SECTORS];
} Page;

static struct {
  Log logs[1024 / WARP];
  uint32_t *visits; // by thread and site
  size_t n_sites, n_threads;
  Page *pages; // open addressing
  size_t n_pages, room_pages;
} counting;

static SimCounters counters;

const SimCounters *sim_machine_counters(void) { return &counters; }

static void *must(void *memory) {
  if (!memory) abort();
  return memory;
}

// ---- DRAM

static Page *slot_of(Page *pages, size_t room, uint64_t number) {
  size_t at = (size_t)(number * 0x9e3779b97f4a7c15ull >> 20) & (room - 1);
  while (pages[at].is_used && pages[at].number != number) at = (at + 1) & (room - 1);
  return &pages[at];
}

static void touch_sector(uint64_t address, bool reads, bool writes) {
  if (2 * (counting.n_pages + 1) > counting.room_pages) {
    size_t room = counting.room_pages ? 2 * counting.room_pages : 1024;
    Page *pages = must(calloc(room, sizeof *pages));
    for (size_t k = 0; k < counting.room_pages; k++)
      if (counting.pages[k].is_used) *slot_of(pages, room, counting.pages[k].number) = counting.pages[k];
    free(counting.pages);
    counting.pages = pages;
    counting.room_pages = room;
  }
  Page *page = slot_of(counting.pages, counting.room_pages, address / PAGE_BYTES);
  if (!page->is_used) {
    page->is_used = true;
    page->number = address / PAGE_BYTES;
    counting.n_pages++;
  }
  uint64_t sector = address % PAGE_BYTES / SECTOR;
  if (reads && !page->read[sector]) page->read[sector] = true, counters.dram_read += SECTOR;
  if (writes && !page->written[sector]) page->written[sector] = true, counters.dram_written += SECTOR;
}

// ---- requests

static int by_number(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static int distinct(uint64_t *numbers, int n) {
  int kept = 0;
  qsort(numbers, (size_t)n, sizeof *numbers, by_number);
  for (int k = 0; k < n; k++)
    if (!k || numbers[k] != numbers[k - 1]) numbers[kept++] = numbers[k];
  return kept;
}

static void global_request(const Event *events, int n) {
  uint64_t sectors[2 * WARP], words[4 * WARP];
  int n_sectors = 0, n_words = 0;
  unsigned unit = events[0].n < 4 ? events[0].n : 4;
  for (int k = 0; k < n && k < WARP; k++) {
    sectors[n_sectors++] = events[k].address / SECTOR;
    if ((events[k].address + events[k].n - 1) / SECTOR != events[k].address / SECTOR)
      sectors[n_sectors++] = (events[k].address + events[k].n - 1) / SECTOR;
    for (unsigned at = 0; at < events[k].n; at += unit) words[n_words++] = events[k].address + at;
  }
  counters.requests++;
  counters.sectors += (uint64_t)distinct(sectors, n_sectors);
  counters.ideal_sectors += ((uint64_t)distinct(words, n_words) * unit + SECTOR - 1) / SECTOR;
}

// Lanes of one pass over the banks: accesses of 8 bytes go by half warps, of 16 bytes by quarters.
static void shared_pass(const Event *events, int n) {
  uint64_t words[4 * WARP];
  int n_words = 0, in_bank[32] = {0}, waves = 0;
  for (int k = 0; k < n && k < WARP; k++)
    for (unsigned at = 0; at < events[k].n; at += 4) words[n_words++] = (events[k].address + at) / 4;
  n_words = distinct(words, n_words);
  for (int k = 0; k < n_words; k++)
    if (++in_bank[words[k] % 32] > waves) waves = in_bank[words[k] % 32];
  counters.shared_requests++;
  counters.shared_waves += (uint64_t)waves;
}

static void shared_request(const Event *events, int n) {
  int lanes = events[0].n == 16 ? 8 : events[0].n == 8 ? 16 : 32;
  for (int k = 0, first = 0; k < n; k++)
    if (k + 1 == n || events[k + 1].lane / lanes != events[first].lane / lanes) {
      shared_pass(events + first, k + 1 - first);
      first = k + 1;
    }
}

static int by_request(const void *a, const void *b) {
  const Event *x = a, *y = b;
  if (x->site != y->site) return x->site < y->site ? -1 : 1;
  if (x->is_shared != y->is_shared) return x->is_shared - y->is_shared;
  if (x->visit != y->visit) return x->visit < y->visit ? -1 : 1;
  return x->lane - y->lane;
}

// All threads have come equally far: what is noted is complete.
void count_block(Worker *worker) {
  for (int warp = 0; warp < worker->n_warps; warp++) {
    Log *log = &counting.logs[warp];
    if (log->n) qsort(log->events, log->n, sizeof *log->events, by_request);
    for (size_t first = 0, k = 0; k < log->n; k++) {
      const Event *a = &log->events[first], *next = &log->events[k + 1];
      if (k + 1 < log->n && a->site == next->site && a->visit == next->visit && a->is_shared == next->is_shared)
        continue;
      if (a->is_shared) shared_request(a, (int)(k + 1 - first));
      else global_request(a, (int)(k + 1 - first));
      first = k + 1;
    }
    log->n = 0;
  }
  memset(counting.visits, 0, sizeof *counting.visits * counting.n_sites * counting.n_threads);
}

void count_begin(Worker *worker) {
  memset(&counters, 0, sizeof counters);
  counting.n_sites = (size_t)worker->launch->entry->n_sites + 1;
  counting.n_threads = (size_t)worker->n_threads;
  counting.visits = must(calloc(counting.n_sites * counting.n_threads, sizeof *counting.visits));
}

void count_end(Worker *worker) {
  counters.instructions = worker->block.instructions;
  counters.flops = worker->block.flops;
  for (int warp = 0; warp < 1024 / WARP; warp++) free(counting.logs[warp].events);
  free(counting.visits);
  free(counting.pages);
  memset(&counting, 0, sizeof counting);
}

void count_access(SimThread *thread, SimBlock *block, int is_shared, uint64_t address, unsigned n, int access,
                  unsigned site) {
  (void)block;
  Log *log = &counting.logs[thread->warp];
  if (log->n == log->room) {
    log->room = log->room ? 2 * log->room : 1024;
    log->events = must(realloc(log->events, sizeof *log->events * log->room));
  }
  uint32_t visit = counting.visits[thread->index * counting.n_sites + site]++;
  log->events[log->n++] = (Event){address, site, visit, (uint8_t)thread->lane, (uint8_t)n, (uint8_t)is_shared};
  if (!is_shared)
    touch_sector(address, access == ACCESS_READ || access == ACCESS_STRONG_READ || access == ACCESS_ATOMIC,
                 access == ACCESS_WRITE || access == ACCESS_STRONG_WRITE || access == ACCESS_ATOMIC);
}
