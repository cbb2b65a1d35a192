// Schedules of ops that no scalar expression describes.
#ifndef SG_KERNEL_SCHEDULE_SPECIAL_H
#define SG_KERNEL_SCHEDULE_SPECIAL_H

#include "compiler/kernel/lower.h"

// Whether the op is one of them; it is then computed alone.
bool special_is(Op op);
// Fills the function of a group with one such node.
void special_schedule(Lower *lower);

#endif
