// sgrun_sweep: what the parts of `sgrun sweep` share.
#ifndef SG_TOOLS_SGRUN_SWEEP_H
#define SG_TOOLS_SGRUN_SWEEP_H

#include <cjson/cJSON.h>
#include <signal.h>

#include "runtime/base/arena.h"
#include "runtime/base/text.h"
#include "runtime/sweep/store.h"
#include "tools/cli.h"

enum { SWEEP_MAX_RUNGS = 32 };

// A sweep that has been defined: read back from the one text that its store keeps.
typedef struct Sweep {
  cJSON *json;           // the definition; the texts below are in it
  const char *directory; // sweeps/NAME
  const char *model;     // its file
  const char *metric;
  const cJSON *passed; // options for `sgrun train`, as texts
  double eta;
  int n_rungs;
  int64_t rungs[SWEEP_MAX_RUNGS]; // epochs at the end of each; the last one is all of them
} Sweep;

// Adds the options of `sgrun train` to those of sweep: they are passed on. Called once, before the command line is
// read.
void sweep_take_options(void);

// The definition from the command line, and the parameters of its trials; says what is wrong and returns the code.
ExitCode sweep_define(const Cli *cli, Arena *arena, StorePlan *out);
void sweep_read(const char *definition, const char *directory, Sweep *out);
void sweep_free(Sweep *sweep);

// Options that say how this process works, not what the sweep is: they may differ from one process to the next.
bool sweep_is_local(const char *option);
// One option as `sgrun train` takes it: "--batch=4", "--no-tensorboard". In the arena.
const char *sweep_option_text(Arena *arena, const CliOption *option, const char *value);

// Whether a larger value of the metric is better; false in *is_known for an unknown one. "mean_loss" is one too.
bool sweep_metric_rises(const char *metric, bool *is_known);

// Runs the trial's rung in a process of its own and settles it in the store.
ExitCode sweep_run_trial(const Cli *cli, const Sweep *sweep, Store *store, Trial *trial,
                         const volatile sig_atomic_t *stop);

// The table of trials, best first, or JSON; *out_done: how many have a value.
ExitCode sweep_print(const Cli *cli, const Sweep *sweep, Store *store, int64_t *out_done);

// "lr=0.001 arg.width=8", appended.
void sweep_params_text(const char *params, Text *out);

#endif
