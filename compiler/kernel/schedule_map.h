// Map: the generic schedule - values stored element by element over one index space, as vectors where every access
// allows it, split into tasks by the shape alone.
#ifndef SG_KERNEL_SCHEDULE_MAP_H
#define SG_KERNEL_SCHEDULE_MAP_H

#include "compiler/kernel/emit.h"
#include "runtime/program.h"

typedef struct MapLoop {
  IrVar *var;
  int64_t n;
  int64_t lanes; // elements a turn: the channels of a block, or 1
} MapLoop;

typedef struct MapStore {
  const IrBuffer *buffer;
  IrExpr *offset, *value;
  IrExpr *n_valid; // lanes to store; NULL = one number, or all lanes
} MapStore;

enum { MAP_LOOPS = 8, MAP_TASKS = 64, COST_LOAD = 2 };

typedef enum MapLanes {
  MAP_SCALAR,
  MAP_CHANNELS, // lanes are the channels of a block
  MAP_LAST,     // lanes are neighbours along the last loop, which steps by the vector width
} MapLanes;

typedef struct Map {
  Lower *lower;
  int n_loops;
  MapLoop loop[MAP_LOOPS]; // outermost first
  int n_stores;
  MapStore *store, *tail; // tail: for the last elements of loop[stepped] that fill no vector
  MapLanes lanes;
  int64_t tile; // turns of loop[tiled] that are computed together, first reductions for them; 0 = each by itself
  int tiled;
  int stepped;     // the loop that steps by vectors, or -1
  int n_outer;     // the outermost loops, which all reductions depend on
  int n_split;     // the outermost loops that tasks are split over
  int64_t n_tasks; // product of parts[0 .. n_split)
  int64_t parts[MAP_LOOPS], chunk[MAP_LOOPS];
  bool has_reductions; // which make vectors of their own where the nest has none
  int64_t cost;        // a rough number of operations
} Map;

// Chooses loops, lanes and tasks for storing all results of the group, which have one shape, at all their indices. (On
// CUDA results may be of size 1 along some axes of the largest.)
void map_outputs(Map *map, Lower *lower);
// The same for given stores over given loops.
void map_stores(Map *map, Lower *lower, int n_loops, const MapLoop *loops, int n_stores, const MapStore *stores);

// Whether the kernel is one loop over whole buffers that are computed element by element. map_put_flat then fills the
// function so that its text holds no size: a task is FLAT_TASK floats, the last one reaches into the buffer's padding.
bool map_is_flat(Map *map);
void map_put_flat(Map *map);
enum { FLAT_TASK = PROGRAM_ALIGN };

// Whether the stores reduce rows of neighbours whose lanes are gathered: without lanes of the nest they make vectors of
// the neighbours.
bool map_gathers_rows(const Map *map, const MapStore *stores);
// Puts the two innermost loops into another order, where lanes are gathered line by line and neighbours in these lines
// are those of the outer loop: the inner one in stretches, inside of which the outer one is. So a line is read but
// once, and not as often as it has elements if the inner loop touches more of them than the first cache holds. (Eight
// lanes a multiple of a page apart share the ways of a set; stretches of few turns leave them there.)
void map_stretch_gathers(Map *map);

// Puts `by` in the place of the variable in all stores.
void map_substitute(Map *map, const IrVar *var, IrExpr *by);

// Operations of the whole nest.
int64_t map_price(Map *map);
// Operations of the group's nodes apart, each element computed once.
int64_t map_price_apart(const Group *group);
// Operations that one value of an elementwise op counts for.
int64_t map_op_price(Op op);

// Appends to the innermost open loop what stores the turns begin .. end - 1 of loop[tiled], at most `tile` of them.
void map_put_tile(Map *map, Emit *emit, IrExpr *begin, IrExpr *end);

// Appends to `body` what task number `task` (0 .. n_tasks - 1) does.
void map_put(Map *map, IrStmt *body, IrExpr *task);

#endif
