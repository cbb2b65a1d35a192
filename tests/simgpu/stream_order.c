#include "tests/simgpu/stream_order.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CHAINS = 256, INDEX_BITS = 24, GRAIN = 2, NAMES = 1 << 16 };

// Of GRAIN bytes: the places of the last that wrote and of two that read since. A place is a chain and an index in it;
// 0 is nobody.
typedef struct Cell {
  uint32_t writer, readers[2];
} Cell;

static struct {
  Cell *cells[SIM_DEVICES];
  uint64_t n_cells[SIM_DEVICES];
  uint32_t next[CHAINS]; // index of the latest operation
  uint32_t host[CHAINS]; // what the host knows
  int n_chains;
  Op *running;
  struct {
    uint32_t place;
    char text[112];
  } * names; // of operations, by place
} order;

static bool is_on(void) { return sim_options.finds_races; }

static void hook(uint64_t address, unsigned n, bool was_read, bool was_written) {
  if (!order.running) return;
  if (was_read) stream_order_touch(order.running, address, n, SIM_READ);
  if (was_written) stream_order_touch(order.running, address, n, SIM_WRITE);
}

void stream_order_set_running(Op *op) {
  order.running = op;
  sim_touched = is_on() && op ? hook : NULL;
}

void stream_order_restart(void) {
  for (int d = 0; d < SIM_DEVICES; d++) {
    if (order.cells[d]) munmap(order.cells[d], order.n_cells[d] * sizeof(Cell));
    order.cells[d] = NULL;
  }
  if (!order.names) order.names = calloc(NAMES, sizeof *order.names);
  if (!order.names) abort();
}

int stream_order_chain(void) { return 1 + order.n_chains++ % (CHAINS - 1); }

// ---- clocks

static void join(uint32_t **clock, const uint32_t *other) {
  if (!*clock) *clock = calloc(CHAINS, sizeof **clock);
  if (!*clock) abort();
  for (int c = 0; other && c < CHAINS; c++)
    if (other[c] > (*clock)[c]) (*clock)[c] = other[c];
}

void stream_order_issue(Op *op) {
  if (is_on()) join(&op->clock, order.host);
}

void stream_order_join(Op *op, const Op *before) {
  if (is_on()) join(&op->clock, before->clock);
}

void stream_order_join_lane(Op *op, const Lane *lane) {
  if (is_on()) join(&op->clock, lane->clock);
}

static uint32_t name_slot(uint32_t place) { return place * 0x9E3779B1u >> 16; }

void stream_order_begin(Op *op) {
  if (!is_on() || op->place) return;
  int chain = op->lane->chain;
  join(&op->clock, op->lane->clock);
  uint32_t index = ++order.next[chain];
  op->clock[chain] = index;
  op->place = (uint32_t)chain << INDEX_BITS | (index & ((1u << INDEX_BITS) - 1));
  char text[80];
  work_describe(op->work, text, sizeof text);
  order.names[name_slot(op->place)].place = op->place;
  snprintf(order.names[name_slot(op->place)].text, sizeof order.names[0].text, "%s of device %d, %s %d", text,
           op->context->device, op->lane->lasting ? "stream" : "graph's branch", chain);
}

void stream_order_end(Op *op) {
  if (is_on() && op->clock) join(&op->lane->clock, op->clock);
}

void stream_order_meet(Op *const *ops, int n_ops) {
  uint32_t *all = NULL;
  if (!is_on()) return;
  for (int k = 0; k < n_ops; k++) join(&all, ops[k]->clock);
  for (int k = 0; k < n_ops; k++) join(&ops[k]->clock, all);
  free(all);
}

static void host_join(const uint32_t *clock) {
  for (int c = 0; clock && c < CHAINS; c++)
    if (clock[c] > order.host[c]) order.host[c] = clock[c];
}

void stream_order_host(const Op *op) {
  if (is_on()) host_join(op->clock);
}

void stream_order_host_lane(const Lane *lane) {
  if (is_on()) host_join(lane->clock);
}

void stream_order_host_all(void) { memcpy(order.host, order.next, sizeof order.host); }

void stream_order_release(Op *op) { free(op->clock); }
void stream_order_release_lane(Lane *lane) { free(lane->clock); }

// ---- memory

static bool comes_before(uint32_t place, const uint32_t *clock) {
  return clock[place >> INDEX_BITS] >= (place & ((1u << INDEX_BITS) - 1));
}

// The cells of a range; NULL if it is no device's.
static Cell *cells_of(uint64_t address, uint64_t bytes, uint64_t *out_n) {
  int d = sim_memory_device(address);
  if (d < 0) return NULL;
  const SimArena *arena = sim_memory_arena(d);
  if (!order.cells[d]) {
    order.n_cells[d] = arena->span / GRAIN;
    order.cells[d] = mmap(NULL, order.n_cells[d] * sizeof(Cell), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (order.cells[d] == MAP_FAILED) abort();
  }
  uint64_t first = (address - arena->base) / GRAIN, last = (address - arena->base + bytes - 1) / GRAIN;
  *out_n = last - first + 1;
  return order.cells[d] + first;
}

static const char *name_of(uint32_t place) {
  return order.names[name_slot(place)].place == place ? order.names[name_slot(place)].text : "an earlier operation";
}

static void conflict(Op *op, uint64_t address, SimAccess access, uint32_t other, bool other_writes) {
  char where[160];
  sim_memory_describe(address, where, sizeof where);
  driver_fail(op->context, CUDA_ERROR_LAUNCH_FAILED, "order: %s %s what %s %s, and nothing orders them: 0x%llx, %s",
              name_of(op->place), access == SIM_READ ? "reads" : "writes", name_of(other),
              other_writes ? "writes" : "reads", (unsigned long long)address, where);
}

static void note_reader(Cell *cell, uint32_t place, const uint32_t *clock) {
  uint32_t *free_slot = &cell->readers[1];
  for (int k = 1; k >= 0; k--) {
    if (cell->readers[k] == place) return;
    if (comes_before(cell->readers[k], clock)) free_slot = &cell->readers[k];
  }
  *free_slot = place;
}

void stream_order_touch(Op *op, uint64_t address, uint64_t bytes, SimAccess access) {
  if (!is_on() || !op->place || !bytes || op->context->error) return;
  uint64_t n;
  Cell *cell = cells_of(address, bytes, &n);
  for (uint64_t k = 0; cell && k < n; k++, cell++) {
    uint64_t at = address + k * GRAIN;
    if (cell->writer != op->place && !comes_before(cell->writer, op->clock)) {
      conflict(op, at, access, cell->writer, true);
      return;
    }
    if (access == SIM_READ) {
      note_reader(cell, op->place, op->clock);
      continue;
    }
    for (int r = 0; r < 2; r++)
      if (cell->readers[r] != op->place && !comes_before(cell->readers[r], op->clock)) {
        conflict(op, at, access, cell->readers[r], false);
        return;
      }
    cell->writer = op->place;
    cell->readers[0] = cell->readers[1] = 0;
  }
}

bool stream_order_host_knows(const Op *op) { return comes_before(op->place, order.host); }

void stream_order_free(uint64_t address, uint64_t bytes) {
  uint64_t n;
  if (!is_on() || !bytes) return;
  Cell *cell = cells_of(address, bytes, &n);
  bool told = false;
  for (uint64_t k = 0; cell && k < n; k++) {
    const uint32_t places[3] = {cell[k].writer, cell[k].readers[0], cell[k].readers[1]};
    for (int i = 0; i < 3 && !told; i++)
      if (!comes_before(places[i], order.host)) {
        driver_report("order: %llu bytes at 0x%llx are freed, and the host has not waited for %s",
                      (unsigned long long)bytes, (unsigned long long)address, name_of(places[i]));
        told = true;
      }
    memset(&cell[k], 0, sizeof *cell);
  }
}
