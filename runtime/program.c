// Program: finding, verifying and writing; program_read.c reads.
#include "runtime/program.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "runtime/program_text.h"

const char *const buffer_kind_names[BUFFER_KINDS] = {"input", "output", "param", "constant", "setup", "slab"};

void program_free(Program *program) {
  if (program) arena_free(program->arena);
}

bool program_is_step_state(const char *name) {
  static const char *const prefixes[] = {"adamw.", "accumulated.", "ema.", "scaling."};
  for (int i = 0; i < 4; i++)
    if (!strncmp(name, prefixes[i], strlen(prefixes[i]))) return true;
  return false;
}

int program_find(const Program *program, BufferKind kind, const char *name) {
  for (int i = 0; i < program->n_buffers; i++) {
    const Buffer *buffer = &program->buffers[i];
    if (buffer->kind == kind && buffer->name && !strcmp(buffer->name, name)) return i;
  }
  return -1;
}

// ---- verifying ------------------------------------------------------------------------------------------------------

enum { MAX_STEP_ARGS = 1 << 16 };
static const int64_t max_floats = (int64_t)1 << 44;

static bool shape_fits(Shape shape, int64_t floats) {
  if (shape.rank < 0 || shape.rank > MAX_RANK) return false;
  int64_t n = 1;
  for (int i = 0; i < shape.rank; i++) {
    if (shape.dim[i] < 0 || shape.dim[i] > max_floats) return false;
    if (shape.dim[i] && n > max_floats / shape.dim[i]) return false;
    n *= shape.dim[i];
  }
  return n <= floats;
}

static bool verify_buffer(const Program *program, int i, Text *why) {
  const Buffer *buffer = &program->buffers[i];
  int64_t region = buffer_in_slab(buffer) ? program->slab : program->persistent;
  bool is_plain = buffer->kind != BUFFER_SLAB && buffer->kind != BUFFER_SETUP;
  if (buffer->size < 0 || buffer->offset < 0 || buffer->offset % PROGRAM_ALIGN || buffer->offset > region ||
      buffer->size > region - buffer->offset)
    text_printf(why, "buffer %d lies outside its region", i);
  else if (is_plain && !shape_fits(buffer->shape, buffer->size))
    text_printf(why, "buffer %d is smaller than its shape", i);
  else if (is_plain && buffer->kind != BUFFER_CONSTANT && !buffer->name) text_printf(why, "buffer %d has no name", i);
  else if (buffer->kind == BUFFER_CONSTANT && !buffer->data) text_printf(why, "constant %d has no values", i);
  else return true;
  return false;
}

static bool is_identifier(const char *symbol) {
  if (!isalpha((unsigned char)*symbol) && *symbol != '_') return false;
  while (isalnum((unsigned char)*symbol) || *symbol == '_') symbol++;
  return !*symbol;
}

// What CUDA, queues and tasks that share sums add.
static bool verify_launch(const Step *step) {
  enum { MAX_BLOCK = 1024, MAX_SHARED = 1 << 18, MAX_SHARED_CPU = 1 << 30 };
  if (step->block < 0 || step->block > MAX_BLOCK) return false;
  if (step->shared < 0 || step->shared > (step->block ? MAX_SHARED : MAX_SHARED_CPU)) return false;
  if (step->rows < 0 || (step->rows && step->n_args % step->rows)) return false;
  for (int i = 0; i < step->rows; i++) {
    if (step->row_floats[i] < 0 || step->row_floats[i] > max_floats) return false;
  }
  return step->queue >= 0 && step->queue <= QUEUE_COLLECTIVE && step->n_waits >= 0;
}

static bool verify_gemm(const Gemm *gemm, int n_args) {
  const int64_t sizes[] = {gemm->m, gemm->n, gemm->k, gemm->batch, gemm->a_row, gemm->b_row, gemm->out_row};
  const int64_t strides[] = {gemm->a_batch, gemm->b_batch, gemm->out_batch};
  for (int i = 0; i < 7; i++)
    if (sizes[i] < 1 || sizes[i] > max_floats) return false;
  for (int i = 0; i < 3; i++)
    if (strides[i] < 0 || strides[i] > max_floats) return false;
  return n_args == 3 + gemm->has_bias && gemm->a_row >= (gemm->a_transposed ? gemm->m : gemm->k) &&
         gemm->b_row >= (gemm->b_transposed ? gemm->k : gemm->n) && gemm->out_row >= gemm->n;
}

static bool verify_step(const Program *program, const Step *step, const char *list, int i, Text *why) {
  if (!step->function && (!step->symbol || !is_identifier(step->symbol))) {
    text_printf(why, "%s %d has no function", list, i);
    return false;
  }
  if (step->n_args < 0 || step->n_read < 0 || step->n_read > step->n_args || step->n_args > MAX_STEP_ARGS ||
      step->n_tasks < 0 || step->scratch < 0 || step->scratch > max_floats || !verify_launch(step) ||
      (step->gemm && !verify_gemm(step->gemm, step->n_args))) {
    text_printf(why, "%s %d has impossible sizes", list, i);
    return false;
  }
  for (int j = 0; j < step->n_waits; j++) {
    if (step->waits[j] >= 0 && step->waits[j] < i) continue;
    text_printf(why, "%s %d waits for one that is not before it", list, i);
    return false;
  }
  for (int j = 0; j < step->n_args; j++) {
    int buffer = step->arg_buffer[j];
    if (buffer < 0 || buffer >= program->n_buffers || step->arg_offset[j] < 0 ||
        step->arg_offset[j] > program->buffers[buffer].size) {
      text_printf(why, "argument %d of %s %d lies outside its buffer", j, list, i);
      return false;
    }
  }
  return true;
}

bool program_verify(const Program *program, Text *why) {
  if (program->persistent < 0 || program->slab < 0 || program->persistent > max_floats || program->slab > max_floats) {
    text_put(why, "the regions have impossible sizes");
    return false;
  }
  for (int i = 0; i < program->n_buffers; i++) {
    if (!verify_buffer(program, i, why)) return false;
  }
  for (int i = 0; i < program->n_setup; i++) {
    if (!verify_step(program, &program->setup[i], "setup step", i, why)) return false;
  }
  for (int i = 0; i < program->n_steps; i++) {
    if (!verify_step(program, &program->steps[i], "step", i, why)) return false;
  }
  return true;
}

// ---- writing --------------------------------------------------------------------------------------------------------

static void put_name(Text *out, const char *name) {
  if (name) text_put_json(out, name);
  else text_put(out, "-");
}

static void put_buffer(Text *out, const Buffer *buffer) {
  char shape[SHAPE_TEXT];
  text_printf(out, "buffer %s ", buffer_kind_names[buffer->kind]);
  put_name(out, buffer->name);
  text_printf(out, " %s %" PRId64 " %" PRId64, shape_text(buffer->shape, shape), buffer->size, buffer->offset);
  if (buffer->kind == BUFFER_PARAM)
    text_printf(out, " %d %d %d %d %a %a", buffer->is_state, buffer->stored_as_i64, buffer->is_brief, buffer->init_kind,
                buffer->init_a, buffer->init_b);
  if (buffer->kind == BUFFER_CONSTANT) {
    for (int64_t i = 0, n = shape_elements(buffer->shape); i < n; i++) {
      uint32_t bits;
      memcpy(&bits, &buffer->data[i], sizeof bits);
      text_printf(out, "%s%08" PRIx32, i % 16 ? " " : "\n ", bits);
    }
  }
  text_put(out, "\n");
}

static void put_gemm(Text *out, const Gemm *gemm) {
  const int64_t sizes[] = {gemm->m,     gemm->n,       gemm->k,       gemm->batch,   gemm->a_row,
                           gemm->b_row, gemm->out_row, gemm->a_batch, gemm->b_batch, gemm->out_batch};
  for (int i = 0; i < GEMM_SIZES; i++) text_printf(out, " %" PRId64, sizes[i]);
  text_printf(out, " %d %d %d %d %d %d", gemm->a_transposed, gemm->b_transposed, gemm->has_bias, gemm->relu,
              gemm->b_first, gemm->precision);
}

static void put_steps(Text *out, const char *list, const Step *steps, int n) {
  text_printf(out, "%s %d\n", list, n);
  for (int i = 0; i < n; i++) {
    const Step *step = &steps[i];
    text_printf(out, "step %s %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " ", step->symbol, step->n_tasks,
                step->scratch, step->flops, step->bytes);
    put_name(out, step->label);
    text_put(out, " ");
    put_name(out, step->part);
    text_printf(out, " %d %d", step->n_read, step->n_args);
    for (int j = 0; j < step->n_args; j++) text_printf(out, " %d+%" PRId64, step->arg_buffer[j], step->arg_offset[j]);
    text_printf(out, " %d %d %d %" PRId64 " %" PRId64 " %" PRId64 " %d %d", step->kind, step->block, step->shared,
                step->requests, step->sectors, step->ideal_sectors, step->queue, step->rows);
    for (int j = 0; j < step->rows; j++) text_printf(out, " %" PRId64, step->row_floats[j]);
    text_printf(out, " %d", step->n_waits);
    for (int j = 0; j < step->n_waits; j++) text_printf(out, " %d", step->waits[j]);
    text_printf(out, " %d", step->gemm != NULL);
    if (step->gemm) put_gemm(out, step->gemm);
    text_printf(out, " %d", step->n_numbers);
    for (int j = 0; j < step->n_numbers; j++) text_printf(out, " %" PRId64, step->numbers[j].i);
    text_put(out, "\n");
  }
}

double program_again_percent(const Program *program) {
  int64_t once = program->multiply_adds - program->again;
  return once > 0 ? 100 * (double)program->again / (double)once : 0;
}

Status program_print(const Program *program, Text *out) {
  if (!program->source) return status_make(EXIT_DEVICE, "a program for target '%s' has no text form", program->target);
  size_t start = out->size;
  text_printf(out, "%s\nname ", PROGRAM_MAGIC);
  put_name(out, program->name);
  text_put(out, "\ntarget ");
  put_name(out, program->target);
  text_put(out, "\ncc_flags ");
  put_name(out, program->cc_flags);
  text_printf(out,
              "\npersistent %" PRId64 "\nslab %" PRId64 "\nmultiply_adds %" PRId64 " again %" PRId64
              " steps_again %d\nbuffers %d\n",
              program->persistent, program->slab, program->multiply_adds, program->again, program->n_again,
              program->n_buffers);
  for (int i = 0; i < program->n_buffers; i++) put_buffer(out, &program->buffers[i]);
  put_steps(out, "setup", program->setup, program->n_setup);
  put_steps(out, "steps", program->steps, program->n_steps);
  size_t size = strlen(program->source);
  text_printf(out, "source %zu\n", size);
  text_write(out, program->source, size);
  char hash[HASH_TEXT];
  hash_text(hash_bytes(out->data + start, out->size - start), hash);
  text_printf(out, "\nhash %s\n", hash);
  return STATUS_OK;
}

Status program_write(const Program *program, const char *path) {
  Text text = {0};
  Status status = program_print(program, &text);
  if (!status) status = file_write(path, text.data, text.size);
  text_free(&text);
  return status;
}
