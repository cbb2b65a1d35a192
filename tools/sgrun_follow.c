// sgrun_follow: all that follows a training run: the bar, the TensorBoard file, the record, the end at an epoch.
#include "tools/sgrun_follow.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "tools/cli_help.h"
#include "tools/common_interrupt.h"
#include "tools/sgrun.h"

// The settings with the model's name, its parameters ("arg.width") and the data, as one flat JSON object.
static const char *flat_settings(const Cli *cli, Model *model, const TrainSettings *settings) {
  Text text = {0};
  settings_format(settings, &text);
  cJSON *flat = cJSON_Parse(text_get(&text)), *bindings = cJSON_Parse(model_bindings_json(model)), *item;
  if (!flat || !bindings) BUG("settings are no JSON: %s", text_get(&text));
  cJSON_AddStringToObject(flat, "model", model->info->name);
  cJSON_ArrayForEach(item, bindings) {
    cJSON_AddStringToObject(flat, arena_printf(model->arena, "arg.%s", item->string), item->valuestring);
  }
  const char *data = cli_option(cli, "data");
  cJSON_AddStringToObject(flat, "data", data ? data : "rooms");
  char *json = cJSON_PrintUnformatted(flat);
  const char *copy = arena_strdup(model->arena, json);
  cJSON_free(json);
  cJSON_Delete(flat);
  cJSON_Delete(bindings);
  text_free(&text);
  return copy;
}

static Status begin_record(const Cli *cli, const char *directory, Model *model, const TrainSettings *settings,
                           double begun, RunRecord **out) {
  Text text = {0};
  settings_format(settings, &text);
  const char *data = cli_option(cli, "data");
  RunStart start = {.directory = directory,
                    .model = model->info->name,
                    .path = model->path,
                    .bindings = model_bindings_json(model),
                    .settings = text_get(&text),
                    .data = data ? data : "rooms",
                    .data_val = cli_option(cli, "data-val"),
                    .program = "sgrun " CLI_VERSION,
                    .setup_seconds = clock_seconds() - begun,
                    .is_resume = cli_flag(cli, "resume", false)};
  Status status = run_record_begin(&start, out);
  text_free(&text);
  return status;
}

ExitCode follow_begin(const Cli *cli, const char *directory, Model *model, const TrainSettings *settings,
                      const TrainParts *parts, const Protocol *protocol, double begun, Follow *out) {
  *out = (Follow){
      .progress = progress_new(cli_is_quiet(cli)), .cli = cli, .until = cli_integer(cli, "until", 0, 1, INT64_MAX)};
  if (cli_flag(cli, "tensorboard", true))
    out->board = (Board){.cli = cli,
                         .directory = directory,
                         .model = model,
                         .settings = flat_settings(cli, model, settings),
                         .evaluation = parts->evaluation[0],
                         .validation = parts->validation,
                         .protocol = protocol};
  return cli_status(cli, begin_record(cli, directory, model, settings, begun, &out->record));
}

static void note(const Follow *follow, Status status) {
  if (status) cli_say(follow->cli, "note: %s", status_message(status));
  status_free(status);
}

static void follow_step(void *context, const TrainStep *step) {
  Follow *follow = context;
  progress_step(&follow->progress, step);
  board_step(&follow->board, step);
  run_record_step(follow->record, step);
  if (follow->until && step->epoch > follow->until) interrupt_ask(); // resumed behind it
}

static void follow_epoch(void *context, const TrainEpoch *epoch) {
  Follow *follow = context;
  progress_epoch(&follow->progress, epoch);
  board_epoch(&follow->board, epoch);
  note(follow, run_record_epoch(follow->record, epoch));
  if (follow->until && epoch->epoch >= follow->until) interrupt_ask();
}

static void follow_stop(void *context, const char *reason) { progress_stop(&((Follow *)context)->progress, reason); }

static void follow_diverged(void *context, const char *directory) {
  progress_diverged(&((Follow *)context)->progress, directory);
}

TrainEvents follow_events(Follow *follow) {
  return (TrainEvents){follow, follow_step, follow_epoch, follow_stop, follow_diverged};
}

void follow_end(Follow *follow, ExitCode code) {
  progress_end(&follow->progress);
  board_end(&follow->board, code == EXIT_DONE);
  note(follow, run_record_end(follow->record, code));
}
