// sgrun_ranks: a training run of several processes, started and watched over by this one.
#ifndef SG_TOOLS_SGRUN_RANKS_H
#define SG_TOOLS_SGRUN_RANKS_H

#include "tools/cli.h"

#define RANK_OPTIONS                                                                                                   \
  {"ranks", 0, "N", "processes on this machine that train together"},                                                  \
      {"machines", 0, "N", "how many machines run this command, each with --ranks processes"},                         \
      {"machine", 0, "I", "which of them this one is, from 0"},                                                        \
      {"meet", 0, "HOST:PORT", "where machine 0 is reached"}, {                                                        \
    "max-restarts", 0, "N", "how often a run that lost a process begins again at its last checkpoint (default 0)"      \
  }

// Whether the command is to start processes rather than train: by --ranks, --machines and what belongs to that, or by
// --max-restarts under mpirun, and this is not a process that was started so.
bool ranks_are_wanted(const Cli *cli);

// Starts the same command in several processes and waits for them. Where one dies, or loses another, all are ended and,
// as often as --max-restarts says, started again with --resume if `checkpoint` is there. Returns the first exit status
// that is not EXIT_PEER, if there is one.
ExitCode ranks_run(const Cli *cli, const char *checkpoint);

#endif
