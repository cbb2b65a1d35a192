// How wide integers have to be: 32 bits do where all ranges fit, and are faster on GPUs.
#include <stdlib.h>

#include "compiler/kernel/ir_build.h"

enum { COUNTED = 1 << 24 }; // what a float counts exactly

typedef struct Width {
  Ir *ir;
  IrMap seen; // expressions found to fit: their Range
} Width;

typedef struct Range {
  int64_t lo, hi;
} Range;

static bool is_int(Range r) { return r.lo >= INT32_MIN && r.hi <= INT32_MAX; }

// The range of an index with what is unknown taken as COUNTED; false where it, or something under it, does not fit.
static bool range_of(Width *w, const IrExpr *e, Range *out);

static bool range_of_sum(Width *w, const IrExpr *e, Range *out) {
  Range sum = {e->i, e->i};
  if (!is_int(sum)) return false;
  for (int k = 0; k < e->n_args; k++) {
    Range term;
    if (!range_of(w, e->arg[k], &term)) return false;
    int64_t a = e->coef[k] * term.lo, b = e->coef[k] * term.hi; // of 32 by 32 bits, if the coefficient fits
    if (e->coef[k] > INT32_MAX || e->coef[k] < INT32_MIN || !is_int((Range){a, a}) || !is_int((Range){b, b}))
      return false;
    sum.lo += a < b ? a : b;
    sum.hi += a < b ? b : a;
  }
  // Ranges known better than by their parts (a quotient and its remainder) hold as well.
  if (e->lo > sum.lo) sum.lo = e->lo;
  if (e->hi < sum.hi) sum.hi = e->hi;
  *out = sum;
  return is_int(sum);
}

static bool range_of(Width *w, const IrExpr *e, Range *out) {
  const Range *known = ir_map_get(&w->seen, e);
  if (known) {
    *out = *known;
    return true;
  }
  Range r = {e->lo, e->hi};
  for (int k = 0; k < e->n_args; k++) {
    Range unused;
    if (e->kind != IR_SUM && e->arg[k]->type == IR_INDEX && !range_of(w, e->arg[k], &unused)) return false;
  }
  if (e->kind == IR_SUM) {
    if (!range_of_sum(w, e, &r)) return false;
  } else if (r.lo <= -IR_ANY || r.hi >= IR_ANY) {
    r = (Range){-COUNTED, COUNTED};
  }
  if ((e->kind == IR_DIV || e->kind == IR_MOD) && e->i > INT32_MAX) return false;
  if (!is_int(r)) return false;
  ir_map_set(&w->seen, w->ir->arena, e, arena_memdup(w->ir->arena, &r, sizeof r));
  *out = r;
  return true;
}

static bool expr_fits(Width *w, const IrExpr *e) {
  Range unused;
  if (!e) return true;
  if (e->type == IR_INDEX && !range_of(w, e, &unused)) return false;
  if (e->n_args == 0 || (e->type != IR_INDEX && ir_map_get(&w->seen, e))) return true;
  if (e->type != IR_INDEX) ir_map_set(&w->seen, w->ir->arena, e, w);
  for (int k = 0; k < e->n_args; k++) {
    if (!expr_fits(w, e->arg[k])) return false;
  }
  return true;
}

static bool stmt_fits(Width *w, const IrStmt *s) {
  if (!expr_fits(w, s->begin) || !expr_fits(w, s->end) || !expr_fits(w, s->index) || !expr_fits(w, s->value))
    return false;
  // A loop's variable goes one step beyond the end.
  Range end;
  if (s->kind == IR_FOR && (!range_of(w, s->end, &end) || !is_int((Range){end.lo, end.hi + s->step}))) return false;
  for (int k = 0; k < s->n_body; k++) {
    if (!stmt_fits(w, s->body[k])) return false;
  }
  return true;
}

bool ir_fits_int(Ir *ir) {
  Width w = {.ir = ir};
  return ir->function->n_tasks <= INT32_MAX && stmt_fits(&w, ir->function->body);
}
