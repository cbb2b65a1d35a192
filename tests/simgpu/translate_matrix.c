#include "tests/simgpu/translate.h"

#include <stdio.h>
#include <string.h>

// mma, wmma, ldmatrix and stmatrix: fragments go to T->in, results come from T->out; the machine does the rest when all
// lanes are there (machine_matrix.c).

static const char *element(Translator *t, const char *word) {
  static const char *const elements[][2] = {{"f16", "ELEMENT_F16"}, {"bf16", "ELEMENT_BF16"}, {"tf32", "ELEMENT_TF32"},
                                            {"f32", "ELEMENT_F32"}, {"f64", "ELEMENT_F64"},   {"s8", "ELEMENT_S8"},
                                            {"u8", "ELEMENT_U8"},   {"s32", "ELEMENT_S32"}};
  for (size_t k = 0; k < sizeof elements / sizeof *elements; k++)
    if (!strcmp(word, elements[k][0])) return elements[k][1];
  unknown(t);
}

static void shape(Translator *t, int *m, int *n, int *k) {
  for (int p = 1; p < t->in->n_parts; p++) {
    int used = 0;
    if (sscanf(t->in->parts[p], "m%dn%dk%d%n", m, n, k, &used) == 3 && !t->in->parts[p][used]) return;
  }
  unknown(t);
}

// Registers of a fragment, in words of 32 bits from T->in[first]; returns how many words.
static int put_fragment(Translator *t, const PtxOperand *operand, int first, bool is_double) {
  int n = operand->kind == OPERAND_VECTOR ? operand->n_elements : 1;
  for (int k = 0; k < n; k++) {
    const PtxOperand *o = operand->kind == OPERAND_VECTOR ? &operand->elements[k] : operand;
    if (is_double)
      emit(t, "{uint64_t v=%s;T->in[%d]=(uint32_t)v;T->in[%d]=(uint32_t)(v>>32);}", value(t, o, B64), first + 2 * k,
           first + 2 * k + 1);
    else emit(t, "T->in[%d]=%s;", first + k, value(t, o, B32));
  }
  if (first + n * (is_double ? 2 : 1) > 32) unknown(t);
  return n * (is_double ? 2 : 1);
}

static int element_bits(const char *word) {
  PtxType type = {0};
  ptx_type(word, &type);
  return word[0] == 't' ? 32 : type.bits;
}

// A fragment must have as many registers as the manual says for a matrix of that many elements.
static void want_registers(Translator *t, const PtxOperand *operand, int elements, const char *type, bool is_doubled) {
  int n = operand->kind == OPERAND_VECTOR ? operand->n_elements : 1, bits = element_bits(type);
  if (n * 32 * (bits == 64 ? 64 : 32) != elements * bits * (is_doubled ? 2 : 1)) unknown(t);
}

static void get_fragment(Translator *t, const PtxOperand *operand, bool is_double) {
  int n = operand->kind == OPERAND_VECTOR ? operand->n_elements : 1;
  if (n * (is_double ? 2 : 1) > 16) unknown(t);
  for (int k = 0; k < n; k++) {
    const PtxOperand *o = operand->kind == OPERAND_VECTOR ? &operand->elements[k] : operand;
    if (is_double) assign(t, o, B64, "T->out[%d]|(uint64_t)T->out[%d]<<32", 2 * k, 2 * k + 1);
    else assign(t, o, B32, "T->out[%d]", k);
  }
}

// Types: dtype.atype.btype.ctype of mma; wmma of halves names dtype.ctype only.
static void multiply(Translator *t) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  allow(t, "mma sync aligned row col satfinite m8n8k4 m16n8k4 m16n8k8 m16n8k16 m16n8k32 m8n8k16 m16n16k16 m32n8k16 "
           "m8n32k16 m16n16k8");
  want_operands(t, 4, 4);
  const char *types[4], *layouts[2] = {"row", "row"};
  int n_types = 0, n_layouts = 0, m, n, k;
  bool is_wmma = ptx_is(in, "wmma");
  for (int p = 1; p < in->n_parts; p++) {
    PtxType type;
    bool is_layout = !strcmp(in->parts[p], "row") || !strcmp(in->parts[p], "col");
    if (is_layout && n_layouts < 2) layouts[n_layouts++] = in->parts[p];
    else if (ptx_type(in->parts[p], &type) && n_types < 4) types[n_types++] = in->parts[p];
  }
  shape(t, &m, &n, &k);
  if (n_types == 2) types[3] = types[1], types[1] = types[2] = "f16";
  else if (n_types != 4) unknown(t);
  if (!is_wmma && (strcmp(layouts[0], "row") || strcmp(layouts[1], "col"))) unknown(t);
  bool twice = is_wmma && !strcmp(types[1], "f16"); // wmma of halves keeps each element of a and b in two lanes
  want_registers(t, &o[0], m * n, types[0], false);
  want_registers(t, &o[1], m * k, types[1], twice);
  want_registers(t, &o[2], k * n, types[2], twice);
  want_registers(t, &o[3], m * n, types[3], false);
  bool a_double = !strcmp(types[1], "f64"), d_double = !strcmp(types[0], "f64");
  emit(t,
       "{static const SimMatrix x={.m=%d,.n=%d,.k=%d,.a=%s,.b=%s,.c=%s,.d=%s,.is_wmma=%d,.a_columns=%d,.b_columns=%d,"
       ".is_saturated=%d};T->detail=&x;}",
       m, n, k, element(t, types[1]), element(t, types[2]), element(t, types[3]), element(t, types[0]), is_wmma,
       !strcmp(layouts[0], "col"), !strcmp(layouts[1], "col"), ptx_has(in, "satfinite"));
  int at = put_fragment(t, &o[1], 0, a_double);
  at += put_fragment(t, &o[2], at, a_double);
  put_fragment(t, &o[3], at, d_double);
  emit(t, "T->mask=~0u;");
  emit_yield(t, "WAIT_MATRIX");
  get_fragment(t, &o[0], d_double);
}

static int space_number(Translator *t) {
  PtxSpace space = space_of(t);
  if (space != SPACE_GENERIC && space != SPACE_GLOBAL && space != SPACE_SHARED) unknown(t);
  return space == SPACE_GLOBAL ? 1 : space == SPACE_SHARED ? 2 : 0;
}

// wmma.load.a.sync.aligned.layout.shape.space.type r, [p], stride and wmma.store.d
static void fragment(Translator *t) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  bool loads = ptx_has(in, "load");
  int m, n, k;
  allow(t, "load store a b c d sync aligned row col m16n16k16 m32n8k16 m8n32k16 m16n16k8 global shared shared::cta");
  want_operands(t, 3, 3);
  shape(t, &m, &n, &k);
  const PtxOperand *registers = &o[loads ? 0 : 1], *address = &o[loads ? 1 : 0];
  int count = registers->n_elements;
  const char *kind = in->parts[2], *type = in->parts[in->n_parts - 1];
  emit(t,
       "{static const SimMatrix x={.m=%d,.n=%d,.k=%d,.a=%s,.a_columns=%d,.is_wmma=1,.fragment='%c',.space=%d,"
       ".n_registers=%d};T->detail=&x;}",
       m, n, k, element(t, type), ptx_has(in, "col"), *kind == 'd' ? 'c' : *kind, space_number(t), count);
  emit(t, "T->address=%s;T->stride=%s;T->mask=~0u;", address_of(t, address), value(t, &o[2], U32));
  if (!loads) put_fragment(t, registers, 0, false);
  else if (count > 16) unknown(t);
  emit_yield(t, loads ? "WAIT_WMMA_LOAD" : "WAIT_WMMA_STORE");
  if (loads) get_fragment(t, registers, false);
}

static void rows(Translator *t) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  bool loads = ptx_is(in, "ldmatrix");
  allow(t, "sync aligned m8n8 x1 x2 x4 trans shared shared::cta");
  want_operands(t, 2, 2);
  int n = ptx_has(in, "x4") ? 4 : ptx_has(in, "x2") ? 2 : 1;
  const PtxOperand *registers = &o[loads ? 0 : 1];
  if ((registers->kind == OPERAND_VECTOR ? registers->n_elements : 1) != n) unknown(t);
  if (ptx_last_type(t->failure, in).bits != 16) unknown(t);
  emit(t, "{static const SimMatrix x={.n_registers=%d,.is_transposed=%d,.space=%d};T->detail=&x;}", n,
       ptx_has(in, "trans"), space_number(t));
  emit(t, "T->address=%s;T->mask=~0u;", address_of(t, &o[loads ? 1 : 0]));
  if (!loads) put_fragment(t, registers, 0, false);
  emit_yield(t, loads ? "WAIT_LOAD_MATRIX" : "WAIT_STORE_MATRIX");
  if (loads) get_fragment(t, registers, false);
}

// movmatrix is not known: nothing emits it yet.
bool translate_matrix(Translator *t) {
  const PtxInstruction *in = t->in;
  if (ptx_is(in, "mma")) multiply(t);
  else if (ptx_is(in, "wmma") && ptx_has(in, "mma")) multiply(t);
  else if (ptx_is(in, "wmma")) fragment(t);
  else if (ptx_is(in, "ldmatrix") || ptx_is(in, "stmatrix")) rows(t);
  else return false;
  return true;
}
