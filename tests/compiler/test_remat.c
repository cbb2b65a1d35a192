// Rematerialisation: training steps that fit into a budget, with the same bits; and what is said where they cannot.
#include <sys/wait.h>
#include <unistd.h>

#include "compiler/compiler.h"
#include "lang/lang.h"
#include "runtime/base/file.h"
#include "runtime/base/random.h"
#include "runtime/exec.h"
#include "runtime/kernel_cache.h"
#include "tests/check.h"

typedef struct Net {
  const char *path;
  LangBinding arguments[8];
  const char *batch, *height, *width;
  bool accumulates;
} Net;

static const Net deep = {"tests/compiler/deep.net", {{NULL, NULL}}, "2", "32", "48", false};
static const Net large = {"tests/compiler/deep.net", {{"width", "16"}}, "4", "128", "160", false};

// What is compiled, and with which budget.
typedef struct How {
  const Target *target;
  const Shard *shard;
  bool exact;
  int64_t memory;
} How;

static Graph *build(Arena *arena, const Net *net, Diag *diag) {
  static const char *const directories[] = {"stdlib", "models"};
  LangPaths paths = {directories, 2, NULL};
  LangBinding bindings[16];
  int n = 0;
  for (; net->arguments[n].name; n++) bindings[n] = net->arguments[n];
  bindings[n++] = (LangBinding){"N", net->batch};
  bindings[n++] = (LangBinding){"H", net->height};
  bindings[n++] = (LangBinding){"W", net->width};
  LangFile *file = lang_load(arena, net->path, &paths, diag);
  LangOptions options = {NULL, bindings, n, true, true};
  Graph *graph = file ? lang_elaborate(file, &options, diag) : NULL;
  StepOptions step = {.beta2 = 0.999, .eps = 1e-8, .weight_decay = 1e-4, .clip = 0.5, .accumulates = net->accumulates};
  return graph && step_build(graph, &step, diag) ? graph : NULL;
}

static Status compile_net(const Net *net, const How *how, Arena *arena, Program **out) {
  Diag *diag = diag_new(arena, 20);
  Graph *graph = build(arena, net, diag);
  CompileOptions options = {.target = how->target,
                            .is_training = true,
                            .exact = how->exact,
                            .memory = how->memory,
                            .shard = how->shard,
                            .diag = diag};
  *out = NULL;
  return graph ? compile(graph, &options, out) : status_make(EXIT_MODEL, "%s: errors", net->path);
}

// The program, or NULL after a failed check.
static Program *program_of(const Net *net, const How *how, Arena *arena) {
  Program *program;
  Status status = compile_net(net, how, arena, &program);
  CHECK(!status, "%s into %lld bytes: %s", net->path, (long long)how->memory, status_message(status));
  status_free(status);
  return program;
}

static int64_t bytes_of(const Program *program) { return 4 * (program->persistent + program->slab); }

// The least that the refusal of a budget of one byte names.
static int64_t least_of(const Net *net, How how, Arena *arena) {
  Program *program;
  how.memory = 1;
  Status status = compile_net(net, &how, arena, &program);
  CHECK(status_code(status) == EXIT_DEVICE && !program, "one byte: %s", status_message(status));
  const char *says = status ? strstr(status_message(status), "do with is ") : NULL;
  CHECK(says, "the least is not named: %s", status_message(status));
  int64_t least = says ? (int64_t)(1e6 * atof(says + strlen("do with is "))) : 0;
  status_free(status);
  return least;
}

// ---- plans ----------------------------------------------------------------------------------------------------------

static int count_all_reduces(const Program *program) {
  int n = 0;
  for (int i = 0; i < program->n_steps; i++) n += program->steps[i].kind == STEP_ALL_REDUCE;
  return n;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool is_sanitized = true; // which is slow, and brings memory of its own
#else
static const bool is_sanitized = false;
#endif

// Budgets from enough to the least: each is kept to, half way at no more than a forward pass.
static void check_budgets(const char *name, const Net *net, const How *how, double most_share) {
  Arena *arena = arena_new();
  Program *plain = program_of(net, how, arena);
  int64_t full = plain ? bytes_of(plain) : 0, least = least_of(net, *how, arena);
  CHECK(plain && plain->n_again == 0 && plain->again == 0, "%s: computes again without a budget", name);
  CHECK((double)least < most_share * (double)full, "%s: %lld of %lld bytes is the least", name, (long long)least,
        (long long)full);
  for (int part = 0; part <= 4 && plain; part++) {
    How tight = *how;
    tight.memory = full - part * (full - least) / 4;
    Program *program = program_of(net, &tight, arena);
    if (!program) continue;
    CHECK(bytes_of(program) <= tight.memory, "%s: %lld bytes for %lld", name, (long long)bytes_of(program),
          (long long)tight.memory);
    CHECK((part > 0) == (program->n_again > 0), "%s, part %d: %d steps again", name, part, program->n_again);
    CHECK(program->multiply_adds - program->again == plain->multiply_adds, "%s: other multiply-adds", name);
    CHECK(part > 2 || program->again < plain->multiply_adds / 3, "%s, part %d: more than a forward pass again", name,
          part);
    CHECK(count_all_reduces(program) == count_all_reduces(plain), "%s: all-reduces", name);
    if (part == 0 && plain->source) CHECK_TEXT(program->source, plain->source, "%s: a budget that is kept to", name);
    program_free(program);
  }
  program_free(plain);
  arena_free(arena);
}

static void test_plans(void) {
  static const Shard shard = {.count = 2, .batch = 4, .samples = 2, .bucket_bytes = 64 << 10};
  Net parts = deep;
  parts.accumulates = true;
  check_budgets("cpu", &deep, &(How){.target = target_host()}, 0.8);
  if (is_sanitized) return;
  check_budgets("large", &large, &(How){.target = target_host()}, 0.5);
  check_budgets("exact", &deep, &(How){.target = target_host(), .exact = true}, 0.8);
  check_budgets("accumulated", &parts, &(How){.target = target_host()}, 0.85);
  check_budgets("reference", &deep, &(How){.target = target_reference()}, 0.8);
  check_budgets("cuda", &deep, &(How){.target = target_cuda(80)}, 0.9);
  check_budgets("cuda, large", &large, &(How){.target = target_cuda(80)}, 0.5);
  check_budgets("shared", &large, &(How){.target = target_host(), .shard = &shard}, 0.6);
  check_budgets("shared on cuda", &large, &(How){.target = target_cuda(80), .shard = &shard}, 0.6);
}

// ---- numbers --------------------------------------------------------------------------------------------------------

static void fill_inputs(Exec *exec, int run, bool accumulates) {
  const Program *program = exec_program(exec);
  for (int i = 0; i < program->n_buffers; i++) {
    const Buffer *buffer = &program->buffers[i];
    if (buffer->kind != BUFFER_INPUT) continue;
    float *to = exec_input(exec, buffer->name);
    if (!strcmp(buffer->name, "random_key")) {
      random_step_key(7, run, to);
    } else if (!strcmp(buffer->name, "hyper")) {
      int step = accumulates ? run / 2 : run;
      const float hyper[HYPER_COUNT] = {
          [HYPER_LR] = 1e-2f,
          [HYPER_BETA1] = 0.9f,
          [HYPER_UNBIAS1] = (float)(1 - pow(0.9, step + 1)),
          [HYPER_UNBIAS2] = (float)(1 - pow(0.999, step + 1)),
          [HYPER_KEEP] = accumulates ? (float)(run % 2) : 0,
          [HYPER_SHARE] = accumulates ? 0.5f : 1,
          [HYPER_APPLY] = accumulates ? (float)(run % 2) : 1,
      };
      memcpy(to, hyper, sizeof hyper);
    } else {
      bool is_depth = strcmp(buffer->name, "rgb") != 0;
      Random random = random_substream(random_stream(3, buffer->name), (uint64_t)run);
      random_fill_uniform(random, to, shape_elements(buffer->shape), is_depth ? 0.5 : -2, is_depth ? 9 : 2);
    }
  }
}

// Runs both side by side. Returns how many outputs and kept values differ in some bit.
static int count_different(Exec *one, Exec *other, bool accumulates) {
  const Program *program = exec_program(one);
  int n_different = 0, n_compared = 0;
  for (int run = 0; run < 4; run++) {
    fill_inputs(one, run, accumulates);
    fill_inputs(other, run, accumulates);
    Status status = exec_run(one);
    if (!status) status = exec_run(other);
    for (int i = 0; i < program->n_buffers && !status; i++) {
      const Buffer *buffer = &program->buffers[i];
      if (buffer->kind != BUFFER_PARAM && buffer->kind != BUFFER_OUTPUT) continue;
      size_t size = sizeof(float) * (size_t)shape_elements(buffer->shape);
      float *a = malloc(size), *b = malloc(size);
      if (buffer->kind == BUFFER_OUTPUT) {
        memcpy(a, exec_output(one, buffer->name), size);
        memcpy(b, exec_output(other, buffer->name), size);
      } else {
        status = exec_get(one, buffer->name, a);
        if (!status) status = exec_get(other, buffer->name, b);
      }
      n_different += memcmp(a, b, size) != 0;
      n_compared++;
      free(a);
      free(b);
    }
    CHECK(!status, "run %d: %s", run, status_message(status));
    status_free(status);
  }
  CHECK(n_compared > 100, "%d tensors compared", n_compared);
  return n_different;
}

static void check_bits(const char *name, const Net *net, const How *how) {
  Arena *arena = arena_new();
  Program *plain = program_of(net, how, arena);
  int64_t least = least_of(net, *how, arena), full = plain ? bytes_of(plain) : 0;
  for (int part = 1; part <= 3 && plain; part++) {
    How tight = *how;
    tight.memory = full - part * (full - least) / 3;
    Program *program = program_of(net, &tight, arena);
    Device *device[2] = {NULL, NULL};
    Exec *exec[2] = {NULL, NULL};
    Status status = STATUS_OK;
    for (int i = 0; i < 2 && program && !status; i++) {
      status = device_open_cpu(2, &device[i]);
      if (!status) status = exec_open(i ? program : plain, device[i], 1, &exec[i]);
    }
    CHECK(!status, "%s: %s", name, status_message(status));
    if (program && !status) {
      int n = count_different(exec[0], exec[1], net->accumulates);
      CHECK(n == 0, "%s, %d steps again: %d tensors differ", name, program->n_again, n);
    }
    status_free(status);
    for (int i = 0; i < 2; i++) {
      exec_close(exec[i]);
      device_close(device[i]);
    }
    program_free(program);
  }
  program_free(plain);
  arena_free(arena);
}

static void test_bits(bool has_compiler) {
  Net parts = deep;
  parts.accumulates = true;
  check_bits("reference", &deep, &(How){.target = target_reference()});
  if (is_sanitized) return;
  check_bits("reference, accumulated", &parts, &(How){.target = target_reference()});
  if (!has_compiler) return;
  check_bits("cpu", &deep, &(How){.target = target_host()});
  check_bits("cpu, accumulated", &parts, &(How){.target = target_host()});
  check_bits("cpu, exact", &deep, &(How){.target = target_host(), .exact = true});
}

// ---- memory as the system sees it -----------------------------------------------------------------------------------

// Bytes of that line of /proc/self/status.
static double bytes_in_use(const char *key) {
  Text text = {0};
  Status status = file_read("/proc/self/status", &text);
  const char *line = status ? NULL : strstr(text_get(&text), key);
  double bytes = line ? 1024 * atof(line + strlen(key)) : 0;
  status_free(status);
  text_free(&text);
  return bytes;
}

// Runs two steps; what the process grew by at most.
static double grow(const Program *program) {
  FILE *reset = fopen("/proc/self/clear_refs", "w");
  if (!reset || fputs("5", reset) < 0 || fclose(reset)) return 0; // the peak starts over
  Status status = STATUS_OK;
  double before = bytes_in_use("VmRSS:"), most = 0;
  Device *device = NULL;
  Exec *exec = NULL;
  if (!status) status = device_open_cpu(1, &device);
  if (!status) status = exec_open(program, device, 1, &exec);
  for (int run = 0; run < 2 && !status; run++) {
    fill_inputs(exec, run, false);
    status = exec_run(exec);
  }
  if (!status) most = bytes_in_use("VmHWM:") - before;
  return most;
}

static double grow_apart(const Program *program) {
  int ends[2];
  double grown = 0;
  if (pipe(ends)) return 0;
  pid_t child = fork();
  if (child == 0) {
    grown = grow(program);
    bool is_written = write(ends[1], &grown, sizeof grown) == sizeof grown;
    _exit(is_written ? 0 : 1);
  }
  close(ends[1]);
  if (read(ends[0], &grown, sizeof grown) != sizeof grown) grown = 0;
  close(ends[0]);
  waitpid(child, NULL, 0);
  return grown;
}

static void test_process(void) {
  Arena *arena = arena_new();
  How how = {.target = target_host()};
  Program *plain = program_of(&large, &how, arena);
  how.memory = plain ? bytes_of(plain) * 6 / 10 : 0;
  Program *tight = program_of(&large, &how, arena);
  double full = plain ? grow_apart(plain) : 0, less = tight ? grow_apart(tight) : 0;
  if (plain && tight && full <= 0) {
    CHECK_SKIP("the peak of this process cannot be read");
  } else if (plain && tight) {
    double planned = (double)(bytes_of(plain) - bytes_of(tight));
    CHECK(planned > 20e6, "only %g bytes are spared", planned);
    CHECK(full > 0.8 * (double)bytes_of(plain), "%g bytes measured, %lld planned", full, (long long)bytes_of(plain));
    CHECK(full - less > 0.8 * planned && full - less < 1.2 * planned, "%g bytes spared, %g planned", full - less,
          planned);
  }
  program_free(plain);
  program_free(tight);
  arena_free(arena);
}

int main(void) {
  char *compiler = kernel_cache_compiler();
  test_plans();
  test_bits(compiler != NULL);
  if (!compiler) CHECK_SKIP("generated code: no C compiler");
  if (is_sanitized) CHECK_SKIP("the process's memory is the sanitizer's too");
  else if (compiler) test_process();
  free(compiler);
  return check_report("remat");
}
