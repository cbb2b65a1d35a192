#include "tests/simgpu/translate.h"

#include <string.h>

// f16, f16x2, bf16 and bf16x2: each lane is computed by a helper of kernel_float.h and rounded once.

static const char *lane(Translator *t, const char *word, int k, char letter) {
  const char *text = format(t, "LANE(%s,%d)", word, k);
  return ptx_has(t->in, "ftz") ? format(t, "flush_%c(%s)", letter, text) : text;
}

// The expression of one lane: a, b and c are words that hold the operands.
static const char *lane_result(Translator *t, int k, char letter) {
  const PtxInstruction *in = t->in;
  const char *name = in->parts[0];
  const char *a = lane(t, "a", k, letter), *b = lane(t, "b", k, letter), *c = lane(t, "c", k, letter), *text;
  switch (in->n_operands) {
  case 2: text = format(t, "%s_%c(%s)", name, letter, a); break;
  case 3:
    if (ptx_has(in, "xorsign")) {
      text = format(t, "((%s_%s%c(%s&0x7fff,%s&0x7fff)&0x7fff)|((%s^%s)&0x8000))", name,
                    ptx_has(in, "NaN") ? "nan_" : "", letter, a, b, a, b);
    } else {
      text = format(t, "%s_%s%c(%s,%s)", name, ptx_has(in, "NaN") ? "nan_" : "", letter, a, b);
    }
    break;
  default:
    if (!strcmp(name, "fma")) text = format(t, "fma_%c(%s,%s,%s)", letter, a, b, c);
    else
      text = format(t, "%s_%s%c(%s_%s%c(%s,%s),%s)", name, ptx_has(in, "NaN") ? "nan_" : "", letter, name,
                    ptx_has(in, "NaN") ? "nan_" : "", letter, a, b, c);
  }
  if (ptx_has(in, "ftz")) text = format(t, "flush_%c(%s)", letter, text);
  if (ptx_has(in, "relu")) text = format(t, "relu_%c(%s)", letter, text);
  if (ptx_has(in, "sat")) text = format(t, "saturate_%c(%s)", letter, text);
  return text;
}

bool translate_half(Translator *t) {
  static const struct {
    const char *name, *words;
    int least, most;
  } known[] = {
      {"add", "rn ftz sat", 3, 3},
      {"sub", "rn ftz sat", 3, 3},
      {"mul", "rn ftz sat", 3, 3},
      {"fma", "rn ftz sat relu", 4, 4},
      {"neg", "ftz", 2, 2},
      {"abs", "ftz", 2, 2},
      {"min", "ftz NaN xorsign abs", 3, 4},
      {"max", "ftz NaN xorsign abs", 3, 4},
      {"tanh", "approx", 2, 2},
      {"ex2", "approx ftz", 2, 2},
  };
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  PtxType type = {0};
  for (int k = 1; k < in->n_parts; k++) ptx_type(in->parts[k], &type);
  if (type.kind != 'g' && !(type.kind == 'f' && type.bits == 16)) return false;
  for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
    if (!ptx_is(in, known[k].name)) continue;
    if (in->n_parts > 2 && ptx_type(in->parts[in->n_parts - 2], &(PtxType){0})) unknown(t); // mixed precision
    allow(t, known[k].words);
    want_operands(t, known[k].least, known[k].most);
    char letter = type.kind == 'g' ? 'b' : 'h';
    PtxType bits = type.lanes == 2 ? U32 : U16;
    emit(t, "{uint32_t a=%s", value(t, &o[1], bits));
    emit(t, ",b=%s", in->n_operands > 2 ? value(t, &o[2], bits) : "0");
    emit(t, ",c=%s;(void)b;(void)c;", in->n_operands > 3 ? value(t, &o[3], bits) : "0");
    const char *low = lane_result(t, 0, letter);
    if (type.lanes == 2) assign(t, &o[0], U32, "BOTH(%s,%s)", low, lane_result(t, 1, letter));
    else assign(t, &o[0], U16, "%s", low);
    emit(t, "}");
    return true;
  }
  return false;
}
