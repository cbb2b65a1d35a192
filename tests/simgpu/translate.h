// Translation of PTX into C: one C function for each kernel, run once for each thread.
//
// translate.c lays out a module and writes functions around the instructions; translate_value.c reads and assigns
// operands; translate_flow.c finds which registers live where; the other translate_*.c know the instructions.
#ifndef SIM_TRANSLATE_H
#define SIM_TRANSLATE_H

#include "runtime/base/text.h"
#include "tests/simgpu/ptx.h"

// Writes the C text of a module; jumps to failure->jump with the PTX line where an instruction is not known.
// Returns how many kernels there are. Kernel k belongs to part k modulo SIM_PARTS: the text is compiled once for each
// part, with SIM_PART saying which.
int translate_module(Arena *arena, PtxFailure *failure, PtxModule *module, Text *out);

// ---- between the files of the translator

typedef struct Translator {
  Arena *arena;
  PtxFailure *failure;
  PtxModule *module;
  PtxFunction *function;
  Text *out;
  bool is_vote; // first pass: nothing is written, values are asked for to learn which registers hold floats
  int *votes;   // of each register group
  int *group;   // union-find over registers that are moved into one another
  int at;       // index of the instruction
  int n_yields, n_temporaries;
  uint64_t *live_out; // bits of registers, n_words for each instruction that yields (by its resume point)
  int n_words;
  const PtxInstruction *in;
  uint64_t local_bytes, frame_end, shared_end;
} Translator;

extern const PtxType U8, U16, U32, U64, S16, S32, S64, B16, B32, B64, F32, F64, PRED;

// C expression of an operand as that type: unsigned for 'b' and 'u', signed for 's', float, double; raw bits of the
// 16-bit formats; 0 or 1 of predicates.
const char *value(Translator *t, const PtxOperand *operand, PtxType type);
// Assigns an expression of that type to a destination (extended to the register's width as PTX says).
void assign(Translator *t, const PtxOperand *operand, PtxType type, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void assign_register(Translator *t, int reg, PtxType type, const char *expression);
void emit(Translator *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *format(Translator *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Two operands hold the same bits: both in float or both in integer registers is best.
void unite(Translator *t, const PtxOperand *a, const PtxOperand *b);
// uint32_t, float ...: the C type of values of a type.
const char *c_type(Translator *t, PtxType type);
const char *register_c_type(const PtxRegister *reg);
void unknown(Translator *t) __attribute__((noreturn)); // this form of the instruction is not known
void allow(Translator *t, const char *words); // fails if a dotted part is neither a type nor one of these words
void want_operands(Translator *t, int least, int most);

// Each returns whether it knows the instruction; a form that it does not know fails.
bool translate_integer(Translator *t);
bool translate_float(Translator *t);
bool translate_half(Translator *t);
bool translate_convert(Translator *t);
bool translate_move(Translator *t);
bool translate_memory(Translator *t);
bool translate_atomic(Translator *t);
bool translate_warp(Translator *t);
bool translate_matrix(Translator *t);
bool translate_control(Translator *t);

// Whether a thread stops at the instruction to wait for others.
bool is_yield(const PtxInstruction *in);
// Whether the first operand is written.
bool has_destination(const PtxInstruction *in);
// Numbers the resume points and finds what lives across them.
void find_liveness(Translator *t);
// Calls for each register an instruction reads (is_write false) or writes.
void visit_registers(const PtxInstruction *in, void (*visit)(void *context, int reg, bool is_write), void *context);
// Floating-point operations of one execution by one thread.
int count_flops(const PtxInstruction *in);
// Where the thread stops: saves, returns, and is resumed here; what was waited for is then in T->out.
void emit_yield(Translator *t, const char *wait);
// Expression of a checked host pointer to so many bytes: space is "global", "shared" ... or "" for generic.
const char *pointer(Translator *t, PtxSpace space, const char *address, unsigned bytes, const char *access);
const char *address_of(Translator *t, const PtxOperand *operand);
PtxSpace space_of(Translator *t);
const char *rounding(Translator *t, const char *otherwise); // ROUND_NEAREST ... of the instruction

#endif
