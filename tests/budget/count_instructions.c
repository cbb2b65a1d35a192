// count_instructions PROGRAM...: runs each program (of sgc compile --emit=program) twice on one thread; under
// `valgrind --tool=callgrind --collect-atstart=no` only the second run is counted, and written as a dump named after
// the program. Built without valgrind's header it does nothing but end with EXIT_DEVICE.
#include <stdio.h>
#include <string.h>

#include "runtime/exec.h"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#define HAS_CALLGRIND 1
#else
#define CALLGRIND_TOGGLE_COLLECT
#define CALLGRIND_DUMP_STATS_AT(name) (void)(name)
#define HAS_CALLGRIND                 0
#endif

// What takes long under valgrind, and changes no comparison of counts: random numbers, and a multiply-add in one
// instruction, which it computes lane by lane.
static void make_quick(Program *program) {
  if (strstr(program->cc_flags, " -mfma"))
    program->cc_flags = arena_printf(program->arena, "%s -mno-fma", program->cc_flags);
  for (int i = 0; i < program->n_buffers; i++) {
    Buffer *buffer = &program->buffers[i];
    if (buffer->kind == BUFFER_PARAM && buffer->init_kind) buffer->init_kind = 0, buffer->init_a = 0.01;
  }
}

static void fill_inputs(const Program *program, Exec *exec) {
  for (int i = 0; i < program->n_buffers; i++) {
    if (program->buffers[i].kind != BUFFER_INPUT) continue;
    float *values = exec_input(exec, program->buffers[i].name);
    for (int64_t k = 0, n = shape_elements(program->buffers[i].shape); k < n; k++)
      values[k] = (float)(k * 7919 % 1000) / 1000 + 0.1f;
  }
}

static Status count(const char *path, Device *device) {
  Program *program;
  Exec *exec = NULL;
  TRY(program_read(path, &program));
  make_quick(program);
  Status status = exec_open(program, device, 0, &exec);
  if (!status) fill_inputs(program, exec);
  if (!status) status = exec_run(exec);
  if (!status) {
    CALLGRIND_TOGGLE_COLLECT;
    status = exec_run(exec);
    CALLGRIND_TOGGLE_COLLECT;
    CALLGRIND_DUMP_STATS_AT(path);
  }
  exec_close(exec);
  program_free(program);
  return status;
}

int main(int argc, char **argv) {
  Device *device = NULL;
  Status status = HAS_CALLGRIND ? device_open_cpu(1, &device)
                                : status_make(EXIT_DEVICE, "valgrind's header was not there when this was built");
  for (int i = 1; i < argc && !status; i++) status = count(argv[i], device);
  device_close(device);
  if (!status) return EXIT_DONE;
  fprintf(stderr, "count_instructions: %s\n", status_message(status));
  return (int)status_code(status);
}
