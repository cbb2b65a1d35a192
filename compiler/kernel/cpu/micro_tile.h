// Micro tile: the text of a register tile, pixels x output vectors, that the loops over input channels share.
#ifndef SG_MICRO_TILE_H
#define SG_MICRO_TILE_H

#include "compiler/kernel/cpu/micro.h"

enum { MICRO_MAX_VECTORS = 6, MICRO_N_SIZES = 3 };

// So many accumulators a pixel, each of `form` 1 or 2 vectors.
typedef struct MicroTile {
  int pixels, vectors, sums, form, vl;
} MicroTile;

MicroTile micro_tile_of(const Target *target, int pixels, int vectors);
// The pixel counts of tiles with that many vectors, largest first, the last 1; returns their number, 0 if there are no
// such tiles. Those of more than micro_max_vectors have one pixel.
int micro_tile_sizes(const Target *target, int vectors, int sizes[MICRO_N_SIZES]);

// One step of the sum: channel k of a run. In scope are q, the first pixel's scalars with `pp` floats between pixels,
// u, the weights, with `wb` floats between the output blocks, and accumulators aP_J.
void micro_tile_step(const MicroTile *tile, int k, Text *out);
// The line for each accumulator. In the format P and J stand for the numbers of its pixel and its sum, V for that of
// its first vector, F for its form and @ for the floats of a vector.
void micro_tile_each(const MicroTile *tile, const char *format, Text *out);

#endif
