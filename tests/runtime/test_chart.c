// Charts: what they draw, gaps, logarithmic axes, odd input.
#include "runtime/report/chart.h"
#include "tests/check.h"

static int count(const char *text, const char *what) {
  int n = 0;
  for (const char *at = text; (at = strstr(at, what)); at++) n++;
  return n;
}

static void test_lines(void) {
  double x[] = {0, 1, 2, 3, 4}, y[] = {0, 2, NAN, 1, 4}, z[] = {4, 3, 2, 1, 0};
  ChartLine lines[] = {{"first <a>", 5, x, y}, {"second", 5, x, z}};
  Chart chart = {.title = "T & t",
                 .x_label = "steps",
                 .y_label = "loss",
                 .lines = lines,
                 .n_lines = 2,
                 .mark = "here",
                 .mark_x = 2};
  Text text = {0}, again = {0};
  chart_svg(&chart, 400, 300, &text);
  chart_svg(&chart, 400, 300, &again);
  const char *svg = text_get(&text);
  CHECK_TEXT(svg, text_get(&again), "equal charts, equal text");
  CHECK(strstr(svg, "first &lt;a&gt;") && strstr(svg, "T &amp; t"), "escaped: %s", svg);
  // 66..384 is the width, 254..34 the height; both axes run 0 .. 4
  CHECK(strstr(svg, "M66.0 254.0L145.5 144.0M304.5 199.0L384.0 34.0"), "the gap breaks the line: %s", svg);
  CHECK(strstr(svg, "M225.0 254.0V34.0\" stroke=\"#c00\""), "the mark stands at 2: %s", svg);
  CHECK(count(svg, "<text") == 2 * 5 + 2 + 1 + 3, "%d texts: ticks, legend, mark, titles", count(svg, "<text"));
  text_free(&text);
  text_free(&again);
}

static void test_logarithmic(void) {
  double x[] = {1e-5, 1e-4, 1e-3, 0, -1}, y[] = {1, 10, 100, 5, 5};
  ChartLine line = {"rate", 5, x, y};
  Chart chart = {.is_x_log = true, .is_y_log = true, .lines = &line, .n_lines = 1};
  Text text = {0};
  chart_svg(&chart, 400, 300, &text);
  CHECK(strstr(text_get(&text), "M66.0 254.0L225.0 144.0L384.0 34.0\""), "a power is straight: %s", text_get(&text));
  text_free(&text);
}

static void test_odd(void) {
  double same[] = {3, 3}, nothing[] = {NAN, INFINITY};
  ChartLine lines[] = {
      {NULL, 2, same, same}, {"none", 2, nothing, nothing}, {"empty", 0, NULL, NULL}, {"dot", 1, same, same}};
  for (int n = 0; n <= 4; n++) {
    Chart chart = {.lines = lines, .n_lines = n};
    Text text = {0};
    chart_svg(&chart, 100, 80, &text);
    CHECK(!strstr(text_get(&text), "nan") && !strstr(text_get(&text), "inf"), "%d lines: %s", n, text_get(&text));
    CHECK(strstr(text_get(&text), "</svg>"), "closed");
    text_free(&text);
  }
}

int main(void) {
  test_lines();
  test_logarithmic();
  test_odd();
  return check_report("chart");
}
