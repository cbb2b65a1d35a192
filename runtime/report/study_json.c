// Study report as JSON: every figure of the page, for other programs.
#include <math.h>

#include "runtime/report/study.h"

static void put_number(Text *out, double value) {
  if (isfinite(value)) text_printf(out, "%.9g", value);
  else text_put(out, "null");
}

static void put_member(Text *out, const char *key, const char *value) {
  text_printf(out, "\"%s\":", key);
  text_put_json(out, value);
  text_put(out, ",");
}

static void put_metrics(const StudyReport *report, const StudyRow *row, StudySet set, Text *out) {
  text_put(out, "{");
  for (int m = 0; m < METRIC_COUNT; m++) {
    double mean, deviation;
    study_mean(report, row, set, (Metric)m, &mean, &deviation);
    text_printf(out, "%s\"%s\":{\"mean\":", m ? "," : "", metric_name((Metric)m));
    put_number(out, mean);
    text_put(out, ",\"deviation\":");
    put_number(out, deviation);
    text_put(out, ",\"repeats\":[");
    for (int i = 0; i < report->n_repeats; i++) {
      if (i) text_put(out, ",");
      put_number(out, row->metrics[set][i][m]);
    }
    text_put(out, "]}");
  }
  text_put(out, "}");
}

static void put_row(const StudyReport *report, const StudyRow *row, Text *out) {
  text_put(out, "{");
  put_member(out, "label", row->label);
  put_member(out, "model", row->says);
  text_printf(out, "\"base\":%s,\"parameters\":%lld,\"trained\":%lld,\"multiply_adds\":%.0f,\"milliseconds\":",
              row->is_base ? "true" : "false", (long long)row->parameters, (long long)row->trained, row->multiply_adds);
  put_number(out, row->milliseconds);
  text_put(out, ",\"megabytes\":");
  put_number(out, row->megabytes);
  text_put(out, ",\"train_seconds\":[");
  for (int i = 0; i < report->n_repeats; i++) {
    if (i) text_put(out, ",");
    put_number(out, row->train_seconds[i]);
  }
  text_put(out, "],\"test\":");
  put_metrics(report, row, STUDY_TEST, out);
  text_put(out, ",\"validation\":");
  put_metrics(report, row, STUDY_VALIDATION, out);
  text_put(out, "}");
}

static void put_differences(const StudyReport *report, Text *out) {
  static const Metric metrics[] = {METRIC_DELTA1, METRIC_ABS_REL, METRIC_RMSE};
  bool is_first = true;
  for (int m = 0; m < 3; m++)
    for (int a = 0; a < report->n_rows; a++)
      for (int b = 0; b < a; b++) {
        Interval interval = study_difference(report, a, b, STUDY_TEST, metrics[m]);
        text_printf(out, "%s{\"metric\":\"%s\",", is_first ? "" : ",", metric_name(metrics[m]));
        is_first = false;
        put_member(out, "a", report->rows[a].label);
        put_member(out, "b", report->rows[b].label);
        text_put(out, "\"difference\":");
        put_number(out, interval.mean);
        text_put(out, ",\"low\":");
        put_number(out, interval.low);
        text_put(out, ",\"high\":");
        put_number(out, interval.high);
        text_put(out, "}");
      }
}

void study_json(const StudyReport *report, Text *out) {
  char digest[9];
  protocol_digest(report->protocol, digest);
  text_put(out, "{\"schema\":\"sgrun.study/1\",");
  put_member(out, "title", report->title);
  put_member(out, "data", report->data);
  put_member(out, "machine", report->machine);
  put_member(out, "command", report->command);
  text_printf(out,
              "\"protocol\":\"%s#%s\",\"repeats\":%d,\"test_pictures\":%lld,\"validation_pictures\":%lld,\"rows\":[",
              report->protocol->name, digest, report->n_repeats, (long long)report->n_pictures[STUDY_TEST],
              (long long)report->n_pictures[STUDY_VALIDATION]);
  for (int i = 0; i < report->n_rows; i++) {
    if (i) text_put(out, ",");
    put_row(report, &report->rows[i], out);
  }
  text_put(out, "],\"differences\":[");
  if (report->n_pictures[STUDY_TEST]) put_differences(report, out);
  text_put(out, "]}\n");
}
