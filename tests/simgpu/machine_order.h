// Which accesses of a launch are ordered before which threads: what barriers, warp barriers, and fences with atomics
// say.
//
// Every block has a clock that its synchronising events advance. An access bears the clock's value. A later access of
// thread u sees an access of thread t of its own block as ordered if it is older than what u knows of t: the time of
// the last barrier of the whole block, of barriers between their warps, or between lanes of their warp.
//
// Between blocks: a thread that fences and then does an atomic (or a volatile store) at an address publishes what is
// ordered before that fence, and what others fenced before a barrier that it has passed. A thread that does an atomic
// (or volatile load) there afterwards knows all of it, and hands it on in the same ways.
#ifndef SIM_MACHINE_ORDER_H
#define SIM_MACHINE_ORDER_H

#include "tests/simgpu/machine_run.h"

enum { MAX_WARPS = 32, MAX_THREADS = 1024 };

typedef struct Order Order;

Order *order_new(uint32_t n_blocks, int n_threads);
void order_free(Order *order);
void order_begin_block(Order *order, uint32_t block);
uint32_t order_now(const Order *order);

void order_barrier(Order *order, uint32_t barrier, const bool *takes_part); // by thread
void order_arrive(Order *order, uint32_t barrier, int warp);
void order_warp(Order *order, int warp, uint32_t mask);
void order_fence(Order *order, int thread);
// A strong access of global memory: what it publishes and what it learns.
void order_strong(Order *order, int thread, uint64_t address, bool reads, bool writes);

// Whether an access that thread `by` of `block` did at `time` is ordered before what thread `u` of the current block
// does now. `strong_at`: the address if that access was strong, else 0.
bool order_knows(const Order *order, int u, uint32_t block, int by, uint32_t time, uint64_t strong_at);

#endif
