// Reference evaluators of index ops. Indices are f32 integers; whatever lies outside a row means "none".
#include <math.h>
#include <stdlib.h>

#include "compiler/ops/rules.h"

typedef struct Point {
  float value;
  int64_t index;
} Point;

static int by_value_then_index(const void *a, const void *b) {
  const Point *x = a, *y = b;
  if (x->value != y->value) return x->value < y->value ? -1 : 1;
  return (x->index > y->index) - (x->index < y->index);
}

// The first of n sorted points whose value is not below `value`; n if there is none.
static int64_t lower_bound(const Point *points, int64_t n, float value) {
  int64_t from = 0, to = n;
  while (from < to) {
    int64_t middle = from + (to - from) / 2;
    if (points[middle].value < value) {
      from = middle + 1;
    } else {
      to = middle;
    }
  }
  return from;
}

// Equally near points: the lower index wins.
static int64_t nearest_index(const Point *points, int64_t n, float query) {
  if (n == 0 || isnan(query)) return -1;
  int64_t above = lower_bound(points, n, query);
  if (above == 0) return points[0].index;
  int64_t below = lower_bound(points, n, points[above - 1].value);
  if (above == n) return points[below].index;
  double up = (double)points[above].value - query, down = (double)query - points[below].value;
  if (up == down) return points[above].index < points[below].index ? points[above].index : points[below].index;
  return up < down ? points[above].index : points[below].index;
}

void ref_nearest(const RefArgs *args) {
  Shape queries = args->node->in[0]->shape, points = args->node->in[1]->shape;
  Arena *scratch = arena_new();
  Point *sorted = ARENA_ARRAY(scratch, Point, points.dim[1]);
  for (int64_t row = 0; row < queries.dim[0]; row++) {
    int64_t n = 0;
    for (int64_t i = 0; i < points.dim[1]; i++) {
      float value = args->in[1][row * points.dim[1] + i];
      if (args->in[2][row * points.dim[1] + i] != 0 && !isnan(value)) sorted[n++] = (Point){value, i};
    }
    qsort(sorted, (size_t)n, sizeof *sorted, by_value_then_index);
    for (int64_t i = 0; i < queries.dim[1]; i++) {
      int64_t at = row * queries.dim[1] + i;
      args->out[at] = (float)nearest_index(sorted, n, args->in[0][at]);
    }
  }
  arena_free(scratch);
}

static bool is_inside(float index, int64_t n) { return index >= 0 && index < (double)n; }

void ref_gather(const RefArgs *args) {
  Shape x = args->node->in[0]->shape, indices = args->node->in[1]->shape;
  for (int64_t row = 0; row < indices.dim[0]; row++) {
    for (int64_t i = row * indices.dim[1]; i < (row + 1) * indices.dim[1]; i++) {
      float index = args->in[1][i];
      args->out[i] = is_inside(index, x.dim[1]) ? args->in[0][row * x.dim[1] + (int64_t)index] : 0;
    }
  }
}

void ref_scatter_add(const RefArgs *args) {
  Shape values = args->node->in[0]->shape;
  int64_t size = args->node->shape.dim[1];
  Arena *scratch = arena_new();
  double *acc = ARENA_ARRAY(scratch, double, size);
  for (int64_t row = 0; row < values.dim[0]; row++) {
    for (int64_t i = 0; i < size; i++) acc[i] = 0;
    for (int64_t i = row * values.dim[1]; i < (row + 1) * values.dim[1]; i++) {
      float index = args->in[1][i];
      if (is_inside(index, size)) acc[(int64_t)index] += args->in[0][i];
    }
    for (int64_t i = 0; i < size; i++) args->out[row * size + i] = (float)acc[i];
  }
  arena_free(scratch);
}
