// Report: what a data set holds, found by decoding all of it once.
#include "runtime/data/report.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/cpu_pool.h"

enum { FINE_BINS = 10000 }; // of one centimetre

// What is known of one pair.
typedef struct PairFacts {
  Status failed; // broken or changed
  bool is_changed;
  int width, height;
  int64_t n_invalid;
} PairFacts;

typedef struct Looking {
  const Pairs *pairs;
  PairFacts *facts;
  pthread_mutex_t lock; // of what follows
  int64_t fine[FINE_BINS], histogram[REPORT_METRES];
  float least, most;
} Looking;

static Status check_hash(const char *path, const char *wanted) {
  if (!*wanted) return STATUS_OK;
  Text data = {0};
  char hash[HASH_TEXT];
  Status status = file_read(path, &data);
  if (!status) {
    hash_text(hash_bytes(text_get(&data), data.size), hash);
    if (strcmp(hash, wanted))
      status = status_make(EXIT_DATA, "'%s' is not the file that the manifest describes: its hash differs", path);
  }
  text_free(&data);
  return status;
}

static void count_depths(Looking *looking, const DepthMap *depth, PairFacts *facts) {
  int64_t fine[FINE_BINS] = {0}, histogram[REPORT_METRES] = {0};
  float least = INFINITY, most = 0;
  size_t n = (size_t)depth->width * (size_t)depth->height;
  for (size_t i = 0; i < n; i++) {
    float d = depth->metres[i];
    if (!(d > 0)) {
      facts->n_invalid++;
      continue;
    }
    if (d < least) least = d;
    if (d > most) most = d;
    int bin = d < (float)(FINE_BINS / 100) ? (int)(d * 100) : FINE_BINS - 1;
    fine[bin < FINE_BINS ? bin : FINE_BINS - 1]++;
    histogram[d < REPORT_METRES - 1 ? (int)d : REPORT_METRES - 1]++;
  }
  pthread_mutex_lock(&looking->lock);
  for (int i = 0; i < FINE_BINS; i++) looking->fine[i] += fine[i];
  for (int i = 0; i < REPORT_METRES; i++) looking->histogram[i] += histogram[i];
  if (least < looking->least) looking->least = least;
  if (most > looking->most) looking->most = most;
  pthread_mutex_unlock(&looking->lock);
}

static void look(void *context, int worker, int64_t begin, int64_t end) {
  (void)worker;
  Looking *looking = context;
  for (int64_t i = begin; i < end; i++) {
    PairFacts *facts = &looking->facts[i];
    const Pair *pair = &looking->pairs->pair[i];
    Sample sample = {0};
    facts->failed = pairs_sample(looking->pairs, i, &sample);
    if (facts->failed) continue;
    facts->width = sample.picture.width;
    facts->height = sample.picture.height;
    count_depths(looking, &sample.depth, facts);
    sample_free(&sample);
    facts->failed = check_hash(pair->picture, pair->picture_hash);
    if (!facts->failed) facts->failed = check_hash(pair->depth, pair->depth_hash);
    facts->is_changed = facts->failed != STATUS_OK;
  }
}

static void count_size(DataReport *report, int width, int height) {
  for (int i = 0; i < report->n_sizes && i < REPORT_SIZES; i++)
    if (report->size[i].width == width && report->size[i].height == height) {
      report->size[i].n++;
      return;
    }
  if (report->n_sizes < REPORT_SIZES) {
    report->size[report->n_sizes].width = width;
    report->size[report->n_sizes].height = height;
    report->size[report->n_sizes].n = 1;
  }
  report->n_sizes++;
}

static void gather(const Looking *looking, DataReport *out) {
  const Pairs *pairs = looking->pairs;
  out->n_pairs = pairs->n;
  for (int64_t i = 0; i < pairs->n; i++) {
    const PairFacts *facts = &looking->facts[i];
    if (facts->failed && out->n_messages < REPORT_MESSAGES) {
      out->message[out->n_messages] = strdup(status_message(facts->failed));
      if (!out->message[out->n_messages++]) BUG("out of memory");
    }
    out->n_changed += facts->is_changed;
    out->n_hashed += *pairs->pair[i].picture_hash && *pairs->pair[i].depth_hash;
    if (facts->failed && !facts->is_changed) {
      out->n_broken++;
      continue;
    }
    int64_t n = (int64_t)facts->width * facts->height;
    count_size(out, facts->width, facts->height);
    out->n_pixels += n;
    out->n_invalid += facts->n_invalid;
    out->n_empty += facts->n_invalid == n;
  }
  memcpy(out->histogram, looking->histogram, sizeof out->histogram);
  int64_t n_valid = out->n_pixels - out->n_invalid, below = 0;
  out->least = n_valid ? looking->least : NAN;
  out->most = n_valid ? looking->most : NAN;
  out->median = NAN;
  for (int i = 0; i < FINE_BINS && n_valid && isnan(out->median); i++) {
    below += looking->fine[i];
    if (2 * below >= n_valid) out->median = (i + 0.5) / 100;
  }
}

Status report_run(const Pairs *pairs, int threads, DataReport *out) {
  *out = (DataReport){0};
  Pool *pool;
  TRY(pool_open(threads, &pool));
  Looking *looking = calloc(1, sizeof *looking);
  if (!looking) BUG("out of memory");
  looking->pairs = pairs;
  looking->least = INFINITY;
  looking->facts = calloc((size_t)pairs->n + 1, sizeof *looking->facts);
  if (!looking->facts) BUG("out of memory");
  pthread_mutex_init(&looking->lock, NULL);
  pool_run(pool, look, looking, pairs->n);
  pool_close(pool);
  gather(looking, out);
  for (int64_t i = 0; i < pairs->n; i++) status_free(looking->facts[i].failed);
  pthread_mutex_destroy(&looking->lock);
  free(looking->facts);
  free(looking);
  return STATUS_OK;
}

void report_free(DataReport *report) {
  for (int i = 0; i < report->n_messages; i++) free(report->message[i]);
  *report = (DataReport){0};
}

const char *report_unit_doubt(const DataReport *report) {
  if (isnan(report->median)) return NULL;
  if (report->median < 0.3) return "depths this small are rare in rooms: too many values a metre?";
  if (report->median > 15) return "depths this large are rare in rooms: too few values a metre?";
  return NULL;
}
