// sgrun train: a model's train block run on rooms or on a folder of pairs.
#include <stdlib.h>
#include <string.h>

#include "compiler/pass/pass.h"
#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "runtime/train/baseline.h"
#include "runtime/train/trainer.h"
#include "tools/sgrun.h"
#include "tools/sgrun_interrupt.h"
#include "tools/sgrun_watch.h"

typedef struct Training {
  Model model;
  TrainSettings settings;
  Device *device;
  Dataset *training, *validation;
  Loader *training_loader, *validation_loader;
  Runner step, evaluation;
  const char *directory;
} Training;

static void training_close(Training *run) {
  loader_close(run->training_loader);
  loader_close(run->validation_loader);
  dataset_close(run->training);
  dataset_close(run->validation);
  runner_close(&run->step);
  runner_close(&run->evaluation);
  device_close(run->device);
  model_close(&run->model);
}

static ExitCode check_graph(const Cli *cli, const Graph *graph, const char *what) {
  if (!graph_find_leaf(graph, "rgb"))
    return cli_fail(cli, EXIT_MODEL, "the model %s has no input 'rgb' to feed pictures to", graph->name);
  if (!graph_find_output(graph, what))
    return cli_fail(cli, EXIT_MODEL, "the model %s has no output '%s'", graph->name, what);
  return EXIT_DONE;
}

static ExitCode build_programs(const Cli *cli, Training *run) {
  const TrainSettings *settings = &run->settings;
  Model *model = &run->model;
  model_bind(model, "H", "%.0f", settings->height);
  model_bind(model, "W", "%.0f", settings->width);
  model_bind(model, "N", "%.0f", settings->batch);
  const char *frozen[SETTINGS_MAX_FROZEN];
  for (int i = 0; i < settings->n_frozen; i++) frozen[i] = settings->frozen[i];
  StepOptions options = {settings->beta2, settings->eps, settings->weight_decay,
                         settings->clip,  frozen,        settings->n_frozen};
  Graph *step = model_step_graph(cli, model, &options);
  Graph *evaluation = step ? model_graph(cli, model, false, false) : NULL;
  if (!evaluation) return EXIT_MODEL;
  ExitCode code = check_graph(cli, step, "loss");
  if (!code) code = check_graph(cli, evaluation, "depth");
  if (!code && !graph_find_leaf(step, "gt"))
    code = cli_fail(cli, EXIT_MODEL, "the train block of %s has no target 'gt' to feed depth to", step->name);
  if (code) return code;
  code = runner_open(cli, step, true, run->device, (uint64_t)settings->seed, &run->step);
  if (!code) code = runner_open(cli, evaluation, false, run->device, (uint64_t)settings->seed, &run->evaluation);
  return code;
}

static ExitCode open_loaders(const Cli *cli, Training *run) {
  const TrainSettings *settings = &run->settings;
  LoaderOptions options = {.batch = (int)settings->batch,
                           .width = (int)settings->width,
                           .height = (int)settings->height,
                           .workers = 1,
                           .seed = (uint64_t)settings->seed,
                           .is_shuffled = true,
                           .drops_last = true,
                           .cache_bytes = (int64_t)2 << 30,
                           .max_bad = sgrun_max_bad(cli, run->training->size)};
  if (!augment_find(settings->augment, &options.augment))
    BUG("augmentation '%s' passed the settings", settings->augment);
  ExitCode code = cli_status(cli, loader_open(run->training, &options, &run->training_loader));
  options.augment = AUGMENT_NONE;
  options.is_shuffled = options.drops_last = false;
  options.max_bad = sgrun_max_bad(cli, run->validation->size);
  if (!code) code = cli_status(cli, loader_open(run->validation, &options, &run->validation_loader));
  return code;
}

static ExitCode open_all(const Cli *cli, Training *run) {
  ExitCode code = model_open(cli, cli_operand(cli, 0), &run->model);
  if (!code) code = sgrun_settings(cli, &run->model, &run->settings);
  if (code) return code;
  const char *out = cli_option(cli, "out");
  run->directory = out ? out : arena_printf(run->model.arena, "runs/%s", run->model.info->name);
  bool is_resume = cli_flag(cli, "resume", false);
  char *checkpoint = arena_printf(run->model.arena, "%s/checkpoint.safetensors", run->directory);
  if (!is_resume && file_exists(checkpoint) && !cli_flag(cli, "force", false))
    return cli_fail(cli, EXIT_USAGE,
                    "%s holds a run already; go on with --resume, start over with --force, or choose another --out",
                    run->directory);
  if (is_resume && !file_exists(checkpoint))
    return cli_fail(cli, EXIT_DATA, "nothing to resume: there is no %s", checkpoint);
  code = cli_status(cli, file_make_directory(run->directory)); // an unwritable place is found before the compiling
  if (!code) code = sgrun_init_check(cli);
  if (!code) code = sgrun_device(cli, &run->device);
  if (!code) code = sgrun_datasets(cli, &run->settings, &run->training, &run->validation);
  if (!code) code = build_programs(cli, run);
  if (!code && !is_resume) code = sgrun_init(cli, run->step.exec);
  if (!code) code = open_loaders(cli, run);
  return code;
}

// One line that says all that the bits of the result depend on.
static const char *configuration(const Cli *cli, const Training *run) {
  Text text = {0};
  const char *bundle = model_bundle_json(&run->model), *data = cli_option(cli, "data");
  char hash[HASH_TEXT];
  hash_text(hash_bytes(bundle, strlen(bundle)), hash);
  text_printf(&text, "{\"model\":\"%s\",\"text\":\"%s\",\"bindings\":%s,\"data\":", run->model.info->name, hash,
              model_bindings_json(&run->model));
  text_put_json(&text, data ? data : "rooms");
  if (cli_option(cli, "data-val")) {
    text_put(&text, ",\"data_val\":");
    text_put_json(&text, cli_option(cli, "data-val"));
  }
  text_put(&text, ",\"settings\":");
  settings_format(&run->settings, &text);
  sgrun_init_configuration(cli, &text);
  text_put(&text, "}");
  const char *copy = arena_strdup(run->model.arena, text_get(&text));
  text_free(&text);
  return copy;
}

// What could not be read on the way.
static void say_bad(const Cli *cli, Loader *loader, const char *what) {
  int64_t n = loader_bad(loader);
  if (n)
    cli_say(cli, "%lld %s could not be read and were passed over; the first: %s", (long long)n, what,
            loader_bad_message(loader, 0));
}

static ExitCode report(const Cli *cli, Training *run, const Protocol *protocol) {
  Text path = {0};
  WeightFile *file = NULL;
  MetricsMean metrics;
  train_path(run->directory, "weights.safetensors", &path);
  ExitCode code = cli_status(cli, weights_open(text_get(&path), &file));
  if (!code) code = cli_status(cli, checkpoint_restore(file, run->evaluation.exec, NULL));
  weights_close(file);
  if (!code) code = cli_status(cli, train_validate(run->evaluation.exec, run->validation_loader, protocol, &metrics));
  int width = (int)run->settings.width, height = (int)run->settings.height;
  Baseline *baseline = baseline_new(protocol, width, height);
  if (!code) code = cli_status(cli, baseline_run(baseline, run->training, 256, run->validation));
  if (!code) {
    sgrun_print_metrics(cli, protocol, &metrics, "validation");
    BaselineKind best = baseline_best(baseline);
    double model = metrics_mean(&metrics, METRIC_DELTA1),
           constant = metrics_mean(baseline_metrics(baseline, best), METRIC_DELTA1);
    printf("threshold accuracy (d < 1.25) %.4f; the best constant depth map (%s) scores %.4f\n", model,
           baseline_name(best), constant);
    Augment augment = AUGMENT_NONE;
    augment_find(run->settings.augment, &augment);
    printf("augment %s: %s\n", run->settings.augment, augment_describe(augment));
    printf("weights: %s\n", text_get(&path));
  }
  baseline_free(baseline);
  text_free(&path);
  return code;
}

static ExitCode train(const Cli *cli) {
  double begun = watch_clock();
  Training run = {0};
  ExitCode code = open_all(cli, &run);
  if (!code) {
    const TrainSettings *settings = &run.settings;
    const Program *program = run.step.program;
    cli_say(cli, "%s: %d kernels a step, %.1f MB of memory; batch %.0f at %.0fx%.0f, %.0f epochs of %lld steps",
            run.model.info->name, program->n_steps, 4e-6 * (double)(program->persistent + program->slab),
            settings->batch, settings->height, settings->width, settings->epochs,
            (long long)loader_batches(run.training_loader));
    Preprocess preprocess = preprocess_make((int)settings->width, (int)settings->height);
    Text preprocess_text = {0};
    preprocess_format(&preprocess, &preprocess_text);
    Metadata metadata[] = {{"sgc.model", run.model.info->name},
                           {"sgc.bundle", model_bundle_json(&run.model)},
                           {"sgc.bindings", model_bindings_json(&run.model)},
                           {"sgc.preprocess", text_get(&preprocess_text)}};
    Schedule schedule = {
        SCHEDULE_ONE_CYCLE,  settings->lr,        (int64_t)settings->epochs * loader_batches(run.training_loader),
        settings->warmup,    settings->div,       settings->final_div,
        settings->beta1_low, settings->beta1_high};
    if (!schedule_kind(settings->schedule, &schedule.kind))
      BUG("schedule '%s' passed the settings", settings->schedule);
    const Protocol *protocol = protocol_find("full");
    TrainParts parts = {run.step.exec, run.evaluation.exec, run.training_loader, run.validation_loader};
    Watch watch;
    code = watch_begin(cli, run.directory, &run.model, settings, &parts, protocol, begun, &watch);
    TrainOptions options = {.directory = run.directory,
                            .epochs = (int64_t)settings->epochs,
                            .schedule = schedule,
                            .beta2 = settings->beta2,
                            .checkpoint_seconds = cli_number(cli, "save-every", 60, 0, 1e9),
                            .protocol = protocol,
                            .metadata = metadata,
                            .n_metadata = 4,
                            .configuration = configuration(cli, &run),
                            .is_resume = cli_flag(cli, "resume", false),
                            .stop = interrupt_catch(),
                            .events = watch_events(&watch)};
    if (!code) {
      Status status = train_run(&parts, &options);
      watch_end(&watch, status_code(status));
      code = cli_status(cli, status);
    }
    say_bad(cli, run.training_loader, "training samples");
    say_bad(cli, run.validation_loader, "validation samples");
    text_free(&preprocess_text);
    if (!code) code = report(cli, &run, protocol);
  }
  training_close(&run);
  return code;
}

static const CliOption options[] = {
    {"out", 'o', "DIR", "where the run's files go (default runs/MODEL)"},
    {"resume", 0, NULL, "go on with the run in that place"},
    {"force", 0, NULL, "start over, dropping the run in that place"},
    {"set", 's', "KEY=VALUE", "a training setting, such as lr=1e-3; may be repeated"},
    {"batch", 'b', "N", "samples a step"},
    {"epochs", 'e', "N", "passes over the data"},
    {"seed", 0, "N", "of initial weights, order and augmentation"},
    {"height", 0, "N", "of the network's input"},
    {"width", 0, "N", "of the network's input"},
    {"freeze", 0, "PATTERN", "parameters that are not trained, such as 'encoder.*'; may be repeated"},
    {"save-every", 0, "SECONDS", "between checkpoints within an epoch (default 60)"},
    WATCH_OPTIONS,
    INIT_OPTIONS,
    DATA_OPTIONS,
    DEVICE_OPTIONS,
    MODEL_OPTIONS,
    COMPILE_OPTIONS,
    CLI_COMMON};

const CliCommand sgrun_train = {
    "train",
    "MODEL.net",
    "train a model as its train block says",
    "Without --data it trains on synthetic rooms. Ctrl-C finishes the step, saves, and ends with exit status 75;\n"
    "the same command with --resume goes on, with the same bits as a run that was never stopped.\n\n"
    "  sgrun train models/ghost_unet.net\n"
    "  sgrun train models/ghost_unet.net --data mydata --set lr=5e-4 -e 20 -o runs/mine",
    options,
    1,
    1,
    train};
