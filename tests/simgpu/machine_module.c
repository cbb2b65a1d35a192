#include "runtime/base/text.h"
#include "tests/simgpu/machine_run.h"
#include "tests/simgpu/translate.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const SimLibrary *library(SimModule *module, int mode, char *why, size_t n_why) {
  char path[512];
  if (module->code[mode]) return module->code[mode];
  if (!compile_cached(module->text, mode, path, why, n_why)) return NULL;
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

double sim_optimise_after = 1;

// Races cost so much that better code would not show.
static int mode_of_options(const SimModule *module) {
  bool is_worth = module->seconds >= sim_optimise_after && !sim_options.finds_races && !sim_options.counts;
  return (sim_options.finds_races ? 1 : 0) + (sim_options.counts ? 2 : 0) + (is_worth ? 4 : 0);
}

SimModule *sim_module_load(const char *ptx, char *why, size_t n_why) {
  char *text = translated(ptx, why, n_why);
  if (!text) return NULL;
  SimModule *module = calloc(1, sizeof *module);
  if (!module) abort();
  module->text = text;
  const SimLibrary *code = library(module, mode_of_options(module), why, n_why);
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

const SimEntry *module_entry(const SimKernel *kernel, char *why, size_t n_why) {
  const SimLibrary *code = library(kernel->module, mode_of_options(kernel->module), why, n_why);
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
