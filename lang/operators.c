// operators: + - * / // % and comparisons, on static values and tensors.
#include <math.h>
#include <string.h>

#include "lang/elaborate.h"

static Value refuse_kinds(Elab *el, Frame *frame, const Expr *expr, Value a, Value b) {
  ERROR(el, frame, expr->loc, "'%s' does not go with %s and %s", operator_text(expr->op), value_kind_text(el->arena, a),
        value_kind_text(el->arena, b));
  return VALUE_POISONED;
}

static Value overflow(Elab *el, Frame *frame, const Expr *expr, Value a, Value b) {
  ERROR(el, frame, expr->loc, "%lld %s %lld does not fit an integer", (long long)a.i, operator_text(expr->op),
        (long long)b.i);
  return VALUE_POISONED;
}

static Value divided_by_zero(Elab *el, Frame *frame, const Expr *expr) {
  ERROR(el, frame, expr->loc, "division by zero");
  const char *text = expr_text(el->arena, expr->b);
  if (expr->b->kind != EXPR_INT && expr->b->kind != EXPR_FLOAT) NOTE(el, expr->b->loc, "%s is 0", text);
  return VALUE_POISONED;
}

static int64_t floor_quotient(int64_t a, int64_t b) {
  int64_t q = a / b;
  return a % b && (a < 0) != (b < 0) ? q - 1 : q;
}

static Value integers(Elab *el, Frame *frame, const Expr *expr, Value a, Value b) {
  int64_t result = 0;
  bool is_over = false;
  switch (expr->op) {
  case OPERATOR_ADD: is_over = __builtin_add_overflow(a.i, b.i, &result); break;
  case OPERATOR_SUB: is_over = __builtin_sub_overflow(a.i, b.i, &result); break;
  case OPERATOR_MUL: is_over = __builtin_mul_overflow(a.i, b.i, &result); break;
  default:
    if (b.i == 0) return divided_by_zero(el, frame, expr);
    if (b.i == -1) { // the one quotient that may not fit
      is_over = __builtin_sub_overflow(0, a.i, &result);
      if (expr->op == OPERATOR_MOD) return value_int(0);
      break;
    }
    if (expr->op == OPERATOR_DIV && a.i % b.i) return value_float((double)a.i / (double)b.i);
    result = floor_quotient(a.i, b.i);
    if (expr->op == OPERATOR_MOD) result = a.i - result * b.i;
  }
  return is_over ? overflow(el, frame, expr, a, b) : value_int(result);
}

static Value fractions(Elab *el, Frame *frame, const Expr *expr, double a, double b) {
  switch (expr->op) {
  case OPERATOR_ADD: return value_float(a + b);
  case OPERATOR_SUB: return value_float(a - b);
  case OPERATOR_MUL: return value_float(a * b);
  default: break;
  }
  if (b == 0) return divided_by_zero(el, frame, expr);
  if (expr->op == OPERATOR_DIV) return value_float(a / b);
  double floor_of = floor(a / b);
  return value_float(expr->op == OPERATOR_MOD ? a - floor_of * b : floor_of);
}

static Value compare(const Expr *expr, double a, double b) {
  switch (expr->op) {
  case OPERATOR_LT: return value_bool(a < b);
  case OPERATOR_LE: return value_bool(a <= b);
  case OPERATOR_GT: return value_bool(a > b);
  default: return value_bool(a >= b);
  }
}

static Value join_lists(Elab *el, Frame *frame, const Expr *expr, const List *a, const List *b) {
  if (a->total + b->total > LIST_MAX) {
    ERROR(el, frame, expr->loc, "this list has more than %d elements", LIST_MAX);
    return VALUE_POISONED;
  }
  el->n_steps += (a->n + b->n) / 8; // copying counts, so that lists built one by one stay bounded
  Value *items = ARENA_ARRAY(el->arena, Value, a->n + b->n);
  memcpy(items, a->items, sizeof *items * (size_t)a->n);
  memcpy(items + a->n, b->items, sizeof *items * (size_t)b->n);
  return value_list(el->arena, items, a->n + b->n);
}

static Value join_strings(Elab *el, Frame *frame, const Expr *expr, const char *a, const char *b) {
  size_t size = strlen(a) + strlen(b);
  el->n_steps += (int64_t)size / 64;
  if (size <= STRING_MAX) return value_string(arena_printf(el->arena, "%s%s", a, b));
  ERROR(el, frame, expr->loc, "this string has more than %d bytes", STRING_MAX);
  return VALUE_POISONED;
}

static Value range(Elab *el, Frame *frame, const Expr *expr, Value a, Value b) {
  if (a.kind != VALUE_INT || b.kind != VALUE_INT) return refuse_kinds(el, frame, expr, a, b);
  if (b.i > a.i && (uint64_t)b.i - (uint64_t)a.i > LIST_MAX) {
    ERROR(el, frame, expr->loc, "the range %lld..%lld has more than %d numbers", (long long)a.i, (long long)b.i,
          LIST_MAX);
    return VALUE_POISONED;
  }
  int n = b.i > a.i ? (int)(b.i - a.i) : 0;
  el->n_steps += n / 8;
  Value *items = ARENA_ARRAY(el->arena, Value, n);
  for (int i = 0; i < n; i++) items[i] = value_int(a.i + i);
  return value_list(el->arena, items, n);
}

// ---- tensors ----------------------------------------------------------------------------------------------------

static Value refuse_tensors(Elab *el, Frame *frame, const Expr *expr) {
  ERROR(el, frame, expr->loc, "'%s' is not an operator of tensors", operator_text(expr->op));
  switch (expr->op) {
  case OPERATOR_EQ:
  case OPERATOR_NE: HINT(el, "element by element: equal(a, b)"); break;
  case OPERATOR_LT:
  case OPERATOR_GT: HINT(el, "element by element: less(a, b) is 1 where a < b, else 0"); break;
  case OPERATOR_LE:
  case OPERATOR_GE: HINT(el, "element by element: less_equal(a, b) is 1 where a <= b, else 0"); break;
  default: break;
  }
  return VALUE_POISONED;
}

static Value tensors(Elab *el, Frame *frame, const Expr *expr, Value a, Value b) {
  Op op;
  switch (expr->op) {
  case OPERATOR_ADD: op = OP_add; break;
  case OPERATOR_SUB: op = OP_sub; break;
  case OPERATOR_MUL: op = OP_mul; break;
  case OPERATOR_DIV: op = OP_div; break;
  default: return refuse_tensors(el, frame, expr);
  }
  return apply_op(el, frame, expr->loc, op, (Value[]){a, b}, (const Expr *const[]){expr->a, expr->b}, 2, NULL);
}

static bool is_operand(Value value) { return value.kind == VALUE_TENSOR || value_is_number(value); }

Value eval_binary(Elab *el, Frame *frame, const Expr *expr, Value a, Value b) {
  bool is_equality = expr->op == OPERATOR_EQ || expr->op == OPERATOR_NE;
  if (expr->op == OPERATOR_RANGE) return range(el, frame, expr, a, b);
  if ((a.kind == VALUE_TENSOR || b.kind == VALUE_TENSOR) && is_operand(a) && is_operand(b))
    return tensors(el, frame, expr, a, b);
  if (is_equality) return value_bool(value_equal(a, b) == (expr->op == OPERATOR_EQ));
  if (value_is_number(a) && value_is_number(b)) {
    if (expr->op >= OPERATOR_LT && expr->op <= OPERATOR_GE) return compare(expr, value_number(a), value_number(b));
    if (a.kind == VALUE_INT && b.kind == VALUE_INT) return integers(el, frame, expr, a, b);
    return fractions(el, frame, expr, value_number(a), value_number(b));
  }
  if (expr->op == OPERATOR_ADD && a.kind == VALUE_LIST && b.kind == VALUE_LIST)
    return join_lists(el, frame, expr, a.list, b.list);
  if (expr->op == OPERATOR_ADD && a.kind == VALUE_STRING && b.kind == VALUE_STRING)
    return join_strings(el, frame, expr, a.s, b.s);
  return refuse_kinds(el, frame, expr, a, b);
}

Value eval_negated(Elab *el, Frame *frame, const Expr *expr, Value a) {
  if (a.kind == VALUE_FLOAT) return value_float(-a.f);
  if (a.kind == VALUE_INT && a.i != INT64_MIN) return value_int(-a.i);
  if (a.kind == VALUE_TENSOR)
    return apply_op(el, frame, expr->loc, OP_neg, &a, (const Expr *const[]){expr->a}, 1, NULL);
  ERROR(el, frame, expr->loc, "'-' does not go with %s", value_kind_text(el->arena, a));
  return VALUE_POISONED;
}
