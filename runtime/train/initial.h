// Initial weights: a training program started from somebody's weight file instead of random values.
#ifndef SG_TRAIN_INITIAL_H
#define SG_TRAIN_INITIAL_H

#include "runtime/base/text.h"
#include "runtime/exec.h"
#include "runtime/weights_match.h"

// Sets the parameters and states below `prefix` (NULL = found, see weights_match) from the file: all of them, or the
// program is left alone and EXIT_WEIGHTS names what is missing or has another shape. A stem for 3 channels is repeated
// to the program's number of channels. `report` gets a line that says what was done.
Status initial_weights(const WeightFile *file, const char *prefix, Exec *exec, Text *report);

#endif
