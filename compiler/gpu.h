// Gpu: what limits kernels on GPUs - how many blocks a multiprocessor holds, and how fast a card can be at best.
//
// Times from here are bounds, for comparing kernels and for tests that keep them from getting worse. They are not
// measured and say nothing about how close a card comes to them.
#ifndef SG_GPU_H
#define SG_GPU_H

#include <stdbool.h>
#include <stdint.h>

// Per multiprocessor (CUDA C++ Programming Guide 13.0, table "Technical Specifications per Compute Capability").
typedef struct GpuLimits {
  int compute; // compute capability times ten
  int threads, blocks;
  int shared;          // bytes
  int shared_reserved; // bytes that every block costs beyond its own
  int shared_unit;     // bytes that shared memory is given out in
} GpuLimits;

// NULL if the architecture is not known.
const GpuLimits *gpu_limits(int compute);

// Blocks of `block` threads that one multiprocessor holds at a time, each thread with that many registers, each block
// with that much shared memory (static and dynamic); 0 if not even one fits.
int gpu_blocks(const GpuLimits *limits, int block, int registers, int shared);
// Share of the threads that a multiprocessor can hold: 0 .. 1.
double gpu_occupancy(const GpuLimits *limits, int block, int registers, int shared);

typedef struct GpuCard {
  const char *name;
  int compute, multiprocessors;
  double flops;     // f32 operations a second, multiply and add counted as two
  double bandwidth; // bytes a second of device memory
  double launch;    // seconds that one kernel takes at least, inside a captured graph
} GpuCard;

// The cards that bounds are given for: NULL behind the last.
const GpuCard *gpu_card(int k);

// Seconds that a kernel of so many operations and bytes takes at least: the roofline, and the share of the
// multiprocessors that `n_blocks` blocks leave idle.
double gpu_bound(const GpuCard *card, int64_t flops, int64_t bytes, int64_t n_blocks);

#endif
