// Fuse pass: groups nodes into kernels.
//
// Greedy and deterministic. Each node, in order, tries to join the kernels that compute its operands; then a
// convolution, depthwise or by tiles, tries to take in the resize and concat in front of it; then kernels that read the
// same values or work on the same small space are put side by side; on CUDA, what follows from reductions then goes
// into their kernels too, where the lanes of a row can do both. Whether the code generator can is asked of a predicate;
// whether it is worth while is decided here; that no cycle arises is seen to by fuse_sets.
#include "compiler/pass/fuse.h"

#include <stdlib.h>

#include "compiler/ops/build.h"
#include "runtime/base/status.h"

enum {
  MAX_MEMBERS = 96,      // of a kernel
  MAX_POINTERS = 48,     // arguments of a kernel made of unrelated parts
  SMALL_ELEMENTS = 4096, // below this a kernel costs more to start than to run
};

typedef struct Fuser {
  const PassContext *context;
  Graph *graph;
  FusePredicate *predicate;
  Arena *arena; // scratch of the pass
  FuseSets *sets;
  GroupIndex *index;
  bool *is_late;   // by node: to go into its user's kernel
  bool joins_rows; // CUDA, in the end: whether reductions and what is computed of their results become one kernel
  Text why;
} Fuser;

static int size_of(const Fuser *fuser, int set) {
  int n;
  fuse_set_members(fuser->sets, set, &n);
  return n;
}

static Node *member(const Fuser *fuser, int set, int i) {
  int n;
  return fuse_set_members(fuser->sets, set, &n)[i];
}

static bool has_only_class(const Fuser *fuser, int set, OpClass a, OpClass b) {
  for (int i = 0; i < size_of(fuser, set); i++) {
    OpClass cls = op_info(member(fuser, set, i)->op)->cls;
    if (cls != a && cls != b) return false;
  }
  return true;
}

// Whether one operand of one node reads the value, and nobody outside.
static bool is_read_once(const Fuser *fuser, const Node *node) {
  const GroupIndex *index = fuser->index;
  return index->first[node->id + 1] - index->first[node->id] == 1 && !index->is_result[node->id];
}

static bool is_depthwise(const Node *node) {
  return node->op == OP_conv2d && node->shape.dim[1] > 1 && node_attr(node, "groups").i == node->shape.dim[1];
}

// What makes a picture by rows: also the gradient by the input.
static bool is_convolution(const Node *node) {
  return node->op == OP_conv2d || node->op == OP_conv2d_winograd || node->op == OP_conv2d_dx;
}

static bool op_in(const Fuser *fuser, int set, bool (*is_it)(const Node *)) {
  for (int i = 0; i < size_of(fuser, set); i++) {
    if (is_it(member(fuser, set, i))) return true;
  }
  return false;
}

// ---- merging --------------------------------------------------------------------------------------------------------

static int by_id(const void *a, const void *b) { return (*(Node *const *)a)->id - (*(Node *const *)b)->id; }

// The union of n sets as a group.
static Group group_of(Fuser *fuser, const int *set, int n) {
  int total = 0, at = 0;
  for (int i = 0; i < n; i++) total += size_of(fuser, set[i]);
  Node **nodes = ARENA_ARRAY(fuser->arena, Node *, total);
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < size_of(fuser, set[i]); k++) nodes[at++] = member(fuser, set[i], k);
  }
  qsort(nodes, (size_t)total, sizeof *nodes, by_id);
  return group_make(fuser->index, nodes, total, fuser->arena);
}

// Whether one kernel can compute the sets; the reason if not is in fuser->why.
static bool is_possible(Fuser *fuser, const int *set, int n) {
  text_clear(&fuser->why);
  int total = 0;
  for (int i = 0; i < n; i++) {
    total += size_of(fuser, set[i]);
    if (member(fuser, set[i], 0)->is_setup == member(fuser, set[0], 0)->is_setup) continue;
    text_put(&fuser->why, "one is computed once after loading, the other in every run");
    return false;
  }
  if (total > MAX_MEMBERS) {
    text_printf(&fuser->why, "the kernel would have %d ops", total);
    return false;
  }
  Group group = group_of(fuser, set, n);
  return fuser->predicate(fuser->context->target, &group, &fuser->why);
}

static bool try_merge(Fuser *fuser, int a, int b) {
  if (!fuse_sets_can_merge(fuser->sets, a, b) || !is_possible(fuser, (int[]){a, b}, 2)) return false;
  fuse_sets_merge(fuser->sets, a, b);
  return true;
}

// ---- a node and the kernels of its operands -------------------------------------------------------------------------

// Whether the kernel will share a launch with others of its kind, of whatever size.
static bool takes_rows(const Fuser *fuser, int set) {
  if (fuser->context->target->kind != TARGET_CUDA) return false;
  for (int i = 0; i < size_of(fuser, set); i++) {
    const Node *node = member(fuser, set, i);
    OpClass cls = op_info(node->op)->cls;
    if (cls != CLASS_ELEMENTWISE && (cls != CLASS_REDUCE || shape_elements(node->shape) != 1)) return false;
  }
  return true;
}

// Whether the node is a small new value of a parameter or state, to be written over the old one in a launch of many.
static bool is_update_of_rows(const Fuser *fuser, const Node *node) {
  return fuser->context->target->kind == TARGET_CUDA && fuser->index->is_result[node->id] && node->op == OP_select &&
         shape_elements(node->shape) < SMALL_ELEMENTS;
}

// Whether the node is made only to be summed to one number, as the squares of a gradient are: sums of whole buffers
// share a launch.
static bool is_summed_whole(const Fuser *fuser, const Node *node) {
  if (!is_read_once(fuser, node)) return false;
  const Node *user = fuser->index->user[fuser->index->first[node->id]];
  return op_info(user->op)->cls == CLASS_REDUCE && shape_elements(user->shape) == 1;
}

static bool is_light(const Fuser *fuser, int set) {
  return node_needs_kernel(member(fuser, set, 0)) && has_only_class(fuser, set, CLASS_ELEMENTWISE, CLASS_REDUCE);
}

// Whether it pays to compute `value` in the kernel of its user.
static bool is_worth_joining(const Fuser *fuser, const Node *user, const Node *value) {
  if (!node_needs_kernel(value) || !node_needs_kernel(user)) return false;
  if (value->op == OP_concat || user->op == OP_concat) return false;
  int set = fuse_set_of(fuser->sets, value);
  bool is_cuda = fuser->context->target->kind == TARGET_CUDA;
  if (is_update_of_rows(fuser, user) && !has_only_class(fuser, set, CLASS_ELEMENTWISE, CLASS_ELEMENTWISE)) return false;
  bool is_same_size = shape_elements(user->shape) == shape_elements(value->shape);
  switch (op_info(user->op)->cls) {
  case CLASS_ELEMENTWISE:
    if (is_cuda && is_summed_whole(fuser, user) && !takes_rows(fuser, set)) return false;
    // A value that is broadcast would be computed again and again, other than by the lanes of its row.
    return is_same_size || (fuser->joins_rows && is_light(fuser, set));
  case CLASS_REDUCE:
    // A convolution's rows are reduced while they are in the cache.
    if (fuser->context->target->kind == TARGET_CPU && node_reduces_rows(user) && op_in(fuser, set, is_convolution))
      return true;
    return has_only_class(fuser, set, CLASS_ELEMENTWISE, CLASS_ELEMENTWISE) || (is_cuda && is_light(fuser, set));
  case CLASS_MOVEMENT: return is_read_once(fuser, value) && shape_elements(user->shape) <= shape_elements(value->shape);
  case CLASS_CONTRACT:
    if (is_cuda && is_read_once(fuser, value) && has_only_class(fuser, set, CLASS_ELEMENTWISE, CLASS_MOVEMENT))
      return true; // computed while it is loaded
    return conv_is_pointwise(user) && value == user->in[0] && is_read_once(fuser, value) &&
           (op_in(fuser, set, is_depthwise) || has_only_class(fuser, set, CLASS_ELEMENTWISE, CLASS_ELEMENTWISE));
  default: return false;
  }
}

// Operands in the order in which their kernels are tried: contractions first, then the later one.
static int operand_order(const Fuser *fuser, const Node *node, Node **out) {
  int n = 0;
  for (int k = 0; k < node->n_in; k++) {
    if (!is_worth_joining(fuser, node, node->in[k])) continue;
    Node *in = node->in[k];
    bool is_heavy = !has_only_class(fuser, fuse_set_of(fuser->sets, in), CLASS_ELEMENTWISE, CLASS_MOVEMENT);
    int at = n++;
    for (; at > 0; at--) {
      bool other = !has_only_class(fuser, fuse_set_of(fuser->sets, out[at - 1]), CLASS_ELEMENTWISE, CLASS_MOVEMENT);
      if (other > is_heavy || (other == is_heavy && out[at - 1]->id > in->id)) break;
      out[at] = out[at - 1];
    }
    out[at] = in;
  }
  return n;
}

static void join_producers(Fuser *fuser, Node *node) {
  Node **operand = ARENA_ARRAY(fuser->arena, Node *, node->n_in);
  int n = operand_order(fuser, node, operand);
  for (int k = 0; k < n; k++) {
    bool is_merged = try_merge(fuser, fuse_set_of(fuser->sets, node), fuse_set_of(fuser->sets, operand[k]));
    if (is_merged && fuser->is_late[operand[k]->id]) join_producers(fuser, operand[k]);
  }
}

// ---- resize and concat in front of a convolution -------------------------------------------------------------------

// Convolutions whose kernel can make what it reads.
static bool takes_front(const Node *node) { return is_depthwise(node) || node->op == OP_conv2d_winograd; }

// On CUDA elementwise ops may follow it.
static bool is_resized(const Fuser *fuser, const Node *node) {
  int set = fuse_set_of(fuser->sets, node), n_resizes = 0;
  if (!is_read_once(fuser, node) || !node_needs_kernel(node)) return false;
  for (int i = 0; i < size_of(fuser, set); i++) {
    const Node *other = member(fuser, set, i);
    if (other->op == OP_resize) n_resizes++;
    else if (op_info(other->op)->cls != CLASS_ELEMENTWISE) return false;
    if (other != node && fuser->index->is_result[other->id]) return false;
  }
  return n_resizes == 1 && (size_of(fuser, set) == 1 || fuser->context->target->kind == TARGET_CUDA);
}

// The sets that would go into the kernel of the convolution; 0 if there is nothing to gain.
static int front_of(const Fuser *fuser, const Node *conv, int *set, int cap) {
  const Node *x = conv->in[0];
  int n = 0;
  set[n++] = fuse_set_of(fuser->sets, conv);
  if (is_resized(fuser, x)) {
    set[n++] = fuse_set_of(fuser->sets, x);
    return n;
  }
  if (x->op != OP_concat || !is_read_once(fuser, x) || !node_needs_kernel(x)) return 0;
  set[n++] = fuse_set_of(fuser->sets, x);
  for (int k = 0; k < x->n_in && n < cap; k++) {
    if (is_resized(fuser, x->in[k])) set[n++] = fuse_set_of(fuser->sets, x->in[k]);
  }
  return n > 2 ? n : 0;
}

static void join_front(Fuser *fuser, const Node *conv) {
  enum { CAP = 8 };
  int set[CAP];
  int n = front_of(fuser, conv, set, CAP);
  if (n < 2 || !is_possible(fuser, set, n)) return;
  int whole = set[0];
  for (int i = 1; i < n; i++) {
    if (!fuse_sets_can_merge(fuser->sets, whole, set[i])) BUG("a value that is read once closes a cycle");
    whole = fuse_sets_merge(fuser->sets, whole, set[i]);
  }
}

// Attention: a product of weights that are a softmax of another product's values.
static void join_attention(Fuser *fuser, const Node *product) {
  const Node *weights = product->in[0];
  if (weights->op != OP_div || weights->in[0]->op != OP_exp || weights->in[0]->in[0]->op != OP_sub) return;
  const Node *scores = weights->in[0]->in[0]->in[0];
  int set[3] = {fuse_set_of(fuser->sets, weights), fuse_set_of(fuser->sets, scores), fuse_set_of(fuser->sets, product)};
  if (!is_read_once(fuser, weights) || set[0] == set[1] || fuser->index->is_result[scores->id]) return;
  for (int i = fuser->index->first[scores->id]; i < fuser->index->first[scores->id + 1]; i++)
    if (fuse_set_of(fuser->sets, fuser->index->user[i]) != set[0]) return;
  if (!is_possible(fuser, set, 3)) return;
  int whole = set[0];
  for (int i = 1; i < 3; i++) {
    if (!fuse_sets_can_merge(fuser->sets, whole, set[i])) BUG("a value that is read in one place closes a cycle");
    whole = fuse_sets_merge(fuser->sets, whole, set[i]);
  }
}

// ---- kernels side by side ------------------------------------------------------------------------------------------

// On CUDA reductions find each other first: several blocks can share them as long as nothing large follows.
static bool are_alike(const Fuser *fuser, int a, int b) {
  if (fuser->context->target->kind != TARGET_CUDA || fuser->joins_rows) return true;
  return has_only_class(fuser, a, CLASS_ELEMENTWISE, CLASS_ELEMENTWISE) ==
         has_only_class(fuser, b, CLASS_ELEMENTWISE, CLASS_ELEMENTWISE);
}

// Kernels that read the same large value, so that it is read once.
static void join_readers(Fuser *fuser, const Node *value) {
  const GroupIndex *index = fuser->index;
  int first = index->first[value->id], end = index->first[value->id + 1];
  if (node_is_number(value) || shape_elements(value->shape) < SMALL_ELEMENTS) return;
  for (int i = first; i < end; i++) {
    for (int k = i + 1; k < end; k++) {
      int a = fuse_set_of(fuser->sets, index->user[i]), b = fuse_set_of(fuser->sets, index->user[k]);
      if (a != b && is_light(fuser, a) && is_light(fuser, b) && are_alike(fuser, a, b)) try_merge(fuser, a, b);
    }
  }
}

// A value that reductions of one other kernel alone read, such as the exponentials of a softmax that is summed up, or
// the scores of a softmax: it need not be stored if the kernel makes it from what is reduced before, or reduces what a
// convolution makes while it is in the cache.
static void join_reduced(Fuser *fuser, const Node *value) {
  const GroupIndex *index = fuser->index;
  int first = index->first[value->id], end = index->first[value->id + 1];
  if (first == end || index->is_result[value->id] || shape_elements(value->shape) < SMALL_ELEMENTS) return;
  int own = fuse_set_of(fuser->sets, value), user = fuse_set_of(fuser->sets, index->user[first]);
  for (int i = first; i < end; i++)
    if (fuse_set_of(fuser->sets, index->user[i]) != user) return;
  if (own != user && (is_light(fuser, own) || op_in(fuser, own, conv_is_pointwise)) && is_light(fuser, user))
    try_merge(fuser, own, user);
}

// What follows from reductions into their kernels, where the lanes of a row can do both.
static void join_rows(Fuser *fuser) {
  fuser->joins_rows = true;
  for (int i = 0; i < fuser->graph->n_nodes; i++) {
    Node *node = fuser->graph->nodes[i];
    if (op_info(node->op)->cls == CLASS_ELEMENTWISE || op_info(node->op)->cls == CLASS_REDUCE)
      join_producers(fuser, node);
  }
  for (int i = 0; i < fuser->graph->n_nodes; i++) join_readers(fuser, fuser->graph->nodes[i]);
}

static bool is_small(const Fuser *fuser, int set) {
  if (!is_light(fuser, set)) return false;
  for (int i = 0; i < size_of(fuser, set); i++) {
    const Node *node = member(fuser, set, i);
    if (shape_elements(node->shape) >= SMALL_ELEMENTS) return false;
    for (int k = 0; k < node->n_in; k++) {
      if (shape_elements(node->in[k]->shape) >= SMALL_ELEMENTS) return false;
    }
  }
  return true;
}

static bool has_room(Fuser *fuser, int a, int b) {
  Group group = group_of(fuser, (int[]){a, b}, 2);
  return group.n_ins + group.n_outs <= MAX_POINTERS;
}

// Small kernels of the same shape, such as the updates of vectors of one length: one kernel for many.
static void join_small(Fuser *fuser) {
  enum { OPEN = 64 };
  int open[OPEN], n_open = 0;
  for (int i = 0; i < fuser->graph->n_nodes; i++) {
    Node *node = fuser->graph->nodes[i];
    int set = fuse_set_of(fuser->sets, node), k = 0;
    if (member(fuser, set, 0) != node || !is_small(fuser, set) || takes_rows(fuser, set)) continue;
    for (; k < n_open; k++) {
      const Node *other = member(fuser, open[k], 0);
      if (shape_equal(other->shape, node->shape) && layout_equal(other->layout, node->layout)) break;
    }
    if (k < n_open && has_room(fuser, open[k], set) && try_merge(fuser, open[k], set)) {
      open[k] = fuse_set_of(fuser->sets, node);
    } else if (k < n_open) {
      open[k] = set;
    } else if (n_open < OPEN) {
      open[n_open++] = set;
    }
  }
}

// ---- results --------------------------------------------------------------------------------------------------------

static void number_groups(Fuser *fuser) {
  int n = 0;
  int *id = ARENA_ARRAY(fuser->arena, int, fuser->graph->n_nodes + 1);
  for (int i = 0; i < fuser->graph->n_nodes; i++) {
    Node *node = fuser->graph->nodes[i];
    int *slot = &id[fuse_set_of(fuser->sets, node)];
    if (node_needs_kernel(node) && !*slot) *slot = ++n;
    node->group = *slot - 1;
  }
}

// Values that one other kernel alone reads, and why they go through memory all the same.
static void explain(Fuser *fuser, Text *out) {
  NearMiss *misses = NULL;
  int n = 0, cap = 0;
  for (int i = 0; i < fuser->graph->n_nodes; i++) {
    const Node *user = fuser->graph->nodes[i];
    for (int k = 0; k < user->n_in; k++) {
      const Node *value = user->in[k];
      if (value->group == user->group || value->is_setup || !is_read_once(fuser, value)) continue;
      int set[8] = {fuse_set_of(fuser->sets, user), fuse_set_of(fuser->sets, value)}, n_sets = 2;
      if (takes_front(user) && k == 0) n_sets = front_of(fuser, user, set, 8);
      else if (!is_worth_joining(fuser, user, value)) continue;
      if (n_sets < 2 || is_possible(fuser, set, n_sets)) continue;
      NearMiss miss = {.value = value, .user = user, .why = arena_strdup(fuser->arena, text_get(&fuser->why))};
      ARENA_PUSH(fuser->arena, misses, n, cap, miss);
    }
  }
  explain_misses(fuser->graph, misses, n, out);
}

bool fuse_with(const PassContext *context, Graph *graph, FusePredicate *predicate) {
  if (context->target->kind == TARGET_REFERENCE) return false; // a node at a time
  fuse_duplicate(graph);
  if (context->target->kind == TARGET_CUDA) fuse_numbers(graph);
  Arena *arena = arena_new();
  Fuser fuser = {
      .context = context,
      .graph = graph,
      .predicate = predicate,
      .arena = arena,
      .sets = fuse_sets_new(graph, arena),
      .index = group_index(graph, arena),
      .is_late = fuse_find_late(graph, arena),
  };
  for (int i = 0; i < graph->n_nodes; i++) {
    if (!fuser.is_late[i]) join_producers(&fuser, graph->nodes[i]);
  }
  for (int i = 0; i < graph->n_nodes; i++) { // those that their user's kernel could not take
    bool is_alone = size_of(&fuser, fuse_set_of(fuser.sets, graph->nodes[i])) == 1;
    if (fuser.is_late[i] && is_alone) join_producers(&fuser, graph->nodes[i]);
  }
  for (int i = 0; i < graph->n_nodes; i++) {
    if (takes_front(graph->nodes[i])) join_front(&fuser, graph->nodes[i]);
  }
  for (int i = 0; i < graph->n_nodes; i++) join_readers(&fuser, graph->nodes[i]);
  if (context->target->kind == TARGET_CUDA) join_rows(&fuser);
  // Users first: only what they end in is stored.
  for (int i = graph->n_nodes - 1; context->target->kind == TARGET_CPU && i >= 0; i--)
    join_reduced(&fuser, graph->nodes[i]);
  for (int i = 0; context->target->kind == TARGET_CUDA && i < graph->n_nodes; i++) {
    if (graph->nodes[i]->op == OP_matmul) join_attention(&fuser, graph->nodes[i]);
  }
  join_small(&fuser);
  number_groups(&fuser);
  if (context->explain) explain(&fuser, context->explain);
  text_free(&fuser.why);
  arena_free(arena);
  return true;
}

bool pass_fuse(const PassContext *context, Graph *graph) { return fuse_with(context, graph, kernel_can_fuse); }
