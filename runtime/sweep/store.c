// Store: trials in SQLite. Every change is one transaction that begins by taking the file's write lock.
#include "runtime/sweep/store.h"

#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/process.h"
#include "runtime/base/text.h"

enum { BUSY_MS = 60000 };

struct Store {
  sqlite3 *db;
  char *path, *definition;
  double eta;
  bool is_rising;
};

static const char schema[] = "CREATE TABLE IF NOT EXISTS sweep(definition TEXT NOT NULL,"
                             "  eta REAL NOT NULL, is_rising INTEGER NOT NULL);"
                             "CREATE TABLE IF NOT EXISTS trial(id INTEGER PRIMARY KEY, params TEXT NOT NULL,"
                             "  state INTEGER NOT NULL DEFAULT 0, rung INTEGER NOT NULL DEFAULT 0,"
                             "  epochs INTEGER NOT NULL DEFAULT 0, value REAL, exit_status INTEGER, holder TEXT);";

const char *trial_state_name(TrialState state) {
  static const char *const names[] = {"waiting", "running", "paused", "done", "dropped", "failed"};
  return names[state];
}

// ---- SQLite ---------------------------------------------------------------------------------------------------------

static Status fault(Store *store) {
  return status_make(EXIT_DATA, "the sweep's file '%s': %s", store->path, sqlite3_errmsg(store->db));
}

static Status run_sql(Store *store, const char *sql) {
  return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK ? STATUS_OK : fault(store);
}

static Status prepare(Store *store, const char *sql, sqlite3_stmt **out) {
  return sqlite3_prepare_v2(store->db, sql, -1, out, NULL) == SQLITE_OK ? STATUS_OK : fault(store);
}

// Runs a statement that gives no rows, and ends it.
static Status finish(Store *store, sqlite3_stmt *statement) {
  Status status = sqlite3_step(statement) == SQLITE_DONE ? STATUS_OK : fault(store);
  sqlite3_finalize(statement);
  return status;
}

static Status end_transaction(Store *store, Status status) {
  if (!status) status = run_sql(store, "COMMIT");
  if (status) sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
  return status;
}

// ---- opening --------------------------------------------------------------------------------------------------------

static Status insert_plan(Store *store, const StorePlan *plan) {
  sqlite3_stmt *statement;
  TRY(prepare(store, "INSERT INTO sweep VALUES(?, ?, ?)", &statement));
  sqlite3_bind_text(statement, 1, plan->definition, -1, SQLITE_TRANSIENT);
  sqlite3_bind_double(statement, 2, plan->eta);
  sqlite3_bind_int(statement, 3, plan->is_rising);
  TRY(finish(store, statement));
  for (int64_t i = 0; i < plan->n_trials; i++) {
    TRY(prepare(store, "INSERT INTO trial(id, params) VALUES(?, ?)", &statement));
    sqlite3_bind_int64(statement, 1, i + 1);
    sqlite3_bind_text(statement, 2, plan->params[i], -1, SQLITE_TRANSIENT);
    TRY(finish(store, statement));
  }
  return STATUS_OK;
}

// Reads the sweep's row into the store; `definition` stays NULL where there is none.
static Status read_plan(Store *store) {
  sqlite3_stmt *statement;
  TRY(prepare(store, "SELECT definition, eta, is_rising FROM sweep", &statement));
  int code = sqlite3_step(statement);
  if (code == SQLITE_ROW) {
    store->definition = strdup((const char *)sqlite3_column_text(statement, 0));
    if (!store->definition) BUG("out of memory");
    store->eta = sqlite3_column_double(statement, 1);
    store->is_rising = sqlite3_column_int(statement, 2);
  }
  Status status = code == SQLITE_ROW || code == SQLITE_DONE ? STATUS_OK : fault(store);
  sqlite3_finalize(statement);
  return status;
}

static Status begin_plan(Store *store, const StorePlan *plan) {
  TRY(run_sql(store, "BEGIN IMMEDIATE"));
  Status status = run_sql(store, schema);
  if (!status) status = read_plan(store);
  if (!status && !store->definition && plan) {
    status = insert_plan(store, plan);
    if (!status) status = read_plan(store);
  }
  status = end_transaction(store, status);
  if (!status && !store->definition) status = status_make(EXIT_DATA, "'%s' holds no sweep", store->path);
  if (!status && plan && strcmp(plan->definition, store->definition))
    status = status_make(EXIT_USAGE,
                         "the sweep was started with another definition: %s; give that, or only its name, "
                         "or begin another with --name",
                         store->definition);
  return status;
}

Status store_open(const char *path, const StorePlan *plan, Store **out) {
  Store *store = calloc(1, sizeof *store);
  if (!store || !(store->path = strdup(path))) BUG("out of memory");
  int flags = SQLITE_OPEN_READWRITE | (plan ? SQLITE_OPEN_CREATE : 0);
  Status status = sqlite3_open_v2(path, &store->db, flags, NULL) == SQLITE_OK ? STATUS_OK : fault(store);
  if (!status) sqlite3_busy_timeout(store->db, BUSY_MS);
  if (!status) status = begin_plan(store, plan);
  if (status) store_close(store);
  else *out = store;
  return status;
}

void store_close(Store *store) {
  if (!store) return;
  sqlite3_close(store->db);
  free(store->path);
  free(store->definition);
  free(store);
}

const char *store_definition(const Store *store) { return store->definition; }

// ---- claiming -------------------------------------------------------------------------------------------------------

// Trials whose process is gone wait again.
static Status release_dead(Store *store) {
  sqlite3_stmt *statement;
  int64_t *dead = NULL;
  int n = 0, code;
  TRY(prepare(store, "SELECT id, holder FROM trial WHERE state = 1", &statement));
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    const char *holder = (const char *)sqlite3_column_text(statement, 1);
    if (holder && process_is_alive(holder)) continue;
    dead = realloc(dead, (size_t)(n + 1) * sizeof *dead);
    if (!dead) BUG("out of memory");
    dead[n++] = sqlite3_column_int64(statement, 0);
  }
  Status status = code == SQLITE_DONE ? STATUS_OK : fault(store);
  sqlite3_finalize(statement);
  for (int i = 0; i < n && !status; i++) {
    status = prepare(store, "UPDATE trial SET state = 0, holder = NULL WHERE id = ?", &statement);
    if (status) break;
    sqlite3_bind_int64(statement, 1, dead[i]);
    status = finish(store, statement);
  }
  free(dead);
  return status;
}

static Status count(Store *store, const char *sql, int64_t *out) {
  sqlite3_stmt *statement;
  TRY(prepare(store, sql, &statement));
  Status status = sqlite3_step(statement) == SQLITE_ROW ? STATUS_OK : fault(store);
  if (!status) *out = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  return status;
}

// The best of the paused trials go on to the next rung, the others are dropped: one of eta of all that took part.
static Status promote(Store *store, int64_t n_paused) {
  int64_t rung, n_entered;
  TRY(count(store, "SELECT max(rung) FROM trial WHERE state = 2", &rung));
  sqlite3_stmt *statement;
  TRY(prepare(store, "SELECT count(*) FROM trial WHERE rung = ?", &statement));
  sqlite3_bind_int64(statement, 1, rung);
  Status status = sqlite3_step(statement) == SQLITE_ROW ? STATUS_OK : fault(store);
  n_entered = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  TRY(status);
  int64_t n = (int64_t)floor((double)n_entered / store->eta);
  if (n < 1) n = 1;
  if (n > n_paused) n = n_paused;
  Text sql = {0};
  text_printf(&sql,
              "UPDATE trial SET state = 0, rung = rung + 1 WHERE id IN (SELECT id FROM trial WHERE state = 2 ORDER BY "
              "value IS NULL, value %s, id LIMIT %lld); UPDATE trial SET state = 4 WHERE state = 2",
              store->is_rising ? "DESC" : "ASC", (long long)n);
  status = run_sql(store, text_get(&sql));
  text_free(&sql);
  return status;
}

static Trial row_trial(sqlite3_stmt *statement) {
  Trial trial = {.id = sqlite3_column_int64(statement, 0),
                 .params = strdup((const char *)sqlite3_column_text(statement, 1)),
                 .state = (TrialState)sqlite3_column_int(statement, 2),
                 .rung = sqlite3_column_int(statement, 3),
                 .epochs = sqlite3_column_int64(statement, 4),
                 .value = NAN,
                 .exit_status = -1};
  if (!trial.params) BUG("out of memory");
  if (sqlite3_column_type(statement, 5) != SQLITE_NULL) trial.value = sqlite3_column_double(statement, 5);
  if (sqlite3_column_type(statement, 6) != SQLITE_NULL) trial.exit_status = sqlite3_column_int(statement, 6);
  return trial;
}

#define TRIAL_COLUMNS "id, params, state, rung, epochs, value, exit_status"

static Status take_waiting(Store *store, bool *out_found, Trial *out) {
  sqlite3_stmt *statement;
  TRY(prepare(store, "SELECT " TRIAL_COLUMNS " FROM trial WHERE state = 0 ORDER BY rung, id LIMIT 1", &statement));
  int code = sqlite3_step(statement);
  *out_found = code == SQLITE_ROW;
  if (*out_found) *out = row_trial(statement);
  Status status = code == SQLITE_ROW || code == SQLITE_DONE ? STATUS_OK : fault(store);
  sqlite3_finalize(statement);
  if (status || !*out_found) return status;
  char holder[PROCESS_TEXT];
  process_self(holder);
  status = prepare(store, "UPDATE trial SET state = 1, holder = ? WHERE id = ?", &statement);
  if (!status) {
    sqlite3_bind_text(statement, 1, holder, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(statement, 2, out->id);
    status = finish(store, statement);
  }
  if (status) trial_free(out);
  return status;
}

static Status claim(Store *store, Claim *out_claim, Trial *out) {
  bool found;
  int64_t n_running, n_paused;
  TRY(release_dead(store));
  TRY(take_waiting(store, &found, out));
  if (!found) {
    TRY(count(store, "SELECT count(*) FROM trial WHERE state = 1", &n_running));
    TRY(count(store, "SELECT count(*) FROM trial WHERE state = 2", &n_paused));
    if (!n_running && n_paused) {
      TRY(promote(store, n_paused));
      TRY(take_waiting(store, &found, out));
    } else {
      *out_claim = n_running ? CLAIM_WAIT : CLAIM_END;
    }
  }
  if (found) *out_claim = CLAIM_TRIAL;
  return STATUS_OK;
}

Status store_claim(Store *store, Claim *out_claim, Trial *out) {
  *out = (Trial){0};
  TRY(run_sql(store, "BEGIN IMMEDIATE"));
  Status status = end_transaction(store, claim(store, out_claim, out));
  if (status) trial_free(out);
  return status;
}

Status store_settle(Store *store, const Trial *trial, TrialState state) {
  sqlite3_stmt *statement;
  TRY(prepare(store, "UPDATE trial SET state = ?, epochs = ?, value = ?, exit_status = ?, holder = NULL WHERE id = ?",
              &statement));
  sqlite3_bind_int(statement, 1, (int)state);
  sqlite3_bind_int64(statement, 2, trial->epochs);
  if (isfinite(trial->value)) sqlite3_bind_double(statement, 3, trial->value);
  if (trial->exit_status >= 0) sqlite3_bind_int(statement, 4, trial->exit_status);
  sqlite3_bind_int64(statement, 5, trial->id);
  return finish(store, statement);
}

Status store_retry(Store *store) { return run_sql(store, "UPDATE trial SET state = 0 WHERE state = 5"); }

// ---- looking --------------------------------------------------------------------------------------------------------

Status store_trials(Store *store, Trial **out, int64_t *out_n) {
  sqlite3_stmt *statement;
  Text sql = {0};
  text_printf(&sql, "SELECT " TRIAL_COLUMNS " FROM trial ORDER BY value IS NULL, value %s, id",
              store->is_rising ? "DESC" : "ASC");
  Status status = prepare(store, text_get(&sql), &statement);
  text_free(&sql);
  TRY(status);
  Trial *trials = NULL;
  int64_t n = 0;
  int code;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    trials = realloc(trials, (size_t)(n + 1) * sizeof *trials);
    if (!trials) BUG("out of memory");
    trials[n++] = row_trial(statement);
  }
  status = code == SQLITE_DONE ? STATUS_OK : fault(store);
  sqlite3_finalize(statement);
  if (status) {
    trials_free(trials, n);
    return status;
  }
  *out = trials;
  *out_n = n;
  return STATUS_OK;
}

void trial_free(Trial *trial) {
  free(trial->params);
  *trial = (Trial){0};
}

void trials_free(Trial *trials, int64_t n) {
  for (int64_t i = 0; i < n; i++) trial_free(&trials[i]);
  free(trials);
}
