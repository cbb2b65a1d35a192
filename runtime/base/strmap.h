// StrMap: a hash map from strings to pointers, in an arena.
#ifndef SG_BASE_STRMAP_H
#define SG_BASE_STRMAP_H

#include <stdbool.h>

#include "runtime/base/arena.h"

typedef struct StrMap StrMap;

StrMap *strmap_new(Arena *arena);
void *strmap_get(const StrMap *map, const char *key);             // NULL where there is none
void strmap_set(StrMap *map, const char *key, void *value);       // copies the key; replaces an old value
int strmap_count(const StrMap *map);
// The i-th entry in order of insertion, 0 <= i < strmap_count.
const char *strmap_key(const StrMap *map, int i);
void *strmap_value(const StrMap *map, int i);

// The candidate nearest to `name` in edit distance, if near enough to be a likely typing error; NULL otherwise.
const char *nearest_name(const char *name, const char *const *candidates, int n);

#endif
