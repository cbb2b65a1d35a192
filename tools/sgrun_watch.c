// sgrun_watch: all that follows a training run: the bar, the TensorBoard file, the end at an epoch.
#include "tools/sgrun_watch.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "tools/sgrun.h"
#include "tools/sgrun_interrupt.h"

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

Watch watch_new(const Cli *cli, const char *directory, Model *model, const TrainSettings *settings,
                const TrainParts *parts, const Protocol *protocol) {
  Watch watch = {.progress = progress_new(cli_flag(cli, "quiet", false)),
                 .until = cli_integer(cli, "until", 0, 1, INT64_MAX)};
  if (cli_flag(cli, "tensorboard", true))
    watch.board = (Board){.cli = cli,
                          .directory = directory,
                          .model = model,
                          .settings = flat_settings(cli, model, settings),
                          .evaluation = parts->evaluation,
                          .validation = parts->validation,
                          .protocol = protocol};
  return watch;
}

static void watch_step(void *context, const TrainStep *step) {
  Watch *watch = context;
  progress_step(&watch->progress, step);
  board_step(&watch->board, step);
}

static void watch_epoch(void *context, const TrainEpoch *epoch) {
  Watch *watch = context;
  progress_epoch(&watch->progress, epoch);
  board_epoch(&watch->board, epoch);
  if (watch->until && epoch->epoch >= watch->until) interrupt_ask();
}

TrainEvents watch_events(Watch *watch) { return (TrainEvents){watch, watch_step, watch_epoch}; }

void watch_end(Watch *watch, ExitCode code) {
  progress_end(&watch->progress);
  board_end(&watch->board, code == EXIT_DONE);
}
