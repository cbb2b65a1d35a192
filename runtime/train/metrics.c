// Metrics: the figures by which depth maps are judged, and the protocol under which they are taken.
#include "runtime/train/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/data/preprocess.h"

static const struct {
  const char *name, *formula;
  bool rises;
} metric_table[METRIC_COUNT] = {
    [METRIC_DELTA1] = {"delta1", "share of max(d/g, g/d) < 1.25", true},
    [METRIC_DELTA2] = {"delta2", "share of max(d/g, g/d) < 1.25^2", true},
    [METRIC_DELTA3] = {"delta3", "share of max(d/g, g/d) < 1.25^3", true},
    [METRIC_ABS_REL] = {"abs_rel", "mean |d - g| / g", false},
    [METRIC_SQ_REL] = {"sq_rel", "mean (d - g)^2 / g", false},
    [METRIC_RMSE] = {"rmse", "sqrt mean (d - g)^2", false},
    [METRIC_RMSE_LOG] = {"rmse_log", "sqrt mean (ln d - ln g)^2", false},
    [METRIC_LOG10] = {"log10", "mean |log10 d - log10 g|", false},
    [METRIC_SILOG] = {"silog", "100 sqrt(mean e^2 - (mean e)^2), e = ln d - ln g", false},
    [METRIC_SQ_REL_SLIDES] = {"sq_rel_slides", "mean (d - g)^2 / g^2", false},
};

const char *metric_name(Metric metric) { return metric_table[metric].name; }
const char *metric_formula(Metric metric) { return metric_table[metric].formula; }
bool metric_rises(Metric metric) { return metric_table[metric].rises; }

static const Protocol protocols[] = {
    {.name = "full", .depth_min = 1e-3, .depth_max = 10},
    {.name = "nyu-eigen",
     .depth_min = 1e-3,
     .depth_max = 10,
     .has_crop = true,
     .crop_top = 45,
     .crop_bottom = 471,
     .crop_left = 41,
     .crop_right = 601},
};

const Protocol *protocol_at(int i) {
  return i >= 0 && i < (int)(sizeof protocols / sizeof *protocols) ? &protocols[i] : NULL;
}

const Protocol *protocol_find(const char *name) {
  for (int i = 0; protocol_at(i); i++)
    if (!strcmp(protocol_at(i)->name, name)) return protocol_at(i);
  return NULL;
}

void protocol_digest(const Protocol *protocol, char out[9]) {
  char text[160];
  snprintf(text, sizeof text, "1 clamp %.9g %.9g crop %d %d %d %d %d align none flip none mean-of-images",
           protocol->depth_min, protocol->depth_max, protocol->has_crop, protocol->crop_top, protocol->crop_bottom,
           protocol->crop_left, protocol->crop_right);
  uint64_t hash = hash_fnv64(text);
  snprintf(out, 9, "%08x", (unsigned)(hash ^ hash >> 32));
}

// Sums over the valid pixels; logarithms are natural.
typedef struct Sums {
  double delta[3], abs_rel, sq_rel, sq_rel_slides, square, log, log_abs, log_square;
  int64_t n;
} Sums;

static void add_pixel(Sums *sums, double d, double g) {
  double ratio = d > g ? d / g : g / d, difference = d - g, e = log(d) - log(g);
  sums->delta[0] += ratio < 1.25;
  sums->delta[1] += ratio < 1.25 * 1.25;
  sums->delta[2] += ratio < 1.25 * 1.25 * 1.25;
  sums->abs_rel += fabs(difference) / g;
  sums->sq_rel += difference * difference / g;
  sums->sq_rel_slides += difference * difference / (g * g);
  sums->square += difference * difference;
  sums->log += e;
  sums->log_abs += fabs(e);
  sums->log_square += e * e;
  sums->n++;
}

static int scale_crop(int value, int size, int reference) { return (int)lround((double)value * size / reference); }

int64_t metrics_image(const Protocol *protocol, const float *prediction, int prediction_width, int prediction_height,
                      const float *truth, int width, int height, double out[METRIC_COUNT]) {
  float *resized = NULL;
  if (prediction_width != width || prediction_height != height) {
    resized = malloc(sizeof *resized * (size_t)width * (size_t)height);
    if (!resized) BUG("out of memory");
    resize_bilinear_corners(prediction, prediction_width, prediction_height, resized, width, height);
    prediction = resized;
  }
  int top = 0, bottom = height, left = 0, right = width;
  if (protocol->has_crop) {
    top = scale_crop(protocol->crop_top, height, 480);
    bottom = scale_crop(protocol->crop_bottom, height, 480);
    left = scale_crop(protocol->crop_left, width, 640);
    right = scale_crop(protocol->crop_right, width, 640);
  }
  Sums sums = {0};
  // The truth is float32 and so are its bounds: 1e-3 itself is not valid, whatever its double value.
  float least = (float)protocol->depth_min, most = (float)protocol->depth_max;
  for (int y = top; y < bottom; y++)
    for (int x = left; x < right; x++) {
      float g = truth[(size_t)y * (size_t)width + (size_t)x];
      if (!(g > least && g < most)) continue;
      double d = prediction[(size_t)y * (size_t)width + (size_t)x];
      if (!(d > protocol->depth_min)) d = protocol->depth_min; // NaN comes here too
      if (d > protocol->depth_max) d = protocol->depth_max;
      add_pixel(&sums, d, g);
    }
  free(resized);

  double n = sums.n ? (double)sums.n : NAN, mean_log = sums.log / n;
  double variance = sums.log_square / n - mean_log * mean_log;
  out[METRIC_DELTA1] = sums.delta[0] / n;
  out[METRIC_DELTA2] = sums.delta[1] / n;
  out[METRIC_DELTA3] = sums.delta[2] / n;
  out[METRIC_ABS_REL] = sums.abs_rel / n;
  out[METRIC_SQ_REL] = sums.sq_rel / n;
  out[METRIC_RMSE] = sqrt(sums.square / n);
  out[METRIC_RMSE_LOG] = sqrt(sums.log_square / n);
  out[METRIC_LOG10] = sums.log_abs / n / log(10);
  out[METRIC_SILOG] = 100 * sqrt(variance < 0 ? 0 : variance); // NaN stays NaN
  out[METRIC_SQ_REL_SLIDES] = sums.sq_rel_slides / n;
  return sums.n;
}

void metrics_add(MetricsMean *mean, const double values[METRIC_COUNT], int64_t n_valid) {
  if (n_valid == 0) {
    mean->n_empty++;
    return;
  }
  for (int i = 0; i < METRIC_COUNT; i++) mean->sum[i] += values[i];
  mean->n_images++;
  mean->n_pixels += n_valid;
}

double metrics_mean(const MetricsMean *mean, Metric metric) {
  return mean->n_images ? mean->sum[metric] / (double)mean->n_images : NAN;
}
