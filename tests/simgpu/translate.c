#include "tests/simgpu/translate.h"

#include "tests/simgpu/kernel_thread.h"

#include <string.h>

enum { SHARED_GAP = 32 }; // bytes behind a shared variable that belong to nobody

static uint64_t round_up(uint64_t value, uint64_t unit) { return unit ? (value + unit - 1) / unit * unit : value; }

// ---- layout

// Variables in the order of use: the function's own, then the module's that it names.
static PtxVariable *shared_variable(Translator *t, int k) {
  if (k < t->function->n_variables) return t->function->variables[k];
  return t->module->variables[k - t->function->n_variables];
}

static bool is_static_shared(const PtxVariable *variable) {
  return variable->space == SPACE_SHARED && !variable->is_dynamic && variable->is_used;
}

// Offsets of shared variables with gaps that find overruns, of locals, and of the frame behind them.
static void lay_out(Translator *t) {
  uint64_t shared = SIM_SHARED_BASE, local = 0;
  for (int k = 0; k < t->function->n_variables + t->module->n_variables; k++) {
    PtxVariable *variable = shared_variable(t, k);
    if (!is_static_shared(variable)) continue;
    variable->offset = round_up(shared, variable->align < 16 ? 16 : variable->align);
    shared = variable->offset + variable->bytes + SHARED_GAP;
  }
  if (shared > SIM_SHARED_SPAN)
    ptx_fail(t->failure, t->function->line, "%s has too much shared memory", t->function->name);
  t->shared_end = shared;
  for (PtxSpace space = SPACE_LOCAL; space <= SPACE_FRAME; space++) {
    for (int k = 0; k < t->function->n_variables; k++) {
      PtxVariable *variable = t->function->variables[k];
      if (variable->space != space) continue;
      variable->offset = round_up(local, variable->align < 16 ? 16 : variable->align);
      local = variable->offset + variable->bytes;
    }
    if (space == SPACE_LOCAL) t->local_bytes = local; // what addresses may reach
  }
  t->frame_end = round_up(local, 16);
}

// What the real compiler would need: no gaps.
static uint64_t real_shared(Translator *t) {
  uint64_t bytes = 0;
  for (int k = 0; k < t->function->n_variables + t->module->n_variables; k++) {
    const PtxVariable *variable = shared_variable(t, k);
    if (is_static_shared(variable)) bytes = round_up(bytes, variable->align) + variable->bytes;
  }
  return bytes;
}

// ---- instructions

static void translate_instruction(Translator *t) {
  const PtxInstruction *in = t->in;
  if (in->guard >= 0) emit(t, "if(%sr%d){", in->is_guard_negated ? "!" : "", in->guard);
  bool known = translate_control(t) || translate_move(t) || translate_memory(t) || translate_atomic(t) ||
               translate_warp(t) || translate_matrix(t) || translate_convert(t) || translate_half(t) ||
               translate_float(t) || translate_integer(t);
  if (!known) ptx_fail(t->failure, in->line, "this instruction is not known: %s", in->text);
  emit(t, in->guard >= 0 ? "}\n" : "\n");
}

static void translate_body(Translator *t) {
  int instructions = 0, flops = 0;
  for (t->at = 0; t->at < t->function->n_code; t->at++) {
    const PtxInstruction *in = t->in = &t->function->code[t->at];
    if (in->label >= 0) {
      emit(t, "L%d:;\n", in->label);
      continue;
    }
    // The counts of a straight piece are added where it begins.
    const PtxInstruction *before = t->at ? in - 1 : NULL;
    if (!before || before->label >= 0 || before->n_targets) {
      instructions = flops = 0;
      for (const PtxInstruction *k = in, *end = t->function->code + t->function->n_code; k < end && k->label < 0; k++) {
        instructions++;
        flops += count_flops(k);
        if (k->n_targets) break;
      }
      emit(t, "if(SIM_COUNTS)B->instructions+=%d,B->flops+=%d;", instructions, flops);
    }
    translate_instruction(t);
  }
}

static bool is_live(const Translator *t, int yield, int reg) {
  return t->live_out[(size_t)yield * (size_t)t->n_words + (size_t)reg / 64] >> (reg % 64) & 1;
}

void emit_yield(Translator *t, const char *wait) {
  int n = t->function->n_registers, yield = t->in->yield;
  emit(t, "T->wait=%s;T->site=%d;T->pc=%d;", wait, t->at, yield);
  for (int reg = 0; reg < n; reg++)
    if (!t->is_vote && is_live(t, yield, reg)) emit(t, "SAVE(%d)", reg);
  emit(t, "return;R%d:;", yield);
  for (int reg = 0; reg < n; reg++)
    if (!t->is_vote && is_live(t, yield, reg)) emit(t, "BACK(%d)", reg);
}

// Instructions are asked for their values once without output: what reads and writes a register says whether floats
// live in it (compute_100 declares all of them .b32).
static void find_floats(Translator *t) {
  PtxFunction *function = t->function;
  t->votes = ARENA_ARRAY(t->arena, int, function->n_registers + 1);
  t->group = ARENA_ARRAY(t->arena, int, function->n_registers + 1);
  for (int reg = 0; reg < function->n_registers; reg++) t->group[reg] = reg;
  t->is_vote = true;
  translate_body(t);
  t->is_vote = false;
  for (int reg = 0; reg < function->n_registers; reg++) {
    PtxRegister *r = &function->registers[reg];
    int root = reg;
    while (t->group[root] != root) root = t->group[root];
    r->is_float = r->bits >= 32 && (r->kind == 'f' || (r->kind == 'b' && t->votes[root] > 0));
  }
}

static void mark(void *context, int reg, bool is_write) {
  unsigned char *used = context;
  (void)is_write;
  used[reg] = 1;
}

static void emit_text(Translator *t, const char *text) {
  emit(t, "\"");
  for (const char *s = text; *s; s++) emit(t, *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
  emit(t, "\"");
}

// Only what can fault or stop is worth a line in the table of sites.
static bool needs_site(const PtxInstruction *in) {
  static const char *const names[] = {"ld", "st", "atom", "red", "cp", "bra", "brx", "call", "trap", "brkpt", "ldu"};
  if (in->label >= 0) return false;
  for (size_t k = 0; k < sizeof names / sizeof *names; k++)
    if (ptx_is(in, names[k])) return true;
  return is_yield(in);
}

static void emit_tables(Translator *t, int number) {
  const PtxFunction *function = t->function;
  emit(t, "static const SimSite sites%d[]={", number);
  for (int k = 0; k < function->n_code; k++) {
    const PtxInstruction *in = &function->code[k];
    if (!needs_site(in)) continue;
    emit(t, "[%d]={%d,%d,", k, in->line, in->source_line);
    emit_text(t, in->text);
    emit(t, "},\n");
  }
  emit(t, "[%d]={0}};\nstatic const unsigned offsets%d[]={", function->n_code, number);
  for (int k = 0; k < function->n_params; k++) emit(t, "%u,", (unsigned)function->params[k]->offset);
  emit(t, "0},sizes%d[]={", number);
  for (int k = 0; k < function->n_params; k++) emit(t, "%u,", (unsigned)function->params[k]->bytes);
  emit(t, "0};\nstatic const SimSharedVariable shared%d[]={", number);
  for (int k = 0; k < function->n_variables + t->module->n_variables; k++) {
    const PtxVariable *variable = shared_variable(t, k);
    if (is_static_shared(variable))
      emit(t, "{%u,%u,\"%s\"},", (unsigned)variable->offset, (unsigned)variable->bytes, variable->name);
  }
  emit(t, "{0}};\n");
}

// The line of a kernel in the table of entries.
static const char *entry_line(Translator *t, int number) {
  const PtxFunction *function = t->function;
  unsigned n_shared = 0, align = 16, param_bytes = 0;
  for (int k = 0; k < function->n_variables + t->module->n_variables; k++) {
    const PtxVariable *variable = shared_variable(t, k);
    n_shared += is_static_shared(variable);
    if (variable->space == SPACE_SHARED && variable->is_dynamic && variable->align > align) align = variable->align;
  }
  if (function->n_params) {
    const PtxVariable *last = function->params[function->n_params - 1];
    param_bytes = (unsigned)(last->offset + last->bytes);
  }
  return format(
      t, "{\"%s\",kernel%d,%d,offsets%d,sizes%d,%u,%u,%u,%u,shared%d,%u,%u,%u,sizeof(struct Save%d),%u,sites%d,%d},\n",
      function->name, number, function->n_params, number, number, param_bytes, (unsigned)real_shared(t),
      (unsigned)t->shared_end, align, number, n_shared, (unsigned)t->local_bytes, (unsigned)t->frame_end, number,
      function->max_threads ? function->max_threads : 1024, number, function->n_code);
}

static const char *translate_kernel(Translator *t, int number) {
  PtxFunction *function = t->function;
  int n = function->n_registers;
  for (int k = 0; k < t->module->n_variables; k++)
    if (t->module->variables[k]->space == SPACE_SHARED) t->module->variables[k]->is_used = false;
  find_liveness(t);
  find_floats(t); // also finds which variables are used
  lay_out(t);
  unsigned char *used = ARENA_ARRAY(t->arena, unsigned char, n + 1);
  for (int k = 0; k < function->n_code; k++) visit_registers(&function->code[k], mark, used);
  emit_tables(t, number);
  unsigned char *crosses = ARENA_ARRAY(t->arena, unsigned char, n + 1); // lives while the thread waits
  for (int reg = 0; reg < n; reg++)
    for (int yield = 1; yield <= t->n_yields; yield++) crosses[reg] |= is_live(t, yield, reg);
  emit(t, "struct Save%d{char none;", number);
  for (int reg = 0; reg < n; reg++)
    if (crosses[reg]) emit(t, "%s m%d;", register_c_type(&function->registers[reg]), reg);
  emit(t, "};\n// %s\nstatic void kernel%d(SimThread *T,SimBlock *B){\n", function->name, number);
  if (t->n_yields) emit(t, "struct Save%d*const S=T->save;", number);
  for (int reg = 0; reg < n; reg++)
    if (used[reg] && !crosses[reg])
      emit(t, "%s r%d%s;", register_c_type(&function->registers[reg]), reg, is_live(t, 0, reg) ? "=0" : "");
  // Compiled quickly, such registers stay in the record; compiled well, they are saved and fetched back.
  emit(t, "\n#if SIM_QUICK\n");
  for (int reg = 0; reg < n; reg++)
    if (crosses[reg]) emit(t, "#define r%d S->m%d\n", reg, reg);
  for (int reg = 0; reg < n; reg++)
    if (crosses[reg] && is_live(t, 0, reg)) emit(t, "if(!T->pc)r%d=0;", reg);
  emit(t, "\n#else\n");
  for (int reg = 0; reg < n; reg++)
    if (crosses[reg])
      emit(t, "%s r%d%s;", register_c_type(&function->registers[reg]), reg, is_live(t, 0, reg) ? "=0" : "");
  emit(t, "\n#endif\n");
  emit(t, "uint32_t CF=0;(void)CF;\n");
  if (t->n_yields) {
    emit(t, "switch(T->pc){");
    for (int yield = 1; yield <= t->n_yields; yield++) emit(t, "case %d:goto R%d;", yield, yield);
    emit(t, "}\n");
  }
  translate_body(t);
  emit(t, "T->wait=WAIT_EXITED;}\n#if SIM_QUICK\n");
  for (int reg = 0; reg < n; reg++)
    if (crosses[reg]) emit(t, "#undef r%d\n", reg);
  emit(t, "#endif\n");
  return entry_line(t, number);
}

// ---- modules

static void emit_symbols(Translator *t) {
  const PtxModule *module = t->module;
  for (int k = 0; k < module->n_variables; k++) {
    const PtxVariable *variable = module->variables[k];
    if (variable->n_initial) {
      emit(t, "static const uint8_t initial%d[]={", k);
      for (uint64_t b = 0; b < variable->n_initial; b++) emit(t, "%u,", variable->initial[b]);
      emit(t, "};\n");
    }
    if (!variable->n_references) continue;
    emit(t, "static const uint64_t references%d[][2]={", k);
    for (int r = 0; r < variable->n_references; r++) {
      int found = -1;
      for (int v = 0; v < module->n_variables; v++)
        if (!strcmp(module->variables[v]->name, variable->references[r].name)) found = v;
      if (found < 0)
        ptx_fail(t->failure, 1, "initialiser of %s names %s, which is no variable", variable->name,
                 variable->references[r].name);
      emit(t, "{%llu,%d},", (unsigned long long)variable->references[r].offset, found);
    }
    emit(t, "};\n");
  }
  emit(t, "static const SimSymbol symbols[]={\n");
  for (int k = 0; k < module->n_variables; k++) {
    const PtxVariable *variable = module->variables[k];
    bool is_global = variable->space != SPACE_SHARED;
    emit(t, "{\"%s\",%llu,%u,", variable->name, (unsigned long long)(is_global ? variable->bytes : 0), variable->align);
    emit(t, variable->n_initial ? "initial%d,%llu," : "0,0,", k, (unsigned long long)variable->n_initial);
    emit(t, variable->n_references ? "references%d,%d},\n" : "0,0},\n", k, variable->n_references);
  }
  emit(t, "{0}};\n");
}

void translate_module(Arena *arena, PtxFailure *failure, PtxModule *module, Text *out) {
  int number = 0;
  const char **lines = ARENA_ARRAY(arena, const char *, module->n_functions + 1);
  text_put(out, "#include \"kernel_memory.h\"\n#include \"kernel_integer.h\"\n#include \"kernel_float.h\"\n");
  for (int k = 0; k < module->n_functions; k++) {
    PtxFunction *function = module->functions[k];
    if (!function->is_entry || !function->has_body) continue;
    ptx_inline(arena, failure, module, function);
    Translator translator = {.arena = arena, .failure = failure, .module = module, .function = function, .out = out};
    lines[number] = translate_kernel(&translator, number);
    number++;
  }
  Translator translator = {.arena = arena, .failure = failure, .module = module, .out = out};
  emit_symbols(&translator);
  text_put(out, "static const SimEntry entries[]={\n");
  for (int k = 0; k < number; k++) text_put(out, lines[k]);
  text_printf(out, "{0}};\nconst SimLibrary sim_library={entries,%d,symbols,%d};\n", number, module->n_variables);
}
