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

static Status save(Run *run, const char *file, CheckpointKind kind) {
  RunMetadata metadata;
  Text path = {0};
  metadata_init(&metadata, run);
  train_path(run->options->directory, file, &path);
  Status status = checkpoint_save(text_get(&path), run->parts->step, kind, metadata.items, metadata.n);
  text_free(&path);
  free(metadata.items);
  run->saved = clock_seconds();
  return status;
}
static Status save_checkpoint(Run *run) { return save(run, "checkpoint.safetensors", CHECKPOINT_ALL); }

static Status resume(Run *run) {
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
    if (!status) status = checkpoint_restore(file, run->parts->step, NULL);
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

static Status end_epoch(Run *run) {
  const TrainOptions *options = run->options;
  TrainEpoch epoch = {.epoch = run->step / run->steps_per_epoch, .epochs = options->epochs, .step = run->step};
  Validation validation;
  epoch.loss = run->epoch_loss / (double)run->steps_per_epoch;
  run->epoch_loss = 0;
  TRY(checkpoint_copy(run->parts->step, run->parts->evaluation));
  TRY(train_validate(run->parts->evaluation, run->parts->validation, options->protocol, &validation));
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
  if (options->events.epoch) options->events.epoch(options->events.context, &epoch);
  if (!options->collapse_patience || run->collapsed < options->collapse_patience) return STATUS_OK;
  TRY(train_log_stop(run->log, run->step, "collapsed"));
  return status_make(
      EXIT_DIVERGED,
      "the output 'depth' was constant, or not finite, in %lld validations in a row (now %g m, deviation "
      "%g m, over all pixels and pictures); the last checkpoint is kept; try a smaller --set lr, or "
      "--set collapse_patience=0 if this is right",
      (long long)run->collapsed, validation.mean, validation.deviation);
}

// A run that did not end well: saves what repeats it and says what is known.
static Status diverged(Run *run, const Batch *batch, int part, double loss, double grad_norm) {
  const TrainOptions *options = run->options;
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
  Status status = diverged_save(options->directory, run->parts->step, &failed, metadata.items, metadata.n);
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

static void feed(Exec *exec, const char *input, const float *values) {
  const Program *program = exec_program(exec);
  const Buffer *buffer = &program->buffers[program_find(program, BUFFER_INPUT, input)];
  memcpy(exec_input(exec, input), values, (size_t)shape_elements(buffer->shape) * sizeof *values);
}

Status train_feed(Exec *exec, Loader *loader, Batch *out) {
  Batch batch;
  TRY(loader_next(loader, &batch));
  feed(exec, "rgb", batch.rgb);
  feed(exec, "gt", batch.depth);
  if (out) *out = batch;
  return STATUS_OK;
}

// Whether the loss was scaled so much that a gradient may have overflowed: the step is left out, and the next one's
// scale is smaller.
static bool is_rescaled(Exec *exec) {
  const float *scale = exec_output(exec, "loss_scale");
  return scale && *scale > 1;
}

static Status one_step(Run *run) {
  const TrainOptions *options = run->options;
  Exec *exec = run->parts->step;
  TrainStep event = {.steps = run->steps, .epochs = options->epochs, .parts = run->accumulate};
  for (int part = 0; part < run->accumulate; part++) {
    Batch batch;
    TRY(train_feed(exec, run->parts->training, &batch));
    train_hyper(options, run->step, part, exec);
    TRY(exec_run(exec));
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
  const Program *program = exec_program(exec);
  int64_t batch = program->buffers[program_find(program, BUFFER_INPUT, "rgb")].shape.dim[0] * run->accumulate;
  event.left = event.seconds / done * (double)(run->steps - run->step);
  event.pictures = done * (double)batch / event.seconds;
  TRY(train_log_step(run->log, &event));
  if (options->events.step) options->events.step(options->events.context, &event);
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
  if (options->events.stop) options->events.stop(options->events.context, text_get(&reason));
  text_free(&reason);
  return STATUS_OK;
}

static Status interrupted(Run *run, const char *why) {
  TRY(save_checkpoint(run));
  TRY(train_log_stop(run->log, run->step, why));
  return status_make(EXIT_INTERRUPTED, "%s: saved after step %lld of %lld; the same command with --resume goes on", why,
                     (long long)run->step, (long long)run->steps);
}

static Status run_steps(Run *run) {
  const TrainOptions *options = run->options;
  while (run->step < run->steps) {
    bool is_over;
    TRY(out_of_patience(run, &is_over));
    if (is_over) break;
    TRY(one_step(run));
    if (run->step % run->steps_per_epoch == 0) {
      TRY(end_epoch(run));
    } else if (clock_seconds() - run->saved > options->checkpoint_seconds) {
      TRY(save_checkpoint(run));
    }
    if (run->step == run->steps) break;
    if (options->stop && *options->stop) return interrupted(run, "stopped");
    if (options->time_limit > 0 && clock_seconds() - run->started > options->time_limit)
      return interrupted(run, "out of time");
  }
  return STATUS_OK;
}

Status train_run(const TrainParts *parts, const TrainOptions *options) {
  Run run = {
      .parts = parts, .options = options, .best = INFINITY, .started = clock_seconds(), .saved = clock_seconds()};
  run.accumulate = options->accumulate > 1 ? options->accumulate : 1;
  run.steps_per_epoch = loader_batches(parts->training) / run.accumulate;
  run.steps = options->epochs * run.steps_per_epoch;
  TRY(file_make_directory(options->directory));
  if (options->is_resume) TRY(resume(&run));
  run.first_step = run.step;
  loader_seek(parts->training, run.step / run.steps_per_epoch, run.step % run.steps_per_epoch * run.accumulate);
  Text path = {0};
  train_path(options->directory, "log.jsonl", &path);
  Status status = train_log_open(text_get(&path), run.step, &run.log);
  text_free(&path);
  if (!status && run.step == 0) status = save_checkpoint(&run); // finds a full disk at once
  if (!status) status = run_steps(&run);
  train_log_close(run.log);
  return status;
}
