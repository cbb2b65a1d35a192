// sgrun: its commands and what they share.
#ifndef SG_TOOLS_SGRUN_H
#define SG_TOOLS_SGRUN_H

#include "runtime/data/dataset.h"
#include "runtime/data/loader.h"
#include "runtime/data/pairs.h"
#include "runtime/data/preprocess.h"
#include "runtime/train/metrics.h"
#include "runtime/train/settings.h"
#include "tools/cli.h"
#include "tools/common_model.h"

extern const CliCommand sgrun_train, sgrun_eval, sgrun_predict, sgrun_bench, sgrun_study, sgrun_data, sgrun_weights,
    sgrun_replay, sgrun_lr_find, sgrun_runs, sgrun_sweep;

#define THREADS_OPTION                                                                                                 \
  { "threads", 'j', "N", "worker threads (default: all that the process may use)" }
#define DEVICE_OPTIONS                                                                                                 \
  THREADS_OPTION, { "device", 0, "NAME", "cpu (default), cuda or cuda:0, cuda:1 ...: where to compute" }
// Of commands that share out pictures.
#define DEVICES_OPTION                                                                                                 \
  { "devices", 0, "LIST", "cuda:0-3, cuda:0,2, cpu:0-1 ...: pictures are shared out among them, results stay the same" }
#define DATA_OPTIONS                                                                                                   \
  {"data", 'D', "PATH",                                                                                                \
   "a folder, list, CSV or manifest of pairs (default: synthetic rooms); see 'sgrun data --help'"},                    \
      {"data-val", 0, "PATH",                                                                                          \
       "what to validate on (default: the data's own split, or a tenth held out, by scene if known)"},                 \
      {"data-root", 0, "DIR", "where relative paths of lists begin (default: where the list is)"},                     \
      {"max-bad", 0, "N",                                                                                              \
       "samples that may fail to be read before the run ends, or a percentage (default 0.1%, at least 16)"},           \
  {                                                                                                                    \
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
  bool is_lent; // the program is another runner's
} Runner;

// Compiles a graph and loads it on the device; says what is wrong and returns the code. runner_close ends it always.
ExitCode runner_open(const Cli *cli, Graph *graph, bool is_training, Device *device, uint64_t seed, Runner *out);
void runner_close(Runner *runner);

ExitCode sgrun_device(const Cli *cli, Device **out);

// Training and validation data: rooms of the settings' seed, or what --data, --data-val and --split (of commands that
// have it: which part `validation` is) say. What is missing is named, counted and left out. `training` may be NULL
// where only validation is wanted.
ExitCode sgrun_datasets(const Cli *cli, const TrainSettings *settings, Dataset **training, Dataset **validation);

// The pairs that a path names, with --data-root and --depth-scale; pairs_free ends them.
ExitCode sgrun_pairs(const Cli *cli, const char *path, Pairs *out);
// Leaves out pairs whose files are missing, naming the first; EXIT_DATA if all are.
ExitCode sgrun_drop_missing(const Cli *cli, Pairs *pairs);
// The --split option; SPLIT_NONE for "all".
ExitCode sgrun_split(const Cli *cli, Split fallback, Split *out);
// Whether the data has test pictures apart: rooms have; of --data, whether any pair says so.
ExitCode sgrun_has_test(const Cli *cli, bool *out);
// The test pictures of the data, or the validation pictures.
ExitCode sgrun_judged(const Cli *cli, const TrainSettings *settings, bool is_test, Dataset **out);
// The --split option for rooms.
ExitCode sgrun_room_split(const Cli *cli, RoomSplit fallback, RoomSplit *out);
// How many of `size` samples may fail: --max-bad.
int64_t sgrun_max_bad(const Cli *cli, int64_t size);

// Defaults, then the model's train block, then --set and the dedicated options.
ExitCode sgrun_settings(const Cli *cli, const Model *model, TrainSettings *out);
// As above with further settings of the text between the train block and the command line.
ExitCode sgrun_settings_over(const Cli *cli, const Model *model, const LangSetting *more, int n_more,
                             TrainSettings *out);

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
