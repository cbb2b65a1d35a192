// sgrun_board: a training run's TensorBoard file.
#ifndef SG_TOOLS_SGRUN_BOARD_H
#define SG_TOOLS_SGRUN_BOARD_H

#include "runtime/report/event_file.h"
#include "runtime/train/trainer.h"
#include "tools/common_model.h"

// {0} is no file: every function below then does nothing. A file that can no longer be written is given up with a note
// on stderr; the run goes on.
typedef struct Board {
  const Cli *cli;
  const char *directory;
  Model *model;             // its dimensions bound
  const char *settings;     // one flat JSON object
  Exec *evaluation;         // holds the weights of the epoch when board_epoch is called
  Loader *validation;       // its first batch is drawn
  const Protocol *protocol; // up to whose depth_max the colours reach
  EventFile *file;          // opened at the first step
} Board;

void board_step(Board *board, const TrainStep *step);
void board_epoch(Board *board, const TrainEpoch *epoch);
void board_end(Board *board, bool is_done);

// The nodes of a graph as TensorBoard groups them: by module instances. They live in the graph's arena.
const EventNode *board_graph(const Graph *graph, int *out_n);

#endif
