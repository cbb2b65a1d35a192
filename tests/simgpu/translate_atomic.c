#include "tests/simgpu/translate.h"

#include <string.h>

static const char *const operations[] = {"add", "sub", "exch", "cas", "and", "or", "xor", "min", "max", "inc", "dec"};

// Adds to floats and halves go through compare and swap of their bits.
static void float_loop(Translator *t, PtxType type, const char *operation, const char *at, const char *b) {
  const PtxInstruction *in = t->in;
  int bits = ptx_bits(type);
  const char *next;
  bool is_sixteen = type.bits == 16;
  char letter = type.kind == 'g' ? 'b' : 'h';
  if (is_sixteen) {
    const char *low = format(t, "%s_%c(LANE(a,0),LANE(b,0))", operation, letter);
    next = type.lanes == 2 ? format(t, "BOTH(%s,%s_%c(LANE(a,1),LANE(b,1)))", low, operation, letter) : low;
  } else if (!strcmp(operation, "add")) {
    next = bits == 32 ? "f2u(u2f(a)+u2f(b))" : "d2u(u2d(a)+u2d(b))";
  } else {
    next = format(t, bits == 32 ? "f2u(%s_f32(u2f(a),u2f(b)))" : "d2u(%s_f64(u2d(a),u2d(b)))", operation);
  }
  emit(t, "{uint%d_t*p=(uint%d_t*)%s,b=%s,a=__atomic_load_n(p,5),c;", bits, bits, at, b);
  emit(t, "do c=%s;while(!__atomic_compare_exchange_n(p,&a,c,0,5,5));", next);
  PtxType as = {'b', (uint8_t)bits, 1};
  if (ptx_is(in, "atom")) assign(t, &in->operands[0], as, "a");
  else emit(t, "(void)a;");
  emit(t, "}");
}

static void vectors(Translator *t) { unknown(t); }

bool translate_atomic(Translator *t) {
  const PtxInstruction *in = t->in;
  bool is_red = ptx_is(in, "red");
  if (!is_red && !ptx_is(in, "atom")) return false;
  allow(t, "add exch cas and or xor min max inc dec noftz global shared shared::cta relaxed acquire release acq_rel "
           "cta gpu sys cluster v2 v4 L2::cache_hint");
  if (ptx_has(in, "v2") || ptx_has(in, "v4") || ptx_has(in, "L2::cache_hint")) vectors(t);
  PtxType type = ptx_last_type(t->failure, in);
  const char *operation = NULL;
  for (size_t k = 0; k < sizeof operations / sizeof *operations; k++)
    if (ptx_has(in, operations[k])) operation = operations[k];
  if (!operation) unknown(t);
  const PtxOperand *o = in->operands + (is_red ? 0 : 1);
  bool is_cas = !strcmp(operation, "cas");
  want_operands(t, (is_red ? 2 : 3) + is_cas, (is_red ? 2 : 3) + is_cas);
  int bits = ptx_bits(type);
  PtxType word = {type.kind == 'f' && type.bits >= 32 ? 'f' : 'u', (uint8_t)bits, 1}, plain = {'u', (uint8_t)bits, 1};
  int level = ptx_has(in, "cta") ? 0 : ptx_has(in, "sys") ? 2 : 1;
  if (ptx_has(in, "release") || ptx_has(in, "acq_rel")) emit(t, "if(SIM_RACES)B->api->fence(T,B,%d);", level);
  const char *at = pointer(t, space_of(t), address_of(t, &o[0]), (unsigned)bits / 8, "ATOMIC");
  if (type.kind == 'f' || type.kind == 'g') {
    if (strcmp(operation, "add") && strcmp(operation, "min") && strcmp(operation, "max")) unknown(t);
    const char *b = value(t, &o[1], type.bits == 16 ? plain : word);
    if (word.kind == 'f') b = format(t, bits == 32 ? "f2u(%s)" : "d2u(%s)", b);
    float_loop(t, type, operation, at, b);
    return true;
  }
  bool is_signed = type.kind == 's' && (!strcmp(operation, "min") || !strcmp(operation, "max"));
  bool is_short = bits == 16 && (is_cas || !strcmp(operation, "exch"));
  bool counts = !strcmp(operation, "inc") || !strcmp(operation, "dec");
  if ((bits != 32 && bits != 64 && !is_short) || (counts && bits != 32)) unknown(t);
  const char *text = format(t, "atomic_%s_%c%d(%s,%s,%s)", operation, is_signed ? 's' : 'u', bits, at,
                            value(t, &o[1], plain), is_cas ? value(t, &o[2], plain) : "0");
  PtxType as = {'b', (uint8_t)bits, 1};
  if (is_red || in->operands[0].kind == OPERAND_SINK) emit(t, "%s;", text);
  else assign(t, &in->operands[0], as, "%s", text);
  return true;
}
