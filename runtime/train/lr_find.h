// LR find: a learning-rate range test (Smith, 2017): the rate grows from step to step until the loss explodes.
#ifndef SG_TRAIN_LR_FIND_H
#define SG_TRAIN_LR_FIND_H

#include <signal.h>

#include "runtime/train/schedule.h"
#include "runtime/train/team.h"

typedef struct LrFindOptions {
  double from, to;     // rates of the first and the last step, from < to; those between form a geometric series
  int steps;           // at least 2
  double beta1, beta2; // beta1 stays the same
  uint64_t seed;       // of what is random in the program, such as dropout
  int accumulate;      // runs a step, each on a batch of the loader
  const volatile sig_atomic_t *stop;                          // end once it is not 0
  void (*step)(void *context, int i, double lr, double loss); // told of each step; may be NULL
  void *context;
} LrFindOptions;

typedef enum LrFindEnd {
  LR_FIND_DONE,       // all steps
  LR_FIND_EXPLODED,   // the smoothed loss passed four times its least value
  LR_FIND_NOT_FINITE, // a loss or gradient was not finite
  LR_FIND_STOPPED,
} LrFindEnd;

typedef struct LrFind {
  int n;                        // steps with a loss
  double *lr, *loss, *smoothed; // [n]; smoothed: moving average with decay 0.9, without bias
  int lowest;                   // step where the smoothed loss is least; the very first ones are left out
                                // the logarithm
  double suggestion;            // a tenth of the rate at `lowest`
  bool is_clear;                // that loss is below the one at the small rates by more than the noise
  LrFindEnd end;
} LrFind;

// What is trained: of each device of the team a training program, and the loader of this process's samples of batches
// of `batch` over all devices.
typedef struct LrFindParts {
  Team *team;
  Exec *const *step;
  Loader *loader;
  int64_t batch;
} LrFindParts;

// Runs the test on the programs, whose values it changes, and from batch 0 of epoch 0 of the loader.
// EXIT_DIVERGED if not even three steps have a finite loss. lr_find_free ends the result in every case.
Status lr_find(const LrFindParts *from, const LrFindOptions *options, LrFind *out);
void lr_find_free(LrFind *find);

// The reading of a curve: fills all but the end from lr and loss.
void lr_find_read(LrFind *find);

#endif
