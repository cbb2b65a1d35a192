// Validate: an evaluation program run over a loader's samples: metrics, and whether the predictions still vary.
#ifndef SG_TRAIN_VALIDATE_H
#define SG_TRAIN_VALIDATE_H

#include "runtime/train/metrics.h"
#include "runtime/train/team.h"

typedef struct Validation {
  MetricsMean metrics;
  double mean, deviation; // of all predicted depths, over pixels and pictures, metres; NaN if one is not finite
} Validation;

// One pass over the loader, which gives this process's samples of batches of `batch` over all devices. The programs,
// one for each device of the team, have the input "rgb" and the output "depth", at the loader's size. All processes get
// the result of all.
Status train_validate(Team *team, Exec *const *evaluation, int64_t batch, Loader *loader, const Protocol *protocol,
                      Validation *out);

// Whether the predictions are the same everywhere, whatever the picture: deviation not above a thousandth of the mean,
// or values that are not finite.
bool validation_is_collapsed(const Validation *validation);

#endif
