// The collectives' interface, and groups.
#include "tests/simgpu/driver_handle.h"
#include "tests/simgpu/driver_memory.h"
#include "tests/simgpu/nccl_shared.h"
#include "tests/simgpu/nccl_state.h"
#include "tests/simgpu/stream_schedule.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Pending {
  struct ncclComm *comm;
  Call call;
  Stream *stream;
} Pending;

// The group of this thread.
static __thread int depth;
static __thread Pending *pending;
static __thread int n_pending;
static __thread Clique **joining;
static __thread int n_joining;
static __thread ncclResult_t group_error;

bool nccl_grouping(void) { return depth > 0; }

void nccl_group_add(struct ncclComm *comm, Call call, Stream *stream) {
  pending = realloc(pending, sizeof *pending * (size_t)(n_pending + 1));
  if (!pending) abort();
  pending[n_pending++] = (Pending){comm, call, stream};
}

void nccl_group_join(Clique *clique) {
  joining = realloc(joining, sizeof(Clique *) * (size_t)(n_joining + 1));
  if (!joining) abort();
  joining[n_joining++] = clique;
}

ncclResult_t nccl_queue(struct ncclComm *comm, const Call *calls, int n_calls, Stream *stream) {
  GroupWork *work = work_new(comm->clique->is_spread ? &nccl_spread_type : &nccl_work_type, sizeof *work);
  work->comm = comm;
  work->n_calls = n_calls;
  work->calls = malloc(sizeof *calls * (size_t)n_calls);
  if (!work->calls) abort();
  memcpy(work->calls, calls, sizeof *calls * (size_t)n_calls);
  return stream_put(stream, &work->work, NULL) ? ncclUnhandledCudaError : ncclSuccess;
}

// Queues the group's calls: of each communicator, one operation.
static ncclResult_t queue_pending(void) {
  ncclResult_t result = ncclSuccess;
  Call *calls = malloc(sizeof *calls * (size_t)(n_pending + 1));
  if (!calls) abort();
  for (int k = 0; k < n_pending; k++) {
    struct ncclComm *comm = pending[k].comm;
    Stream *stream = pending[k].stream;
    if (!comm) continue;
    int n = 0;
    for (int i = k; i < n_pending; i++) {
      if (pending[i].comm != comm) continue;
      if (pending[i].stream != stream) {
        driver_report("NCCL: a group with several streams for one communicator is not simulated");
        result = ncclInvalidUsage;
      }
      calls[n++] = pending[i].call;
      pending[i].comm = NULL;
    }
    ncclResult_t queued = nccl_queue(comm, calls, n, stream);
    if (queued) result = queued;
  }
  free(calls);
  return result;
}

ncclResult_t ncclGroupStart(void) {
  depth++;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd(void) {
  if (!depth) return ncclInvalidUsage;
  if (--depth) return ncclSuccess;
  if (driver_enter(NULL)) return ncclUnhandledCudaError;
  ncclResult_t result = group_error;
  for (int k = 0; k < n_joining && !result; k++) result = nccl_wait_joined(joining[k]);
  if (!result) result = queue_pending();
  free(pending);
  free(joining);
  pending = NULL, joining = NULL;
  n_pending = n_joining = 0;
  group_error = ncclSuccess;
  driver_leave(CUDA_SUCCESS);
  return result;
}

// ---- checks of a call

static bool is_device_range(const struct ncclComm *comm, const void *start, size_t bytes, const char *name) {
  uint64_t address = (uint64_t)(uintptr_t)start;
  if (!bytes || (memory_is_device(address, bytes) && sim_memory_device(address) == comm->context->device)) return true;
  driver_report("NCCL, rank %d: the %zu bytes at 0x%llx of %s are not memory of device %d", comm->rank, bytes,
                (unsigned long long)address, name, comm->context->device);
  return false;
}

// Input and output may be the same where the rank's part of either is the whole of the other, else not overlap.
static bool overlaps_badly(const struct ncclComm *comm, const Call *call) {
  size_t in = nccl_in_bytes(call, comm->rank, comm->n_ranks), out = nccl_out_bytes(call, comm->rank, comm->n_ranks);
  size_t part = call->count * nccl_type_bytes(call->type) * (size_t)comm->rank;
  const char *from = call->in, *to = call->out;
  if (!in || !out || from + in <= to || to + out <= from) return false;
  if (call->kind == ALL_GATHER) return from != to + part;
  if (call->kind == REDUCE_SCATTER) return to != from + part;
  return from != to;
}

static ncclResult_t check(const struct ncclComm *comm, const Call *call) {
  char name[160];
  bool p2p = call->kind == SEND || call->kind == RECV;
  if (!nccl_type_bytes(call->type)) return ncclInvalidArgument;
  if (call->op < 0 || call->op >= ncclNumOps) return ncclInvalidArgument;
  if (call->peer < -1 || call->peer >= comm->n_ranks) return ncclInvalidArgument;
  nccl_name(call, name, sizeof name);
  if (p2p && call->peer == comm->rank) {
    driver_report("NCCL, rank %d: %s to itself is not simulated", comm->rank, name);
    return ncclInvalidArgument;
  }
  if (!is_device_range(comm, call->in, nccl_in_bytes(call, comm->rank, comm->n_ranks), name) ||
      !is_device_range(comm, call->out, nccl_out_bytes(call, comm->rank, comm->n_ranks), name))
    return ncclInvalidArgument;
  if (overlaps_badly(comm, call)) {
    driver_report("NCCL, rank %d: input and output of %s overlap", comm->rank, name);
    return ncclInvalidArgument;
  }
  return ncclSuccess;
}

// One thread that calls for one rank after another must do so in a group, or the first call may wait for ever.
static bool is_ungrouped(struct ncclComm *comm) {
  uint64_t self = driver_thread();
  if (depth) return false;
  comm->thread = self;
  comm->thread_call = comm->n_calls;
  for (int r = 0; r < comm->n_ranks; r++) {
    const struct ncclComm *other = comm->clique->ranks[r];
    if (!other || other == comm || other->thread != self || other->thread_call != comm->n_calls) continue;
    driver_report("NCCL: one thread calls for ranks %d and %d outside a group", r, comm->rank);
    return true;
  }
  return false;
}

// SIMGPU_NCCL_FAIL=RANK:CALL[:hang]: from its call of that number on, counted from 1, the rank takes no part. The
// others see ncclRemoteError; with "hang" they see nothing.
static ncclResult_t fail_wanted(struct ncclComm *comm) {
  int rank, call, end = 0;
  comm->n_calls++;
  if (sscanf(driver_options.nccl_fail, "%d:%d%n", &rank, &call, &end) != 2) return ncclSuccess;
  if (rank != comm->rank || comm->n_calls < (uint64_t)call || comm->lost) return ncclSuccess;
  comm->lost = true;
  if (!strcmp(driver_options.nccl_fail + end, ":hang")) return ncclSuccess;
  for (int r = 0; r < comm->n_ranks; r++) {
    if (comm->clique->ranks[r] && r != rank) comm->clique->ranks[r]->error = ncclRemoteError;
    if (!comm->clique->ranks[r]) nccl_shared_set_error(comm->clique->shared, r, ncclRemoteError);
  }
  comm->error = ncclSystemError;
  return ncclSystemError;
}

static ncclResult_t queue_call(ncclComm_t handle, Call call, cudaStream_t stream_handle) {
  struct ncclComm *comm = nccl_comm(handle);
  if (!comm) return ncclInvalidArgument;
  if (comm->context->error) return ncclUnhandledCudaError;
  if (!nccl_is_complete(comm->clique) && !depth) return comm->blocking ? ncclInvalidUsage : ncclInProgress;
  Stream *stream = stream_of((CUstream)stream_handle, comm->context);
  if (!stream || stream->context != comm->context) {
    driver_report("NCCL, rank %d: the stream is not of device %d", comm->rank, comm->context->device);
    return ncclInvalidUsage;
  }
  ncclResult_t result = check(comm, &call);
  if (!result) result = fail_wanted(comm);
  if (!result) result = nccl_error(comm);
  if (!result && is_ungrouped(comm)) result = ncclInvalidUsage;
  if (result) return result;
  if (!depth) return nccl_queue(comm, &call, 1, stream);
  nccl_group_add(comm, call, stream);
  return ncclSuccess;
}

static ncclResult_t put(ncclComm_t comm, Call call, cudaStream_t stream) {
  if (driver_enter(NULL)) return ncclUnhandledCudaError;
  ncclResult_t result = queue_call(comm, call, stream);
  if (depth && result && !group_error) group_error = result;
  driver_leave(CUDA_SUCCESS);
  return result;
}

// ---- the interface

ncclResult_t ncclAllReduce(const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t datatype, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t stream) {
  return put(comm, (Call){ALL_REDUCE, sendbuff, recvbuff, count, datatype, op, -1}, stream);
}

ncclResult_t ncclReduce(const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t datatype, ncclRedOp_t op,
                        int root, ncclComm_t comm, cudaStream_t stream) {
  if (root < 0) return ncclInvalidArgument;
  return put(comm, (Call){REDUCE, sendbuff, recvbuff, count, datatype, op, root}, stream);
}

ncclResult_t ncclBroadcast(const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t datatype, int root,
                           ncclComm_t comm, cudaStream_t stream) {
  if (root < 0) return ncclInvalidArgument;
  return put(comm, (Call){BROADCAST, sendbuff, recvbuff, count, datatype, ncclSum, root}, stream);
}

ncclResult_t ncclBcast(void *buff, size_t count, ncclDataType_t datatype, int root, ncclComm_t comm,
                       cudaStream_t stream) {
  return ncclBroadcast(buff, buff, count, datatype, root, comm, stream);
}

ncclResult_t ncclAllGather(const void *sendbuff, void *recvbuff, size_t sendcount, ncclDataType_t datatype,
                           ncclComm_t comm, cudaStream_t stream) {
  return put(comm, (Call){ALL_GATHER, sendbuff, recvbuff, sendcount, datatype, ncclSum, -1}, stream);
}

ncclResult_t ncclReduceScatter(const void *sendbuff, void *recvbuff, size_t recvcount, ncclDataType_t datatype,
                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return put(comm, (Call){REDUCE_SCATTER, sendbuff, recvbuff, recvcount, datatype, op, -1}, stream);
}

ncclResult_t ncclSend(const void *sendbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  if (peer < 0) return ncclInvalidArgument;
  return put(comm, (Call){SEND, sendbuff, NULL, count, datatype, ncclSum, peer}, stream);
}

ncclResult_t ncclRecv(void *recvbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  if (peer < 0) return ncclInvalidArgument;
  return put(comm, (Call){RECV, NULL, recvbuff, count, datatype, ncclSum, peer}, stream);
}
