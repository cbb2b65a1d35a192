// Augment: a sample made into a training pair of the network's size, by random numbers keyed by what they are for.
#include "runtime/data/augment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/random.h"
#include "runtime/data/preprocess.h"

static const struct {
  const char *name, *says;
} kinds[] = {
    [AUGMENT_NONE] = {"none", "pictures as they are"},
    [AUGMENT_FLIP] = {"flip", "mirrored with p 0.5"},
    [AUGMENT_NYU] = {"nyu", "rotation, random crop, flip, gamma, brightness 0.9 to 1.1 (the slides' form), colour"},
    [AUGMENT_NYU_AUTHOR] = {"nyu_author",
                            "rotation, random crop, flip, gamma, brightness 0.75 to 1.25 (the author's code), colour"},
};

bool augment_find(const char *name, Augment *out) {
  for (int i = 0; i < (int)(sizeof kinds / sizeof *kinds); i++)
    if (!strcmp(kinds[i].name, name)) {
      *out = (Augment)i;
      return true;
    }
  return false;
}

const char *augment_name(Augment augment) { return kinds[augment].name; }
const char *augment_describe(Augment augment) { return kinds[augment].says; }

// MODELS.md section 11, step 1, for 640x480.
enum { NYU_WIDTH = 640, NYU_HEIGHT = 480, NYU_LEFT = 43, NYU_TOP = 45, NYU_RIGHT = 608, NYU_BOTTOM = 472 };
// Up to this ratio of the largest window to the output, pixels are cut away rather than scaled.
static const double cut_limit = 1.25;

void augment_draw(Augment augment, AugmentKey key, int source_width, int source_height, int width, int height,
                  AugmentDraw *out) {
  *out = (AugmentDraw){.box_right = source_width, .box_bottom = source_height};
  bool is_nyu = augment == AUGMENT_NYU || augment == AUGMENT_NYU_AUTHOR;
  bool is_wide = (int64_t)source_width * height >= (int64_t)source_height * width;
  double zoom = is_wide ? (double)source_height / height : (double)source_width / width;
  if (zoom >= 1 && zoom <= cut_limit) zoom = 1;
  out->crop_width = (int)fmax(1, fmin(source_width, round(width * zoom)));
  out->crop_height = (int)fmax(1, fmin(source_height, round(height * zoom)));
  if (is_nyu && source_width == NYU_WIDTH && source_height == NYU_HEIGHT && out->crop_width <= NYU_RIGHT - NYU_LEFT &&
      out->crop_height <= NYU_BOTTOM - NYU_TOP) {
    out->box_left = NYU_LEFT;
    out->box_top = NYU_TOP;
    out->box_right = NYU_RIGHT;
    out->box_bottom = NYU_BOTTOM;
  }
  int slack_x = out->box_right - out->box_left - out->crop_width;
  int slack_y = out->box_bottom - out->box_top - out->crop_height;

  // Every number is drawn in every case, so that a preset does not shift the draws behind what it leaves out.
  Random random = random_stream(key.seed, "augment");
  random = random_substream(random_substream(random, (uint64_t)key.epoch), (uint64_t)key.sample);
  double angle = random_between(&random, -2.5, 2.5) * M_PI / 180;
  int shift_x = (int)random_below(&random, (uint32_t)slack_x + 1);
  int shift_y = (int)random_below(&random, (uint32_t)slack_y + 1);
  bool is_flipped = random_uniform(&random) < 0.5, has_colour = random_uniform(&random) < 0.5;
  out->gamma = (float)random_between(&random, 0.9, 1.1);
  double span = augment == AUGMENT_NYU_AUTHOR ? 0.25 : 0.1;
  out->brightness = (float)random_between(&random, 1 - span, 1 + span);
  for (int c = 0; c < 3; c++) out->colour[c] = (float)random_between(&random, 0.9, 1.1);

  out->crop_left = out->box_left + (is_nyu ? shift_x : slack_x / 2);
  out->crop_top = out->box_top + (is_nyu ? shift_y : slack_y / 2);
  out->angle = is_nyu ? (float)angle : 0;
  out->has_colour = is_nyu && has_colour;
  out->is_flipped = augment != AUGMENT_NONE && is_flipped;
}

// Adds the colour at (x, y), in pixels with corners at whole numbers, to `sum`: bilinear within the box, black outside.
static void add_colour(const AugmentDraw *draw, const Image *picture, float x, float y, float sum[3]) {
  if (!(x >= (float)draw->box_left && x < (float)draw->box_right && y >= (float)draw->box_top &&
        y < (float)draw->box_bottom))
    return;
  x -= 0.5f;
  y -= 0.5f;
  float floor_x = floorf(x), floor_y = floorf(y), u = x - floor_x, v = y - floor_y;
  int x0 = (int)floor_x, y0 = (int)floor_y, x1 = x0 + 1, y1 = y0 + 1;
  if (x0 < draw->box_left) x0 = draw->box_left;
  if (y0 < draw->box_top) y0 = draw->box_top;
  if (x1 >= draw->box_right) x1 = draw->box_right - 1;
  if (y1 >= draw->box_bottom) y1 = draw->box_bottom - 1;
  size_t row = 3 * (size_t)picture->width;
  const uint8_t *upper = picture->rgb + row * (size_t)y0, *lower = picture->rgb + row * (size_t)y1;
  for (int c = 0; c < 3; c++) {
    float above = (1 - u) * upper[3 * x0 + c] + u * upper[3 * x1 + c];
    float below = (1 - u) * lower[3 * x0 + c] + u * lower[3 * x1 + c];
    sum[c] += (1 - v) * above + v * below;
  }
}

static float finish_colour(const AugmentDraw *draw, float value, int c) {
  if (draw->has_colour) {
    value = powf(value, draw->gamma) * draw->brightness * draw->colour[c];
    value = value > 1 ? 1 : value;
  }
  return (value - imagenet_mean[c]) / imagenet_deviation[c];
}

void augment_apply(const AugmentDraw *draw, const Sample *sample, int width, int height, float *out_rgb,
                   float *out_depth) {
  const Image *picture = &sample->picture;
  const DepthMap *depth = &sample->depth;
  float scale_x = (float)draw->crop_width / (float)width, scale_y = (float)draw->crop_height / (float)height;
  float cosine = cosf(draw->angle), sine = sinf(draw->angle);
  float centre_x = 0.5f * (float)(draw->box_left + draw->box_right);
  float centre_y = 0.5f * (float)(draw->box_top + draw->box_bottom);
  float zoom = scale_x > scale_y ? scale_x : scale_y;
  int taps = zoom > (float)cut_limit ? (int)ceilf(fminf(zoom, 16)) : 1; // a side; averages over the footprint
  float share = 1 / (255 * (float)(taps * taps));
  size_t plane = (size_t)width * (size_t)height;

  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++) {
      size_t to = (size_t)y * (size_t)width + (size_t)(draw->is_flipped ? width - 1 - x : x);
      float sum[3] = {0};
      for (int k = 0; k < taps * taps; k++) {
        float dx = (float)draw->crop_left + ((float)x + ((float)(k % taps) + 0.5f) / (float)taps) * scale_x - centre_x;
        float dy = (float)draw->crop_top + ((float)y + ((float)(k / taps) + 0.5f) / (float)taps) * scale_y - centre_y;
        add_colour(draw, picture, centre_x + cosine * dx - sine * dy, centre_y + sine * dx + cosine * dy, sum);
      }
      for (int c = 0; c < 3; c++) out_rgb[(size_t)c * plane + to] = finish_colour(draw, sum[c] * share, c);

      float dx = (float)draw->crop_left + ((float)x + 0.5f) * scale_x - centre_x;
      float dy = (float)draw->crop_top + ((float)y + 0.5f) * scale_y - centre_y;
      float at_x = floorf(centre_x + cosine * dx - sine * dy), at_y = floorf(centre_y + sine * dx + cosine * dy);
      bool is_inside = at_x >= (float)draw->box_left && at_x < (float)draw->box_right && at_y >= (float)draw->box_top &&
                       at_y < (float)draw->box_bottom;
      out_depth[to] = is_inside ? depth->metres[(size_t)at_y * (size_t)depth->width + (size_t)at_x] : 0;
    }
}
