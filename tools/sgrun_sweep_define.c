// sgrun_sweep: the definition of a sweep, from the command line to one text and back.
#include <math.h>
#include <string.h>

#include "runtime/base/strmap.h"
#include "runtime/sweep/space.h"
#include "tools/sgrun.h"
#include "tools/sgrun_sweep.h"

enum { MAX_TRIALS = 100000 };

bool sweep_metric_rises(const char *metric, bool *is_known) {
  *is_known = true;
  if (!strcmp(metric, "mean_loss")) return false;
  for (int m = 0; m < METRIC_COUNT; m++)
    if (!strcmp(metric, metric_name((Metric)m))) return metric_rises((Metric)m);
  *is_known = false;
  return false;
}

static ExitCode check_metric(const Cli *cli, const char *metric) {
  const char *names[METRIC_COUNT + 1] = {"mean_loss"};
  bool is_known;
  sweep_metric_rises(metric, &is_known);
  if (is_known) return EXIT_DONE;
  for (int m = 0; m < METRIC_COUNT; m++) names[m + 1] = metric_name((Metric)m);
  const char *near = nearest_name(metric, names, METRIC_COUNT + 1);
  return cli_fail(cli, EXIT_USAGE, "there is no metric '%s'%s%s%s", metric, near ? "; did you mean '" : "",
                  near ? near : "", near ? "'?" : "");
}

// ---- what varies ----------------------------------------------------------------------------------------------------

static ExitCode check_parameter(const Cli *cli, const Model *model, const char *name) {
  const LangModel *info = model->info;
  for (int i = 0; i < info->n_parameters; i++)
    if (!strcmp(info->parameters[i].name, name)) return EXIT_DONE;
  return cli_fail(cli, EXIT_USAGE, "the model %s has no parameter '%s' to vary", info->name, name);
}

// Every value that is listed, and the ends of ranges, must be a setting's.
static ExitCode check_axis(const Cli *cli, const Model *model, const Axis *axis) {
  if (!strncmp(axis->key, "arg.", 4)) return check_parameter(cli, model, axis->key + 4);
  static const char *const dedicated[] = {"batch", "epochs", "seed", "height", "width"};
  for (int i = 0; i < 5; i++)
    if (!strcmp(axis->key, dedicated[i]) && cli_option(cli, axis->key))
      return cli_fail(cli, EXIT_USAGE, "'--%s' fixes what the sweep varies", axis->key);
  if (!strcmp(axis->key, "epochs") && cli_flag(cli, "halving", false))
    return cli_fail(cli, EXIT_USAGE, "with --halving all trials have the same epochs; they cannot be varied");
  bool is_range = axis->n_values == 0;
  for (int i = 0; i < (is_range ? 2 : axis->n_values); i++) {
    TrainSettings settings = settings_default();
    char number[64];
    Text why = {0};
    snprintf(number, sizeof number, "%.17g", i ? axis->high : axis->low);
    bool is_ok = settings_set_text(&settings, axis->key, is_range ? number : axis->values[i], &why);
    ExitCode code = is_ok ? EXIT_DONE : cli_fail(cli, EXIT_USAGE, "%s", text_get(&why));
    text_free(&why);
    if (code) return code;
  }
  return EXIT_DONE;
}

static ExitCode read_space(const Cli *cli, const Model *model, Arena *arena, Space *out) {
  *out = (Space){.arena = arena, .draws = 1, .seed = (uint64_t)cli_integer(cli, "sweep-seed", 1, 0, INT64_MAX)};
  ExitCode code = EXIT_DONE;
  for (int i = 0; !code && cli_option_at(cli, "grid", i); i++)
    code = cli_status(cli, space_add_grid(out, cli_option_at(cli, "grid", i)));
  for (int i = 0; !code && cli_option_at(cli, "random", i); i++)
    code = cli_status(cli, space_add_random(out, cli_option_at(cli, "random", i)));
  for (int i = 0; !code && i < out->n_axes; i++) code = check_axis(cli, model, &out->axes[i]);
  if (code) return code;
  if (!out->n_axes)
    return cli_fail(cli, EXIT_USAGE, "nothing varies: give --grid KEY=A,B or --random 'KEY=log(LOW,HIGH)'");
  if (out->n_axes > out->n_grid) out->draws = cli_integer(cli, "trials", 20, 1, MAX_TRIALS);
  else if (cli_option(cli, "trials"))
    return cli_fail(cli, EXIT_USAGE, "'--trials' is the number of random draws; the grid has its own size");
  if (space_size(out) > MAX_TRIALS)
    return cli_fail(cli, EXIT_USAGE, "%lld trials are more than %d", (long long)space_size(out), MAX_TRIALS);
  return EXIT_DONE;
}

static const char *trial_params(const Space *space, int64_t trial) {
  Text text = {0};
  for (int i = 0; i < space->n_axes; i++) {
    text_put(&text, i ? "," : "{");
    text_put_json(&text, space->axes[i].key);
    text_put(&text, ":");
    text_put_json(&text, space_value(space, trial, i));
  }
  text_put(&text, "}");
  const char *copy = arena_strdup(space->arena, text_get(&text));
  text_free(&text);
  return copy;
}

// ---- the definition -------------------------------------------------------------------------------------------------

static bool is_one_of(const char *name, const char *const *names, int n) {
  for (int i = 0; i < n; i++)
    if (!strcmp(names[i], name)) return true;
  return false;
}

bool sweep_is_local(const char *option) {
  static const char *const local[] = {"threads", "device", "devices", "mem", "save-every",
                                      "quiet",   "json",   "retry",   "help"};
  return is_one_of(option, local, 9);
}

const char *sweep_option_text(Arena *arena, const CliOption *option, const char *value) {
  if (option->argument) return arena_printf(arena, "--%s=%s", option->name, value);
  return arena_printf(arena, "--%s%s", value ? "" : "no-", option->name);
}

static cJSON *passed_options(const Cli *cli, Arena *arena) {
  static const char *const own[] = {"name",    "grid", "random",     "trials", "sweep-seed",
                                    "halving", "eta",  "min-epochs", "metric"};
  cJSON *array = cJSON_CreateArray();
  const CliOption *option;
  const char *value;
  for (int i = 0; cli_given(cli, i, &option, &value); i++)
    if (!sweep_is_local(option->name) && !is_one_of(option->name, own, 9))
      cJSON_AddItemToArray(array, cJSON_CreateString(sweep_option_text(arena, option, value)));
  return array;
}

static cJSON *texts(const Cli *cli, const char *option) {
  cJSON *array = cJSON_CreateArray();
  for (int i = 0; cli_option_at(cli, option, i); i++)
    cJSON_AddItemToArray(array, cJSON_CreateString(cli_option_at(cli, option, i)));
  return array;
}

// Epochs at the ends of the rungs: the least, times eta, ... up to all.
static cJSON *rungs(const Cli *cli, const TrainSettings *settings, double eta) {
  cJSON *array = cJSON_CreateArray();
  double least = (double)cli_integer(cli, "min-epochs", 1, 1, INT32_MAX), epochs = settings->epochs;
  if (cli_flag(cli, "halving", false))
    for (double at = least; at < epochs && cJSON_GetArraySize(array) < SWEEP_MAX_RUNGS - 1; at *= eta)
      cJSON_AddItemToArray(array, cJSON_CreateNumber(floor(at)));
  cJSON_AddItemToArray(array, cJSON_CreateNumber(epochs));
  return array;
}

static ExitCode define(const Cli *cli, Model *model, Arena *arena, StorePlan *out) {
  TrainSettings settings;
  Space space;
  const char *metric = cli_option(cli, "metric") ? cli_option(cli, "metric") : "abs_rel";
  double eta = cli_number(cli, "eta", 3, 1.5, 1000);
  ExitCode code = sgrun_settings(cli, model, &settings);
  if (!code) code = check_metric(cli, metric);
  if (!code) code = read_space(cli, model, arena, &space);
  if (code) return code;
  if (!cli_flag(cli, "halving", false) && (cli_option(cli, "eta") || cli_option(cli, "min-epochs")))
    return cli_fail(cli, EXIT_USAGE, "'--eta' and '--min-epochs' belong to --halving");
  cJSON *json = cJSON_CreateObject();
  cJSON_AddStringToObject(json, "model", model->path);
  cJSON_AddItemToObject(json, "grid", texts(cli, "grid"));
  cJSON_AddItemToObject(json, "random", texts(cli, "random"));
  cJSON_AddNumberToObject(json, "draws", (double)space.draws);
  cJSON_AddNumberToObject(json, "seed", (double)space.seed);
  cJSON_AddStringToObject(json, "metric", metric);
  cJSON_AddNumberToObject(json, "eta", eta);
  cJSON_AddItemToObject(json, "rungs", rungs(cli, &settings, eta));
  cJSON_AddItemToObject(json, "passed", passed_options(cli, arena));
  char *text = cJSON_PrintUnformatted(json);
  int64_t n = space_size(&space);
  const char **params = ARENA_ARRAY(arena, const char *, n);
  for (int64_t i = 0; i < n; i++) params[i] = trial_params(&space, i);
  bool is_known;
  *out = (StorePlan){arena_strdup(arena, text), params, n, eta, sweep_metric_rises(metric, &is_known)};
  cJSON_free(text);
  cJSON_Delete(json);
  return EXIT_DONE;
}

ExitCode sweep_define(const Cli *cli, Arena *arena, StorePlan *out) {
  Model model;
  ExitCode code = model_open(cli, cli_operand(cli, 0), &model);
  if (!code && !model.info->has_train)
    code = cli_fail(cli, EXIT_MODEL, "%s: the model %s has no train block", model.path, model.info->name);
  if (!code) code = define(cli, &model, arena, out);
  model_close(&model);
  return code;
}

void sweep_read(const char *definition, const char *directory, Sweep *out) {
  *out = (Sweep){.json = cJSON_Parse(definition), .directory = directory};
  const cJSON *rungs = cJSON_GetObjectItem(out->json, "rungs"), *rung;
  out->model = cJSON_GetStringValue(cJSON_GetObjectItem(out->json, "model"));
  out->metric = cJSON_GetStringValue(cJSON_GetObjectItem(out->json, "metric"));
  out->passed = cJSON_GetObjectItem(out->json, "passed");
  out->eta = cJSON_GetNumberValue(cJSON_GetObjectItem(out->json, "eta"));
  cJSON_ArrayForEach(rung, rungs) {
    if (out->n_rungs < SWEEP_MAX_RUNGS) out->rungs[out->n_rungs++] = (int64_t)rung->valuedouble;
  }
  if (!out->model || !out->metric || !out->n_rungs) BUG("the definition of a sweep: %s", definition);
}

void sweep_free(Sweep *sweep) {
  cJSON_Delete(sweep->json);
  *sweep = (Sweep){0};
}

void sweep_params_text(const char *params, Text *out) {
  cJSON *json = cJSON_Parse(params);
  const cJSON *item;
  cJSON_ArrayForEach(item, json) {
    if (item != json->child) text_put(out, " ");
    text_printf(out, "%s=%s", item->string, cJSON_IsString(item) ? item->valuestring : "");
  }
  cJSON_Delete(json);
}
