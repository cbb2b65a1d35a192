// Study report: ranks, means and differences that all forms of the report share.
#include "runtime/report/study.h"

#include <math.h>

void study_mean(const StudyReport *report, const StudyRow *row, StudySet set, Metric metric, double *out_mean,
                double *out_deviation) {
  double sum = 0, squares = 0;
  int n = report->n_repeats;
  for (int i = 0; i < n; i++) sum += row->metrics[set][i][metric];
  double mean = sum / n;
  for (int i = 0; i < n; i++) squares += pow(row->metrics[set][i][metric] - mean, 2);
  *out_mean = mean;
  *out_deviation = n > 1 ? sqrt(squares / (n - 1)) : 0;
}

void study_heading(const StudyReport *report, StudySet set, Text *out) {
  long long n = report->n_pictures[set];
  if (set == STUDY_TEST) text_printf(out, "On %lld test pictures that no training saw", n);
  else text_printf(out, "On the %lld validation pictures by which weights were chosen (optimistic)", n);
}

int study_rank(const StudyReport *report, int row, StudySet set, Metric metric) {
  double own, other, ignored;
  study_mean(report, &report->rows[row], set, metric, &own, &ignored);
  if (!isfinite(own)) return 0;
  double best_above = NAN; // the best of those that beat this row
  for (int i = 0; i < report->n_rows; i++) {
    study_mean(report, &report->rows[i], set, metric, &other, &ignored);
    bool is_better = metric_rises(metric) ? other > own : other < own;
    if (!is_better) continue;
    if (!isnan(best_above) && other != best_above) return 0; // two different figures are better
    best_above = other;
  }
  return isnan(best_above) ? 1 : 2;
}

Interval study_difference(const StudyReport *report, int a, int b, StudySet set, Metric metric) {
  enum { DRAWS = 10000, SEED = 1 };
  return bootstrap_difference(&report->rows[a].pictures[set][0][metric], &report->rows[b].pictures[set][0][metric],
                              report->n_pictures[set], METRIC_COUNT, 0.95, DRAWS, SEED);
}
