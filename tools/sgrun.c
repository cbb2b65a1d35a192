// sgrun: trains, evaluates and runs networks written in .net text.
#include "tools/sgrun.h"

#include <signal.h>

int main(int argc, char **argv) {
  static const CliCommand *const commands[] = {&sgrun_train, &sgrun_eval,    &sgrun_predict, &sgrun_bench,
                                               &sgrun_data,  &sgrun_weights, &sgrun_runs,    NULL};
  static const CliProgram program = {"sgrun", "trains, evaluates and runs networks written in .net text", commands};
  return cli_main(&program, argc, argv);
}
