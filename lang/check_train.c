// check_train: the form of train blocks and the names of their losses.
#include <string.h>

#include "lang/check.h"

static void give_outputs(Check *check, const StmtList *block) {
  for (int i = 0; i < block->n; i++) {
    const Stmt *stmt = block->items[i];
    if (stmt->kind == STMT_OUTPUT) check_give(check, stmt->names.items[0], STMT_OUTPUT);
    give_outputs(check, &stmt->body);
    give_outputs(check, &stmt->other);
  }
}

// What the loss sees of the model: parameters, dimensions, inputs, outputs.
static void give_model(Check *check, const Decl *model) {
  for (int i = 0; i < model->params.n; i++) check_give(check, model->params.items[i].name, STMT_ASSIGN);
  Stmt **inputs;
  int n = model_inputs(model, &inputs, check->file->arena);
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < inputs[i]->type->dims.n; k++) {
      const Expr *dim = inputs[i]->type->dims.items[k];
      if (dim->kind == EXPR_NAME) check_give(check, (Name){dim->text, dim->loc}, STMT_ASSIGN);
    }
    check_give(check, inputs[i]->names.items[0], STMT_INPUT);
  }
  give_outputs(check, &model->body);
}

static const Decl *find_model(Check *check, const Decl *train) {
  const Decl *model = scope_find(check->source, train->name.text);
  if (model && model->kind == DECL_MODEL) return model;
  if (model) {
    CHECK_ERROR(check, train->name.loc, "'%s' is no model", train->name.text);
    CHECK_NOTE(check, model->name.loc, "defined here");
    return NULL;
  }
  CHECK_ERROR(check, train->name.loc, "there is no model '%s' to train", train->name.text);
  int n = strmap_count(check->source->scope);
  const char **names = ARENA_ARRAY(check->file->arena, const char *, n);
  for (int i = 0; i < n; i++) names[i] = strmap_key(check->source->scope, i);
  const char *near = nearest_name(train->name.text, names, n);
  if (near) CHECK_HINT(check, "did you mean '%s'?", near);
  return NULL;
}

static void check_once(Check *check, const Decl *train) {
  for (int i = 0; i < check->source->decls.n; i++) {
    const Decl *other = check->source->decls.items[i];
    if (other == train) return;
    if (other->kind != DECL_TRAIN || strcmp(other->name.text, train->name.text)) continue;
    CHECK_ERROR(check, train->name.loc, "model '%s' has two train blocks", train->name.text);
    CHECK_NOTE(check, other->name.loc, "the first is here");
    return;
  }
}

static void check_target(Check *check, const Entry *entry) {
  const Local *old = check_local(check, entry->name.text);
  if (old) {
    CHECK_ERROR(check, entry->name.loc, "there is '%s' already", entry->name.text);
    CHECK_NOTE(check, old->loc, "it is here");
  }
  check_type(check, entry->type, true, false);
  check_give(check, entry->name, STMT_ASSIGN);
}

static bool gives_name(const StmtList *block, const char *name) {
  for (int i = 0; i < block->n; i++) {
    const Stmt *stmt = block->items[i];
    for (int k = 0; k < stmt->names.n; k++)
      if (!strcmp(stmt->names.items[k].text, name)) return true;
    if (gives_name(&stmt->body, name) || gives_name(&stmt->other, name)) return true;
  }
  return false;
}

typedef struct Inner {
  Check *check;
  const Decl *model;
  bool is_found;
} Inner;

// A name of the model's body that is no output.
static void refuse_inner(void *context, const Expr *expr) {
  Inner *inner = context;
  bool is_inner = !check_local(inner->check, expr->text) && !scope_find(inner->check->source, expr->text) &&
                  gives_name(&inner->model->body, expr->text);
  if (!is_inner) return;
  inner->is_found = true;
  CHECK_ERROR(inner->check, expr->loc, "the loss does not see '%s' of the model", expr->text);
  CHECK_HINT(inner->check, "it sees inputs, outputs and targets: make it one with `output %s = ...`", expr->text);
}

void check_train(Check *check, Decl *train) {
  check->decl = train;
  check->locals = strmap_new(check->file->arena);
  check->is_nested = false;
  const Decl *model = find_model(check, train);
  if (!model) return;
  check_once(check, train);
  give_model(check, model);
  if (check_local(check, "loss") && check_local(check, "loss")->kind == STMT_OUTPUT) {
    CHECK_ERROR(check, check_local(check, "loss")->loc,
                "an output of a model with a train block cannot be called 'loss'");
    CHECK_NOTE(check, train->name.loc, "the train block is here");
  }
  const Entry *loss = NULL;
  for (int i = 0; i < train->entries.n; i++) {
    const Entry *entry = &train->entries.items[i];
    if (entry->kind == ENTRY_TARGET) check_target(check, entry);
    if (entry->kind == ENTRY_PART) {
      CHECK_ERROR(check, entry->loc, "'%s \"...\" = ...' belongs into a study block", entry->name.text);
      CHECK_HINT(check, "a study block begins with `study name {`");
    }
    if (entry->kind != ENTRY_LOSS) continue;
    if (loss) {
      CHECK_ERROR(check, entry->name.loc, "there are two losses");
      CHECK_NOTE(check, loss->name.loc, "the first is here");
      CHECK_HINT(check, "add them up: `loss a + b`");
    }
    loss = entry;
  }
  if (!loss) {
    CHECK_ERROR(check, train->name.loc, "the train block of '%s' has no loss", train->name.text);
    return;
  }
  Inner inner = {check, model, false};
  expr_each_name(loss->value, refuse_inner, &inner);
  if (!inner.is_found) check_expr(check, loss->value);
}
