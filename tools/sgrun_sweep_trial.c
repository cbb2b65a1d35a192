// sgrun_sweep: one trial, trained in a process and a directory of its own.
#include <math.h>
#include <string.h>
#include <time.h>

#include "runtime/base/file.h"
#include "runtime/report/run_list.h"
#include "tools/sgrun_child.h"
#include "tools/sgrun_sweep.h"

enum { MAX_ARGUMENTS = 250 };

typedef struct Arguments {
  Arena *arena;
  const char *text[MAX_ARGUMENTS + 1];
  int n;
} Arguments;

static void add(Arguments *arguments, const char *text) {
  if (arguments->n == MAX_ARGUMENTS) BUG("more than %d arguments", MAX_ARGUMENTS);
  arguments->text[arguments->n++] = arena_strdup(arguments->arena, text);
}

// The parameters of the model come before the options that are passed on and the settings behind them: the first
// --arg and the last --set count.
static void add_params(Arguments *arguments, const cJSON *params, bool is_model) {
  const cJSON *item;
  cJSON_ArrayForEach(item, params) {
    bool is_argument = !strncmp(item->string, "arg.", 4);
    if (is_argument != is_model) continue;
    add(arguments, arena_printf(arguments->arena, "--%s=%s=%s", is_argument ? "arg" : "set",
                                item->string + (is_argument ? 4 : 0), item->valuestring));
  }
}

// How far the trial's run is by its log, and the best value of the metric until then. A run that is no more than a
// directory has none. Returns whether it has done its rung and ended in good order: an epoch that is logged need not be
// saved yet.
static bool look(const Sweep *sweep, const char *directory, Trial *trial) {
  bool is_known, is_rising = sweep_metric_rises(sweep->metric, &is_known);
  RunInfo run;
  cJSON *epochs = NULL;
  const cJSON *epoch;
  Status status = run_read(directory, &run);
  bool has_ended = false;
  if (!status) {
    has_ended = !strcmp(run.state, "done") || !strcmp(run.state, "stopped");
    status = run_epochs(&run, &epochs);
    run_free(&run);
  }
  status_free(status);
  trial->value = NAN;
  trial->epochs = cJSON_GetArraySize(epochs);
  cJSON_ArrayForEach(epoch, epochs) {
    const cJSON *value = cJSON_GetObjectItem(epoch, sweep->metric);
    if (!cJSON_IsNumber(value)) continue;
    if (!isfinite(trial->value) || (value->valuedouble > trial->value) == is_rising) trial->value = value->valuedouble;
  }
  cJSON_Delete(epochs);
  return has_ended && trial->epochs >= sweep->rungs[trial->rung];
}

// A process that outlived its sweep may still be saving there. False after a stop.
static bool wait_until_free(const char *directory, const volatile sig_atomic_t *stop) {
  for (;;) {
    RunInfo run;
    Status status = run_read(directory, &run);
    bool is_busy = !status && !strcmp(run.state, "running");
    status_free(status);
    run_free(&run);
    if (!is_busy) return true;
    if (*stop) return false;
    nanosleep(&(struct timespec){0, 200000000}, NULL);
  }
}

// --threads and the like, as this process has them.
static void add_local(Arguments *arguments, const Cli *cli) {
  const CliOption *option;
  const char *value;
  for (int i = 0; cli_given(cli, i, &option, &value); i++)
    if (!strcmp(option->name, "threads") || !strcmp(option->name, "device") || !strcmp(option->name, "devices") ||
        !strcmp(option->name, "mem") || !strcmp(option->name, "save-every"))
      add(arguments, sweep_option_text(arguments->arena, option, value));
}

static Status train(const Cli *cli, const Sweep *sweep, const Trial *trial, const char *directory, bool is_last,
                    const volatile sig_atomic_t *stop, int *out_exit) {
  Arguments arguments = {.arena = arena_new()};
  const cJSON *option;
  cJSON *params = cJSON_Parse(trial->params);
  add(&arguments, "train");
  add(&arguments, sweep->model);
  add(&arguments, "--quiet");
  add(&arguments, arena_printf(arguments.arena, "--out=%s", directory));
  add_params(&arguments, params, true);
  cJSON_ArrayForEach(option, sweep->passed) add(&arguments, option->valuestring);
  add_params(&arguments, params, false);
  add_local(&arguments, cli);
  if (!is_last) add(&arguments, arena_printf(arguments.arena, "--until=%lld", (long long)sweep->rungs[trial->rung]));
  if (file_exists(arena_printf(arguments.arena, "%s/checkpoint.safetensors", directory))) add(&arguments, "--resume");
  cJSON_Delete(params);
  Status status = file_make_directory(directory);
  if (!status)
    status = child_run(arguments.text, NULL, arena_printf(arguments.arena, "%s/train.log", directory), stop, out_exit);
  arena_free(arguments.arena);
  return status;
}

static void say(const Cli *cli, const Sweep *sweep, const Trial *trial, const char *directory, TrialState state) {
  Text params = {0};
  sweep_params_text(trial->params, &params);
  if (state == TRIAL_FAILED)
    cli_say(cli, "trial %lld (%s) failed with exit status %d: %s/train.log", (long long)trial->id, text_get(&params),
            trial->exit_status, directory);
  else if (state != TRIAL_WAITING)
    cli_say(cli, "trial %lld (%s): %s %.4f after %lld epochs", (long long)trial->id, text_get(&params), sweep->metric,
            trial->value, (long long)trial->epochs);
  text_free(&params);
}

ExitCode sweep_run_trial(const Cli *cli, const Sweep *sweep, Store *store, Trial *trial,
                         const volatile sig_atomic_t *stop) {
  char directory[4096];
  snprintf(directory, sizeof directory, "%s/trials/%lld", sweep->directory, (long long)trial->id);
  bool is_last = trial->rung == sweep->n_rungs - 1;
  TrialState state = TRIAL_WAITING;
  Status status = STATUS_OK;
  if (wait_until_free(directory, stop)) {
    int exit_status = is_last ? EXIT_DONE : EXIT_INTERRUPTED;
    bool is_complete = look(sweep, directory, trial);
    if (!is_complete) {
      status = train(cli, sweep, trial, directory, is_last, stop, &exit_status);
      is_complete = look(sweep, directory, trial);
    }
    trial->exit_status = exit_status;
    if (exit_status == EXIT_DONE) state = TRIAL_DONE;
    else if (exit_status != EXIT_INTERRUPTED) state = TRIAL_FAILED;
    else if (!is_last && is_complete) state = TRIAL_PAUSED;
    if (state == TRIAL_FAILED) trial->value = NAN;
  }
  if (status) state = TRIAL_WAITING;
  Status settled = store_settle(store, trial, state);
  if (status) status_free(settled);
  else status = settled;
  say(cli, sweep, trial, directory, state);
  return cli_status(cli, status);
}
