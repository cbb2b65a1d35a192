// sgrun replay: a training step that failed, once more.
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>

#include "runtime/train/diverged.h"
#include "tools/sgrun_watch.h"

// The settings that the run had when it saved the step.
static ExitCode saved_settings(const Cli *cli, Training *training) {
  const char *text = weights_metadata(training->model.weights, "sgc.configuration");
  cJSON *configuration = text ? cJSON_Parse(text) : NULL;
  char *settings = cJSON_PrintUnformatted(cJSON_GetObjectItem(configuration, "settings"));
  bool is_ok = settings && settings_parse(settings, &training->settings);
  cJSON_free(settings);
  cJSON_Delete(configuration);
  return is_ok
             ? EXIT_DONE
             : cli_fail(cli, EXIT_WEIGHTS, "%s was not saved by a training run of this version", training->model.path);
}

static ExitCode open_step(const Cli *cli, Training *training, const char *directory) {
  Text path = {0};
  text_printf(&path, "%s/checkpoint.safetensors", directory);
  Graph *graph = NULL;
  // the model keeps the path for its messages
  ExitCode code = training_open(cli, text_get(&path), training);
  if (!code && !training->model.weights) code = cli_fail(cli, EXIT_USAGE, "%s is no weight file", text_get(&path));
  if (!code) code = saved_settings(cli, training);
  if (!code) code = training_devices(cli, training);
  training->steps = calloc(1, sizeof *training->steps);
  if (!training->steps) BUG("out of memory");
  if (!code) code = training_step_graph(cli, training, &graph);
  if (!code) code = runner_open(cli, graph, true, training->devices.device[0], 1, &training->steps[0]);
  if (!code) code = cli_status(cli, diverged_load(directory, training->steps[0].exec));
  if (!code) code = cli_status(cli, exec_run(training->steps[0].exec));
  training->model.path = directory;
  text_free(&path);
  return code;
}

static ExitCode replay(const Cli *cli) {
  Training training = {0};
  ExitCode code = open_step(cli, &training, cli_operand(cli, 0));
  if (!code) {
    double loss = (double)*exec_output(training.steps[0].exec, "loss"),
           norm = (double)*exec_output(training.steps[0].exec, "grad_norm");
    printf("loss %g, gradient norm %g\n", loss, norm);
    if (!isfinite(loss) || !isfinite(norm)) {
      watch_step(cli, &training);
      code = EXIT_DIVERGED;
    }
  }
  training_close(&training, code);
  return code;
}

static const CliOption options[] = {DEVICE_OPTIONS, COMPILE_OPTIONS, CLI_COMMON};

const CliCommand sgrun_replay = {
    "replay",
    "DIR",
    "repeat a training step that failed, and name its first bad tensor",
    "DIR is RUN/diverged, where `sgrun train` leaves a step whose loss or gradient was not finite. Ends with exit\n"
    "status 6 if it still is not, else with 0.\n\n"
    "  sgrun replay runs/mine/diverged\n"
    "  sgrun replay runs/mine/diverged --target reference",
    options,
    1,
    1,
    replay};
