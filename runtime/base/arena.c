// Arena: memory that is handed out piece by piece and freed as a whole.
#include "runtime/base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/status.h"

typedef struct Block {
  struct Block *next;
  size_t used, size;
} Block;

struct Arena {
  Block *blocks;
};

enum { FIRST_BLOCK = 1 << 14 };

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

void *arena_alloc(Arena *arena, size_t size) {
  size_t align = size >= 64 ? 64 : 16;
  void *data = block_take(arena->blocks, size, align);
  if (data) return data;
  size_t grown = arena->blocks ? 2 * arena->blocks->size : FIRST_BLOCK;
  size_t room = grown > size + 64 ? grown : size + 64;
  if (room > (size_t)1 << 24 && size + 64 < (size_t)1 << 24) room = (size_t)1 << 24;
  Block *block = calloc(1, sizeof *block + room);
  if (!block) BUG("out of memory: an arena block of %zu bytes", room);
  block->size = room;
  block->next = arena->blocks;
  arena->blocks = block;
  return block_take(block, size, align);
}

void *arena_memdup(Arena *arena, const void *data, size_t size) {
  void *copy = arena_alloc(arena, size);
  if (size) memcpy(copy, data, size);
  return copy;
}

char *arena_strndup(Arena *arena, const char *text, size_t n) {
  char *copy = arena_alloc(arena, n + 1);
  memcpy(copy, text, n);
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
  char *text = arena_alloc(arena, (size_t)n + 1);
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
  void *grown = arena_alloc(arena, new_size);
  if (old_size) memcpy(grown, old, old_size);
  return grown;
}
