// One conformance suite for every kind of device, and Exec on each: the CPU, and a double whose memory is its own.
#include <stdatomic.h>

#include "tests/runtime/device_suite.h"

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

// ---- what the suite needs of a CPU ----------------------------------------------------------------------------------

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

static Status tripled(Collective *collective, CollectiveLane lane, bool is_max, const float *from, float *to,
                      int64_t floats, void *queue) {
  (void)collective, (void)lane;
  (void)queue;
  for (int64_t i = 0; i < floats; i++) to[i] = (is_max ? 2 : 3) * from[i];
  return STATUS_OK;
}
static const DeviceSuite suite = {
    .target = "test",
    .doubles = {.function = double_kernel, .context = &two, .n_tasks = N / 10, .scratch = 10},
    .tripled = tripled,
};

int main(void) {
  for (int threads = 1; threads <= 4; threads++) {
    Device *device = NULL;
    char name[32];
    snprintf(name, sizeof name, "cpu of %d", threads);
    Status status = device_open_cpu(threads, &device);
    CHECK(!status && device_threads(device) == threads, "%s: %s", name, status_message(status));
    if (status) continue;
    check_memory(device, name);
    check_exec(&suite, device, name);
    if (threads == 2) {
      Remote remote = {.device = {.table = &remote_table}, .cpu = device};
      check_memory(&remote.device, "double");
      remote.n_uploads = remote.n_downloads = 0;
      check_exec(&suite, &remote.device, "double");
      // first values before three runs and a set before the other; two gets
      CHECK(remote.n_uploads == 4 && remote.n_downloads == 2, "%d uploads, %d downloads", remote.n_uploads,
            remote.n_downloads);
      device_close(&remote.device);
    } else {
      device_close(device);
    }
  }
  device_close(NULL);
  return check_report("device");
}
