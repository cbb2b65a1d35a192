// Metrics: the figures by which depth maps are judged, and the protocol under which they are taken.
#include "runtime/train/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/base/order.h"
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

static const char *const align_names[] = {[ALIGN_NONE] = "none", [ALIGN_MEDIAN] = "median", [ALIGN_LSQ] = "lsq"};

const char *align_name(Align align) { return align_names[align]; }

bool align_find(const char *name, Align *out) {
  for (int i = 0; i < (int)(sizeof align_names / sizeof *align_names); i++)
    if (!strcmp(align_names[i], name)) {
      *out = (Align)i;
      return true;
    }
  return false;
}

#define RANGE .depth_min = 1e-3, .depth_max = 10
#define EIGEN .has_crop = true, .crop_top = 45, .crop_bottom = 471, .crop_left = 41, .crop_right = 601
static const Protocol protocols[] = {
    {.name = "full", RANGE},
    {.name = "nyu-eigen", RANGE, EIGEN, .is_native = true},
    {.name = "nyu-eigen-flip", RANGE, EIGEN, .is_native = true, .has_flip = true},
    {.name = "slides", RANGE, EIGEN, .is_native = true, .has_slides_sq_rel = true},
};

const Protocol *protocol_at(int i) {
  return i >= 0 && i < (int)(sizeof protocols / sizeof *protocols) ? &protocols[i] : NULL;
}

const Protocol *protocol_find(const char *name) {
  for (int i = 0; protocol_at(i); i++)
    if (!strcmp(protocol_at(i)->name, name)) return protocol_at(i);
  return NULL;
}

void protocol_describe(const Protocol *p, Text *out) {
  text_printf(out, "clamp to [%.9g, %.9g] m; ", p->depth_min, p->depth_max);
  if (p->has_crop)
    text_printf(out, "crop [%d:%d, %d:%d] of 480x640; ", p->crop_top, p->crop_bottom, p->crop_left, p->crop_right);
  else text_put(out, "no crop; ");
  text_printf(out, "input at the %s size; flip averaging %s; align %s; sq_rel over %s; mean of pictures",
              p->is_native ? "picture's" : "trained", p->has_flip ? "on" : "off", align_name(p->align),
              p->has_slides_sq_rel ? "g^2" : "g");
}

void protocol_digest(const Protocol *protocol, char out[9]) {
  Text text = {0};
  protocol_describe(protocol, &text);
  uint64_t hash = hash_fnv64(text_get(&text));
  snprintf(out, 9, "%08x", (unsigned)(hash ^ hash >> 32));
  text_free(&text);
}

Metric protocol_metric(const Protocol *protocol, int column) {
  if (protocol->has_slides_sq_rel && column == METRIC_SQ_REL) return METRIC_SQ_REL_SLIDES;
  if (protocol->has_slides_sq_rel && column == METRIC_SQ_REL_SLIDES) return METRIC_SQ_REL;
  return (Metric)column;
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

// The part of a ground truth that counts.
typedef struct Window {
  int top, bottom, left, right;
} Window;

static Window window_of(const Protocol *protocol, int width, int height) {
  if (!protocol->has_crop) return (Window){0, height, 0, width};
  return (Window){scale_crop(protocol->crop_top, height, 480), scale_crop(protocol->crop_bottom, height, 480),
                  scale_crop(protocol->crop_left, width, 640), scale_crop(protocol->crop_right, width, 640)};
}

static bool is_valid(const Protocol *protocol, float g) {
  // The truth is float32 and so are its bounds: 1e-3 itself is not valid, whatever its double value.
  return g > (float)protocol->depth_min && g < (float)protocol->depth_max;
}

static double clamp(const Protocol *protocol, double d) {
  if (!(d > protocol->depth_min)) return protocol->depth_min; // NaN comes here too
  return d > protocol->depth_max ? protocol->depth_max : d;
}

static int by_value(const void *a, const void *b) {
  return order_of((double)*(const float *)a, (double)*(const float *)b);
}

static double median(float *values, int64_t n) {
  qsort(values, (size_t)n, sizeof *values, by_value);
  return n % 2 ? values[n / 2] : ((double)values[n / 2 - 1] + values[n / 2]) / 2;
}

// The scale and shift of the protocol's alignment over n valid pixels; sorts them for the median.
static void fit_alignment(Align align, float *d, float *g, int64_t n, double *scale, double *shift) {
  *scale = 1;
  *shift = 0;
  if (n == 0 || align == ALIGN_NONE) return;
  if (align == ALIGN_MEDIAN) {
    *scale = median(g, n) / median(d, n);
    return;
  }
  double mean_d = 0, mean_g = 0, cross = 0, square = 0;
  for (int64_t i = 0; i < n; i++) {
    mean_d += d[i] / (double)n;
    mean_g += g[i] / (double)n;
  }
  for (int64_t i = 0; i < n; i++) {
    cross += (d[i] - mean_d) * (g[i] - mean_g);
    square += (d[i] - mean_d) * (d[i] - mean_d);
  }
  *scale = square > 0 ? cross / square : 1;
  *shift = mean_g - *scale * mean_d;
}

static void align_image(const Protocol *protocol, const float *prediction, const float *truth, int width, Window window,
                        double *scale, double *shift) {
  *scale = 1;
  *shift = 0;
  if (protocol->align == ALIGN_NONE) return;
  size_t area = (size_t)(window.bottom - window.top) * (size_t)(window.right - window.left);
  float *d = malloc(sizeof *d * (area + 1)), *g = malloc(sizeof *g * (area + 1));
  if (!d || !g) BUG("out of memory");
  int64_t n = 0;
  for (int y = window.top; y < window.bottom; y++)
    for (int x = window.left; x < window.right; x++) {
      size_t i = (size_t)y * (size_t)width + (size_t)x;
      if (!is_valid(protocol, truth[i])) continue;
      // Relative depth may have any size, but what is no number, or none above 0, has no place in a fit.
      d[n] = isnan(prediction[i]) || prediction[i] < 1e-6f ? 1e-6f : prediction[i] > 1e6f ? 1e6f : prediction[i];
      g[n++] = truth[i];
    }
  fit_alignment(protocol->align, d, g, n, scale, shift);
  free(d);
  free(g);
}

void metrics_average_flip(const Protocol *protocol, const float *prediction, const float *flipped, int width,
                          int height, float *out) {
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++) {
      size_t row = (size_t)y * (size_t)width;
      double mirrored = clamp(protocol, flipped[row + (size_t)(width - 1 - x)]);
      out[row + (size_t)x] = (float)((clamp(protocol, prediction[row + (size_t)x]) + mirrored) / 2);
    }
}

int64_t metrics_image(const Protocol *protocol, const float *prediction, int prediction_width, int prediction_height,
                      const float *truth, int width, int height, double out[METRIC_COUNT]) {
  float *resized = NULL;
  if (prediction_width != width || prediction_height != height) {
    resized = malloc(sizeof *resized * (size_t)width * (size_t)height);
    if (!resized) BUG("out of memory");
    resize_bilinear_corners(prediction, prediction_width, prediction_height, resized, width, height);
    prediction = resized;
  }
  Window window = window_of(protocol, width, height);
  double scale, shift;
  align_image(protocol, prediction, truth, width, window, &scale, &shift);
  Sums sums = {0};
  for (int y = window.top; y < window.bottom; y++)
    for (int x = window.left; x < window.right; x++) {
      size_t i = (size_t)y * (size_t)width + (size_t)x;
      if (is_valid(protocol, truth[i])) add_pixel(&sums, clamp(protocol, scale * prediction[i] + shift), truth[i]);
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
