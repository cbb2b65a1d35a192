// compile: Graph -> Program. The door of the compiler.
#ifndef SG_COMPILER_H
#define SG_COMPILER_H

#include "compiler/graph.h"
#include "compiler/pass/pass.h"
#include "compiler/target.h"
#include "runtime/program.h"

typedef struct CompileOptions {
  const Target *target; // NULL = target_host()
  bool is_training;
  bool keep_taps; // taps stay outputs
  bool exact;
  PipelineOptions passes;
  Text *explain;      // NULL, or where `sgc explain` gets its text
  int64_t memory;     // bytes that the program may take, what persists and the slab; 0: as much as it likes
  const Shard *shard; // NULL: one device alone
  Diag *diag;         // with `shard`: says what in the user's text cannot be shared out
} CompileOptions;

// Runs the pipeline on `graph` (which it changes), emits kernels, plans memory. The program owns its memory and does
// not refer to the graph, except on the reference target, whose steps need the graph to live as long as the program.
// Errors are of the world only (a size beyond what can be addressed: EXIT_DEVICE), but for networks that cannot be
// shared out among devices (EXIT_MODEL, with the places in the diagnostics) and those that cannot do with the memory
// (EXIT_DEVICE).
Status compile(Graph *graph, const CompileOptions *options, Program **out);

// What compile does first: leaves out the taps unless they are kept, sorts the graph and runs the pipeline on it.
// Errors are those of compile that are known then; the graph may have been changed already.
Status compile_passes(Graph *graph, const CompileOptions *options);

#endif
