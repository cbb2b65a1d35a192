// Dropout from text to numbers: which elements fall, that targets and threads agree bit for bit, its gradient, and that
// a network in use has none.
#include <math.h>
#include <string.h>

#include "compiler/compiler.h"
#include "lang/lang.h"
#include "runtime/base/file.h"
#include "runtime/base/random.h"
#include "runtime/exec.h"
#include "runtime/kernel_cache.h"
#include "tests/check.h"
#include "tests/runtime/scratch.h"

enum { N = 40 * 3 * 41 * 50 }; // more than one run of the kernel
#define P 0.25

static const char text[] = "net 1\n"
                           "use conv (dropout)\n"
                           "model m {\n"
                           "  input x: f32[40, 3, 41, 50]\n"
                           "  param w: f32[] = 1\n"
                           "  output a = dropout(x * w, 0.25) @a\n"
                           "  output b = dropout(x, 0.25) @b\n"
                           "  output square = sum(a * a, axes=[0, 1, 2, 3])\n"
                           "}\n";

static const LangPaths paths = {(const char *const[]){"stdlib"}, 1, NULL};

static Graph *build(Arena *arena, bool is_training) {
  Diag *diag = diag_new(arena, 20);
  const char *path = scratch_path("m.net");
  Status status = file_write(path, text, strlen(text));
  CHECK(!status, "%s", status_message(status));
  LangFile *file = lang_load(arena, path, &paths, diag);
  Graph *graph = file ? lang_elaborate(file, &(LangOptions){.is_training = is_training}, diag) : NULL;
  CHECK(graph, "the model builds");
  return graph;
}

typedef struct Result {
  float *a, *b;
  float square, slope; // slope: the derivative of `square` by w
} Result;

static void result_free(Result *result) {
  free(result->a);
  free(result->b);
}

// x is 1 everywhere.
static Result run(const Target *target, int threads, uint64_t seed, int64_t step, float w) {
  Arena *arena = arena_new();
  Graph *graph = build(arena, true);
  Node *leaf = graph_find_leaf(graph, "w"), *slope;
  CHECK(grad_build(graph, graph_find_output(graph, "square"), &leaf, 1, &slope, diag_new(arena, 20)), "the gradient");
  graph_output(graph, "slope", slope, false);
  Program *program = NULL;
  Device *device = NULL;
  Exec *exec = NULL;
  Status status = compile(graph, &(CompileOptions){.target = target, .is_training = true}, &program);
  if (!status) status = device_open_cpu(threads, &device);
  if (!status) status = exec_open(program, device, 0, &exec);
  Result result = {malloc(sizeof(float) * N), malloc(sizeof(float) * N), 0, 0};
  if (!status) {
    for (int i = 0; i < N; i++) exec_input(exec, "x")[i] = 1;
    random_step_key(seed, step, exec_input(exec, "random_key"));
    status = exec_set(exec, "w", &w);
  }
  if (!status) status = exec_run(exec);
  CHECK(!status, "%s", status_message(status));
  if (!status) {
    memcpy(result.a, exec_output(exec, "a"), sizeof(float) * N);
    memcpy(result.b, exec_output(exec, "b"), sizeof(float) * N);
    result.square = *exec_output(exec, "square");
    result.slope = *exec_output(exec, "slope");
  }
  status_free(status);
  exec_close(exec);
  device_close(device);
  if (program) program_free(program);
  arena_free(arena);
  return result;
}

// How many places of two results are kept or dropped alike.
static double agreement(const float *a, const float *b, int shift) {
  int64_t n = 0;
  for (int i = 0; i + shift < N; i++) n += (a[i + shift] == 0) == (b[i] == 0);
  return (double)n / (N - shift);
}

static void check_distribution(const Result *result, const Result *next, const Result *other_seed) {
  const float scale = (float)(1 / (1 - P));
  int64_t n_dropped = 0, n_other = 0;
  for (int i = 0; i < N; i++) {
    n_dropped += result->a[i] == 0;
    n_other += result->a[i] != 0 && result->a[i] != scale;
  }
  CHECK(n_other == 0, "%lld elements are neither 0 nor 1 / (1 - p)", (long long)n_other);
  double deviation = 4.5 * sqrt(P * (1 - P) / N), share = (double)n_dropped / N;
  CHECK(fabs(share - P) < deviation, "a share of %g fell", share);
  // Of two independent draws this share agrees.
  double alike = P * P + (1 - P) * (1 - P);
  deviation = 4.5 * sqrt(alike * (1 - alike) / N);
  const int shifts[] = {1, 2, 3, 4, 8, 50, 41 * 50, 3 * 41 * 50, 1 << 14};
  for (size_t k = 0; k < sizeof shifts / sizeof *shifts; k++) {
    double seen = agreement(result->a, result->a, shifts[k]);
    CHECK(fabs(seen - alike) < 2 * deviation, "elements %d apart agree at %g", shifts[k], seen);
  }
  CHECK(fabs(agreement(result->a, result->b, 0) - alike) < deviation, "two places of the network are independent");
  CHECK(fabs(agreement(result->a, next->a, 0) - alike) < deviation, "two steps are independent");
  CHECK(fabs(agreement(result->a, other_seed->a, 0) - alike) < deviation, "two seeds are independent");
}

static bool is_equal(const Result *a, const Result *b) {
  return !memcmp(a->a, b->a, sizeof(float) * N) && !memcmp(a->b, b->b, sizeof(float) * N);
}

// With the mask fixed by the key, `square` is quadratic in w.
static void check_gradient(const Target *target) {
  Result at = run(target, 2, 3, 5, 1), above = run(target, 2, 3, 5, 1.5f), below = run(target, 2, 3, 5, 0.5f);
  double slope = (double)above.square - below.square;
  CHECK(fabs(slope - at.slope) < 1e-5 * slope, "the slope on %s is %g, by differences %g", target->name, at.slope,
        slope);
  result_free(&at);
  result_free(&above);
  result_free(&below);
}

static void check_target(const Target *target, const Result *reference) {
  Result one = run(target, 1, 3, 5, 1), three = run(target, 3, 3, 5, 1);
  CHECK(is_equal(&one, &three), "%s: one thread and three agree", target->name);
  CHECK(is_equal(&one, reference), "%s agrees with the reference", target->name);
  check_gradient(target);
  result_free(&one);
  result_free(&three);
}

static void check_use(void) {
  Arena *arena = arena_new();
  Graph *graph = build(arena, false);
  CHECK(!graph_find_leaf(graph, "random_key"), "a network in use draws nothing");
  CHECK(graph_find_output(graph, "b") == graph_find_leaf(graph, "x"), "dropout in use is nothing");
  arena_free(arena);
}

int main(void) {
  check_use();
  Result reference = run(target_reference(), 1, 3, 5, 1);
  Result next = run(target_reference(), 1, 3, 6, 1), other = run(target_reference(), 1, 4, 5, 1);
  check_distribution(&reference, &next, &other);
  char *compiler = kernel_cache_compiler();
  if (compiler) check_target(target_host(), &reference);
  else CHECK_SKIP("generated code: no C compiler");
  free(compiler);
  result_free(&reference);
  result_free(&next);
  result_free(&other);
  return check_report("dropout");
}
