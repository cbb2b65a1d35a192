// From graph text to numbers: the reference target and generated code against the evaluator, updates, setup, threads,
// weights from files.
#include "compiler/compiler.h"
#include "compiler/ops/eval.h"
#include "runtime/base/random.h"
#include "runtime/exec.h"
#include "runtime/kernel_cache.h"
#include "runtime/train/checkpoint.h"
#include "tests/gpu.h"
#include "tests/runtime/scratch.h"

static Graph *parse(Arena *arena, const char *name, const char *text) {
  Diag *diag = diag_new(arena, 5);
  Graph *graph = graph_parse(arena, name, text, diag);
  Text out = {0};
  diag_print(diag, &out, false);
  CHECK(graph, "%s: %s", name, text_get(&out));
  text_free(&out);
  return graph;
}

static void random_values(const char *name, float *out, int64_t n) {
  random_fill_uniform(random_stream(3, name), out, n, -1, 1);
}

// Leaves' values in order of nodes; expected values of all nodes by the evaluator.
static const float **expected_values(const Graph *graph, Arena *arena) {
  const float **leaf = ARENA_ARRAY(arena, const float *, graph->n_nodes + 1);
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if (node->op != OP_input && node->op != OP_param && node->op != OP_state) continue;
    int64_t n = shape_elements(node->shape);
    float *values = ARENA_ARRAY(arena, float, n);
    random_values(node->name, values, n);
    leaf[i] = values;
  }
  return graph_eval(graph, arena, leaf);
}

static void load_values(Exec *exec) {
  const Program *program = exec_program(exec);
  for (int i = 0; i < program->n_buffers; i++) {
    const Buffer *buffer = &program->buffers[i];
    int64_t n = shape_elements(buffer->shape);
    if (buffer->kind == BUFFER_INPUT) random_values(buffer->name, exec_input(exec, buffer->name), n);
    if (buffer->kind != BUFFER_PARAM) continue;
    float *values = malloc((size_t)n * sizeof *values);
    random_values(buffer->name, values, n);
    Status status = exec_set(exec, buffer->name, values);
    CHECK(!status, "%s", status_message(status));
    free(values);
  }
}

static double worst(const float *got, const float *want, int64_t n) {
  double most = 0, scale = 1e-6;
  for (int64_t i = 0; i < n; i++) {
    most = fmax(most, isfinite(got[i]) ? fabs(got[i] - want[i]) : INFINITY);
    scale = fmax(scale, fabs(want[i]));
  }
  return most / scale;
}

static Status open_device(const Target *target, int threads, Device **out) {
  return target->kind == TARGET_CUDA ? device_open_cuda(0, out) : device_open_cpu(threads, out);
}

// The graph, compiled and ready to run; what was opened is there even after an error.
static Status open_graph(Graph *graph, const Target *target, int threads, Program **program, Device **device,
                         Exec **exec) {
  Status status = compile(graph, &(CompileOptions){.target = target}, program);
  if (!status) status = open_device(target, threads, device);
  if (!status) status = exec_open(*program, *device, 1, exec);
  return status;
}

// Everything that a run leaves behind: outputs, parameters and state, one after another.
static float *collect(Exec *exec, int64_t *out_n) {
  const Program *program = exec_program(exec);
  int64_t n = 0;
  for (int i = 0; i < program->n_buffers; i++) n += shape_elements(program->buffers[i].shape);
  float *all = calloc((size_t)n + 1, sizeof *all);
  *out_n = 0;
  for (int i = 0; i < program->n_buffers; i++) {
    const Buffer *buffer = &program->buffers[i];
    int64_t size = shape_elements(buffer->shape);
    if (buffer->kind != BUFFER_OUTPUT && buffer->kind != BUFFER_PARAM) continue;
    if (buffer->kind == BUFFER_OUTPUT)
      memcpy(all + *out_n, exec_output(exec, buffer->name), (size_t)size * sizeof *all);
    else status_free(exec_get(exec, buffer->name, all + *out_n));
    *out_n += size;
  }
  return all;
}

static float *check_run(const char *name, const char *text, const Target *target, int threads, int64_t *out_n) {
  Arena *arena = arena_new();
  Graph *graph = parse(arena, name, text), *original = parse(arena, name, text);
  graph_sort(original);
  const float **expected = expected_values(original, arena);
  Program *program = NULL;
  Device *device = NULL;
  Exec *exec = NULL;
  Status status = open_graph(graph, target, threads, &program, &device, &exec);
  CHECK(!status, "%s: %s", name, status_message(status));
  float *all = NULL;
  if (!status) {
    load_values(exec);
    status = exec_run(exec);
    CHECK(!status, "%s: %s", name, status_message(status));
    for (int i = 0; i < original->n_outputs; i++) {
      const GraphOutput *output = &original->outputs[i];
      const float *got = exec_output(exec, output->name);
      CHECK(got, "%s on %s has no output '%s'", name, target->name, output->name);
      if (!got) continue;
      double error = worst(got, expected[output->node->id], shape_elements(output->node->shape));
      CHECK(error < 2e-5, "%s on %s: output '%s' is off by %g", name, target->name, output->name, error);
    }
    for (int i = 0; i < original->n_updates; i++) {
      const Node *leaf = original->updates[i].leaf;
      int64_t n = shape_elements(leaf->shape);
      float *got = ARENA_ARRAY(arena, float, n);
      status_free(exec_get(exec, leaf->name, got));
      double error = worst(got, expected[original->updates[i].value->id], n);
      CHECK(error < 2e-5, "%s on %s: '%s' becomes something else, by %g", name, target->name, leaf->name, error);
    }
    all = collect(exec, out_n);
  }
  exec_close(exec);
  device_close(device);
  program_free(program);
  arena_free(arena);
  return all;
}

static const struct {
  const char *name, *text;
} cases[] = {
    {"leaves", "graph g\n%x = input \"x\" : [2, 3]\n%w = param \"w\" init=constant(1) : [2, 3]\n"
               "%f = fill() shape=[4] value=2.5\n%i = iota() shape=[2, 3] axis=1\n%s = add(%x, %i)\n"
               "output \"x\" = %x\noutput \"w\" = %w\noutput \"f\" = %f\noutput \"s\" = %s\noutput \"again\" = %s\n"},
    {"views", "graph g\n%x = input \"x\" : [2, 3, 4, 4]\n%y = relu(%x)\n%r = reshape(%y) shape=[2, 48]\n"
              "%s = slice(%r) axis=0 start=1 stop=2\n%e = exp(%s)\n%t = transpose(%r) perm=[1, 0]\n"
              "output \"r\" = %r\noutput \"e\" = %e\noutput \"t\" = %t\n"},
    {"convolutions",
     "graph g\n%x = input \"x\" : [2, 3, 12, 10]\n%w = param \"w\" init=normal(0, 1) : [20, 3, 3, 3]\n"
     "%d = param \"d\" init=normal(0, 1) : [20, 1, 3, 3]\n%p = param \"p\" init=normal(0, 1) : [5, 40, 1, 1]\n"
     "%b = param \"b\" init=normal(0, 1) : [5]\n%a = conv2d(%x, %w) padding=1 stride=2\n%ar = relu(%a)\n"
     "%c = conv2d(%ar, %d) padding=1 groups=20\n%cc = concat(%ar, %c) axis=1\n%o = conv2d(%cc, %p)\n"
     "%bc = reshape(%b) shape=[1, 5, 1, 1]\n%ob = add(%o, %bc)\n"
     "%u = resize(%ob) size=[12, 10] mode=bilinear align_corners=true\noutput \"u\" = %u\noutput \"c\" = %c\n"},
    {"filled block", // 14 channels, and with vectors of 8 or 16 two plain values where the last block has none
     "graph g\n%x = input \"x\" : [2, 3, 12, 10]\n%y = input \"y\" : [2, 1, 12, 10]\n%z = input \"z\" : [2, 1, 12, "
     "10]\n"
     "%w = param \"w\" init=normal(0, 1) : [14, 3, 3, 3]\n%p = param \"p\" init=normal(0, 1) : [5, 21, 3, 3]\n"
     "%v = param \"v\" init=normal(0, 1) : [5, 3, 1, 1]\n%a = conv2d(%x, %w) padding=1\n%b = relu(%a)\n"
     "%ey = exp(%y)\n%d = conv2d(%x, %v)\n%c = concat(%b, %ey, %z, %d) axis=1\n%o = conv2d(%c, %p) padding=1\n"
     "output \"o\" = %o\n"},
    {"enlarged rows, blended behind much padding",
     "graph g\n%x = input \"x\" : [1, 20, 30, 40]\n%v = param \"v\" init=normal(0, 1) : [20, 20, 1, 1]\n"
     "%w = param \"w\" init=normal(0, 1) : [20, 1, 3, 3]\n%a = conv2d(%x, %v)\n"
     "%u = resize(%a) size=[60, 80] mode=bilinear align_corners=true\n%d = conv2d(%u, %w) padding=40 groups=20\n"
     "output \"d\" = %d\n"},
    {"concat of a concat",
     "graph g\n%x = input \"x\" : [2, 3, 12, 10]\n%w = param \"w\" init=normal(0, 1) : [16, 3, 3, 3]\n"
     "%p = param \"p\" init=normal(0, 1) : [8, 24, 1, 1]\n%q = param \"q\" init=normal(0, 1) : [5, 32, 1, 1]\n"
     "%v = param \"v\" init=normal(0, 1) : [8, 3, 1, 1]\n%a = conv2d(%x, %w) padding=1\n%b = conv2d(%x, %v)\n"
     "%c = concat(%a, %b) axis=1\n%d = conv2d(%c, %p)\n%e = concat(%a, %b, %d) axis=1\n%o = conv2d(%e, %q)\n"
     "output \"o\" = %o\n"},
    {"update in place",
     "graph g\n%x = input \"x\" : [7, 9]\n%w = param \"w\" init=constant(1) : [7, 9]\n"
     "%m = state \"m\" init=constant(0) : [7, 9]\n%y = mul(%x, %w)\n%t = fill() shape=[] value=0.9\n"
     "%mt = mul(%m, %t)\n%m2 = add(%mt, %y)\n%w2 = sub(%w, %m2)\n%z = exp(%w)\n"
     "output \"y\" = %y\noutput \"z\" = %z\noutput \"w2\" = %w2\nupdate %m = %m2\nupdate %w = %w2\n"},
    {"swap", "graph g\n%a = state \"a\" init=constant(1) : [5]\n%b = state \"b\" init=constant(2) : [5]\n"
             "%c = state \"c\" init=constant(3) : [5]\n%s = add(%a, %b)\n"
             "output \"s\" = %s\nupdate %a = %b\nupdate %b = %a\nupdate %c = %s\n"},
    {"update behind a wide reader",
     "graph g\n%w = param \"w\" init=constant(1) : [6, 6]\n%x = input \"x\" : [6, 6]\n%t = transpose(%w) perm=[1, 0]\n"
     "%n = add(%t, %x)\n%p = matmul(%w, %n)\n%q = matmul(%p, %w)\noutput \"p\" = %p\nupdate %w = %n\n"
     "output \"q\" = %q\n"},
    {"sums in parts", "graph g\n%x = input \"x\" : [3, 12, 61, 83]\n%g = input \"g\" : [3, 12, 61, 83]\n"
                      "%a = conv2d_dw(%x, %g) stride=1 padding=1 dilation=1 groups=1 kh=3 kw=3\n%p = conv2d_dw(%x, %g) "
                      "stride=1 padding=0 dilation=1 groups=1 kh=1 kw=1\n"
                      "%d = conv2d_dw(%x, %g) stride=1 padding=1 dilation=1 groups=12 kh=3 kw=3\n"
                      "output \"a\" = %a\noutput \"p\" = %p\noutput \"d\" = %d\n"},
    {"setup", "graph g\n%x = input \"x\" : [4, 4]\n%w = param \"w\" init=constant(1) : [4, 4]\n"
              "%v = param \"v\" init=constant(1) : [4, 4]\n%wv = matmul(%w, %v)\n%e = exp(%wv)\n%y = matmul(%x, %e)\n"
              "output \"y\" = %y\noutput \"e\" = %e\n"},
};

static void test_cases(const Target *target) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t n1 = 0, n2 = 0;
    float *one = check_run(cases[i].name, cases[i].text, target, 1, &n1);
    float *two = check_run(cases[i].name, cases[i].text, target, 2, &n2);
    CHECK(one && two && n1 == n2 && !memcmp(one, two, (size_t)n1 * sizeof *one), "%s on %s: one and two threads differ",
          cases[i].name, target->name);
    free(one);
    free(two);
  }
}

// A state that counts runs; setup values follow weights that are set later; names that do not exist.
static void test_life(const Target *target) {
  Arena *arena = arena_new();
  Graph *graph = parse(arena, "life",
                       "graph g\n%x = input \"x\" : [3]\n%w = param \"w\" init=constant(2) : [3]\n"
                       "%n = state \"n\" init=constant(0) : []\n%one = fill() shape=[] value=1\n%n2 = add(%n, %one)\n"
                       "%ww = mul(%w, %w)\n%y = mul(%x, %ww)\noutput \"y\" = %y\nupdate %n = %n2\n");
  Program *program = NULL;
  Device *device = NULL;
  Exec *exec = NULL;
  Status status = open_graph(graph, target, 2, &program, &device, &exec);
  CHECK(!status, "%s", status_message(status));
  if (!status) {
    CHECK(program->n_setup >= 1, "no setup step for the square of a weight");
    float *x = exec_input(exec, "x");
    const float *y = exec_output(exec, "y");
    for (int i = 0; i < 3; i++) x[i] = (float)i;
    CHECK(!exec_run(exec) && !exec_run(exec), "runs");
    CHECK(y[2] == 8, "y = %g", y[2]);
    CHECK(exec_input(exec, "x") == x && exec_output(exec, "y") == y, "addresses moved");
    float count, weights[3] = {3, 3, 3};
    CHECK(!exec_get(exec, "n", &count) && count == 2, "counted %g runs", count);
    CHECK(!exec_set(exec, "w", weights) && !exec_run(exec), "set and run");
    CHECK(y[2] == 18, "y = %g after the weight changed", y[2]);
    status = exec_set(exec, "v", weights);
    CHECK(status_code(status) == EXIT_WEIGHTS, "setting an unknown name gives %d", status_code(status));
    status_free(status);
    CHECK(!exec_input(exec, "y") && !exec_output(exec, "x"), "unknown names");
    CHECK(exec_memory(exec) >= 4 * (program->persistent + program->slab), "memory %lld", (long long)exec_memory(exec));
  }
  exec_close(exec);
  device_close(device);
  program_free(program);
  arena_free(arena);
}

// Weights that only the setup reads are gone after the first run, unless the program trains: getting one is refused,
// and so is a run after some of them were set. First values come back by themselves.
static void test_brief(const Target *target) {
  enum { N = 3 };
  static const char *const text = "graph g\n%x = input \"x\" : [3]\n%w = param \"w\" init=constant(2) : [3]\n%v = "
                                  "param \"v\" init=constant(3) : [3]\n"
                                  "%u = param \"u\" init=constant(5) : [3]\n%ww = mul(%w, %w)\n"
                                  "%vw = mul(%ww, %v)\n%xu = mul(%x, %u)\n%y = mul(%xu, %vw)\noutput \"y\" = %y\n";
  Arena *arena = arena_new();
  Graph *graph = parse(arena, "brief", text);
  Program *program = NULL;
  Device *device = NULL;
  Exec *exec = NULL;
  Status status = open_graph(graph, target, 2, &program, &device, &exec);
  CHECK(!status, "%s", status_message(status));
  if (!status) {
    static const char *const names[] = {"w", "v", "u"};
    for (int i = 0; i < 3; i++) {
      bool is_brief = program->buffers[program_find(program, BUFFER_PARAM, names[i])].is_brief;
      CHECK(is_brief == (i != 2), "%s is %sbrief", names[i], is_brief ? "" : "not ");
    }
    float *x = exec_input(exec, "x");
    for (int i = 0; i < N; i++) x[i] = (float)i;
    const float *y = exec_output(exec, "y");
    float fours[N] = {4, 4, 4}, got[N];
    CHECK(!exec_set(exec, "w", fours) && !exec_get(exec, "w", got) && got[2] == 4, "%g before the run", got[2]);
    CHECK(!exec_run(exec) && y[1] == 16 * 3 * 5, "y = %g", y[1]);
    CHECK(!exec_get(exec, "v", got) && got[2] == 3 && !exec_get(exec, "u", got) && got[2] == 5, "others changed");
    CHECK(!exec_run(exec) && y[1] == 16 * 3 * 5, "y = %g the second time", y[1]);
    CHECK(!exec_set(exec, "u", fours) && !exec_get(exec, "u", got) && got[2] == 4,
          "a weight that the run reads is kept");
    for (int turn = 0; turn < 2; turn++) {
      status = turn ? exec_run(exec) : exec_get(exec, "w", got);
      CHECK(status_code(status) == EXIT_WEIGHTS && strstr(status_message(status), "'w' is gone"), "turn %d: %s", turn,
            status_message(status));
      status_free(status);
    }
    CHECK(!exec_set(exec, "w", fours) && !exec_run(exec) && y[1] == 16 * 3 * 4, "y = %g in the end", y[1]);
  }
  exec_close(exec);
  device_close(device);
  program_free(program);
  arena_free(arena);
}

// First values depend on name and seed, not on order or program.
static void test_initial(void) {
  const char *texts[] = {
      "graph g\n%w = param \"w\" init=normal(0, 2) : [100]\n%v = param \"v\" init=uniform(1, 3) : [9]\n"
      "output \"w\" = %w\noutput \"v\" = %v\n",
      "graph g\n%v = param \"v\" init=uniform(1, 3) : [9]\n%w = param \"w\" init=normal(0, 2) : [100]\n"
      "output \"v\" = %v\noutput \"w\" = %w\n"};
  float w[3][100], v[3][9];
  for (int i = 0; i < 3; i++) {
    Arena *arena = arena_new();
    Graph *graph = parse(arena, "initial", texts[i % 2]);
    Program *program = NULL;
    Device *device = NULL;
    Exec *exec = NULL;
    Status status = compile(graph, &(CompileOptions){.target = target_reference()}, &program);
    if (!status) status = device_open_cpu(1, &device);
    if (!status) status = exec_open(program, device, i < 2 ? 5 : 6, &exec);
    CHECK(!status && !exec_get(exec, "w", w[i]) && !exec_get(exec, "v", v[i]), "%s", status_message(status));
    exec_close(exec);
    device_close(device);
    program_free(program);
    arena_free(arena);
  }
  CHECK(!memcmp(w[0], w[1], sizeof w[0]) && !memcmp(v[0], v[1], sizeof v[0]), "the order of parameters shows");
  CHECK(memcmp(w[0], w[2], sizeof w[0]) && memcmp(v[0], v[2], sizeof v[0]), "the seed does not show");
  for (int i = 0; i < 9; i++) CHECK(v[0][i] >= 1 && v[0][i] <= 3, "uniform(1, 3) gives %g", v[0][i]);
}

// The most memory that the process has held since it was last asked, in kB; -1 where the system does not tell.
static long most_memory(void) {
  char line[256];
  long kilobytes = -1;
  FILE *status = fopen("/proc/self/status", "r"), *reset = fopen("/proc/self/clear_refs", "w");
  while (status && fgets(line, sizeof line, status)) sscanf(line, "VmHWM: %ld", &kilobytes);
  if (status) fclose(status);
  if (!reset) return -1;
  fputs("5", reset);
  return fclose(reset) ? -1 : kilobytes;
}

// Weights go into a program from a file of which little is in memory at a time.
static void test_restore(void) {
  enum { N = 5 << 20, MOST_KB = N * 4 / 1024 / 2 }; // half of it: the kernel maps large folios, ASan has its own part
  Arena *arena = arena_new();
  Graph *graph = parse(arena, "restore",
                       "graph g\n%x = input \"x\" : [1]\n%w = param \"w\" init=constant(2) : [5242880]\n"
                       "%y = mul(%x, %w)\noutput \"y\" = %y\n");
  Program *program = NULL;
  Device *device = NULL;
  Exec *exec = NULL;
  WeightFile *file = NULL;
  float *values = malloc(sizeof(float) * N), *got = malloc(sizeof(float) * N);
  random_values("w", values, N);
  memset(got, 0, sizeof(float) * N);
  WeightWriter *writer = weight_writer_new();
  weight_writer_add(writer, "w", WEIGHT_F32, SHAPE(N), values);
  Status status = weight_writer_save(writer, scratch_path("w.safetensors"));
  if (!status) status = open_graph(graph, target_reference(), 1, &program, &device, &exec);
  if (!status) status = weights_open(scratch_path("w.safetensors"), &file);
  most_memory();
  long before = most_memory();
  if (!status) status = checkpoint_restore(file, exec, NULL);
  long after = most_memory();
  CHECK(!status, "%s", status_message(status));
  if (before < 0) CHECK_SKIP("memory of a restoration: the system does not tell");
  else CHECK(after - before < MOST_KB, "restoring 20 MB takes %ld kB on top", after - before);
  CHECK(!exec_get(exec, "w", got) && !memcmp(got, values, sizeof(float) * N), "other values come back");
  status_free(status);
  weights_close(file);
  exec_close(exec);
  device_close(device);
  program_free(program);
  free(values);
  free(got);
  arena_free(arena);
}

// Many tensors come from a file on several threads: each arrives as it was written, integers, too; what the file lacks
// is named.
static void test_restore_many(void) {
  enum { N = 60, MOST = 30000 };
  Arena *arena = arena_new();
  Graph *graph = graph_new(arena, "many");
  WeightWriter *writer = weight_writer_new(), *lacking = weight_writer_new();
  char name[N][8];
  float *values[N], *got = ARENA_ARRAY(arena, float, MOST);
  int64_t size[N];
  Node *sum = graph_scalar(graph, 0);
  for (int i = 0; i < N; i++) {
    snprintf(name[i], sizeof name[i], "w%d", i);
    size[i] = i % 7 == 3 ? MOST - i : 37 * i + 1;
    values[i] = ARENA_ARRAY(arena, float, size[i]);
    random_values(name[i], values[i], size[i]);
    if (i % 3 == 0)
      for (int64_t k = 0; k < size[i]; k++) values[i][k] = (float)(int)(99 * values[i][k]);
    Shape shape = SHAPE(size[i]);
    Node *w = graph_param(graph, name[i], shape, (Init){0});
    sum = graph_binary(graph, OP_add, sum, graph_sum(graph, w, (int[]){0}, 1, false));
    weight_writer_add(writer, name[i], i % 3 ? WEIGHT_F32 : WEIGHT_I64, shape, values[i]);
    if (i != 9) weight_writer_add(lacking, name[i], WEIGHT_F32, shape, values[i]);
  }
  graph_output(graph, "sum", sum, false);
  Program *program = NULL;
  Device *device = NULL;
  Exec *exec = NULL;
  WeightFile *file = NULL;
  Status status = weight_writer_save(writer, scratch_path("many.safetensors"));
  if (!status) status = weight_writer_save(lacking, scratch_path("lacking.safetensors"));
  if (!status) status = open_graph(graph, target_reference(), 1, &program, &device, &exec);
  if (!status) status = weights_open(scratch_path("many.safetensors"), &file);
  int unused = -1;
  if (!status) status = checkpoint_restore(file, exec, &unused);
  CHECK(!status && !unused, "%s, %d unused", status_message(status), unused);
  for (int i = 0; i < N; i++)
    CHECK(!exec_get(exec, name[i], got) && !memcmp(got, values[i], sizeof(float) * (size_t)size[i]), "%s", name[i]);
  status_free(status);
  weights_close(file);
  file = NULL;
  status = weights_open(scratch_path("lacking.safetensors"), &file);
  if (!status) status = checkpoint_restore(file, exec, NULL);
  CHECK(status_code(status) == EXIT_WEIGHTS && strstr(status_message(status), "lacks 1 of the model's tensors: w9"),
        "%s", status_message(status));
  status_free(status);
  weights_close(file);
  exec_close(exec);
  device_close(device);
  program_free(program);
  arena_free(arena);
}

// The output "y" of a graph whose inputs hold random values, its kernels compiled anew. Lives in `arena`.
static const float *result_alone(Arena *arena, const char *directory, const char *text, int64_t n) {
  setenv("SGC_CACHE", scratch_path(directory), 1);
  Graph *graph = parse(arena, directory, text);
  Program *program = NULL;
  Device *device = NULL;
  Exec *exec = NULL;
  float *out = ARENA_ARRAY(arena, float, n);
  Status status = open_graph(graph, target_host(), 1, &program, &device, &exec);
  if (!status) load_values(exec);
  if (!status) status = exec_run(exec);
  CHECK(!status, "%s: %s", directory, status_message(status));
  if (!status) memcpy(out, exec_output(exec, "y"), sizeof(float) * (size_t)n);
  status_free(status);
  exec_close(exec);
  device_close(device);
  program_free(program);
  unsetenv("SGC_CACHE");
  return out;
}

// A kernel gives the same bits whatever it is compiled with: what all callers of a function in one file say is known to
// cc there, and no sum may depend on that.
static void test_company(void) {
#define ROW_OF_TWO                                                                                                     \
  "%x = input \"x\" : [1, 16, 6, 4]\n%w = param \"w\" : [16, 1, 3, 3]\n"                                               \
  "%y = conv2d(%x, %w) padding=1 stride=2 groups=16\noutput \"y\" = %y\n"
  Arena *arena = arena_new();
  const int64_t n = 16 * 3 * 2;
  const float *alone = result_alone(arena, "alone", "graph g\n" ROW_OF_TWO, n);
  const float *among =
      result_alone(arena, "among",
                   "graph g\n" ROW_OF_TWO "%x2 = input \"x2\" : [1, 24, 40, 50]\n%w2 = param \"w2\" : [24, 1, 3, 3]\n"
                   "%y2 = conv2d(%x2, %w2) padding=1 stride=2 groups=24\n%z2 = relu(%y2)\n"
                   "output \"z2\" = %z2\n",
                   n);
  int64_t differ = 0;
  for (int64_t i = 0; i < n; i++) differ += alone[i] != among[i];
  CHECK(!differ, "%lld elements have other bits where another kernel is compiled beside", (long long)differ);
  arena_free(arena);
}

int main(int argc, char **argv) {
  (void)argc;
  test_cases(target_reference());
  test_life(target_reference());
  test_brief(target_reference());
  test_initial();
  test_restore();
  test_restore_many();
  char *compiler = kernel_cache_compiler();
  if (compiler) {
    test_cases(target_host());
    test_life(target_host());
    test_brief(target_host());
    test_company();
  } else {
    CHECK_SKIP("generated code: no C compiler");
  }
  free(compiler);
  if (gpu_find(argv[0])) {
    test_cases(target_cuda(80));
    test_life(target_cuda(80));
    test_brief(target_cuda(80));
  }
  return check_report("exec");
}
