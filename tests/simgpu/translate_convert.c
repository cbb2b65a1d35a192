#include "tests/simgpu/translate.h"

#include <string.h>

static bool is_half(PtxType type) { return type.bits == 16 && (type.kind == 'f' || type.kind == 'g'); }
static bool is_floating(PtxType type) { return type.kind == 'f' || type.kind == 'g'; }

// A floating-point operand as double, exactly.
static const char *as_double(Translator *t, PtxType type) {
  const PtxOperand *operand = &t->in->operands[1];
  if (is_half(type)) return format(t, "(double)%c2f(%s)", type.kind == 'g' ? 'b' : 'h', value(t, operand, U16));
  const char *text = value(t, operand, type);
  if (type.bits == 32 && ptx_has(t->in, "ftz")) text = format(t, "flush(%s)", text);
  return type.bits == 64 ? text : format(t, "(double)%s", text);
}

// Assigns a double, rounded once to the floating-point type.
static void put_double(Translator *t, PtxType type, const char *text, const char *mode) {
  const PtxInstruction *in = t->in;
  bool nearest = !strcmp(mode, "ROUND_NEAREST");
  if (is_half(type)) {
    char letter = type.kind == 'g' ? 'b' : 'h';
    if (nearest) text = format(t, "d2%c(%s)", letter, text);
    else if (letter == 'h') text = format(t, "d2h_mode(%s,%s)", text, mode);
    else text = format(t, "f2b_mode(odd_float(%s),%s)", text, mode);
    if (ptx_has(in, "relu")) text = format(t, "relu_%c(%s)", letter, text);
    if (ptx_has(in, "sat")) text = format(t, "saturate_%c(%s)", letter, text);
    assign(t, &in->operands[0], U16, "%s", text);
    return;
  }
  if (type.bits == 32) {
    text = nearest ? format(t, "(float)(%s)", text) : format(t, "round_f32(%s,%s)", text, mode);
    if (ptx_has(in, "ftz")) text = format(t, "flush(%s)", text);
  }
  if (ptx_has(in, "sat")) text = format(t, type.bits == 32 ? "saturate(%s)" : "saturate_f64(%s)", text);
  assign(t, &in->operands[0], type, "%s", text);
}

static void float_to_float(Translator *t, PtxType to, PtxType from) {
  const PtxInstruction *in = t->in;
  const char *text = as_double(t, from);
  bool whole = ptx_has(in, "rni") || ptx_has(in, "rzi") || ptx_has(in, "rmi") || ptx_has(in, "rpi");
  if (whole) {
    text = format(t, "integral(%s,%s)", text, rounding(t, ""));
    put_double(t, to, text, "ROUND_NEAREST");
  } else if (from.bits == 64 && is_half(to) && !strcmp(rounding(t, "ROUND_NEAREST"), "ROUND_NEAREST")) {
    put_double(t, to, text, "ROUND_NEAREST");
  } else {
    put_double(t, to, text, rounding(t, "ROUND_NEAREST"));
  }
}

static void int_to_float(Translator *t, PtxType to, PtxType from) {
  const char *text = value(t, &t->in->operands[1], from), *mode = rounding(t, "ROUND_NEAREST");
  if (from.bits == 64 && to.bits == 32) {
    text = format(t, "from_%c64(%s,%s)", from.kind == 's' ? 's' : 'u', text, mode);
    if (ptx_has(t->in, "sat")) text = format(t, "saturate(%s)", text);
    assign(t, &t->in->operands[0], F32, "%s", text);
  } else if (from.bits == 64 && to.bits == 64 && strcmp(mode, "ROUND_NEAREST")) {
    // The halves are exact in double; only their sum rounds.
    const char *high = from.kind == 's' ? format(t, "(double)(int32_t)(%s>>32)*0x1p32", text)
                                        : format(t, "(double)(uint32_t)(%s>>32)*0x1p32", text);
    assign(t, &t->in->operands[0], F64, "B->api->directed(0,%s,%s,(double)(uint32_t)%s,0)", mode, high, text);
  } else if (from.bits == 64 && is_half(to)) {
    put_double(t, to,
               format(t, "odd_sum((double)(%s)(%s>>32)*0x1p32,(double)(uint32_t)%s)",
                      from.kind == 's' ? "int32_t" : "uint32_t", text, text),
               mode);
  } else {
    put_double(t, to, format(t, "(double)%s", text), mode);
  }
}

static void float_to_int(Translator *t, PtxType to, PtxType from) {
  const char *name = to.kind == 's' ? "to_signed" : "to_unsigned";
  assign(t, &t->in->operands[0], to, "%s(%s,%s,%d)", name, as_double(t, from), rounding(t, "ROUND_ZERO"), to.bits);
}

static void int_to_int(Translator *t, PtxType to, PtxType from) {
  const PtxOperand *o = t->in->operands;
  const char *text = value(t, &o[1], from);
  if (!ptx_has(t->in, "sat")) {
    assign(t, &o[0], to, "(%s)%s", c_type(t, to), text);
    return;
  }
  // Clamped to the target's range; 64-bit sources keep their sign in 128 bits.
  emit(t, "{__int128 v=%s;", text);
  if (to.kind == 's') emit(t, "__int128 h=((__int128)1<<%d)-1,l=-h-1;", to.bits - 1);
  else emit(t, "__int128 h=((__int128)1<<%d)-1,l=0;", to.bits);
  assign(t, &o[0], to, "v<l?l:v>h?h:v");
  emit(t, "}");
}

// Two floats into one word of halves, the first operand in the upper half; or one into tf32.
static void pack(Translator *t, PtxType to) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  want_operands(t, 3, 3);
  char letter = to.kind == 'g' ? 'b' : 'h';
  const char *halves[2], *mode = rounding(t, "ROUND_NEAREST");
  for (int k = 0; k < 2; k++) {
    const char *text = value(t, &o[2 - k], F32);
    if (!strcmp(mode, "ROUND_NEAREST")) halves[k] = format(t, "f2%c(%s)", letter, text);
    else if (letter == 'h') halves[k] = format(t, "d2h_mode(%s,%s)", text, mode);
    else halves[k] = format(t, "f2b_mode(%s,%s)", text, mode);
    if (ptx_has(in, "relu")) halves[k] = format(t, "relu_%c(%s)", letter, halves[k]);
  }
  assign(t, &o[0], U32, "BOTH(%s,%s)", halves[0], halves[1]);
}

bool translate_convert(Translator *t) {
  const PtxInstruction *in = t->in;
  if (!ptx_is(in, "cvt")) return false;
  PtxType to = {0}, from = {0};
  if (in->n_parts < 3 || !ptx_type(in->parts[in->n_parts - 2], &to) || !ptx_type(in->parts[in->n_parts - 1], &from))
    unknown(t);
  allow(t, "rn rz rm rp rna rni rzi rmi rpi ftz sat relu");
  if (from.lanes == 2) unknown(t);
  if (to.lanes == 2) {
    if (from.kind != 'f' || from.bits != 32 || !is_half(to)) unknown(t);
    pack(t, to);
    return true;
  }
  want_operands(t, 2, 2);
  if (to.kind == 't') {
    if (from.kind != 'f' || from.bits != 32) unknown(t);
    const char *text = format(t, "f2tf(%s,%s)", value(t, &in->operands[1], F32), rounding(t, "ROUND_AWAY"));
    if (ptx_has(in, "relu")) text = format(t, "(%s&0x80000000u)?0:%s", text, text);
    assign(t, &in->operands[0], U32, "%s", text);
    return true;
  }
  if (is_floating(to) && is_floating(from)) float_to_float(t, to, from);
  else if (is_floating(to)) int_to_float(t, to, from);
  else if (is_floating(from)) float_to_int(t, to, from);
  else int_to_int(t, to, from);
  return true;
}
