// Study report as Markdown: the two tables and the differences.
#include <math.h>

#include "runtime/report/study.h"

static void put_metrics(const StudyReport *report, StudySet set, Text *out) {
  text_put(out, "| | parameters |");
  for (int c = 0; c < METRIC_COUNT; c++) text_printf(out, " %s |", metric_name(protocol_metric(report->protocol, c)));
  text_put(out, "\n|---|---|");
  for (int c = 0; c < METRIC_COUNT; c++) text_put(out, "---|");
  text_put(out, "\n");
  for (int i = 0; i < report->n_rows; i++) {
    const StudyRow *row = &report->rows[i];
    text_printf(out, "| %s | %.2f M |", row->label, 1e-6 * (double)row->parameters);
    for (int c = 0; c < METRIC_COUNT; c++) {
      Metric metric = protocol_metric(report->protocol, c);
      double mean, deviation;
      study_mean(report, row, set, metric, &mean, &deviation);
      int rank = study_rank(report, i, set, metric);
      text_printf(out, " %s%.4f%s",
                  rank == 1   ? "**"
                  : rank == 2 ? "<u>"
                              : "",
                  mean,
                  rank == 1   ? "**"
                  : rank == 2 ? "</u>"
                              : "");
      if (report->n_repeats > 1) text_printf(out, " ± %.4f", deviation);
      text_put(out, " |");
    }
    text_put(out, "\n");
  }
}

static void put_resources(const StudyReport *report, Text *out) {
  text_put(out, "| | parameters MB | trained MB | multiply-adds | ms a picture | pictures/s | memory MB | training |\n"
                "|---|---|---|---|---|---|---|---|\n");
  for (int i = 0; i < report->n_rows; i++) {
    const StudyRow *row = &report->rows[i];
    double seconds = 0;
    for (int k = 0; k < report->n_repeats; k++) seconds += row->train_seconds[k] / report->n_repeats;
    text_printf(out, "| %s | %.2f | %.2f | %.2f G | %.1f | %.1f | %.0f | %.1f min |\n", row->label,
                4e-6 * (double)row->parameters, 4e-6 * (double)row->trained, 1e-9 * row->multiply_adds,
                row->milliseconds, 1000 / row->milliseconds, row->megabytes, seconds / 60);
  }
}

static void put_differences(const StudyReport *report, Text *out) {
  text_put(out, "| | against | delta1 | abs_rel |\n|---|---|---|---|\n");
  for (int a = report->n_bases; a < report->n_rows; a++) {
    // Against the best base and against the first variant.
    int best = 0, rows[2], n = 0;
    for (int b = 1; b < report->n_bases; b++) {
      double x, y, ignored;
      study_mean(report, &report->rows[b], STUDY_TEST, METRIC_ABS_REL, &x, &ignored);
      study_mean(report, &report->rows[best], STUDY_TEST, METRIC_ABS_REL, &y, &ignored);
      if (x < y) best = b;
    }
    rows[n++] = best;
    if (a > report->n_bases) rows[n++] = report->n_bases;
    for (int k = 0; k < n; k++) {
      Interval d = study_difference(report, a, rows[k], STUDY_TEST, METRIC_DELTA1),
               r = study_difference(report, a, rows[k], STUDY_TEST, METRIC_ABS_REL);
      text_printf(out, "| %s | %s | %+.4f [%+.4f, %+.4f] | %+.4f [%+.4f, %+.4f] |\n", report->rows[a].label,
                  report->rows[rows[k]].label, d.mean, d.low, d.high, r.mean, r.low, r.high);
    }
  }
}

void study_markdown(const StudyReport *report, Text *out) {
  char digest[9];
  Text says = {0};
  protocol_digest(report->protocol, digest);
  protocol_describe(report->protocol, &says);
  text_printf(out, "# %s\n\n%s\n\n- protocol %s#%s: %s\n- %s\n- `%s`\n", report->title, report->data,
              report->protocol->name, digest, text_get(&says), report->machine, report->command);
  for (int i = 0; i < report->n_notes; i++) text_printf(out, "- %s\n", report->note[i]);
  text_free(&says);
  for (StudySet set = 0; set < STUDY_SETS; set++) {
    if (!report->n_pictures[set]) continue;
    text_put(out, "\n## ");
    study_heading(report, set, out);
    text_put(out, "\n\n");
    put_metrics(report, set, out);
  }
  text_put(out, "\nBold is best, underlined second best.");
  if (report->n_repeats > 1) text_printf(out, " Mean and deviation of %d repetitions.", report->n_repeats);
  text_put(out, "\n\n## Resources\n\n");
  put_resources(report, out);
  if (report->n_pictures[STUDY_TEST]) {
    text_put(out, "\n## Differences on the test pictures, with 95 % bootstrap intervals over pictures\n\n");
    put_differences(report, out);
  }
}
