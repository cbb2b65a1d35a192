// Duplication before fusing: cheap element-wise values are computed again in each kernel that uses them; and which
// values are better computed where they are used than where their operands come from.
//
// A value is worth copying if it is made of one large value that is kept in memory anyway (and of small ones, such as
// one a channel): each user then reads that instead, and the value itself is never stored. The centred maps of batch
// norm are the case that matters: forward and backward both use them, and both have the maps themselves at hand.
#include "compiler/pass/fuse.h"

enum {
  LARGE_ELEMENTS = 16384, // below this memory traffic does not matter
  SMALL_SHARE = 16,       // an operand with so much fewer elements costs nothing to read
  MAX_DEPTH = 8,          // ops that are computed again at most
};

typedef struct Duplicator {
  Graph *graph;
  Arena *arena;
  GroupIndex *index;
  int *depth; // by id of the nodes present before: ops down to the large value if duplicated, else 0
  int n_old;
  bool changed;
} Duplicator;

static bool is_cheap(Op op) {
  switch (op) {
  case OP_neg:
  case OP_abs:
  case OP_relu:
  case OP_leaky_relu:
  case OP_hard_sigmoid:
  case OP_clamp:
  case OP_add:
  case OP_sub:
  case OP_mul:
  case OP_div:
  case OP_minimum:
  case OP_maximum:
  case OP_less:
  case OP_less_equal:
  case OP_equal:
  case OP_select: return true;
  default: return false;
  }
}

static bool is_small_part(const Node *operand, const Node *of) {
  return node_is_number(operand) || SMALL_SHARE * shape_elements(operand->shape) <= shape_elements(of->shape);
}

static bool is_elementwise(const Node *node) { return op_info(node->op)->cls == CLASS_ELEMENTWISE; }

// The one large operand, which may be used more than once, or NULL.
static Node *large_operand(const Node *node) {
  Node *large = NULL;
  for (int k = 0; k < node->n_in; k++) {
    Node *in = node->in[k];
    if (is_small_part(in, node)) continue;
    if (large && large != in) return NULL;
    large = in;
  }
  return large;
}

// Whether the value is in memory whatever is fused: a leaf, a view, or needed by more than element-wise nodes.
static bool is_kept(const GroupIndex *index, const Node *node) {
  if (!node_needs_kernel(node) || index->is_result[node->id]) return true;
  for (int i = index->first[node->id]; i < index->first[node->id + 1]; i++) {
    if (!is_elementwise(index->user[i])) return true;
  }
  return false;
}

// Whether only nodes use the value that can compute their operands on the way.
static bool is_used_on_the_way(const GroupIndex *index, const Node *node) {
  if (index->is_result[node->id]) return false;
  for (int i = index->first[node->id]; i < index->first[node->id + 1]; i++) {
    OpClass cls = op_info(index->user[i]->op)->cls;
    if (cls != CLASS_ELEMENTWISE && cls != CLASS_REDUCE) return false;
  }
  return true;
}

static int depth_of(const Duplicator *duplicator, const Node *node) {
  if (!is_elementwise(node) || !is_cheap(node->op) || node->is_setup) return 0;
  if (shape_elements(node->shape) < LARGE_ELEMENTS || !is_used_on_the_way(duplicator->index, node)) return 0;
  const Node *large = large_operand(node);
  if (!large || !shape_equal(large->shape, node->shape)) return 0;
  int depth = duplicator->depth[large->id];
  if (depth == 0 && !is_kept(duplicator->index, large)) return 0;
  return depth < MAX_DEPTH ? depth + 1 : 0;
}

typedef struct Copy {
  const Node *of;
  Node *node;
  struct Copy *next;
} Copy;

// The value for one user: a copy down to the large value, made once for this user.
static Node *copy_for_user(Duplicator *duplicator, Node *node, Copy **copies) {
  if (node->id >= duplicator->n_old || !duplicator->depth[node->id]) return node;
  for (Copy *copy = *copies; copy; copy = copy->next) {
    if (copy->of == node) return copy->node;
  }
  Node **in = ARENA_ARRAY(duplicator->arena, Node *, node->n_in);
  for (int k = 0; k < node->n_in; k++) in[k] = copy_for_user(duplicator, node->in[k], copies);
  graph_at(duplicator->graph, node);
  Node *other = graph_add(duplicator->graph, node->op, in, node->n_in, node->attr);
  other->layout = node->layout;
  other->name = node->name;
  Copy *copy = ARENA_ARRAY(duplicator->arena, Copy, 1);
  *copy = (Copy){.of = node, .node = other, .next = *copies};
  *copies = copy;
  duplicator->changed = true;
  return other;
}

bool fuse_duplicate(Graph *graph) {
  Arena *arena = arena_new();
  Duplicator duplicator = {
      .graph = graph,
      .arena = arena,
      .index = group_index(graph, arena),
      .depth = ARENA_ARRAY(arena, int, graph->n_nodes + 1),
      .n_old = graph->n_nodes,
  };
  for (int i = 0; i < duplicator.n_old; i++) duplicator.depth[i] = depth_of(&duplicator, graph->nodes[i]);
  for (int i = 0; i < duplicator.n_old; i++) {
    Node *node = graph->nodes[i];
    if (duplicator.depth[i]) continue; // nobody needs it any more
    Copy *copies = NULL;
    for (int k = 0; k < node->n_in; k++) node->in[k] = copy_for_user(&duplicator, node->in[k], &copies);
  }
  if (duplicator.changed) graph_sort(graph);
  arena_free(arena);
  return duplicator.changed;
}

// ---- late values ----------------------------------------------------------------------------------------------------

static const Node *only_user(const GroupIndex *index, const Node *node) {
  int first = index->first[node->id], end = index->first[node->id + 1];
  if (first == end || index->is_result[node->id]) return NULL;
  for (int i = first + 1; i < end; i++) {
    if (index->user[i] != index->user[first]) return NULL;
  }
  return index->user[first];
}

bool *fuse_find_late(const Graph *graph, Arena *arena) {
  const GroupIndex *index = group_index(graph, arena);
  bool *is_late = ARENA_ARRAY(arena, bool, graph->n_nodes + 1);
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if (!is_elementwise(node) || node->is_setup || shape_elements(node->shape) < LARGE_ELEMENTS) continue;
    const Node *user = only_user(index, node);
    if (!user || (op_info(user->op)->cls != CLASS_REDUCE && !is_elementwise(user))) continue;
    if (is_elementwise(user) && !shape_equal(user->shape, node->shape)) continue;
    is_late[i] = true;
    for (int k = 0; k < node->n_in; k++) {
      const Node *in = node->in[k];
      if (!is_small_part(in, node)) is_late[i] &= is_late[in->id] || is_kept(index, in);
    }
  }
  return is_late;
}
