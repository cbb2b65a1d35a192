// sgc: compiles and looks at networks written in .net text.
#include "tools/sgc.h"

#include <errno.h>
#include <string.h>

#include "runtime/base/file.h"

void sgc_notice(void *context, const char *text) {
  (void)context;
  fprintf(stderr, "note: %s\n", text);
}

ExitCode sgc_put(const Cli *cli, const Text *text) {
  const char *path = cli_option(cli, "out");
  if (path && strcmp(path, "-")) return cli_status(cli, file_write(path, text_get(text), text->size));
  if (fwrite(text_get(text), 1, text->size, stdout) != text->size)
    return cli_fail(cli, EXIT_DATA, "cannot write the results: %s", strerror(errno));
  return EXIT_DONE;
}

int main(int argc, char **argv) {
  static const CliCommand *const commands[] = {&sgc_compile, &sgc_check, &sgc_summary, &sgc_graph, &sgc_fmt,
                                               &sgc_explain, &sgc_doc,   &sgc_doctor,  &sgc_tune,  NULL};
  static const CliProgram program = {"sgc", "compiles and looks at networks written in .net text", commands};
  return cli_main(&program, argc, argv);
}
