// Study report as one page of HTML: tables, curves, differences and a gallery, without outside references.
#include <math.h>

#include "runtime/report/chart.h"
#include "runtime/report/study.h"

static const char *const style =
    "body{font:15px/1.5 sans-serif;max-width:1200px;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:1em 0;font-size:13px}th,td{padding:.25em .7em;text-align:right;"
    "border-bottom:1px solid #ddd}th:first-child,td:first-child{text-align:left}tr.line td{border-bottom:2px solid "
    "#888}"
    "code{background:#f4f4f4;padding:.1em .3em}.sure{background:#e3f1e3}.worse{background:#f6e3e3}"
    "img{max-width:100%;image-rendering:pixelated}p.small,li{font-size:13px;color:#555}";

static void put_cell(Text *out, const char *tag, const char *text) {
  text_printf(out, "<%s>", tag);
  text_put_xml(out, text);
  text_printf(out, "</%s>", tag);
}

static void begin_row(const StudyReport *report, int i, Text *out) {
  text_printf(out, "<tr%s>", i + 1 == report->n_bases ? " class=\"line\"" : "");
  put_cell(out, "td", report->rows[i].label);
}

static void put_metrics(const StudyReport *report, StudySet set, Text *out) {
  text_put(out, "<table><tr><th></th><th>parameters</th>");
  for (int c = 0; c < METRIC_COUNT; c++) {
    Metric metric = protocol_metric(report->protocol, c);
    text_put(out, "<th title=\"");
    text_put_xml(out, metric_formula(metric));
    text_printf(out, "\">%s %s</th>", metric_name(metric), metric_rises(metric) ? "&uarr;" : "&darr;");
  }
  text_put(out, "</tr>\n");
  for (int i = 0; i < report->n_rows; i++) {
    begin_row(report, i, out);
    text_printf(out, "<td>%.2f M</td>", 1e-6 * (double)report->rows[i].parameters);
    for (int c = 0; c < METRIC_COUNT; c++) {
      Metric metric = protocol_metric(report->protocol, c);
      double mean, deviation;
      study_mean(report, &report->rows[i], set, metric, &mean, &deviation);
      static const char *const open[] = {"", "<b>", "<u>"}, *const close[] = {"", "</b>", "</u>"};
      int rank = study_rank(report, i, set, metric);
      text_printf(out, "<td>%s%.4f%s", open[rank], mean, close[rank]);
      if (report->n_repeats > 1) text_printf(out, " &plusmn; %.4f", deviation);
      text_put(out, "</td>");
    }
    text_put(out, "</tr>\n");
  }
  text_put(out, "</table>\n");
}

static void put_resources(const StudyReport *report, Text *out) {
  text_put(out,
           "<table><tr><th></th><th>parameters MB</th><th>trained MB</th><th>multiply-adds</th><th>ms a picture</th>"
           "<th>pictures/s</th><th>memory MB</th><th>training</th></tr>\n");
  for (int i = 0; i < report->n_rows; i++) {
    const StudyRow *row = &report->rows[i];
    double seconds = 0;
    for (int k = 0; k < report->n_repeats; k++) seconds += row->train_seconds[k] / report->n_repeats;
    begin_row(report, i, out);
    text_printf(
        out, "<td>%.2f</td><td>%.2f</td><td>%.2f G</td><td>%.1f</td><td>%.1f</td><td>%.0f</td><td>%.1f min</td></tr>\n",
        4e-6 * (double)row->parameters, 4e-6 * (double)row->trained, 1e-9 * row->multiply_adds, row->milliseconds,
        1000 / row->milliseconds, row->megabytes, seconds / 60);
  }
  double alone = 0;
  for (int i = 0; i < report->n_bases; i++) alone += report->rows[i].milliseconds;
  text_printf(
      out,
      "</table>\n<p class=\"small\">Batch 1. Base learners stand alone, the others are whole stacks in one graph; "
      "the %d bases one after another take %.1f ms.</p>\n",
      report->n_bases, alone);
}

// Row minus column; coloured where the interval leaves zero out.
static void put_differences(const StudyReport *report, Metric metric, Text *out) {
  text_printf(out, "<table><tr><th>%s</th>", metric_name(metric));
  for (int b = 0; b < report->n_rows; b++) put_cell(out, "th", report->rows[b].label);
  text_put(out, "</tr>\n");
  for (int a = 0; a < report->n_rows; a++) {
    begin_row(report, a, out);
    for (int b = 0; b < report->n_rows; b++) {
      if (a == b) {
        text_put(out, "<td></td>");
        continue;
      }
      Interval d = study_difference(report, a, b, STUDY_TEST, metric);
      bool is_sure = d.low > 0 || d.high < 0, is_better = metric_rises(metric) ? d.mean > 0 : d.mean < 0;
      text_printf(out, "<td%s>%+.4f<br><small>[%+.4f, %+.4f]</small></td>",
                  !is_sure    ? ""
                  : is_better ? " class=\"sure\""
                              : " class=\"worse\"",
                  d.mean, d.low, d.high);
    }
    text_put(out, "</tr>\n");
  }
  text_put(out, "</table>\n");
}

static void put_curves(const StudyReport *report, Text *out) {
  enum { MAX_LINES = 32 };
  ChartLine loss[MAX_LINES], error[MAX_LINES];
  int n = 0;
  for (int i = 0; i < report->n_rows && n < MAX_LINES; i++) {
    const StudyCurve *curve = &report->rows[i].curve;
    if (!curve->n_steps) continue;
    loss[n] = (ChartLine){report->rows[i].label, curve->n_steps, curve->step, curve->loss};
    error[n++] = (ChartLine){report->rows[i].label, curve->n_epochs, curve->epoch_step, curve->abs_rel};
  }
  if (!n) return;
  Chart chart = {.title = "training loss (smoothed)", .x_label = "step", .lines = loss, .n_lines = n};
  chart_svg(&chart, 580, 360, out);
  chart.title = "validation abs_rel";
  chart.lines = error;
  chart_svg(&chart, 580, 360, out);
}

static void put_base64(Text *out, const Text *bytes) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const unsigned char *data = (const unsigned char *)bytes->data;
  for (size_t i = 0; i < bytes->size; i += 3) {
    size_t n = bytes->size - i < 3 ? bytes->size - i : 3;
    unsigned word = (unsigned)data[i] << 16 | (n > 1 ? data[i + 1] << 8 : 0) | (n > 2 ? data[i + 2] : 0);
    char group[4] = {digits[word >> 18], digits[word >> 12 & 63], n > 1 ? digits[word >> 6 & 63] : '=',
                     n > 2 ? digits[word & 63] : '='};
    text_write(out, group, 4);
  }
}

static void put_gallery(const StudyReport *report, Text *out) {
  for (int i = 0; i < report->n_gallery; i++) {
    text_put(out, "<p>");
    text_put_xml(out, report->gallery[i].caption);
    text_put(out, "</p>\n<p><img alt=\"\" src=\"data:image/png;base64,");
    put_base64(out, &report->gallery[i].png);
    text_put(out, "\"></p>\n");
  }
}

static void put_head(const StudyReport *report, Text *out) {
  char digest[9];
  Text says = {0};
  protocol_digest(report->protocol, digest);
  protocol_describe(report->protocol, &says);
  text_put(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
  text_put_xml(out, report->title);
  text_printf(out, "</title><style>%s</style></head><body>\n", style);
  put_cell(out, "h1", report->title);
  put_cell(out, "p", report->data);
  text_printf(out, "<p>Protocol <code>%s#%s</code>: ", report->protocol->name, digest);
  text_put_xml(out, text_get(&says));
  text_put(out, "</p>\n<ul>");
  for (int i = 0; i < report->n_notes; i++) put_cell(out, "li", report->note[i]);
  put_cell(out, "li", report->machine);
  text_put(out, "<li><code>");
  text_put_xml(out, report->command);
  text_put(out, "</code></li></ul>\n");
  text_free(&says);
}

void study_html(const StudyReport *report, Text *out) {
  put_head(report, out);
  for (StudySet set = 0; set < STUDY_SETS; set++) {
    if (!report->n_pictures[set]) continue;
    text_put(out, "<h2>");
    study_heading(report, set, out);
    text_put(out, "</h2>\n");
    put_metrics(report, set, out);
  }
  text_put(out, "<p class=\"small\">Bold is best, underlined second best.");
  if (report->n_repeats > 1) text_printf(out, " Mean and deviation of %d repetitions.", report->n_repeats);
  text_put(out, "</p>\n<h2>Resources</h2>\n");
  put_resources(report, out);
  text_put(out, "<h2>Learning curves</h2>\n<p class=\"small\">Losses are each part's own and not comparable where "
                "parts add terms; abs_rel is.</p>\n");
  put_curves(report, out);
  if (report->n_pictures[STUDY_TEST]) {
    text_put(out,
             "<h2>Differences on the test pictures</h2>\n<p class=\"small\">Row minus column, with a 95 % bootstrap "
             "interval over pictures; green: better beyond doubt, red: worse.</p>\n");
    put_differences(report, METRIC_ABS_REL, out);
    put_differences(report, METRIC_DELTA1, out);
  }
  if (report->n_gallery) text_put(out, "<h2>Gallery</h2>\n");
  put_gallery(report, out);
  text_put(out, "</body></html>\n");
}
