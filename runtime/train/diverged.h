// Diverged: a training step that went wrong, kept so that it can be repeated and looked into.
#ifndef SG_TRAIN_DIVERGED_H
#define SG_TRAIN_DIVERGED_H

#include "runtime/data/loader.h"
#include "runtime/exec.h"
#include "runtime/train/checkpoint.h"

// What failed.
typedef struct DivergedStep {
  int64_t step, epoch; // 1-based
  int part, parts;     // of the batch, 0-based
  double loss, grad_norm;
  const Batch *batch;
  const Loader *loader; // names the samples
} DivergedStep;

// Writes into DIRECTORY/diverged what repeats the step: checkpoint.safetensors (the values before it),
// batch.safetensors (all inputs of the program) and README.txt (what happened, which samples, the command).
Status diverged_save(const char *directory, Exec *exec, const DivergedStep *failed, const Metadata *metadata,
                     int n_metadata);

// The samples of a batch by name, "a, b and 6 more"; all of them with `max` 0.
void diverged_samples(const DivergedStep *failed, int max, const char *separator, Text *out);

// Sets values and inputs of a training program of the same model to those of the files in `directory` (the one that
// diverged_save wrote). EXIT_WEIGHTS where they do not fit.
Status diverged_load(const char *directory, Exec *exec);

#endif
