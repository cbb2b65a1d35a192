// Pairs found by walking directories: rgb/ beside depth/, and the layout of NYU Depth v2.
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/data/pairs.h"

// One entry of a directory; `stem` is its name without extension.
typedef struct Entry {
  char *stem, *path;
  bool is_directory;
} Entry;

typedef struct Listing {
  Entry *entry;
  int64_t n, capacity;
} Listing;

static void listing_free(Listing *listing) {
  for (int64_t i = 0; i < listing->n; i++) {
    free(listing->entry[i].stem);
    free(listing->entry[i].path);
  }
  free(listing->entry);
  *listing = (Listing){0};
}

static int compare_entries(const void *a, const void *b) {
  int order = strcmp(((const Entry *)a)->stem, ((const Entry *)b)->stem);
  return order ? order : strcmp(((const Entry *)a)->path, ((const Entry *)b)->path);
}

// What is visible in a directory, sorted by stem.
static Status list_directory(const char *directory, Listing *out) {
  DIR *dir = opendir(directory);
  if (!dir) return status_make(EXIT_DATA, "cannot read folder '%s': %s", directory, strerror(errno));
  for (struct dirent *item; (item = readdir(dir));) {
    if (item->d_name[0] == '.') continue;
    if (out->n == out->capacity) {
      out->capacity = out->capacity ? 2 * out->capacity : 64;
      out->entry = realloc(out->entry, sizeof *out->entry * (size_t)out->capacity);
      if (!out->entry) BUG("out of memory");
    }
    const char *dot = strrchr(item->d_name, '.');
    char *stem = strndup(item->d_name, dot ? (size_t)(dot - item->d_name) : strlen(item->d_name));
    if (!stem) BUG("out of memory");
    char *path = path_under(directory, item->d_name);
    out->entry[out->n++] = (Entry){stem, path, file_is_directory(path)};
  }
  closedir(dir);
  if (out->n) qsort(out->entry, (size_t)out->n, sizeof *out->entry, compare_entries);
  return STATUS_OK;
}

// The files alone. Two of one stem are an error: which one belongs to the pair?
static Status list_files(const char *directory, Listing *out) {
  TRY(list_directory(directory, out));
  int64_t n = 0;
  for (int64_t i = 0; i < out->n; i++) {
    if (!out->entry[i].is_directory) {
      out->entry[n++] = out->entry[i];
    } else {
      free(out->entry[i].stem);
      free(out->entry[i].path);
    }
  }
  out->n = n;
  for (int64_t i = 1; i < n; i++)
    if (!strcmp(out->entry[i - 1].stem, out->entry[i].stem))
      return status_make(EXIT_DATA, "'%s' and '%s' differ only in their extension; one name must mean one picture",
                         out->entry[i - 1].path, out->entry[i].path);
  return STATUS_OK;
}

Status pairs_read_folder(const char *directory, Pairs *out) {
  char *pictures_path = path_under(directory, "rgb"), *depths_path = path_under(directory, "depth");
  if (!file_is_directory(pictures_path)) {
    free(pictures_path);
    pictures_path = path_under(directory, "images");
  }
  Listing pictures = {0}, depths = {0};
  Status status = list_files(pictures_path, &pictures);
  if (!status) status = list_files(depths_path, &depths);
  for (int64_t i = 0, j = 0; i < pictures.n && !status; i++) {
    const Entry *picture = &pictures.entry[i];
    while (j < depths.n && strcmp(depths.entry[j].stem, picture->stem) < 0) j++;
    if (j < depths.n && !strcmp(depths.entry[j].stem, picture->stem))
      pairs_add(out, picture->stem, picture->path, depths.entry[j].path, "", SPLIT_NONE);
    else out->n_unpaired++;
  }
  if (!status && out->n == 0 && pictures.n && depths.n)
    status = status_make(
        EXIT_DATA,
        "'%s' has no pairs: %lld pictures and %lld depth maps share no names, such as '%s' and '%s'; a "
        "pair has one name before the extension",
        directory, (long long)pictures.n, (long long)depths.n, pictures.entry[0].stem, depths.entry[0].stem);
  else if (!status && out->n == 0)
    status = status_make(EXIT_DATA, "'%s' has no pairs: '%s' has %lld files, '%s' %lld", directory, pictures_path,
                         (long long)pictures.n, depths_path, (long long)depths.n);
  listing_free(&pictures);
  listing_free(&depths);
  free(pictures_path);
  free(depths_path);
  return status;
}

// ---- NYU ----

// The recordings "kitchen_0028a" and "kitchen_0028b" are of one scene.
static char *scene_of(const char *recording) {
  size_t n = strlen(recording);
  if (n > 1 && islower((unsigned char)recording[n - 1]) && isdigit((unsigned char)recording[n - 2])) n--;
  char *out = strndup(recording, n);
  if (!out) BUG("out of memory");
  return out;
}

// The pairs of one directory, then those below it. `name` is its path below the root, `depth` how far down it is.
static Status walk(const char *directory, const char *name, Split split, int depth, Pairs *out) {
  enum { DEEPEST = 4 };
  Listing listing = {0};
  TRY(list_directory(directory, &listing));
  Status status = STATUS_OK;
  const char *slash = strrchr(name, '/');
  char *scene = scene_of(slash ? slash + 1 : name);
  for (int64_t i = 0; i < listing.n && !status; i++) {
    const Entry *entry = &listing.entry[i];
    char *below = path_under(*name ? name : ".", strrchr(entry->path, '/') + 1), *partner = NULL;
    if (entry->is_directory) {
      if (depth < DEEPEST) status = walk(entry->path, below, split, depth + 1, out);
    } else if (!strncmp(entry->stem, "rgb_", 4)) {
      if (asprintf(&partner, "%s/sync_depth_%s.png", directory, entry->stem + 4) < 0) BUG("out of memory");
      if (file_exists(partner)) pairs_add(out, below, entry->path, partner, scene, split);
      else out->n_unpaired++;
    }
    free(partner);
    free(below);
  }
  free(scene);
  listing_free(&listing);
  return status;
}

Status pairs_read_nyu(const char *directory, Pairs *out) {
  out->default_scale = 1000; // MODELS.md section 12
  char *train = path_under(directory, "sync"), *test = path_under(directory, "official_splits/test");
  bool has_train = file_is_directory(train), has_test = file_is_directory(test);
  Status status = STATUS_OK;
  if (has_train) status = walk(train, "sync", SPLIT_TRAIN, 0, out);
  if (!status && has_test) status = walk(test, "official_splits/test", SPLIT_TEST, 0, out);
  if (!has_train && !has_test) status = walk(directory, "", SPLIT_NONE, 0, out);
  free(train);
  free(test);
  return status;
}
