// What the two files of the printer share.
#ifndef SG_KERNEL_IR_PRINT_H
#define SG_KERNEL_IR_PRINT_H

#include "compiler/kernel/ir.h"
#include "runtime/base/strmap.h"

// What targets spell differently. Everything else is the C that they share.
typedef struct Spelling {
  const char *open;      // the function's head; %s is the symbol
  const char *task_loop; // %s is the task's variable, twice used by position
  const char *flat_loop; // variable, stretch, variable, stretch, variable, step
  const char *argument;  // of a read argument: `apart` or nothing, name, number
  const char *result;    // of a written argument: the same
  const char *apart;     // says that nothing else refers to the memory
  const char *stack;     // name, floats
  const char *unroll;    // in front of a loop
  const char *infinity, *nan;
  const char *table_int, *table_float; // name, size
  const char *type[6];                 // by IrType
  bool is_cuda;                        // function heads and memory as in ir_print_cuda.c
} Spelling;

typedef struct Printer {
  Ir *ir;
  const Spelling *spell;
  Text *out;
  bool is_canonical; // names are v0, v1, ... in order of appearance: the text that equal kernels share
  int indent;
  int as_written;                       // if not 0, integers stand in the text
  Text numbers[2];                      // of a function that takes numbers: what says them, integers and floats
  int *table_number;                    // by id of a table that comes with the step: the number that says where
  StrMap *taken;                        // names in use
  const char **var_name, **buffer_name; // by id
  int n_canonical;
} Printer;

// Precedence, loosest first.
enum { P_TERNARY, P_AND, P_EQUAL, P_LESS, P_SUM, P_PRODUCT, P_UNARY, P_PRIMARY };

const char *print_var_name(Printer *p, const IrVar *var);
const char *print_buffer_name(Printer *p, const IrBuffer *buffer);
// In parentheses if its own operator binds less than `level`.
void print_expr(Printer *p, const IrExpr *e, int level);
void print_number(Printer *p, double value);
// An integer as it is, or, where the function takes numbers, the name of the one that it becomes.
void print_int(Printer *p, int64_t value);
// Remembers a number that the function takes, an integer or a float, and returns its place.
int print_add_number(Printer *p, SgNumber number, bool is_float);
void print_call(Printer *p, const char *name, int n, IrExpr *const *arg);
// buffer + index, or just the buffer.
void print_address(Printer *p, const IrBuffer *buffer, const IrExpr *index, int level);
// An operand of + - * / on vectors: GCC spreads a scalar by itself if the other side is a vector.
const IrExpr *print_infix_operand(const IrExpr *e, const IrExpr *other);
void print_indent(Printer *p);

// ---- CUDA

// The spelling, with integers as wide as the function needs.
const Spelling *print_cuda_spelling(Ir *ir);
// Up to where the body's statements begin: the function's head, its task and thread, arguments of rows.
void print_cuda_head(Printer *p, const char *symbol);
void print_cuda_shared(Printer *p, const IrBuffer *buffer);

#endif
