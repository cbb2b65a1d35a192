// Fuse: what the fuse pass is made of, for its own files and for tests.
#ifndef SG_PASS_FUSE_H
#define SG_PASS_FUSE_H

#include "compiler/kernel/group.h"
#include "compiler/pass/pass.h"

// As kernel_can_fuse: whether one kernel can compute the group.
typedef bool FusePredicate(const Target *target, const Group *group, Text *why);

// The work of pass_fuse with another predicate than the code generator's.
bool fuse_with(const PassContext *context, Graph *graph, FusePredicate *predicate);

// ---- sets of nodes being merged -----------------------------------------------------------------------------------

// Every node starts as a set of its own; leaves and views stay so. Sets keep an order in which they can be computed,
// so that a merge that would make a cycle is seen by looking only at the sets between the two.
typedef struct FuseSets FuseSets;

FuseSets *fuse_sets_new(const Graph *graph, Arena *arena);
int fuse_set_of(const FuseSets *sets, const Node *node);
// Members in topological order.
Node *const *fuse_set_members(const FuseSets *sets, int set, int *out_n);
// Whether the sets can become one without a third one having to be computed between them.
bool fuse_sets_can_merge(FuseSets *sets, int a, int b);
// Makes them one, which has the number returned: `a` or `b`. Only after fuse_sets_can_merge.
int fuse_sets_merge(FuseSets *sets, int a, int b);

// ---- duplication ----------------------------------------------------------------------------------------------------

// Copies cheap element-wise nodes for each of their users where that saves memory traffic: the operand is kept in
// memory anyway, so that reading it again costs no more than reading the result would. Returns whether it did.
bool fuse_duplicate(Graph *graph);

// result[id]: the element-wise node should go into its only user's kernel rather than into that of an operand: all of
// its large operands are kept in memory anyway, or late themselves, so that it need never be stored.
bool *fuse_find_late(const Graph *graph, Arena *arena);

// Numbers in which small updates differ that are otherwise the same are read from memory from now on, so that these
// share a launch. Returns whether there are any.
bool fuse_numbers(Graph *graph);

// ---- explaining -----------------------------------------------------------------------------------------------------

// A merge that would have spared a value the way through memory, and why it was not made.
typedef struct NearMiss {
  const Node *value, *user;
  const char *why;
} NearMiss;

// Both append a part of what `sgc explain` shows: the near misses, known while groups are made, and the kernels, known
// when concats are in place: ops, results, source lines, bytes that fusion spares.
void explain_misses(const Graph *graph, const NearMiss *misses, int n_misses, Text *out);
void explain_kernels(const Graph *graph, Text *out);

#endif
