// Group: the kernels of a graph, collected from node->group; and small questions about nodes that need one or not.
#ifndef SG_KERNEL_GROUP_H
#define SG_KERNEL_GROUP_H

#include "compiler/kernel/kernel.h"

// What a question whether a group makes a kernel answers with: false, and the reason in `why` if that is given.
bool group_refuse(Text *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

// The value is another's, seen in another shape or layout: node->into is its operand, or its operand is kept in it.
bool node_is_view(const Node *node);

// Whether a kernel has to compute the node: not for leaves and views, nor for a concat of which nothing is to be
// copied.
bool node_needs_kernel(const Node *node);

// Whether kernels spell the value as a number instead of reading it: fills.
bool node_is_number(const Node *node);

// Whether it sums, or takes the largest of, the pixels of each row of a picture, and keeps their axis.
bool node_reduces_rows(const Node *node);

// Whether input k of the concat was written in place, so that the concat's kernel need not copy it.
bool concat_is_in_place(const Node *concat, int k);

// Whether images (axis 0) of the value follow each other without gaps.
bool storage_is_contiguous(const Node *node);

// Who uses each node of a graph. Valid while the graph stays as it is.
typedef struct GroupIndex {
  const Graph *graph;
  int *first; // users of node i: user[first[i]] .. user[first[i + 1] - 1], each once an operand
  Node **user;
  bool *is_result; // an output or the value of an update
  int *mark;       // by node: scratch of group_make
  int n_marks;
} GroupIndex;
GroupIndex *group_index(const Graph *graph, Arena *arena);

// Describes the members (in topological order) as a group: finds ins, in the order of their first use, and outs: the
// members that a node outside, an output, an update or a view needs. Arrays live in `arena`.
Group group_make(GroupIndex *index, Node *const *members, int n, Arena *arena);

// Whether the kernel reads and writes each element at one index only, all loads of an index before its stores: then a
// result may stand in the memory of an operand of its form.
bool group_is_pointwise(const Group *group);

// All groups of the graph, in an order in which they can be computed; Group.id is node->group. Setup groups (all
// members is_setup) and the others are mixed. Nodes that need a kernel but have no group, as no fuse pass has run, are
// groups of their own.
Group *group_collect(const Graph *graph, Arena *arena, int *out_n);

#endif
