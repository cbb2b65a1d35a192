// sgc: its commands.
#ifndef SG_TOOLS_SGC_H
#define SG_TOOLS_SGC_H

#include "tools/cli.h"
#include "tools/common_model.h"

extern const CliCommand sgc_compile, sgc_check, sgc_summary, sgc_graph, sgc_fmt, sgc_explain, sgc_doc, sgc_doctor,
    sgc_tune;

// The graph of the model, as inference or, with --training, as a training step.
ExitCode sgc_build(const Cli *cli, Model *model, Graph **out);

// Prints what was found of CUDA, a line for each part, and for those that are missing why and the remedy.
void sgc_doctor_cuda(void);

// A KernelNotice that says so on stderr.
void sgc_notice(void *context, const char *text);

// Writes text to the file of --out, or to stdout where it is not given or "-".
ExitCode sgc_put(const Cli *cli, const Text *text);

#endif
