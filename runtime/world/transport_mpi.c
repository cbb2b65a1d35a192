// MPI: the library is opened when it is wanted, so that nothing needs it to build or to run alone.
//
// MPI itself says nothing of dead peers: it aborts, or waits for ever. So nothing here blocks: requests are asked after
// in turns, and between the turns the watch is, which has connections of its own.
#include <dlfcn.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/world/mpi_abi.h"
#include "runtime/world/transport.h"

static struct {
  void *library;
  bool is_begun;
#define MPI_FUNCTION(name, arguments) int(*name) arguments;
#include "runtime/world/mpi_abi.h"
#undef MPI_FUNCTION
  void *world, *byte, *no_request;
} mpi;

enum { PIECE = 1 << 28, TAGS = 1 << 14 }; // bytes of a message: counts are ints

typedef struct Mpi {
  Transport transport;
  int tag;
  MpiRequest *requests;
  int n, capacity;
} Mpi;

bool transport_mpi_is_launched(void) {
  // Open MPI's mpirun; PMIx of srun --mpi=pmix, which makes a job of several tasks only
  const char *size = getenv("OMPI_COMM_WORLD_SIZE"), *tasks = getenv("SLURM_NTASKS");
  if (size) return atoi(size) > 1;
  return getenv("PMIX_RANK") && tasks && atoi(tasks) > 1;
}

static Status find_symbols(const char *path) {
  const struct {
    const char *name;
    void *where;
  } symbols[] = {
#define MPI_FUNCTION(name, arguments) {"MPI_" #name, &mpi.name},
#include "runtime/world/mpi_abi.h"
#undef MPI_FUNCTION
      {"ompi_mpi_comm_world", &mpi.world},
      {"ompi_mpi_byte", &mpi.byte},
      {"ompi_request_null", &mpi.no_request},
  };
  for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
    void *found = dlsym(mpi.library, symbols[i].name);
    if (!found)
      return status_make(EXIT_DEVICE, "%s lacks %s: it is no Open MPI, the only kind that is known here", path,
                         symbols[i].name);
    memcpy(symbols[i].where, &found, sizeof found);
  }
  return STATUS_OK;
}

static Status open_library(void) {
  static const char *const names[] = {"libmpi.so.40", "libmpi.so"};
  const char *path = getenv("SGC_MPI");
  if (path && *path) {
    mpi.library = dlopen(path, RTLD_NOW | RTLD_GLOBAL); // global: Open MPI's own plugins look for it
  } else {
    for (size_t i = 0; i < sizeof names / sizeof *names && !mpi.library; i++)
      mpi.library = dlopen(path = names[i], RTLD_NOW | RTLD_GLOBAL);
  }
  if (!mpi.library)
    return status_make(EXIT_DEVICE, "this process was started for MPI, but its library cannot be opened: %s",
                       dlerror());
  return find_symbols(path);
}

Status transport_mpi_begin(int *out_rank, int *out_size) {
  if (!mpi.library) TRY(open_library());
  int level = 0;
  if (mpi.Init_thread(NULL, NULL, MPI_ABI_THREAD_SERIALIZED, &level) != 0)
    return status_make(EXIT_DEVICE, "MPI does not start");
  mpi.is_begun = true;
  if (level < MPI_ABI_THREAD_SERIALIZED)
    return status_make(EXIT_DEVICE, "this MPI is made for one thread only; one for several is needed");
  mpi.Comm_rank(mpi.world, out_rank);
  mpi.Comm_size(mpi.world, out_size);
  return STATUS_OK;
}

Status transport_mpi_broadcast(void *data, int size) {
  if (mpi.Bcast(data, size, mpi.byte, 0, mpi.world) == 0) return STATUS_OK;
  return status_make(EXIT_DEVICE, "MPI does not broadcast");
}

void transport_mpi_end(void) {
  if (mpi.is_begun) mpi.Finalize();
  mpi.is_begun = false;
}

static void push_request(Mpi *self, MpiRequest request) {
  if (self->n == self->capacity) {
    self->capacity = self->capacity ? 2 * self->capacity : 64;
    self->requests = realloc(self->requests, sizeof *self->requests * (size_t)self->capacity);
    if (!self->requests) BUG("out of memory");
  }
  self->requests[self->n++] = request;
}

static int begin_parcel(Mpi *self, bool is_send, const Parcel *parcel, int rank) {
  for (size_t at = 0; at < parcel->size; at += PIECE) {
    MpiRequest request = mpi.no_request;
    int n = (int)(parcel->size - at < PIECE ? parcel->size - at : PIECE), failed;
    char *data = (char *)parcel->data + at;
    if (is_send) failed = mpi.Isend(data, n, mpi.byte, rank, self->tag, mpi.world, &request);
    else failed = mpi.Irecv(data, n, mpi.byte, rank, self->tag, mpi.world, &request);
    if (failed) return failed;
    push_request(self, request);
  }
  return 0;
}

static Status exchange(Transport *transport, const Parcel *send, const Parcel *receive) {
  Mpi *self = (Mpi *)transport;
  self->n = 0;
  self->tag = (self->tag + 1) % TAGS;
  int failed = 0, is_done = 0;
  for (int r = 0; r < transport->mesh->size && !failed; r++) {
    if (r == transport->mesh->rank) continue;
    failed = begin_parcel(self, false, &receive[r], r);
    if (!failed) failed = begin_parcel(self, true, &send[r], r);
  }
  for (int turn = 0; !failed; turn++) {
    failed = mpi.Testall(self->n, self->requests, &is_done, MPI_ABI_STATUSES_IGNORE);
    if (is_done || failed) break;
    if (watch_has_failed(transport->watch)) return watch_check(transport->watch);
    // the other ranks may share this core
    if (turn > 1000) usleep(100);
    else if (turn > 20) sched_yield();
  }
  if (!failed) return STATUS_OK;
  for (int i = 0; i < 20 && !watch_has_failed(transport->watch); i++) usleep(100000); // it knows more, soon
  TRY(watch_check(transport->watch));
  return status_make(EXIT_PEER, "MPI gives up with error %d", failed);
}

static void close_mpi(Transport *transport) {
  Mpi *self = (Mpi *)transport;
  free(self->requests);
  free(self);
}

static const TransportTable table = {"mpi", exchange, close_mpi};

Status transport_open_mpi(const Mesh *mesh, Watch *watch, Transport **out) {
  Mpi *self = calloc(1, sizeof *self);
  if (!self) BUG("out of memory");
  self->transport = (Transport){&table, mesh, watch};
  *out = &self->transport;
  return STATUS_OK;
}
