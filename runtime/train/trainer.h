// Trainer: runs a training step over a loader's batches, validates, saves, and goes on where it stopped.
#ifndef SG_TRAIN_TRAINER_H
#define SG_TRAIN_TRAINER_H

#include <signal.h>

#include "runtime/data/loader.h"
#include "runtime/exec.h"
#include "runtime/train/checkpoint.h"
#include "runtime/train/schedule.h"
#include "runtime/train/team.h"
#include "runtime/train/validate.h"

typedef struct TrainStep {
  int64_t step, steps;               // 1-based, and how many there will be
  int64_t epoch, epochs;             // 1-based
  double loss, grad_norm, lr, beta1; // loss: mean over the parts of the batch; grad_norm: before clipping
  double seconds;                    // of this run so far (not counting runs before a resume)
  double left;                       // estimated seconds to the end
  double pictures;                   // a second, lately
  int parts;                         // runs that made the step
} TrainStep;

typedef struct TrainEpoch {
  int64_t epoch, epochs, step;
  double loss; // mean over the epoch's steps
  MetricsMean metrics;
  bool is_best;           // the weights file now holds this epoch
  double mean, deviation; // of the predicted depths, metres
  int64_t collapsed;      // validations in a row, this one included, whose predictions were constant
  int64_t since_best;     // validations since the best one
  double ema;             // decay of the averages that were validated; 0: the parameters themselves
} TrainEpoch;

// What is told to whoever watches; each may be NULL.
typedef struct TrainEvents {
  void *context;
  void (*step)(void *context, const TrainStep *step);
  void (*epoch)(void *context, const TrainEpoch *epoch);
  void (*stop)(void *context, const char *reason);        // the run ends before its last epoch, in good order
  void (*diverged)(void *context, const char *directory); // the step that failed has been saved there
} TrainEvents;

typedef struct TrainOptions {
  const char *directory; // checkpoint.safetensors, weights.safetensors (best so far) and log.jsonl go there
  int64_t epochs;
  Schedule schedule;
  double beta2, ema;                   // ema: decay of the averages, where the program keeps them
  int accumulate;                      // parts of a batch, each a batch of the loader; 0 = 1
  int64_t patience, collapse_patience; // validations without a better abs_rel, and of constant depth; 0 = no end
  double checkpoint_seconds;           // between checkpoints within an epoch
  double time_limit;                   // seconds after which the run is saved and interrupted; 0 = none
  const Protocol *protocol;            // of validation
  uint64_t seed;                       // of what is random in the training program, such as dropout
  const Metadata *metadata;            // for the weight files
  int n_metadata;
  const char *configuration;         // one line that a resumed run must agree with
  bool is_resume;                    // go on from the checkpoint in the directory
  const volatile sig_atomic_t *stop; // finish the step, save, and end with EXIT_INTERRUPTED once it is not 0
  TrainEvents events;
} TrainOptions;

// Of each device of the team, the training program, and the evaluation program; the loaders give the samples of this
// process. The training program comes from step_build, with the inputs "rgb" and "gt", and "random_key" [2] if
// something in it is random; the evaluation program has the input "rgb" and the output "depth", both at the loaders'
// sizes.
typedef struct TrainParts {
  Team *team;
  Exec *const *step, *const *evaluation;
  Loader *training, *validation;
  int64_t batch; // samples of all devices that one run of the program sees
} TrainParts;

// Runs to the end of the epochs or of the patience (STATUS_OK in both cases), or until interrupted by a signal or the
// time limit (EXIT_INTERRUPTED after saving), or until training fails (EXIT_DIVERGED, the last checkpoint stays): the
// loss or the gradient is not finite (the step is saved by diverged_save), or the predictions have been constant for
// too long. EXIT_PEER where another process of the world fails; all processes call it, and the first one writes the
// files and tells the events.
Status train_run(const TrainParts *parts, const TrainOptions *options);

// Writes the inputs "hyper" and, if there is one, "random_key" of step `step` (0 = the first), part `part` of its
// batch.
void train_hyper(const TrainOptions *options, int64_t step, int part, Exec *exec);

// The paths of a run's files, in the caller's Text.
void train_path(const char *directory, const char *file, Text *out);

#endif
