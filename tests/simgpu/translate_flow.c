#include "tests/simgpu/translate.h"

#include <string.h>

static bool is_one_of(const PtxInstruction *in, const char *const *names) {
  for (; *names; names++)
    if (ptx_is(in, *names)) return true;
  return false;
}

bool has_destination(const PtxInstruction *in) {
  static const char *const none[] = {"st",
                                     "red",
                                     "bra",
                                     "brx",
                                     "ret",
                                     "exit",
                                     "membar",
                                     "fence",
                                     "barrier",
                                     "bar",
                                     "trap",
                                     "brkpt",
                                     "call",
                                     "prefetch",
                                     "prefetchu",
                                     "nanosleep",
                                     "discard",
                                     "stmatrix",
                                     "griddepcontrol",
                                     "applypriority",
                                     "pmevent",
                                     NULL};
  if (is_one_of(in, none)) return ptx_has(in, "red");
  if (ptx_is(in, "cp")) return false;
  return !(ptx_is(in, "wmma") && ptx_has(in, "store"));
}

bool is_yield(const PtxInstruction *in) {
  static const char *const waiting[] = {"bar", "barrier", "shfl",  "vote",     "redux",    "match", "activemask",
                                        "mma", "wmma",    "elect", "ldmatrix", "stmatrix", NULL};
  return in->label < 0 && is_one_of(in, waiting);
}

static void visit_operand(const PtxOperand *operand, bool is_write, void (*visit)(void *, int, bool), void *context) {
  switch (operand->kind) {
  case OPERAND_ADDRESS:
    if (operand->base == OPERAND_REGISTER) visit(context, operand->reg, false);
    break;
  case OPERAND_VECTOR:
    for (int k = 0; k < operand->n_elements; k++) visit_operand(&operand->elements[k], is_write, visit, context);
    break;
  case OPERAND_REGISTER: visit(context, operand->reg, is_write); // falls through
  case OPERAND_SINK:
    if (operand->reg2 >= 0) visit(context, operand->reg2, is_write);
    break;
  default: break;
  }
}

void visit_registers(const PtxInstruction *in, void (*visit)(void *, int, bool), void *context) {
  if (in->label >= 0) return;
  if (in->guard >= 0) visit(context, in->guard, false);
  bool writes = has_destination(in);
  for (int k = 0; k < in->n_operands; k++) visit_operand(&in->operands[k], writes && k == 0, visit, context);
}

typedef struct Sets {
  uint64_t *uses, *kills;
  bool is_guarded;
} Sets;

static void set_bit(uint64_t *bits, int k) { bits[k / 64] |= 1ull << (k % 64); }

// Backwards: what an instruction writes for certain is not live before it, what it reads is.
static void collect(void *context, int reg, bool is_write) {
  Sets *sets = context;
  if (!is_write) set_bit(sets->uses, reg);
  else if (!sets->is_guarded) set_bit(sets->kills, reg);
}

static void step_back(Translator *t, const PtxInstruction *in, uint64_t *live, uint64_t *scratch) {
  memset(scratch, 0, sizeof(uint64_t) * 2 * (size_t)t->n_words);
  Sets sets = {scratch, scratch + t->n_words, in->guard >= 0};
  visit_registers(in, collect, &sets);
  for (int w = 0; w < t->n_words; w++) live[w] = (live[w] & ~sets.kills[w]) | sets.uses[w];
}

// What the instruction writes is set after the thread goes on, guarded or not.
static void clear(void *context, int reg, bool is_write) {
  uint64_t *bits = context;
  if (is_write) bits[reg / 64] &= ~(1ull << (reg % 64));
}
static void clear_destinations(const PtxInstruction *in, uint64_t *bits) { visit_registers(in, clear, bits); }

typedef struct Block {
  int first, last; // instructions, inclusive
} Block;

static bool ends_block(const PtxInstruction *in) {
  return in->label < 0 && (in->n_targets || ptx_is(in, "ret") || ptx_is(in, "exit") || ptx_is(in, "trap"));
}

void find_liveness(Translator *t) {
  PtxFunction *function = t->function;
  int n = function->n_code;
  t->n_words = (function->n_registers + 63) / 64 + 1;
  t->n_yields = 0;
  for (int k = 0; k < n; k++) function->code[k].yield = is_yield(&function->code[k]) ? ++t->n_yields : 0;
  t->live_out = ARENA_ARRAY(t->arena, uint64_t, (size_t)t->n_words * (size_t)(t->n_yields + 1));

  Block *blocks = ARENA_ARRAY(t->arena, Block, n + 1);
  int *block_of_label = ARENA_ARRAY(t->arena, int, function->n_labels + 1), n_blocks = 0;
  for (int k = 0; k < n; k++) {
    bool is_label = function->code[k].label >= 0;
    bool starts = k == 0 || (is_label && function->code[k - 1].label < 0) || ends_block(&function->code[k - 1]);
    if (starts) blocks[n_blocks++].first = k;
    blocks[n_blocks - 1].last = k;
    if (is_label) block_of_label[function->code[k].label] = n_blocks - 1;
  }
  size_t bytes = sizeof(uint64_t) * (size_t)t->n_words;
  uint64_t *live_in = ARENA_ARRAY(t->arena, uint64_t, (size_t)t->n_words * (size_t)(n_blocks + 1));
  uint64_t *live = ARENA_ARRAY(t->arena, uint64_t, t->n_words),
           *scratch = ARENA_ARRAY(t->arena, uint64_t, 2 * t->n_words);
  for (bool changed = true; changed;) {
    changed = false;
    for (int b = n_blocks - 1; b >= 0; b--) {
      const PtxInstruction *last = &function->code[blocks[b].last];
      memset(live, 0, bytes);
      bool falls = !ends_block(last) || last->guard >= 0;
      if (falls && b + 1 < n_blocks) memcpy(live, live_in + (size_t)(b + 1) * (size_t)t->n_words, bytes);
      if (last->label < 0)
        for (int k = 0; k < last->n_targets; k++) {
          const uint64_t *from = live_in + (size_t)block_of_label[last->targets[k]] * (size_t)t->n_words;
          for (int w = 0; w < t->n_words; w++) live[w] |= from[w];
        }
      for (int k = blocks[b].last; k >= blocks[b].first; k--) {
        const PtxInstruction *in = &function->code[k];
        uint64_t *across = t->live_out + (size_t)in->yield * (size_t)t->n_words;
        if (in->yield) memcpy(across, live, bytes);
        step_back(t, in, live, scratch);
        if (in->yield) clear_destinations(in, across);
      }
      uint64_t *to = live_in + (size_t)b * (size_t)t->n_words;
      if (memcmp(to, live, bytes)) {
        memcpy(to, live, bytes);
        changed = true;
      }
    }
  }
  // Entry 0: what is live at the start, never written before it is read on some path.
  if (n_blocks) memcpy(t->live_out, live_in, bytes);
}

int count_flops(const PtxInstruction *in) {
  static const char *const simple[] = {"add", "sub", "mul", "div", "min", "max",  "sqrt", "rsqrt",
                                       "rcp", "ex2", "lg2", "sin", "cos", "tanh", NULL};
  if (in->label >= 0) return 0;
  if (ptx_is(in, "mma") || (ptx_is(in, "wmma") && ptx_has(in, "mma"))) {
    for (int k = 1; k < in->n_parts; k++) {
      int m, n, depth, digits = 0;
      const char *s = in->parts[k];
      if (*s != 'm') continue;
      m = n = depth = 0;
      for (s++; *s >= '0' && *s <= '9'; s++, digits++) m = 10 * m + *s - '0';
      if (!digits || *s != 'n') continue;
      for (s++; *s >= '0' && *s <= '9'; s++) n = 10 * n + *s - '0';
      if (*s != 'k') continue;
      for (s++; *s >= '0' && *s <= '9'; s++) depth = 10 * depth + *s - '0';
      return 2 * m * n * depth / 32;
    }
    return 0;
  }
  PtxType type = {0}, last;
  for (int k = 1; k < in->n_parts; k++)
    if (ptx_type(in->parts[k], &last)) type = last;
  if (type.kind != 'f' && type.kind != 'g') return 0;
  if (ptx_is(in, "fma") || ptx_is(in, "mad")) return 2 * type.lanes;
  return is_one_of(in, simple) ? type.lanes : 0;
}
