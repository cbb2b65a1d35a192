// World: the thread that runs what all devices do together.
//
// Devices hand in all-reduces; when all of this process have handed in their next one, the thread runs it, over the
// network too where there are other processes. The main thread's broadcasts go the same way.
#include "runtime/world/world.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/hash.h"
#include "runtime/base/text.h"
#include "runtime/world/reduce.h"
#include "runtime/world/transport.h"

enum { RING = 256 }; // all-reduces that a device may have under way

typedef struct Seat {
  Collective collective;
  World *world;
  ReducePart ring[RING];
  int64_t begun;
} Seat;

typedef enum CallKind { CALL_NONE, CALL_BROADCAST, CALL_SUM } CallKind;

struct World {
  int rank, processes, devices, first, size;
  int *devices_of; // by process
  bool is_mpi;
  Mesh mesh;
  Watch *watch;
  Transport *transport; // NULL: this process is alone
  Reducer *reducer;
  Seat *seats;
  pthread_t thread;
  bool has_thread;
  pthread_mutex_t lock; // of what follows and of the seats
  pthread_cond_t work, done;
  int64_t finished; // all-reduces
  CallKind call;
  void *call_data;
  size_t call_size;
  int64_t n_begun; // all-reduces and calls that the thread has begun
  bool is_busy;    // it works on one, in memory of who asked for it
  Status status;   // the first error; nothing runs after it
  double stall;
  bool is_stopping;
};

int world_rank(const World *world) { return world ? world->rank : 0; }
int world_processes(const World *world) { return world ? world->processes : 1; }
int world_size(const World *world) { return world ? world->size : 1; }
int world_first(const World *world) { return world ? world->first : 0; }

// ---- the thread -----------------------------------------------------------------------------------------------------

static Status copy_of(Status status) {
  return status ? status_make(status_code(status), "%s", status_message(status)) : STATUS_OK;
}

// Called with the lock held.
static bool is_ready(const World *world) {
  for (int i = 0; i < world->devices; i++) {
    if (world->seats[i].begun <= world->finished) return false;
  }
  return true;
}

static Status exchange_small(World *world, const Parcel *send, const Parcel *receive) {
  return world->transport->table->exchange(world->transport, send, receive);
}

static Status broadcast(World *world) {
  Parcel *send = calloc(2 * (size_t)world->processes, sizeof *send);
  if (!send) BUG("out of memory");
  Parcel *receive = send + world->processes, all = {world->call_data, world->call_size};
  if (world->rank) receive[0] = all;
  for (int r = 1; r < world->processes && !world->rank; r++) send[r] = all;
  Status status = exchange_small(world, send, receive);
  free(send);
  return status;
}

static Status sum(World *world) {
  size_t n = world->call_size / sizeof(double);
  double *numbers = world->call_data, *all = malloc((size_t)world->processes * world->call_size);
  Parcel *send = calloc(2 * (size_t)world->processes, sizeof *send), *receive = send + world->processes;
  if (!send || !all) BUG("out of memory");
  for (int r = 0; r < world->processes; r++) {
    send[r] = (Parcel){numbers, world->call_size};
    receive[r] = (Parcel){all + (size_t)r * n, world->call_size};
  }
  memcpy(receive[world->rank].data, numbers, world->call_size);
  Status status = exchange_small(world, send, receive);
  for (size_t i = 0; i < n && !status; i++) {
    numbers[i] = 0;
    for (int r = 0; r < world->processes; r++) numbers[i] += all[(size_t)r * n + i];
  }
  free(all);
  free(send);
  return status;
}

static Status run_call(World *world) {
  if (!world->transport) return STATUS_OK;
  return world->call == CALL_SUM ? sum(world) : broadcast(world);
}

static Status run_reduce(World *world, int64_t number) {
  const ReducePart *first = &world->seats[0].ring[number % RING];
  const ReducePart **parts = reducer_parts(world->reducer);
  for (int i = 0; i < world->devices; i++) {
    parts[i] = &world->seats[i].ring[number % RING];
    if (parts[i]->n != first->n || parts[i]->is_max != first->is_max)
      return status_make(EXIT_BUG, "devices do not run the same program: all-reduce %lld", (long long)number);
  }
  return reducer_run(world->reducer);
}

static void *run(void *argument) {
  World *world = argument;
  pthread_mutex_lock(&world->lock);
  while (!world->is_stopping && !world->status) {
    bool has_call = world->call != CALL_NONE;
    if (!has_call && !is_ready(world)) {
      pthread_cond_wait(&world->work, &world->lock);
      continue;
    }
    int64_t number = world->finished;
    world->is_busy = true;
    world->n_begun++;
    if (world->watch) watch_progress(world->watch, world->n_begun);
    pthread_mutex_unlock(&world->lock);
    Status status = has_call ? run_call(world) : run_reduce(world, number);
    pthread_mutex_lock(&world->lock);
    world->is_busy = false;
    if (has_call) world->call = CALL_NONE;
    else world->finished++;
    if (world->status) status_free(status); // the waiting has ended for another reason
    else world->status = status;
    pthread_cond_broadcast(&world->done);
  }
  pthread_mutex_unlock(&world->lock);
  return NULL;
}

// ---- waiting --------------------------------------------------------------------------------------------------------

static void pause_for(World *world, double seconds) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  int64_t nanoseconds = until.tv_nsec + (int64_t)(1e9 * seconds);
  until.tv_sec += nanoseconds / 1000000000;
  until.tv_nsec = nanoseconds % 1000000000;
  pthread_cond_timedwait(&world->done, &world->lock, &until);
}

// Everybody lives, but for a long time nothing has gone on: who is behind is given up, so that this thread's work, too,
// ends. Called with the lock held.
static Status stalled(World *world) {
  char what[120];
  snprintf(what, sizeof what, "did not come to what all devices do together in %.0f s", world->stall);
  int behind = world->watch ? watch_behind(world->watch, world->n_begun) : -1;
  Status status = status_make(EXIT_PEER, "a device of this process %s", what);
  if (!world->watch) return status;
  Text reason = {0};
  text_printf(&reason, "it lives, but %s", what);
  if (behind >= 0) watch_blame(world->watch, behind, text_get(&reason));
  else watch_fail(world->watch, status_message(status));
  text_free(&reason);
  status_free(status);
  return watch_check(world->watch);
}

static bool is_over(const World *world, int64_t number) {
  return number < 0 ? world->call == CALL_NONE : world->finished > number;
}

// The error, if there is one, once the thread has let go of the memory that it works on: whoever is told may free that.
// An error ends the thread's work, as the watch has failed with it. Called with the lock held.
static Status take_error(World *world) {
  while (world->status && world->is_busy) pthread_cond_wait(&world->done, &world->lock);
  return copy_of(world->status);
}

// Until all-reduce `number` is done, or, for -1, the call. Called with the lock held.
static Status wait_until(World *world, int64_t number) {
  double start = clock_seconds();
  while (!is_over(world, number) && !world->status) {
    pause_for(world, 1);
    if (!is_over(world, number) && !world->status && world->watch) world->status = watch_check(world->watch);
    if (!is_over(world, number) && !world->status && clock_seconds() - start > world->stall)
      world->status = stalled(world);
  }
  return take_error(world);
}

// ---- all-reduces ----------------------------------------------------------------------------------------------------

static Status begin(Collective *collective, bool is_max, const float *from, float *to, int64_t floats, int64_t *out) {
  Seat *seat = (Seat *)collective;
  World *world = seat->world;
  pthread_mutex_lock(&world->lock);
  Status status = take_error(world);
  if (!status && seat->begun - world->finished >= RING) status = wait_until(world, seat->begun - RING);
  if (!status) {
    seat->ring[seat->begun % RING] = (ReducePart){from, to, floats, is_max};
    *out = seat->begun++;
    pthread_cond_signal(&world->work);
  }
  pthread_mutex_unlock(&world->lock);
  return status;
}

static Status finish(Collective *collective, int64_t number) {
  World *world = ((Seat *)collective)->world;
  pthread_mutex_lock(&world->lock);
  Status status = wait_until(world, number);
  pthread_mutex_unlock(&world->lock);
  return status;
}

// One thread runs the operations of all lanes, in the order in which they are called for.
static Status all_reduce(Collective *collective, CollectiveLane lane, bool is_max, const float *from, float *to,
                         int64_t floats, void *queue) {
  (void)lane;
  if (queue) return status_make(EXIT_DEVICE, "this world brings devices together that have no queues");
  int64_t number;
  TRY(begin(collective, is_max, from, to, floats, &number));
  return finish(collective, number);
}

static Status check(Collective *collective, double waited) {
  (void)waited; // the world has a clock of its own for each peer
  return world_check(((Seat *)collective)->world);
}

Collective *world_collective(World *world, int device) { return world ? &world->seats[device].collective : NULL; }

// ---- guarding those of others ---------------------------------------------------------------------------------------

typedef struct Guard {
  Collective collective, *inner;
  World *world;
} Guard;

static Status guarded_all_reduce(Collective *collective, CollectiveLane lane, bool is_max, const float *from, float *to,
                                 int64_t floats, void *queue) {
  Collective *inner = ((Guard *)collective)->inner;
  return inner->all_reduce(inner, lane, is_max, from, to, floats, queue);
}

static Status guarded_check(Collective *collective, double waited) {
  const Guard *guard = (const Guard *)collective;
  Status status = world_check(guard->world);
  if (!guard->inner->check) return status;
  if (!status) return guard->inner->check(guard->inner, waited);
  status_free(guard->inner->check(guard->inner, INFINITY)); // it gives up what it has in the queue
  return status;
}

Collective *world_guard(World *world, Collective *inner) {
  Guard *guard = malloc(sizeof *guard);
  if (!guard) BUG("out of memory");
  *guard = (Guard){
      .collective = {.all_reduce = guarded_all_reduce, .check = guarded_check, .is_capturable = inner->is_capturable},
      .inner = inner,
      .world = world};
  return &guard->collective;
}

// ---- what the main thread asks for ----------------------------------------------------------------------------------

static Status call(World *world, CallKind kind, void *data, size_t size) {
  if (!world || !world->transport) return STATUS_OK;
  pthread_mutex_lock(&world->lock);
  Status status = take_error(world);
  if (!status) {
    world->call_data = data;
    world->call_size = size;
    world->call = kind;
    pthread_cond_signal(&world->work);
    status = wait_until(world, -1);
  }
  pthread_mutex_unlock(&world->lock);
  return status;
}

Status world_broadcast(World *world, void *data, size_t size) { return call(world, CALL_BROADCAST, data, size); }

Status world_sum(World *world, double *numbers, int n) {
  return call(world, CALL_SUM, numbers, (size_t)n * sizeof *numbers);
}

Status world_barrier(World *world) {
  double nothing = 0;
  return world_sum(world, &nothing, 1);
}

Status world_check(World *world) {
  if (!world) return STATUS_OK;
  if (world->watch) TRY(watch_check(world->watch));
  pthread_mutex_lock(&world->lock);
  Status status = copy_of(world->status);
  pthread_mutex_unlock(&world->lock);
  return status;
}

void world_fail(World *world, const char *why) {
  if (!world) return;
  if (world->watch) watch_fail(world->watch, why);
  pthread_mutex_lock(&world->lock);
  if (!world->status) world->status = status_make(EXIT_PEER, "this process failed: %s", why);
  pthread_cond_broadcast(&world->work);
  pthread_cond_broadcast(&world->done);
  pthread_mutex_unlock(&world->lock);
}

// ---- opening and closing --------------------------------------------------------------------------------------------

// MPI's part: ranks, and where rank 0 listens.
typedef struct Meeting {
  char addresses[1024];
  int32_t port;
} Meeting;

static Status meet_by_mpi(WorldOptions *o, Meeting *meeting) {
  TRY(transport_mpi_begin(&o->rank, &o->size));
  if (o->rank == 0) {
    int port;
    TRY(socket_listen(NULL, 0, &o->listener, &port));
    meeting->port = port;
    socket_own_addresses(meeting->addresses, sizeof meeting->addresses - 16);
    strcat(meeting->addresses, "127.0.0.1\n"); // ranks of one machine that has no network
  }
  TRY(transport_mpi_broadcast(meeting, sizeof *meeting));
  o->meet = meeting->addresses;
  o->port = meeting->port;
  return STATUS_OK;
}

static Status connect_processes(World *world, const WorldOptions *options) {
  WorldOptions o = *options;
  Meeting meeting = {0};
  world->is_mpi = o.via == WORLD_MPI;
  if (world->is_mpi) {
    o.listener = -1;
    TRY(meet_by_mpi(&o, &meeting));
  }
  MeshOptions mesh = {.rank = o.rank,
                      .size = o.size,
                      .meet = o.meet,
                      .port = o.port,
                      .listener = o.listener,
                      .job = hash_fnv64(o.job ? o.job : ""),
                      .devices = o.devices,
                      .with_data = !world->is_mpi,
                      .patience = o.patience > 0 ? o.patience : WORLD_PATIENCE};
  Status status = mesh_open(&mesh, &world->mesh);
  if (world->is_mpi) socket_close(o.listener);
  TRY(status);
  world->rank = o.rank;
  world->processes = o.size;
  TRY(watch_open(&world->mesh, o.timeout > 0 ? o.timeout : WORLD_TIMEOUT, &world->watch));
  if (world->is_mpi) return transport_open_mpi(&world->mesh, world->watch, &world->transport);
  return transport_open_tcp(&world->mesh, world->watch, &world->transport);
}

static void count_devices(World *world) {
  world->devices_of = calloc((size_t)world->processes, sizeof *world->devices_of);
  if (!world->devices_of) BUG("out of memory");
  for (int r = 0; r < world->processes; r++) {
    world->devices_of[r] = world->transport ? world->mesh.peers[r].devices : world->devices;
    if (r < world->rank) world->first += world->devices_of[r];
    world->size += world->devices_of[r];
  }
}

static Status start_thread(World *world) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before); // signals are for the thread that trains
  world->has_thread = pthread_create(&world->thread, NULL, run, world) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return world->has_thread ? STATUS_OK : status_make(EXIT_DEVICE, "cannot start a thread for collective operations");
}

Status world_open(const WorldOptions *options, World **out) {
  World *world = calloc(1, sizeof *world);
  if (!world) BUG("out of memory");
  *world =
      (World){.processes = 1, .devices = options->devices, .stall = options->stall > 0 ? options->stall : WORLD_STALL};
  pthread_mutex_init(&world->lock, NULL);
  pthread_cond_init(&world->work, NULL);
  pthread_cond_init(&world->done, NULL);
  world->seats = calloc((size_t)world->devices, sizeof *world->seats);
  if (!world->seats) BUG("out of memory");
  for (int i = 0; i < world->devices; i++)
    world->seats[i] = (Seat){.collective = {.all_reduce = all_reduce, .check = check, .begin = begin, .finish = finish},
                             .world = world};
  Status status = STATUS_OK;
  if (options->via != WORLD_ALONE) status = connect_processes(world, options);
  if (!status) {
    count_devices(world);
    world->reducer = reducer_new(world->transport, world->devices_of, world->devices);
    status = start_thread(world);
  }
  if (status) {
    world_close(world);
    return status;
  }
  *out = world;
  return STATUS_OK;
}

void world_close(World *world) {
  if (!world) return;
  bool has_failed = world->status || (world->watch && watch_has_failed(world->watch));
  pthread_mutex_lock(&world->lock);
  world->is_stopping = true;
  pthread_cond_broadcast(&world->work);
  pthread_mutex_unlock(&world->lock);
  if (world->has_thread) pthread_join(world->thread, NULL);
  watch_close(world->watch);
  if (world->transport) world->transport->table->close(world->transport);
  if (world->is_mpi && !has_failed) transport_mpi_end();
  mesh_close(&world->mesh);
  reducer_free(world->reducer);
  pthread_mutex_destroy(&world->lock);
  pthread_cond_destroy(&world->work);
  pthread_cond_destroy(&world->done);
  status_free(world->status);
  free(world->devices_of);
  free(world->seats);
  free(world);
}
