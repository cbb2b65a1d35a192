// Rewrite: how passes replace nodes by better ones, and the small questions that they ask of nodes.
#ifndef SG_PASS_REWRITE_H
#define SG_PASS_REWRITE_H

#include "compiler/graph.h"

// What the node is to be replaced by, of the same shape, or NULL to keep it. New nodes are appended to the graph, with
// the place and module of `node` unless the rule says otherwise. `node` itself must not be changed.
typedef Node *RewriteRule(void *context, Graph *graph, Node *node);

// Offers every node to the rule, operands before users; users see the replacements. Sorts the graph if anything
// changed. A replacement is not offered again: call until nothing changes. Returns whether anything changed.
bool graph_rewrite(Graph *graph, RewriteRule *rule, void *context);

// Whether the node is a fill, of any shape, and its value.
bool is_fill(const Node *node, double *out_value);
bool is_fill_of(const Node *node, double value);
bool is_single(const Node *node);      // one element
bool is_elementwise(const Node *node); // CLASS_ELEMENTWISE

// result[id]: the node has the same value in every run, as it depends on constants and on parameters and states that no
// update of the graph changes. Lives in `arena`.
bool *find_fixed(const Graph *graph, Arena *arena);

// users[id]: the only user of the node, if it has one and only one operand somewhere refers to it and no output or
// update does; NULL otherwise. Lives in `arena`.
Node **find_only_users(const Graph *graph, Arena *arena);

// Both of the above, for the nodes that were there at the beginning of a walk: ids below n.
typedef struct Users {
  Node **only;
  const bool *is_fixed;
  int n;
} Users;
// Whether nothing but one operand of `user` refers to the node.
bool is_only_for(const Users *users, const Node *node, const Node *user);

// Sorts and walks again with a rule whose context is the Users of the walk, until nothing changes. Returns whether
// anything changed.
bool graph_rewrite_by_users(Graph *graph, RewriteRule *rule);

#endif
