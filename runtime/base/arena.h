// Arena: memory that is handed out piece by piece and freed as a whole.
//
// Each stage (source and AST, graph, program) owns one arena and passes it explicitly.
#ifndef SG_BASE_ARENA_H
#define SG_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

typedef struct Arena Arena;

// Creates an empty arena. The caller owns it and ends it with arena_free.
Arena *arena_new(void);

// Frees the arena and everything that was allocated from it. NULL is allowed.
void arena_free(Arena *arena);

// Returns `size` zeroed bytes, aligned to 64 bytes when size >= 64 and to 16 otherwise. Never NULL.
void *arena_alloc(Arena *arena, size_t size);

// A zeroed array of n elements of the given type.
#define ARENA_ARRAY(arena, type, n) ((type *)arena_alloc((arena), sizeof(type) * (size_t)(n)))

// Copies of a string, of its first n bytes, of a byte range, and of a formatted text; all live in the arena.
char *arena_strdup(Arena *arena, const char *text);
char *arena_strndup(Arena *arena, const char *text, size_t n);
void *arena_memdup(Arena *arena, const void *data, size_t size);
char *arena_printf(Arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(Arena *arena, const char *format, va_list args);

// Appends `item` to a growing arena array: ARENA_PUSH(arena, array, count, capacity, item).
#define ARENA_PUSH(arena, array, count, capacity, item)                                                                \
  do {                                                                                                                 \
    if ((count) == (capacity)) {                                                                                       \
      (capacity) = (capacity) ? 2 * (capacity) : 8;                                                                    \
      (array) = arena_grow((arena), (array), sizeof *(array) * (size_t)(count), sizeof *(array) * (size_t)(capacity)); \
    }                                                                                                                  \
    (array)[(count)++] = (item);                                                                                       \
  } while (0)

// Returns a zero-extended copy of `old_size` bytes in a block of `new_size`.
void *arena_grow(Arena *arena, const void *old, size_t old_size, size_t new_size);

#endif
