// GPUs of one process joined by NCCL: sums and maxima beside kernels, plain and replayed, and a rank that stays away.
#include <pthread.h>

#include "runtime/base/clock.h"
#include "runtime/cuda_nccl.h"
#include "runtime/exec.h"
#include "tests/gpu.h"

enum { M = 1024, MOST = 4, RUNS = 5 };

#define KERNEL(name, parameters)                                                                                       \
  PROGRAM_KERNEL_MARK name "\n// an op [4]\n// test.net:7\nextern \"C\" __global__ void __launch_bounds__(64) " name   \
                           "(" parameters ") {\n  const int i = blockIdx.x * 64 + threadIdx.x;\n"
static const char source[] = KERNEL("square", "const float *a, float *out") "  out[i] = a[i] * a[i];\n}\n" KERNEL(
    "add", "const float *a, const float *b, float *out") "  out[i] = a[i] + b[i];\n}\n";

// y = sum over devices of x^2, plus the maximum over devices of x.
static Program make_program(const char *target, Buffer *buffers, Step *steps) {
  static const int args[4][3] = {{0, 2}, {2, 3}, {0, 4}, {3, 4, 1}}, waits[4][2] = {{0}, {0}, {0}, {1, 2}};
  static const int64_t offsets[3];
  static const char *const symbols[4] = {"square", "sum", "max", "add"};
  for (int i = 0; i < 5; i++)
    buffers[i] = (Buffer){.kind = i == 0   ? BUFFER_INPUT
                                  : i == 1 ? BUFFER_OUTPUT
                                           : BUFFER_SLAB,
                          .name = i == 0 ? "x" : "y",
                          .shape = SHAPE(M),
                          .size = M,
                          .offset = i < 2 ? i * M : (i - 2) * M};
  for (int i = 0; i < 4; i++)
    steps[i] = (Step){.kind = i == 1 || i == 2 ? STEP_ALL_REDUCE : STEP_KERNEL,
                      .symbol = symbols[i],
                      .n_args = i == 3 ? 3 : 2,
                      .n_read = i == 3 ? 2 : 1,
                      .arg_buffer = args[i],
                      .arg_offset = offsets,
                      .n_tasks = i == 1 || i == 2 ? M : M / 64,
                      .block = 64,
                      .queue = i == 1   ? QUEUE_COLLECTIVE
                               : i == 2 ? QUEUE_URGENT
                                        : 0,
                      .waits = waits[i],
                      .n_waits = i == 1   ? 1
                                 : i == 3 ? 2
                                          : 0,
                      .label = "an op test.net:7"};
  return (Program){.name = "sums",
                   .target = target,
                   .cc_flags = "--std=c++17",
                   .source = source,
                   .buffers = buffers,
                   .n_buffers = 5,
                   .steps = steps,
                   .n_steps = 4,
                   .persistent = 2 * M,
                   .slab = 3 * M};
}

typedef struct Rank {
  pthread_t thread;
  Device *device;
  const Program *program;
  int rank, n, runs, n_wrong;
  double seconds; // of the last run
  Status status;
} Rank;

static void *work(void *context) {
  Rank *rank = context;
  Exec *exec = NULL;
  rank->status = exec_open(rank->program, rank->device, 1, &exec);
  for (int run = 0; run < rank->runs && !rank->status; run++) {
    for (int i = 0; i < M; i++) exec_input(exec, "x")[i] = (float)(rank->rank + 1) * (float)(i % 9 + run);
    double start = clock_seconds();
    rank->status = exec_run(exec);
    rank->seconds = clock_seconds() - start;
    for (int i = 0; i < M && !rank->status; i++) {
      float v = (float)(i % 9 + run), sum = 0;
      for (int k = 1; k <= rank->n; k++) sum += (float)k * v * (float)k * v;
      rank->n_wrong += exec_output(exec, "y")[i] != sum + (float)rank->n * v;
    }
  }
  exec_close(exec);
  return NULL;
}

static void run_all(Rank *ranks, int n) {
  for (int i = 0; i < n; i++) CHECK(!pthread_create(&ranks[i].thread, NULL, work, &ranks[i]), "a thread");
  for (int i = 0; i < n; i++) pthread_join(ranks[i].thread, NULL);
}

// Joined devices, each with a rank that is to run `runs` times.
typedef struct Joined {
  Buffer buffers[5];
  Step steps[4];
  Program program;
  int n;
  Device *devices[MOST];
  Collective *joined[MOST];
  Rank ranks[MOST];
} Joined;

static bool open_joined(const char *target, int n, double timeout, Joined *out) {
  *out = (Joined){.n = n};
  out->program = make_program(target, out->buffers, out->steps);
  Status status = STATUS_OK;
  for (int i = 0; i < n && !status; i++) status = device_open_cuda(i, &out->devices[i]);
  if (!status) status = cuda_nccl_open(out->devices, n, timeout, out->joined);
  CHECK(!status, "%d devices: %s", n, status_message(status));
  bool is_good = !status;
  status_free(status);
  for (int i = 0; i < n && is_good; i++) {
    out->devices[i]->collective = out->joined[i];
    out->ranks[i] = (Rank){.device = out->devices[i], .program = &out->program, .rank = i, .n = n, .runs = RUNS};
  }
  return is_good;
}

static void close_joined(Joined *joined) {
  for (int i = 0; i < joined->n; i++) status_free(joined->ranks[i].status);
  for (int i = 0; i < joined->n; i++) cuda_nccl_close(joined->joined[i]);
  for (int i = 0; i < joined->n; i++) device_close(joined->devices[i]);
}

static void check_ranks(const char *target, int n) {
  Joined joined;
  if (open_joined(target, n, 60, &joined)) {
    run_all(joined.ranks, n);
    for (int i = 0; i < n; i++)
      CHECK(!joined.ranks[i].status && !joined.ranks[i].n_wrong, "rank %d of %d: %d wrong elements: %s", i, n,
            joined.ranks[i].n_wrong, status_message(joined.ranks[i].status));
  }
  close_joined(&joined);
}

// One rank ends after two runs: the others learn of it in bounded time, by an exit status of their own.
static void check_lost(const char *target, int n) {
  enum { TIMEOUT = 1 };
  Joined joined;
  if (open_joined(target, n, TIMEOUT, &joined)) {
    const Rank *ranks = joined.ranks;
    joined.ranks[0].runs = 2;
    run_all(joined.ranks, n);
    CHECK(!ranks[0].status, "rank 0: %s", status_message(ranks[0].status));
    for (int i = 1; i < n; i++)
      CHECK(status_code(ranks[i].status) == EXIT_PEER && ranks[i].seconds < TIMEOUT + 5, "rank %d waits %.1f s: %s", i,
            ranks[i].seconds, status_message(ranks[i].status));
  }
  close_joined(&joined);
}

int main(int argc, char **argv) {
  int n = 0;
  const CudaApi *api;
  CudaGpu gpu;
  char target[32];
  setenv("SIMGPU_DEVICES", "4", 1);
  if (argc < 1 || !gpu_find(argv[0])) return check_report("cuda nccl");
  Status status = cuda_gpu_count(&n);
  if (!status) status = cuda_gpu(0, &gpu);
  if (!status) status = cuda_api_open(CUDA_NCCL, &api);
  if (status || n < 2) {
    CHECK_SKIP("%d GPU: %s", n, status_message(status));
    status_free(status);
    return check_report("cuda nccl");
  }
  snprintf(target, sizeof target, "cuda-sm_%d", gpu.compute);
  for (int k = 2; k <= n && k <= MOST; k += 2) check_ranks(target, k);
  check_lost(target, n < 3 ? n : 3);
  return check_report("cuda nccl");
}
