// Step: a graph with a loss becomes one training step, with gradients, clipping and AdamW inside.
//
// Of two arguments only one makes nodes: which is evaluated first depends on the machine, and so would the graph.
#include <float.h>
#include <string.h>

#include "compiler/ops/build.h"
#include "compiler/pass/pass.h"
#include "runtime/base/status.h"
#include "runtime/program.h"

// What the parts of the step share.
typedef struct Builder {
  Graph *graph;
  const StepOptions *options;
  Node *lr, *beta1, *rest1; // rest1 = 1 - beta1
  Node *unbias1, *unbias2;  // 1 / (1 - beta1^t), 1 / (1 - beta2^t): divided once, not for each element
  Node *keep, *share, *apply, *renew;
  Node *is_sound; // 1 where loss and gradient norm are finite
  Node *is_step;  // 1 where this run changes the parameters
  Node *scale;    // of the loss, or NULL
} Builder;

static Node *add(Graph *graph, Node *a, Node *b) { return graph_binary(graph, OP_add, a, b); }
static Node *sub(Graph *graph, Node *a, Node *b) { return graph_binary(graph, OP_sub, a, b); }
static Node *mul(Graph *graph, Node *a, Node *b) { return graph_binary(graph, OP_mul, a, b); }
static Node *quotient(Graph *graph, Node *a, Node *b) { return graph_binary(graph, OP_div, a, b); }

static Node *element(Graph *graph, Node *vector, int64_t i) {
  return graph_reshape(graph, graph_slice(graph, vector, 0, i, i + 1), (Shape){0});
}

static void read_hyper(Builder *step) {
  Graph *graph = step->graph;
  Node *hyper = graph_input(graph, "hyper", SHAPE(HYPER_COUNT)), *one = graph_scalar(graph, 1);
  step->lr = element(graph, hyper, HYPER_LR);
  step->beta1 = element(graph, hyper, HYPER_BETA1);
  step->rest1 = sub(graph, one, step->beta1);
  step->unbias1 = quotient(graph, one, element(graph, hyper, HYPER_UNBIAS1));
  step->unbias2 = quotient(graph, one, element(graph, hyper, HYPER_UNBIAS2));
  step->keep = element(graph, hyper, HYPER_KEEP);
  step->share = element(graph, hyper, HYPER_SHARE);
  step->apply = element(graph, hyper, HYPER_APPLY);
  step->renew = element(graph, hyper, HYPER_RENEW);
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
    if (node->op == OP_param && is_used[i] && !step_rule_frozen(options->rules, options->n_rules, node))
      out[n++] = node;
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
  Node *below = add(graph, norm, graph_scalar(graph, 1e-6));
  Node *ratio = quotient(graph, graph_scalar(graph, max_norm), below);
  Node *factor = graph_binary(graph, OP_minimum, graph_scalar(graph, 1), ratio);
  for (int i = 0; i < n_grads; i++) {
    graph_at(graph, grads[i]);
    grads[i] = mul(graph, grads[i], factor);
  }
  return norm;
}

static Node *new_state(Graph *graph, const char *prefix, const Node *param) {
  const char *name = arena_printf(graph->arena, "%s.%s", prefix, param->name);
  return graph_state(graph, name, param->shape, (Init){.kind = INIT_CONSTANT, .a = 0});
}

// ---- scaling of the loss (Micikevicius et al., Mixed precision training, 2018): up after many sound runs, down after
// each one that is not. The scale is a power of two, so that it changes no bit but what under- or overflows.

enum { SCALE_FIRST = 1 << 16, SCALE_MOST = 1 << 24, SCALE_PATIENCE = 2000 };

static Node *scaling_state(Graph *graph, const char *name, double value) {
  return graph_state(graph, name, (Shape){0}, (Init){.kind = INIT_CONSTANT, .a = value});
}

static void unscale(Builder *step, Node **grads, int n) {
  Node *inverse = quotient(step->graph, graph_scalar(step->graph, 1), step->scale);
  for (int i = 0; i < n; i++) {
    graph_at(step->graph, grads[i]);
    grads[i] = mul(step->graph, grads[i], inverse);
  }
}

static void rescale(Builder *step) {
  Graph *graph = step->graph;
  Node *zero = graph_scalar(graph, 0), *sound = scaling_state(graph, "scaling.sound", 0);
  Node *count = add(graph, sound, graph_scalar(graph, 1));
  Node *is_long = graph_binary(graph, OP_less_equal, graph_scalar(graph, SCALE_PATIENCE), count);
  Node *ceiling = graph_scalar(graph, SCALE_MOST), *floor = graph_scalar(graph, 1);
  Node *more = graph_binary(graph, OP_minimum, build_scale(graph, step->scale, 2), ceiling);
  Node *less = graph_binary(graph, OP_maximum, build_scale(graph, step->scale, 0.5), floor);
  Node *kept = graph_select(graph, is_long, more, step->scale);
  graph_update(graph, step->scale, graph_select(graph, step->is_sound, kept, less));
  graph_update(graph, sound, graph_select(graph, step->is_sound, graph_select(graph, is_long, zero, count), zero));
  graph_output(graph, "loss_scale", mul(graph, step->scale, graph_scalar(graph, 1)), false);
}

// ---- parts of the step

// The gradients become the mean over the runs of this step so far, times the share of those runs: in the last run, the
// mean over all. Returns the states with their new values.
static GraphUpdate *accumulate(Builder *step, Node *const *params, Node **grads, int n) {
  Graph *graph = step->graph;
  GraphUpdate *sums = ARENA_ARRAY(graph->arena, GraphUpdate, n);
  for (int i = 0; i < n; i++) {
    graph_at(graph, grads[i]);
    Node *old = new_state(graph, "accumulated", params[i]);
    sums[i] = (GraphUpdate){old, graph_select(graph, step->keep, add(graph, old, grads[i]), grads[i])};
    grads[i] = mul(graph, sums[i].value, step->share);
  }
  return sums;
}

static Node *is_finite(Graph *graph, Node *x) {
  Node *most = graph_scalar(graph, (double)FLT_MAX);
  return graph_binary(graph, OP_less_equal, graph_unary(graph, OP_abs, x), most);
}

// The leaf's new value where the condition holds; its old one elsewhere. Returns what it will be.
static Node *update_if(Graph *graph, Node *condition, Node *leaf, Node *value) {
  Node *chosen = graph_select(graph, condition, value, leaf);
  graph_update(graph, leaf, chosen);
  return chosen;
}

// Decoupled AdamW (Loshchilov and Hutter, 2019). p (1 - lr wd) - lr u is written p - lr (u + wd p): the same number,
// where 1 - lr wd would round to 1 in f32 for the small rates at the ends of a schedule.
static Node *adamw_update(const Builder *step, Node *param, Node *g) {
  Graph *graph = step->graph;
  const StepOptions *options = step->options;
  double rate = step_rule_factor(options->rules, options->n_rules, RULE_RATE, param),
         decay = options->weight_decay * step_rule_factor(options->rules, options->n_rules, RULE_DECAY, param);
  graph_at(graph, param);
  Node *m = new_state(graph, "adamw.m", param), *v = new_state(graph, "adamw.v", param);
  Node *more_m = mul(graph, step->rest1, g);
  Node *new_m = update_if(graph, step->is_step, m, add(graph, mul(graph, step->beta1, m), more_m));
  Node *more_v = build_scale(graph, mul(graph, g, g), 1 - options->beta2);
  Node *new_v = update_if(graph, step->is_step, v, add(graph, build_scale(graph, v, options->beta2), more_v));
  Node *root = graph_unary(graph, OP_sqrt, mul(graph, new_v, step->unbias2));
  Node *below = add(graph, root, graph_scalar(graph, options->eps));
  Node *direction = quotient(graph, mul(graph, new_m, step->unbias1), below);
  if (decay != 0) direction = add(graph, direction, build_scale(graph, param, decay));
  Node *moved = sub(graph, param, mul(graph, build_scale(graph, step->lr, rate), direction));
  return update_if(graph, step->is_step, param, moved);
}

// The moving average goes by a share towards the new parameter.
static void average(const Builder *step, Node *param, Node *new_param) {
  Graph *graph = step->graph;
  Node *old = new_state(graph, "ema", param);
  update_if(graph, step->is_step, old, add(graph, old, mul(graph, step->renew, sub(graph, new_param, old))));
}

// The updates of the forward pass, running statistics, happen only where the run is sound.
static void guard_updates(const Builder *step) {
  for (int i = 0; i < step->graph->n_updates; i++) {
    GraphUpdate *update = &step->graph->updates[i];
    graph_at(step->graph, update->value);
    update->value = graph_select(step->graph, step->is_sound, update->value, update->leaf);
  }
}

// Names that the step adds must be free.
static bool names_are_free(const Graph *graph, Diag *diag) {
  const Node *taken = graph_find_output(graph, "grad_norm");
  for (int i = 0; i < graph->n_nodes && !taken; i++) {
    const Node *node = graph->nodes[i];
    if (!op_is_leaf(node->op) || !node->name) continue;
    bool is_ours = !strcmp(node->name, "hyper") || !strncmp(node->name, "adamw.", 6) ||
                   !strncmp(node->name, "accumulated.", 12) || !strncmp(node->name, "ema.", 4) ||
                   !strncmp(node->name, "scaling.", 8);
    if (is_ours) taken = node;
  }
  if (!taken) return true;
  diag_error(diag, taken->loc,
             "the names hyper, grad_norm, adamw.*, accumulated.*, ema.* and scaling.* belong to the training step");
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
  if (options->reassociates) chain_build(graph);
  Node *loss = graph_find_output(graph, "loss");
  if (!loss) {
    diag_error(diag, (SrcLoc){0}, "%s has no output named loss, so there is nothing to train it by", graph->name);
    diag_hint(diag, "state the loss in a train block");
    return false;
  }
  if (!names_are_free(graph, diag)) return false;
  if (options->enlarges_late) pass_interp(&(PassContext){.is_training = true}, graph);
  loss = graph_find_output(graph, "loss");
  bool is_fit = true;
  for (int i = 0; i < options->n_rules; i++) is_fit &= step_rule_check(graph, &options->rules[i], diag);
  if (!is_fit) return false;
  Node **params = ARENA_ARRAY(graph->arena, Node *, graph->n_nodes),
       **grads = ARENA_ARRAY(graph->arena, Node *, graph->n_nodes);
  int n = trained_parameters(graph, options, loss, params);
  if (!n) {
    nothing_to_train(graph, loss, diag);
    return false;
  }
  graph_at(graph, loss);
  Builder step = {.graph = graph, .options = options};
  if (options->scales) step.scale = scaling_state(graph, "scaling.scale", SCALE_FIRST);
  Node *top = options->scales ? mul(graph, loss, step.scale) : loss;
  if (!grad_build(graph, top, params, n, grads, diag)) return false;
  graph_at(graph, loss);
  read_hyper(&step);
  if (options->scales) unscale(&step, grads, n);
  GraphUpdate *sums = options->accumulates ? accumulate(&step, params, grads, n) : NULL;
  graph_at(graph, loss);
  Node *norm = clip_build(graph, grads, n, options->clip);
  graph_output(graph, "grad_norm", norm, false);
  graph_at(graph, loss);
  Node *norm_is_finite = is_finite(graph, norm);
  step.is_sound = mul(graph, is_finite(graph, loss), norm_is_finite);
  step.is_step = sums ? mul(graph, step.is_sound, step.apply) : step.is_sound;
  guard_updates(&step);
  if (options->scales) rescale(&step);
  for (int i = 0; i < n; i++) {
    Node *new_param = adamw_update(&step, params[i], grads[i]);
    if (options->averages) average(&step, params[i], new_param);
    if (sums && !options->scales) update_if(graph, step.is_sound, sums[i].leaf, sums[i].value);
    if (sums && options->scales) // a run that is left out leaves what the step has so far
      graph_update(graph, sums[i].leaf,
                   graph_select(graph, step.is_sound, sums[i].value, mul(graph, step.keep, sums[i].leaf)));
  }
  graph_sort(graph);
  return true;
}
