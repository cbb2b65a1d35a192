// Tiles: reductions over elements that are far apart, such as channels, done for a stretch of neighbours at a time.
#ifndef SG_KERNEL_SCHEDULE_TILE_H
#define SG_KERNEL_SCHEDULE_TILE_H

#include "compiler/kernel/schedule_map.h"

// How many turns of the loop (the innermost that all reductions depend on) make a good tile; 0 where reductions walk
// memory in order anyway, or have no such form.
int64_t tile_turns(Map *map, int loop);

// Inside the open loop over tiles: computes all reductions for the turns of `loop` from `begin` while < `end`, into
// arrays of `turns` results, and returns the stores with those in their place.
MapStore *tile_reductions(Emit *emit, Map *map, int loop, int64_t turns, IrExpr *begin, IrExpr *end);

#endif
