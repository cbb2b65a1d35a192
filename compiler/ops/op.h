// Op: the table of operations. ops.def is the only list; everything else about an op hangs from its row.
#ifndef SG_OP_H
#define SG_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/arena.h"
#include "runtime/base/text.h"
#include "runtime/tensor.h"

struct Node;
struct Graph;

typedef enum Op {
#define OP(id, ...) OP_##id,
#include "compiler/ops/ops.def"
#undef OP
  OP_COUNT
} Op;

typedef enum OpClass {
  CLASS_LEAF,
  CLASS_ELEMENTWISE, // broadcasting, one scalar expression
  CLASS_REDUCE,
  CLASS_MOVEMENT,
  CLASS_CONTRACT,
  CLASS_SPATIAL,
  CLASS_INDEX,
  CLASS_COLLECTIVE, // of all devices together
  CLASS_COMPOSITE,  // expanded into the others by the expand pass, after gradients are taken
} OpClass;

enum {
  OPF_COMMUTES = 1 << 0,
  OPF_HIDDEN = 1 << 1, // made by passes only, not a built-in of the language
};

enum { OP_MAX_ATTRS = 8, OP_VARIADIC = -1 };

typedef enum AttrKind {
  ATTR_INT,
  ATTR_FLOAT,
  ATTR_BOOL, // int 0 or 1; -1 where optional and not given
  ATTR_INTS, // list of integers
  ATTR_ENUM, // int: index into the choices
} AttrKind;

typedef struct AttrValue {
  int64_t i;  // INT, BOOL, ENUM
  double f;   // FLOAT
  Shape ints; // INTS, as rank + dim
} AttrValue;

typedef struct AttrSpec {
  const char *name;
  AttrKind kind;
  bool required;
  AttrValue fallback;
  int n_choices;
  const char *const *choices; // ENUM
} AttrSpec;

// What a reference evaluator sees: plain row-major buffers.
typedef struct RefArgs {
  const struct Node *node; // op, attributes, shapes of node->in[i]
  const float *const *in;
  float *out;
} RefArgs;

typedef struct OpInfo {
  const char *name;
  int n_in; // or OP_VARIADIC
  OpClass cls;
  unsigned flags;
  const AttrSpec *attrs;
  int n_attrs;
  // Sets node->shape from inputs and attributes, or appends the reason to `why` and returns false.
  bool (*shape)(struct Node *node, Text *why);
  // Sets gin[i] to the gradient of in[i] given gout (NULL = none wanted or none exists), built from other ops.
  // NULL = the op has no gradient (spelled no_grad in the table).
  void (*grad)(struct Graph *graph, struct Node *node, struct Node *gout, struct Node **gin);
  // Slow, plain, double accumulation: the oracle of all tests.
  void (*ref)(const RefArgs *args);
  // COMPOSITE: the same value from primitive ops; NULL otherwise.
  struct Node *(*expand)(struct Graph *graph, struct Node *node);
  const char *doc; // one line for docs/language.md and `sgc doc`
} OpInfo;

const OpInfo *op_info(Op op);
// OP_COUNT if there is none of that name.
Op op_by_name(const char *name);
// Index of the attribute of that name, or -1.
int op_attr_index(Op op, const char *name);

// Whether a tensor may have this shape: rank at most MAX_RANK, sizes at least 1, at most 2^40 elements. Otherwise
// appends the reason to `why` (which may be NULL).
bool op_shape_ok(Shape shape, Text *why);

// The scalar function of an elementwise op: a, b, c are the operands, `attr` the node's attributes.
double op_scalar(Op op, const AttrValue *attr, double a, double b, double c);

#endif
