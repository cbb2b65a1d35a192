// sgrun_follow: all that follows a training run: the bar, the TensorBoard file, the record, the end at an epoch.
#ifndef SG_TOOLS_SGRUN_FOLLOW_H
#define SG_TOOLS_SGRUN_FOLLOW_H

#include "runtime/report/run_record.h"
#include "runtime/train/settings.h"
#include "tools/sgrun_board.h"
#include "tools/sgrun_progress.h"

#define FOLLOW_OPTIONS                                                                                                 \
  {"tensorboard", 0, NULL, "write TensorBoard's event file into the run's directory (default; --no-tensorboard)"}, {   \
    "until", 0, "EPOCH", "stop after that epoch with exit status 75, keeping the schedule of all epochs"               \
  }

typedef struct Follow {
  Progress progress;
  Board board;
  const Cli *cli;
  RunRecord *record;
  int64_t until; // epochs; 0 = all
} Follow;

// Options say what is followed. `model` has its dimensions bound and must outlive the follow; so must the parts.
// `begun` is when the command began (clock_seconds). A record that cannot be written is an error before the first step,
// and a note later.
ExitCode follow_begin(const Cli *cli, const char *directory, Model *model, const TrainSettings *settings,
                      const TrainParts *parts, const Protocol *protocol, double begun, Follow *out);
TrainEvents follow_events(Follow *follow);
void follow_end(Follow *follow, ExitCode code); // of the training

#endif
