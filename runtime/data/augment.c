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

// Colour and depth of pictures are worked on row by row: where each output pixel lies in the source, the colours there,
// then the steps that every channel takes alone.
typedef struct Row {
  float *x, *y;             // source position, pixels with corners at whole numbers
  float *along_x, *along_y; // what the column adds to it: the centre and the turned distance
  float *channel[3];        // colours times 255 (and times the number of taps)
  int width, taps;
  float scale_x, scale_y, cosine, sine, centre_x, centre_y;
} Row;

static Row row_make(const AugmentDraw *draw, int width, int height) {
  Row row = {.width = width,
             .scale_x = (float)draw->crop_width / (float)width,
             .scale_y = (float)draw->crop_height / (float)height,
             .cosine = cosf(draw->angle),
             .sine = sinf(draw->angle),
             .centre_x = 0.5f * (float)(draw->box_left + draw->box_right),
             .centre_y = 0.5f * (float)(draw->box_top + draw->box_bottom)};
  float zoom = row.scale_x > row.scale_y ? row.scale_x : row.scale_y;
  row.taps = zoom > (float)cut_limit ? (int)ceilf(fminf(zoom, 16)) : 1; // a side; averages over the footprint
  float *floats = malloc(sizeof *floats * 7 * (size_t)width);
  if (!floats) BUG("out of memory");
  float **arrays[] = {&row.x, &row.y, &row.along_x, &row.along_y, &row.channel[0], &row.channel[1], &row.channel[2]};
  for (int i = 0; i < 7; i++) *arrays[i] = floats + (size_t)i * (size_t)width;
  return row;
}

static void row_free(Row *row) { free(row->x); }

// The positions of output row y, at a share of each pixel: 0.5 is its middle.
static void place(Row *row, const AugmentDraw *draw, int y, float share_x, float share_y) {
  for (int x = 0; x < row->width; x++) {
    float dx = (float)draw->crop_left + ((float)x + share_x) * row->scale_x - row->centre_x;
    row->along_x[x] = row->centre_x + row->cosine * dx;
    row->along_y[x] = row->centre_y + row->sine * dx;
  }
  float dy = (float)draw->crop_top + ((float)y + share_y) * row->scale_y - row->centre_y;
  float across_x = row->sine * dy, across_y = row->cosine * dy;
  for (int x = 0; x < row->width; x++) {
    row->x[x] = row->along_x[x] - across_x;
    row->y[x] = row->along_y[x] + across_y;
  }
}

// floorf of a number of an int's size: the library's is a call where the machine has no instruction for it.
static inline int floor_int(float x) {
  int i = (int)x;
  return i - (x < (float)i);
}

// A pixel's three channels, and one lane that nobody looks at.
typedef float Lanes __attribute__((vector_size(4 * sizeof(float))));
typedef int32_t Words __attribute__((vector_size(4 * sizeof(int32_t))));

// Each byte stays where it is in the word; the powers of two that bring it down are exact.
static inline Lanes load_pixel(const uint8_t *rgb) {
  int32_t word;
  memcpy(&word, rgb, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  word = (int32_t)__builtin_bswap32((uint32_t)word);
#endif
  Words words = (Words){word, word, word, word} & (Words){0xff, 0xff00, 0xff0000, 0};
  return __builtin_convertvector(words, Lanes) * (Lanes){1, 0x1p-8f, 0x1p-16f, 0};
}

// Adds the colours at the row's positions to its channels.
static void add_colours(Row *row, const AugmentDraw *draw, const Image *picture) {
  size_t pitch = 3 * (size_t)picture->width;
  float *restrict red = row->channel[0], *restrict green = row->channel[1], *restrict blue = row->channel[2];
  for (int i = 0; i < row->width; i++) {
    float x = row->x[i], y = row->y[i];
    if (!(x >= (float)draw->box_left && x < (float)draw->box_right && y >= (float)draw->box_top &&
          y < (float)draw->box_bottom))
      continue;
    x -= 0.5f;
    y -= 0.5f;
    int x0 = floor_int(x), y0 = floor_int(y), x1 = x0 + 1, y1 = y0 + 1;
    float u = x - (float)x0, v = y - (float)y0;
    if (x0 < draw->box_left) x0 = draw->box_left;
    if (y0 < draw->box_top) y0 = draw->box_top;
    if (x1 >= draw->box_right) x1 = draw->box_right - 1;
    if (y1 >= draw->box_bottom) y1 = draw->box_bottom - 1;
    const uint8_t *upper = picture->rgb + pitch * (size_t)y0, *lower = picture->rgb + pitch * (size_t)y1;
    Lanes above = (1 - u) * load_pixel(upper + 3 * x0) + u * load_pixel(upper + 3 * x1);
    Lanes below = (1 - u) * load_pixel(lower + 3 * x0) + u * load_pixel(lower + 3 * x1);
    Lanes sum = (1 - v) * above + v * below;
    red[i] += sum[0];
    green[i] += sum[1];
    blue[i] += sum[2];
  }
}

// One channel's last steps, into output row `out`.
static void finish_channel(const Row *row, const AugmentDraw *draw, int c, float *restrict out) {
  float *restrict value = row->channel[c];
  int width = row->width;
  float share = 1 / (255 * (float)(row->taps * row->taps)), mean = imagenet_mean[c], deviation = imagenet_deviation[c];
  for (int x = 0; x < width; x++) value[x] *= share;
  if (draw->has_colour)
    for (int x = 0; x < width; x++) {
      float lit = powf(value[x], draw->gamma) * draw->brightness * draw->colour[c];
      value[x] = lit > 1 ? 1 : lit;
    }
  if (draw->is_flipped)
    for (int x = 0; x < width; x++) out[width - 1 - x] = (value[x] - mean) / deviation;
  else
    for (int x = 0; x < width; x++) out[x] = (value[x] - mean) / deviation;
}

// The depths at the row's positions, into output row `out`.
static void nearest_depths(const Row *row, const AugmentDraw *draw, const DepthMap *depth, float *out) {
  for (int i = 0; i < row->width; i++) {
    int x = floor_int(row->x[i]), y = floor_int(row->y[i]);
    bool is_inside = x >= draw->box_left && x < draw->box_right && y >= draw->box_top && y < draw->box_bottom;
    out[draw->is_flipped ? row->width - 1 - i : i] =
        is_inside ? depth->metres[(size_t)y * (size_t)depth->width + (size_t)x] : 0;
  }
}

void augment_apply(const AugmentDraw *draw, const Sample *sample, int width, int height, float *out_rgb,
                   float *out_depth) {
  Row row = row_make(draw, width, height);
  size_t plane = (size_t)width * (size_t)height;
  float taps = (float)row.taps;
  for (int y = 0; y < height; y++) {
    size_t at = (size_t)y * (size_t)width;
    memset(row.channel[0], 0, sizeof(float) * 3 * (size_t)width);
    for (int k = 0; k < row.taps * row.taps; k++) {
      place(&row, draw, y, ((float)(k % row.taps) + 0.5f) / taps, ((float)(k / row.taps) + 0.5f) / taps);
      add_colours(&row, draw, &sample->picture);
    }
    for (int c = 0; c < 3; c++) finish_channel(&row, draw, c, out_rgb + (size_t)c * plane + at);
    if (row.taps > 1) place(&row, draw, y, 0.5f, 0.5f);
    nearest_depths(&row, draw, &sample->depth, out_depth + at);
  }
  row_free(&row);
}
