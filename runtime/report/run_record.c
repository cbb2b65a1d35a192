// Run record: the writer of run.json.
#include "runtime/report/run_record.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/process.h"

struct RunRecord {
  cJSON *json;
  char *path;
  double last; // when the last step or epoch ended
  double setup, training, validation;
};

static void put(cJSON *object, const char *key, cJSON *item) {
  cJSON_DeleteItemFromObject(object, key);
  cJSON_AddItemToObject(object, key, item);
}

static void put_number(cJSON *object, const char *key, double value) {
  put(object, key, isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull()); // JSON has no NaN
}

static void put_text(cJSON *object, const char *key, const char *text) {
  put(object, key, text ? cJSON_CreateString(text) : cJSON_CreateNull());
}

// RFC 3339, UTC.
static void put_time(cJSON *object, const char *key) {
  char text[32];
  time_t seconds = time(NULL);
  struct tm parts;
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &parts));
  put_text(object, key, text);
}

static Status write_record(RunRecord *record) {
  cJSON *times = cJSON_CreateObject();
  put_number(times, "setup", record->setup);
  put_number(times, "training", record->training);
  put_number(times, "validation", record->validation);
  put(record->json, "seconds", times);
  put_time(record->json, "updated");
  char *text = cJSON_Print(record->json);
  if (!text) BUG("out of memory");
  Text line = {0};
  text_printf(&line, "%s\n", text);
  Status status = file_write(record->path, text_get(&line), line.size);
  text_free(&line);
  cJSON_free(text);
  return status;
}

static double number_of(const cJSON *object, const char *key) {
  const cJSON *item = cJSON_GetObjectItem(object, key);
  return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

// The record that a resumed run goes on with, or an empty one where there is none (or none that can be read).
static cJSON *old_record(RunRecord *record) {
  Text text = {0};
  Status status = file_exists(record->path) ? file_read(record->path, &text) : STATUS_OK;
  cJSON *json = status ? NULL : cJSON_Parse(text_get(&text));
  status_free(status);
  text_free(&text);
  if (!cJSON_IsObject(json)) {
    cJSON_Delete(json);
    return cJSON_CreateObject();
  }
  const cJSON *times = cJSON_GetObjectItem(json, "seconds");
  record->setup = number_of(times, "setup");
  record->training = number_of(times, "training");
  record->validation = number_of(times, "validation");
  return json;
}

static void put_json(cJSON *object, const char *key, const char *text) {
  cJSON *item = cJSON_Parse(text);
  if (!cJSON_IsObject(item)) BUG("%s is no JSON object: %s", key, text);
  put(object, key, item);
}

Status run_record_begin(const RunStart *start, RunRecord **out) {
  RunRecord *record = calloc(1, sizeof *record);
  Text path = {0};
  train_path(start->directory, "run.json", &path);
  if (!record || !(record->path = text_take(&path))) BUG("out of memory");
  cJSON *json = record->json = start->is_resume ? old_record(record) : cJSON_CreateObject();
  char holder[PROCESS_TEXT];
  process_self(holder);
  put_number(json, "format", 1);
  put_text(json, "state", "running");
  put_text(json, "model", start->model);
  put_text(json, "path", start->path);
  put_json(json, "bindings", start->bindings);
  put_text(json, "data", start->data);
  put_text(json, "data_val", start->data_val);
  put_json(json, "settings", start->settings);
  put_text(json, "program", start->program);
  holder[strcspn(holder, " ")] = 0;
  put_text(json, "host", holder);
  process_self(holder);
  put_text(json, "process", holder);
  put_number(json, "sessions", number_of(json, "sessions") + 1);
  if (!cJSON_GetObjectItem(json, "started")) put_time(json, "started");
  put(json, "ended", cJSON_CreateNull());
  put(json, "exit_status", cJSON_CreateNull());
  record->setup += start->setup_seconds;
  record->last = clock_seconds();
  Status status = write_record(record);
  if (status) {
    cJSON_Delete(json);
    free(record->path);
    free(record);
  } else {
    *out = record;
  }
  return status;
}

void run_record_step(RunRecord *record, const TrainStep *step) {
  double time = clock_seconds();
  record->training += time - record->last;
  record->last = time;
  put_number(record->json, "step", (double)step->step);
  put_number(record->json, "steps", (double)step->steps);
  put_number(record->json, "epochs", (double)step->epochs);
  put_number(record->json, "pictures_per_second", step->pictures);
}

Status run_record_epoch(RunRecord *record, const TrainEpoch *epoch) {
  double time = clock_seconds();
  record->validation += time - record->last;
  cJSON *metrics = cJSON_CreateObject();
  put_number(metrics, "epoch", (double)epoch->epoch);
  put_number(metrics, "mean_loss", epoch->loss);
  for (int m = 0; m < METRIC_COUNT; m++)
    put_number(metrics, metric_name((Metric)m), metrics_mean(&epoch->metrics, (Metric)m));
  put_number(record->json, "epoch", (double)epoch->epoch);
  put_number(record->json, "epochs", (double)epoch->epochs);
  if (epoch->is_best) put(record->json, "best", cJSON_Duplicate(metrics, true));
  put(record->json, "last", metrics);
  Status status = write_record(record);
  record->last = clock_seconds();
  return status;
}

Status run_record_end(RunRecord *record, ExitCode code) {
  if (!record) return STATUS_OK;
  const char *state = code == EXIT_DONE          ? "done"
                      : code == EXIT_INTERRUPTED ? "stopped"
                      : code == EXIT_DIVERGED    ? "diverged"
                                                 : "failed";
  put_text(record->json, "state", state);
  put_number(record->json, "exit_status", code);
  put_time(record->json, "ended");
  Status status = write_record(record);
  cJSON_Delete(record->json);
  free(record->path);
  free(record);
  return status;
}
