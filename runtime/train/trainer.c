// Trainer: the loop over steps and epochs, validation, checkpoints and resuming.
#include "runtime/train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/base/file.h"
#include "runtime/train/log.h"

typedef struct Run {
  const TrainParts *parts;
  const TrainOptions *options;
  TrainLog *log;
  int64_t step, steps, steps_per_epoch, first_step; // step: done so far
  double best, started, saved;                      // best: least validation abs_rel so far
  double epoch_loss;
  int64_t epoch_steps;
} Run;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void train_path(const char *directory, const char *file, Text *out) {
  text_clear(out);
  text_printf(out, "%s/%s", directory, file);
}

// Writes checkpoint.safetensors (with moments and counters) or weights.safetensors (without).
static Status save(Run *run, const char *file, bool is_checkpoint) {
  const TrainOptions *options = run->options;
  Metadata *metadata = calloc((size_t)options->n_metadata + 3, sizeof *metadata);
  if (!metadata) BUG("out of memory");
  int n = options->n_metadata;
  if (n) memcpy(metadata, options->metadata, (size_t)n * sizeof *metadata);
  char step[32], best[32];
  snprintf(step, sizeof step, "%lld", (long long)run->step);
  snprintf(best, sizeof best, "%.17g", run->best);
  metadata[n++] = (Metadata){"sgc.step", step};
  metadata[n++] = (Metadata){"sgc.best", best};
  metadata[n++] = (Metadata){"sgc.configuration", options->configuration};
  Text path = {0};
  train_path(options->directory, file, &path);
  Status status = checkpoint_save(text_get(&path), run->parts->step, is_checkpoint, metadata, n);
  text_free(&path);
  free(metadata);
  run->saved = now();
  return status;
}

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
    if (!step || !best || !configuration)
      status = status_make(EXIT_WEIGHTS, "%s is not a training checkpoint", text_get(&path));
    else if (strcmp(configuration, run->options->configuration))
      status = status_make(EXIT_USAGE, "the run was started with other settings: %s", configuration);
    if (!status) status = checkpoint_verify(file);
    if (!status) status = checkpoint_restore(file, run->parts->step, NULL);
    if (!status) {
      run->step = atoll(step);
      run->best = atof(best);
    }
  }
  weights_close(file);
  text_free(&path);
  return status;
}

Status train_validate(Exec *evaluation, Loader *loader, const Protocol *protocol, MetricsMean *out) {
  const Program *program = exec_program(evaluation);
  const Buffer *rgb = &program->buffers[program_find(program, BUFFER_INPUT, "rgb")];
  const Buffer *depth = &program->buffers[program_find(program, BUFFER_OUTPUT, "depth")];
  int height = (int)rgb->shape.dim[2], width = (int)rgb->shape.dim[3];
  int depth_height = (int)depth->shape.dim[2], depth_width = (int)depth->shape.dim[3];
  *out = (MetricsMean){0};
  loader_seek(loader, 0, 0);
  for (int64_t i = 0; i < loader_batches(loader); i++) {
    Batch batch;
    TRY(loader_next(loader, &batch));
    memcpy(exec_input(evaluation, "rgb"), batch.rgb, (size_t)shape_elements(rgb->shape) * sizeof(float));
    TRY(exec_run(evaluation));
    const float *predicted = exec_output(evaluation, "depth");
    for (int k = 0; k < batch.n; k++) {
      double values[METRIC_COUNT];
      int64_t n = metrics_image(protocol, predicted + (int64_t)k * depth_height * depth_width, depth_width,
                                depth_height, batch.depth + (int64_t)k * height * width, width, height, values);
      metrics_add(out, values, n);
    }
  }
  return STATUS_OK;
}

// The evaluation program takes over the present parameters and statistics.
static Status copy_weights(const Exec *from, Exec *to) {
  const Program *program = exec_program(to);
  Status status = STATUS_OK;
  for (int i = 0; i < program->n_buffers && !status; i++) {
    const Buffer *buffer = &program->buffers[i];
    if (buffer->kind != BUFFER_PARAM) continue;
    float *values = malloc((size_t)shape_elements(buffer->shape) * sizeof *values + 1);
    if (!values) BUG("out of memory");
    status = exec_get(from, buffer->name, values);
    if (!status) status = exec_set(to, buffer->name, values);
    free(values);
  }
  return status;
}

static Status end_epoch(Run *run) {
  const TrainOptions *options = run->options;
  TrainEpoch epoch = {.epoch = run->step / run->steps_per_epoch, .epochs = options->epochs, .step = run->step};
  epoch.loss = run->epoch_loss / (double)run->epoch_steps;
  run->epoch_loss = 0;
  run->epoch_steps = 0;
  TRY(copy_weights(run->parts->step, run->parts->evaluation));
  TRY(train_validate(run->parts->evaluation, run->parts->validation, options->protocol, &epoch.metrics));
  double abs_rel = metrics_mean(&epoch.metrics, METRIC_ABS_REL);
  epoch.is_best = abs_rel < run->best;
  if (epoch.is_best) {
    run->best = abs_rel;
    TRY(save(run, "weights.safetensors", false));
  }
  TRY(train_log_epoch(run->log, &epoch));
  TRY(save(run, "checkpoint.safetensors", true));
  if (options->events.epoch) options->events.epoch(options->events.context, &epoch);
  return STATUS_OK;
}

static Status diverged(const Run *run, const Batch *batch, double loss) {
  Text samples = {0};
  for (int i = 0; i < batch->n; i++) text_printf(&samples, "%s%lld", i ? ", " : "", (long long)batch->sample[i]);
  Status status = status_make(
      EXIT_DIVERGED,
      "the loss is %g at step %lld (epoch %lld, samples %s); the last checkpoint is kept; try a "
      "smaller --set lr or clip",
      loss, (long long)run->step + 1, (long long)(run->step / run->steps_per_epoch + 1), text_get(&samples));
  text_free(&samples);
  return status;
}

static Status one_step(Run *run) {
  const TrainOptions *options = run->options;
  Exec *exec = run->parts->step;
  Batch batch;
  TRY(loader_next(run->parts->training, &batch));
  const Program *program = exec_program(exec);
  const Buffer *rgb = &program->buffers[program_find(program, BUFFER_INPUT, "rgb")];
  const Buffer *gt = &program->buffers[program_find(program, BUFFER_INPUT, "gt")];
  memcpy(exec_input(exec, "rgb"), batch.rgb, (size_t)shape_elements(rgb->shape) * sizeof(float));
  memcpy(exec_input(exec, "gt"), batch.depth, (size_t)shape_elements(gt->shape) * sizeof(float));
  TrainStep event = {.steps = run->steps, .epochs = options->epochs};
  schedule_at(&options->schedule, run->step, &event.lr, &event.beta1);
  double t = (double)run->step + 1;
  float hyper[4] = {(float)event.lr, (float)event.beta1, (float)(1 - pow(event.beta1, t)),
                    (float)(1 - pow(options->beta2, t))};
  memcpy(exec_input(exec, "hyper"), hyper, sizeof hyper);
  TRY(exec_run(exec));
  event.loss = *exec_output(exec, "loss");
  event.grad_norm = *exec_output(exec, "grad_norm");
  if (!isfinite(event.loss) || !isfinite(event.grad_norm)) return diverged(run, &batch, event.loss);
  event.epoch = run->step / run->steps_per_epoch + 1;
  event.step = ++run->step;
  run->epoch_loss += event.loss;
  run->epoch_steps++;
  event.seconds = now() - run->started;
  double done = (double)(run->step - run->first_step);
  event.left = event.seconds / done * (double)(run->steps - run->step);
  event.pictures = done * (double)rgb->shape.dim[0] / event.seconds;
  TRY(train_log_step(run->log, &event));
  if (options->events.step) options->events.step(options->events.context, &event);
  return STATUS_OK;
}

static Status run_steps(Run *run) {
  const TrainOptions *options = run->options;
  while (run->step < run->steps) {
    TRY(one_step(run));
    if (run->step % run->steps_per_epoch == 0) {
      TRY(end_epoch(run));
    } else if (now() - run->saved > options->checkpoint_seconds) {
      TRY(save(run, "checkpoint.safetensors", true));
    }
    if (options->stop && *options->stop && run->step < run->steps) {
      TRY(save(run, "checkpoint.safetensors", true));
      return status_make(EXIT_INTERRUPTED, "stopped after step %lld of %lld; the same command with --resume goes on",
                         (long long)run->step, (long long)run->steps);
    }
  }
  return STATUS_OK;
}

Status train_run(const TrainParts *parts, const TrainOptions *options) {
  Run run = {.parts = parts, .options = options, .best = INFINITY, .started = now(), .saved = now()};
  run.steps_per_epoch = loader_batches(parts->training);
  run.steps = options->epochs * run.steps_per_epoch;
  TRY(file_make_directory(options->directory));
  if (options->is_resume) TRY(resume(&run));
  run.first_step = run.step;
  loader_seek(parts->training, run.step / run.steps_per_epoch, run.step % run.steps_per_epoch);
  Text path = {0};
  train_path(options->directory, "log.jsonl", &path);
  Status status = train_log_open(text_get(&path), run.step, &run.log);
  text_free(&path);
  if (!status && run.step == 0) status = save(&run, "checkpoint.safetensors", true); // finds a full disk at once
  if (!status) status = run_steps(&run);
  train_log_close(run.log);
  return status;
}
