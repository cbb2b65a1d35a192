// train: train blocks: their settings, targets and loss.
#include <math.h>
#include <string.h>

#include "lang/elaborate.h"

// ---- settings ---------------------------------------------------------------------------------------------------

static const char *const keys[] = {"optimizer", "schedule", "batch", "epochs", "augment"};
enum { N_KEYS = sizeof keys / sizeof *keys };

typedef struct Settings {
  LangFile *file;
  Diag *diag;
  LangSetting *items;
  int n, cap;
} Settings;

static void add(Settings *settings, LangSetting setting) {
  for (int i = 0; i < settings->n && setting.kind != SETTING_RULE; i++) {
    if (settings->items[i].kind == SETTING_RULE || strcmp(settings->items[i].key, setting.key)) continue;
    diag_error(settings->diag, setting.loc, "'%s' is set twice", setting.key);
    diag_note(settings->diag, settings->items[i].loc, "the first is here");
    return;
  }
  ARENA_PUSH(settings->file->arena, settings->items, settings->n, settings->cap, setting);
}

// A number made of numbers; settings are read without building anything.
static bool fold_number(const Expr *expr, double *out) {
  double a, b;
  if (expr->kind == EXPR_INT) *out = (double)expr->integer;
  if (expr->kind == EXPR_FLOAT) *out = expr->number;
  if (expr->kind == EXPR_INT || expr->kind == EXPR_FLOAT) return true;
  if (expr->kind == EXPR_UNARY && expr->op == OPERATOR_SUB && fold_number(expr->a, &a)) {
    *out = -a;
    return true;
  }
  if (expr->kind != EXPR_BINARY || !fold_number(expr->a, &a) || !fold_number(expr->b, &b)) return false;
  switch (expr->op) {
  case OPERATOR_ADD: *out = a + b; break;
  case OPERATOR_SUB: *out = a - b; break;
  case OPERATOR_MUL: *out = a * b; break;
  case OPERATOR_DIV: *out = a / b; break;
  default: return false;
  }
  return isfinite(*out);
}

static void add_value(Settings *settings, const char *key, const Expr *expr, SrcLoc loc) {
  LangSetting setting = {.key = key, .kind = SETTING_NUMBER, .loc = loc};
  if (expr->kind == EXPR_STRING || expr->kind == EXPR_NAME) {
    setting.kind = SETTING_STRING;
    setting.string = expr->text;
  } else if (expr->kind == EXPR_NONE) {
    setting.kind = SETTING_STRING;
    setting.string = "none";
  } else if (expr->kind == EXPR_BOOL) {
    setting.kind = SETTING_BOOL;
    setting.number = (double)expr->integer;
  } else if (!fold_number(expr, &setting.number)) {
    diag_error(settings->diag, expr->loc, "the value of '%s' is a number, string or name", key);
    return;
  }
  add(settings, setting);
}

static void add_call(Settings *settings, const char *key, const Expr *call, SrcLoc loc) {
  add(settings, (LangSetting){.key = key, .kind = SETTING_STRING, .string = call->a->text, .loc = loc});
  for (int i = 0; i < call->args.n; i++) {
    const Arg *arg = &call->args.items[i];
    const char *path = arg->name.text ? arena_printf(settings->file->arena, "%s.%s", key, arg->name.text)
                                      : arena_printf(settings->file->arena, "%s.%d", key, i);
    add_value(settings, path, arg->value, arg->name.text ? arg->name.loc : arg->value->loc);
  }
}

// `freeze a.*`, `rate a.* 0.1`: several may stand, and their order counts.
static void add_rule(Settings *settings, const Entry *entry) {
  LangSetting setting = {.key = entry->name.text,
                         .kind = SETTING_RULE,
                         .number = 1,
                         .string = entry->pattern.text,
                         .loc = entry->pattern.loc};
  const Expr *factor = entry->value;
  if (factor && !fold_number(factor, &setting.number)) {
    diag_error(settings->diag, factor->loc, "'%s' takes a factor, a number, not %s", setting.key,
               expr_text(settings->file->arena, factor));
    return;
  }
  if (setting.number < 0) {
    diag_error(settings->diag, factor->loc, "'%s' takes a factor that is not negative, not %g", setting.key,
               setting.number);
    return;
  }
  add(settings, setting);
}

static void check_key(Settings *settings, const Entry *entry) {
  for (int i = 0; i < N_KEYS; i++)
    if (!strcmp(keys[i], entry->name.text)) return;
  static const char *const rules[] = {"freeze", "tune", "rate", "decay"};
  for (int i = 0; i < 4; i++) {
    if (strcmp(rules[i], entry->name.text)) continue;
    diag_error(settings->diag, entry->value->loc, "'%s' is followed by a pattern of parameter names", rules[i]);
    diag_hint(settings->diag, "write it without quotes: `%s encoder.*%s`", rules[i], i < 2 ? "" : " 0.1");
    return;
  }
  diag_error(settings->diag, entry->name.loc, "there is no setting '%s'", entry->name.text);
  static const char *const words[] = {"optimizer", "schedule", "batch", "epochs", "augment", "target",
                                      "loss",      "freeze",   "tune",  "rate",   "decay",   "set"};
  const char *near = nearest_name(entry->name.text, words, sizeof words / sizeof *words);
  if (near) diag_hint(settings->diag, "did you mean '%s'?", near);
  else diag_hint(settings->diag, "settings of your own are written `set %s value`", entry->name.text);
}

static void check_count(Settings *settings, const Entry *entry) {
  bool is_count = !strcmp(entry->name.text, "batch") || !strcmp(entry->name.text, "epochs");
  if (entry->kind != ENTRY_KEY || !is_count) return;
  if (entry->value->kind == EXPR_INT && entry->value->integer >= 1) return;
  diag_error(settings->diag, entry->value->loc, "'%s' is a positive integer, not %s", entry->name.text,
             expr_text(settings->file->arena, entry->value));
}

int train_settings(LangFile *file, const EntryList *entries, LangSetting **out, Diag *diag) {
  Settings settings = {.file = file, .diag = diag};
  for (int i = 0; i < entries->n; i++) {
    const Entry *entry = &entries->items[i];
    if (entry->kind == ENTRY_TARGET || entry->kind == ENTRY_LOSS || entry->kind == ENTRY_PART) continue;
    if (entry->kind == ENTRY_RULE) {
      add_rule(&settings, entry);
      continue;
    }
    if (entry->kind == ENTRY_KEY) check_key(&settings, entry);
    check_count(&settings, entry);
    if (entry->value->kind == EXPR_CALL) add_call(&settings, entry->name.text, entry->value, entry->loc);
    else add_value(&settings, entry->name.text, entry->value, entry->loc);
  }
  *out = settings.items;
  return settings.n;
}

// ---- loss -------------------------------------------------------------------------------------------------------

// The names that the loss sees: parameters, dimensions, inputs and outputs of the model.
static void show_model(Elab *el, Frame *train, const Frame *model) {
  for (int i = 0; i < strmap_count(model->names); i++) {
    const char *name = strmap_key(model->names, i);
    const Binding *binding = strmap_value(model->names, i);
    bool is_static = strmap_get(model->dimensions, name) != NULL;
    for (int k = 0; k < model->decl->params.n; k++) is_static |= !strcmp(model->decl->params.items[k].name.text, name);
    for (int k = 0; k < model->decl->body.n; k++) {
      const Stmt *stmt = model->decl->body.items[k];
      if (stmt->kind == STMT_INPUT && !strcmp(stmt->names.items[0].text, name)) is_static = true;
    }
    if (is_static) frame_bind(el, train, name, binding->value, binding->loc);
  }
  for (int i = 0; i < el->graph->n_outputs; i++) {
    const GraphOutput *output = &el->graph->outputs[i];
    Value value = {.kind = VALUE_TENSOR, .node = output->node};
    if (!output->is_tap) frame_bind(el, train, output->name, value, output->node->loc);
  }
}

void elaborate_loss(Elab *el, Frame *model, const Decl *train) {
  Frame *frame = ARENA_ARRAY(el->arena, Frame, 1);
  *frame =
      (Frame){.decl = train, .source = train->source, .names = strmap_new(el->arena), .dimensions = model->dimensions};
  frame->instance = (Instance){.module = train->name.text, .path = "", .call = train->name.loc};
  show_model(el, frame, model);
  const Entry *loss = NULL;
  for (int i = 0; i < train->entries.n; i++) {
    const Entry *entry = &train->entries.items[i];
    if (entry->kind == ENTRY_LOSS) loss = entry;
    if (entry->kind == ENTRY_TARGET)
      frame_bind(el, frame, entry->name.text, declare_input(el, frame, entry->name, entry->type), entry->name.loc);
  }
  Value value = eval(el, frame, loss->value);
  if (value.kind == VALUE_POISON) return;
  if (value.kind != VALUE_TENSOR || value.node->shape.rank != 0) {
    ERROR(el, frame, loss->value->loc, "a loss is one number, f32[], not %s", value_kind_text(el->arena, value));
    if (value.kind == VALUE_TENSOR) HINT(el, "sum it over all axes");
    return;
  }
  graph_output(el->graph, "loss", value.node, false);
}
