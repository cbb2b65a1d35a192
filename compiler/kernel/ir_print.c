// The printer: one function of the IR as C text.
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/kernel/ir.h"
#include "runtime/base/hash.h"
#include "runtime/base/status.h"
#include "runtime/base/strmap.h"

// What targets spell differently. Everything else is the C that they share.
typedef struct Spelling {
  const char *open;                    // the function's head; %s is the symbol
  const char *task_loop;               // %s is the task's variable, twice used by position
  const char *flat_loop;               // variable, stretch, variable, stretch, variable, step
  const char *argument;                // of a read argument: `apart` or nothing, name, number
  const char *result;                  // of a written argument: the same
  const char *apart;                   // says that nothing else refers to the memory
  const char *stack;                   // name, floats
  const char *table_int, *table_float; // name, size
  const char *type[6];                 // by IrType
} Spelling;

static const Spelling c_spelling = {
    .open = "KERNEL(%s) {\n",
    .task_loop = "for (i64 %s = begin; %s < end; %s++) {\n",
    .flat_loop = "for (i64 %s = begin * %lld; %s < end * %lld; %s += %lld) {\n",
    .argument = "const float *%s%s = arg[%d]",
    .result = "float *%s%s = arg[%d]",
    .apart = "restrict ",
    .stack = "STACK(%s, %lld);\n",
    .table_int = "static const int %s[%lld] = {",
    .table_float = "static const float %s[%lld] = {",
    .type = {"i64", "float", "vf", "double", "vd", "const float *"},
};

typedef struct Printer {
  Ir *ir;
  const Spelling *spell;
  Text *out;
  bool is_canonical; // names are v0, v1, ... in order of appearance: the text that equal kernels share
  int indent;
  StrMap *taken; // names in use
  const char **var_name;
  StrMap *buffer_names; // by address
  int n_canonical;
} Printer;

// ---- names

// C keywords and names of the preamble: no variable may be called so.
static const char *const reserved[] = {
    "auto",     "break",   "case",      "char",      "const",  "continue", "default", "do",      "double",  "else",
    "enum",     "extern",  "float",     "for",       "goto",   "if",       "inline",  "int",     "long",    "register",
    "restrict", "return",  "short",     "signed",    "sizeof", "static",   "struct",  "switch",  "typedef", "union",
    "unsigned", "void",    "volatile",  "while",     "asm",    "typeof",   "context", "arg",     "begin",   "end",
    "scratch",  "i64",     "vf",        "vd",        "vi",     "vload",    "vstore",  "vgather", "dload",   "dstore",
    "lanes",    "lane_id", "floor_div", "floor_mod", "imin",   "imax",     "splat",   "STACK",   "KERNEL",  "main",
    "y0",       "y1",      "yn",        "j0",        "j1",     "jn",       "gamma",   "signbit", "unix",    "linux",
    "vsplat",   "V",       "bool",      "true",      "false"};

static bool is_reserved(const char *name) {
  for (size_t k = 0; k < sizeof reserved / sizeof *reserved; k++) {
    if (strcmp(reserved[k], name) == 0) return true;
  }
  // Functions of ops are called s, v, d or vd and the op's name.
  const char *rest = strchr("svd", name[0]) ? name + 1 : name;
  return op_by_name(name) != OP_COUNT || op_by_name(rest) != OP_COUNT ||
         (rest[0] == 'd' && op_by_name(rest + 1) != OP_COUNT);
}

static const char *unique_name(Printer *p, const char *wish, bool is_buffer) {
  Arena *arena = p->ir->arena;
  if (p->is_canonical) return arena_printf(arena, "%c%d", is_buffer ? 'b' : 'v', p->n_canonical++);
  char *name = arena_strdup(arena, wish && *wish ? wish : "t");
  for (char *c = name; *c; c++) {
    if (!isalnum((unsigned char)*c)) *c = '_';
  }
  if (isdigit((unsigned char)name[0])) name = arena_printf(arena, "_%s", name);
  if (is_reserved(name)) name = arena_printf(arena, "%s_", name);
  const char *base = name;
  size_t n = strlen(base);
  const char *joint = n && isdigit((unsigned char)base[n - 1]) ? "_" : "";
  for (int k = 2; strmap_get(p->taken, name); k++) name = arena_printf(arena, "%s%s%d", base, joint, k);
  strmap_set(p->taken, name, p);
  return name;
}

static const char *var_name(Printer *p, const IrVar *var) {
  if (!p->var_name[var->id]) p->var_name[var->id] = unique_name(p, var->name, false);
  return p->var_name[var->id];
}

static const char *buffer_name(Printer *p, const IrBuffer *buffer) {
  char key[32];
  snprintf(key, sizeof key, "%p", (const void *)buffer);
  const char *name = strmap_get(p->buffer_names, key);
  if (!name) {
    name = unique_name(p, buffer->name, true);
    strmap_set(p->buffer_names, key, (void *)name);
  }
  return name;
}

// ---- expressions

enum { P_TERNARY, P_AND, P_EQUAL, P_LESS, P_SUM, P_PRODUCT, P_UNARY, P_PRIMARY };

static void put_expr(Printer *p, const IrExpr *e, int level);

static void open_paren(Printer *p, int own, int level) {
  if (own < level) text_put(p->out, "(");
}
static void close_paren(Printer *p, int own, int level) {
  if (own < level) text_put(p->out, ")");
}

static void put_number(Printer *p, double value) {
  float f = (float)value;
  if (isnan(f)) {
    text_put(p->out, "__builtin_nanf(\"\")");
    return;
  }
  if (isinf(f)) {
    text_put(p->out, f < 0 ? "-__builtin_inff()" : "__builtin_inff()");
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
      put_expr(p, e->arg[k], is_scaled || sign < 0 ? P_PRODUCT : P_SUM);
      if (is_scaled) text_printf(p->out, " * %lld", (long long)(c < 0 ? -c : c));
    }
    if (sign > 0 && e->i > 0) {
      text_printf(p->out, is_first ? "%lld" : " + %lld", (long long)e->i);
      is_first = false;
    }
    if (sign < 0 && e->i < 0) text_printf(p->out, " - %lld", (long long)-e->i);
  }
  close_paren(p, own, level);
}

static void put_infix(Printer *p, const IrExpr *a, const char *symbol, const IrExpr *b, int own, int level) {
  open_paren(p, own, level);
  put_expr(p, a, own);
  text_put(p->out, symbol);
  put_expr(p, b, own + 1);
  close_paren(p, own, level);
}

static void put_call(Printer *p, const char *name, int n, IrExpr *const *arg) {
  text_printf(p->out, "%s(", name);
  for (int k = 0; k < n; k++) {
    if (k) text_put(p->out, ", ");
    put_expr(p, arg[k], P_TERNARY);
  }
  text_put(p->out, ")");
}

// An operand of + - * / on vectors: GCC spreads a scalar by itself if the other side is a vector.
static const IrExpr *infix_operand(const IrExpr *e, const IrExpr *other) {
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
    put_expr(p, e->arg[0], P_PRIMARY);
    close_paren(p, P_UNARY, level);
    return;
  default: break;
  }
  if (infix) {
    const IrExpr *a = infix_operand(e->arg[0], e->arg[1]), *b = infix_operand(e->arg[1], e->arg[0]);
    put_infix(p, a, infix, b, own, level);
    return;
  }
  const char *prefix = e->type == IR_VECTOR ? "v" : e->type == IR_FLOAT ? "s" : e->type == IR_DOUBLE ? "d" : "vd";
  text_printf(p->out, "%s%s(", prefix, op_info(e->op)->name);
  for (int k = 0; k < e->n_args; k++) {
    if (k) text_put(p->out, ", ");
    put_expr(p, e->arg[k], P_TERNARY);
  }
  const char *attrs = attr_order(e->op);
  for (int k = 0; attrs[k]; k++) {
    text_put(p->out, ", ");
    put_number(p, e->attr[k].f);
  }
  text_put(p->out, ")");
}

// buffer + index, or just the buffer.
static void put_address(Printer *p, const IrBuffer *buffer, const IrExpr *index, int level) {
  const char *name = buffer_name(p, buffer);
  if (index->kind == IR_INT && index->i == 0) {
    text_put(p->out, name);
    return;
  }
  open_paren(p, P_SUM, level);
  text_printf(p->out, "%s + ", name);
  bool is_negative = index->kind == IR_INT ? index->i < 0 : index->kind == IR_SUM && index->coef[0] < 0;
  put_expr(p, index, is_negative ? P_PRIMARY : P_SUM);
  close_paren(p, P_SUM, level);
}

static void put_memory(Printer *p, const char *function, const IrExpr *e) {
  text_printf(p->out, "%s(", function);
  put_address(p, e->buffer, e->arg[0], P_TERNARY);
  if (e->kind == IR_GATHER) text_printf(p->out, ", %lld", (long long)e->i);
  if (e->n_args > 1) {
    text_put(p->out, ", ");
    put_expr(p, e->arg[1], P_TERNARY);
  }
  text_put(p->out, ")");
}

static void put_divided(Printer *p, const IrExpr *e, int level) {
  bool is_div = e->kind == IR_DIV;
  if (e->arg[0]->lo < 0) {
    text_put(p->out, is_div ? "floor_div(" : "floor_mod(");
    put_expr(p, e->arg[0], P_TERNARY);
    text_printf(p->out, ", %lld)", (long long)e->i);
    return;
  }
  open_paren(p, P_PRODUCT, level);
  put_expr(p, e->arg[0], P_PRODUCT);
  text_printf(p->out, is_div ? " / %lld" : " %% %lld", (long long)e->i);
  close_paren(p, P_PRODUCT, level);
}

static void put_expr(Printer *p, const IrExpr *e, int level) {
  switch (e->kind) {
  case IR_INT:
    open_paren(p, e->i < 0 ? P_UNARY : P_PRIMARY, level);
    text_printf(p->out, "%lld", (long long)e->i);
    close_paren(p, e->i < 0 ? P_UNARY : P_PRIMARY, level);
    return;
  case IR_NUMBER: {
    int own = signbit(e->f) ? P_UNARY : P_PRIMARY;
    open_paren(p, own, level);
    put_number(p, e->f);
    close_paren(p, own, level);
    return;
  }
  case IR_REF: text_put(p->out, var_name(p, e->var)); return;
  case IR_SUM: put_sum(p, e, level); return;
  case IR_PRODUCT: put_infix(p, e->arg[0], " * ", e->arg[1], P_PRODUCT, level); return;
  case IR_DIV:
  case IR_MOD: put_divided(p, e, level); return;
  case IR_MIN: put_call(p, "imin", 2, e->arg); return;
  case IR_MAX: put_call(p, "imax", 2, e->arg); return;
  case IR_LESS: put_infix(p, e->arg[0], " < ", e->arg[1], P_LESS, level); return;
  case IR_EQUAL: put_infix(p, e->arg[0], " == ", e->arg[1], P_EQUAL, level); return;
  case IR_AND: put_infix(p, e->arg[0], " && ", e->arg[1], P_AND, level); return;
  case IR_NOT:
    text_put(p->out, "!");
    put_expr(p, e->arg[0], P_PRIMARY);
    return;
  case IR_LOAD:
    if (e->type == IR_VECTOR || e->type == IR_DVECTOR) {
      put_memory(p, e->type == IR_VECTOR ? "vload" : "dload", e);
      return;
    }
    text_printf(p->out, "%s[", buffer_name(p, e->buffer));
    put_expr(p, e->arg[0], P_TERNARY);
    text_put(p->out, "]");
    return;
  case IR_LOAD_N: put_memory(p, "vload_n", e); return;
  case IR_GATHER: put_memory(p, e->n_args > 1 ? "vgather_n" : "vgather", e); return;
  case IR_ADDRESS: put_address(p, e->buffer, e->arg[0], level); return;
  case IR_OP: put_op(p, e, level); return;
  case IR_SELECT:
    open_paren(p, P_TERNARY, level);
    put_expr(p, e->arg[0], P_AND);
    text_put(p->out, " ? ");
    put_expr(p, e->arg[1], P_AND);
    text_put(p->out, " : ");
    put_expr(p, e->arg[2], P_TERNARY);
    close_paren(p, P_TERNARY, level);
    return;
  case IR_SPLAT: put_call(p, e->type == IR_VECTOR ? "vsplat" : "dsplat", 1, e->arg); return;
  case IR_CONVERT:
    if (e->type == IR_DVECTOR || e->type == IR_VECTOR) {
      put_call(p, e->type == IR_DVECTOR ? "to_double" : "to_float", 1, e->arg);
      return;
    }
    open_paren(p, P_UNARY, level);
    text_printf(p->out, "(%s)", p->spell->type[e->type]);
    put_expr(p, e->arg[0], P_PRIMARY);
    close_paren(p, P_UNARY, level);
    return;
  case IR_LANES:
    put_call(p, e->op == OP_add ? (e->type == IR_DOUBLE ? "dlanes_sum" : "lanes_sum") : "lanes_max", 2, e->arg);
    return;
  case IR_LANE_ID: text_put(p->out, "lane_id"); return;
  case IR_CALL: put_call(p, e->name, e->n_args, e->arg); return;
  case IR_REDUCE: break;
  }
  BUG("expression of kind %d in a finished kernel", e->kind);
}

// ---- statements

static void put_indent(Printer *p) {
  for (int k = 0; k < p->indent; k++) text_put(p->out, "  ");
}

static void put_block(Printer *p, const IrStmt *s);

static void put_braced(Printer *p, const IrStmt *block) {
  text_put(p->out, "{\n");
  p->indent++;
  put_block(p, block);
  p->indent--;
  put_indent(p);
  text_put(p->out, "}");
}

static void put_for(Printer *p, const IrStmt *s) {
  const char *name = var_name(p, s->var);
  if (s->loop == IR_UNROLLED) {
    text_put(p->out, "#pragma GCC unroll 16\n");
    put_indent(p);
  }
  text_printf(p->out, "for (i64 %s = ", name);
  put_expr(p, s->begin, P_TERNARY);
  text_printf(p->out, "; %s < ", name);
  put_expr(p, s->end, P_SUM);
  if (s->step == 1) text_printf(p->out, "; %s++) ", name);
  else text_printf(p->out, "; %s += %lld) ", name, (long long)s->step);
  put_braced(p, s->body[0]);
  text_put(p->out, "\n");
}

// x = x + y becomes x += y.
static void put_assign(Printer *p, const IrStmt *s) {
  const IrExpr *v = s->value;
  text_put(p->out, var_name(p, s->var));
  bool is_own = v->kind == IR_OP && v->op == OP_add && v->arg[0]->kind == IR_REF && v->arg[0]->var == s->var;
  text_put(p->out, is_own ? " += " : " = ");
  put_expr(p, is_own ? infix_operand(v->arg[1], v->arg[0]) : v, P_TERNARY);
  text_put(p->out, ";\n");
}

static void put_store(Printer *p, const IrStmt *s) {
  IrType type = s->value->type;
  if (type == IR_VECTOR || type == IR_DVECTOR) {
    text_put(p->out, s->kind == IR_STORE_N ? "vstore_n(" : type == IR_VECTOR ? "vstore(" : "dstore(");
    put_address(p, s->buffer, s->index, P_TERNARY);
    text_put(p->out, ", ");
    put_expr(p, s->value, P_TERNARY);
    if (s->kind == IR_STORE_N) {
      text_put(p->out, ", ");
      put_expr(p, s->end, P_TERNARY);
    }
    text_put(p->out, ");\n");
    return;
  }
  text_printf(p->out, "%s[", buffer_name(p, s->buffer));
  put_expr(p, s->index, P_TERNARY);
  text_put(p->out, "] = ");
  put_expr(p, s->value, P_TERNARY);
  text_put(p->out, ";\n");
}

static void put_stmt(Printer *p, const IrStmt *s) {
  if (s->kind == IR_BLOCK) {
    put_block(p, s);
    return;
  }
  if (s->kind == IR_COMMENT && p->is_canonical) return;
  put_indent(p);
  switch (s->kind) {
  case IR_BLOCK: break;
  case IR_FOR: put_for(p, s); break;
  case IR_LET:
    if (!s->is_mutable && s->var->type != IR_POINTER) text_put(p->out, "const ");
    text_printf(p->out, "%s%s%s = ", p->spell->type[s->var->type], s->var->type == IR_POINTER ? "" : " ",
                var_name(p, s->var));
    put_expr(p, s->value, P_TERNARY);
    text_put(p->out, ";\n");
    break;
  case IR_ASSIGN: put_assign(p, s); break;
  case IR_STORE:
  case IR_STORE_N: put_store(p, s); break;
  case IR_IF:
    text_put(p->out, "if (");
    put_expr(p, s->value, P_TERNARY);
    text_put(p->out, ") ");
    put_braced(p, s->body[0]);
    if (s->n_body > 1) {
      text_put(p->out, " else ");
      put_braced(p, s->body[1]);
    }
    text_put(p->out, "\n");
    break;
  case IR_DO:
    put_call(p, s->value->name, s->value->n_args, s->value->arg);
    text_put(p->out, ";\n");
    break;
  case IR_COMMENT: text_printf(p->out, "// %s\n", s->text); break;
  }
}

static void put_block(Printer *p, const IrStmt *s) {
  for (int k = 0; k < s->n_body; k++) put_stmt(p, s->body[k]);
}

// ---- functions

static void put_table(Printer *p, const IrBuffer *b) {
  put_indent(p);
  text_printf(p->out, b->type == IR_INDEX ? p->spell->table_int : p->spell->table_float, buffer_name(p, b),
              (long long)b->size);
  for (int64_t k = 0; k < b->size; k++) {
    text_put(p->out, k ? ", " : "");
    if (b->type == IR_INDEX) text_printf(p->out, "%lld", (long long)b->values[k]);
    else put_number(p, b->values[k]);
  }
  text_put(p->out, "};\n");
}

static void put_buffers(Printer *p) {
  const IrFunction *f = p->ir->function;
  for (int k = 0; k < f->n_args; k++) {
    const IrBuffer *b = f->args[k];
    put_indent(p);
    text_printf(p->out, b->kind == IR_BUFFER_OUT ? p->spell->result : p->spell->argument,
                f->may_alias ? "" : p->spell->apart, buffer_name(p, b), k);
    if (b->offset) text_printf(p->out, " + %lld", (long long)b->offset);
    text_put(p->out, ";\n");
  }
  for (int k = 0; k < f->n_locals; k++) {
    const IrBuffer *b = f->locals[k];
    if (b->kind == IR_BUFFER_TABLE) {
      put_table(p, b);
      continue;
    }
    put_indent(p);
    if (b->kind == IR_BUFFER_STACK) {
      text_printf(p->out, p->spell->stack, buffer_name(p, b), (long long)b->size);
    } else if (b->type == IR_DOUBLE) {
      text_printf(p->out, "double *%s = (double *)(scratch + %lld);\n", buffer_name(p, b), (long long)b->offset);
    } else {
      text_printf(p->out, "float *%s = scratch + %lld;\n", buffer_name(p, b), (long long)b->offset);
    }
  }
}

static void put_body(Printer *p) {
  const IrFunction *f = p->ir->function;
  p->indent = 1;
  put_buffers(p);
  put_indent(p);
  const char *task = var_name(p, f->task);
  if (f->flat)
    text_printf(p->out, p->spell->flat_loop, task, (long long)f->flat, task, (long long)f->flat, task,
                (long long)f->flat_step);
  else text_printf(p->out, p->spell->task_loop, task, task, task);
  p->indent++;
  put_block(p, f->body);
  text_put(p->out, "  }\n}\n\n");
}

static Printer printer_new(const Ir *ir, bool is_canonical, Text *out) {
  return (Printer){.ir = (Ir *)ir,
                   .spell = &c_spelling,
                   .out = out,
                   .is_canonical = is_canonical,
                   .taken = strmap_new(ir->arena),
                   .buffer_names = strmap_new(ir->arena),
                   .var_name = ARENA_ARRAY(ir->arena, const char *, ir->n_vars + 1)};
}

const char *ir_print(Ir *ir, Text *out) {
  const IrFunction *f = ir->function;
  Text canonical = {0};
  Printer p = printer_new(ir, true, &canonical);
  put_body(&p);
  Hash hash = hash_bytes(canonical.data, canonical.size);
  text_free(&canonical);
  const char *symbol = arena_printf(ir->arena, "%s_%08x", f->name, (unsigned)(hash.low & 0xffffffff));

  for (const char *line = f->about; *line;) {
    size_t n = strcspn(line, "\n");
    text_put(out, "// ");
    text_write(out, line, n);
    text_put(out, "\n");
    line += n + (line[n] == '\n');
  }
  text_printf(out, p.spell->open, symbol);
  p = printer_new(ir, false, out);
  put_body(&p);
  return symbol;
}

void ir_print_expr(const Ir *ir, const IrExpr *e, Text *out) {
  Printer p = printer_new(ir, false, out);
  put_expr(&p, e, P_TERNARY);
}
