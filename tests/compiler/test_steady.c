// Nothing is allocated in a steady-state step: every allocation of the process is counted while programs run.
#include <stdatomic.h>
#include <stddef.h>

#include "compiler/compiler.h"
#include "runtime/exec.h"
#include "runtime/kernel_cache.h"
#include "tests/check.h"

static _Atomic int n_allocations;

// Sanitizers bring their own allocator, which cannot be wrapped this way.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { CAN_COUNT = 0 };
#else
enum { CAN_COUNT = 1 };
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t align, size_t size);
void *malloc(size_t size) {
  n_allocations++;
  return __libc_malloc(size);
}
void *calloc(size_t n, size_t size) {
  n_allocations++;
  return __libc_calloc(n, size);
}
void *realloc(void *old, size_t size) {
  n_allocations++;
  return __libc_realloc(old, size);
}
void *aligned_alloc(size_t align, size_t size) {
  n_allocations++;
  return __libc_memalign(align, size);
}
#endif

// A training step in small: convolutions, a concat, a reduction, a resize, updates.
static const char text[] =
    "graph g\n%x = input \"x\" : [2, 3, 20, 24]\n%w = param \"w\" init=normal(0, 0.1) : [16, 3, 3, 3]\n"
    "%d = param \"d\" init=normal(0, 0.1) : [16, 1, 3, 3]\n%p = param \"p\" init=normal(0, 0.1) : [4, 32, 1, 1]\n"
    "%a = conv2d(%x, %w) padding=1 stride=2\n%r = relu(%a)\n%b = conv2d(%r, %d) padding=1 groups=16\n"
    "%c = concat(%r, %b) axis=1\n%o = conv2d(%c, %p)\n%u = resize(%o) size=[20, 24] mode=bilinear align_corners=true\n"
    "%m = sum(%u) axes=[0, 1, 2, 3] keep=false\n%p2 = mul(%p, %m)\noutput \"u\" = %u\noutput \"m\" = %m\n"
    "update %p = %p2\n";

static void check_target(const Target *target, int threads) {
  Arena *arena = arena_new();
  Diag *diag = diag_new(arena, 5);
  Graph *graph = graph_parse(arena, "steady", text, diag);
  CHECK(graph, "the graph does not parse");
  Program *program = NULL;
  Device *device = NULL;
  Exec *exec = NULL;
  Status status = compile(graph, &(CompileOptions){.target = target, .is_training = true}, &program);
  if (!status) status = device_open_cpu(threads, &device);
  if (!status) status = exec_open(program, device, 1, &exec);
  if (!status) status = exec_run(exec);
  CHECK(!status, "%s", status_message(status));
  if (!status) {
    double *seconds = calloc((size_t)program->n_steps, sizeof *seconds);
    int before = n_allocations;
    for (int i = 0; i < 20 && !status; i++) status = exec_run(exec);
    int runs = n_allocations - before;
    CHECK(!status && !exec_profile(exec, seconds), "runs");
    CHECK(runs == 0, "%d allocations in 20 runs on %s", runs, target->name);
    CHECK(n_allocations == before, "a profiled run allocates");
    double total = 0;
    for (int i = 0; i < program->n_steps; i++) total += seconds[i];
    CHECK(total > 0 && total < 60, "profile sums up to %g s", total);
    free(seconds);
  }
  exec_close(exec);
  device_close(device);
  program_free(program);
  arena_free(arena);
}

int main(void) {
  char *compiler = kernel_cache_compiler();
  if (compiler) {
    check_target(target_host(), 1);
    check_target(target_host(), 3);
  } else {
    CHECK_SKIP("generated code: no C compiler");
  }
  free(compiler);
  if (!CAN_COUNT) CHECK_SKIP("allocations cannot be counted under a sanitizer");
  if (CAN_COUNT) CHECK(n_allocations > 100, "the counter does not count: %d", n_allocations);
  return check_report("steady");
}
