// golden.h: runs the cases of a directory laid out as its README says and writes results under the golden names.
#ifndef SG_TESTS_GOLDEN_H
#define SG_TESTS_GOLDEN_H

#include <cjson/cJSON.h>

#include "compiler/compiler.h"
#include "lang/lang.h"
#include "runtime/exec.h"
#include "runtime/weights.h"

typedef struct Gather Gather;

typedef struct Golden {
  const char *in, *out;
  const Target *target;
  Device *device;
  const char *models; // the models that exist
  LangPaths paths;
  bool only_small; // leave large pictures out
  Gather *gather;  // NULL, or programs are not loaded: their kernels are collected, to be compiled all at once
  int n_run, n_skipped, n_failed;
} Golden;

// ---- generator.c: the formulas of the README's section 1

// u_i of the stream with the seed string prefix + name.
double golden_uniform(const char *prefix, const char *name, int64_t i);
// A weight or buffer of the given kind ("weight", "bias", "norm_weight", ...), scale included.
void golden_weight(const char *prefix, const char *name, const char *kind, double scale, Shape shape, float *out);
// "rgb", "preds" or "depth", (N, C, H, W). False for another name.
bool golden_input(const char *prefix, const char *name, Shape shape, float *out);

// ---- model.c: .net text to a graph or a running program

typedef struct Build {
  Arena *arena;
  Graph *graph;
} Build;
// Writes `text` to OUT/`name`.net and elaborates its last model. NULL graph after printing the diagnostics.
Build golden_build(const Golden *golden, const char *name, const char *text, bool is_training);
// Compiles and loads; NULL after printing why not, or while gathering. program_free and exec_close are the caller's;
// the build must outlive it.
Exec *golden_load(const Golden *golden, Build *build, bool is_training, Program **out_program);

// From here on golden_load gathers kernels. A run of the C compiler for each small program would take much longer than
// the kernels do.
void golden_gather_begin(Golden *golden);
// Compiles what was gathered into the kernel cache; from here on programs find their kernels there.
void golden_gather_end(Golden *golden);

// ---- the cases

void golden_ops(Golden *golden, const cJSON *index);                      // ops.json
void golden_network(Golden *golden, const char *name, const cJSON *json); // one <case>.json

// ---- results.c

typedef struct TsvFile TsvFile;
// A TSV of value rows: columns name, numel, l2, sum and eight first values named `letter`0..7.
TsvFile *golden_tsv_new(char letter);
void golden_tsv_row(TsvFile *tsv, const char *name, int64_t n, const float *values);
// Writes it, with the global norm over all rows in the first line if asked for, and frees it.
Status golden_tsv_save(TsvFile *tsv, const char *path, bool with_norm);

#endif
