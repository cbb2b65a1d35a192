// sgrun train: a model's train block run on rooms or on a folder of pairs.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/train/baseline.h"
#include "runtime/train/trainer.h"
#include "tools/common_interrupt.h"
#include "tools/sgrun.h"
#include "tools/sgrun_follow.h"
#include "tools/sgrun_ranks.h"
#include "tools/sgrun_watch.h"

static const char *directory_of(const Cli *cli, const Training *run) {
  const char *directory = cli_option(cli, "out");
  return directory ? directory : arena_printf(run->model.arena, "runs/%s", run->model.info->name);
}

// Where the run's files go; refuses a place that holds a run which is neither resumed nor dropped. Files are the first
// process's alone.
static ExitCode choose_directory(const Cli *cli, const Training *run, const char **out) {
  Arena *arena = run->model.arena;
  const char *directory = *out = directory_of(cli, run);
  if (!devices_is_first(&run->devices)) return EXIT_DONE;
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
  if (!code) code = training_devices(cli, run);
  if (!code) code = choose_directory(cli, run, directory);
  if (!code) code = sgrun_init_check(cli);
  if (!code) code = training_load(cli, run, true);
  if (!code && !cli_flag(cli, "resume", false)) code = sgrun_init(cli, run->steps[0].exec);
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
  Validation validation;
  Team *team = run->devices.team;
  ExitCode code = EXIT_DONE;
  train_path(directory, "weights.safetensors", &path);
  if (team_is_first(team)) code = cli_status(cli, weights_open(text_get(&path), &file));
  if (file) code = cli_status(cli, checkpoint_restore(file, run->evaluations[0].exec, NULL));
  weights_close(file);
  if (!code) code = cli_status(cli, team_spread(team, run->evaluation_execs));
  if (!code)
    code = cli_status(
        cli, train_validate(team, run->evaluation_execs, run->batch, run->validation_loader, protocol, &validation));
  if (!team_is_first(team)) {
    text_free(&path);
    return code;
  }
  int width = (int)run->settings.width, height = (int)run->settings.height;
  Baseline *baseline = baseline_new(protocol, width, height);
  if (!code) code = cli_status(cli, baseline_run(baseline, run->training, 256, run->validation));
  if (!code) {
    sgrun_print_metrics(cli, protocol, &validation.metrics, "validation");
    BaselineKind best = baseline_best(baseline);
    double model = metrics_mean(&validation.metrics, METRIC_DELTA1),
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

static void say_plan(const Cli *cli, const Training *run, int64_t steps_per_epoch) {
  const TrainSettings *settings = &run->settings;
  const Program *program = run->steps[0].program;
  int n = world_size(run->devices.world);
  Text parts = {0};
  if (settings->accumulate > 1)
    text_printf(&parts, " in %.0f parts of %.0f", settings->accumulate, settings->batch / settings->accumulate);
  cli_say(cli, "%s: %d kernels a step, %.1f MB of memory; batch %.0f%s at %.0fx%.0f, %.0f epochs of %lld steps",
          run->model.info->name, program->n_steps, 4e-6 * (double)(program->persistent + program->slab),
          settings->batch, text_get(&parts), settings->height, settings->width, settings->epochs,
          (long long)steps_per_epoch);
  if (program->n_again)
    cli_say(cli, "for want of memory %d of the kernels run again: %.1f %% more multiply-adds", program->n_again,
            program_again_percent(program));
  if (n > 1) {
    int64_t most = share_of(run->batch, n, 0).n, least = share_of(run->batch, n, n - 1).n;
    text_clear(&parts);
    if (least < most) text_printf(&parts, " to %lld", (long long)most);
    cli_say(cli, "%d devices, processes: %d, samples each: %lld%s", n, world_processes(run->devices.world),
            (long long)least, text_get(&parts));
  }
  text_free(&parts);
}

// Runs the opened training of a command that began at `began`; `seconds` 0 = without limit.
static ExitCode train_opened(const Cli *cli, Training *run, const char *directory, double began, double seconds) {
  const TrainSettings *settings = &run->settings;
  int64_t steps_per_epoch = loader_batches(run->training_loader) / (int64_t)settings->accumulate;
  say_plan(cli, run, steps_per_epoch);
  Preprocess preprocess = preprocess_make((int)settings->width, (int)settings->height);
  Text preprocess_text = {0};
  preprocess_format(&preprocess, &preprocess_text);
  Metadata metadata[] = {{"sgc.model", run->model.info->name},
                         {"sgc.bundle", model_bundle_json(&run->model)},
                         {"sgc.bindings", model_bindings_json(&run->model)},
                         {"sgc.preprocess", text_get(&preprocess_text)}};
  const Protocol *protocol = protocol_find("full");
  TrainParts parts = {run->devices.team,    run->step_execs,        run->evaluation_execs,
                      run->training_loader, run->validation_loader, run->batch};
  Follow follow;
  bool is_first = devices_is_first(&run->devices);
  ExitCode code = EXIT_DONE;
  if (is_first) code = follow_begin(cli, directory, &run->model, &run->settings, &parts, protocol, began, &follow);
  TrainOptions options = {.directory = directory,
                          .epochs = (int64_t)settings->epochs,
                          .schedule = training_schedule(settings, (int64_t)settings->epochs * steps_per_epoch),
                          .beta2 = settings->beta2,
                          .ema = settings->ema,
                          .accumulate = (int)settings->accumulate,
                          .patience = (int64_t)settings->patience,
                          .collapse_patience = (int64_t)settings->collapse_patience,
                          .checkpoint_seconds = cli_number(cli, "save-every", 60, 0, 1e9),
                          .time_limit = seconds,
                          .protocol = protocol,
                          .seed = (uint64_t)settings->seed,
                          .metadata = metadata,
                          .n_metadata = 4,
                          .configuration = training_configuration(cli, run),
                          .is_resume = cli_flag(cli, "resume", false),
                          .stop = interrupt_catch(),
                          .events = is_first ? follow_events(&follow) : (TrainEvents){0}};
  if (!code) {
    double start = clock_seconds();
    Status status = train_run(&parts, &options);
    double took = clock_seconds() - start, waited = loader_waited(run->training_loader);
    if (is_first) follow_end(&follow, status_code(status));
    cli_say(cli, "waited %.1f s for training data, %.1f %% of the training's %.1f s", waited, 100 * waited / took,
            took);
    code = cli_status(cli, status);
    if (is_first && follow.progress.has_diverged) watch_step(cli, run);
  }
  say_bad(cli, run->training_loader, "training samples");
  say_bad(cli, run->validation_loader, "validation samples");
  text_free(&preprocess_text);
  return code ? code : report(cli, run, directory, protocol);
}

static ExitCode train(const Cli *cli) {
  double began = clock_seconds(), limit = cli_seconds(cli, "time", 0);
  Training run = {0};
  const char *directory = NULL;
  ExitCode code = EXIT_DONE;
  if (ranks_are_wanted(cli)) {
    code = training_open(cli, cli_operand(cli, 0), &run);
    if (!code)
      code = ranks_run(cli, arena_printf(run.model.arena, "%s/checkpoint.safetensors", directory_of(cli, &run)));
    training_close(&run, EXIT_DONE);
    return code;
  }
  if (!code) code = open_all(cli, &run, &directory);
  // the time is that of the whole command: at least one step is made
  if (!code)
    code = train_opened(cli, &run, directory, began, limit > 0 ? fmax(limit - (clock_seconds() - began), 1e-3) : 0);
  training_close(&run, code);
  return code;
}

static const CliOption options[] = {{"out", 'o', "DIR", "where the run's files go (default runs/MODEL)"},
                                    {"resume", 0, NULL, "go on with the run in that place"},
                                    {"force", 0, NULL, "start over, dropping the run in that place"},
                                    TRAINING_OPTIONS,
                                    {"save-every", 0, "SECONDS", "between checkpoints within an epoch (default 60)"},
                                    {"time", 0, "T", "save and end with exit status 75 after so long: 90m, 2h, 45s"},
                                    FOLLOW_OPTIONS,
                                    INIT_OPTIONS,
                                    DATA_OPTIONS,
                                    DEVICE_OPTIONS,
                                    TEAM_OPTIONS,
                                    RANK_OPTIONS,
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
    "  sgrun train models/ghost_unet.net --data mydata --set lr=5e-4 -e 20 -o runs/mine\n"
    "  sgrun train models/ghost_unet.net --ranks 4 --max-restarts 3\n"
    "  mpirun -n 8 sgrun train models/ghost_unet.net",
    options,
    1,
    1,
    train};
