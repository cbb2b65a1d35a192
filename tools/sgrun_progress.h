// sgrun_progress: how far a training or a prediction is: one changing line on a terminal, plain lines elsewhere.
#ifndef SG_TOOLS_SGRUN_PROGRESS_H
#define SG_TOOLS_SGRUN_PROGRESS_H

#include "runtime/train/trainer.h"

typedef struct Progress {
  bool is_terminal, is_quiet;
  bool has_diverged; // the trainer has saved a step that failed
  double shown;      // when the last line was drawn, seconds of the run
} Progress;

Progress progress_new(bool is_quiet);
void progress_step(void *progress, const TrainStep *step);
void progress_epoch(void *progress, const TrainEpoch *epoch);
// Pictures done so far of `total` (0 = nobody knows), of which `seconds` were spent.
void progress_pictures(Progress *progress, int64_t done, int64_t total, double seconds);
void progress_stop(void *progress, const char *reason);
void progress_diverged(void *progress, const char *directory);
void progress_end(Progress *progress); // leaves the terminal on a fresh line

#endif
