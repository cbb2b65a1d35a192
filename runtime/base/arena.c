// Arena: memory that is handed out piece by piece and freed as a whole.
#include "runtime/base/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/base/status.h"

typedef struct Block {
  struct Block *next;
  size_t used, size;
} Block;

struct Arena {
  Block *blocks;
};

enum { FIRST_BLOCK = 1 << 14, LARGE = 1 << 20, MOST = 1 << 24, HUGE_PAGE = 1 << 21 }; // bytes

Arena *arena_new(void) {
  Arena *arena = calloc(1, sizeof *arena);
  if (!arena) BUG("out of memory");
  return arena;
}

void arena_free(Arena *arena) {
  if (!arena) return;
  for (Block *block = arena->blocks, *next; block; block = next) {
    next = block->next;
    free(block);
  }
  free(arena);
}

static void *block_take(Block *block, size_t size, size_t align) {
  if (!block) return NULL;
  uintptr_t base = (uintptr_t)(block + 1);
  uintptr_t at = (base + block->used + align - 1) & ~(uintptr_t)(align - 1);
  if (at + size > base + block->size) return NULL;
  block->used = at + size - base;
  return (void *)at;
}

// Large blocks stand on huge pages where the system has them: touching a page for the first time costs more than what
// is put there, and a graph is walked through again and again.
static Block *block_new(size_t room) {
  size_t size = sizeof(Block) + room;
  if (size >= HUGE_PAGE) size = (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
  Block *block = size < HUGE_PAGE ? malloc(size) : aligned_alloc(HUGE_PAGE, size);
  if (!block) BUG("out of memory: an arena block of %zu bytes", size);
  if (size >= HUGE_PAGE) madvise(block, size, MADV_HUGEPAGE); // refused: small pages do
  *block = (Block){.size = size - sizeof *block};
  return block;
}

// A block of its own, behind the one that is being filled. Zeros come from the system, page by page as it is touched.
static void *take_large(Arena *arena, size_t size, bool is_zero) {
  size_t room = size + 64;
  Block *block = is_zero ? calloc(1, sizeof *block + room) : malloc(sizeof *block + room);
  Block **place = arena->blocks ? &arena->blocks->next : &arena->blocks;
  if (!block) BUG("out of memory: an arena block of %zu bytes", room);
  *block = (Block){.next = *place, .size = room};
  *place = block;
  return block_take(block, size, 64);
}

// Bytes of any value, unless `is_zero`. Blocks are not zeroed as a whole: most arenas live briefly and fill a part of
// what they have.
static void *take(Arena *arena, size_t size, bool is_zero) {
  if (size >= LARGE) return take_large(arena, size, is_zero);
  size_t align = size >= 64 ? 64 : 16;
  void *data = block_take(arena->blocks, size, align);
  if (!data) {
    size_t grown = arena->blocks ? 4 * arena->blocks->size : FIRST_BLOCK, room = grown > size + 64 ? grown : size + 64;
    Block *block = block_new(room < MOST ? room : MOST);
    block->next = arena->blocks;
    arena->blocks = block;
    data = block_take(block, size, align);
  }
  return is_zero ? memset(data, 0, size) : data;
}

void *arena_alloc(Arena *arena, size_t size) { return take(arena, size, true); }

void *arena_memdup(Arena *arena, const void *data, size_t size) {
  void *copy = take(arena, size, false);
  if (size) memcpy(copy, data, size);
  return copy;
}

char *arena_strndup(Arena *arena, const char *text, size_t n) {
  char *copy = take(arena, n + 1, false);
  memcpy(copy, text, n);
  copy[n] = 0;
  return copy;
}

char *arena_strdup(Arena *arena, const char *text) { return arena_strndup(arena, text, strlen(text)); }

char *arena_vprintf(Arena *arena, const char *format, va_list args) {
  char brief[128]; // most are: formatted once
  va_list again;
  va_copy(again, args);
  int n = vsnprintf(brief, sizeof brief, format, again);
  va_end(again);
  if (n < 0) BUG("bad format '%s'", format);
  if (n < (int)sizeof brief) return arena_strndup(arena, brief, (size_t)n);
  char *text = take(arena, (size_t)n + 1, false);
  vsnprintf(text, (size_t)n + 1, format, args);
  return text;
}

char *arena_printf(Arena *arena, const char *format, ...) {
  va_list args;
  va_start(args, format);
  char *text = arena_vprintf(arena, format, args);
  va_end(args);
  return text;
}

void *arena_grow(Arena *arena, const void *old, size_t old_size, size_t new_size) {
  char *grown = take(arena, new_size, false);
  if (old_size) memcpy(grown, old, old_size);
  memset(grown + old_size, 0, new_size - old_size);
  return grown;
}
