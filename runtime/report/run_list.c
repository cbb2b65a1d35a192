// Run list: the reader of run.json and log.jsonl.
#include "runtime/report/run_list.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/process.h"

enum { MAX_DEPTH = 4 };

static double number_of(const cJSON *object, const char *key, double fallback) {
  const cJSON *item = cJSON_GetObjectItem(object, key);
  return cJSON_IsNumber(item) ? item->valuedouble : fallback;
}

static const char *text_of(const cJSON *object, const char *key) {
  const cJSON *item = cJSON_GetObjectItem(object, key);
  return cJSON_IsString(item) ? item->valuestring : "";
}

Status run_read(const char *directory, RunInfo *out) {
  *out = (RunInfo){0};
  Text path = {0}, text = {0};
  text_printf(&path, "%s/run.json", directory);
  Status status = file_exists(text_get(&path)) ? file_read(text_get(&path), &text)
                                               : status_make(EXIT_DATA, "%s is no run: it has no run.json", directory);
  cJSON *json = status ? NULL : cJSON_Parse(text_get(&text));
  if (!status && !(cJSON_IsObject(json) && *text_of(json, "state")))
    status = status_make(EXIT_DATA, "%s is not the record of a run", text_get(&path));
  text_free(&path);
  text_free(&text);
  if (status) {
    cJSON_Delete(json);
    return status;
  }
  const cJSON *best = cJSON_GetObjectItem(json, "best"), *seconds = cJSON_GetObjectItem(json, "seconds");
  *out = (RunInfo){.directory = strdup(directory),
                   .json = json,
                   .state = text_of(json, "state"),
                   .model = text_of(json, "model"),
                   .started = text_of(json, "started"),
                   .epoch = (int64_t)number_of(json, "epoch", 0),
                   .epochs = (int64_t)number_of(json, "epochs", 0),
                   .setup = number_of(seconds, "setup", 0),
                   .training = number_of(seconds, "training", 0),
                   .validation = number_of(seconds, "validation", 0)};
  if (!out->directory) BUG("out of memory");
  if (!strcmp(out->state, "running") && !process_is_alive(text_of(json, "process"))) out->state = "died";
  for (int m = 0; m < METRIC_COUNT; m++) out->best[m] = number_of(best, metric_name((Metric)m), NAN);
  return STATUS_OK;
}

void run_free(RunInfo *run) {
  free(run->directory);
  cJSON_Delete(run->json);
  *run = (RunInfo){0};
}

static void take(const char *directory, int depth, RunList *list, int *n_bad) {
  Text path = {0};
  text_printf(&path, "%s/run.json", directory);
  if (file_exists(text_get(&path))) {
    RunInfo run;
    Status status = run_read(directory, &run);
    if (status) ++*n_bad;
    status_free(status);
    if (run.json) {
      if (list->n == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 16;
        list->run = realloc(list->run, (size_t)list->capacity * sizeof *list->run);
        if (!list->run) BUG("out of memory");
      }
      list->run[list->n++] = run;
    }
  }
  DIR *listing = depth < MAX_DEPTH ? opendir(directory) : NULL;
  for (struct dirent *entry; listing && (entry = readdir(listing));) {
    if (entry->d_name[0] == '.' || (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN)) continue;
    text_clear(&path);
    if (strcmp(directory, ".")) text_printf(&path, "%s/", directory);
    text_put(&path, entry->d_name);
    if (file_is_directory(text_get(&path))) take(text_get(&path), depth + 1, list, n_bad);
  }
  if (listing) closedir(listing);
  text_free(&path);
}

static int by_path(const void *a, const void *b) {
  return strverscmp(((const RunInfo *)a)->directory, ((const RunInfo *)b)->directory);
}

Status run_list(const char *directory, RunList *list, int *n_bad) {
  if (!file_is_directory(directory)) return status_make(EXIT_DATA, "there is no directory '%s'", directory);
  int first = list->n;
  take(directory, 0, list, n_bad);
  if (list->n > first) qsort(list->run + first, (size_t)(list->n - first), sizeof *list->run, by_path);
  return STATUS_OK;
}

void run_list_free(RunList *list) {
  for (int i = 0; i < list->n; i++) run_free(&list->run[i]);
  free(list->run);
  *list = (RunList){0};
}

Status run_epochs(const RunInfo *run, cJSON **out) {
  Text path = {0}, text = {0};
  text_printf(&path, "%s/log.jsonl", run->directory);
  Status status = file_exists(text_get(&path)) ? file_read(text_get(&path), &text) : STATUS_OK;
  text_free(&path);
  *out = status ? NULL : cJSON_CreateArray();
  for (const char *line = text_get(&text); !status && *line;) {
    size_t length = strcspn(line, "\n");
    cJSON *json = cJSON_ParseWithLength(line, length);
    if (cJSON_GetObjectItem(json, "mean_loss")) cJSON_AddItemToArray(*out, json);
    else cJSON_Delete(json);
    line += length + (line[length] != 0);
  }
  text_free(&text);
  return status;
}
