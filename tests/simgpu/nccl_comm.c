// Communicators: how they come to be, what they know, how they end.
#include "tests/simgpu/driver_handle.h"
#include "tests/simgpu/nccl_shared.h"
#include "tests/simgpu/nccl_state.h"
#include "tests/simgpu/stream_schedule.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static Clique *cliques;
static uint64_t next_id = 1;

// What a unique id holds.
typedef struct Id {
  char magic[8];
  int64_t process;
  uint64_t number;
} Id;
static const char magic[8] = "simgpu";

ncclResult_t ncclGetVersion(int *version) {
  if (!version) return ncclInvalidArgument;
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *uniqueId) {
  if (!uniqueId) return ncclInvalidArgument;
  driver_lock();
  Id id = {.process = getpid(), .number = next_id++};
  driver_unlock();
  if (!nccl_shared_make(id.process, id.number)) return ncclSystemError;
  memcpy(id.magic, magic, sizeof magic);
  memset(uniqueId, 0, sizeof *uniqueId);
  memcpy(uniqueId, &id, sizeof id);
  return ncclSuccess;
}

struct ncclComm *nccl_comm(ncclComm_t handle) {
  return handle_is(handle, HANDLE_COMM) ? handle : NULL;
}

static Clique *clique_of(int64_t process, uint64_t id, int n_ranks) {
  for (Clique *clique = cliques; clique; clique = clique->next)
    if (clique->process == process && clique->id == id) return clique;
  Clique *clique = calloc(1, sizeof *clique);
  if (!clique) abort();
  *clique = (Clique){.process = process, .id = id, .n_ranks = n_ranks, .next = cliques};
  return cliques = clique;
}

static void tell_change(void) {
  driver_lock();
  driver_changed();
  driver_unlock();
}

// As clique_of for an id that may have been made by another process; NULL, reported, if nobody made it.
static Clique *clique_of_id(Id id, int n_ranks) {
  Clique *clique = clique_of(id.process, id.number, n_ranks);
  if (clique->shared || clique->n_joined) return clique;
  clique->shared = nccl_shared_open(id.process, id.number, tell_change);
  if (clique->shared) return clique;
  driver_report("NCCL: the unique id %lld-%llu is not known on this machine, or no longer", (long long)id.process,
                (unsigned long long)id.number);
  return NULL;
}

bool nccl_is_complete(Clique *clique) {
  if (!clique->shared || clique->is_spread) return clique->is_spread || clique->n_joined == clique->n_ranks;
  bool is_spread = false;
  for (int r = 0; r < clique->n_ranks; r++) {
    if (!nccl_shared_has(clique->shared, r)) return false;
    is_spread |= nccl_shared_is_other(clique->shared, r);
  }
  clique->is_spread = is_spread;
  if (is_spread) {
    schedule_expect_host(); // devices go on by themselves while their host waits for another process
  } else {
    nccl_shared_remove(clique->shared);
    clique->shared = NULL; // its thread keeps it
  }
  return true;
}

ncclResult_t nccl_error(const struct ncclComm *comm) {
  if (comm->error || !comm->clique->is_spread) return comm->error;
  return (ncclResult_t)nccl_shared_error(comm->clique->shared, comm->rank);
}

// Joins the ranks of other processes; false, reported, if it can't.
static bool join_others(Clique *clique, int n_ranks, int rank, const Context *context) {
  int other;
  if (!clique->shared || nccl_shared_join(clique->shared, rank, n_ranks, context->device, &other)) return true;
  if (other >= 0) driver_report("NCCL: ranks %d and %d are both on device %d", other, rank, context->device);
  else driver_report("NCCL: rank %d of %d joins a communicator that has it already", rank, n_ranks);
  return false;
}

// The communicator of a rank that joins; NULL, reported, if it can't.
static struct ncclComm *join(Clique *clique, int n_ranks, int rank, Context *context) {
  int others = clique->shared ? nccl_shared_ranks(clique->shared) : 0;
  if (clique->n_ranks != n_ranks || (others && others != n_ranks) || clique->ranks[rank]) {
    driver_report("NCCL: rank %d of %d joins a communicator of %d%s", rank, n_ranks, others ? others : clique->n_ranks,
                  clique->ranks[rank] ? " that has it already" : "");
    return NULL;
  }
  for (int r = 0; r < n_ranks; r++)
    if (clique->ranks[r] && clique->ranks[r]->context == context) {
      driver_report("NCCL: ranks %d and %d are both on device %d", r, rank, context->device);
      return NULL;
    }
  if (!join_others(clique, n_ranks, rank, context)) return NULL;
  if (!context->retained) context->retained = 1; // as the runtime library does that NCCL is built on
  struct ncclComm *comm = handle_new(HANDLE_COMM, sizeof *comm);
  comm->clique = clique;
  comm->rank = rank;
  comm->n_ranks = n_ranks;
  comm->context = context;
  comm->blocking = true;
  clique->ranks[rank] = comm;
  clique->n_joined++;
  driver_changed();
  return comm;
}

ncclResult_t nccl_wait_joined(Clique *clique) {
  int waited = 0, slice = 20;
  while (!nccl_is_complete(clique)) {
    if (driver_wait(slice)) continue;
    waited += slice;
    if (waited < driver_options.deadlock_ms) continue;
    char missing[128] = "";
    for (int r = 0; r < clique->n_ranks; r++)
      if (!clique->ranks[r] && !(clique->shared && nccl_shared_has(clique->shared, r)))
        snprintf(missing + strlen(missing), sizeof missing - strlen(missing), " %d", r);
    driver_report("deadlock: a communicator of %d ranks waits for rank%s, which do not join", clique->n_ranks, missing);
    if (clique->shared) nccl_shared_remove(clique->shared);
    return ncclSystemError;
  }
  return ncclSuccess;
}

static ncclResult_t init_rank(ncclComm_t *out, int n_ranks, ncclUniqueId unique, int rank, bool blocking) {
  Id id;
  memcpy(&id, &unique, sizeof id);
  if (!out || n_ranks < 1 || n_ranks > SIM_DEVICES || rank < 0 || rank >= n_ranks) return ncclInvalidArgument;
  if (memcmp(id.magic, magic, sizeof magic)) return ncclInvalidArgument;
  if (driver_enter(NULL)) return ncclUnhandledCudaError;
  *out = NULL;
  ncclResult_t result = ncclSuccess;
  Clique *clique = clique_of_id(id, n_ranks);
  if (!clique) {
    result = ncclSystemError;
  } else {
    Context *context = driver_current() ? driver_current() : &driver_contexts[0];
    *out = join(clique, n_ranks, rank, context);
    if (!*out) result = ncclInvalidUsage;
    else if (nccl_grouping()) nccl_group_join(clique);
    else if (blocking) result = nccl_wait_joined(clique);
    else if (!nccl_is_complete(clique)) result = ncclInProgress;
    if (*out) (*out)->blocking = blocking;
  }
  driver_leave(CUDA_SUCCESS);
  return result;
}

ncclResult_t ncclCommInitRank(ncclComm_t *comm, int nranks, ncclUniqueId commId, int rank) {
  return init_rank(comm, nranks, commId, rank, true);
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int nranks, ncclUniqueId commId, int rank, ncclConfig_t *config) {
  if (config && config->magic != 0xcafebeef) return ncclInvalidArgument;
  return init_rank(comm, nranks, commId, rank, !config || config->blocking != 0);
}

ncclResult_t ncclCommInitAll(ncclComm_t *comm, int ndev, const int *devlist) {
  if (!comm || ndev < 1 || ndev > SIM_DEVICES) return ncclInvalidArgument;
  if (driver_enter(NULL)) return ncclUnhandledCudaError;
  Clique *clique = clique_of(getpid(), next_id++, ndev);
  ncclResult_t result = ncclSuccess;
  for (int r = 0; r < ndev && !result; r++) {
    int device = devlist ? devlist[r] : r;
    if (device < 0 || device >= driver_devices) result = ncclInvalidArgument;
    else if (!(comm[r] = join(clique, ndev, r, &driver_contexts[device]))) result = ncclInvalidUsage;
  }
  driver_leave(CUDA_SUCCESS);
  return result;
}

// Enters for a call about a communicator.
static ncclResult_t enter(ncclComm_t handle, struct ncclComm **out) {
  if (driver_enter(NULL)) return ncclUnhandledCudaError;
  *out = nccl_comm(handle);
  if (*out) return ncclSuccess;
  driver_leave(CUDA_SUCCESS);
  return ncclInvalidArgument;
}

ncclResult_t ncclCommCount(const ncclComm_t comm, int *count) {
  struct ncclComm *c;
  ncclResult_t result = enter(comm, &c);
  if (result) return result;
  *count = c->n_ranks;
  driver_leave(CUDA_SUCCESS);
  return ncclSuccess;
}

ncclResult_t ncclCommCuDevice(const ncclComm_t comm, int *device) {
  struct ncclComm *c;
  ncclResult_t result = enter(comm, &c);
  if (result) return result;
  *device = c->context->device;
  driver_leave(CUDA_SUCCESS);
  return ncclSuccess;
}

ncclResult_t ncclCommUserRank(const ncclComm_t comm, int *rank) {
  struct ncclComm *c;
  ncclResult_t result = enter(comm, &c);
  if (result) return result;
  *rank = c->rank;
  driver_leave(CUDA_SUCCESS);
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *asyncError) {
  struct ncclComm *c;
  ncclResult_t result = enter(comm, &c);
  if (result) return result;
  *asyncError = nccl_error(c)                  ? nccl_error(c)
                : c->context->error            ? ncclUnhandledCudaError
                : !nccl_is_complete(c->clique) ? ncclInProgress
                                               : ncclSuccess;
  driver_leave(CUDA_SUCCESS);
  return ncclSuccess;
}

// Waits for what the communicator has queued.
static ncclResult_t flush(struct ncclComm *comm) {
  if (comm->last) schedule_wait(comm->last);
  return comm->context->error ? ncclUnhandledCudaError : ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  struct ncclComm *c;
  ncclResult_t result = enter(comm, &c);
  if (result) return result;
  result = flush(c);
  driver_leave(CUDA_SUCCESS);
  return result;
}

// The communicator is gone. The last one, or one that gives up, which all others must then too, takes along what was
// shared.
static void leave(struct ncclComm *comm, bool gives_up) {
  Clique *clique = comm->clique;
  handle_retire(comm);
  op_release(comm->last);
  comm->last = NULL;
  if (clique->shared && (nccl_shared_leave(clique->shared) || gives_up)) nccl_shared_remove(clique->shared);
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  struct ncclComm *c;
  ncclResult_t result = enter(comm, &c);
  if (result) return result;
  result = flush(c);
  leave(c, false);
  driver_leave(CUDA_SUCCESS);
  return result;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  struct ncclComm *c;
  ncclResult_t result = enter(comm, &c);
  if (result) return result;
  c->aborted = true;
  leave(c, true);
  driver_changed();
  driver_leave(CUDA_SUCCESS);
  return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result) {
  switch (result) {
  case ncclSuccess: return "no error";
  case ncclUnhandledCudaError: return "unhandled cuda error (run with NCCL_DEBUG=INFO for details)";
  case ncclSystemError: return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
  case ncclInternalError: return "internal error - please report this issue to the NCCL developers";
  case ncclInvalidArgument: return "invalid argument (run with NCCL_DEBUG=WARN for details)";
  case ncclInvalidUsage: return "invalid usage (run with NCCL_DEBUG=WARN for details)";
  case ncclRemoteError: return "remote process exited or there was a network error";
  case ncclInProgress: return "NCCL operation in progress";
  default: return "unknown result code";
  }
}

const char *ncclGetLastError(ncclComm_t comm) {
  (void)comm;
  return simgpu_report();
}
