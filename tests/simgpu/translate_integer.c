#include "tests/simgpu/translate.h"

#include <string.h>

// add, addc, sub, subc, mad and madc with the carry: sums are made in twice the width.
static void with_carry(Translator *t, PtxType type) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  allow(t, "cc lo hi");
  bool reads = in->parts[0][3] == 'c', writes = ptx_has(in, "cc"), is_sub = !strncmp(in->parts[0], "sub", 3);
  int bits = ptx_bits(type);
  if (bits != 32 && bits != 64) unknown(t);
  PtxType u = {'u', type.bits, 1};
  const char *wide = bits == 32 ? "uint64_t" : "unsigned __int128", *a, *b;
  if (!strncmp(in->parts[0], "mad", 3)) {
    want_operands(t, 4, 4);
    a = ptx_has(in, "hi") ? format(t, "(%s)mul_hi_%c%d(%s,%s)", c_type(t, u), type.kind, bits, value(t, &o[1], type),
                                   value(t, &o[2], type))
                          : format(t, "(%s)(%s*%s)", c_type(t, u), value(t, &o[1], u), value(t, &o[2], u));
    b = value(t, &o[3], u);
  } else {
    want_operands(t, 3, 3);
    a = value(t, &o[1], u);
    b = value(t, &o[2], u);
  }
  emit(t, "{%s s=(%s)%s%c(%s)%s%s;", wide, wide, a, is_sub ? '-' : '+', wide, b, reads ? (is_sub ? "-CF" : "+CF") : "");
  assign(t, &o[0], u, "(%s)s", c_type(t, u));
  emit(t, "%s}", writes ? format(t, "CF=(s>>%d)&1;", bits) : "");
}

static void multiply(Translator *t, PtxType type) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  bool adds = ptx_is(in, "mad");
  allow(t, "lo hi wide sat");
  want_operands(t, adds ? 4 : 3, adds ? 4 : 3);
  PtxType u = {'u', type.bits, 1}, wide = {type.kind, (uint8_t)(2 * type.bits), 1};
  PtxType wide_u = {'u', (uint8_t)(2 * type.bits), 1};
  if (ptx_has(in, "wide")) {
    if (type.bits > 32) unknown(t);
    const char *c = c_type(t, wide);
    const char *product =
        format(t, "(%s)((%s)%s*(%s)%s)", c_type(t, wide_u), c, value(t, &o[1], type), c, value(t, &o[2], type));
    if (adds) assign(t, &o[0], wide_u, "%s+%s", product, value(t, &o[3], wide_u));
    else assign(t, &o[0], wide_u, "%s", product);
    return;
  }
  const char *product = ptx_has(in, "hi") ? format(t, "(%s)mul_hi_%c%d(%s,%s)", c_type(t, u), type.kind, type.bits,
                                                   value(t, &o[1], type), value(t, &o[2], type))
                                          : format(t, type.bits == 16 ? "((uint32_t)%s*%s)" : "(%s*%s)",
                                                   value(t, &o[1], u), value(t, &o[2], u));
  if (ptx_has(in, "sat")) {
    if (!adds || !ptx_has(in, "hi") || type.kind != 's' || type.bits != 32) unknown(t);
    assign(t, &o[0], S32, "saturate_s32((int64_t)(int32_t)%s+%s)", product, value(t, &o[3], S32));
  } else if (adds) {
    assign(t, &o[0], u, "%s+%s", product, value(t, &o[3], u));
  } else {
    assign(t, &o[0], u, "%s", product);
  }
}

static void multiply24(Translator *t, PtxType type) {
  const PtxOperand *o = t->in->operands;
  bool adds = ptx_is(t->in, "mad24");
  allow(t, "lo hi");
  want_operands(t, adds ? 4 : 3, adds ? 4 : 3);
  if (type.bits != 32) unknown(t);
  const char *product = format(t, "(uint32_t)(mul24_%c(%s,%s)>>%d)", type.kind, value(t, &o[1], U32),
                               value(t, &o[2], U32), ptx_has(t->in, "hi") ? 16 : 0);
  if (adds) assign(t, &o[0], U32, "%s+%s", product, value(t, &o[3], U32));
  else assign(t, &o[0], U32, "%s", product);
}

static void fields(Translator *t, PtxType type) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  PtxType u = {'u', type.bits, 1};
  allow(t, "");
  if (type.bits < 32) unknown(t);
  if (ptx_is(in, "bfe")) {
    want_operands(t, 4, 4);
    assign(t, &o[0], type, "bfe_%c%d(%s,%s,%s)", type.kind, type.bits, value(t, &o[1], type), value(t, &o[2], U32),
           value(t, &o[3], U32));
  } else {
    want_operands(t, 5, 5);
    assign(t, &o[0], u, "bfi_u%d(%s,%s,%s,%s)", type.bits, value(t, &o[1], u), value(t, &o[2], u), value(t, &o[3], U32),
           value(t, &o[4], U32));
  }
}

// min and max, of one or two lanes, with .relu: no less than 0.
static void extremes(Translator *t, PtxType type) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  bool is_min = ptx_is(in, "min"), relu = ptx_has(in, "relu");
  allow(t, "relu u16x2 s16x2");
  want_operands(t, 3, 3);
  for (int k = 1; k < in->n_parts; k++)
    if (strstr(in->parts[k], "16x2")) {
      const char *name = format(t, "%s_%c16x2", in->parts[0], in->parts[k][0]);
      const char *text = format(t, "%s(%s,%s)", name, value(t, &o[1], U32), value(t, &o[2], U32));
      assign(t, &o[0], U32, relu ? "max_s16x2(%s,0)" : "%s", text);
      return;
    }
  const char *a = value(t, &o[1], type), *b = value(t, &o[2], type), *c = c_type(t, type);
  const char *text = format(t, "((%s)%s%c(%s)%s?(%s)%s:(%s)%s)", c, a, is_min ? '<' : '>', c, b, c, a, c, b);
  if (relu) assign(t, &o[0], type, "%s>0?%s:0", text, text);
  else assign(t, &o[0], type, "%s", text);
}

static void permute(Translator *t) {
  static const char *const modes[] = {"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"};
  const PtxOperand *o = t->in->operands;
  allow(t, "f4e b4e rc8 ecl ecr rc16");
  want_operands(t, 4, 4);
  const char *a = value(t, &o[1], U32), *b = value(t, &o[2], U32), *c = value(t, &o[3], U32);
  for (int k = 0; k < 6; k++)
    if (ptx_has(t->in, modes[k])) {
      assign(t, &o[0], U32, "prmt_mode(%s,%s,%s,%d)", a, b, c, k);
      return;
    }
  assign(t, &o[0], U32, "prmt(%s,%s,%s)", a, b, c);
}

static void dot(Translator *t) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  PtxType a, b;
  bool is_two = ptx_is(in, "dp2a");
  allow(t, "lo hi");
  want_operands(t, 4, 4);
  if (in->n_parts < 3 || !ptx_type(in->parts[in->n_parts - 2], &a) || !ptx_type(in->parts[in->n_parts - 1], &b))
    unknown(t);
  assign(t, &o[0], U32, "%s(%s,%s,%s,%d,%d%s)", in->parts[0], value(t, &o[1], U32), value(t, &o[2], U32),
         value(t, &o[3], U32), a.kind == 's', b.kind == 's',
         !is_two             ? ""
         : ptx_has(in, "hi") ? ",1"
                             : ",0");
}

static void differences(Translator *t) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  PtxType a, b;
  allow(t, "add");
  want_operands(t, 4, 4);
  if (in->n_parts < 4 || !ptx_type(in->parts[2], &a) || !ptx_type(in->parts[3], &b)) unknown(t);
  assign(t, &o[0], U32, "vabsdiff4(%s,%s,%s,%d,%d,%d)", value(t, &o[1], U32), value(t, &o[2], U32),
         value(t, &o[3], U32), a.kind == 's', b.kind == 's', ptx_has(in, "add"));
}

static bool is_bitwise(const PtxInstruction *in) { return ptx_is(in, "and") || ptx_is(in, "or") || ptx_is(in, "xor"); }

static void add_or_sub(Translator *t, PtxType type) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  char sign = ptx_is(in, "add") ? '+' : '-';
  PtxType u = {'u', type.bits, 1};
  allow(t, "sat u16x2 s16x2");
  want_operands(t, 3, 3);
  if (strstr(in->op, "16x2")) {
    if (sign == '-') unknown(t);
    assign(t, &o[0], U32, "add_u16x2(%s,%s)", value(t, &o[1], U32), value(t, &o[2], U32));
  } else if (ptx_has(in, "sat")) {
    if (type.kind != 's' || type.bits != 32) unknown(t);
    assign(t, &o[0], S32, "saturate_s32((int64_t)%s%c(int64_t)%s)", value(t, &o[1], S32), sign, value(t, &o[2], S32));
  } else {
    assign(t, &o[0], u, "%s%c%s", value(t, &o[1], u), sign, value(t, &o[2], u));
  }
}

// Instructions of one operand.
static bool unary(Translator *t, PtxType type) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  PtxType u = {'u', type.bits, 1};
  const char *c;
  if (ptx_is(in, "not") || ptx_is(in, "cnot")) {
    allow(t, "");
    want_operands(t, 2, 2);
    if (type.kind == 'p') assign(t, &o[0], PRED, "!%s", value(t, &o[1], PRED));
    else assign(t, &o[0], u, ptx_is(in, "not") ? "~%s" : "%s==0", value(t, &o[1], u));
  } else if (ptx_is(in, "neg")) {
    allow(t, "");
    want_operands(t, 2, 2);
    assign(t, &o[0], u, "0-%s", value(t, &o[1], u));
  } else if (ptx_is(in, "abs")) {
    allow(t, "");
    want_operands(t, 2, 2);
    c = value(t, &o[1], type);
    assign(t, &o[0], u, "(%s)%s<0?0-%s:%s", c_type(t, type), c, value(t, &o[1], u), value(t, &o[1], u));
  } else if (ptx_is(in, "clz") || ptx_is(in, "popc")) {
    allow(t, "");
    want_operands(t, 2, 2);
    if (type.bits < 32) unknown(t);
    const char *name = ptx_is(in, "clz") ? format(t, "clz_u%d", type.bits) : "__builtin_popcountll";
    assign(t, &o[0], U32, "%s(%s)", name, value(t, &o[1], u));
  } else if (ptx_is(in, "brev")) {
    allow(t, "");
    want_operands(t, 2, 2);
    if (type.bits < 32) unknown(t);
    assign(t, &o[0], u, "brev_u%d(%s)", type.bits, value(t, &o[1], u));
  } else if (ptx_is(in, "bfind")) {
    allow(t, "shiftamt");
    want_operands(t, 2, 2);
    if (type.bits < 32) unknown(t);
    assign(t, &o[0], U32, "bfind_%c%d(%s,%d)", type.kind, type.bits, value(t, &o[1], type), ptx_has(in, "shiftamt"));
  } else {
    return false;
  }
  return true;
}

static bool shifts(Translator *t, PtxType type) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  PtxType u = {'u', type.bits, 1};
  bool is_left = ptx_is(in, "shl");
  if ((is_left || ptx_is(in, "shr")) && in->n_operands == 3 && o[2].kind == OPERAND_INTEGER && o[2].value >= 0 &&
      o[2].value < type.bits) { // most of them
    PtxType as = is_left || type.kind != 's' ? u : type;
    allow(t, "");
    assign(t, &o[0], as, "(%s)%s%s%d", c_type(t, as), value(t, &o[1], as), is_left ? "<<" : ">>", (int)o[2].value);
  } else if (is_left) {
    allow(t, "");
    want_operands(t, 3, 3);
    assign(t, &o[0], u, "shl_u%d(%s,%s)", type.bits, value(t, &o[1], u), value(t, &o[2], U32));
  } else if (ptx_is(in, "shr")) {
    allow(t, "");
    want_operands(t, 3, 3);
    assign(t, &o[0], type, "shr_%c%d(%s,%s)", type.kind == 's' ? 's' : 'u', type.bits, value(t, &o[1], type),
           value(t, &o[2], U32));
  } else if (ptx_is(in, "shf")) {
    allow(t, "l r wrap clamp");
    want_operands(t, 4, 4);
    assign(t, &o[0], U32, "shf_%s(%s,%s,%s,%d)", in->parts[1], value(t, &o[1], U32), value(t, &o[2], U32),
           value(t, &o[3], U32), ptx_has(in, "wrap"));
  } else {
    return false;
  }
  return true;
}

bool translate_integer(Translator *t) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  PtxType type = {0}, last;
  for (int k = 1; k < in->n_parts; k++)
    if (ptx_type(in->parts[k], &last)) type = last;
  if (type.kind == 'f' || type.kind == 'g' || type.kind == 't') return false;
  PtxType u = {'u', type.bits, 1};
  bool is_carry = ptx_is(in, "addc") || ptx_is(in, "subc") || ptx_is(in, "madc") || ptx_has(in, "cc");
  if (is_carry && type.kind) with_carry(t, type);
  else if (ptx_is(in, "add") || ptx_is(in, "sub")) add_or_sub(t, type);
  else if (ptx_is(in, "mul") || ptx_is(in, "mad")) multiply(t, type);
  else if (ptx_is(in, "mul24") || ptx_is(in, "mad24")) multiply24(t, type);
  else if (ptx_is(in, "div") || ptx_is(in, "rem")) {
    allow(t, "");
    want_operands(t, 3, 3);
    assign(t, &o[0], type, "%s_%c%d(%s,%s)", in->parts[0], type.kind, type.bits, value(t, &o[1], type),
           value(t, &o[2], type));
  } else if (ptx_is(in, "min") || ptx_is(in, "max")) extremes(t, type);
  else if (is_bitwise(in)) {
    char sign = ptx_is(in, "and") ? '&' : ptx_is(in, "or") ? '|' : '^';
    PtxType as = type.kind == 'p' ? PRED : u;
    allow(t, "");
    want_operands(t, 3, 3);
    assign(t, &o[0], as, "%s%c%s", value(t, &o[1], as), sign, value(t, &o[2], as));
  } else if (ptx_is(in, "sad")) {
    allow(t, "");
    want_operands(t, 4, 4);
    const char *c = c_type(t, type), *a = value(t, &o[1], type), *b = value(t, &o[2], type);
    const char *ua = value(t, &o[1], u), *ub = value(t, &o[2], u);
    assign(t, &o[0], u, "%s+((%s)%s<(%s)%s?%s-%s:%s-%s)", value(t, &o[3], u), c, a, c, b, ub, ua, ua, ub);
  } else if (ptx_is(in, "bfe") || ptx_is(in, "bfi")) fields(t, type);
  else if (ptx_is(in, "prmt")) permute(t);
  else if (ptx_is(in, "lop3")) {
    allow(t, "");
    want_operands(t, 5, 5);
    if (o[4].kind != OPERAND_INTEGER) unknown(t);
    assign(t, &o[0], U32, "lop3(%s,%s,%s,%u)", value(t, &o[1], U32), value(t, &o[2], U32), value(t, &o[3], U32),
           (unsigned)o[4].value & 255);
  } else if (ptx_is(in, "fns")) {
    allow(t, "");
    want_operands(t, 4, 4);
    assign(t, &o[0], U32, "fns(%s,%s,%s)", value(t, &o[1], U32), value(t, &o[2], U32), value(t, &o[3], S32));
  } else if (ptx_is(in, "bmsk") || ptx_is(in, "szext")) {
    allow(t, "clamp wrap");
    want_operands(t, 3, 3);
    const char *a = value(t, &o[1], U32), *b = value(t, &o[2], U32), *wraps = ptx_has(in, "wrap") ? "1" : "0";
    if (ptx_is(in, "bmsk")) assign(t, &o[0], U32, "bmsk(%s,%s,%s)", a, b, wraps);
    else assign(t, &o[0], U32, "szext(%s,%s,%d,%s)", a, b, type.kind == 's', wraps);
  } else if (ptx_is(in, "vabsdiff4")) differences(t);
  else if (ptx_is(in, "dp4a") || ptx_is(in, "dp2a")) dot(t);
  else return unary(t, type) || shifts(t, type);
  return true;
}
