// .net text to a graph and to a running program, for the golden harness.
#include <stdio.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/strmap.h"
#include "runtime/cuda_cache.h"
#include "runtime/cuda_device.h"
#include "runtime/kernel_cache.h"
#include "tests/golden/golden.h"

static void print_diag(const Diag *diag, const char *name) {
  Text text = {0};
  diag_print(diag, &text, false);
  printf("%s does not build:\n%s", name, text_get(&text));
  text_free(&text);
}

Build golden_build(const Golden *golden, const char *name, const char *text, bool is_training) {
  Build build = {arena_new(), NULL};
  const char *path = arena_printf(build.arena, "%s/%s.net", golden->out, name);
  Diag *diag = diag_new(build.arena, 20);
  Status status = file_write(path, text, strlen(text));
  if (status) {
    printf("%s: %s\n", name, status_message(status));
    status_free(status);
    return build;
  }
  LangFile *file = lang_load(build.arena, path, &golden->paths, diag);
  LangOptions options = {.is_training = is_training};
  if (file) build.graph = lang_elaborate(file, &options, diag);
  if (!build.graph) print_diag(diag, name);
  return build;
}

// ---- gathering ------------------------------------------------------------------------------------------------------

struct Gather {
  Arena *arena;
  StrMap *symbols; // of the kernels in `source`
  Text source;
};

void golden_gather_begin(Golden *golden) {
  Arena *arena = arena_new();
  golden->gather = ARENA_ARRAY(arena, Gather, 1);
  *golden->gather = (Gather){.arena = arena, .symbols = strmap_new(arena)};
}

static void gather_program(Gather *gather, const Program *program) {
  const char *source = program->source ? program->source : "", *at = strstr(source, PROGRAM_KERNEL_MARK);
  if (at && !gather->source.size) text_write(&gather->source, source, (size_t)(at - source));
  while (at) {
    const char *name = at + strlen(PROGRAM_KERNEL_MARK), *next = strstr(name, PROGRAM_KERNEL_MARK);
    const char *symbol = arena_strndup(gather->arena, name, strcspn(name, "\n"));
    if (!strmap_get(gather->symbols, symbol)) text_write(&gather->source, at, next ? (size_t)(next - at) : strlen(at));
    strmap_set(gather->symbols, symbol, gather);
    at = next;
  }
}

static Status make_module(const Golden *golden, const Gather *gather) {
  KernelModule *module = NULL;
  TRY(kernel_module_load(text_get(&gather->source), golden->target->cc_flags, NULL, NULL, &module));
  kernel_module_close(module);
  return STATUS_OK;
}

static Status make_images(const Golden *golden, const Gather *gather) {
  CudaGpu gpu;
  CudaCode code;
  CudaImages *images = NULL;
  TRY(cuda_gpu(0, &gpu));
  TRY(cuda_code_choose(gpu.compute, &code));
  TRY(cuda_images_load(text_get(&gather->source), golden->target->cc_flags, code, NULL, NULL, &images));
  cuda_images_free(images);
  return STATUS_OK;
}

void golden_gather_end(Golden *golden) {
  Gather *gather = golden->gather;
  golden->gather = NULL;
  Status status = STATUS_OK;
  if (gather->source.size && golden->target->kind == TARGET_CUDA) status = make_images(golden, gather);
  else if (gather->source.size) status = make_module(golden, gather);
  status_free(status); // where it fails, the programs fail one by one and say so
  text_free(&gather->source);
  arena_free(gather->arena);
}

// ---- loading --------------------------------------------------------------------------------------------------------

Exec *golden_load(const Golden *golden, Build *build, bool is_training, Program **out_program) {
  CompileOptions options = {.target = golden->target, .is_training = is_training, .keep_taps = true};
  Exec *exec = NULL;
  Status status = compile(build->graph, &options, out_program);
  if (!status && golden->gather) {
    gather_program(golden->gather, *out_program);
    program_free(*out_program);
    *out_program = NULL;
    return NULL;
  }
  if (!status) {
    status = exec_open(*out_program, golden->device, 0, &exec);
    if (status) {
      program_free(*out_program);
      *out_program = NULL;
    }
  }
  if (status) {
    printf("%s does not run: %s\n", build->graph->name, status_message(status));
    status_free(status);
  }
  return exec;
}
