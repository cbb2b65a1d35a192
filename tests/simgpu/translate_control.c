#include "tests/simgpu/translate.h"

#include <string.h>

static int label_position(const PtxFunction *function, int label) {
  for (int k = 0; k < function->n_code; k++)
    if (function->code[k].label == label) return k;
  return -1;
}

// A jump back costs the instructions of the loop, so that a thread that never ends runs out of them.
static void jump(Translator *t, int label) {
  int to = label_position(t->function, label);
  if (to <= t->at)
    emit(t, "if(SIM_UNLIKELY((T->fuel-=%d)<0))B->api->fault(T,B,FAULT_FUEL,0,0,%d);", t->at - to + 1, t->at);
  emit(t, "goto L%d;", label);
}

static void branch_table(Translator *t) {
  const PtxInstruction *in = t->in;
  allow(t, "idx uni");
  want_operands(t, 2, 2);
  emit(t, "switch(%s){", value(t, &in->operands[0], U32));
  for (int k = 0; k < in->n_targets; k++) {
    emit(t, "case %d:", k);
    jump(t, in->targets[k]);
  }
  emit(t, "default:B->api->fault(T,B,FAULT_BRANCH,0,0,%d);}", t->at);
}

static const char *argument(Translator *t, int k, const char *type) {
  const PtxOperand *list = &t->in->operands[1];
  if (k >= list->n_elements || list->elements[k].kind != OPERAND_VARIABLE) unknown(t);
  return format(t, "load_%s(T->local+%llu)", type, (unsigned long long)list->elements[k].variable->offset);
}

// The calls that inlining leaves: what the driver's own library defines.
static void call(Translator *t) {
  const PtxOperand *o = t->in->operands;
  allow(t, "uni");
  if (!strcmp(o[0].name, "vprintf")) {
    if (o[1].n_elements != 2 || o[2].n_elements != 1) unknown(t);
    emit(t, "{uint32_t v=(uint32_t)B->api->print(T,B,%s,%s,%d);store_u32(T->local+%llu,v);}", argument(t, 0, "u64"),
         argument(t, 1, "u64"), t->at, (unsigned long long)o[2].elements[0].variable->offset);
  } else if (!strcmp(o[0].name, "__assertfail")) {
    if (o[1].n_elements != 5) unknown(t);
    emit(t, "B->api->assert_fail(T,B,%s,%s,%s,%s,%d);", argument(t, 0, "u64"), argument(t, 1, "u64"),
         argument(t, 2, "u32"), argument(t, 3, "u64"), t->at);
  } else {
    unknown(t);
  }
}

static void fence(Translator *t) {
  allow(t, "cta gl sys gpu cluster acq_rel sc acquire release");
  int level = ptx_has(t->in, "cta") ? 0 : ptx_has(t->in, "sys") ? 2 : 1;
  emit(t, "if(SIM_RACES)B->api->fence(T,B,%d);__atomic_thread_fence(5);", level);
}

bool translate_control(Translator *t) {
  const PtxInstruction *in = t->in;
  if (ptx_is(in, "bra")) {
    allow(t, "uni");
    jump(t, in->targets[0]);
  } else if (ptx_is(in, "brx")) {
    branch_table(t);
  } else if (ptx_is(in, "ret") || ptx_is(in, "exit")) {
    allow(t, "uni");
    emit(t, "T->wait=WAIT_EXITED;return;");
  } else if (ptx_is(in, "trap") || ptx_is(in, "brkpt")) {
    emit(t, "B->api->fault(T,B,FAULT_TRAP,0,0,%d);", t->at);
  } else if (ptx_is(in, "call")) {
    call(t);
  } else if (ptx_is(in, "membar") || ptx_is(in, "fence")) {
    fence(t);
  } else if (ptx_is(in, "nanosleep") || ptx_is(in, "pmevent")) {
    // takes time only
  } else if (ptx_is(in, "griddepcontrol")) {
    allow(t, "launch_dependents wait"); // kernels never overlap here
  } else {
    return false;
  }
  return true;
}
