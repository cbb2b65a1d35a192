#include "tests/simgpu/machine_order.h"

#include <stdlib.h>
#include <string.h>

// What a block has published: its threads' accesses before these times.
typedef struct Snapshot {
  struct Snapshot *next; // all of a launch, to be freed
  uint32_t block;
  uint64_t address; // where
  uint32_t before[];
} Snapshot;

typedef struct Fence { // of a thread: what was ordered before it then
  uint32_t time;       // 0: none in this block
  uint32_t whole, warps[MAX_WARPS], lanes[WARP];
  uint32_t before_barrier; // time of its last fence before the last barrier of the whole block
} Fence;

typedef struct Known { // a snapshot that a thread of the current block has learned of
  const Snapshot *snapshot;
  int thread;
  uint32_t time;
} Known;

typedef struct Place { // an address of strong accesses: what has been published there
  uint64_t address;
  const Snapshot **by_block;
  uint32_t *blocks, n_blocks, room;
} Place;

struct Order {
  uint32_t n_blocks, block, now, whole;
  int n_threads;
  bool any_fence; // in this block
  uint32_t warps[MAX_WARPS][MAX_WARPS], lanes[MAX_WARPS][WARP][WARP];
  uint32_t arrived[MAX_BARRIERS][MAX_WARPS]; // times of bar.arrive
  Fence fences[MAX_THREADS];
  Known *known; // by block
  Snapshot *snapshots;
  Place *places;
  int n_places, room_places;
};

static void *must(void *memory) {
  if (!memory) abort();
  return memory;
}

Order *order_new(uint32_t n_blocks, int n_threads) {
  Order *order = must(calloc(1, sizeof *order));
  order->n_blocks = n_blocks;
  order->n_threads = n_threads;
  order->known = must(calloc(n_blocks, sizeof *order->known));
  return order;
}

void order_free(Order *order) {
  if (!order) return;
  for (Snapshot *at = order->snapshots, *next; at; at = next) {
    next = at->next;
    free(at);
  }
  for (int k = 0; k < order->n_places; k++) {
    free(order->places[k].by_block);
    free(order->places[k].blocks);
  }
  free(order->places);
  free(order->known);
  free(order);
}

void order_begin_block(Order *order, uint32_t block) {
  order->block = block;
  order->now = 1;
  order->whole = 0;
  order->any_fence = false;
  memset(order->warps, 0, sizeof order->warps);
  memset(order->lanes, 0, sizeof *order->lanes * (size_t)((order->n_threads + WARP - 1) / WARP));
  memset(order->arrived, 0, sizeof order->arrived);
  memset(order->fences, 0, sizeof *order->fences * (size_t)order->n_threads);
  memset(order->known, 0, sizeof *order->known * order->n_blocks);
}

uint32_t order_now(const Order *order) { return order->now; }

static uint32_t later(uint32_t a, uint32_t b) { return a > b ? a : b; }

// Accesses of thread t before this time are ordered before what thread u does now.
static uint32_t bound(const Order *order, int u, int t) {
  if (u == t) return UINT32_MAX;
  uint32_t time = later(order->whole, order->warps[u / WARP][t / WARP]);
  return u / WARP == t / WARP ? later(time, order->lanes[u / WARP][u % WARP][t % WARP]) : time;
}

void order_arrive(Order *order, uint32_t barrier, int warp) { order->arrived[barrier][warp] = ++order->now; }

// Who arrived without waiting is known to those who waited, up to its arrival, and learns nothing.
void order_barrier(Order *order, uint32_t barrier, const bool *takes_part) {
  bool whole = true, warps[MAX_WARPS] = {false};
  uint32_t joint[MAX_WARPS] = {0}, *arrived = order->arrived[barrier];
  for (int k = 0; k < order->n_threads; k++) {
    whole &= takes_part[k];
    warps[k / WARP] |= takes_part[k];
  }
  order->now++;
  if (whole) {
    order->whole = order->now;
    for (int k = 0; k < order->n_threads; k++) order->fences[k].before_barrier = order->fences[k].time;
    return;
  }
  for (int a = 0; a < MAX_WARPS; a++)
    for (int b = 0; (warps[a] || arrived[a]) && b < MAX_WARPS; b++) joint[b] = later(joint[b], order->warps[a][b]);
  for (int b = 0; b < MAX_WARPS; b++) joint[b] = warps[b] ? order->now : later(joint[b], arrived[b]);
  for (int a = 0; a < MAX_WARPS; a++)
    if (warps[a]) memcpy(order->warps[a], joint, sizeof joint);
  memset(arrived, 0, sizeof order->arrived[barrier]);
}

void order_warp(Order *order, int warp, uint32_t mask) {
  uint32_t joint[WARP] = {0};
  order->now++;
  for (int u = 0; u < WARP; u++)
    for (int t = 0; mask >> u & 1 && t < WARP; t++) joint[t] = later(joint[t], order->lanes[warp][u][t]);
  for (int u = 0; u < WARP; u++)
    for (int t = 0; mask >> u & 1 && t < WARP; t++) order->lanes[warp][u][t] = mask >> t & 1 ? order->now : joint[t];
}

void order_fence(Order *order, int thread) {
  Fence *fence = &order->fences[thread];
  order->any_fence = true;
  fence->time = ++order->now;
  fence->whole = order->whole;
  memcpy(fence->warps, order->warps[thread / WARP], sizeof fence->warps);
  memcpy(fence->lanes, order->lanes[thread / WARP][thread % WARP], sizeof fence->lanes);
}

// ---- between blocks

static Place *place_of(Order *order, uint64_t address, bool makes) {
  for (int k = 0; k < order->n_places; k++)
    if (order->places[k].address == address) return &order->places[k];
  if (!makes) return NULL;
  if (order->n_places == order->room_places) {
    order->room_places = order->room_places ? 2 * order->room_places : 8;
    order->places = must(realloc(order->places, sizeof *order->places * (size_t)order->room_places));
  }
  Place *place = &order->places[order->n_places++];
  *place = (Place){.address = address, .by_block = must(calloc(order->n_blocks, sizeof *place->by_block))};
  return place;
}

static void publish_one(Place *place, const Snapshot *snapshot) {
  if (!place->by_block[snapshot->block]) {
    if (place->n_blocks == place->room) {
      place->room = place->room ? 2 * place->room : 16;
      place->blocks = must(realloc(place->blocks, sizeof *place->blocks * place->room));
    }
    place->blocks[place->n_blocks++] = snapshot->block;
  }
  place->by_block[snapshot->block] = snapshot;
}

// Whether thread u knows a snapshot that another thread of the block may have learned of.
static bool has_learned(const Order *order, const Known *known, int u) {
  return known->snapshot && (known->thread == u || known->time < bound(order, u, known->thread));
}

static void publish(Order *order, int thread, Place *place) {
  const Fence *fence = &order->fences[thread];
  Snapshot *snapshot = must(calloc(1, sizeof *snapshot + sizeof *snapshot->before * (size_t)order->n_threads));
  snapshot->block = order->block;
  snapshot->address = place->address;
  snapshot->next = order->snapshots;
  order->snapshots = snapshot;
  for (int t = 0; t < order->n_threads; t++) {
    // What was ordered before this thread's fence, ...
    uint32_t before = 0;
    if (fence->time) {
      before = t == thread ? fence->time : later(fence->whole, fence->warps[t / WARP]);
      if (t != thread && t / WARP == thread / WARP) before = later(before, fence->lanes[t % WARP]);
    }
    // ... and what the thread itself fenced before this thread met it.
    const Fence *own = &order->fences[t];
    uint32_t met = bound(order, thread, t);
    if (t != thread) before = later(before, own->time < met ? own->time : own->before_barrier);
    snapshot->before[t] = before;
  }
  publish_one(place, snapshot);
  for (uint32_t block = 0; block < order->n_blocks; block++)
    if (has_learned(order, &order->known[block], thread) && !place->by_block[block])
      publish_one(place, order->known[block].snapshot);
}

void order_strong(Order *order, int thread, uint64_t address, bool reads, bool writes) {
  Place *place = place_of(order, address, writes && order->any_fence);
  if (!place) return;
  order->now++;
  if (reads)
    for (uint32_t k = 0; k < place->n_blocks; k++) {
      uint32_t block = place->blocks[k];
      if (block != order->block && order->known[block].snapshot != place->by_block[block])
        order->known[block] = (Known){place->by_block[block], thread, order->now};
    }
  if (writes && !reads) { // a plain store hides what stood there
    for (uint32_t k = 0; k < place->n_blocks; k++) place->by_block[place->blocks[k]] = NULL;
    place->n_blocks = 0;
  }
  if (writes && order->any_fence) publish(order, thread, place);
  order->now++;
}

bool order_knows(const Order *order, int u, uint32_t block, int by, uint32_t time, uint64_t strong_at) {
  if (block == order->block) return time < bound(order, u, by);
  const Known *known = &order->known[block];
  if (!has_learned(order, known, u)) return false;
  return time < known->snapshot->before[by] || (strong_at && strong_at == known->snapshot->address);
}
