// Tests of the ground floor: memory of arenas, formatted text of every length, numbers as text, loops shared out among
// threads.
#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>

#include "runtime/base/arena.h"
#include "runtime/base/parallel.h"
#include "runtime/base/text.h"
#include "tests/check.h"

// Around the sizes up to which a piece is formatted at once.
static void test_formats(void) {
  Arena *arena = arena_new();
  char want[400] = "";
  for (int n = 0; n < 300; n++) {
    Text text = {0};
    text_put(&text, "<");
    text_printf(&text, "%s|%d", want, n);
    char line[420];
    snprintf(line, sizeof line, "<%s|%d", want, n);
    CHECK_TEXT(text_get(&text), line, "text_printf");
    CHECK(text.size == strlen(line), "size %zu of a text of %zu bytes", text.size, strlen(line));
    CHECK_TEXT(arena_printf(arena, "%s|%d", want, n), line + 1, "arena_printf");
    text_free(&text);
    want[n] = (char)('a' + n % 26);
    want[n + 1] = 0;
  }
  arena_free(arena);
}

// Pieces of all sizes are aligned, zero, and nobody else's, also where memory was used and freed before.
static void test_arena(void) {
  enum { PIECES = 400 };
  for (int round = 0; round < 3; round++) {
    Arena *arena = arena_new();
    unsigned char *piece[PIECES];
    size_t size[PIECES];
    int n_misaligned = 0, n_dirty = 0, n_changed = 0;
    for (int i = 0; i < PIECES; i++) {
      size[i] = i % 50 == 49 ? (size_t)(i + 1) << 13 : (size_t)(i * i % 20000); // the former of their own blocks
      piece[i] = arena_alloc(arena, size[i]);
      n_misaligned += (uintptr_t)piece[i] % (size[i] >= 64 ? 64 : 16) != 0;
      for (size_t k = 0; k < size[i]; k++) n_dirty += piece[i][k] != 0;
      memset(piece[i], i % 255 + 1, size[i]);
      if (i % 7) continue;
      unsigned char *grown = arena_grow(arena, piece[i], size[i], 2 * size[i] + 5);
      for (size_t k = 0; k < 2 * size[i] + 5; k++) n_dirty += grown[k] != (k < size[i] ? i % 255 + 1 : 0);
    }
    for (int i = 0; i < PIECES; i++)
      for (size_t k = 0; k < size[i]; k++) n_changed += piece[i][k] != i % 255 + 1;
    CHECK(!n_misaligned && !n_dirty && !n_changed, "%d pieces misaligned, %d bytes not zero, %d changed", n_misaligned,
          n_dirty, n_changed);
    arena_free(arena);
  }
}

static void test_integers(void) {
  const long long values[] = {0, 1, -1, 9, 10, -10, 4294967296, LLONG_MAX, LLONG_MIN};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    Text text = {0};
    char want[32];
    snprintf(want, sizeof want, "%lld", values[i]);
    text_put_int(&text, values[i]);
    CHECK_TEXT(text_get(&text), want, "text_put_int");
    text_free(&text);
  }
}

enum { MOST_TURNS = 1000, MOST_WORKERS = 5 };

typedef struct Tally {
  _Atomic int done[MOST_TURNS], inside[MOST_WORKERS], n_faults;
} Tally;

static void count(void *context, int worker, int turn) {
  Tally *tally = context;
  if (worker < 0 || worker >= MOST_WORKERS || atomic_fetch_add(&tally->inside[worker], 1)) tally->n_faults++;
  atomic_fetch_add(&tally->done[turn], 1);
  atomic_fetch_sub(&tally->inside[worker], 1);
}

static void test_parallel(void) {
  CHECK(parallel_cores() >= 1, "cores: %d", parallel_cores());
  for (int workers = 0; workers <= MOST_WORKERS; workers++) {
    for (int turns = 0; turns <= MOST_TURNS; turns = 3 * turns + 1) {
      Tally tally = {0};
      parallel_finish(parallel_start(turns, workers, count, &tally));
      int n_wrong = 0;
      for (int i = 0; i < MOST_TURNS; i++) n_wrong += tally.done[i] != (i < turns);
      CHECK(!n_wrong && !tally.n_faults, "%d turns, %d workers: %d not done once, %d shared a number", turns, workers,
            n_wrong, tally.n_faults);
    }
  }
}

int main(void) {
  test_formats();
  test_arena();
  test_integers();
  test_parallel();
  return check_report("base");
}
