// sgrun runs: `show` and `compare`.
#include <math.h>
#include <string.h>

#include "runtime/base/text.h"
#include "tools/sgrun_runs.h"

// A value as a person reads it; texts without quotes. In `out`.
static const char *value_text(const cJSON *item, Text *out) {
  text_clear(out);
  if (cJSON_IsString(item)) {
    text_put(out, item->valuestring);
  } else if (cJSON_IsNumber(item)) {
    text_printf(out, "%.6g", item->valuedouble);
  } else if (!item || cJSON_IsNull(item)) {
    text_put(out, "-");
  } else {
    char *json = cJSON_PrintUnformatted(item);
    text_put(out, json ? json : "");
    cJSON_free(json);
  }
  return text_get(out);
}

// All that distinguishes runs as one flat object: the settings, parameters as arg.NAME, model, data and program.
static cJSON *all_settings(const RunInfo *run) {
  cJSON *flat = cJSON_Duplicate(cJSON_GetObjectItem(run->json, "settings"), true);
  if (!flat) flat = cJSON_CreateObject();
  static const char *const keys[] = {"model", "path", "data", "data_val", "program"};
  for (int i = 0; i < 5; i++) {
    const cJSON *item = cJSON_GetObjectItem(run->json, keys[i]);
    if (item && !cJSON_IsNull(item)) cJSON_AddItemToObject(flat, keys[i], cJSON_Duplicate(item, true));
  }
  const cJSON *item;
  cJSON_ArrayForEach(item, cJSON_GetObjectItem(run->json, "bindings")) {
    char key[128];
    snprintf(key, sizeof key, "arg.%s", item->string);
    cJSON_AddItemToObject(flat, key, cJSON_Duplicate(item, true));
  }
  return flat;
}

// ---- show -----------------------------------------------------------------------------------------------------------

static void print_share(const char *what, double seconds, double total) {
  char time[RUNS_TIME];
  printf("  %-24s %8s  %3.0f %%\n", what, runs_time(seconds, time), total > 0 ? 100 * seconds / total : 0);
}

static void print_epochs(const cJSON *epochs) {
  static const char *const columns[] = {"mean_loss", "abs_rel", "delta1", "rmse", "silog"};
  const cJSON *epoch;
  printf("epochs\n  %5s", "epoch");
  for (int c = 0; c < 5; c++) printf(" %10s", columns[c]);
  printf("\n");
  cJSON_ArrayForEach(epoch, epochs) {
    printf("  %5.0f", cJSON_GetNumberValue(cJSON_GetObjectItem(epoch, "epoch")));
    for (int c = 0; c < 5; c++) runs_print_number(10, cJSON_GetNumberValue(cJSON_GetObjectItem(epoch, columns[c])));
    printf("%s\n", cJSON_IsTrue(cJSON_GetObjectItem(epoch, "best")) ? "  best so far" : "");
  }
}

static void print_run(const RunInfo *run, const cJSON *epochs) {
  Text text = {0};
  const cJSON *best = cJSON_GetObjectItem(run->json, "best"), *item;
  printf("%s  %s, epoch %lld of %lld\n", run->directory, run->state, (long long)run->epoch, (long long)run->epochs);
  static const char *const facts[] = {"started", "ended", "exit_status", "host", "sessions", "pictures_per_second"};
  for (int i = 0; i < 6; i++)
    printf("  %-24s %s\n", facts[i], value_text(cJSON_GetObjectItem(run->json, facts[i]), &text));
  cJSON *settings = all_settings(run);
  printf("settings\n");
  cJSON_ArrayForEach(item, settings) printf("  %-24s %s\n", item->string, value_text(item, &text));
  cJSON_Delete(settings);
  if (best) {
    printf("best epoch\n");
    cJSON_ArrayForEach(item, best) printf("  %-24s %s\n", item->string, value_text(item, &text));
  }
  double total = run->setup + run->training + run->validation;
  printf("time\n");
  print_share("reading and compiling", run->setup, total);
  print_share("training", run->training, total);
  print_share("validation and saving", run->validation, total);
  if (cJSON_GetArraySize(epochs)) print_epochs(epochs);
  text_free(&text);
}

ExitCode runs_show(const Cli *cli) {
  if (cli_operands(cli) != 2) return cli_fail(cli, EXIT_USAGE, "'runs show' takes one run");
  RunInfo run;
  cJSON *epochs = NULL;
  ExitCode code = runs_open(cli, cli_operand(cli, 1), &run);
  if (code) return code;
  code = cli_status(cli, run_epochs(&run, &epochs));
  if (!code && cli_flag(cli, "json", false)) {
    cJSON *copy = cJSON_Duplicate(run.json, true);
    cJSON_ReplaceItemInObject(copy, "state", cJSON_CreateString(run.state));
    cJSON_AddStringToObject(copy, "directory", run.directory);
    cJSON_AddItemToObject(copy, "log", epochs);
    runs_print_json(copy);
    epochs = NULL;
  } else if (!code) {
    print_run(&run, epochs);
  }
  cJSON_Delete(epochs);
  run_free(&run);
  return code;
}

// ---- compare --------------------------------------------------------------------------------------------------------

// The keys of either whose values differ: {key: [a, b]}.
static cJSON *differences(const cJSON *a, const cJSON *b) {
  cJSON *result = cJSON_CreateObject();
  for (int side = 0; side < 2; side++) {
    const cJSON *from = side ? b : a, *item;
    cJSON_ArrayForEach(item, from) {
      const cJSON *in_a = cJSON_GetObjectItemCaseSensitive(a, item->string),
                  *in_b = cJSON_GetObjectItemCaseSensitive(b, item->string);
      if (cJSON_Compare(in_a, in_b, true) || cJSON_GetObjectItemCaseSensitive(result, item->string)) continue;
      cJSON *both = cJSON_CreateArray();
      cJSON_AddItemToArray(both, in_a ? cJSON_Duplicate(in_a, true) : cJSON_CreateNull());
      cJSON_AddItemToArray(both, in_b ? cJSON_Duplicate(in_b, true) : cJSON_CreateNull());
      cJSON_AddItemToObject(result, item->string, both);
    }
  }
  return result;
}

// Which of the two is better in the metric: 'A', 'B', '=' or '?' where one has no value.
static char better(Metric metric, double a, double b) {
  if (!isfinite(a) || !isfinite(b)) return '?';
  if (a == b) return '=';
  return (a > b) == metric_rises(metric) ? 'A' : 'B';
}

static cJSON *number_or_null(double value) { return isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull(); }

static void compare_json(const RunInfo run[2], cJSON *differ) {
  cJSON *json = cJSON_CreateObject(), *metrics = cJSON_AddObjectToObject(json, "metrics");
  cJSON_AddStringToObject(json, "a", run[0].directory);
  cJSON_AddStringToObject(json, "b", run[1].directory);
  cJSON_AddItemToObject(json, "differ", differ);
  for (int m = 0; m < METRIC_COUNT; m++) {
    double a = run[0].best[m], b = run[1].best[m];
    cJSON *row = cJSON_AddObjectToObject(metrics, metric_name((Metric)m));
    cJSON_AddItemToObject(row, "a", number_or_null(a));
    cJSON_AddItemToObject(row, "b", number_or_null(b));
    cJSON_AddStringToObject(row, "better", (char[]){better((Metric)m, a, b), 0});
  }
  runs_print_json(json);
}

static void compare_text(const RunInfo run[2], const cJSON *differ) {
  Text a = {0}, b = {0};
  const cJSON *item;
  for (int i = 0; i < 2; i++)
    printf("%c  %s  %s, epoch %lld of %lld\n", 'A' + i, run[i].directory, run[i].state, (long long)run[i].epoch,
           (long long)run[i].epochs);
  if (!cJSON_GetArraySize(differ)) printf("no setting differs\n");
  else printf("%-24s %-20s %-20s\n", "settings that differ", "A", "B");
  cJSON_ArrayForEach(item, differ) {
    printf("  %-22s %-20s %-20s\n", item->string, value_text(cJSON_GetArrayItem(item, 0), &a),
           value_text(cJSON_GetArrayItem(item, 1), &b));
  }
  printf("%-24s %10s %10s %10s  better\n", "metrics of the best epoch", "A", "B", "B - A");
  for (int m = 0; m < METRIC_COUNT; m++) {
    double x = run[0].best[m], y = run[1].best[m];
    printf("  %-23s %10.4f %10.4f %+10.4f  %c\n", metric_name((Metric)m), x, y, y - x, better((Metric)m, x, y));
  }
  text_free(&a);
  text_free(&b);
}

ExitCode runs_compare(const Cli *cli) {
  if (cli_operands(cli) != 3) return cli_fail(cli, EXIT_USAGE, "'runs compare' takes two runs");
  RunInfo run[2] = {0};
  ExitCode code = EXIT_DONE;
  for (int i = 0; i < 2 && !code; i++) code = runs_open(cli, cli_operand(cli, i + 1), &run[i]);
  if (!code) {
    cJSON *a = all_settings(&run[0]), *b = all_settings(&run[1]), *differ = differences(a, b);
    if (cli_flag(cli, "json", false)) {
      compare_json(run, differ);
    } else {
      compare_text(run, differ);
      cJSON_Delete(differ);
    }
    cJSON_Delete(a);
    cJSON_Delete(b);
  }
  for (int i = 0; i < 2; i++) run_free(&run[i]);
  return code;
}
