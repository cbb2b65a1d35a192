// sgrun_study_collect: figures of a study's steps, from the files that they left.
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "tools/sgrun_study.h"

typedef double Metrics[METRIC_COUNT];

static ExitCode read_text(const Study *study, int part, int repeat, const char *file, Text *out) {
  return cli_status(study->cli, file_read(study_path(study, part, repeat, file), out));
}

static double member(const cJSON *json, const char *key) {
  const cJSON *item = cJSON_GetObjectItem(json, key);
  return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

static const char *file_of(StudySet set, bool is_csv) {
  static const char *const names[][2] = {{"test.json", "test.csv"}, {"validation.json", "validation.csv"}};
  return names[set][is_csv];
}

// The means of one repetition.
static ExitCode read_means(const Study *study, int part, int repeat, StudySet set, Metrics out) {
  Text text = {0};
  ExitCode code = read_text(study, part, repeat, file_of(set, false), &text);
  cJSON *json = code ? NULL : cJSON_Parse(text_get(&text));
  for (int m = 0; m < METRIC_COUNT; m++) out[m] = member(json, metric_name((Metric)m));
  cJSON_Delete(json);
  text_free(&text);
  return code;
}

double study_figure(const Study *study, int part, int repeat, Metric metric) {
  Metrics means;
  StudySet set = study->has_test ? STUDY_TEST : STUDY_VALIDATION;
  return read_means(study, part, repeat, set, means) ? NAN : means[metric];
}

// Behind the name in quotes, its quotes doubled: width, height, valid, then the metrics in their order.
static void parse_row(const char *line, Metrics out) {
  bool is_quoted = false;
  int column = 0, first_metric = 4;
  for (int m = 0; m < METRIC_COUNT; m++) out[m] = NAN;
  for (; *line && *line != '\n'; line++) {
    if (*line == '"') is_quoted = !is_quoted;
    if (*line != ',' || is_quoted) continue;
    column++;
    if (column >= first_metric && column < first_metric + METRIC_COUNT && line[1] != ',' && line[1] != '\n')
      out[column - first_metric] = atof(line + 1);
  }
}

static const char *next_line(const char *at) {
  at += strcspn(at, "\n");
  return *at ? at + 1 : at;
}

// Adds 1/n of every picture's figures to out[n_pictures]; allocates it at the first repetition.
static ExitCode add_pictures(const Study *study, int part, int repeat, StudySet set, int64_t *n, Metrics **out) {
  Text text = {0};
  ExitCode code = read_text(study, part, repeat, file_of(set, true), &text);
  if (code) return code;
  int64_t rows = 0;
  for (const char *at = next_line(text_get(&text)); *at; at = next_line(at)) rows++;
  if (!*n) *n = rows;
  if (rows != *n)
    code = cli_fail(study->cli, EXIT_DATA, "%s has %lld pictures where others have %lld",
                    study_path(study, part, repeat, file_of(set, true)), (long long)rows, (long long)*n);
  if (!*out) *out = (Metrics *)(void *)ARENA_ARRAY(study->text.arena, double, rows *METRIC_COUNT + 1);
  const char *at = next_line(text_get(&text));
  for (int64_t i = 0; i < rows && !code; i++, at = next_line(at)) {
    Metrics row;
    parse_row(at, row);
    for (int m = 0; m < METRIC_COUNT; m++) (*out)[i][m] += row[m] / study->n_repeats;
  }
  text_free(&text);
  return code;
}

// Seconds of all sessions of a training, and its curve for the first repetition.
static ExitCode read_log(const Study *study, int part, int repeat, double *seconds, StudyCurve *curve) {
  enum { POINTS = 300 };
  Text text = {0};
  ExitCode code = read_text(study, part, repeat, "log.jsonl", &text);
  if (code) return code;
  int64_t n = 0, steps = 0;
  for (const char *at = text_get(&text); *at; at = next_line(at)) n++;
  Arena *arena = study->text.arena;
  double *step = ARENA_ARRAY(arena, double, n + 1), *loss = ARENA_ARRAY(arena, double, n + 1),
         *epoch = ARENA_ARRAY(arena, double, n + 1), *error = ARENA_ARRAY(arena, double, n + 1);
  double last = 0, mean = 0, weight = 0;
  int64_t every = n / POINTS + 1;
  int n_points = 0, n_epochs = 0;
  for (const char *at = text_get(&text); *at; at = next_line(at)) {
    cJSON *json = cJSON_ParseWithLength(at, strcspn(at, "\n"));
    double now = member(json, "seconds"), value = member(json, "loss");
    if (isfinite(value)) {              // one step
      if (now < last) *seconds += last; // a session that went on from a checkpoint counts from zero
      last = now;
      mean = 0.95 * mean + 0.05 * value;
      weight = 0.95 * weight + 0.05;
      if (steps++ % every == 0) {
        step[n_points] = member(json, "step");
        loss[n_points++] = mean / weight;
      }
    } else if (isfinite(member(json, "abs_rel"))) {
      epoch[n_epochs] = member(json, "step");
      error[n_epochs++] = member(json, "abs_rel");
    }
    cJSON_Delete(json);
  }
  *seconds += last;
  if (curve) *curve = (StudyCurve){n_points, n_epochs, step, loss, epoch, error};
  text_free(&text);
  return code;
}

static ExitCode read_bench(const Study *study, int part, StudyRow *row) {
  Text text = {0};
  ExitCode code = read_text(study, part, 0, "bench.json", &text);
  cJSON *json = code ? NULL : cJSON_Parse(text_get(&text));
  row->milliseconds = member(json, "median_ms");
  row->megabytes = 1e-6 * member(json, "memory_bytes");
  cJSON_Delete(json);
  text_free(&text);
  return code;
}

static ExitCode collect_part(const Study *study, int i, StudyReport *report) {
  const StudyPart *part = &study->parts[i];
  StudyRow *row = &report->rows[i];
  *row = (StudyRow){.label = part->lang->label,
                    .says = part->says,
                    .is_base = part->lang->role == ROLE_BASE,
                    .parameters = part->parameters,
                    .trained = part->trained,
                    .multiply_adds = part->multiply_adds};
  row->train_seconds = ARENA_ARRAY(study->text.arena, double, study->n_repeats);
  ExitCode code = read_bench(study, i, row);
  for (int set = 0; set < STUDY_SETS; set++) {
    row->metrics[set] = (Metrics *)(void *)ARENA_ARRAY(study->text.arena, double, study->n_repeats *METRIC_COUNT);
    for (int r = 0; r < study->n_repeats && !code; r++) {
      if (set == STUDY_TEST && !study->has_test) continue;
      code = read_means(study, i, r, (StudySet)set, row->metrics[set][r]);
      if (!code) code = add_pictures(study, i, r, (StudySet)set, &report->n_pictures[set], &row->pictures[set]);
    }
  }
  for (int r = 0; r < study->n_repeats && !code && part->trained; r++)
    code = read_log(study, i, r, &row->train_seconds[r], r ? NULL : &row->curve);
  return code;
}

ExitCode study_collect(const Study *study, StudyReport *report) {
  report->n_rows = study->lang->n_parts;
  report->n_bases = study->lang->n_bases;
  report->n_repeats = study->n_repeats;
  report->protocol = study->protocol;
  report->rows = ARENA_ARRAY(study->text.arena, StudyRow, report->n_rows);
  ExitCode code = EXIT_DONE;
  for (int i = 0; i < report->n_rows && !code; i++) code = collect_part(study, i, report);
  return code;
}
