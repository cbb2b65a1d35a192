// Teams of devices that compute while the host does other work: the next inputs are sent while every device still runs,
// and one that fails at its start ends the run of all.
#include "runtime/train/team.h"

#include <pthread.h>
#include <time.h>

#include "tests/check.h"

enum { DEVICES = 4, RUNS = 20 };

// A device whose run ends only when the next inputs have come, or, where none are to come, at once.
typedef struct Slow {
  Device device;
  int n_sent, n_run, n_done;
  bool waits, cannot_run;
  float seen; // the input as it was when sent
  float *input;
} Slow;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static Status slow_alloc(Device *device, int64_t floats, float **out) {
  (void)device;
  *out = calloc((size_t)floats + 1, sizeof **out);
  return STATUS_OK;
}
static void slow_free(Device *device, float *memory) {
  (void)device;
  free(memory);
}
static Status slow_copy(Device *device, float *to, const float *from, int64_t floats) {
  (void)device;
  memcpy(to, from, (size_t)floats * sizeof *to);
  return STATUS_OK;
}
static Status slow_load(Device *device, const Program *program, void **out) {
  (void)device, (void)program;
  *out = NULL;
  return STATUS_OK;
}
static Status slow_prepare(Device *device, const SequencePlan *plan, void **out) {
  if (plan->host) ((Slow *)device)->input = plan->host[0];
  *out = plan->host ? device : NULL; // setup has none
  return STATUS_OK;
}
static void slow_drop(Device *device, void *sequence) { (void)device, (void)sequence; }

static Status slow_send(Device *device, void *sequence) {
  Slow *slow = sequence;
  (void)device;
  pthread_mutex_lock(&lock);
  slow->n_sent++;
  slow->seen = *slow->input;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  return STATUS_OK;
}

static Status slow_run(Device *device, void *sequence, double *seconds) {
  Slow *slow = sequence;
  (void)device, (void)seconds;
  if (!slow) return STATUS_OK;
  if (slow->cannot_run) return status_make(EXIT_DEVICE, "out of order");
  pthread_mutex_lock(&lock);
  slow->n_run++;
  pthread_mutex_unlock(&lock);
  return STATUS_OK;
}

static Status slow_sync(Device *device) {
  Slow *slow = (Slow *)device;
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 10;
  pthread_mutex_lock(&lock);
  int late = 0;
  while (slow->waits && slow->n_sent < slow->n_run && !late) late = pthread_cond_timedwait(&changed, &lock, &until);
  slow->n_done = slow->n_run;
  pthread_mutex_unlock(&lock);
  return late ? status_make(EXIT_DEVICE, "nothing was sent while it ran") : STATUS_OK;
}

static int64_t slow_memory(const Device *device) {
  (void)device;
  return 0;
}

static const DeviceTable slow_table = {.kind = "slow",
                                       .alloc = slow_alloc,
                                       .free = slow_free,
                                       .alloc_host = slow_alloc,
                                       .free_host = slow_free,
                                       .upload = slow_copy,
                                       .download = slow_copy,
                                       .load = slow_load,
                                       .unload = slow_drop,
                                       .prepare = slow_prepare,
                                       .drop = slow_drop,
                                       .send = slow_send,
                                       .run = slow_run,
                                       .sync = slow_sync,
                                       .memory = slow_memory};

static void check_team(int n) {
  Slow devices[DEVICES];
  Exec *execs[DEVICES] = {0};
  Team *team = NULL;
  Buffer input = {.kind = BUFFER_INPUT, .name = "x", .shape = SHAPE(1), .size = 1};
  Program program = {.name = "nothing", .buffers = &input, .n_buffers = 1, .persistent = 16};
  Status status = team_open(NULL, n, &team);
  for (int i = 0; i < n && !status; i++) {
    devices[i] = (Slow){.device = {.table = &slow_table}, .waits = false};
    status = exec_open(&program, &devices[i].device, 1, &execs[i]);
    devices[i].waits = true;
  }
  CHECK(!status && team_overlaps(team, execs), "%d devices: %s", n, status_message(status));
  int n_wrong = 0;
  for (int run = 0; run < RUNS && !status; run++) {
    for (int i = 0; i < n; i++) devices[i].n_sent = devices[i].n_run; // of the run that begins now
    status = team_start(team, execs);
    for (int i = 0; i < n; i++) {
      n_wrong += devices[i].n_done == devices[i].n_run; // still under way
      exec_input(execs[i], "x")[0] = (float)(100 * run + i);
    }
    if (!status) status = team_send(team, execs);
    if (!status) status = team_finish(team, execs);
    for (int i = 0; i < n; i++) n_wrong += devices[i].seen != (float)(100 * run + i) || devices[i].n_done == 0;
  }
  CHECK(!status && !n_wrong, "%d devices: %d wrong: %s", n, n_wrong, status_message(status));
  status_free(status);
  for (int i = 0; i < n; i++) devices[i].waits = false;
  for (int bad = 0; bad < n; bad++) {
    devices[bad].cannot_run = true;
    status = team_start(team, execs);
    CHECK(status && strstr(status_message(status), "out of order"), "device %d of %d: %s", bad, n,
          status_message(status));
    status_free(status);
    status = team_run(team, execs);
    CHECK(status_code(status) == EXIT_DEVICE, "device %d of %d: %s", bad, n, status_message(status));
    status_free(status);
    devices[bad].cannot_run = false;
    status = team_run(team, execs);
    CHECK(!status, "device %d of %d, repaired: %s", bad, n, status_message(status));
    status_free(status);
  }
  team_close(team);
  for (int i = 0; i < n; i++) exec_close(execs[i]);
}

int main(void) {
  check_team(1);
  check_team(2);
  check_team(DEVICES);
  return check_report("team");
}
