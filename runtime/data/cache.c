// Cache: decoded or rendered samples kept in memory up to a number of bytes.
#include "runtime/data/cache.h"

#include <pthread.h>
#include <stdlib.h>

// An open hash table of slots, as large as the samples that can fit: the data set may be endless.
typedef struct Entry {
  int64_t index;
  Sample *sample; // NULL = free
} Entry;

struct SampleCache {
  pthread_mutex_t lock;
  int64_t max_bytes, bytes;
  Entry *entry;
  size_t capacity, n; // capacity is a power of two
};

SampleCache *cache_new(int64_t max_bytes) {
  SampleCache *cache = calloc(1, sizeof *cache);
  if (!cache) BUG("out of memory");
  pthread_mutex_init(&cache->lock, NULL);
  cache->max_bytes = max_bytes;
  return cache;
}

void cache_free(SampleCache *cache) {
  if (!cache) return;
  for (size_t i = 0; i < cache->capacity; i++)
    if (cache->entry[i].sample) {
      sample_free(cache->entry[i].sample);
      free(cache->entry[i].sample);
    }
  free(cache->entry);
  pthread_mutex_destroy(&cache->lock);
  free(cache);
}

// The entry of an index, or the free one where it belongs.
static Entry *find(Entry *entry, size_t capacity, int64_t index) {
  uint64_t at = (uint64_t)index * 0x9e3779b97f4a7c15u >> 20;
  while (entry[at & (capacity - 1)].sample && entry[at & (capacity - 1)].index != index) at++;
  return &entry[at & (capacity - 1)];
}

static void grow(SampleCache *cache) {
  size_t capacity = cache->capacity ? 2 * cache->capacity : 256;
  Entry *entry = calloc(capacity, sizeof *entry);
  if (!entry) BUG("out of memory");
  for (size_t i = 0; i < cache->capacity; i++)
    if (cache->entry[i].sample) *find(entry, capacity, cache->entry[i].index) = cache->entry[i];
  free(cache->entry);
  cache->entry = entry;
  cache->capacity = capacity;
}

const Sample *cache_get(SampleCache *cache, int64_t index) {
  pthread_mutex_lock(&cache->lock);
  const Sample *sample = cache->n ? find(cache->entry, cache->capacity, index)->sample : NULL;
  pthread_mutex_unlock(&cache->lock);
  return sample;
}

const Sample *cache_put(SampleCache *cache, int64_t index, Sample *sample) {
  int64_t bytes = (int64_t)sample->picture.width * sample->picture.height * 3 +
                  (int64_t)sample->depth.width * sample->depth.height * 4 + 128;
  const Sample *kept = sample;
  pthread_mutex_lock(&cache->lock);
  if (cache->bytes + bytes <= cache->max_bytes) {
    if (2 * (cache->n + 1) > cache->capacity) grow(cache);
    Entry *entry = find(cache->entry, cache->capacity, index);
    if (!entry->sample) { // another worker may have been first
      entry->sample = malloc(sizeof *entry->sample);
      if (!entry->sample) BUG("out of memory");
      *entry->sample = *sample;
      *sample = (Sample){0};
      entry->index = index;
      cache->bytes += bytes;
      cache->n++;
      kept = entry->sample;
    }
  }
  pthread_mutex_unlock(&cache->lock);
  return kept;
}
