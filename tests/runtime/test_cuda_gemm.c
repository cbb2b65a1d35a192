// Matrix products by cuBLASLt: every form against sums in double, each way that the library offers; the choice between
// kernel and library, measured, remembered and by the table.
#include <dirent.h>

#include "runtime/base/random.h"
#include "runtime/cuda_gemm.h"
#include "runtime/exec.h"
#include "runtime/kernel_build.h"
#include "tests/gpu.h"

// ---- products -------------------------------------------------------------------------------------------------------

typedef struct Operands {
  float *a, *b, *bias, *out;
  int64_t n_a, n_b, n_out;
} Operands;

static int64_t extent(int64_t rows, int64_t row, int64_t columns, int64_t batch, int64_t stride) {
  return (batch - 1) * stride + (rows - 1) * row + columns;
}

static Operands make_operands(const Gemm *g) {
  Random random = random_stream(7, "gemm");
  Operands o = {
      .n_a = extent(g->a_transposed ? g->k : g->m, g->a_row, g->a_transposed ? g->m : g->k, g->batch, g->a_batch),
      .n_b = extent(g->b_transposed ? g->n : g->k, g->b_row, g->b_transposed ? g->k : g->n, g->batch, g->b_batch),
      .n_out = extent(g->m, g->out_row, g->n, g->batch, g->out_batch)};
  o.a = malloc(sizeof(float) * (size_t)o.n_a);
  o.b = malloc(sizeof(float) * (size_t)o.n_b);
  o.bias = malloc(sizeof(float) * (size_t)g->n);
  o.out = malloc(sizeof(float) * (size_t)o.n_out);
  random_fill_uniform(random_substream(random, 1), o.a, o.n_a, -1, 1);
  random_fill_uniform(random_substream(random, 2), o.b, o.n_b, -1, 1);
  random_fill_uniform(random_substream(random, 3), o.bias, g->n, -1, 1);
  return o;
}

static void free_operands(Operands *o) {
  free(o->a);
  free(o->b);
  free(o->bias);
  free(o->out);
}

// The largest error of `out`; what lies between its rows must be as it was, zero.
static double worst_error(const Gemm *g, const Operands *o) {
  double worst = 0;
  for (int64_t i = 0; i < g->batch; i++)
    for (int64_t r = 0; r < g->m; r++)
      for (int64_t c = 0; c < g->n; c++) {
        const float *a = o->a + i * g->a_batch, *b = o->b + i * g->b_batch;
        double sum = g->has_bias ? (double)o->bias[c] : 0;
        for (int64_t k = 0; k < g->k; k++)
          sum += (double)(g->a_transposed ? a[k * g->a_row + r] : a[r * g->a_row + k]) *
                 (double)(g->b_transposed ? b[c * g->b_row + k] : b[k * g->b_row + c]);
        if (g->relu && sum < 0) sum = 0;
        worst = fmax(worst, fabs(sum - (double)o->out[i * g->out_batch + r * g->out_row + c]));
      }
  for (int64_t r = 0; r + 1 < g->m && g->batch == 1; r++)
    for (int64_t c = g->n; c < g->out_row; c++) worst = fmax(worst, fabs((double)o->out[r * g->out_row + c]));
  return worst;
}

// `memory`: MEMORY floats for operands, then the workspace.
enum { MEMORY = 1 << 16 };
static Status run_way(Device *device, float *memory, CudaGemm *product, int way, const Gemm *g, Operands *o) {
  const DeviceTable *table = device->table;
  CudaDevice *cuda = cuda_of(device);
  int64_t at[4] = {0}, step = 64;
  at[1] = (o->n_a + step) / step * step;
  at[2] = at[1] + (o->n_b + step) / step * step;
  at[3] = at[2] + (g->n + step) / step * step;
  if (at[3] + o->n_out > MEMORY) return status_make(EXIT_BUG, "MEMORY is too small");
  CudaAddress base = (CudaAddress)(uintptr_t)memory, args[4] = {base, base + 4 * (CudaAddress)at[1]};
  int n = 2;
  if (g->has_bias) args[n++] = base + 4 * (CudaAddress)at[2];
  args[n] = base + 4 * (CudaAddress)at[3];
  memset(o->out, 0, sizeof(float) * (size_t)o->n_out);
  Status status = table->upload(device, memory, o->a, o->n_a);
  if (!status) status = table->upload(device, memory + at[1], o->b, o->n_b);
  if (!status) status = table->upload(device, memory + at[2], o->bias, g->n);
  if (!status) status = table->upload(device, memory + at[3], o->out, o->n_out);
  if (!status) status = cuda_gemm_put(cuda, product, way, args, base + 4 * (CudaAddress)MEMORY, cuda->queue[0]);
  if (!status) status = table->download(device, o->out, memory + at[3], o->n_out);
  return status;
}

static void check_product(Device *device, float *memory, const Gemm *g) {
  CudaGemm product;
  Status status = cuda_gemm_begin(cuda_of(device), g, &product);
  CHECK(!status && product.n_ways > 0, "%d ways: %s", product.n_ways, status_message(status));
  // Reduced precisions keep 10 bits (tf32, f16) or 7 (bf16) of each factor.
  static const double bits[] = {1.0 / (1 << 23), 1.0 / (1 << 10), 1.0 / (1 << 10), 1.0 / (1 << 7)};
  double bound = 4 * bits[g->precision] * sqrt((double)g->k);
  for (int way = 0; way < product.n_ways && !status; way++) {
    Operands o = make_operands(g);
    status = run_way(device, memory, &product, way, g, &o);
    double error = status ? 0 : worst_error(g, &o);
    CHECK(!status && error < bound + 1e-6 * (double)g->k, "%lldx%lldx%lld of %lld, %d%d%d%d%d, way %d: error %g, %s",
          (long long)g->m, (long long)g->n, (long long)g->k, (long long)g->batch, g->a_transposed, g->b_transposed,
          g->has_bias, g->relu, g->precision, way, error, status_message(status));
    free_operands(&o);
  }
  status_free(status);
  cuda_gemm_end(cuda_of(device), &product);
}

static void check_products(Device *device) {
  float *memory = NULL;
  Status status = device->table->alloc(device, MEMORY + CUDA_GEMM_WORKSPACE / 4, &memory);
  CHECK(!status, "%s", status_message(status));
  if (status) return;
  static const int64_t sizes[][4] = {{1, 1, 1, 1}, {5, 7, 3, 1}, {64, 48, 33, 1}, {16, 40, 24, 3}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int form = 0; form < 16; form++) {
      Gemm g = {.m = sizes[s][0],
                .n = sizes[s][1],
                .k = sizes[s][2],
                .batch = sizes[s][3],
                .a_transposed = form & 1,
                .b_transposed = form & 2,
                .has_bias = form & 4,
                .relu = form & 8,
                .precision = s == 2 ? (GemmPrecision)(form % 4) : GEMM_F32};
      int gap = form % 3 * 4; // rows need not follow each other closely
      g.a_row = (g.a_transposed ? g.m : g.k) + gap;
      g.b_row = (g.b_transposed ? g.k : g.n) + gap;
      g.out_row = g.n + gap;
      if (g.batch > 1) {
        g.a_batch = form & 1 ? 0 : g.a_row * g.m; // one matrix of weights for the whole batch
        g.b_batch = g.b_row * (g.b_transposed ? g.n : g.k);
        g.out_batch = g.out_row * g.m;
      }
      check_product(device, memory, &g);
    }
  device->table->free(device, memory);
}

// ---- the choice -----------------------------------------------------------------------------------------------------

enum { SIDE = 64, ELEMENTS = SIDE * SIDE };
static const char source[] = PROGRAM_KERNEL_MARK
    "product\n// matmul [64, 64]\n// test.net:7\n"
    "extern \"C\" __global__ void __launch_bounds__(64) product(const float *a, const float *b, float *out) {\n"
    "  float sum = 0;\n  for (int k = 0; k < 64; k++) sum += a[blockIdx.x * 64 + k] * b[k * 64 + threadIdx.x];\n"
    "  out[blockIdx.x * 64 + threadIdx.x] = sum;\n}\n";

static void check_program(Device *device, const char *target, const char *what) {
  static const Gemm gemm = {.m = SIDE, .n = SIDE, .k = SIDE, .batch = 1, .a_row = SIDE, .b_row = SIDE, .out_row = SIDE};
  static const int args[] = {0, 1, 2};
  static const int64_t offsets[3];
  Buffer buffers[3];
  for (int i = 0; i < 3; i++)
    buffers[i] = (Buffer){.kind = i < 2 ? BUFFER_INPUT : BUFFER_OUTPUT,
                          .name = i == 0   ? "a"
                                  : i == 1 ? "b"
                                           : "y",
                          .shape = SHAPE(SIDE, SIDE),
                          .size = ELEMENTS,
                          .offset = i * ELEMENTS};
  Step step = {.symbol = "product",
               .n_args = 3,
               .n_read = 2,
               .arg_buffer = args,
               .arg_offset = offsets,
               .n_tasks = SIDE,
               .block = SIDE,
               .gemm = &gemm,
               .label = "matmul test.net:7"};
  Program program = {.name = "product",
                     .target = target,
                     .cc_flags = "--std=c++17",
                     .source = source,
                     .buffers = buffers,
                     .n_buffers = 3,
                     .steps = &step,
                     .n_steps = 1,
                     .persistent = 3 * ELEMENTS};
  Exec *exec = NULL;
  Operands o = make_operands(&gemm);
  Status status = exec_open(&program, device, 1, &exec);
  for (int run = 0; run < 4 && !status; run++) { // plain, captured, replayed
    memcpy(exec_input(exec, "a"), o.a, sizeof(float) * ELEMENTS);
    memcpy(exec_input(exec, "b"), o.b, sizeof(float) * ELEMENTS);
    status = exec_run(exec);
    if (status) break;
    memcpy(o.out, exec_output(exec, "y"), sizeof(float) * ELEMENTS);
    double error = worst_error(&gemm, &o);
    CHECK(error < 1e-5, "%s: run %d is off by %g", what, run, error);
  }
  CHECK(!status, "%s: %s", what, status_message(status));
  status_free(status);
  exec_close(exec);
  free_operands(&o);
}

static int count_choices(const char *place) {
  int n = 0;
  DIR *listing = opendir(place);
  for (struct dirent *entry; listing && (entry = readdir(listing));) n += strstr(entry->d_name, ".gemm") != NULL;
  if (listing) closedir(listing);
  return n;
}

static void check_choice(const char *target) {
  char place[] = "/tmp/sgc_gemm_XXXXXX";
  if (!mkdtemp(place)) return;
  setenv("SGC_CACHE", place, 1);
  unsetenv("SGC_CUDA_TUNE");
  for (int i = 0; i < 4; i++) {
    Device *device = NULL;
    if (i == 2) setenv("SGC_CUDA_TUNE", "0", 1);
    char *library = getenv("SGC_CUBLASLT") ? strdup(getenv("SGC_CUBLASLT")) : NULL;
    if (i == 3) setenv("SGC_CUBLASLT", "none", 1);
    Status status = device_open_cuda(0, &device);
    CHECK(!status, "%s", status_message(status));
    if (status) return;
    check_program(device, target, i == 0 ? "measured" : i == 1 ? "remembered" : i == 2 ? "by table" : "no library");
    CHECK(count_choices(place) == 1, "%d choices are kept", count_choices(place));
    device_close(device);
    if (i == 3 && library) setenv("SGC_CUBLASLT", library, 1);
    free(library);
  }
  Command remove = {0};
  Text said = {0};
  command_add_words(&remove, "rm -rf");
  command_add(&remove, place);
  command_capture(&remove, &said);
  command_free(&remove);
  text_free(&said);
}

int main(int argc, char **argv) {
  Device *device = NULL;
  CudaGpu gpu;
  char target[32];
  const CudaApi *api;
  if (argc < 1 || !gpu_find(argv[0])) return check_report("cuda gemm");
  Status status = cuda_api_open(CUDA_BLAS, &api);
  if (status) {
    CHECK_SKIP("products: %s", status_message(status));
    status_free(status);
    return check_report("cuda gemm");
  }
  status = cuda_gpu(0, &gpu);
  if (!status) status = device_open_cuda(0, &device);
  CHECK(!status, "%s", status_message(status));
  if (status) return check_report("cuda gemm");
  snprintf(target, sizeof target, "cuda-sm_%d", gpu.compute);
  if (cuda_blas(cuda_of(device))) check_products(device);
  device_close(device);
  check_choice(target);
  return check_report("cuda gemm");
}
