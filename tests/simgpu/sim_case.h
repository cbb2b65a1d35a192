// What the machine's tests share: CUDA C through NVRTC or PTX as text, onto the machine, buffers, launches.
#ifndef SIM_CASE_H
#define SIM_CASE_H

#include "tests/check.h"
#include "tests/simgpu/machine.h"
#include "tests/simgpu/memory.h"

#include <dlfcn.h>
#include <stdarg.h>

// ---- NVRTC, opened as the product opens it: without the toolkit tests of CUDA C are skipped

typedef struct Nvrtc {
  int (*create)(void **, const char *, const char *, int, const char *const *, const char *const *);
  int (*compile)(void *, int, const char *const *);
  int (*ptx_size)(void *, size_t *), (*ptx)(void *, char *), (*log_size)(void *, size_t *), (*log)(void *, char *);
  int (*destroy)(void **);
} Nvrtc;

static inline bool nvrtc_open(Nvrtc *nvrtc) {
  static const char *const names[] = {"/usr/local/cuda/lib64/libnvrtc.so", "libnvrtc.so", "libnvrtc.so.13"};
  const char *set = getenv("SGC_NVRTC");
  void *library = set ? dlopen(set, RTLD_NOW) : NULL;
  for (size_t k = 0; k < sizeof names / sizeof *names && !library; k++) library = dlopen(names[k], RTLD_NOW);
  if (!library) return false;
  *(void **)&nvrtc->create = dlsym(library, "nvrtcCreateProgram");
  *(void **)&nvrtc->compile = dlsym(library, "nvrtcCompileProgram");
  *(void **)&nvrtc->ptx_size = dlsym(library, "nvrtcGetPTXSize");
  *(void **)&nvrtc->ptx = dlsym(library, "nvrtcGetPTX");
  *(void **)&nvrtc->log_size = dlsym(library, "nvrtcGetProgramLogSize");
  *(void **)&nvrtc->log = dlsym(library, "nvrtcGetProgramLog");
  *(void **)&nvrtc->destroy = dlsym(library, "nvrtcDestroyProgram");
  return nvrtc->create && nvrtc->compile && nvrtc->ptx;
}

// PTX of a CUDA C source, to be freed; NULL (and a failed check) where it does not compile.
static inline char *ptx_of(const Nvrtc *nvrtc, const char *source, int compute) {
  char target[64];
  snprintf(target, sizeof target, "--gpu-architecture=compute_%d", compute);
  const char *options[] = {target, "--std=c++17", "-I/usr/local/cuda/include", "-lineinfo", "-w"};
  void *program;
  if (nvrtc->create(&program, source, "case.cu", 0, NULL, NULL)) return NULL;
  int status = nvrtc->compile(program, 5, options);
  char *ptx = NULL;
  size_t n;
  if (status) {
    nvrtc->log_size(program, &n);
    char *log = malloc(n + 1);
    nvrtc->log(program, log);
    CHECK(false, "NVRTC: %s", log);
    free(log);
  } else if (!nvrtc->ptx_size(program, &n)) {
    ptx = calloc(1, n + 1);
    nvrtc->ptx(program, ptx);
  }
  nvrtc->destroy(&program);
  return ptx;
}

// ---- the machine

static inline SimModule *load(const char *ptx) {
  char why[600];
  SimModule *module = ptx ? sim_module_load(ptx, why, sizeof why) : NULL;
  if (ptx) CHECK(module, "load: %s", why);
  return module;
}

// A buffer on device 0; data NULL leaves it unwritten.
static inline uint64_t buffer(const void *data, size_t bytes) {
  uint64_t address = 0;
  char why[200];
  CHECK(sim_memory_alloc(0, bytes, &address), "alloc %zu bytes", bytes);
  if (data) memcpy(sim_memory_range(address, bytes, SIM_WRITE, why, sizeof why), data, bytes);
  return address;
}

static inline bool fetch(uint64_t address, void *out, size_t bytes) {
  char why[300];
  void *from = sim_memory_range(address, bytes, SIM_READ, why, sizeof why);
  CHECK(from, "%s", why);
  if (from) memcpy(out, from, bytes);
  return from != NULL;
}

// Launches kernel `name` with parameters that are all of 8 bytes (pointers, long long); what happened is in *fault.
static inline bool launch_into(SimFault *fault, SimModule *module, const char *name, unsigned grid, unsigned block,
                               unsigned shared, int n, const uint64_t *params) {
  const SimKernel *kernel = module ? sim_module_kernel(module, name) : NULL;
  *fault = (SimFault){.kind = SIM_UNSUPPORTED};
  CHECK(kernel, "no kernel %s", name);
  if (!kernel) return false;
  CHECK(kernel->n_params == n, "%s has %d parameters, not %d", name, kernel->n_params, n);
  SimLaunch launch = {.grid = {grid, 1, 1}, .block = {block, 1, 1}, .shared = shared, .params = params};
  return sim_machine_run(kernel, &launch, fault);
}

#define PARAMS(...)                                                                                                    \
  (int)(sizeof((uint64_t[]){__VA_ARGS__}) / 8), (const uint64_t[]) { __VA_ARGS__ }
// A launch that must go well.
#define RUN(module, name, grid, block, shared, ...)                                                                    \
  do {                                                                                                                 \
    SimFault fault_;                                                                                                   \
    bool good_ = launch_into(&fault_, module, name, grid, block, shared, PARAMS(__VA_ARGS__));                         \
    CHECK(good_, "%s", fault_.text);                                                                                   \
  } while (0)
// A launch that must end with that kind of fault; its text must hold the words.
#define FAULTS(kind_, words, module, name, grid, block, shared, ...)                                                   \
  do {                                                                                                                 \
    SimFault fault_;                                                                                                   \
    launch_into(&fault_, module, name, grid, block, shared, PARAMS(__VA_ARGS__));                                      \
    CHECK(fault_.kind == (kind_) && strstr(fault_.text, words), "%s: fault %d: %s", name, (int)fault_.kind,            \
          fault_.text);                                                                                                \
  } while (0)

// ---- programs of one source on all architectures

// One of the orders in which the machine runs threads, each with one of both ways of compiling; races are looked for in
// the last.
static inline void set_order(SimOrder order) {
  sim_options.order = order;
  sim_optimise_after = order == SIM_BACKWARDS ? 0 : 1e9;
  sim_options.finds_races = order == SIM_SHUFFLED;
}

// The main() of a test called `name` of CUDA C: runs the checks for each architecture on the module of `source_of` it,
// a text to be freed. Nothing of device 0's memory must be left.
static inline int test_architectures(const char *name, char *(*source_of)(int compute),
                                     void (*checks)(SimModule *module, int compute)) {
  static const int computes[] = {75, 80, 90, 100};
  Nvrtc nvrtc;
  sim_memory_open(1, 16 << 20);
  if (!nvrtc_open(&nvrtc)) {
    CHECK_SKIP("no libnvrtc.so: %s is not tested", name);
    return check_report(name);
  }
  for (size_t k = 0; k < sizeof computes / sizeof *computes; k++) {
    char *source = source_of(computes[k]), *ptx = ptx_of(&nvrtc, source, computes[k]);
    sim_options.compute = computes[k];
    SimModule *module = load(ptx);
    if (module) checks(module, computes[k]);
    sim_module_unload(module);
    free(ptx);
    free(source);
  }
  CHECK(sim_memory_leaks(0) == 0, "%d buffers are left", sim_memory_leaks(0));
  return check_report(name);
}

#endif
