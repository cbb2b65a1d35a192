// Log: a training run as JSON lines.
#include "runtime/train/log.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"

struct TrainLog {
  FILE *file;
  char *path;
};

// Rewrites the file with only the lines up to `step`.
static Status keep_until(const char *path, int64_t step) {
  Text old = {0}, kept = {0};
  if (file_exists(path)) TRY(file_read(path, &old));
  const char *line = text_get(&old);
  while (*line && step > 0) {
    size_t length = strcspn(line, "\n");
    cJSON *json = line[length] ? cJSON_ParseWithLength(line, length) : NULL; // a line cut short by a crash goes too
    const cJSON *at = cJSON_GetObjectItem(json, "step");
    bool is_stop = cJSON_GetObjectItem(json, "stop") != NULL;
    if (!is_stop && cJSON_IsNumber(at) && at->valuedouble <= (double)step) text_write(&kept, line, length + 1);
    cJSON_Delete(json);
    line += length + (line[length] != 0);
  }
  Status status = file_write(path, text_get(&kept), kept.size);
  text_free(&old);
  text_free(&kept);
  return status;
}

Status train_log_open(const char *path, int64_t step, TrainLog **out) {
  TRY(keep_until(path, step));
  FILE *file = fopen(path, "ae");
  if (!file) return status_make(EXIT_DATA, "cannot write '%s': %s", path, strerror(errno));
  TrainLog *log = calloc(1, sizeof *log);
  if (!log || !(log->path = strdup(path))) BUG("out of memory");
  log->file = file;
  *out = log;
  return STATUS_OK;
}

// JSON has no NaN.
static void put_number(TrainLog *log, const char *key, double value) {
  if (isfinite(value)) fprintf(log->file, ",\"%s\":%.9g", key, value);
  else fprintf(log->file, ",\"%s\":null", key);
}

static Status end_line(TrainLog *log) {
  fputs("}\n", log->file);
  if (fflush(log->file)) return status_make(EXIT_DATA, "cannot write '%s': %s", log->path, strerror(errno));
  return STATUS_OK;
}

Status train_log_step(TrainLog *log, const TrainStep *step) {
  if (!log) return STATUS_OK;
  fprintf(log->file, "{\"step\":%lld,\"epoch\":%lld", (long long)step->step, (long long)step->epoch);
  put_number(log, "loss", step->loss);
  put_number(log, "grad_norm", step->grad_norm);
  put_number(log, "lr", step->lr);
  put_number(log, "beta1", step->beta1);
  if (step->parts > 1) fprintf(log->file, ",\"parts\":%d", step->parts);
  put_number(log, "seconds", step->seconds);
  put_number(log, "pictures_per_second", step->pictures);
  return end_line(log);
}

Status train_log_epoch(TrainLog *log, const TrainEpoch *epoch) {
  if (!log) return STATUS_OK;
  fprintf(log->file, "{\"step\":%lld,\"epoch\":%lld,\"best\":%s", (long long)epoch->step, (long long)epoch->epoch,
          epoch->is_best ? "true" : "false");
  put_number(log, "mean_loss", epoch->loss);
  for (int m = 0; m < METRIC_COUNT; m++)
    put_number(log, metric_name((Metric)m), metrics_mean(&epoch->metrics, (Metric)m));
  if (epoch->ema > 0) put_number(log, "ema", epoch->ema);
  put_number(log, "depth_mean", epoch->mean);
  put_number(log, "depth_deviation", epoch->deviation);
  fprintf(log->file, ",\"collapsed\":%lld,\"since_best\":%lld", (long long)epoch->collapsed,
          (long long)epoch->since_best);
  return end_line(log);
}

Status train_log_stop(TrainLog *log, int64_t step, const char *reason) {
  if (!log) return STATUS_OK;
  fprintf(log->file, "{\"step\":%lld,\"stop\":\"%s\"", (long long)step, reason);
  return end_line(log);
}

void train_log_close(TrainLog *log) {
  if (!log) return;
  fclose(log->file);
  free(log->path);
  free(log);
}
