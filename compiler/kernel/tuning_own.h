// What the two files of the tuning share.
#ifndef SG_KERNEL_TUNING_OWN_H
#define SG_KERNEL_TUNING_OWN_H

#include "compiler/kernel/tuning.h"
#include "runtime/base/strmap.h"

struct Tuning {
  Arena *arena;
  StrMap *results; // TuningResult by name; NULL where one was removed
  StrMap *asked;   // names of the subjects
  TuningSubject *subject;
  int n_subjects, capacity, n_used;
  int forced, forced_layers; // alternatives that tests ask for, or -1
};

#endif
