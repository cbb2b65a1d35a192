// Run list: runs found on disk, as their records tell of them.
#ifndef SG_REPORT_RUN_LIST_H
#define SG_REPORT_RUN_LIST_H

#include <cjson/cJSON.h>

#include "runtime/base/status.h"
#include "runtime/train/metrics.h"

typedef struct RunInfo {
  char *directory;
  cJSON *json;       // the whole run.json; settings, best and last are in it
  const char *state; // "running", "done", "stopped", "diverged", "failed", or "died": running, but the process is gone
  const char *model, *started;
  int64_t epoch, epochs;              // done so far, and in all
  double best[METRIC_COUNT];          // of the best epoch; NaN where there is none
  double setup, training, validation; // seconds
} RunInfo;

// Reads DIRECTORY/run.json; EXIT_DATA if there is none or none that can be read. run_free ends it.
Status run_read(const char *directory, RunInfo *out);
void run_free(RunInfo *run);

typedef struct RunList {
  RunInfo *run;
  int n, capacity;
} RunList;

// Appends the runs in and below a directory, down to a few levels, sorted by path. Records that cannot be read are
// counted in *n_bad and left out; a directory that is not there is EXIT_DATA.
Status run_list(const char *directory, RunList *list, int *n_bad);
void run_list_free(RunList *list);

// The epochs of a run: the lines of its log.jsonl that tell of one, as a JSON array (the caller's).
Status run_epochs(const RunInfo *run, cJSON **out);

#endif
