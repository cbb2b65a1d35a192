#include "tests/simgpu/translate.h"

#include <string.h>

// A vector packed into one word, the first element lowest.
static void pack(Translator *t, PtxType type) {
  const PtxOperand *o = t->in->operands;
  int n = o[1].n_elements, bits = ptx_bits(type) / (n ? n : 1);
  if (n < 2 || bits * n != ptx_bits(type) || bits < 8) unknown(t);
  PtxType part = {'u', (uint8_t)bits, 1}, whole = {'u', (uint8_t)ptx_bits(type), 1};
  const char *text = "0";
  for (int k = 0; k < n; k++)
    text = format(t, "%s|(%s)%s<<%d", k ? text : "0", c_type(t, whole), value(t, &o[1].elements[k], part), k * bits);
  assign(t, &o[0], whole, "%s", text);
}

static void unpack(Translator *t, PtxType type) {
  const PtxOperand *o = t->in->operands;
  int n = o[0].n_elements, bits = ptx_bits(type) / (n ? n : 1);
  if (n < 2 || bits * n != ptx_bits(type) || bits < 8) unknown(t);
  PtxType part = {'u', (uint8_t)bits, 1}, whole = {'u', (uint8_t)ptx_bits(type), 1};
  emit(t, "{%s w=%s;", c_type(t, whole), value(t, &o[1], whole));
  for (int k = 0; k < n; k++) assign(t, &o[0].elements[k], part, "(%s)(w>>%d)", c_type(t, part), k * bits);
  emit(t, "}");
}

// The type that moves bits best: float registers stay float.
static PtxType moving(Translator *t, const PtxOperand *from, PtxType type) {
  if (from->kind == OPERAND_REGISTER && (type.kind == 'b' || type.kind == 'u' || type.kind == 's') &&
      t->function->registers[from->reg].is_float && t->function->registers[from->reg].bits == ptx_bits(type))
    return ptx_bits(type) == 32 ? F32 : F64;
  return type;
}

static void move(Translator *t) {
  const PtxOperand *o = t->in->operands;
  allow(t, "");
  want_operands(t, 2, 2);
  PtxType type = ptx_last_type(t->failure, t->in);
  if (o[1].kind == OPERAND_VECTOR) {
    pack(t, type);
  } else if (o[0].kind == OPERAND_VECTOR) {
    unpack(t, type);
  } else {
    bool is_sixteen = type.bits == 16 && type.kind != 'p';
    if (type.kind == 'b') unite(t, &o[0], &o[1]);
    if (is_sixteen) type = U16;
    if (t->is_vote && type.kind == 'b') {
      value(t, &o[1], type);
      return;
    }
    type = type.kind == 'b' ? moving(t, &o[1], type) : type;
    assign(t, &o[0], type, "%s", value(t, &o[1], type));
  }
}

static void select_by(Translator *t) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  allow(t, "ftz");
  want_operands(t, 4, 4);
  if (ptx_is(in, "selp")) {
    PtxType type = ptx_last_type(t->failure, in);
    if (type.bits == 16) type = U16;
    if (type.kind == 'b') {
      unite(t, &o[0], &o[1]);
      unite(t, &o[0], &o[2]);
      if (o[0].kind == OPERAND_REGISTER && t->function->registers[o[0].reg].is_float) type = moving(t, &o[0], type);
    }
    assign(t, &o[0], type, "%s?%s:%s", value(t, &o[3], PRED), value(t, &o[1], type), value(t, &o[2], type));
    return;
  }
  // slct.type.s32 or .f32: the first where the third is not negative
  PtxType type, by;
  if (in->n_parts < 3 || !ptx_type(in->parts[in->n_parts - 2], &type) || !ptx_type(in->parts[in->n_parts - 1], &by))
    unknown(t);
  if (by.bits != 32 || (by.kind != 's' && by.kind != 'f')) unknown(t);
  const char *text = value(t, &o[3], by);
  if (by.kind == 'f' && ptx_has(in, "ftz")) text = format(t, "flush(%s)", text);
  assign(t, &o[0], type, "%s>=0?%s:%s", text, value(t, &o[1], type), value(t, &o[2], type));
}

// The C operator of a comparison; out_unordered: it also holds where an operand is NaN. NULL if the word is none.
static const char *comparison(const char *word, bool is_real, bool *out_unordered) {
  static const char *const ordered[][2] = {{"eq", "=="}, {"ne", "!="}, {"lt", "<"},  {"le", "<="}, {"gt", ">"},
                                           {"ge", ">="}, {"lo", "<"},  {"ls", "<="}, {"hi", ">"},  {"hs", ">="}};
  static const char *const unordered[][2] = {{"equ", "=="}, {"neu", "!="}, {"ltu", "<"},
                                             {"leu", "<="}, {"gtu", ">"},  {"geu", ">="}};
  *out_unordered = false;
  for (size_t k = 0; k < sizeof ordered / sizeof *ordered; k++)
    if (!strcmp(word, ordered[k][0]) && (!is_real || k < 6)) return ordered[k][1];
  *out_unordered = true;
  for (size_t k = 0; k < sizeof unordered / sizeof *unordered && is_real; k++)
    if (!strcmp(word, unordered[k][0])) return unordered[k][1];
  return NULL;
}

// One comparison of expressions a and b.
static const char *compare(Translator *t, const char *word, bool is_real, const char *a, const char *b) {
  bool unordered;
  if (is_real && (!strcmp(word, "num") || !strcmp(word, "nan")))
    return format(t, "(%s!__builtin_isunordered(%s,%s))", strcmp(word, "num") ? "!" : "", a, b);
  const char *sign = comparison(word, is_real, &unordered);
  if (!sign) unknown(t);
  if (!is_real) return format(t, "(%s%s%s)", a, sign, b);
  return unordered ? format(t, "(__builtin_isunordered(%s,%s)||%s%s%s)", a, b, a, sign, b)
                   : format(t, "(!__builtin_isunordered(%s,%s)&&%s%s%s)", a, b, a, sign, b);
}

static const char *with_predicate(Translator *t, const char *text) {
  const PtxInstruction *in = t->in;
  if (in->n_operands < 4) return text;
  const char *c = value(t, &in->operands[3], PRED);
  if (ptx_has(in, "and")) return format(t, "(%s&&%s)", text, c);
  if (ptx_has(in, "or")) return format(t, "(%s||%s)", text, c);
  if (ptx_has(in, "xor")) return format(t, "(%s!=%s)", text, c);
  unknown(t);
}

static bool is_sixteen(PtxType type) { return type.bits == 16 && (type.kind == 'f' || type.kind == 'g'); }

// The comparison of lane k of the operands.
static const char *compare_lane(Translator *t, PtxType type, int k) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  if (is_sixteen(type)) {
    PtxType bits = type.lanes == 2 ? U32 : U16;
    char letter = type.kind == 'g' ? 'b' : 'h';
    const char *a = format(t, "LANE(%s,%d)", value(t, &o[1], bits), k);
    const char *b = format(t, "LANE(%s,%d)", value(t, &o[2], bits), k);
    if (ptx_has(in, "ftz")) a = format(t, "flush_%c(%s)", letter, a), b = format(t, "flush_%c(%s)", letter, b);
    return compare(t, in->parts[1], true, format(t, "%c2f(%s)", letter, a), format(t, "%c2f(%s)", letter, b));
  }
  const char *a = value(t, &o[1], type), *b = value(t, &o[2], type);
  if (type.kind == 'f' && ptx_has(in, "ftz")) a = format(t, "flush(%s)", a), b = format(t, "flush(%s)", b);
  if (type.kind != 'f' && type.bits == 16) a = format(t, "(%s)(%s)", c_type(t, type), a);
  return compare(t, in->parts[1], type.kind == 'f', a, b);
}

static const char *const comparisons = "eq ne lt le gt ge lo ls hi hs equ neu ltu leu gtu geu num nan and or xor ftz";

static void set_predicate(Translator *t) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  allow(t, comparisons);
  want_operands(t, 3, 4);
  PtxType type = ptx_last_type(t->failure, in);
  const char *first = compare_lane(t, type, 0);
  if (type.lanes == 2) {
    const char *second = compare_lane(t, type, 1);
    emit(t, "{int a=%s,b=%s;", with_predicate(t, first), with_predicate(t, second));
    if (o[0].kind == OPERAND_REGISTER) assign_register(t, o[0].reg, PRED, "a");
    if (o[0].reg2 >= 0) assign_register(t, o[0].reg2, PRED, "b");
    emit(t, "}");
  } else if (o[0].reg2 >= 0) { // the second holds the opposite, then combined
    const char *opposite = format(t, "!%s", first);
    emit(t, "{int a=%s,b=%s;", with_predicate(t, first), with_predicate(t, opposite));
    if (o[0].kind == OPERAND_REGISTER) assign_register(t, o[0].reg, PRED, "a");
    assign_register(t, o[0].reg2, PRED, "b");
    emit(t, "}");
  } else {
    assign(t, &o[0], PRED, "%s", with_predicate(t, first));
  }
}

// set: all ones or 1.0 where it holds.
static void set_value(Translator *t) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  PtxType to, type;
  allow(t, comparisons);
  want_operands(t, 3, 4);
  if (in->n_parts < 4 || !ptx_type(in->parts[in->n_parts - 2], &to) || !ptx_type(in->parts[in->n_parts - 1], &type))
    unknown(t);
  const char *first = with_predicate(t, compare_lane(t, type, 0));
  if (type.lanes == 2) {
    const char *second = with_predicate(t, compare_lane(t, type, 1));
    const char *one = to.kind == 'f' ? "0x3c00" : to.kind == 'g' ? "0x3f80" : "0xffff";
    assign(t, &o[0], U32, "BOTH(%s?%s:0,%s?%s:0)", first, one, second, one);
  } else if (is_sixteen(to)) {
    assign(t, &o[0], U16, "%s?%s:0", first, to.kind == 'f' ? "0x3c00" : "0x3f80");
  } else if (to.kind == 'f') {
    assign(t, &o[0], to, "%s?1.0f:0.0f", first);
  } else {
    assign(t, &o[0], U32, "%s?0xffffffffu:0", first);
  }
}

static const char *window(Translator *t) {
  static const char *const windows[][2] = {{"shared", "SIM_SHARED_WINDOW"},
                                           {"shared::cta", "SIM_SHARED_WINDOW"},
                                           {"local", "SIM_LOCAL_WINDOW"},
                                           {"param", "SIM_PARAM_WINDOW"},
                                           {"param::entry", "SIM_PARAM_WINDOW"},
                                           {"global", "0"},
                                           {"const", "0"}};
  for (size_t k = 0; k < sizeof windows / sizeof *windows; k++)
    if (ptx_has(t->in, windows[k][0])) return windows[k][1];
  unknown(t);
}

// cvta: a generic address is a space's own in a window.
static void convert_address(Translator *t) {
  const PtxOperand *o = t->in->operands;
  allow(t, "to global const shared shared::cta local param param::entry");
  want_operands(t, 2, 2);
  const char *text, *base = window(t);
  if (o[1].kind == OPERAND_VARIABLE || o[1].kind == OPERAND_REGISTER) text = value(t, &o[1], U64);
  else unknown(t);
  if (ptx_last_type(t->failure, t->in).bits != 64) unknown(t);
  if (!strcmp(base, "0")) assign(t, &o[0], U64, "%s", text);
  else assign(t, &o[0], U64, ptx_has(t->in, "to") ? "%s&~%s" : "%s|%s", text, base);
}

static void is_in_space(Translator *t) {
  const PtxOperand *o = t->in->operands;
  allow(t, "global const shared shared::cta local param param::entry");
  want_operands(t, 2, 2);
  const char *text = value(t, &o[1], U64), *base = window(t);
  if (strcmp(base, "0")) assign(t, &o[0], PRED, "%s>>48==%s>>48", text, base);
  else assign(t, &o[0], PRED, "%s>>48<=1", text);
}

bool translate_move(Translator *t) {
  const PtxInstruction *in = t->in;
  if (ptx_is(in, "mov")) move(t);
  else if (ptx_is(in, "selp") || ptx_is(in, "slct")) select_by(t);
  else if (ptx_is(in, "setp")) set_predicate(t);
  else if (ptx_is(in, "set")) set_value(t);
  else if (ptx_is(in, "cvta")) convert_address(t);
  else if (ptx_is(in, "isspacep")) is_in_space(t);
  else return false;
  return true;
}
