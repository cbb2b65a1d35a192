// Loader: batches made ahead of time by worker threads, in an order that does not depend on them.
#ifndef SG_DATA_LOADER_H
#define SG_DATA_LOADER_H

#include "runtime/data/augment.h"
#include "runtime/data/dataset.h"

typedef struct Loader Loader;

typedef struct LoaderOptions {
  int batch;         // samples a batch, at least 1
  int whole, first;  // where several loaders share batches: samples of the whole batch (0 = batch), and which of them
                     // is this loader's first; it makes the `batch` samples from there on
  int width, height; // of the network's input
  int workers;       // threads; 0 = 1
  int ahead;         // batches in the ring; 0 = 3
  uint64_t seed;     // of order and augmentation
  Augment augment;
  bool is_shuffled;    // a permutation for each epoch, keyed by (seed, epoch); else the data set's order
  bool drops_last;     // leave an incomplete last batch out (training); else fill it up with empty items
  int together;        // batches that belong together: with drops_last an epoch holds a multiple of it; 0 = 1
  int bootstrap;       // not 0: samples are drawn from the data set with replacement: as many as it has, by this number
                       // and `seed`, so the same in every epoch; a sample drawn twice is augmented apart
  int64_t cache_bytes; // decoded or rendered samples kept in memory; 0 = none
  int64_t max_bad;     // samples that may fail before loader_next gives the error; negative = any number
} LoaderOptions;

// A batch of `batch` items; the first `n` are samples, the rest (if any) all zero with sample = -1. Lent until the next
// call of loader_next, loader_seek or loader_close.
typedef struct Batch {
  int64_t epoch, index; // which batch of which epoch
  int n;
  const float *rgb;      // [batch][3][height][width], ImageNet-normalised
  const float *depth;    // [batch][1][height][width], metres, 0 = missing
  const int64_t *sample; // [batch] index in the data set, -1 for an empty item
} Batch;

// Starts the workers at batch 0 of epoch 0. The data set must outlive the loader. EXIT_DATA if it is too small for one
// batch, EXIT_USAGE for sizes that make no sense.
Status loader_open(const Dataset *dataset, const LoaderOptions *options, Loader **out);
void loader_close(Loader *loader); // at any time; waits for the samples being read, at most; NULL is allowed

int64_t loader_batches(const Loader *loader); // in an epoch
// What messages call a sample of a batch.
void loader_sample_name(const Loader *loader, int64_t sample, char out[SAMPLE_NAME]);

// The next batch, epoch after epoch without end. Waits for the workers. A sample that cannot be read is counted and
// named; shuffled loaders put the next readable one of the epoch's order in its place, others leave its item empty.
// EXIT_DATA once more than max_bad have failed.
Status loader_next(Loader *loader, Batch *out);

// Goes on at `batch` of `epoch`, as a loader that had come there by itself would. Batches made ahead are dropped.
void loader_seek(Loader *loader, int64_t epoch, int64_t batch);

// Seconds that loader_next has waited for workers, all in all: what the consumer lost to loading.
double loader_waited(Loader *loader);

// Distinct samples that failed so far, and the message of the i-th (lent; at most 16 are kept).
int64_t loader_bad(Loader *loader);
const char *loader_bad_message(Loader *loader, int64_t i);

// The sample at a position of an epoch's order: a keyed permutation of 0 .. size-1, computed without a table.
int64_t loader_order(uint64_t seed, int64_t epoch, int64_t size, int64_t position);

// The sample that takes place i of the bootstrap sample `number` of a data set: drawn from 0 .. size-1, each as likely.
int64_t loader_bootstrap(uint64_t seed, int number, int64_t size, int64_t i);

#endif
