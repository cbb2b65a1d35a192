// sgrun_data: the verbs of `sgrun data`.
#ifndef SG_TOOLS_SGRUN_DATA_H
#define SG_TOOLS_SGRUN_DATA_H

#include "tools/sgrun.h"

ExitCode data_view(const Cli *cli);   // a contact sheet
ExitCode data_check(const Cli *cli);  // decodes everything once and reports
ExitCode data_init(const Cli *cli);   // writes the manifest
ExitCode data_split(const Cli *cli);  // writes lists
ExitCode data_import(const Cli *cli); // unpacks NYU's .mat
ExitCode data_synth(const Cli *cli);  // writes rooms as files

// The data set that a verb works on: its operand, or --data; NULL after saying that there is none.
const char *data_path(const Cli *cli);

// A line of progress on a terminal, every so often elsewhere.
void data_progress(void *cli, int64_t done, int64_t total);

#endif
