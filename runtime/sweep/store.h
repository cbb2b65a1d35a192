// Store: the trials of a sweep in a SQLite file, shared by all the processes that work on it.
//
// A trial is worked on in rungs: it waits for one, is run by one process, and then waits for the next, is dropped, or
// is done. A rung is shared out whole before the next begins, so that the trials that go on do not depend on how many
// processes there are. (Successive halving: Jamieson & Talwalkar, AISTATS 2016.)
#ifndef SG_SWEEP_STORE_H
#define SG_SWEEP_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/status.h"

typedef enum TrialState {
  TRIAL_WAITING,
  TRIAL_RUNNING,
  TRIAL_PAUSED,
  TRIAL_DONE,
  TRIAL_DROPPED,
  TRIAL_FAILED
} TrialState;
const char *trial_state_name(TrialState state); // "waiting", ...

typedef struct Trial {
  int64_t id;   // 1-based
  char *params; // one flat JSON object of texts
  TrialState state;
  int rung;        // that it waits for, runs or has run last, from 0
  int64_t epochs;  // done
  double value;    // of the sweep's metric, best so far; NaN = none
  int exit_status; // of its last process; -1 = none yet
} Trial;

typedef struct Store Store;

// A sweep as the store keeps it.
typedef struct StorePlan {
  const char *definition;
  const char *const *params; // of each trial
  int64_t n_trials;
  double eta;     // one of so many trials goes on to the next rung
  bool is_rising; // whether a larger value is better
} StorePlan;

// Opens the file. With a plan it makes what is not there yet; another definition than that of the file is EXIT_USAGE.
// Without one (NULL) the file must be there. Errors of the file are EXIT_DATA.
Status store_open(const char *path, const StorePlan *plan, Store **out);
void store_close(Store *store);                   // NULL is allowed
const char *store_definition(const Store *store); // lent

typedef enum Claim { CLAIM_TRIAL, CLAIM_WAIT, CLAIM_END } Claim;

// Takes the next trial that waits (lowest rung, lowest number) for this process, after giving back those whose process
// is gone and, once nothing of a rung is left, choosing those that go on. CLAIM_WAIT: others still work on the rung.
// CLAIM_END: nothing is left to do. *out is freed with trial_free.
Status store_claim(Store *store, Claim *out_claim, Trial *out);
// Gives a trial of this process back unfinished, or says how its rung ended; `state` is PAUSED, DONE, FAILED or
// WAITING.
Status store_settle(Store *store, const Trial *trial, TrialState state);
// Failed trials wait again, for the rung they failed in.
Status store_retry(Store *store);

// All trials: best first (those without a value last, then by number).
Status store_trials(Store *store, Trial **out, int64_t *out_n);
void trial_free(Trial *trial);
void trials_free(Trial *trials, int64_t n);

#endif
