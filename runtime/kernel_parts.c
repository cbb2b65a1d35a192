// Kernel parts: the functions before the first kernel, what reaches what, and the dealing.
#include "runtime/kernel_parts.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/strmap.h"
#include "runtime/program.h"

// A function that stands before the first kernel, or a kernel. What it reaches is a set of bits by function.
typedef struct Function {
  const char *text;
  size_t size;
  bool is_shared, is_known;
  uint64_t *reaches; // shared functions, itself included
  int64_t bytes;     // of its text and of what is copied into it; of a shared function when it is reached
} Function;

typedef struct Dealer {
  Arena *arena;
  StrMap *by_name; // 1 + number of a function
  Function *function, *kernel;
  int n, capacity, n_kernels, cap_kernels, words;
} Dealer;

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

// Whether a function's body follows the brackets that open there, as it does not behind a declaration.
static bool has_body(const char *open, const char *end) {
  int depth = 0;
  const char *at = open;
  do depth += *at == '(' ? 1 : *at == ')' ? -1 : 0;
  while (++at < end && depth);
  while (at < end && isspace((unsigned char)*at)) at++;
  return at < end && *at == '{';
}

// The functions before the first kernel: they begin at the begin of a line and end with a brace alone on one, or on
// their only line.
static void find_functions(Dealer *d, const char *source, const char *end) {
  for (const char *line = source, *next; line < end; line = next) {
    const char *newline = memchr(line, '\n', (size_t)(end - line));
    next = newline ? newline + 1 : end;
    const char *open = memchr(line, '(', (size_t)(next - line));
    if (!isalpha((unsigned char)*line) || !open) continue;
    const char *name = open;
    while (name > line && is_word(name[-1])) name--;
    if (name == open || name == line || !has_body(open, end)) continue;
    const char *close = next - line > 2 && next[-2] == '}' ? next : strstr(line, "\n}\n");
    if (!close || close > end) continue;
    Function function = {.text = line, .size = (size_t)(close - line)};
    function.is_shared = !strncmp(line, PROGRAM_SHARED " ", strlen(PROGRAM_SHARED " "));
    ARENA_PUSH(d->arena, d->function, d->n, d->capacity, function);
    strmap_set(d->by_name, arena_strndup(d->arena, name, (size_t)(open - name)),
               (void *)(intptr_t)d->n); // pushed: 1 + its number
    next = close > next ? close : next;
  }
}

static void explore(Dealer *d, Function *function);

static void add_reached(Dealer *d, Function *function, Function *callee) {
  explore(d, callee);
  for (int w = 0; w < d->words; w++) function->reaches[w] |= callee->reaches[w];
  if (!callee->is_shared) function->bytes += callee->bytes;
}

// Sets what the function reaches. A name counts as a call of it each time that it occurs.
static void explore(Dealer *d, Function *function) {
  if (function->is_known) return;
  function->is_known = true; // one that calls itself reaches nothing new
  function->reaches = ARENA_ARRAY(d->arena, uint64_t, d->words);
  function->bytes = (int64_t)function->size;
  int own = function >= d->function && function < d->function + d->n ? (int)(function - d->function) : -1;
  if (function->is_shared) function->reaches[own / 64] |= (uint64_t)1 << own % 64;
  for (const char *at = function->text, *end = at + function->size; at < end;) {
    const char *word = at;
    while (at < end && is_word(*at)) at++;
    if (at > word && !isdigit((unsigned char)*word)) {
      int callee = (int)(intptr_t)strmap_get(d->by_name, arena_strndup(d->arena, word, (size_t)(at - word))) - 1;
      if (callee >= 0 && callee != own) add_reached(d, function, &d->function[callee]);
    }
    at += at == word;
  }
}

static void find_kernels(Dealer *d, const char *first) {
  for (const char *at = first, *next; at && *at; at = next) {
    next = strstr(at + 1, PROGRAM_KERNEL_MARK);
    Function kernel = {.text = at, .size = next ? (size_t)(next - at) : strlen(at)};
    ARENA_PUSH(d->arena, d->kernel, d->n_kernels, d->cap_kernels, kernel);
  }
  for (int i = 0; i < d->n_kernels; i++) explore(d, &d->kernel[i]);
}

// The bytes of those shared functions that are in `set` and not in `but`.
static int64_t shared_bytes(const Dealer *d, const uint64_t *set, const uint64_t *but) {
  int64_t bytes = 0;
  for (int f = 0; f < d->n; f++) {
    uint64_t bit = (uint64_t)1 << f % 64;
    if ((set[f / 64] & bit) && !(but && (but[f / 64] & bit))) bytes += d->function[f].bytes;
  }
  return bytes;
}

// A kernel in the order of dealing: those that bring most with them first.
typedef struct Turn {
  int kernel;
  int64_t shared, bytes;
} Turn;

static int compare_turns(const void *a, const void *b) {
  const Turn *x = a, *y = b;
  if (x->shared != y->shared) return x->shared < y->shared ? 1 : -1;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
  return x->kernel - y->kernel;
}

// Deals in turn, each kernel to the part after which the end can be soonest: when the longest part ends, or all of
// them if what is left is shared out evenly.
static void deal(const Dealer *d, const Turn *turns, int parts, int *part) {
  int64_t *load = ARENA_ARRAY(d->arena, int64_t, parts), sum = 0, most = 0;
  uint64_t *has = ARENA_ARRAY(d->arena, uint64_t, parts * d->words);
  for (int i = 0; i < d->n_kernels; i++) sum += turns[i].bytes;
  for (int i = 0; i < d->n_kernels; i++) {
    const Function *kernel = &d->kernel[turns[i].kernel];
    int best = -1;
    int64_t best_end = 0, best_load = 0, best_more = 0;
    for (int p = 0; p < parts; p++) {
      int64_t more = shared_bytes(d, kernel->reaches, has + p * d->words), after = load[p] + more + turns[i].bytes;
      int64_t end = (sum + more) / parts;
      if (end < most) end = most;
      if (end < after) end = after;
      if (best >= 0 && (end > best_end || (end == best_end && after >= best_load))) continue;
      best = p, best_end = end, best_load = after, best_more = more;
    }
    part[turns[i].kernel] = best;
    load[best] = best_load;
    sum += best_more;
    if (best_load > most) most = best_load;
    for (int w = 0; w < d->words; w++) has[best * d->words + w] |= kernel->reaches[w];
  }
}

int kernel_parts_deal(const char *source, int parts, Arena *arena, int **out) {
  const char *first = strstr(source, PROGRAM_KERNEL_MARK);
  Dealer d = {.arena = arena, .by_name = strmap_new(arena)};
  find_functions(&d, source, first ? first : source + strlen(source));
  d.words = d.n / 64 + 1;
  for (int i = 0; i < d.n; i++) explore(&d, &d.function[i]);
  find_kernels(&d, first);
  Turn *turns = ARENA_ARRAY(arena, Turn, d.n_kernels + 1);
  for (int i = 0; i < d.n_kernels; i++)
    turns[i] = (Turn){i, shared_bytes(&d, d.kernel[i].reaches, NULL), d.kernel[i].bytes};
  qsort(turns, (size_t)d.n_kernels, sizeof *turns, compare_turns);
  *out = ARENA_ARRAY(arena, int, d.n_kernels + 1);
  deal(&d, turns, parts, *out);
  return d.n_kernels;
}
