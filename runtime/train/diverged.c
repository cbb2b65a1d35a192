// Diverged: a training step that went wrong, to files and back.
#include "runtime/train/diverged.h"

#include <stdlib.h>

#include "runtime/base/file.h"

void diverged_samples(const DivergedStep *failed, int max, const char *separator, Text *out) {
  const Batch *batch = failed->batch;
  for (int i = 0; i < batch->n; i++) {
    char name[SAMPLE_NAME];
    if (max && i == max) {
      text_printf(out, " and %d more", batch->n - max);
      return;
    }
    if (batch->sample[i] < 0) continue;
    loader_sample_name(failed->loader, batch->sample[i], name);
    text_printf(out, "%s%s", i ? separator : "", name);
  }
}

static Status save_batch(const char *path, Exec *exec, const DivergedStep *failed) {
  const Program *program = exec_program(exec);
  WeightWriter *writer = weight_writer_new();
  Text samples = {0};
  Arena *arena = arena_new();
  Status status = STATUS_OK;
  for (int i = 0; i < program->n_buffers && !status; i++) {
    const Buffer *buffer = &program->buffers[i];
    if (buffer->kind != BUFFER_INPUT) continue;
    float *values = ARENA_ARRAY(arena, float, shape_elements(buffer->shape));
    status = exec_used(exec, buffer->name, values);
    weight_writer_add(writer, buffer->name, WEIGHT_F32, buffer->shape, values);
  }
  diverged_samples(failed, 0, "\n", &samples);
  weight_writer_metadata(writer, "sgc.samples", text_get(&samples));
  text_free(&samples);
  Status saved = weight_writer_save(writer, path);
  arena_free(arena);
  if (!status) return saved;
  status_free(saved);
  return status;
}

static Status save_readme(const char *path, const char *directory, const DivergedStep *failed) {
  Text text = {0};
  text_printf(&text, "Step %lld (epoch %lld", (long long)failed->step, (long long)failed->epoch);
  if (failed->parts > 1) text_printf(&text, ", part %d of %d", failed->part + 1, failed->parts);
  text_printf(&text,
              ") was not applied: its loss is %g and the norm of its gradient %g.\n\n"
              "    sgrun replay %s\n\n"
              "repeats it and names the first tensor that is not finite.\n\n"
              "checkpoint.safetensors  the values of parameters and states before the step\n"
              "batch.safetensors       the inputs: rgb (normalised), gt (metres, 0 = missing), hyper (rates and bias "
              "corrections)\n\n"
              "Samples of the batch:\n",
              failed->loss, failed->grad_norm, directory);
  diverged_samples(failed, 0, "\n", &text);
  text_put(&text, "\n");
  Status status = file_write(path, text_get(&text), text.size);
  text_free(&text);
  return status;
}

Status diverged_save(const char *directory, Exec *exec, const DivergedStep *failed, const Metadata *metadata,
                     int n_metadata) {
  Text place = {0}, path = {0};
  text_printf(&place, "%s/diverged", directory);
  Status status = file_make_directory(text_get(&place));
  text_printf(&path, "%s/checkpoint.safetensors", text_get(&place));
  if (!status) status = checkpoint_save(text_get(&path), exec, CHECKPOINT_ALL, metadata, n_metadata);
  text_clear(&path);
  text_printf(&path, "%s/batch.safetensors", text_get(&place));
  if (!status) status = save_batch(text_get(&path), exec, failed);
  text_clear(&path);
  text_printf(&path, "%s/README.txt", text_get(&place));
  if (!status) status = save_readme(text_get(&path), text_get(&place), failed);
  text_free(&place);
  text_free(&path);
  return status;
}

static Status load_batch(const WeightFile *file, Exec *exec) {
  const Program *program = exec_program(exec);
  for (int i = 0; i < program->n_buffers; i++) {
    const Buffer *buffer = &program->buffers[i];
    if (buffer->kind != BUFFER_INPUT) continue;
    const WeightTensor *tensor = weights_find(file, buffer->name);
    if (!tensor || !shape_equal(tensor->shape, buffer->shape))
      return status_make(EXIT_WEIGHTS, "%s has no input '%s' of the model's shape", weights_path(file), buffer->name);
    weights_to_f32(tensor, exec_input(exec, buffer->name));
  }
  return STATUS_OK;
}

Status diverged_load(const char *directory, Exec *exec) {
  Text path = {0};
  WeightFile *file = NULL;
  text_printf(&path, "%s/checkpoint.safetensors", directory);
  Status status = weights_open(text_get(&path), &file);
  if (!status) status = checkpoint_verify(file);
  if (!status) status = checkpoint_restore(file, exec, NULL);
  weights_close(file);
  file = NULL;
  text_clear(&path);
  text_printf(&path, "%s/batch.safetensors", directory);
  if (!status) status = weights_open(text_get(&path), &file);
  if (!status) status = load_batch(file, exec);
  weights_close(file);
  text_free(&path);
  return status;
}
