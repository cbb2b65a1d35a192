// Bootstrap: percentile intervals of paired differences.
#include "runtime/report/bootstrap.h"

#include <math.h>
#include <stdlib.h>

#include "runtime/base/order.h"
#include "runtime/base/random.h"
#include "runtime/base/status.h"

static void *allocate(int64_t n) {
  void *memory = malloc((size_t)(n + 1) * sizeof(double));
  if (!memory) BUG("out of memory");
  return memory;
}

// The value below which a share of the sorted values lies, between two neighbours by proportion.
static double quantile(const double *sorted, int n, double share) {
  double at = share * (n - 1);
  int below = (int)floor(at), above = below + 1 < n ? below + 1 : below;
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

Interval bootstrap_difference(const double *a, const double *b, int64_t n, int64_t stride, double confidence, int draws,
                              uint64_t seed) {
  double *difference = allocate(n), *means = allocate(draws), sum = 0;
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++) {
    double d = a[i * stride] - b[i * stride];
    if (isfinite(d)) difference[count++] = d;
  }
  Interval interval = {NAN, NAN, NAN};
  if (count > 0 && draws > 0) {
    for (int64_t i = 0; i < count; i++) sum += difference[i];
    Random random = random_stream(seed, "bootstrap");
    for (int k = 0; k < draws; k++) {
      double drawn = 0;
      for (int64_t i = 0; i < count; i++) drawn += difference[random_below(&random, (uint32_t)count)];
      means[k] = drawn / (double)count;
    }
    qsort(means, (size_t)draws, sizeof *means, order_doubles);
    interval = (Interval){sum / (double)count, quantile(means, draws, (1 - confidence) / 2),
                          quantile(means, draws, (1 + confidence) / 2)};
  }
  free(difference);
  free(means);
  return interval;
}
