// Validate: an evaluation program run over a loader's samples.
#include "runtime/train/validate.h"

#include <math.h>
#include <stdlib.h>

// Sums about the first value, so that the deviation of nearly equal numbers is not lost in rounding.
typedef struct Spread {
  double first, sum, squares;
  int64_t n;
} Spread;

static void spread_add(Spread *spread, const float *values, int64_t n) {
  if (!spread->n) spread->first = (double)values[0];
  for (int64_t i = 0; i < n; i++) {
    double x = (double)values[i] - spread->first;
    spread->sum += x;
    spread->squares += x * x;
  }
  spread->n += n;
}

// What one device has seen.
typedef struct Seen {
  Spread spread;
  MetricsMean metrics;
} Seen;

// The figures of a device as numbers that can be added up: sums, from which the mean of all follows.
typedef struct Totals {
  double sum[METRIC_COUNT], images, empty, pixels;
  double depths, mean, squares; // of predictions: how many, and about their own mean
} Totals;

static Totals totals_of(const Seen *seen) {
  const Spread *spread = &seen->spread;
  double n = (double)spread->n;
  Totals totals = {.images = (double)seen->metrics.n_images,
                   .empty = (double)seen->metrics.n_empty,
                   .pixels = (double)seen->metrics.n_pixels,
                   .depths = n};
  for (int m = 0; m < METRIC_COUNT; m++) totals.sum[m] = seen->metrics.sum[m];
  if (!spread->n) return totals;
  double mean = spread->sum / n;
  totals.mean = spread->first + mean;
  totals.squares = spread->squares - n * mean * mean;
  return totals;
}

// Brings the figures of all devices together, in the order of the devices, however they are spread over processes.
static Status join(Team *team, const Seen *seen, Validation *out) {
  World *world = team_world(team);
  int n = world_size(world);
  Totals *all = calloc((size_t)n, sizeof *all);
  if (!all) BUG("out of memory");
  for (int d = 0; d < team_devices(team); d++) all[world_first(world) + d] = totals_of(&seen[d]);
  Status status = world_sum(world, (double *)all, n * (int)(sizeof *all / sizeof(double))); // others have zeros there
  double depths = 0, sum = 0, squares = 0;
  for (int d = 0; d < n; d++) {
    for (int m = 0; m < METRIC_COUNT; m++) out->metrics.sum[m] += all[d].sum[m];
    out->metrics.n_images += (int64_t)all[d].images;
    out->metrics.n_empty += (int64_t)all[d].empty;
    out->metrics.n_pixels += (int64_t)all[d].pixels;
    depths += all[d].depths;
    sum += all[d].depths * all[d].mean;
  }
  out->mean = sum / depths;
  for (int d = 0; d < n; d++) {
    double off = all[d].mean - out->mean;
    squares += all[d].squares + all[d].depths * off * off;
  }
  out->deviation = isfinite(out->mean) ? sqrt(fmax(squares / depths, 0)) : (double)NAN;
  free(all);
  return status;
}

// The pictures of one device's share; `first` is the place of its first in the batch of the process.
static void judge(const Exec *exec, const Protocol *protocol, const Batch *batch, int64_t first, Seen *seen) {
  const Program *program = exec_program(exec);
  const Shape rgb = program->buffers[program_find(program, BUFFER_INPUT, "rgb")].shape,
              depth = program->buffers[program_find(program, BUFFER_OUTPUT, "depth")].shape;
  int64_t plane = depth.dim[2] * depth.dim[3];
  const float *predicted = exec_output(exec, "depth");
  for (int64_t k = 0; k < rgb.dim[0] && first + k < batch->n; k++) {
    double values[METRIC_COUNT];
    int64_t n =
        metrics_image(protocol, predicted + k * plane, (int)depth.dim[3], (int)depth.dim[2],
                      batch->depth + (first + k) * rgb.dim[2] * rgb.dim[3], (int)rgb.dim[3], (int)rgb.dim[2], values);
    metrics_add(&seen->metrics, values, n);
    spread_add(&seen->spread, predicted + k * plane, plane);
  }
}

static Status look(Team *team, Exec *const *evaluation, int64_t batch, Loader *loader, const Protocol *protocol,
                   Seen *seen) {
  int64_t first = team_part(team, batch).first;
  loader_seek(loader, 0, 0);
  for (int64_t i = 0; i < loader_batches(loader); i++) {
    Batch taken;
    TRY(team_feed(team, evaluation, batch, loader, &taken));
    TRY(team_run(team, evaluation));
    for (int d = 0; d < team_devices(team); d++)
      judge(evaluation[d], protocol, &taken, team_share(team, batch, d).first - first, &seen[d]);
  }
  return STATUS_OK;
}

Status train_validate(Team *team, Exec *const *evaluation, int64_t batch, Loader *loader, const Protocol *protocol,
                      Validation *out) {
  Seen *seen = calloc((size_t)team_devices(team), sizeof *seen);
  if (!seen) BUG("out of memory");
  *out = (Validation){0};
  Status status = look(team, evaluation, batch, loader, protocol, seen);
  if (!status) status = join(team, seen, out);
  free(seen);
  return status;
}

bool validation_is_collapsed(const Validation *validation) {
  return !(validation->deviation > 1e-3 * fabs(validation->mean));
}
