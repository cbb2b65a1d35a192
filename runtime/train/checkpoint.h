// Checkpoint: parameters, running statistics, moments and counters to a safetensors file and back, bit for bit.
#ifndef SG_TRAIN_CHECKPOINT_H
#define SG_TRAIN_CHECKPOINT_H

#include <stdbool.h>

#include "runtime/base/text.h"
#include "runtime/exec.h"
#include "runtime/weights.h"

typedef struct Metadata {
  const char *key, *value;
} Metadata;

// What a weight file of a training program holds.
typedef enum CheckpointKind {
  CHECKPOINT_ALL,   // everything, to go on from
  CHECKPOINT_MODEL, // what the model is: no moments ("adamw.*") and no accumulated gradients; where moving averages
                    // ("ema.*") are kept, these in the place of the parameters
} CheckpointKind;

// Writes parameters and states of the program. The metadata gets "sgc.hash", the content hash that checkpoint_verify
// looks at. Atomic: the old file or the new one is there.
Status checkpoint_save(const char *path, const Exec *exec, CheckpointKind kind, const Metadata *metadata,
                       int n_metadata);

// Copies the model's values, as CHECKPOINT_MODEL has them, from a training program to one that evaluates.
Status checkpoint_copy(const Exec *training, Exec *evaluation);

// Recomputes the hash. A file without one passes (it is somebody else's); a wrong one is EXIT_WEIGHTS.
Status checkpoint_verify(const WeightFile *file);

// Sets every parameter and state of the program from the file, by name. Missing tensors and other shapes are
// EXIT_WEIGHTS naming the first few of each; tensors that the program does not know are ignored and, if `unused` is
// given, counted there (those of the training step apart).
Status checkpoint_restore(const WeightFile *file, Exec *exec, int *unused);

#endif
