// Index expressions: sums of coefficient * atom with known ranges, simplified as they are built.
#include <string.h>

#include "compiler/kernel/ir.h"
#include "compiler/kernel/ir_build.h"

int64_t ir_floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a % b < 0) != (b < 0)); }

static int64_t gcd(int64_t a, int64_t b) {
  while (b) {
    int64_t r = a % b;
    a = b;
    b = r;
  }
  return a < 0 ? -a : a;
}

IrVar *ir_var(Ir *ir, IrType type, const char *name, int64_t lo, int64_t hi) {
  IrVar *var = ARENA_ARRAY(ir->arena, IrVar, 1);
  *var = (IrVar){.id = ir->n_vars++, .type = type, .name = name, .lo = lo, .hi = hi};
  return var;
}

IrExpr *ir_ref(Ir *ir, IrVar *var) {
  if (var->type == IR_INDEX && var->lo == var->hi) return ir_int(ir, var->lo);
  IrExpr *e = ir_node(ir, IR_REF, var->type, 0);
  e->var = var;
  e->lo = var->lo;
  e->hi = var->hi;
  return e;
}

IrExpr *ir_int(Ir *ir, int64_t value) {
  IrExpr *e = ir_node(ir, IR_INT, IR_INDEX, 0);
  e->i = e->lo = e->hi = value;
  return e;
}

bool ir_is_int(const IrExpr *e, int64_t value) { return e->kind == IR_INT && e->i == value; }

// ---- sums: collected in a small open form, closed by sum_close

typedef struct Sum {
  int n, cap;
  IrExpr **arg;
  int64_t *coef;
  int64_t i;
} Sum;

static void sum_term(Ir *ir, Sum *sum, IrExpr *atom, int64_t coef) {
  for (int k = 0; k < sum->n; k++) {
    if (ir_same(sum->arg[k], atom)) {
      sum->coef[k] += coef;
      return;
    }
  }
  if (sum->n == sum->cap) {
    int cap = sum->cap ? 2 * sum->cap : 8;
    sum->arg = arena_grow(ir->arena, sum->arg, sizeof(IrExpr *) * sum->n, sizeof(IrExpr *) * cap);
    sum->coef = arena_grow(ir->arena, sum->coef, sizeof(int64_t) * sum->n, sizeof(int64_t) * cap);
    sum->cap = cap;
  }
  sum->arg[sum->n] = atom;
  sum->coef[sum->n++] = coef;
}

static void sum_add(Ir *ir, Sum *sum, IrExpr *e, int64_t factor) {
  if (e->kind == IR_INT) {
    sum->i += factor * e->i;
  } else if (e->kind == IR_SUM) {
    sum->i += factor * e->i;
    for (int k = 0; k < e->n_args; k++) sum_term(ir, sum, e->arg[k], factor * e->coef[k]);
  } else {
    sum_term(ir, sum, e, factor);
  }
}

// d * floor(x / d) + x mod d is x. Returns whether it found such a pair.
static bool sum_rejoin(Ir *ir, Sum *sum) {
  for (int m = 0; m < sum->n; m++) {
    if (sum->coef[m] == 0 || sum->arg[m]->kind != IR_MOD) continue;
    int64_t d = sum->arg[m]->i, coef = sum->coef[m];
    IrExpr *x = sum->arg[m]->arg[0];
    IrExpr *quotient = ir_div(ir, x, d);
    for (int k = 0; k < sum->n; k++) {
      if (k == m || sum->coef[k] != coef * d || !ir_same(sum->arg[k], quotient)) continue;
      sum->coef[k] = sum->coef[m] = 0;
      sum_add(ir, sum, x, coef);
      return true;
    }
  }
  return false;
}

static IrExpr *sum_close(Ir *ir, Sum *sum) {
  while (sum_rejoin(ir, sum)) {
  }
  int n = 0;
  for (int k = 0; k < sum->n; k++) {
    if (sum->coef[k] == 0) continue;
    sum->arg[n] = sum->arg[k];
    sum->coef[n++] = sum->coef[k];
  }
  if (n == 0) return ir_int(ir, sum->i);
  if (n == 1 && sum->coef[0] == 1 && sum->i == 0) return sum->arg[0];
  IrExpr *e = ir_node(ir, IR_SUM, IR_INDEX, n);
  memcpy(e->arg, sum->arg, sizeof(IrExpr *) * (size_t)n);
  e->coef = arena_memdup(ir->arena, sum->coef, sizeof(int64_t) * (size_t)n);
  e->i = e->lo = e->hi = sum->i;
  for (int k = 0; k < n; k++) {
    int64_t a = e->coef[k] * e->arg[k]->lo, b = e->coef[k] * e->arg[k]->hi;
    e->lo += a < b ? a : b;
    e->hi += a < b ? b : a;
  }
  if (e->lo == e->hi) return ir_int(ir, e->lo);
  return e;
}

IrExpr *ir_add(Ir *ir, IrExpr *a, IrExpr *b) {
  Sum sum = {0};
  sum_add(ir, &sum, a, 1);
  sum_add(ir, &sum, b, 1);
  return sum_close(ir, &sum);
}

IrExpr *ir_sub(Ir *ir, IrExpr *a, IrExpr *b) {
  Sum sum = {0};
  sum_add(ir, &sum, a, 1);
  sum_add(ir, &sum, b, -1);
  return sum_close(ir, &sum);
}

IrExpr *ir_scale(Ir *ir, IrExpr *a, int64_t factor) {
  Sum sum = {0};
  sum_add(ir, &sum, a, factor);
  return sum_close(ir, &sum);
}

IrExpr *ir_offset(Ir *ir, IrExpr *a, int64_t by) { return by ? ir_add(ir, a, ir_int(ir, by)) : a; }

IrExpr *ir_product(Ir *ir, IrExpr *a, IrExpr *b) {
  if (a->kind == IR_INT) return ir_scale(ir, b, a->i);
  if (b->kind == IR_INT) return ir_scale(ir, a, b->i);
  IrExpr *e = ir_node(ir, IR_PRODUCT, IR_INDEX, 2);
  e->arg[0] = a;
  e->arg[1] = b;
  int64_t corner[4] = {a->lo * b->lo, a->lo * b->hi, a->hi * b->lo, a->hi * b->hi};
  e->lo = e->hi = corner[0];
  for (int k = 1; k < 4; k++) {
    if (corner[k] < e->lo) e->lo = corner[k];
    if (corner[k] > e->hi) e->hi = corner[k];
  }
  return e;
}

// ---- division

// a = d * (*out_quotient) + rest, where rest has no part divisible by d.
static IrExpr *split(Ir *ir, IrExpr *a, int64_t d, IrExpr **out_quotient) {
  Sum quotient = {0}, rest = {0};
  if (a->kind != IR_SUM) {
    *out_quotient = ir_int(ir, 0);
    return a;
  }
  for (int k = 0; k < a->n_args; k++) {
    if (a->coef[k] % d == 0) sum_term(ir, &quotient, a->arg[k], a->coef[k] / d);
    else sum_term(ir, &rest, a->arg[k], a->coef[k]);
  }
  quotient.i = ir_floor_div(a->i, d);
  rest.i = a->i - d * quotient.i;
  *out_quotient = sum_close(ir, &quotient);
  return sum_close(ir, &rest);
}

// Looks for a g > 1 dividing d with e = g * (*out_reduced) + (*out_rest), where the rest lies in 0 .. g - 1: then
// floor(e / d) = floor(reduced / (d / g)), and e mod d = g * (reduced mod (d / g)) + rest. Returns g, or 1.
static int64_t common_factor(Ir *ir, IrExpr *e, int64_t d, IrExpr **out_reduced, IrExpr **out_rest) {
  for (int c = 0; e->kind == IR_SUM && c < e->n_args; c++) {
    int64_t g = gcd(d, e->coef[c]);
    if (g == 1) continue;
    Sum reduced = {.i = ir_floor_div(e->i, g)}, rest = {.i = e->i - g * reduced.i};
    for (int k = 0; k < e->n_args; k++) {
      if (e->coef[k] % g == 0) sum_term(ir, &reduced, e->arg[k], e->coef[k] / g);
      else sum_term(ir, &rest, e->arg[k], e->coef[k]);
    }
    *out_rest = sum_close(ir, &rest);
    if ((*out_rest)->lo < 0 || (*out_rest)->hi >= g) continue;
    *out_reduced = sum_close(ir, &reduced);
    return g;
  }
  return 1;
}

IrExpr *ir_div(Ir *ir, IrExpr *a, int64_t d) {
  if (d == 1) return a;
  if (a->kind == IR_INT) return ir_int(ir, ir_floor_div(a->i, d));
  IrExpr *quotient;
  IrExpr *rest = split(ir, a, d, &quotient);
  int64_t first = ir_floor_div(rest->lo, d), last = ir_floor_div(rest->hi, d);
  if (first == last) return ir_offset(ir, quotient, first);
  IrExpr *reduced, *unused;
  int64_t g = common_factor(ir, rest, d, &reduced, &unused);
  if (g > 1) return ir_add(ir, quotient, ir_div(ir, reduced, d / g));
  if (rest->kind == IR_DIV) return ir_add(ir, quotient, ir_div(ir, rest->arg[0], rest->i * d));
  IrExpr *e = ir_node(ir, IR_DIV, IR_INDEX, 1);
  e->arg[0] = rest;
  e->i = d;
  e->lo = first;
  e->hi = last;
  return ir_add(ir, quotient, e);
}

IrExpr *ir_mod(Ir *ir, IrExpr *a, int64_t d) {
  if (d == 1) return ir_int(ir, 0);
  if (a->kind == IR_INT) return ir_int(ir, a->i - d * ir_floor_div(a->i, d));
  IrExpr *quotient;
  IrExpr *rest = split(ir, a, d, &quotient);
  int64_t first = ir_floor_div(rest->lo, d), last = ir_floor_div(rest->hi, d);
  if (first == last) return ir_offset(ir, rest, -first * d);
  IrExpr *reduced, *small;
  int64_t g = common_factor(ir, rest, d, &reduced, &small);
  if (g > 1) return ir_add(ir, ir_scale(ir, ir_mod(ir, reduced, d / g), g), small);
  IrExpr *e = ir_node(ir, IR_MOD, IR_INDEX, 1);
  e->arg[0] = rest;
  e->i = d;
  e->lo = 0;
  e->hi = d - 1;
  return e;
}

// ---- limits and conditions

IrExpr *ir_min(Ir *ir, IrExpr *a, IrExpr *b) {
  if (a->hi <= b->lo) return a;
  if (b->hi <= a->lo) return b;
  IrExpr *e = ir_node(ir, IR_MIN, IR_INDEX, 2);
  e->arg[0] = a;
  e->arg[1] = b;
  e->lo = a->lo < b->lo ? a->lo : b->lo;
  e->hi = a->hi < b->hi ? a->hi : b->hi;
  return e;
}

IrExpr *ir_max(Ir *ir, IrExpr *a, IrExpr *b) {
  if (a->hi <= b->lo) return b;
  if (b->hi <= a->lo) return a;
  IrExpr *e = ir_node(ir, IR_MAX, IR_INDEX, 2);
  e->arg[0] = a;
  e->arg[1] = b;
  e->lo = a->lo > b->lo ? a->lo : b->lo;
  e->hi = a->hi > b->hi ? a->hi : b->hi;
  return e;
}

static IrExpr *condition(Ir *ir, IrKind kind, IrExpr *a, IrExpr *b) {
  IrExpr *e = ir_node(ir, kind, IR_INDEX, b ? 2 : 1);
  e->arg[0] = a;
  if (b) e->arg[1] = b;
  e->lo = 0;
  e->hi = 1;
  return e;
}

IrExpr *ir_less(Ir *ir, IrExpr *a, IrExpr *b) {
  IrExpr *difference = ir_sub(ir, a, b);
  if (difference->hi < 0) return ir_int(ir, 1);
  if (difference->lo >= 0) return ir_int(ir, 0);
  return condition(ir, IR_LESS, a, b);
}

IrExpr *ir_equal(Ir *ir, IrExpr *a, IrExpr *b) {
  IrExpr *difference = ir_sub(ir, a, b);
  if (ir_is_int(difference, 0)) return ir_int(ir, 1);
  if (difference->lo > 0 || difference->hi < 0) return ir_int(ir, 0);
  return condition(ir, IR_EQUAL, a, b);
}

IrExpr *ir_and(Ir *ir, IrExpr *a, IrExpr *b) {
  if (ir_is_int(a, 0) || ir_is_int(b, 1)) return a;
  if (ir_is_int(b, 0) || ir_is_int(a, 1)) return b;
  if (ir_same(a, b)) return a;
  return condition(ir, IR_AND, a, b);
}

IrExpr *ir_not(Ir *ir, IrExpr *a) {
  if (a->kind == IR_INT) return ir_int(ir, !a->i);
  return condition(ir, IR_NOT, a, NULL);
}

IrExpr *ir_inside(Ir *ir, IrExpr *a, int64_t n) {
  return ir_and(ir, ir_less(ir, ir_int(ir, -1), a), ir_less(ir, a, ir_int(ir, n)));
}

// ---- questions

bool ir_uses(const IrExpr *e, const IrVar *var) {
  if (e->kind == IR_REF) return e->var == var;
  for (int k = 0; k < e->n_args; k++) {
    if (ir_uses(e->arg[k], var)) return true;
  }
  return false;
}

bool ir_affine_in(const IrExpr *e, const IrVar *var, int64_t *out_coef) {
  *out_coef = 0;
  if (e->kind == IR_REF && e->var == var) {
    *out_coef = 1;
    return true;
  }
  if (e->kind != IR_SUM) return !ir_uses(e, var);
  for (int k = 0; k < e->n_args; k++) {
    if (e->arg[k]->kind == IR_REF && e->arg[k]->var == var) *out_coef = e->coef[k];
    else if (ir_uses(e->arg[k], var)) return false;
  }
  return true;
}

bool ir_same(const IrExpr *a, const IrExpr *b) {
  if (a == b) return true;
  if (a->kind != b->kind || a->type != b->type || a->i != b->i || a->var != b->var || a->buffer != b->buffer ||
      a->n_args != b->n_args || a->op != b->op)
    return false;
  if (a->kind == IR_NUMBER) return memcmp(&a->f, &b->f, sizeof a->f) == 0;
  if (a->kind == IR_CALL && strcmp(a->name, b->name) != 0) return false;
  if (a->attr != b->attr &&
      (!a->attr || !b->attr || memcmp(a->attr, b->attr, sizeof(AttrValue) * (size_t)op_info(a->op)->n_attrs) != 0))
    return false;
  if (a->kind == IR_SUM && memcmp(a->coef, b->coef, sizeof(int64_t) * (size_t)a->n_args) != 0) return false;
  for (int k = 0; k < a->n_args; k++) {
    if (!ir_same(a->arg[k], b->arg[k])) return false;
  }
  return true;
}

IrExpr *ir_lookup(Ir *ir, const IrBuffer *table, IrExpr *index, int64_t lo, int64_t hi) {
  if (index->kind == IR_INT) return ir_int(ir, (int64_t)table->values[index->i]);
  IrExpr *e = ir_node(ir, IR_LOAD, IR_INDEX, 1);
  e->buffer = table;
  e->arg[0] = index;
  e->lo = lo;
  e->hi = hi;
  return e;
}
