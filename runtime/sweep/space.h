// Space: what a sweep varies, and the trials that follow from it.
#ifndef SG_SWEEP_SPACE_H
#define SG_SWEEP_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/arena.h"
#include "runtime/base/status.h"

typedef enum AxisKind { AXIS_LIST, AXIS_UNIFORM, AXIS_LOG, AXIS_INT, AXIS_CHOICE } AxisKind;

// One setting ("lr") or static parameter of the model ("arg.width") that varies.
typedef struct Axis {
  const char *key;
  AxisKind kind;
  double low, high;          // UNIFORM, LOG: [low, high); INT: low..high, both included
  const char *const *values; // LIST (of a grid), CHOICE: texts
  int n_values;
} Axis;

typedef struct Space {
  Arena *arena; // lent; all texts live there
  Axis *axes;   // those of the grid first
  int n_axes, cap_axes, n_grid;
  int64_t draws; // random draws; each is tried at every point of the grid. 1 where nothing is random
  uint64_t seed;
} Space;

// "lr=1e-3,1e-4" (brackets keep their commas), and "lr=log(1e-5,1e-2)", "clip=uniform(0.1,1)", "rooms=int(8,64)",
// "augment=choice(flip,none)". All of the grid come before all random ones. EXIT_USAGE for what cannot be read, for
// an empty or reversed range and for a key that is there already.
Status space_add_grid(Space *space, const char *text);
Status space_add_random(Space *space, const char *text);

int64_t space_size(const Space *space); // trials

// The value of an axis in a trial, as text in the arena. Trials run through the grid, its last axis fastest, once for
// each draw; a drawn value depends on the seed, the key and the number of the draw alone.
const char *space_value(const Space *space, int64_t trial, int axis);

#endif
