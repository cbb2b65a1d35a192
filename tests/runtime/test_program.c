// A program's text form: there and back, and thousands of damaged texts that must be refused or read, never crash.
#include <unistd.h>

#include "runtime/base/hash.h"
#include "runtime/base/random.h"
#include "runtime/program.h"
#include "tests/check.h"

static Program *make_program(void) {
  Arena *arena = arena_new();
  Program *program = ARENA_ARRAY(arena, Program, 1);
  static const float values[20] = {1, -0.0f, 1e-40f, INFINITY, 3.25f};
  const Buffer buffers[] = {
      {.kind = BUFFER_INPUT, .name = "rgb \"quoted\\ \n\t", .shape = SHAPE(1, 3, 4), .size = 12},
      {.kind = BUFFER_OUTPUT, .name = "depth", .shape = {0}, .size = 1, .offset = 64},
      {.kind = BUFFER_PARAM,
       .name = "w",
       .shape = SHAPE(5),
       .size = 8,
       .offset = 128,
       .is_state = true,
       .stored_as_i64 = true,
       .is_brief = true,
       .init_kind = 2,
       .init_a = 0.1,
       .init_b = -1e300},
      {.kind = BUFFER_CONSTANT, .shape = SHAPE(4, 5), .size = 20, .offset = 192, .data = values},
      {.kind = BUFFER_SETUP, .shape = SHAPE(2), .size = 64, .offset = 256},
      {.kind = BUFFER_SLAB, .shape = SHAPE(2, 3), .size = 100, .offset = 64},
  };
  static const int args[3] = {0, 5, 1};
  static const int64_t offsets[3] = {2, 0, 0};
  static const Gemm gemm = {.m = 2,
                            .n = 3,
                            .k = 4,
                            .batch = 1,
                            .a_row = 4,
                            .b_row = 4,
                            .out_row = 5,
                            .a_batch = 8,
                            .b_transposed = true,
                            .relu = true,
                            .b_first = true,
                            .precision = GEMM_TF32};
  static const SgNumber numbers[2] = {{.i = -5}, {.f = -0.5f}};
  const Step steps[] = {
      {.symbol = "conv_1",
       .gemm = &gemm,
       .n_numbers = 2,
       .numbers = numbers,
       .n_args = 3,
       .n_read = 2,
       .arg_buffer = args,
       .arg_offset = offsets,
       .n_tasks = 7,
       .scratch = 3,
       .flops = 10,
       .bytes = 20,
       .label = "conv2d a.net:3",
       .part = "encoder.0"},
      {.symbol = "b", .n_args = 0, .arg_buffer = args, .arg_offset = offsets},
  };
  *program = (Program){.arena = arena,
                       .name = "net",
                       .target = "cpu",
                       .cc_flags = "-O2",
                       .source = "int x;\n// é\n",
                       .persistent = 320,
                       .slab = 192,
                       .multiply_adds = 1234567890123,
                       .again = 123456789012,
                       .n_again = 3};
  program->n_buffers = 6;
  program->buffers = arena_memdup(arena, buffers, sizeof buffers);
  program->n_setup = 1;
  program->setup = arena_memdup(arena, &steps[1], sizeof *steps);
  program->n_steps = 2;
  program->steps = arena_memdup(arena, steps, sizeof steps);
  return program;
}

static void test_round_trip(void) {
  Program *program = make_program(), *again = NULL;
  Text first = {0}, second = {0};
  CHECK(program_verify(program, &first), "%s", text_get(&first));
  CHECK(!program_print(program, &first), "print");
  Status status = program_parse("first", first.data, first.size, &again);
  CHECK(!status, "%s", status_message(status));
  if (status) return;
  CHECK(!program_print(again, &second), "print again");
  CHECK_TEXT(text_get(&second), text_get(&first), "there and back");
  CHECK_TEXT(again->buffers[0].name, program->buffers[0].name, "a name with escapes");
  CHECK(!memcmp(again->buffers[3].data, program->buffers[3].data, 20 * sizeof(float)), "constants");
  CHECK(again->buffers[2].init_b == -1e300 && again->buffers[2].init_a == 0.1, "init");
  const Gemm *read = again->steps[0].gemm, *written = program->steps[0].gemm;
  CHECK(read && !again->steps[1].gemm && read->k == 4 && read->out_row == 5 && read->a_batch == 8 && read->b_first,
        "a product");
  CHECK(read && read->b_transposed && read->relu && !read->has_bias && read->precision == written->precision, "flags");
  CHECK(again->steps[0].n_numbers == 2 && again->steps[0].numbers[0].i == -5 && again->steps[0].numbers[1].f == -0.5f &&
            !again->steps[1].n_numbers,
        "numbers");
  CHECK(program_find(again, BUFFER_PARAM, "w") == 2 && program_find(again, BUFFER_INPUT, "w") == -1, "find");

  char path[] = "/tmp/sgc-test-program.XXXXXX";
  int fd = mkstemp(path);
  if (fd >= 0) close(fd);
  Program *third = NULL;
  CHECK(!program_write(program, path) && !program_read(path, &third), "write and read");
  CHECK(third && third->n_steps == 2 && third->steps[0].arg_offset[0] == 2, "steps");
  CHECK(third && third->steps[0].part && !strcmp(third->steps[0].part, "encoder.0") && !third->steps[1].part, "parts");
  unlink(path);
  status = program_read(path, &third);
  CHECK(status_code(status) == EXIT_DATA, "a missing file: %s", status_message(status));
  status_free(status);
  program->source = NULL;
  status = program_print(program, &second);
  CHECK(status_code(status) == EXIT_DEVICE, "a reference program was printed");
  status_free(status);
  text_free(&first);
  text_free(&second);
  program_free(third);
  program_free(again);
  program_free(program);
}

// Gives the text the hash that it needs to be looked at.
static void seal(Text *text) {
  char hash[HASH_TEXT];
  hash_text(hash_bytes(text->data, text->size), hash);
  text_printf(text, "\nhash %s\n", hash);
}

static int n_refused;

static void try_text(const char *data, size_t size, bool is_sealed) {
  Text text = {0};
  text_write(&text, data, size);
  if (is_sealed) seal(&text);
  Program *program = NULL;
  Status status = program_parse("damaged", text.data, text.size, &program);
  CHECK(!status || status_code(status) == EXIT_DATA, "code %d: %s", (int)status_code(status), status_message(status));
  n_refused += status != NULL;
  if (!status) { // what was accepted must be printable
    Text out = {0};
    status_free(program_print(program, &out));
    text_free(&out);
  }
  status_free(status);
  program_free(program);
  text_free(&text);
}

static void test_damage(void) {
  Program *program = make_program();
  Text text = {0};
  CHECK(!program_print(program, &text), "print");
  size_t body = text.size - strlen("\nhash \n") - (HASH_TEXT - 1);
  int n = 0;
  n_refused = 0;
  for (size_t i = 0; i < text.size; i++, n++) try_text(text.data, i, false); // cut short
  for (size_t i = 0; i < text.size; i++, n++) {                              // one bit
    text.data[i] ^= 4;
    try_text(text.data, text.size, false);
    text.data[i] ^= 4;
  }
  CHECK(n_refused == n, "%d of %d damaged files were read", n - n_refused, n);

  for (size_t i = 0; i < body; i++) try_text(text.data, i, true);
  Random random = random_stream(1, "damage");
  static const char *const pieces[] = {"-", "9223372036854775807", "99999999999999999999", "\"", "[", "-1", "0", "\\u"};
  for (int i = 0; i < 20000; i++) {
    Text damaged = {0};
    size_t at = random_below(&random, (uint32_t)body), skip = random_below(&random, 4);
    text_write(&damaged, text.data, at);
    if (random_below(&random, 2)) {
      text_put(&damaged, pieces[random_below(&random, 8)]);
    } else {
      char c = (char)(1 + random_below(&random, 255));
      text_write(&damaged, &c, 1);
    }
    if (at + skip < body) text_write(&damaged, text.data + at + skip, body - at - skip);
    try_text(damaged.data, damaged.size, true);
    text_free(&damaged);
  }
  CHECK(n_refused > n + 10000, "only %d refused", n_refused);
  text_free(&text);
  program_free(program);
}

// Each rule of program_verify refuses what breaks it.
static void test_verify(void) {
  for (int i = 0; i < 11; i++) {
    Program *program = make_program();
    int *buffers = ARENA_ARRAY(program->arena, int, 3);
    int64_t *offsets = ARENA_ARRAY(program->arena, int64_t, 3);
    program->steps[0].arg_buffer = buffers;
    program->steps[0].arg_offset = offsets;
    switch (i) {
    case 0: program->buffers[5].offset = 128; break;
    case 1: program->buffers[0].offset = 3; break;
    case 2: program->buffers[1].name = NULL; break;
    case 3: program->buffers[3].data = NULL; break;
    case 4: program->buffers[0].shape.dim[1] = (int64_t)1 << 62; break;
    case 5: program->buffers[4].size = INT64_MAX; break;
    case 6: program->steps[0].symbol = "a;b"; break;
    case 7: buffers[1] = 6; break;
    case 8: offsets[2] = 13; break;
    case 9: program->persistent = -1; break;
    case 10: program->setup[0].n_tasks = -1; break;
    }
    Text why = {0};
    CHECK(!program_verify(program, &why) && why.size, "fault %d was not seen", i);
    text_free(&why);
    program_free(program);
  }
}

int main(void) {
  test_round_trip();
  test_damage();
  test_verify();
  program_free(NULL);
  return check_report("program");
}
