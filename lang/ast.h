// ast: the tree of one .net file, as the parser makes it. Everything lives in one arena.
#ifndef SG_LANG_AST_H
#define SG_LANG_AST_H

#include <stdbool.h>
#include <stdint.h>

#include "compiler/diag.h"
#include "runtime/base/arena.h"
#include "runtime/base/strmap.h"

// A range of source text in lines and columns (1-based, in bytes) and byte offsets; the end is exclusive.
typedef struct Span {
  int line, column, end_line, end_column;
  int offset, end_offset;
} Span;

typedef struct Expr Expr;
typedef struct Stmt Stmt;

typedef struct Name {
  const char *text;
  SrcLoc loc;
} Name;

// Lists that grow while parsing.
typedef struct NameList {
  Name *items;
  int n, cap;
} NameList;
typedef struct ExprList {
  Expr **items;
  int n, cap;
} ExprList;
typedef struct StmtList {
  Stmt **items;
  int n, cap;
} StmtList;

// ---- expressions ------------------------------------------------------------------------------------------------

typedef enum ExprKind {
  EXPR_ERROR, // what a syntax error left
  EXPR_INT,
  EXPR_FLOAT,
  EXPR_STRING,
  EXPR_BOOL,
  EXPR_NONE,
  EXPR_NAME,
  EXPR_LIST,
  EXPR_UNARY,
  EXPR_BINARY,
  EXPR_INDEX, // a[b]
  EXPR_CALL,
  EXPR_MATCH,
  EXPR_IF, // if a { b } else { c }
} ExprKind;

typedef enum Operator {
  OPERATOR_ADD,
  OPERATOR_SUB,
  OPERATOR_MUL,
  OPERATOR_DIV,
  OPERATOR_FLOOR_DIV,
  OPERATOR_MOD,
  OPERATOR_EQ,
  OPERATOR_NE,
  OPERATOR_LT,
  OPERATOR_LE,
  OPERATOR_GT,
  OPERATOR_GE,
  OPERATOR_AND,
  OPERATOR_OR,
  OPERATOR_NOT,
  OPERATOR_RANGE,
} Operator;

const char *operator_text(Operator op);

// An argument of a call; name.text is NULL for a positional one.
typedef struct Arg {
  Name name;
  Expr *value;
} Arg;
typedef struct ArgList {
  Arg *items;
  int n, cap;
} ArgList;

// A piece of an instance path: a word (dots included) or an expression in braces.
typedef struct PathPart {
  const char *word;
  Expr *expr; // where word is NULL
} PathPart;
typedef struct Path {
  PathPart *parts;
  int n, cap;
  SrcLoc loc;
} Path;

// patterns => value. Patterns are literals; the name `_` matches everything.
typedef struct Arm {
  ExprList patterns;
  Expr *value;
} Arm;
typedef struct ArmList {
  Arm *items;
  int n, cap;
} ArmList;

struct Expr {
  ExprKind kind;
  SrcLoc loc;
  int depth;        // 1 + that of the deepest part; limited by ast_expr
  Operator op;      // UNARY, BINARY
  int64_t integer;  // INT, BOOL
  double number;    // FLOAT
  const char *text; // STRING, NAME
  Expr *a, *b, *c;  // operands; INDEX: list, index; CALL: a = callee; MATCH: a = subject; IF: condition, then, else
  ExprList items;   // LIST
  ArgList args;     // CALL; a piped value is the first argument
  bool is_piped;    // CALL: made by |>, whose left side may give several values
  Path *path;       // CALL: @path, or NULL
  ArmList arms;     // MATCH
};

// f32[N, 3, H, W]
typedef struct Type {
  Name element;
  ExprList dims;
  SrcLoc loc;
} Type;

// ---- statements -------------------------------------------------------------------------------------------------

typedef enum StmtKind {
  STMT_ASSIGN, // names = values
  STMT_INPUT,
  STMT_PARAM,
  STMT_STATE,
  STMT_CONST,
  STMT_OUTPUT,
  STMT_TAP,
  STMT_UPDATE,
  STMT_IF,
  STMT_FOR,
  STMT_RETURN,
  STMT_ASSERT,
  STMT_EXPR,
} StmtKind;

struct Stmt {
  StmtKind kind;
  SrcLoc loc;
  NameList names;  // ASSIGN, FOR: the targets; INPUT .. UPDATE: the one name
  Type *type;      // INPUT, PARAM, STATE, CONST
  ExprList values; // ASSIGN, RETURN: values; IF, ASSERT: condition; FOR: list; others: the one value
  ExprList where;  // INPUT: constraints
  Expr *message;   // ASSERT: or NULL
  StmtList body;   // IF, FOR
  StmtList other;  // IF: else
};

// ---- declarations -----------------------------------------------------------------------------------------------

typedef struct Param {
  Name name;
  Type *type;     // or NULL
  Expr *fallback; // or NULL
} Param;
typedef struct ParamList {
  Param *items;
  int n, cap;
} ParamList;

typedef enum EntryKind { ENTRY_TARGET, ENTRY_LOSS, ENTRY_RULE, ENTRY_SET, ENTRY_KEY, ENTRY_PART } EntryKind;

// One line of a train or study block.
typedef struct Entry {
  EntryKind kind;
  Name name;  // TARGET: its name; SET: the key after `set`; KEY, PART: the key; RULE: freeze, tune, rate, decay
  Type *type; // TARGET
  Expr
      *value; // LOSS, SET, KEY; RULE: the factor of rate and decay, else NULL; PART: a model, with arguments or without
  Name pattern;               // RULE
  Expr *label;                // PART: an EXPR_STRING
  struct EntryList *settings; // PART: of its own
  SrcLoc loc;
} Entry;
typedef struct EntryList {
  Entry *items;
  int n, cap;
} EntryList;

typedef enum DeclKind { DECL_MODULE, DECL_MODEL, DECL_CONST, DECL_TRAIN, DECL_STUDY } DeclKind;

// A call of one module or model in another; found by the checks.
typedef struct CallEdge {
  struct Decl *callee;
  SrcLoc loc;
} CallEdge;

typedef struct Decl {
  DeclKind kind;
  Name name;
  SrcLoc loc;
  ParamList params;      // MODULE, MODEL
  ExprList where;        // MODULE, MODEL
  StmtList body;         // MODULE, MODEL
  Expr *value;           // CONST
  EntryList entries;     // TRAIN, STUDY
  struct Source *source; // the file it stands in
  CallEdge *calls;
  int n_calls, cap_calls;
  enum { MARK_NEW, MARK_OPEN, MARK_DONE } mark; // of the search for circles
} Decl;
// Whether its name can be used in expressions: train and study blocks are only told apart by theirs.
bool decl_is_definition(const Decl *decl);
typedef struct DeclList {
  Decl **items;
  int n, cap;
} DeclList;

typedef struct Use {
  Name file;
  NameList names; // empty = all
} Use;
typedef struct UseList {
  Use *items;
  int n, cap;
} UseList;

// One parsed file.
typedef struct Source {
  const char *name; // as `use` spells it
  const char *path; // as messages show it
  const char *text;
  UseList uses;
  DeclList decls;
  StrMap *scope;        // name -> Decl; set by scope_build
  struct Source **used; // the files of `uses`, in their order; set by the loader, NULL where one is missing
} Source;

// ---- making and showing -----------------------------------------------------------------------------------------

enum { EXPR_MAX_DEPTH = 400 };

Expr *expr_new(Arena *arena, ExprKind kind, SrcLoc loc);
// Sets depth from the parts; false if it passes EXPR_MAX_DEPTH.
bool expr_measure(Expr *expr);
Stmt *stmt_new(Arena *arena, StmtKind kind, SrcLoc loc);

// The expression as a person would write it, on one line.
const char *expr_text(Arena *arena, const Expr *expr);

// Calls `visit` for every name that the expression reads, in order of appearance.
typedef void NameVisitor(void *context, const Expr *name);
void expr_each_name(const Expr *expr, NameVisitor *visit, void *context);

#endif
