// check: the parts of the checks that run before anything is built.
#ifndef SG_LANG_CHECK_H
#define SG_LANG_CHECK_H

#include "lang/file.h"
#include "lang/report.h"

// What is known of a name inside the declaration being checked.
typedef struct Local {
  SrcLoc loc;
  StmtKind kind;  // of the statement that gives it its first value; STMT_ASSIGN for parameters and dimensions too
  bool has_value; // at the place that the walk has reached
} Local;

typedef struct Check {
  LangFile *file;
  Report report;
  const Source *source;
  Decl *decl;     // being checked
  StrMap *locals; // name -> Local
  bool is_nested; // in a block of the body
} Check;

#define CHECK_ERROR(check, loc, ...) report_error(&(check)->report, NULL, (loc), __VA_ARGS__)
#define CHECK_NOTE(check, loc, ...)  report_note(&(check)->report, (loc), __VA_ARGS__)
#define CHECK_HINT(check, ...)       report_hint(&(check)->report, __VA_ARGS__)

// Names and calls of an expression (check_expr.c). NULL is allowed.
void check_expr(Check *check, const Expr *expr);
void check_exprs(Check *check, const ExprList *list);
// Dimensions of a type; if `binds`, plain names that have no value get one.
void check_type(Check *check, const Type *type, bool binds, bool allows_i64);
// The nearest of the locals and the names of the file as a hint, or what else may help.
void check_hint_name(Check *check, const char *name);

Local *check_local(const Check *check, const char *name); // or NULL
// Gives the name a value from here on.
void check_give(Check *check, Name name, StmtKind kind);

// Statements and declarations (check_body.c).
void check_module(Check *check, Decl *decl);
// Circles of calls (check_calls.c).
void check_circles(Check *check);
// Train blocks (check_train.c).
void check_train(Check *check, Decl *train);
// Study blocks (check_study.c).
void check_study(Check *check, Decl *study);

#endif
