// Baseline: what a depth map that never looks at the picture scores.
#include "runtime/train/baseline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Depths are counted in cells of equal ratio: 0.1 % wide for the one value, 3.7 % for the map.
enum { VALUE_CELLS = 8192, MAP_CELLS = 256, PATCHES = 40 };

struct Baseline {
  const Protocol *protocol;
  int width, height;
  int64_t n_images;
  double *value_count;     // [VALUE_CELLS], each image weighs 1
  int patch, across, down; // side of the map's patches in pixels, and their numbers
  float *map_count;        // [down][across][MAP_CELLS]
  double *sum;             // [height][width] of the valid depths
  int64_t *n;              // [height][width]
  float *map[BASELINE_COUNT];
  MetricsMean score[BASELINE_COUNT];
};

static const char *const names[] = {
    [BASELINE_VALUE] = "best depth", [BASELINE_MEAN] = "mean map", [BASELINE_MAP] = "best map"};
const char *baseline_name(BaselineKind kind) { return names[kind]; }

static void *take(size_t n, size_t size) {
  void *out = calloc(n, size);
  if (!out) BUG("out of memory");
  return out;
}

Baseline *baseline_new(const Protocol *protocol, int width, int height) {
  Baseline *b = take(1, sizeof *b);
  size_t n = (size_t)width * (size_t)height;
  b->protocol = protocol;
  b->width = width;
  b->height = height;
  b->value_count = take(VALUE_CELLS, sizeof *b->value_count);
  b->patch = (width + PATCHES - 1) / PATCHES;
  b->across = (width + b->patch - 1) / b->patch;
  b->down = (height + b->patch - 1) / b->patch;
  b->map_count = take((size_t)b->across * (size_t)b->down * MAP_CELLS, sizeof *b->map_count);
  b->sum = take(n, sizeof *b->sum);
  b->n = take(n, sizeof *b->n);
  for (int k = 0; k < BASELINE_COUNT; k++) b->map[k] = take(n, sizeof **b->map);
  return b;
}

void baseline_free(Baseline *b) {
  if (!b) return;
  for (int k = 0; k < BASELINE_COUNT; k++) free(b->map[k]);
  free(b->value_count);
  free(b->map_count);
  free(b->sum);
  free(b->n);
  free(b);
}

static bool is_valid(const Protocol *p, float g) { return g > (float)p->depth_min && g < (float)p->depth_max; }

// The cell of a depth among n cells over the protocol's range, and the depth in the middle of a cell.
static int cell_of(const Protocol *p, float depth, int n) {
  int cell = (int)(log(depth / p->depth_min) / log(p->depth_max / p->depth_min) * n);
  return cell < 0 ? 0 : cell >= n ? n - 1 : cell;
}
static double cell_depth(const Protocol *p, double cell, int n) {
  return p->depth_min * pow(p->depth_max / p->depth_min, (cell + 0.5) / n);
}

void baseline_add(Baseline *b, const float *truth) {
  size_t n = (size_t)b->width * (size_t)b->height, n_valid = 0;
  for (size_t i = 0; i < n; i++) n_valid += is_valid(b->protocol, truth[i]);
  if (n_valid == 0) return;
  for (size_t i = 0; i < n; i++) {
    if (!is_valid(b->protocol, truth[i])) continue;
    b->value_count[cell_of(b->protocol, truth[i], VALUE_CELLS)] += 1.0 / (double)n_valid;
    size_t x = i % (size_t)b->width / (size_t)b->patch, y = i / (size_t)b->width / (size_t)b->patch;
    b->map_count[(y * (size_t)b->across + x) * MAP_CELLS + (size_t)cell_of(b->protocol, truth[i], MAP_CELLS)] += 1;
    b->sum[i] += truth[i];
    b->n[i]++;
  }
  b->n_images++;
}

// The centre of the window of cells, as wide as the threshold 1.25 to both sides, that holds the most; -1 if all is
// empty.
static double best_window(const Protocol *p, const double *count, int n) {
  int reach = (int)(log(1.25) / log(p->depth_max / p->depth_min) * n);
  double sum = 0, best = 0, best_first = -1, best_last = -1;
  for (int i = 0; i < reach && i < n; i++) sum += count[i];
  for (int i = 0; i < n; i++) { // window [i - reach, i + reach]
    if (i + reach < n) sum += count[i + reach];
    if (i - reach - 1 >= 0) sum -= count[i - reach - 1];
    if (sum > best * (1 + 1e-9)) {
      best = sum;
      best_first = best_last = i;
    } else if (sum >= best * (1 - 1e-9) && best_last == i - 1) {
      best_last = i; // a plateau: its middle
    }
  }
  return best > 0 ? (best_first + best_last) / 2 : -1;
}

// Adds up the counts of patch (x, y) and its neighbours: depth maps are smooth, and images are few.
static void gather(const Baseline *b, int x, int y, double *out) {
  memset(out, 0, sizeof *out * MAP_CELLS);
  for (int v = y - 1; v <= y + 1; v++)
    for (int u = x - 1; u <= x + 1; u++) {
      if (u < 0 || v < 0 || u >= b->across || v >= b->down) continue;
      const float *count = b->map_count + ((size_t)v * (size_t)b->across + (size_t)u) * MAP_CELLS;
      for (int k = 0; k < MAP_CELLS; k++) out[k] += count[k];
    }
}

void baseline_fit(Baseline *b) {
  double cell = best_window(b->protocol, b->value_count, VALUE_CELLS);
  float value = cell < 0 ? 1 : (float)cell_depth(b->protocol, cell, VALUE_CELLS);
  double *around = take(MAP_CELLS, sizeof *around);
  float *patches = take((size_t)b->across * (size_t)b->down, sizeof *patches);
  for (int y = 0; y < b->down; y++)
    for (int x = 0; x < b->across; x++) {
      gather(b, x, y, around);
      cell = best_window(b->protocol, around, MAP_CELLS);
      patches[y * b->across + x] = cell < 0 ? value : (float)cell_depth(b->protocol, cell, MAP_CELLS);
    }
  for (int y = 0; y < b->height; y++)
    for (int x = 0; x < b->width; x++) {
      size_t i = (size_t)y * (size_t)b->width + (size_t)x;
      b->map[BASELINE_VALUE][i] = value;
      b->map[BASELINE_MEAN][i] = b->n[i] ? (float)(b->sum[i] / (double)b->n[i]) : value;
      b->map[BASELINE_MAP][i] = patches[y / b->patch * b->across + x / b->patch];
    }
  free(around);
  free(patches);
}

const float *baseline_map(const Baseline *b, BaselineKind kind) { return b->map[kind]; }

void baseline_score(Baseline *b, const float *truth) {
  for (int k = 0; k < BASELINE_COUNT; k++) {
    double values[METRIC_COUNT];
    int64_t n = metrics_image(b->protocol, b->map[k], b->width, b->height, truth, b->width, b->height, values);
    metrics_add(&b->score[k], values, n);
  }
}

const MetricsMean *baseline_metrics(const Baseline *b, BaselineKind kind) { return &b->score[kind]; }

BaselineKind baseline_best(const Baseline *b) {
  BaselineKind best = BASELINE_VALUE;
  for (int k = 1; k < BASELINE_COUNT; k++)
    if (metrics_mean(&b->score[k], METRIC_DELTA1) > metrics_mean(&b->score[best], METRIC_DELTA1))
      best = (BaselineKind)k;
  return best;
}

// Hands the unaugmented truth of the first n samples to `use`.
static Status each_truth(Baseline *b, const Dataset *dataset, int64_t n, void (*use)(Baseline *, const float *)) {
  size_t plane = (size_t)b->width * (size_t)b->height;
  float *rgb = take(3 * plane, sizeof *rgb), *depth = take(plane, sizeof *depth);
  Status status = STATUS_OK;
  for (int64_t i = 0; i < n && i < dataset->size && !status; i++) {
    Sample sample;
    status = dataset_sample(dataset, i, &sample);
    if (status_code(status) == EXIT_DATA) { // the loader names and counts what cannot be read
      status_free(status);
      status = STATUS_OK;
      continue;
    }
    if (status) break;
    AugmentDraw draw;
    augment_draw(AUGMENT_NONE, (AugmentKey){0}, sample.picture.width, sample.picture.height, b->width, b->height,
                 &draw);
    augment_apply(&draw, &sample, b->width, b->height, rgb, depth);
    use(b, depth);
    sample_free(&sample);
  }
  free(rgb);
  free(depth);
  return status;
}

Status baseline_run(Baseline *b, const Dataset *train, int64_t n_fit, const Dataset *validation) {
  TRY(each_truth(b, train, n_fit, baseline_add));
  baseline_fit(b);
  return each_truth(b, validation, validation->size, baseline_score);
}
