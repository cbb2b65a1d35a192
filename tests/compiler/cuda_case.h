// CUDA cases: groups of nodes as kernels on a device, real or simulated, compared with the reference evaluator. Every
// buffer has exactly its own floats, results hold NaN before a run, and each kernel runs twice: it must leave its
// counters as they were and give the same bits.
#ifndef SG_TESTS_CUDA_CASE_H
#define SG_TESTS_CUDA_CASE_H

#include "runtime/cuda_api.h"
#include "runtime/cuda_compile.h"
#include "tests/compiler/kernel_case.h"
#include "tests/gpu.h"

typedef struct CudaTest {
  const CudaApi *api;
  CudaContext context;
  CudaStream stream;
  int compute;    // of the device, times ten
  bool is_coarse; // inputs are multiples of 1/16
} CudaTest;

#define CUDA_CHECK(call)                                                                                               \
  do {                                                                                                                 \
    CudaResult result_ = (call);                                                                                       \
    CHECK(result_ == CUDA_OK, "%s: error %u", #call, result_);                                                         \
  } while (0)

// False, and a skipped check, where there is no device or no compiler for it.
static inline bool cuda_test_begin(CudaTest *test) {
  *test = (CudaTest){0};
  const CudaApi *compiler;
  CudaOrdinal device;
  int major, minor;
  Status status = cuda_api_open(CUDA_DRIVER, &test->api);
  if (!status) status = cuda_api_open(CUDA_NVRTC, &compiler);
  if (status) {
    CHECK_SKIP("%s", status_message(status));
    status_free(status);
    return false;
  }
  if (test->api->cuInit(0) != CUDA_OK || test->api->cuDeviceGet(&device, 0) != CUDA_OK) {
    CHECK_SKIP("there is no CUDA device");
    return false;
  }
  CUDA_CHECK(test->api->cuDeviceGetAttribute(&major, CUDA_ATTRIBUTE_COMPUTE_MAJOR, device));
  CUDA_CHECK(test->api->cuDeviceGetAttribute(&minor, CUDA_ATTRIBUTE_COMPUTE_MINOR, device));
  test->compute = 10 * major + minor;
  CUDA_CHECK(test->api->cuDevicePrimaryCtxRetain(&test->context, device));
  CUDA_CHECK(test->api->cuCtxSetCurrent(test->context));
  CUDA_CHECK(test->api->cuStreamCreate(&test->stream, CUDA_STREAM_NON_BLOCKING));
  return true;
}

static inline CudaAddress cuda_put(const CudaTest *test, const float *data, int64_t floats) {
  CudaAddress address = 0;
  size_t bytes = 4 * (size_t)(floats ? floats : 1);
  CUDA_CHECK(test->api->cuMemAlloc_v2(&address, bytes));
  if (floats) CUDA_CHECK(test->api->cuMemcpyHtoDAsync_v2(address, data, 4 * (size_t)floats, test->stream));
  CUDA_CHECK(test->api->cuStreamSynchronize(test->stream));
  return address;
}

static inline void cuda_get(const CudaTest *test, float *data, CudaAddress address, int64_t floats) {
  CUDA_CHECK(test->api->cuMemcpyDtoHAsync_v2(data, address, 4 * (size_t)floats, test->stream));
  CUDA_CHECK(test->api->cuStreamSynchronize(test->stream));
}

static inline void cuda_compare(const KernelCase *c, int k, const float *got, const float *want, int64_t n) {
  double scale = 1e-3, worst = 0;
  int64_t where = 0;
  for (int64_t i = 0; i < n; i++) scale = fmax(scale, fabs((double)want[i]));
  for (int64_t i = 0; i < n; i++) {
    double error = fabs((double)got[i] - (double)want[i]);
    if (got[i] == want[i] || (isnan(got[i]) && isnan(want[i]))) error = 0;
    if (error <= worst) continue;
    worst = error;
    where = i;
    if (isnan(error)) break;
  }
  CHECK(worst <= c->tolerance * scale, "%s (%s), result %d: element %lld is %g, should be %g", c->name, c->info.symbol,
        k, (long long)where, (double)got[where], (double)want[where]);
}

static inline void cuda_case_check(const CudaTest *test, const KernelCase *c, CudaFunction function) {
  const Graph *graph = c->graph;
  const Group *group = &c->group;
  Arena *arena = arena_new();
  const float **leaf = ARENA_ARRAY(arena, const float *, graph->n_nodes);
  float **buffer = ARENA_ARRAY(arena, float *, graph->n_nodes);
  CudaAddress *there = ARENA_ARRAY(arena, CudaAddress, graph->n_nodes);
  CudaAddress *arg = ARENA_ARRAY(arena, CudaAddress, group->n_ins + group->n_outs + 1), scratch = 0;
  void **parameter = ARENA_ARRAY(arena, void *, group->n_ins + group->n_outs + 1);
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if (node->op != OP_input) continue;
    int64_t n = shape_elements(node->shape);
    float *value = ARENA_ARRAY(arena, float, n + 16);
    for (int64_t k = 0; k < n; k++) value[k] = (float)case_random(-1, 1);
    // What every precision holds exactly: then the products are exact too.
    for (int64_t k = 0; k < n && test->is_coarse; k++) value[k] = rintf(16 * value[k]) / 16;
    leaf[i] = value;
  }
  const float **want = graph_eval(graph, arena, leaf);
  for (int i = 0; i < group->n_ins; i++) {
    const Node *in = group->ins[i];
    case_copy(in, case_buffer(buffer, in), (float *)want[in->id], false);
  }
  int n_args = 0;
  for (int i = 0; i < group->n_ins + group->n_outs; i++) {
    const Node *node = i < group->n_ins ? group->ins[i] : group->outs[i - group->n_ins], *root = storage_root(node);
    if (!there[root->id])
      there[root->id] = cuda_put(test, case_buffer(buffer, node), layout_elements(root->shape, root->layout));
    arg[n_args] = there[root->id] + 4 * (CudaAddress)storage_offset(node);
    parameter[n_args] = &arg[n_args];
    n_args++;
  }
  if (c->info.scratch) {
    float *counters = ARENA_ARRAY(arena, float, c->info.scratch);
    for (int64_t k = SG_COUNTERS; k < c->info.scratch; k++) counters[k] = NAN;
    scratch = arg[n_args] = cuda_put(test, counters, c->info.scratch);
    parameter[n_args] = &arg[n_args];
  }
  float **first = ARENA_ARRAY(arena, float *, group->n_outs);
  for (int run = 0; run < 2; run++) {
    CUDA_CHECK(test->api->cuLaunchKernel(function, (unsigned)c->info.n_tasks, 1, 1, (unsigned)c->info.block, 1, 1,
                                         (unsigned)c->info.shared, test->stream, parameter, NULL));
    CudaResult result = test->api->cuStreamSynchronize(test->stream);
    CHECK(result == CUDA_OK, "%s (%s): error %u", c->name, c->info.symbol, result);
    for (int i = 0; i < group->n_outs && result == CUDA_OK; i++) {
      const Node *out = group->outs[i], *root = storage_root(out);
      int64_t n = shape_elements(out->shape);
      float *got = ARENA_ARRAY(arena, float, n + 16);
      cuda_get(test, case_buffer(buffer, out), there[root->id], layout_elements(root->shape, root->layout));
      case_copy(out, case_buffer(buffer, out), got, true);
      if (run == 0) cuda_compare(c, i, first[i] = got, want[out->id], n);
      else if (first[i]) CHECK(!memcmp(got, first[i], 4 * (size_t)n), "%s: other bits in a second run", c->name);
    }
  }
  if (scratch) CUDA_CHECK(test->api->cuMemFree_v2(scratch));
  for (int i = 0; i < graph->n_nodes; i++) {
    if (there[i]) CUDA_CHECK(test->api->cuMemFree_v2(there[i]));
    free(buffer[i]);
  }
  arena_free(arena);
}

// Compiles all, runs each with random values and compares. Frees the cases.
static inline void cuda_cases_run(const CudaTest *test, KernelCases *cases) {
  CudaCode code;
  Text image = {0}, log = {0};
  Status status = cuda_code_choose(test->compute, &code);
  if (!status) status = cuda_compile(text_get(&cases->source), cases->target->cc_flags, code, false, &image, &log);
  CHECK(!status, "%s\n%s", status_message(status), text_get(&log));
  CudaModule module = NULL;
  if (!status) CUDA_CHECK(test->api->cuModuleLoadDataEx(&module, text_get(&image), 0, NULL, NULL));
  for (int i = 0; module && i < cases->n; i++) {
    CudaFunction function = NULL;
    CUDA_CHECK(test->api->cuModuleGetFunction(&function, module, cases->list[i].info.symbol));
    if (function) cuda_case_check(test, &cases->list[i], function);
  }
  if (module) CUDA_CHECK(test->api->cuModuleUnload(module));
  status_free(status);
  text_free(&image);
  text_free(&log);
  cases_end(cases, NULL);
}

#endif
