// Graph: the one representation of forward, loss, backward, optimiser step and metrics.
//
// Nodes are pure, in SSA form, with one f32 result each, and stand in topological order. State (parameters, running
// statistics, moments) enters as leaves and leaves as updates, which the runtime writes back in place.
#ifndef SG_GRAPH_H
#define SG_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "compiler/diag.h"
#include "compiler/ops/op.h"
#include "runtime/base/arena.h"
#include "runtime/base/text.h"
#include "runtime/tensor.h"

// How a leaf gets its first value.
typedef enum InitKind { INIT_CONSTANT, INIT_UNIFORM, INIT_NORMAL } InitKind;
typedef struct Init {
  InitKind kind;
  double a, b; // CONSTANT: value a; UNIFORM: from a to b; NORMAL: mean a, deviation b
} Init;

// One module instance: a call of a module while the graph was built. Index 0 is the model itself, its own parent.
typedef struct ModuleInstance {
  const char *name; // the module's name, e.g. "ghost_bottleneck"
  const char *path; // the instance path, e.g. "encoder.ghost.blocks.0.0"; "" for the model
  int parent;
  SrcLoc loc; // the call
} ModuleInstance;

typedef struct Node Node;
struct Node {
  Op op;
  int id; // index in Graph.nodes; renumbered by graph_sort
  int n_in;
  Node **in;
  AttrValue *attr; // in the order of the op's attribute list, and as many: most ops have few
  Shape shape;
  const Layout *layout; // NULL = row-major; set by the layout pass
  const char *name;     // leaves: instance path or input name. Others: the user's variable, or NULL
  Init init;            // OP_PARAM, OP_STATE
  bool is_frozen;       // OP_PARAM: not trained
  bool stored_as_i64;   // OP_STATE: kept as int64 in weight files (batch counters)
  bool is_again;        // computed a second time for want of memory, by the remat pass
  bool is_setup;        // depends on parameters, state and constants only and is computed once after loading
  const float *data;    // OP_CONSTANT: row-major values, in the graph's arena
  int group;            // kernel it is computed in, set by the fuse pass; -1 = none
  Node *into;           // concat written in place: the concat (or view) whose storage holds this value
  int into_offset;      //   and the first block of axis 1 (or element, if plain) there
  SrcLoc loc;
  int module; // index in Graph.modules
};

typedef struct GraphOutput {
  const char *name;
  Node *node;
  bool is_tap; // a named intermediate, kept only on request
} GraphOutput;

// After a step, `leaf` (OP_PARAM or OP_STATE) takes the value of `value`.
typedef struct GraphUpdate {
  Node *leaf, *value;
} GraphUpdate;

typedef struct Graph {
  Arena *arena; // lent; everything below lives there
  const char *name;
  Node **nodes;
  int n_nodes, cap_nodes;
  GraphOutput *outputs;
  int n_outputs, cap_outputs;
  GraphUpdate *updates;
  int n_updates, cap_updates;
  ModuleInstance *modules;
  int n_modules, cap_modules;
  bool is_scheduled; // the nodes stand in the order in which kernels are to run, one after another
  // Where new nodes are said to come from; set by the elaborator and by passes (graph_at).
  SrcLoc at_loc;
  int at_module;
} Graph;

Graph *graph_new(Arena *arena, const char *name);

// ---- building -------------------------------------------------------------------------------------------------

// New nodes inherit place and module from `node` until the next call.
void graph_at(Graph *graph, const Node *node);

// Appends a node. On a shape or attribute error returns NULL and appends the reason to `why`, as
// "sizes of axis 1 differ: 24 and 40". `attrs` has one value for each attribute of the op, in its order (NULL if none).
Node *graph_try_add(Graph *graph, Op op, Node *const *in, int n_in, const AttrValue *attrs, Text *why);

// As graph_try_add, where an error is our own bug.
Node *graph_add(Graph *graph, Op op, Node *const *in, int n_in, const AttrValue *attrs);

// Leaves. Names are copied. The shape must pass op_shape_ok: check a user's shape before.
Node *graph_input(Graph *graph, const char *name, Shape shape);
Node *graph_param(Graph *graph, const char *name, Shape shape, Init init);
Node *graph_state(Graph *graph, const char *name, Shape shape, Init init);
Node *graph_constant(Graph *graph, Shape shape, const float *data); // copies the data
Node *graph_fill(Graph *graph, Shape shape, double value);
Node *graph_scalar(Graph *graph, double value); // rank 0

// Shorthands for passes and gradient rules. Where there is nothing to do (a reshape to the same shape, a sum over no
// axes) they return x itself.
Node *graph_unary(Graph *graph, Op op, Node *x);                     // ops without attributes
Node *graph_binary(Graph *graph, Op op, Node *a, Node *b);           // NumPy broadcasting
Node *graph_select(Graph *graph, Node *condition, Node *a, Node *b); // condition != 0 ? a : b
Node *graph_sum(Graph *graph, Node *x, const int *axes, int n_axes, bool keep);
Node *graph_reshape(Graph *graph, Node *x, Shape shape);
Node *graph_transpose(Graph *graph, Node *x, const int *perm);
Node *graph_slice(Graph *graph, Node *x, int axis, int64_t start, int64_t stop);
Node *graph_sum_to(Graph *graph, Node *x, Shape shape); // sums what broadcasting from `shape` repeated

void graph_output(Graph *graph, const char *name, Node *node, bool is_tap);
void graph_update(Graph *graph, Node *leaf, Node *value);
int graph_module(Graph *graph, const char *name, const char *path, int parent, SrcLoc loc); // returns its index

// ---- looking and changing ----------------------------------------------------------------------------------------

Node *graph_find_leaf(const Graph *graph, const char *name);   // input, param or state of that name, or NULL
Node *graph_find_output(const Graph *graph, const char *name); // or NULL

// Every use of `from` (operands, outputs, update values, into) becomes `to`, except in `to` itself: it may be made from
// `from`.
void graph_replace(Graph *graph, Node *from, Node *to);

// Drops nodes that no output or update needs (inputs stay), puts the rest in topological order, stable with respect
// to the present order, and renumbers.
void graph_sort(Graph *graph);

// uses[id] = number of operands, outputs and update values that refer to the node. The array lives in `arena`.
int *graph_count_uses(const Graph *graph, Arena *arena);

bool op_is_leaf(Op op);
// The value of the node's attribute by name; BUG if the op has none of that name.
AttrValue node_attr(const Node *node, const char *name);
// Whether its channels are stored in blocks (LAYOUT_BLOCKED).
bool node_is_blocked(const Node *node);

// ---- text, checks, costs, pictures ------------------------------------------------------------------------------

// Canonical text: stable numbering, no addresses; graph_parse reads it back to an equal graph.
void graph_print(const Graph *graph, Text *out);
// NULL on errors, which go to `diag`. `file` names the text in messages.
Graph *graph_parse(Arena *arena, const char *file, const char *text, Diag *diag);

// Checks the numbered invariants listed in graph_verify.c. Returns true or appends what is broken to `why`.
bool graph_verify(const Graph *graph, Text *why);

typedef struct Cost {
  int64_t parameters;    // elements of parameters read (each once)
  int64_t multiply_adds; // of contractions, as published figures count: zero padding like the picture
  int64_t inside;        // those of them that fall on the picture, which is what kernels have to do
  // Of everything: `inside` twice, Winograd's transforms, and about one for each scalar result of a step of the obvious
  // algorithm else, be it an addition, a division or an exponential function. Lanes without a channel, and what a
  // kernel computes twice to keep it near, do not count.
  int64_t flops;
  int64_t bytes; // read and written, if every node ran apart
} Cost;
Cost node_cost(const Node *node);
Cost graph_cost(const Graph *graph);

#endif
