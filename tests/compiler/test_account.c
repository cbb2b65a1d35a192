// What a compiled program says of its steps: operations, least traffic, and the part of the network they come from.
#include "compiler/compiler.h"
#include "tests/compiler/plan_case.h"

static Program *compiled(Arena *arena, const char *text) {
  Graph *graph = plan_parse(arena, text);
  Program *program = NULL;
  CompileOptions options = {.target = &plan_target};
  if (graph) CHECK(!compile(graph, &options, &program), "compiled");
  return program;
}

// Of a convolution and what is done behind it the convolution says where the kernel comes from.
static void check_step(void) {
  Arena *arena = arena_new();
  Program *program = compiled(arena, "graph case\n"
                                     "module 1 conv \"encoder.a\" parent 0\n"
                                     "%0 = input \"x\" : [1, 24, 10, 12]\n"
                                     "%1 = param \"w\" init=constant(0) : [40, 24, 1, 1]\n"
                                     "%2 = conv2d(%0, %1) : [1, 40, 10, 12] module=1\n"
                                     "%3 = relu(%2) : [1, 40, 10, 12]\n"
                                     "output \"y\" = %3\n");
  const Step *conv = NULL;
  for (int i = 0; program && i < program->n_steps; i++)
    if (program->steps[i].flops >= 2 * 40 * 24 * 120) conv = &program->steps[i];
  CHECK(conv, "no step has the convolution's operations");
  if (conv) {
    CHECK(conv->flops == 2 * 40 * 24 * 120 + 40 * 120, "%lld operations", (long long)conv->flops);
    CHECK(conv->bytes == 4 * (24 * 120 + 40 * 24 + 40 * 120), "%lld bytes", (long long)conv->bytes);
  }
  CHECK(conv && !strcmp(conv->part, "encoder.a"), "part '%s'", conv ? conv->part : "");
  CHECK(program && program->multiply_adds == 40 * 24 * 120, "multiply-adds of the run");
  program_free(program);
  arena_free(arena);
}

// A kernel that takes two slices of an operand reads these alone, and nothing twice.
static void check_slices(void) {
  static const struct {
    int width;
    int64_t floats;
  } cases[] = {{10, 4 * 3 * 10}, {600, 4 * (1000 + 600)}};
  for (int i = 0; i < 2; i++) {
    Arena *arena = arena_new();
    int n = cases[i].width;
    const char *text = arena_printf(arena,
                                    "graph case\n"
                                    "%%0 = input \"x\" : [4, 1000]\n"
                                    "%%1 = slice(%%0) axis=1 start=3 stop=%d : [4, %d]\n"
                                    "%%2 = slice(%%0) axis=1 start=399 stop=%d : [4, %d]\n"
                                    "%%3 = mul(%%1, %%2) : [4, %d]\n"
                                    "output \"y\" = %%3\n",
                                    3 + n, n, 399 + n, n, n);
    Program *program = compiled(arena, text);
    CHECK(program && program->n_steps == 1, "%d columns: one kernel", n);
    if (program)
      CHECK(program->steps[0].bytes == 4 * cases[i].floats, "%d columns: %lld bytes", n,
            (long long)program->steps[0].bytes);
    program_free(program);
    arena_free(arena);
  }
}

// What stands in its concat is not copied there.
static void check_concat(void) {
  Arena *arena = arena_new();
  Program *program = compiled(arena, "graph case\n"
                                     "%0 = input \"a\" : [1, 16, 10, 12]\n"
                                     "%1 = input \"b\" : [1, 8, 10, 12]\n"
                                     "%2 = relu(%0) : [1, 16, 10, 12]\n"
                                     "%3 = concat(%2, %1) axis=1 : [1, 24, 10, 12]\n"
                                     "output \"y\" = %3\n");
  int64_t bytes = 0;
  for (int i = 0; program && i < program->n_steps; i++) bytes += program->steps[i].bytes;
  CHECK(bytes == 4 * 2 * 24 * 120, "%lld bytes", (long long)bytes);
  program_free(program);
  arena_free(arena);
}

int main(void) {
  check_step();
  check_slices();
  check_concat();
  return check_report("account");
}
