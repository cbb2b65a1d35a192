// .net text to a graph and to a running program, for the golden harness.
#include <stdio.h>
#include <string.h>

#include "runtime/base/file.h"
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

Exec *golden_load(const Golden *golden, Build *build, bool is_training, Program **out_program) {
  CompileOptions options = {.target = golden->target, .is_training = is_training, .keep_taps = true};
  Exec *exec = NULL;
  Status status = compile(build->graph, &options, out_program);
  if (!status) {
    status = exec_open(*out_program, golden->device, 0, &exec);
    if (status) program_free(*out_program);
  }
  if (status) {
    printf("%s does not run: %s\n", build->graph->name, status_message(status));
    status_free(status);
  }
  return exec;
}
