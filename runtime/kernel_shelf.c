// Kernel shelf: files of the kernel cache, by name.
#include "runtime/kernel_shelf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/kernel_build.h"
#include "runtime/kernel_bundle.h"
#include "runtime/kernel_cache.h"

enum { CONTEXT_DIGITS = 16, MOST_END = sizeof SHELF_CUDA };

// 32 digits and the ending; the first 16 digits are the context's.
static bool has_end(const char *name, const char *end) {
  return strlen(name) == HASH_TEXT - 1 + strlen(end) && !strcmp(name + HASH_TEXT - 1, end);
}
static bool is_kept(const char *name) {
  return has_end(name, SHELF_CPU) || has_end(name, SHELF_CUDA) || has_end(name, SHELF_CHOICE);
}

// What a process that was killed while it wrote a bundle has left (see FileWriter).
static bool is_unfinished(const char *name) {
  size_t size = strlen(name);
  return size > HASH_TEXT - 1 && !strncmp(name + HASH_TEXT - 1, ".kernels.", 9) && !strcmp(name + size - 4, ".tmp");
}

void shelf_path(const char *directory, Hash context, Hash content, const char *end, Text *out) {
  text_printf(out, "%s/%016" PRIx64 "%016" PRIx64 "%s", directory, context.high, content.high, end);
}

// ---- the directory as a whole

bool kernel_cache_directory(Text *out) {
  const char *stated = getenv("SGC_CACHE"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  if (stated && *stated) text_put(out, stated);
  else if (cache && *cache) text_printf(out, "%s/sgc", cache);
  else if (home && *home) text_printf(out, "%s/.cache/sgc", home);
  else return false;
  return true;
}

void kernel_cache_usage(int *out_files, int64_t *out_bytes) {
  *out_files = 0;
  *out_bytes = 0;
  Text directory = {0};
  DIR *listing = kernel_cache_directory(&directory) ? opendir(text_get(&directory)) : NULL;
  text_free(&directory);
  if (!listing) return;
  for (struct dirent *entry; (entry = readdir(listing));) {
    struct stat info;
    if (!is_kept(entry->d_name) || fstatat(dirfd(listing), entry->d_name, &info, 0)) continue;
    ++*out_files;
    *out_bytes += info.st_size;
  }
  closedir(listing);
}

Status kernel_cache_clear(void) {
  Text directory = {0};
  DIR *listing = kernel_cache_directory(&directory) ? opendir(text_get(&directory)) : NULL;
  Status status = STATUS_OK;
  for (struct dirent *entry; listing && !status && (entry = readdir(listing));) {
    if (!strncmp(entry->d_name, SHELF_BUILD, strlen(SHELF_BUILD))) {
      char *build;
      if (asprintf(&build, "%s/%s", text_get(&directory), entry->d_name) < 0) BUG("out of memory");
      kernel_build_remove(build);
      free(build);
    } else if ((is_kept(entry->d_name) || is_unfinished(entry->d_name)) && unlinkat(dirfd(listing), entry->d_name, 0) &&
               errno != ENOENT) {
      status = status_make(EXIT_DATA, "cannot remove '%s' from '%s': %s", entry->d_name, text_get(&directory),
                           strerror(errno));
    }
  }
  if (listing) closedir(listing);
  text_free(&directory);
  return status;
}

// ---- tidying --------------------------------------------------------------------------------------------------------

enum { FORGOTTEN = 24 * 3600 }; // seconds after which what a failed or killed build left is removed
static const int64_t most_bytes = (int64_t)1 << 30;

typedef struct KeptFile {
  char name[HASH_TEXT + MOST_END];
  struct timespec used; // loading a file sets its time
  int64_t bytes;
} KeptFile;

static int compare_used(const void *a, const void *b) {
  const struct timespec *x = &((const KeptFile *)a)->used, *y = &((const KeptFile *)b)->used;
  if (x->tv_sec != y->tv_sec) return x->tv_sec < y->tv_sec ? -1 : 1;
  return x->tv_nsec < y->tv_nsec ? -1 : x->tv_nsec > y->tv_nsec;
}

void shelf_tidy(const char *directory) {
  DIR *listing = opendir(directory);
  if (!listing) return;
  KeptFile *files = NULL;
  int n = 0;
  int64_t total = 0;
  for (struct dirent *entry; (entry = readdir(listing));) {
    struct stat info;
    if (fstatat(dirfd(listing), entry->d_name, &info, AT_SYMLINK_NOFOLLOW)) continue;
    bool is_forgotten = time(NULL) - info.st_mtime > FORGOTTEN;
    if (is_unfinished(entry->d_name)) {
      if (is_forgotten) unlinkat(dirfd(listing), entry->d_name, 0);
    } else if (!strncmp(entry->d_name, SHELF_BUILD, strlen(SHELF_BUILD)) && is_forgotten) {
      char *build;
      if (asprintf(&build, "%s/%s", directory, entry->d_name) < 0) BUG("out of memory");
      kernel_build_remove(build);
      free(build);
    } else if (is_kept(entry->d_name)) {
      if (!(n & (n - 1))) files = realloc(files, sizeof *files * (size_t)(n ? 2 * n : 1));
      if (!files) BUG("out of memory");
      files[n] = (KeptFile){.used = info.st_mtim, .bytes = info.st_size};
      memcpy(files[n++].name, entry->d_name, strlen(entry->d_name) + 1); // is_kept: it fits
      total += info.st_size;
    }
  }
  if (total > most_bytes) qsort(files, (size_t)n, sizeof *files, compare_used);
  for (int i = 0; total > most_bytes && i < n; i++) {
    unlinkat(dirfd(listing), files[i].name, 0);
    total -= files[i].bytes;
  }
  closedir(listing);
  free(files);
}

// ---- looking --------------------------------------------------------------------------------------------------------

static int compare_paths(const void *a, const void *b) {
  return strcmp(((const ShelfBundle *)a)->path, ((const ShelfBundle *)b)->path);
}

int shelf_list(const char *directory, Hash context, const char *end, Arena *arena, ShelfBundle **out) {
  char start[CONTEXT_DIGITS + 1];
  snprintf(start, sizeof start, "%016" PRIx64, context.high);
  *out = NULL;
  int n = 0, capacity = 0;
  DIR *listing = opendir(directory);
  if (!listing) return 0;
  for (struct dirent *entry; (entry = readdir(listing));) {
    if (!has_end(entry->d_name, end) || strncmp(entry->d_name, start, CONTEXT_DIGITS)) continue;
    ShelfBundle bundle = {.path = arena_printf(arena, "%s/%s", directory, entry->d_name)};
    bundle.n_keys = bundle_keys(bundle.path, arena, &bundle.keys);
    if (bundle.n_keys) ARENA_PUSH(arena, *out, n, capacity, bundle);
  }
  closedir(listing);
  if (n) qsort(*out, (size_t)n, sizeof **out, compare_paths);
  return n;
}
