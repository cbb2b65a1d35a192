// elaborate: the state and the parts of the evaluation that turns a model into a Graph.
#ifndef SG_LANG_ELABORATE_H
#define SG_LANG_ELABORATE_H

#include "lang/file.h"
#include "lang/report.h"
#include "lang/signature.h"
#include "lang/value.h"

// Limits that end a runaway evaluation with an error instead of a full memory.
enum {
  MAX_STEPS = 1 << 20, // statements executed
  MAX_NODES = 1 << 18,
  MAX_CALLS = 100,     // modules nested
  MAX_DEPTH = 2000,    // expressions and blocks nested, over all modules
  MAX_CONST = 1 << 22, // elements of one const
};

typedef struct Binding {
  Value value;
  SrcLoc loc; // where it got this value
} Binding;

typedef struct Results {
  Value *items;
  int n;
} Results;

// One module instance at work.
typedef struct Frame {
  Instance instance; // the chain for messages
  struct Frame *caller;
  const Decl *decl;
  const Source *source; // whose names it sees
  int module;           // index in Graph.modules
  StrMap *names;        // -> Binding
  StrMap *dimensions; // -> Binding; in types these come first, so that an output may be called W beside f32[N, C, H, W]
  bool is_frozen;     // called through frozen(), or within such a call
  bool is_model;      // the model that is being built, not one used as a module
  Value *inputs;      // of a model used as a module, in the order of its input statements
  int n_inputs_taken;
  bool has_returned, has_clash; // clash: a parameter's path was taken already
  Results results;              // of return; of a model: its outputs
  int cap_results;
} Frame;

typedef struct Elab {
  Arena *arena;
  LangFile *file;
  const LangOptions *options;
  Report report;
  Graph *graph;
  StrMap *leaves;    // path of a param or state -> Leaf
  StrMap *constants; // "file:name" -> Constant
  int64_t n_steps;
  int n_calls, depth;
  bool is_stopped; // a limit was hit: nothing further is evaluated
} Elab;

#define ERROR(el, frame, loc, ...) report_error(&(el)->report, (frame) ? &(frame)->instance : NULL, (loc), __VA_ARGS__)
#define NOTE(el, loc, ...)         report_note(&(el)->report, (loc), __VA_ARGS__)
#define HINT(el, ...)              report_hint(&(el)->report, __VA_ARGS__)

// Stops everything with an error about a limit.
void elab_stop(Elab *el, const Frame *frame, SrcLoc loc, const char *text, const char *hint);

// ---- frames (elaborate.c)
Frame *frame_new(Elab *el, Frame *caller, const Decl *decl, const char *path, SrcLoc call);
Binding *frame_bind(Elab *el, Frame *frame, const char *name, Value value, SrcLoc loc);
Binding *frame_find(const Frame *frame, const char *name);
void frame_bind_dimension(Elab *el, Frame *frame, const char *name, Value value, SrcLoc loc);
// The value of `training` in this instance.
bool frame_is_training(const Elab *el, const Frame *frame);
// path.name, or name where the path is empty.
const char *path_join(Arena *arena, const char *path, const char *name);
// The value given on the command line for a parameter or dimension of the model; false if none is given.
bool elab_binding(Elab *el, const char *name, Value *out);
// New nodes come from this place in this instance.
void elab_at(Elab *el, const Frame *frame, SrcLoc loc);

// ---- expressions (eval.c)
Value eval(Elab *el, Frame *frame, const Expr *expr);                     // exactly one value; poison after an error
Results eval_all(Elab *el, Frame *frame, const Expr *expr);               // the results of a call; one value otherwise
bool eval_condition(Elab *el, Frame *frame, const Expr *expr, bool *out); // false after an error
bool eval_size(Elab *el, Frame *frame, const Expr *expr, int64_t *out);   // an integer from 1 to 2^40
Value eval_binary(Elab *el, Frame *frame, const Expr *expr, Value a, Value b); // operators.c
Value eval_negated(Elab *el, Frame *frame, const Expr *expr, Value a);
// file-level constant
Value eval_constant(Elab *el, Frame *frame, const Decl *decl, SrcLoc loc);

// ---- statements (statement.c)
void run_block(Elab *el, Frame *frame, const StmtList *block);

// ---- declarations of tensors (declare.c)
void run_declaration(Elab *el, Frame *frame, const Stmt *stmt); // param, state, const
void run_input(Elab *el, Frame *frame, const Stmt *stmt);
// Adds an input of this type to the graph; its free dimensions take the values bound on the command line.
Value declare_input(Elab *el, Frame *frame, Name name, const Type *type);
// Checks a value against a type and binds the names in it. `what` names the value: "argument 'x' of module 'conv'".
bool match_type(Elab *el, Frame *frame, const Type *type, Value *value, const char *what, SrcLoc loc);
bool check_constraints(Elab *el, Frame *frame, const ExprList *where);
const char *type_as_written(Arena *arena, const Type *type);

// ---- calls (call.c, apply.c, builtin.c)
typedef struct Passed {
  Value value;
  const char *name; // of the argument, or NULL
  const Expr *expr; // it came from
} Passed;
Results eval_call(Elab *el, Frame *frame, const Expr *expr);
// `module` is a VALUE_MODULE.
Results call_module(Elab *el, Frame *frame, const Expr *expr, Value module, const Passed *args, int n);
Value call_op(Elab *el, Frame *frame, const Expr *expr, Op op, const Passed *args, int n);
Value call_builtin(Elab *el, Frame *frame, const Expr *expr, int builtin, const Passed *args, int n);
// Runs an op on operands that are tensors or numbers. `exprs` say where the operands came from (NULL = unknown).
Value apply_op(Elab *el, Frame *frame, SrcLoc loc, Op op, const Value *operands, const Expr *const *exprs, int n,
               const AttrValue *attrs);

// ---- train blocks (train.c)
void elaborate_loss(Elab *el, Frame *model, const Decl *train);

#endif
