// PTX: the text of a module as data: variables, functions, instructions with resolved registers and labels.
//
// Everything lives in the arena that was given to ptx_parse. What is not understood ends the parse with the PTX line.
#ifndef SIM_PTX_H
#define SIM_PTX_H

#include "runtime/base/arena.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct PtxType {
  char kind;     // 'p' predicate, 'b' bits, 'u', 's', 'f', 'g' bfloat16, 't' tf32, 0 none
  uint8_t bits;  // of one lane
  uint8_t lanes; // 2 for f16x2 and bf16x2
} PtxType;

// Whether a word ("f32", "bf16x2", "pred") names a type.
bool ptx_type(const char *word, PtxType *out);
static inline int ptx_bits(PtxType type) { return type.bits * type.lanes; }

typedef enum PtxSpace {
  SPACE_GENERIC,
  SPACE_GLOBAL,
  SPACE_CONST,
  SPACE_SHARED,
  SPACE_LOCAL,
  SPACE_PARAM, // a kernel's own parameters
  SPACE_FRAME, // parameters of calls, once they are inlined: in the thread's local memory
} PtxSpace;

typedef struct PtxReference { // a variable's address inside an initialiser
  uint64_t offset;
  const char *name;
} PtxReference;

typedef struct PtxVariable {
  const char *name;
  PtxSpace space;
  uint32_t align;
  uint64_t bytes, offset; // the offset is set by whoever lays the space out
  bool is_dynamic;        // .extern .shared
  bool is_used;
  uint8_t *initial; // NULL or n_initial bytes
  uint64_t n_initial;
  PtxReference *references;
  int n_references, room_references;
  int index; // of module variables
} PtxVariable;

typedef struct PtxRegister {
  char kind; // of the declared type
  uint8_t bits;
  bool is_float; // kept in a C float or double (translate_types.c)
} PtxRegister;

typedef enum PtxOperandKind {
  OPERAND_NONE,
  OPERAND_REGISTER,
  OPERAND_INTEGER,
  OPERAND_F32, // value holds the bits
  OPERAND_F64,
  OPERAND_VECTOR,
  OPERAND_ADDRESS, // [base + value]
  OPERAND_VARIABLE,
  OPERAND_SPECIAL, // %tid.x ...
  OPERAND_NAME,    // a label, a function, a table of branch targets
  OPERAND_SINK,    // _
} PtxOperandKind;

typedef struct PtxOperand {
  PtxOperandKind kind;
  PtxOperandKind base; // of an address: register, variable or integer
  bool is_negated;     // !p, -r
  int reg, reg2;       // reg2: the predicate of a|p, else -1
  int64_t value;
  const char *name; // of specials and names
  PtxVariable *variable;
  struct PtxOperand *elements; // of vectors
  int n_elements;
} PtxOperand;

enum { PTX_OPERANDS = 8, PTX_PARTS = 16 };

typedef struct PtxInstruction {
  int line, source_line;
  const char *text; // as written, without the semicolon
  const char *op;   // "ld.global.f32"
  const char *parts[PTX_PARTS];
  int n_parts;
  int guard; // register or -1
  bool is_guard_negated;
  PtxOperand operands[PTX_OPERANDS];
  int n_operands;
  int label;    // >= 0: this is that label, not an instruction
  int *targets; // labels of a branch: one of bra, many of brx.idx
  int n_targets;
  int yield; // number of the resume point, 0 if the thread need not stop (translate.c)
} PtxInstruction;

typedef struct PtxFunction {
  const char *name;
  int line;
  bool is_entry, has_body;
  PtxVariable **params, **returns;
  int n_params, n_returns;
  uint32_t max_threads;
  PtxVariable **variables; // of the body: local, shared, frame
  int n_variables, room_variables;
  PtxRegister *registers;
  int n_registers, room_registers;
  PtxInstruction *code;
  int n_code, room_code;
  int n_labels;
} PtxFunction;

typedef struct PtxModule {
  int target; // sm_XX
  PtxVariable **variables;
  int n_variables, room_variables;
  PtxFunction **functions;
  int n_functions, room_functions;
} PtxModule;

// Where a parse or a translation that fails goes, and why.
typedef struct PtxFailure {
  jmp_buf jump;
  int line;
  char text[400];
} PtxFailure;
void ptx_fail(PtxFailure *failure, int line, const char *format, ...) __attribute__((noreturn, format(printf, 3, 4)));

// Parses a module; jumps to failure->jump where it cannot.
PtxModule *ptx_parse(Arena *arena, PtxFailure *failure, const char *text);

PtxFunction *ptx_function(const PtxModule *module, const char *name); // NULL if there is none

// Replaces calls in an entry by the bodies of the called functions (calls of vprintf and __assertfail stay).
// Recursion and calls through pointers fail.
void ptx_inline(Arena *arena, PtxFailure *failure, const PtxModule *module, PtxFunction *entry);

// Whether an instruction has such a dotted part, and its last type (fails if it has none).
bool ptx_has(const PtxInstruction *instruction, const char *part);
PtxType ptx_last_type(PtxFailure *failure, const PtxInstruction *instruction);
static inline bool ptx_is(const PtxInstruction *instruction, const char *name) {
  const char *a = instruction->parts[0];
  if (!a) return false;
  while (*a && *a == *name) a++, name++;
  return *a == *name;
}

#endif
