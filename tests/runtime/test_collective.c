// Devices that add up together: threads of one process, processes over TCP, any mix of both, and peers that fail.
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/random.h"
#include "runtime/world/socket.h"
#include "runtime/world/world.h"
#include "tests/check.h"

enum { DEVICES = 8, MAX_FLOATS = 100003, ROUNDS = 6 };
static const int64_t lengths[ROUNDS] = {1, 7, 4096, 4097, 100003, 50};

static void values_of(int device, int round, float *out) {
  Random random = random_substream(random_stream(7, "collective"), (uint64_t)(device * ROUNDS + round));
  random_fill_uniform(random, out, lengths[round], -1, 1);
  if (round == 5) out[3] = device == 2 ? NAN : out[3]; // the round of maxima
}

// What has to come out, bit for bit: the sums in the order of the devices.
static void expected(int devices, int round, float *out) {
  float *one = malloc(sizeof *one * MAX_FLOATS);
  values_of(0, round, out);
  for (int d = 1; d < devices; d++) {
    values_of(d, round, one);
    for (int64_t i = 0; i < lengths[round]; i++) {
      if (round == 5) out[i] = isnan(out[i]) || out[i] > one[i] ? out[i] : one[i];
      else out[i] += one[i];
    }
  }
  free(one);
}

// ---- the devices of one process -------------------------------------------------------------------------------------

typedef struct Device0 {
  World *world;
  int local, n_wrong, devices;
  bool is_async;
} Device0;

static bool is_same(const float *a, const float *b, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    if (memcmp(&a[i], &b[i], sizeof *a) && !(isnan(a[i]) && isnan(b[i]))) return false;
  }
  return true;
}

static void *run_device(void *argument) {
  Device0 *self = argument;
  Collective *collective = world_collective(self->world, self->local);
  float *from[ROUNDS], *to[ROUNDS], *want = malloc(sizeof *want * MAX_FLOATS);
  int64_t number[ROUNDS] = {0};
  for (int r = 0; r < ROUNDS; r++) {
    from[r] = malloc(sizeof(float) * MAX_FLOATS);
    to[r] = r % 2 ? from[r] : malloc(sizeof(float) * MAX_FLOATS); // in place and not
    values_of(world_first(self->world) + self->local, r, from[r]);
  }
  Status status = STATUS_OK;
  for (int r = 0; r < ROUNDS && !status; r++) {
    if (self->is_async) status = collective->begin(collective, r == 5, from[r], to[r], lengths[r], &number[r]);
    else status = collective->all_reduce(collective, LANE_LARGE, r == 5, from[r], to[r], lengths[r], NULL);
  }
  if (self->is_async && !status) status = collective->finish(collective, number[ROUNDS - 1]);
  self->n_wrong += status != STATUS_OK;
  for (int r = 0; r < ROUNDS; r++) {
    expected(self->devices, r, want);
    self->n_wrong += !status && !is_same(to[r], want, lengths[r]);
    if (to[r] != from[r]) free(to[r]);
    free(from[r]);
  }
  if (status) printf("device %d: %s\n", self->local, status_message(status));
  status_free(status);
  free(want);
  return NULL;
}

static int run_devices(World *world, int n, bool is_async) {
  pthread_t thread[DEVICES];
  Device0 device[DEVICES];
  int n_wrong = 0;
  for (int i = 0; i < n; i++) {
    device[i] = (Device0){world, i, 0, world_size(world), is_async};
    pthread_create(&thread[i], NULL, run_device, &device[i]);
  }
  for (int i = 0; i < n; i++) {
    pthread_join(thread[i], NULL);
    n_wrong += device[i].n_wrong;
  }
  return n_wrong;
}

static void check_threads(void) {
  for (int n = 1; n <= DEVICES; n *= 2) {
    World *world = NULL;
    Status status = world_open(&(WorldOptions){.devices = n}, &world);
    CHECK(!status && world_size(world) == n && world_processes(world) == 1, "a world of %d threads", n);
    CHECK(run_devices(world, n, false) == 0, "%d threads add up in order", n);
    CHECK(run_devices(world, n, true) == 0, "%d threads add up beside their work", n);
    double number = 2;
    CHECK(!world_sum(world, &number, 1) && number == 2, "a process alone");
    world_close(world);
  }
}

// ---- processes ------------------------------------------------------------------------------------------------------

// What a child leaves, in memory that it shares with its parent.
typedef struct Report {
  int n_wrong;
  double seconds; // until it knew of a failure
  char message[300];
} Report;

typedef struct Job {
  int processes, listener, port;
  double timeout, patience, stall;
  Report *reports;
  pid_t child[DEVICES];
} Job;

static Job job_new(int processes) {
  Job job = {.processes = processes, .timeout = 1.5, .patience = 20};
  Status status = socket_listen("127.0.0.1", 0, &job.listener, &job.port);
  CHECK(!status, "%s", status_message(status));
  job.reports = mmap(NULL, sizeof *job.reports * DEVICES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return job;
}

typedef void ChildWork(World *world, int devices, Report *report);

static Status join_job(const Job *job, int rank, int devices, World **out) {
  WorldOptions options = {.via = WORLD_TCP,
                          .rank = rank,
                          .size = job->processes,
                          .meet = "127.0.0.1",
                          .port = job->port,
                          .listener = rank == 0 ? job->listener : -1,
                          .job = "test",
                          .devices = devices,
                          .timeout = job->timeout,
                          .patience = job->patience,
                          .stall = job->stall};
  return world_open(&options, out);
}

static void start(Job *job, int rank, int devices, ChildWork *work) {
  fflush(stdout);
  job->child[rank] = fork();
  if (job->child[rank]) return;
  alarm(60);
  World *world = NULL;
  Report *report = &job->reports[rank];
  Status status = join_job(job, rank, devices, &world);
  if (status) snprintf(report->message, sizeof report->message, "%s", status_message(status));
  else work(world, devices, report);
  world_close(world);
  _exit(status != STATUS_OK);
}

static void job_end(Job *job) {
  for (int r = 0; r < job->processes; r++) {
    if (job->child[r] > 0) waitpid(job->child[r], NULL, 0);
  }
  close(job->listener);
  munmap(job->reports, sizeof *job->reports * DEVICES);
}

static void add_up(World *world, int devices, Report *report) {
  double numbers[2] = {1 << world_rank(world), devices};
  char text[8] = "nothing";
  if (world_rank(world) == 0) memcpy(text, "from 0!", 8);
  report->n_wrong += run_devices(world, devices, false) + run_devices(world, devices, true);
  Status status = world_broadcast(world, text, sizeof text);
  if (!status) status = world_sum(world, numbers, 2);
  if (!status) status = world_barrier(world);
  report->n_wrong += status || strcmp(text, "from 0!");
  report->n_wrong += numbers[0] != (1 << world_processes(world)) - 1 || numbers[1] != world_size(world);
  report->n_wrong += run_devices(world, devices, true);
  status_free(status);
}

// The same eight devices, however they are spread, give the same bits; also where processes have different numbers.
static void check_spreads(void) {
  static const int spreads[][DEVICES] = {{4, 4}, {2, 2, 2, 2}, {1, 1, 1, 1, 1, 1, 1, 1}, {3, 1, 4}, {1, 7}};
  for (size_t i = 0; i < sizeof spreads / sizeof *spreads; i++) {
    int n = 0;
    while (n < DEVICES && spreads[i][n]) n++;
    Job job = job_new(n);
    for (int r = n - 1; r >= 0; r--) start(&job, r, spreads[i][r], add_up); // rank 0 comes last
    for (int r = 0; r < n; r++) waitpid(job.child[r], NULL, 0);
    for (int r = 0; r < n; r++)
      CHECK(job.reports[r].n_wrong == 0 && !job.reports[r].message[0], "rank %d of %d: %d wrong %s", r, n,
            job.reports[r].n_wrong, job.reports[r].message);
    memset(job.child, 0, sizeof job.child);
    job_end(&job);
  }
}

// ---- failures -------------------------------------------------------------------------------------------------------

// Sums until that fails.
static void until_failure(World *world, int devices, Report *report) {
  (void)devices;
  double start = clock_seconds();
  Collective *collective = world_collective(world, 0);
  float *x = calloc(10000, sizeof *x);
  Status status = STATUS_OK;
  while (!status) {
    status = collective->all_reduce(collective, LANE_LARGE, false, x, x, 10000, NULL);
    report->seconds = clock_seconds() - start;
    usleep(1000);
  }
  snprintf(report->message, sizeof report->message, "%d %s", (int)status_code(status), status_message(status));
  status_free(status);
  free(x);
}

// One that ends by an error of its own.
static void give_up(World *world, int devices, Report *report) {
  (void)devices, (void)report;
  usleep(200000);
  world_fail(world, "the disk is full");
}

static void check_reports(const Job *job, const char *title, int except, const char *says, double seconds) {
  for (int r = 0; r < job->processes; r++) {
    if (r == except) continue;
    const Report *report = &job->reports[r];
    CHECK(strstr(report->message, says) && !strncmp(report->message, "8 ", 2), "%s: rank %d says '%s', not '%s'", title,
          r, report->message, says);
    CHECK(report->seconds < seconds, "%s: rank %d knew after %.1f s", title, r, report->seconds);
  }
}

static void check_signal(int signal, const char *title, const char *says) {
  Job job = job_new(4);
  char name[64];
  for (int r = 0; r < 4; r++) start(&job, r, 1, until_failure);
  usleep(500000);
  kill(job.child[2], signal);
  for (int r = 0; r < 4; r++) {
    if (r != 2) waitpid(job.child[r], NULL, 0);
  }
  snprintf(name, sizeof name, "process %d", job.child[2]);
  check_reports(&job, title, 2, "lost rank 2 (host ", 10);
  check_reports(&job, title, 2, name, 10);
  check_reports(&job, title, 2, says, 10);
  kill(job.child[2], SIGCONT);
  if (signal == SIGSTOP) {
    waitpid(job.child[2], NULL, 0);
    CHECK(strstr(job.reports[2].message, "8 "), "%s: it finds out itself: '%s'", title, job.reports[2].message);
  }
  memset(job.child, 0, sizeof job.child);
  job_end(&job);
}

static void check_own_failure(void) {
  Job job = job_new(3);
  for (int r = 0; r < 3; r++) start(&job, r, 1, r == 1 ? give_up : until_failure);
  for (int r = 0; r < 3; r++) waitpid(job.child[r], NULL, 0);
  check_reports(&job, "an error of its own", 1, "failed: the disk is full", 10);
  check_reports(&job, "an error of its own", 1, "rank 1 (host ", 10);
  memset(job.child, 0, sizeof job.child);
  job_end(&job);
}

// One that lives, but does not come: it hears from the others that they have given it up.
static void dawdle(World *world, int devices, Report *report) {
  (void)devices;
  Status status = world_barrier(world);
  for (double end = clock_seconds() + 20; !status && clock_seconds() < end; usleep(10000)) status = world_check(world);
  snprintf(report->message, sizeof report->message, "%s", status_message(status));
  status_free(status);
}

static void wait_for_it(World *world, int devices, Report *report) {
  Status status = world_barrier(world);
  if (status) snprintf(report->message, sizeof report->message, "%s", status_message(status));
  else until_failure(world, devices, report);
  status_free(status);
}

static void check_stall(void) {
  Job job = job_new(3);
  job.stall = 1;
  for (int r = 0; r < 3; r++) start(&job, r, 1, r == 1 ? dawdle : wait_for_it);
  for (int r = 0; r < 3; r++) waitpid(job.child[r], NULL, 0);
  check_reports(&job, "one dawdles", 1, "lost rank 1 (host ", 10);
  check_reports(&job, "one dawdles", 1, "it lives, but did not come to what all devices do together in 1 s", 10);
  CHECK(strstr(job.reports[1].message, "given this one up"), "the one that dawdles: '%s'", job.reports[1].message);
  memset(job.child, 0, sizeof job.child);
  job_end(&job);
}

// A device that does not come holds up the others of its process, too.
static void check_stalled_device(void) {
  World *world = NULL;
  Status status = world_open(&(WorldOptions){.devices = 2, .stall = 1}, &world);
  CHECK(!status, "%s", status_message(status));
  Collective *collective = world_collective(world, 0);
  float x = 3;
  status = collective->all_reduce(collective, LANE_LARGE, false, &x, &x, 1, NULL);
  CHECK(status_code(status) == EXIT_PEER && strstr(status_message(status), "a device of this process did not come"),
        "'%s'", status_message(status));
  status_free(status);
  world_close(world);
}

static void check_missing(void) {
  Job job = job_new(4);
  job.patience = 1;
  start(&job, 0, 1, add_up);
  start(&job, 2, 1, add_up);
  waitpid(job.child[0], NULL, 0);
  waitpid(job.child[2], NULL, 0);
  CHECK(strstr(job.reports[0].message, "these ranks of 4 never came: 1, 3"), "says '%s'", job.reports[0].message);
  CHECK(job.reports[2].message[0], "rank 2 learns of it: '%s'", job.reports[2].message);
  memset(job.child, 0, sizeof job.child);
  job_end(&job);
}

// Somebody else's connections to rank 0 do no harm.
static void check_strangers(void) {
  Job job = job_new(2);
  job.patience = 10;
  start(&job, 0, 2, add_up);
  int fd = -1;
  Status status = socket_connect("127.0.0.1", job.port, clock_seconds() + 5, &fd);
  if (!status) status = socket_send(fd, "GET / HTTP/1.1\r\n\r\n", 18, clock_seconds() + 5);
  CHECK(!status, "%s", status_message(status));
  close(fd);
  start(&job, 1, 6, add_up);
  for (int r = 0; r < 2; r++) waitpid(job.child[r], NULL, 0);
  for (int r = 0; r < 2; r++)
    CHECK(job.reports[r].n_wrong == 0 && !job.reports[r].message[0], "rank %d: %s", r, job.reports[r].message);
  memset(job.child, 0, sizeof job.child);
  job_end(&job);
}

// ---- one that is formed elsewhere -----------------------------------------------------------------------------------

static double asked_with; // seconds waited

static Status doubled(Collective *collective, CollectiveLane lane, bool is_max, const float *from, float *to,
                      int64_t floats, void *queue) {
  (void)collective, (void)lane, (void)is_max, (void)queue;
  for (int64_t i = 0; i < floats; i++) to[i] = 2 * from[i];
  return STATUS_OK;
}

static Status patient(Collective *collective, double waited) {
  (void)collective;
  asked_with = waited;
  return waited > 100 ? status_make(EXIT_PEER, "no answer") : STATUS_OK;
}

static void check_guard(void) {
  World *world = NULL;
  Status status = world_open(&(WorldOptions){.devices = 2}, &world);
  Collective inner = {.all_reduce = doubled, .check = patient, .is_capturable = true},
             *guard = world_guard(world, &inner);
  float x = 3;
  CHECK(!status && !guard->all_reduce(guard, LANE_URGENT, false, &x, &x, 1, NULL) && x == 6, "passed on");
  CHECK(guard->is_capturable && !guard->begin, "what it can do");
  CHECK(!guard->check(guard, 7) && asked_with == 7, "asked");
  world_fail(world, "a test");
  status = guard->check(guard, 8);
  CHECK(status_code(status) == EXIT_PEER && strstr(status_message(status), "a test"), "'%s'", status_message(status));
  CHECK(isinf(asked_with), "it is told to give up");
  status_free(status);
  free(guard);
  world_close(world);
}

int main(void) {
  check_guard();
  check_threads();
  check_spreads();
  check_strangers();
  check_signal(SIGKILL, "killed", "its process ended");
  check_signal(SIGSTOP, "stopped", "no sign of life for 1.5 s");
  check_own_failure();
  check_stall();
  check_stalled_device();
  check_missing();
  return check_report("collective");
}
