#include "tests/simgpu/translate.h"

#include <string.h>

PtxSpace space_of(Translator *t) {
  static const struct {
    const char *word;
    PtxSpace space;
  } spaces[] = {{"global", SPACE_GLOBAL},      {"const", SPACE_CONST},      {"shared", SPACE_SHARED},
                {"shared::cta", SPACE_SHARED}, {"local", SPACE_LOCAL},      {"param", SPACE_PARAM},
                {"param::entry", SPACE_PARAM}, {"param::func", SPACE_FRAME}};
  for (size_t k = 0; k < sizeof spaces / sizeof *spaces; k++)
    if (ptx_has(t->in, spaces[k].word)) return spaces[k].space;
  return SPACE_GENERIC;
}

const char *pointer(Translator *t, PtxSpace space, const char *address, unsigned bytes, const char *access) {
  switch (space) {
  case SPACE_GLOBAL:
  case SPACE_CONST: return format(t, "global_at(T,B,%s,%u,ACCESS_%s,%d)", address, bytes, access, t->at);
  case SPACE_SHARED: return format(t, "shared_at(T,B,%s,%u,ACCESS_%s,%d)", address, bytes, access, t->at);
  case SPACE_LOCAL: return format(t, "local_at(T,B,%s,%u,%d)", address, bytes, t->at);
  case SPACE_PARAM: return format(t, "param_at(T,B,%s,%u,%d)", address, bytes, t->at);
  case SPACE_FRAME: return format(t, "(T->local+%s)", address);
  case SPACE_GENERIC: break;
  }
  return format(t, "generic_at(T,B,%s,%u,ACCESS_%s,%d)", address, bytes, access, t->at);
}

// Parameters of inlined calls lie in the frame; those of the kernel are fetched without a check where the address is
// constant.
static const char *cell(Translator *t, const PtxOperand *operand, PtxSpace space, unsigned bytes, const char *access) {
  const char *address = address_of(t, operand);
  if (space == SPACE_PARAM && operand->base == OPERAND_VARIABLE) {
    PtxVariable *variable = operand->variable;
    if (operand->value < 0 || (uint64_t)operand->value + bytes > variable->bytes)
      ptx_fail(t->failure, t->in->line, "outside of parameter %s: %s", variable->name, t->in->text);
    if (variable->space == SPACE_FRAME) return format(t, "(T->local+%s)", address);
    return format(t, "((uint8_t*)B->params+%s)", address);
  }
  return pointer(t, space, address, bytes, access);
}

static const char *const cached = "ca cg cs lu cv wb wt volatile relaxed acquire release weak nc cta gpu sys cluster "
                                  "L1::evict_normal L1::evict_unchanged L1::evict_first L1::evict_last "
                                  "L1::no_allocate L2::64B L2::128B L2::256B L2::cache_hint v2 v4 v8 "
                                  "global const shared shared::cta local param param::entry param::func";

static const char *kind_of_access(Translator *t, bool is_read) {
  bool strong =
      ptx_has(t->in, "volatile") || ptx_has(t->in, "relaxed") || ptx_has(t->in, "acquire") || ptx_has(t->in, "release");
  return is_read ? (strong ? "STRONG_READ" : "READ") : strong ? "STRONG_WRITE" : "WRITE";
}

static int lanes_of(Translator *t, const PtxOperand *operand) {
  int n = ptx_has(t->in, "v2") ? 2 : ptx_has(t->in, "v4") ? 4 : ptx_has(t->in, "v8") ? 8 : 1;
  if (n == 1 ? operand->kind == OPERAND_VECTOR && operand->n_elements != 1 : operand->n_elements != n) unknown(t);
  return n;
}

// The type that a word is moved as: halves as bits, floats as they are.
static PtxType word_type(Translator *t, PtxType type) {
  if (type.kind == 'p' || type.kind == 't' || ptx_bits(type) > 64) unknown(t);
  if (type.kind == 'f' && type.lanes == 1 && type.bits >= 32) return type;
  PtxType word = {type.kind == 's' ? 's' : type.kind == 'b' ? 'b' : 'u', (uint8_t)ptx_bits(type), 1};
  return word;
}

// The C type of the word in memory.
static const char *memory_type(Translator *t, PtxType type) {
  return type.kind == 'f' ? c_type(t, type) : format(t, "uint%d_t", ptx_bits(type));
}

static void load(Translator *t) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  allow(t, cached);
  want_operands(t, 2, ptx_has(in, "L2::cache_hint") ? 3 : 2);
  int n = lanes_of(t, &o[0]);
  PtxType type = word_type(t, ptx_last_type(t->failure, in));
  unsigned bytes = (unsigned)ptx_bits(type) / 8;
  // A vector of more than 16 bytes is checked in two halves.
  unsigned total = bytes * (unsigned)n, piece = total > 16 ? 16 : total;
  emit(t, "{");
  for (unsigned at = 0; at < total; at += piece) {
    PtxOperand address = o[1];
    address.value += at;
    emit(t, "const uint8_t*p%u=%s;", at, cell(t, &address, space_of(t), piece, kind_of_access(t, true)));
  }
  for (int k = 0; k < n; k++) {
    unsigned at = (unsigned)k * bytes;
    const PtxOperand *to = o[0].kind == OPERAND_VECTOR ? &o[0].elements[k] : &o[0];
    assign(t, to, type, "%s*(const %s*)(p%u+%u)", type.kind == 's' ? format(t, "(%s)", c_type(t, type)) : "",
           memory_type(t, type), at / piece * piece, at % piece);
  }
  if (ptx_has(in, "acquire")) emit(t, "if(SIM_RACES)B->api->fence(T,B,0);");
  emit(t, "}");
}

static void store(Translator *t) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  allow(t, cached);
  want_operands(t, 2, ptx_has(in, "L2::cache_hint") ? 3 : 2);
  int n = lanes_of(t, &o[1]);
  PtxType type = word_type(t, ptx_last_type(t->failure, in));
  unsigned bytes = (unsigned)ptx_bits(type) / 8, total = bytes * (unsigned)n, piece = total > 16 ? 16 : total;
  emit(t, "{");
  if (ptx_has(in, "release"))
    emit(t, "if(SIM_RACES)B->api->fence(T,B,%d);", ptx_has(in, "gpu") ? 1 : ptx_has(in, "sys") ? 2 : 0);
  for (unsigned at = 0; at < total; at += piece) {
    PtxOperand address = o[0];
    address.value += at;
    emit(t, "uint8_t*p%u=%s;", at, cell(t, &address, space_of(t), piece, kind_of_access(t, false)));
  }
  for (int k = 0; k < n; k++) {
    unsigned at = (unsigned)k * bytes;
    const PtxOperand *from = o[1].kind == OPERAND_VECTOR ? &o[1].elements[k] : &o[1];
    PtxType as = type;
    if (type.kind == 'b' && from->kind == OPERAND_REGISTER && t->function->registers[from->reg].is_float &&
        t->function->registers[from->reg].bits == ptx_bits(type))
      as = ptx_bits(type) == 32 ? F32 : F64;
    emit(t, "*(%s*)(p%u+%u)=%s;", memory_type(t, as), at / piece * piece, at % piece, value(t, from, as));
  }
  emit(t, "}");
}

static void copy_async(Translator *t) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  if (in->n_parts >= 3 && !strcmp(in->parts[2], "commit_group")) {
    allow(t, "async commit_group");
    want_operands(t, 0, 0);
    emit(t, "B->api->commit(T,B);");
  } else if (in->n_parts >= 3 && !strcmp(in->parts[2], "wait_group")) {
    allow(t, "async wait_group");
    want_operands(t, 1, 1);
    if (o[0].kind != OPERAND_INTEGER) unknown(t);
    emit(t, "B->api->await_copies(T,B,%d,%d);", (int)o[0].value, t->at);
  } else if (in->n_parts >= 3 && !strcmp(in->parts[2], "wait_all")) {
    allow(t, "async wait_all");
    want_operands(t, 0, 0);
    emit(t, "B->api->await_copies(T,B,-1,%d);", t->at);
  } else {
    allow(t, "async ca cg shared shared::cta global L2::64B L2::128B L2::256B L2::cache_hint");
    if (ptx_has(in, "L2::cache_hint")) unknown(t);
    want_operands(t, 3, 4);
    if (in->n_parts < 5 || strcmp(in->parts[1], "async") || o[2].kind != OPERAND_INTEGER) unknown(t);
    int64_t n = o[2].value;
    if ((n != 4 && n != 8 && n != 16) || (ptx_has(in, "cg") && n != 16)) unknown(t);
    const char *source = format(t, "%d", (int)n);
    if (in->n_operands == 4) {
      if (o[3].kind == OPERAND_REGISTER && t->function->registers[o[3].reg].kind == 'p') // ignore-src
        source = format(t, "(%s?0:%d)", value(t, &o[3], PRED), (int)n);
      else source = value(t, &o[3], U32);
    }
    emit(t, "B->api->copy(T,B,%s,%s,%d,%s,%d);", address_of(t, &o[0]), address_of(t, &o[1]), (int)n, source, t->at);
  }
}

bool translate_memory(Translator *t) {
  const PtxInstruction *in = t->in;
  if (ptx_is(in, "ld") || ptx_is(in, "ldu")) load(t);
  else if (ptx_is(in, "st")) store(t);
  else if (ptx_is(in, "cp")) copy_async(t);
  else if (ptx_is(in, "prefetch") || ptx_is(in, "prefetchu") || ptx_is(in, "discard") || ptx_is(in, "applypriority")) {
    // hints
  } else return false;
  return true;
}
