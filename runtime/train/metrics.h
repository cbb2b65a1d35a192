// Metrics: the figures by which depth maps are judged, and the protocol under which they are taken.
#ifndef SG_TRAIN_METRICS_H
#define SG_TRAIN_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/text.h"

// In the order of the golden files. d = prediction, g = ground truth, over the N valid pixels of one image
// (MODELS.md section 13).
typedef enum Metric {
  METRIC_DELTA1,        // share of max(d/g, g/d) < 1.25
  METRIC_DELTA2,        //   < 1.25^2
  METRIC_DELTA3,        //   < 1.25^3
  METRIC_ABS_REL,       // mean |d-g| / g
  METRIC_SQ_REL,        // mean (d-g)^2 / g
  METRIC_RMSE,          // sqrt mean (d-g)^2, metres
  METRIC_RMSE_LOG,      // sqrt mean (ln d - ln g)^2
  METRIC_LOG10,         // mean |log10 d - log10 g|
  METRIC_SILOG,         // 100 sqrt(mean e^2 - (mean e)^2), e = ln d - ln g
  METRIC_SQ_REL_SLIDES, // mean (d-g)^2 / g^2
  METRIC_COUNT
} Metric;

const char *metric_name(Metric metric);    // "delta1", "abs_rel", ...
const char *metric_formula(Metric metric); // one line for --explain and documents
bool metric_rises(Metric metric);          // true where larger is better (the deltas)

// What is counted. The same prediction under another protocol has other figures, so tables carry its name and digest.
typedef struct Protocol {
  const char *name;
  double depth_min, depth_max; // predictions are clamped to these (NaN: the least); valid: min < g < max
  bool has_crop;               // only rows top..bottom-1 and columns left..right-1 count
  int crop_top, crop_bottom, crop_left, crop_right; // for a ground truth of 480x640; scaled to another size, rounded
} Protocol;

// "full" (no crop), "nyu-eigen" (the crop [45:471, 41:601]); both clamp to [1e-3, 10]. NULL for another name.
const Protocol *protocol_find(const char *name);
const Protocol *protocol_at(int i); // to list them; NULL past the last
// Eight hexadecimal digits of everything that the protocol says, and a zero.
void protocol_digest(const Protocol *protocol, char out[9]);

// The metrics of one image. A prediction of another size is first resized to the ground truth's (bilinear, aligned
// corners). Returns the number of valid pixels; with none, the values are NaN.
int64_t metrics_image(const Protocol *protocol, const float *prediction, int prediction_width, int prediction_height,
                      const float *truth, int width, int height, double out[METRIC_COUNT]);

// Means over images: {0} to begin. Images without a valid pixel are counted apart and enter no mean.
typedef struct MetricsMean {
  double sum[METRIC_COUNT];
  int64_t n_images, n_empty, n_pixels;
} MetricsMean;
void metrics_add(MetricsMean *mean, const double values[METRIC_COUNT], int64_t n_valid);
double metrics_mean(const MetricsMean *mean, Metric metric); // NaN if there is no image

#endif
