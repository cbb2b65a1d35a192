// sgc tune: finds out by measuring what cost models only estimate.
#include "tools/sgc_tune.h"

#include <string.h>

#include "runtime/base/clock.h"
#include "tools/common_interrupt.h"
#include "tools/common_tuning.h"

int findings_results(const Tuner *tuner, const Findings *findings, TuningResult **out) {
  int n = 0;
  *out = ARENA_ARRAY(tuner->arena, TuningResult, findings->n + 1);
  for (int i = 0; i < findings->n; i++)
    if (*findings->of[i].result.values) (*out)[n++] = findings->of[i].result;
  return n;
}

// The whole network by the cost models and as tuned.
static ExitCode confirm(Tuner *tuner, const Findings *findings, Verdict *out) {
  static const double MEASURE_SECONDS = 8, MARGIN = 0.002;
  TuningResult *result;
  Variant model = {0}, tuned = {0};
  Rounds rounds = {0};
  int n = findings_results(tuner, findings, &result);
  ExitCode code = variant_compile(tuner, NULL, 0, &model);
  if (!code) code = variant_open(tuner, NULL, &model);
  if (!code) code = variant_compile(tuner, result, n, &tuned);
  bool has_layers = false;
  for (int i = 0; i < findings->n; i++)
    has_layers = has_layers || (findings->of[i].is_layer && *findings->of[i].result.values);
  if (!code) code = variant_open(tuner, has_layers ? NULL : &model, &tuned);
  const Variant *const pair[2] = {&model, &tuned};
  if (!code) code = rounds_measure(tuner, tuner->arena, pair, rounds_for(MEASURE_SECONDS, &model), &rounds);
  if (!code) *out = rounds_judge(tuner->arena, &rounds, (const bool *const[]){NULL, NULL}, MARGIN);
  variant_close(&tuned);
  variant_close(&model);
  return code;
}

static void print_findings(const Findings *findings) {
  int n_kept = 0, n_layers = 0;
  for (int i = 0; i < findings->n; i++) {
    n_kept += *findings->of[i].result.values != 0;
    n_layers += findings->of[i].is_layer;
  }
  if (n_kept) printf("%9s %7s  %s\n", "us", "ratio", "kernel or layer: choices of the cost model -> measured");
  for (int i = 0; i < findings->n; i++) {
    const Finding *finding = &findings->of[i];
    if (*finding->result.values)
      printf("%9.1f %7.3f  %s: %s\n", 1e6 * finding->seconds, finding->result.ratio, finding->what, finding->change);
  }
  printf("%d of %d kernels and layers are faster otherwise\n", n_kept, findings->n);
}

static ExitCode save(const Tuner *tuner, const Findings *findings) {
  TuningResult *all = ARENA_ARRAY(tuner->arena, TuningResult, findings->n + 1);
  int n = 0;
  for (int i = 0; i < findings->n; i++) {
    // An interrupted search may only not have come yet to what an earlier one found.
    bool is_known = *findings->of[i].result.values || !*tuner->is_interrupted;
    if (is_known) all[n++] = findings->of[i].result;
  }
  return tuning_save(tuner->cli, tuner->target, all, n);
}

static ExitCode finish(Tuner *tuner, const Findings *findings) {
  TuningResult *result;
  Verdict verdict = {.ratio = 1};
  int n = findings_results(tuner, findings, &result);
  ExitCode code = EXIT_DONE;
  if (n && !*tuner->is_interrupted) {
    cli_say(tuner->cli, "the whole network, as tuned and not:");
    code = confirm(tuner, findings, &verdict);
  }
  if (code && code != EXIT_INTERRUPTED) return code;
  print_findings(findings);
  if (tuner->n_spreads && tuner->spread > 0.15 * tuner->n_spreads)
    cli_say(tuner->cli,
            "note: times of one and the same program spread by %.0f %%: the machine is busy, and small "
            "differences were not seen",
            100 * tuner->spread / tuner->n_spreads);
  if (*tuner->is_interrupted) {
    code = save(tuner, findings);
    return code ? code : cli_fail(tuner->cli, EXIT_INTERRUPTED, "interrupted; what was found so far is kept");
  }
  if (n)
    printf("whole network: %.2f ms -> %.2f ms (%.3f)\n", 1e3 * verdict.seconds[0], 1e3 * verdict.seconds[1],
           verdict.ratio);
  if (n && !verdict.is_faster) {
    printf("that is not clearly faster: nothing is kept\n");
    return EXIT_DONE;
  }
  return save(tuner, findings);
}

static ExitCode tune(const Cli *cli) {
  Tuner tuner = {.cli = cli, .arena = arena_new(), .is_interrupted = interrupt_catch()};
  Findings findings = {0};
  CompileOptions options;
  ExitCode code = model_compile_options(cli, tuner.arena, &options);
  if (!code && options.target->kind != TARGET_CPU)
    code = cli_fail(cli, EXIT_DEVICE, "there is nothing to tune without a C compiler");
  if (!code) code = model_device(cli, (int)cli_integer(cli, "threads", 0, 0, 1024), &tuner.device);
  if (!code) {
    tuner.target = options.target;
    double began = clock_seconds(), limit = cli_seconds(cli, "time", 600);
    tuner.deadline = began + limit / 2;
    if (cli_flag(cli, "layers", true)) code = tune_layers(&tuner, &findings);
    tuner.deadline = began + limit;
    if (!code) code = tune_kernels(&tuner, &findings);
    if (!code && clock_seconds() > tuner.deadline) cli_say(cli, "time is up (--time); there are choices left to try");
  }
  if (!code || code == EXIT_INTERRUPTED) code = finish(&tuner, &findings);
  device_close(tuner.device);
  arena_free(tuner.arena);
  return code;
}

static const CliOption options[] = {
    {"time", 0, "T", "look for so long at most: 10m (default), 1h, 90s"},
    {"training", 0, NULL, "the training step instead of inference"},
    {"batch", 'b', "N", "pictures at once (default 1)"},
    {"threads", 'j', "N", "worker threads (default: all that the process may use)"},
    {"layers", 0, NULL, "also choices that decide which kernels there are (default; --no-layers)"},
    MODEL_OPTIONS,
    CLI_COMMON};

const CliCommand sgc_tune = {
    "tune",
    "MODEL.net|WEIGHTS",
    "measure which schedules are fastest on this machine",
    "Where a schedule has choices - rows a task, tiles at once, by Winograd's tiles or not - a cost model decides.\n"
    "This tries the others, each inside the network and in turn with the best so far, and keeps in the kernel cache\n"
    "($SGC_CACHE, or ~/.cache/sgc: tuned.txt) what is clearly faster. Commands with --tuned use it, for these sizes "
    "and\n"
    "this number of threads. Results differ by rounding alone. Ctrl-C keeps what was found so far.\n\n"
    "  sgc tune models/meta_unet.net --dim H=480,W=640 --threads 2\n"
    "  sgrun bench models/meta_unet.net --dim H=480,W=640 --threads 2 --tuned",
    options,
    1,
    1,
    tune};
