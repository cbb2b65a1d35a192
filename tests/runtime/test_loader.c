// Data sets and the loader: the same batches whoever makes them, whenever one begins.
#include <sched.h>

#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "runtime/data/loader.h"
#include "tests/check.h"
#include "tests/runtime/scratch.h"

// A data set whose samples tell their index; those in `broken` cannot be read.
typedef struct Fake {
  Dataset base;
  int64_t broken[8];
  int n_broken;
  _Atomic int64_t reads;
} Fake;

static Status fake_sample(const Dataset *dataset, int64_t index, Sample *out) {
  Fake *fake = (Fake *)dataset;
  fake->reads++;
  for (int i = 0; i < fake->n_broken; i++)
    if (fake->broken[i] == index) return status_make(EXIT_DATA, "'fake %lld' is damaged", (long long)index);
  if (index % 3 == 0) sched_yield(); // let workers overtake each other
  image_alloc(&out->picture, 16, 16);
  depth_alloc(&out->depth, 16, 16);
  for (int i = 0; i < 256; i++) {
    out->depth.metres[i] = (float)(index + 1);
    out->picture.rgb[3 * i] = (uint8_t)(index * 7 + i);
  }
  return STATUS_OK;
}
static void fake_name(const Dataset *dataset, int64_t index, char *out, size_t bytes) {
  (void)dataset;
  snprintf(out, bytes, "fake %lld", (long long)index);
}
static void fake_close(Dataset *dataset) { (void)dataset; }
static const DatasetTable fake_table = {"fake", fake_sample, fake_name, fake_close};

static Fake fake_of(int64_t size) { return (Fake){.base = {&fake_table, size, 10}}; }

static LoaderOptions options_of(int workers) {
  return (LoaderOptions){.batch = 4,
                         .width = 16,
                         .height = 16,
                         .workers = workers,
                         .seed = 11,
                         .augment = AUGMENT_NYU,
                         .is_shuffled = true,
                         .drops_last = true,
                         .max_bad = -1};
}

static Loader *open_loader(const Fake *fake, LoaderOptions options) {
  Loader *loader = NULL;
  Status status = loader_open(&fake->base, &options, &loader);
  CHECK(!status, "%s", status_message(status));
  if (status) exit(1);
  return loader;
}

static Batch next(Loader *loader) {
  Batch batch = {0};
  Status status = loader_next(loader, &batch);
  CHECK(!status, "%s", status_message(status));
  if (status) exit(1);
  return batch;
}

static Hash batch_hash(const Batch *batch, int size) {
  Hash hash = hash_bytes(batch->rgb, sizeof(float) * 3 * 256 * (size_t)size);
  hash = hash_combine(hash, hash_bytes(batch->depth, sizeof(float) * 256 * (size_t)size));
  return hash_combine(hash, hash_bytes(batch->sample, sizeof *batch->sample * (size_t)size));
}

static bool same(Hash a, Hash b) { return a.high == b.high && a.low == b.low; }

static void test_order(void) {
  const int64_t sizes[] = {1, 2, 3, 5, 16, 100, 1023, 4097};
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
    int64_t n = sizes[k], fixed = 0, moved = 0;
    char *seen = calloc((size_t)n, 1);
    for (int64_t i = 0; i < n; i++) {
      int64_t at = loader_order(3, 0, n, i);
      CHECK(at >= 0 && at < n && !seen[at], "size %lld: position %lld gives %lld", (long long)n, (long long)i,
            (long long)at);
      if (at >= 0 && at < n) seen[at] = 1;
      fixed += at == i;
      moved += at != loader_order(3, 1, n, i);
    }
    free(seen);
    if (n >= 100)
      CHECK(fixed < 10 && moved > n * 9 / 10, "size %lld: %lld stay, %lld differ in the next epoch", (long long)n,
            (long long)fixed, (long long)moved);
  }
  // Neighbours are spread: the mean distance of successive positions is that of independent ones, n / 3.
  double sum = 0;
  for (int64_t i = 0; i < 9999; i++) sum += llabs(loader_order(3, 0, 10000, i) - loader_order(3, 0, 10000, i + 1));
  CHECK_NEAR(sum / 9999, 10000 / 3.0, 100, "mean distance");
}

// 1, 2 and 4 workers, with and without a cache, give the same bits; so does a loader that begins in the middle.
static void test_same_bits(void) {
  enum { N = 25 };
  Hash expected[N];
  for (int run = 0; run < 6; run++) {
    Fake fake = fake_of(30);
    LoaderOptions options = options_of(1 << run % 3);
    options.cache_bytes = run >= 3 ? 6000 : 0; // some fit, some do not
    options.ahead = 2 + run;
    Loader *loader = open_loader(&fake, options);
    CHECK(loader_batches(loader) == 7, "%lld batches", (long long)loader_batches(loader));
    for (int i = 0; i < N; i++) {
      Batch batch = next(loader);
      CHECK(batch.epoch == i / 7 && batch.index == i % 7 && batch.n == 4, "batch %d is %lld of epoch %lld", i,
            (long long)batch.index, (long long)batch.epoch);
      Hash hash = batch_hash(&batch, 4);
      if (run == 0) expected[i] = hash;
      CHECK(same(hash, expected[i]), "run %d: batch %d differs", run, i);
    }
    loader_close(loader);
  }
  for (int start = 0; start < N; start += 6) {
    Fake fake = fake_of(30);
    Loader *loader = open_loader(&fake, options_of(2));
    for (int i = 0; i < start % 5; i++) next(loader); // wherever it was before
    loader_seek(loader, start / 7, start % 7);
    for (int i = start; i < N; i++) {
      Batch batch = next(loader);
      CHECK(same(batch_hash(&batch, 4), expected[i]), "resumed at %d: batch %d differs", start, i);
    }
    loader_close(loader);
  }
}

// Every sample once an epoch; unshuffled in order, with the last batch filled up by empty items.
static void test_complete(void) {
  Fake fake = fake_of(10);
  LoaderOptions options = options_of(2);
  options.is_shuffled = options.drops_last = false;
  options.augment = AUGMENT_NONE;
  Loader *loader = open_loader(&fake, options);
  CHECK(loader_batches(loader) == 3, "%lld batches", (long long)loader_batches(loader));
  for (int k = 0; k < 6; k++) {
    Batch batch = next(loader);
    CHECK(batch.n == (k % 3 == 2 ? 2 : 4), "batch %d has %d samples", k, batch.n);
    for (int i = 0; i < 4; i++) {
      int64_t want = i < batch.n ? k % 3 * 4 + i : -1;
      CHECK(batch.sample[i] == want, "batch %d, item %d: sample %lld", k, i, (long long)batch.sample[i]);
      CHECK(batch.depth[256 * i + 100] == (want < 0 ? 0 : (float)(want + 1)), "batch %d, item %d: depth %g", k, i,
            (double)batch.depth[256 * i + 100]);
    }
  }
  loader_close(loader);
}

static void test_cache(void) {
  Fake fake = fake_of(12);
  LoaderOptions options = options_of(2);
  options.cache_bytes = 1 << 20;
  options.ahead = 2;
  Loader *loader = open_loader(&fake, options);
  for (int i = 0; i < 3 * 20; i++) next(loader);
  // Two workers may read one sample at the same time, but not often.
  CHECK(fake.reads <= 24, "%lld reads of 12 samples", (long long)fake.reads);
  loader_close(loader);
}

static void test_bad(void) {
  Fake fake = fake_of(20);
  fake.broken[0] = 3;
  fake.broken[1] = 4;
  fake.broken[2] = 17;
  fake.n_broken = 3;
  Loader *loader = open_loader(&fake, options_of(2));
  for (int k = 0; k < 15; k++) {
    Batch batch = next(loader);
    for (int i = 0; i < 4; i++)
      CHECK(batch.sample[i] >= 0 && batch.sample[i] != 3 && batch.sample[i] != 4 && batch.sample[i] != 17,
            "sample %lld", (long long)batch.sample[i]);
  }
  CHECK(loader_bad(loader) == 3, "%lld bad", (long long)loader_bad(loader));
  CHECK(strstr(loader_bad_message(loader, 0), "damaged") && !*loader_bad_message(loader, 3), "%s",
        loader_bad_message(loader, 0));
  loader_close(loader);

  LoaderOptions options = options_of(1); // in order: the items stay empty
  options.is_shuffled = false;
  loader = open_loader(&fake, options);
  Batch batch = next(loader);
  CHECK(batch.sample[3] == -1 && batch.sample[2] == 2 && batch.depth[256 * 3] == 0, "item of a damaged sample");
  loader_close(loader);

  options.max_bad = 1;
  loader = open_loader(&fake, options);
  Status status = STATUS_OK;
  for (int k = 0; k < 3 && !status; k++) status = loader_next(loader, &batch);
  CHECK(status_code(status) == EXIT_DATA && strstr(status_message(status), "fake 3"), "too many: %s",
        status_message(status));
  status_free(status);
  loader_close(loader);
}

static void test_close(void) { // at any time, with work under way
  for (int i = 0; i < 30; i++) {
    Fake fake = fake_of(1000);
    Loader *loader = open_loader(&fake, options_of(3));
    for (int k = 0; k < i % 4; k++) next(loader);
    if (i % 3 == 0) loader_seek(loader, i, 2);
    loader_close(loader);
  }
  loader_close(NULL);
  Fake fake = fake_of(3);
  LoaderOptions options = options_of(1);
  Loader *loader;
  Status status = loader_open(&fake.base, &options, &loader);
  CHECK(status_code(status) == EXIT_DATA, "three samples make no batch of four: %s", status_message(status));
  status_free(status);
  options.batch = 0;
  status = loader_open(&fake.base, &options, &loader);
  CHECK(status_code(status) == EXIT_USAGE, "empty batches: %s", status_message(status));
  status_free(status);
}

static void test_rooms(void) {
  Dataset *train, *validation;
  CHECK(!dataset_open_rooms(1, ROOMS_TRAIN, 8, 32, 32, &train) &&
            !dataset_open_rooms(1, ROOMS_VALIDATION, 8, 32, 32, &validation),
        "open");
  Sample a, b;
  CHECK(!dataset_sample(train, 0, &a) && !dataset_sample(validation, 0, &b), "samples");
  CHECK(memcmp(a.picture.rgb, b.picture.rgb, 3 * 32 * 32), "training and validation rooms differ");
  sample_free(&a);
  sample_free(&b);
  Status status = dataset_sample(train, 8, &a);
  CHECK(status_code(status) == EXIT_USAGE, "beyond the end: %s", status_message(status));
  status_free(status);
  dataset_close(train);
  dataset_close(validation);
  status = dataset_open_rooms(1, ROOMS_TRAIN, 8, 8, 32, &train);
  CHECK(status_code(status) == EXIT_USAGE, "too small: %s", status_message(status));
  status_free(status);
}

// A bootstrap sample: 1 - 1/e of the data set, the same in every epoch, in another order; batches together.
static void test_bootstrap(void) {
  enum { SIZE = 1000 };
  int times[SIZE] = {0}, distinct = 0;
  for (int64_t i = 0; i < SIZE; i++) times[loader_bootstrap(11, 1, SIZE, i)]++;
  for (int i = 0; i < SIZE; i++) distinct += times[i] > 0;
  CHECK_NEAR(distinct / (double)SIZE, 0.632, 0.03, "share of the data set");
  int equal = 0;
  for (int64_t i = 0; i < SIZE; i++) equal += loader_bootstrap(11, 1, SIZE, i) == loader_bootstrap(11, 2, SIZE, i);
  CHECK(equal < 10, "draws are told apart");
  Fake fake = fake_of(SIZE);
  LoaderOptions options = options_of(2);
  options.bootstrap = 1;
  options.batch = 5;
  Loader *loader = open_loader(&fake, options);
  int64_t first[5];
  for (int epoch = 0; epoch < 2; epoch++) {
    int seen[SIZE] = {0};
    for (int64_t b = 0; b < loader_batches(loader); b++) {
      Batch batch = next(loader);
      for (int i = 0; i < 5; i++) seen[batch.sample[i]]++;
      if (b == 0 && epoch == 0) memcpy(first, batch.sample, sizeof first);
      if (b == 0 && epoch == 1) CHECK(memcmp(first, batch.sample, sizeof first), "another order in each epoch");
    }
    CHECK(!memcmp(seen, times, sizeof seen), "epoch %d is the bootstrap sample", epoch);
  }
  char name[SAMPLE_NAME];
  loader_sample_name(loader, 7, name);
  CHECK_TEXT(name, "fake 7", "a sample's name");
  loader_close(loader);

  // a sample drawn twice is augmented twice
  Fake few = fake_of(2);
  options.batch = 2;
  options.seed = 0;
  while (loader_bootstrap(options.seed, 1, 2, 0) != loader_bootstrap(options.seed, 1, 2, 1)) options.seed++;
  loader = open_loader(&few, options);
  Batch batch = next(loader);
  CHECK(batch.sample[0] == batch.sample[1] && memcmp(batch.rgb, batch.rgb + 3 * 256, sizeof(float) * 3 * 256),
        "two draws of a sample look different");
  loader_close(loader);
}

static void test_together(void) {
  Fake fake = fake_of(30);
  LoaderOptions options = options_of(2);
  options.batch = 2;
  options.together = 4;
  Loader *loader = open_loader(&fake, options);
  CHECK(loader_batches(loader) == 12, "three times four batches, not %lld", (long long)loader_batches(loader));
  loader_close(loader);
  options.together = 16;
  Status status = loader_open(&fake.base, &options, &loader);
  CHECK(status_code(status) == EXIT_DATA, "too small for 16 batches of 2: %s", status_message(status));
  status_free(status);
}

// Several loaders that share batches make the samples of one, in training as in validation, whose last batch is short.
static void test_shared(void) {
  static const int shares[3][2] = {{0, 3}, {3, 2}, {5, 2}}; // first, how many
  for (int is_training = 0; is_training < 2; is_training++) {
    Fake fake = fake_of(39);
    LoaderOptions options = options_of(2);
    options.batch = 7;
    options.is_shuffled = options.drops_last = is_training;
    Loader *whole = open_loader(&fake, options), *part[3];
    for (int i = 0; i < 3; i++) {
      LoaderOptions own = options;
      own.whole = 7;
      own.first = shares[i][0];
      own.batch = shares[i][1];
      part[i] = open_loader(&fake, own);
      CHECK(loader_batches(part[i]) == loader_batches(whole), "as many batches");
    }
    for (int64_t k = 0; k < 2 * loader_batches(whole); k++) {
      Batch all = next(whole);
      for (int i = 0; i < 3; i++) {
        Batch own = next(part[i]);
        int first = shares[i][0], left = all.n - first, n = left < 0 ? 0 : left < shares[i][1] ? left : shares[i][1];
        CHECK(own.n == n && own.epoch == all.epoch && own.index == all.index, "batch %lld: %d samples", (long long)k,
              own.n);
        CHECK(!memcmp(own.sample, all.sample + first, sizeof *own.sample * (size_t)shares[i][1]), "batch %lld: samples",
              (long long)k);
        CHECK(!memcmp(own.rgb, all.rgb + 3 * 256 * first, sizeof(float) * 3 * 256 * (size_t)shares[i][1]),
              "batch %lld: pictures", (long long)k);
      }
    }
    for (int i = 0; i < 3; i++) loader_close(part[i]);
    loader_close(whole);
  }
  Fake fake = fake_of(39);
  LoaderOptions options = options_of(1);
  Loader *loader = NULL;
  options.batch = 4;
  options.whole = 7;
  options.first = 4;
  Status status = loader_open(&fake.base, &options, &loader);
  CHECK(status_code(status) == EXIT_USAGE, "a share beyond the batch");
  status_free(status);
}

int main(void) {
  test_bootstrap();
  test_together();
  test_shared();
  test_order();
  test_same_bits();
  test_complete();
  test_cache();
  test_bad();
  test_close();
  test_rooms();
  return check_report("test_loader");
}
