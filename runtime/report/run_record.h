// Run record: run.json in a run's directory: what was run, how far it is, how good it got, where the time went.
//
// It is written atomically when the run starts, at each epoch and when it ends. A run that was killed still says
// "running"; its readers see that the process is gone (run_read).
#ifndef SG_REPORT_RUN_RECORD_H
#define SG_REPORT_RUN_RECORD_H

#include "runtime/base/status.h"
#include "runtime/train/trainer.h"

typedef struct RunRecord RunRecord;

// What is known before the first step. JSON texts are objects.
typedef struct RunStart {
  const char *directory;
  const char *model, *path;    // the model's name, and the file that it is in
  const char *bindings;        // JSON: static parameters that were given
  const char *settings;        // JSON: flat, as settings_format has them
  const char *data, *data_val; // what was named, or "rooms"; data_val may be NULL
  const char *program;         // name and version
  double setup_seconds;        // spent before the first step
  bool is_resume;              // keep the start, the best epoch and the times of the record that is there
} RunStart;

// Writes the record of a run that starts. *out is the caller's in every case but an error.
Status run_record_begin(const RunStart *start, RunRecord **out);
void run_record_step(RunRecord *record, const TrainStep *step); // in memory only
Status run_record_epoch(RunRecord *record, const TrainEpoch *epoch);
// The state that follows from the exit status, "done", "stopped", "diverged" or "failed"; frees the record. NULL is
// allowed.
Status run_record_end(RunRecord *record, ExitCode code);

#endif
