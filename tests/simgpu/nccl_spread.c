// Operations of communicators whose ranks are in several processes. When an operation begins, each of its calls posts
// what the rank gives; once all have posted what a call needs, each rank computes its own result.
#include "tests/simgpu/driver_handle.h"
#include "tests/simgpu/driver_memory.h"
#include "tests/simgpu/nccl_shared.h"
#include "tests/simgpu/nccl_state.h"
#include "tests/simgpu/stream_order.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Part {
  NcclPlace place; // where the rank posts, or, to receive, reads
  bool is_posted, is_done;
} Part;

// What an operation keeps while it is queued.
typedef struct Spread {
  bool has_begun;
  int n_left;
  Part parts[]; // of each call
} Spread;

static const GroupWork *group_of(const Op *op) { return (const GroupWork *)op->work; }
static NcclShared *shared_of(const Op *op) { return group_of(op)->comm->clique->shared; }

static void spread_issue(Op *op) {
  const GroupWork *group = group_of(op);
  struct ncclComm *comm = group->comm;
  Spread *spread = calloc(1, sizeof *spread + sizeof(Part) * (size_t)group->n_calls);
  if (!spread) abort();
  op->issued = spread;
  spread->n_left = group->n_calls;
  if (!nccl_in_turn(op, comm)) return;
  for (int k = 0; k < group->n_calls; k++) {
    const Call *call = &group->calls[k];
    NcclPlace *place = &spread->parts[k].place;
    if (call->kind == SEND) *place = (NcclPlace){comm->rank, call->peer, comm->n_sent[call->peer]++};
    else if (call->kind == RECV) *place = (NcclPlace){call->peer, comm->rank, comm->n_received[call->peer]++};
    else *place = (NcclPlace){comm->rank, -1, comm->n_collectives++};
  }
}

// The first rank that a call still waits for; -1: none.
static int missing_rank(const Op *op, int k) {
  const Part *part = &((const Spread *)op->issued)->parts[k];
  const Call *call = &group_of(op)->calls[k];
  NcclShared *shared = shared_of(op);
  if (call->kind == SEND) return nccl_shared_is_taken(shared, part->place) ? -1 : call->peer;
  if (call->kind == RECV) return nccl_shared_is_posted(shared, part->place) ? -1 : call->peer;
  for (int r = 0; r < group_of(op)->comm->n_ranks; r++)
    if (!nccl_shared_is_posted(shared, (NcclPlace){r, -1, part->place.number})) return r;
  return -1;
}

static bool must_post(const Op *op, int k) {
  return group_of(op)->calls[k].kind != RECV && !((const Spread *)op->issued)->parts[k].is_posted;
}

static bool can_finish(const Op *op, int k) {
  return !((const Spread *)op->issued)->parts[k].is_done && !must_post(op, k) && missing_rank(op, k) < 0;
}

static bool spread_ready(Op *op) {
  Spread *spread = op->issued;
  const struct ncclComm *comm = group_of(op)->comm;
  if (comm->aborted) return true;
  if (comm->lost) return false;
  spread->has_begun = true;
  if (!spread->n_left) return true;
  for (int k = 0; k < group_of(op)->n_calls; k++)
    if (must_post(op, k) || can_finish(op, k)) return true;
  return false;
}

static void fail(Op *op, const char *why) {
  struct ncclComm *comm = group_of(op)->comm;
  comm->error = ncclInvalidUsage;
  driver_fail(op->context, CUDA_ERROR_LAUNCH_FAILED, "NCCL, rank %d of %d: %s", comm->rank, comm->n_ranks, why);
}

// The host address of what the rank reads or writes, NULL for nothing; false, and the operation has failed, if it can't
// be had.
static bool buffer(Op *op, const Call *call, SimAccess access, void **out, size_t *out_bytes) {
  const struct ncclComm *comm = group_of(op)->comm;
  size_t bytes = access == SIM_READ ? nccl_in_bytes(call, comm->rank, comm->n_ranks)
                                    : nccl_out_bytes(call, comm->rank, comm->n_ranks);
  uint64_t address = access == SIM_READ ? (uint64_t)(uintptr_t)call->in : (uint64_t)(uintptr_t)call->out;
  char reason[400], name[160], why[600];
  *out = NULL;
  *out_bytes = bytes;
  if (!bytes) return true;
  *out = sim_memory_range(address, bytes, access, reason, sizeof reason);
  stream_order_touch(op, address, bytes, access);
  if (*out) return true;
  nccl_name(call, name, sizeof name);
  snprintf(why, sizeof why, "%s: %s", name, reason);
  fail(op, why);
  return false;
}

static bool post(Op *op, int k) {
  const Call *call = &group_of(op)->calls[k];
  Part *part = &((Spread *)op->issued)->parts[k];
  void *data;
  size_t bytes;
  if (!buffer(op, call, SIM_READ, &data, &bytes)) return false;
  part->is_posted = nccl_shared_post(shared_of(op), part->place, call, sizeof *call, data, bytes);
  if (!part->is_posted) fail(op, "shared memory cannot be written; has another rank given up?");
  return part->is_posted;
}

// What rank r has posted for a call, which must be the same one; NULL, and the operation has failed, if it is not.
static void *read_part(Op *op, int k, int r) {
  const Call *call = &group_of(op)->calls[k];
  const struct ncclComm *comm = group_of(op)->comm;
  NcclPlace place = ((const Spread *)op->issued)->parts[k].place;
  char mine[160], theirs[160], why[500];
  Call other;
  void *data = NULL;
  size_t bytes;
  place.from = r;
  if (!nccl_shared_read(shared_of(op), place, &other, sizeof other, &data, &bytes)) {
    fail(op, "shared memory cannot be read; has another rank given up?");
    return NULL;
  }
  bool is_same = call->count == other.count && call->type == other.type &&
                 (call->kind == RECV || (call->kind == other.kind && call->op == other.op && call->peer == other.peer));
  if (is_same) return data;
  nccl_name(call, mine, sizeof mine);
  nccl_name(&other, theirs, sizeof theirs);
  snprintf(why, sizeof why, "ranks disagree on collective %llu: rank %d's is %s, rank %d's %s",
           (unsigned long long)place.number + 1, comm->rank, mine, r, theirs);
  fail(op, why);
  free(data);
  return NULL;
}

// Does the rank's part of a call that all have posted; false if the operation has failed.
static bool finish(Op *op, int k) {
  const Call *call = &group_of(op)->calls[k];
  const struct ncclComm *comm = group_of(op)->comm;
  Part *part = &((Spread *)op->issued)->parts[k];
  void *in[SIM_DEVICES] = {0}, *out[SIM_DEVICES] = {0}, *result;
  size_t bytes;
  bool is_good = true, is_message = call->kind == RECV;
  int first = is_message ? call->peer : 0, end = is_message ? first + 1 : comm->n_ranks;
  for (int r = first; r < end && is_good && call->kind != SEND; r++) is_good = (in[r] = read_part(op, k, r)) != NULL;
  if (is_good) is_good = buffer(op, call, SIM_WRITE, &result, &bytes);
  if (is_good && is_message) memcpy(result, in[first], bytes);
  else if (is_good && call->kind != SEND && call->count) {
    out[comm->rank] = result;
    nccl_compute(call, comm->n_ranks, in, out);
  }
  for (int r = 0; r < SIM_DEVICES; r++) free(in[r]);
  if (!is_good) return false;
  bool is_first_here = true;
  for (int r = 0; r < comm->rank; r++) is_first_here &= !comm->clique->ranks[r];
  driver_stats.collectives += is_first_here;
  if (call->kind != SEND) nccl_shared_done(shared_of(op), part->place, comm->rank, comm->n_ranks);
  part->is_done = true;
  ((Spread *)op->issued)->n_left--;
  return true;
}

static void spread_cancel(Op *op) {
  free(op->issued);
  op->issued = NULL;
}

static bool spread_run(Op *op) {
  Spread *spread = op->issued;
  bool is_good = true;
  if (!group_of(op)->comm->aborted) {
    for (int k = 0; k < group_of(op)->n_calls && is_good; k++)
      if (must_post(op, k)) is_good = post(op, k);
    for (int k = 0; k < group_of(op)->n_calls && is_good; k++)
      if (can_finish(op, k)) is_good = finish(op, k);
    if (!is_good || spread->n_left) return false;
  }
  spread_cancel(op);
  return true;
}

static void spread_missing(const Op *op, char *text, size_t n_text) {
  text[0] = 0;
  for (int k = 0; k < group_of(op)->n_calls && !text[0]; k++) {
    int r = ((const Spread *)op->issued)->parts[k].is_done ? -1 : missing_rank(op, k);
    if (r >= 0) snprintf(text, n_text, "rank %d", r);
  }
}

static bool spread_may_come(const Op *op) {
  const Spread *spread = op->issued;
  for (int k = 0; spread && k < group_of(op)->n_calls; k++) {
    int r = spread->parts[k].is_done ? -1 : missing_rank(op, k);
    if (r >= 0 && nccl_shared_is_other(shared_of(op), r) && nccl_shared_is_alive(shared_of(op), r)) return true;
  }
  return false;
}

const WorkType nccl_spread_type = {.name = "collective",
                                   .node = CU_GRAPH_NODE_TYPE_KERNEL,
                                   .issue = spread_issue,
                                   .ready = spread_ready,
                                   .run = spread_run,
                                   .cancel = spread_cancel,
                                   .destroy = nccl_group_destroy,
                                   .describe = nccl_group_describe,
                                   .missing = spread_missing,
                                   .may_come = spread_may_come};
