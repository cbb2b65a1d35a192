// ops.h: the operator cases that are not graphs: schedules, optimiser, clipping, metrics.
#ifndef SG_TESTS_GOLDEN_OPS_H
#define SG_TESTS_GOLDEN_OPS_H

#include "tests/golden/golden.h"

bool golden_is_runtime_op(const char *name);
// Runs the case and adds its outputs to `writer`; `arena` must live until the writer saves.
bool golden_runtime_op(Golden *golden, const cJSON *test, const WeightFile *file, Arena *arena, WeightWriter *writer);

#endif
