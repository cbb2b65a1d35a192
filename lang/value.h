// value: what expressions are worth while the graph is built.
#ifndef SG_LANG_VALUE_H
#define SG_LANG_VALUE_H

#include "compiler/graph.h"
#include "lang/ast.h"
#include "runtime/base/text.h"

typedef enum ValueKind {
  VALUE_POISON, // of an expression with an error; silences what follows from it
  VALUE_NONE,
  VALUE_BOOL,
  VALUE_INT,
  VALUE_FLOAT,
  VALUE_STRING,
  VALUE_LIST,
  VALUE_MODULE, // or a model
  VALUE_OP,
  VALUE_BUILTIN, // len, ceil, ...: index in the table of builtin.c
  VALUE_TENSOR,
} ValueKind;

typedef struct List List;

typedef struct Value {
  ValueKind kind;
  bool is_frozen; // MODULE: as frozen(module) gives it
  union {
    int64_t i; // BOOL, INT
    double f;
    const char *s;
    const List *list;
    const Decl *decl;
    Op op;
    int builtin;
    Node *node;
  };
} Value;

struct List {
  Value *items;
  int n;
  int64_t total; // elements of all nested lists together, limited by LIST_MAX
};

enum { LIST_MAX = 1 << 20, STRING_MAX = 1 << 16 };

#define VALUE_POISONED ((Value){.kind = VALUE_POISON})
Value value_int(int64_t i);
Value value_float(double f);
Value value_bool(bool b);
Value value_string(const char *s); // lent
// Copies the items. Poison if one of them is; the caller has checked the size.
Value value_list(Arena *arena, const Value *items, int n);
int64_t list_total(const Value *items, int n);

bool value_is_number(Value value); // INT or FLOAT
double value_number(Value value);  // of INT or FLOAT
bool value_equal(Value a, Value b);

// "an integer", "f32[2, 3]", ...: what kind of thing it is.
const char *value_kind_text(Arena *arena, Value value);
// The value as the user would write it, cut where it is long: 3, "rgb", [1, 2], f32[2, 3].
const char *value_text(Arena *arena, Value value);
// The shape of a tensor as a type: f32[2, 3].
const char *type_text(Arena *arena, Shape shape);

// Reads the text of a literal as given on a command line: 480, 0.5, true, none, "rgbd", rgbd, [1, 2]. False if it is
// none.
bool value_parse(Arena *arena, const char *text, Value *out);

#endif
