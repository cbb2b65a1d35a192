// common_model: what commands share: from a path (.net text or a weight file that carries its text) to a program.
#ifndef SG_TOOLS_COMMON_MODEL_H
#define SG_TOOLS_COMMON_MODEL_H

#include "compiler/compiler.h"
#include "lang/lang.h"
#include "runtime/exec.h"
#include "runtime/weights.h"
#include "tools/cli.h"

// Options that say which model is meant and how it is bound.
#define MODEL_OPTIONS                                                                                                  \
  {"model", 'm', "NAME", "the model in the file (default: the last one)"},                                             \
      {"arg", 'a', "NAME=VALUE", "a static parameter of the model; may be repeated"},                                  \
      {"dim", 'd', "N=1,H=416,..", "sizes of named dimensions"}, {                                                     \
    "include", 'I', "DIR", "search DIR for `use`; may be repeated"                                                     \
  }

#define TARGET_OPTION                                                                                                  \
  {                                                                                                                    \
    "target", 't', "NAME",                                                                                             \
        "cpu (default), cpu:neon and the like, reference (slow, needs no C compiler), cuda, cuda:sm_80 .."             \
  }

#define MEMORY_OPTION                                                                                                  \
  {                                                                                                                    \
    "mem", 0, "SIZE",                                                                                                  \
        "the most that weights, constants and slab may take, as 1.5G or 800M: costs time, changes no bit"              \
  }

// Options of the compiler.
#define COMPILE_OPTIONS                                                                                                \
  TARGET_OPTION, {"precision", 0, "NAME", "f32 (default); tf32, bf16, f16: round factors for a GPU's tensor cores"},   \
      {"exact", 0, NULL, "only rewrites that keep every bit"}, MEMORY_OPTION,                                          \
      {"disable", 0, "PASS", "do not run a pass; may be repeated"},                                                    \
      {"tuned", 0, NULL, "schedules that 'sgc tune' found for this machine"},                                          \
      {"stop-after", 0, "PASS", "run the passes up to this one"}, {                                                    \
    "dump-passes", 0, NULL, "print the graph after each pass that changed it, and times, to stderr"                    \
  }

enum { MODEL_MAX_BINDINGS = 64 };

typedef struct Model {
  Arena *arena;
  Diag *diag;
  const char *path;
  LangFile *file;
  const LangModel *info;
  WeightFile *weights; // NULL where the path is .net text
  LangBinding bindings[MODEL_MAX_BINDINGS];
  int n_bindings;
} Model;

// Loads the file named by the command's operand `path` with its options; says what is wrong and returns the code.
// A weight file's own text and bindings are used. model_close ends it in every case.
ExitCode model_open(const Cli *cli, const char *path, Model *out);
// As above for a .net file that need not hold a model: `info` stays NULL.
ExitCode model_open_text(const Cli *cli, const char *path, Model *out);
void model_close(Model *model);

// Binds a name unless it is bound already (--dim and --arg come first).
void model_bind(Model *model, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
// Binds N to `n`, H and W to the train block's height and width, where the model has these and they are free.
void model_bind_sizes(Model *model, int64_t n);
// The value a dimension is bound to, or `fallback`.
int64_t model_dimension(const Model *model, const char *name, int64_t fallback);

// Elaborates. NULL after printing diagnostics (EXIT_MODEL).
Graph *model_graph(const Cli *cli, Model *model, bool is_training, bool with_loss);

// The model with its train block's loss, in training. NULL after saying what is wrong, a missing train block included.
Graph *model_loss_graph(const Cli *cli, Model *model);

// What --precision, --exact and --disable ask of the training step: StepOptions.scales, enlarges_late and
// reassociates.
void model_step_options(const Cli *cli, StepOptions *options);

// The training step of the model: its train block's loss, gradients and AdamW. NULL after printing diagnostics.
Graph *model_step_graph(const Cli *cli, Model *model, const StepOptions *options);

// The text, name and bindings of the model as metadata values for weight files, in the model's arena.
const char *model_bundle_json(const Model *model);
const char *model_bindings_json(const Model *model);

// Prints everything in the model's diagnostics to stderr.
void model_print_diag(const Model *model);

// Opens the device of --device, else the GPU that --target=cuda means, else the CPU with that many threads (0 = all
// that the process may use); its notices go to stderr.
ExitCode model_device(const Cli *cli, int threads, Device **out);

// compile(), where the options leave nothing out that it cannot do without; says what is wrong and returns the code.
ExitCode model_compile(const Cli *cli, Graph *graph, const CompileOptions *options, Program **out);

// Fills all inputs with a fixed pattern of small values, so that no time depends on denormals or zeros.
void model_fill_inputs(Exec *exec);

// Options for compile() from the command line; EXIT_USAGE after saying what is wrong.
ExitCode model_compile_options(const Cli *cli, Arena *arena, CompileOptions *out);

#endif
