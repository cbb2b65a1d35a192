// Common subexpressions: equal nodes become one, by hash-consing in one walk.
#include <stdlib.h>
#include <string.h>

#include "compiler/pass/pass.h"
#include "compiler/pass/rewrite.h"
#include "runtime/base/hash.h"

typedef struct Table {
  Node **slot;
  Hash *hash;
  int mask;
} Table;

// Leaves with an identity of their own.
static bool is_unique(const Node *node) { return node->op == OP_input || node->op == OP_param || node->op == OP_state; }

static bool commutes(const Node *node) { return (op_info(node->op)->flags & OPF_COMMUTES) && node->n_in == 2; }

// Operands by address; those of commutative ops in one order, whichever they were written in.
static void operands(const Node *node, const Node *out[]) {
  for (int k = 0; k < node->n_in; k++) out[k] = node->in[k];
  if (commutes(node) && (uintptr_t)out[0] > (uintptr_t)out[1]) {
    const Node *first = out[0];
    out[0] = out[1];
    out[1] = first;
  }
}

static Hash with(Hash hash, const void *data, size_t size) { return hash_combine(hash, hash_bytes(data, size)); }

static Hash hash_shape(Hash hash, Shape shape) {
  return with(with(hash, &shape.rank, sizeof shape.rank), shape.dim, sizeof *shape.dim * (size_t)shape.rank);
}

static Hash hash_node(const Node *node, Arena *scratch) {
  Hash hash = hash_shape(hash_bytes(&node->op, sizeof node->op), node->shape);
  for (int i = 0; i < op_info(node->op)->n_attrs; i++) {
    hash = with(hash, &node->attr[i].i, sizeof node->attr[i].i);
    hash = with(hash, &node->attr[i].f, sizeof node->attr[i].f);
    hash = hash_shape(hash, node->attr[i].ints);
  }
  const Node **in = ARENA_ARRAY(scratch, const Node *, node->n_in);
  operands(node, in);
  hash = with(hash, in, sizeof *in * (size_t)node->n_in);
  if (node->data) hash = with(hash, node->data, sizeof *node->data * (size_t)shape_elements(node->shape));
  return hash;
}

static bool equal_attr(const AttrValue *a, const AttrValue *b) {
  return a->i == b->i && !memcmp(&a->f, &b->f, sizeof a->f) && shape_equal(a->ints, b->ints);
}

static bool equal_node(const Node *a, const Node *b) {
  if (a->op != b->op || a->n_in != b->n_in || !shape_equal(a->shape, b->shape) || !layout_equal(a->layout, b->layout)) {
    return false;
  }
  for (int i = 0; i < op_info(a->op)->n_attrs; i++) {
    if (!equal_attr(&a->attr[i], &b->attr[i])) return false;
  }
  if (!a->data != !b->data) return false;
  if (a->data && memcmp(a->data, b->data, sizeof *a->data * (size_t)shape_elements(a->shape))) return false;
  bool is_same = true;
  for (int k = 0; k < a->n_in; k++) is_same &= a->in[k] == b->in[k];
  return is_same || (commutes(a) && a->in[0] == b->in[1] && a->in[1] == b->in[0]);
}

typedef struct Consing {
  Table table;
  Arena *scratch;
} Consing;

// The node of the table that is equal, or `node` after entering it.
static Node *find_or_enter(void *context, Graph *graph, Node *node) {
  (void)graph;
  Consing *consing = context;
  Table *table = &consing->table;
  if (is_unique(node)) return NULL;
  Hash hash = hash_node(node, consing->scratch);
  int i = (int)(hash.low & (unsigned)table->mask);
  for (; table->slot[i]; i = (i + 1) & table->mask) {
    if (table->hash[i].low == hash.low && equal_node(table->slot[i], node)) return table->slot[i];
  }
  table->slot[i] = node;
  table->hash[i] = hash;
  return NULL;
}

bool pass_cse(const PassContext *context, Graph *graph) {
  (void)context;
  int size = 64;
  while (size < 2 * graph->n_nodes) size *= 2;
  Consing consing = {.scratch = arena_new()};
  consing.table = (Table){.slot = ARENA_ARRAY(consing.scratch, Node *, size),
                          .hash = ARENA_ARRAY(consing.scratch, Hash, size),
                          .mask = size - 1};
  bool is_changed = graph_rewrite(graph, find_or_enter, &consing);
  arena_free(consing.scratch);
  return is_changed;
}
