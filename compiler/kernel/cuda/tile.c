// Tiles of matrix products on CUDA: a model of the time that a choice takes, and the choice.
//
// The model counts cycles of one multiprocessor: what its schedulers issue for the blocks that are resident on it, the
// latency of a trip to memory for every step in depth (loads are issued one step ahead), what the second level of the
// cache delivers, and a constant for starting a wave, for finishing a tile and for meeting at a split sum. It ranks
// tiles; it does not predict times.
#include "compiler/kernel/cuda/contract.h"
#include "compiler/kernel/schedule_map.h"
#include "runtime/kernel_abi.h"

enum {
  ISSUE = 4,            // instructions a cycle
  LATENCY = 500,        // cycles from a load to its use, a barrier included
  BYTES_A_CYCLE = 40,   // from the second-level cache, a multiprocessor
  START = 1500,         // cycles until a wave's first operands are there
  MMA = 8,              // cycles of a scheduler for an instruction of its tensor core
  FINISH = 10,          // instructions for a result
  STALL = 2,            // cycles that a warp takes for an instruction that waits for the one before
  MEET = 3000,          // cycles for the last block to find the others' parts
  REGISTERS = 64 << 10, // of a multiprocessor
  MAX_SPLITS = 4096,
  DEEP = 1 << 15, // terms of a sum that come from memory, whatever the cache holds
};

static const CudaTile tiles[] = {
    {128, 128, 8, 8, 8, 0, 1}, {128, 64, 8, 8, 8, 0, 1},  {64, 128, 8, 8, 8, 0, 1}, {64, 64, 8, 8, 4, 0, 1},
    {128, 32, 8, 8, 4, 0, 1},  {32, 128, 8, 4, 8, 0, 1},  {32, 64, 16, 4, 4, 0, 1}, {64, 32, 16, 4, 4, 0, 1},
    {32, 32, 16, 4, 4, 0, 1},  {16, 128, 16, 4, 4, 0, 1}, {16, 64, 16, 4, 4, 0, 1}, {64, 16, 16, 4, 2, 0, 1},
    {32, 16, 16, 4, 2, 0, 1},  {8, 128, 16, 2, 4, 0, 1},  {8, 64, 16, 2, 4, 0, 1},  {16, 128, 8, 4, 4, 0, 1},
    {16, 64, 8, 4, 4, 0, 1},   {8, 128, 8, 2, 4, 0, 1},   {8, 64, 8, 2, 4, 0, 1},
};
// For gradients by the weight of few channels, whose sums go over so many pixels that splits alone fill the device: a
// block is a warp.
static const CudaTile deep_tiles[] = {
    {4, 16, 32, 1, 2, 0, 1},  {4, 32, 32, 1, 4, 0, 1},  {8, 16, 32, 2, 2, 0, 1},  {8, 32, 16, 2, 4, 0, 1},
    {16, 16, 16, 4, 2, 0, 1}, {16, 32, 16, 4, 4, 0, 1}, {32, 32, 16, 8, 4, 0, 1}, {16, 64, 16, 4, 8, 0, 1},
};
// A word of shared memory holds two factors of half the size: these are then twice as deep.
static const CudaTile mma_tiles[] = {
    {128, 128, 16, 16, 4, 1, 1}, {128, 64, 16, 16, 4, 1, 1}, {64, 128, 16, 8, 8, 1, 1},
    {64, 64, 16, 8, 4, 1, 1},    {32, 64, 16, 4, 4, 1, 1},   {64, 32, 16, 4, 4, 1, 1},
    {32, 32, 16, 4, 2, 1, 1},    {16, 128, 16, 4, 4, 1, 1},  {16, 64, 16, 4, 2, 1, 1},
};

int cuda_tile_threads(const CudaTile *tile) { return tile->bm * tile->bn / (tile->tm * tile->tn); }

const char *cuda_tile_name(const CudaTile *tile, Precision precision, Arena *arena) {
  if (!tile->pack)
    return arena_printf(arena, "SgTile<%d, %d, %d, %d, %d>", tile->bm, tile->bn, tile->bk, tile->tm, tile->tn);
  return arena_printf(arena, "SgMma<%d, %d, %d, %d, %d, %d>", tile->bm, tile->bn, tile->bk, 4 * tile->tm, 8 * tile->tn,
                      (int)precision);
}

// Two tiles of each operand, their lines longer by PAD so that they fall into different banks; when these are done
// with, each warp has room for ROWS lines of results (SgTile, SgMma).
int cuda_tile_shared(const CudaTile *tile) {
  int pad = tile->pack ? 8 : 4, warps = cuda_tile_threads(tile) / 32;
  int deep = tile->pack == 2 ? tile->bk / 2 : tile->bk, operands = 2 * deep * (tile->bm + tile->bn + 2 * pad);
  int lines = tile->pack ? warps * 8 * (8 * tile->tn + 8) : warps * 4 * 8 * tile->tn;
  return operands > lines ? operands : lines;
}

int cuda_tile_resident(const CudaTile *tile) {
  int threads = cuda_tile_threads(tile), registers = threads <= 128 ? 168 : 128;
  return REGISTERS / (registers * threads);
}

int cuda_multiprocessors(const Target *target) {
  switch (target->compute) {
  case 61: return 20;
  case 70: return 80;
  case 75: return 40;
  case 80: return 108;
  case 86:
  case 89: return 64;
  case 87:
  case 110: return 16;
  case 90: return 132;
  case 120:
  case 121: return 84;
  default: return 148;
  }
}

// Instructions that a block's threads spend on bringing one operand's tile of c x bk into shared memory.
static double staging(const CudaOperand *operand, int c, int bk) {
  double each =
      operand->read == CUDA_READ_FOUR ? 0.25 * 8 : (operand->read == CUDA_READ_ONE ? 4 : 2) + (double)operand->price;
  return each * c * bk;
}

// Addresses or values that a thread has in registers for its share of an operand's tile, where it takes one for each.
static int singles(const Target *target, const CudaOperand *operand, int c, const CudaTile *tile) {
  bool has_few = operand->read == CUDA_READ_FOUR || operand->read == CUDA_READ_COSTLY ||
                 (operand->read == CUDA_READ_GATHER && target->compute >= 80 && !tile->pack);
  return has_few ? 0 : c * tile->bk / cuda_tile_threads(tile);
}

// Whether the template can, and these fit beside the sums, of which large blocks leave each thread the least room for
// anything else.
static bool has_room(const Target *target, const CudaOperand *a, const CudaOperand *b, const CudaTile *tile) {
  enum { ROOM = 8, LARGE = 64 };
  int of_a = singles(target, a, tile->bm, tile), of_b = singles(target, b, tile->bn, tile);
  if (of_a > ROOM || of_b > ROOM) return false;
  if (b->read == CUDA_READ_GATHER && cuda_tile_threads(tile) % tile->bn) return false; // a thread has one column
  if (tile->tm * tile->tn < LARGE) return true;
  return cuda_tile_threads(tile) > 128 ? of_a + of_b == 0 : of_a + of_b <= ROOM;
}

// The columns' tiles, what an element of the operand costs in one, and a step's trips to memory, where it is made by
// patches. What is copied arrives while the step before is multiplied; what is computed a few elements at a time.
static int64_t patches(const Target *target, const CudaTile *tile, CudaOperand *b, int64_t *trips) {
  Shape shape = b->patch->shape;
  CudaWindow window = cuda_choose_patch(b->patch, tile->bn, tile->bk, cuda_tile_threads(tile));
  bool is_copied = target->compute >= 80 && b->price <= COST_LOAD;
  if (!is_copied) *trips += cuda_window_trips(&window);
  b->price = cuda_window_price(&window, b->price);
  return shape.dim[0] * ceil_div(shape.dim[2], window.th) * ceil_div(shape.dim[3], window.tw);
}

int cuda_split_groups(int splits) {
  int group = 1;
  while (group * group < splits) group *= 2;
  return splits <= CUDA_FEW_SPLITS ? 0 : (int)ceil_div(splits, group);
}

static double meeting(const CudaTile *tile) {
  if (tile->splits == 1) return 0;
  int groups = cuda_split_groups(tile->splits),
      added = groups ? (int)ceil_div(tile->splits, groups) + groups : tile->splits;
  return MEET * (groups ? 2 : 1) + 4.0 * added * tile->bm * tile->bn / BYTES_A_CYCLE * 2;
}

static double time_of(const Target *target, const CudaTile *tile, const CudaProduct *p, const CudaOperand *a,
                      const CudaOperand *right) {
  int threads = cuda_tile_threads(tile), count = tile->tm * tile->tn;
  CudaOperand of_tile = *right, *b = &of_tile;
  int64_t trips = 0, columns = b->patch ? patches(target, tile, b, &trips) : ceil_div(p->n, tile->bn);
  int64_t blocks = p->batches * ceil_div(p->m, tile->bm) * columns * tile->splits;
  double steps = (double)ceil_div(ceil_div(p->k, tile->bk), tile->splits);
  // Of all threads together, in instructions of warps.
  double inner = (count + (tile->tm + 3) / 4 + (tile->tn + 3) / 4) * (double)tile->bk * threads;
  if (tile->pack) {
    int factors = target->precision == PRECISION_TF32 ? 8 : 16; // deep is an instruction, of 16 x 8 results
    double issued = MMA * (tile->tm / 4.0) * tile->tn + 4 * (tile->tm / 4.0) + 2 * tile->tn;
    inner = issued * tile->bk / factors * threads;
  }
  // A warp alone: what it brings is a chain of addresses and waits.
  double bring = staging(a, tile->bm, tile->bk) + staging(b, tile->bn, tile->bk);
  double serial = inner / threads + STALL * bring / threads + (double)(LATENCY * trips);
  double step = (inner + bring + 12.0 * threads) / 32;
  double finish = FINISH * (double)tile->bm * tile->bn / 32;
  double bytes = 4.0 * tile->bk * (tile->bm + tile->bn);
  int registers = 40 + count + (tile->bm + tile->bn) * tile->bk / threads + tile->tm + tile->tn;
  int64_t shared = 4 * cuda_tile_shared(tile);
  int64_t resident = REGISTERS / ((int64_t)registers * threads);
  if (resident > target->l1 / shared) resident = target->l1 / shared;
  if (resident > 1024 / threads) resident = 1024 / threads;
  if (resident > 16) resident = 16;
  if (resident < 1) resident = 1;
  int64_t each = ceil_div(blocks, cuda_multiprocessors(target)), waves = ceil_div(each, resident);
  if (resident > each) resident = each;
  double issue = step * (double)resident / ISSUE, traffic = bytes * (double)resident / BYTES_A_CYCLE;
  double turn = issue > traffic ? issue : traffic;
  if (turn < LATENCY) turn = LATENCY;
  if (turn < serial) turn = serial;
  double time = (double)waves * (START + turn * steps + finish * (double)resident / ISSUE);
  return time + meeting(tile);
}

// The same of a sum so long that its start and end are nothing: operands come from memory, and a block of few warps
// waits for its own instructions, so what counts is how many blocks wait side by side. By multiply-adds alone.
static double time_of_deep(const Target *target, const CudaTile *tile, const CudaProduct *p, const CudaOperand *a,
                           const CudaOperand *b) {
  enum { FAR = 1000, MOST = 16 }; // LATENCY from memory; blocks of a multiprocessor
  int threads = cuda_tile_threads(tile), count = tile->tm * tile->tn;
  int64_t tiles = p->batches * ceil_div(p->m, tile->bm) * ceil_div(p->n, tile->bn);
  double each = (double)ceil_div(tiles * tile->splits, cuda_multiprocessors(target)); // blocks of a multiprocessor
  double steps = (double)ceil_div(ceil_div(p->k, tile->bk), tile->splits) * each;
  double inner = (count + (tile->tm + 3) / 4 + (tile->tn + 3) / 4) * (double)tile->bk * threads, staged = 0;
  const CudaOperand *operand[] = {a, b};
  for (int i = 0; i < 2; i++)
    staged += (16 + (double)operand[i]->price) * (i ? tile->bn : tile->bm) * tile->bk /
              (operand[i]->read == CUDA_READ_FOUR ? 4 : 1);
  double warp = (inner + staged) / threads + 20, registers = 50 + count + (tile->bm + tile->bn) * tile->bk / threads;
  double resident = REGISTERS / (registers * threads), room = (double)target->l1 / (4 * cuda_tile_shared(tile) + 1024);
  if (resident > room) resident = room;
  if (resident > MOST) resident = MOST;
  if (resident > each) resident = each;
  double rows = (double)(p->m < tile->bm ? p->m : tile->bm), columns = (double)(p->n < tile->bn ? p->n : tile->bn);
  double issue = warp * threads / 32 / (ISSUE / 2), traffic = 4 * tile->bk * (rows + columns) / (BYTES_A_CYCLE / 2);
  double alone = (FAR + STALL * warp) / resident;
  double turn = issue > traffic ? issue : traffic;
  return (turn > alone ? turn : alone) * steps + meeting(tile);
}

static void choose(const Target *target, const CudaProduct *product, const CudaOperand *a, const CudaOperand *b,
                   bool is_deep, int n, const CudaTile *list, CudaTile *best, double *best_time) {
  for (int i = 0; i < n; i++) {
    CudaTile tile = list[i];
    if (tile.pack && target->precision != PRECISION_TF32) {
      tile.pack = 2;
      if (tile.tm * tile.tn < 64) tile.bk *= 2; // else the operands' share of registers would be too large
    }
    if (!has_room(target, a, b, &tile)) continue;
    int64_t results = product->batches * ceil_div(product->m, tile.bm) * ceil_div(product->n, tile.bn);
    for (tile.splits = 1; tile.splits <= MAX_SPLITS; tile.splits *= 2) {
      if (tile.splits > 1 && (results * (1 + cuda_split_groups(tile.splits)) > SG_COUNTERS ||
                              product->k < (int64_t)tile.splits * tile.bk * 4))
        break;
      // No part may be empty.
      int64_t steps = ceil_div(product->k, tile.bk), part = ceil_div(steps, tile.splits);
      CudaTile candidate = tile;
      if (is_deep) candidate.splits = (int)ceil_div(steps, part);
      else if (part * (tile.splits - 1) >= steps) continue;
      double time = (is_deep ? time_of_deep : time_of)(target, &candidate, product, a, b);
      if (best->bm && time >= *best_time) continue;
      *best = candidate;
      *best_time = time;
    }
  }
}

CudaTile cuda_choose_tile(const Target *target, const CudaProduct *product, const CudaOperand *a,
                          const CudaOperand *b) {
  enum { LEAST = 16 }; // of each size, for tensor cores
  bool is_mma = target->precision != PRECISION_F32 && product->m >= LEAST && product->n >= LEAST && product->k >= LEAST;
  CudaTile best = {0};
  double time = 0;
  if (is_mma) choose(target, product, a, b, false, sizeof mma_tiles / sizeof *mma_tiles, mma_tiles, &best, &time);
  if (best.bm) return best;
  bool is_deep = product->k >= DEEP && !b->patch;
  choose(target, product, a, b, is_deep, sizeof tiles / sizeof *tiles, tiles, &best, &time);
  if (is_deep) choose(target, product, a, b, is_deep, sizeof deep_tiles / sizeof *deep_tiles, deep_tiles, &best, &time);
  return best;
}
