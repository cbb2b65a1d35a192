// tree: what the grammar's actions make.
#include "lang/tree.h"

#include <string.h>

enum { MAX_ARGUMENTS = 200 }; // of a call, and parameters of a module

#define LOC(span)        span_loc(ctx, span)
#define PUSH(list, item) ARENA_PUSH(ctx->arena, (list).items, (list).n, (list).cap, item)

Expr *tree_expr(ParseContext *ctx, ExprKind kind, Span span) { return expr_new(ctx->arena, kind, LOC(span)); }

// The finished expression, or an error where it is nested too deeply for the later stages.
Expr *tree_finish(ParseContext *ctx, Expr *expr) {
  if (expr_measure(expr)) return expr;
  diag_error(ctx->diag, expr->loc, "this expression is nested more than %d deep", EXPR_MAX_DEPTH);
  diag_hint(ctx->diag, "give its parts names on lines of their own");
  return expr_new(ctx->arena, EXPR_ERROR, expr->loc);
}

Expr *tree_text(ParseContext *ctx, ExprKind kind, Span span, const char *text) {
  Expr *expr = tree_expr(ctx, kind, span);
  expr->text = text;
  return expr;
}
Expr *tree_binary(ParseContext *ctx, Span span, Operator op, Expr *a, Expr *b) {
  Expr *expr = tree_expr(ctx, EXPR_BINARY, span);
  expr->op = op;
  expr->a = a;
  expr->b = b;
  return tree_finish(ctx, expr);
}
Expr *tree_unary(ParseContext *ctx, Span span, Operator op, Expr *a) {
  Expr *expr = tree_expr(ctx, EXPR_UNARY, span);
  expr->op = op;
  expr->a = a;
  return tree_finish(ctx, expr);
}
Expr *tree_bool(ParseContext *ctx, Span span, bool value) {
  Expr *expr = tree_expr(ctx, EXPR_BOOL, span);
  expr->integer = value;
  return expr;
}
Expr *tree_call(ParseContext *ctx, Span span, Expr *callee, ArgList args, Path *path) {
  Expr *expr = tree_expr(ctx, EXPR_CALL, span);
  if (args.n > MAX_ARGUMENTS) {
    diag_error(ctx->diag, expr->loc, "a call has at most %d arguments", MAX_ARGUMENTS);
    args.n = 0;
  }
  expr->a = callee;
  expr->args = args;
  expr->path = path;
  return tree_finish(ctx, expr);
}
Expr *tree_element(ParseContext *ctx, Span span, Expr *list, Expr *index) {
  Expr *expr = tree_expr(ctx, EXPR_INDEX, span);
  expr->a = list;
  expr->b = index;
  return tree_finish(ctx, expr);
}
Expr *tree_condition(ParseContext *ctx, Span span, Expr *a, Expr *b, Expr *c) {
  Expr *expr = tree_expr(ctx, EXPR_IF, span);
  expr->a = a;
  expr->b = b;
  expr->c = c;
  return tree_finish(ctx, expr);
}

// left |> right: the left side becomes the first argument.
Expr *tree_pipe(ParseContext *ctx, Span span, Span right_span, Expr *left, Expr *right) {
  if (right->kind == EXPR_ERROR || left->kind == EXPR_ERROR) return tree_expr(ctx, EXPR_ERROR, span);
  if (right->kind != EXPR_CALL && right->kind != EXPR_NAME) {
    diag_error(ctx->diag, LOC(right_span), "the right side of '|>' must be a call");
    diag_hint(ctx->diag, "x |> f(a) means f(x, a)");
    return tree_expr(ctx, EXPR_ERROR, span);
  }
  ArgList args = {0};
  Arg first = {.value = left};
  PUSH(args, first);
  if (right->kind == EXPR_NAME) {
    Expr *made = tree_call(ctx, span, right, args, NULL);
    made->is_piped = true;
    return made;
  }
  for (int i = 0; i < right->args.n; i++) PUSH(args, right->args.items[i]);
  right->args = args;
  right->is_piped = true;
  right->depth = 1;
  return tree_finish(ctx, right);
}

Stmt *tree_stmt(ParseContext *ctx, StmtKind kind, Span span) { return stmt_new(ctx->arena, kind, LOC(span)); }
Stmt *tree_named(ParseContext *ctx, StmtKind kind, Span span, Name name, Type *type, Expr *value) {
  Stmt *stmt = tree_stmt(ctx, kind, span);
  PUSH(stmt->names, name);
  stmt->type = type;
  if (value) PUSH(stmt->values, value);
  return stmt;
}
Stmt *tree_valued(ParseContext *ctx, StmtKind kind, Span span, Expr *value) {
  Stmt *stmt = tree_stmt(ctx, kind, span);
  PUSH(stmt->values, value);
  return stmt;
}

void tree_declare(ParseContext *ctx, DeclKind kind, Span span, Name name, Decl *parts) {
  Decl *decl = arena_memdup(ctx->arena, parts, sizeof *parts);
  if (decl->params.n > MAX_ARGUMENTS) {
    diag_error(ctx->diag, name.loc, "a module has at most %d parameters", MAX_ARGUMENTS);
    decl->params.n = 0;
  }
  decl->kind = kind;
  decl->loc = LOC(span);
  decl->name = name;
  decl->source = ctx->source;
  PUSH(ctx->source->decls, decl);
}

void tree_entry(ParseContext *ctx, EntryList *list, Entry entry, Span span) {
  entry.loc = LOC(span);
  PUSH(*list, entry);
  ARENA_PUSH(ctx->arena, ctx->entry_offsets, ctx->n_entries, ctx->cap_entries, span.offset);
}

void tree_edition(ParseContext *ctx, Span span, int64_t edition) {
  if (edition == 1) return;
  diag_error(ctx->diag, LOC(span), "edition %lld of the language is not known here", (long long)edition);
  diag_hint(ctx->diag, "this compiler reads `net 1`");
}

void tree_check_path(ParseContext *ctx, Path *path) {
  for (int i = 0; i < path->n; i++) {
    const char *word = path->parts[i].word;
    if (!word) continue;
    size_t length = strlen(word);
    bool is_bad = strstr(word, "..") || (i == 0 && word[0] == '.') || (i + 1 == path->n && word[length - 1] == '.');
    if (!is_bad) continue;
    diag_error(ctx->diag, path->loc, "an instance path has a word between any two dots and at both ends");
    return;
  }
}
