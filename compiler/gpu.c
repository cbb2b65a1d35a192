// Gpu: occupancy and bounds.
#include "compiler/gpu.h"

#include <stddef.h>

static const GpuLimits limits_of[] = {
    {61, 2048, 32, 96 << 10, 0, 256},      {70, 2048, 32, 96 << 10, 0, 256},      {75, 1024, 16, 64 << 10, 0, 256},
    {80, 2048, 32, 164 << 10, 1024, 128},  {86, 1536, 16, 100 << 10, 1024, 128},  {87, 1536, 16, 164 << 10, 1024, 128},
    {89, 1536, 24, 100 << 10, 1024, 128},  {90, 2048, 32, 228 << 10, 1024, 128},  {100, 2048, 32, 228 << 10, 1024, 128},
    {103, 2048, 32, 228 << 10, 1024, 128}, {110, 1536, 24, 228 << 10, 1024, 128}, {120, 1536, 24, 100 << 10, 1024, 128},
    {121, 1536, 24, 100 << 10, 1024, 128},
};

const GpuLimits *gpu_limits(int compute) {
  for (size_t i = 0; i < sizeof limits_of / sizeof *limits_of; i++) {
    if (limits_of[i].compute == compute) return &limits_of[i];
  }
  return NULL;
}

static int round_up(int n, int unit) { return (n + unit - 1) / unit * unit; }

int gpu_blocks(const GpuLimits *limits, int block, int registers, int shared) {
  enum { WARP = 32, REGISTERS = 65536, REGISTER_UNIT = 256, WARP_UNIT = 4 };
  if (block < 1 || block > 1024) return 0;
  int warps = round_up(block, WARP) / WARP;
  int by_threads = limits->threads / (warps * WARP), blocks = limits->blocks;
  if (by_threads < blocks) blocks = by_threads;
  if (registers > 0) {
    // Registers are given to warps in units, and warps stand on four partitions.
    int a_warp = round_up(registers * WARP, REGISTER_UNIT);
    int by_registers = REGISTERS / a_warp / WARP_UNIT * WARP_UNIT / warps;
    if (by_registers < blocks) blocks = by_registers;
  }
  int a_block = round_up(shared + limits->shared_reserved, limits->shared_unit);
  if (a_block > 0 && limits->shared / a_block < blocks) blocks = limits->shared / a_block;
  return blocks;
}

double gpu_occupancy(const GpuLimits *limits, int block, int registers, int shared) {
  int blocks = gpu_blocks(limits, block, registers, shared);
  return (double)blocks * round_up(block, 32) / limits->threads;
}

// From the makers' data sheets; launches inside a graph take about a microsecond on the newer ones.
static const GpuCard cards[] = {
    {"GTX 1080 Ti", 61, 28, 11.3e12, 484e9, 2.5e-6},
    {"A100", 80, 108, 19.5e12, 1555e9, 1.5e-6},
    {"H100", 90, 132, 66.9e12, 3350e9, 1.2e-6},
};

const GpuCard *gpu_card(int k) { return k >= 0 && k < (int)(sizeof cards / sizeof *cards) ? &cards[k] : NULL; }

double gpu_bound(const GpuCard *card, int64_t flops, int64_t bytes, int64_t n_blocks) {
  double share = n_blocks > 0 && n_blocks < card->multiprocessors ? (double)n_blocks / card->multiprocessors : 1;
  double compute = (double)flops / (card->flops * share), memory = (double)bytes / card->bandwidth;
  double time = compute > memory ? compute : memory;
  return time > card->launch ? time : card->launch;
}
