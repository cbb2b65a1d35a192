// Tuning: alternatives of knobs, results as text, what they do to kernels and passes, and that programs which differ in
// their kernels alone share memory and agree.
#include "compiler/compiler.h"
#include "compiler/kernel/tuning.h"
#include "runtime/exec.h"
#include "runtime/kernel_cache.h"
#include "tests/check.h"

// A pointwise convolution, one by tiles, a depthwise one in front of a pointwise one, and a reduction.
static const char *const network = "graph net\n"
                                   "%x = input \"x\" : [1, 16, 48, 64]\n"
                                   "%a = param \"a\" init=normal(0,0.1) : [32, 16, 1, 1]\n"
                                   "%1 = conv2d(%x, %a) : [1, 32, 48, 64]\n"
                                   "%b = param \"b\" init=normal(0,0.1) : [48, 32, 3, 3]\n"
                                   "%2 = conv2d(%1, %b) padding=1 : [1, 48, 48, 64]\n"
                                   "%3 = relu(%2) : [1, 48, 48, 64]\n"
                                   "%c = param \"c\" init=normal(0,0.1) : [48, 1, 3, 3]\n"
                                   "%4 = conv2d(%3, %c) padding=1 groups=48 : [1, 48, 48, 64]\n"
                                   "%d = param \"d\" init=normal(0,0.1) : [24, 48, 1, 1]\n"
                                   "%5 = conv2d(%4, %d) : [1, 24, 48, 64]\n"
                                   "%6 = sum(%5) axes=[2, 3] keep=true : [1, 24, 1, 1]\n"
                                   "output \"y\" = %5\n"
                                   "output \"sums\" = %6\n";

// The program by the host's target with that tuning (NULL: none).
static Program *compiled(Arena *arena, Tuning *tuning) {
  Diag *diag = diag_new(arena, 5);
  Graph *graph = graph_parse(arena, "net", network, diag);
  Text out = {0};
  diag_print(diag, &out, false);
  CHECK(graph, "%s", text_get(&out));
  text_free(&out);
  Target *target = arena_memdup(arena, target_host(), sizeof *target);
  target->tuning = tuning;
  CompileOptions options = {.target = target};
  Program *program = NULL;
  Status status = graph ? compile(graph, &options, &program) : NULL;
  CHECK(program, "%s", status ? status_message(status) : "no graph");
  status_free(status);
  return program;
}

static const TuningSubject *subject_with(const Tuning *tuning, const char *start) {
  const TuningSubject *subject;
  int n = tuning_subjects(tuning, &subject);
  for (int i = 0; i < n; i++)
    if (!strncmp(subject[i].name, start, strlen(start))) return &subject[i];
  CHECK(false, "nothing that begins with '%s' has choices", start);
  return NULL;
}

static void test_alternatives(void) {
  Knob many = {"rows", 8, 1, 40, 8}, few = {"tile", 2, 0, 2, 2}, high = {"rows", 40, 1, 40, 40};
  static const int64_t of_many[] = {16, 4, 12, 6, 1, 40}, of_few[] = {0, 1, 2, 2, 2, 2},
                       of_high[] = {40, 20, 40, 27, 1, 40};
  for (int i = 0; i < KNOB_ALTERNATIVES; i++) {
    CHECK(knob_alternative(&many, i) == of_many[i], "%d of 8 in 1..40", i);
    CHECK(knob_alternative(&few, i) == of_few[i], "%d of 0..2", i);
    CHECK(knob_alternative(&high, i) == of_high[i], "%d of 40 in 1..40", i);
  }
  CHECK(knob_is_few(&few) && !knob_is_few(&many), "few");
}

// ---- text -----------------------------------------------------------------------------------------------------------

static const TuningResult *find(const Tuning *tuning, Arena *arena, const char *name) {
  const TuningResult *result;
  int n = tuning_results(tuning, arena, &result);
  for (int i = 0; i < n; i++)
    if (!strcmp(result[i].name, name)) return &result[i];
  return NULL;
}

static void test_text(void) {
  Arena *arena = arena_new();
  Tuning *tuning = tuning_new(arena), *again = tuning_new(arena);
  tuning_set(tuning, &(TuningResult){"conv_1", "conv_2", "rows=4 parts=2", 0.875});
  tuning_set(tuning, &(TuningResult){"conv2d:1x2->3,padding=1", NULL, "tile=0", 0.5});
  tuning_set(tuning, &(TuningResult){"gone", "gone_2", "rows=4", 0.5});
  tuning_set(tuning, &(TuningResult){"gone", NULL, "", 1});
  Text text = {0}, other = {0};
  tuning_write(tuning, "here/2", "", &text);
  TuningReading reading = tuning_read(again, "here/2", text_get(&text));
  CHECK(reading.n_taken == 2 && !reading.n_broken && !reading.n_foreign && !reading.is_other, "round trip");
  const TuningResult *kernel = find(again, arena, "conv_1"), *layer = find(again, arena, "conv2d:1x2->3,padding=1");
  CHECK(kernel && !strcmp(kernel->symbol, "conv_2") && !strcmp(kernel->values, "rows=4 parts=2"), "kernel");
  CHECK(kernel && fabs(kernel->ratio - 0.875) < 1e-9, "ratio");
  CHECK(layer && !layer->symbol && !strcmp(layer->values, "tile=0"), "layer");
  CHECK(!find(again, arena, "gone"), "a removed result is written");

  // Another machine's results stay in the file, and are not used here.
  tuning_write(tuning_new(arena), "there/4", text_get(&text), &other);
  reading = tuning_read(tuning_new(arena), "there/4", text_get(&other));
  CHECK(reading.n_foreign == 2 && !reading.n_taken, "foreign: %d", reading.n_foreign);
  reading = tuning_read(tuning_new(arena), "here/2", text_get(&other));
  CHECK(reading.n_taken == 2, "kept: %d", reading.n_taken);

  static const char *const broken[] = {"here/2",
                                       "here/2 conv_1",
                                       "here/2 conv_1 conv_2",
                                       "here/2 conv_1 conv_2 0.9",
                                       "here/2 conv_1 conv_2 0.9 rows",
                                       "here/2 conv_1 conv_2 0.9 rows=",
                                       "here/2 conv_1 conv_2 0.9 rows=4x",
                                       "here/2 conv_1 conv_2 -1 rows=4",
                                       "here/2 conv_1 conv_2 much rows=4",
                                       "\x01\xff\x7f"};
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
    Tuning *none = tuning_new(arena);
    text_clear(&other);
    text_printf(&other, "%s%s\n", text_get(&text), broken[i]);
    reading = tuning_read(none, "here/2", text_get(&other));
    CHECK(reading.n_broken == 1 && reading.n_taken == 2, "'%s' is taken", broken[i]);
  }
  text.data[text.size - 1] = 0; // the last line is cut off
  reading = tuning_read(tuning_new(arena), "here/2", text_get(&text));
  CHECK(reading.n_broken == 1 && reading.n_taken == 1, "cut off");
  CHECK(tuning_read(tuning_new(arena), "here/2", "sgc tuned schedules 99\n").is_other, "another version");
  CHECK(!tuning_read(tuning_new(arena), "here/2", "").is_other, "an empty file");
  text_free(&text);
  text_free(&other);
  arena_free(arena);
}

// ---- kernels --------------------------------------------------------------------------------------------------------

static void test_results(void) {
  Arena *arena = arena_new();
  Tuning *empty = tuning_new(arena);
  Program *plain = compiled(arena, NULL), *asked = compiled(arena, empty);
  CHECK(!strcmp(plain->source, asked->source) && !tuning_used(empty), "asking changes the kernels");
  const TuningSubject *kernel = subject_with(empty, "conv2d_32x16x1x1");
  if (kernel) {
    CHECK(!strcmp(kernel->name, kernel->symbol), "the cost model's kernel has two names");
    Tuning *tuned = tuning_new(arena), *stale = tuning_new(arena), *beyond = tuning_new(arena);
    const char *values =
        arena_printf(arena, "nonsense=7 %s=%lld", kernel->knob->name, (long long)knob_alternative(kernel->knob, 1));
    tuning_set(tuned, &(TuningResult){kernel->name, NULL, values, 1});
    Program *program = compiled(arena, tuned);
    const TuningSubject *made = subject_with(tuned, kernel->name);
    CHECK(made && strcmp(made->symbol, kernel->symbol) && tuning_used(tuned) == 1, "the result is not used");
    CHECK(made && strstr(program->source, made->symbol) && !strstr(plain->source, made->symbol), "the text stays");
    program_free(program);
    // The generator makes another kernel than the one that was measured.
    tuning_set(stale, &(TuningResult){kernel->name, "conv2d_that_was_measured", values, 1});
    program = compiled(arena, stale);
    CHECK(!strcmp(program->source, plain->source) && !tuning_used(stale), "a stale result is used");
    program_free(program);
    tuning_set(beyond, &(TuningResult){kernel->name, NULL, "rows=-5 pixels=-5 parts=1000000", 1});
    program = compiled(arena, beyond);
    made = subject_with(beyond, kernel->name);
    for (int i = 0; made && i < made->n_knobs; i++)
      CHECK(made->knob[i].value >= made->knob[i].least && made->knob[i].value <= made->knob[i].most,
            "beyond the range");
    program_free(program);
  }
  program_free(plain);
  program_free(asked);
  arena_free(arena);
}

static void test_layers(void) {
  Arena *arena = arena_new();
  Tuning *empty = tuning_new(arena), *tuned = tuning_new(arena);
  Program *plain = compiled(arena, empty);
  const TuningSubject *layer = subject_with(empty, "conv2d:");
  if (layer) {
    CHECK(!layer->symbol && layer->n_knobs == 1 && layer->knob->value == 2, "tiles of four");
    tuning_set(tuned, &(TuningResult){layer->name, NULL, "tile=0", 1});
    Program *direct = compiled(arena, tuned);
    CHECK(strstr(plain->source, "kernel conv2d_winograd") && !strstr(direct->source, "kernel conv2d_winograd"),
          "the layer is not computed directly");
    program_free(direct);
  }
  program_free(plain);
  arena_free(arena);
}

// ---- values ---------------------------------------------------------------------------------------------------------

static void fill(Exec *exec) {
  float *x = exec_input(exec, "x");
  for (int i = 0; i < 16 * 48 * 64; i++) x[i] = (float)(i * 7919 % 1000) / 500 - 1;
}

static void check_outputs(Exec *got, float *const *want, const char *what) {
  static const char *const names[] = {"y", "sums"};
  static const int64_t sizes[] = {24 * 48 * 64, 24};
  for (int k = 0; k < 2; k++) {
    const float *value = exec_output(got, names[k]);
    double worst = 0, largest = 0;
    for (int64_t i = 0; i < sizes[k]; i++) {
      worst = fmax(worst, isfinite(value[i]) ? fabs(value[i] - want[k][i]) : INFINITY);
      largest = fmax(largest, fabs(want[k][i]));
    }
    CHECK(worst <= 1e-5 * largest, "%s: '%s' differs by %g of %g", what, names[k], worst, largest);
  }
}

static void clear_outputs(Exec *exec) {
  memset((float *)exec_output(exec, "y"), 0, sizeof(float) * 24 * 48 * 64);
  memset((float *)exec_output(exec, "sums"), 0, sizeof(float) * 24);
}

// Every alternative on the memory of the first program, run as a whole and step by step; and layers in memory of their
// own.
static void test_values(void) {
  Arena *arena = arena_new();
  Device *device = NULL;
  Exec *base = NULL;
  Program *plain = compiled(arena, NULL);
  Status status = device_open_cpu(2, &device);
  if (!status) status = exec_open(plain, device, 1, &base);
  if (!status) {
    fill(base);
    status = exec_run(base);
  }
  CHECK(!status, "%s", status_message(status));
  float *want[2] = {NULL, NULL};
  if (!status) {
    want[0] = arena_memdup(arena, exec_output(base, "y"), sizeof(float) * 24 * 48 * 64);
    want[1] = arena_memdup(arena, exec_output(base, "sums"), sizeof(float) * 24);
  }
  for (int i = 0; i < KNOB_ALTERNATIVES && !status; i++) {
    const char *what = arena_printf(arena, "alternative %d", i);
    Tuning *tuning = tuning_new(arena);
    tuning_force(tuning, i, -1);
    Program *program = compiled(arena, tuning);
    Exec *exec = NULL;
    status = exec_open_on(program, base, &exec);
    clear_outputs(base);
    if (!status) status = exec_run(exec);
    CHECK(!status, "%s: %s", what, status_message(status));
    if (!status) check_outputs(exec, want, what);
    clear_outputs(base);
    for (int k = 0; k < program->n_steps && !status; k++) status = exec_step(exec, k);
    if (!status) check_outputs(exec, want, "step by step");
    exec_close(exec);
    program_free(program);
  }
  for (int i = 0; i < 2 && !status; i++) {
    Tuning *tuning = tuning_new(arena);
    tuning_force(tuning, -1, i);
    Program *program = compiled(arena, tuning);
    Exec *exec = NULL;
    Status refused = exec_open_on(program, base, &exec);
    CHECK(refused, "a program with other steps runs on memory that is not its own");
    status_free(refused);
    exec_close(exec);
    exec = NULL;
    status = exec_open(program, device, 1, &exec);
    if (!status) fill(exec);
    if (!status) status = exec_run(exec);
    CHECK(!status, "layers otherwise: %s", status_message(status));
    if (!status) check_outputs(exec, want, "layers otherwise");
    exec_close(exec);
    program_free(program);
  }
  status_free(status);
  exec_close(base);
  device_close(device);
  program_free(plain);
  arena_free(arena);
}

int main(void) {
  test_alternatives();
  test_text();
  test_results();
  test_layers();
  char *compiler = kernel_cache_compiler();
  if (compiler) test_values();
  else CHECK_SKIP("no C compiler");
  free(compiler);
  return check_report("tuning");
}
