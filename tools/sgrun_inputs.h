// sgrun_inputs: which pictures a command line means, and what each one's results are called.
#ifndef SG_TOOLS_SGRUN_INPUTS_H
#define SG_TOOLS_SGRUN_INPUTS_H

#include "runtime/base/arena.h"
#include "tools/cli.h"

typedef struct Input {
  const char *path;
  const char *stem; // of the results below the output directory: no extension, unlike any other input's
} Input;

typedef struct Inputs {
  Arena *arena; // owns everything
  Input *input;
  int n, capacity;
} Inputs;

// Expands operands first, first + 1, ... of the command: pictures, folders (their PNG, JPEG and PPM files in natural
// order; folders within them too with --recursive, whose names stay in the stems) and quoted patterns. Pictures that
// earlier runs wrote into such folders, and the folder `out`, are left out. Where two pictures would write the same
// files, the later one's stem gets a number, which is said. EXIT_DATA where a folder or a pattern has no picture.
ExitCode inputs_expand(const Cli *cli, int first, const char *out, Inputs *inputs);
void inputs_free(Inputs *inputs);

#endif
