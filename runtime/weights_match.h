// Matching a weight file with the tensors of a model, strictly by name below a prefix.
#ifndef SG_WEIGHTS_MATCH_H
#define SG_WEIGHTS_MATCH_H

#include <stdbool.h>

#include "runtime/base/arena.h"
#include "runtime/base/text.h"
#include "runtime/weights.h"

// A parameter or state of the model.
typedef struct MatchTarget {
  const char *name;
  Shape shape;
} MatchTarget;

typedef enum MatchKind {
  MATCH_FITS,
  MATCH_REPEATED, // the kernel of a stem for 3 channels that the model feeds with another number of channels
  MATCH_COUNTER,  // the file has no such batch counter, as older files do not: the model keeps its own
  MATCH_MISSING,  // the file has no tensor of that name
  MATCH_SHAPE,    // it has one of another shape
} MatchKind;

typedef struct Match {
  const MatchTarget *target;
  MatchKind kind;
  const WeightTensor *tensor; // FITS, REPEATED, SHAPE
} Match;

typedef struct MatchTable {
  const char **prefixes; // of the model's names, with their dots: "encoder.ghost."
  int n_prefixes;
  const char *file_prefix; // what stands before the names in the file: "", "state_dict.", ...
  Match *matches;          // the model's tensors below the prefixes, in their order
  int n_matches, count[MATCH_SHAPE + 1];
  const WeightTensor **unused; // tensors of the file that nothing wanted
  int n_unused;
} MatchTable;

// Matches what stands below `prefix` in the model ("" = all of it; a dot is added where it lacks) with the file. NULL
// finds the prefix under which the most names of the file are the model's; where several do equally well (the encoders
// of a stack) all are taken. Optimiser moments ("adamw.*") are left out on both sides. The table lives in the arena and
// refers to file and targets; with no such prefix it has no matches.
void weights_match(Arena *arena, const WeightFile *file, const MatchTarget *targets, int n_targets, const char *prefix,
                   MatchTable *out);

// EXIT_WEIGHTS naming the first few tensors that are missing or have another shape, or that there is nothing to match.
Status match_check(const MatchTable *table, const WeightFile *file);

// Appends one line: how many tensors fit under which prefix, which stem was repeated, what the file has besides.
void match_describe(const MatchTable *table, const WeightFile *file, Text *out);

// Whether a kernel of shape `from`, (O, 3, kh, kw), can be repeated to `to`, (O, other, kh, kw).
bool match_repeats(Shape from, Shape to);
// Fills axis 1 of `out` with the input channels of `kernel`, over and over until full, without rescaling.
void match_repeat(Shape from, const float *kernel, Shape to, float *out);

// The values for a target of a FITS or REPEATED match, converted to f32.
void match_values(const Match *match, float *out);

#endif
