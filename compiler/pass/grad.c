// Reverse-mode differentiation: the gradient of results by leaves, as more nodes of the same graph.
#include <string.h>

#include "compiler/pass/pass.h"
#include "runtime/base/status.h"

// What has arrived for a node, in order of arrival: its users from the last to the first.
typedef struct Contributions {
  Node **part;
  int n, capacity;
} Contributions;

typedef struct Reverse {
  Graph *graph;
  Arena *scratch;
  int n_nodes;          // of the graph before the first gradient node
  bool *is_reached;     // by id: some wrt leaf reaches the node
  Contributions *parts; // by id
  Diag *diag;
} Reverse;

// Marks the nodes that depend on a leaf of `wrt`: only through these do gradients have to flow.
static void mark_reached(Reverse *reverse, Node *const *wrt, int n_wrt) {
  for (int i = 0; i < n_wrt; i++) reverse->is_reached[wrt[i]->id] = true;
  for (int i = 0; i < reverse->n_nodes; i++) {
    const Node *node = reverse->graph->nodes[i];
    for (int k = 0; k < node->n_in; k++) {
      if (reverse->is_reached[node->in[k]->id]) reverse->is_reached[i] = true;
    }
  }
}

static void contribute(Reverse *reverse, Node *node, Node *gradient) {
  if (!shape_equal(gradient->shape, node->shape)) {
    char got[SHAPE_TEXT], want[SHAPE_TEXT];
    BUG("the gradient of %s has shape %s, not %s", op_info(node->op)->name, shape_text(gradient->shape, got),
        shape_text(node->shape, want));
  }
  Contributions *parts = &reverse->parts[node->id];
  ARENA_PUSH(reverse->scratch, parts->part, parts->n, parts->capacity, gradient);
}

// The sum of what arrived, NULL for nothing. The order is that of arrival, so the same graph gives the same bits.
static Node *collect(Reverse *reverse, const Node *node) {
  Contributions *parts = &reverse->parts[node->id];
  if (!parts->n) return NULL;
  graph_at(reverse->graph, node);
  Node *total = parts->part[0];
  for (int i = 1; i < parts->n; i++) total = graph_binary(reverse->graph, OP_add, total, parts->part[i]);
  parts->part[0] = total;
  parts->n = 1;
  return total;
}

static bool differentiate(Reverse *reverse, Node *node) {
  Node *gout = collect(reverse, node);
  if (!gout) return true;
  const OpInfo *info = op_info(node->op);
  if (!info->grad) {
    diag_error(reverse->diag, node->loc, "%s has no gradient, but a trained parameter is in its operands", info->name);
    return false;
  }
  Node **gin = ARENA_ARRAY(reverse->scratch, Node *, node->n_in);
  info->grad(reverse->graph, node, gout, gin);
  for (int k = 0; k < node->n_in; k++) {
    if (gin[k] && reverse->is_reached[node->in[k]->id]) contribute(reverse, node->in[k], gin[k]);
  }
  return true;
}

bool grad_build_seeded(Graph *graph, Node *const *results, Node *const *seeds, int n_results, Node *const *wrt,
                       int n_wrt, Node **grads, Diag *diag) {
  Reverse reverse = {.graph = graph, .scratch = arena_new(), .n_nodes = graph->n_nodes, .diag = diag};
  reverse.is_reached = ARENA_ARRAY(reverse.scratch, bool, graph->n_nodes + 1);
  reverse.parts = ARENA_ARRAY(reverse.scratch, Contributions, graph->n_nodes + 1);
  mark_reached(&reverse, wrt, n_wrt);
  for (int i = 0; i < n_results; i++) {
    if (reverse.is_reached[results[i]->id]) contribute(&reverse, results[i], seeds[i]);
  }
  bool is_good = true;
  for (int i = reverse.n_nodes - 1; i >= 0; i--) {
    Node *node = graph->nodes[i];
    if (reverse.is_reached[i] && node->n_in) is_good &= differentiate(&reverse, node);
  }
  for (int i = 0; i < n_wrt && is_good; i++) {
    grads[i] = collect(&reverse, wrt[i]);
    graph_at(graph, wrt[i]);
    if (!grads[i]) grads[i] = graph_fill(graph, wrt[i]->shape, 0);
  }
  arena_free(reverse.scratch);
  return is_good;
}

bool grad_build(Graph *graph, Node *loss, Node *const *wrt, int n_wrt, Node **grads, Diag *diag) {
  if (shape_elements(loss->shape) != 1) {
    char text[SHAPE_TEXT];
    diag_error(diag, loss->loc, "the loss must be a single number, but its shape is %s", shape_text(loss->shape, text));
    diag_hint(diag, "reduce it with sum(...) over all its axes");
    return false;
  }
  graph_at(graph, loss);
  Node *one = graph_fill(graph, loss->shape, 1);
  return grad_build_seeded(graph, &loss, &one, 1, wrt, n_wrt, grads, diag);
}
