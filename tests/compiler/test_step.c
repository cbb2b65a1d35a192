// The training step against AdamW's and clipping's formulas in double precision.
#include "compiler/compiler.h"
#include "compiler/ops/build.h"
#include "runtime/exec.h"
#include "tests/check.h"
#include "tests/compiler/values.h"

enum { N = 6, STEPS = 5 };

// loss = sum over the parameters of sum(p * g): the gradient of each p is the input g.
static Node *linear_loss(Graph *graph, Node *const *params, int n) {
  Node *loss = graph_scalar(graph, 0);
  for (int i = 0; i < n; i++) {
    char name[64];
    snprintf(name, sizeof name, "g.%s", params[i]->name);
    Node *product = graph_binary(graph, OP_mul, params[i], graph_input(graph, name, params[i]->shape));
    int axes[MAX_RANK];
    for (int k = 0; k < product->shape.rank; k++) axes[k] = k;
    loss = graph_binary(graph, OP_add, loss, graph_sum(graph, product, axes, product->shape.rank, false));
  }
  return loss;
}

static float *leaf_values(Values *values, const Graph *graph, const char *name) {
  const Node *leaf = graph_find_leaf(graph, name);
  CHECK(leaf != NULL, "leaf %s", name);
  return leaf ? values_leaf(values, leaf) : NULL;
}

static void set_hyper(Values *values, const Graph *graph, double lr, double beta1, double beta2, int t) {
  float *hyper = leaf_values(values, graph, "hyper");
  hyper[HYPER_LR] = (float)lr;
  hyper[HYPER_BETA1] = (float)beta1;
  hyper[HYPER_UNBIAS1] = (float)(1 - pow(beta1, t));
  hyper[HYPER_UNBIAS2] = (float)(1 - pow(beta2, t));
}

// What the runtime does after a step: all updates at once.
static void write_back(Values *values, const Graph *graph) {
  Arena *scratch = arena_new();
  float **fresh = ARENA_ARRAY(scratch, float *, graph->n_updates);
  for (int i = 0; i < graph->n_updates; i++) {
    const GraphUpdate *update = &graph->updates[i];
    size_t size = sizeof(float) * (size_t)shape_elements(update->leaf->shape);
    fresh[i] = arena_memdup(scratch, values->of[update->value->id], size);
  }
  for (int i = 0; i < graph->n_updates; i++) {
    const Node *leaf = graph->updates[i].leaf;
    memcpy(values->of[leaf->id], fresh[i], sizeof(float) * (size_t)shape_elements(leaf->shape));
  }
  arena_free(scratch);
}

// Several steps with the rates and beta1 of a schedule; the gradients are drawn anew each time.
static void check_adamw(const char *title, const double lr[STEPS], const double beta1[STEPS], double weight_decay) {
  const double beta2 = 0.999, eps = 1e-8;
  Arena *arena = arena_new();
  Graph *graph = graph_new(arena, "adamw");
  Node *p = graph_param(graph, "p", SHAPE(N), (Init){0});
  graph_output(graph, "loss", linear_loss(graph, &p, 1), false);
  StepOptions options = {.beta2 = beta2, .eps = eps, .weight_decay = weight_decay};
  CHECK(step_build(graph, &options, diag_new(arena, 20)), "%s: step_build", title);
  Values values = values_new(arena, graph);
  float *pv = leaf_values(&values, graph, "p"), *gv = leaf_values(&values, graph, "g.p");
  leaf_values(&values, graph, "adamw.m.p");
  leaf_values(&values, graph, "adamw.v.p");
  double want[N], m[N] = {0}, v[N] = {0};
  for (int i = 0; i < N; i++) want[i] = pv[i] = (float)(2 * unit_random(1, (uint64_t)i) - 1);
  for (int t = 0; t < STEPS; t++) {
    set_hyper(&values, graph, lr[t], beta1[t], beta2, t + 1);
    for (int i = 0; i < N; i++) gv[i] = (float)(pow(10, -i) * (2 * unit_random((uint64_t)t + 2, (uint64_t)i) - 1));
    values_run(&values, graph);
    write_back(&values, graph);
    for (int i = 0; i < N; i++) {
      double g = (double)gv[i];
      want[i] *= 1 - lr[t] * weight_decay;
      m[i] = beta1[t] * m[i] + (1 - beta1[t]) * g;
      v[i] = beta2 * v[i] + (1 - beta2) * g * g;
      want[i] -= lr[t] * (m[i] / (1 - pow(beta1[t], t + 1))) / (sqrt(v[i] / (1 - pow(beta2, t + 1))) + eps);
      CHECK_NEAR((double)pv[i], want[i], 3e-7, "%s: step %d, element %d", title, t + 1, i);
    }
  }
  arena_free(arena);
}

// After the first step m = (1 - beta1) * the clipped gradient.
static void check_clip(double max_norm) {
  Arena *arena = arena_new();
  Graph *graph = graph_new(arena, "clip");
  Node *params[] = {graph_param(graph, "a", SHAPE(3, 4), (Init){0}), graph_param(graph, "b", SHAPE(5), (Init){0}),
                    graph_param(graph, "c", (Shape){0}, (Init){0})};
  const char *moments[] = {"adamw.m.a", "adamw.m.b", "adamw.m.c"}, *gradients[] = {"g.a", "g.b", "g.c"};
  graph_output(graph, "loss", linear_loss(graph, params, 3), false);
  StepOptions options = {.beta2 = 0.999, .eps = 1e-8, .clip = max_norm};
  CHECK(step_build(graph, &options, diag_new(arena, 20)), "step_build");
  Values values = values_new(arena, graph);
  set_hyper(&values, graph, 1e-3, 0.9, 0.999, 1);
  for (int i = 0; i < 3; i++) leaf_values(&values, graph, moments[i]);
  values_fill(&values, graph, -1, 1);
  double squares = 0;
  for (int i = 0; i < 3; i++) {
    const float *g = leaf_values(&values, graph, gradients[i]);
    for (int64_t k = 0; k < shape_elements(params[i]->shape); k++) squares += (double)g[k] * (double)g[k];
  }
  values_run(&values, graph);
  double norm = sqrt(squares), factor = fmin(1, max_norm / (norm + 1e-6));
  const Node *got = graph_find_output(graph, "grad_norm");
  CHECK(got && got->shape.rank == 0, "grad_norm is a number");
  CHECK_NEAR((double)values.of[got->id][0], norm, 1e-6 * norm, "norm before clipping at %g", max_norm);
  write_back(&values, graph);
  for (int i = 0; i < 3; i++) {
    const float *g = leaf_values(&values, graph, gradients[i]), *m = leaf_values(&values, graph, moments[i]);
    for (int64_t k = 0; k < shape_elements(params[i]->shape); k++) {
      CHECK_NEAR((double)m[k], 0.1 * factor * (double)g[k], 1e-7, "clip %g: %s, element %lld", max_norm, moments[i],
                 (long long)k);
    }
  }
  arena_free(arena);
}

static const Node *update_of(const Graph *graph, const char *leaf) {
  for (int i = 0; i < graph->n_updates; i++) {
    if (!strcmp(graph->updates[i].leaf->name, leaf)) return graph->updates[i].value;
  }
  return NULL;
}

// Frozen parameters and those without influence stay; updates of the forward pass stay, too.
static void check_who_is_trained(void) {
  Arena *arena = arena_new();
  Graph *graph = graph_new(arena, "who");
  Node *params[] = {graph_param(graph, "encoder.0.weight", SHAPE(2), (Init){0}),
                    graph_param(graph, "encoder.1.weight", SHAPE(2), (Init){0}),
                    graph_param(graph, "head.weight", SHAPE(2), (Init){0})};
  Node *idle = graph_param(graph, "idle", SHAPE(2), (Init){0});
  Node *state = graph_state(graph, "running", SHAPE(2), (Init){0});
  graph_update(graph, state, graph_binary(graph, OP_add, state, params[0]));
  graph_output(graph, "idle_twice", graph_binary(graph, OP_add, idle, idle), false);
  graph_output(graph, "loss", linear_loss(graph, params, 3), false);
  const StepRule rules[] = {{.kind = RULE_FREEZE, .pattern = "encoder.*"}};
  StepOptions options = {.beta2 = 0.999, .eps = 1e-8, .rules = rules, .n_rules = 1};
  CHECK(step_build(graph, &options, diag_new(arena, 20)), "step_build");
  CHECK(update_of(graph, "head.weight") && update_of(graph, "adamw.m.head.weight"), "the head is trained");
  CHECK(!update_of(graph, "encoder.0.weight") && !update_of(graph, "encoder.1.weight"), "the encoder is frozen");
  CHECK(!graph_find_leaf(graph, "adamw.m.encoder.0.weight"), "frozen parameters have no moments");
  CHECK(!update_of(graph, "idle"), "without influence, without update");
  CHECK(update_of(graph, "running"), "the running statistics are still updated");
  CHECK(graph->n_updates == 4, "running, head and its two moments, not %d", graph->n_updates);
  arena_free(arena);
}

// Patterns in order, the last that fits wins, for each sort of rule apart; rates and decays are factors.
static void check_rules(void) {
  Arena *arena = arena_new();
  Graph *graph = graph_new(arena, "rules");
  Node *params[] = {graph_param(graph, "encoder.0.weight", SHAPE(2), (Init){0}),
                    graph_param(graph, "encoder.1.weight", SHAPE(2), (Init){0}),
                    graph_param(graph, "head.weight", SHAPE(2), (Init){0})};
  params[2]->is_frozen = true; // by the model's text
  graph_output(graph, "loss", linear_loss(graph, params, 3), false);
  const StepRule rules[] = {{.kind = RULE_RATE, .pattern = "*", .factor = 0.5},
                            {.kind = RULE_FREEZE, .pattern = "*"},
                            {.kind = RULE_RATE, .pattern = "encoder.1.*", .factor = 0.1},
                            {.kind = RULE_TUNE, .pattern = "encoder.?.weight"},
                            {.kind = RULE_FREEZE, .pattern = "encoder.0.*"},
                            {.kind = RULE_TUNE, .pattern = "head.*"},
                            {.kind = RULE_DECAY, .pattern = "encoder.1.*", .factor = 0}};
  enum { N_RULES = sizeof rules / sizeof *rules };
  CHECK(step_rule_frozen(rules, N_RULES, params[0]), "frozen again");
  CHECK(!step_rule_frozen(rules, N_RULES, params[1]), "tuned after all was frozen");
  CHECK(step_rule_frozen(rules, N_RULES, params[2]), "what the model's text freezes stays frozen");
  CHECK(step_rule_factor(rules, N_RULES, RULE_RATE, params[0]) == 0.5, "rate of the first");
  CHECK(step_rule_factor(rules, N_RULES, RULE_RATE, params[1]) == 0.1, "rate of the second");
  CHECK(step_rule_factor(rules, N_RULES, RULE_DECAY, params[0]) == 1, "no rule for its decay");
  StepOptions options = {
      .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.5, .clip = 0, .rules = rules, .n_rules = N_RULES};
  CHECK(step_build(graph, &options, diag_new(arena, 20)), "step_build");
  CHECK(graph->n_updates == 3, "one parameter and its moments, not %d", graph->n_updates);
  Values values = values_new(arena, graph);
  float *p = leaf_values(&values, graph, "encoder.1.weight"), *g = leaf_values(&values, graph, "g.encoder.1.weight");
  values_fill(&values, graph, -1, 1);
  for (int i = 0; i < 2; i++) {
    p[i] = 1;
    g[i] = (float)(i - 0.5);
  }
  leaf_values(&values, graph, "adamw.m.encoder.1.weight")[0] =
      leaf_values(&values, graph, "adamw.m.encoder.1.weight")[1] = 0;
  leaf_values(&values, graph, "adamw.v.encoder.1.weight")[0] =
      leaf_values(&values, graph, "adamw.v.encoder.1.weight")[1] = 0;
  set_hyper(&values, graph, 0.01, 0.9, 0.999, 1);
  values_run(&values, graph);
  write_back(&values, graph);
  // the first step of AdamW goes by the rate against the sign of the gradient; no decay is left
  CHECK_NEAR((double)p[0], 1.001, 1e-6, "a tenth of the rate, upwards");
  CHECK_NEAR((double)p[1], 0.999, 1e-6, "a tenth of the rate, downwards");
  arena_free(arena);
}

// A pattern that fits nothing is an error that names the nearest parameter, or path, there is.
static void check_pattern(const char *pattern, const char *hint) {
  Arena *arena = arena_new();
  Graph *graph = graph_new(arena, "net");
  Node *params[] = {graph_param(graph, "encoder.stem.weight", SHAPE(2), (Init){0}),
                    graph_param(graph, "gain", SHAPE(2), (Init){0})};
  graph_output(graph, "loss", linear_loss(graph, params, 2), false);
  StepRule rule = {.kind = RULE_RATE, .pattern = pattern, .factor = 0.1};
  StepOptions options = {.beta2 = 0.999, .eps = 1e-8, .rules = &rule, .n_rules = 1};
  Diag *diag = diag_new(arena, 20);
  CHECK(!step_build(graph, &options, diag) && diag_errors(diag) == 1, "%s is refused", pattern);
  Text text = {0};
  diag_print(diag, &text, false);
  CHECK(strstr(text_get(&text), pattern) && strstr(text_get(&text), hint), "%s: no '%s' in: %s", pattern, hint,
        text_get(&text));
  text_free(&text);
  arena_free(arena);
}

// A small step with running statistics, accumulation and averages, run by the compiled kernels of a target.
typedef struct Machine {
  Arena *arena;
  Program *program;
  Device *device;
  Exec *exec;
} Machine;

// loss = sum(p * g) + sum(q * h); the state takes the mean of its old value and g.
static Machine machine_open(const Target *target, StepOptions options) {
  Machine machine = {.arena = arena_new()};
  Graph *graph = graph_new(machine.arena, "machine");
  Node *params[] = {graph_param(graph, "p", SHAPE(N), (Init){.kind = INIT_CONSTANT, .a = 1}),
                    graph_param(graph, "q", SHAPE(N, 3), (Init){.kind = INIT_UNIFORM, .a = -1, .b = 1})};
  graph_output(graph, "loss", linear_loss(graph, params, 2), false);
  Node *state = graph_state(graph, "running", SHAPE(N), (Init){.kind = INIT_CONSTANT, .a = 3}),
       *half = graph_scalar(graph, 0.5), *g = graph_find_leaf(graph, "g.p");
  Node *sum = graph_binary(graph, OP_add, state, g);
  graph_update(graph, state, graph_binary(graph, OP_mul, half, sum));
  CHECK(step_build(graph, &options, diag_new(machine.arena, 20)), "step_build");
  Status status = compile(graph, &(CompileOptions){.target = target, .is_training = true}, &machine.program);
  if (!status) status = device_open_cpu(1, &machine.device);
  if (!status) status = exec_open(machine.program, machine.device, 1, &machine.exec);
  CHECK(!status, "%s", status_message(status));
  return machine;
}

static void machine_close(Machine *machine) {
  exec_close(machine->exec);
  device_close(machine->device);
  program_free(machine->program);
  arena_free(machine->arena);
}

// All parameters and states, one after the other.
static float *machine_state(const Machine *machine, int *n) {
  float *values = ARENA_ARRAY(machine->arena, float, 64 * N);
  *n = 0;
  for (int i = 0; i < machine->program->n_buffers; i++) {
    const Buffer *buffer = &machine->program->buffers[i];
    if (buffer->kind != BUFFER_PARAM) continue;
    status_free(exec_get(machine->exec, buffer->name, values + *n));
    *n += (int)shape_elements(buffer->shape);
  }
  return values;
}

static double machine_get(const Machine *machine, const char *name, int i) {
  float values[3 * N];
  Status status = exec_get(machine->exec, name, values);
  CHECK(!status, "%s", status_message(status));
  status_free(status);
  return (double)values[i];
}

// Runs number `run` of `runs` of step t, with gradients drawn by `seed`, plus `extra` on one of them.
static void machine_run(const Machine *machine, int t, int run, int runs, uint64_t seed, float extra) {
  float *g = exec_input(machine->exec, "g.p"), *h = exec_input(machine->exec, "g.q"),
        *hyper = exec_input(machine->exec, "hyper");
  for (int i = 0; i < N; i++) g[i] = (float)unit_random(seed, (uint64_t)i) - 0.3f;
  for (int i = 0; i < 3 * N; i++) h[i] = (float)unit_random(seed + 100, (uint64_t)i) - 0.5f;
  g[2] += extra;
  hyper[HYPER_LR] = 0.01f;
  hyper[HYPER_BETA1] = 0.9f;
  hyper[HYPER_UNBIAS1] = (float)(1 - pow(0.9, t));
  hyper[HYPER_UNBIAS2] = (float)(1 - pow(0.999, t));
  hyper[HYPER_KEEP] = run > 0;
  hyper[HYPER_SHARE] = 1 / (float)runs;
  hyper[HYPER_APPLY] = run == runs - 1;
  hyper[HYPER_RENEW] = 1 / (float)t;
  Status status = exec_run(machine->exec);
  CHECK(!status, "%s", status_message(status));
  status_free(status);
}

// A run with a loss or gradient that is not finite changes not one bit, wherever the machine stands.
static void check_sound(const Target *target, bool accumulates, double clip) {
  static const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f}; // the square of the last overflows
  StepOptions options = {.beta2 = 0.999,
                         .eps = 1e-8,
                         .weight_decay = 0.1,
                         .clip = clip,
                         .accumulates = accumulates,
                         .averages = accumulates};
  Machine machine = machine_open(target, options);
  int runs = accumulates ? 2 : 1, n, m;
  for (int t = 1; t <= 2; t++) {
    for (int run = 0; run < runs; run++) {
      float *before = machine_state(&machine, &n);
      for (int k = 0; k < 4; k++) machine_run(&machine, t, run, runs, (uint64_t)k, bad[k]);
      float *after = machine_state(&machine, &m);
      CHECK(m == n && !memcmp(before, after, sizeof(float) * (size_t)n), "%s: a bad run at step %d changed values",
            target->name, t);
      machine_run(&machine, t, run, runs, 7, 0);
      after = machine_state(&machine, &m);
      CHECK(memcmp(before, after, sizeof(float) * (size_t)n), "%s: a good run changes values", target->name);
    }
  }
  CHECK_NEAR(machine_get(&machine, "running", 0),
             3 * pow(0.5, 2 * runs) + (1 - pow(0.5, 2 * runs)) * (unit_random(7, 0) - 0.3), 1e-6,
             "%s: running statistics", target->name);
  machine_close(&machine);
}

// A scaled loss gives the same bits, as its scale is a power of two; the scale falls after a bad run and rises after
// many good ones.
static void check_scaled(const Target *target) {
  StepOptions options = {.beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1, .clip = 0.5};
  Machine plain = machine_open(target, options);
  options.scales = true;
  Machine scaled = machine_open(target, options);
  double scale = 65536;
  for (int t = 1; t <= 4; t++) {
    if (t > 1) machine_run(&scaled, t, 0, 1, 3, NAN); // left out
    if (t > 1) scale /= 2;
    CHECK_NEAR(machine_get(&scaled, "scaling.scale", 0), scale, 0, "%s: scale before step %d", target->name, t);
    machine_run(&plain, t, 0, 1, (uint64_t)t, 0.25f);
    machine_run(&scaled, t, 0, 1, (uint64_t)t, 0.25f);
    CHECK_NEAR((double)*exec_output(scaled.exec, "loss_scale"), scale, 0, "%s: the scale is said", target->name);
    CHECK_NEAR((double)*exec_output(scaled.exec, "grad_norm"), (double)*exec_output(plain.exec, "grad_norm"), 0,
               "%s: norm of the gradient itself", target->name);
    for (int i = 0; i < N; i++)
      CHECK_NEAR(machine_get(&scaled, "p", i), machine_get(&plain, "p", i), 0, "%s: p[%d] after step %d", target->name,
                 i, t);
  }
  for (int run = 1; run < 2000; run++) machine_run(&scaled, 5, 0, 1, 7, 0);
  CHECK_NEAR(machine_get(&scaled, "scaling.scale", 0), 2 * scale, 0, "%s: scale after many runs", target->name);
  machine_close(&plain);
  machine_close(&scaled);
}

// A run that is left out takes no part in the step's mean.
static void check_scaled_parts(const Target *target) {
  StepOptions options = {
      .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1, .clip = 0.5, .accumulates = true, .scales = true};
  Machine good = machine_open(target, options), bad = machine_open(target, options);
  for (int t = 1; t <= 2; t++) {
    machine_run(&good, t, 0, 2, (uint64_t)t, 0);
    machine_run(&good, t, 1, 2, 9, 0);
    machine_run(&bad, t, 0, 3, 5, INFINITY);
    machine_run(&bad, t, 1, 2, (uint64_t)t, 0);
    machine_run(&bad, t, 1, 2, 9, 0);
  }
  for (int i = 0; i < N; i++)
    CHECK_NEAR(machine_get(&bad, "accumulated.p", i), machine_get(&good, "accumulated.p", i), 0,
               "%s: sum without the bad run", target->name);
  machine_close(&good);
  machine_close(&bad);
}

// Two runs make the step of their mean gradient; the average begins with the parameters and has no bias.
static void check_accumulate(const Target *target) {
  StepOptions options = {.beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1, .clip = 0.5};
  Machine whole = machine_open(target, options);
  options.accumulates = options.averages = true;
  Machine parts = machine_open(target, options);
  double mean[N] = {0};
  for (int t = 1; t <= 3; t++) {
    double start = machine_get(&parts, "p", 1);
    machine_run(&parts, t, 0, 2, (uint64_t)t, 0.25f);
    CHECK(machine_get(&parts, "p", 1) == start, "%s: the first run changes no parameter", target->name);
    machine_run(&parts, t, 1, 2, (uint64_t)t, -0.75f);
    machine_run(&whole, t, 0, 1, (uint64_t)t, -0.25f);
    for (int i = 0; i < N; i++) {
      double p = machine_get(&parts, "p", i);
      CHECK_NEAR(p, machine_get(&whole, "p", i), 1e-6, "%s: step %d, element %d", target->name, t, i);
      mean[i] += (p - mean[i]) / t;
      CHECK_NEAR(machine_get(&parts, "ema.p", i), mean[i], 1e-6, "%s: average %d at step %d", target->name, i, t);
    }
    CHECK_NEAR(machine_get(&parts, "q", 5), machine_get(&whole, "q", 5), 1e-6, "%s: q at step %d", target->name, t);
  }
  CHECK_NEAR((double)*exec_output(parts.exec, "grad_norm"), (double)*exec_output(whole.exec, "grad_norm"), 1e-6,
             "%s: the norm is that of the mean gradient", target->name);
  machine_close(&whole);
  machine_close(&parts);
}

static bool is_refused(Graph *graph, const char *freeze) {
  StepRule rule = {.kind = RULE_FREEZE, .pattern = freeze};
  StepOptions options = {.beta2 = 0.999, .eps = 1e-8, .rules = &rule, .n_rules = freeze ? 1 : 0};
  Diag *diag = diag_new(graph->arena, 20);
  return !step_build(graph, &options, diag) && diag_errors(diag) == 1;
}

static void check_faults(void) {
  Arena *arena = arena_new();
  Graph *without = graph_new(arena, "without");
  CHECK(is_refused(without, NULL), "no loss");

  Graph *frozen = graph_new(arena, "frozen");
  Node *p = graph_param(frozen, "p", SHAPE(2), (Init){0});
  graph_output(frozen, "loss", linear_loss(frozen, &p, 1), false);
  CHECK(is_refused(frozen, "*"), "everything is frozen");

  Graph *taken = graph_new(arena, "taken");
  graph_input(taken, "hyper", SHAPE(4));
  p = graph_param(taken, "p", SHAPE(2), (Init){0});
  graph_output(taken, "loss", linear_loss(taken, &p, 1), false);
  CHECK(is_refused(taken, NULL), "an input is called hyper");

  Graph *moment = graph_new(arena, "moment");
  p = graph_param(moment, "adamw.m.p", SHAPE(2), (Init){0});
  graph_output(moment, "loss", linear_loss(moment, &p, 1), false);
  CHECK(is_refused(moment, NULL), "a parameter is called as a moment");

  Graph *many = graph_new(arena, "many");
  p = graph_param(many, "p", SHAPE(2), (Init){0});
  graph_output(many, "loss", p, false);
  CHECK(is_refused(many, NULL), "the loss is two numbers");
  arena_free(arena);
}

// W (A x), x being pixels and A a matrix for each picture, is multiplied as (W A) x, and the step is the same.
static void check_chain(void) {
  double loss[2], norm[2];
  for (int is_exact = 0; is_exact < 2; is_exact++) {
    Arena *arena = arena_new();
    Graph *graph = graph_new(arena, "chain");
    Node *x = graph_input(graph, "x", SHAPE(2, 5, 8, 9)), *a = graph_param(graph, "a", SHAPE(2, 6, 5), (Init){0});
    Node *w = graph_param(graph, "w", SHAPE(7, 6, 1, 1), (Init){0});
    Node *y = build_matmul(graph, a, graph_reshape(graph, x, SHAPE(2, 5, 72)), false, false);
    y = graph_reshape(graph, y, SHAPE(2, 6, 8, 9));
    graph_output(graph, "asked", y, true);
    y = build_conv2d(graph, y, w, (ConvAttrs){.stride = 1, .dilation = 1, .groups = 1});
    y = graph_sum(graph, graph_binary(graph, OP_mul, y, y), (int[]){0, 1, 2, 3}, 4, false);
    graph_output(graph, "loss", y, false);
    StepOptions options = {.beta2 = 0.999, .eps = 1e-8, .reassociates = !is_exact};
    CHECK(step_build(graph, &options, diag_new(arena, 20)), "step_build");
    Values values = values_new(arena, graph);
    values_fill(&values, graph, -1, 1);
    values_run(&values, graph);
    loss[is_exact] = (double)values.of[graph_find_output(graph, "loss")->id][0];
    norm[is_exact] = (double)values.of[graph_find_output(graph, "grad_norm")->id][0];
    int n = 0;
    for (int i = 0; i < graph->n_nodes; i++) n += graph->nodes[i]->op == OP_conv2d;
    CHECK((n > 0) == is_exact, "%d convolutions", n);
    arena_free(arena);
  }
  CHECK_NEAR(loss[0], loss[1], 1e-5 * fabs(loss[1]), "loss");
  CHECK_NEAR(norm[0], norm[1], 1e-5 * fabs(norm[1]), "norm of the gradient");
}

int main(void) {
  const double constant[STEPS] = {1e-3, 1e-3, 1e-3, 1e-3, 1e-3}, beta[STEPS] = {0.9, 0.9, 0.9, 0.9, 0.9};
  const double cycled[STEPS] = {1e-3, 4e-3, 1e-2, 5e-3, 1e-3}, beta_cycled[STEPS] = {0.95, 0.9, 0.85, 0.9, 0.95};
  check_adamw("constant", constant, beta, 1e-4);
  check_adamw("cycled", cycled, beta_cycled, 0.05);
  check_adamw("no decay", cycled, beta_cycled, 0);
  check_clip(0.1);
  check_clip(1000);
  check_who_is_trained();
  check_chain();
  check_rules();
  check_pattern("encodr.*", "did you mean 'encoder.*'?");
  check_pattern("encoder.stem.wieght", "did you mean 'encoder.stem.weight'?");
  check_pattern("gian", "did you mean 'gain'?");
  check_pattern("transformer.*", "'encoder.stem.weight', ...");
  const Target *targets[] = {target_reference(), target_host()};
  for (int i = 0; i < 2; i++) {
    check_sound(targets[i], false, 0);
    check_sound(targets[i], false, 0.5);
    check_sound(targets[i], true, 0.5);
    check_accumulate(targets[i]);
    check_scaled(targets[i]);
    check_scaled_parts(targets[i]);
  }
  check_faults();
  return check_report("step");
}
