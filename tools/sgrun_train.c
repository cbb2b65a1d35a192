// sgrun train: a model's train block run on rooms or on a folder of pairs.
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/train/baseline.h"
#include "runtime/train/trainer.h"
#include "tools/sgrun.h"
#include "tools/sgrun_progress.h"
#include "tools/sgrun_training.h"

static volatile sig_atomic_t stop_asked;

// The second signal ends the process at once: the handler is reset when it runs.
static void on_signal(int signal) {
  (void)signal;
  stop_asked = 1;
}

static void catch_signals(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
}

// Where the run's files go; refuses a place that holds a run which is neither resumed nor dropped.
static ExitCode choose_directory(const Cli *cli, const Training *run, const char **out) {
  Arena *arena = run->model.arena;
  const char *directory = cli_option(cli, "out");
  if (!directory) directory = arena_printf(arena, "runs/%s", run->model.info->name);
  *out = directory;
  bool is_resume = cli_flag(cli, "resume", false);
  char *checkpoint = arena_printf(arena, "%s/checkpoint.safetensors", directory);
  if (!is_resume && file_exists(checkpoint) && !cli_flag(cli, "force", false))
    return cli_fail(cli, EXIT_USAGE,
                    "%s holds a run already; go on with --resume, start over with --force, or choose another --out",
                    directory);
  if (is_resume && !file_exists(checkpoint))
    return cli_fail(cli, EXIT_DATA, "nothing to resume: there is no %s", checkpoint);
  return cli_status(cli, file_make_directory(directory)); // an unwritable place is found before the compiling
}

static ExitCode open_all(const Cli *cli, Training *run, const char **directory) {
  ExitCode code = training_open(cli, cli_operand(cli, 0), run);
  if (!code) code = choose_directory(cli, run, directory);
  if (!code) code = sgrun_init_check(cli);
  if (!code) code = training_load(cli, run);
  if (!code && !cli_flag(cli, "resume", false)) code = sgrun_init(cli, run->step.exec);
  return code;
}

// What could not be read on the way.
static void say_bad(const Cli *cli, Loader *loader, const char *what) {
  int64_t n = loader_bad(loader);
  if (n)
    cli_say(cli, "%lld %s could not be read and were passed over; the first: %s", (long long)n, what,
            loader_bad_message(loader, 0));
}

static ExitCode report(const Cli *cli, Training *run, const char *directory, const Protocol *protocol) {
  Text path = {0};
  WeightFile *file = NULL;
  MetricsMean metrics;
  train_path(directory, "weights.safetensors", &path);
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
    printf("weights: %s\n", text_get(&path));
  }
  baseline_free(baseline);
  text_free(&path);
  return code;
}

static ExitCode train(const Cli *cli) {
  Training run = {0};
  const char *directory = NULL;
  ExitCode code = open_all(cli, &run, &directory);
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
    Progress progress = progress_new(cli_flag(cli, "quiet", false));
    const Protocol *protocol = protocol_find("full");
    TrainOptions options = {
        .directory = directory,
        .epochs = (int64_t)settings->epochs,
        .schedule = training_schedule(settings, (int64_t)settings->epochs * loader_batches(run.training_loader)),
        .beta2 = settings->beta2,
        .checkpoint_seconds = cli_number(cli, "save-every", 60, 0, 1e9),
        .protocol = protocol,
        .metadata = metadata,
        .n_metadata = 4,
        .configuration = training_configuration(cli, &run),
        .is_resume = cli_flag(cli, "resume", false),
        .stop = &stop_asked,
        .events = {&progress, progress_step, progress_epoch}};
    TrainParts parts = {run.step.exec, run.evaluation.exec, run.training_loader, run.validation_loader};
    catch_signals();
    Status status = train_run(&parts, &options);
    progress_end(&progress);
    code = cli_status(cli, status);
    say_bad(cli, run.training_loader, "training samples");
    say_bad(cli, run.validation_loader, "validation samples");
    text_free(&preprocess_text);
    if (!code) code = report(cli, &run, directory, protocol);
  }
  training_close(&run);
  return code;
}

static const CliOption options[] = {{"out", 'o', "DIR", "where the run's files go (default runs/MODEL)"},
                                    {"resume", 0, NULL, "go on with the run in that place"},
                                    {"force", 0, NULL, "start over, dropping the run in that place"},
                                    TRAINING_OPTIONS,
                                    {"save-every", 0, "SECONDS", "between checkpoints within an epoch (default 60)"},
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
