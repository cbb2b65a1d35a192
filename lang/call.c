// call: calls of modules, models, operations and built-in functions.
#include <ctype.h>
#include <string.h>

#include "lang/elaborate.h"

static Results poisoned(Elab *el) {
  Results results = {ARENA_ARRAY(el->arena, Value, 1), 1};
  results.items[0] = VALUE_POISONED;
  return results;
}

static Results single(Elab *el, Value value) {
  Results results = poisoned(el);
  results.items[0] = value;
  return results;
}

// ---- arguments --------------------------------------------------------------------------------------------------

// A bare word that is a choice of the attribute it is given for (mode=bilinear) stands for itself.
static bool is_choice(Value callee, const Arg *arg, int position) {
  if (callee.kind != VALUE_OP || arg->value->kind != EXPR_NAME) return false;
  const OpInfo *info = op_info(callee.op);
  int index = arg->name.text              ? op_attr_index(callee.op, arg->name.text)
              : info->n_in == OP_VARIADIC ? -1
                                          : position - info->n_in;
  if (index < 0 || index >= info->n_attrs || info->attrs[index].kind != ATTR_ENUM) return false;
  for (int i = 0; i < info->attrs[index].n_choices; i++)
    if (!strcmp(info->attrs[index].choices[i], arg->value->text)) return true;
  return false;
}

typedef struct PassedList {
  Passed *items;
  int n, cap;
} PassedList;

// Evaluates the arguments in order; several results of a piped call become several arguments. False after an error.
static bool pass_arguments(Elab *el, Frame *frame, const Expr *expr, Value callee, PassedList *out) {
  bool is_good = true;
  for (int i = 0; i < expr->args.n; i++) {
    const Arg *arg = &expr->args.items[i];
    Passed passed = {.name = arg->name.text, .expr = arg->value};
    if (i == 0 && expr->is_piped) {
      Results results = eval_all(el, frame, arg->value);
      for (int k = 0; k < results.n; k++) {
        passed.value = results.items[k];
        is_good &= passed.value.kind != VALUE_POISON;
        ARENA_PUSH(el->arena, out->items, out->n, out->cap, passed);
      }
      if (results.n) continue;
      ERROR(el, frame, arg->value->loc, "'%s' returns nothing to pass on", expr_text(el->arena, arg->value->a));
      HINT(el, "a module gives its result with `return value`");
      is_good = false;
      continue;
    }
    passed.value = is_choice(callee, arg, out->n) ? value_string(arg->value->text) : eval(el, frame, arg->value);
    is_good &= passed.value.kind != VALUE_POISON;
    ARENA_PUSH(el->arena, out->items, out->n, out->cap, passed);
  }
  return is_good;
}

// ---- instance paths ---------------------------------------------------------------------------------------------

static bool is_path(const char *path) {
  char before = '.';
  for (const char *c = path; *c; before = *c++) {
    if (*c == '.' ? before == '.' : !isalnum((unsigned char)*c) && *c != '_') return false;
  }
  return before != '.';
}

// The text after @, with the values of its braces; NULL after an error.
static const char *eval_path(Elab *el, Frame *frame, const Path *path) {
  const char *text = "";
  for (int i = 0; i < path->n; i++) {
    const PathPart *part = &path->parts[i];
    Value value = part->word ? value_string(part->word) : eval(el, frame, part->expr);
    if (value.kind == VALUE_POISON) return NULL;
    if (value.kind != VALUE_INT && value.kind != VALUE_STRING) {
      ERROR(el, frame, part->expr->loc, "a path is made of integers and strings, not of %s",
            value_kind_text(el->arena, value));
      return NULL;
    }
    text = value.kind == VALUE_INT ? arena_printf(el->arena, "%s%lld", text, (long long)value.i)
                                   : arena_printf(el->arena, "%s%s", text, value.s);
  }
  if (is_path(text) && strlen(text) < 256) return text;
  ERROR(el, frame, path->loc, "'%.60s' is not an instance path", text);
  HINT(el, "a path is words of letters, digits and _ with dots between");
  return NULL;
}

// ---- modules and models -----------------------------------------------------------------------------------------

static bool is_within(const Frame *frame, const Decl *decl) {
  for (; frame; frame = frame->caller)
    if (frame->decl == decl) return true;
  return false;
}

// Binds parameters to what was passed or to their defaults, in order, so that defaults and types see those before.
static bool bind_module(Elab *el, Frame *frame, const Decl *decl, Value *given, const Passed **passed, SrcLoc call) {
  bool is_good = true;
  for (int i = 0; i < decl->params.n; i++) // names first: a type may mention a parameter behind it
    if (passed[i]) frame_bind(el, frame, decl->params.items[i].name.text, given[i], passed[i]->expr->loc);
  for (int i = 0; i < decl->params.n; i++) {
    const Param *param = &decl->params.items[i];
    Value value = passed[i] ? given[i] : eval(el, frame, param->fallback);
    SrcLoc loc = passed[i] ? passed[i]->expr->loc : call;
    if (value.kind == VALUE_POISON) is_good = false;
    bool is_absent = value.kind == VALUE_NONE && param->fallback && param->fallback->kind == EXPR_NONE;
    if (param->type && !is_absent) {
      const char *what = arena_printf(el->arena, "argument '%s' of module '%s'", param->name.text, decl->name.text);
      is_good &= match_type(el, frame, param->type, &value, what, loc);
    }
    frame_bind(el, frame, param->name.text, value, loc);
  }
  return is_good;
}

Results call_module(Elab *el, Frame *frame, const Expr *expr, Value module, const Passed *args, int n) {
  const Decl *decl = module.decl;
  Signature signature = signature_of_decl(el->arena, decl);
  Given given[n + 1];
  int slot_of[n + 1];
  for (int i = 0; i < n; i++) given[i] = (Given){args[i].name, args[i].expr->loc};
  if (!signature_bind(&signature, given, n, false, slot_of, &el->report, &frame->instance, expr->loc))
    return poisoned(el);
  const char *path = frame->instance.path;
  if (expr->path) {
    const char *name = eval_path(el, frame, expr->path);
    if (!name) return poisoned(el);
    path = path_join(el->arena, path, name);
  }
  if (el->n_calls >= MAX_CALLS) {
    elab_stop(el, frame, expr->loc, "modules are nested more than 100 deep",
              is_within(frame, decl) ? "a module calls itself through its arguments" : NULL);
    return poisoned(el);
  }
  int n_slots = signature.n_slots, n_inputs = n_slots - decl->params.n, n_errors = el->report.n_errors;
  Value *values = ARENA_ARRAY(el->arena, Value, n_slots);
  const Passed **passed = ARENA_ARRAY(el->arena, const Passed *, n_slots);
  for (int i = 0; i < n; i++) {
    values[slot_of[i]] = args[i].value;
    passed[slot_of[i]] = &args[i];
  }
  Frame *callee = frame_new(el, frame, decl, path, expr->loc);
  callee->inputs = values;
  callee->is_frozen = frame->is_frozen || module.is_frozen;
  el->n_calls++;
  if (bind_module(el, callee, decl, values + n_inputs, passed + n_inputs, expr->loc) &&
      check_constraints(el, callee, &decl->where))
    run_block(el, callee, &decl->body);
  el->n_calls--;
  bool is_wrong = el->report.n_errors > n_errors || el->is_stopped;
  return is_wrong && !callee->results.n ? poisoned(el) : callee->results;
}

// ---- all calls --------------------------------------------------------------------------------------------------

static Results dispatch(Elab *el, Frame *frame, const Expr *expr, Value callee, const PassedList *args) {
  switch (callee.kind) {
  case VALUE_MODULE: return call_module(el, frame, expr, callee, args->items, args->n);
  case VALUE_OP: return single(el, call_op(el, frame, expr, callee.op, args->items, args->n));
  case VALUE_BUILTIN: return single(el, call_builtin(el, frame, expr, callee.builtin, args->items, args->n));
  default: return poisoned(el);
  }
}

Results eval_call(Elab *el, Frame *frame, const Expr *expr) {
  Value callee = eval(el, frame, expr->a);
  if (callee.kind == VALUE_POISON) return poisoned(el);
  bool is_callable = callee.kind == VALUE_MODULE || callee.kind == VALUE_OP || callee.kind == VALUE_BUILTIN;
  if (!is_callable) {
    const char *name = expr_text(el->arena, expr->a);
    ERROR(el, frame, expr->a->loc, "'%s' is %s and cannot be called", name, value_kind_text(el->arena, callee));
    const Binding *binding = expr->a->kind == EXPR_NAME ? frame_find(frame, name) : NULL;
    if (binding) NOTE(el, binding->loc, "it got its value here");
    return poisoned(el);
  }
  if (expr->path && callee.kind != VALUE_MODULE) {
    ERROR(el, frame, expr->path->loc, "only modules have instance paths, and '%s' is %s", expr_text(el->arena, expr->a),
          value_kind_text(el->arena, callee));
    return poisoned(el);
  }
  PassedList args = {0};
  if (!pass_arguments(el, frame, expr, callee, &args)) return poisoned(el);
  if (el->depth >= MAX_DEPTH) {
    elab_stop(el, frame, expr->loc, "this is nested too deeply", NULL);
    return poisoned(el);
  }
  el->depth++;
  Results results = dispatch(el, frame, expr, callee, &args);
  el->depth--;
  return results;
}
