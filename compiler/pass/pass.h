// Passes: the one visible list. Each takes a graph and improves it in place; pipeline.c alone runs them.
#ifndef SG_PASS_H
#define SG_PASS_H

#include <stdbool.h>
#include <stdio.h>

#include "compiler/graph.h"
#include "compiler/target.h"

// One of several devices that run a training step, or an evaluation, together.
typedef struct Shard {
  int count;            // devices
  int64_t batch;        // samples of all: the first axis of the inputs that hold samples
  int64_t samples;      // of this one
  int64_t bucket_bytes; // gradients are all-reduced in buckets of about so much at most
} Shard;
enum { SHARD_BUCKET_BYTES = 4 << 20 };

// What a program may take: what persists, and the slab.
typedef struct MemoryBudget {
  int64_t bytes;
  int64_t least; // result: 0, or as the budget cannot be kept to, the least bytes that were found to do
} MemoryBudget;

// What passes may know besides the graph.
typedef struct PassContext {
  const Target *target;
  bool is_training;     // the graph is a training step
  bool exact;           // only rewrites that keep every bit
  Text *explain;        // NULL, or where fusing passes say what they fused and why near misses were not
  const Shard *shard;   // NULL: one device alone
  MemoryBudget *memory; // NULL: as much as it likes
  Diag *diag;           // with `shard`: where it is said what cannot be shared out; the graph is then left as it was
} PassContext;

// Returns whether it changed anything. Calls no other pass, prints nothing, reads no environment.
typedef bool PassFn(const PassContext *context, Graph *graph);

// name, what it does. The order here is the order they run in.
#define PASS_LIST(PASS)                                                                                                \
  PASS(expand, "composite ops into primitive ones")                                                                    \
  PASS(fold, "operations on constants computed now")                                                                   \
  PASS(algebra, "neutral elements, double negation, reshape of reshape, ...")                                          \
  PASS(split, "element-wise work on a concat becomes work on its inputs")                                              \
  PASS(affine, "per-channel scale and shift after a convolution into its weight and bias (batch norm at inference)")   \
  PASS(interp, "a pointwise convolution after a resize moved before it")                                               \
  PASS(compose, "pointwise convolutions one after another become one")                                                 \
  PASS(cse, "equal nodes become one")                                                                                  \
  PASS(dce, "nodes that nothing needs are dropped")                                                                    \
  PASS(shard, "one device's share of the batch, with all-reduces where sums over the batch become whole")              \
  PASS(setup, "marks what depends on weights only, to be computed once after loading")                                 \
  PASS(layout, "chooses blocked layouts, inserts relayout nodes at the borders")                                       \
  PASS(winograd, "dense 3x3 convolutions by Winograd's tiles where these need fewer operations")                       \
  PASS(strassen, "pointwise convolutions with many channels by seven products of quarters for eight")                  \
  PASS(fuse,                                                                                                           \
       "groups nodes into kernels: element-wise chains, epilogues, depthwise into pointwise, resize into depthwise")   \
  PASS(concat, "producers write into their slice of a concat")                                                         \
  PASS(remat, "values are computed again rather than kept, where there is a limit to memory")

#define PASS(name, doc) PassFn pass_##name;
PASS_LIST(PASS)
#undef PASS

typedef struct PipelineOptions {
  const char *const *disabled; // names of passes not to run
  int n_disabled;
  const char *stop_after; // NULL = all
  FILE *dump;             // NULL, or where the graph is printed after each pass that changed it
  bool time;              // print each pass's time to `dump`
} PipelineOptions;

// Runs the list. Verifies the graph in the end, in debug builds after every pass; a broken one is our own bug.
void pipeline_run(const PassContext *context, const PipelineOptions *options, Graph *graph);
// True if there is a pass of that name.
bool pipeline_has(const char *name);

// ---- graph to training graph; run before the pipeline, by whoever wants them ------------------------------------

// Multiplies chains of matrix products in the cheaper order: equal but for rounding. Returns whether it changed
// anything.
bool chain_build(Graph *graph);

// Appends the gradient of the scalar `loss` by each of `wrt` to grads[]; a leaf that the loss does not depend on gets
// zeros. Reverse mode; every new node inherits the place of the node it derives from.
// Returns false and reports to `diag` where an op has no gradient.
bool grad_build(Graph *graph, Node *loss, Node *const *wrt, int n_wrt, Node **grads, Diag *diag);
// As above with a given gradient for each of several results (for tests): seeds[i] has the shape of results[i].
bool grad_build_seeded(Graph *graph, Node *const *results, Node *const *seeds, int n_results, Node *const *wrt,
                       int n_wrt, Node **grads, Diag *diag);

// Replaces each of grads[] by itself times min(1, max_norm / (norm + 1e-6)), where norm, the square root of the sum of
// all squares, is returned (rank 0); max_norm 0 = norm only.
Node *clip_build(Graph *graph, Node **grads, int n_grads, double max_norm);

// What holds for the parameters whose names fit a pattern. Rules stand in order; of each sort the last that fits wins.
typedef enum StepRuleKind {
  RULE_FREEZE, // not trained
  RULE_TUNE,   // trained, whatever an earlier rule froze
  RULE_RATE,   // `factor` times the learning rate
  RULE_DECAY,  // `factor` times the weight decay
} StepRuleKind;
typedef struct StepRule {
  StepRuleKind kind;
  const char *pattern; // as in a shell: * and ?
  double factor;
  SrcLoc loc; // for messages; may be no place
} StepRule;
// The word that stands for it in train blocks and options: "freeze".
const char *step_rule_name(StepRuleKind kind);
// False after an error in `diag`, with the nearest parameter as a hint, where the pattern fits no parameter.
bool step_rule_check(const Graph *graph, const StepRule *rule, Diag *diag);
// What the rules say of a parameter: the value of the last rule of that kind that fits, or 1.
double step_rule_factor(const StepRule *rules, int n, StepRuleKind kind, const Node *param);
// Whether the rules, or the model itself (frozen), keep a parameter as it is.
bool step_rule_frozen(const StepRule *rules, int n, const Node *param);

typedef struct StepOptions {
  double beta2, eps, weight_decay; // AdamW
  double clip;                     // global norm, 0 = none
  const StepRule *rules;
  int n_rules;
  bool accumulates; // the gradients of several runs are averaged, and the last of these runs makes the step
  bool averages;    // moving averages of the trained parameters are kept
  // The loss is scaled before it is differentiated, so that small gradients are not lost where factors are rounded to
  // f16, and the gradients back again; the scale finds itself.
  bool scales;
  // What the pass interp does is done before the loss is differentiated too, so that the gradients of pointwise work on
  // enlarged pictures come at the small size. Rounds otherwise than the loss as it is written.
  bool enlarges_late;
  // Chains of matrix products are multiplied in the cheaper order (chain_build), and so their gradients. Rounds
  // otherwise.
  bool reassociates;
} StepOptions;

// Turns a graph with the scalar output "loss" into one training step: gradients of all parameters that are not
// frozen, global-norm clipping, AdamW. New leaves: input "hyper" (StepHyper in runtime/program.h); states
// "adamw.m.<param>", "adamw.v.<param>", and where they are wanted "accumulated.<param>" (the sum of the gradients of
// this step's runs so far), "ema.<param>", and "scaling.scale" and "scaling.sound" (the runs since it last changed).
// New outputs: "grad_norm" (of the averaged gradient, before clipping), and where the loss is scaled "loss_scale" (of
// this run).
//
// A run whose loss or gradient norm is not finite changes nothing: parameters, moments, averages and running statistics
// keep their values.
bool step_build(Graph *graph, const StepOptions *options, Diag *diag);

// Makes a graph that watches itself: its only output becomes "watched" [n], 1 where nodes[i] holds a value that is not
// finite, else 0. There are no updates any more.
void watch_build(Graph *graph, Node *const *nodes, int n);

#endif
