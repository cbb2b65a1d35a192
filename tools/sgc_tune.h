// sgc_tune: what the files of `sgc tune` share: programs of one model compiled with different choices, and how long
// they take.
#ifndef SG_TOOLS_SGC_TUNE_H
#define SG_TOOLS_SGC_TUNE_H

#include <signal.h>

#include "compiler/kernel/tuning.h"
#include "tools/sgc.h"

typedef struct Tuner {
  const Cli *cli;
  Arena *arena;         // of the whole command
  const Target *target; // without results
  Device *device;
  const volatile sig_atomic_t *is_interrupted;
  double deadline; // of looking for alternatives, in seconds of clock_seconds
  double spread;   // of the times of one program, summed over n_spreads measurements
  int n_spreads;
} Tuner;

// Whether to look no further: time is up, or the user interrupted.
bool tuner_is_over(const Tuner *tuner);

// ---- sgc_tune_variant.c: programs of the model

typedef struct Variant {
  Arena *arena;
  Tuning *tuning; // what it was compiled with and asked
  Program *program;
  Exec *exec;
} Variant;

// Compiles the model with these results (symbol NULL: any kernel). variant_close ends it in every case.
ExitCode variant_compile(const Tuner *tuner, const TuningResult *result, int n, Variant *out);
// Loads it, on the memory of `base` if that is not NULL, with inputs filled, and runs it once. EXIT_INTERRUPTED, and
// nothing said, if that failed after the user interrupted.
ExitCode variant_open(const Tuner *tuner, const Variant *base, Variant *variant);
void variant_close(Variant *variant);
// What it asked of that name, or NULL.
const TuningSubject *variant_subject(const Variant *variant, const char *name);

// Appends "rows 8 -> 4, parts 1 -> 2": the choices that are not the cost model's.
void subject_choices(const TuningSubject *subject, Text *out);

// ---- sgc_tune_measure.c

// Seconds that the steps of two programs take which run in turn, by round.
typedef struct Rounds {
  int n, n_steps[2];
  double *seconds[2]; // [round][step]
} Rounds;
// *out is in `arena`.
ExitCode rounds_measure(Tuner *tuner, Arena *arena, const Variant *const pair[2], int n, Rounds *out);
// The median of some rounds for each step of one program.
ExitCode steps_measure(Tuner *tuner, Arena *arena, const Variant *variant, double *seconds);
// As many rounds as about so many seconds allow.
int rounds_for(double seconds, const Variant *variant);

// The steps that count on one side: those whose kernels have one of the symbols (NULL: all).
double rounds_sum(const Rounds *rounds, int side, int round, const bool *counts);

// Time of the second over that of the first, each being the sum of its steps' lower quartiles over the rounds, and
// whether it is clearly below 1.
typedef struct Verdict {
  double seconds[2], ratio;
  bool is_faster; // by more than `margin`, and in three rounds of five
} Verdict;
Verdict rounds_judge(Arena *arena, const Rounds *rounds, const bool *const counts[2], double margin);

// ---- sgc_tune_compare.c

// Results of a kernel may differ from those of the same by another schedule by so much of the largest; and by another
// algorithm.
#define TUNE_KERNEL_TOLERANCE 1e-4
#define TUNE_LAYER_TOLERANCE  1e-3

// Runs all steps of `base`, and after each whose kernel is another one in `trial` (on base's memory) that one on the
// same values: worst[i] is how far results of step i are apart, relative to the largest.
ExitCode compare_steps(const Tuner *tuner, const Variant *base, const Variant *trial, double *worst);

// Runs two programs with other layers side by side, each in memory of its own. Where their steps are not the same they
// are compared when they come together again, and go on with the results of `a`, so that no difference grows on its way
// through the network. *worst is the largest, relative to the largest value; infinity where steps cannot be compared.
ExitCode compare_programs(const Tuner *tuner, const Variant *a, const Variant *b, double *worst);

// ---- sgc_tune_layers.c, sgc_tune_kernels.c: the searches

// A choice that was found, or not.
typedef struct Finding {
  TuningResult result;       // values "" where the cost model's choice stays
  const char *what, *change; // for the table: what it is, and its choices
  double seconds;            // a run by the cost model's choice
  bool is_layer;
} Finding;
typedef struct Findings {
  Finding *of;
  int n, capacity;
} Findings;

// Appends a finding for each layer, or each kernel, that alternatives were tried for; so, too, where a search ends with
// EXIT_INTERRUPTED.
ExitCode tune_layers(Tuner *tuner, Findings *findings);
// `findings` may begin with layers, whose results hold from here on.
ExitCode tune_kernels(Tuner *tuner, Findings *findings);
// The results of the findings that keep any; in the tuner's arena.
int findings_results(const Tuner *tuner, const Findings *findings, TuningResult **out);

#endif
