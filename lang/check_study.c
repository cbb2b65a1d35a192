// check_study: the form of study blocks: which models are compared, with which arguments.
#include <string.h>

#include "lang/check.h"
#include "lang/study.h"

static const Decl *find_model(Check *check, const Expr *name) {
  const Decl *model = scope_find(check->source, name->text);
  if (model && model->kind == DECL_MODEL) return model;
  CHECK_ERROR(check, name->loc, model ? "'%s' is no model" : "there is no model '%s'", name->text);
  if (model) CHECK_NOTE(check, model->name.loc, "defined here");
  else check_hint_name(check, name->text);
  return NULL;
}

static bool is_literal(const Expr *value) {
  if (value->kind == EXPR_UNARY) return value->op == OPERATOR_SUB && is_literal(value->a);
  for (int i = 0; value->kind == EXPR_LIST && i < value->items.n; i++)
    if (!is_literal(value->items.items[i])) return false;
  return value->kind == EXPR_INT || value->kind == EXPR_FLOAT || value->kind == EXPR_STRING ||
         value->kind == EXPR_BOOL || value->kind == EXPR_LIST;
}

static void check_argument(Check *check, const Decl *model, const Arg *arg) {
  if (!arg->name.text) {
    CHECK_ERROR(check, arg->value->loc, "the arguments of a part of a study have names");
    CHECK_HINT(check, "write `name=%s`", expr_text(check->file->arena, arg->value));
    return;
  }
  if (!is_literal(arg->value))
    CHECK_ERROR(check, arg->value->loc, "'%s' is given a number, string, bool or list of them", arg->name.text);
  const char **names = ARENA_ARRAY(check->file->arena, const char *, model->params.n);
  for (int i = 0; i < model->params.n; i++) {
    names[i] = model->params.items[i].name.text;
    if (!strcmp(names[i], arg->name.text)) return;
  }
  CHECK_ERROR(check, arg->name.loc, "model '%s' has no parameter '%s'", model->name.text, arg->name.text);
  const char *near = nearest_name(arg->name.text, names, model->params.n);
  if (near) CHECK_HINT(check, "did you mean '%s'?", near);
}

static void check_once(Check *check, const Decl *study, const Entry *part) {
  for (const Entry *other = study->entries.items; other < part; other++) {
    if (other->kind != ENTRY_PART || strcmp(other->label->text, part->label->text)) continue;
    CHECK_ERROR(check, part->label->loc, "there are two parts called \"%s\"", part->label->text);
    CHECK_NOTE(check, other->label->loc, "the first is here");
    return;
  }
}

static void check_part(Check *check, const Decl *study, const Entry *part) {
  LangRole role;
  if (!study_role(part->name.text, &role)) {
    CHECK_ERROR(check, part->name.loc, "a part of a study is a base, variant or scratch, not '%s'", part->name.text);
    return;
  }
  check_once(check, study, part);
  if (!part->label->text[0]) CHECK_ERROR(check, part->label->loc, "the name of a part is empty");
  bool is_call = part->value->kind == EXPR_CALL;
  const Expr *name = is_call ? part->value->a : part->value;
  if (name->kind != EXPR_NAME) {
    CHECK_ERROR(check, part->value->loc, "a part of a study is a model, with arguments or without");
    CHECK_HINT(check, "write `%s \"%s\" = model(argument=1)`", part->name.text, part->label->text);
    return;
  }
  const Decl *model = find_model(check, name);
  for (int i = 0; model && is_call && i < part->value->args.n; i++)
    check_argument(check, model, &part->value->args.items[i]);
}

// Only settings stand beside the parts and inside them.
static void check_settings(Check *check, const EntryList *entries, bool is_part) {
  for (int i = 0; i < entries->n; i++) {
    const Entry *entry = &entries->items[i];
    if (entry->kind == ENTRY_TARGET || entry->kind == ENTRY_LOSS) {
      CHECK_ERROR(check, entry->loc, "a study has no %s: that belongs into the train block of its model",
                  entry->kind == ENTRY_LOSS ? "loss" : "target");
    } else if (entry->kind == ENTRY_PART && is_part) {
      CHECK_ERROR(check, entry->loc, "a part of a study has no parts");
    }
  }
}

void check_study(Check *check, Decl *study) {
  check->decl = study;
  check->locals = strmap_new(check->file->arena);
  int n_bases = 0;
  check_settings(check, &study->entries, false);
  for (int i = 0; i < study->entries.n; i++) {
    const Entry *entry = &study->entries.items[i];
    if (entry->kind != ENTRY_PART) continue;
    check_part(check, study, entry);
    check_settings(check, entry->settings, true);
    n_bases += !strcmp(entry->name.text, "base");
  }
  if (n_bases == 0) {
    CHECK_ERROR(check, study->name.loc, "study '%s' has no base", study->name.text);
    CHECK_HINT(check, "write `base \"name in tables\" = model`");
  }
}
