// Baseline: what a depth map that never looks at the picture scores. A network must beat it to have learned anything.
#ifndef SG_TRAIN_BASELINE_H
#define SG_TRAIN_BASELINE_H

#include "runtime/data/loader.h"
#include "runtime/train/metrics.h"

// Three constant predictors, each fitted on the training set alone.
typedef enum BaselineKind {
  BASELINE_VALUE, // the one depth that maximises the mean delta1 of the training images
  BASELINE_MEAN,  // the mean depth of each pixel
  BASELINE_MAP,   // the depth that maximises delta1 for each patch (a fortieth of the width) and those next to it
  BASELINE_COUNT
} BaselineKind;
const char *baseline_name(BaselineKind kind);

typedef struct Baseline Baseline;

// Begins with no images; maps have the given size.
Baseline *baseline_new(const Protocol *protocol, int width, int height);
void baseline_free(Baseline *baseline);

// Takes one ground truth [height][width] into account.
void baseline_add(Baseline *baseline, const float *truth);

// Fits the three; baseline_map gives one as [height][width] (lent; valid after fit).
void baseline_fit(Baseline *baseline);
const float *baseline_map(const Baseline *baseline, BaselineKind kind);

// Scores the three on one more image: call for every validation image after fit.
void baseline_score(Baseline *baseline, const float *truth);
// Means over the scored images, and the kind whose delta1 is highest among them.
const MetricsMean *baseline_metrics(const Baseline *baseline, BaselineKind kind);
BaselineKind baseline_best(const Baseline *baseline);

// Fits on up to n_fit samples of `train` and scores all of `validation`, both unaugmented at width x height.
// Samples that cannot be read are passed over.
Status baseline_run(Baseline *baseline, const Dataset *train, int64_t n_fit, const Dataset *validation);

#endif
