// Validate: an evaluation program run over a loader's samples: metrics, and whether the predictions still vary.
#ifndef SG_TRAIN_VALIDATE_H
#define SG_TRAIN_VALIDATE_H

#include "runtime/data/loader.h"
#include "runtime/exec.h"
#include "runtime/train/metrics.h"

typedef struct Validation {
  MetricsMean metrics;
  double mean, deviation; // of all predicted depths, over pixels and pictures, metres; NaN if one is not finite
} Validation;

// One pass over the loader. The program has the input "rgb" and the output "depth", at the loader's size.
Status train_validate(Exec *evaluation, Loader *loader, const Protocol *protocol, Validation *out);

// Whether the predictions are the same everywhere, whatever the picture: deviation not above a thousandth of the mean,
// or values that are not finite.
bool validation_is_collapsed(const Validation *validation);

#endif
