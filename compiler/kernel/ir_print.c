// The printer, second half: statements and functions.
#include "compiler/kernel/ir_print.h"

#include <string.h>

#include "runtime/base/hash.h"

static const Spelling c_spelling = {
    .open = "KERNEL(%s) {\n",
    .task_loop = "for (i64 %s = begin; %s < end; %s++) {\n",
    .flat_loop = "for (i64 %s = begin * %lld; %s < end * %lld; %s += %lld) {\n",
    .argument = "const float *%s%s = arg[%d]",
    .result = "float *%s%s = arg[%d]",
    .apart = "restrict ",
    .stack = "STACK(%s, %lld);\n",
    .unroll = "#pragma GCC unroll 16\n",
    .infinity = "__builtin_inff()",
    .nan = "__builtin_nanf(\"\")",
    .table_int = "static const int %s[%lld] = {",
    .table_float = "static const float %s[%lld] = {",
    .type = {"i64", "float", "vf", "double", "vd", "const float *"},
};

// ---- statements

void print_indent(Printer *p) {
  for (int k = 0; k < p->indent; k++) text_put(p->out, "  ");
}

static void put_block(Printer *p, const IrStmt *s);

static void put_braced(Printer *p, const IrStmt *block) {
  text_put(p->out, "{\n");
  p->indent++;
  put_block(p, block);
  p->indent--;
  print_indent(p);
  text_put(p->out, "}");
}

static void put_for(Printer *p, const IrStmt *s) {
  const char *name = print_var_name(p, s->var);
  if (s->loop == IR_UNROLLED) {
    text_put(p->out, p->spell->unroll);
    print_indent(p);
  }
  p->as_written += s->loop == IR_UNROLLED;
  text_printf(p->out, "for (%s %s = ", p->spell->type[IR_INDEX], name);
  print_expr(p, s->begin, P_TERNARY);
  text_printf(p->out, "; %s < ", name);
  print_expr(p, s->end, P_SUM);
  p->as_written -= s->loop == IR_UNROLLED;
  if (s->step == 1) text_printf(p->out, "; %s++) ", name);
  else text_printf(p->out, "; %s += %lld) ", name, (long long)s->step);
  put_braced(p, s->body[0]);
  text_put(p->out, "\n");
}

// x = x + y becomes x += y.
static void put_assign(Printer *p, const IrStmt *s) {
  const IrExpr *v = s->value;
  text_put(p->out, print_var_name(p, s->var));
  bool is_own = v->kind == IR_OP && v->op == OP_add && v->arg[0]->kind == IR_REF && v->arg[0]->var == s->var;
  text_put(p->out, is_own ? " += " : " = ");
  print_expr(p, is_own ? print_infix_operand(v->arg[1], v->arg[0]) : v, P_TERNARY);
  text_put(p->out, ";\n");
}

static void put_store(Printer *p, const IrStmt *s) {
  IrType type = s->value->type;
  if (type == IR_VECTOR || type == IR_DVECTOR) {
    text_put(p->out, s->kind == IR_STORE_N ? "vstore_n(" : type == IR_VECTOR ? "vstore(" : "dstore(");
    print_address(p, s->buffer, s->index, P_TERNARY);
    text_put(p->out, ", ");
    print_expr(p, s->value, P_TERNARY);
    if (s->kind == IR_STORE_N) {
      text_put(p->out, ", ");
      print_expr(p, s->end, P_TERNARY);
    }
    text_put(p->out, ");\n");
    return;
  }
  text_put(p->out, print_buffer_name(p, s->buffer));
  text_put(p->out, "[");
  print_expr(p, s->index, P_TERNARY);
  text_put(p->out, "] = ");
  print_expr(p, s->value, P_TERNARY);
  text_put(p->out, ";\n");
}

static void put_lambda(Printer *p, const IrStmt *s) {
  text_printf(p->out, "auto %s = [&](", print_var_name(p, s->var));
  for (int k = 0; k < s->n_params; k++)
    text_printf(p->out, "%s%s %s", k ? ", " : "", p->spell->type[s->param[k]->type], print_var_name(p, s->param[k]));
  text_printf(p->out, ") -> %s {\n", s->value ? p->spell->type[s->value->type] : "void");
  p->indent++;
  put_block(p, s->body[0]);
  if (s->value) {
    print_indent(p);
    text_put(p->out, "return ");
    print_expr(p, s->value, P_TERNARY);
    text_put(p->out, ";\n");
  }
  p->indent--;
  print_indent(p);
  text_put(p->out, "};\n");
}

static void put_stmt(Printer *p, const IrStmt *s) {
  if (s->kind == IR_BLOCK) {
    put_block(p, s);
    return;
  }
  print_indent(p);
  switch (s->kind) {
  case IR_BLOCK: break;
  case IR_FOR: put_for(p, s); break;
  case IR_LET:
    if (!s->is_mutable && s->var->type != IR_POINTER) text_put(p->out, "const ");
    text_printf(p->out, "%s%s%s = ", p->spell->type[s->var->type], s->var->type == IR_POINTER ? "" : " ",
                print_var_name(p, s->var));
    print_expr(p, s->value, P_TERNARY);
    text_put(p->out, ";\n");
    break;
  case IR_ASSIGN: put_assign(p, s); break;
  case IR_STORE:
  case IR_STORE_N: put_store(p, s); break;
  case IR_IF:
    text_put(p->out, "if (");
    print_expr(p, s->value, P_TERNARY);
    text_put(p->out, ") ");
    put_braced(p, s->body[0]);
    if (s->n_body > 1) {
      text_put(p->out, " else ");
      put_braced(p, s->body[1]);
    }
    text_put(p->out, "\n");
    break;
  case IR_DO:
    print_call(p, s->value->name, s->value->n_args, s->value->arg);
    text_put(p->out, ";\n");
    break;
  case IR_LAMBDA: put_lambda(p, s); break;
  case IR_BARRIER: text_put(p->out, "__syncthreads();\n"); break;
  }
}

static void put_block(Printer *p, const IrStmt *s) {
  for (int k = 0; k < s->n_body; k++) put_stmt(p, s->body[k]);
}

// ---- functions

static void put_table(Printer *p, const IrBuffer *b) {
  print_indent(p);
  text_printf(p->out, b->type == IR_INDEX ? p->spell->table_int : p->spell->table_float, print_buffer_name(p, b),
              (long long)b->size);
  for (int64_t k = 0; k < b->size; k++) {
    text_put(p->out, k ? ", " : "");
    if (b->type == IR_INDEX) text_printf(p->out, "%lld", (long long)b->values[k]);
    else print_number(p, b->values[k]);
  }
  text_put(p->out, "};\n");
}

static void put_args(Printer *p) {
  const IrFunction *f = p->ir->function;
  for (int k = 0; k < f->n_args; k++) {
    const IrBuffer *b = f->args[k];
    print_indent(p);
    text_printf(p->out, b->kind == IR_BUFFER_OUT ? p->spell->result : p->spell->argument,
                f->may_alias ? "" : p->spell->apart, print_buffer_name(p, b), k);
    if (b->offset) {
      text_put(p->out, " + ");
      print_int(p, b->offset);
    }
    text_put(p->out, ";\n");
  }
}

static bool is_taken_table(const IrFunction *f, const IrBuffer *b) {
  return f->takes_numbers && b->kind == IR_BUFFER_TABLE && b->type == IR_INDEX;
}

// A table that comes with the step, behind its numbers, one of which says where.
static void put_taken_table(Printer *p, const IrBuffer *b) {
  p->table_number[b->id] = print_add_number(p, (SgNumber){0}, false);
  print_indent(p);
  text_printf(p->out, "const int *restrict %s = (const int *)context + N%d;\n", print_buffer_name(p, b),
              p->table_number[b->id]);
}

static void append_tables(Printer *p) {
  IrFunction *f = p->ir->function;
  for (int k = 0; k < f->n_locals; k++) {
    const IrBuffer *b = f->locals[k];
    if (!is_taken_table(f, b)) continue;
    f->numbers[p->table_number[b->id]].i = 2 * (int64_t)f->n_numbers; // in ints
    for (int64_t i = 0; i < b->size; i += 2) {
      int32_t pair[2] = {(int32_t)b->values[i], i + 1 < b->size ? (int32_t)b->values[i + 1] : 0};
      SgNumber number;
      memcpy(&number, pair, sizeof number);
      ARENA_PUSH(p->ir->arena, f->numbers, f->n_numbers, f->cap_numbers, number);
    }
  }
}

static void put_local(Printer *p, const IrBuffer *b) {
  if (b->kind == IR_BUFFER_TABLE) {
    if (is_taken_table(p->ir->function, b)) put_taken_table(p, b);
    else put_table(p, b);
    return;
  }
  print_indent(p);
  const char *name = print_buffer_name(p, b), *type = b->type == IR_DOUBLE ? "double" : "float";
  if (b->kind == IR_BUFFER_SHARED && p->spell->is_cuda) print_cuda_shared(p, b);
  else if (b->kind == IR_BUFFER_SHARED)
    text_printf(p->out, "float *%s = arg[%d] + %lld;\n", name, p->ir->function->n_args, (long long)b->offset / 4);
  else if (b->kind == IR_BUFFER_STACK) text_printf(p->out, p->spell->stack, name, (long long)b->size);
  else if (b->type == IR_DOUBLE)
    text_printf(p->out, "%s *%s = (%s *)(scratch + %lld);\n", type, name, type, (long long)b->offset);
  else {
    text_printf(p->out, "%s *%s = scratch + ", type, name);
    print_int(p, b->offset);
    text_put(p->out, ";\n");
  }
}

// The numbers that the function takes from its step, each by a name.
static void put_numbers(Printer *p) {
  for (int is_float = 0; is_float < 2; is_float++) {
    if (p->numbers[is_float].size)
      text_printf(p->out, "  const %s %s;\n", p->spell->type[is_float ? IR_FLOAT : IR_INDEX],
                  text_get(&p->numbers[is_float]));
    text_free(&p->numbers[is_float]);
  }
}

// What stands between the head of a function for the CPU and its end.
static void put_body(Printer *p) {
  const IrFunction *f = p->ir->function;
  put_args(p);
  for (int k = 0; k < f->n_locals; k++) put_local(p, f->locals[k]);
  print_indent(p);
  const char *task = print_var_name(p, f->task);
  if (f->flat)
    text_printf(p->out, p->spell->flat_loop, task, (long long)f->flat, task, (long long)f->flat, task,
                (long long)f->flat_step);
  else text_printf(p->out, p->spell->task_loop, task, task, task);
  p->indent++;
  put_block(p, f->body);
  text_put(p->out, "  }\n");
}

// The function from its head, if `symbol` is given, to its end.
static void put_function(Printer *p, const char *symbol) {
  IrFunction *f = p->ir->function;
  p->indent = 1;
  if (p->spell->is_cuda) {
    print_cuda_head(p, symbol);
    for (int k = 0; k < f->n_locals; k++) put_local(p, f->locals[k]);
    put_block(p, f->body);
    text_put(p->out, "}\n\n");
    return;
  }
  if (symbol) text_printf(p->out, p->spell->open, symbol);
  Text body = {0}, *out = p->out;
  f->n_numbers = 0;
  p->out = &body;
  put_body(p);
  p->out = out;
  put_numbers(p);
  append_tables(p);
  text_write(out, text_get(&body), body.size);
  text_free(&body);
  text_put(out, "}\n\n");
}

static Printer printer_new(const Ir *ir, bool is_canonical, Text *out) {
  return (Printer){.ir = (Ir *)ir,
                   .spell = ir->target->kind == TARGET_CUDA ? print_cuda_spelling((Ir *)ir) : &c_spelling,
                   .out = out,
                   .is_canonical = is_canonical,
                   .taken = strmap_new(ir->arena),
                   .table_number = ARENA_ARRAY(ir->arena, int, ir->n_buffers + 1),
                   .var_name = ARENA_ARRAY(ir->arena, const char *, ir->n_vars + 1),
                   .buffer_name = ARENA_ARRAY(ir->arena, const char *, ir->n_buffers + 1)};
}

const char *ir_print(Ir *ir, Text *out) {
  const IrFunction *f = ir->function;
  Text canonical = {0};
  Printer p = printer_new(ir, true, &canonical);
  put_function(&p, NULL);
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
  p = printer_new(ir, false, out);
  put_function(&p, symbol);
  return symbol;
}

void ir_print_expr(const Ir *ir, const IrExpr *e, Text *out) {
  Printer p = printer_new(ir, false, out);
  print_expr(&p, e, P_TERNARY);
}
