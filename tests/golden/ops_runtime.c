// Operator cases of the runtime: one-cycle schedules, AdamW, clipping, metrics, the repeated stem.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "compiler/pass/pass.h"
#include "runtime/train/metrics.h"
#include "runtime/train/schedule.h"
#include "runtime/weights_match.h"
#include "tests/golden/ops.h"

static double number(const cJSON *json, const char *key, double fallback) {
  const cJSON *item = cJSON_GetObjectItem(json, key);
  return cJSON_IsNumber(item) ? item->valuedouble : fallback;
}

static double at(const cJSON *json, const char *key, int i) {
  return cJSON_GetArrayItem(cJSON_GetObjectItem(json, key), i)->valuedouble;
}

static void add(WeightWriter *writer, Arena *arena, const cJSON *test, const char *name, Shape shape,
                const float *values) {
  const float *copy = arena_memdup(arena, values, (size_t)shape_elements(shape) * sizeof *values);
  weight_writer_add(writer, arena_printf(arena, "%s/out/%s", test->string, name), WEIGHT_F32, shape, copy);
}

static float *input(Arena *arena, const WeightFile *file, const cJSON *test, const char *name, Shape *out_shape) {
  const WeightTensor *tensor = weights_find(file, arena_printf(arena, "%s/in/%s", test->string, name));
  if (!tensor) return NULL;
  float *values = ARENA_ARRAY(arena, float, shape_elements(tensor->shape) + 1);
  weights_to_f32(tensor, values);
  *out_shape = tensor->shape;
  return values;
}

static bool run_schedule(const cJSON *test, const WeightFile *file, Arena *arena, WeightWriter *writer) {
  const cJSON *attrs = cJSON_GetObjectItem(test, "attrs");
  Schedule schedule = schedule_one_cycle(number(attrs, "max_lr", 1), (int64_t)number(attrs, "total_steps", 1));
  if (strstr(test->string, "torch")) schedule.kind = SCHEDULE_ONE_CYCLE_TORCH;
  schedule.warmup = number(attrs, "warmup", number(attrs, "pct_start", 0.3));
  schedule.div = number(attrs, "start_div", number(attrs, "div_factor", 25));
  schedule.final_div = number(attrs, "end_div", number(attrs, "final_div_factor", 100));
  Shape shape = SHAPE(schedule.steps);
  const float *steps = input(arena, file, test, "step", &shape);
  int64_t n = shape_elements(shape);
  float *lr = ARENA_ARRAY(arena, float, n), *beta1 = ARENA_ARRAY(arena, float, n);
  for (int64_t i = 0; i < n; i++) {
    double rate, beta;
    schedule_at(&schedule, steps ? (int64_t)steps[i] : i, &rate, &beta);
    lr[i] = (float)rate;
    beta1[i] = (float)beta;
  }
  add(writer, arena, test, "lr", shape, lr);
  if (cJSON_GetObjectItem(cJSON_GetObjectItem(test, "out"), "beta1")) add(writer, arena, test, "beta1", shape, beta1);
  return true;
}

static void print_status(const cJSON *test, Status status) {
  if (status) printf("%s: %s\n", test->string, status_message(status));
  status_free(status);
}

// The gradient of sum(p g) by p is g, so the project's own training step can be fed the case's gradients.
static bool run_adamw(Golden *golden, const cJSON *test, const WeightFile *file, Arena *arena, WeightWriter *writer) {
  const cJSON *attrs = cJSON_GetObjectItem(test, "attrs");
  Shape p_shape, g_shape;
  const float *p = input(arena, file, test, "p", &p_shape), *g = input(arena, file, test, "g", &g_shape);
  if (!p || !g) return false;
  Build build = {arena_new(), NULL};
  build.graph = graph_new(build.arena, test->string);
  Node *param = graph_param(build.graph, "p", p_shape, (Init){0}), *gradient = graph_input(build.graph, "g", p_shape);
  Node *product = graph_binary(build.graph, OP_mul, param, gradient);
  graph_output(build.graph, "loss", graph_sum(build.graph, product, (int[]){0}, 1, false), false);
  StepOptions options = {.beta2 = number(attrs, "beta2", 0.999),
                         .eps = number(attrs, "eps", 1e-8),
                         .weight_decay = number(attrs, "weight_decay", 0)};
  Program *program = NULL;
  bool is_ok = step_build(build.graph, &options, diag_new(build.arena, 20));
  Exec *exec = is_ok ? golden_load(golden, &build, true, &program) : NULL;
  int64_t n = shape_elements(p_shape), steps = g_shape.dim[0];
  float *rows = ARENA_ARRAY(arena, float, n *steps + 1);
  if (exec) print_status(test, exec_set(exec, "p", p));
  for (int t = 0; exec && t < steps; t++) {
    double beta1 = at(attrs, "beta1", t);
    float hyper[4] = {(float)at(attrs, "lr", t), (float)beta1, (float)(1 - pow(beta1, t + 1)),
                      (float)(1 - pow(options.beta2, t + 1))};
    memcpy(exec_input(exec, "hyper"), hyper, sizeof hyper);
    memcpy(exec_input(exec, "g"), g + t * n, (size_t)n * sizeof *g);
    print_status(test, exec_run(exec));
    print_status(test, exec_get(exec, "p", rows + t * n));
  }
  is_ok = exec != NULL;
  if (is_ok) add(writer, arena, test, "p", SHAPE(steps, n), rows);
  exec_close(exec);
  if (program) program_free(program);
  arena_free(build.arena);
  return is_ok;
}

static bool run_clip(Golden *golden, const cJSON *test, const WeightFile *file, Arena *arena, WeightWriter *writer) {
  static const char *const names[] = {"a", "b", "c"};
  Build build = {arena_new(), NULL};
  build.graph = graph_new(build.arena, test->string);
  Node *gradients[3];
  Shape shapes[3];
  const float *values[3];
  for (int i = 0; i < 3; i++) {
    values[i] = input(arena, file, test, names[i], &shapes[i]);
    gradients[i] = graph_input(build.graph, names[i], shapes[i]);
  }
  Node *norm = clip_build(build.graph, gradients, 3, number(cJSON_GetObjectItem(test, "attrs"), "max_norm", 1));
  graph_output(build.graph, "norm", norm, false);
  for (int i = 0; i < 3; i++)
    graph_output(build.graph, arena_printf(build.arena, "clipped/%s", names[i]), gradients[i], false);
  Program *program = NULL;
  Exec *exec = golden_load(golden, &build, true, &program);
  if (exec) {
    for (int i = 0; i < 3; i++)
      memcpy(exec_input(exec, names[i]), values[i], (size_t)shape_elements(shapes[i]) * sizeof *values[i]);
    print_status(test, exec_run(exec));
    add(writer, arena, test, "norm", (Shape){0}, exec_output(exec, "norm"));
    for (int i = 0; i < 3; i++)
      add(writer, arena, test, names[i], shapes[i], exec_output(exec, arena_printf(arena, "clipped/%s", names[i])));
  }
  bool is_ok = exec != NULL;
  exec_close(exec);
  if (program) program_free(program);
  arena_free(build.arena);
  return is_ok;
}

// Inputs of the metric cases that are not stored but made by a rule (their `generated_inputs`).
static void generate_metric_inputs(const cJSON *attrs, Shape pred_shape, Shape gt_shape, float *pred, float *gt) {
  const char *prefix =
      cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetObjectItem(attrs, "generated_inputs"), "prefix"));
  bool is_half = pred_shape.dim[2] != gt_shape.dim[2];
  golden_input(prefix, "depth", gt_shape, gt);
  for (int64_t i = 0, n = shape_elements(pred_shape); i < n; i++) {
    double value =
        is_half ? 0.5 + 9 * golden_uniform(prefix, "half", i)
                : (0.5 + 9 * golden_uniform(prefix, "depth", i)) * (0.7 + 0.6 * golden_uniform(prefix, "pred", i));
    pred[i] = (float)value;
  }
}

static Shape json_shape(const cJSON *list) {
  Shape shape = {0};
  const cJSON *dim;
  cJSON_ArrayForEach(dim, list) shape.dim[shape.rank++] = dim->valueint;
  return shape;
}

static bool run_metrics(const cJSON *test, const WeightFile *file, Arena *arena, WeightWriter *writer) {
  const cJSON *attrs = cJSON_GetObjectItem(test, "attrs"), *in = cJSON_GetObjectItem(test, "in");
  Shape pred_shape = json_shape(cJSON_GetObjectItem(in, "pred")), gt_shape = json_shape(cJSON_GetObjectItem(in, "gt"));
  float *pred = input(arena, file, test, "pred", &pred_shape), *gt = input(arena, file, test, "gt", &gt_shape);
  if (!pred || !gt) {
    pred = ARENA_ARRAY(arena, float, shape_elements(pred_shape));
    gt = ARENA_ARRAY(arena, float, shape_elements(gt_shape));
    generate_metric_inputs(attrs, pred_shape, gt_shape, pred, gt);
  }
  const Protocol *protocol = protocol_find(cJSON_IsArray(cJSON_GetObjectItem(attrs, "crop")) ? "nyu-eigen" : "full");
  int64_t n = gt_shape.dim[0], pred_plane = pred_shape.dim[2] * pred_shape.dim[3],
          gt_plane = gt_shape.dim[2] * gt_shape.dim[3];
  float *rows = ARENA_ARRAY(arena, float, n *METRIC_COUNT), mean[METRIC_COUNT];
  MetricsMean sums = {0};
  for (int64_t i = 0; i < n; i++) {
    double values[METRIC_COUNT];
    int64_t valid = metrics_image(protocol, pred + i * pred_plane, (int)pred_shape.dim[3], (int)pred_shape.dim[2],
                                  gt + i * gt_plane, (int)gt_shape.dim[3], (int)gt_shape.dim[2], values);
    metrics_add(&sums, values, valid);
    for (int m = 0; m < METRIC_COUNT; m++) rows[i * METRIC_COUNT + m] = (float)values[m];
  }
  for (int m = 0; m < METRIC_COUNT; m++) mean[m] = (float)metrics_mean(&sums, (Metric)m);
  add(writer, arena, test, "per_image", SHAPE(n, METRIC_COUNT), rows);
  add(writer, arena, test, "mean", SHAPE(METRIC_COUNT), mean);
  return true;
}

// The kernel repeated to the input channels of each output.
static bool run_inflate(const cJSON *test, const WeightFile *file, Arena *arena, WeightWriter *writer) {
  Shape from;
  const float *kernel = input(arena, file, test, "w", &from);
  const cJSON *out;
  cJSON_ArrayForEach(out, cJSON_GetObjectItem(test, "out")) {
    Shape to = json_shape(cJSON_GetObjectItem(out, "shape"));
    if (!kernel || !match_repeats(from, to)) return false;
    float *repeated = ARENA_ARRAY(arena, float, shape_elements(to));
    match_repeat(from, kernel, to, repeated);
    add(writer, arena, test, out->string, to, repeated);
  }
  return true;
}

bool golden_is_runtime_op(const char *name) {
  return !strncmp(name, "onecycle", 8) || !strncmp(name, "adamw", 5) || !strncmp(name, "clip_", 5) ||
         !strncmp(name, "metrics", 7) || !strcmp(name, "stem_inflate");
}

bool golden_runtime_op(Golden *golden, const cJSON *test, const WeightFile *file, Arena *arena, WeightWriter *writer) {
  if (!strncmp(test->string, "onecycle", 8)) return run_schedule(test, file, arena, writer);
  if (!strncmp(test->string, "adamw", 5)) return run_adamw(golden, test, file, arena, writer);
  if (!strncmp(test->string, "clip_", 5)) return run_clip(golden, test, file, arena, writer);
  if (!strcmp(test->string, "stem_inflate")) return run_inflate(test, file, arena, writer);
  return run_metrics(test, file, arena, writer);
}
