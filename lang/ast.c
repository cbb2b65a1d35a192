// ast: makes, measures and shows expressions.
#include "lang/ast.h"

#include <inttypes.h>
#include <stdlib.h>

#include "runtime/base/text.h"

static const char *const operator_texts[] = {
    [OPERATOR_ADD] = "+",        [OPERATOR_SUB] = "-", [OPERATOR_MUL] = "*",   [OPERATOR_DIV] = "/",
    [OPERATOR_FLOOR_DIV] = "//", [OPERATOR_MOD] = "%", [OPERATOR_EQ] = "==",   [OPERATOR_NE] = "!=",
    [OPERATOR_LT] = "<",         [OPERATOR_LE] = "<=", [OPERATOR_GT] = ">",    [OPERATOR_GE] = ">=",
    [OPERATOR_AND] = "and",      [OPERATOR_OR] = "or", [OPERATOR_NOT] = "not", [OPERATOR_RANGE] = "..",
};

const char *operator_text(Operator op) { return operator_texts[op]; }

Expr *expr_new(Arena *arena, ExprKind kind, SrcLoc loc) {
  Expr *expr = ARENA_ARRAY(arena, Expr, 1);
  expr->kind = kind;
  expr->loc = loc;
  expr->depth = 1;
  return expr;
}

static void deepen(Expr *expr, const Expr *part) {
  if (part && part->depth >= expr->depth) expr->depth = part->depth + 1;
}

bool expr_measure(Expr *expr) {
  deepen(expr, expr->a);
  deepen(expr, expr->b);
  deepen(expr, expr->c);
  for (int i = 0; i < expr->items.n; i++) deepen(expr, expr->items.items[i]);
  for (int i = 0; i < expr->args.n; i++) deepen(expr, expr->args.items[i].value);
  for (int i = 0; i < expr->arms.n; i++) deepen(expr, expr->arms.items[i].value);
  for (int i = 0; expr->path && i < expr->path->n; i++) deepen(expr, expr->path->parts[i].expr);
  return expr->depth <= EXPR_MAX_DEPTH;
}

bool decl_is_definition(const Decl *decl) { return decl->kind != DECL_TRAIN && decl->kind != DECL_STUDY; }

Stmt *stmt_new(Arena *arena, StmtKind kind, SrcLoc loc) {
  Stmt *stmt = ARENA_ARRAY(arena, Stmt, 1);
  stmt->kind = kind;
  stmt->loc = loc;
  return stmt;
}

// ---- text -------------------------------------------------------------------------------------------------------

static int precedence(const Expr *expr) {
  if (expr->kind == EXPR_UNARY) return expr->op == OPERATOR_NOT ? 4 : 8;
  if (expr->kind != EXPR_BINARY) return 10;
  switch (expr->op) {
  case OPERATOR_RANGE: return 1;
  case OPERATOR_OR: return 2;
  case OPERATOR_AND: return 3;
  case OPERATOR_ADD:
  case OPERATOR_SUB: return 6;
  case OPERATOR_MUL:
  case OPERATOR_DIV:
  case OPERATOR_FLOOR_DIV:
  case OPERATOR_MOD: return 7;
  default: return 5;
  }
}

static void put_expr(Text *out, const Expr *expr);

static void put_operand(Text *out, const Expr *expr, int least) {
  bool is_wrapped = precedence(expr) < least;
  if (is_wrapped) text_put(out, "(");
  put_expr(out, expr);
  if (is_wrapped) text_put(out, ")");
}

static void put_list(Text *out, const ExprList *list, const char *separator) {
  for (int i = 0; i < list->n; i++) {
    if (i) text_put(out, separator);
    put_expr(out, list->items[i]);
  }
}

static void put_path(Text *out, const Path *path) {
  text_put(out, " @");
  for (int i = 0; i < path->n; i++) {
    if (path->parts[i].word) {
      text_put(out, path->parts[i].word);
    } else {
      text_put(out, "{");
      put_expr(out, path->parts[i].expr);
      text_put(out, "}");
    }
  }
}

static void put_call(Text *out, const Expr *expr) {
  int first = 0;
  if (expr->is_piped && expr->args.n) {
    put_expr(out, expr->args.items[first++].value);
    text_put(out, " |> ");
  }
  put_operand(out, expr->a, 10);
  text_put(out, "(");
  for (int i = first; i < expr->args.n; i++) {
    if (i > first) text_put(out, ", ");
    if (expr->args.items[i].name.text) text_printf(out, "%s=", expr->args.items[i].name.text);
    put_expr(out, expr->args.items[i].value);
  }
  text_put(out, ")");
  if (expr->path) put_path(out, expr->path);
}

static void put_match(Text *out, const Expr *expr) {
  text_put(out, "match ");
  put_expr(out, expr->a);
  text_put(out, " { ");
  for (int i = 0; i < expr->arms.n; i++) {
    if (i) text_put(out, ", ");
    put_list(out, &expr->arms.items[i].patterns, " | ");
    text_put(out, " => ");
    put_expr(out, expr->arms.items[i].value);
  }
  text_put(out, " }");
}

static void put_expr(Text *out, const Expr *expr) {
  switch (expr->kind) {
  case EXPR_ERROR: text_put(out, "?"); break;
  case EXPR_INT: text_printf(out, "%" PRId64, expr->integer); break;
  case EXPR_FLOAT:
  case EXPR_NAME: text_put(out, expr->text); break;
  case EXPR_STRING: text_put_json(out, expr->text); break;
  case EXPR_BOOL: text_put(out, expr->integer ? "true" : "false"); break;
  case EXPR_NONE: text_put(out, "none"); break;
  case EXPR_LIST:
    text_put(out, "[");
    put_list(out, &expr->items, ", ");
    text_put(out, "]");
    break;
  case EXPR_UNARY:
    text_put(out, expr->op == OPERATOR_NOT ? "not " : "-");
    put_operand(out, expr->a, precedence(expr));
    break;
  case EXPR_BINARY: {
    bool is_tight = expr->op == OPERATOR_RANGE;
    put_operand(out, expr->a, precedence(expr));
    text_printf(out, is_tight ? "%s" : " %s ", operator_text(expr->op));
    put_operand(out, expr->b, precedence(expr) + 1);
    break;
  }
  case EXPR_INDEX:
    put_operand(out, expr->a, 10);
    text_put(out, "[");
    put_expr(out, expr->b);
    text_put(out, "]");
    break;
  case EXPR_CALL: put_call(out, expr); break;
  case EXPR_MATCH: put_match(out, expr); break;
  case EXPR_IF:
    text_put(out, "if ");
    put_expr(out, expr->a);
    text_put(out, " { ");
    put_expr(out, expr->b);
    text_put(out, " } else { ");
    put_expr(out, expr->c);
    text_put(out, " }");
    break;
  }
}

const char *expr_text(Arena *arena, const Expr *expr) {
  Text text = {0};
  put_expr(&text, expr);
  const char *copy = arena_strdup(arena, text_get(&text));
  text_free(&text);
  return copy;
}

// ---- walking ----------------------------------------------------------------------------------------------------

void expr_each_name(const Expr *expr, NameVisitor *visit, void *context) {
  if (!expr) return;
  if (expr->kind == EXPR_NAME) visit(context, expr);
  expr_each_name(expr->a, visit, context);
  expr_each_name(expr->b, visit, context);
  expr_each_name(expr->c, visit, context);
  for (int i = 0; i < expr->items.n; i++) expr_each_name(expr->items.items[i], visit, context);
  for (int i = 0; i < expr->args.n; i++) expr_each_name(expr->args.items[i].value, visit, context);
  for (int i = 0; i < expr->arms.n; i++) expr_each_name(expr->arms.items[i].value, visit, context);
  for (int i = 0; expr->path && i < expr->path->n; i++) expr_each_name(expr->path->parts[i].expr, visit, context);
}
