#include "runtime/base/hash.h"
#include "runtime/base/text.h"
#include "tests/simgpu/kernel_text.h"
#include "tests/simgpu/machine_run.h"
#include "tests/simgpu/translate.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

// ---- the compiler and its cache

static const char *const flags[] = {"-std=gnu11",
                                    "-O1",
                                    "-w",
                                    "-shared",
                                    "-fPIC",
                                    "-march=native",
                                    "-ffp-contract=off",
                                    "-fwrapv",
                                    "-fno-math-errno",
                                    "-fno-trapping-math",
                                    "-fno-strict-aliasing"};
enum { N_FLAGS = sizeof flags / sizeof *flags };

static void make_directories(const char *path) {
  char part[512];
  snprintf(part, sizeof part, "%s", path);
  for (char *s = part + 1; *s; s++)
    if (*s == '/') {
      *s = 0;
      mkdir(part, 0777);
      *s = '/';
    }
  mkdir(part, 0777);
}

static void cache_directory(char out[400]) {
  const char *set = getenv("SIMGPU_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  if (set && *set) snprintf(out, 400, "%s", set);
  else if (xdg && *xdg) snprintf(out, 400, "%s/simgpu", xdg);
  else snprintf(out, 400, "%s/.cache/simgpu", home && *home ? home : "/tmp");
}

// What this host's processor can do: code for another one must not be taken from a shared cache.
static Hash host_hash(void) {
  char line[4096];
  Hash hash = hash_bytes("", 0);
  FILE *file = fopen("/proc/cpuinfo", "r");
  while (file && fgets(line, sizeof line, file))
    if (!strncmp(line, "flags", 5) || !strncmp(line, "Features", 8)) {
      hash = hash_bytes(line, strlen(line));
      break;
    }
  if (file) fclose(file);
  return hash;
}

static const char *compiler(void) {
  const char *set = getenv("SIMGPU_CC");
  return set && *set ? set : "cc";
}

static bool write_file(const char *path, const char *text) {
  char temporary[600];
  snprintf(temporary, sizeof temporary, "%s.%d", path, (int)getpid());
  FILE *file = fopen(temporary, "w");
  if (!file) return false;
  bool good = fputs(text, file) >= 0;
  good = !fclose(file) && good;
  return good && !rename(temporary, path);
}

// Runs the compiler; its messages go to `log`.
static bool run_compiler(char *const *arguments, const char *log) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t child;
  int error = posix_spawnp(&child, arguments[0], &actions, NULL, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error) return false;
  int status;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return false;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void first_line(const char *path, char *out, size_t n_out) {
  FILE *file = fopen(path, "r");
  if (!file || !fgets(out, (int)n_out, file)) snprintf(out, n_out, "it cannot be started");
  out[strcspn(out, "\n")] = 0;
  if (file) fclose(file);
}

// Path of the shared library of a C text; compiles it where the cache has none.
static bool compiled(const char *text, int mode, char out_path[512], char *why, size_t n_why) {
  char directory[400], headers[460], path[512], source[540], temporary[540], log[540], name[HASH_TEXT];
  cache_directory(directory);
  Hash header_hash = hash_bytes("", 0);
  for (int k = 0; k < SIM_HEADERS; k++)
    header_hash = hash_combine(header_hash, hash_bytes(sim_headers[k].text, strlen(sim_headers[k].text)));
  hash_text(header_hash, name);
  snprintf(headers, sizeof headers, "%s/include-%s", directory, name);
  Hash hash = hash_combine(hash_combine(hash_bytes(text, strlen(text)), header_hash), host_hash());
  for (int k = 0; k < N_FLAGS; k++) hash = hash_combine(hash, hash_bytes(flags[k], strlen(flags[k])));
  hash = hash_combine(hash, hash_bytes(compiler(), strlen(compiler())));
  hash = hash_combine(hash, hash_bytes(&mode, sizeof mode));
  hash_text(hash, name);
  snprintf(path, sizeof path, "%s/%s.so", directory, name);
  snprintf(out_path, 512, "%s", path);
  if (!access(path, R_OK)) return true;

  make_directories(headers);
  for (int k = 0; k < SIM_HEADERS; k++) {
    char header[512];
    snprintf(header, sizeof header, "%s/%s", headers, sim_headers[k].name);
    if (access(header, R_OK) && !write_file(header, sim_headers[k].text)) {
      snprintf(why, n_why, "cannot write %s: %s", header, strerror(errno));
      return false;
    }
  }
  snprintf(source, sizeof source, "%s/%s.c", directory, name);
  snprintf(temporary, sizeof temporary, "%s/%s.%d.so", directory, name, (int)getpid());
  snprintf(log, sizeof log, "%s/%s.%d.log", directory, name, (int)getpid());
  if (!write_file(source, text)) {
    snprintf(why, n_why, "cannot write %s: %s", source, strerror(errno));
    return false;
  }
  char include[480], races[32], counts[32];
  snprintf(include, sizeof include, "-I%s", headers);
  snprintf(races, sizeof races, "-DSIM_RACES=%d", mode & 1);
  snprintf(counts, sizeof counts, "-DSIM_COUNTS=%d", mode >> 1);
  const char *arguments[N_FLAGS + 10] = {compiler()};
  int n = 1;
  for (int k = 0; k < N_FLAGS; k++) arguments[n++] = flags[k];
  const char *rest[] = {races, counts, include, source, "-o", temporary, "-lm"};
  for (size_t k = 0; k < sizeof rest / sizeof *rest; k++) arguments[n++] = rest[k];
  bool good = run_compiler((char *const *)arguments, log);
  if (good) good = !rename(temporary, path);
  if (!good) {
    char message[300];
    first_line(log, message, sizeof message);
    snprintf(why, n_why, "%s failed on %s: %s", compiler(), source, message);
  } else if (!getenv("SIMGPU_KEEP")) {
    unlink(source);
  }
  unlink(log);
  return good;
}

static const SimLibrary *library(SimModule *module, int mode, char *why, size_t n_why) {
  char path[512];
  if (module->code[mode]) return module->code[mode];
  if (!compiled(module->text, mode, path, why, n_why)) return NULL;
  module->libraries[mode] = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  const SimLibrary *code = module->libraries[mode] ? dlsym(module->libraries[mode], "sim_library") : NULL;
  if (!code) snprintf(why, n_why, "cannot load %s: %s", path, dlerror());
  return module->code[mode] = code;
}

// ---- modules

static char *translated(const char *ptx, char *why, size_t n_why) {
  Arena *arena = arena_new();
  PtxFailure *failure = arena_alloc(arena, sizeof *failure);
  Text *text = arena_alloc(arena, sizeof *text);
  char *out = NULL;
  if (setjmp(failure->jump)) {
    snprintf(why, n_why, "PTX line %d: %s", failure->line, failure->text);
    text_free(text);
  } else {
    PtxModule *module = ptx_parse(arena, failure, ptx);
    if (module->target > sim_options.compute)
      ptx_fail(failure, 1, "the PTX is for sm_%d, the device is sm_%d", module->target, sim_options.compute);
    translate_module(arena, failure, module, text);
    out = text_take(text);
  }
  arena_free(arena);
  return out;
}

static int mode_of_options(void) { return (sim_options.finds_races ? 1 : 0) + (sim_options.counts ? 2 : 0); }

SimModule *sim_module_load(const char *ptx, char *why, size_t n_why) {
  char *text = translated(ptx, why, n_why);
  if (!text) return NULL;
  SimModule *module = calloc(1, sizeof *module);
  if (!module) abort();
  module->text = text;
  const SimLibrary *code = library(module, mode_of_options(), why, n_why);
  if (!code) {
    sim_module_unload(module);
    return NULL;
  }
  module->n_kernels = code->n_entries;
  module->n_symbols = code->n_symbols;
  module->kernels = calloc((size_t)code->n_entries + 1, sizeof *module->kernels);
  if (!module->kernels) abort();
  for (int k = 0; k < code->n_entries; k++) {
    const SimEntry *entry = &code->entries[k];
    module->kernels[k].known = (SimKernel){.name = entry->name,
                                           .module = module,
                                           .static_shared = entry->static_shared,
                                           .max_threads = entry->max_threads,
                                           .n_params = entry->n_params,
                                           .param_offset = entry->param_offset,
                                           .param_size = entry->param_size,
                                           .param_bytes = entry->param_bytes};
  }
  return module;
}

void sim_module_unload(SimModule *module) {
  if (!module) return;
  for (int d = 0; d < SIM_DEVICES; d++) {
    for (int k = 0; module->symbols[d] && k < module->n_symbols; k++)
      if (module->symbols[d][k]) sim_memory_free(module->symbols[d][k]);
    free(module->symbols[d]);
  }
  for (int mode = 0; mode < MODES; mode++)
    if (module->libraries[mode]) dlclose(module->libraries[mode]);
  free(module->kernels);
  free(module->text);
  free(module);
}

const SimKernel *sim_module_kernel(const SimModule *module, const char *name) {
  for (int k = 0; k < module->n_kernels; k++)
    if (!strcmp(module->kernels[k].known.name, name)) return &module->kernels[k].known;
  return NULL;
}

int sim_module_count(const SimModule *module) { return module->n_kernels; }

const SimKernel *sim_module_at(const SimModule *module, int k) {
  return k >= 0 && k < module->n_kernels ? &module->kernels[k].known : NULL;
}

const SimEntry *module_entry(const SimKernel *kernel, int mode, char *why, size_t n_why) {
  const SimLibrary *code = library(kernel->module, mode, why, n_why);
  return code ? &code->entries[(const Kernel *)kernel - kernel->module->kernels] : NULL;
}

static const SimLibrary *any_code(const SimModule *module) {
  for (int mode = 0; mode < MODES; mode++)
    if (module->code[mode]) return module->code[mode];
  return NULL;
}

const uint64_t *module_symbols(SimModule *module, int device, char *why, size_t n_why) {
  const SimLibrary *code = any_code(module);
  if (module->symbols[device]) return module->symbols[device];
  uint64_t *addresses = module->symbols[device] = calloc((size_t)module->n_symbols + 1, sizeof *addresses);
  if (!addresses) abort();
  for (int k = 0; k < module->n_symbols; k++)
    if (code->symbols[k].bytes && !sim_memory_alloc(device, code->symbols[k].bytes, &addresses[k])) {
      snprintf(why, n_why, "no memory for variable %s", code->symbols[k].name);
      return NULL;
    }
  for (int k = 0; k < module->n_symbols; k++) {
    const SimSymbol *symbol = &code->symbols[k];
    if (!symbol->bytes) continue;
    uint8_t *bytes = sim_memory_range(addresses[k], symbol->bytes, SIM_WRITE, why, n_why);
    memset(bytes, 0, symbol->bytes);
    if (symbol->n_initial) memcpy(bytes, symbol->initial, symbol->n_initial);
    for (int r = 0; r < symbol->n_references; r++) {
      uint64_t value;
      memcpy(&value, bytes + symbol->references[r][0], 8);
      value += addresses[symbol->references[r][1]];
      memcpy(bytes + symbol->references[r][0], &value, 8);
    }
  }
  return addresses;
}

bool sim_module_global(SimModule *module, const char *name, int device, uint64_t *out_address, uint64_t *out_bytes) {
  char why[200];
  const SimLibrary *code = any_code(module);
  if (device < 0 || device >= SIM_DEVICES) return false;
  for (int k = 0; k < module->n_symbols; k++)
    if (code->symbols[k].bytes && !strcmp(code->symbols[k].name, name)) {
      const uint64_t *addresses = module_symbols(module, device, why, sizeof why);
      if (!addresses) return false;
      *out_address = addresses[k];
      *out_bytes = code->symbols[k].bytes;
      return true;
    }
  return false;
}
