// Loader: batches made ahead of time by worker threads, in an order that does not depend on them.
//
// The ring holds the next few batches. A worker takes the first item that nobody has, of the earliest batch, fills its
// place in the batch's buffers without the lock, and counts it as done. The consumer waits for the earliest batch,
// borrows it, and on its next call gives the buffers to the batch after the last of the ring. What an item holds
// depends on (seed, epoch, position) alone, so the number of workers cannot be seen in it.
#include "runtime/data/loader.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/random.h"
#include "runtime/data/cache.h"

enum { MAX_REPLACEMENTS = 64, MAX_MESSAGES = 16, MAX_WORKERS = 64, MAX_AHEAD = 64 };

typedef struct Slot {
  int64_t number;  // of the batch, counted over all epochs
  int taken, done; // items
  float *rgb, *depth;
  int64_t *sample;
} Slot;

struct Loader {
  const Dataset *dataset;
  LoaderOptions options;
  int64_t batches; // in an epoch
  SampleCache *cache;
  pthread_t *thread;
  int n_threads;

  pthread_mutex_t lock;
  pthread_cond_t work, ready; // an item to take; an item done
  Slot *slot;                 // [ahead]
  int64_t next;               // number of the batch that loader_next gives next
  bool is_lent;               // the slot of batch next - 1 is with the consumer
  bool is_stopping, is_paused;
  int busy;      // workers that fill an item now
  double waited; // seconds in loader_next
  int64_t *bad;
  int64_t n_bad, bad_capacity;
  char *message[MAX_MESSAGES];
};

int64_t loader_order(uint64_t seed, int64_t epoch, int64_t size, int64_t position) {
  // A Feistel network on the smallest even number of bits that holds `size`, walked until the value is in range.
  Random random = random_substream(random_stream(seed, "order"), (uint64_t)epoch);
  int half = 1;
  while (half < 31 && (int64_t)1 << (2 * half) < size) half++;
  uint32_t mask = (uint32_t)(((uint64_t)1 << half) - 1);
  uint64_t value = (uint64_t)position;
  do {
    uint32_t left = (uint32_t)(value >> half) & mask, right = (uint32_t)value & mask;
    for (uint64_t round = 0; round < 6; round++) {
      uint32_t mixed = left ^ (random_word_at(&random, round << 32 | right) & mask);
      left = right;
      right = mixed;
    }
    value = (uint64_t)left << half | right;
  } while (value >= (uint64_t)size);
  return (int64_t)value;
}

int64_t loader_bootstrap(uint64_t seed, int number, int64_t size, int64_t i) {
  Random random = random_substream(random_stream(seed, "bootstrap"), (uint64_t)number);
  uint64_t high = random_word_at(&random, 2 * (uint64_t)i), low = random_word_at(&random, 2 * (uint64_t)i + 1);
  return (int64_t)((high << 32 | low) % (uint64_t)size); // a bias below size / 2^64
}

static int compare_indices(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

// Called with the lock held.
static bool is_noted(const Loader *loader, int64_t index) {
  return loader->n_bad && bsearch(&index, loader->bad, (size_t)loader->n_bad, sizeof index, compare_indices) != NULL;
}

static bool is_bad(Loader *loader, int64_t index) {
  pthread_mutex_lock(&loader->lock);
  bool found = is_noted(loader, index);
  pthread_mutex_unlock(&loader->lock);
  return found;
}

// Counts a sample that failed, once, and keeps the message of the first few.
static void note_bad(Loader *loader, int64_t index, Status status) {
  pthread_mutex_lock(&loader->lock);
  if (!is_noted(loader, index)) {
    if (loader->n_bad == loader->bad_capacity) {
      loader->bad_capacity = loader->bad_capacity ? 2 * loader->bad_capacity : 64;
      loader->bad = realloc(loader->bad, sizeof *loader->bad * (size_t)loader->bad_capacity);
      if (!loader->bad) BUG("out of memory");
    }
    if (loader->n_bad < MAX_MESSAGES) {
      loader->message[loader->n_bad] = strdup(status_message(status));
      if (!loader->message[loader->n_bad]) BUG("out of memory");
    }
    int64_t at = loader->n_bad++;
    for (; at > 0 && loader->bad[at - 1] > index; at--) loader->bad[at] = loader->bad[at - 1];
    loader->bad[at] = index;
  }
  pthread_mutex_unlock(&loader->lock);
  status_free(status);
}

// Puts what stands at `drawn` of the samples of an epoch into place `item` of the slot; false if it cannot be read.
static bool fill_sample(Loader *loader, Slot *slot, int item, int64_t epoch, int64_t drawn) {
  int64_t index = drawn;
  if (loader->options.bootstrap)
    index = loader_bootstrap(loader->options.seed, loader->options.bootstrap, loader->dataset->size, drawn);
  if (is_bad(loader, index)) return false;
  Sample owned = {0};
  const Sample *sample = cache_get(loader->cache, index);
  if (!sample) {
    Status status = dataset_sample(loader->dataset, index, &owned);
    if (status) {
      note_bad(loader, index, status);
      return false;
    }
    sample = cache_put(loader->cache, index, &owned);
  }
  const LoaderOptions *o = &loader->options;
  size_t plane = (size_t)o->width * (size_t)o->height;
  AugmentDraw draw;
  augment_draw(o->augment, (AugmentKey){o->seed, epoch, drawn}, sample->picture.width, sample->picture.height, o->width,
               o->height, &draw);
  augment_apply(&draw, sample, o->width, o->height, slot->rgb + 3 * plane * (size_t)item,
                slot->depth + plane * (size_t)item);
  slot->sample[item] = index;
  sample_free(&owned);
  return true;
}

static void fill_item(Loader *loader, Slot *slot, int64_t number, int item) {
  const LoaderOptions *o = &loader->options;
  int64_t epoch = number / loader->batches, size = loader->dataset->size;
  int64_t position = number % loader->batches * o->whole + o->first + item;
  int tries = o->is_shuffled ? MAX_REPLACEMENTS : 1;
  for (int i = 0; i < tries && position < size; i++) {
    int64_t at = (position + i) % size;
    if (fill_sample(loader, slot, item, epoch, o->is_shuffled ? loader_order(o->seed, epoch, size, at) : at)) return;
  }
  size_t plane = (size_t)o->width * (size_t)o->height;
  memset(slot->rgb + 3 * plane * (size_t)item, 0, sizeof(float) * 3 * plane);
  memset(slot->depth + plane * (size_t)item, 0, sizeof(float) * plane);
  slot->sample[item] = -1;
}

// The earliest batch with an item that nobody has taken; NULL if there is none. Called with the lock held.
static Slot *find_work(Loader *loader) {
  Slot *best = NULL;
  for (int i = 0; i < loader->options.ahead; i++) {
    Slot *slot = &loader->slot[i];
    if (slot->taken < loader->options.batch && (!best || slot->number < best->number)) best = slot;
  }
  return best;
}

static void *worker_run(void *argument) {
  Loader *loader = argument;
  pthread_mutex_lock(&loader->lock);
  while (!loader->is_stopping) {
    Slot *slot = loader->is_paused ? NULL : find_work(loader);
    if (!slot) {
      pthread_cond_wait(&loader->work, &loader->lock);
      continue;
    }
    int item = slot->taken++;
    int64_t number = slot->number;
    loader->busy++;
    pthread_mutex_unlock(&loader->lock);
    fill_item(loader, slot, number, item);
    pthread_mutex_lock(&loader->lock);
    loader->busy--;
    slot->done++;
    pthread_cond_broadcast(&loader->ready);
  }
  pthread_mutex_unlock(&loader->lock);
  return NULL;
}

// Gives the ring to the batches from `number` on. Called with the lock held and no worker busy.
static void ring_start(Loader *loader, int64_t number) {
  loader->next = number;
  loader->is_lent = false;
  for (int i = 0; i < loader->options.ahead; i++) {
    int64_t at = number + i;
    Slot *slot = &loader->slot[at % loader->options.ahead];
    slot->number = at;
    slot->taken = slot->done = 0;
  }
}

static Status check_options(const Dataset *dataset, const LoaderOptions *o) {
  if (o->batch < 1 || o->batch > 1 << 16)
    return status_make(EXIT_USAGE, "a batch of %d samples is not possible", o->batch);
  if (o->width < 1 || o->height < 1 || o->width > 16384 || o->height > 16384)
    return status_make(EXIT_USAGE, "a network input of %dx%d pixels is not possible", o->width, o->height);
  if (o->together < 0 || o->together > 1 << 14)
    return status_make(EXIT_USAGE, "%d batches together are not possible", o->together);
  if (o->workers < 0 || o->ahead < 0) return status_make(EXIT_USAGE, "negative number of workers or batches ahead");
  if (o->whole < 0 || o->whole > 1 << 16 || o->first < 0 || o->first + o->batch > o->whole)
    return status_make(EXIT_USAGE, "samples %d to %d of a batch of %d are not possible", o->first,
                       o->first + o->batch - 1, o->whole);
  if (dataset->size < (o->drops_last ? (int64_t)o->whole * o->together : 1))
    return status_make(EXIT_DATA, "a data set of %lld samples is too small for a batch of %d", (long long)dataset->size,
                       o->whole * o->together);
  return STATUS_OK;
}

Status loader_open(const Dataset *dataset, const LoaderOptions *options, Loader **out) {
  LoaderOptions checked = *options;
  if (checked.together == 0) checked.together = 1;
  if (checked.whole == 0) checked.whole = checked.batch;
  TRY(check_options(dataset, &checked));
#ifdef M_TRIM_THRESHOLD
  // Pictures come and go by the thousand: handing their memory back each time costs a page fault for every 4 KB.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
#endif
  Loader *loader = calloc(1, sizeof *loader);
  if (!loader) BUG("out of memory");
  loader->dataset = dataset;
  loader->options = checked;
  LoaderOptions *o = &loader->options;
  if (o->workers == 0) o->workers = 1;
  if (o->workers > MAX_WORKERS) o->workers = MAX_WORKERS;
  if (o->ahead == 0) o->ahead = 3;
  if (o->ahead < 2) o->ahead = 2; // one is lent, one is being made
  if (o->ahead > MAX_AHEAD) o->ahead = MAX_AHEAD;
  loader->batches = o->drops_last ? dataset->size / ((int64_t)o->whole * o->together) * o->together
                                  : (dataset->size + o->whole - 1) / o->whole;
  loader->cache = cache_new(o->cache_bytes);
  loader->slot = calloc((size_t)o->ahead, sizeof *loader->slot);
  loader->thread = calloc((size_t)o->workers, sizeof *loader->thread);
  if (!loader->slot || !loader->thread) BUG("out of memory");
  pthread_mutex_init(&loader->lock, NULL);
  pthread_cond_init(&loader->work, NULL);
  pthread_cond_init(&loader->ready, NULL);

  Status status = STATUS_OK;
  size_t plane = (size_t)o->width * (size_t)o->height, batch = (size_t)o->batch;
  for (int i = 0; i < o->ahead && !status; i++) {
    Slot *slot = &loader->slot[i];
    slot->rgb = malloc(sizeof(float) * 3 * plane * batch);
    slot->depth = malloc(sizeof(float) * plane * batch);
    slot->sample = malloc(sizeof *slot->sample * batch);
    if (!slot->rgb || !slot->depth || !slot->sample)
      status = status_make(EXIT_DEVICE, "not enough memory for batches of %d pictures of %dx%d", o->batch, o->width,
                           o->height);
  }
  ring_start(loader, 0);

  // Signals are for the thread that trains.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  while (!status && loader->n_threads < o->workers) {
    if (pthread_create(&loader->thread[loader->n_threads], NULL, worker_run, loader) != 0) {
      if (loader->n_threads == 0) status = status_make(EXIT_DEVICE, "cannot start a thread to load data");
      break; // fewer workers are slower, not wrong
    }
    loader->n_threads++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (status) {
    loader_close(loader);
    return status;
  }
  *out = loader;
  return STATUS_OK;
}

void loader_close(Loader *loader) {
  if (!loader) return;
  pthread_mutex_lock(&loader->lock);
  loader->is_stopping = true;
  pthread_cond_broadcast(&loader->work);
  pthread_mutex_unlock(&loader->lock);
  for (int i = 0; i < loader->n_threads; i++) pthread_join(loader->thread[i], NULL);
  for (int i = 0; i < loader->options.ahead; i++) {
    free(loader->slot[i].rgb);
    free(loader->slot[i].depth);
    free(loader->slot[i].sample);
  }
  for (int i = 0; i < MAX_MESSAGES; i++) free(loader->message[i]);
  pthread_mutex_destroy(&loader->lock);
  pthread_cond_destroy(&loader->work);
  pthread_cond_destroy(&loader->ready);
  cache_free(loader->cache);
  free(loader->bad);
  free(loader->slot);
  free(loader->thread);
  free(loader);
}

int64_t loader_batches(const Loader *loader) { return loader->batches; }

void loader_sample_name(const Loader *loader, int64_t sample, char out[SAMPLE_NAME]) {
  dataset_name(loader->dataset, sample, out);
}

// Called with the lock held.
static Status too_many_bad(const Loader *loader) {
  if (loader->options.max_bad < 0 || loader->n_bad <= loader->options.max_bad) return STATUS_OK;
  return status_make(EXIT_DATA, "%lld samples cannot be read (allowed: %lld); the first: %s", (long long)loader->n_bad,
                     (long long)loader->options.max_bad, loader->message[0]);
}

Status loader_next(Loader *loader, Batch *out) {
  const LoaderOptions *o = &loader->options;
  pthread_mutex_lock(&loader->lock);
  if (loader->is_lent) {
    Slot *slot = &loader->slot[(loader->next - 1) % o->ahead];
    slot->number += o->ahead;
    slot->taken = slot->done = 0;
    loader->is_lent = false;
    pthread_cond_broadcast(&loader->work);
  }
  Slot *slot = &loader->slot[loader->next % o->ahead];
  double begin = slot->done < o->batch ? clock_seconds() : 0;
  while (slot->done < o->batch) pthread_cond_wait(&loader->ready, &loader->lock);
  if (begin > 0) loader->waited += clock_seconds() - begin;
  Status status = too_many_bad(loader);
  if (!status) {
    int64_t index = loader->next % loader->batches, left = loader->dataset->size - index * o->whole - o->first;
    *out = (Batch){.epoch = loader->next / loader->batches,
                   .index = index,
                   .n = (int)(left < 0          ? 0
                              : left < o->batch ? left
                                                : o->batch),
                   .rgb = slot->rgb,
                   .depth = slot->depth,
                   .sample = slot->sample};
    loader->next++;
    loader->is_lent = true;
  }
  pthread_mutex_unlock(&loader->lock);
  return status;
}

void loader_seek(Loader *loader, int64_t epoch, int64_t batch) {
  pthread_mutex_lock(&loader->lock);
  loader->is_paused = true;
  while (loader->busy) pthread_cond_wait(&loader->ready, &loader->lock);
  ring_start(loader, epoch * loader->batches + batch);
  loader->is_paused = false;
  pthread_cond_broadcast(&loader->work);
  pthread_mutex_unlock(&loader->lock);
}

double loader_waited(Loader *loader) {
  pthread_mutex_lock(&loader->lock);
  double waited = loader->waited;
  pthread_mutex_unlock(&loader->lock);
  return waited;
}

int64_t loader_bad(Loader *loader) {
  pthread_mutex_lock(&loader->lock);
  int64_t n = loader->n_bad;
  pthread_mutex_unlock(&loader->lock);
  return n;
}

const char *loader_bad_message(Loader *loader, int64_t i) {
  pthread_mutex_lock(&loader->lock);
  const char *message = i >= 0 && i < loader->n_bad && i < MAX_MESSAGES ? loader->message[i] : "";
  pthread_mutex_unlock(&loader->lock);
  return message;
}
