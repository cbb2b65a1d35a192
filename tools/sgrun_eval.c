// sgrun eval: the metrics of trained weights on a data set, under a named protocol.
#include <stdlib.h>
#include <string.h>

#include "runtime/train/baseline.h"
#include "runtime/train/trainer.h"
#include "tools/sgrun.h"

static ExitCode choose_protocol(const Cli *cli, const Protocol **out) {
  const char *name = cli_option(cli, "protocol");
  *out = protocol_find(name ? name : "full");
  if (*out) return EXIT_DONE;
  Text names = {0};
  for (int i = 0; protocol_at(i); i++) text_printf(&names, "%s%s", i ? ", " : "", protocol_at(i)->name);
  ExitCode code = cli_fail(cli, EXIT_USAGE, "there is no protocol '%s'; there are %s", name, text_get(&names));
  text_free(&names);
  return code;
}

static ExitCode run(const Cli *cli, Model *model, Device *device, const Protocol *protocol) {
  TrainSettings settings;
  Preprocess preprocess;
  ExitCode code = sgrun_settings(cli, model, &settings);
  if (!code) code = sgrun_preprocess(cli, model, &preprocess);
  if (code) return code;
  settings.width = preprocess.width;
  settings.height = preprocess.height;
  model_bind(model, "H", "%d", preprocess.height);
  model_bind(model, "W", "%d", preprocess.width);
  model_bind_sizes(model, 1);
  Graph *graph = model_graph(cli, model, false, false);
  if (!graph) return EXIT_MODEL;
  Runner runner = {0};
  Dataset *training = NULL, *validation = NULL;
  Loader *loader = NULL;
  MetricsMean metrics;
  bool wants_baseline = cli_flag(cli, "baseline", false);
  code = sgrun_datasets(cli, &settings, wants_baseline ? &training : NULL, &validation);
  if (!code) code = runner_open(cli, graph, false, device, 0, &runner);
  if (!code) code = cli_status(cli, checkpoint_restore(model->weights, runner.exec, NULL));
  LoaderOptions options = {.batch = (int)model_dimension(model, "N", 1),
                           .width = preprocess.width,
                           .height = preprocess.height,
                           .workers = 1,
                           .augment = AUGMENT_NONE,
                           .max_bad = 16};
  if (!code) code = cli_status(cli, loader_open(validation, &options, &loader));
  if (!code) code = cli_status(cli, train_validate(runner.exec, loader, protocol, &metrics));
  Baseline *baseline = NULL;
  if (!code && wants_baseline) {
    baseline = baseline_new(protocol, preprocess.width, preprocess.height);
    code = cli_status(cli, baseline_run(baseline, training, 256, validation));
  }
  if (!code) {
    bool is_json = cli_flag(cli, "json", false);
    char digest[9];
    protocol_digest(protocol, digest);
    if (is_json)
      printf("{\"schema\":\"sgrun.eval/1\",\"protocol\":\"%s#%s\",\"pictures\":%lld", protocol->name, digest,
             (long long)metrics.n_images);
    sgrun_print_metrics(cli, protocol, &metrics, is_json ? "" : model->info->name);
    if (baseline)
      sgrun_print_metrics(cli, protocol, baseline_metrics(baseline, baseline_best(baseline)),
                          is_json ? "constant" : "best constant depth map");
    if (is_json) printf("}\n");
  }
  if (baseline) baseline_free(baseline);
  loader_close(loader);
  dataset_close(training);
  dataset_close(validation);
  runner_close(&runner);
  return code;
}

static ExitCode eval(const Cli *cli) {
  Model model = {0};
  Device *device = NULL;
  const Protocol *protocol;
  ExitCode code = choose_protocol(cli, &protocol);
  if (code) return code;
  code = model_open(cli, cli_operand(cli, 0), &model);
  if (!code && !model.weights)
    code = cli_fail(cli, EXIT_USAGE, "%s is model text; give the weights that a training wrote", model.path);
  if (!code) code = cli_status(cli, checkpoint_verify(model.weights));
  if (!code) code = sgrun_device(cli, &device);
  if (!code) code = run(cli, &model, device, protocol);
  device_close(device);
  model_close(&model);
  return code;
}

static const CliOption options[] = {{"protocol", 'p', "NAME", "full (default) or nyu-eigen"},
                                    {"baseline", 0, NULL, "also print what the best constant depth map scores"},
                                    {"json", 0, NULL, "one JSON object on stdout"},
                                    {"set", 's', "KEY=VALUE", "a setting, such as validation_rooms=128"},
                                    DATA_OPTIONS,
                                    DEVICE_OPTIONS,
                                    MODEL_OPTIONS,
                                    COMPILE_OPTIONS,
                                    CLI_COMMON};

const CliCommand sgrun_eval = {
    "eval",
    "WEIGHTS",
    "print the metrics of trained weights",
    "The held-out tenth of --data, or validation rooms.\n\n  sgrun eval runs/ghost_unet/weights.safetensors --baseline",
    options,
    1,
    1,
    eval};
