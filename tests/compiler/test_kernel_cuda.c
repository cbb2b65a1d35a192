// Tests of the generic kernels on CUDA: all texts of kernel_texts.h and groups that only CUDA schedules tell apart,
// side by side in one program, on a GPU or the simulated one, against the reference evaluator.
#include <math.h>

#include "compiler/compiler.h"
#include "compiler/kernel/ir.h"
#include "compiler/kernel/kernel.h"
#include "compiler/ops/eval.h"
#include "runtime/base/random.h"
#include "runtime/base/strmap.h"
#include "runtime/cuda_compile.h"
#include "runtime/exec.h"
#include "tests/compiler/kernel_texts.h"
#include "tests/gpu.h"

// Few long rows, many short ones, far and near elements, rows that share blocks and blocks that share rows.
static const TextCase cuda_cases[] = {
    {"sum of a long row", "%x = input \"x\" : [2, 30011]\n%r = sum(%x) axes=[1] keep=true\n" R},
    {"max of a long row", "%x = input \"x\" : [2, 30011]\n%r = max(%x) axes=[1] keep=true\n" R},
    {"sum of long columns", "%x = input \"x\" : [5003, 7]\n%r = sum(%x) axes=[0]\n" R},
    {"sum of many columns", "%x = input \"x\" : [67, 520]\n%r = sum(%x) axes=[0]\n" R},
    {"softmax of long rows", "%x = input \"x\" : [3, 2500]\n%m = max(%x) axes=[1] keep=true\n%d = sub(%x, %m)\n"
                             "%e = exp(%d)\n%t = sum(%e) axes=[1] keep=true\n%r = div(%e, %t)\n" R},
    {"softmax of many rows", "%x = input \"x\" : [4000, 45]\n%m = max(%x) axes=[1] keep=true\n%d = sub(%x, %m)\n"
                             "%e = exp(%d)\n%t = sum(%e) axes=[1] keep=true\n%r = div(%e, %t)\n" R},
    {"moments of few rows",
     "%x = input \"x\" : [3, 5, 40, 41]\n%t = sum(%x) axes=[0, 2, 3] keep=true\n"
     "%n = fill() shape=[] value=0.0002032520325203252\n%r = mul(%t, %n)\n%d = sub(%x, %r)\n%q = mul(%d, %d)\n"
     "%s = sum(%q) axes=[0, 2, 3] keep=true\n" R "output \"s\" = %s\n"},
    {"rows and their elements",
     "%x = input \"x\" : [6, 300]\n%t = sum(%x) axes=[1] keep=true\n%n = fill() shape=[] value=0.0033333333\n"
     "%s = mul(%t, %n)\n%d = sub(%x, %s)\n%r = relu(%d)\n" R "output \"s\" = %s\n"},
    {"four neighbours", "%x = input \"x\" : [3, 5, 6, 8]\n%c = input \"c\" : [1, 5, 1, 1]\n%a = add(%x, %c)\n"
                        "%r = relu(%a)\n" R},
    {"squares of several", "%x = input \"x\" : [2100]\n%y = input \"y\" : [7]\n%p = mul(%x, %x)\n%q = mul(%y, %y)\n"
                           "%r = sum(%p) axes=[0]\n%s = sum(%q) axes=[0]\n" R "output \"s\" = %s\n"},
    {"concat of pictures in place",
     X2 "%a = relu(%x)\n%b = exp(%y)\n%d = concat(%a, %b) axis=1\n"
        "%f = slice(%d) axis=1 start=4 stop=20\n%r = neg(%f)\n%s = abs(%d)\n" R "output \"s\" = %s\n"},
    {"concat of pictures not of whole quads",
     "%x = input \"x\" : [2, 1, 3, 3]\n%y = input \"y\" : [2, 4, 3, 3]\n%z = input \"z\" : [2, 3, 3, 3]\n"
     "%a = relu(%x)\n%b = exp(%y)\n%c = abs(%z)\n%d = concat(%a, %b, %c) axis=1\n"
     "%f = slice(%d) axis=1 start=3 stop=7\n%r = neg(%f)\n" R "output \"s\" = %d\n"},
    {"first and other tokens",
     "%a = input \"a\" : [5, 256]\n%b = input \"b\" : [256, 128]\n%q = input \"q\" : [5, 8, 1024]\n"
     "%p = input \"p\" : [5, 128, 1024]\n%m = matmul(%a, %b)\n%v = reshape(%m) shape=[5, 1, 128]\n"
     "%o = matmul(%q, %p) transpose_b=true\n%k = pad(%v) before=[0, 0, 0] after=[0, 63, 0] value=0\n"
     "%l = pad(%o) before=[0, 1, 0] after=[0, 55, 0] value=0\n%r = add(%k, %l)\n%s = sum(%r) axes=[0, 1]\n" R
     "output \"s\" = %s\n"},
    {"cumsum of long rows", "%x = input \"x\" : [3, 700]\n%r = cumsum(%x) axis=1 reverse=true\n" R},
    {"cumsum of many rows", "%x = input \"x\" : [3, 4100]\n%r = cumsum(%x) axis=0\n" R},
    {"nearest of many queries", "%x = input \"x\" : [2, 9001]\n%y = input \"y\" : [2, 31]\n%z = fill() shape=[2, 31] "
                                "value=1\n%r = nearest(%x, %y, %z)\n" R},
    {"nearest of many points", "%x = input \"x\" : [2, 6]\n%y = input \"y\" : [2, 1501]\n%m = relu(%y)\n"
                               "%r = nearest(%x, %y, %m)\n" R},
};

enum { MAX_CASES = 160 };

// The text with its values, inputs and outputs named after the case's number.
static void put_case(const TextCase *item, int number, Text *out) {
  for (const char *c = item->text; *c; c++) {
    text_write(out, c, 1);
    bool is_name = *c == '%' || (*c == '"' && c > item->text && c[-1] == ' ');
    if (is_name) text_printf(out, "c%d_", number);
  }
}

static int put_cases(Text *out, const TextCase **list) {
  int n = 0;
  for (size_t i = 0; i < sizeof text_cases / sizeof *text_cases; i++) list[n++] = &text_cases[i];
  for (size_t i = 0; i < sizeof cuda_cases / sizeof *cuda_cases; i++) list[n++] = &cuda_cases[i];
  for (int i = 0; i < n; i++) put_case(list[i], i, out);
  return n;
}

static Graph *parse(Arena *arena, const char *text) {
  Diag *diag = diag_new(arena, 20);
  Graph *graph = graph_parse(arena, "cases", text, diag);
  Text errors = {0};
  diag_print(diag, &errors, false);
  CHECK(graph, "%s", text_get(&errors));
  text_free(&errors);
  return graph;
}

static void random_values(const char *name, float *out, int64_t n) {
  random_fill_uniform(random_stream(3, name), out, n, -1, 1);
}

static const float **expected_values(const Graph *graph, Arena *arena) {
  const float **leaf = ARENA_ARRAY(arena, const float *, graph->n_nodes + 1);
  for (int i = 0; i < graph->n_nodes; i++) {
    if (graph->nodes[i]->op != OP_input) continue;
    int64_t n = shape_elements(graph->nodes[i]->shape);
    float *values = ARENA_ARRAY(arena, float, n);
    random_values(graph->nodes[i]->name, values, n);
    leaf[i] = values;
  }
  return graph_eval(graph, arena, leaf);
}

static void load_inputs(Exec *exec) {
  const Program *program = exec_program(exec);
  for (int i = 0; i < program->n_buffers; i++) {
    const Buffer *buffer = &program->buffers[i];
    if (buffer->kind == BUFFER_INPUT)
      random_values(buffer->name, exec_input(exec, buffer->name), shape_elements(buffer->shape));
  }
}

static void compare(const TextCase *item, const char *output, const float *got, const float *want, int64_t n) {
  double most = 0, scale = 1e-3;
  for (int64_t i = 0; i < n; i++) {
    if (got[i] == want[i] || (isnan(got[i]) && isnan(want[i]))) continue;
    most = fmax(most, isfinite(got[i]) ? fabs((double)got[i] - want[i]) : INFINITY);
    scale = fmax(scale, fabs((double)want[i]));
  }
  // Sums of numbers of both signs may nearly vanish.
  double tolerance = strstr(item->name, "sum of") ? 1e-4 : 1e-5;
  CHECK(most <= tolerance * scale, "%s: %s is off by %g of %g", item->name, output, most, scale);
}

// Runs all cases twice: the second run finds scratch memory as the first left it.
static void test_cases(Device *device, const Target *target, bool is_fused) {
  const TextCase *list[MAX_CASES];
  Text text = {0};
  put_cases(&text, list);
  Arena *arena = arena_new();
  Graph *original = parse(arena, text_get(&text)), *graph = parse(arena, text_get(&text));
  text_free(&text);
  if (!original || !graph) return;
  const float **want = expected_values(original, arena);
  static const char *const passes[] = {"fuse", "concat"};
  CompileOptions options = {.target = target, .passes = {.disabled = passes, .n_disabled = is_fused ? 0 : 2}};
  Program *program = NULL;
  Exec *exec = NULL;
  Status status = compile(graph, &options, &program);
  if (!status) status = exec_open(program, device, 1, &exec);
  if (!status) load_inputs(exec);
  for (int run = 0; run < 2 && !status; run++) status = exec_run(exec);
  CHECK(!status, "%s", status_message(status));
  for (int i = 0; i < original->n_outputs && !status; i++) {
    const GraphOutput *output = &original->outputs[i];
    compare(list[atoi(output->name + 1)], output->name, exec_output(exec, output->name), want[output->node->id],
            shape_elements(output->node->shape));
  }
  status_free(status);
  exec_close(exec);
  program_free(program);
  arena_free(arena);
}

// Symbols of equal small kernels: a text without sizes, rows in one launch.
static void test_rows(const Target *target) {
  Text text = {0};
  for (int i = 0; i < 40; i++)
    text_printf(&text,
                "%%x%d = input \"x%d\" : [%d]\n%%q%d = mul(%%x%d, %%x%d)\n%%s%d = sum(%%q%d) axes=[0]\n"
                "output \"s%d\" = %%s%d\n",
                i, i, 3 + 100 * i, i, i, i, i, i, i, i);
  Arena *arena = arena_new();
  Graph *graph = parse(arena, text_get(&text));
  Program *program = NULL;
  Status status = compile(graph, &(CompileOptions){.target = target}, &program);
  CHECK(!status && program->n_steps == 1 && program->steps[0].rows == 40, "%d launches for forty sums",
        program ? program->n_steps : 0);
  status_free(status);
  if (program) program_free(program);
  text_free(&text);
  arena_free(arena);
}

// One kernel that calls for everything, with the word as the name of an argument and of a variable.
static void put_named(Arena *arena, const char *word, int number, Text *out) {
  Ir *ir = ir_new(arena, target_cuda(75));
  ir->function->name = arena_printf(arena, "name_%d", number);
  IrBuffer *in = ir_arg(ir, word, false, 0), *to = ir_arg(ir, word, true, 0);
  IrExpr *thread = ir_threads(ir, 256), *block = ir_ref(ir, ir->function->task);
  ir->function->n_tasks = 7;
  ir->function->task->hi = 6;
  IrExpr *sum = ir_op2(ir, OP_maximum, ir_op1(ir, OP_exp, ir_load(ir, in, thread)), ir_number(ir, 2));
  sum = ir_call(ir, IR_FLOAT, "block_sum<256>", 1, &sum);
  IrVar *t = ir_let(ir, ir->function->body, word, sum);
  IrBuffer *scratch = ir_scratch(ir, word, IR_DOUBLE, 7), *shared = ir_shared(ir, word, IR_FLOAT, 256);
  ir_store(ir, ir->function->body, shared, thread, ir_ref(ir, t));
  ir_store(ir, ir->function->body, scratch, block, ir_convert(ir, IR_DOUBLE, ir_ref(ir, t)));
  IrExpr *is_last = ir_call(ir, IR_INDEX, "LAST_BLOCK", 2, (IrExpr *[]){ir_int(ir, 0), ir_int(ir, 7)});
  IrStmt *last = ir_if(ir, ir->function->body, is_last)->body[0];
  ir_store(ir, last, to, thread, ir_load(ir, shared, ir_sub(ir, ir_int(ir, 255), thread)));
  ir_print(ir, out);
}

// Whatever the user calls a value, the kernel compiles: every word of the preamble as a name.
static void test_names(void) {
  Arena *arena = arena_new();
  Text source = {0}, words = {0}, image = {0}, log = {0};
  kernel_preamble(target_cuda(75), &source);
  text_put(&words, text_get(&source));
  text_put(&words, " for class new threadIdx row words table thread task 1st x.y _a INFINITY NAN x");
  int n = 0;
  StrMap *seen = strmap_new(arena);
  for (char *save = NULL, *all = words.data, *word; (word = strtok_r(all, " \n\t(){}[]*&+-/<>=;,.:?!|~%\"#\\", &save));
       all = NULL) {
    if (strmap_get(seen, word)) continue;
    strmap_set(seen, word, &words);
    put_named(arena, word, n++, &source);
  }
  Status status = cuda_compile(text_get(&source), "--std=c++17", (CudaCode){75, true}, false, &image, &log);
  CHECK(!status, "%d kernels with names of the preamble: %.2000s", n, text_get(&log));
  status_free(status);
  text_free(&source);
  text_free(&words);
  text_free(&image);
  text_free(&log);
  arena_free(arena);
}

// Shared memory is an array that templates take by reference, whether the kernel or its launch makes room for it.
static void test_shared(void) {
  static const int64_t floats[] = {1000, 13000}; // the second is more than a kernel may declare
  for (int k = 0; k < 2; k++) {
    Arena *arena = arena_new();
    Text source = {0}, image = {0}, log = {0};
    Ir *ir = ir_new(arena, target_cuda(80));
    ir->function->name = "takes";
    IrBuffer *to = ir_arg(ir, "to", true, 0), *shared = ir_shared(ir, "shared", IR_FLOAT, floats[k]);
    IrExpr *thread = ir_threads(ir, 32), *first = ir_address(ir, shared, ir_int(ir, 0));
    ir_store(ir, ir->function->body, to, thread, ir_call(ir, IR_FLOAT, "size_of", 1, &first));
    kernel_preamble(target_cuda(80), &source);
    text_put(&source, "template <int N> INLINE float size_of(float (&)[N]) { return N; }\n");
    ir_print(ir, &source);
    Status status = cuda_compile(text_get(&source), "--std=c++17", (CudaCode){80, true}, false, &image, &log);
    CHECK(!status, "%lld floats of shared memory: %.2000s", (long long)floats[k], text_get(&log));
    status_free(status);
    text_free(&source);
    text_free(&image);
    text_free(&log);
    arena_free(arena);
  }
}

int main(int argc, char **argv) {
  (void)argc;
  const Target *target = target_cuda(80);
  test_rows(target);
  Device *device = NULL;
  if (gpu_find(argv[0])) {
    Status status = device_open_cuda(0, &device);
    CHECK(!status, "%s", status_message(status));
    status_free(status);
  }
  if (device) test_names(), test_shared(); // so there is a compiler
  if (device) test_cases(device, target, false);
  if (device) test_cases(device, target, true);
  device_close(device);
  return check_report("kernel_cuda");
}
