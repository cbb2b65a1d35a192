// Chart: lines over a pair of axes, as a picture in SVG.
#include "runtime/report/chart.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LEFT = 66, RIGHT = 16, TOP = 34, BOTTOM = 46, MAX_TICKS = 32, LEGEND_STEP = 17 };

// One axis: values from..to (their decimal logarithms where is_log) on pixels start..end.
typedef struct Axis {
  bool is_log;
  double from, to, start, end;
  double tick[MAX_TICKS]; // values
  int n_ticks;
} Axis;

const char *chart_colour(int i) {
  // Distinguishable with any colour vision (Okabe and Ito, 2008).
  static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                        "#e69f00", "#56b4e9", "#000000", "#8a7f00"};
  return colours[i % (int)(sizeof colours / sizeof *colours)];
}

void text_put_xml(Text *text, const char *string) {
  for (; *string; string++) {
    switch (*string) {
    case '<': text_put(text, "&lt;"); break;
    case '>': text_put(text, "&gt;"); break;
    case '&': text_put(text, "&amp;"); break;
    case '"': text_put(text, "&quot;"); break;
    default: text_write(text, string, 1);
    }
  }
}

static bool is_shown(const Axis *axis, double value) { return isfinite(value) && (!axis->is_log || value > 0); }
static double scaled(const Axis *axis, double value) { return axis->is_log ? log10(value) : value; }
static double pixel(const Axis *axis, double value) {
  return axis->start + (scaled(axis, value) - axis->from) / (axis->to - axis->from) * (axis->end - axis->start);
}

static void cover(Axis *axis, double value) {
  if (!is_shown(axis, value)) return;
  axis->from = fmin(axis->from, scaled(axis, value));
  axis->to = fmax(axis->to, scaled(axis, value));
}

static void add_tick(Axis *axis, double value) {
  double at = scaled(axis, value), slack = 1e-9 * (axis->to - axis->from);
  if (axis->n_ticks < MAX_TICKS && at >= axis->from - slack && at <= axis->to + slack)
    axis->tick[axis->n_ticks++] = value;
}

// The step of 1, 2 or 5 times a power of ten that cuts a length into four to ten pieces.
static double round_step(double length) {
  double power = pow(10, floor(log10(length / 4))), ratio = length / 4 / power;
  return power * (ratio >= 5 ? 5 : ratio >= 2 ? 2 : 1);
}

// Widens an axis to whole ticks and lists these.
static void place_ticks(Axis *axis) {
  if (axis->from > axis->to) axis->from = 0, axis->to = 1;
  if (axis->to - axis->from < 1e-12 * fmax(1, fabs(axis->to))) axis->from -= 0.5, axis->to += 0.5;
  if (axis->is_log) {
    bool is_wide = axis->to - axis->from > 2;
    for (int power = (int)floor(axis->from); power <= (int)ceil(axis->to); power++)
      for (int digit = 1; digit < 10; digit += is_wide ? 9 : digit == 1 ? 1 : digit == 2 ? 3 : 5)
        add_tick(axis, digit * pow(10, power));
    return;
  }
  double step = round_step(axis->to - axis->from);
  axis->from = floor(axis->from / step + 1e-9) * step;
  axis->to = ceil(axis->to / step - 1e-9) * step;
  for (double k = round(axis->from / step); k * step <= axis->to + step / 2; k++) add_tick(axis, k * step);
}

static void put_text(Text *out, double x, double y, const char *anchor, const char *more, const char *string) {
  text_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s>", x, y, anchor, more);
  text_put_xml(out, string);
  text_put(out, "</text>\n");
}

static void put_axes(const Axis *x, const Axis *y, Text *out) {
  char label[32];
  for (int i = 0; i < x->n_ticks; i++) {
    double at = pixel(x, x->tick[i]);
    text_printf(out, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"#ddd\"/>\n", at, y->start, y->end);
    snprintf(label, sizeof label, "%.4g", x->tick[i]);
    put_text(out, at, y->start + 16, "middle", "", label);
  }
  for (int i = 0; i < y->n_ticks; i++) {
    double at = pixel(y, y->tick[i]);
    text_printf(out, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"#ddd\"/>\n", x->start, at, x->end);
    snprintf(label, sizeof label, "%.4g", y->tick[i]);
    put_text(out, x->start - 6, at + 4, "end", "", label);
  }
  text_printf(out, "<path d=\"M%.1f %.1fV%.1fH%.1f\" fill=\"none\" stroke=\"#333\"/>\n", x->start, y->end, y->start,
              x->end);
}

static void put_line(const Axis *x, const Axis *y, const ChartLine *line, const char *colour, Text *out) {
  text_printf(out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"1.6\" d=\"", colour);
  bool is_down = false;
  for (int i = 0; i < line->n; i++) {
    bool is_point = is_shown(x, line->x[i]) && is_shown(y, line->y[i]);
    if (is_point) text_printf(out, "%c%.1f %.1f", is_down ? 'L' : 'M', pixel(x, line->x[i]), pixel(y, line->y[i]));
    is_down = is_point;
  }
  text_put(out, "\"/>\n");
  if (line->n == 1 && is_down)
    text_printf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", pixel(x, line->x[0]),
                pixel(y, line->y[0]), colour);
}

void chart_svg(const Chart *chart, int width, int height, Text *out) {
  Axis x = {chart->is_x_log, INFINITY, -INFINITY, LEFT, width - RIGHT, {0}, 0};
  Axis y = {chart->is_y_log, INFINITY, -INFINITY, height - BOTTOM, TOP, {0}, 0};
  for (int l = 0; l < chart->n_lines; l++)
    for (int i = 0; i < chart->lines[l].n; i++) {
      if (!is_shown(&x, chart->lines[l].x[i]) || !is_shown(&y, chart->lines[l].y[i])) continue;
      cover(&x, chart->lines[l].x[i]);
      cover(&y, chart->lines[l].y[i]);
    }
  place_ticks(&x);
  place_ticks(&y);
  text_printf(out,
              "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
              "font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
              width, height, width, height, width, height);
  put_axes(&x, &y, out);
  for (int l = 0; l < chart->n_lines; l++) put_line(&x, &y, &chart->lines[l], chart_colour(l), out);
  if (chart->mark && is_shown(&x, chart->mark_x)) {
    double at = pixel(&x, chart->mark_x);
    text_printf(out, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"#c00\" stroke-dasharray=\"4 3\"/>\n", at, y.start, y.end);
    put_text(out, at + 4, y.start - 6, "start", " fill=\"#c00\"", chart->mark);
  }
  int listed = 0;
  for (int l = 0; l < chart->n_lines; l++) {
    if (!chart->lines[l].name) continue;
    double at = TOP + 12 + LEGEND_STEP * listed++;
    text_printf(out, "<path d=\"M%d %.1fh16\" stroke=\"%s\" stroke-width=\"3\"/>\n", width - RIGHT - 20, at - 4,
                chart_colour(l));
    put_text(out, width - RIGHT - 26, at, "end", "", chart->lines[l].name);
  }
  if (chart->title) put_text(out, (LEFT + width - RIGHT) / 2.0, 20, "middle", " font-size=\"14\"", chart->title);
  if (chart->x_label) put_text(out, (LEFT + width - RIGHT) / 2.0, height - 10, "middle", "", chart->x_label);
  if (chart->y_label) {
    char turn[64];
    snprintf(turn, sizeof turn, " transform=\"rotate(-90 14 %.1f)\"", (y.start + y.end) / 2);
    put_text(out, 14, (y.start + y.end) / 2, "middle", turn, chart->y_label);
  }
  text_put(out, "</svg>\n");
}
