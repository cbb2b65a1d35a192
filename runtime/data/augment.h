// Augment: a sample made into a training pair of the network's size, by random numbers keyed by what they are for.
#ifndef SG_DATA_AUGMENT_H
#define SG_DATA_AUGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/data/dataset.h"

typedef enum Augment {
  AUGMENT_NONE,       // fit only
  AUGMENT_FLIP,       // fit, then mirrored with p = 0.5
  AUGMENT_NYU,        // MODELS.md section 11: border crop, rotation, random crop, flip, gamma, brightness, colour;
                      // brightness as the slides have it
  AUGMENT_NYU_AUTHOR, // the same with the brightness of the code behind the published figures
} Augment;

// "none", "flip", "nyu", "nyu_author"; false if the name is another.
bool augment_find(const char *name, Augment *out);
const char *augment_name(Augment augment);
const char *augment_describe(Augment augment); // what it does, in words

// The random numbers depend on these three and nothing else: not on threads, workers, devices or resuming.
typedef struct AugmentKey {
  uint64_t seed;
  int64_t epoch, sample;
} AugmentKey;

// What was drawn, for tests and for drawing it.
typedef struct AugmentDraw {
  int box_left, box_top, box_right, box_bottom;     // part of the source that counts; right and bottom are beyond it
  int crop_left, crop_top, crop_width, crop_height; // window in the source that is scaled to the output
  float angle;                                      // radians
  bool is_flipped, has_colour;
  float gamma, brightness, colour[3];
} AugmentDraw;

// The draws for a source of the given size and an output of width x height. First the window of the source that the
// output shows: the largest of the output's proportions. If that is 1 to 1.25 times the output (640x480 for 544x416),
// the window has the output's own size instead, so that pixels are cut and not scaled, as section 11 wants.
//
// none, flip: the window is centred. nyu, in the order of section 11: a 640x480 source loses its white border (the box
// left 43, top 45, right 608, bottom 472 stays, if the window fits into it), is rotated by U(-2.5, 2.5) degrees about
// the middle of what is left, and the window lies at a random place. Then, as with flip, it is mirrored with p = 0.5.
// With p = 0.5 gamma U(0.9, 1.1), brightness U(0.9, 1.1) (nyu_author: U(0.75, 1.25)), each channel U(0.9, 1.1).
void augment_draw(Augment augment, AugmentKey key, int source_width, int source_height, int width, int height,
                  AugmentDraw *out);

// Applies the draws: out_rgb is [3][height][width] normalised by the ImageNet mean and deviation, out_depth is
// [height][width] metres with 0 where nothing is known. Colour is bilinear (averaged over the footprint when the window
// is shrunk), depth nearest; what the rotation brings in from outside is black and of unknown depth.
void augment_apply(const AugmentDraw *draw, const Sample *sample, int width, int height, float *out_rgb,
                   float *out_depth);

#endif
