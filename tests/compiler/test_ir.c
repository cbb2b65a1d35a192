// Tests of the loop-nest IR: index arithmetic keeps its value and its ranges, and simplifies what it should; text.
#include "compiler/kernel/ir.h"
#include "compiler/kernel/ir_build.h"
#include "tests/check.h"

enum { N_VARS = 4 };

static uint64_t seed = 7;
static int64_t pick(int64_t lo, int64_t hi) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return lo + (int64_t)((seed >> 33) % (uint64_t)(hi - lo + 1));
}

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

// The value of an index expression where variables have the given values.
static int64_t evaluate(const IrExpr *e, IrVar *const *var, const int64_t *value) {
  int64_t a = e->n_args > 0 && e->kind != IR_SUM ? evaluate(e->arg[0], var, value) : 0;
  int64_t b = e->n_args > 1 && e->kind != IR_SUM ? evaluate(e->arg[1], var, value) : 0;
  switch (e->kind) {
  case IR_INT: return e->i;
  case IR_REF:
    for (int k = 0; k < N_VARS; k++) {
      if (var[k] == e->var) return value[k];
    }
    return 0;
  case IR_SUM: {
    int64_t sum = e->i;
    for (int k = 0; k < e->n_args; k++) sum += e->coef[k] * evaluate(e->arg[k], var, value);
    return sum;
  }
  case IR_PRODUCT: return a * b;
  case IR_DIV: return floor_div(a, e->i);
  case IR_MOD: return a - e->i * floor_div(a, e->i);
  case IR_MIN: return a < b ? a : b;
  case IR_MAX: return a > b ? a : b;
  case IR_LESS: return a < b;
  case IR_EQUAL: return a == b;
  case IR_AND: return a && b;
  case IR_NOT: return !a;
  default: CHECK(false, "expression of kind %d", e->kind); return 0;
  }
}

// A random expression, built by the simplifying constructors, and its value worked out without them.
static IrExpr *grow(Ir *ir, int depth, IrVar *const *var, const int64_t *value, int64_t *out) {
  if (depth == 0) {
    int k = (int)pick(0, N_VARS);
    *out = k < N_VARS ? value[k] : pick(-9, 9);
    return k < N_VARS ? ir_ref(ir, var[k]) : ir_int(ir, *out);
  }
  int64_t a, b, c = pick(1, 12);
  IrExpr *x = grow(ir, depth - 1, var, value, &a), *y = grow(ir, depth - 1, var, value, &b);
  switch (pick(0, 12)) {
  case 0:
  case 1: *out = a + b; return ir_add(ir, x, y);
  case 2: *out = a - b; return ir_sub(ir, x, y);
  case 3:
  case 4: *out = a * c; return ir_scale(ir, x, c);
  case 5:
  case 6: *out = floor_div(a, c); return ir_div(ir, x, c);
  case 7:
  case 8: *out = a - c * floor_div(a, c); return ir_mod(ir, x, c);
  case 9: *out = a < b ? a : b; return ir_min(ir, x, y);
  case 10: *out = a > b ? a : b; return ir_max(ir, x, y);
  case 11: *out = 0 <= a && a < c; return ir_inside(ir, x, c);
  default: *out = a == b; return ir_equal(ir, x, y);
  }
}

static void test_random(void) {
  for (int round = 0; round < 20000; round++) {
    Arena *arena = arena_new();
    Ir *ir = ir_new(arena, target_host());
    IrVar *var[N_VARS];
    int64_t value[N_VARS];
    for (int k = 0; k < N_VARS; k++) {
      int64_t hi = pick(0, 20);
      var[k] = ir_var(ir, IR_INDEX, "v", 0, hi);
      value[k] = pick(0, hi);
    }
    int64_t want;
    IrExpr *e = grow(ir, (int)pick(1, 5), var, value, &want);
    int64_t got = evaluate(e, var, value);
    CHECK(got == want, "round %d: %lld, should be %lld", round, (long long)got, (long long)want);
    CHECK(e->lo <= got && got <= e->hi, "round %d: %lld outside %lld..%lld", round, (long long)got, (long long)e->lo,
          (long long)e->hi);
    // Putting numbers in place of the variables gives the number.
    for (int k = 0; k < N_VARS; k++) e = ir_substitute(ir, e, var[k], ir_int(ir, value[k]));
    CHECK(ir_is_int(e, want), "round %d: does not become %lld", round, (long long)want);
    arena_free(arena);
  }
}

static void check_text(Ir *ir, const IrExpr *e, const char *want) {
  Text text = {0};
  ir_print_expr(ir, e, &text);
  CHECK_TEXT(text_get(&text), want, "an expression");
  text_free(&text);
}

static void test_simplification(void) {
  Arena *arena = arena_new();
  Ir *ir = ir_new(arena, target_host());
  IrExpr *y = ir_ref(ir, ir_var(ir, IR_INDEX, "y", 0, 5)), *x = ir_ref(ir, ir_var(ir, IR_INDEX, "x", 0, 7));
  IrExpr *flat = ir_add(ir, ir_scale(ir, y, 8), x);
  check_text(ir, flat, "y * 8 + x");
  check_text(ir, ir_div(ir, flat, 8), "y");
  check_text(ir, ir_mod(ir, flat, 8), "x");
  check_text(ir, ir_div(ir, flat, 16), "y / 2");
  check_text(ir, ir_mod(ir, flat, 16), "y % 2 * 8 + x");
  check_text(ir, ir_mod(ir, flat, 4), "x % 4");
  check_text(ir, ir_less(ir, flat, ir_int(ir, 48)), "1");
  check_text(ir, ir_inside(ir, ir_offset(ir, x, -1), 8), "-1 < x - 1");
  check_text(ir, ir_sub(ir, flat, flat), "0");
  // What a reshape there and back leaves.
  IrExpr *i = ir_ref(ir, ir_var(ir, IR_INDEX, "i", 0, 47));
  IrExpr *parts = ir_add(ir, ir_scale(ir, ir_div(ir, i, 12), 12), ir_scale(ir, ir_mod(ir, ir_div(ir, i, 4), 3), 4));
  check_text(ir, ir_add(ir, parts, ir_mod(ir, i, 4)), "i");
  int64_t coef;
  CHECK(ir_affine_in(flat, y->var, &coef) && coef == 8, "coefficient %lld", (long long)coef);
  CHECK(!ir_affine_in(ir_div(ir, i, 5), i->var, &coef), "a quotient is not linear");
  arena_free(arena);
}

// A kernel that doubles 40 numbers in tasks of 8; `name` is the user's.
static const char *print_double(Arena *arena, const char *name, const char *about, Text *out) {
  Ir *ir = ir_new(arena, target_host());
  ir->function->name = "double_40";
  ir->function->about = about;
  IrBuffer *from = ir_arg(ir, name, false, 0), *to = ir_arg(ir, "y", true, 0);
  int64_t n_tasks = 5;
  IrExpr *task;
  ir_tasks(ir, 1, &n_tasks, (const char *const[]){"part"}, &task);
  IrVar *i = ir_var(ir, IR_INDEX, "i", 0, 7);
  IrStmt *body = ir_for(ir, ir->function->body, i, ir_int(ir, 0), ir_int(ir, 8), 1, IR_SERIAL);
  IrExpr *at = ir_add(ir, ir_scale(ir, task, 8), ir_ref(ir, i));
  IrExpr *x = ir_load(ir, from, at);
  ir_store(ir, body, to, at, ir_op2(ir, OP_add, x, x));
  return ir_print(ir, out);
}

static void test_text(void) {
  Arena *arena = arena_new();
  Text first = {0}, second = {0};
  const char *symbol = print_double(arena, "x", "doubles\nnet.net:3", &first);
  const char *same = print_double(arena, "for", "the same, said elsewhere", &second);
  CHECK_TEXT(symbol, same, "names and comments do not count");
  CHECK(strstr(text_get(&first), "// doubles\n// net.net:3\nKERNEL(double_40_"), "%s", text_get(&first));
  CHECK(strstr(text_get(&first), "    for (i64 i = 0; i < 8; i++) {\n"
                                 "      y[task * 8 + i] = x[task * 8 + i] + x[task * 8 + i];\n"),
        "%s", text_get(&first));
  CHECK(strstr(text_get(&second), "const float *restrict for_ = arg[0];"), "%s", text_get(&second));
  text_free(&first);
  text_free(&second);
  arena_free(arena);
}

// What means something to a compiler or to our preambles is no name for a variable, wherever it stands in their list.
static void test_names(void) {
  static const char *const taken[] = {"alignas",  "and",   "xor_eq", "words", "while", "x_or",     "make_float4",
                                      "sg_while", "sqrtx", "sqrt",   "vadd",  "vdexp", "vgather_n"};
  static const char *const names[] = {"alignas_",  "and_",  "xor_eq_", "words_", "while_", "x_or",      "make_float4_",
                                      "sg_while_", "sqrtx", "sqrt_",   "vadd_",  "vdexp_", "vgather_n_"};
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
    Arena *arena = arena_new();
    Ir *ir = ir_new(arena, target_host());
    check_text(ir, ir_ref(ir, ir_var(ir, IR_INDEX, taken[i], 0, 9)), names[i]);
    arena_free(arena);
  }
}

int main(void) {
  test_names();
  test_random();
  test_simplification();
  test_text();
  return check_report("ir");
}
