// Program: what compile() makes and Exec runs: buffers planned into slabs, steps in order, and the C text of the
// kernels.
#ifndef SG_PROGRAM_H
#define SG_PROGRAM_H

#include <stdbool.h>

#include "runtime/base/arena.h"
#include "runtime/base/status.h"
#include "runtime/base/text.h"
#include "runtime/kernel_abi.h"
#include "runtime/tensor.h"

// Buffers begin at multiples of this many floats, and their sizes in the regions are rounded up to it, so that kernels
// may read whole vectors at their ends.
enum { PROGRAM_ALIGN = 64 };

typedef enum BufferKind {
  BUFFER_INPUT,    // written by the caller before a run, plain layout
  BUFFER_OUTPUT,   // read by the caller after a run, plain layout
  BUFFER_PARAM,    // a parameter or state leaf, plain layout as in weight files; kept between runs, written by updates,
                   // unless is_brief
  BUFFER_CONSTANT, // values in the program
  BUFFER_SETUP,    // computed by the setup steps, kept between runs
  BUFFER_SLAB,     // temporary
} BufferKind;

typedef struct Buffer {
  BufferKind kind;
  const char *name;  // INPUT, OUTPUT, PARAM: its name
  Shape shape;       // logical
  int64_t size;      // floats, padding included
  int64_t offset;    // floats from the start of its region: the slab if buffer_in_slab, else the persistent one
  const float *data; // CONSTANT: lent
  // PARAM:
  bool is_state;      // state rather than parameter
  bool stored_as_i64; // int64 in weight files
  bool is_brief;      // nothing but the setup reads it: it lies in the slab, and is gone when the run begins
  int init_kind;      // InitKind of compiler/graph.h
  double init_a, init_b;
} Buffer;

static inline bool buffer_in_slab(const Buffer *buffer) { return buffer->kind == BUFFER_SLAB || buffer->is_brief; }

typedef enum StepKind {
  STEP_KERNEL,     // a generated kernel, or a given function
  STEP_ALL_REDUCE, // symbol "sum" or "max": argument 1 becomes that of argument 0 over all devices, `n_tasks` floats
} StepKind;

// A product of matrices kept row by row, as which a device's library may compute a step instead of its kernel:
// out[i] = relu(a[i] b[i] + bias) for each i of the batch, the sum over k in f32. The step's arguments are a (m x k),
// b (k x n), bias (n floats) if there is one, and out (m x n); or b before a.
typedef enum GemmPrecision { GEMM_F32, GEMM_TF32, GEMM_F16, GEMM_BF16 } GemmPrecision; // of a and b as multiplied
typedef struct Gemm {
  int64_t m, n, k, batch;
  int64_t a_row, b_row, out_row;       // floats from one row as kept to the next
  int64_t a_batch, b_batch, out_batch; // floats from one matrix to the next; 0: one for the whole batch
  bool a_transposed, b_transposed;     // kept as k x m, n x k
  bool has_bias, relu, b_first;
  GemmPrecision precision;
} Gemm;

typedef struct Step {
  StepKind kind;
  const char *symbol;        // in the compiled source; NULL if `function` is given
  SgKernel *function;        // the reference evaluator's step, or resolved when loaded
  const void *context;       // for `function`
  int n_args, n_read;        // the first n_read arguments (of each row) are read, the others written
  const int *arg_buffer;     // index into Program.buffers
  const int64_t *arg_offset; // floats into that buffer
  int64_t n_tasks, scratch, flops, bytes;
  const char *label; // ops and the user's source line, for profiles
  const char *part;  // instance path of the module that most of it comes from, "" for the model itself
  // Of CUDA kernels: a grid of n_tasks blocks of `block` threads with `shared` bytes of dynamic shared memory. Of CPU
  // kernels: bytes that all tasks of a launch share (runtime/kernel_abi.h).
  int block, shared;
  // Loads and stores of whole warps, the 32-byte sectors that they touch one by one, and how many sectors would do if
  // what each wants lay together: estimates, as sums over the launch.
  int64_t requests, sectors, ideal_sectors;
  // If not 0, one launch computes many equal kernels, each over its own `n_args / rows` arguments and `row_floats[i]`
  // floats (see runtime/kernel_abi.h).
  int rows;
  const int64_t *row_floats;
  // Steps of one queue run in order, queues run side by side; a step begins after those earlier ones of other queues
  // that `waits` numbers (in the same list of steps). Devices with one queue run the list in order.
  int queue, n_waits;
  const int *waits;
  const Gemm *gemm; // what the kernel computes, if it is that; else NULL
  // What a CPU kernel finds in its context.
  int n_numbers;
  const SgNumber *numbers;
} Step;

// Lanes of the collective operations: large sums that nothing waits for soon, and small ones that the computation waits
// for, which the large ones must not hold up. Each has a queue.
typedef enum CollectiveLane { LANE_LARGE, LANE_URGENT, LANE_COUNT } CollectiveLane;
enum { QUEUE_URGENT = 0x7e, QUEUE_COLLECTIVE = 0x7f };

typedef struct Program {
  Arena *arena; // owns everything
  const char *name;
  const char *target;   // Target.name
  const char *cc_flags; // for the host's cc, or NVRTC
  const char *source;   // C text of all kernels; NULL for the reference target
  Buffer *buffers;
  int n_buffers;
  Step *setup; // run once whenever weights change
  int n_setup;
  Step *steps; // one run
  int n_steps;
  int64_t persistent, slab; // floats of the two regions; the peak is their sum, known before anything runs
  int64_t multiply_adds;    // of one run, zero padding left out
  int64_t again;            // those of them that are made a second time, for want of memory (CompileOptions.memory)
  int n_again;              // the steps that do only that
} Program;

// The input that tells a program for one of several devices which sample of the batch is its first; others lack it.
#define PROGRAM_FIRST_SAMPLE "shard.first"

// The elements of a training step's input "hyper": what changes from one run to the next (step_build in
// compiler/pass/pass.h says how each is used).
typedef enum StepHyper {
  HYPER_LR,
  HYPER_BETA1,
  HYPER_UNBIAS1, // 1 - beta1^t, t = 1 in the first step
  HYPER_UNBIAS2, // 1 - beta2^t
  HYPER_KEEP,    // where gradients are accumulated: 0 in the first run of a step, else 1
  HYPER_SHARE,   // likewise: 1 / the number of runs that make a step
  HYPER_APPLY,   // likewise: 1 in the last run of a step, else 0
  HYPER_RENEW,   // where parameters are averaged: the share of the new ones in the average
  HYPER_COUNT
} StepHyper;

// Whether a state is one that the training step adds to a model: "adamw.*", "accumulated.*", "ema.*", "scaling.*".
bool program_is_step_state(const char *name);

// Where one kernel's text begins in Program.source, so that the kernels can be shared out over several compilations;
// what stands before the first one belongs to all.
#define PROGRAM_KERNEL_MARK "\n//// kernel "
// What a function before the first kernel begins with that is compiled once for all who call it in a file.
#define PROGRAM_SHARED "SG_SHARED"

// What is made a second time, in per cent of the multiply-adds that a run has without it.
double program_again_percent(const Program *program);
// Releases the program and what it owns; NULL is allowed.
void program_free(Program *program);
// Whether everything lies where it may: buffers within their regions, arguments within their buffers, sizes that can
// be addressed. Appends what does not to `why`. (Whether the kernels keep within their arguments cannot be told.)
bool program_verify(const Program *program, Text *why);
// Index of the buffer of that kind and name, or -1.
int program_find(const Program *program, BufferKind kind, const char *name);
// The text form: buffers, steps and source, closed by a hash; read back to an equal program. Writing refuses programs
// of the reference target (EXIT_DEVICE). Reading checks hash, form and program_verify (EXIT_DATA); the source is code
// that will run, so a program is to be trusted as much as a shared library.
Status program_write(const Program *program, const char *path);
Status program_read(const char *path, Program **out);
// The same to and from memory; `what` names it in messages.
Status program_print(const Program *program, Text *out);
Status program_parse(const char *what, const char *text, size_t size, Program **out);

#endif
