// Shard, third part: the all-reduces.
//
// Two sorts. Those that other devices' samples wait for (sums of batch norm, the parts of a loss that are divided) are
// urgent: they are merged with independent neighbours only, as each costs a round trip in which little else can run.
// The others, gradients before all, are used by what every device computes alike at the end of the step: they are
// collected in buckets in the order in which the backward pass makes them, and each bucket goes off when it is full.
// Each sort has a lane (runtime/device.h), so that an urgent sum need not wait for a bucket under way.
#include "compiler/ops/build.h"
#include "compiler/pass/shard.h"
#include "runtime/base/status.h"
#include "runtime/program.h"

enum {
  NEAR = 256,       // nodes between two urgent sums that are merged: a layer's, and not more than its neighbours'
  SMALL = 64 << 10, // elements of an urgent sum beyond which merging saves nothing
};

typedef struct Bucket {
  ShardKind kind;
  bool is_urgent;
  int level;   // how many urgent all-reduces stand before it, one after the other
  int *member; // ids, ascending
  int n, cap;
  int64_t elements;
} Bucket;

struct ShardReduces {
  Sharder *sharder;
  Bucket *buckets;
  int n, cap;
  int64_t most;            // bytes after which a bucket that is not urgent goes off
  int open[SHARD_MAX + 1]; // by kind: the number of the last such bucket, or -1
  int *bucket_of;          // by id: its number, or -1
  Node **whole;            // by id
};

// by id: whether anything that has a part on each device depends on the whole value of the node.
static bool *find_urgent(const Sharder *sharder) {
  bool *feeds = ARENA_ARRAY(sharder->scratch, bool, sharder->n + 1);
  for (int i = sharder->n - 1; i >= 0; i--) {
    const Node *node = sharder->graph->nodes[i];
    bool is_apart = sharder->value[i].kind != SHARD_WHOLE;
    for (int k = 0; k < node->n_in; k++) feeds[node->in[k]->id] |= is_apart || feeds[i];
  }
  return feeds;
}

static bool fits(const ShardReduces *reduces, const Bucket *bucket, const Bucket *one) {
  if (bucket->kind != one->kind || bucket->is_urgent != one->is_urgent) return false;
  if (!one->is_urgent) return 4 * bucket->elements < reduces->most;
  // of one level: none can depend on another
  return bucket->level == one->level && one->member[0] - bucket->member[bucket->n - 1] <= NEAR &&
         bucket->elements + one->elements <= SMALL;
}

// The bucket that takes the node in: the latest that fits, or a new one.
static int find_bucket(ShardReduces *reduces, const Bucket *one) {
  enum { OPEN = 16 }; // buckets looked back at
  int last = one->is_urgent ? -1 : reduces->open[one->kind];
  if (last >= 0 && fits(reduces, &reduces->buckets[last], one)) return last;
  for (int i = reduces->n - 1; i >= 0 && i >= reduces->n - OPEN && one->is_urgent; i--) {
    if (fits(reduces, &reduces->buckets[i], one)) return i;
  }
  ARENA_PUSH(reduces->sharder->scratch, reduces->buckets, reduces->n, reduces->cap, *one);
  reduces->buckets[reduces->n - 1].n = 0;
  reduces->buckets[reduces->n - 1].elements = 0;
  reduces->buckets[reduces->n - 1].member = NULL;
  reduces->buckets[reduces->n - 1].cap = 0;
  if (!one->is_urgent) reduces->open[one->kind] = reduces->n - 1;
  return reduces->n - 1;
}

// Buckets of a sixteenth of all that is to be summed, so that small networks have several, too: the last one cannot go
// beside the backward pass.
static int64_t bucket_bytes(const Sharder *sharder, const bool *is_urgent) {
  enum { LEAST = 128 << 10, PARTS = 16 };
  int64_t bytes = 0, most = sharder->shard->bucket_bytes;
  for (int i = 0; i < sharder->n; i++) {
    if (sharder->value[i].is_reduced && !is_urgent[i]) bytes += 4 * shape_elements(sharder->graph->nodes[i]->shape);
  }
  if (bytes / PARTS >= most || most <= LEAST) return most;
  return bytes / PARTS > LEAST ? bytes / PARTS : LEAST;
}

ShardReduces *shard_reduces_new(Sharder *sharder) {
  ShardReduces *reduces = ARENA_ARRAY(sharder->scratch, ShardReduces, 1);
  *reduces = (ShardReduces){.sharder = sharder,
                            .bucket_of = ARENA_ARRAY(sharder->scratch, int, sharder->n + 1),
                            .whole = ARENA_ARRAY(sharder->scratch, Node *, sharder->n + 1)};
  const bool *is_urgent = find_urgent(sharder);
  for (int kind = 0; kind <= SHARD_MAX; kind++) reduces->open[kind] = -1;
  reduces->most = bucket_bytes(sharder, is_urgent);
  for (int i = 0; i < sharder->n; i++) {
    reduces->bucket_of[i] = -1;
    const ShardValue *value = &sharder->value[i];
    if (!value->is_reduced) continue;
    int64_t elements = shape_elements(sharder->graph->nodes[i]->shape);
    Bucket one = {value->kind, is_urgent[i], value->level, &i, 1, 1, elements};
    int number = find_bucket(reduces, &one);
    Bucket *bucket = &reduces->buckets[number];
    ARENA_PUSH(sharder->scratch, bucket->member, bucket->n, bucket->cap, i);
    bucket->elements += elements;
    reduces->bucket_of[i] = number;
  }
  return reduces;
}

Node *shard_whole(ShardReduces *reduces, const Node *node) {
  Node **whole = &reduces->whole[node->id];
  if (*whole) return *whole;
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(OP_reshape, "shape")].ints = node->shape;
  graph_at(reduces->sharder->graph, node);
  *whole = graph_add(reduces->sharder->graph, OP_reshape, (Node *[]){(Node *)node}, 1, attrs);
  return *whole;
}

static void build_bucket(ShardReduces *reduces, const Bucket *bucket, Node *const *members) {
  Graph *graph = reduces->sharder->graph;
  Node **flat = ARENA_ARRAY(reduces->sharder->scratch, Node *, bucket->n);
  for (int i = 0; i < bucket->n; i++) {
    Node *value = members[i];
    while (value->op == OP_reshape) value = value->in[0]; // its kernel can then write into the bucket
    flat[i] = graph_reshape(graph, value, SHAPE(shape_elements(value->shape)));
  }
  Node *all = build_concat(graph, flat, bucket->n, 0);
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(OP_all_reduce, "which")].i = bucket->kind == SHARD_MAX;
  attrs[op_attr_index(OP_all_reduce, "lane")].i = bucket->is_urgent ? LANE_URGENT : LANE_LARGE;
  Node *reduced = graph_add(graph, OP_all_reduce, &all, 1, attrs);
  int64_t at = 0;
  for (int i = 0; i < bucket->n; i++) {
    int64_t n = shape_elements(members[i]->shape);
    Node *whole = shard_whole(reduces, members[i]);
    graph_at(graph, members[i]);
    whole->in[0] = bucket->n == 1 ? reduced : graph_slice(graph, reduced, 0, at, at + n);
    at += n;
  }
}

void shard_reduces_after(ShardReduces *reduces, Node *node) {
  int number = reduces->bucket_of[node->id];
  if (number < 0) return;
  const Bucket *bucket = &reduces->buckets[number];
  if (bucket->member[bucket->n - 1] != node->id) return;
  Node **members = ARENA_ARRAY(reduces->sharder->scratch, Node *, bucket->n);
  for (int i = 0; i < bucket->n; i++) members[i] = reduces->sharder->graph->nodes[bucket->member[i]];
  graph_at(reduces->sharder->graph, node);
  build_bucket(reduces, bucket, members);
}

void shard_chain(Graph *graph) {
  Node *last = NULL;
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    if (node->op != OP_all_reduce) continue;
    Node *in[] = {node->in[0], last};
    node->in = arena_memdup(graph->arena, in, sizeof in);
    node->n_in = last ? 2 : 1;
    last = node;
  }
}
