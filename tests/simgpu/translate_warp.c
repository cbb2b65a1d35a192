#include "tests/simgpu/translate.h"

#include <string.h>

static const char *word_of(Translator *t, const PtxInstruction *in, const char *const (*words)[2], int n) {
  for (int k = 0; k < n; k++)
    if (ptx_has(in, words[k][0])) return words[k][1];
  unknown(t);
}

static void shuffle(Translator *t) {
  static const char *const kinds[][2] = {
      {"up", "SHUFFLE_UP"}, {"down", "SHUFFLE_DOWN"}, {"bfly", "SHUFFLE_XOR"}, {"idx", "SHUFFLE_INDEX"}};
  const PtxOperand *o = t->in->operands;
  allow(t, "sync up down bfly idx");
  want_operands(t, 5, 5);
  if (!ptx_has(t->in, "sync")) unknown(t);
  const char *kind = word_of(t, t->in, kinds, 4);
  unite(t, &o[0], &o[1]);
  emit(t, "T->in[0]=%s;T->in[1]=%s;T->in[2]=%s;T->mask=%s;T->sub=%s;", value(t, &o[1], B32), value(t, &o[2], U32),
       value(t, &o[3], U32), value(t, &o[4], U32), kind);
  emit_yield(t, "WAIT_SHUFFLE");
  assign(t, &o[0], B32, "T->out[0]");
  if (o[0].reg2 >= 0) assign_register(t, o[0].reg2, PRED, "T->out[1]");
}

static void vote(Translator *t) {
  static const char *const kinds[][2] = {
      {"all", "VOTE_ALL"}, {"any", "VOTE_ANY"}, {"uni", "VOTE_UNIFORM"}, {"ballot", "VOTE_BALLOT"}};
  const PtxOperand *o = t->in->operands;
  allow(t, "sync all any uni ballot");
  want_operands(t, 3, 3);
  if (!ptx_has(t->in, "sync")) unknown(t);
  emit(t, "T->in[0]=%s;T->mask=%s;T->sub=%s;", value(t, &o[1], PRED), value(t, &o[2], U32),
       word_of(t, t->in, kinds, 4));
  emit_yield(t, "WAIT_VOTE");
  assign(t, &o[0], ptx_has(t->in, "ballot") ? U32 : PRED, "T->out[0]");
}

static void match(Translator *t) {
  const PtxOperand *o = t->in->operands;
  allow(t, "any all sync");
  want_operands(t, 3, 3);
  PtxType type = ptx_last_type(t->failure, t->in);
  PtxType bits = {'u', type.bits, 1};
  bool is_all = ptx_has(t->in, "all");
  emit(t, "{uint64_t v=%s;T->in[0]=(uint32_t)v;T->in[1]=(uint32_t)(v>>32);}T->mask=%s;T->sub=%s;",
       value(t, &o[1], bits), value(t, &o[2], U32), is_all ? "MATCH_ALL" : "MATCH_ANY");
  emit_yield(t, "WAIT_MATCH");
  assign(t, &o[0], U32, "T->out[0]");
  if (o[0].reg2 >= 0) assign_register(t, o[0].reg2, PRED, "T->out[1]");
}

static void reduce(Translator *t) {
  const PtxOperand *o = t->in->operands;
  allow(t, "sync add min max and or xor");
  want_operands(t, 3, 3);
  PtxType type = ptx_last_type(t->failure, t->in);
  if (type.bits != 32 || type.kind == 'f') unknown(t);
  bool is_signed = type.kind == 's';
  const char *const kinds[][2] = {{"add", "REDUX_ADD"},
                                  {"min", is_signed ? "REDUX_MIN_S" : "REDUX_MIN_U"},
                                  {"max", is_signed ? "REDUX_MAX_S" : "REDUX_MAX_U"},
                                  {"and", "REDUX_AND"},
                                  {"or", "REDUX_OR"},
                                  {"xor", "REDUX_XOR"}};
  emit(t, "T->in[0]=%s;T->mask=%s;T->sub=%s;", value(t, &o[1], U32), value(t, &o[2], U32), word_of(t, t->in, kinds, 6));
  emit_yield(t, "WAIT_REDUX");
  assign(t, &o[0], U32, "T->out[0]");
}

static void elect(Translator *t) {
  const PtxOperand *o = t->in->operands;
  allow(t, "sync");
  want_operands(t, 2, 2);
  emit(t, "T->mask=%s;", value(t, &o[1], U32));
  emit_yield(t, "WAIT_ELECT");
  assign(t, &o[0], U32, "T->out[0]");
  if (o[0].reg2 >= 0) assign_register(t, o[0].reg2, PRED, "T->out[1]");
}

// bar.sync a[,b]; bar.arrive a,b; bar.red.op p,a[,b],c; bar.warp.sync mask; the same as barrier.*
static void barrier(Translator *t) {
  const PtxInstruction *in = t->in;
  const PtxOperand *o = in->operands;
  if (ptx_has(in, "warp")) {
    allow(t, "warp sync");
    want_operands(t, 1, 1);
    emit(t, "T->mask=%s;", value(t, &o[0], U32));
    emit_yield(t, "WAIT_WARP");
    return;
  }
  allow(t, "cta sync arrive red popc and or aligned");
  bool reduces = ptx_has(in, "red"), arrives = ptx_has(in, "arrive");
  const char *sub = arrives ? "BARRIER_ARRIVE" : "BARRIER_SYNC", *count = "0", *vote = "0";
  const PtxOperand *at = o;
  if (reduces) {
    want_operands(t, 3, 4);
    sub = ptx_has(in, "popc") ? "BARRIER_POPC" : ptx_has(in, "and") ? "BARRIER_AND" : "BARRIER_OR";
    at = o + 1;
    if (in->n_operands == 4) count = value(t, &o[2], U32);
    vote = value(t, &o[in->n_operands - 1], PRED);
  } else {
    want_operands(t, arrives ? 2 : 1, 2);
    if (in->n_operands == 2) count = value(t, &o[1], U32);
  }
  bool is_aligned = ptx_is(in, "bar") || ptx_has(in, "aligned");
  emit(t, "T->barrier=%s;T->barrier_count=%s;T->in[0]=%s;T->in[1]=%d;T->sub=%s;", value(t, at, U32), count, vote,
       is_aligned, sub);
  emit_yield(t, "WAIT_BARRIER");
  if (reduces) assign(t, &o[0], ptx_has(in, "popc") ? U32 : PRED, "T->out[0]");
}

bool translate_warp(Translator *t) {
  const PtxInstruction *in = t->in;
  if (ptx_is(in, "shfl")) shuffle(t);
  else if (ptx_is(in, "vote")) vote(t);
  else if (ptx_is(in, "match")) match(t);
  else if (ptx_is(in, "redux")) reduce(t);
  else if (ptx_is(in, "elect")) elect(t);
  else if (ptx_is(in, "bar") || ptx_is(in, "barrier")) barrier(t);
  else if (ptx_is(in, "activemask")) {
    allow(t, "");
    want_operands(t, 1, 1);
    emit_yield(t, "WAIT_ACTIVE");
    assign(t, &in->operands[0], U32, "T->out[0]");
  } else return false;
  return true;
}
