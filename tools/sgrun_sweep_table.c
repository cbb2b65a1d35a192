// sgrun_sweep: the table of trials.
#include <math.h>

#include "tools/sgrun_runs.h"
#include "tools/sgrun_sweep.h"

static void print_table(const Sweep *sweep, const Trial *trials, int64_t n) {
  printf("%4s %6s %-8s %7s %14s  %s\n", "rank", "trial", "state", "epochs", sweep->metric, "parameters");
  for (int64_t i = 0; i < n; i++) {
    Text params = {0};
    sweep_params_text(trials[i].params, &params);
    printf("%4lld %6lld %-8s %7lld", (long long)i + 1, (long long)trials[i].id, trial_state_name(trials[i].state),
           (long long)trials[i].epochs);
    runs_print_number(14, trials[i].value);
    printf("  %s\n", text_get(&params));
    text_free(&params);
  }
  if (n && isfinite(trials[0].value))
    printf("best: %s/trials/%lld/weights.safetensors\n", sweep->directory, (long long)trials[0].id);
}

static void print_json(const Sweep *sweep, const Trial *trials, int64_t n) {
  cJSON *json = cJSON_CreateObject(), *array = cJSON_CreateArray();
  cJSON_AddStringToObject(json, "directory", sweep->directory);
  cJSON_AddItemToObject(json, "definition", cJSON_Duplicate(sweep->json, true));
  for (int64_t i = 0; i < n; i++) {
    cJSON *item = cJSON_CreateObject();
    cJSON_AddNumberToObject(item, "trial", (double)trials[i].id);
    cJSON_AddStringToObject(item, "state", trial_state_name(trials[i].state));
    cJSON_AddNumberToObject(item, "epochs", (double)trials[i].epochs);
    cJSON_AddNumberToObject(item, "rung", trials[i].rung);
    if (isfinite(trials[i].value)) cJSON_AddNumberToObject(item, "value", trials[i].value);
    else cJSON_AddNullToObject(item, "value");
    if (trials[i].exit_status >= 0) cJSON_AddNumberToObject(item, "exit_status", trials[i].exit_status);
    else cJSON_AddNullToObject(item, "exit_status");
    cJSON_AddItemToObject(item, "params", cJSON_Parse(trials[i].params));
    cJSON_AddItemToArray(array, item);
  }
  cJSON_AddItemToObject(json, "trials", array);
  runs_print_json(json);
}

ExitCode sweep_print(const Cli *cli, const Sweep *sweep, Store *store, int64_t *out_done) {
  Trial *trials = NULL;
  int64_t n = 0;
  ExitCode code = cli_status(cli, store_trials(store, &trials, &n));
  *out_done = 0;
  for (int64_t i = 0; i < n; i++) *out_done += trials[i].state != TRIAL_FAILED && isfinite(trials[i].value);
  if (!code && cli_flag(cli, "json", false)) print_json(sweep, trials, n);
  else if (!code) print_table(sweep, trials, n);
  trials_free(trials, n);
  return code;
}
