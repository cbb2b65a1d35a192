// Micro tile: sizes and text of the register tiles.
#include "compiler/kernel/cpu/micro_tile.h"

int micro_max_vectors(const Target *target) { return (target->registers >= 32 ? 3 : 2) * target_paired(target); }

static bool is_tile(const Target *target, int vectors) {
  return target_paired(target) == 1 ? vectors <= 4 : vectors == 1 || vectors % 2 == 0;
}

MicroTile micro_tile_of(const Target *target, int pixels, int vectors) {
  int form = vectors % target_paired(target) ? 1 : target_paired(target);
  return (MicroTile){pixels, vectors, vectors / form, form, target->vector};
}

// Accumulators, weights for each of a pixel's and one broadcast must fit the registers.
int micro_tile_pixels(const Target *target, int vectors) {
  static const int few[] = {0, 8, 6, 4, 1}, many[] = {0, 16, 12, 8, 1};
  return (target->registers >= 32 ? many : few)[micro_tile_of(target, 1, vectors).sums];
}

int micro_tile_sizes(const Target *target, int vectors, int sizes[MICRO_N_SIZES]) {
  if (!is_tile(target, vectors)) return 0;
  int p = micro_tile_pixels(target, vectors), n = 0;
  if (vectors <= micro_max_vectors(target)) {
    sizes[n++] = p;
    if (p > 4) sizes[n++] = 4;
    if (p == 1) return n;
  }
  sizes[n++] = 1;
  return n;
}

void micro_tile_step(const MicroTile *tile, int k, Text *out) {
  text_put(out, "     {");
  for (int j = 0; j < tile->sums; j++)
    text_printf(out, " sg_f%d w%d = SG_LDW%d(u + %d * wb + %d * SG_PAIRED);", tile->form, j, tile->form, j * tile->form,
                k * tile->vl);
  text_put(out, "\n");
  for (int p = 0; p < tile->pixels; p++) {
    text_printf(out, "      { float s = q[%d * pp + %d];", p, k);
    for (int j = 0; j < tile->sums; j++) text_printf(out, " a%d_%d += w%d * s;", p, j, j);
    text_put(out, " }\n");
  }
  text_put(out, "     }\n");
}

void micro_tile_each(const MicroTile *tile, const char *format, Text *out) {
  for (int p = 0; p < tile->pixels; p++) {
    text_put(out, "   ");
    for (int j = 0; j < tile->sums; j++) {
      text_put(out, " ");
      for (const char *c = format; *c; c++) {
        switch (*c) {
        case 'P': text_printf(out, "%d", p); break;
        case 'J': text_printf(out, "%d", j); break;
        case 'V': text_printf(out, "%d", j * tile->form); break;
        case 'F': text_printf(out, "%d", tile->form); break;
        case '@': text_printf(out, "%d", tile->vl); break;
        default: text_write(out, c, 1);
        }
      }
    }
    text_put(out, "\n");
  }
}
