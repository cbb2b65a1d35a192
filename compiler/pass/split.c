// Split: element-wise work on a concat becomes work on its inputs, so that each producer can do its part.
//
// op(concat(a, b), x) = concat(op(a, x's first channels), op(b, the others)): the slices of x are views, the ops go
// into the kernels of a and b, and the concat of what they give is written in place. Two cases matter, as what they are
// about would be read and written once more otherwise: the residual of a ghost bottleneck, and batch norm with what
// follows it, which at inference then goes into the weights of a convolution in front.
#include "compiler/kernel/group.h"
#include "compiler/pass/pass.h"
#include "compiler/pass/rewrite.h"

enum { LARGE_ELEMENTS = 16384 }; // below this memory traffic does not matter

// Operands of the concat's shape are cut into views. Values of one a channel would each need a kernel, which costs
// nothing where they are the same in all runs.
static bool can_cut(const bool *is_fixed, const Node *node) {
  for (int k = 0; k < node->n_in; k++) {
    const Node *in = node->in[k];
    int axis = in->shape.rank - 3;
    if (axis < 0 || in->shape.dim[axis] == 1) continue;
    bool is_picture = shape_equal(in->shape, node->shape);
    if (is_picture ? op_is_leaf(in->op) : !is_fixed[in->id]) return false;
  }
  return true;
}

// The operand that is a concat along the channels, made of computed values, that this node alone uses; or -1. Others
// know the first `n` nodes alone; what splitting one of these changes for another is nothing that is asked here.
static int concat_operand(const bool *is_fixed, const GroupIndex *index, int n, const Node *node) {
  for (int k = 0; k < node->n_in; k++) {
    if (node->in[k]->id >= n) return -1;
  }
  if (op_info(node->op)->cls != CLASS_ELEMENTWISE || node->shape.rank != 4 || is_fixed[node->id]) return -1;
  if (shape_elements(node->shape) < LARGE_ELEMENTS || !can_cut(is_fixed, node)) return -1;
  for (int k = 0; k < node->n_in; k++) {
    const Node *in = node->in[k];
    if (in->op != OP_concat || node_attr(in, "axis").i != 1 || !shape_equal(in->shape, node->shape)) continue;
    if (index->is_result[in->id] || index->first[in->id + 1] - index->first[in->id] != 1) continue;
    bool is_computed = true;
    for (int i = 0; i < in->n_in; i++) is_computed &= !op_is_leaf(in->in[i]->op);
    if (is_computed) return k;
  }
  return -1;
}

// Channels start .. stop - 1 of an operand that broadcasts with the concat.
static Node *part_of(Graph *graph, Node *operand, int64_t start, int64_t stop) {
  int axis = operand->shape.rank - 3;
  return axis < 0 || operand->shape.dim[axis] == 1 ? operand : graph_slice(graph, operand, axis, start, stop);
}

// What is known of the first `n` nodes.
typedef struct Facts {
  Arena *scratch;
  const GroupIndex *index;
  const bool *is_fixed;
  int n;
} Facts;

static Node *split(void *context, Graph *graph, Node *node) {
  const Facts *facts = context;
  int which = concat_operand(facts->is_fixed, facts->index, facts->n, node);
  if (which < 0) return NULL;
  const Node *concat = node->in[which];
  Node **part = ARENA_ARRAY(facts->scratch, Node *, concat->n_in);
  Node **in = ARENA_ARRAY(facts->scratch, Node *, node->n_in);
  int64_t start = 0;
  for (int i = 0; i < concat->n_in; i++) {
    int64_t stop = start + concat->in[i]->shape.dim[1];
    for (int k = 0; k < node->n_in; k++) {
      in[k] = k == which ? concat->in[i] : part_of(graph, node->in[k], start, stop);
    }
    part[i] = graph_add(graph, node->op, in, node->n_in, node->attr);
    start = stop;
  }
  graph_at(graph, concat);
  return graph_add(graph, OP_concat, part, concat->n_in, concat->attr);
}

bool pass_split(const PassContext *context, Graph *graph) {
  (void)context;
  bool changed = false;
  graph_sort(graph);                // a dead user would hide that another is the only one
  for (bool again = true; again;) { // those who use a new concat are next
    Arena *scratch = arena_new();
    Facts facts = {scratch, group_index(graph, scratch), find_fixed(graph, scratch), graph->n_nodes};
    again = graph_rewrite(graph, split, &facts);
    arena_free(scratch);
    changed |= again;
  }
  return changed;
}
