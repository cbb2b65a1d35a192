// Kernel cases: groups of nodes with hand-made layouts, compiled by the host's cc and compared with the reference
// evaluator. Padding lanes of inputs hold NaN, and so does every result before a run.
#ifndef SG_TESTS_KERNEL_CASE_H
#define SG_TESTS_KERNEL_CASE_H

#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#include "compiler/graph.h"
#include "compiler/kernel/group.h"
#include "compiler/kernel/kernel.h"
#include "compiler/ops/eval.h"
#include "compiler/target.h"
#include "runtime/base/hash.h"
#include "runtime/base/status.h"
#include "runtime/kernel_abi.h"
#include "runtime/kernel_cache.h"
#include "runtime/program.h"
#include "tests/check.h"

typedef struct KernelCase {
  const char *name;
  Graph *graph;
  Group group;
  KernelInfo info;
  int unit;         // outputs that weights stand side by side for
  double tolerance; // of the largest magnitude of the result
} KernelCase;

typedef struct KernelCases {
  Arena *arena;
  const Target *target;
  Text source;
  KernelCase *list;
  int n, cap;
} KernelCases;

// With sanitizers in the test, kernels are checked too, and compiled faster. A test that looks at the last bits, which
// follow from fused multiply-adds, says CASE_LEVEL "-O2".
#ifndef CASE_LEVEL
#define CASE_LEVEL "-O1"
#endif
#ifdef __SANITIZE_ADDRESS__
#define CASE_FLAGS CASE_LEVEL " -fsanitize=address -g1"
#else
#define CASE_FLAGS ""
#endif

static uint64_t case_seed = 1;
static inline double case_random(double lo, double hi) {
  case_seed = case_seed * 6364136223846793005u + 1442695040888963407u;
  return lo + (hi - lo) * (double)(case_seed >> 40) / (double)(1 << 24);
}

static inline const Layout *case_layout(Arena *arena, LayoutKind kind, int block, int n, const int *segment) {
  Layout *layout = ARENA_ARRAY(arena, Layout, 1);
  *layout = (Layout){.kind = kind, .block = block, .c = {n, arena_memdup(arena, segment, sizeof *segment * (size_t)n)}};
  return layout;
}

static inline void cases_begin(KernelCases *cases, const Target *target) {
  *cases = (KernelCases){.arena = arena_new(), .target = target};
  kernel_preamble(target, &cases->source);
}

// Makes one group of everything but leaves, views and concats in place, and emits it.
static inline void cases_add(KernelCases *cases, Graph *graph, const char *name, double tolerance) {
  Arena *arena = cases->arena;
  graph_sort(graph);
  Node **members = ARENA_ARRAY(arena, Node *, graph->n_nodes + 1);
  int n = 0;
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    node->group = -1;
    if (node_needs_kernel(node) && !(node->op == OP_concat && node->name)) members[n++] = node;
    if (n && members[n - 1] == node) node->group = 0;
  }
  int unit = cases->target->vector * target_paired(cases->target);
  KernelCase c = {.name = arena_strdup(arena, name), .graph = graph, .unit = unit, .tolerance = tolerance};
  c.group = group_make(group_index(graph, arena), members, n, arena);
  Text why = {0};
  bool can = kernel_can_fuse(cases->target, &c.group, &why);
  CHECK(can, "%s: %s", name, text_get(&why));
  text_free(&why);
  if (!can) return;
  size_t size = cases->source.size;
  kernel_emit(cases->target, &c.group, arena, &cases->source, &c.info);
  for (int i = 0; i < cases->n; i++) {
    if (strcmp(cases->list[i].info.symbol, c.info.symbol) != 0) continue;
    cases->source.size = size; // equal symbols are equal kernels
    break;
  }
  ARENA_PUSH(arena, cases->list, cases->n, cases->cap, c);
}

// Copies a value between plain order and its place in its root's buffer.
static inline void case_copy(const Node *node, float *buffer, float *plain, bool is_load) {
  Shape one = node->shape;
  int64_t images = 1, stride = 0;
  if (node->layout && node->layout->kind == LAYOUT_BLOCKED) {
    images = one.dim[0];
    one.dim[0] = 1;
    stride = storage_batch_stride(node);
  }
  int64_t index[MAX_RANK] = {0}, n = shape_elements(one);
  for (int64_t image = 0; image < images; image++) {
    float *at = buffer + storage_offset(node) + image * stride;
    for (int64_t i = 0; i < n; i++) {
      int64_t rest = i;
      for (int k = one.rank - 1; k >= 0; k--) {
        index[k] = rest % one.dim[k];
        rest /= one.dim[k];
      }
      float *stored = at + layout_offset(one, node->layout, index);
      if (is_load) plain[image * n + i] = *stored;
      else *stored = plain[image * n + i];
    }
  }
}

// The input channels of such sums in their order: those of whole blocks, as many as both halves take, then the others.
static inline int64_t *case_sums_order(Arena *arena, const Node *node) {
  const Layout *layout = node->layout;
  int64_t *order = ARENA_ARRAY(arena, int64_t, node->shape.dim[1]), n = 0;
  for (int is_rest = 0; is_rest < 2; is_rest++) {
    int64_t channel = 0, taken = 0;
    for (int i = 0; i < layout->in.n; i++) {
      for (int k = 0, size = layout->in.segment[i]; k < size; k++, channel++) {
        bool is_half = k < size - size % layout->block && taken < 2 * layout->half;
        taken += is_half;
        if (is_half != is_rest) order[n++] = channel;
      }
    }
  }
  CHECK(n == node->shape.dim[1], "%d input channels", (int)n);
  return order;
}

// The value of a weight [O, I] and its sums for Strassen's products: of its quarters the factors that stand here, and
// what is beyond them as it is.
static inline void case_copy_sums(Arena *arena, const Node *node, int unit, float *buffer, float *plain, bool is_load) {
  static const int factor[7][4] = {{1},           {0, 0, 1},   {1, -1, 0, 1}, {0, -1, 0, 1}, {-1, 1, 1, -1},
                                   {-1, 1, 0, 0}, {0, 0, 0, 1}}; // of B11, B12, B21, B22
  int64_t half = node->layout->half, inputs = node->shape.dim[1], rest = inputs - 2 * half;
  int64_t outputs = node->shape.dim[0] / 2, quarter = outputs * half, *order = case_sums_order(arena, node);
  for (int64_t o = 0; o < outputs; o++) {
    for (int64_t i = 0; i < half; i++) {
      float *upper = plain + o * inputs, *lower = plain + (o + outputs) * inputs;
      int64_t first = order[i], second = order[half + i];
      float *sum = buffer + (o / unit * half + i) * unit + o % unit,
            part[4] = {upper[first], lower[first], upper[second], lower[second]};
      if (is_load) {
        upper[first] = part[0] = sum[0], upper[second] = part[2] = sum[quarter];
        lower[first] = part[1] = sum[5 * quarter] + sum[0], lower[second] = part[3] = sum[6 * quarter];
      }
      for (int k = 0; k < 7; k++) {
        float want = 0;
        for (int p = 0; p < 4; p++) want += (float)factor[k][p] * part[p];
        if (is_load) CHECK(fabsf(sum[k * quarter] - want) < 1e-6f, "sum %d of output %d", k, (int)o);
        else sum[k * quarter] = want;
      }
    }
  }
  for (int64_t o = 0; o < 2 * outputs; o++) {
    for (int64_t i = 0; i < rest; i++) {
      float *stored = buffer + 7 * quarter + (o / unit * rest + i) * unit + o % unit,
            *value = plain + o * inputs + order[2 * half + i];
      if (is_load) *value = *stored;
      else *stored = *value;
    }
  }
}

// Exactly as many floats, so that a sanitizer sees what is read beyond them; all NaN.
static inline float *case_alloc(int64_t n) {
  void *memory = NULL;
  if (posix_memalign(&memory, 64, (size_t)(4 * (n ? n : 1)))) BUG("out of memory");
  for (int64_t i = 0; i < n; i++) ((float *)memory)[i] = NAN;
  return memory;
}

static inline float *case_buffer(float **buffers, const Node *node) {
  const Node *root = storage_root(node);
  if (!buffers[root->id]) {
    int64_t n = layout_elements(root->shape, root->layout);
    // As in programs, where kernels may touch what is left of the last PROGRAM_ALIGN floats.
    buffers[root->id] = case_alloc((n + PROGRAM_ALIGN - 1) / PROGRAM_ALIGN * PROGRAM_ALIGN);
  }
  return buffers[root->id];
}

typedef struct CaseTasks {
  SgKernel *function;
  const void *numbers;
  float *const *args;
  int64_t begin, end;
  float *scratch;
} CaseTasks;

static inline void *case_tasks(void *context) {
  const CaseTasks *tasks = context;
  tasks->function(tasks->numbers, tasks->args, tasks->begin, tasks->end, tasks->scratch);
  return NULL;
}

static inline void case_check(const KernelCase *c, SgKernel *function) {
  const Graph *graph = c->graph;
  Arena *arena = arena_new();
  const float **leaf = ARENA_ARRAY(arena, const float *, graph->n_nodes);
  float **buffers = ARENA_ARRAY(arena, float *, graph->n_nodes);
  case_seed = hash_fnv64(c->name); // the same values whatever ran before
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if (node->op != OP_input) continue;
    int64_t n = shape_elements(node->shape);
    float *value = ARENA_ARRAY(arena, float, n + 16);
    for (int64_t k = 0; k < n; k++) value[k] = (float)case_random(-1, 1);
    leaf[i] = value;
  }
  const float **want = graph_eval(graph, arena, leaf);
  float **args = ARENA_ARRAY(arena, float *, c->group.n_ins + c->group.n_outs + 1);
  for (int i = 0; i < c->group.n_ins; i++) {
    const Node *in = c->group.ins[i];
    args[i] = case_buffer(buffers, in) + storage_offset(in);
    if (in->layout && in->layout->half)
      case_copy_sums(arena, in, c->unit, case_buffer(buffers, in), (float *)want[in->id], false);
    else case_copy(in, case_buffer(buffers, in), (float *)want[in->id], false);
  }
  for (int i = 0; i < c->group.n_outs; i++) {
    const Node *out = c->group.outs[i];
    args[c->group.n_ins + i] = case_buffer(buffers, out) + storage_offset(out);
  }
  float *scratch = case_alloc(c->info.scratch), *other = case_alloc(c->info.scratch);
  float *shared = case_alloc(c->info.shared / 4 + 1);
  memset(shared, 0, (size_t)c->info.shared);
  args[c->group.n_ins + c->group.n_outs] = shared;
  // Two ranges, the later one first: tasks are independent. A second time, as counters that they share begin anew, side
  // by side.
  int64_t middle = c->info.n_tasks / 2;
  function(c->info.numbers, args, middle, c->info.n_tasks, scratch);
  function(c->info.numbers, args, 0, middle, scratch);
  CaseTasks second = {function, c->info.numbers, args, middle, c->info.n_tasks, other};
  pthread_t thread;
  bool has_thread = pthread_create(&thread, NULL, case_tasks, &second) == 0;
  CHECK(has_thread, "%s: no thread", c->name);
  function(c->info.numbers, args, 0, middle, scratch);
  if (has_thread) pthread_join(thread, NULL);
  for (int i = 0; i < c->group.n_outs; i++) {
    const Node *out = c->group.outs[i];
    int64_t n = shape_elements(out->shape);
    float *got = ARENA_ARRAY(arena, float, n + 16);
    if (out->layout && out->layout->half) case_copy_sums(arena, out, c->unit, case_buffer(buffers, out), got, true);
    else case_copy(out, case_buffer(buffers, out), got, true);
    double scale = 1e-3, worst = 0;
    int64_t where = 0;
    for (int64_t k = 0; k < n; k++) scale = fmax(scale, fabs((double)want[out->id][k]));
    for (int64_t k = 0; k < n; k++) {
      double error = fabs((double)got[k] - (double)want[out->id][k]);
      if (got[k] == want[out->id][k] || (isnan(got[k]) && isnan(want[out->id][k]))) error = 0;
      if (error > worst || error != error) {
        worst = error;
        where = k;
        if (error != error) break;
      }
    }
    CHECK(worst <= c->tolerance * scale, "%s, vectors of %d, result %d: element %lld is %g, should be %g", c->name,
          c->group.outs[i]->layout ? c->group.outs[i]->layout->block : 0, i, (long long)where, (double)got[where],
          (double)want[out->id][where]);
  }
  for (int i = 0; i < graph->n_nodes; i++) free(buffers[i]);
  free(scratch);
  free(other);
  free(shared);
  arena_free(arena);
}

// Compiles all; NULL after a failed check.
static inline void *cases_build(KernelCases *cases) {
  char directory[] = "/tmp/sg-kernel-XXXXXX";
  if (!mkdtemp(directory)) {
    CHECK(false, "no temporary directory");
    return NULL;
  }
  char source[64], object[64], command[512];
  snprintf(source, sizeof source, "%s/k.c", directory);
  snprintf(object, sizeof object, "%s/k.so", directory);
  FILE *file = fopen(source, "w");
  if (file) {
    fwrite(cases->source.data, 1, cases->source.size, file);
    fclose(file);
  }
  char *compiler = kernel_cache_compiler();
  snprintf(command, sizeof command, "%s -w %s " CASE_FLAGS " -shared -fPIC -o %s %s -lm", compiler ? compiler : "cc",
           cases->target->cc_flags, object, source);
  free(compiler);
  bool is_built = system(command) == 0;
  CHECK(is_built, "the kernels do not compile: %s", source);
  if (!is_built) return NULL;
  void *library = dlopen(object, RTLD_NOW | RTLD_LOCAL);
  CHECK(library, "the kernels do not load: %s", dlerror());
  unlink(source);
  unlink(object);
  rmdir(directory);
  return library;
}

static inline void cases_end(KernelCases *cases, void *library) {
  if (library) dlclose(library);
  text_free(&cases->source);
  arena_free(cases->arena);
}

// Compiles all, runs each with random values and compares. Frees everything.
static inline void cases_run(KernelCases *cases) {
  void *library = cases_build(cases);
  for (int i = 0; library && i < cases->n; i++) {
    void *symbol = dlsym(library, cases->list[i].info.symbol);
    CHECK(symbol, "%s: no function %s", cases->list[i].name, cases->list[i].info.symbol);
    if (symbol) case_check(&cases->list[i], (SgKernel *)symbol);
  }
  cases_end(cases, library);
}

#endif
