// sgrun: trains, evaluates and runs networks written in .net text.
#include "tools/sgrun.h"
#include "tools/sgrun_sweep.h"

int main(int argc, char **argv) {
  static const CliCommand *const commands[] = {&sgrun_train,   &sgrun_eval, &sgrun_predict, &sgrun_bench,
                                               &sgrun_study,   &sgrun_data, &sgrun_weights, &sgrun_replay,
                                               &sgrun_lr_find, &sgrun_runs, &sgrun_sweep,   NULL};
  static const CliProgram program = {"sgrun", "trains, evaluates and runs networks written in .net text", commands};
  sweep_take_options();
  return cli_main(&program, argc, argv);
}
