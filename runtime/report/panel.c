// Panel: rows of picture, predicted depth, true depth and error.
#include "runtime/report/panel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/data/preprocess.h"

enum { COLUMNS = 4 };

static void draw_picture(const float *rgb, const PanelSize *size, Image *out) {
  image_alloc(out, size->width, size->height);
  size_t n = (size_t)size->width * (size_t)size->height;
  for (size_t i = 0; i < n; i++)
    for (int c = 0; c < 3; c++) {
      float value = 255 * (rgb[(size_t)c * n + i] * imagenet_deviation[c] + imagenet_mean[c]);
      out->rgb[3 * i + (size_t)c] = (uint8_t)lrintf(fminf(fmaxf(value, 0), 255));
    }
}

static void draw_depth(const float *metres, const PanelSize *size, Image *out) {
  DepthMap depth = {size->width, size->height, (float *)(uintptr_t)metres};
  colour_depth(&depth, 0, size->depth_max, out);
}

static void draw_error(const float *predicted, const float *truth, const PanelSize *size, Image *out) {
  DepthMap error;
  depth_alloc(&error, size->width, size->height);
  for (int64_t i = 0; i < (int64_t)size->width * size->height; i++) {
    // Where there is no error at all the pixel still is not missing.
    if (truth[i] > 0) error.metres[i] = fmaxf(fabsf(predicted[i] - truth[i]) / truth[i], 1e-9f);
  }
  colour_depth(&error, 0, PANEL_ERROR, out);
  depth_free(&error);
}

void panel_draw(const PanelRow *rows, int n_rows, const PanelSize *size, Image *out) {
  static const char *const labels[COLUMNS] = {"picture", "depth", "truth", "error"};
  Image *images = calloc((size_t)(COLUMNS * n_rows) + 1, sizeof *images);
  Tile *tiles = calloc((size_t)(COLUMNS * n_rows) + 1, sizeof *tiles);
  float *predicted = malloc((size_t)size->width * (size_t)size->height * sizeof *predicted);
  if (!images || !tiles || !predicted) BUG("out of memory");
  for (int i = 0; i < n_rows; i++) {
    Image *image = &images[COLUMNS * i];
    resize_bilinear_corners(rows[i].predicted, size->predicted_width, size->predicted_height, predicted, size->width,
                            size->height);
    draw_picture(rows[i].rgb, size, &image[0]);
    draw_depth(predicted, size, &image[1]);
    draw_depth(rows[i].truth, size, &image[2]);
    draw_error(predicted, rows[i].truth, size, &image[3]);
    for (int c = 0; c < COLUMNS; c++) tiles[COLUMNS * i + c] = (Tile){&image[c], labels[c]};
  }
  colour_sheet(tiles, COLUMNS * n_rows, COLUMNS, out);
  for (int i = 0; i < COLUMNS * n_rows; i++) image_free(&images[i]);
  free(images);
  free(tiles);
  free(predicted);
}
