// run_model MODEL.net TENSORS.safetensors OUT.safetensors RUNS THREADS|cuda:N [NAME=VALUE...]
//
// Loads weights and the inputs "input/NAME" from one file, runs the model, times it, and writes its outputs.
// Prints one JSON object. The bench compares these outputs and times with other runtimes'.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/compiler.h"
#include "lang/lang.h"
#include "runtime/base/clock.h"
#include "runtime/cuda_device.h"
#include "runtime/exec.h"
#include "runtime/train/checkpoint.h"

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void must(Status status) {
  if (!status) return;
  fprintf(stderr, "run_model: %s\n", status_message(status));
  exit((int)status_code(status));
}

static Graph *load_graph(Arena *arena, const char *path, char **bindings, int n) {
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
  LangOptions options = {.bindings = list, .n_bindings = n};
  Graph *graph = file ? lang_elaborate(file, &options, diag) : NULL;
  if (graph) return graph;
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

int main(int argc, char **argv) {
  if (argc < 6) {
    fprintf(stderr, "usage: run_model MODEL.net TENSORS.safetensors OUT.safetensors RUNS THREADS|cuda:N "
                    "[NAME=VALUE...]\n");
    return EXIT_USAGE;
  }
  double started = clock_seconds();
  Arena *arena = arena_new();
  Graph *graph = load_graph(arena, argv[1], argv + 6, argc - 6);
  CompileOptions options = {0};
  Program *program;
  Device *device = open_device(argv[5], &options.target);
  Exec *exec;
  WeightFile *file;
  must(compile(graph, &options, &program));
  must(exec_open(program, device, 0, &exec));
  must(weights_open(argv[2], &file));
  must(checkpoint_restore(file, exec, NULL));
  for (int i = 0; i < program->n_buffers; i++) {
    const Buffer *buffer = &program->buffers[i];
    if (buffer->kind != BUFFER_INPUT) continue;
    const WeightTensor *tensor = weights_find(file, arena_printf(arena, "input/%s", buffer->name));
    if (!tensor || !shape_equal(tensor->shape, buffer->shape)) return EXIT_DATA;
    weights_to_f32(tensor, exec_input(exec, buffer->name));
  }
  must(exec_run(exec));
  double first = clock_seconds() - started;
  int runs = atoi(argv[4]);
  double *seconds = calloc((size_t)runs + 1, sizeof *seconds);
  if (!seconds) return EXIT_BUG;
  for (int i = 0; i < 3; i++) must(exec_run(exec));
  for (int i = 0; i < runs; i++) {
    double begin = clock_seconds();
    must(exec_run(exec));
    seconds[i] = clock_seconds() - begin;
  }
  qsort(seconds, (size_t)runs, sizeof *seconds, compare);
  WeightWriter *writer = weight_writer_new();
  for (int i = 0; i < program->n_buffers; i++) {
    const Buffer *buffer = &program->buffers[i];
    if (buffer->kind == BUFFER_OUTPUT)
      weight_writer_add(writer, buffer->name, WEIGHT_F32, buffer->shape, exec_output(exec, buffer->name));
  }
  must(weight_writer_save(writer, argv[3]));
  printf("{\"median_ms\":%.4f,\"min_ms\":%.4f,\"first_ms\":%.1f,\"kernels\":%d,\"memory_bytes\":%lld}\n",
         1e3 * seconds[runs / 2], 1e3 * seconds[0], 1e3 * first, program->n_steps, (long long)exec_memory(exec));
  free(seconds);
  weights_close(file);
  exec_close(exec);
  device_close(device);
  program_free(program);
  arena_free(arena);
  return EXIT_DONE;
}
