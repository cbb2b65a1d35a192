// Trainer: runs a training step over a loader's batches, validates, saves, and goes on where it stopped.
#ifndef SG_TRAIN_TRAINER_H
#define SG_TRAIN_TRAINER_H

#include <signal.h>

#include "runtime/data/loader.h"
#include "runtime/exec.h"
#include "runtime/train/checkpoint.h"
#include "runtime/train/metrics.h"
#include "runtime/train/schedule.h"

typedef struct TrainStep {
  int64_t step, steps;   // 1-based, and how many there will be
  int64_t epoch, epochs; // 1-based
  double loss, grad_norm, lr, beta1;
  double seconds;  // of this run so far (not counting runs before a resume)
  double left;     // estimated seconds to the end
  double pictures; // a second, lately
} TrainStep;

typedef struct TrainEpoch {
  int64_t epoch, epochs, step;
  double loss; // mean over the epoch's steps in this run
  MetricsMean metrics;
  bool is_best; // the weights file now holds this epoch
} TrainEpoch;

// What is told to whoever watches; either may be NULL.
typedef struct TrainEvents {
  void *context;
  void (*step)(void *context, const TrainStep *step);
  void (*epoch)(void *context, const TrainEpoch *epoch);
} TrainEvents;

typedef struct TrainOptions {
  const char *directory; // checkpoint.safetensors, weights.safetensors (best so far) and log.jsonl go there
  int64_t epochs;
  Schedule schedule;
  double beta2;
  double checkpoint_seconds; // between checkpoints within an epoch
  const Protocol *protocol;  // of validation
  const Metadata *metadata;  // for the weight files
  int n_metadata;
  const char *configuration;         // one line that a resumed run must agree with
  bool is_resume;                    // go on from the checkpoint in the directory
  const volatile sig_atomic_t *stop; // finish the step, save, and end with EXIT_INTERRUPTED once it is not 0
  TrainEvents events;
} TrainOptions;

// The training program has inputs "rgb", "gt", "hyper" and outputs "loss", "grad_norm"; the evaluation program has the
// input "rgb" and the output "depth", both at the loaders' sizes.
typedef struct TrainParts {
  Exec *step, *evaluation;
  Loader *training, *validation;
} TrainParts;

// Runs to the end, or until interrupted (EXIT_INTERRUPTED after saving), or until the loss is not a number
// (EXIT_DIVERGED, naming step and samples; the last checkpoint stays).
Status train_run(const TrainParts *parts, const TrainOptions *options);

// Validates an evaluation program on one pass over a loader.
Status train_validate(Exec *evaluation, Loader *loader, const Protocol *protocol, MetricsMean *out);

// The paths of a run's files, in the caller's Text.
void train_path(const char *directory, const char *file, Text *out);

#endif
