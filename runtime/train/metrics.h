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

// How a prediction is brought to the ground truth's scale before it is judged; metric depth needs none.
typedef enum Align {
  ALIGN_NONE,
  ALIGN_MEDIAN, // times median(g) / median(d) of the valid pixels
  ALIGN_LSQ,    // a d + b with the least sum of squared differences to g over the valid pixels
} Align;
const char *align_name(Align align); // "none", "median", "lsq"
bool align_find(const char *name, Align *out);

// What is counted. The same prediction under another protocol has other figures, so tables carry its name and digest.
typedef struct Protocol {
  const char *name;
  double depth_min, depth_max; // predictions are clamped to these (NaN: the least); valid: min < g < max
  bool has_crop;               // only rows top..bottom-1 and columns left..right-1 count
  int crop_top, crop_bottom, crop_left, crop_right; // for a ground truth of 480x640; scaled to another size, rounded
  bool
      is_native; // the network sees pictures at their own size (sides rounded to what it can take), not the trained one
  bool has_flip; // the mean of clamp(f(x)) and of clamp(f(x flipped)) flipped back is judged, f resized to the truth
  bool has_slides_sq_rel; // the table's sq_rel is METRIC_SQ_REL_SLIDES; both are always printed
  Align align;            // after the mean of flips, before the last clamp
} Protocol;

// By name; NULL for another.
//   full            no crop, the trained size
//   nyu-eigen       MODELS.md section 13: the crop [45:471, 41:601], own size, no flip; sq_rel divides by g
//   nyu-eigen-flip  the same with flip averaging
//   slides          as nyu-eigen, but sq_rel divides by g^2 as the slides print it
// All clamp to [1e-3, 10] and align nothing.
const Protocol *protocol_find(const char *name);
const Protocol *protocol_at(int i); // to list them; NULL past the last
// Eight hexadecimal digits of everything that the protocol says but its name, and a zero.
void protocol_digest(const Protocol *protocol, char out[9]);
// One line of words on all that it says.
void protocol_describe(const Protocol *protocol, Text *out);
// The metrics in the order of a table; the definition of sq_rel that the protocol reports stands at METRIC_SQ_REL's
// place, the other at the end.
Metric protocol_metric(const Protocol *protocol, int column);

// The metrics of one image. A prediction of another size is first resized to the ground truth's (bilinear, aligned
// corners). Returns the number of valid pixels; with none, the values are NaN.
int64_t metrics_image(const Protocol *protocol, const float *prediction, int prediction_width, int prediction_height,
                      const float *truth, int width, int height, double out[METRIC_COUNT]);

// The mean of a prediction [height][width] and of the one of the flipped picture, flipped back, both clamped to the
// protocol's range; into `out`, which may be `prediction`.
void metrics_average_flip(const Protocol *protocol, const float *prediction, const float *flipped, int width,
                          int height, float *out);

// Means over images: {0} to begin. Images without a valid pixel are counted apart and enter no mean.
typedef struct MetricsMean {
  double sum[METRIC_COUNT];
  int64_t n_images, n_empty, n_pixels;
} MetricsMean;
void metrics_add(MetricsMean *mean, const double values[METRIC_COUNT], int64_t n_valid);
double metrics_mean(const MetricsMean *mean, Metric metric); // NaN if there is no image

#endif
