// Shard: what the shard pass is made of. Private to its files.
//
//   shard_find     what each value is on one device: whole, split along an axis, or a part of a sum
//   shard_share    this device's share of a value that is whole
//   shard_reduce   all-reduces: which are merged, and where they stand
//   shard          the rewriting itself
#ifndef SG_PASS_SHARD_H
#define SG_PASS_SHARD_H

#include "compiler/graph.h"
#include "compiler/pass/pass.h"

typedef enum ShardKind {
  SHARD_WHOLE, // every device has the value
  SHARD_SPLIT, // every device has the part of its samples, along one axis
  SHARD_SUM,   // the value is the sum of what the devices have
  SHARD_MAX,   // likewise the largest
} ShardKind;

// SPLIT: the axis has `inner` elements a sample, the sample being the outer part of the axis.
typedef struct ShardValue {
  ShardKind kind;
  int axis;
  int64_t inner;
  bool is_reduced; // SUM, MAX: made whole by an all-reduce, and whole to all its users
  int level;       // all-reduces that have to be waited for before it can be computed, one after the other
} ShardValue;

typedef struct Sharder {
  Graph *graph;
  const Shard *shard;
  Diag *diag;
  Arena *scratch;
  ShardValue *value; // by id, of the nodes of the graph that was given
  int n;             // of these nodes
} Sharder;

// Finds sharder->value. False after an error in the diagnostics: an op that cannot be split, with its place.
bool shard_find(Sharder *sharder);
// How the users of a node see it.
static inline ShardKind shard_seen(const Sharder *sharder, const Node *node) {
  const ShardValue *value = &sharder->value[node->id];
  return value->is_reduced ? SHARD_WHOLE : value->kind;
}

// The axis of `to` that has the batch in front, where the split axis of `from` has, for the same elements in another
// shape. False if there is none: the batch would be torn apart.
bool shard_reshaped_axis(int64_t batch, Shape from, int axis, Shape to, int *out_axis, int64_t *out_inner);

// ---- shares of whole values

typedef struct ShardShares ShardShares;
ShardShares *shard_shares_new(Sharder *sharder);
// This device's share of a whole value along an axis that has batch * inner elements: made anew from what it is
// computed from where that is cheap, picked out of it elsewhere. Elements that are equal for all samples stay one.
Node *shard_share(ShardShares *shares, Node *whole, int axis, int64_t inner);

// ---- all-reduces

typedef struct ShardReduces ShardReduces;
// Decides what is merged with what, from the values found.
ShardReduces *shard_reduces_new(Sharder *sharder);
// The node that stands for the whole value of a reduced node, of the same shape. It reads the node itself until
// shard_reduces_after puts the all-reduce between them.
Node *shard_whole(ShardReduces *reduces, const Node *node);
// Appends to the graph the all-reduce whose last operand the node is, if it is one's.
void shard_reduces_after(ShardReduces *reduces, Node *node);
// Makes each all-reduce follow the one before it in the graph, which must be sorted: all devices do them in one order.
void shard_chain(Graph *graph);

#endif
