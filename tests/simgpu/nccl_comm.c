// Communicators: how they come to be, what they know, how they end.
#include "tests/simgpu/driver_handle.h"
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
  memcpy(id.magic, magic, sizeof magic);
  memset(uniqueId, 0, sizeof *uniqueId);
  memcpy(uniqueId, &id, sizeof id);
  return ncclSuccess;
}

struct ncclComm *nccl_comm(ncclComm_t handle) {
  return handle_is(handle, HANDLE_COMM) ? handle : NULL;
}

static Clique *clique_of(uint64_t id, int n_ranks) {
  for (Clique *clique = cliques; clique; clique = clique->next)
    if (clique->id == id) return clique;
  Clique *clique = calloc(1, sizeof *clique);
  if (!clique) abort();
  *clique = (Clique){.id = id, .n_ranks = n_ranks, .next = cliques};
  return cliques = clique;
}

// The communicator of a rank that joins; NULL, reported, if it can't.
static struct ncclComm *join(Clique *clique, int n_ranks, int rank, Context *context) {
  if (clique->n_ranks != n_ranks || clique->ranks[rank]) {
    driver_report("NCCL: rank %d of %d joins a communicator of %d%s", rank, n_ranks, clique->n_ranks,
                  clique->ranks[rank] ? " that has it already" : "");
    return NULL;
  }
  for (int r = 0; r < n_ranks; r++)
    if (clique->ranks[r] && clique->ranks[r]->context == context) {
      driver_report("NCCL: ranks %d and %d are both on device %d", r, rank, context->device);
      return NULL;
    }
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
  while (clique->n_joined < clique->n_ranks) {
    if (driver_wait(slice)) continue;
    waited += slice;
    if (waited < driver_options.deadlock_ms) continue;
    char missing[128] = "";
    for (int r = 0; r < clique->n_ranks; r++)
      if (!clique->ranks[r]) snprintf(missing + strlen(missing), sizeof missing - strlen(missing), " %d", r);
    driver_report("deadlock: a communicator of %d ranks waits for rank%s, which do not join", clique->n_ranks, missing);
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
  if (id.process != getpid()) {
    driver_report("NCCL: the simulator joins ranks of one process only");
    result = ncclSystemError;
  } else {
    Context *context = driver_current() ? driver_current() : &driver_contexts[0];
    Clique *clique = clique_of(id.number, n_ranks);
    *out = join(clique, n_ranks, rank, context);
    if (!*out) result = ncclInvalidUsage;
    else if (nccl_grouping()) nccl_group_join(clique);
    else if (blocking) result = nccl_wait_joined(clique);
    else if (clique->n_joined < n_ranks) result = ncclInProgress;
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
  Clique *clique = clique_of(next_id++, ndev);
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
  *asyncError = c->error                                   ? c->error
                : c->context->error                        ? ncclUnhandledCudaError
                : c->clique->n_joined < c->clique->n_ranks ? ncclInProgress
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

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  struct ncclComm *c;
  ncclResult_t result = enter(comm, &c);
  if (result) return result;
  result = flush(c);
  handle_retire(c);
  op_release(c->last);
  c->last = NULL;
  driver_leave(CUDA_SUCCESS);
  return result;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  struct ncclComm *c;
  ncclResult_t result = enter(comm, &c);
  if (result) return result;
  c->aborted = true;
  handle_retire(c);
  op_release(c->last);
  c->last = NULL;
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
