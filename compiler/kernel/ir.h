// IR: kernels as loop nests - statements over expressions - between the graph and the printed text.
//
// Expressions are immutable and shared; constructors simplify. Everything lives in the arena of the Ir. Index
// expressions are kept as sums of coefficient * atom with known ranges, so that divisions and guards that the ranges
// settle vanish. Statements are appended to blocks. One printer (ir_print.c) turns a function into text; what is
// spelled differently by target stands in its one table.
#ifndef SG_KERNEL_IR_H
#define SG_KERNEL_IR_H

#include "compiler/ops/op.h"
#include "compiler/target.h"
#include "runtime/base/arena.h"
#include "runtime/base/text.h"
#include "runtime/kernel_abi.h"

typedef enum IrType {
  IR_INDEX,   // a 64-bit integer; conditions are 0 or 1
  IR_FLOAT,   // one float
  IR_VECTOR,  // target->vector floats
  IR_DOUBLE,  // for long sums
  IR_DVECTOR, // target->vector doubles
  IR_POINTER, // the address of floats
} IrType;

// Beyond the range of every index: lo = -IR_ANY, hi = IR_ANY say that nothing is known.
#define IR_ANY ((int64_t)1 << 44)

typedef enum IrBufferKind {
  IR_BUFFER_IN,      // an argument that is only read
  IR_BUFFER_OUT,     // an argument that is written
  IR_BUFFER_SCRATCH, // part of the worker's scratch, `offset` floats from its start; may hold doubles
  IR_BUFFER_STACK,   // a local array of `size` floats, 64-byte aligned
  IR_BUFFER_TABLE,   // constant numbers inside the function: `size` of them, `values`
  IR_BUFFER_SHARED,  // `size` elements that the threads of a block share; CPU: floats, that the tasks of a launch share
} IrBufferKind;

typedef struct IrBuffer {
  int id; // unique in the Ir
  IrBufferKind kind;
  IrType type;          // IR_FLOAT; IR_DOUBLE for scratch; IR_FLOAT or IR_INDEX for tables; any of them if shared
  const char *name;     // a C identifier, unique in the function
  int64_t offset;       // floats from the argument's (or scratch's) start to element 0; bytes if shared
  int64_t size;         // elements: STACK, TABLE, SCRATCH, SHARED
  const double *values; // TABLE
} IrBuffer;

typedef struct IrVar {
  int id; // unique in the Ir
  IrType type;
  const char *name;
  int64_t lo, hi; // IR_INDEX: its values lie in lo..hi, both included
} IrVar;

typedef enum IrKind {
  IR_INT,     // i
  IR_NUMBER,  // f
  IR_REF,     // var
  IR_SUM,     // i + coef[0] * arg[0] + ...; args are neither IR_INT nor IR_SUM
  IR_PRODUCT, // arg[0] * arg[1], neither constant
  IR_DIV,     // floor(arg[0] / i), i > 0
  IR_MOD,     // arg[0] - i * floor(arg[0] / i), i > 0
  IR_MIN,     // of two indices
  IR_MAX,
  IR_LESS, // conditions on indices
  IR_EQUAL,
  IR_AND,
  IR_NOT,
  IR_LOAD,    // buffer[arg[0]], one number or target->vector numbers, unaligned, by type
  IR_LOAD_N,  // a vector of the arg[1] (0..vector) first numbers at buffer[arg[0]], other lanes 0
  IR_GATHER,  // a vector of buffer[arg[0] + lane * i]; with arg[1], its first arg[1] lanes, others 0
  IR_ADDRESS, // &buffer[arg[0]]
  IR_OP,      // the scalar function of an elementwise op, on floats, vectors or doubles
  IR_SELECT,  // arg[0] ? arg[1] : arg[2]; arg[0] an index condition; only the chosen one is evaluated
  IR_SPLAT,   // a vector of equal lanes
  IR_CONVERT, // index -> float, float <-> double, vector <-> double vector
  IR_LANES,   // op (OP_add or OP_maximum) over the first arg[1] lanes of the (double) vector arg[0]
  IR_LANE_ID, // a vector 0, 1, 2, ...
  IR_CALL,    // a preamble function by name
  IR_REDUCE,  // op (OP_add, OP_maximum) of arg[0] over var = 0 .. i - 1; made by compute.c, gone after lowering
} IrKind;

typedef struct IrExpr IrExpr;
struct IrExpr {
  IrKind kind;
  IrType type;
  int64_t i;
  double f;
  Op op;
  const AttrValue *attr; // of IR_OP; NULL if the op has none
  IrVar *var;
  const IrBuffer *buffer;
  const char *name;  // IR_CALL
  const char *label; // what a variable that holds the value is to be called, or NULL
  int n_args;
  IrExpr **arg;
  int64_t *coef;  // IR_SUM
  int64_t lo, hi; // IR_INDEX: the range of values, both included
};

typedef enum IrLoop { IR_SERIAL, IR_UNROLLED } IrLoop;

typedef enum IrStmtKind {
  IR_BLOCK,   // body[0 .. n_body)
  IR_FOR,     // var from begin while < end by step
  IR_LET,     // var = value, from here to the end of the block
  IR_ASSIGN,  // var = value
  IR_STORE,   // buffer[index] = value; scalar or vector by the value's type
  IR_STORE_N, // the first `end` lanes of the vector value to buffer[index]
  IR_IF,      // body[0] if value, else body[1] if there is one
  IR_DO,      // a call for its effect: value is an IR_CALL
  IR_BARRIER, // CUDA: the threads of the block wait for each other
  IR_LAMBDA,  // CUDA: var names a local function of the variables `param`: body[0], then its result `value`, if any
} IrStmtKind;

typedef struct IrStmt IrStmt;
struct IrStmt {
  IrStmtKind kind;
  IrLoop loop;
  bool is_mutable; // LET: assigned later
  IrVar *var;
  IrExpr *begin, *end; // FOR
  int64_t step;
  const IrBuffer *buffer;
  IrExpr *index, *value;
  IrVar *const *param; // LAMBDA
  int n_params;
  IrStmt *calls; // LAMBDA: statements, not in the text, that touch memory as the calls of a template do; or NULL
  IrStmt **body;
  int n_body, cap_body;
};

// One kernel. Its body computes the task numbered by `task`; the printer wraps it in the loop over begin .. end - 1.
// On CUDA a task is a block of threads, all of which run the body; `thread` numbers them.
typedef struct IrFunction {
  const char *name;  // ops and sizes; the printer appends _ and eight digits of the hash of its code
  const char *about; // the text of the leading comment, lines separated by \n
  IrBuffer **args;   // in the order of the ABI: ins, then outs
  int n_args, cap_args;
  IrBuffer **locals; // scratch, stack, tables
  int n_locals, cap_locals;
  bool may_alias; // results may stand in the memory of arguments
  IrVar *task;
  int64_t n_tasks;
  // If not 0, tasks are stretches of one loop: `task` runs from flat * begin while < flat * end by flat_step.
  int64_t flat, flat_step;
  int64_t scratch;             // floats; CUDA: of the whole launch, SG_COUNTERS of the ABI first
  int block;                   // CUDA: threads
  int blocks_a_multiprocessor; // CUDA: as many must fit, which limits registers; 0 = any
  IrVar *thread;               // CUDA: 0 .. block - 1
  int64_t shared;              // bytes of shared memory
  // CUDA: one launch for many rows, each with arguments of its own (see runtime/kernel_abi.h); `row` holds the floats
  // of the row that the block works on, `piece` numbers the block within it.
  bool has_rows;
  IrVar *row_floats, *piece;
  // CUDA: what functions of the preamble that the body calls add to the counts of cuda/access.h; the schedule that uses
  // them says it.
  double requests, sectors, ideal_sectors;
  // CPU: whether integers beyond 1 and constants come with the step rather than stand in the text, where the schedule
  // leaves them to it; and those that the printed text takes.
  bool takes_numbers;
  SgNumber *numbers;
  int n_numbers, cap_numbers;
  IrStmt *body;
} IrFunction;

typedef struct Ir {
  Arena *arena; // lent
  const Target *target;
  int n_vars, n_buffers;
  IrFunction *function;
  struct Knobs *knobs; // what the schedule leaves open (tuning.h), or NULL: nobody asks
} Ir;

// An empty function with one task.
Ir *ir_new(Arena *arena, const Target *target);

// ---- buffers; names are made unique and turned into identifiers

IrBuffer *ir_arg(Ir *ir, const char *name, bool is_out, int64_t offset); // the next argument of the ABI
IrBuffer *ir_scratch(Ir *ir, const char *name, IrType type, int64_t elements);
IrBuffer *ir_stack(Ir *ir, const char *name, int64_t floats);
IrBuffer *ir_table(Ir *ir, const char *name, IrType type, int64_t n, const double *values); // copies values
IrBuffer *ir_shared(Ir *ir, const char *name, IrType type, int64_t elements);               // begins at 16 bytes

// ---- index expressions and conditions

IrVar *ir_var(Ir *ir, IrType type, const char *name, int64_t lo, int64_t hi);
IrExpr *ir_ref(Ir *ir, IrVar *var);
IrExpr *ir_int(Ir *ir, int64_t value);
IrExpr *ir_add(Ir *ir, IrExpr *a, IrExpr *b);
IrExpr *ir_sub(Ir *ir, IrExpr *a, IrExpr *b);
IrExpr *ir_scale(Ir *ir, IrExpr *a, int64_t factor);
IrExpr *ir_product(Ir *ir, IrExpr *a, IrExpr *b);   // general; prefer ir_scale
IrExpr *ir_offset(Ir *ir, IrExpr *a, int64_t by);   // a + by
IrExpr *ir_div(Ir *ir, IrExpr *a, int64_t divisor); // floor
IrExpr *ir_mod(Ir *ir, IrExpr *a, int64_t divisor); // 0 .. divisor - 1
IrExpr *ir_min(Ir *ir, IrExpr *a, IrExpr *b);
IrExpr *ir_max(Ir *ir, IrExpr *a, IrExpr *b);
IrExpr *ir_less(Ir *ir, IrExpr *a, IrExpr *b); // constants where the ranges settle it
IrExpr *ir_equal(Ir *ir, IrExpr *a, IrExpr *b);
IrExpr *ir_and(Ir *ir, IrExpr *a, IrExpr *b);
IrExpr *ir_not(Ir *ir, IrExpr *a);
IrExpr *ir_inside(Ir *ir, IrExpr *a, int64_t n); // 0 <= a < n
bool ir_is_int(const IrExpr *e, int64_t value);
bool ir_uses(const IrExpr *e, const IrVar *var);
// Sets out_coef so that e = *out_coef * var + rest, rest free of var; false where e is not of that form.
bool ir_affine_in(const IrExpr *e, const IrVar *var, int64_t *out_coef);
IrExpr *ir_substitute(Ir *ir, IrExpr *e, const IrVar *var, IrExpr *by); // in any expression, simplifying again
IrExpr *ir_lookup(Ir *ir, const IrBuffer *table, IrExpr *index, int64_t lo, int64_t hi); // integer table, known range

// ---- numbers

IrExpr *ir_number(Ir *ir, double value);                         // a float constant
IrExpr *ir_load(Ir *ir, const IrBuffer *buffer, IrExpr *index);  // one number
IrExpr *ir_vload(Ir *ir, const IrBuffer *buffer, IrExpr *index); // a vector
IrExpr *ir_vload_n(Ir *ir, const IrBuffer *buffer, IrExpr *index, IrExpr *n);
IrExpr *ir_gather(Ir *ir, const IrBuffer *buffer, IrExpr *index, int64_t stride, IrExpr *n); // n NULL = all lanes
IrExpr *ir_address(Ir *ir, const IrBuffer *buffer, IrExpr *index);
// The op's function of n operands; `attr` the node's attributes (NULL if none). Operands of unequal types are widened:
// constants to anything, float to vector or double, vector to double vector.
IrExpr *ir_op(Ir *ir, Op op, const AttrValue *attr, int n, IrExpr *const *args);
IrExpr *ir_op1(Ir *ir, Op op, IrExpr *a);
IrExpr *ir_op2(Ir *ir, Op op, IrExpr *a, IrExpr *b);
IrExpr *ir_select(Ir *ir, IrExpr *condition, IrExpr *a, IrExpr *b);
IrExpr *ir_splat(Ir *ir, IrExpr *a);
IrExpr *ir_convert(Ir *ir, IrType type, IrExpr *a);         // does nothing where it has the type
IrExpr *ir_lanes(Ir *ir, Op op, IrExpr *vector, IrExpr *n); // a float or double
IrExpr *ir_lane_id(Ir *ir);
IrExpr *ir_call(Ir *ir, IrType type, const char *name, int n, IrExpr *const *args);
IrExpr *ir_reduce(Ir *ir, Op op, IrVar *var, int64_t n, IrExpr *body);

// ---- statements, appended to `block`

IrStmt *ir_block(Ir *ir, IrStmt *block); // a nested one
// Returns the body. `var` needs begin <= var < end in its range.
IrStmt *ir_for(Ir *ir, IrStmt *block, IrVar *var, IrExpr *begin, IrExpr *end, int64_t step, IrLoop loop);
// A loop 0 .. n - 1 with a new variable; with n = 1 no loop, and *out is 0.
IrStmt *ir_count(Ir *ir, IrStmt *block, const char *name, int64_t n, IrExpr **out);
IrVar *ir_let(Ir *ir, IrStmt *block, const char *name, IrExpr *value);     // constant from here on
void ir_let_as(Ir *ir, IrStmt *block, IrVar *var, IrExpr *value);          // as ir_let, with a variable made before
IrVar *ir_mutable(Ir *ir, IrStmt *block, const char *name, IrExpr *value); // may be assigned
void ir_assign(Ir *ir, IrStmt *block, IrVar *var, IrExpr *value);
void ir_accumulate(Ir *ir, IrStmt *block, Op op, IrVar *var, IrExpr *value); // var = op(var, value)
void ir_store(Ir *ir, IrStmt *block, const IrBuffer *buffer, IrExpr *index, IrExpr *value);
void ir_store_n(Ir *ir, IrStmt *block, const IrBuffer *buffer, IrExpr *index, IrExpr *value, IrExpr *n);
IrStmt *ir_if(Ir *ir, IrStmt *block, IrExpr *condition); // returns the IR_IF; its body[0] is the block to fill
IrStmt *ir_else(Ir *ir, IrStmt *if_stmt);                // the block of the else branch
void ir_do(Ir *ir, IrStmt *block, const char *name, int n, IrExpr *const *args);
void ir_barrier(Ir *ir, IrStmt *block); // CUDA
// CUDA: a local function, to be given to a template by its name, ir_ref(ir, lambda->var). Returns the IR_LAMBDA;
// body[0] is the block to fill, `value` what it returns.
IrStmt *ir_lambda(Ir *ir, IrStmt *block, const char *name, int n_params, IrVar *const *param);

// Splits the function's tasks over an index space of n axes (the last varies fastest): sets n_tasks to their product
// and *out[i] to the indices, taken from the task's number.
void ir_tasks(Ir *ir, int n, const int64_t *extent, const char *const *names, IrExpr **out);

// CUDA: blocks of n threads. Returns the number of the thread.
IrExpr *ir_threads(Ir *ir, int n);

// CUDA: the bytes of shared memory that a launch must ask for, 0 where it is little enough to be declared.
int ir_dynamic_shared(const IrFunction *function);

// ---- text

// Whether all integers of the function, ranges of indices and what they are made of, fit 32 bits. (What numbers in
// memory are turned into is taken to be an index that a float can count, or behind a guard.)
bool ir_fits_int(Ir *ir);

// Appends the function's text and returns its symbol (in the arena). Functions that differ in comments and names of
// variables, and in numbers that they take, only get the same symbol.
const char *ir_print(Ir *ir, Text *out);
// The expression alone, as it would be printed, for messages and tests.
void ir_print_expr(const Ir *ir, const IrExpr *e, Text *out);

#endif
