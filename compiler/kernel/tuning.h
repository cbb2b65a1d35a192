// Tuning: what was measured where schedules else go by their cost models.
//
// A schedule leaves a choice open by asking tuning_knob, with what its cost model says and the range of what is legal:
// every value in the range must make a correct kernel, with sums that differ by rounding alone. A pass does the same by
// tuning_layer for choices that decide which kernels there are. Without a Tuning in the target both answer what the
// cost model says, and the kernels' text is what it would be if nobody had asked.
//
// A kernel is known by the symbol that it has where the cost model decides all: ops, sizes and a hash of its code. A
// result also says the symbol of the kernel that was measured, and is not used once the generator makes another one.
#ifndef SG_KERNEL_TUNING_H
#define SG_KERNEL_TUNING_H

#include "compiler/kernel/ir.h"

typedef struct Tuning Tuning;

// ---- for schedules and passes

// What to take for a choice of the kernel that is being made. The range includes what the cost model says.
int64_t tuning_knob(Ir *ir, const char *name, int64_t model, int64_t least, int64_t most);

// What to take for a choice of a layer, which the format describes in one word: op, sizes, attributes.
int64_t tuning_layer(const Target *target, const char *knob, int64_t model, int64_t least, int64_t most,
                     const char *format, ...) __attribute__((format(printf, 6, 7)));

// ---- for kernel_emit

typedef struct Knob {
  const char *name;
  int64_t model;       // what the cost model says, given the knobs before
  int64_t least, most; // what is legal
  int64_t value;       // what was taken
} Knob;

enum { KNOBS_MOST = 8 };
typedef struct Knobs { // of a kernel, in the order in which its schedule asks
  int n;
  Knob knob[KNOBS_MOST];
  Arena *arena;         // where names live that are made
  const Tuning *tuning; // NULL: the cost model decides
  const struct TuningResult *result;
} Knobs;

// Whether the kernel of that symbol is to be made otherwise than as `model` says, and with what.
bool tuning_begin(const Tuning *tuning, const char *symbol, const Knobs *model, Knobs *out);
// Whether the kernel made with them is the one that was measured.
bool tuning_accepts(const Knobs *chosen, const char *symbol);
// Notes what was asked for a kernel, and the symbol of what was made.
void tuning_record(Tuning *tuning, const char *name, const char *symbol, const Knobs *knobs);

// ---- for who makes one

// Everything of it lives in the arena.
Tuning *tuning_new(Arena *arena);

typedef struct TuningResult {
  const char *name;   // of the kernel as the cost model makes it, or of the layer
  const char *symbol; // of the kernel that was measured; NULL: of a layer, or any kernel
  const char *values; // "rows=4 parts=2"; knobs that it does not name follow the cost model
  double ratio;       // time over that of the cost model's choice, as measured
} TuningResult;

// Takes the place of an earlier result of that name; `values` "" removes it. All is copied.
void tuning_set(Tuning *tuning, const TuningResult *result);
// The results in order of their names; returns how many.
int tuning_results(const Tuning *tuning, Arena *arena, const TuningResult **out);

// For tests: every knob of a kernel, and of a layer, takes its alternative of that number, whatever was measured; -1
// leaves them to the cost model.
void tuning_force(Tuning *tuning, int of_kernels, int of_layers);

// What was asked for while programs were compiled with it, each kernel and layer once.
typedef struct TuningSubject {
  const char *name, *symbol; // as in TuningResult; symbol of the kernel that was made
  int n_knobs;
  const Knob *knob;
} TuningSubject;
int tuning_subjects(const Tuning *tuning, const TuningSubject **out);
// How many of them took a result.
int tuning_used(const Tuning *tuning);

// The alternatives to the value of a knob, 0 .. KNOB_ALTERNATIVES - 1: of a range of few values each of them; else
// KNOB_STEPS steps away from it, then the ends of the range. They may repeat the value or each other.
enum { KNOB_STEPS = 4, KNOB_ALTERNATIVES = 6 };
int64_t knob_alternative(const Knob *knob, int i);
// Whether the range is so small that alternatives are its values.
bool knob_is_few(const Knob *knob);

// ---- as text

// A line for each result: `context` (a word: what decides the speed besides the kernel), name, symbol or -, ratio,
// values. The first line says what the file is.
typedef struct TuningReading {
  int n_taken, n_foreign, n_broken; // lines; foreign ones are of other contexts
  bool is_other;                    // not such a text, or one of another version: nothing was taken
} TuningReading;
TuningReading tuning_read(Tuning *tuning, const char *context, const char *text);
// Appends all results, and the lines of other contexts of an earlier text ("" if there is none).
void tuning_write(const Tuning *tuning, const char *context, const char *earlier, Text *out);

#endif
