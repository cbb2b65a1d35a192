// draw <CHARTS.json >PICTURE.svg: draws a list of charts one below the other:
//   [{"title":..,"x_label":..,"y_label":..,"x_log":bool,"y_log":bool,"lines":[{"name":..,"x":[..],"y":[..]},..]},..]
// A value that is null breaks its line.
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/arena.h"
#include "runtime/report/chart.h"

enum { WIDTH = 860, HEIGHT = 420, GAP = 12 };

static const char *string_of(const cJSON *object, const char *name) {
  return cJSON_GetStringValue(cJSON_GetObjectItem(object, name));
}

static const double *numbers_of(Arena *arena, const cJSON *object, const char *name, int *out_n) {
  const cJSON *list = cJSON_GetObjectItem(object, name), *item;
  double *values = ARENA_ARRAY(arena, double, cJSON_GetArraySize(list) + 1);
  int n = 0;
  cJSON_ArrayForEach(item, list) values[n++] = cJSON_IsNumber(item) ? item->valuedouble : NAN;
  *out_n = n;
  return values;
}

static void put_chart(Arena *arena, const cJSON *object, Text *out) {
  const cJSON *lines = cJSON_GetObjectItem(object, "lines"), *line;
  ChartLine *list = ARENA_ARRAY(arena, ChartLine, cJSON_GetArraySize(lines) + 1);
  Chart chart = {.title = string_of(object, "title"),
                 .x_label = string_of(object, "x_label"),
                 .y_label = string_of(object, "y_label"),
                 .is_x_log = cJSON_IsTrue(cJSON_GetObjectItem(object, "x_log")),
                 .is_y_log = cJSON_IsTrue(cJSON_GetObjectItem(object, "y_log")),
                 .lines = list};
  cJSON_ArrayForEach(line, lines) {
    int n_x, n_y;
    const double *x = numbers_of(arena, line, "x", &n_x), *y = numbers_of(arena, line, "y", &n_y);
    list[chart.n_lines++] = (ChartLine){string_of(line, "name"), n_x < n_y ? n_x : n_y, x, y};
  }
  chart_svg(&chart, WIDTH, HEIGHT, out);
}

int main(void) {
  Text json = {0}, svg = {0};
  char piece[1 << 16];
  for (size_t n; (n = fread(piece, 1, sizeof piece, stdin));) text_write(&json, piece, n);
  cJSON *charts = cJSON_Parse(text_get(&json)), *chart;
  if (!cJSON_IsArray(charts)) {
    fprintf(stderr, "draw: stdin is no list of charts\n");
    return EXIT_FAILURE;
  }
  Arena *arena = arena_new();
  int n = cJSON_GetArraySize(charts), at = 0;
  text_printf(&svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\">\n", WIDTH,
              n * (HEIGHT + GAP));
  text_put(&svg, "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n");
  cJSON_ArrayForEach(chart, charts) {
    text_printf(&svg, "<g transform=\"translate(0 %d)\">\n", at++ * (HEIGHT + GAP));
    put_chart(arena, chart, &svg);
    text_put(&svg, "</g>\n");
  }
  text_put(&svg, "</svg>\n");
  fputs(text_get(&svg), stdout);
  arena_free(arena);
  text_free(&svg);
  text_free(&json);
  cJSON_Delete(charts);
  return EXIT_SUCCESS;
}
