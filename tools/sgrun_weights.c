// sgrun weights: what is in weight files, how two differ, whether one fits a model, and one form from another.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/strmap.h"
#include "runtime/weights_match.h"
#include "tools/sgrun.h"

static float *values_of(const WeightTensor *tensor) {
  float *values = malloc((size_t)shape_elements(tensor->shape) * sizeof *values + 1);
  if (!values) BUG("out of memory");
  weights_to_f32(tensor, values);
  return values;
}

// The tensor's name after --rename FROM=TO: the first rule whose FROM it begins with.
static const char *renamed(const Cli *cli, Arena *arena, const char *name) {
  for (int i = 0; cli_option_at(cli, "rename", i); i++) {
    const char *rule = cli_option_at(cli, "rename", i), *equals = strchr(rule, '=');
    size_t length = equals ? (size_t)(equals - rule) : 0;
    if (equals && !strncmp(name, rule, length)) return arena_printf(arena, "%s%s", equals + 1, name + length);
  }
  return name;
}

static bool is_wanted(const Cli *cli, const char *name) {
  const char *only = cli_option(cli, "only");
  return !only || !strncmp(name, only, strlen(only));
}

static ExitCode check_options(const Cli *cli) {
  for (int i = 0; cli_option_at(cli, "rename", i); i++)
    if (!strchr(cli_option_at(cli, "rename", i), '='))
      return cli_fail(cli, EXIT_USAGE, "option '--rename' needs FROM=TO, not '%s'", cli_option_at(cli, "rename", i));
  return EXIT_DONE;
}

// ---- ls

typedef struct Moments {
  double mean, deviation; // of the finite values; 0 where there are none
  int64_t n_not_finite;
} Moments;

static Moments moments_of(const WeightTensor *tensor) {
  Moments moments = {0};
  int64_t n = shape_elements(tensor->shape), finite = 0;
  float *values = values_of(tensor);
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < n; i++) {
    if (!isfinite(values[i])) continue;
    sum += values[i];
    finite++;
  }
  moments.n_not_finite = n - finite;
  if (finite) moments.mean = sum / (double)finite;
  for (int64_t i = 0; i < n; i++)
    if (isfinite(values[i])) squares += (values[i] - moments.mean) * (values[i] - moments.mean);
  if (finite) moments.deviation = sqrt(squares / (double)finite);
  free(values);
  return moments;
}

static void put_json_tensor(Text *out, const WeightTensor *tensor, const char *name, Moments moments) {
  text_put(out, "{\"name\":");
  text_put_json(out, name);
  text_printf(out, ",\"type\":\"%s\",\"shape\":[", weight_type_name(tensor->type));
  for (int axis = 0; axis < tensor->shape.rank; axis++)
    text_printf(out, "%s%lld", axis ? "," : "", (long long)tensor->shape.dim[axis]);
  text_printf(out, "],\"mean\":%.9g,\"std\":%.9g,\"not_finite\":%lld}", moments.mean, moments.deviation,
              (long long)moments.n_not_finite);
}

static void print_tensor(const WeightTensor *tensor, const char *name, Moments moments) {
  char shape[SHAPE_TEXT];
  printf("%-60s %-4s %-20s", name, weight_type_name(tensor->type), shape_text(tensor->shape, shape));
  printf(" %12.5g %12.5g", moments.mean, moments.deviation);
  if (moments.n_not_finite) printf("  %lld not finite", (long long)moments.n_not_finite);
  printf("\n");
}

static ExitCode list(const Cli *cli, Arena *arena, const WeightFile *file) {
  bool is_json = cli_flag(cli, "json", false);
  Text json = {0};
  int n = 0;
  int64_t elements = 0, bytes = 0;
  if (!is_json) printf("%-60s %-4s %-20s %12s %12s\n", "tensor", "type", "shape", "mean", "std");
  for (int i = 0; i < weights_count(file); i++) {
    const WeightTensor *tensor = weights_at(file, i);
    if (!is_wanted(cli, tensor->name)) continue;
    const char *name = renamed(cli, arena, tensor->name);
    n++;
    elements += shape_elements(tensor->shape);
    bytes += tensor->bytes;
    if (is_json) {
      if (json.size) text_put(&json, ",\n");
      put_json_tensor(&json, tensor, name, moments_of(tensor));
    } else {
      print_tensor(tensor, name, moments_of(tensor));
    }
  }
  if (is_json)
    printf("{\"format\":\"%s\",\"count\":%d,\"elements\":%lld,\"bytes\":%lld,\"tensors\":[\n%s\n]}\n",
           weights_format(file), n, (long long)elements, (long long)bytes, text_get(&json));
  else
    printf("%s: %d tensors, %lld elements, %.1f MB, %s\n", weights_path(file), n, (long long)elements,
           1e-6 * (double)bytes, weights_format(file));
  text_free(&json);
  return EXIT_DONE;
}

// ---- diff

typedef struct Difference {
  int n_same, n_differ, n_first, n_second, n_shape;
  double largest; // over all tensors
  const char *where;
} Difference;

// The largest absolute difference; infinity where only one of two values is a number. Sets `largest` to the largest
// magnitude in `a`.
static double compare_values(const WeightTensor *a, const WeightTensor *b, double *largest) {
  float *x = values_of(a), *y = values_of(b);
  double difference = 0;
  *largest = 0;
  for (int64_t i = 0, n = shape_elements(a->shape); i < n; i++) {
    bool is_same = x[i] == y[i] || (isnan(x[i]) && isnan(y[i]));
    double apart = is_same ? 0 : fabs((double)x[i] - (double)y[i]);
    difference = fmax(difference, isnan(apart) ? INFINITY : apart);
    if (isfinite(x[i])) *largest = fmax(*largest, fabs((double)x[i]));
  }
  free(x);
  free(y);
  return difference;
}

static void compare(const Cli *cli, const char *name, const WeightTensor *a, const WeightTensor *b, Difference *sum) {
  char first[SHAPE_TEXT], second[SHAPE_TEXT];
  double tolerance = cli_number(cli, "tolerance", 0, 0, 1e30), scale;
  if (!shape_equal(a->shape, b->shape)) {
    sum->n_shape++;
    printf("shape    %s: %s and %s\n", name, shape_text(a->shape, first), shape_text(b->shape, second));
    return;
  }
  double difference = compare_values(a, b, &scale);
  if (difference > sum->largest) {
    sum->largest = difference;
    sum->where = name;
  }
  if (difference <= tolerance) {
    sum->n_same++;
    return;
  }
  sum->n_differ++;
  printf("differs  %s: by up to %.6g, largest value %.6g\n", name, difference, scale);
}

static ExitCode diff_files(const Cli *cli, Arena *arena, const WeightFile *a, const WeightFile *b) {
  Difference sum = {0};
  StrMap *names = strmap_new(arena);
  for (int i = 0; i < weights_count(a); i++) {
    const WeightTensor *tensor = weights_at(a, i);
    if (!is_wanted(cli, tensor->name)) continue;
    const char *name = renamed(cli, arena, tensor->name);
    const WeightTensor *other = weights_find(b, name);
    strmap_set(names, name, arena);
    if (other) {
      compare(cli, name, tensor, other, &sum);
    } else {
      sum.n_first++;
      printf("first    %s: only in %s\n", name, weights_path(a));
    }
  }
  for (int i = 0; i < weights_count(b); i++) {
    const char *name = weights_at(b, i)->name;
    if (strmap_get(names, name)) continue;
    sum.n_second++;
    printf("second   %s: only in %s\n", name, weights_path(b));
  }
  printf("%d equal, %d differ, %d of other shape, %d only in the first, %d only in the second", sum.n_same,
         sum.n_differ, sum.n_shape, sum.n_first, sum.n_second);
  if (sum.where) printf("; largest difference %.6g in %s", sum.largest, sum.where);
  printf("\n");
  return sum.n_differ || sum.n_shape || sum.n_first || sum.n_second ? EXIT_NEGATIVE : EXIT_DONE;
}

static ExitCode print_matches(const WeightFile *file, const MatchTable *table) {
  static const char *const words[] = {"fits", "repeated", "counter", "missing", "shape"};
  for (int i = 0; i < table->n_matches; i++) {
    const Match *match = &table->matches[i];
    char want[SHAPE_TEXT], have[SHAPE_TEXT];
    printf("%-8s %s %s", words[match->kind], match->target->name, shape_text(match->target->shape, want));
    if (match->kind == MATCH_REPEATED || match->kind == MATCH_SHAPE)
      printf(", in the file %s", shape_text(match->tensor->shape, have));
    printf("\n");
  }
  for (int i = 0; i < table->n_unused; i++) printf("unused   %s\n", table->unused[i]->name);
  Text line = {0};
  match_describe(table, file, &line);
  printf("%s\n", text_get(&line));
  text_free(&line);
  return EXIT_DONE;
}

// A file against a model: what --init would do.
static ExitCode diff_model(const Cli *cli, Arena *arena, const WeightFile *file, const char *path) {
  Model model;
  ExitCode code = model_open(cli, path, &model);
  if (!code) {
    model_bind_sizes(&model, 1);
    Graph *graph = model_graph(cli, &model, true, false);
    code = graph ? EXIT_DONE : EXIT_MODEL;
    MatchTarget *targets = ARENA_ARRAY(arena, MatchTarget, graph ? graph->n_nodes + 1 : 1);
    int n = 0;
    for (int i = 0; graph && i < graph->n_nodes; i++) {
      const Node *node = graph->nodes[i];
      if (node->op == OP_param || node->op == OP_state) targets[n++] = (MatchTarget){node->name, node->shape};
    }
    MatchTable table;
    weights_match(arena, file, targets, n, cli_option(cli, "prefix"), &table);
    if (!code) code = print_matches(file, &table);
    Status misfit = match_check(&table, file);
    if (!code && misfit) code = EXIT_NEGATIVE;
    if (misfit) cli_say(cli, "%s", status_message(misfit));
    status_free(misfit);
  }
  model_close(&model);
  return code;
}

static bool is_model(const char *path) {
  size_t length = strlen(path);
  return length > 4 && !strcmp(path + length - 4, ".net");
}

static ExitCode diff(const Cli *cli, Arena *arena, const WeightFile *file, const char *other) {
  if (is_model(other)) return diff_model(cli, arena, file, other);
  WeightFile *second = NULL;
  ExitCode code = cli_status(cli, weights_open(other, &second));
  if (!code) code = diff_files(cli, arena, file, second);
  weights_close(second);
  return code;
}

// ---- convert

static bool is_real(WeightType type) {
  return type == WEIGHT_F32 || type == WEIGHT_F64 || type == WEIGHT_F16 || type == WEIGHT_BF16;
}

// The new names stay apart, and there are some.
static ExitCode check_names(const Cli *cli, Arena *arena, const WeightFile *file) {
  StrMap *names = strmap_new(arena);
  for (int i = 0; i < weights_count(file); i++) {
    const WeightTensor *tensor = weights_at(file, i);
    if (!is_wanted(cli, tensor->name)) continue;
    const char *name = renamed(cli, arena, tensor->name), *other = strmap_get(names, name);
    if (other) return cli_fail(cli, EXIT_WEIGHTS, "'%s' and '%s' would both be called '%s'", other, tensor->name, name);
    strmap_set(names, name, (void *)tensor->name);
  }
  if (strmap_count(names) || !cli_option(cli, "only")) return EXIT_DONE;
  return cli_fail(cli, EXIT_WEIGHTS, "no tensor of %s begins with '%s'", weights_path(file), cli_option(cli, "only"));
}

static ExitCode convert(const Cli *cli, Arena *arena, const WeightFile *file, const char *path) {
  ExitCode code = check_names(cli, arena, file);
  if (code) return code;
  WeightWriter *writer = weight_writer_new();
  for (int i = 0; i < weights_metadata_count(file); i++) {
    const char *key = weights_metadata_key(file, i);
    if (strcmp(key, "sgc.hash")) weight_writer_metadata(writer, key, weights_metadata(file, key)); // of the old names
  }
  int n = 0;
  for (int i = 0; i < weights_count(file); i++) {
    const WeightTensor *tensor = weights_at(file, i);
    if (!is_wanted(cli, tensor->name)) continue;
    const char *name = renamed(cli, arena, tensor->name);
    n++;
    if (tensor->type == WEIGHT_F32 || !is_real(tensor->type)) {
      weight_writer_add_raw(writer, name, tensor);
      continue;
    }
    float *values = ARENA_ARRAY(arena, float, shape_elements(tensor->shape) + 1);
    weights_to_f32(tensor, values);
    weight_writer_add(writer, name, WEIGHT_F32, tensor->shape, values);
  }
  code = cli_status(cli, weight_writer_save(writer, path));
  if (!code) cli_say(cli, "%s: %d tensors of %s (%s)", path, n, weights_path(file), weights_format(file));
  return code;
}

// ---- the command

static const struct {
  const char *name;
  int n_operands;
} actions[] = {{"ls", 1}, {"diff", 2}, {"convert", 2}};

static ExitCode weights(const Cli *cli) {
  int action = 0;
  while (action < 3 && strcmp(cli_operand(cli, 0), actions[action].name)) action++;
  if (action == 3)
    return cli_fail(cli, EXIT_USAGE, "there is no 'weights %s'; there are ls, diff and convert", cli_operand(cli, 0));
  if (cli_operands(cli) != actions[action].n_operands + 1)
    return cli_fail(cli, EXIT_USAGE, "'weights %s' takes %s", actions[action].name,
                    actions[action].n_operands == 1 ? "one file" : "two files");
  ExitCode code = check_options(cli);
  if (code) return code;
  Arena *arena = arena_new();
  WeightFile *file = NULL;
  code = cli_status(cli, weights_open(cli_operand(cli, 1), &file));
  if (!code && action == 0) code = list(cli, arena, file);
  else if (!code && action == 1) code = diff(cli, arena, file, cli_operand(cli, 2));
  else if (!code) code = convert(cli, arena, file, cli_operand(cli, 2));
  weights_close(file);
  arena_free(arena);
  return code;
}

static const CliOption options[] = {
    {"json", 0, NULL, "ls: one JSON object"},
    {"only", 0, "PREFIX", "only tensors whose names begin so"},
    {"rename", 0, "FROM=TO", "put TO for FROM where a name begins with it; may be repeated"},
    {"tolerance", 0, "X", "diff: differences up to X are none (default 0)"},
    {"prefix", 0, "PREFIX", "diff with a model: where in it the file belongs (default: where the names fit)"},
    MODEL_OPTIONS,
    CLI_COMMON};

const CliCommand sgrun_weights = {
    "weights",
    "ls|diff|convert FILE [FILE]",
    "look at weight files, compare them, convert them",
    "Files are safetensors or what PyTorch saved of a state dict (.pth, .pt); of the latter nothing is run.\n"
    "`diff` with a model instead of a second file says what of the file fits the model, as `train --init` would\n"
    "use it. `convert` writes safetensors with real numbers as f32. Exit status 1: the two differ.\n\n"
    "  sgrun weights ls ghostnet.pth\n"
    "  sgrun weights diff old.safetensors new.safetensors --tolerance 1e-6\n"
    "  sgrun weights diff ghostnet.pth models/bts.net --prefix encoder.ghost.\n"
    "  sgrun weights convert checkpoint.pth ghostnet.safetensors --only state_dict. --rename state_dict.=",
    options,
    2,
    3,
    weights};
