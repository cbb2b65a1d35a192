// sgrun_watch: where a training step went wrong.
#ifndef SG_TOOLS_SGRUN_WATCH_H
#define SG_TOOLS_SGRUN_WATCH_H

#include "tools/sgrun_training.h"

// Runs the step that `training->step` holds, its values and inputs, once more with every tensor watched, and names on
// stderr the first in the order of computation from which the loss or the gradient norm became not finite: operation,
// source line, instance path, and the range of its operands.
void watch_step(const Cli *cli, Training *training);

#endif
