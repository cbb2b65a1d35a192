// Kernel cache: keys, and the way from source to loaded functions.
#include "runtime/kernel_cache.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/strmap.h"
#include "runtime/kernel_build.h"
#include "runtime/kernel_bundle.h"
#include "runtime/kernel_shelf.h"
#include "runtime/program.h"

struct KernelModule {
  Arena *arena;
  void **handles;
  int n_handles, cap_handles;
  StrMap *functions; // by symbol
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

// Hash of a text without its comment lines, which name places in the user's text: editing elsewhere in that text does
// not compile the same kernels again.
static Hash code_hash(const char *text, size_t size) {
  Text code = {0};
  for (const char *line = text, *end = text + size; line < end;) {
    const char *newline = memchr(line, '\n', (size_t)(end - line)), *next = newline ? newline + 1 : end;
    if (next - line < 2 || memcmp(line, "//", 2)) text_write(&code, line, (size_t)(next - line));
    line = next;
  }
  Hash hash = hash_bytes(text_get(&code), code.size);
  text_free(&code);
  return hash;
}

// What all kernels of a source are compiled with: compiler, flags, processor, and the text before the first one.
static Hash context_key(const char *source, size_t preamble, const char *flags, const char *compiler) {
  Text about = {0};
  text_printf(&about, "kernels 2\n%s\n%s\n", flags, compiler);
  Command command = {0};
  command_add_words(&command, compiler);
  command_add(&command, "--version");
  command_capture(&command, &about); // a compiler that cannot say is known by its name alone
  command_free(&command);
  put_cpu(&about);
  Hash key = hash_combine(hash_bytes(about.data, about.size), code_hash(source, preamble));
  text_free(&about);
  return key;
}

// ---- a load under way -----------------------------------------------------------------------------------------------

typedef struct Unit {
  const char *text; // from its mark on
  size_t size;
  const char *symbol;
  Hash key;
  bool is_loaded;
} Unit;

typedef struct Load {
  Arena *arena; // of this load; what stays lives in the module's
  const char *source, *compiler, *flags;
  size_t preamble; // bytes before the first kernel
  Hash context;
  Unit *units;
  int n_units, cap_units;
  KernelModule *module;
} Load;

static void find_units(Load *load) {
  const char *at = strstr(load->source, PROGRAM_KERNEL_MARK);
  load->preamble = at ? (size_t)(at - load->source) : strlen(load->source);
  load->context = context_key(load->source, load->preamble, load->flags, load->compiler);
  while (at) {
    const char *name = at + strlen(PROGRAM_KERNEL_MARK), *next = strstr(name, PROGRAM_KERNEL_MARK);
    Unit unit = {.text = at,
                 .size = next ? (size_t)(next - at) : strlen(at),
                 .symbol = arena_strndup(load->arena, name, strcspn(name, " \n"))};
    unit.key = hash_combine(load->context, code_hash(unit.text, unit.size));
    ARENA_PUSH(load->arena, load->units, load->n_units, load->cap_units, unit);
    at = next;
  }
}

static int count_missing(const Load *load) {
  int n = 0;
  for (int i = 0; i < load->n_units; i++) n += !load->units[i].is_loaded;
  return n;
}

// Takes the listed units that are not loaded yet from the shared object.
static Status take_units(Load *load, const char *path, const int *units, int n) {
  KernelModule *module = load->module;
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) return status_make(EXIT_DEVICE, "cannot load the compiled kernels: %s", dlerror());
  ARENA_PUSH(module->arena, module->handles, module->n_handles, module->cap_handles, handle);
  for (int i = 0; i < n; i++) {
    Unit *unit = &load->units[units[i]];
    void *function = unit->is_loaded ? NULL : dlsym(handle, unit->symbol);
    if (!function) continue;
    strmap_set(module->functions, unit->symbol, function);
    unit->is_loaded = true;
  }
  return STATUS_OK;
}

// ---- from the cache -------------------------------------------------------------------------------------------------

static int compare_hashes(Hash a, Hash b) {
  if (a.high != b.high) return a.high < b.high ? -1 : 1;
  return a.low < b.low ? -1 : a.low > b.low;
}

static int compare_keys(const void *a, const void *b) { return compare_hashes(*(const Hash *)a, *(const Hash *)b); }

// A bundle and the units that it holds.
typedef struct Offer {
  const ShelfBundle *bundle;
  int *units, n_units;
} Offer;

static Offer make_offer(const Load *load, const ShelfBundle *bundle) {
  Offer offer = {bundle, ARENA_ARRAY(load->arena, int, bundle->n_keys), 0};
  qsort(bundle->keys, (size_t)bundle->n_keys, sizeof *bundle->keys, compare_keys);
  for (int i = 0; i < load->n_units && offer.n_units < bundle->n_keys; i++) {
    if (bsearch(&load->units[i].key, bundle->keys, (size_t)bundle->n_keys, sizeof *bundle->keys, compare_keys))
      offer.units[offer.n_units++] = i;
  }
  return offer;
}

static int count_new(const Load *load, const Offer *offer) {
  int n = 0;
  for (int i = 0; i < offer->n_units; i++) n += !load->units[offer->units[i]].is_loaded;
  return n;
}

// Takes what is kept: from the bundle that holds most of what is missing, then from the next.
static void load_kept(Load *load, const char *directory) {
  ShelfBundle *bundles;
  int n = shelf_list(directory, load->context, load->arena, &bundles);
  Offer *offers = ARENA_ARRAY(load->arena, Offer, n + 1);
  for (int i = 0; i < n; i++) offers[i] = make_offer(load, &bundles[i]);
  for (;;) {
    int best = -1, most = 0;
    for (int i = 0; i < n; i++) {
      int gain = count_new(load, &offers[i]);
      if (gain <= most) continue;
      most = gain;
      best = i;
    }
    if (best < 0) return;
    Offer *offer = &offers[best];
    const char *path = offer->bundle->path;
    if (bundle_is_whole(path)) {
      utimensat(AT_FDCWD, path, NULL, 0); // used now; refused: it looks older than it is
      status_free(take_units(load, path, offer->units, offer->n_units));
    } else {
      unlink(path);
    }
    offer->n_units = 0;
  }
}

// ---- anew -----------------------------------------------------------------------------------------------------------

// The missing units: their source in `out`, their numbers and keys.
static int list_missing(const Load *load, Text *out, int *units, Hash *keys) {
  int n = 0;
  text_write(out, load->source, load->preamble);
  for (int i = 0; i < load->n_units; i++) {
    if (load->units[i].is_loaded) continue;
    text_write(out, load->units[i].text, load->units[i].size);
    keys[n] = load->units[i].key;
    units[n++] = i;
  }
  return n;
}

// Builds what is missing in a new directory below `parent` and loads it from there, or, if `is_kept`, from a bundle
// beside. *out_is_place tells whether the fault, if any, is one of the place rather than of the compiler.
static Status build_below(Load *load, const char *parent, bool is_kept, bool *out_is_place) {
  *out_is_place = true;
  char *directory = arena_printf(load->arena, "%s/" SHELF_BUILD "XXXXXX", parent);
  if (!mkdtemp(directory)) return status_make(EXIT_DEVICE, "cannot write in '%s': %s", parent, strerror(errno));
  int *units = ARENA_ARRAY(load->arena, int, load->n_units + 1);
  Hash *keys = ARENA_ARRAY(load->arena, Hash, load->n_units + 1);
  Text source = {0}, path = {0};
  int n = list_missing(load, &source, units, keys);
  Status status = kernel_build(load->compiler, load->flags, text_get(&source), directory);
  bool keep_source = false;
  if (status) {
    *out_is_place = status_code(status) == EXIT_DATA; // writing the source failed, not compiling it
    keep_source = !*out_is_place;
  } else {
    const char *built = arena_printf(load->arena, "%s/kernels.so", directory);
    shelf_path(parent, load->context, hash_bytes(keys, sizeof *keys * (size_t)n), &path);
    if (is_kept) status = bundle_keep(built, text_get(&path), keys, n);
    if (!status) status = take_units(load, is_kept ? text_get(&path) : built, units, n);
  }
  if (!keep_source) kernel_build_remove(directory);
  text_free(&source);
  text_free(&path);
  return status;
}

static Status build_in_cache(Load *load, const char *directory, bool *out_is_place) {
  *out_is_place = true;
  TRY(file_make_directory(directory));
  shelf_tidy(directory);
  return build_below(load, directory, true, out_is_place);
}

static Status build_missing(Load *load, const char *directory, KernelNotice *notice, void *context) {
  bool is_place = true;
  Status status = directory ? build_in_cache(load, directory, &is_place)
                            : status_make(EXIT_DATA, "none of SGC_CACHE, XDG_CACHE_HOME and HOME is set");
  if (!status || !is_place) return status;
  char *text = arena_printf(load->arena, "kernels are compiled anew each time: no cache (%s)", status_message(status));
  if (notice) notice(context, text);
  status_free(status);
  const char *temporary = getenv("TMPDIR");
  return build_below(load, temporary && *temporary ? temporary : "/tmp", false, &is_place);
}

// ---- modules --------------------------------------------------------------------------------------------------------

static KernelModule *module_new(void) {
  Arena *arena = arena_new();
  KernelModule *module = ARENA_ARRAY(arena, KernelModule, 1);
  *module = (KernelModule){.arena = arena, .functions = strmap_new(arena)};
  return module;
}

Status kernel_module_load(const char *source, const char *flags, KernelNotice *notice, void *context,
                          KernelModule **out) {
  char *compiler = kernel_cache_compiler();
  if (!compiler) return status_make(EXIT_DEVICE, "no C compiler found (set CC, or install cc, gcc or clang)");
  Load load = {.arena = arena_new(), .source = source, .compiler = compiler, .flags = flags, .module = module_new()};
  find_units(&load);
  Text directory = {0};
  bool has_directory = kernel_cache_directory(&directory);
  if (has_directory) load_kept(&load, text_get(&directory));
  load.module->was_cached = !count_missing(&load);
  Status status = STATUS_OK;
  if (!load.module->was_cached)
    status = build_missing(&load, has_directory ? text_get(&directory) : NULL, notice, context);
  if (status) kernel_module_close(load.module);
  else *out = load.module;
  text_free(&directory);
  arena_free(load.arena);
  free(compiler);
  return status;
}

void kernel_module_close(KernelModule *module) {
  if (!module) return;
  for (int i = 0; i < module->n_handles; i++) dlclose(module->handles[i]);
  arena_free(module->arena);
}

SgKernel *kernel_module_find(const KernelModule *module, const char *symbol) {
  return (SgKernel *)strmap_get(module->functions, symbol);
}

bool kernel_module_was_cached(const KernelModule *module) { return module->was_cached; }
