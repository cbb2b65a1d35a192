// sgrun_runs: the verbs of `sgrun runs`.
#ifndef SG_TOOLS_SGRUN_RUNS_H
#define SG_TOOLS_SGRUN_RUNS_H

#include "runtime/report/run_list.h"
#include "tools/cli.h"

ExitCode runs_show(const Cli *cli);    // one run: settings, best metrics, times, epochs
ExitCode runs_compare(const Cli *cli); // two runs side by side

// The run of an operand: a directory, or the name of one in runs/.
ExitCode runs_open(const Cli *cli, const char *name, RunInfo *out);
// "1h02m", "3m20s", "12.5s".
enum { RUNS_TIME = 32 };
const char *runs_time(double seconds, char out[RUNS_TIME]);
// A space and the number with four digits, or "-" where it is not finite.
void runs_print_number(int width, double value);
// Prints a JSON value and a line end on stdout, and frees it.
void runs_print_json(cJSON *json);

#endif
