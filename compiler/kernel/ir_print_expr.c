// The printer, first half: names and expressions.
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/kernel/ir_print.h"
#include "runtime/base/status.h"

// ---- names

// Keywords of C and C++, names that kernels are made of, and what compilers and libraries may define in small letters:
// in the order of strcmp, for the search.
static const char *const reserved[] = {"alignas",
                                       "alignof",
                                       "and",
                                       "and_eq",
                                       "arg",
                                       "asm",
                                       "auto",
                                       "begin",
                                       "bitand",
                                       "bitor",
                                       "blockDim",
                                       "blockIdx",
                                       "block_max",
                                       "block_sum",
                                       "bool",
                                       "break",
                                       "case",
                                       "catch",
                                       "char",
                                       "char16_t",
                                       "char32_t",
                                       "char8_t",
                                       "class",
                                       "co_await",
                                       "co_return",
                                       "co_yield",
                                       "column_max",
                                       "column_sum",
                                       "compl",
                                       "concept",
                                       "const",
                                       "const_cast",
                                       "consteval",
                                       "constexpr",
                                       "constinit",
                                       "context",
                                       "continue",
                                       "decltype",
                                       "default",
                                       "delete",
                                       "dlanes_sum",
                                       "dload",
                                       "do",
                                       "double",
                                       "dsplat",
                                       "dstore",
                                       "dynamic_cast",
                                       "else",
                                       "end",
                                       "enum",
                                       "explicit",
                                       "export",
                                       "extern",
                                       "false",
                                       "find_row",
                                       "float",
                                       "float4",
                                       "floor_div",
                                       "floor_mod",
                                       "for",
                                       "friend",
                                       "goto",
                                       "gridDim",
                                       "i386",
                                       "i64",
                                       "if",
                                       "imax",
                                       "imin",
                                       "inline",
                                       "int",
                                       "is_last_block",
                                       "key_word",
                                       "lane_id",
                                       "lanes_max",
                                       "lanes_sum",
                                       "linux",
                                       "load_quad",
                                       "long",
                                       "make_float4",
                                       "mutable",
                                       "n_rows",
                                       "namespace",
                                       "nearest_of_block",
                                       "nearest_of_threads",
                                       "nearest_row",
                                       "new",
                                       "noexcept",
                                       "not",
                                       "not_eq",
                                       "nullptr",
                                       "operator",
                                       "or",
                                       "or_eq",
                                       "philox",
                                       "private",
                                       "protected",
                                       "public",
                                       "random_block",
                                       "random_quad",
                                       "random_run",
                                       "register",
                                       "reinterpret_cast",
                                       "requires",
                                       "restrict",
                                       "return",
                                       "row",
                                       "scatter_add_row",
                                       "scratch",
                                       "shared_memory",
                                       "short",
                                       "signed",
                                       "sizeof",
                                       "static",
                                       "static_assert",
                                       "static_cast",
                                       "store_quad",
                                       "struct",
                                       "switch",
                                       "table",
                                       "team_mask",
                                       "team_max",
                                       "team_sum",
                                       "template",
                                       "this",
                                       "threadIdx",
                                       "thread_local",
                                       "throw",
                                       "to_double",
                                       "to_float",
                                       "true",
                                       "try",
                                       "typedef",
                                       "typeid",
                                       "typename",
                                       "typeof",
                                       "union",
                                       "unix",
                                       "unsigned",
                                       "using",
                                       "vd",
                                       "vf",
                                       "vgather",
                                       "vgather_n",
                                       "vi",
                                       "virtual",
                                       "vkeep",
                                       "vl",
                                       "vload",
                                       "vload_n",
                                       "void",
                                       "volatile",
                                       "vpick",
                                       "vpick_1",
                                       "vpick_2",
                                       "vpick_n",
                                       "vsel",
                                       "vsplat",
                                       "vstore",
                                       "vstore_n",
                                       "warpSize",
                                       "wchar_t",
                                       "while",
                                       "words",
                                       "xor",
                                       "xor_eq"};

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static bool is_reserved(const char *name) {
  if (bsearch(&name, reserved, sizeof reserved / sizeof *reserved, sizeof *reserved, by_text)) return true;
  if (strncmp(name, "sg_", 3) == 0 || strncmp(name, "__", 2) == 0) return true;
  // Functions of ops are called s, v, d or vd and the op's name.
  const char *rest = strchr("svd", name[0]) ? name + 1 : name;
  return op_by_name(name) != OP_COUNT || op_by_name(rest) != OP_COUNT ||
         (rest[0] == 'd' && op_by_name(rest + 1) != OP_COUNT);
}

const char *unique_name(Printer *p, const char *wish, bool is_buffer) {
  Arena *arena = p->ir->arena;
  if (p->is_canonical) return arena_printf(arena, "%c%d", is_buffer ? 'b' : 'v', p->n_canonical++);
  char *name = arena_strdup(arena, wish && *wish ? wish : "t");
  bool is_macro = true; // names in capitals are macros' more often than not
  for (char *c = name; *c; c++) {
    if (!isalnum((unsigned char)*c)) *c = '_';
    is_macro = is_macro && !islower((unsigned char)*c);
  }
  for (char *c = name; is_macro && *c; c++) *c = (char)tolower((unsigned char)*c);
  if (isdigit((unsigned char)name[0]) || name[0] == '_') name = arena_printf(arena, "n%s", name);
  if (is_reserved(name)) name = arena_printf(arena, "%s_", name);
  const char *base = name;
  size_t n = strlen(base);
  const char *joint = n && isdigit((unsigned char)base[n - 1]) ? "_" : "";
  for (int k = 2; strmap_get(p->taken, name); k++) name = arena_printf(arena, "%s%s%d", base, joint, k);
  strmap_set(p->taken, name, p);
  return name;
}

const char *print_var_name(Printer *p, const IrVar *var) {
  if (!p->var_name[var->id]) p->var_name[var->id] = unique_name(p, var->name, false);
  return p->var_name[var->id];
}

const char *print_buffer_name(Printer *p, const IrBuffer *buffer) {
  if (!p->buffer_name[buffer->id]) p->buffer_name[buffer->id] = unique_name(p, buffer->name, true);
  return p->buffer_name[buffer->id];
}

// ---- expressions

static void open_paren(Printer *p, int own, int level) {
  if (own < level) text_put(p->out, "(");
}
static void close_paren(Printer *p, int own, int level) {
  if (own < level) text_put(p->out, ")");
}

void print_number(Printer *p, double value) {
  float f = (float)value;
  if (isnan(f)) {
    text_put(p->out, p->spell->nan);
    return;
  }
  if (isinf(f)) {
    text_printf(p->out, "%s%s", f < 0 ? "-" : "", p->spell->infinity);
    return;
  }
  if (fabsf(f) < 1e6f && f == (float)(int)f && !(f == 0 && signbit(f))) { // what %g would say, without a search
    text_put_int(p->out, (int)f);
    text_put(p->out, ".0f");
    return;
  }
  char digits[40];
  for (int n = 6; n <= 9; n++) {
    snprintf(digits, sizeof digits, "%.*g", n, (double)f);
    if (strtof(digits, NULL) == f) break;
  }
  text_put(p->out, digits);
  if (!strpbrk(digits, ".e")) text_put(p->out, ".0");
  text_put(p->out, "f");
}

int print_add_number(Printer *p, SgNumber number, bool is_float) {
  IrFunction *f = p->ir->function;
  int place = f->n_numbers;
  ARENA_PUSH(p->ir->arena, f->numbers, f->n_numbers, f->cap_numbers, number);
  text_printf(&p->numbers[is_float], "%s%c%d = NUMBER(%d).%c", p->numbers[is_float].size ? ", " : "", "NF"[is_float],
              place, place, "if"[is_float]);
  return place;
}

void print_int(Printer *p, int64_t value) {
  if (!p->ir->function->takes_numbers || p->as_written || value <= 1) text_put_int(p->out, value);
  else text_printf(p->out, "N%d", print_add_number(p, (SgNumber){.i = value}, false));
}

// A constant: 0, 1 and what is not finite say more than a number would.
static void put_constant(Printer *p, double value, int level) {
  float f = (float)value;
  if (p->ir->function->takes_numbers && isfinite(f) && f != 0 && fabsf(f) != 1) {
    SgNumber number = {0};
    number.f = f;
    text_printf(p->out, "F%d", print_add_number(p, number, true));
    return;
  }
  int own = signbit(value) ? P_UNARY : P_PRIMARY;
  open_paren(p, own, level);
  print_number(p, value);
  close_paren(p, own, level);
}

// How many lanes: a whole vector is one whatever is in it.
static void put_lanes(Printer *p, const IrExpr *n) {
  p->as_written += n->kind == IR_INT;
  print_expr(p, n, P_TERNARY);
  p->as_written -= n->kind == IR_INT;
}

static void put_sum(Printer *p, const IrExpr *e, int level) {
  bool is_single = e->n_args == 1 && e->i == 0;
  int own = is_single ? P_PRODUCT : P_SUM;
  open_paren(p, own, level);
  bool is_first = true;
  for (int sign = 1; sign >= -1; sign -= 2) { // what is added first
    for (int k = 0; k < e->n_args; k++) {
      int64_t c = e->coef[k];
      if ((c > 0 ? 1 : -1) != sign) continue;
      if (sign > 0) text_put(p->out, is_first ? "" : " + ");
      else text_put(p->out, is_first ? "-" : " - ");
      is_first = false;
      bool is_scaled = c != 1 && c != -1;
      print_expr(p, e->arg[k], is_scaled || sign < 0 ? P_PRODUCT : P_SUM);
      if (!is_scaled) continue;
      text_put(p->out, " * ");
      print_int(p, c < 0 ? -c : c);
    }
    if (sign > 0 && e->i > 0) {
      text_put(p->out, is_first ? "" : " + ");
      print_int(p, e->i);
      is_first = false;
    }
    if (sign > 0 || e->i >= 0) continue;
    text_put(p->out, " - ");
    print_int(p, -e->i);
  }
  close_paren(p, own, level);
}

static void put_infix(Printer *p, const IrExpr *a, const char *symbol, const IrExpr *b, int own, int level) {
  open_paren(p, own, level);
  print_expr(p, a, own);
  text_put(p->out, symbol);
  print_expr(p, b, own + 1);
  close_paren(p, own, level);
}

void print_call(Printer *p, const char *name, int n, IrExpr *const *arg) {
  text_put(p->out, name);
  text_put(p->out, "(");
  for (int k = 0; k < n; k++) {
    if (k) text_put(p->out, ", ");
    print_expr(p, arg[k], P_TERNARY);
  }
  text_put(p->out, ")");
}

// An operand of + - * / on vectors: GCC spreads a scalar by itself if the other side is a vector.
const IrExpr *print_infix_operand(const IrExpr *e, const IrExpr *other) {
  return e->kind == IR_SPLAT && other->kind != IR_SPLAT ? e->arg[0] : e;
}

static const char *attr_order(Op op) {
  switch (op) {
  case OP_leaky_relu:
  case OP_elu: return "a";
  case OP_clamp: return "ab";
  default: return "";
  }
}

static void put_op(Printer *p, const IrExpr *e, int level) {
  const char *infix = NULL;
  int own = P_SUM;
  switch (e->op) {
  case OP_add: infix = " + "; break;
  case OP_sub: infix = " - "; break;
  case OP_mul: infix = " * ", own = P_PRODUCT; break;
  case OP_div: infix = " / ", own = P_PRODUCT; break;
  case OP_neg:
    open_paren(p, P_UNARY, level);
    text_put(p->out, "-");
    print_expr(p, e->arg[0], P_PRIMARY);
    close_paren(p, P_UNARY, level);
    return;
  default: break;
  }
  if (infix) {
    const IrExpr *a = print_infix_operand(e->arg[0], e->arg[1]), *b = print_infix_operand(e->arg[1], e->arg[0]);
    put_infix(p, a, infix, b, own, level);
    return;
  }
  const char *prefix = e->type == IR_VECTOR ? "v" : e->type == IR_FLOAT ? "s" : e->type == IR_DOUBLE ? "d" : "vd";
  text_put(p->out, prefix);
  text_put(p->out, op_info(e->op)->name);
  text_put(p->out, "(");
  for (int k = 0; k < e->n_args; k++) {
    if (k) text_put(p->out, ", ");
    print_expr(p, e->arg[k], P_TERNARY);
  }
  const char *attrs = attr_order(e->op);
  for (int k = 0; attrs[k]; k++) {
    text_put(p->out, ", ");
    print_number(p, e->attr[k].f);
  }
  text_put(p->out, ")");
}

// buffer + index, or just the buffer.
void print_address(Printer *p, const IrBuffer *buffer, const IrExpr *index, int level) {
  const char *name = print_buffer_name(p, buffer);
  if (index->kind == IR_INT && index->i == 0) {
    text_put(p->out, name);
    return;
  }
  open_paren(p, P_SUM, level);
  text_put(p->out, name);
  text_put(p->out, " + ");
  bool is_negative = index->kind == IR_INT ? index->i < 0 : index->kind == IR_SUM && index->coef[0] < 0;
  print_expr(p, index, is_negative ? P_PRIMARY : P_SUM);
  close_paren(p, P_SUM, level);
}

static void put_memory(Printer *p, const char *function, const IrExpr *e) {
  text_put(p->out, function);
  text_put(p->out, "(");
  print_address(p, e->buffer, e->arg[0], P_TERNARY);
  if (e->kind == IR_GATHER) {
    text_put(p->out, ", ");
    print_int(p, e->i);
  }
  if (e->n_args > 1) {
    text_put(p->out, ", ");
    put_lanes(p, e->arg[1]);
  }
  text_put(p->out, ")");
}

static void put_divided(Printer *p, const IrExpr *e, int level) {
  bool is_div = e->kind == IR_DIV;
  if (e->arg[0]->lo < 0) {
    text_put(p->out, is_div ? "floor_div(" : "floor_mod(");
    print_expr(p, e->arg[0], P_TERNARY);
    text_put(p->out, ", ");
    print_int(p, e->i);
    text_put(p->out, ")");
    return;
  }
  open_paren(p, P_PRODUCT, level);
  print_expr(p, e->arg[0], P_PRODUCT);
  text_put(p->out, is_div ? " / " : " % ");
  print_int(p, e->i);
  close_paren(p, P_PRODUCT, level);
}

void print_expr(Printer *p, const IrExpr *e, int level) {
  switch (e->kind) {
  case IR_INT:
    open_paren(p, e->i < 0 ? P_UNARY : P_PRIMARY, level);
    print_int(p, e->i);
    close_paren(p, e->i < 0 ? P_UNARY : P_PRIMARY, level);
    return;
  case IR_NUMBER: put_constant(p, e->f, level); return;
  case IR_REF: text_put(p->out, print_var_name(p, e->var)); return;
  case IR_SUM: put_sum(p, e, level); return;
  case IR_PRODUCT: put_infix(p, e->arg[0], " * ", e->arg[1], P_PRODUCT, level); return;
  case IR_DIV:
  case IR_MOD: put_divided(p, e, level); return;
  case IR_MIN: print_call(p, "imin", 2, e->arg); return;
  case IR_MAX: print_call(p, "imax", 2, e->arg); return;
  case IR_LESS: put_infix(p, e->arg[0], " < ", e->arg[1], P_LESS, level); return;
  case IR_EQUAL: put_infix(p, e->arg[0], " == ", e->arg[1], P_EQUAL, level); return;
  case IR_AND: put_infix(p, e->arg[0], " && ", e->arg[1], P_AND, level); return;
  case IR_NOT:
    text_put(p->out, "!");
    print_expr(p, e->arg[0], P_PRIMARY);
    return;
  case IR_LOAD:
    if (e->type == IR_VECTOR || e->type == IR_DVECTOR) {
      put_memory(p, e->type == IR_VECTOR ? "vload" : "dload", e);
      return;
    }
    text_put(p->out, print_buffer_name(p, e->buffer));
    text_put(p->out, "[");
    print_expr(p, e->arg[0], P_TERNARY);
    text_put(p->out, "]");
    return;
  case IR_LOAD_N: put_memory(p, "vload_n", e); return;
  case IR_GATHER: put_memory(p, e->n_args > 1 ? "vgather_n" : "vgather", e); return;
  case IR_ADDRESS: print_address(p, e->buffer, e->arg[0], level); return;
  case IR_OP: put_op(p, e, level); return;
  case IR_SELECT:
    open_paren(p, P_TERNARY, level);
    print_expr(p, e->arg[0], P_AND);
    text_put(p->out, " ? ");
    print_expr(p, e->arg[1], P_AND);
    text_put(p->out, " : ");
    print_expr(p, e->arg[2], P_TERNARY);
    close_paren(p, P_TERNARY, level);
    return;
  case IR_SPLAT: print_call(p, e->type == IR_VECTOR ? "vsplat" : "dsplat", 1, e->arg); return;
  case IR_CONVERT:
    if (e->type == IR_DVECTOR || e->type == IR_VECTOR) {
      print_call(p, e->type == IR_DVECTOR ? "to_double" : "to_float", 1, e->arg);
      return;
    }
    open_paren(p, P_UNARY, level);
    text_printf(p->out, "(%s)", p->spell->type[e->type]);
    print_expr(p, e->arg[0], P_PRIMARY);
    close_paren(p, P_UNARY, level);
    return;
  case IR_LANES:
    text_put(p->out, e->op != OP_add ? "lanes_max(" : e->type == IR_DOUBLE ? "dlanes_sum(" : "lanes_sum(");
    print_expr(p, e->arg[0], P_TERNARY);
    text_put(p->out, ", ");
    put_lanes(p, e->arg[1]);
    text_put(p->out, ")");
    return;
  case IR_LANE_ID: text_put(p->out, "lane_id"); return;
  case IR_CALL: print_call(p, e->name, e->n_args, e->arg); return;
  case IR_REDUCE: break;
  }
  BUG("expression of kind %d in a finished kernel", e->kind);
}
