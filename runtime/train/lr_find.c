// LR find: a learning-rate range test.
#include "runtime/train/lr_find.h"

#include <math.h>
#include <stdlib.h>

#include "runtime/train/trainer.h"

enum { SETTLED = 5 }; // steps before the average says much
static const double decay = 0.9, explosion = 4;

// Whether the lowest smoothed loss is below the mean of the first fifth, whose rates are too small to matter, by more
// than twice its standard error. A moving average with decay d has the variance of a mean over (1 + d) / (1 - d)
// values.
static bool is_clear(const LrFind *find) {
  int n = find->n / 5;
  if (n < SETTLED) n = find->n < SETTLED ? find->n : SETTLED;
  double mean = 0, variance = 0;
  for (int i = 0; i < n; i++) mean += find->loss[i] / n;
  for (int i = 0; i < n; i++) variance += (find->loss[i] - mean) * (find->loss[i] - mean) / n;
  double error = sqrt(variance * ((1 - decay) / (1 + decay) + 1.0 / n));
  return find->smoothed[find->lowest] < mean - 2 * error;
}

void lr_find_read(LrFind *find) {
  double sum = 0, weight = 0;
  int first = find->n > 2 * SETTLED ? SETTLED : 0;
  find->lowest = first;
  for (int i = 0; i < find->n; i++) {
    sum = decay * sum + (1 - decay) * find->loss[i];
    weight = decay * weight + (1 - decay);
    find->smoothed[i] = sum / weight;
    if (i > first && find->smoothed[i] < find->smoothed[find->lowest]) find->lowest = i;
  }
  find->suggestion = find->n ? find->lr[find->lowest] / 10 : (double)NAN;
  find->is_clear = find->n > 0 && is_clear(find);
}

// One step at a rate; its loss, or NaN where loss or gradient are not finite.
static Status one_step(const LrFindParts *from, const LrFindOptions *options, int i, double lr, double *out) {
  TrainOptions rates = {.schedule = {.kind = SCHEDULE_CONSTANT, .max_lr = lr, .beta1_high = options->beta1},
                        .beta2 = options->beta2,
                        .seed = options->seed,
                        .accumulate = options->accumulate};
  int parts = options->accumulate > 1 ? options->accumulate : 1;
  double sum = 0;
  for (int part = 0; part < parts && isfinite(sum); part++) {
    TRY(team_feed(from->team, from->step, from->batch, from->loader, NULL));
    for (int d = 0; d < team_devices(from->team); d++) train_hyper(&rates, i, part, from->step[d]);
    TRY(team_run(from->team, from->step));
    const Exec *exec = from->step[0];
    sum += isfinite(*exec_output(exec, "grad_norm")) ? (double)*exec_output(exec, "loss") / parts : (double)NAN;
  }
  *out = isfinite(sum) ? sum : (double)NAN;
  return STATUS_OK;
}

static LrFindEnd run_steps(const LrFindParts *from, const LrFindOptions *options, LrFind *find, Status *status) {
  for (int i = 0; i < options->steps; i++) {
    double lr = options->from * pow(options->to / options->from, (double)i / (options->steps - 1)), loss;
    *status = one_step(from, options, i, lr, &loss);
    if (*status) return LR_FIND_STOPPED;
    if (!isfinite(loss)) return LR_FIND_NOT_FINITE;
    find->lr[i] = lr;
    find->loss[i] = loss;
    find->n = i + 1;
    lr_find_read(find);
    if (options->step) options->step(options->context, i, lr, loss);
    if (find->n > SETTLED && find->smoothed[i] > explosion * find->smoothed[find->lowest]) return LR_FIND_EXPLODED;
    if (options->stop && *options->stop) return LR_FIND_STOPPED;
  }
  return LR_FIND_DONE;
}

Status lr_find(const LrFindParts *from, const LrFindOptions *options, LrFind *out) {
  size_t n = (size_t)options->steps;
  *out = (LrFind){
      .lr = calloc(n, sizeof(double)), .loss = calloc(n, sizeof(double)), .smoothed = calloc(n, sizeof(double))};
  if (!out->lr || !out->loss || !out->smoothed) BUG("out of memory");
  loader_seek(from->loader, 0, 0);
  Status status = STATUS_OK;
  out->end = run_steps(from, options, out, &status);
  if (!status && out->n < 3 && out->end != LR_FIND_STOPPED)
    status = status_make(EXIT_DIVERGED, "the loss is not finite at step %d already, at a rate of %g; begin lower",
                         out->n + 1, options->from);
  return status;
}

void lr_find_free(LrFind *find) {
  free(find->lr);
  free(find->loss);
  free(find->smoothed);
  *find = (LrFind){0};
}
