// Kernel cache: keys, kept files, and the way from source to loaded functions.
#include "runtime/kernel_cache.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "runtime/kernel_build.h"

struct KernelModule {
  void *handle;
  bool was_cached;
};

// ---- the compiler
// -----------------------------------------------------------------------------------------------------

// Whether the word names a program: a path to one, or found on PATH.
static bool is_program(const char *word, size_t n) {
  char *name = strndup(word, n);
  if (!name) BUG("out of memory");
  bool found = false;
  if (strchr(name, '/')) {
    found = !access(name, X_OK);
  } else {
    const char *path = getenv("PATH");
    for (const char *at = path ? path : "/usr/local/bin:/usr/bin:/bin"; !found; at++) {
      size_t size = strcspn(at, ":");
      char *candidate;
      if (asprintf(&candidate, "%.*s/%s", (int)size, at, name) < 0) BUG("out of memory");
      found = size && !access(candidate, X_OK) && !file_is_directory(candidate);
      free(candidate);
      at += size;
      if (!*at) break;
    }
  }
  free(name);
  return found;
}

char *kernel_cache_compiler(void) {
  const char *stated = getenv("CC");
  const char *const usual[] = {"cc", "gcc", "clang"};
  const char *found = NULL;
  if (stated && *stated) {
    size_t skip = strspn(stated, " \t");
    if (is_program(stated + skip, strcspn(stated + skip, " \t"))) found = stated;
  } else {
    for (int i = 0; i < 3 && !found; i++) {
      if (is_program(usual[i], strlen(usual[i]))) found = usual[i];
    }
  }
  char *copy = found ? strdup(found) : NULL;
  if (found && !copy) BUG("out of memory");
  return copy;
}

// ---- the key
// ----------------------------------------------------------------------------------------------------------

// What -march=native may look at: the lines of the first core that do not change from moment to moment.
static void put_cpu(Text *out) {
  static const char *const lines[] = {"vendor_id",       "cpu family", "model",       "flags",       "Features",
                                      "CPU implementer", "CPU part",   "CPU variant", "CPU revision"};
  FILE *file = fopen("/proc/cpuinfo", "re");
  if (!file) return;
  char *line = NULL;
  size_t capacity = 0;
  while (getline(&line, &capacity, file) > 1) {
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
      if (!strncmp(line, lines[i], strlen(lines[i]))) {
        text_put(out, line);
        break;
      }
    }
  }
  free(line);
  fclose(file);
}

// Hash of the source without its comment lines, which name places in the user's text: editing elsewhere in that text
// does not compile the same kernels again.
static Hash code_hash(const char *source) {
  Text code = {0};
  for (const char *line = source; *line;) {
    size_t n = strcspn(line, "\n");
    if (strncmp(line, "//", 2)) text_write(&code, line, n + (line[n] == '\n'));
    line += n + (line[n] == '\n');
  }
  Hash hash = hash_bytes(text_get(&code), code.size);
  text_free(&code);
  return hash;
}

static Hash cache_key(const char *source, const char *flags, const char *compiler) {
  Text about = {0};
  text_printf(&about, "kernels 1\n%s\n%s\n", flags, compiler);
  Command command = {0};
  command_add_words(&command, compiler);
  command_add(&command, "--version");
  command_capture(&command, &about); // a compiler that cannot say is known by its name alone
  command_free(&command);
  put_cpu(&about);
  Hash key = hash_combine(hash_bytes(about.data, about.size), code_hash(source));
  text_free(&about);
  return key;
}

// ---- kept files -----------------------------------------------------------------------------------------------------

// Stands at the end of a kept shared object, where the loader does not look.
typedef struct Seal {
  char magic[8];
  Hash hash; // of everything before the seal
} Seal;
static const char seal_magic[8] = "sgcseal1";

static bool is_sealed(const char *path) {
  Text file = {0};
  Status status = file_read(path, &file);
  bool good = false;
  if (!status && file.size > sizeof(Seal)) {
    Seal seal;
    size_t size = file.size - sizeof seal;
    memcpy(&seal, file.data + size, sizeof seal);
    Hash hash = hash_bytes(file.data, size);
    good =
        !memcmp(seal.magic, seal_magic, sizeof seal.magic) && hash.high == seal.hash.high && hash.low == seal.hash.low;
  }
  status_free(status);
  text_free(&file);
  return good;
}

static Status keep(const char *built, const char *path) {
  Text file = {0};
  Status status = file_read(built, &file);
  if (!status) {
    Seal seal = {.hash = hash_bytes(text_get(&file), file.size)};
    memcpy(seal.magic, seal_magic, sizeof seal.magic);
    text_write(&file, &seal, sizeof seal);
    status = file_write(path, file.data, file.size);
  }
  text_free(&file);
  return status;
}

bool kernel_cache_directory(Text *out) {
  const char *stated = getenv("SGC_CACHE"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  if (stated && *stated) text_put(out, stated);
  else if (cache && *cache) text_printf(out, "%s/sgc", cache);
  else if (home && *home) text_printf(out, "%s/.cache/sgc", home);
  else return false;
  return true;
}

#define KEPT_END    ".kernels.so"
#define BUILD_START "build."

static bool is_kept(const char *name) {
  size_t n = strlen(name), end = strlen(KEPT_END);
  return n == HASH_TEXT - 1 + end && !strcmp(name + n - end, KEPT_END);
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
    if (!strncmp(entry->d_name, BUILD_START, strlen(BUILD_START))) {
      char *build;
      if (asprintf(&build, "%s/%s", text_get(&directory), entry->d_name) < 0) BUG("out of memory");
      kernel_build_remove(build);
      free(build);
    } else if (is_kept(entry->d_name) && unlinkat(dirfd(listing), entry->d_name, 0) && errno != ENOENT) {
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
  char name[HASH_TEXT + sizeof KEPT_END];
  struct timespec used; // loading a file sets its time
  int64_t bytes;
} KeptFile;

static int compare_used(const void *a, const void *b) {
  const struct timespec *x = &((const KeptFile *)a)->used, *y = &((const KeptFile *)b)->used;
  if (x->tv_sec != y->tv_sec) return x->tv_sec < y->tv_sec ? -1 : 1;
  return x->tv_nsec < y->tv_nsec ? -1 : x->tv_nsec > y->tv_nsec;
}

// Removes forgotten builds, and the files not used for longest while there is more than a gigabyte of them.
static void tidy(const char *directory) {
  DIR *listing = opendir(directory);
  if (!listing) return;
  KeptFile *files = NULL;
  int n = 0;
  int64_t total = 0;
  for (struct dirent *entry; (entry = readdir(listing));) {
    struct stat info;
    if (fstatat(dirfd(listing), entry->d_name, &info, AT_SYMLINK_NOFOLLOW)) continue;
    if (!strncmp(entry->d_name, BUILD_START, strlen(BUILD_START)) && time(NULL) - info.st_mtime > FORGOTTEN) {
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

// ---- loading --------------------------------------------------------------------------------------------------------

static Status open_module(const char *path, bool was_cached, KernelModule **out) {
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) return status_make(EXIT_DEVICE, "cannot load the compiled kernels: %s", dlerror());
  KernelModule *module = calloc(1, sizeof *module);
  if (!module) BUG("out of memory");
  *module = (KernelModule){handle, was_cached};
  *out = module;
  return STATUS_OK;
}

// Builds in a new directory below `parent` and loads from there, or from `path` if that is given and can be written.
// *out_is_place tells whether the fault, if any, is one of the place rather than of the compiler.
static Status build_below(const char *parent, const char *path, const char *compiler, const char *flags,
                          const char *source, bool *out_is_place, KernelModule **out) {
  *out_is_place = true;
  char *directory, *built = NULL;
  if (asprintf(&directory, "%s/" BUILD_START "XXXXXX", parent) < 0) BUG("out of memory");
  if (!mkdtemp(directory)) {
    Status status = status_make(EXIT_DEVICE, "cannot write in '%s': %s", parent, strerror(errno));
    free(directory);
    return status;
  }
  if (asprintf(&built, "%s/kernels.so", directory) < 0) BUG("out of memory");
  Status status = kernel_build(compiler, flags, source, directory);
  bool keep_source = false;
  if (status) {
    *out_is_place = status_code(status) == EXIT_DATA; // writing the source failed, not compiling it
    keep_source = !*out_is_place;
  } else {
    if (path) status = keep(built, path);
    if (!status) status = open_module(path ? path : built, false, out);
  }
  if (!keep_source) kernel_build_remove(directory);
  free(built);
  free(directory);
  return status;
}

static Status build_in_cache(const char *directory, const char *path, const char *compiler, const char *flags,
                             const char *source, bool *out_is_place, KernelModule **out) {
  *out_is_place = true;
  TRY(file_make_directory(directory));
  tidy(directory);
  return build_below(directory, path, compiler, flags, source, out_is_place, out);
}

Status kernel_module_load(const char *source, const char *flags, KernelNotice *notice, void *context,
                          KernelModule **out) {
  char *compiler = kernel_cache_compiler();
  if (!compiler) return status_make(EXIT_DEVICE, "no C compiler found (set CC, or install cc, gcc or clang)");
  char key[HASH_TEXT];
  hash_text(cache_key(source, flags, compiler), key);
  Text directory = {0}, path = {0};
  bool has_directory = kernel_cache_directory(&directory), is_place = true;
  text_printf(&path, "%s/%s" KEPT_END, text_get(&directory), key);

  Status status;
  if (has_directory && is_sealed(text_get(&path))) {
    utimensat(AT_FDCWD, text_get(&path), NULL, 0); // used now; refused: it looks older than it is
    status = open_module(text_get(&path), true, out);
  } else if (has_directory) {
    status = build_in_cache(text_get(&directory), text_get(&path), compiler, flags, source, &is_place, out);
  } else {
    status = status_make(EXIT_DATA, "none of SGC_CACHE, XDG_CACHE_HOME and HOME is set");
  }
  if (status && is_place) {
    Text text = {0};
    text_printf(&text, "kernels are compiled anew each time: no cache (%s)", status_message(status));
    if (notice) notice(context, text_get(&text));
    text_free(&text);
    status_free(status);
    const char *temporary = getenv("TMPDIR");
    status = build_below(temporary && *temporary ? temporary : "/tmp", NULL, compiler, flags, source, &is_place, out);
  }
  text_free(&path);
  text_free(&directory);
  free(compiler);
  return status;
}

void kernel_module_close(KernelModule *module) {
  if (!module) return;
  dlclose(module->handle);
  free(module);
}

SgKernel *kernel_module_find(const KernelModule *module, const char *symbol) {
  return (SgKernel *)dlsym(module->handle, symbol);
}

bool kernel_module_was_cached(const KernelModule *module) { return module->was_cached; }
