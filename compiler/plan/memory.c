// Memory: lifetimes to offsets.
#include <stdlib.h>

#include "compiler/plan/plan.h"

// Largest first; among equals the earlier one, then the given order, so that the result is one.
static int compare_items(const void *a, const void *b) {
  const MemoryItem *x = *(MemoryItem *const *)a, *y = *(MemoryItem *const *)b;
  if (x->size != y->size) return x->size < y->size ? 1 : -1;
  if (x->first != y->first) return x->first < y->first ? -1 : 1;
  return x < y ? -1 : x > y;
}

// Whether all steps that need `a` are done when the first that needs `b` begins.
static bool is_over(const MemoryItem *a, const MemoryItem *b) { return queue_clock_covers(b->begin, a->end); }

static bool is_live_together(const MemoryItem *a, const MemoryItem *b) {
  if (a->end && b->end) return !is_over(a, b) && !is_over(b, a);
  return a->first <= b->last && b->first <= a->last;
}

// Smallest gap between the placed items that are live with `item`; they come by offset. The end of all is a gap too.
static int64_t find_offset(const MemoryItem *item, MemoryItem *const *placed, int n) {
  int64_t size = memory_round(item->size), best = -1, best_gap = 0, end = 0;
  for (int i = 0; i < n; i++) {
    const MemoryItem *other = placed[i];
    if (!is_live_together(item, other)) continue;
    int64_t gap = other->offset - end;
    if (gap >= size && (best < 0 || gap < best_gap)) {
      best = end;
      best_gap = gap;
    }
    int64_t other_end = other->offset + memory_round(other->size);
    if (other_end > end) end = other_end;
  }
  return best < 0 ? end : best;
}

int64_t memory_place(MemoryItem *items, int n, Arena *arena) {
  MemoryItem **sorted = ARENA_ARRAY(arena, MemoryItem *, n + 1), **placed = ARENA_ARRAY(arena, MemoryItem *, n + 1);
  for (int i = 0; i < n; i++) sorted[i] = &items[i];
  qsort(sorted, (size_t)n, sizeof *sorted, compare_items);
  int64_t end = 0;
  for (int i = 0; i < n && sorted[i]->size; i++) {
    MemoryItem *item = sorted[i];
    item->offset = find_offset(item, placed, i);
    int at = i;
    for (; at > 0 && placed[at - 1]->offset > item->offset; at--) placed[at] = placed[at - 1];
    placed[at] = item;
    if (item->offset + memory_round(item->size) > end) end = item->offset + memory_round(item->size);
  }
  return end;
}

int64_t memory_bound(const MemoryItem *items, int n) {
  int64_t most = 0;
  for (int i = 0; i < n; i++) { // the peak is reached where some item begins
    int64_t sum = 0;
    for (int k = 0; k < n; k++) {
      if (items[k].first <= items[i].first && items[i].first <= items[k].last) sum += memory_round(items[k].size);
    }
    if (sum > most) most = sum;
  }
  return most;
}
