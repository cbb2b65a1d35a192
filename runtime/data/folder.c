// Folder: the data set of rgb/ and depth/ pairs on disk.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/file.h"
#include "runtime/data/dataset.h"

// One file of a folder; `stem` is its name without extension.
typedef struct Entry {
  char *stem, *path;
} Entry;

typedef struct Listing {
  Entry *entry;
  int64_t n, capacity;
} Listing;

typedef struct Pair {
  char *stem, *picture, *depth;
} Pair;

typedef struct Folder {
  Dataset base;
  double depth_scale;
  Pair *pair;
} Folder;

static void listing_free(Listing *listing) {
  for (int64_t i = 0; i < listing->n; i++) {
    free(listing->entry[i].stem);
    free(listing->entry[i].path);
  }
  free(listing->entry);
}

static int compare_entries(const void *a, const void *b) {
  int order = strcmp(((const Entry *)a)->stem, ((const Entry *)b)->stem);
  return order ? order : strcmp(((const Entry *)a)->path, ((const Entry *)b)->path);
}

// The visible files of a folder, sorted by stem. Two of one stem are an error: which one belongs to the pair?
static Status list_folder(const char *directory, Listing *out) {
  DIR *dir = opendir(directory);
  if (!dir) return status_make(EXIT_DATA, "cannot read folder '%s': %s", directory, strerror(errno));
  for (struct dirent *item; (item = readdir(dir));) {
    if (item->d_name[0] == '.') continue;
    char *path;
    if (asprintf(&path, "%s/%s", directory, item->d_name) < 0) BUG("out of memory");
    if (file_is_directory(path)) {
      free(path);
      continue;
    }
    if (out->n == out->capacity) {
      out->capacity = out->capacity ? 2 * out->capacity : 64;
      out->entry = realloc(out->entry, sizeof *out->entry * (size_t)out->capacity);
      if (!out->entry) BUG("out of memory");
    }
    const char *dot = strrchr(item->d_name, '.');
    size_t length = dot ? (size_t)(dot - item->d_name) : strlen(item->d_name);
    char *stem = strndup(item->d_name, length);
    if (!stem) BUG("out of memory");
    out->entry[out->n++] = (Entry){stem, path};
  }
  closedir(dir);
  if (out->n) qsort(out->entry, (size_t)out->n, sizeof *out->entry, compare_entries);
  for (int64_t i = 1; i < out->n; i++)
    if (!strcmp(out->entry[i - 1].stem, out->entry[i].stem))
      return status_make(EXIT_DATA, "'%s' and '%s' differ only in their extension; one name must mean one picture",
                         out->entry[i - 1].path, out->entry[i].path);
  return STATUS_OK;
}

static Status folder_sample(const Dataset *dataset, int64_t index, Sample *out) {
  const Folder *folder = (const Folder *)dataset;
  const Pair *pair = &folder->pair[index];
  TRY(image_read(pair->picture, &out->picture));
  Status status = depth_read_png(pair->depth, folder->depth_scale, &out->depth);
  if (!status && (out->picture.width != out->depth.width || out->picture.height != out->depth.height))
    status = status_make(EXIT_DATA, "'%s' has %dx%d pixels, but '%s' has %dx%d", pair->picture, out->picture.width,
                         out->picture.height, pair->depth, out->depth.width, out->depth.height);
  if (status) sample_free(out);
  return status;
}

static void folder_name(const Dataset *dataset, int64_t index, char *out, size_t bytes) {
  snprintf(out, bytes, "%s", ((const Folder *)dataset)->pair[index].stem);
}

static void folder_close(Dataset *dataset) {
  Folder *folder = (Folder *)dataset;
  for (int64_t i = 0; i < dataset->size; i++) {
    free(folder->pair[i].stem);
    free(folder->pair[i].picture);
    free(folder->pair[i].depth);
  }
  free(folder->pair);
  free(folder);
}

static char *copy(const char *text) {
  char *out = strdup(text);
  if (!out) BUG("out of memory");
  return out;
}

// Matches the two sorted listings and keeps the wanted slice.
static void match(const Listing *pictures, const Listing *depths, int parts, int part, bool others, Folder *folder,
                  int64_t *out_unpaired) {
  int64_t n_pairs = 0, n_unpaired = 0, j = 0;
  folder->pair = calloc((size_t)pictures->n + 1, sizeof *folder->pair);
  if (!folder->pair) BUG("out of memory");
  for (int64_t i = 0; i < pictures->n; i++) {
    const Entry *picture = &pictures->entry[i];
    while (j < depths->n && strcmp(depths->entry[j].stem, picture->stem) < 0) j++;
    if (j == depths->n || strcmp(depths->entry[j].stem, picture->stem)) {
      n_unpaired++;
      continue;
    }
    bool is_part = n_pairs++ % parts == part;
    if (is_part == others) continue;
    folder->pair[folder->base.size++] = (Pair){copy(picture->stem), copy(picture->path), copy(depths->entry[j].path)};
  }
  if (out_unpaired) *out_unpaired = n_unpaired;
}

Status dataset_open_folder(const char *directory, double depth_scale, int parts, int part, bool others,
                           int64_t *out_unpaired, Dataset **out) {
  static const DatasetTable table = {"folder", folder_sample, folder_name, folder_close};
  if (parts < 1 || part < 0 || part >= parts) return status_make(EXIT_USAGE, "there is no part %d of %d", part, parts);
  if (!file_is_directory(directory)) return status_make(EXIT_DATA, "there is no folder '%s'", directory);
  char *pictures_path = NULL, *depths_path = NULL;
  if (asprintf(&pictures_path, "%s/rgb", directory) < 0 || asprintf(&depths_path, "%s/depth", directory) < 0)
    BUG("out of memory");
  if (!file_is_directory(pictures_path)) {
    free(pictures_path);
    if (asprintf(&pictures_path, "%s/images", directory) < 0) BUG("out of memory");
  }

  Listing pictures = {0}, depths = {0};
  Status status = STATUS_OK;
  if (!file_is_directory(pictures_path) || !file_is_directory(depths_path))
    status =
        status_make(EXIT_DATA, "'%s' is no data set: it needs the folders rgb/ (or images/) and depth/", directory);
  if (!status) status = list_folder(pictures_path, &pictures);
  if (!status) status = list_folder(depths_path, &depths);
  if (!status) {
    Folder *folder = calloc(1, sizeof *folder);
    if (!folder) BUG("out of memory");
    folder->base = (Dataset){&table, 0, 10};
    folder->depth_scale = depth_scale;
    match(&pictures, &depths, parts, part, others, folder, out_unpaired);
    if (folder->base.size == 0) {
      status = status_make(EXIT_DATA, "'%s' has no %spairs: %lld pictures and %lld depth maps share no more names",
                           directory, parts > 1 ? "(or too few) " : "", (long long)pictures.n, (long long)depths.n);
      folder_close(&folder->base);
    } else {
      *out = &folder->base;
    }
  }
  listing_free(&pictures);
  listing_free(&depths);
  free(pictures_path);
  free(depths_path);
  return status;
}
