#include "tests/simgpu/ptx.h"

#include <string.h>

typedef struct Binding { // what a variable of the called function is in the entry
  const PtxVariable *from;
  PtxVariable *to;
} Binding;

typedef struct Instance {
  const PtxFunction *function;
  const struct Instance *caller;
  Binding *bindings;
  int n_bindings, room_bindings;
  int first_register, first_label, exit; // exit: label where ret goes, -1 in the entry
} Instance;

typedef struct Inliner {
  Arena *arena;
  PtxFailure *failure;
  const PtxModule *module;
  PtxFunction *out;
} Inliner;

static bool is_builtin(const char *name) { return !strcmp(name, "vprintf") || !strcmp(name, "__assertfail"); }

static PtxVariable *bound(const Instance *instance, PtxVariable *variable) {
  for (int k = 0; k < instance->n_bindings; k++)
    if (instance->bindings[k].from == variable) return instance->bindings[k].to;
  return variable;
}

static void bind(Inliner *inliner, Instance *instance, const PtxVariable *from, PtxVariable *to) {
  Binding binding = {from, to};
  ARENA_PUSH(inliner->arena, instance->bindings, instance->n_bindings, instance->room_bindings, binding);
}

static PtxOperand moved(Inliner *inliner, const Instance *instance, PtxOperand operand) {
  if (operand.reg >= 0 && (operand.kind == OPERAND_REGISTER || operand.base == OPERAND_REGISTER))
    operand.reg += instance->first_register;
  if (operand.kind == OPERAND_REGISTER || operand.kind == OPERAND_SINK)
    if (operand.reg2 >= 0) operand.reg2 += instance->first_register;
  if (operand.variable) operand.variable = bound(instance, operand.variable);
  if (operand.kind == OPERAND_VECTOR) {
    PtxOperand *elements = ARENA_ARRAY(inliner->arena, PtxOperand, operand.n_elements);
    for (int k = 0; k < operand.n_elements; k++) elements[k] = moved(inliner, instance, operand.elements[k]);
    operand.elements = elements;
  }
  return operand;
}

static void push(Inliner *inliner, PtxInstruction instruction) {
  PtxFunction *out = inliner->out;
  ARENA_PUSH(inliner->arena, out->code, out->n_code, out->room_code, instruction);
}

static void append(Inliner *inliner, Instance *instance);

static void append_call(Inliner *inliner, const Instance *caller, const PtxInstruction *call) {
  const char *name = call->operands[0].name;
  const PtxFunction *function = ptx_function(inliner->module, name);
  if (!function || !function->has_body) ptx_fail(inliner->failure, call->line, "%s is defined nowhere", name);
  for (const Instance *up = caller; up; up = up->caller)
    if (up->function == function) ptx_fail(inliner->failure, call->line, "%s calls itself", name);
  const PtxOperand *arguments = &call->operands[1], *returned = &call->operands[2];
  if (arguments->n_elements != function->n_params || returned->n_elements != function->n_returns)
    ptx_fail(inliner->failure, call->line, "%s is called with a wrong number of parameters", name);
  Instance instance = {.function = function, .caller = caller};
  for (int k = 0; k < function->n_params + function->n_returns; k++) {
    bool is_param = k < function->n_params;
    PtxOperand element = is_param ? arguments->elements[k] : returned->elements[k - function->n_params];
    if (element.kind != OPERAND_VARIABLE)
      ptx_fail(inliner->failure, call->line, "a parameter of %s is no .param", name);
    bind(inliner, &instance, is_param ? function->params[k] : function->returns[k - function->n_params],
         element.variable);
  }
  instance.exit = inliner->out->n_labels++;
  append(inliner, &instance);
  push(inliner, (PtxInstruction){.line = call->line, .label = instance.exit, .guard = -1, .op = "", .text = ""});
}

static void append(Inliner *inliner, Instance *instance) {
  const PtxFunction *from = instance->function;
  PtxFunction *out = inliner->out;
  Arena *arena = inliner->arena;
  instance->first_register = out->n_registers;
  for (int k = 0; k < from->n_registers; k++)
    ARENA_PUSH(arena, out->registers, out->n_registers, out->room_registers, from->registers[k]);
  instance->first_label = out->n_labels;
  out->n_labels += from->n_labels;
  for (int k = 0; k < from->n_variables; k++) {
    PtxVariable *variable = from->variables[k];
    if (instance->exit >= 0 && variable->space != SPACE_SHARED) { // every call has its own
      variable = arena_memdup(arena, variable, sizeof *variable);
      bind(inliner, instance, from->variables[k], variable);
    }
    bool is_known = false;
    for (int v = 0; v < out->n_variables; v++) is_known |= out->variables[v] == variable;
    if (!is_known) ARENA_PUSH(arena, out->variables, out->n_variables, out->room_variables, variable);
  }
  for (int k = 0; k < from->n_code; k++) {
    PtxInstruction in = from->code[k];
    if (in.label >= 0) in.label += instance->first_label;
    if (in.guard >= 0) in.guard += instance->first_register;
    for (int o = 0; o < in.n_operands; o++) in.operands[o] = moved(inliner, instance, in.operands[o]);
    if (in.n_targets) {
      in.targets = arena_memdup(arena, in.targets, sizeof *in.targets * (size_t)in.n_targets);
      for (int t = 0; t < in.n_targets; t++) in.targets[t] += instance->first_label;
    }
    if (in.label < 0 && ptx_is(&in, "call") && !is_builtin(in.operands[0].name)) {
      int around = -1;
      if (in.guard >= 0) { // a guarded call is a branch around it
        around = out->n_labels++;
        PtxInstruction skip = {
            .line = in.line, .label = -1, .op = "bra", .text = in.text, .n_parts = 1, .n_targets = 1};
        skip.guard = in.guard;
        skip.is_guard_negated = !in.is_guard_negated;
        skip.parts[0] = "bra";
        skip.targets = arena_memdup(arena, &around, sizeof around);
        push(inliner, skip);
      }
      append_call(inliner, instance, &in);
      if (around >= 0)
        push(inliner, (PtxInstruction){.line = in.line, .label = around, .guard = -1, .op = "", .text = ""});
    } else if (in.label < 0 && instance->exit >= 0 && ptx_is(&in, "ret")) {
      in.op = in.parts[0] = "bra";
      in.n_parts = 1;
      in.targets = arena_memdup(arena, &instance->exit, sizeof instance->exit);
      in.n_targets = 1;
      push(inliner, in);
    } else {
      push(inliner, in);
    }
  }
}

void ptx_inline(Arena *arena, PtxFailure *failure, const PtxModule *module, PtxFunction *entry) {
  PtxFunction flat = {.name = entry->name,
                      .line = entry->line,
                      .is_entry = true,
                      .has_body = true,
                      .params = entry->params,
                      .n_params = entry->n_params,
                      .max_threads = entry->max_threads};
  Inliner inliner = {arena, failure, module, &flat};
  Instance instance = {.function = entry, .exit = -1};
  append(&inliner, &instance);
  *entry = flat;
}
