// Kernel cache: keys, and the way from source to loaded functions.
#include "runtime/kernel_cache.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/cpu.h"
#include "runtime/base/file.h"
#include "runtime/base/strmap.h"
#include "runtime/kernel_build.h"
#include "runtime/kernel_bundle.h"
#include "runtime/kernel_shelf.h"
#include "runtime/kernel_units.h"

struct KernelModule {
  Arena *arena;
  void **handles;
  int n_handles, cap_handles;
  StrMap *functions; // by symbol
  bool was_cached;
};

// ---- the compiler ---------------------------------------------------------------------------------------------------

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

char *kernel_cache_compiler_for(const char *machine) {
  const char *stated = getenv("CC");
  if (!machine || !strcmp(machine, cpu_machine()) || (stated && *stated)) return kernel_cache_compiler();
  char *usual;
  if (asprintf(&usual, "%s-linux-gnu-gcc", machine) < 0) BUG("out of memory");
  if (is_program(usual, strlen(usual))) return usual;
  free(usual);
  return NULL;
}

// ---- the key --------------------------------------------------------------------------------------------------------

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

// What all kernels of a source are compiled with: compiler, flags, processor.
static void put_about(const char *flags, const char *compiler, Text *out) {
  text_printf(out, "kernels 2\n%s\n%s\n", flags, compiler);
  Command command = {0};
  command_add_words(&command, compiler);
  command_add(&command, "--version");
  command_capture(&command, out); // a compiler that cannot say is known by its name alone
  command_free(&command);
  put_cpu(out);
}

bool kernel_cache_context(const char *preamble, const char *flags, Hash *out) {
  char *compiler = kernel_cache_compiler();
  if (!compiler) return false;
  Arena *arena = arena_new();
  Text about = {0};
  KernelUnits units;
  put_about(flags, compiler, &about);
  kernel_units_find(&units, arena, preamble, &about);
  *out = units.context;
  text_free(&about);
  arena_free(arena);
  free(compiler);
  return true;
}

// ---- a load under way -----------------------------------------------------------------------------------------------

typedef struct Load {
  Arena *arena; // of this load; what stays lives in the module's
  const char *compiler, *flags;
  KernelUnits units;
  KernelModule *module;
} Load;

// Takes the listed units that are not loaded yet from the shared object.
static Status take_units(void *context, const char *path, const int *list, int n) {
  Load *load = context;
  KernelModule *module = load->module;
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) return status_make(EXIT_DEVICE, "cannot load the compiled kernels: %s", dlerror());
  ARENA_PUSH(module->arena, module->handles, module->n_handles, module->cap_handles, handle);
  for (int i = 0; i < n; i++) {
    KernelUnit *unit = &load->units.unit[list[i]];
    void *function = unit->is_loaded ? NULL : dlsym(handle, unit->symbol);
    if (!function) continue;
    strmap_set(module->functions, unit->symbol, function);
    unit->is_loaded = true;
  }
  return STATUS_OK;
}

// Keeps the shared object as a bundle.
static Status keep(const char *built, const char *path, const Hash *keys, int n) {
  Text file = {0};
  Status status = file_read(built, &file);
  if (!status) status = bundle_write(path, file.data, file.size, keys, n);
  text_free(&file);
  return status;
}

// Builds what is missing in a new directory below `parent` and loads it from there, or, if `is_kept`, from a bundle
// beside. *out_is_place tells whether the fault, if any, is one of the place rather than of the compiler.
static Status build_below(Load *load, const char *parent, bool is_kept, bool *out_is_place) {
  *out_is_place = true;
  char *directory = arena_printf(load->arena, "%s/" SHELF_BUILD "XXXXXX", parent);
  if (!mkdtemp(directory)) return status_make(EXIT_DEVICE, "cannot write in '%s': %s", parent, strerror(errno));
  int *list = ARENA_ARRAY(load->arena, int, load->units.n + 1);
  Hash *keys = ARENA_ARRAY(load->arena, Hash, load->units.n + 1);
  Text source = {0}, path = {0};
  int n = kernel_units_missing(&load->units, list);
  kernel_units_source(&load->units, list, n, &source, keys);
  Status status = kernel_build(load->compiler, load->flags, text_get(&source), directory);
  bool keep_source = false;
  if (status) {
    *out_is_place = status_code(status) == EXIT_DATA; // writing the source failed, not compiling it
    keep_source = !*out_is_place;
  } else {
    const char *built = arena_printf(load->arena, "%s/kernels.so", directory);
    shelf_path(parent, load->units.context, hash_bytes(keys, sizeof *keys * (size_t)n), SHELF_CPU, &path);
    if (is_kept) status = keep(built, text_get(&path), keys, n);
    if (!status) status = take_units(load, is_kept ? text_get(&path) : built, list, n);
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
  Load load = {.arena = arena_new(), .compiler = compiler, .flags = flags, .module = module_new()};
  Text directory = {0}, about = {0};
  put_about(flags, compiler, &about);
  kernel_units_find(&load.units, load.arena, source, &about);
  text_free(&about);
  bool has_directory = kernel_cache_directory(&directory);
  if (has_directory) kernel_units_load_kept(&load.units, text_get(&directory), SHELF_CPU, take_units, &load);
  load.module->was_cached = !kernel_units_missing(&load.units, NULL);
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
