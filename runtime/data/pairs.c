// Pairs: the list itself: adding, splitting, looking for what is missing, and the data set made of it.
#include "runtime/data/pairs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "runtime/base/strmap.h"

static const char *const split_names[] = {"", "train", "val", "test"};

const char *split_name(Split split) { return split_names[split]; }

bool split_find(const char *name, Split *out) {
  static const struct {
    const char *name;
    Split split;
  } known[] = {{"", SPLIT_NONE},          {"train", SPLIT_TRAIN},      {"training", SPLIT_TRAIN},
               {"val", SPLIT_VALIDATION}, {"valid", SPLIT_VALIDATION}, {"validation", SPLIT_VALIDATION},
               {"test", SPLIT_TEST}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (!strcasecmp(name, known[i].name)) {
      *out = known[i].split;
      return true;
    }
  return false;
}

static char *copy(const char *text) {
  char *out = strdup(text);
  if (!out) BUG("out of memory");
  return out;
}

static void pair_free(Pair *pair) {
  free(pair->name);
  free(pair->picture);
  free(pair->depth);
  free(pair->group);
}

void pairs_free(Pairs *pairs) {
  for (int64_t i = 0; i < pairs->n; i++) pair_free(&pairs->pair[i]);
  free(pairs->pair);
  free(pairs->path);
  free(pairs->root);
  *pairs = (Pairs){0};
}

Pair *pairs_add(Pairs *pairs, const char *name, const char *picture, const char *depth, const char *group,
                Split split) {
  if (pairs->n == pairs->capacity) {
    pairs->capacity = pairs->capacity ? 2 * pairs->capacity : 256;
    pairs->pair = realloc(pairs->pair, sizeof *pairs->pair * (size_t)pairs->capacity);
    if (!pairs->pair) BUG("out of memory");
  }
  Pair *pair = &pairs->pair[pairs->n++];
  *pair = (Pair){.name = copy(name),
                 .picture = copy(picture),
                 .depth = copy(depth),
                 .group = copy(group),
                 .split = split,
                 .picture_bytes = -1,
                 .depth_bytes = -1};
  return pair;
}

// ---- Splits ----

// The number of a training pair's group, counted in order of first appearance; pairs without a group share one.
static void *group_number(StrMap *groups, const char *group) {
  void *number = strmap_get(groups, group);
  if (number) return number;
  number = (void *)(intptr_t)(strmap_count(groups) + 1);
  strmap_set(groups, group, number);
  return number;
}

void pairs_hold_out(Pairs *pairs) {
  enum { PARTS = 10 };
  bool has_validation = false;
  int64_t n_train = 0;
  for (int64_t i = 0; i < pairs->n; i++) {
    Pair *pair = &pairs->pair[i];
    if (pair->split == SPLIT_NONE) pair->split = SPLIT_TRAIN;
    has_validation |= pair->split == SPLIT_VALIDATION;
    n_train += pair->split == SPLIT_TRAIN;
  }
  if (has_validation || n_train < 2) return;

  Arena *arena = arena_new();
  StrMap *groups = strmap_new(arena);
  for (int64_t i = 0; i < pairs->n; i++)
    if (pairs->pair[i].split == SPLIT_TRAIN) group_number(groups, pairs->pair[i].group);
  bool by_group = strmap_count(groups) >= PARTS;
  int64_t at = 0;
  for (int64_t i = 0; i < pairs->n; i++) {
    Pair *pair = &pairs->pair[i];
    if (pair->split != SPLIT_TRAIN) continue;
    int64_t number = by_group ? (int64_t)(intptr_t)group_number(groups, pair->group) : ++at;
    bool is_last_of_few = !by_group && n_train < PARTS && number == n_train;
    if (number % PARTS == 0 || is_last_of_few) pair->split = SPLIT_VALIDATION;
  }
  arena_free(arena);
}

void pairs_keep(Pairs *pairs, Split split) {
  if (split == SPLIT_NONE) return;
  int64_t n = 0;
  for (int64_t i = 0; i < pairs->n; i++) {
    if (pairs->pair[i].split == split) pairs->pair[n++] = pairs->pair[i];
    else pair_free(&pairs->pair[i]);
  }
  pairs->n = n;
}

// ---- Missing files ----

// What is wrong with a file at first sight. `bytes` is the size that it should have, or -1.
static Status glance(const char *path, int64_t bytes) {
  struct stat info;
  uint8_t start[16] = {0};
  FILE *file = fopen(path, "rb");
  if (!file) return status_make(EXIT_DATA, "cannot open '%s': %s", path, strerror(errno));
  size_t n = fread(start, 1, sizeof start, file);
  bool is_known = !fstat(fileno(file), &info);
  fclose(file);
  if (is_known && S_ISDIR(info.st_mode)) return status_make(EXIT_DATA, "'%s' is a directory", path);
  if (n == 0) return status_make(EXIT_DATA, "'%s' is empty", path);
  if (!image_is_png(start, n) && !image_is_jpeg(start, n))
    return status_make(EXIT_DATA, "'%s' is neither PNG nor JPEG", path);
  if (bytes >= 0 && is_known && info.st_size != bytes)
    return status_make(EXIT_DATA, "'%s' has %lld bytes, but the manifest says %lld", path, (long long)info.st_size,
                       (long long)bytes);
  return STATUS_OK;
}

int64_t pairs_drop_missing(Pairs *pairs, Text *out) {
  int64_t n = 0, n_dropped = 0;
  for (int64_t i = 0; i < pairs->n; i++) {
    Pair *pair = &pairs->pair[i];
    Status status = glance(pair->picture, pair->picture_bytes);
    if (!status) status = glance(pair->depth, pair->depth_bytes);
    if (!status) {
      pairs->pair[n++] = *pair;
      continue;
    }
    if (n_dropped++ < PAIRS_MESSAGES && out) text_printf(out, "%s\n", status_message(status));
    status_free(status);
    pair_free(pair);
  }
  pairs->n = n;
  return n_dropped;
}

// One file may be broken; that all of the first are without a unit says something of the rest.
Status pairs_check_unit(const Pairs *pairs) {
  enum { TRIES = 8 };
  if (pairs->depth_scale > 0 || pairs->default_scale > 0) return STATUS_OK;
  Status first = STATUS_OK;
  for (int64_t i = 0; i < pairs->n && i < TRIES; i++) {
    DepthMap depth = {0};
    Status status = depth_read_png(pairs->pair[i].depth, 0, &depth);
    depth_free(&depth);
    if (!status) {
      status_free(first);
      return STATUS_OK;
    }
    if (first) status_free(status);
    else first = status;
  }
  return first;
}

// ---- Data set ----

typedef struct PairsDataset {
  Dataset base;
  Pairs pairs;
} PairsDataset;

Status pairs_sample(const Pairs *pairs, int64_t index, Sample *out) {
  const Pair *pair = &pairs->pair[index];
  TRY(image_read(pair->picture, &out->picture));
  Status status = depth_read_png_default(pair->depth, pairs->depth_scale, pairs->default_scale, &out->depth);
  if (!status && (out->picture.width != out->depth.width || out->picture.height != out->depth.height))
    status = status_make(EXIT_DATA, "'%s' has %dx%d pixels, but '%s' has %dx%d", pair->picture, out->picture.width,
                         out->picture.height, pair->depth, out->depth.width, out->depth.height);
  if (status) sample_free(out);
  return status;
}

static Status sample(const Dataset *dataset, int64_t index, Sample *out) {
  return pairs_sample(&((const PairsDataset *)dataset)->pairs, index, out);
}

static void name(const Dataset *dataset, int64_t index, char *out, size_t bytes) {
  snprintf(out, bytes, "%s", ((const PairsDataset *)dataset)->pairs.pair[index].name);
}

static void close_pairs(Dataset *dataset) {
  pairs_free(&((PairsDataset *)dataset)->pairs);
  free(dataset);
}

Status dataset_open_pairs(Pairs *pairs, Dataset **out) {
  static const DatasetTable table = {"pairs", sample, name, close_pairs};
  if (pairs->n == 0) return status_make(EXIT_DATA, "'%s' has no pairs for this", pairs->path ? pairs->path : "");
  PairsDataset *dataset = calloc(1, sizeof *dataset);
  if (!dataset) BUG("out of memory");
  dataset->base = (Dataset){&table, pairs->n, 10};
  dataset->pairs = *pairs;
  *pairs = (Pairs){0};
  *out = &dataset->base;
  return STATUS_OK;
}

// ---- Paths ----

char *path_under(const char *root, const char *path) {
  char *out;
  if (*path == '/' || !strcmp(root, ".")) return copy(path);
  size_t length = strlen(root);
  if (asprintf(&out, "%s%s%s", root, length && root[length - 1] == '/' ? "" : "/", path) < 0) BUG("out of memory");
  return out;
}

char *path_directory(const char *path) {
  const char *slash = strrchr(path, '/');
  if (!slash) return copy(".");
  char *out = strndup(path, slash == path ? 1 : (size_t)(slash - path));
  if (!out) BUG("out of memory");
  return out;
}

char *path_relative(const char *directory, const char *path) {
  char *from = realpath(directory, NULL), *to = realpath(path, NULL);
  if (!from || !to) {
    free(from);
    free(to);
    return copy(path);
  }
  // The length of the common directories, without the slash that ends them.
  size_t common = 0;
  for (size_t i = 0;; i++) {
    bool from_ends = !from[i] || from[i] == '/', to_ends = to[i] == '/';
    if (from_ends && to_ends) common = i;
    if (!from[i] || !to[i] || from[i] != to[i]) break;
  }
  Text out = {0};
  if (common == 0) {
    text_put(&out, to);
  } else {
    for (const char *at = from + common; *at; at++)
      if (*at == '/' && at[1]) text_put(&out, "../");
    text_put(&out, to + common + 1);
  }
  free(from);
  free(to);
  return text_take(&out);
}
