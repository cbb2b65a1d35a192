// sgrun lr-find: which learning rate to begin with.
#include <math.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/report/chart.h"
#include "runtime/train/lr_find.h"
#include "tools/common_interrupt.h"
#include "tools/sgrun_training.h"

// How the suggestion is read off, for people and for the file.
static const char rule[] = "a tenth of the rate at which the smoothed loss is lowest";

static const char *end_text(LrFindEnd end) {
  static const char *const texts[] = {"all steps were made", "the loss exploded",
                                      "the loss or its gradient was not finite", "stopped"};
  return texts[end];
}

static Status write_chart(const char *path, const char *model, const LrFind *find) {
  char mark[64], title[160];
  snprintf(mark, sizeof mark, "suggestion %.2g", find->suggestion);
  snprintf(title, sizeof title, "Learning-rate range test of %.80s", model);
  const ChartLine lines[] = {{"loss", find->n, find->lr, find->loss}, {"smoothed", find->n, find->lr, find->smoothed}};
  const Chart chart = {.title = title,
                       .x_label = "learning rate",
                       .y_label = "loss",
                       .is_x_log = true,
                       .lines = lines,
                       .n_lines = 2,
                       .mark = mark,
                       .mark_x = find->suggestion};
  Text text = {0};
  chart_svg(&chart, 800, 480, &text);
  Status status = file_write(path, text_get(&text), text.size);
  text_free(&text);
  return status;
}

static Status write_json(const char *path, const Training *training, const LrFind *find) {
  Text text = {0};
  text_put(&text, "{\"model\":");
  text_put_json(&text, training->model.info->name);
  text_printf(&text, ",\"suggestion\":%.9g,\"rule\":\"%s\",\"clear\":%s,\"lowest\":%.9g,\"end\":\"%s\",\"steps\":[",
              find->suggestion, rule, find->is_clear ? "true" : "false", find->lr[find->lowest], end_text(find->end));
  for (int i = 0; i < find->n; i++)
    text_printf(&text, "%s{\"lr\":%.9g,\"loss\":%.9g,\"smoothed\":%.9g}", i ? "," : "", find->lr[i], find->loss[i],
                find->smoothed[i]);
  text_put(&text, "],\"settings\":");
  settings_format(&training->settings, &text);
  text_put(&text, "}\n");
  Status status = file_write(path, text_get(&text), text.size);
  text_free(&text);
  return status;
}

static ExitCode report(const Cli *cli, const Training *training, const LrFind *find) {
  Arena *arena = training->model.arena;
  const char *directory = cli_option(cli, "out");
  const char *svg = arena_printf(arena, "%s/lr_find.svg", directory ? directory : "."),
             *json = arena_printf(arena, "%s/lr_find.json", directory ? directory : ".");
  ExitCode code = directory ? cli_status(cli, file_make_directory(directory)) : EXIT_DONE;
  if (!code) code = cli_status(cli, write_chart(svg, training->model.info->name, find));
  if (!code) code = cli_status(cli, write_json(json, training, find));
  if (code) return code;
  printf("suggestion: --set lr=%.2g\n", find->suggestion);
  printf("  %s (%.3g, step %d of %d; %s)\n", rule, find->lr[find->lowest], find->lowest + 1, find->n,
         end_text(find->end));
  if (find->lowest == find->n - 1 && find->end == LR_FIND_DONE)
    printf("  the loss was still falling: a larger --to may find a larger rate\n");
  if (!find->is_clear)
    printf("  NOT CLEAR: the loss did not fall by more than its noise; try more --steps, a larger --batch, a wider "
           "range\n");
  printf("  curve: %s, figures: %s\n", svg, json);
  return EXIT_DONE;
}

static ExitCode check_range(const Cli *cli, LrFindOptions *options) {
  options->from = cli_number(cli, "from", 1e-7, 1e-30, 1e6);
  options->to = cli_number(cli, "to", 1, 1e-30, 1e6);
  options->steps = (int)cli_integer(cli, "steps", 100, 3, 100000);
  if (options->from < options->to) return EXIT_DONE;
  return cli_fail(cli, EXIT_USAGE, "the rate grows from --from %g to --to %g: the second must be larger", options->from,
                  options->to);
}

static ExitCode lr_find_command(const Cli *cli) {
  Training training = {0};
  LrFind find = {0};
  LrFindOptions options = {0};
  ExitCode code = check_range(cli, &options);
  if (!code) code = training_open(cli, cli_operand(cli, 0), &training);
  if (!code) code = sgrun_init_check(cli);
  if (!code) code = training_devices(cli, &training);
  if (!code && world_processes(training.devices.world) > 1)
    code = cli_fail(cli, EXIT_USAGE, "the range test runs in one process: give it several --devices instead");
  if (!code) code = training_load(cli, &training, false);
  if (!code) code = sgrun_init(cli, training.steps[0].exec);
  if (!code) code = cli_status(cli, team_spread(training.devices.team, training.step_execs));
  if (!code) {
    options.beta1 = training.settings.beta1_high;
    options.beta2 = training.settings.beta2;
    options.accumulate = (int)training.settings.accumulate;
    options.seed = (uint64_t)training.settings.seed;
    options.stop = interrupt_catch();
    cli_say(cli, "%s: %d steps at rates from %g to %g", training.model.info->name, options.steps, options.from,
            options.to);
    LrFindParts parts = {training.devices.team, training.step_execs, training.training_loader, training.batch};
    code = cli_status(cli, lr_find(&parts, &options, &find));
  }
  if (!code && find.n < 3) code = cli_fail(cli, EXIT_INTERRUPTED, "stopped before there was anything to read off");
  if (!code) code = report(cli, &training, &find);
  lr_find_free(&find);
  training_close(&training, code);
  return code;
}

static const CliOption options[] = {{"from", 0, "RATE", "of the first step (default 1e-7)"},
                                    {"to", 0, "RATE", "of the last step (default 1)"},
                                    {"steps", 0, "N", "how many (default 100)"},
                                    {"out", 'o', "DIR", "where lr_find.svg and lr_find.json go (default: here)"},
                                    TRAINING_OPTIONS,
                                    INIT_OPTIONS,
                                    DATA_OPTIONS,
                                    DEVICE_OPTIONS,
                                    TEAM_OPTIONS,
                                    MODEL_OPTIONS,
                                    COMPILE_OPTIONS,
                                    CLI_COMMON};

const CliCommand sgrun_lr_find = {
    "lr-find",
    "MODEL.net",
    "find a learning rate: a range test on the training data",
    "Trains from the initial weights (or --init) at a rate that grows from step to step until the loss explodes.\n"
    "Nothing of a run is read or written.\n\n"
    "  sgrun lr-find models/ghost_unet.net\n"
    "  sgrun lr-find models/ghost_unet.net --data mydata --from 1e-6 --to 0.1 --steps 200 -o lr",
    options,
    1,
    1,
    lr_find_command};
