// check_body: statements, and the forms of modules and models.
#include <string.h>

#include "lang/check.h"

void check_give(Check *check, Name name, StmtKind kind) {
  if (!strcmp(name.text, "_")) return;
  Local *local = check_local(check, name.text);
  if (!local) {
    local = ARENA_ARRAY(check->file->arena, Local, 1);
    *local = (Local){name.loc, kind, false};
    strmap_set(check->locals, name.text, local);
  }
  if (!local->has_value || kind != STMT_ASSIGN) local->kind = kind;
  if (!local->has_value) local->loc = name.loc;
  local->has_value = true;
}

// All names that the statements give values, before the walk.
static void collect(Check *check, const StmtList *block) {
  for (int i = 0; i < block->n; i++) {
    const Stmt *stmt = block->items[i];
    for (int k = 0; k < stmt->names.n && stmt->kind != STMT_UPDATE; k++) {
      Name name = stmt->names.items[k];
      if (!strcmp(name.text, "_") || check_local(check, name.text)) continue;
      Local *local = ARENA_ARRAY(check->file->arena, Local, 1);
      *local = (Local){name.loc, stmt->kind, false};
      strmap_set(check->locals, name.text, local);
    }
    collect(check, &stmt->body);
    collect(check, &stmt->other);
  }
}

// In the second round of a loop, names have what the first round gave them.
static void give_all(Check *check, const StmtList *block) {
  for (int i = 0; i < block->n; i++) {
    const Stmt *stmt = block->items[i];
    for (int k = 0; k < stmt->names.n && stmt->kind != STMT_UPDATE; k++)
      check_give(check, stmt->names.items[k], stmt->kind);
    give_all(check, &stmt->body);
    give_all(check, &stmt->other);
  }
}

static void give_names(Check *check, const Stmt *stmt) {
  for (int i = 0; i < stmt->names.n; i++) {
    Name name = stmt->names.items[i];
    for (int k = 0; k < i; k++)
      if (!strcmp(stmt->names.items[k].text, name.text) && strcmp(name.text, "_"))
        CHECK_ERROR(check, name.loc, "'%s' stands twice on the left side", name.text);
    if (!strcmp(name.text, "training")) {
      CHECK_ERROR(check, name.loc, "'training' cannot be given a value");
      CHECK_HINT(check, "it says whether the graph is built for training");
      continue;
    }
    check_give(check, name, stmt->kind);
  }
}

// ---- declarations in bodies -------------------------------------------------------------------------------------

static bool check_init(Check *check, const Stmt *stmt) {
  const Expr *expr = stmt->values.items[0];
  if (expr->kind != EXPR_CALL || expr->a->kind != EXPR_NAME) return false;
  bool is_init = !strcmp(expr->a->text, "uniform") || !strcmp(expr->a->text, "normal");
  if (!is_init || check_local(check, expr->a->text) || scope_find(check->source, expr->a->text)) return false;
  if (stmt->kind == STMT_CONST) {
    CHECK_ERROR(check, expr->loc, "a const has known values, not %s ones", expr->a->text);
    CHECK_HINT(check, "a trained tensor is a `param`");
  }
  bool is_plain = expr->args.n == 2 && !expr->args.items[0].name.text && !expr->args.items[1].name.text;
  if (!is_plain) {
    bool is_uniform = !strcmp(expr->a->text, "uniform");
    CHECK_ERROR(check, expr->loc, "'%s' takes two numbers", expr->a->text);
    CHECK_HINT(check, is_uniform ? "uniform(from, to)" : "normal(mean, deviation)");
  }
  for (int i = 0; i < expr->args.n; i++) check_expr(check, expr->args.items[i].value);
  return true;
}

static void check_declaration(Check *check, const Stmt *stmt) {
  check_type(check, stmt->type, false, stmt->kind == STMT_STATE);
  if (!check_init(check, stmt)) check_expr(check, stmt->values.items[0]);
  give_names(check, stmt);
}

static void check_input(Check *check, const Stmt *stmt) {
  Name name = stmt->names.items[0];
  if (check->decl->kind != DECL_MODEL) {
    CHECK_ERROR(check, name.loc, "only models have `input`");
    CHECK_HINT(check, "a module gets tensors as parameters: module %s(%s: %s[...])", check->decl->name.text, name.text,
               stmt->type->element.text);
  } else if (check->is_nested) {
    CHECK_ERROR(check, name.loc, "an input cannot stand in a branch or loop");
    CHECK_HINT(check, "an input that nothing uses is left out of the graph by itself");
  }
  const Local *old = check_local(check, name.text);
  if (old && old->has_value) {
    CHECK_ERROR(check, name.loc, "'%s' has a value already", name.text);
    CHECK_NOTE(check, old->loc, "it gets it here");
  }
  check_type(check, stmt->type, true, false);
  give_names(check, stmt);
  check_exprs(check, &stmt->where);
}

static const char *kind_word(StmtKind kind) {
  switch (kind) {
  case STMT_PARAM: return "a param";
  case STMT_CONST: return "a const";
  case STMT_INPUT: return "an input";
  default: return "a value";
  }
}

static void check_update(Check *check, const Stmt *stmt) {
  Name name = stmt->names.items[0];
  check_exprs(check, &stmt->values);
  const Local *local = check_local(check, name.text);
  if (!local) {
    CHECK_ERROR(check, name.loc, "there is no state '%s' to update", name.text);
    check_hint_name(check, name.text);
  } else if (local->kind != STMT_STATE) {
    CHECK_ERROR(check, name.loc, "only states are updated, and '%s' is %s", name.text, kind_word(local->kind));
    CHECK_NOTE(check, local->loc, "it gets its value here");
    if (local->kind == STMT_PARAM) CHECK_HINT(check, "params are changed by the optimizer");
    if (local->kind == STMT_ASSIGN) CHECK_HINT(check, "a new value for a name is written `%s = ...`", name.text);
  }
}

// ---- statements -------------------------------------------------------------------------------------------------

static void check_block(Check *check, const StmtList *block);

static void check_inner(Check *check, const StmtList *block) {
  bool was_nested = check->is_nested;
  check->is_nested = true;
  check_block(check, block);
  check->is_nested = was_nested;
}

static void check_return(Check *check, const Stmt *stmt) {
  check_exprs(check, &stmt->values);
  if (check->decl->kind != DECL_MODEL) return;
  CHECK_ERROR(check, stmt->loc, "a model does not return, it has outputs");
  CHECK_HINT(check, "write `output name = value`");
}

static void check_stmt(Check *check, const Stmt *stmt) {
  switch (stmt->kind) {
  case STMT_INPUT: check_input(check, stmt); return;
  case STMT_PARAM:
  case STMT_STATE:
  case STMT_CONST: check_declaration(check, stmt); return;
  case STMT_UPDATE: check_update(check, stmt); return;
  case STMT_RETURN: check_return(check, stmt); return;
  case STMT_IF:
    check_exprs(check, &stmt->values);
    check_inner(check, &stmt->body);
    check_inner(check, &stmt->other);
    return;
  case STMT_FOR:
    check_exprs(check, &stmt->values);
    give_names(check, stmt);
    give_all(check, &stmt->body);
    check_inner(check, &stmt->body);
    return;
  case STMT_OUTPUT:
    if (check->decl->kind == DECL_MODEL) break;
    CHECK_ERROR(check, stmt->loc, "only models have `output`");
    CHECK_HINT(check, "a module gives its results with `return`");
    break;
  default: break;
  }
  check_exprs(check, &stmt->values);
  check_expr(check, stmt->message);
  give_names(check, stmt);
}

static void check_block(Check *check, const StmtList *block) {
  for (int i = 0; i < block->n; i++) {
    if (i && block->items[i - 1]->kind == STMT_RETURN) {
      CHECK_ERROR(check, block->items[i]->loc, "nothing after `return` is reached");
      return;
    }
    check_stmt(check, block->items[i]);
  }
}

// ---- modules and models -----------------------------------------------------------------------------------------

static bool has_kind(const StmtList *block, StmtKind kind) {
  for (int i = 0; i < block->n; i++) {
    const Stmt *stmt = block->items[i];
    if (stmt->kind == kind || has_kind(&stmt->body, kind) || has_kind(&stmt->other, kind)) return true;
  }
  return false;
}

static void check_params(Check *check, const Decl *decl) {
  for (int i = 0; i < decl->params.n; i++) {
    const Param *param = &decl->params.items[i];
    for (int k = 0; k < i; k++) {
      if (strcmp(decl->params.items[k].name.text, param->name.text)) continue;
      CHECK_ERROR(check, param->name.loc, "there are two parameters '%s'", param->name.text);
      CHECK_NOTE(check, decl->params.items[k].name.loc, "the first is here");
    }
    if (param->type && decl->kind == DECL_MODEL) {
      CHECK_ERROR(check, param->name.loc, "the parameters of a model are static values");
      CHECK_HINT(check, "a tensor is an input: `input %s: %s[...]` in the body", param->name.text,
                 param->type->element.text);
    }
    bool is_behind = i && decl->params.items[i - 1].fallback && !param->fallback && decl->kind == DECL_MODULE;
    if (is_behind)
      CHECK_ERROR(check, param->name.loc, "'%s' has no default, but stands behind one that has", param->name.text);
  }
  // A default sees the parameters before it and their dimensions; a type sees all parameters.
  for (int i = 0; i < decl->params.n; i++) {
    const Param *param = &decl->params.items[i];
    if (param->fallback) check_expr(check, param->fallback);
    if (param->type) {
      for (int k = 0; k < decl->params.n; k++) check_give(check, decl->params.items[k].name, STMT_ASSIGN);
      check_type(check, param->type, true, false);
    }
    check_give(check, param->name, STMT_ASSIGN);
  }
}

void check_module(Check *check, Decl *decl) {
  check->decl = decl;
  check->locals = strmap_new(check->file->arena);
  check->is_nested = false;
  check_params(check, decl);
  check_exprs(check, &decl->where);
  collect(check, &decl->body);
  check_block(check, &decl->body);
  if (decl->kind == DECL_MODEL && !has_kind(&decl->body, STMT_OUTPUT)) {
    CHECK_ERROR(check, decl->name.loc, "model '%s' has no output", decl->name.text);
    CHECK_HINT(check, "write `output name = value`");
  }
}
