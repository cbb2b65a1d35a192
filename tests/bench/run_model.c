// run_model [--training] MODEL.net TENSORS.safetensors THREADS|cuda:N [NAME=VALUE...]
//
// Our side of the bench, as a process that serves timed runs; serve.py describes the commands and answers. Weights and
// the inputs "input/NAME" come from one file; outputs go to safetensors.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/compiler.h"
#include "compiler/pass/pass.h"
#include "lang/lang.h"
#include "runtime/base/clock.h"
#include "runtime/cuda_device.h"
#include "runtime/exec.h"
#include "runtime/train/checkpoint.h"

static void must(Status status) {
  if (!status) return;
  fprintf(stderr, "run_model: %s\n", status_message(status));
  exit((int)status_code(status));
}

static Graph *load_graph(Arena *arena, const char *path, bool is_training, char **bindings, int n) {
  static const char *const directories[] = {"stdlib", "models"};
  LangPaths paths = {directories, 2, NULL};
  LangBinding list[32];
  for (int i = 0; i < n && i < 32; i++) {
    char *equals = strchr(bindings[i], '=');
    if (!equals) exit(EXIT_USAGE);
    list[i] = (LangBinding){arena_strndup(arena, bindings[i], (size_t)(equals - bindings[i])), equals + 1};
  }
  Diag *diag = diag_new(arena, 20);
  LangFile *file = lang_load(arena, path, &paths, diag);
  LangOptions options = {NULL, list, n, is_training, is_training};
  Graph *graph = file ? lang_elaborate(file, &options, diag) : NULL;
  static const StepOptions step = {
      .beta2 = 0.999, .eps = 1e-8, .weight_decay = 1e-4, .clip = 0.1, .enlarges_late = true, .reassociates = true};
  if (graph && (!is_training || step_build(graph, &step, diag))) return graph;
  Text text = {0};
  diag_print(diag, &text, false);
  fputs(text_get(&text), stderr);
  exit(EXIT_MODEL);
}

// The CPU with so many threads, or a GPU and its target.
static Device *open_device(const char *name, const Target **out_target) {
  Device *device = NULL;
  int number;
  if (sscanf(name, "cuda:%d", &number) == 1) {
    CudaGpu gpu;
    must(cuda_gpu(number, &gpu));
    must(device_open_cuda(number, &device));
    *out_target = target_cuda(gpu.compute);
  } else {
    must(device_open_cpu(atoi(name), &device));
  }
  return device;
}

static void fill_inputs(Arena *arena, const WeightFile *file, Exec *exec) {
  const Program *program = exec_program(exec);
  for (int i = 0; i < program->n_buffers; i++) {
    const Buffer *buffer = &program->buffers[i];
    if (buffer->kind != BUFFER_INPUT) continue;
    float *values = exec_input(exec, buffer->name);
    if (!strcmp(buffer->name, "hyper")) {
      values[HYPER_LR] = 1e-5f, values[HYPER_BETA1] = 0.9f, values[HYPER_SHARE] = values[HYPER_APPLY] = 1;
      values[HYPER_UNBIAS1] = 0.1f, values[HYPER_UNBIAS2] = 0.001f;
      continue;
    }
    if (!strcmp(buffer->name, "random_key")) continue; // zero
    const WeightTensor *tensor = weights_find(file, arena_printf(arena, "input/%s", buffer->name));
    if (!tensor || !shape_equal(tensor->shape, buffer->shape)) exit(EXIT_DATA);
    weights_to_f32(tensor, values);
  }
}

static void save_outputs(Exec *exec, const char *path) {
  const Program *program = exec_program(exec);
  WeightWriter *writer = weight_writer_new();
  for (int i = 0; i < program->n_buffers; i++) {
    const Buffer *buffer = &program->buffers[i];
    if (buffer->kind == BUFFER_OUTPUT)
      weight_writer_add(writer, buffer->name, WEIGHT_F32, buffer->shape, exec_output(exec, buffer->name));
  }
  must(weight_writer_save(writer, path));
}

static long long peak_bytes(void) {
  char line[256];
  long long kilobytes = 0;
  FILE *file = fopen("/proc/self/status", "r");
  while (file && fgets(line, sizeof line, file)) sscanf(line, "VmHWM: %lld", &kilobytes);
  if (file) fclose(file);
  return kilobytes << 10;
}

static void serve(Exec *exec) {
  char command[16], argument[4096];
  while (scanf("%15s %4095s", command, argument) == 2) {
    if (!strcmp(command, "run")) {
      printf("{\"ms\": [");
      for (int i = 0, n = atoi(argument); i < n; i++) {
        double begin = clock_seconds();
        must(exec_run(exec));
        printf("%s%.4f", i ? ", " : "", 1e3 * (clock_seconds() - begin));
      }
      printf("]}\n");
    } else {
      save_outputs(exec, argument);
      printf("{}\n");
    }
    fflush(stdout);
  }
  printf("{\"peak_bytes\": %lld}\n", peak_bytes());
}

int main(int argc, char **argv) {
  bool is_training = argc > 1 && !strcmp(argv[1], "--training");
  argv += is_training, argc -= is_training;
  if (argc < 4) {
    fprintf(stderr, "usage: run_model [--training] MODEL.net TENSORS.safetensors THREADS|cuda:N [NAME=VALUE...]\n");
    return EXIT_USAGE;
  }
  double started = clock_seconds();
  Arena *arena = arena_new(), *text = arena_new();
  Graph *graph = load_graph(text, argv[1], is_training, argv + 4, argc - 4);
  CompileOptions options = {.is_training = is_training};
  Program *program;
  Device *device = open_device(argv[3], &options.target);
  Exec *exec;
  WeightFile *file;
  must(compile(graph, &options, &program));
  arena_free(text);
  must(exec_open(program, device, 0, &exec));
  must(weights_open(argv[2], &file));
  must(checkpoint_restore(file, exec, NULL));
  fill_inputs(arena, file, exec);
  weights_close(file);
  must(exec_run(exec));
  long long bytes = 0;
  for (int i = 0; i < program->n_steps; i++) bytes += (long long)program->steps[i].bytes;
  printf("{\"first_ms\": %.1f, \"version\": \"sgc\", \"kernels\": %d, \"multiply_adds\": %lld, \"bytes\": %lld, "
         "\"plan_bytes\": %lld}\n",
         1e3 * (clock_seconds() - started), program->n_steps, (long long)program->multiply_adds, bytes,
         (long long)exec_memory(exec));
  fflush(stdout);
  serve(exec);
  exec_close(exec);
  device_close(device);
  program_free(program);
  arena_free(arena);
  return EXIT_DONE;
}
