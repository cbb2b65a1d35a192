// The printer's words for CUDA: function heads by the kernel ABI, shared memory, blocks and threads.
#include "compiler/kernel/ir_print.h"

enum { STATIC_SHARED = 48 << 10 }; // more must be dynamic

int ir_dynamic_shared(const IrFunction *function) {
  return function->shared > STATIC_SHARED ? (int)function->shared : 0;
}

#define CUDA_SPELLING(integer)                                                                                         \
  {                                                                                                                    \
    .apart = "__restrict__ ", .stack = "float %s[%lld];\n", .unroll = "#pragma unroll\n",                              \
    .infinity = "__int_as_float(0x7f800000)", .nan = "__int_as_float(0x7fc00000)",                                     \
    .table_int = "static const __device__ int %s[%lld] = {",                                                           \
    .table_float = "static const __device__ float %s[%lld] = {",                                                       \
    .type = {integer, "float", "vf", "double", "vd", "const float *"}, .is_cuda = true                                 \
  }

static const Spelling narrow = CUDA_SPELLING("int"), wide = CUDA_SPELLING("i64");

const Spelling *print_cuda_spelling(Ir *ir) { return ir_fits_int(ir) ? &narrow : &wide; }

static void put_number_of(Printer *p, const IrVar *var, const char *what) {
  if (var->lo == var->hi) return; // a constant
  print_indent(p);
  text_printf(p->out, "const %s %s = %s;\n", p->spell->type[IR_INDEX], print_var_name(p, var), what);
}

static void put_parameters(Printer *p) {
  const IrFunction *f = p->ir->function;
  const char *apart = f->may_alias ? "" : p->spell->apart;
  for (int k = 0; k < f->n_args; k++) {
    const char *type = f->args[k]->kind == IR_BUFFER_OUT ? "float *" : "const float *";
    text_printf(p->out, "%s%s%s%s", k ? ", " : "", type, apart, print_buffer_name(p, f->args[k]));
  }
  if (f->scratch) text_printf(p->out, "%sfloat *scratch", f->n_args ? ", " : "");
}

static void put_offsets(Printer *p) {
  const IrFunction *f = p->ir->function;
  for (int k = 0; k < f->n_args; k++) {
    if (!f->args[k]->offset) continue;
    print_indent(p);
    text_printf(p->out, "%s += %lld;\n", print_buffer_name(p, f->args[k]), (long long)f->args[k]->offset);
  }
}

// The block finds its row; the arguments are that row's.
static void put_row(Printer *p) {
  const IrFunction *f = p->ir->function;
  text_printf(p->out, "  const int row = find_row(table, n_rows, %d);\n", 2 + f->n_args);
  text_printf(p->out, "  const long long *words = table + (long long)row * %d;\n", 2 + f->n_args);
  put_number_of(p, f->piece, "(int)(blockIdx.x - words[0])");
  put_number_of(p, f->row_floats, "words[1]");
  for (int k = 0; k < f->n_args; k++) {
    const char *type = f->args[k]->kind == IR_BUFFER_OUT ? "float *" : "const float *";
    text_printf(p->out, "  %s%s%s = (%s)words[%d];\n", type, f->may_alias ? "" : p->spell->apart,
                print_buffer_name(p, f->args[k]), type, 2 + k);
  }
}

void print_cuda_head(Printer *p, const char *symbol) {
  const IrFunction *f = p->ir->function;
  text_printf(p->out, "extern \"C\" __global__ void __launch_bounds__(%d", f->block);
  // Rows: left to itself, ptxas saves registers around the slow path of a division to fit one block more.
  int blocks = f->has_rows && !f->blocks_a_multiprocessor ? 1 : f->blocks_a_multiprocessor;
  if (blocks) text_printf(p->out, ", %d", blocks);
  text_printf(p->out, ") %s(", symbol ? symbol : "");
  if (f->has_rows) text_put(p->out, "const long long *__restrict__ table, int n_rows, float *scratch");
  else put_parameters(p);
  text_put(p->out, ") {\n");
  put_number_of(p, f->task, "blockIdx.x");
  put_number_of(p, f->thread, "threadIdx.x");
  if (f->has_rows) put_row(p);
  put_offsets(p);
  if (ir_dynamic_shared(f)) text_put(p->out, "  extern __shared__ __align__(16) unsigned char shared_memory[];\n");
}

void print_cuda_shared(Printer *p, const IrBuffer *b) {
  const char *type = b->type == IR_INDEX ? "int" : p->spell->type[b->type], *name = print_buffer_name(p, b);
  // An array in either case: templates count its elements.
  if (ir_dynamic_shared(p->ir->function))
    text_printf(p->out, "%s(&%s)[%lld] = *(%s(*)[%lld])(shared_memory + %lld);\n", type, name, (long long)b->size, type,
                (long long)b->size, (long long)b->offset);
  else text_printf(p->out, "__shared__ __align__(16) %s %s[%lld];\n", type, name, (long long)b->size);
}
