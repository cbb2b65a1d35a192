// sgc tune: programs of the model.
#include <string.h>

#include "runtime/base/clock.h"
#include "tools/sgc_tune.h"

bool tuner_is_over(const Tuner *tuner) { return *tuner->is_interrupted || clock_seconds() > tuner->deadline; }

// The model is read anew each time, as compiling changes its graph.
ExitCode variant_compile(const Tuner *tuner, const TuningResult *result, int n, Variant *out) {
  const Cli *cli = tuner->cli;
  *out = (Variant){.arena = arena_new()};
  out->tuning = tuning_new(out->arena);
  for (int i = 0; i < n; i++) tuning_set(out->tuning, &result[i]);
  Target *target = arena_memdup(out->arena, tuner->target, sizeof *tuner->target);
  target->tuning = out->tuning;
  CompileOptions options = {.target = target, .is_training = cli_flag(cli, "training", false)};
  Model model;
  Graph *graph = NULL;
  ExitCode code = model_open(cli, cli_operand(cli, 0), &model);
  if (!code) code = sgc_build(cli, &model, &graph);
  if (!code) code = cli_status(cli, compile(graph, &options, &out->program));
  model_close(&model);
  return code;
}

ExitCode variant_open(const Tuner *tuner, const Variant *base, Variant *variant) {
  Status status = base ? exec_open_on(variant->program, base->exec, &variant->exec)
                       : exec_open(variant->program, tuner->device, 1, &variant->exec);
  if (!status && !base) {
    model_fill_inputs(variant->exec);
    float *hyper = exec_input(variant->exec, "hyper");
    if (hyper) hyper[HYPER_LR] = 0; // parameters stay what they are, however many runs there will be
  }
  if (!status) status = exec_run(variant->exec);
  if (status && *tuner->is_interrupted) { // a terminal's Ctrl-C ends the C compiler too
    status_free(status);
    return EXIT_INTERRUPTED;
  }
  return cli_status(tuner->cli, status);
}

void variant_close(Variant *variant) {
  exec_close(variant->exec);
  program_free(variant->program);
  if (variant->arena) arena_free(variant->arena);
  *variant = (Variant){0};
}

const TuningSubject *variant_subject(const Variant *variant, const char *name) {
  const TuningSubject *subject;
  int n = tuning_subjects(variant->tuning, &subject);
  for (int i = 0; i < n; i++) {
    if (!strcmp(subject[i].name, name)) return &subject[i];
  }
  return NULL;
}

void subject_choices(const TuningSubject *subject, Text *out) {
  for (int i = 0; i < subject->n_knobs; i++) {
    const Knob *knob = &subject->knob[i];
    if (knob->value != knob->model)
      text_printf(out, "%s%s %lld -> %lld", out->size ? ", " : "", knob->name, (long long)knob->model,
                  (long long)knob->value);
  }
}
