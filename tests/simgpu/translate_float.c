#include "tests/simgpu/translate.h"

#include <string.h>

// A float operand; .ftz takes subnormals for zeros.
static const char *real(Translator *t, int k, PtxType type) {
  const char *text = value(t, &t->in->operands[k], type);
  return type.bits == 32 && ptx_has(t->in, "ftz") ? format(t, "flush(%s)", text) : text;
}

static void put(Translator *t, PtxType type, const char *text) {
  if (type.bits == 32 && ptx_has(t->in, "ftz")) text = format(t, "flush(%s)", text);
  if (ptx_has(t->in, "sat")) text = format(t, type.bits == 32 ? "saturate(%s)" : "saturate_f64(%s)", text);
  assign(t, &t->in->operands[0], type, "%s", text);
}

static bool is_nearest(Translator *t) { return !strcmp(rounding(t, "ROUND_NEAREST"), "ROUND_NEAREST"); }

enum { DIRECTED_ADD, DIRECTED_MUL, DIRECTED_FMA, DIRECTED_DIV, DIRECTED_SQRT };

// f64 in a rounding mode that is not the host's own.
static const char *directed(Translator *t, int operation, const char *a, const char *b, const char *c) {
  return format(t, "B->api->directed(%d,%s,%s,%s,%s)", operation, rounding(t, ""), a, b, c);
}

static void arithmetic(Translator *t, PtxType type) {
  const PtxInstruction *in = t->in;
  bool is_fma = ptx_is(in, "fma") || ptx_is(in, "mad");
  allow(t, "rn rz rm rp ftz sat");
  want_operands(t, is_fma ? 4 : 3, is_fma ? 4 : 3);
  const char *a = real(t, 1, type), *b = real(t, 2, type), *c = is_fma ? real(t, 3, type) : "0";
  char sign = ptx_is(in, "add") ? '+' : ptx_is(in, "sub") ? '-' : '*';
  if (is_nearest(t)) {
    if (is_fma) put(t, type, format(t, type.bits == 32 ? "fmaf(%s,%s,%s)" : "fma(%s,%s,%s)", a, b, c));
    else put(t, type, format(t, "%s%c%s", a, sign, b));
    return;
  }
  if (sign == '-') b = format(t, "-%s", b);
  const char *name = is_fma ? "fma" : sign == '*' ? "mul" : "add";
  if (type.bits == 64)
    put(t, type, directed(t, is_fma ? DIRECTED_FMA : sign == '*' ? DIRECTED_MUL : DIRECTED_ADD, a, b, c));
  else if (is_fma) put(t, type, format(t, "fma_mode(%s,%s,%s,%s)", a, b, c, rounding(t, "")));
  else put(t, type, format(t, "%s_mode(%s,%s,%s)", name, a, b, rounding(t, "")));
}

// div, rcp and sqrt: exact in every rounding; the approximate ones are done exactly too.
static void quotient(Translator *t, PtxType type) {
  const PtxInstruction *in = t->in;
  allow(t, "rn rz rm rp ftz approx full");
  bool is_div = ptx_is(in, "div"), is_sqrt = ptx_is(in, "sqrt");
  want_operands(t, is_div ? 3 : 2, is_div ? 3 : 2);
  const char *a = real(t, 1, type), *b = is_div ? real(t, 2, type) : a;
  const char *one = type.bits == 32 ? "1.0f" : "1.0";
  if (!is_div) a = is_sqrt ? a : one;
  if (is_nearest(t)) {
    if (is_sqrt) put(t, type, format(t, type.bits == 32 ? "sqrtf(%s)" : "sqrt(%s)", a));
    else put(t, type, format(t, "%s/%s", a, b));
  } else if (type.bits == 64) {
    put(t, type, directed(t, is_sqrt ? DIRECTED_SQRT : DIRECTED_DIV, a, is_sqrt ? "0" : b, "0"));
  } else if (is_sqrt) {
    put(t, type, format(t, "sqrt_mode(%s,%s)", a, rounding(t, "")));
  } else {
    put(t, type, format(t, "div_mode(%s,%s,%s)", a, b, rounding(t, "")));
  }
}

// The hardware's approximate functions, done as well as the host can.
static bool approximate(Translator *t, PtxType type) {
  static const char *const functions[][3] = {
      {"ex2", "exp2f", "exp2"}, {"lg2", "log2f", "log2"}, {"sin", "sinf", NULL},
      {"cos", "cosf", NULL},    {"tanh", "tanhf", NULL},  {"rsqrt", "1/sqrtf", "1/sqrt"},
  };
  for (size_t k = 0; k < sizeof functions / sizeof *functions; k++) {
    if (!ptx_is(t->in, functions[k][0])) continue;
    allow(t, "approx ftz");
    want_operands(t, 2, 2);
    const char *name = functions[k][type.bits == 32 ? 1 : 2];
    if (!name) unknown(t);
    put(t, type, format(t, "(%s(%s))", name, real(t, 1, type)));
    return true;
  }
  return false;
}

static void extremes(Translator *t, PtxType type) {
  const PtxInstruction *in = t->in;
  allow(t, "ftz NaN xorsign abs");
  want_operands(t, 3, 4);
  bool nan = ptx_has(in, "NaN"), crosses = ptx_has(in, "xorsign");
  if ((nan || crosses || in->n_operands == 4) && type.bits == 64) unknown(t);
  if (crosses != ptx_has(in, "abs") || (crosses && in->n_operands == 4)) unknown(t);
  const char *name = format(t, "%s_%sf%d", in->parts[0], nan ? "nan_" : "", type.bits);
  const char *a = real(t, 1, type), *b = real(t, 2, type);
  if (crosses) {
    put(t, type, format(t, "xorsign(%s,%s,%s(fabsf(%s),fabsf(%s)))", a, b, name, a, b));
    return;
  }
  const char *text = format(t, "%s(%s,%s)", name, a, b);
  if (in->n_operands == 4) text = format(t, "%s(%s,%s)", name, text, real(t, 3, type));
  put(t, type, text);
}

// f32x2: two floats in a 64-bit register.
static void pairs(Translator *t) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  bool is_fma = ptx_is(in, "fma");
  allow(t, "rn ftz");
  want_operands(t, is_fma ? 4 : 3, is_fma ? 4 : 3);
  if (!is_fma && !ptx_is(in, "add") && !ptx_is(in, "mul") && !ptx_is(in, "sub")) unknown(t);
  const char *a = value(t, &o[1], U64), *b = value(t, &o[2], U64), *c = is_fma ? value(t, &o[3], U64) : "0";
  emit(t,
       "{uint64_t a=%s,b=%s,c=%s,s=0;(void)c;for(int k=0;k<64;k+=32){float x=u2f(a>>k),y=u2f(b>>k),z=u2f(c>>k);"
       "(void)z;%sfloat v=%s;s|=(uint64_t)f2u(%s)<<k;}",
       a, b, c, ptx_has(in, "ftz") ? "x=flush(x);y=flush(y);z=flush(z);" : "",
       is_fma              ? "fmaf(x,y,z)"
       : ptx_is(in, "add") ? "x+y"
       : ptx_is(in, "sub") ? "x-y"
                           : "x*y",
       ptx_has(in, "ftz") ? "flush(v)" : "v");
  assign(t, &o[0], U64, "s");
  emit(t, "}");
}

bool translate_float(Translator *t) {
  static const char *const classes[] = {"finite", "infinite", "number", "notanumber"};
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  PtxType type = {0};
  for (int k = 1; k < in->n_parts; k++) ptx_type(in->parts[k], &type);
  if (type.kind != 'f' || type.bits < 32) return false;
  if (ptx_is(in, "cvt") || ptx_is(in, "set") || ptx_is(in, "setp") || ptx_is(in, "slct") || ptx_is(in, "selp") ||
      ptx_is(in, "mov") || ptx_is(in, "ld") || ptx_is(in, "st") || ptx_is(in, "atom") || ptx_is(in, "red") ||
      is_yield(in))
    return false;
  if (type.lanes == 2) pairs(t);
  else if (ptx_is(in, "add") || ptx_is(in, "sub") || ptx_is(in, "mul") || ptx_is(in, "fma") || ptx_is(in, "mad"))
    arithmetic(t, type);
  else if (ptx_is(in, "div") || ptx_is(in, "rcp") || ptx_is(in, "sqrt")) quotient(t, type);
  else if (ptx_is(in, "min") || ptx_is(in, "max")) extremes(t, type);
  else if (ptx_is(in, "neg") || ptx_is(in, "abs")) {
    allow(t, "ftz");
    want_operands(t, 2, 2);
    put(t, type, format(t, ptx_is(in, "neg") ? "-%s" : type.bits == 32 ? "fabsf(%s)" : "fabs(%s)", real(t, 1, type)));
  } else if (ptx_is(in, "copysign")) { // the sign of the first goes to the second
    allow(t, "");
    want_operands(t, 3, 3);
    put(t, type,
        format(t, type.bits == 32 ? "copysignf(%s,%s)" : "copysign(%s,%s)", value(t, &o[2], type),
               value(t, &o[1], type)));
  } else if (ptx_is(in, "testp")) {
    allow(t, "finite infinite number notanumber normal subnormal");
    want_operands(t, 2, 2);
    const char *a = value(t, &o[1], type);
    for (int k = 0; k < 4; k++)
      if (ptx_has(in, classes[k])) {
        assign(t, &o[0], PRED, "class_of(%s,%d)", a, k);
        return true;
      }
    if (ptx_has(in, "subnormal")) assign(t, &o[0], PRED, "fpclassify(%s)==FP_SUBNORMAL", a);
    else if (ptx_has(in, "normal")) assign(t, &o[0], PRED, "isnormal(%s)", a);
    else unknown(t);
  } else {
    return approximate(t, type);
  }
  return true;
}
