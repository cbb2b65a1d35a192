// tree: what the grammar's actions make. Everything lives in the context's arena and carries the place of its span.
#ifndef SG_LANG_TREE_H
#define SG_LANG_TREE_H

#include "lang/token.h"

Expr *tree_expr(ParseContext *ctx, ExprKind kind, Span span);
// The finished expression, or an error where it is nested too deeply for the later stages.
Expr *tree_finish(ParseContext *ctx, Expr *expr);
Expr *tree_text(ParseContext *ctx, ExprKind kind, Span span, const char *text);
Expr *tree_binary(ParseContext *ctx, Span span, Operator op, Expr *a, Expr *b);
Expr *tree_unary(ParseContext *ctx, Span span, Operator op, Expr *a);
Expr *tree_bool(ParseContext *ctx, Span span, bool value);
Expr *tree_call(ParseContext *ctx, Span span, Expr *callee, ArgList args, Path *path);
Expr *tree_element(ParseContext *ctx, Span span, Expr *list, Expr *index);
Expr *tree_condition(ParseContext *ctx, Span span, Expr *a, Expr *b, Expr *c);
// left |> right: the left side becomes the first argument.
Expr *tree_pipe(ParseContext *ctx, Span span, Span right_span, Expr *left, Expr *right);
Stmt *tree_stmt(ParseContext *ctx, StmtKind kind, Span span);
// A statement about one name; type and value may be NULL.
Stmt *tree_named(ParseContext *ctx, StmtKind kind, Span span, Name name, Type *type, Expr *value);
// A statement about one expression.
Stmt *tree_valued(ParseContext *ctx, StmtKind kind, Span span, Expr *value);
// Adds a declaration made of `parts` to the file.
void tree_declare(ParseContext *ctx, DeclKind kind, Span span, Name name, Decl *parts);
// Adds an entry to a train block, and its place to those that fmt asks for.
void tree_entry(ParseContext *ctx, EntryList *list, Entry entry, Span span);
// Refuses editions other than 1.
void tree_edition(ParseContext *ctx, Span span, int64_t edition);
// Refuses empty words in an instance path.
void tree_check_path(ParseContext *ctx, Path *path);

#endif
