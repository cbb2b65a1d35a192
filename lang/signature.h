// signature: what a call may pass, and which argument goes where.
#ifndef SG_LANG_SIGNATURE_H
#define SG_LANG_SIGNATURE_H

#include "compiler/ops/op.h"
#include "lang/ast.h"
#include "lang/report.h"

typedef struct Slot {
  const char *name; // NULL: an operand, by position only
  bool is_required;
} Slot;

typedef struct Signature {
  const char *what;      // "module 'conv'", "operation 'conv2d'"
  const char *slot_kind; // "parameter", "attribute"
  Slot *slots;
  int n_slots;
  int n_positional; // leading slots that arguments without a name fill
  bool is_variadic; // any number of operands without a name, which take no slot
  SrcLoc loc;       // where it is declared; file NULL for what is built in
} Signature;

Signature signature_of_decl(Arena *arena, const Decl *decl);
// The operands, then the attributes, then `like` where there is a `size`.
Signature signature_of_op(Arena *arena, Op op);
Signature signature_of_builtin(Arena *arena, int builtin);

typedef struct Given {
  const char *name; // NULL = by position
  SrcLoc loc;
} Given;

enum { SLOT_OPERAND = -1 }; // of a variadic call

// slot_of[i] = slot of given[i], or SLOT_OPERAND. Reports what does not fit and returns false. Where `is_open` is set,
// an unknown number of arguments without a name stands before the given ones: only names are checked.
bool signature_bind(const Signature *signature, const Given *given, int n_given, bool is_open, int *slot_of,
                    Report *report, const Instance *instance, SrcLoc call);

#endif
