// sgrun bench: how long a compiled model takes.
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "tools/sgrun.h"

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

// Inputs are filled with a fixed pattern of small values, so that no time depends on denormals or zeros.
static void fill_inputs(const Program *program, Exec *exec) {
  for (int i = 0; i < program->n_buffers; i++) {
    const Buffer *buffer = &program->buffers[i];
    if (buffer->kind != BUFFER_INPUT) continue;
    float *values = exec_input(exec, buffer->name);
    for (int64_t k = 0, n = shape_elements(buffer->shape); k < n; k++)
      values[k] = (float)(k * 7919 % 1000) / 1000 + 0.1f;
  }
}

static ExitCode print_kernels(const Cli *cli, Exec *exec) {
  const Program *program = exec_program(exec);
  double *seconds = calloc((size_t)program->n_steps, sizeof *seconds),
         *least = calloc((size_t)program->n_steps, sizeof *least);
  if (!seconds || !least) BUG("out of memory");
  ExitCode code = EXIT_DONE;
  for (int round = 0; round < 5 && !code; round++) {
    code = cli_status(cli, exec_profile(exec, seconds));
    for (int i = 0; i < program->n_steps; i++)
      if (!round || seconds[i] < least[i]) least[i] = seconds[i];
  }
  printf("%9s %9s %9s  %s\n", "us", "GFLOP/s", "GB/s", "kernel");
  for (int i = 0; i < program->n_steps && !code; i++) {
    const Step *step = &program->steps[i];
    printf("%9.1f %9.1f %9.1f  %s\n", 1e6 * least[i], 1e-9 * (double)step->flops / least[i],
           1e-9 * (double)step->bytes / least[i], step->label ? step->label : step->symbol);
  }
  free(seconds);
  free(least);
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
  fill_inputs(runner.program, runner.exec);
  code = cli_status(cli, exec_run(runner.exec));
  double first = clock_seconds() - started;
  int n = (int)cli_integer(cli, "runs", 20, 1, 100000);
  double *seconds = calloc((size_t)n, sizeof *seconds);
  if (!seconds) BUG("out of memory");
  for (int i = 0; i < n && !code; i++) {
    double begin = clock_seconds();
    code = cli_status(cli, exec_run(runner.exec));
    seconds[i] = clock_seconds() - begin;
  }
  if (!code) {
    qsort(seconds, (size_t)n, sizeof *seconds, compare);
    double median = seconds[n / 2], least = seconds[0], p90 = seconds[n * 9 / 10],
           rate = 2e-9 * (double)runner.program->multiply_adds / median;
    if (cli_flag(cli, "json", false))
      printf("{\"schema\":\"sgrun.bench/"
             "1\",\"model\":\"%s\",\"median_ms\":%.4f,\"min_ms\":%.4f,\"p90_ms\":%.4f,\"first_ms\":%.1f,\"kernels\":%d,"
             "\"memory_bytes\":%lld,\"gflops\":%.2f}\n",
             graph->name, 1e3 * median, 1e3 * least, 1e3 * p90, 1e3 * first, runner.program->n_steps,
             (long long)exec_memory(runner.exec), rate);
    else
      printf("%s: median %.2f ms, least %.2f, 90 %% below %.2f (%d runs); %.1f GFLOP/s; %d kernels; %.1f MB; first "
             "result after %.2f s\n",
             graph->name, 1e3 * median, 1e3 * least, 1e3 * p90, n, rate, runner.program->n_steps,
             1e-6 * (double)exec_memory(runner.exec), first);
    if (cli_flag(cli, "per-kernel", false)) code = print_kernels(cli, runner.exec);
  }
  free(seconds);
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

static const CliOption options[] = {{"runs", 'n', "N", "timed runs (default 20)"},
                                    {"batch", 'b', "N", "pictures a run (default 1)"},
                                    {"training", 0, NULL, "the training step instead of inference"},
                                    {"per-kernel", 'k', NULL, "also time each kernel"},
                                    {"json", 0, NULL, "one JSON object on stdout"},
                                    DEVICE_OPTIONS,
                                    MODEL_OPTIONS,
                                    COMPILE_OPTIONS,
                                    CLI_COMMON};

const CliCommand sgrun_bench = {"bench",
                                "MODEL.net|WEIGHTS",
                                "time a compiled model",
                                "  sgrun bench models/meta_unet.net --dim H=480,W=640 --threads 2",
                                options,
                                1,
                                1,
                                bench};
