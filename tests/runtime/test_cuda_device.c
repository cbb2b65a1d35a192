// The CUDA device: the conformance suite, queues with waits, graphs against plain launches, rows, scratch, what is said
// of too little memory and of a kernel at fault. On a real GPU, or the simulated one.
#include "runtime/cuda_context.h"
#include "runtime/kernel_build.h"
#include "tests/gpu.h"
#include "tests/runtime/device_suite.h"

#define KERNEL(name, parameters)                                                                                       \
  PROGRAM_KERNEL_MARK name "\n// an op [4]\n// test.net:7\n"                                                           \
                           "extern \"C\" __global__ void __launch_bounds__(64) " name "(" parameters ") {\n"           \
                           "  const int i = blockIdx.x * 64 + threadIdx.x;\n"

enum { M = 4096 }; // elements of a buffer in the programs below, a multiple of a block's 64

static const char source[] = "// kernels of the tests\n"
    // N = 5000 is no multiple of 64; scratch behind the counters
    KERNEL("doubles", "const float *x, float *y, float *scratch") "  if (i >= 5000) return;\n  scratch[1024 + i] = 2 * "
                                                                  "x[i];\n  y[i] += scratch[1024 + i];\n}\n" KERNEL(
                                                                      "add", "const float *a, const float *b, float "
                                                                             "*out") "  out[i] = a[i] + "
                                                                                     "b[i];\n}\n" KERNEL("triple",
                                                                                                         "const float "
                                                                                                         "*a, float "
                                                                                                         "*out") "  "
                                                                                                                 "out["
                                                                                                                 "i] = "
                                                                                                                 "3 * "
                                                                                                                 "a[i];"
                                                                                                                 "\n}\n"
    // Takes long enough for whoever does not wait to come too early.
    KERNEL("slowly", "const float *a, float *out") "  float v = a[i];\n  for (int k = 0; k < 200; k++) v = v + 1;\n  "
                                                   "out[i] = v;\n}\n"
    // The sum of all elements by the block that ends last, in a fixed order; counters are zero again then.
    KERNEL(
        "sum",
        "const float *a, float *out, float *scratch") "  __shared__ float part[64];\n  __shared__ int is_last;\n"
                                                      "  part[threadIdx.x] = a[i];\n  __syncthreads();\n"
                                                      "  if (threadIdx.x == 0) {\n    float s = 0;\n    for (int k = "
                                                      "0; k < 64; k++) s += part[k];\n"
                                                      "    scratch[1024 + blockIdx.x] = s;\n    __threadfence();\n"
                                                      "    is_last = atomicInc((unsigned *)scratch + 5, gridDim.x - 1) "
                                                      "== gridDim.x - 1;\n"
                                                      "    if (is_last) {\n      __threadfence();\n      float all = "
                                                      "0;\n"
                                                      "      for (int k = 0; k < gridDim.x; k++) all += ((volatile "
                                                      "float *)scratch)[1024 + k];\n"
                                                      "      out[0] = all;\n    }\n  }\n}\n" KERNEL(
                                                          "dynamic",
                                                          "const float *a, float *out") "  extern __shared__ float "
                                                                                        "tile[];\n  tile[threadIdx.x + "
                                                                                        "12288] = a[i];\n  "
                                                                                        "__syncthreads();\n"
                                                                                        "  out[i] = tile[63 - "
                                                                                        "threadIdx.x + "
                                                                                        "12288];\n}\n" KERNEL(
                                                                                            "beyond",
                                                                                            "const float *a, float "
                                                                                            "*out") "  out[i + (a[0] > "
                                                                                                    "0 ? 1 << 28 : 0)] "
                                                                                                    "= "
                                                                                                    "1;\n}"
                                                                                                    "\n" PROGRAM_KERNEL_MARK
                                                                                                    "flat\n// rows\n// "
                                                                                                    "test.net:9\n"
                                                                                                    "extern \"C\" "
                                                                                                    "__global__ void "
                                                                                                    "flat(const long "
                                                                                                    "long *table, int "
                                                                                                    "n_rows, float "
                                                                                                    "*scratch) {\n"
                                                                                                    "  int row = 0;\n  "
                                                                                                    "while (row + 1 < "
                                                                                                    "n_rows && table[4 "
                                                                                                    "* (row + 1)] <= "
                                                                                                    "(long "
                                                                                                    "long)blockIdx.x) "
                                                                                                    "row++;\n"
                                                                                                    "  const long long "
                                                                                                    "*words = table + "
                                                                                                    "4 * row;\n"
                                                                                                    "  const long long "
                                                                                                    "i = (blockIdx.x - "
                                                                                                    "words[0]) * 256 + "
                                                                                                    "threadIdx.x * 4;\n"
                                                                                                    "  const float *in "
                                                                                                    "= (const float "
                                                                                                    "*)words[2];\n  "
                                                                                                    "float *out = "
                                                                                                    "(float "
                                                                                                    "*)words[3];\n"
                                                                                                    "  for (int k = 0; "
                                                                                                    "k < 4 && i + k < "
                                                                                                    "words[1]; k++) "
                                                                                                    "out[i + k] = in[i "
                                                                                                    "+ k] + 1;\n}\n";

// ---- the suite ------------------------------------------------------------------------------------------------------

static const CudaApi *api;

static Status tripled(Collective *collective, CollectiveLane lane, bool is_max, const float *from, float *to,
                      int64_t floats, void *queue) {
  (void)collective, (void)lane;
  size_t bytes = (size_t)floats * sizeof(float);
  float *host = malloc(bytes);
  CudaResult result = api->cuMemcpyDtoHAsync_v2(host, (CudaAddress)(uintptr_t)from, bytes, queue);
  if (!result) result = api->cuStreamSynchronize(queue);
  for (int64_t i = 0; i < floats; i++) host[i] *= is_max ? 2 : 3;
  if (!result) result = api->cuMemcpyHtoDAsync_v2((CudaAddress)(uintptr_t)to, host, bytes, queue);
  if (!result) result = api->cuStreamSynchronize(queue);
  free(host);
  return cuda_api_check(api, result, "tripling");
}

static char target[32];
static const DeviceSuite suite = {
    .target = target,
    .source = source,
    .doubles = {.symbol = "doubles", .n_tasks = (N + 63) / 64, .block = 64, .scratch = SG_COUNTERS + N + 63},
    .tripled = tripled,
};

// ---- programs -------------------------------------------------------------------------------------------------------

// A program in the making: buffers of M floats; "x" and "y" are input 0 and output 1.
typedef struct Draft {
  Buffer buffers[24];
  Step steps[24];
  int args[24][8], waits[24][4];
  Program program;
} Draft;

static void begin(Draft *draft) {
  static const int64_t zeros[8];
  *draft = (Draft){.program = {.name = "draft", .target = target, .cc_flags = "--std=c++17", .source = source}};
  for (int i = 0; i < 24; i++) {
    draft->buffers[i] = (Buffer){.kind = i == 0   ? BUFFER_INPUT
                                         : i == 1 ? BUFFER_OUTPUT
                                                  : BUFFER_SLAB,
                                 .name = i == 0 ? "x" : "y",
                                 .shape = SHAPE(M),
                                 .size = M,
                                 .offset = i < 2 ? i * M : (i - 2) * M};
    draft->steps[i].arg_offset = zeros;
  }
  draft->program.buffers = draft->buffers;
  draft->program.n_buffers = 24;
  draft->program.steps = draft->steps;
  draft->program.persistent = 2 * M;
  draft->program.slab = 22 * M;
}

// Step: out = symbol(a, b) in that queue; b < 0: one argument. Returns its number.
static int put(Draft *draft, const char *symbol, int queue, int a, int b, int out) {
  int n = draft->program.n_steps++, n_args = 0;
  Step *step = &draft->steps[n];
  int *args = draft->args[n];
  args[n_args++] = a;
  if (b >= 0) args[n_args++] = b;
  args[n_args++] = out;
  *step = (Step){.symbol = symbol,
                 .n_args = n_args,
                 .n_read = n_args - 1,
                 .arg_buffer = args,
                 .arg_offset = step->arg_offset,
                 .n_tasks = M / 64,
                 .block = 64,
                 .queue = queue,
                 .waits = draft->waits[n],
                 .label = "an op test.net:7"};
  return n;
}

static void wait_for(Draft *draft, int step, int other) { draft->waits[step][draft->steps[step].n_waits++] = other; }

// Runs it `n` times and checks that y[i] is the expected multiple and sum of x[i] each time.
static int count_wrong(const Draft *draft, Device *device, int n, float times, float plus, const char *what) {
  Exec *exec = NULL;
  Status status = exec_open(&draft->program, device, 1, &exec);
  int n_wrong = 0;
  for (int run = 0; run < n && !status; run++) {
    float *x = exec_input(exec, "x");
    const float *y = exec_output(exec, "y");
    for (int i = 0; i < M; i++) x[i] = (float)(i + run);
    status = exec_run(exec);
    for (int i = 0; i < M && !status; i++) n_wrong += y[i] != times * (float)(i + run) + plus;
  }
  CHECK(!status, "%s: %s", what, status_message(status));
  status_free(status);
  exec_close(exec);
  return n_wrong;
}

// Three branches side by side, each three kernels long, and their sum: y = 3 * 3 (x + 200) * 3 in all.
static void make_branches(Draft *draft, bool forgets) {
  begin(draft);
  int last[3];
  for (int q = 0; q < 3; q++) {
    put(draft, "slowly", q, 0, -1, 2 + 3 * q);
    put(draft, "triple", q, 2 + 3 * q, -1, 3 + 3 * q);
    last[q] = put(draft, "triple", q, 3 + 3 * q, -1, 4 + 3 * q);
  }
  int first = put(draft, "add", 0, 4, 7, 11);
  if (!forgets) wait_for(draft, first, last[1]);
  int second = put(draft, "add", 0, 11, 10, 1);
  wait_for(draft, second, last[2]);
}

// A state that queue 1 alone writes, late, and an output of queue 2: nobody waits for them but the end of the run.
static int count_wrong_ends(Device *device) {
  Draft draft;
  begin(&draft);
  draft.buffers[2] = (Buffer){.kind = BUFFER_PARAM, .name = "w", .shape = SHAPE(M), .size = M, .offset = 2 * M};
  draft.program.persistent = 3 * M;
  put(&draft, "slowly", 1, 0, -1, 3);
  put(&draft, "triple", 1, 3, -1, 4);
  put(&draft, "triple", 1, 4, -1, 2);
  put(&draft, "slowly", 2, 0, -1, 5);
  put(&draft, "triple", 2, 5, -1, 1);
  Exec *exec = NULL;
  Status status = exec_open(&draft.program, device, 1, &exec);
  int n_wrong = 0;
  static float w[M];
  for (int run = 0; run < 3 && !status; run++) {
    for (int i = 0; i < M; i++) exec_input(exec, "x")[i] = (float)(i + run);
    status = exec_run(exec);
    if (!status) status = exec_get(exec, "w", w);
    for (int i = 0; i < M && !status; i++)
      n_wrong += w[i] != 9 * (float)(i + run + 200) || exec_output(exec, "y")[i] != 3 * (float)(i + run + 200);
  }
  CHECK(!status, "ends of queues: %s", status_message(status));
  status_free(status);
  exec_close(exec);
  return n_wrong;
}

// A run that breaks off in the middle has kernels under way in other queues: closing waits for them.
static void break_off(void) {
  Collective broken = {.all_reduce = lost};
  Device *device = NULL;
  Exec *exec = NULL;
  Draft draft;
  Status status = device_open_cuda(0, &device);
  begin(&draft);
  put(&draft, "slowly", 1, 0, -1, 2);
  put(&draft, "slowly", 2, 0, -1, 3);
  put(&draft, "triple", 1, 2, -1, 4);
  int sum = put(&draft, "sum", QUEUE_COLLECTIVE, 0, -1, 5);
  draft.steps[sum].kind = STEP_ALL_REDUCE;
  draft.steps[sum].n_tasks = M;
  if (!status) status = exec_open(&draft.program, device, 1, &exec);
  CHECK(!status, "%s", status_message(status));
  if (status) return status_free(status);
  device->collective = &broken;
  status = exec_run(exec);
  CHECK(status_code(status) == EXIT_PEER, "breaks off: %s", status_message(status));
  status_free(status);
  exec_close(exec);
  device->collective = NULL;
  begin(&draft);
  put(&draft, "triple", 0, 0, -1, 1);
  CHECK(!count_wrong(&draft, device, 2, 3, 0, "after one that broke off"), "after a run that broke off");
  device_close(device);
}

static void check_broken_off(void) {
  enum { SEEDS = 8 };
  char *before = getenv("SIMGPU_SEED") ? strdup(getenv("SIMGPU_SEED")) : NULL;
  for (int seed = 0; seed < SEEDS; seed++) {
    char text[16];
    snprintf(text, sizeof text, "%d", seed);
    setenv("SIMGPU_SEED", text, 1);
    break_off();
  }
  if (before) setenv("SIMGPU_SEED", before, 1);
  else unsetenv("SIMGPU_SEED");
  free(before);
}

// ---- tests ----------------------------------------------------------------------------------------------------------

static void check_queues(void) {
  Draft draft;
  Device *device = NULL;
  int n_caught = 0;
  enum { SEEDS = 12 };
  bool is_simulated = getenv("SGC_CUDA") && strstr(getenv("SGC_CUDA"), "sim");
  for (int seed = 0; seed < SEEDS; seed++) {
    char text[16];
    snprintf(text, sizeof text, "%d", seed);
    setenv("SIMGPU_SEED", text, 1);
    Status status = device_open_cuda(0, &device);
    CHECK(!status, "%s", status_message(status));
    if (status) return;
    make_branches(&draft, false);
    int n_wrong = count_wrong(&draft, device, 3, 27, 5400, "branches");
    CHECK(!n_wrong, "seed %d: %d wrong elements", seed, n_wrong);
    n_wrong = count_wrong_ends(device);
    CHECK(!n_wrong, "seed %d: %d wrong elements at the ends of queues", seed, n_wrong);
    make_branches(&draft, true);
    n_caught += count_wrong(&draft, device, 3, 27, 5400, "a forgotten wait") > 0;
    device_close(device);
  }
  if (is_simulated) CHECK(n_caught > 0, "a forgotten wait never shows in %d seeds", SEEDS);
}

static void check_graphs(Device *device) {
  Draft draft;
  make_branches(&draft, false);
  Exec *plain = NULL, *captured = NULL;
  const char *stated = getenv("SGC_CUDA_GRAPH");
  char *before = stated ? strdup(stated) : NULL;
  setenv("SGC_CUDA_GRAPH", "0", 1);
  Device *other = NULL;
  Status status = device_open_cuda(0, &other);
  if (before) setenv("SGC_CUDA_GRAPH", before, 1);
  else unsetenv("SGC_CUDA_GRAPH");
  free(before);
  if (!status) status = exec_open(&draft.program, other, 1, &plain);
  if (!status) status = exec_open(&draft.program, device, 1, &captured);
  int n_wrong = 0;
  double seconds[24] = {0}, total = 0;
  for (int run = 0; run < 6 && !status; run++) {
    for (int i = 0; i < M; i++) exec_input(plain, "x")[i] = exec_input(captured, "x")[i] = (float)(i * (run + 1));
    status = exec_run(plain);
    if (!status) status = run == 3 ? exec_profile(captured, seconds) : exec_run(captured);
    if (!status) n_wrong += memcmp(exec_output(plain, "y"), exec_output(captured, "y"), M * sizeof(float)) != 0;
  }
  for (int i = 0; i < draft.program.n_steps; i++) total += seconds[i];
  CHECK(!status && !n_wrong && total > 0, "%d of 6 runs differ, %g s: %s", n_wrong, total, status_message(status));
  status_free(status);
  exec_close(plain);
  exec_close(captured);
  device_close(other);
}

static void check_reduction(Device *device) {
  Draft draft;
  begin(&draft);
  int sum = put(&draft, "sum", 0, 0, -1, 1);
  draft.steps[sum].scratch = SG_COUNTERS + M / 64;
  // The same scratch serves another step of the queue; a larger program later takes none of it away.
  int other = put(&draft, "sum", 0, 0, -1, 2);
  draft.steps[other].scratch = SG_COUNTERS + M / 64;
  Exec *exec = NULL, *larger = NULL;
  Status status = exec_open(&draft.program, device, 1, &exec);
  int n_wrong = 0;
  float values[5];
  for (int run = 0; run < 5 && !status; run++) {
    for (int i = 0; i < M; i++) exec_input(exec, "x")[i] = (float)(i % 7 + run);
    status = exec_run(exec);
    float want = 0;
    for (int i = 0; i < M; i++) want += (float)(i % 7 + run); // whole numbers: exact in any order
    values[run] = exec_output(exec, "y")[0];
    n_wrong += values[run] != want;
    if (run == 2 && !status) {
      draft.steps[other].scratch = 50 * M;
      status = exec_open(&draft.program, device, 1, &larger);
    }
  }
  CHECK(!status && !n_wrong, "%d of 5 sums are wrong: %s", n_wrong, status_message(status));
  status_free(status);
  exec_close(exec);
  exec_close(larger);
}

static void check_rows(Device *device) {
  Draft draft;
  begin(&draft);
  static const int64_t floats[3] = {1000, 256, 1};
  static const int64_t offsets[6] = {0, 0, 1024, 1024, 2048, 2048};
  static const int buffers[6] = {0, 1, 0, 1, 0, 1};
  draft.steps[0] = (Step){.symbol = "flat",
                          .n_args = 6,
                          .n_read = 1,
                          .arg_buffer = buffers,
                          .arg_offset = offsets,
                          .n_tasks = 4 + 1 + 1,
                          .block = 64,
                          .rows = 3,
                          .row_floats = floats,
                          .label = "rows test.net:9"};
  draft.program.n_steps = 1;
  Exec *exec = NULL;
  Status status = exec_open(&draft.program, device, 1, &exec);
  int n_wrong = 0;
  if (!status) {
    for (int i = 0; i < M; i++) exec_input(exec, "x")[i] = (float)i;
    status = exec_run(exec);
    const float *y = exec_output(exec, "y");
    for (int i = 0; i < M; i++) {
      bool is_written = i < 1000 || (i >= 1024 && i < 1280) || i == 2048;
      n_wrong += y[i] != (is_written ? (float)i + 1 : 0);
    }
  }
  CHECK(!status && !n_wrong, "%d wrong elements of rows: %s", n_wrong, status_message(status));
  status_free(status);
  exec_close(exec);
  draft.steps[0].n_tasks = 2; // fewer than rows
  status = exec_open(&draft.program, device, 1, &exec);
  CHECK(status_code(status) == EXIT_DEVICE && strstr(status_message(status), "flat"), "rows that do not fit: %s",
        status_message(status));
  status_free(status);
}

static void check_limits(Device *device) {
  Draft draft;
  begin(&draft);
  int step = put(&draft, "dynamic", 0, 0, -1, 1);
  draft.steps[step].shared = (12288 + 64) * 4; // more than what every kernel gets unasked
  bool has_more = cuda_of(device)->most_shared >= draft.steps[step].shared;
  if (!has_more) CHECK_SKIP("much shared memory: a block gets no more than 48 KiB");
  Exec *exec = NULL;
  Status status = has_more ? exec_open(&draft.program, device, 1, &exec) : STATUS_OK;
  int n_wrong = 0;
  if (!status && has_more) {
    for (int i = 0; i < M; i++) exec_input(exec, "x")[i] = (float)i;
    status = exec_run(exec);
    for (int i = 0; i < M && !status; i++) n_wrong += exec_output(exec, "y")[i] != (float)(i / 64 * 64 + 63 - i % 64);
  }
  CHECK(!status && !n_wrong, "%d wrong through shared memory: %s", n_wrong, status_message(status));
  status_free(status);
  exec_close(exec);

  draft.steps[step].shared = 10 << 20;
  status = exec_open(&draft.program, device, 1, &exec);
  CHECK(status_code(status) == EXIT_DEVICE && strstr(status_message(status), "dynamic") &&
            strstr(status_message(status), "test.net:7"),
        "too much shared memory: %s", status_message(status));
  status_free(status);
  draft.steps[step].shared = 0;
  draft.steps[step].block = 4096;
  status = exec_open(&draft.program, device, 1, &exec);
  CHECK(status_code(status) == EXIT_DEVICE && strstr(status_message(status), "4096"), "too many threads: %s",
        status_message(status));
  status_free(status);
  draft.steps[step].block = 64;
  draft.program.slab = (int64_t)1 << 40;
  status = exec_open(&draft.program, device, 1, &exec);
  CHECK(status_code(status) == EXIT_DEVICE && strstr(status_message(status), "free") &&
            strstr(status_message(status), "batch"),
        "a program that does not fit: %s", status_message(status));
  status_free(status);
  draft.program.slab = 22 * M;
  draft.program.target = "cpu-avx2-8";
  status = exec_open(&draft.program, device, 1, &exec);
  CHECK(status_code(status) == EXIT_DEVICE && strstr(status_message(status), "cpu-avx2-8"), "kernels of a CPU: %s",
        status_message(status));
  status_free(status);
  Device *cpu = NULL;
  CHECK(!device_open_cpu(1, &cpu), "a CPU");
  draft.program.target = target;
  status = exec_open(&draft.program, cpu, 1, &exec);
  CHECK(status_code(status) == EXIT_DEVICE && strstr(status_message(status), target), "kernels of a GPU on a CPU: %s",
        status_message(status));
  status_free(status);
  device_close(cpu);
}

// Many runs with inputs that follow each other at once: none is lost or taken for another.
static void check_staging(Device *device) {
  Draft draft;
  begin(&draft);
  put(&draft, "slowly", 0, 0, -1, 2);
  put(&draft, "triple", 0, 2, -1, 1);
  Exec *exec = NULL;
  Status status = exec_open(&draft.program, device, 1, &exec);
  int n_wrong = 0;
  if (!status) {
    float *x = exec_input(exec, "x");
    const float *y = exec_output(exec, "y");
    for (int i = 0; i < M; i++) x[i] = (float)i;
    status = exec_start(exec);
    for (int run = 1; run < 12 && !status; run++) {
      for (int i = 0; i < M; i++) x[i] = (float)(i + run);
      if (run % 2) status = exec_send(exec);
      if (!status) status = exec_finish(exec);
      for (int i = 0; i < M; i++) n_wrong += y[i] != 3 * (float)(i + run - 1 + 200);
      if (!status) status = exec_start(exec);
    }
    if (!status) status = exec_finish(exec);
  }
  CHECK(!status && !n_wrong, "%d wrong elements in overlapping runs: %s", n_wrong, status_message(status));
  status_free(status);
  exec_close(exec);
}

// A fault takes the process's GPU with it, so a process of its own runs into it and prints what it is told.
static int run_into_fault(int n_good) {
  Draft draft;
  Device *device = NULL;
  Exec *exec = NULL;
  begin(&draft);
  put(&draft, "triple", 0, 0, -1, 2);
  put(&draft, "beyond", 0, 2, -1, 1);
  Status status = device_open_cuda(0, &device);
  if (!status) status = exec_open(&draft.program, device, 1, &exec);
  for (int run = 0; run < n_good && !status; run++) status = exec_run(exec);
  if (!status) {
    exec_input(exec, "x")[0] = 1;
    status = exec_run(exec);
  }
  printf("%d %s\n", status_code(status), status_message(status));
  status_free(status);
  exec_close(exec);
  device_close(device);
  return 0;
}

// A fault of the first run is named at once; of a later one it is said how to name it.
static void check_fault(const char *program) {
  static const struct {
    const char *n_good, *variable, *expected[2];
  } cases[] = {{"0", "", {"'beyond'", "test.net:7"}},
               {"3", "", {"SGC_CUDA_SYNC=1", "'draft'"}},
               {"3", "SGC_CUDA_SYNC", {"'beyond'", "test.net:7"}}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Command command = {0};
    Text out = {0};
    command_add(&command, program);
    command_add(&command, cases[i].n_good);
    if (*cases[i].variable) setenv(cases[i].variable, "1", 1);
    int code = command_capture(&command, &out);
    if (*cases[i].variable) unsetenv(cases[i].variable);
    CHECK(code == 0 && strstr(text_get(&out), "5 cuda:0: ") && strstr(text_get(&out), cases[i].expected[0]) &&
              strstr(text_get(&out), cases[i].expected[1]),
          "a fault after %s runs: %s", cases[i].n_good, text_get(&out));
    command_free(&command);
    text_free(&out);
  }
}

int main(int argc, char **argv) {
  Device *device = NULL;
  CudaGpu gpu;
  if (argc < 1 || !gpu_find(argv[0])) return check_report("cuda device");
  Status status = cuda_gpu(0, &gpu);
  if (!status) status = cuda_api_open(CUDA_DRIVER, &api);
  if (!status) status = device_open_cuda(0, &device);
  CHECK(!status && gpu.compute >= 50 && gpu.memory > 0 && *gpu.name, "%s", status_message(status));
  if (status) return check_report("cuda device");
  snprintf(target, sizeof target, "cuda-sm_%d", gpu.compute);
  if (argc > 1) {
    device_close(device);
    return run_into_fault(atoi(argv[1]));
  }
  check_memory(device, "cuda");
  check_exec(&suite, device, "cuda");
  check_graphs(device);
  check_reduction(device);
  check_rows(device);
  check_limits(device);
  check_staging(device);
  CHECK(device->table->memory(device) > 0, "scratch does not count");
  device_close(device);
  status = device_open_cuda(1000, &device);
  CHECK(status_code(status) == EXIT_DEVICE && strstr(status_message(status), "cuda:1000"),
        "a GPU that is not there: %s", status_message(status));
  status_free(status);
  check_queues();
  check_broken_off();
  check_fault(argv[0]);
  return check_report("cuda device");
}
