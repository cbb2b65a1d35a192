#include "tests/simgpu/kernel_thread.h"
#include "tests/simgpu/translate.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const PtxType U8 = {'u', 8, 1}, U16 = {'u', 16, 1}, U32 = {'u', 32, 1}, U64 = {'u', 64, 1}, S16 = {'s', 16, 1},
              S32 = {'s', 32, 1}, S64 = {'s', 64, 1}, B16 = {'b', 16, 1}, B32 = {'b', 32, 1}, B64 = {'b', 64, 1},
              F32 = {'f', 32, 1}, F64 = {'f', 64, 1}, PRED = {'p', 1, 1};

void emit(Translator *t, const char *format, ...) {
  if (t->is_vote) return;
  va_list args;
  va_start(args, format);
  text_vprintf(t->out, format, args);
  va_end(args);
}

const char *format(Translator *t, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const char *text = arena_vprintf(t->arena, format, args);
  va_end(args);
  return text;
}

void unknown(Translator *t) { ptx_fail(t->failure, t->in->line, "this form is not known: %s", t->in->text); }

void want_operands(Translator *t, int least, int most) {
  if (t->in->n_operands < least || t->in->n_operands > most) unknown(t);
}

void allow(Translator *t, const char *words) {
  PtxType type;
  for (int k = 1; k < t->in->n_parts; k++) {
    const char *part = t->in->parts[k];
    size_t n = strlen(part);
    bool known = ptx_type(part, &type);
    for (const char *s = words; !known && (s = strstr(s, part)); s++)
      known = (s == words || s[-1] == ' ') && (s[n] == ' ' || !s[n]);
    if (!known) unknown(t);
  }
}

static bool is_real(PtxType type) { return type.kind == 'f' && type.lanes == 1 && type.bits >= 32; }

const char *c_type(Translator *t, PtxType type) {
  int bits = ptx_bits(type);
  if (is_real(type)) return bits == 32 ? "float" : "double";
  if (type.kind == 'p') return "unsigned char";
  bool is_signed = type.kind == 's';
  switch (bits) {
  case 8: return is_signed ? "int8_t" : "uint8_t";
  case 16: return is_signed ? "int16_t" : "uint16_t";
  case 32: return is_signed ? "int32_t" : "uint32_t";
  case 64: return is_signed ? "int64_t" : "uint64_t";
  }
  unknown(t);
}

const char *register_c_type(const PtxRegister *reg) {
  if (reg->is_float) return reg->bits == 32 ? "float" : "double";
  return reg->bits == 1 ? "unsigned char" : reg->bits == 16 ? "uint16_t" : reg->bits == 32 ? "uint32_t" : "uint64_t";
}

// ---- which registers hold floats

static int group_of(Translator *t, int reg) {
  while (t->group[reg] != reg) reg = t->group[reg] = t->group[t->group[reg]];
  return reg;
}

static void vote(Translator *t, int reg, PtxType type) {
  if (!t->is_vote || type.kind == 'b') return;
  t->votes[group_of(t, reg)] += is_real(type) ? 1 : -1;
}

void unite(Translator *t, const PtxOperand *a, const PtxOperand *b) {
  if (!t->is_vote || a->kind != OPERAND_REGISTER || b->kind != OPERAND_REGISTER) return;
  if (t->function->registers[a->reg].bits != t->function->registers[b->reg].bits) return;
  int to = group_of(t, a->reg), from = group_of(t, b->reg);
  if (to == from) return;
  t->group[from] = to;
  t->votes[to] += t->votes[from];
}

// ---- reading

static const char *special(Translator *t, const PtxOperand *operand) {
  static const struct {
    const char *name, *text;
  } specials[] = {
      {"%tid.x", "T->tid[0]"},
      {"%tid.y", "T->tid[1]"},
      {"%tid.z", "T->tid[2]"},
      {"%ntid.x", "B->ntid[0]"},
      {"%ntid.y", "B->ntid[1]"},
      {"%ntid.z", "B->ntid[2]"},
      {"%ctaid.x", "B->ctaid[0]"},
      {"%ctaid.y", "B->ctaid[1]"},
      {"%ctaid.z", "B->ctaid[2]"},
      {"%nctaid.x", "B->nctaid[0]"},
      {"%nctaid.y", "B->nctaid[1]"},
      {"%nctaid.z", "B->nctaid[2]"},
      {"%laneid", "T->lane"},
      {"%warpid", "T->warp"},
      {"%nwarpid", "((B->ntid[0]*B->ntid[1]*B->ntid[2]+31)/32)"},
      {"%lanemask_eq", "(1u<<T->lane)"},
      {"%lanemask_lt", "((1u<<T->lane)-1)"},
      {"%lanemask_le", "((2u<<T->lane)-1)"},
      {"%lanemask_gt", "(~((2u<<T->lane)-1))"},
      {"%lanemask_ge", "(~((1u<<T->lane)-1))"},
      {"%smid", "(B->index&7u)"},
      {"%nsmid", "8u"},
      {"%gridid", "1u"},
      {"%clock", "((uint32_t)-T->fuel)"},
      {"%clock_hi", "0u"},
      {"%clock64", "((uint64_t)-T->fuel)"},
      {"%globaltimer", "((uint64_t)-T->fuel)"},
      {"%dynamic_smem_size", "B->dynamic_bytes"},
      {"%total_smem_size", "(B->dynamic+B->dynamic_bytes)"},
      {"%cluster_ctaid.x", "0u"},
      {"%cluster_ctaid.y", "0u"},
      {"%cluster_ctaid.z", "0u"},
      {"%cluster_nctaid.x", "1u"},
      {"%cluster_nctaid.y", "1u"},
      {"%cluster_nctaid.z", "1u"},
      {"%cluster_ctarank", "0u"},
      {"%cluster_nctarank", "1u"},
      {"WARP_SZ", "32u"},
  };
  for (size_t k = 0; k < sizeof specials / sizeof *specials; k++)
    if (!strcmp(specials[k].name, operand->name)) return specials[k].text;
  ptx_fail(t->failure, t->in->line, "register %s is not known", operand->name);
}

static const char *variable_address(Translator *t, PtxVariable *variable) {
  variable->is_used = true;
  switch (variable->space) {
  case SPACE_GLOBAL:
  case SPACE_CONST: return format(t, "B->symbols[%d]", variable->index);
  case SPACE_SHARED:
    return variable->is_dynamic ? "(uint64_t)B->dynamic" : format(t, "%lluull", (unsigned long long)variable->offset);
  default: return format(t, "%lluull", (unsigned long long)variable->offset);
  }
}

static const char *cast(Translator *t, PtxType type, int from_bits, const char *text) {
  if (type.kind != 's' && ptx_bits(type) == from_bits) return text;
  return format(t, "(%s)%s", c_type(t, type), text);
}

static const char *register_value(Translator *t, int reg, PtxType type) {
  const PtxRegister *r = &t->function->registers[reg];
  vote(t, reg, type);
  int bits = ptx_bits(type);
  if ((type.kind == 'p') != (r->kind == 'p')) unknown(t);
  if (type.kind == 'p') return format(t, "r%d", reg);
  if (bits > r->bits) ptx_fail(t->failure, t->in->line, "a register is too narrow: %s", t->in->text);
  if (is_real(type)) {
    if (bits != r->bits) unknown(t);
    return r->is_float ? format(t, "r%d", reg) : format(t, bits == 32 ? "u2f(r%d)" : "u2d(r%d)", reg);
  }
  const char *text = r->is_float ? format(t, r->bits == 32 ? "f2u(r%d)" : "d2u(r%d)", reg) : format(t, "r%d", reg);
  return cast(t, type, r->bits, text);
}

const char *value(Translator *t, const PtxOperand *operand, PtxType type) {
  int bits = ptx_bits(type);
  switch (operand->kind) {
  case OPERAND_REGISTER: {
    const char *text = register_value(t, operand->reg, type);
    if (!operand->is_negated) return text;
    if (type.kind != 'p') unknown(t);
    return format(t, "!%s", text);
  }
  case OPERAND_INTEGER:
    if (type.kind == 'p') return operand->value ? "1" : "0";
    if (is_real(type)) unknown(t);
    if (bits == 64) return cast(t, type, 64, format(t, "0x%llxull", (unsigned long long)operand->value));
    return cast(t, type, bits == 32 ? 32 : 0,
                format(t, "0x%xu", (unsigned)((uint64_t)operand->value & ((1ull << bits) - 1))));
  case OPERAND_F32:
    if (bits != 32 || type.lanes != 1) unknown(t);
    return format(t, is_real(type) ? "u2f(0x%08xu)" : "0x%08xu", (unsigned)operand->value);
  case OPERAND_F64: {
    double real;
    memcpy(&real, &operand->value, sizeof real);
    if (type.kind == 'f' && bits == 32) return format(t, "(float)%a", real);
    if (bits != 64) unknown(t);
    return format(t, is_real(type) ? "u2d(0x%016llxull)" : "0x%016llxull", (unsigned long long)operand->value);
  }
  case OPERAND_VARIABLE:
    if (bits < 32 || is_real(type)) unknown(t);
    return cast(t, type, 64, variable_address(t, operand->variable));
  case OPERAND_SPECIAL: return cast(t, type, strstr(operand->name, "64") ? 64 : 32, special(t, operand));
  default: unknown(t);
  }
}

const char *address_of(Translator *t, const PtxOperand *operand) {
  if (operand->kind != OPERAND_ADDRESS) unknown(t);
  if (operand->base == OPERAND_INTEGER) return format(t, "0x%llxull", (unsigned long long)operand->value);
  const char *base;
  if (operand->base == OPERAND_VARIABLE) {
    base = variable_address(t, operand->variable);
  } else {
    vote(t, operand->reg, U64);
    int bits = t->function->registers[operand->reg].bits;
    if (bits != 32 && bits != 64) unknown(t);
    if (bits == 32) {
      return operand->value ? format(t, "(uint64_t)(uint32_t)(%s+0x%xu)", register_value(t, operand->reg, U32),
                                     (unsigned)operand->value)
                            : format(t, "(uint64_t)%s", register_value(t, operand->reg, U32));
    }
    base = register_value(t, operand->reg, U64);
  }
  return operand->value ? format(t, "%s+0x%llxull", base, (unsigned long long)operand->value) : base;
}

// ---- writing

void assign_register(Translator *t, int reg, PtxType type, const char *expression) {
  const PtxRegister *r = &t->function->registers[reg];
  vote(t, reg, type);
  int bits = ptx_bits(type);
  if ((type.kind == 'p') != (r->kind == 'p')) unknown(t);
  if (bits > r->bits) ptx_fail(t->failure, t->in->line, "a register is too narrow: %s", t->in->text);
  if (is_real(type)) {
    if (bits != r->bits) unknown(t);
    if (r->is_float) emit(t, "r%d=%s;", reg, expression);
    else emit(t, bits == 32 ? "r%d=f2u(%s);" : "r%d=d2u(%s);", reg, expression);
  } else if (r->is_float) {
    emit(t, r->bits == 32 ? "r%d=u2f((uint32_t)(%s)(%s));" : "r%d=u2d((uint64_t)(%s)(%s));", reg, c_type(t, type),
         expression);
  } else if (type.kind == 'p') {
    emit(t, "r%d=(%s);", reg, expression);
  } else if (bits < r->bits) { // extended by the type's sign
    emit(t, "r%d=(uint%d_t)(%s)(%s);", reg, r->bits, c_type(t, type), expression);
  } else {
    emit(t, "r%d=(uint%d_t)(%s);", reg, r->bits, expression);
  }
}

void assign(Translator *t, const PtxOperand *operand, PtxType type, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const char *expression = arena_vprintf(t->arena, format, args);
  va_end(args);
  if (operand->kind == OPERAND_SINK) return;
  if (operand->kind != OPERAND_REGISTER) unknown(t);
  assign_register(t, operand->reg, type, expression);
}

const char *rounding(Translator *t, const char *otherwise) {
  static const char *const words[][2] = {{"rn", "ROUND_NEAREST"}, {"rz", "ROUND_ZERO"},  {"rm", "ROUND_DOWN"},
                                         {"rp", "ROUND_UP"},      {"rna", "ROUND_AWAY"}, {"rni", "ROUND_NEAREST"},
                                         {"rzi", "ROUND_ZERO"},   {"rmi", "ROUND_DOWN"}, {"rpi", "ROUND_UP"}};
  for (size_t k = 0; k < sizeof words / sizeof *words; k++)
    if (ptx_has(t->in, words[k][0])) return words[k][1];
  return otherwise;
}
