// One conformance suite for every kind of device, and Exec on each: the CPU, and a double whose memory is its own.
#include <stdatomic.h>

#include "runtime/exec.h"
#include "tests/check.h"

// ---- a device whose memory the host must not touch: addresses are disguised outside of runs ------------------------

typedef struct Remote {
  Device device;
  Device *cpu;
  int n_uploads, n_downloads;
} Remote;

enum { DISGUISE = 1 << 20 }; // floats added to every address
static Device *cpu_of(Device *device) { return ((Remote *)device)->cpu; }

static Status remote_alloc(Device *device, int64_t floats, float **out) {
  TRY(cpu_of(device)->table->alloc(cpu_of(device), floats, out));
  *out = (float *)((uintptr_t)*out + DISGUISE * sizeof(float));
  return STATUS_OK;
}
static float *revealed(const float *address) { return (float *)((uintptr_t)address - DISGUISE * sizeof(float)); }
static void remote_free(Device *device, float *memory) {
  if (memory) cpu_of(device)->table->free(cpu_of(device), revealed(memory));
}
static Status remote_alloc_host(Device *device, int64_t floats, float **out) {
  return cpu_of(device)->table->alloc_host(cpu_of(device), floats, out);
}
static void remote_free_host(Device *device, float *memory) {
  cpu_of(device)->table->free_host(cpu_of(device), memory);
}
static Status remote_upload(Device *device, float *to, const float *from, int64_t floats) {
  ((Remote *)device)->n_uploads++;
  return cpu_of(device)->table->upload(cpu_of(device), revealed(to), from, floats);
}
static Status remote_download(Device *device, float *to, const float *from, int64_t floats) {
  ((Remote *)device)->n_downloads++;
  return cpu_of(device)->table->download(cpu_of(device), to, revealed(from), floats);
}
static Status remote_load(Device *device, const Program *program, void **out) {
  return cpu_of(device)->table->load(cpu_of(device), program, out);
}
static void remote_unload(Device *device, void *module) { cpu_of(device)->table->unload(cpu_of(device), module); }

// Inputs wait in `landing` for the run; outputs reach the host when it waits.
typedef struct RemoteSequence {
  SequencePlan plan;
  float *address[8], *landing[8];
  void *sequence;
  bool is_sent, was_run;
} RemoteSequence;
static RemoteSequence *under_way;

static Status remote_prepare(Device *device, const SequencePlan *plan, void **out) {
  RemoteSequence *remote = calloc(1, sizeof *remote);
  remote->plan = *plan;
  for (int i = 0; i < plan->program->n_buffers; i++) remote->address[i] = revealed(plan->address[i]);
  remote->plan.address = remote->address;
  Status status = cpu_of(device)->table->prepare(cpu_of(device), &remote->plan, &remote->sequence);
  if (status) free(remote);
  else *out = remote;
  return status;
}
static void remote_drop(Device *device, void *sequence) {
  RemoteSequence *remote = sequence;
  if (!remote) return;
  cpu_of(device)->table->drop(cpu_of(device), remote->sequence);
  for (int i = 0; i < 8; i++) free(remote->landing[i]);
  free(remote);
}
static bool moves(const RemoteSequence *remote, int i, BufferKind kind) {
  return remote->plan.host && remote->plan.host[i] && remote->plan.program->buffers[i].kind == kind;
}
static size_t bytes_of(const RemoteSequence *remote, int i) {
  return sizeof(float) * (size_t)shape_elements(remote->plan.program->buffers[i].shape);
}
static Status remote_send(Device *device, void *sequence) {
  (void)device;
  RemoteSequence *remote = sequence;
  for (int i = 0; i < remote->plan.program->n_buffers; i++) {
    if (!moves(remote, i, BUFFER_INPUT)) continue;
    if (!remote->landing[i]) remote->landing[i] = malloc(bytes_of(remote, i));
    memcpy(remote->landing[i], remote->plan.host[i], bytes_of(remote, i));
  }
  remote->is_sent = true;
  return STATUS_OK;
}
static Status remote_run(Device *device, void *sequence, double *seconds) {
  RemoteSequence *remote = sequence;
  if (!remote->is_sent) TRY(remote_send(device, sequence));
  remote->is_sent = false;
  for (int i = 0; i < remote->plan.program->n_buffers; i++)
    if (moves(remote, i, BUFFER_INPUT)) memcpy(remote->address[i], remote->landing[i], bytes_of(remote, i));
  under_way = remote;
  cpu_of(device)->collective = device->collective;
  return cpu_of(device)->table->run(cpu_of(device), remote->sequence, seconds);
}
static Status remote_sync(Device *device) {
  for (int i = 0; under_way && i < under_way->plan.program->n_buffers; i++)
    if (moves(under_way, i, BUFFER_OUTPUT))
      memcpy(under_way->plan.host[i], under_way->address[i], bytes_of(under_way, i));
  under_way = NULL;
  return cpu_of(device)->table->sync(cpu_of(device));
}
static int64_t remote_memory(const Device *device) {
  Device *cpu = ((const Remote *)device)->cpu;
  return cpu->table->memory(cpu);
}
static void remote_close(Device *device) { device_close(cpu_of(device)); }

static const DeviceTable remote_table = {
    "double",      false,           remote_alloc, remote_free,   remote_alloc_host, remote_free_host,
    remote_upload, remote_download, remote_load,  remote_unload, remote_prepare,    remote_drop,
    remote_send,   remote_run,      remote_sync,  remote_memory, remote_close};

// ---- the suite ------------------------------------------------------------------------------------------------------

// Doubles each element, through scratch; task t works on the elements t * 10 .. t * 10 + 9.
static void double_kernel(const void *context, float *const *arg, int64_t begin, int64_t end, float *scratch) {
  const float *factor = context;
  for (int64_t t = begin; t < end; t++) {
    if ((uintptr_t)scratch % 64) return;
    for (int i = 0; i < 10; i++) scratch[i] = arg[0][10 * t + i] * *factor;
    for (volatile int wait = 0; wait < 200; wait++) {
    } // others must not write there meanwhile
    for (int i = 0; i < 10; i++) arg[1][10 * t + i] += scratch[i];
  }
}
static const float two = 2;

enum { N = 5000 };
static const int args[2] = {0, 1};
static const int64_t offsets[2] = {0, 0};

// output "y" += 2 * input "x" where "y" was zero; w is a parameter that a setup step doubles into "s", unused.
static Program make_program(Buffer *buffers, Step *steps) {
  buffers[0] = (Buffer){.kind = BUFFER_INPUT, .name = "x", .shape = SHAPE(N), .size = N};
  buffers[1] = (Buffer){.kind = BUFFER_OUTPUT, .name = "y", .shape = SHAPE(N), .size = N, .offset = 5056};
  buffers[2] = (Buffer){.kind = BUFFER_PARAM, .name = "w", .shape = SHAPE(3), .size = 3, .offset = 10112, .init_a = 7};
  steps[0] = (Step){.function = double_kernel,
                    .context = &two,
                    .n_args = 2,
                    .n_read = 1,
                    .arg_buffer = args,
                    .arg_offset = offsets,
                    .n_tasks = N / 10,
                    .scratch = 10,
                    .label = "double"};
  return (Program){.name = "p",
                   .target = "test",
                   .cc_flags = "",
                   .buffers = buffers,
                   .n_buffers = 3,
                   .steps = steps,
                   .n_steps = 1,
                   .persistent = 10176};
}

static void check_memory(Device *device, const char *name) {
  float *memory = NULL, values[100], back[100];
  Status status = device->table->alloc(device, 1 << 20, &memory);
  CHECK(!status && (uintptr_t)memory % 64 == 0, "%s: %s", name, status_message(status));
  status = device->table->download(device, back, memory + 777, 100);
  int n_set = 0;
  for (int i = 0; i < 100; i++) {
    n_set += back[i] != 0;
    values[i] = (float)i;
  }
  CHECK(!status && !n_set, "%s: memory does not start as zeros", name);
  CHECK(!device->table->upload(device, memory + 3, values, 100), "%s: upload", name);
  CHECK(!device->table->download(device, back, memory + 3, 100), "%s: download", name);
  CHECK(!memcmp(values, back, sizeof back), "%s: values change on the way", name);
  device->table->free(device, memory);
  device->table->free(device, NULL);
  status = device->table->alloc(device, INT64_MAX / 8, &memory);
  CHECK(status_code(status) == EXIT_DEVICE, "%s: gave memory that cannot be", name);
  status_free(status);
}

// Inputs that are written or sent while a run is under way are those of the next run.
static void check_overlap(Exec *exec, const char *name) {
  float *x = exec_input(exec, "x");
  const float *y = exec_output(exec, "y");
  float before = y[7], expected[4];
  x[7] = 1;
  bool is_done = !exec_start(exec);
  // Where host and device share memory, the next inputs may be written only when the run is done, which it is.
  x[7] = 10;
  is_done = is_done && !exec_send(exec) && !exec_finish(exec);
  expected[0] = before + 2;
  CHECK(is_done && y[7] == expected[0], "%s: the first of overlapping runs gives %g, not %g", name, (double)y[7],
        (double)expected[0]);
  is_done = !exec_start(exec);
  x[7] = 100;
  is_done = is_done && !exec_finish(exec);
  expected[1] = before + 22;
  CHECK(is_done && y[7] == expected[1], "%s: a run after a send gives %g, not %g", name, (double)y[7],
        (double)expected[1]);
  expected[2] = before + 222;
  CHECK(!exec_run(exec) && y[7] == expected[2], "%s: a run without a send gives %g, not %g", name, (double)y[7],
        (double)expected[2]);
}

// Stands for devices that hold twice what this one holds.
static Status tripled(Collective *collective, bool is_max, const float *from, float *to, int64_t floats, void *queue) {
  (void)collective;
  (void)queue;
  for (int64_t i = 0; i < floats; i++) to[i] = (is_max ? 2 : 3) * from[i];
  return STATUS_OK;
}
static Status lost(Collective *collective, bool is_max, const float *from, float *to, int64_t floats, void *queue) {
  (void)collective, (void)is_max, (void)from, (void)to, (void)floats, (void)queue;
  return status_make(EXIT_PEER, "rank 3 is gone");
}

static void check_all_reduce(Device *device, const char *name) {
  Buffer buffers[3];
  Step steps[1];
  Program program = make_program(buffers, steps);
  steps[0] = (Step){.kind = STEP_ALL_REDUCE,
                    .symbol = "sum",
                    .n_args = 2,
                    .n_read = 1,
                    .arg_buffer = args,
                    .arg_offset = offsets,
                    .n_tasks = N};
  Collective three = {.all_reduce = tripled}, broken = {.all_reduce = lost};
  for (int is_max = 0; is_max < 2; is_max++) {
    Exec *exec = NULL;
    if (is_max) steps[0].symbol = "max";
    Status status = exec_open(&program, device, 1, &exec);
    CHECK(!status, "%s: %s", name, status_message(status));
    if (status) return;
    float *x = exec_input(exec, "x");
    const float *y = exec_output(exec, "y");
    for (int i = 0; i < N; i++) x[i] = (float)i;
    CHECK(!exec_run(exec) && y[N - 1] == N - 1, "%s: alone, the sum is %g", name, (double)y[N - 1]);
    device->collective = &three;
    CHECK(!exec_run(exec) && y[N - 1] == (is_max ? 2 : 3) * (N - 1), "%s: together, the sum is %g", name,
          (double)y[N - 1]);
    device->collective = &broken;
    status = exec_run(exec);
    CHECK(status_code(status) == EXIT_PEER, "%s: a lost rank: %s", name, status_message(status));
    status_free(status);
    device->collective = NULL;
    exec_close(exec);
  }
}

static void check_exec(Device *device, const char *name) {
  Buffer buffers[3];
  Step steps[1];
  Program program = make_program(buffers, steps);
  Exec *exec = NULL;
  Status status = exec_open(&program, device, 1, &exec);
  CHECK(!status, "%s: %s", name, status_message(status));
  if (status) return;
  float *x = exec_input(exec, "x"), w[3] = {0};
  const float *y = exec_output(exec, "y");
  for (int i = 0; i < N; i++) x[i] = (float)i;
  int n_wrong = 0;
  for (int run = 1; run <= 20; run++) {
    CHECK(!exec_run(exec), "%s: run %d", name, run);
    for (int i = 0; i < N; i++) n_wrong += y[i] != 2.0f * (float)i * (float)run;
  }
  CHECK(!n_wrong, "%s: %d wrong elements", name, n_wrong);
  CHECK(!exec_get(exec, "w", w) && w[0] == 7 && w[2] == 7, "%s: first values", name);
  w[1] = 3;
  CHECK(!exec_set(exec, "w", w) && !exec_get(exec, "w", w) && w[1] == 3, "%s: set and get", name);
  CHECK(exec_memory(exec) >= 10176 * 4 + 40, "%s: holds %lld bytes", name, (long long)exec_memory(exec));
  check_overlap(exec, name);
  exec_close(exec);
  check_all_reduce(device, name);

  steps[0].function = NULL;
  steps[0].symbol = "missing";
  status = exec_open(&program, device, 1, &exec);
  CHECK(status_code(status) == EXIT_DEVICE && strstr(status_message(status), "missing"),
        "%s: a kernel that is not there: %s", name, status_message(status));
  status_free(status);
  steps[0].function = double_kernel;
  program.slab = (int64_t)1 << 50;
  status = exec_open(&program, device, 1, &exec);
  CHECK(status_code(status) == EXIT_DEVICE, "%s: opened what does not fit", name);
  status_free(status);
}

int main(void) {
  for (int threads = 1; threads <= 4; threads++) {
    Device *device = NULL;
    char name[32];
    snprintf(name, sizeof name, "cpu of %d", threads);
    Status status = device_open_cpu(threads, &device);
    CHECK(!status && device_threads(device) == threads, "%s: %s", name, status_message(status));
    if (status) continue;
    check_memory(device, name);
    check_exec(device, name);
    if (threads == 2) {
      Remote remote = {.device = {.table = &remote_table}, .cpu = device};
      check_memory(&remote.device, "double");
      remote.n_uploads = remote.n_downloads = 0;
      check_exec(&remote.device, "double");
      // first values of four openings and a set; two gets
      CHECK(remote.n_uploads == 5 && remote.n_downloads == 2, "%d uploads, %d downloads", remote.n_uploads,
            remote.n_downloads);
      device_close(&remote.device);
    } else {
      device_close(device);
    }
  }
  device_close(NULL);
  return check_report("device");
}
