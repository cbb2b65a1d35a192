// Log: a training run as JSON lines, one object a step and one an epoch.
#ifndef SG_TRAIN_LOG_H
#define SG_TRAIN_LOG_H

#include "runtime/train/trainer.h"

typedef struct TrainLog TrainLog;

// Opens DIRECTORY/log.jsonl. When resuming after `step` steps, lines of later steps are dropped, so that the file ends
// up as that of an uninterrupted run but for times.
Status train_log_open(const char *path, int64_t step, TrainLog **out);
// The log may be NULL in what follows: a process that writes none.
Status train_log_step(TrainLog *log, const TrainStep *step);
Status train_log_epoch(TrainLog *log, const TrainEpoch *epoch);
// Why the run ended at this step before its last: "patience", "collapsed", "diverged", "stopped", "out of time". The
// line goes when the run is resumed.
Status train_log_stop(TrainLog *log, int64_t step, const char *reason);
void train_log_close(TrainLog *log);

#endif
