// sgrun: its commands and what they share.
#ifndef SG_TOOLS_SGRUN_H
#define SG_TOOLS_SGRUN_H

#include "runtime/data/dataset.h"
#include "runtime/data/loader.h"
#include "runtime/data/preprocess.h"
#include "runtime/train/metrics.h"
#include "runtime/train/settings.h"
#include "tools/cli.h"
#include "tools/common_model.h"

extern const CliCommand sgrun_train, sgrun_eval, sgrun_predict, sgrun_bench, sgrun_data, sgrun_weights;

#define DEVICE_OPTIONS                                                                                                 \
  { "threads", 'j', "N", "worker threads (default: all that the process may use)" }
#define DATA_OPTIONS                                                                                                   \
  {"data", 'D', "DIR", "a folder with rgb/ and depth/ (default: synthetic rooms)"}, {                                  \
    "depth-scale", 0, "N", "values a metre of 16-bit PNG depth that does not declare it"                               \
  }

#define INIT_OPTIONS                                                                                                   \
  {"init", 0, "FILE", "start from these weights (.safetensors, .pth); may be repeated"}, {                             \
    "init-prefix", 0, "PREFIX", "where in the model, such as encoder.ghost. (default: where the names fit)"            \
  }

// A model at fixed sizes, compiled and loaded.
typedef struct Runner {
  Graph *graph;
  Program *program;
  Exec *exec;
} Runner;

// Compiles a graph and loads it on the device; says what is wrong and returns the code. runner_close ends it always.
ExitCode runner_open(const Cli *cli, Graph *graph, bool is_training, Device *device, uint64_t seed, Runner *out);
void runner_close(Runner *runner);

ExitCode sgrun_device(const Cli *cli, Device **out);

// Training and validation data: a folder, of which every tenth pair is held out, or rooms of the settings' seed.
// `training` may be NULL where only validation is wanted.
ExitCode sgrun_datasets(const Cli *cli, const TrainSettings *settings, Dataset **training, Dataset **validation);

// Defaults, then the model's train block, then --set and the dedicated options.
ExitCode sgrun_settings(const Cli *cli, const Model *model, TrainSettings *out);

// The files of --init: whether they can be read; into a training program, saying what was done; and, for the line that
// a resumed run must agree with, a JSON member after a comma, or nothing.
ExitCode sgrun_init_check(const Cli *cli);
ExitCode sgrun_init(const Cli *cli, Exec *exec);
void sgrun_init_configuration(const Cli *cli, Text *out);

// The preprocessing that a weight file declares, or that of the model's trained size.
ExitCode sgrun_preprocess(const Cli *cli, const Model *model, Preprocess *out);

// Prints the metrics as a table or, with --json, as members of an object.
void sgrun_print_metrics(const Cli *cli, const Protocol *protocol, const MetricsMean *metrics, const char *label);

#endif
