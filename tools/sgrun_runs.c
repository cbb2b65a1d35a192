// sgrun runs: the table of its verbs, `ls` and `rm`.
#include "tools/sgrun_runs.h"

#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "tools/sgrun.h"

ExitCode runs_open(const Cli *cli, const char *name, RunInfo *out) {
  Text path = {0};
  text_printf(&path, "%s/run.json", name);
  bool is_here = file_exists(text_get(&path));
  text_clear(&path);
  text_printf(&path, "runs/%s/run.json", name);
  bool is_there = !is_here && file_exists(text_get(&path));
  text_clear(&path);
  text_printf(&path, "%s%s", is_there ? "runs/" : "", name);
  while (path.size > 1 && path.data[path.size - 1] == '/') path.data[--path.size] = 0;
  Status status = file_exists(text_get(&path))
                      ? run_read(text_get(&path), out)
                      : status_make(EXIT_DATA, "there is no run '%s'; 'sgrun runs ls' lists those there are", name);
  text_free(&path);
  return cli_status(cli, status);
}

const char *runs_time(double seconds, char out[RUNS_TIME]) {
  long s = lround(seconds);
  if (seconds < 60) snprintf(out, RUNS_TIME, "%.1fs", seconds);
  else if (s < 3600) snprintf(out, RUNS_TIME, "%ldm%02lds", s / 60, s % 60);
  else snprintf(out, RUNS_TIME, "%ldh%02ldm", s / 3600, s / 60 % 60);
  return out;
}

void runs_print_number(int width, double value) {
  if (isfinite(value)) printf(" %*.4f", width, value);
  else printf(" %*s", width, "-");
}

void runs_print_json(cJSON *json) {
  char *text = cJSON_Print(json);
  if (!text) BUG("out of memory");
  puts(text);
  cJSON_free(text);
  cJSON_Delete(json);
}

// ---- ls -------------------------------------------------------------------------------------------------------------

static void print_list_json(const RunList *list) {
  cJSON *array = cJSON_CreateArray();
  for (int i = 0; i < list->n; i++) {
    cJSON *item = cJSON_Duplicate(list->run[i].json, true);
    cJSON_ReplaceItemInObject(item, "state", cJSON_CreateString(list->run[i].state));
    cJSON_AddStringToObject(item, "directory", list->run[i].directory);
    cJSON_AddItemToArray(array, item);
  }
  runs_print_json(array);
}

static void print_list(const RunList *list) {
  int width = 3;
  for (int i = 0; i < list->n; i++)
    if ((int)strlen(list->run[i].directory) > width) width = (int)strlen(list->run[i].directory);
  printf("%-*s  %-16s %-9s %9s %8s %8s %8s %8s  %s\n", width, "run", "model", "state", "epoch", "abs_rel", "delta1",
         "rmse", "time", "started");
  for (int i = 0; i < list->n; i++) {
    const RunInfo *run = &list->run[i];
    char epoch[48], time[RUNS_TIME];
    snprintf(epoch, sizeof epoch, "%lld/%lld", (long long)run->epoch, (long long)run->epochs);
    printf("%-*s  %-16s %-9s %9s", width, run->directory, run->model, run->state, epoch);
    static const Metric metrics[] = {METRIC_ABS_REL, METRIC_DELTA1, METRIC_RMSE};
    for (int m = 0; m < 3; m++) runs_print_number(8, run->best[metrics[m]]);
    printf(" %8s  %s\n", runs_time(run->setup + run->training + run->validation, time), run->started);
  }
}

static ExitCode runs_ls(const Cli *cli) {
  RunList list = {0};
  int n_bad = 0;
  ExitCode code = EXIT_DONE;
  if (cli_operands(cli) < 2 && file_is_directory("runs")) code = cli_status(cli, run_list("runs", &list, &n_bad));
  for (int i = 1; !code && i < cli_operands(cli); i++)
    code = cli_status(cli, run_list(cli_operand(cli, i), &list, &n_bad));
  if (!code && cli_flag(cli, "json", false)) print_list_json(&list);
  else if (!code && list.n) print_list(&list);
  else if (!code) cli_say(cli, "no runs%s", cli_operands(cli) < 2 ? " in runs/" : "");
  if (n_bad) cli_say(cli, "%d records could not be read", n_bad);
  run_list_free(&list);
  return code;
}

// ---- rm -------------------------------------------------------------------------------------------------------------

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place) {
  (void)info;
  (void)place;
  return kind == FTW_DP ? rmdir(path) : unlink(path);
}

static ExitCode remove_run(const Cli *cli, const char *name) {
  RunInfo run;
  ExitCode code = runs_open(cli, name, &run);
  if (code) return code;
  bool is_forced = cli_flag(cli, "force", false);
  RunList inside = {0};
  int n_bad = 0;
  code = cli_status(cli, run_list(run.directory, &inside, &n_bad));
  if (!code && !strcmp(run.state, "running") && !is_forced)
    code = cli_fail(cli, EXIT_USAGE, "%s is still running; stop it first, or remove it with --force", run.directory);
  if (!code && inside.n > 1 && !is_forced)
    code = cli_fail(cli, EXIT_USAGE, "%s holds %d more runs; remove them first, or all with --force", run.directory,
                    inside.n - 1);
  if (!code && nftw(run.directory, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT))
    code = cli_fail(cli, EXIT_DATA, "cannot remove '%s': %s", run.directory, strerror(errno));
  run_list_free(&inside);
  run_free(&run);
  return code;
}

static ExitCode runs_rm(const Cli *cli) {
  ExitCode code = EXIT_DONE;
  if (cli_operands(cli) < 2) return cli_fail(cli, EXIT_USAGE, "'runs rm' needs the run to remove");
  for (int i = 1; !code && i < cli_operands(cli); i++) code = remove_run(cli, cli_operand(cli, i));
  return code;
}

// ---- the command ----------------------------------------------------------------------------------------------------

static ExitCode runs(const Cli *cli) {
  const char *verb = cli_operand(cli, 0);
  if (!strcmp(verb, "ls")) return runs_ls(cli);
  if (!strcmp(verb, "show")) return runs_show(cli);
  if (!strcmp(verb, "compare")) return runs_compare(cli);
  if (!strcmp(verb, "rm")) return runs_rm(cli);
  return cli_fail(cli, EXIT_USAGE, "there is no 'runs %s'; there are ls, show, compare and rm", verb);
}

static const CliOption options[] = {{"force", 0, NULL, "rm: remove a run that is still running, or holds others"},
                                    {"json", 0, NULL, "one JSON value on stdout"},
                                    CLI_COMMON};

const CliCommand sgrun_runs = {
    "runs",
    "VERB [RUN...]",
    "list, show, compare and remove runs",
    "  runs ls [DIR...]   the runs in and below the directories (default runs/)\n"
    "  runs show RUN      settings, best metrics, where the time went, epochs\n"
    "  runs compare A B   the settings that differ, and the best metrics side by side\n"
    "  runs rm RUN...     removes runs with all their files, without asking\n\n"
    "RUN is a run's directory, or its name in runs/. The best epoch is that of the least abs_rel.\n\n"
    "  sgrun runs ls\n"
    "  sgrun runs compare tiny runs/wide",
    options,
    1,
    -1,
    runs};
