// Schedules of ops that no scalar expression describes.
#ifndef SG_KERNEL_SCHEDULE_SPECIAL_H
#define SG_KERNEL_SCHEDULE_SPECIAL_H

#include "compiler/kernel/schedule_map.h"

// Whether the op is one of them; it is then computed alone.
bool special_is(Op op);
// Fills the function of a group with one such node.
void special_schedule(Lower *lower);

// The nest that copies input k of a concat to where it begins along the axis.
void concat_copy(Lower *lower, Node *node, int k, int64_t start, Map *out);

#endif
