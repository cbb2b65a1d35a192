// Checkpoint: a program's parameters and states to a safetensors file and back.
#include "runtime/train/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/base/parallel.h"

// A value of the model: the moving average of a parameter where there is one.
static Status get_averaged(const Exec *exec, const char *name, float *values) {
  Text averaged = {0};
  text_printf(&averaged, "ema.%s", name);
  bool is_averaged = program_find(exec_program(exec), BUFFER_PARAM, text_get(&averaged)) >= 0;
  Status status = exec_get(exec, is_averaged ? text_get(&averaged) : name, values);
  text_free(&averaged);
  return status;
}

// The hash covers names and f32 values in the order of the file, so it does not depend on how they are stored.
static Hash hash_tensor(Hash hash, const char *name, Shape shape, const float *values) {
  hash = hash_combine(hash, hash_bytes(name, strlen(name)));
  return hash_combine(hash, hash_bytes(values, (size_t)shape_elements(shape) * sizeof *values));
}

Status checkpoint_save(const char *path, const Exec *exec, CheckpointKind kind, const Metadata *metadata,
                       int n_metadata) {
  bool is_model = kind == CHECKPOINT_MODEL;
  const Program *program = exec_program(exec);
  WeightWriter *writer = weight_writer_new();
  Arena *arena = arena_new();
  Hash hash = {0};
  Status status = STATUS_OK;
  for (int i = 0; i < program->n_buffers && !status; i++) {
    const Buffer *buffer = &program->buffers[i];
    if (buffer->kind != BUFFER_PARAM || (is_model && program_is_step_state(buffer->name))) continue;
    float *values = ARENA_ARRAY(arena, float, shape_elements(buffer->shape) + 1);
    status = is_model ? get_averaged(exec, buffer->name, values) : exec_get(exec, buffer->name, values);
    hash = hash_tensor(hash, buffer->name, buffer->shape, values);
    weight_writer_add(writer, buffer->name, buffer->stored_as_i64 ? WEIGHT_I64 : WEIGHT_F32, buffer->shape, values);
  }
  char text[HASH_TEXT];
  hash_text(hash, text);
  weight_writer_metadata(writer, "sgc.hash", text);
  for (int i = 0; i < n_metadata; i++) weight_writer_metadata(writer, metadata[i].key, metadata[i].value);
  Status saved = weight_writer_save(writer, path);
  arena_free(arena);
  if (!status) return saved;
  status_free(saved);
  return status;
}

Status checkpoint_copy(const Exec *training, Exec *evaluation) {
  const Program *program = exec_program(evaluation);
  Status status = STATUS_OK;
  for (int i = 0; i < program->n_buffers && !status; i++) {
    const Buffer *buffer = &program->buffers[i];
    if (buffer->kind != BUFFER_PARAM) continue;
    float *values = malloc((size_t)shape_elements(buffer->shape) * sizeof *values + 1);
    if (!values) BUG("out of memory");
    status = get_averaged(training, buffer->name, values);
    if (!status) status = exec_set(evaluation, buffer->name, values);
    free(values);
  }
  return status;
}

Status checkpoint_verify(const WeightFile *file) {
  const char *want = weights_metadata(file, "sgc.hash");
  if (!want) return STATUS_OK;
  Hash hash = {0};
  for (int i = 0; i < weights_count(file); i++) {
    const WeightTensor *tensor = weights_at(file, i);
    float *values = malloc((size_t)shape_elements(tensor->shape) * sizeof *values + 1);
    if (!values) BUG("out of memory");
    weights_to_f32(tensor, values);
    hash = hash_tensor(hash, tensor->name, tensor->shape, values);
    free(values);
    weights_let_go(file, tensor->data, tensor->bytes);
  }
  char got[HASH_TEXT];
  hash_text(hash, got);
  if (strcmp(got, want))
    return status_make(EXIT_WEIGHTS, "%s is damaged: its content hash does not fit", weights_path(file));
  return STATUS_OK;
}

enum { MAX_NAMED = 3 };

typedef struct Misfits {
  Text names;
  int n;
} Misfits;

static void misfit(Misfits *misfits, const char *name, const char *what) {
  if (misfits->n++ < MAX_NAMED) text_printf(&misfits->names, "%s%s%s", misfits->n > 1 ? ", " : "", name, what);
}

// All memory of the program is there by now, so that what the file takes comes on top: a piece of it at a time. What is
// small stays: letting go interrupts the other cores.
static Status set_in_place(const WeightFile *file, const float *values, int64_t n, Exec *exec, const char *name) {
  enum { PIECE = 1 << 18, SMALL = 1 << 14 };
  Status status = STATUS_OK;
  for (int64_t i = 0; i < n && !status; i += PIECE) {
    int64_t piece = n - i < PIECE ? n - i : PIECE;
    status = exec_set_part(exec, name, i, piece, values + i);
    if (piece > SMALL) weights_let_go(file, values + i, piece * (int64_t)sizeof *values);
  }
  return status;
}

static Status set_from(const WeightFile *file, const WeightTensor *tensor, Exec *exec, const char *name) {
  const float *in_place = weights_in_place(tensor);
  int64_t n = shape_elements(tensor->shape);
  if (in_place) return set_in_place(file, in_place, n, exec, name);
  float *values = malloc((size_t)n * sizeof *values + 1);
  if (!values) BUG("out of memory");
  weights_to_f32(tensor, values);
  Status status = exec_set(exec, name, values);
  free(values);
  weights_let_go(file, tensor->data, tensor->bytes);
  return status;
}

// The tensors of a file on their way into a program.
typedef struct Restoring {
  const WeightFile *file;
  Exec *exec;
  const WeightTensor **tensor;
  Status *status; // of each
} Restoring;

static void restore_one(void *context, int worker, int turn) {
  (void)worker;
  Restoring *restoring = context;
  const WeightTensor *tensor = restoring->tensor[turn];
  restoring->status[turn] = set_from(restoring->file, tensor, restoring->exec, tensor->name);
}

// All of them; the first fault, if any. The processor itself copies where the device is in its memory: on several
// cores.
static Status restore_all(Restoring *restoring, int n) {
  enum { MOST_WORKERS = 4 };
  int workers = exec_overlaps(restoring->exec) ? 1 : parallel_cores();
  Status first = STATUS_OK;
  parallel_finish(parallel_start(n, workers < MOST_WORKERS ? workers : MOST_WORKERS, restore_one, restoring));
  for (int i = 0; i < n; i++) {
    if (!first) first = restoring->status[i];
    else status_free(restoring->status[i]);
  }
  return first;
}

Status checkpoint_restore(const WeightFile *file, Exec *exec, int *unused) {
  const Program *program = exec_program(exec);
  Misfits missing = {0}, shapes = {0};
  Arena *arena = arena_new();
  Restoring restoring = {file, exec, ARENA_ARRAY(arena, const WeightTensor *, program->n_buffers + 1),
                         ARENA_ARRAY(arena, Status, program->n_buffers + 1)};
  int used = 0, of_step = 0;
  for (int i = 0; i < program->n_buffers; i++) {
    const Buffer *buffer = &program->buffers[i];
    if (buffer->kind != BUFFER_PARAM) continue;
    const WeightTensor *tensor = weights_find(file, buffer->name);
    if (!tensor) {
      misfit(&missing, buffer->name, "");
      continue;
    }
    if (!shape_equal(tensor->shape, buffer->shape)) {
      char have[SHAPE_TEXT], want[SHAPE_TEXT], both[2 * SHAPE_TEXT + 32];
      snprintf(both, sizeof both, " (%s in the file, %s in the model)", shape_text(tensor->shape, have),
               shape_text(buffer->shape, want));
      misfit(&shapes, buffer->name, both);
      continue;
    }
    restoring.tensor[used++] = tensor;
  }
  Status status = restore_all(&restoring, used);
  arena_free(arena);
  for (int i = 0; i < weights_count(file); i++) of_step += program_is_step_state(weights_at(file, i)->name);
  if (unused) *unused = weights_count(file) - used > of_step ? weights_count(file) - used - of_step : 0;
  if (!status && missing.n)
    status = status_make(EXIT_WEIGHTS, "%s lacks %d of the model's tensors: %s%s", weights_path(file), missing.n,
                         text_get(&missing.names), missing.n > MAX_NAMED ? ", ..." : "");
  if (!status && shapes.n)
    status = status_make(EXIT_WEIGHTS, "%d tensors of %s have another shape than the model's: %s%s", shapes.n,
                         weights_path(file), text_get(&shapes.names), shapes.n > MAX_NAMED ? ", ..." : "");
  text_free(&missing.names);
  text_free(&shapes.names);
  return status;
}
