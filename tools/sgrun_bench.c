// sgrun bench: how long a compiled model takes.
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/order.h"
#include "tools/sgrun.h"
#include "tools/sgrun_bench_kernels.h"

typedef struct Times {
  double median, least, p90, first; // seconds; `first` from the text to the first result
  int runs, threads;
} Times;

static void put_json(const char *name, const Runner *runner, const Times *times, const char *kernels, Text *out) {
  text_put(out, "{\"schema\":\"sgrun.bench/1\",\"model\":");
  text_put_json(out, name);
  text_printf(out,
              ",\"median_ms\":%.4f,\"min_ms\":%.4f,\"p90_ms\":%.4f,\"first_ms\":%.1f,\"threads\":%d,\"kernels\":%d,"
              "\"memory_bytes\":%lld,\"multiply_adds\":%lld,\"gflops\":%.2f,\"kernels_again\":%d,"
              "\"multiply_adds_again\":%lld%s}\n",
              1e3 * times->median, 1e3 * times->least, 1e3 * times->p90, 1e3 * times->first, times->threads,
              runner->program->n_steps, (long long)exec_memory(runner->exec), (long long)runner->program->multiply_adds,
              2e-9 * (double)runner->program->multiply_adds / times->median, runner->program->n_again,
              (long long)runner->program->again, kernels);
}

static void put_line(const char *name, const Runner *runner, const Times *times, const char *kernels, Text *out) {
  text_printf(out,
              "%s: median %.2f ms, least %.2f, 90 %% below %.2f (%d runs); %.1f GFLOP/s; %d kernels; %.1f MB; first "
              "result after %.2f s\n",
              name, 1e3 * times->median, 1e3 * times->least, 1e3 * times->p90, times->runs,
              2e-9 * (double)runner->program->multiply_adds / times->median, runner->program->n_steps,
              1e-6 * (double)exec_memory(runner->exec), times->first);
  if (runner->program->n_again)
    text_printf(out, "for want of memory %d of the kernels run again: %.1f %% more multiply-adds\n",
                runner->program->n_again, program_again_percent(runner->program));
  text_put(out, kernels);
}

static ExitCode time_runs(const Cli *cli, Exec *exec, Times *out) {
  int n = out->runs = (int)cli_integer(cli, "runs", 20, 1, 100000);
  double *seconds = calloc((size_t)n, sizeof *seconds);
  if (!seconds) BUG("out of memory");
  ExitCode code = EXIT_DONE;
  for (int i = 0; i < n && !code; i++) {
    double begin = clock_seconds();
    code = cli_status(cli, exec_run(exec));
    seconds[i] = clock_seconds() - begin;
  }
  qsort(seconds, (size_t)n, sizeof *seconds, order_doubles);
  out->median = seconds[n / 2], out->least = seconds[0], out->p90 = seconds[n * 9 / 10];
  free(seconds);
  return code;
}

static ExitCode run(const Cli *cli, Model *model, Device *device) {
  model_bind_sizes(model, cli_integer(cli, "batch", 1, 1, 4096));
  double started = clock_seconds();
  static const StepOptions step = {.beta2 = 0.999, .eps = 1e-8, .weight_decay = 1e-4, .clip = 0.1};
  bool is_training = cli_flag(cli, "training", false);
  Graph *graph = is_training ? model_step_graph(cli, model, &step) : model_graph(cli, model, false, false);
  if (!graph) return EXIT_MODEL;
  Runner runner = {0};
  ExitCode code = runner_open(cli, graph, is_training, device, 1, &runner);
  if (code) {
    runner_close(&runner);
    return code;
  }
  model_fill_inputs(runner.exec);
  code = cli_status(cli, exec_run(runner.exec));
  Times times = {.first = clock_seconds() - started, .threads = device_threads(device)};
  bool is_json = cli_flag(cli, "json", false);
  Text kernels = {0}, text = {0};
  if (!code) code = time_runs(cli, runner.exec, &times);
  if (!code && cli_flag(cli, "per-kernel", false)) code = bench_kernels(cli, device, runner.exec, is_json, &kernels);
  if (!code) {
    (is_json ? put_json : put_line)(graph->name, &runner, &times, text_get(&kernels), &text);
    fputs(text_get(&text), stdout);
  }
  text_free(&kernels);
  text_free(&text);
  runner_close(&runner);
  return code;
}

static ExitCode bench(const Cli *cli) {
  Model model = {0};
  Device *device = NULL;
  ExitCode code = model_open(cli, cli_operand(cli, 0), &model);
  if (!code) code = sgrun_device(cli, &device);
  if (!code) code = run(cli, &model, device);
  device_close(device);
  model_close(&model);
  return code;
}

static const CliOption options[] = {
    {"runs", 'n', "N", "timed runs (default 20)"},
    {"batch", 'b', "N", "pictures a run (default 1)"},
    {"training", 0, NULL, "the training step instead of inference"},
    {"per-kernel", 'k', NULL, "also time each kernel, beside its roofline on this machine"},
    {"json", 0, NULL, "one JSON object on stdout"},
    DEVICE_OPTIONS,
    MODEL_OPTIONS,
    COMPILE_OPTIONS,
    CLI_COMMON};

const CliCommand sgrun_bench = {
    "bench",
    "MODEL.net|WEIGHTS",
    "time a compiled model",
    "--per-kernel lists the kernels, the longest first: time, operations and bytes a second, "
    "share of the time, and\nhow close it comes to its roofline on this machine, whose peaks "
    "are measured beside it, and which of the two bounds\nit: computing or moving. Operations "
    "and bytes are those that the kernel cannot do without: multiply-adds on the\npicture "
    "(padding left out, Winograd's products and transforms as they are) and each element read "
    "or written once.\n\n"
    "  sgrun bench models/meta_unet.net --dim H=480,W=640 --threads 2 --per-kernel",
    options,
    1,
    1,
    bench};
