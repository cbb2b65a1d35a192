// check_expr: names and calls of expressions.
#include <string.h>

#include "lang/builtin.h"
#include "lang/check.h"
#include "lang/signature.h"

Local *check_local(const Check *check, const char *name) { return strmap_get(check->locals, name); }

static bool is_initializer(const char *name) { return !strcmp(name, "uniform") || !strcmp(name, "normal"); }

static Op find_op(const char *name) {
  Op op = op_by_name(name);
  return op != OP_COUNT && op_info(op)->flags & OPF_HIDDEN ? OP_COUNT : op;
}

// ---- names ------------------------------------------------------------------------------------------------------

// A target of a train block is a likely thing to look for in the model.
static bool is_target(const Check *check, const char *name) {
  for (int i = 0; i < check->source->decls.n; i++) {
    const Decl *decl = check->source->decls.items[i];
    for (int k = 0; decl->kind == DECL_TRAIN && k < decl->entries.n; k++)
      if (decl->entries.items[k].kind == ENTRY_TARGET && !strcmp(decl->entries.items[k].name.text, name)) return true;
  }
  return false;
}

void check_hint_name(Check *check, const char *name) {
  const char **scope;
  int n_scope = scope_names(check->file->arena, check->source, &scope), n_locals = strmap_count(check->locals), n = 0;
  const char **names = ARENA_ARRAY(check->file->arena, const char *, n_scope + n_locals);
  for (int i = 0; i < n_locals; i++) names[n++] = strmap_key(check->locals, i);
  for (int i = 0; i < n_scope; i++) names[n++] = scope[i];
  const char *near = nearest_name(name, names, n);
  if (near) CHECK_HINT(check, "did you mean '%s'?", near);
  else if (is_target(check, name)) CHECK_HINT(check, "targets are seen by the loss only");
  else
    for (int i = 0; i < check->file->n_sources; i++) {
      const Source *source = check->file->sources[i];
      for (int k = 0; k < source->decls.n; k++) {
        const Decl *decl = source->decls.items[k];
        if (!decl_is_definition(decl) || strcmp(decl->name.text, name)) continue;
        CHECK_HINT(check, "it is defined in %s: `use %s (%s)`", source->path, source->name, name);
        return;
      }
    }
}

static void check_name(Check *check, const Expr *expr) {
  const char *name = expr->text;
  const Local *local = check_local(check, name);
  if (local && local->has_value) return;
  if (!strcmp(name, "_")) {
    CHECK_ERROR(check, expr->loc, "'_' has no value: it takes what is not needed");
    return;
  }
  if (!strcmp(name, "training") || scope_find(check->source, name) || builtin_by_name(name) >= 0) return;
  if (find_op(name) != OP_COUNT) return;
  if (local) {
    CHECK_ERROR(check, expr->loc, "'%s' is used before it has a value", name);
    CHECK_NOTE(check, local->loc, "it gets one here");
    return;
  }
  if (is_initializer(name)) {
    CHECK_ERROR(check, expr->loc, "'%s' stands only as the initial value of a param or state", name);
    return;
  }
  CHECK_ERROR(check, expr->loc, "unknown name '%s'", name);
  check_hint_name(check, name);
}

// ---- calls ------------------------------------------------------------------------------------------------------

// The attribute that an argument of an op is for; NULL for operands and unknown names.
static const AttrSpec *attribute_of(Op op, const Arg *arg, int position) {
  const OpInfo *info = op_info(op);
  int index = arg->name.text              ? op_attr_index(op, arg->name.text)
              : info->n_in == OP_VARIADIC ? -1
                                          : position - info->n_in;
  return index >= 0 && index < info->n_attrs ? &info->attrs[index] : NULL;
}

// mode=bilinear: a bare word that is no name here must be one of the choices.
static bool check_choice(Check *check, Op op, const Arg *arg, int position) {
  const AttrSpec *spec = attribute_of(op, arg, position);
  if (!spec || spec->kind != ATTR_ENUM || arg->value->kind != EXPR_NAME) return false;
  const char *word = arg->value->text, *list = NULL;
  for (int i = 0; i < spec->n_choices; i++) {
    if (!strcmp(spec->choices[i], word)) return true;
    list = list ? arena_printf(check->file->arena, "%s or %s", list, spec->choices[i]) : spec->choices[i];
  }
  if (check_local(check, word) || scope_find(check->source, word)) return false;
  CHECK_ERROR(check, arg->value->loc, "'%s' of %s is %s, not '%s'", spec->name, op_info(op)->name, list, word);
  const char *near = nearest_name(word, spec->choices, spec->n_choices);
  if (near) CHECK_HINT(check, "did you mean '%s'?", near);
  return true;
}

// What an argument list must fit; false if the callee is only known while building.
static bool find_signature(Check *check, const Expr *callee, Signature *out, Op *out_op, Decl **out_decl) {
  *out_op = OP_COUNT;
  *out_decl = NULL;
  if (callee->kind != EXPR_NAME || check_local(check, callee->text)) return false;
  Arena *arena = check->file->arena;
  Decl *decl = scope_find(check->source, callee->text);
  if (decl && decl->kind == DECL_CONST) return false;
  if (decl) {
    *out_decl = decl;
    *out = signature_of_decl(arena, decl);
    return true;
  }
  int builtin = builtin_by_name(callee->text);
  if (builtin >= 0) {
    *out = signature_of_builtin(arena, builtin);
    return true;
  }
  *out_op = find_op(callee->text);
  if (*out_op == OP_COUNT) return false;
  *out = signature_of_op(arena, *out_op);
  return true;
}

// Whether the piped value may be any number of values.
static bool may_be_several(Check *check, const Expr *expr) {
  if (expr->kind != EXPR_CALL) return false;
  Signature signature;
  Op op;
  Decl *decl;
  return !find_signature(check, expr->a, &signature, &op, &decl) || decl;
}

static void check_call(Check *check, const Expr *expr) {
  Signature signature;
  Op op;
  Decl *decl;
  bool is_known = find_signature(check, expr->a, &signature, &op, &decl);
  check_expr(check, expr->a);
  for (int i = 0; i < expr->args.n; i++)
    if (op == OP_COUNT || !check_choice(check, op, &expr->args.items[i], i))
      check_expr(check, expr->args.items[i].value);
  for (int i = 0; expr->path && i < expr->path->n; i++) check_expr(check, expr->path->parts[i].expr);
  if (!is_known) return;
  if (expr->path && !decl)
    CHECK_ERROR(check, expr->path->loc, "only modules have instance paths, and '%s' is built in", expr->a->text);
  if (decl) {
    CallEdge edge = {decl, expr->loc};
    ARENA_PUSH(check->file->arena, check->decl->calls, check->decl->n_calls, check->decl->cap_calls, edge);
  }
  if (op == OP_max && expr->args.n == 2) return; // max(3, 4) of two numbers; the elaborator knows more
  bool is_open = expr->is_piped && may_be_several(check, expr->args.items[0].value);
  Given given[expr->args.n + 1];
  int slot_of[expr->args.n + 1], first = is_open ? 1 : 0;
  for (int i = first; i < expr->args.n; i++) {
    const Arg *arg = &expr->args.items[i];
    given[i] = (Given){arg->name.text, arg->name.text ? arg->name.loc : arg->value->loc};
  }
  signature_bind(&signature, given + first, expr->args.n - first, is_open, slot_of, &check->report, NULL, expr->loc);
}

// ---- all --------------------------------------------------------------------------------------------------------

static void check_match(Check *check, const Expr *expr) {
  check_expr(check, expr->a);
  bool has_all = false;
  for (int i = 0; i < expr->arms.n; i++) {
    const Arm *arm = &expr->arms.items[i];
    for (int p = 0; p < arm->patterns.n; p++) {
      const Expr *pattern = arm->patterns.items[p];
      if (has_all) CHECK_ERROR(check, pattern->loc, "no value comes this far: '_' above takes everything");
      if (pattern->kind == EXPR_NAME && !strcmp(pattern->text, "_")) has_all = true;
      else check_expr(check, pattern);
    }
    check_expr(check, arm->value);
  }
}

void check_expr(Check *check, const Expr *expr) {
  if (!expr) return;
  switch (expr->kind) {
  case EXPR_NAME: check_name(check, expr); break;
  case EXPR_CALL: check_call(check, expr); break;
  case EXPR_MATCH: check_match(check, expr); break;
  case EXPR_LIST: check_exprs(check, &expr->items); break;
  default:
    check_expr(check, expr->a);
    check_expr(check, expr->b);
    check_expr(check, expr->c);
  }
}

void check_exprs(Check *check, const ExprList *list) {
  for (int i = 0; i < list->n; i++) check_expr(check, list->items[i]);
}

void check_type(Check *check, const Type *type, bool binds, bool allows_i64) {
  static const char *const elements[] = {"f32", "i64"};
  const char *element = type->element.text;
  bool is_good = !strcmp(element, "f32") || (allows_i64 && !strcmp(element, "i64"));
  if (!is_good) {
    CHECK_ERROR(check, type->element.loc, "the elements of this tensor cannot be '%s'", element);
    if (!strcmp(element, "i64")) CHECK_HINT(check, "i64 is for counters: `state steps: i64[] = 0`");
    else if (nearest_name(element, elements, 1)) CHECK_HINT(check, "did you mean 'f32'?");
    else CHECK_HINT(check, "tensors are f32");
  } else if (!strcmp(element, "i64") && type->dims.n) {
    CHECK_ERROR(check, type->loc, "an i64 state is a single counter: i64[]");
  }
  if (type->dims.n > MAX_RANK)
    CHECK_ERROR(check, type->loc, "a tensor has at most %d axes, not %d", MAX_RANK, type->dims.n);
  for (int i = 0; i < type->dims.n; i++) {
    const Expr *dim = type->dims.items[i];
    const Decl *decl = dim->kind == EXPR_NAME ? scope_find(check->source, dim->text) : NULL;
    const Local *local = dim->kind == EXPR_NAME ? check_local(check, dim->text) : NULL;
    bool is_free =
        binds && dim->kind == EXPR_NAME && !(local && local->has_value) && !(decl && decl->kind == DECL_CONST);
    if (is_free) check_give(check, (Name){dim->text, dim->loc}, STMT_ASSIGN);
    else check_expr(check, dim);
  }
}
