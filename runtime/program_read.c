// Program: reading the text form. Nothing in the file is believed before it is checked.
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "runtime/program_text.h"

// A cursor over the text. After the first fault `fault` is set and every get_ function returns a harmless value.
typedef struct Reader {
  const char *at, *end;
  Arena *arena;
  const char *fault;
} Reader;

static void fail(Reader *reader, const char *fault) {
  if (!reader->fault) reader->fault = fault;
  reader->at = reader->end;
}

static void skip_space(Reader *reader) {
  while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\n')) reader->at++;
}

// Passes over `word` if it comes next.
static bool take(Reader *reader, const char *word) {
  skip_space(reader);
  size_t n = strlen(word);
  if ((size_t)(reader->end - reader->at) < n || memcmp(reader->at, word, n)) return false;
  reader->at += n;
  return true;
}

static void expect(Reader *reader, const char *word) {
  if (!take(reader, word)) fail(reader, word);
}

// The next run of characters up to a space, copied to `out`; "" if it is too long for any number or word.
static void get_word(Reader *reader, char out[64]) {
  skip_space(reader);
  size_t n = 0;
  while (reader->at < reader->end && *reader->at != ' ' && *reader->at != '\n' && n < 63) out[n++] = *reader->at++;
  out[n] = 0;
}

// The decimal number that comes next, between low and high.
static int64_t get_int(Reader *reader, int64_t low, int64_t high) {
  skip_space(reader);
  bool is_negative = take(reader, "-");
  int64_t value = 0;
  const char *start = reader->at;
  while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') {
    int digit = *reader->at++ - '0';
    if (value > (INT64_MAX - digit) / 10) {
      fail(reader, "a smaller number");
      return low;
    }
    value = 10 * value + digit;
  }
  if (is_negative) value = -value;
  if (reader->at == start || value < low || value > high) {
    fail(reader, "a number in its range");
    return low;
  }
  return value;
}

static double get_double(Reader *reader) {
  char word[64], *end;
  get_word(reader, word);
  double value = strtod(word, &end);
  if (!*word || *end) fail(reader, "a number");
  return value;
}

static int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

// The n hexadecimal digits that come next.
static uint32_t get_hex(Reader *reader, int n) {
  uint32_t value = 0;
  for (int i = 0; i < n; i++) {
    int digit = reader->at < reader->end ? hex_digit(*reader->at++) : -1;
    if (digit < 0) {
      fail(reader, "hexadecimal digits");
      return 0;
    }
    value = value << 4 | (uint32_t)digit;
  }
  return value;
}

// A quoted string in the arena, or NULL for "-".
static const char *get_name(Reader *reader) {
  if (take(reader, "-")) return NULL;
  expect(reader, "\"");
  const char *start = reader->at;
  char *out = NULL;
  for (int pass = 0; pass < 2; pass++) { // measures, then copies
    size_t n = 0;
    reader->at = reader->fault ? reader->end : start;
    while (reader->at < reader->end && *reader->at != '"') {
      char c = *reader->at++;
      if (c == '\\' && reader->at < reader->end) {
        c = *reader->at++;
        if (c == 'n') c = '\n';
        if (c == 'u') c = (char)get_hex(reader, 4);
      }
      if (pass) out[n] = c;
      n++;
    }
    if (!pass) out = arena_alloc(reader->arena, n + 1);
  }
  expect(reader, "\"");
  return out;
}

static Shape get_shape(Reader *reader) {
  Shape shape = {0};
  expect(reader, "[");
  if (take(reader, "]")) return shape;
  do {
    if (shape.rank == MAX_RANK) {
      fail(reader, "fewer axes");
      break;
    }
    shape.dim[shape.rank++] = get_int(reader, 0, (int64_t)1 << 44);
  } while (take(reader, ","));
  expect(reader, "]");
  return shape;
}

// A count of things of at least `bytes` bytes of text each: a count that the file cannot hold is refused before
// anything is allocated for it.
static int get_count(Reader *reader, const char *word, int64_t bytes) {
  expect(reader, word);
  int64_t most = (reader->end - reader->at) / bytes;
  return (int)get_int(reader, 0, most < INT32_MAX ? most : INT32_MAX);
}

static void get_values(Reader *reader, Buffer *buffer) {
  int64_t n = 1;
  for (int i = 0; i < buffer->shape.rank; i++) {
    if (buffer->shape.dim[i] && n > (reader->end - reader->at) / buffer->shape.dim[i]) n = INT64_MAX;
    n = n == INT64_MAX ? n : n * buffer->shape.dim[i];
  }
  if (n > (reader->end - reader->at) / 9) {
    fail(reader, "a constant's values");
    return;
  }
  float *data = ARENA_ARRAY(reader->arena, float, n + 1);
  for (int64_t i = 0; i < n; i++) {
    skip_space(reader);
    uint32_t bits = get_hex(reader, 8);
    memcpy(&data[i], &bits, sizeof bits);
  }
  buffer->data = data;
}

static void get_buffer(Reader *reader, Buffer *buffer) {
  expect(reader, "buffer ");
  char word[64];
  get_word(reader, word);
  int kind = 0;
  while (kind < BUFFER_KINDS && strcmp(word, buffer_kind_names[kind])) kind++;
  if (kind == BUFFER_KINDS) {
    fail(reader, "a kind of buffer");
    return;
  }
  buffer->kind = (BufferKind)kind;
  buffer->name = get_name(reader);
  buffer->shape = get_shape(reader);
  buffer->size = get_int(reader, 0, INT64_MAX);
  buffer->offset = get_int(reader, 0, INT64_MAX);
  if (kind == BUFFER_PARAM) {
    buffer->is_state = get_int(reader, 0, 1);
    buffer->stored_as_i64 = get_int(reader, 0, 1);
    buffer->is_brief = get_int(reader, 0, 1);
    buffer->init_kind = (int)get_int(reader, 0, 2);
    buffer->init_a = get_double(reader);
    buffer->init_b = get_double(reader);
  }
  if (kind == BUFFER_CONSTANT) get_values(reader, buffer);
}

static const Gemm *get_gemm(Reader *reader) {
  Gemm *gemm = ARENA_ARRAY(reader->arena, Gemm, 1);
  int64_t *sizes[GEMM_SIZES] = {&gemm->m,     &gemm->n,       &gemm->k,       &gemm->batch,   &gemm->a_row,
                                &gemm->b_row, &gemm->out_row, &gemm->a_batch, &gemm->b_batch, &gemm->out_batch};
  bool *flags[] = {&gemm->a_transposed, &gemm->b_transposed, &gemm->has_bias, &gemm->relu, &gemm->b_first};
  for (int i = 0; i < GEMM_SIZES; i++) *sizes[i] = get_int(reader, 0, INT64_MAX);
  for (int i = 0; i < 5; i++) *flags[i] = get_int(reader, 0, 1) != 0;
  gemm->precision = (GemmPrecision)get_int(reader, 0, GEMM_BF16);
  return gemm;
}

// What CUDA, queues and numbers add.
static void get_launch(Reader *reader, Step *step) {
  step->kind = (StepKind)get_int(reader, 0, STEP_ALL_REDUCE);
  step->block = (int)get_int(reader, 0, INT32_MAX);
  step->shared = (int)get_int(reader, 0, INT32_MAX);
  step->requests = get_int(reader, 0, INT64_MAX);
  step->sectors = get_int(reader, 0, INT64_MAX);
  step->ideal_sectors = get_int(reader, 0, INT64_MAX);
  step->queue = (int)get_int(reader, 0, INT32_MAX);
  step->rows = get_count(reader, "", 2);
  int64_t *row_floats = ARENA_ARRAY(reader->arena, int64_t, step->rows + 1);
  for (int i = 0; i < step->rows; i++) row_floats[i] = get_int(reader, 0, INT64_MAX);
  step->row_floats = row_floats;
  step->n_waits = get_count(reader, "", 2);
  int *waits = ARENA_ARRAY(reader->arena, int, step->n_waits + 1);
  for (int i = 0; i < step->n_waits; i++) waits[i] = (int)get_int(reader, 0, INT32_MAX);
  step->waits = waits;
  if (get_int(reader, 0, 1)) step->gemm = get_gemm(reader);
  step->n_numbers = get_count(reader, "", 2);
  SgNumber *numbers = ARENA_ARRAY(reader->arena, SgNumber, step->n_numbers + 1);
  for (int i = 0; i < step->n_numbers; i++) numbers[i].i = get_int(reader, INT64_MIN, INT64_MAX);
  step->numbers = numbers;
}

static void get_step(Reader *reader, Step *step) {
  expect(reader, "step ");
  skip_space(reader);
  const char *start = reader->at;
  while (reader->at < reader->end && *reader->at != ' ' && *reader->at != '\n') reader->at++;
  step->symbol = arena_strndup(reader->arena, start, (size_t)(reader->at - start));
  step->n_tasks = get_int(reader, 0, INT64_MAX);
  step->scratch = get_int(reader, 0, INT64_MAX);
  step->flops = get_int(reader, 0, INT64_MAX);
  step->bytes = get_int(reader, 0, INT64_MAX);
  step->label = get_name(reader);
  step->part = get_name(reader);
  step->n_read = (int)get_int(reader, 0, INT32_MAX);
  step->n_args = get_count(reader, "", 4);
  int *buffers = ARENA_ARRAY(reader->arena, int, step->n_args + 1);
  int64_t *offsets = ARENA_ARRAY(reader->arena, int64_t, step->n_args + 1);
  for (int i = 0; i < step->n_args; i++) {
    buffers[i] = (int)get_int(reader, 0, INT32_MAX);
    expect(reader, "+");
    offsets[i] = get_int(reader, 0, INT64_MAX);
  }
  step->arg_buffer = buffers;
  step->arg_offset = offsets;
  get_launch(reader, step);
}

static Step *get_steps(Reader *reader, const char *word, int *out_n) {
  int n = get_count(reader, word, 20);
  Step *steps = ARENA_ARRAY(reader->arena, Step, n + 1);
  for (int i = 0; i < n && !reader->fault; i++) get_step(reader, &steps[i]);
  *out_n = n;
  return steps;
}

static void get_program(Reader *reader, Program *program) {
  expect(reader, PROGRAM_MAGIC "\n");
  expect(reader, "name ");
  program->name = get_name(reader);
  expect(reader, "target ");
  program->target = get_name(reader);
  expect(reader, "cc_flags ");
  program->cc_flags = get_name(reader);
  if (!program->name || !program->target || !program->cc_flags) fail(reader, "a name");
  expect(reader, "persistent ");
  program->persistent = get_int(reader, 0, INT64_MAX);
  expect(reader, "slab ");
  program->slab = get_int(reader, 0, INT64_MAX);
  expect(reader, "multiply_adds ");
  program->multiply_adds = get_int(reader, 0, INT64_MAX);
  expect(reader, "again ");
  program->again = get_int(reader, 0, INT64_MAX);
  expect(reader, "steps_again ");
  program->n_again = (int)get_int(reader, 0, INT_MAX);
  program->n_buffers = get_count(reader, "buffers ", 16);
  program->buffers = ARENA_ARRAY(reader->arena, Buffer, program->n_buffers + 1);
  for (int i = 0; i < program->n_buffers && !reader->fault; i++) get_buffer(reader, &program->buffers[i]);
  program->setup = get_steps(reader, "setup ", &program->n_setup);
  program->steps = get_steps(reader, "steps ", &program->n_steps);
  int size = get_count(reader, "source ", 1);
  if (reader->end - reader->at < (int64_t)size + 1) {
    fail(reader, "the source");
    return;
  }
  program->source = arena_strndup(reader->arena, reader->at + 1, (size_t)size);
  reader->at += 1 + size;
  skip_space(reader);
  if (reader->at != reader->end) fail(reader, "the end");
}

// The text without its last line, whose hash must be that of what stands before it; NULL if it is not.
static const char *checked_end(const char *text, size_t size) {
  size_t tail = strlen("\nhash \n") + HASH_TEXT - 1;
  if (size < tail || memchr(text, 0, size)) return NULL;
  const char *end = text + size - tail;
  char hash[HASH_TEXT], line[64];
  hash_text(hash_bytes(text, size - tail), hash);
  snprintf(line, sizeof line, "\nhash %s\n", hash);
  return memcmp(end, line, tail) ? NULL : end;
}

Status program_parse(const char *what, const char *text, size_t size, Program **out) {
  size_t magic = strlen(PROGRAM_MAGIC "\n");
  if (size < magic || memcmp(text, PROGRAM_MAGIC "\n", magic))
    return status_make(EXIT_DATA, "'%s' is not a program of this edition (it does not begin with '%s')", what,
                       PROGRAM_MAGIC);
  const char *end = checked_end(text, size);
  if (!end) return status_make(EXIT_DATA, "'%s' is damaged or cut short: its hash does not fit", what);
  Arena *arena = arena_new();
  Program *program = ARENA_ARRAY(arena, Program, 1);
  program->arena = arena;
  Reader reader = {text, end, arena, NULL};
  get_program(&reader, program);
  Text why = {0};
  Status status = STATUS_OK;
  if (reader.fault)
    status = status_make(EXIT_DATA, "'%s' is not a well-formed program: expected %s", what, reader.fault);
  else if (!program_verify(program, &why))
    status = status_make(EXIT_DATA, "'%s' is not a valid program: %s", what, text_get(&why));
  text_free(&why);
  if (status) {
    program_free(program);
    return status;
  }
  *out = program;
  return STATUS_OK;
}

Status program_read(const char *path, Program **out) {
  Text text = {0};
  Status status = file_read(path, &text);
  if (!status) status = program_parse(path, text_get(&text), text.size, out);
  text_free(&text);
  return status;
}
