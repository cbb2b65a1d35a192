// CPUs by name: each has its own text and flags; what this machine executes computes the same numbers, the rest is
// refused by name.
#include "compiler/compiler.h"
#include "compiler/ops/eval.h"
#include "runtime/base/cpu.h"
#include "runtime/base/random.h"
#include "runtime/exec.h"
#include "runtime/kernel_cache.h"
#include "tests/check.h"

static const char *const kinds[] = {"avx512vl", "avx512", "avx2", "sse2", "neon", "generic"};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static const char *const network = "graph g\n"
                                   "%0 = input \"x\" : [1, 20, 9, 11]\n"
                                   "%1 = param \"w\" init=constant(1) : [12, 20, 3, 3]\n"
                                   "%2 = conv2d(%0, %1) padding=1 : [1, 12, 9, 11]\n"
                                   "%3 = relu(%2) : [1, 12, 9, 11]\n"
                                   "output \"y\" = %3\n";

static Graph *parse(Arena *arena) {
  Diag *diag = diag_new(arena, 5);
  Graph *graph = graph_parse(arena, "network", network, diag);
  Text out = {0};
  diag_print(diag, &out, false);
  CHECK(graph, "%s", text_get(&out));
  text_free(&out);
  return graph;
}

static Program *compile_for(const Target *target, Arena *arena) {
  Program *program = NULL;
  CompileOptions options = {.target = target};
  Status status = compile(parse(arena), &options, &program);
  CHECK(!status, "%s: %s", target->name, status_message(status));
  status_free(status);
  return program;
}

static void test_names(void) {
  int n_executed = 0;
  for (int i = 0; i < N_KINDS; i++) {
    const Target *target = target_cpu(kinds[i]);
    char name[32];
    snprintf(name, sizeof name, "cpu:%s", kinds[i]);
    CHECK(target && target_find(name) == target && target->kind == TARGET_CPU, "%s", name);
    CHECK(strstr(target->name, kinds[i]) && !strstr(target->cc_flags, "native"), "%s: %s", name, target->cc_flags);
    bool is_here = !target->machine || !strcmp(target->machine, cpu_machine());
    CHECK(is_here || !cpu_executes(kinds[i]), "%s is of another machine", name);
    bool is_host = !strcmp(target->name, target_host()->name);
    if (is_host) n_executed += cpu_executes(kinds[i]);
    if (is_host)
      CHECK(target->vector == target_host()->vector && target->registers == target_host()->registers, "%s", name);
  }
  CHECK(n_executed == 1, "%s is %d of the kinds", target_host()->name, n_executed);
  CHECK(!target_find("cpu:") && !target_find("cpu:mmx") && !target_find("cpux") && !cpu_executes("mmx"),
        "unknown names");
}

// What a kernel is known by in the cache: its text and its flags.
static void test_texts(void) {
  Arena *arena = arena_new();
  Program *program[N_KINDS];
  for (int i = 0; i < N_KINDS; i++) {
    const Target *target = target_cpu(kinds[i]);
    program[i] = compile_for(target, arena);
    char width[32];
    snprintf(width, sizeof width, "#define V %d\n", target->vector);
    CHECK(strstr(program[i]->source, width), "%s: no vectors of %d", target->name, target->vector);
    for (int k = 0; k < i; k++)
      CHECK(strcmp(program[i]->source, program[k]->source) || strcmp(program[i]->cc_flags, program[k]->cc_flags),
            "%s and %s share kernels", target->name, program[k]->target);
  }
  for (int i = 0; i < N_KINDS; i++) program_free(program[i]);
  arena_free(arena);
}

static void test_run(const char *kind) {
  const Target *target = target_cpu(kind);
  Arena *arena = arena_new();
  float *x = ARENA_ARRAY(arena, float, 20 * 9 * 11), *w = ARENA_ARRAY(arena, float, 12 * 20 * 9);
  random_fill_uniform(random_stream(3, "x"), x, 20 * 9 * 11, -1, 1);
  random_fill_uniform(random_stream(3, "w"), w, 12 * 20 * 9, -1, 1);
  const float *leaves[] = {x, w, NULL, NULL};
  const float *want = graph_eval(parse(arena), arena, leaves)[3];
  Program *program = compile_for(target, arena);
  Device *device;
  Exec *exec = NULL;
  status_free(device_open_cpu(1, &device));
  Status status = exec_open(program, device, 1, &exec);
  if (!cpu_executes(kind)) {
    CHECK(status_code(status) == EXIT_DEVICE && strstr(status_message(status), target->name) &&
              strstr(status_message(status), "--target=cpu"),
          "%s: '%s'", kind, status_message(status));
  } else {
    CHECK(!status, "%s: %s", kind, status_message(status));
    memcpy(exec_input(exec, "x"), x, sizeof *x * 20 * 9 * 11);
    status_free(exec_set(exec, "w", w));
    Status ran = exec_run(exec);
    CHECK(!ran, "%s: %s", kind, status_message(ran));
    status_free(ran);
    for (int i = 0; i < 12 * 9 * 11; i++)
      CHECK_NEAR(exec_output(exec, "y")[i], want[i], 2e-5, "%s, element %d", kind, i);
  }
  status_free(status);
  exec_close(exec);
  device_close(device);
  program_free(program);
  arena_free(arena);
}

int main(void) {
  test_names();
  test_texts();
  char *compiler = kernel_cache_compiler();
  for (int i = 0; i < N_KINDS && compiler; i++) test_run(kinds[i]);
  if (!compiler) CHECK_SKIP("generated code: no C compiler");
  free(compiler);
  return check_report("target");
}
