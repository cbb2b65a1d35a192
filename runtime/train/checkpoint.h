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

// Writes all parameters and states of the program; optimiser moments ("adamw.*") only if asked for. The metadata gets
// "sgc.hash", the content hash that checkpoint_verify looks at. Atomic: the old file or the new one is there.
Status checkpoint_save(const char *path, const Exec *exec, bool with_moments, const Metadata *metadata, int n_metadata);

// Recomputes the hash. A file without one passes (it is somebody else's); a wrong one is EXIT_WEIGHTS.
Status checkpoint_verify(const WeightFile *file);

// Sets every parameter and state of the program from the file, by name. Missing tensors and other shapes are
// EXIT_WEIGHTS naming the first few of each; tensors that the program does not know are ignored and, if `unused` is
// given, counted there (moments apart).
Status checkpoint_restore(const WeightFile *file, Exec *exec, int *unused);

#endif
