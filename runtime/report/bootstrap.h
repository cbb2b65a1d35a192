// Bootstrap: how sure a difference between two methods is, given the pictures that they were judged on.
#ifndef SG_REPORT_BOOTSTRAP_H
#define SG_REPORT_BOOTSTRAP_H

#include <stdint.h>

typedef struct Interval {
  double mean; // of the differences
  double low, high;
} Interval;

// The percentile interval of the mean of a[i] - b[i] over n pictures, by resampling pictures with replacement (Efron,
// 1979): paired, so that what makes a picture hard for both cancels. `stride` is the distance between the values of two
// pictures. Pictures where either is not a number are left out. confidence is 0.95 for a 95 % interval; `draws`
// resamples are keyed by `seed`, so the result is always the same. With no picture all three are NaN.
Interval bootstrap_difference(const double *a, const double *b, int64_t n, int64_t stride, double confidence, int draws,
                              uint64_t seed);

#endif
