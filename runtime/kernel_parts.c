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

// What a function takes besides its text, in bytes of a shared function's text, and how much less a byte of a kernel's
// text takes, most of which calls: as GCC 12 took, 12 ms and 2.6 us a byte, of a kernel 6 ms and 0.7 us.
enum { SHARED_COST = 4000, KERNEL_COST = 2000, KERNEL_BYTES = 4 };

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

// What the shared functions in `set` take.
static int64_t shared_bytes(const Dealer *d, const uint64_t *set) {
  int64_t bytes = 0;
  for (int f = 0; f < d->n; f++) {
    uint64_t bit = (uint64_t)1 << f % 64;
    if (set[f / 64] & bit) bytes += d->function[f].bytes + SHARED_COST;
  }
  return bytes;
}

// Kernels that reach the same shared functions, fewer than take a part of what those take; or one that reaches none.
typedef struct Batch {
  const uint64_t *reaches;
  int64_t shared, bytes;
  int first, part; // first: a kernel
} Batch;

typedef struct Deal {
  const Dealer *dealer;
  Batch *batch;
  int n, capacity, parts;
  uint64_t *has;     // of the part whose load is summed up
  int *moved, *from; // batches that are tried elsewhere together, and where they are
} Deal;

static int compare_batches(const void *a, const void *b) {
  const Batch *x = a, *y = b;
  if (x->shared != y->shared) return x->shared < y->shared ? 1 : -1;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
  return x->first - y->first;
}

static void find_batches(Deal *deal, int *batch_of) {
  const Dealer *d = deal->dealer;
  size_t size = sizeof(uint64_t) * (size_t)d->words;
  for (int i = 0; i < d->n_kernels; i++) {
    const Function *kernel = &d->kernel[i];
    int64_t shared = shared_bytes(d, kernel->reaches);
    int k = 0;
    while (k < deal->n && (deal->batch[k].bytes >= shared / 4 || memcmp(deal->batch[k].reaches, kernel->reaches, size)))
      k++;
    if (k == deal->n) {
      Batch batch = {kernel->reaches, shared, 0, i, 0};
      ARENA_PUSH(d->arena, deal->batch, deal->n, deal->capacity, batch);
    }
    deal->batch[k].bytes += KERNEL_COST + kernel->bytes / KERNEL_BYTES;
    batch_of[i] = deal->batch[k].first;
  }
  if (deal->n) qsort(deal->batch, (size_t)deal->n, sizeof *deal->batch, compare_batches);
}

static int64_t load_of(Deal *deal, int n, int part) {
  const Dealer *d = deal->dealer;
  int64_t load = 0;
  memset(deal->has, 0, sizeof *deal->has * (size_t)d->words);
  for (int i = 0; i < n; i++) {
    if (deal->batch[i].part != part) continue;
    load += deal->batch[i].bytes;
    for (int w = 0; w < d->words; w++) deal->has[w] |= deal->batch[i].reaches[w];
  }
  return load + shared_bytes(d, deal->has);
}

// When the first n batches are compiled at the soonest: when the longest part ends, or all of them if what is left is
// shared out evenly. What all parts take together decides between equals.
typedef struct End {
  int64_t end, sum;
} End;

static End end_of(Deal *deal, int n) {
  End end = {0, 0};
  for (int part = 0; part < deal->parts; part++) {
    int64_t load = load_of(deal, n, part);
    if (load > end.end) end.end = load;
    end.sum += load;
  }
  int64_t rest = 0;
  for (int i = n; i < deal->n; i++) rest += deal->batch[i].bytes;
  if (end.end < (end.sum + rest) / deal->parts) end.end = (end.sum + rest) / deal->parts;
  return end;
}

static bool reaches(const Batch *batch, int f) { return batch->reaches[f / 64] >> f % 64 & 1; }

// Puts the first n_moved of `moved` together where the first n end sooner than now, the soonest. Returns whether there
// is such a part.
static bool place(Deal *deal, int n, int n_moved) {
  int best = -1;
  for (int k = 0; k < n_moved; k++) deal->from[k] = deal->batch[deal->moved[k]].part;
  End least = end_of(deal, n);
  for (int part = 0; part < deal->parts; part++) {
    for (int k = 0; k < n_moved; k++) deal->batch[deal->moved[k]].part = part;
    End end = end_of(deal, n);
    if (end.end > least.end || (end.end == least.end && end.sum >= least.sum)) continue;
    least = end, best = part;
  }
  for (int k = 0; k < n_moved; k++) deal->batch[deal->moved[k]].part = best >= 0 ? best : deal->from[k];
  return best >= 0;
}

static bool place_batch(Deal *deal, int n, int i) {
  deal->moved[0] = i;
  return place(deal, n, 1);
}

// Those of the first n that reach the shared function.
static bool place_function(Deal *deal, int n, int f) {
  int n_moved = 0;
  for (int i = 0; i < n; i++)
    if (reaches(&deal->batch[i], f)) deal->moved[n_moved++] = i;
  return place(deal, n, n_moved);
}

// One batch after the other; those that share are placed again, knowing of all others, alone and with all that share
// a function with them, as long as that helps.
static void deal_batches(Deal *deal) {
  enum { MOST_ROUNDS = 8 };
  int n = 0;
  for (; n < deal->n && deal->batch[n].shared; n++) place_batch(deal, n + 1, n);
  bool is_better = true;
  for (int round = 0; is_better && round < MOST_ROUNDS; round++) {
    is_better = false;
    for (int f = 0; f < deal->dealer->n; f++)
      if (deal->dealer->function[f].is_shared) is_better |= place_function(deal, n, f);
    for (int i = 0; i < n; i++) is_better |= place_batch(deal, n, i);
  }
  int64_t *load = ARENA_ARRAY(deal->dealer->arena, int64_t, deal->parts);
  for (int part = 0; part < deal->parts; part++) load[part] = load_of(deal, n, part);
  for (; n < deal->n; n++) {
    int least = 0;
    for (int part = 1; part < deal->parts; part++)
      if (load[part] < load[least]) least = part;
    deal->batch[n].part = least;
    load[least] += deal->batch[n].bytes;
  }
}

int kernel_parts_deal(const char *source, int parts, Arena *arena, int **out) {
  const char *first = strstr(source, PROGRAM_KERNEL_MARK);
  Dealer d = {.arena = arena, .by_name = strmap_new(arena)};
  find_functions(&d, source, first ? first : source + strlen(source));
  d.words = d.n / 64 + 1;
  for (int i = 0; i < d.n; i++) explore(&d, &d.function[i]);
  find_kernels(&d, first);
  Deal deal = {.dealer = &d, .parts = parts, .has = ARENA_ARRAY(arena, uint64_t, d.words)};
  *out = ARENA_ARRAY(arena, int, d.n_kernels + 1);
  int *batch_of = ARENA_ARRAY(arena, int, d.n_kernels + 1), *part_of_first = ARENA_ARRAY(arena, int, d.n_kernels + 1);
  find_batches(&deal, batch_of);
  deal.moved = ARENA_ARRAY(arena, int, deal.n + 1);
  deal.from = ARENA_ARRAY(arena, int, deal.n + 1);
  deal_batches(&deal);
  for (int i = 0; i < deal.n; i++) part_of_first[deal.batch[i].first] = deal.batch[i].part;
  for (int i = 0; i < d.n_kernels; i++) (*out)[i] = part_of_first[batch_of[i]];
  return d.n_kernels;
}
