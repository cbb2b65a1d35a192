// eval: expressions.
#include <string.h>

#include "lang/builtin.h"
#include "lang/elaborate.h"

static Results one(Elab *el, Value value) {
  Results results = {ARENA_ARRAY(el->arena, Value, 1), 1};
  results.items[0] = value;
  return results;
}

// ---- names ------------------------------------------------------------------------------------------------------

typedef struct Constant {
  Value value;
  bool is_done;
} Constant;

Value eval_constant(Elab *el, Frame *frame, const Decl *decl, SrcLoc loc) {
  const char *key = arena_printf(el->arena, "%s:%s", decl->source->path, decl->name.text);
  Constant *known = strmap_get(el->constants, key);
  if (known && known->is_done) return known->value;
  if (known) {
    ERROR(el, frame, loc, "the constant '%s' is defined by itself", decl->name.text);
    NOTE(el, decl->name.loc, "defined here");
    return VALUE_POISONED;
  }
  Constant *constant = ARENA_ARRAY(el->arena, Constant, 1);
  strmap_set(el->constants, key, constant);
  Frame *file = ARENA_ARRAY(el->arena, Frame, 1);
  *file = (Frame){.decl = decl, .source = decl->source, .names = strmap_new(el->arena)};
  file->dimensions = file->names;
  constant->value = eval(el, file, decl->value);
  constant->is_done = true;
  if (constant->value.kind != VALUE_TENSOR) return constant->value;
  ERROR(el, file, decl->name.loc, "the constant '%s' of the file is a tensor", decl->name.text);
  HINT(el, "tensors are made in modules and models");
  return constant->value = VALUE_POISONED;
}

static Value eval_decl(Elab *el, Frame *frame, const Decl *decl, SrcLoc loc) {
  if (decl->kind == DECL_CONST) return eval_constant(el, frame, decl, loc);
  return (Value){.kind = VALUE_MODULE, .decl = decl};
}

static Value eval_name(Elab *el, Frame *frame, const Expr *expr) {
  const char *name = expr->text;
  const Binding *binding = frame_find(frame, name);
  if (binding) return binding->value;
  if (!strcmp(name, "training")) return value_bool(frame_is_training(el, frame));
  const Decl *decl = scope_find(frame->source, name);
  if (decl) return eval_decl(el, frame, decl, expr->loc);
  int builtin = builtin_by_name(name);
  if (builtin >= 0) return (Value){.kind = VALUE_BUILTIN, .builtin = builtin};
  Op op = op_by_name(name);
  if (op != OP_COUNT && !(op_info(op)->flags & OPF_HIDDEN)) return (Value){.kind = VALUE_OP, .op = op};
  ERROR(el, frame, expr->loc, "'%s' has no value here", name);
  HINT(el, "it gets one only in a branch or loop that is not taken for these values");
  return VALUE_POISONED;
}

// ---- lists ------------------------------------------------------------------------------------------------------

static Value eval_list(Elab *el, Frame *frame, const Expr *expr) {
  Value *items = ARENA_ARRAY(el->arena, Value, expr->items.n);
  for (int i = 0; i < expr->items.n; i++) items[i] = eval(el, frame, expr->items.items[i]);
  if (list_total(items, expr->items.n) > LIST_MAX) {
    ERROR(el, frame, expr->loc, "this list has more than %d elements", LIST_MAX);
    return VALUE_POISONED;
  }
  return value_list(el->arena, items, expr->items.n);
}

static Value eval_index(Elab *el, Frame *frame, const Expr *expr) {
  Value list = eval(el, frame, expr->a), index = eval(el, frame, expr->b);
  if (list.kind == VALUE_POISON || index.kind == VALUE_POISON) return VALUE_POISONED;
  if (list.kind != VALUE_LIST) {
    ERROR(el, frame, expr->a->loc, "only lists have elements, and this is %s", value_kind_text(el->arena, list));
    if (list.kind == VALUE_TENSOR) HINT(el, "a part of a tensor is slice(x, axis=0, start=0, stop=1)");
    return VALUE_POISONED;
  }
  if (index.kind != VALUE_INT) {
    ERROR(el, frame, expr->b->loc, "an index is an integer, not %s", value_kind_text(el->arena, index));
    return VALUE_POISONED;
  }
  int n = list.list->n;
  int64_t i = index.i < 0 ? index.i + n : index.i;
  if (i < 0 || i >= n) {
    ERROR(el, frame, expr->b->loc, "index %lld is out of range for a list of %d", (long long)index.i, n);
    return VALUE_POISONED;
  }
  return list.list->items[i];
}

// ---- choices ----------------------------------------------------------------------------------------------------

bool eval_condition(Elab *el, Frame *frame, const Expr *expr, bool *out) {
  Value value = eval(el, frame, expr);
  if (value.kind == VALUE_BOOL) {
    *out = value.i != 0;
    return true;
  }
  if (value.kind == VALUE_POISON) return false;
  ERROR(el, frame, expr->loc, "a condition is true or false, not %s", value_kind_text(el->arena, value));
  if (value.kind == VALUE_TENSOR)
    HINT(el, "conditions are settled while the graph is built; by element use select(condition, a, b)");
  return false;
}

static bool is_wildcard(const Expr *pattern) { return pattern->kind == EXPR_NAME && !strcmp(pattern->text, "_"); }

static Value eval_match(Elab *el, Frame *frame, const Expr *expr) {
  Value subject = eval(el, frame, expr->a);
  if (subject.kind == VALUE_POISON) return subject;
  enum { MAX_TEXTS = 32 };
  const char *texts[MAX_TEXTS];
  int n_texts = 0;
  for (int i = 0; i < expr->arms.n; i++) {
    const Arm *arm = &expr->arms.items[i];
    for (int p = 0; p < arm->patterns.n; p++) {
      const Expr *pattern = arm->patterns.items[p];
      if (is_wildcard(pattern)) return eval(el, frame, arm->value);
      Value value = eval(el, frame, pattern);
      if (value.kind == VALUE_POISON) return value;
      if (value_equal(value, subject)) return eval(el, frame, arm->value);
      if (value.kind == VALUE_STRING && n_texts < MAX_TEXTS) texts[n_texts++] = value.s;
    }
  }
  ERROR(el, frame, expr->a->loc, "no arm of this match is for %s", value_text(el->arena, subject));
  const char *near = subject.kind == VALUE_STRING ? nearest_name(subject.s, texts, n_texts) : NULL;
  const char *list = NULL;
  for (int i = 0; i < n_texts; i++)
    list = list ? arena_printf(el->arena, "%s, \"%s\"", list, texts[i]) : arena_printf(el->arena, "\"%s\"", texts[i]);
  if (near) HINT(el, "did you mean \"%s\"?", near);
  else if (list) HINT(el, "the arms are for %s; `_ => value` takes everything else", list);
  else HINT(el, "`_ => value` takes everything else");
  return VALUE_POISONED;
}

static Value eval_logic(Elab *el, Frame *frame, const Expr *expr) {
  bool a, b;
  if (!eval_condition(el, frame, expr->a, &a)) return VALUE_POISONED;
  if (expr->kind == EXPR_UNARY) return value_bool(!a);
  if (a == (expr->op == OPERATOR_OR)) return value_bool(a);
  if (!eval_condition(el, frame, expr->b, &b)) return VALUE_POISONED;
  return value_bool(b);
}

static Value eval_operator(Elab *el, Frame *frame, const Expr *expr) {
  if (expr->op == OPERATOR_AND || expr->op == OPERATOR_OR || expr->op == OPERATOR_NOT)
    return eval_logic(el, frame, expr);
  Value a = eval(el, frame, expr->a);
  if (expr->kind == EXPR_UNARY) return a.kind == VALUE_POISON ? a : eval_negated(el, frame, expr, a);
  Value b = eval(el, frame, expr->b);
  if (a.kind == VALUE_POISON || b.kind == VALUE_POISON) return VALUE_POISONED;
  return eval_binary(el, frame, expr, a, b);
}

// ---- all --------------------------------------------------------------------------------------------------------

static Value eval_one_result(Elab *el, Frame *frame, const Expr *expr) {
  Results results = eval_call(el, frame, expr);
  if (results.n == 1) return results.items[0];
  const char *callee = expr_text(el->arena, expr->a);
  if (results.n == 0) {
    ERROR(el, frame, expr->loc, "'%s' returns nothing where a value is wanted", callee);
    HINT(el, "a module gives its result with `return value`");
  } else {
    ERROR(el, frame, expr->loc, "'%s' returns %d values where one is wanted", callee, results.n);
    HINT(el, "take them apart first: a, b = %s(...)", callee);
  }
  return VALUE_POISONED;
}

static Value eval_plain(Elab *el, Frame *frame, const Expr *expr) {
  switch (expr->kind) {
  case EXPR_ERROR: return VALUE_POISONED;
  case EXPR_INT: return value_int(expr->integer);
  case EXPR_FLOAT: return value_float(expr->number);
  case EXPR_STRING: return value_string(expr->text);
  case EXPR_BOOL: return value_bool(expr->integer != 0);
  case EXPR_NONE: return (Value){.kind = VALUE_NONE};
  case EXPR_NAME: return eval_name(el, frame, expr);
  case EXPR_LIST: return eval_list(el, frame, expr);
  case EXPR_UNARY:
  case EXPR_BINARY: return eval_operator(el, frame, expr);
  case EXPR_INDEX: return eval_index(el, frame, expr);
  case EXPR_CALL: return eval_one_result(el, frame, expr);
  case EXPR_MATCH: return eval_match(el, frame, expr);
  case EXPR_IF: {
    bool is_true;
    if (!eval_condition(el, frame, expr->a, &is_true)) return VALUE_POISONED;
    return eval(el, frame, is_true ? expr->b : expr->c);
  }
  }
  return VALUE_POISONED;
}

Value eval(Elab *el, Frame *frame, const Expr *expr) {
  if (el->is_stopped) return VALUE_POISONED;
  if (el->depth >= MAX_DEPTH) {
    elab_stop(el, frame, expr->loc, "this is nested too deeply",
              "modules may call each other through arguments without end");
    return VALUE_POISONED;
  }
  el->depth++;
  Value value = eval_plain(el, frame, expr);
  el->depth--;
  return value;
}

Results eval_all(Elab *el, Frame *frame, const Expr *expr) {
  if (expr->kind != EXPR_CALL || el->is_stopped) return one(el, eval(el, frame, expr));
  return eval_call(el, frame, expr);
}

bool eval_size(Elab *el, Frame *frame, const Expr *expr, int64_t *out) {
  Value value = eval(el, frame, expr);
  if (value.kind == VALUE_POISON) return false;
  if (value.kind == VALUE_INT && value.i >= 1 && value.i <= (int64_t)1 << 40) {
    *out = value.i;
    return true;
  }
  if (value.kind == VALUE_INT)
    ERROR(el, frame, expr->loc, "a size is at least 1 and at most 2^40, not %lld", (long long)value.i);
  else ERROR(el, frame, expr->loc, "a size is an integer, not %s", value_text(el->arena, value));
  if (value.kind == VALUE_FLOAT) HINT(el, "`//` divides integers downwards");
  return false;
}
