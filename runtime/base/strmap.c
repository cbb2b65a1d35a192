// StrMap: a hash map from strings to pointers, and the nearest name for a misspelt one.
#include "runtime/base/strmap.h"

#include <stdint.h>
#include <string.h>

#include "runtime/base/hash.h"

typedef struct Entry {
  const char *key;
  void *value;
} Entry;

struct StrMap {
  Arena *arena;
  Entry *entries;
  int n_entries, capacity;
  int *slots; // 1 + index of an entry, 0 = free; a power of two of them
  int n_slots;
};

StrMap *strmap_new(Arena *arena) {
  StrMap *map = ARENA_ARRAY(arena, StrMap, 1);
  map->arena = arena;
  return map;
}

static int *find_slot(const StrMap *map, const char *key) {
  uint64_t mask = (uint64_t)map->n_slots - 1;
  for (uint64_t at = hash_fnv64(key) & mask;; at = (at + 1) & mask) {
    int index = map->slots[at];
    if (!index || !strcmp(map->entries[index - 1].key, key)) return &map->slots[at];
  }
}

void *strmap_get(const StrMap *map, const char *key) {
  if (!map->n_slots) return NULL;
  int index = *find_slot(map, key);
  return index ? map->entries[index - 1].value : NULL;
}

static void rehash(StrMap *map) {
  map->n_slots = map->n_slots ? 2 * map->n_slots : 16;
  map->slots = ARENA_ARRAY(map->arena, int, map->n_slots);
  for (int i = 0; i < map->n_entries; i++) *find_slot(map, map->entries[i].key) = i + 1;
}

void strmap_set(StrMap *map, const char *key, void *value) {
  if (2 * (map->n_entries + 1) > map->n_slots) rehash(map);
  int *slot = find_slot(map, key);
  if (*slot) {
    map->entries[*slot - 1].value = value;
    return;
  }
  Entry entry = {arena_strdup(map->arena, key), value};
  ARENA_PUSH(map->arena, map->entries, map->n_entries, map->capacity, entry);
  *slot = map->n_entries;
}

int strmap_count(const StrMap *map) { return map->n_entries; }
const char *strmap_key(const StrMap *map, int i) { return map->entries[i].key; }
void *strmap_value(const StrMap *map, int i) { return map->entries[i].value; }

enum { MAX_NAME = 64 };

// Characters put in, left out, changed, or two neighbours swapped (optimal string alignment).
static int edit_distance(const char *a, const char *b) {
  int rows[3][MAX_NAME + 1], n = (int)strlen(b);
  int *two_up = rows[0], *up = rows[1], *row = rows[2];
  for (int j = 0; j <= n; j++) up[j] = j;
  for (int i = 0; a[i]; i++) {
    row[0] = i + 1;
    for (int j = 0; j < n; j++) {
      int best = up[j] + (a[i] != b[j]);
      if (row[j] + 1 < best) best = row[j] + 1;
      if (up[j + 1] + 1 < best) best = up[j + 1] + 1;
      bool is_swap = i && j && a[i] == b[j - 1] && a[i - 1] == b[j];
      if (is_swap && two_up[j - 1] + 1 < best) best = two_up[j - 1] + 1;
      row[j + 1] = best;
    }
    int *spare = two_up;
    two_up = up;
    up = row;
    row = spare;
  }
  return up[n];
}

const char *nearest_name(const char *name, const char *const *candidates, int n) {
  const char *best = NULL;
  size_t length = strlen(name);
  int limit = length <= 2 ? 1 : length <= 5 ? 2 : 3;
  if (length > MAX_NAME) return NULL;
  for (int i = 0; i < n; i++) {
    if (strlen(candidates[i]) > MAX_NAME) continue;
    int distance = edit_distance(name, candidates[i]);
    if (distance <= limit && distance < (int)length) {
      limit = distance - 1;
      best = candidates[i];
    }
  }
  return best;
}
