// Chart: lines over a pair of axes, as a picture in SVG that needs nothing else.
#ifndef SG_REPORT_CHART_H
#define SG_REPORT_CHART_H

#include <stdbool.h>

#include "runtime/base/text.h"

typedef struct ChartLine {
  const char *name; // in the legend; NULL = not listed
  int n;
  const double *x, *y; // lent; a value that is not finite (or not positive on a logarithmic axis) breaks the line
} ChartLine;

typedef struct Chart {
  const char *title, *x_label, *y_label; // NULL = none
  bool is_x_log, is_y_log;
  const ChartLine *lines;
  int n_lines;
  const char *mark; // text beside a vertical line at mark_x; NULL = no line
  double mark_x;
} Chart;

// Appends one <svg> element of width x height pixels to `out`. The axes cover all points, with ticks at round numbers;
// a chart without a point is an empty frame. Equal charts give equal text.
void chart_svg(const Chart *chart, int width, int height, Text *out);

// The colour of the i-th line, "#rrggbb", for legends elsewhere.
const char *chart_colour(int i);

// Appends `string` with the characters escaped that XML and HTML give a meaning to.
void text_put_xml(Text *text, const char *string);

#endif
