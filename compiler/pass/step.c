// Step: a graph with a loss becomes one training step, with gradients, clipping and AdamW inside.
#include <fnmatch.h>
#include <string.h>

#include "compiler/ops/build.h"
#include "compiler/pass/pass.h"
#include "runtime/base/status.h"

// The scalars of the step that change from one to the next, from the input "hyper".
typedef struct Hyper {
  Node *lr, *beta1, *rest1; // rest1 = 1 - beta1
  Node *unbias1, *unbias2;  // 1 / (1 - beta1^t), 1 / (1 - beta2^t): divided once, not for each element
} Hyper;

static Node *add(Graph *graph, Node *a, Node *b) { return graph_binary(graph, OP_add, a, b); }
static Node *sub(Graph *graph, Node *a, Node *b) { return graph_binary(graph, OP_sub, a, b); }
static Node *mul(Graph *graph, Node *a, Node *b) { return graph_binary(graph, OP_mul, a, b); }
static Node *quotient(Graph *graph, Node *a, Node *b) { return graph_binary(graph, OP_div, a, b); }

static Node *element(Graph *graph, Node *vector, int64_t i) {
  return graph_reshape(graph, graph_slice(graph, vector, 0, i, i + 1), (Shape){0});
}

static Hyper hyper_inputs(Graph *graph) {
  Node *hyper = graph_input(graph, "hyper", SHAPE(4)), *one = graph_scalar(graph, 1);
  Node *beta1 = element(graph, hyper, 1);
  return (Hyper){.lr = element(graph, hyper, 0),
                 .beta1 = beta1,
                 .rest1 = sub(graph, one, beta1),
                 .unbias1 = quotient(graph, one, element(graph, hyper, 2)),
                 .unbias2 = quotient(graph, one, element(graph, hyper, 3))};
}

static bool is_frozen(const StepOptions *options, const Node *param) {
  for (int i = 0; i < options->n_frozen; i++) {
    if (!fnmatch(options->frozen[i], param->name, 0)) return true;
  }
  return param->is_frozen;
}

// The parameters that are trained: those that the loss depends on and that are not frozen. A parameter without
// influence on the loss keeps its value, rather than being decayed towards 0.
static int trained_parameters(const Graph *graph, const StepOptions *options, const Node *loss, Node **out) {
  Arena *scratch = arena_new();
  bool *is_used = ARENA_ARRAY(scratch, bool, graph->n_nodes + 1);
  is_used[loss->id] = true;
  int n = 0;
  for (int i = graph->n_nodes - 1; i >= 0; i--) {
    const Node *node = graph->nodes[i];
    for (int k = 0; k < node->n_in && is_used[i]; k++) is_used[node->in[k]->id] = true;
  }
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    if (node->op == OP_param && is_used[i] && !is_frozen(options, node)) out[n++] = node;
  }
  arena_free(scratch);
  return n;
}

// sqrt of the sum of all squares. The sums of the tensors are laid side by side, so that adding hundreds of them is one
// reduction and not a chain.
static Node *global_norm(Graph *graph, Node *const *grads, int n) {
  Node **squares = ARENA_ARRAY(graph->arena, Node *, n);
  for (int i = 0; i < n; i++) {
    Node *square = mul(graph, grads[i], grads[i]);
    int axes[MAX_RANK];
    for (int k = 0; k < square->shape.rank; k++) axes[k] = k;
    squares[i] = graph_reshape(graph, graph_sum(graph, square, axes, square->shape.rank, false), SHAPE(1));
  }
  Node *all = build_concat(graph, squares, n, 0);
  return graph_unary(graph, OP_sqrt, graph_sum(graph, all, (int[]){0}, 1, false));
}

Node *clip_build(Graph *graph, Node **grads, int n_grads, double max_norm) {
  Node *norm = global_norm(graph, grads, n_grads);
  if (max_norm <= 0) return norm;
  Node *ratio = quotient(graph, graph_scalar(graph, max_norm), add(graph, norm, graph_scalar(graph, 1e-6)));
  Node *factor = graph_binary(graph, OP_minimum, graph_scalar(graph, 1), ratio);
  for (int i = 0; i < n_grads; i++) {
    graph_at(graph, grads[i]);
    grads[i] = mul(graph, grads[i], factor);
  }
  return norm;
}

static Node *moment(Graph *graph, const char *prefix, const Node *param) {
  const char *name = arena_printf(graph->arena, "adamw.%s.%s", prefix, param->name);
  return graph_state(graph, name, param->shape, (Init){.kind = INIT_CONSTANT, .a = 0});
}

// Decoupled AdamW (Loshchilov and Hutter, 2019). p (1 - lr wd) - lr u is written p - lr (u + wd p): the same number,
// where 1 - lr wd would round to 1 in f32 for the small rates at the ends of a schedule.
static void adamw_update(Graph *graph, const StepOptions *options, const Hyper *hyper, Node *param, Node *g) {
  graph_at(graph, param);
  Node *m = moment(graph, "m", param), *v = moment(graph, "v", param);
  Node *new_m = add(graph, mul(graph, hyper->beta1, m), mul(graph, hyper->rest1, g));
  Node *new_v =
      add(graph, build_scale(graph, v, options->beta2), build_scale(graph, mul(graph, g, g), 1 - options->beta2));
  Node *root = graph_unary(graph, OP_sqrt, mul(graph, new_v, hyper->unbias2));
  Node *direction =
      quotient(graph, mul(graph, new_m, hyper->unbias1), add(graph, root, graph_scalar(graph, options->eps)));
  if (options->weight_decay != 0) direction = add(graph, direction, build_scale(graph, param, options->weight_decay));
  graph_update(graph, param, sub(graph, param, mul(graph, hyper->lr, direction)));
  graph_update(graph, m, new_m);
  graph_update(graph, v, new_v);
}

// Names that the step adds must be free.
static bool names_are_free(const Graph *graph, Diag *diag) {
  const Node *taken = graph_find_output(graph, "grad_norm");
  for (int i = 0; i < graph->n_nodes && !taken; i++) {
    const Node *node = graph->nodes[i];
    if (!op_is_leaf(node->op) || !node->name) continue;
    if (!strcmp(node->name, "hyper") || !strncmp(node->name, "adamw.", 6)) taken = node;
  }
  if (!taken) return true;
  diag_error(diag, taken->loc, "the names hyper, grad_norm and adamw.* belong to the training step");
  diag_hint(diag, "call it something else");
  return false;
}

static void nothing_to_train(const Graph *graph, const Node *loss, Diag *diag) {
  const Node *frozen = NULL;
  for (int i = 0; i < graph->n_nodes && !frozen; i++) frozen = graph->nodes[i]->op == OP_param ? graph->nodes[i] : NULL;
  diag_error(diag, loss->loc,
             frozen ? "there is nothing to train: all parameters of %s that the loss depends on are frozen"
                    : "there is nothing to train: the loss of %s depends on no parameter",
             graph->name);
  if (!frozen) return;
  diag_note(diag, frozen->loc, "'%s' is one of them", frozen->name);
  diag_hint(diag, "freeze fewer (--freeze, `freeze`, frozen(...)), or use the network as it is: it needs no training");
}

bool step_build(Graph *graph, const StepOptions *options, Diag *diag) {
  Node *loss = graph_find_output(graph, "loss");
  if (!loss) {
    diag_error(diag, (SrcLoc){0}, "%s has no output named loss, so there is nothing to train it by", graph->name);
    diag_hint(diag, "state the loss in a train block");
    return false;
  }
  if (!names_are_free(graph, diag)) return false;
  Node **params = ARENA_ARRAY(graph->arena, Node *, graph->n_nodes),
       **grads = ARENA_ARRAY(graph->arena, Node *, graph->n_nodes);
  int n = trained_parameters(graph, options, loss, params);
  if (!n) {
    nothing_to_train(graph, loss, diag);
    return false;
  }
  if (!grad_build(graph, loss, params, n, grads, diag)) return false;
  graph_at(graph, loss);
  graph_output(graph, "grad_norm", clip_build(graph, grads, n, options->clip), false);
  Hyper hyper = hyper_inputs(graph);
  for (int i = 0; i < n; i++) adamw_update(graph, options, &hyper, params[i], grads[i]);
  graph_sort(graph);
  return true;
}
