// Network cases: forward passes with taps, losses, gradients, running statistics, AdamW steps and short fits.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/pass/pass.h"
#include "runtime/base/file.h"
#include "runtime/train/schedule.h"
#include "tests/golden/golden.h"

typedef struct Case {
  Golden *golden;
  const char *name;
  const cJSON *json;
  Arena *arena;
  bool is_training; // batch statistics
  int64_t n, height, width;
  int bases;
} Case;

static const char *json_text(const cJSON *json, const char *key) {
  const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(json, key));
  return text ? text : "";
}

static double json_number(const cJSON *json, const char *key, double fallback) {
  const cJSON *item = cJSON_GetObjectItem(json, key);
  return cJSON_IsNumber(item) ? item->valuedouble : fallback;
}

static bool has_input(const cJSON *json, const char *name) {
  const cJSON *item;
  cJSON_ArrayForEach(item, cJSON_GetObjectItem(json, "inputs")) {
    if (!strcmp(item->valuestring, name)) return true;
  }
  return false;
}

// How a network is called and what it gives.
typedef struct Network {
  const char *name, *file, *outputs; // outputs: the model's results in order; one of them is "depth"
  bool is_meta, has_bins;
} Network;

static const Network networks[] = {
    {"meta_", "meta_unet", "W, depth", true, false},
    {"adabins", "adabins", "edges, depth_half, depth", false, true},
    {"bts", "bts", "depth", false, false},
    {"ensemble", "stack", "W, preds, depth", false, false},
    {"ldrn", "ldrn", "depth, res6, res5, res4, res3, res2, res1", false, false},
};

static const Network *find_network(const Case *c) {
  const char *name = json_text(c->json, "network");
  for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
    if (strncmp(name, networks[i].name, strlen(networks[i].name))) continue;
    return file_exists(arena_printf(c->arena, "%s/%s.net", c->golden->models, networks[i].file)) ? &networks[i] : NULL;
  }
  return NULL;
}

// The losses of the README's section 4; `edges` has bins + 1 columns.
static const char bin_losses[] =
    "  k = shape(edges)[1]\n"
    "  centres = (slice(edges, axis=1, start=0, stop=k - 1) + slice(edges, axis=1, start=1, stop=k)) / 2\n"
    "  output chamfer_mean = chamfer(centres, gt, form=\"mean\")\n"
    "  output chamfer_sum = chamfer(centres, gt, form=\"sum\")\n"
    "  output total_author = silog_author + 0.1 * chamfer_mean\n"
    "  output total_slides = silog_slides + chamfer_sum\n";

// The case's network as a model with its losses as outputs; false where the network does not exist yet.
static bool write_model(const Case *c, Text *text) {
  const Network *network = find_network(c);
  if (!network) return false;
  bool has_gt = has_input(c->json, "depth");
  long long n = c->n, height = c->height, width = c->width;
  text_printf(text, "net 1\nuse %s (%s)\nuse losses\n\nmodel golden_case() {\n", network->file, network->file);
  text_printf(text, "  input rgb: f32[%lld, 3, %lld, %lld]\n", n, height, width);
  if (network->is_meta) text_printf(text, "  input preds: f32[%lld, %d, %lld, %lld]\n", n, c->bases, height, width);
  if (has_gt) text_printf(text, "  input gt: f32[%lld, 1, %lld, %lld]\n", n, height, width);
  text_printf(text, "  %s = %s(rgb", network->outputs, network->file);
  if (network->is_meta)
    text_printf(text, ", preds, inputs=\"%s\", bases=%d", json_text(c->json, "meta_inputs"), c->bases);
  if (!strcmp(network->file, "stack")) {
    const char *variant = json_text(c->json, "variant"), *tuned = strstr(variant, "_tuned");
    text_printf(text, ", variant=\"%.*s\", mode=\"%s\"", (int)strcspn(variant, "_"), variant,
                tuned ? "tuned" : "frozen");
  }
  if (network->has_bins || !strcmp(network->file, "stack")) text_put(text, ", dropout=0");
  text_put(text, ")\n");
  char *names = arena_strdup(c->arena, network->outputs), *rest = names;
  for (char *name; (name = strsep(&rest, ", "));)
    if (*name) text_printf(text, "  output %s = %s\n", name, name);
  if (has_gt)
    text_put(text, "  output silog_slides = silog(depth, gt)\n  output silog_author = silog_author(depth, gt)\n");
  if (has_gt && network->has_bins) text_put(text, bin_losses);
  text_put(text, "}\n");
  return true;
}

typedef struct Parameter {
  const char *name;               // in the program: "adabins.head.pw.weight" in an ensemble
  const char *canonical, *prefix; // of the generator
  const char *kind;
  bool is_state, is_frozen;
  Shape shape;
  double scale;
} Parameter;

typedef struct ParameterList {
  Parameter *rows; // ended by a NULL name
  int n, capacity;
} ParameterList;

// Adds the rows of one table; `part` stands before the names ("" or "adabins.").
static bool read_table(const Case *c, const char *file, const char *prefix, const char *part, bool is_frozen,
                       ParameterList *list) {
  Text text = {0};
  Status status = file_read(arena_printf(c->arena, "%s/%s", c->golden->in, file), &text);
  if (status) {
    printf("%s: %s\n", c->name, status_message(status));
    status_free(status);
    return false;
  }
  for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n")) {
    char name[256], role[16], kind[32], shape[64];
    double scale;
    if (sscanf(line, "%*d\t%255s\t%15s\t%31s\t%63s\t%*d\t%lf", name, role, kind, shape, &scale) != 5) continue;
    Parameter row = {arena_printf(c->arena, "%s%s", part, name),
                     arena_strdup(c->arena, name),
                     prefix,
                     arena_strdup(c->arena, kind),
                     !strcmp(role, "buffer"),
                     is_frozen,
                     {0},
                     scale};
    for (char *at = shape; *at && *at != 's'; at += strspn(at, "x"))
      row.shape.dim[row.shape.rank++] = strtol(at, &at, 10);
    ARENA_PUSH(c->arena, list->rows, list->n, list->capacity, row);
  }
  text_free(&text);
  return true;
}

// All parameters of the case: one table, or those of an ensemble's members.
static Parameter *read_parameters(const Case *c) {
  const cJSON *tables = cJSON_GetObjectItem(c->json, "params"),
              *prefixes = cJSON_GetObjectItem(c->json, "weight_prefix"), *table;
  bool is_ok = true, is_frozen = cJSON_IsTrue(cJSON_GetObjectItem(c->json, "bases_frozen"));
  ParameterList list = {0};
  if (cJSON_IsString(tables))
    is_ok = read_table(c, tables->valuestring, json_text(c->json, "weight_prefix"), "", false, &list);
  else cJSON_ArrayForEach(table, tables) {
      bool is_meta = !strncmp(table->string, "meta", 4);
      const char *part = is_meta ? "meta." : arena_printf(c->arena, "%s.", table->string);
      is_ok &=
          read_table(c, table->valuestring, json_text(prefixes, table->string), part, is_frozen && !is_meta, &list);
    }
  ARENA_PUSH(c->arena, list.rows, list.n, list.capacity, (Parameter){0});
  return is_ok ? list.rows : NULL;
}

// Sets all weights and inputs of a loaded case; false after saying what does not fit.
static bool feed(const Case *c, const Parameter *rows, Exec *exec) {
  for (const Parameter *row = rows; row->name; row++) {
    float *values = malloc((size_t)(shape_elements(row->shape) + 1) * sizeof *values);
    golden_weight(row->prefix, row->canonical, row->kind, row->scale, row->shape, values);
    int buffer = program_find(exec_program(exec), BUFFER_PARAM, row->name);
    bool is_counter = !strcmp(row->kind, "counter");
    bool fits = buffer >= 0 && shape_equal(exec_program(exec)->buffers[buffer].shape, row->shape);
    if (fits) status_free(exec_set(exec, row->name, values));
    free(values);
    // Running statistics and counters that this program does not read are dropped from it.
    if (!fits && (buffer >= 0 || !(row->is_state || is_counter))) {
      printf("%s: parameter %s is missing or of another shape\n", c->name, row->name);
      return false;
    }
  }
  const char *prefix = json_text(c->json, "input_prefix");
  Shape shape = SHAPE(c->n, 3, c->height, c->width);
  float *rgb = exec_input(exec, "rgb"), *preds = exec_input(exec, "preds"), *gt = exec_input(exec, "gt");
  if (rgb) golden_input(prefix, "rgb", shape, rgb);
  shape.dim[1] = c->bases;
  if (preds) golden_input(prefix, "preds", shape, preds);
  shape.dim[1] = 1;
  if (gt) golden_input(prefix, "depth", shape, gt);
  return true;
}

static bool run(const Case *c, Exec *exec) {
  Status status = exec_run(exec);
  if (status) printf("%s: %s\n", c->name, status_message(status));
  bool is_ok = !status;
  status_free(status);
  return is_ok;
}

// Taps are named by instance path; the golden files use the last part.
static const char *golden_name(const Case *c, const char *name) {
  const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;
  return cJSON_GetObjectItem(cJSON_GetObjectItem(c->json, "losses"), last) ? arena_printf(c->arena, "loss/%s", last)
                                                                           : last;
}

static void mirror(float *values, int64_t rows, int64_t width) {
  for (int64_t row = 0; row < rows; row++) {
    float *line = values + row * width;
    for (int64_t a = 0, b = width - 1; a < b; a++, b--) {
      float swap = line[a];
      line[a] = line[b];
      line[b] = swap;
    }
  }
}

static float limit(float depth) { return depth < 1e-3f ? 1e-3f : depth > 10 ? 10 : depth; }

// The network on the mirrored picture, and the mean of both, for the cases that hold them.
static bool add_flipped(const Case *c, Exec *exec, WeightWriter *writer) {
  if (!cJSON_GetObjectItem(cJSON_GetObjectItem(c->json, "tensors"), "depth_flipped_input")) return true;
  Shape shape = SHAPE(c->n, 1, c->height, c->width);
  int64_t n = shape_elements(shape);
  float *average = arena_memdup(c->arena, exec_output(exec, "depth"), (size_t)n * sizeof *average);
  mirror(exec_input(exec, "rgb"), 3 * c->n * c->height, c->width);
  if (!run(c, exec)) return false;
  float *flipped = arena_memdup(c->arena, exec_output(exec, "depth"), (size_t)n * sizeof *flipped);
  weight_writer_add(writer, "depth_flipped_input", WEIGHT_F32, shape,
                    arena_memdup(c->arena, flipped, (size_t)n * sizeof *flipped));
  mirror(flipped, c->n * c->height, c->width);
  for (int64_t i = 0; i < n; i++) average[i] = (limit(average[i]) + limit(flipped[i])) / 2;
  weight_writer_add(writer, "depth_flip_average", WEIGHT_F32, shape, average);
  return true;
}

// Parameters and running statistics, as they are now, that the case stores whole.
static void add_stored_leaves(const Case *c, const Exec *exec, WeightWriter *writer) {
  const Program *program = exec_program(exec);
  const cJSON *tensor;
  cJSON_ArrayForEach(tensor, cJSON_GetObjectItem(c->json, "tensors")) {
    int leaf = program_find(program, BUFFER_PARAM, tensor->string);
    if (leaf < 0) continue;
    Shape shape = program->buffers[leaf].shape;
    float *values = ARENA_ARRAY(c->arena, float, shape_elements(shape) + 1);
    status_free(exec_get(exec, tensor->string, values));
    weight_writer_add(writer, tensor->string, WEIGHT_F32, shape, values);
  }
}

// All outputs and taps that the case describes, and its losses.
static bool save_tensors(const Case *c, Exec *exec) {
  const Program *program = exec_program(exec);
  WeightWriter *writer = weight_writer_new();
  for (int i = 0; i < program->n_buffers; i++) {
    const Buffer *buffer = &program->buffers[i];
    if (buffer->kind != BUFFER_OUTPUT || strncmp(buffer->name, "grad/", 5) == 0) continue;
    const float *values =
        arena_memdup(c->arena, exec_output(exec, buffer->name), (size_t)shape_elements(buffer->shape) * sizeof *values);
    weight_writer_add(writer, golden_name(c, buffer->name), WEIGHT_F32, buffer->shape, values);
  }
  add_stored_leaves(c, exec, writer);
  bool is_ok = add_flipped(c, exec, writer);
  Status status = weight_writer_save(writer, arena_printf(c->arena, "%s/%s.safetensors", c->golden->out, c->name));
  if (status) printf("%s: %s\n", c->name, status_message(status));
  is_ok &= !status;
  status_free(status);
  return is_ok;
}

// One table of parameters or statistics as they are now, under the file name the case gives.
static void save_values(const Case *c, const Parameter *rows, const Exec *exec, bool states, const char *file) {
  TsvFile *tsv = golden_tsv_new('v');
  for (const Parameter *row = rows; row->name; row++) {
    if (row->is_state != states || !strcmp(row->kind, "counter")) continue;
    float *values = ARENA_ARRAY(c->arena, float, shape_elements(row->shape) + 1);
    Status status = exec_get(exec, row->name, values);
    if (!status) golden_tsv_row(tsv, row->name, shape_elements(row->shape), values);
    status_free(status);
  }
  status_free(golden_tsv_save(tsv, arena_printf(c->arena, "%s/%s", c->golden->out, file), false));
}

// Forward pass, losses, and the gradients of the loss `loss` (NULL = none) written to `file`.
static bool run_forward(const Case *c, const Parameter *rows, const char *text, const char *loss, const char *file) {
  Build build = golden_build(c->golden, c->name, text, c->is_training);
  bool is_ok = build.graph != NULL;
  if (is_ok && loss) {
    Node *wrt[2048], *grads[2048];
    int n = 0;
    for (const Parameter *row = rows; row->name; row++)
      if (!row->is_state && !row->is_frozen && n < 2048) wrt[n++] = graph_find_leaf(build.graph, row->name);
    is_ok = grad_build(build.graph, graph_find_output(build.graph, loss), wrt, n, grads, diag_new(build.arena, 20));
    for (int i = 0; is_ok && i < n; i++)
      graph_output(build.graph, arena_printf(build.arena, "grad/%s", wrt[i]->name), grads[i], false);
  }
  Program *program = NULL;
  Exec *exec = is_ok ? golden_load(c->golden, &build, c->is_training, &program) : NULL;
  is_ok = exec && feed(c, rows, exec) && run(c, exec) && save_tensors(c, exec);
  if (is_ok && loss) {
    TsvFile *tsv = golden_tsv_new('g');
    for (const Parameter *row = rows; row->name; row++) {
      if (row->is_state || row->is_frozen) continue;
      const float *grad = exec_output(exec, arena_printf(c->arena, "grad/%s", row->name));
      golden_tsv_row(tsv, row->name, shape_elements(row->shape), grad);
    }
    status_free(golden_tsv_save(tsv, arena_printf(c->arena, "%s/%s", c->golden->out, file), true));
  }
  const char *statistics = json_text(c->json, "running_stats_file");
  if (is_ok && *statistics) save_values(c, rows, exec, true, statistics);
  exec_close(exec);
  if (program) program_free(program);
  arena_free(build.arena);
  return is_ok;
}

// The training step of the case's network for one of its losses.
static Exec *load_step(const Case *c, const char *text, const char *loss, const StepOptions *options, Build *build,
                       Program **program) {
  *build = golden_build(c->golden, c->name, text, c->is_training);
  if (!build->graph) return NULL;
  graph_output(build->graph, "loss", graph_find_output(build->graph, loss), false);
  if (!step_build(build->graph, options, diag_new(build->arena, 20))) return NULL;
  return golden_load(c->golden, build, true, program);
}

static void set_hyper(Exec *exec, double lr, double beta1, double beta2, int64_t t) {
  float *hyper = exec_input(exec, "hyper");
  hyper[HYPER_LR] = (float)lr;
  hyper[HYPER_BETA1] = (float)beta1;
  hyper[HYPER_UNBIAS1] = (float)(1 - pow(beta1, (double)t));
  hyper[HYPER_UNBIAS2] = (float)(1 - pow(beta2, (double)t));
}

static bool run_adamw(const Case *c, const Parameter *rows, const char *text) {
  const cJSON *optimiser = cJSON_GetObjectItem(c->json, "optimiser"), *betas = cJSON_GetObjectItem(optimiser, "betas");
  double beta1 = cJSON_GetArrayItem(betas, 0)->valuedouble, beta2 = cJSON_GetArrayItem(betas, 1)->valuedouble;
  StepOptions options = {.beta2 = beta2,
                         .eps = json_number(optimiser, "eps", 1e-8),
                         .weight_decay = json_number(optimiser, "weight_decay", 0),
                         .clip = json_number(optimiser, "clip_global_norm", 0),
                         .enlarges_late = true,
                         .reassociates = true};
  Build build;
  Program *program = NULL;
  Exec *exec = load_step(c, text, json_text(optimiser, "loss"), &options, &build, &program);
  bool is_ok = exec && feed(c, rows, exec);
  if (is_ok) {
    set_hyper(exec, json_number(optimiser, "lr", 0), beta1, beta2, 1);
    is_ok = run(c, exec);
    if (is_ok) save_values(c, rows, exec, false, json_text(optimiser, "file"));
  }
  exec_close(exec);
  if (program) program_free(program);
  arena_free(build.arena);
  return is_ok;
}

static bool run_fit(const Case *c, const Parameter *rows, const char *text) {
  double beta2 = json_number(c->json, "beta2", 0.999);
  StepOptions options = {.beta2 = beta2,
                         .eps = json_number(c->json, "eps", 1e-8),
                         .weight_decay = json_number(c->json, "weight_decay", 0),
                         .clip = json_number(c->json, "clip_global_norm", 0),
                         .enlarges_late = true,
                         .reassociates = true};
  Schedule schedule =
      schedule_one_cycle(json_number(c->json, "max_lr", 0), (int64_t)json_number(c->json, "total_steps", 0));
  if (!strcmp(json_text(c->json, "schedule"), "onecycle_torch")) schedule.kind = SCHEDULE_ONE_CYCLE_TORCH;
  Build build;
  Program *program = NULL;
  Exec *exec = load_step(c, text, json_text(c->json, "loss"), &options, &build, &program);
  bool is_ok = exec && feed(c, rows, exec);
  int steps = (int)json_number(c->json, "steps", 0);
  float *loss = ARENA_ARRAY(c->arena, float, steps), *lr = ARENA_ARRAY(c->arena, float, steps);
  float *beta1 = ARENA_ARRAY(c->arena, float, steps), *norm = ARENA_ARRAY(c->arena, float, steps);
  for (int t = 0; is_ok && t < steps; t++) {
    double rate, beta;
    schedule_at(&schedule, t, &rate, &beta);
    set_hyper(exec, rate, beta, beta2, t + 1);
    is_ok = run(c, exec);
    loss[t] = *exec_output(exec, "loss");
    norm[t] = *exec_output(exec, "grad_norm");
    lr[t] = (float)rate;
    beta1[t] = (float)beta;
  }
  if (is_ok) {
    WeightWriter *writer = weight_writer_new();
    Shape shape = SHAPE(steps);
    weight_writer_add(writer, "loss", WEIGHT_F32, shape, loss);
    weight_writer_add(writer, "lr", WEIGHT_F32, shape, lr);
    weight_writer_add(writer, "beta1", WEIGHT_F32, shape, beta1);
    weight_writer_add(writer, "grad_norm", WEIGHT_F32, shape, norm);
    status_free(weight_writer_save(writer, arena_printf(c->arena, "%s/%s.safetensors", c->golden->out, c->name)));
  }
  exec_close(exec);
  if (program) program_free(program);
  arena_free(build.arena);
  return is_ok;
}

void golden_network(Golden *golden, const char *name, const cJSON *json) {
  Case c = {golden, name, json, arena_new(), false, 0, 0, 0, (int)json_number(json, "n_base", 3)};
  const char *mode = json_text(json, "mode");
  c.is_training = !strncmp(json_text(json, "batch_norm"), "batch", 5) || !strcmp(mode, "train");
  c.n = (int64_t)json_number(json, "batch", 1);
  c.height = (int64_t)json_number(json, "height", 0);
  c.width = (int64_t)json_number(json, "width", 0);
  Text text = {0};
  if (!write_model(&c, &text)) {
    printf("SKIPPED %s: no network '%s' yet\n", name, json_text(json, "network"));
    golden->n_skipped++;
  } else {
    const Parameter *rows = read_parameters(&c);
    const cJSON *gradients = cJSON_GetObjectItem(json, "gradient_files");
    const cJSON *gradient = gradients ? gradients->child : NULL;
    bool is_ok = rows != NULL;
    if (is_ok && !strcmp(mode, "fit")) {
      is_ok = run_fit(&c, rows, text_get(&text));
    } else if (is_ok) {
      do {
        is_ok = run_forward(&c, rows, text_get(&text), gradient ? gradient->string : NULL,
                            gradient ? gradient->valuestring : NULL);
        gradient = gradient ? gradient->next : NULL;
      } while (is_ok && gradient);
      if (is_ok && cJSON_GetObjectItem(json, "optimiser")) is_ok = run_adamw(&c, rows, text_get(&text));
    }
    if (is_ok) golden->n_run++;
    else golden->n_failed++;
  }
  text_free(&text);
  arena_free(c.arena);
}
