// Preprocess: any picture to the network's input, and its result back to the picture's size.
//
// How a model wants its pictures travels with its weights as one line of JSON, so that prediction has nothing to
// configure.
#ifndef SG_DATA_PREPROCESS_H
#define SG_DATA_PREPROCESS_H

#include "runtime/base/text.h"
#include "runtime/data/depth_io.h"
#include "runtime/data/image.h"

// Mean and deviation of ImageNet's RGB in [0, 1] (MODELS.md section 1).
extern const float imagenet_mean[3], imagenet_deviation[3];

typedef struct Preprocess {
  int width, height; // that the model was trained at
  int divisor;       // both sides of the input must be multiples of it (32)
  float mean[3], deviation[3];
  float depth_min, depth_max; // metres that predictions are clamped to
} Preprocess;

// ImageNet statistics, divisor 32, depths 1e-3 to 10 m.
Preprocess preprocess_make(int width, int height);

// One line of JSON for the weight file's metadata, and back. Reading refuses what no model can have (EXIT_WEIGHTS).
void preprocess_format(const Preprocess *preprocess, Text *out);
Status preprocess_parse(const char *text, Preprocess *out);

// The policy "resize": the picture is scaled, proportions kept, until it covers the trained area, then each side is
// rounded to the nearest multiple of the divisor (at least one). A picture of the trained size keeps it.
void preprocess_size(const Preprocess *preprocess, int picture_width, int picture_height, int *out_width,
                     int *out_height);

// The input [3][height][width]: scaled (bilinear; averaged over the footprint when shrinking) and normalised.
void preprocess_picture(const Preprocess *preprocess, const Image *picture, int width, int height, float *out);

// The prediction [height][width] clamped to the depth range (NaN counts as the nearest) and resized to the picture
// (bilinear, corners aligned). *out belongs to the caller.
void preprocess_depth(const Preprocess *preprocess, const float *prediction, int width, int height, int picture_width,
                      int picture_height, DepthMap *out);

// Bilinear resize with aligned corners (MODELS.md section 1, BIL-AC) in double precision.
void resize_bilinear_corners(const float *from, int from_width, int from_height, float *to, int to_width,
                             int to_height);

#endif
