// Trainer: the loop over steps and epochs, validation, checkpoints and resuming.
#include "runtime/train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/random.h"
#include "runtime/train/diverged.h"
#include "runtime/train/log.h"

typedef struct Run {
  const TrainParts *parts;
  const TrainOptions *options;
  TrainLog *log;
  int accumulate;
  int64_t step, steps, steps_per_epoch, first_step; // step: done so far
  double best;                                      // least abs_rel of a validation so far
  int64_t since_best, collapsed;                    // validations since that one; the last ones of constant depth
  double started, saved;
  double epoch_loss; // sum over the steps of this epoch
  // On a device that computes while the host works, the next part's batch is in the inputs already.
  bool is_ahead;
  Batch ahead;
  int64_t *sample;     // of the batch being computed
  Status ahead_status; // of making it
} Run;

void train_path(const char *directory, const char *file, Text *out) {
  text_clear(out);
  text_printf(out, "%s/%s", directory, file);
}

// The caller's metadata and where the run stands.
typedef struct RunMetadata {
  Metadata *items;
  int n;
  char step[32], best[32], since_best[32], collapsed[32], epoch_loss[32];
} RunMetadata;

static void metadata_init(RunMetadata *metadata, const Run *run) {
  const TrainOptions *options = run->options;
  metadata->items = calloc((size_t)options->n_metadata + 6, sizeof *metadata->items);
  if (!metadata->items) BUG("out of memory");
  int n = options->n_metadata;
  if (n) memcpy(metadata->items, options->metadata, (size_t)n * sizeof *metadata->items);
  snprintf(metadata->step, sizeof metadata->step, "%lld", (long long)run->step);
  snprintf(metadata->best, sizeof metadata->best, "%.17g", run->best);
  snprintf(metadata->since_best, sizeof metadata->since_best, "%lld", (long long)run->since_best);
  snprintf(metadata->collapsed, sizeof metadata->collapsed, "%lld", (long long)run->collapsed);
  metadata->items[n++] = (Metadata){"sgc.step", metadata->step};
  metadata->items[n++] = (Metadata){"sgc.best", metadata->best};
  metadata->items[n++] = (Metadata){"sgc.since_best", metadata->since_best};
  metadata->items[n++] = (Metadata){"sgc.collapsed", metadata->collapsed};
  snprintf(metadata->epoch_loss, sizeof metadata->epoch_loss, "%.17g", run->epoch_loss);
  metadata->items[n++] = (Metadata){"sgc.epoch_loss", metadata->epoch_loss};
  metadata->items[n++] = (Metadata){"sgc.configuration", options->configuration};
  metadata->n = n;
}

static bool is_writer(const Run *run) { return team_is_first(run->parts->team); }

static Status save(Run *run, const char *file, CheckpointKind kind) {
  RunMetadata metadata;
  if (!is_writer(run)) return STATUS_OK;
  Text path = {0};
  metadata_init(&metadata, run);
  train_path(run->options->directory, file, &path);
  Status status = checkpoint_save(text_get(&path), run->parts->step[0], kind, metadata.items, metadata.n);
  text_free(&path);
  free(metadata.items);
  run->saved = clock_seconds();
  return status;
}
static Status save_checkpoint(Run *run) { return save(run, "checkpoint.safetensors", CHECKPOINT_ALL); }

static Status read_checkpoint(Run *run) {
  Text path = {0};
  train_path(run->options->directory, "checkpoint.safetensors", &path);
  WeightFile *file = NULL;
  Status status = weights_open(text_get(&path), &file);
  if (status) {
    status = status_context(status, "nothing to resume");
  } else {
    const char *step = weights_metadata(file, "sgc.step"), *best = weights_metadata(file, "sgc.best");
    const char *configuration = weights_metadata(file, "sgc.configuration");
    const char *since_best = weights_metadata(file, "sgc.since_best"),
               *collapsed = weights_metadata(file, "sgc.collapsed"),
               *epoch_loss = weights_metadata(file, "sgc.epoch_loss");
    if (!step || !best || !since_best || !collapsed || !epoch_loss || !configuration)
      status = status_make(EXIT_WEIGHTS, "%s is not a training checkpoint", text_get(&path));
    else if (strcmp(configuration, run->options->configuration))
      status = status_make(EXIT_USAGE, "the run was started with other settings: %s", configuration);
    if (!status) status = checkpoint_verify(file);
    if (!status) status = checkpoint_restore(file, run->parts->step[0], NULL);
    if (!status) {
      run->step = atoll(step);
      run->best = atof(best);
      run->since_best = atoll(since_best);
      run->collapsed = atoll(collapsed);
      run->epoch_loss = atof(epoch_loss);
    }
  }
  weights_close(file);
  text_free(&path);
  return status;
}

// The first process reads the checkpoint, if there is one to go on from; all begin with its values.
static Status begin(Run *run) {
  Team *team = run->parts->team;
  if (run->options->is_resume && is_writer(run)) TRY(read_checkpoint(run));
  double stand[] = {(double)run->step, run->best, (double)run->since_best, (double)run->collapsed, run->epoch_loss};
  TRY(world_broadcast(team_world(team), stand, sizeof stand));
  run->step = (int64_t)stand[0];
  run->best = stand[1];
  run->since_best = (int64_t)stand[2];
  run->collapsed = (int64_t)stand[3];
  run->epoch_loss = stand[4];
  return team_spread(team, run->parts->step);
}

static Status end_epoch(Run *run) {
  const TrainOptions *options = run->options;
  TrainEpoch epoch = {.epoch = run->step / run->steps_per_epoch, .epochs = options->epochs, .step = run->step};
  Validation validation;
  epoch.loss = run->epoch_loss / (double)run->steps_per_epoch;
  run->epoch_loss = 0;
  for (int i = 0; i < team_devices(run->parts->team); i++)
    TRY(checkpoint_copy(run->parts->step[i], run->parts->evaluation[i]));
  TRY(train_validate(run->parts->team, run->parts->evaluation, run->parts->batch, run->parts->validation,
                     options->protocol, &validation));
  epoch.metrics = validation.metrics;
  epoch.mean = validation.mean;
  epoch.deviation = validation.deviation;
  run->collapsed = validation_is_collapsed(&validation) ? run->collapsed + 1 : 0;
  double abs_rel = metrics_mean(&epoch.metrics, METRIC_ABS_REL);
  epoch.is_best = abs_rel < run->best;
  run->since_best = epoch.is_best ? 0 : run->since_best + 1;
  epoch.collapsed = run->collapsed;
  epoch.since_best = run->since_best;
  epoch.ema = options->ema;
  if (epoch.is_best) {
    run->best = abs_rel;
    TRY(save(run, "weights.safetensors", CHECKPOINT_MODEL));
  }
  TRY(train_log_epoch(run->log, &epoch));
  TRY(save_checkpoint(run));
  if (options->events.epoch && is_writer(run)) options->events.epoch(options->events.context, &epoch);
  if (!options->collapse_patience || run->collapsed < options->collapse_patience) return STATUS_OK;
  TRY(train_log_stop(run->log, run->step, "collapsed"));
  return status_make(
      EXIT_DIVERGED,
      "the output 'depth' was constant, or not finite, in %lld validations in a row (now %g m, deviation "
      "%g m, over all pixels and pictures); the last checkpoint is kept; try a smaller --set lr, or "
      "--set collapse_patience=0 if this is right",
      (long long)run->collapsed, validation.mean, validation.deviation);
}

// Among several devices no process has all samples of the step: it is found again on one device.
static Status diverged_together(Run *run, double loss, double grad_norm) {
  TRY(train_log_stop(run->log, run->step + 1, "diverged"));
  return status_make(EXIT_DIVERGED,
                     "the loss is %g and the gradient norm %g at step %lld (epoch %lld); the step was not applied, and "
                     "the last checkpoint is kept; --resume on one device comes to the same step and looks into it; "
                     "try a smaller --set lr or clip",
                     loss, grad_norm, (long long)run->step + 1, (long long)(run->step / run->steps_per_epoch + 1));
}

// A run that did not end well: saves what repeats it and says what is known.
static Status diverged(Run *run, const Batch *batch, int part, double loss, double grad_norm) {
  const TrainOptions *options = run->options;
  if (world_size(team_world(run->parts->team)) > 1) return diverged_together(run, loss, grad_norm);
  DivergedStep failed = {.step = run->step + 1,
                         .epoch = run->step / run->steps_per_epoch + 1,
                         .part = part,
                         .parts = run->accumulate,
                         .loss = loss,
                         .grad_norm = grad_norm,
                         .batch = batch,
                         .loader = run->parts->training};
  RunMetadata metadata;
  metadata_init(&metadata, run);
  Status status = diverged_save(options->directory, run->parts->step[0], &failed, metadata.items, metadata.n);
  free(metadata.items);
  TRY(status);
  TRY(train_log_stop(run->log, failed.step, "diverged"));
  Text samples = {0}, place = {0};
  diverged_samples(&failed, 4, ", ", &samples);
  train_path(options->directory, "diverged", &place);
  if (options->events.diverged) options->events.diverged(options->events.context, text_get(&place));
  status = status_make(
      EXIT_DIVERGED,
      "the loss is %g and the gradient norm %g at step %lld (epoch %lld; samples %s); the step was not "
      "applied, the last checkpoint is kept, and %s holds the step; try a smaller --set lr or clip",
      loss, grad_norm, (long long)failed.step, (long long)failed.epoch, text_get(&samples), text_get(&place));
  text_free(&samples);
  text_free(&place);
  return status;
}

void train_hyper(const TrainOptions *options, int64_t step, int part, Exec *exec) {
  float *hyper = exec_input(exec, "hyper"), *random_key = exec_input(exec, "random_key");
  int parts = options->accumulate > 1 ? options->accumulate : 1;
  double lr, beta1, t = (double)step + 1;
  schedule_at(&options->schedule, step, &lr, &beta1);
  hyper[HYPER_LR] = (float)lr;
  hyper[HYPER_BETA1] = (float)beta1;
  hyper[HYPER_UNBIAS1] = (float)(1 - pow(beta1, t));
  hyper[HYPER_UNBIAS2] = (float)(1 - pow(options->beta2, t));
  hyper[HYPER_KEEP] = part > 0;
  hyper[HYPER_SHARE] = (float)(1.0 / parts);
  hyper[HYPER_APPLY] = part == parts - 1;
  // A plain mean until that would reach further back than the decay does: so no bias towards the beginning remains.
  hyper[HYPER_RENEW] = (float)fmax(1 - options->ema, 1 / t);
  if (random_key) random_step_key(options->seed, step * parts + part, random_key);
}

// The next batch and what belongs to a part of a step, into the inputs.
static Status feed_part(Run *run, int64_t step, int part, Batch *out) {
  const TrainParts *parts = run->parts;
  TRY(team_feed(parts->team, parts->step, parts->batch, parts->training, out));
  for (int i = 0; i < team_devices(parts->team); i++) train_hyper(run->options, step, part, parts->step[i]);
  return STATUS_OK;
}

// While a part is computed, brings the one after it to the devices.
static void feed_ahead(Run *run, int part) {
  const TrainParts *parts = run->parts;
  bool is_last = part + 1 == run->accumulate;
  int64_t step = run->step + is_last;
  if (step == run->steps || !team_overlaps(parts->team, parts->step)) return;
  run->ahead_status = feed_part(run, step, is_last ? 0 : part + 1, &run->ahead);
  if (!run->ahead_status) run->ahead_status = team_send(parts->team, parts->step);
  run->is_ahead = true;
}

// The samples' numbers, which the loader would take back when it makes the next batch.
static Batch keep_samples(const Batch *batch, int64_t *sample) {
  Batch kept = *batch;
  memcpy(sample, batch->sample, sizeof *sample * (size_t)batch->n);
  kept.sample = sample;
  return kept;
}

// One part of a step: its batch in, loss and norm of the gradient out.
static Status one_part(Run *run, int part, Batch *batch) {
  const TrainParts *parts = run->parts;
  Status status = run->ahead_status;
  if (run->is_ahead) *batch = run->ahead;
  else status = feed_part(run, run->step, part, batch);
  run->is_ahead = false;
  run->ahead_status = STATUS_OK;
  TRY(status);
  *batch = keep_samples(batch, run->sample);
  TRY(team_start(parts->team, parts->step));
  feed_ahead(run, part);
  return team_finish(parts->team, parts->step);
}

// Whether the loss was scaled so much that a gradient may have overflowed: the step is left out, and the next one's
// scale is smaller.
static bool is_rescaled(const Exec *exec) {
  const float *scale = exec_output(exec, "loss_scale");
  return scale && *scale > 1;
}

static Status one_step(Run *run) {
  const TrainOptions *options = run->options;
  const TrainParts *parts = run->parts;
  const Exec *exec = parts->step[0]; // losses and gradients are the same on all devices
  TrainStep event = {.steps = run->steps, .epochs = options->epochs, .parts = run->accumulate};
  for (int part = 0; part < run->accumulate; part++) {
    Batch batch;
    TRY(one_part(run, part, &batch));
    double loss = (double)*exec_output(exec, "loss");
    event.grad_norm = (double)*exec_output(exec, "grad_norm");
    if (isnan(loss)) loss = (double)NAN; // of one sign, for messages
    if (isnan(event.grad_norm)) event.grad_norm = (double)NAN;
    if (!isfinite(loss) || (!isfinite(event.grad_norm) && !is_rescaled(exec)))
      return diverged(run, &batch, part, loss, event.grad_norm);
    event.loss += loss / run->accumulate;
  }
  schedule_at(&options->schedule, run->step, &event.lr, &event.beta1);
  event.epoch = run->step / run->steps_per_epoch + 1;
  event.step = ++run->step;
  run->epoch_loss += event.loss;
  event.seconds = clock_seconds() - run->started;
  double done = (double)(run->step - run->first_step);
  event.left = event.seconds / done * (double)(run->steps - run->step);
  event.pictures = done * (double)(parts->batch * run->accumulate) / event.seconds;
  TRY(train_log_step(run->log, &event));
  if (options->events.step && is_writer(run)) options->events.step(options->events.context, &event);
  return STATUS_OK;
}

// Whether the run has waited long enough for a better epoch; says so.
static Status out_of_patience(Run *run, bool *out) {
  const TrainOptions *options = run->options;
  *out = options->patience && run->since_best >= options->patience;
  if (!*out) return STATUS_OK;
  TRY(train_log_stop(run->log, run->step, "patience"));
  Text reason = {0};
  text_printf(&reason, "%lld validations without a better abs_rel than %.4f: stopped after epoch %lld of %lld",
              (long long)run->since_best, run->best, (long long)(run->step / run->steps_per_epoch),
              (long long)options->epochs);
  if (options->events.stop && is_writer(run)) options->events.stop(options->events.context, text_get(&reason));
  text_free(&reason);
  return STATUS_OK;
}

static Status interrupted(Run *run, const char *why) {
  TRY(save_checkpoint(run));
  TRY(train_log_stop(run->log, run->step, why));
  return status_make(EXIT_INTERRUPTED, "%s: saved after step %lld of %lld; the same command with --resume goes on", why,
                     (long long)run->step, (long long)run->steps);
}

// Whether the run is to end now, and why; NULL where not. All processes come to the same answer: any one may be told to
// stop, and the first one keeps the time.
static Status find_end(Run *run, const char **out) {
  const TrainOptions *options = run->options;
  bool is_late = options->time_limit > 0 && clock_seconds() - run->started > options->time_limit;
  double asked[] = {options->stop && *options->stop, is_late && is_writer(run)};
  TRY(world_sum(team_world(run->parts->team), asked, 2));
  *out = asked[0] > 0 ? "stopped" : asked[1] > 0 ? "out of time" : NULL;
  return STATUS_OK;
}

static Status run_steps(Run *run) {
  const TrainOptions *options = run->options;
  while (run->step < run->steps) {
    bool is_over;
    const char *why;
    TRY(out_of_patience(run, &is_over));
    if (is_over) break;
    TRY(one_step(run));
    if (run->step % run->steps_per_epoch == 0) {
      TRY(end_epoch(run));
    } else if (clock_seconds() - run->saved > options->checkpoint_seconds) {
      TRY(save_checkpoint(run));
    }
    if (run->step == run->steps) break;
    TRY(find_end(run, &why));
    if (why) return interrupted(run, why);
  }
  return STATUS_OK;
}

Status train_run(const TrainParts *parts, const TrainOptions *options) {
  Run run = {
      .parts = parts, .options = options, .best = INFINITY, .started = clock_seconds(), .saved = clock_seconds()};
  run.accumulate = options->accumulate > 1 ? options->accumulate : 1;
  run.steps_per_epoch = loader_batches(parts->training) / run.accumulate;
  run.steps = options->epochs * run.steps_per_epoch;
  if (is_writer(&run)) TRY(file_make_directory(options->directory));
  TRY(begin(&run));
  run.first_step = run.step;
  run.sample = calloc((size_t)parts->batch, sizeof *run.sample);
  if (!run.sample) BUG("out of memory");
  loader_seek(parts->training, run.step / run.steps_per_epoch, run.step % run.steps_per_epoch * run.accumulate);
  Text path = {0};
  train_path(options->directory, "log.jsonl", &path);
  Status status = is_writer(&run) ? train_log_open(text_get(&path), run.step, &run.log) : STATUS_OK;
  text_free(&path);
  if (!status && run.step == 0) status = save_checkpoint(&run); // finds a full disk at once
  if (!status) status = run_steps(&run);
  status_free(run.ahead_status);
  free(run.sample);
  train_log_close(run.log);
  return status;
}
