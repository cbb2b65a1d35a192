// Remat: what the remat pass is made of.
#ifndef SG_PASS_REMAT_H
#define SG_PASS_REMAT_H

#include "compiler/plan/remat.h"

// A graph as it was, to return to: its nodes in their order, and what each of them reads. Lives in `arena`.
typedef struct RematSaved RematSaved;
RematSaved *remat_save(const Graph *graph, Arena *arena);
// Undoes what remat_apply did to the same graph since then; the copies of nodes stay in the graph's arena, unused.
void remat_restore(const RematSaved *saved, Graph *graph);

// Puts the graph's nodes into the order of the schedule, which is one of the plan of this graph, with copies of those
// that are computed again; from then on the graph is scheduled. New nodes have groups of their own.
void remat_apply(const RematModel *model, const RematSchedule *schedule, const Plan *plan, Graph *graph);

#endif
