// CUDA inspect: what machine code takes and says: ptxas's account of each kernel, and disassembly.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/cuda_compile.h"
#include "runtime/kernel_build.h"

// ---- ptxas's account ------------------------------------------------------------------------------------------------

// The number that stands before `unit` in the line that ends at `end`; 0 if there is none.
static int number_before(const char *line, const char *end, const char *unit) {
  const char *at = memmem(line, (size_t)(end - line), unit, strlen(unit));
  if (!at) return 0;
  while (at > line && at[-1] == ' ') at--;
  const char *digits = at;
  while (digits > line && digits[-1] >= '0' && digits[-1] <= '9') digits--;
  return digits < at ? atoi(digits) : 0;
}

int cuda_resources(const char *log, Arena *arena, CudaResources **out) {
  static const char begin[] = "Compiling entry function '";
  int n = 0, capacity = 0;
  *out = NULL;
  for (const char *line = log; *line;) {
    const char *end = line + strcspn(line, "\n"), *name = memmem(line, (size_t)(end - line), begin, sizeof begin - 1);
    if (name) {
      name += sizeof begin - 1;
      CudaResources kernel = {.symbol = arena_strndup(arena, name, strcspn(name, "'\n"))};
      ARENA_PUSH(arena, *out, n, capacity, kernel);
    } else if (n) {
      // "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" and "Used 40 registers, 8448 bytes smem, ..."
      CudaResources *last = &(*out)[n - 1];
      int registers = number_before(line, end, "registers");
      if (registers) last->registers = registers;
      if (registers) last->shared = number_before(line, end, "bytes smem");
      last->stack += number_before(line, end, "bytes stack frame");
      last->spill_stores += number_before(line, end, "bytes spill stores");
      last->spill_loads += number_before(line, end, "bytes spill loads");
    }
    line = *end ? end + 1 : end;
  }
  return n;
}

// ---- disassembly ----------------------------------------------------------------------------------------------------

// Whether the tool could be run and found nothing wrong; what it wrote is in `out`.
static int run_tool(const char *directory, const char *tool, const char *option, const char *path, Text *out) {
  Command command = {0};
  char *program;
  if (asprintf(&program, "%s%s%s", directory, *directory ? "/bin/" : "", tool) < 0) BUG("out of memory");
  command_add(&command, program);
  if (*option) command_add(&command, option);
  command_add(&command, path);
  text_clear(out);
  int code = command_capture(&command, out);
  command_free(&command);
  free(program);
  return code;
}

Status cuda_disassemble(const void *cubin, size_t size, Text *out) {
  static const char *const tools[][2] = {{"nvdisasm", ""}, {"cuobjdump", "--dump-sass"}};
  const char *home = getenv("CUDA_HOME"), *temporary = getenv("TMPDIR");
  const char *const directories[] = {"", home && *home ? home : "/usr/local/cuda", "/usr/local/cuda", "/opt/cuda"};
  char *path;
  if (asprintf(&path, "%s/sgc.XXXXXX", temporary && *temporary ? temporary : "/tmp") < 0) BUG("out of memory");
  int fd = mkstemp(path);
  Status status = fd < 0 ? status_make(EXIT_DATA, "cannot write '%s'", path) : file_write(path, cubin, size);
  if (fd >= 0) close(fd);
  int code = -1;
  Text text = {0};
  for (int i = 0; !status && code && i < 4; i++)
    for (int k = 0; code && k < 2; k++) code = run_tool(directories[i], tools[k][0], tools[k][1], path, &text);
  if (fd >= 0) unlink(path);
  free(path);
  if (!status && code)
    status = status_make(EXIT_DEVICE,
                         "machine code is read by nvdisasm or cuobjdump, and neither runs here%s%s: "
                         "install the CUDA toolkit's (packages cuda-nvdisasm, cuda-cuobjdump; pip's "
                         "nvidia-cuda-nvdisasm) and put it on PATH",
                         text.size ? ": " : "", text_get(&text));
  if (!status) text_put(out, text_get(&text));
  text_free(&text);
  return status;
}
