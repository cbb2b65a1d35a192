// Kernel units: splitting a source, keys, and the choice among kept files.
#include "runtime/kernel_units.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/kernel_bundle.h"
#include "runtime/kernel_shelf.h"
#include "runtime/program.h"

// ---- splitting ------------------------------------------------------------------------------------------------------

// Hash of a text without its comment lines, which name places in the user's text: editing elsewhere in that text does
// not compile the same kernels again.
static Hash code_hash(const char *text, size_t size) {
  Text code = {0};
  for (const char *line = text, *end = text + size; line < end;) {
    const char *newline = memchr(line, '\n', (size_t)(end - line)), *next = newline ? newline + 1 : end;
    if (next - line < 2 || memcmp(line, "//", 2)) text_write(&code, line, (size_t)(next - line));
    line = next;
  }
  Hash hash = hash_bytes(text_get(&code), code.size);
  text_free(&code);
  return hash;
}

void kernel_units_find(KernelUnits *units, Arena *arena, const char *source, const Text *about) {
  const char *at = strstr(source, PROGRAM_KERNEL_MARK);
  size_t preamble = at ? (size_t)(at - source) : strlen(source);
  Hash context = hash_combine(hash_bytes(text_get(about), about->size), code_hash(source, preamble));
  *units = (KernelUnits){.arena = arena, .source = source, .preamble = preamble, .context = context};
  while (at) {
    const char *name = at + strlen(PROGRAM_KERNEL_MARK), *next = strstr(name, PROGRAM_KERNEL_MARK);
    KernelUnit unit = {.text = at,
                       .size = next ? (size_t)(next - at) : strlen(at),
                       .symbol = arena_strndup(arena, name, strcspn(name, " \n"))};
    unit.key = hash_combine(context, code_hash(unit.text, unit.size));
    ARENA_PUSH(arena, units->unit, units->n, units->capacity, unit);
    at = next;
  }
}

int kernel_units_missing(const KernelUnits *units, int *out) {
  int n = 0;
  for (int i = 0; i < units->n; i++) {
    if (units->unit[i].is_loaded) continue;
    if (out) out[n] = i;
    n++;
  }
  return n;
}

void kernel_units_source(const KernelUnits *units, const int *list, int n, Text *out, Hash *keys) {
  text_write(out, units->source, units->preamble);
  for (int i = 0; i < n; i++) {
    const KernelUnit *unit = &units->unit[list[i]];
    text_write(out, unit->text, unit->size);
    if (keys) keys[i] = unit->key;
  }
}

void kernel_units_about(const KernelUnit *unit, Text *out) {
  enum { LINES = 2 }; // operations and place; what follows are figures
  const char *end = unit->text + unit->size;
  const char *line = memchr(unit->text + 1, '\n', unit->size - 1);
  for (int i = 0; i < LINES && line && end - line > 3 && !memcmp(line, "\n//", 3); i++) {
    const char *from = line + 3, *next = memchr(from, '\n', (size_t)(end - from));
    while (from < end && *from == ' ') from++;
    if (out->size) text_put(out, ", ");
    text_write(out, from, (size_t)((next ? next : end) - from));
    line = next;
  }
}

// ---- from the cache -------------------------------------------------------------------------------------------------

static int compare_hashes(Hash a, Hash b) {
  if (a.high != b.high) return a.high < b.high ? -1 : 1;
  return a.low < b.low ? -1 : a.low > b.low;
}

static int compare_keys(const void *a, const void *b) { return compare_hashes(*(const Hash *)a, *(const Hash *)b); }

// A bundle and the units that it holds.
typedef struct Offer {
  const ShelfBundle *bundle;
  int *list, n;
} Offer;

static Offer make_offer(const KernelUnits *units, const ShelfBundle *bundle) {
  Offer offer = {bundle, ARENA_ARRAY(units->arena, int, bundle->n_keys), 0};
  qsort(bundle->keys, (size_t)bundle->n_keys, sizeof *bundle->keys, compare_keys);
  for (int i = 0; i < units->n && offer.n < bundle->n_keys; i++) {
    if (bsearch(&units->unit[i].key, bundle->keys, (size_t)bundle->n_keys, sizeof *bundle->keys, compare_keys))
      offer.list[offer.n++] = i;
  }
  return offer;
}

static int count_new(const KernelUnits *units, const Offer *offer) {
  int n = 0;
  for (int i = 0; i < offer->n; i++) n += !units->unit[offer->list[i]].is_loaded;
  return n;
}

// Takes what is kept: from the bundle that holds most of what is missing, then from the next.
void kernel_units_load_kept(KernelUnits *units, const char *directory, const char *end, KernelTake *take,
                            void *context) {
  ShelfBundle *bundles;
  int n = shelf_list(directory, units->context, end, units->arena, &bundles);
  Offer *offers = ARENA_ARRAY(units->arena, Offer, n + 1);
  for (int i = 0; i < n; i++) offers[i] = make_offer(units, &bundles[i]);
  for (;;) {
    int best = -1, most = 0;
    for (int i = 0; i < n; i++) {
      int gain = count_new(units, &offers[i]);
      if (gain <= most) continue;
      most = gain;
      best = i;
    }
    if (best < 0) return;
    Offer *offer = &offers[best];
    const char *path = offer->bundle->path;
    if (bundle_is_whole(path)) {
      utimensat(AT_FDCWD, path, NULL, 0); // used now; refused: it looks older than it is
      status_free(take(context, path, offer->list, offer->n));
    } else {
      unlink(path);
    }
    offer->n = 0;
  }
}
