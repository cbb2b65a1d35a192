// Colour: depth maps as pictures with a legend, and contact sheets of labelled tiles.
#ifndef SG_DATA_COLOUR_H
#define SG_DATA_COLOUR_H

#include "runtime/data/depth_io.h"
#include "runtime/data/image.h"

// The rainbow-like map that runs from dark blue over green to dark red: position in [0, 1] (clamped) to RGB, by the
// polynomial of degree five that A. Mikhailov published for Turbo (Google AI blog, 2019).
void colour_turbo(double position, uint8_t out_rgb[3]);

// What stands for a missing depth.
enum { COLOUR_MISSING = 128 };

// Colours the depths of [near, far] metres, near blue, far red; missing pixels are neutral gray. The result has the
// size of the map and belongs to the caller.
void colour_depth(const DepthMap *depth, double near, double far, Image *out);

// The same with a legend to the right: the bar, ticks and their metres, and "m" on top. Wider than the map by
// colour_legend_width(height).
void colour_depth_legend(const DepthMap *depth, double near, double far, Image *out);
int colour_legend_width(int height);

// Any map of values [height][width] with such a legend, whose head is `unit`: low blue, high red, 0 a value like
// others, not-a-number gray.
void colour_values_legend(const float *values, int width, int height, double low, double high, const char *unit,
                          Image *out);

// Draws one line of text with its top left corner at (x, y) in letters of 5x7 dots, each dot scale x scale pixels.
// Clipped at the border. Characters without a glyph (all but letters,
// digits and common marks) are drawn as '?'.
void colour_text(Image *image, int x, int y, int scale, const char *text, const uint8_t rgb[3]);
int colour_text_width(int scale, const char *text);
int colour_text_height(int scale);

// A contact sheet: tiles in rows of `columns`, each with a line of label under it. Tiles of different sizes are centred
// in cells of the largest. Lent pictures; the sheet belongs to the caller.
typedef struct Tile {
  const Image *image;
  const char *label; // may be NULL
} Tile;
void colour_sheet(const Tile *tiles, int n_tiles, int columns, Image *out);

// Copies `from` into `to` with its corner at (x, y), clipped.
void image_paste(Image *to, int x, int y, const Image *from);

#endif
