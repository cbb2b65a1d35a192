// Queueing: groups of calls become operations, operations of ranks are matched and carried out.
#include "tests/simgpu/driver_handle.h"
#include "tests/simgpu/driver_memory.h"
#include "tests/simgpu/nccl_state.h"
#include "tests/simgpu/stream_order.h"
#include "tests/simgpu/stream_schedule.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void nccl_name(const Call *call, char *text, size_t n_text) {
  static const char *const kinds[] = {"all_reduce",     "reduce", "broadcast", "all_gather",
                                      "reduce_scatter", "send",   "recv"};
  static const char *const types[] = {"int8",   "uint8",   "int32",   "uint32",  "int64",
                                      "uint64", "float16", "float32", "float64", "bfloat16"};
  static const char *const ops[] = {"sum", "product", "max", "min", "average"};
  int n = snprintf(text, n_text, "%s of %zu %s", kinds[call->kind], call->count, types[call->type]);
  bool reduces = call->kind == ALL_REDUCE || call->kind == REDUCE || call->kind == REDUCE_SCATTER;
  if (reduces) n += snprintf(text + n, n_text - (size_t)n, " by %s", ops[call->op]);
  if (call->peer >= 0) {
    const char *word = call->kind == SEND ? "to rank" : call->kind == RECV ? "from rank" : "with root";
    snprintf(text + n, n_text - (size_t)n, " %s %d", word, call->peer);
  }
}

// ---- matching

static Match *match_of(Clique *clique, int from, int to, uint64_t number) {
  Match *match;
  for (match = clique->matches; match; match = match->next)
    if (match->from == from && match->to == to && match->number == number) return match;
  match = calloc(1, sizeof *match);
  if (!match) abort();
  *match = (Match){.clique = clique,
                   .from = from,
                   .to = to,
                   .number = number,
                   .n_needed = from < 0 ? clique->n_ranks : 2,
                   .next = clique->matches};
  return clique->matches = match;
}

static void match_forget(Match *match) {
  for (Match **link = &match->clique->matches; *link; link = &(*link)->next)
    if (*link == match) {
      *link = match->next;
      break;
    }
  free(match);
}

// All ranks of a match fail, with the reason.
static void match_fail(Match *match, const char *why) {
  match->disagree = true;
  for (int r = 0; r < match->clique->n_ranks; r++) {
    if (!match->ops[r] || match->ops[r]->context->error) continue;
    struct ncclComm *comm = ((GroupWork *)match->ops[r]->work)->comm;
    comm->error = ncclInvalidUsage;
    driver_fail(match->ops[r]->context, CUDA_ERROR_LAUNCH_FAILED, "NCCL, rank %d of %d: %s", r, match->clique->n_ranks,
                why);
  }
}

// Reports a rank's call that another one's does not fit.
static void check_agreement(Match *match, int rank) {
  const Call *own = match->calls[rank];
  if (match->disagree) match_fail(match, "the other ranks have failed");
  for (int r = 0; r < match->clique->n_ranks; r++) {
    const Call *other = match->calls[r];
    if (!other || r == rank) continue;
    bool same = own->count == other->count && own->type == other->type &&
                (match->from >= 0 || (own->kind == other->kind && own->op == other->op && own->peer == other->peer));
    if (same) return;
    char mine[160], theirs[160], why[500];
    nccl_name(own, mine, sizeof mine);
    nccl_name(other, theirs, sizeof theirs);
    snprintf(why, sizeof why, "ranks disagree on collective %llu: rank %d's is %s, rank %d's %s",
             (unsigned long long)match->number + 1, rank, mine, r, theirs);
    match_fail(match, why);
    return;
  }
}

// ---- the operation

// What an operation keeps while it is queued: the match of each of its calls; NULL when that is done.
typedef struct Posted {
  bool begun;
  int n_left;
  Match *matches[];
} Posted;

bool nccl_in_turn(Op *op, struct ncclComm *comm) {
  if (!handle_is(comm, HANDLE_COMM)) {
    driver_fail(op->context, CUDA_ERROR_LAUNCH_FAILED, "NCCL: a graph's collective uses a destroyed communicator");
    return false;
  }
  op_wait_for(op, comm->last);
  op_release(comm->last);
  comm->last = op_keep(op);
  return true;
}

static void group_issue(Op *op) {
  const GroupWork *group = (const GroupWork *)op->work;
  struct ncclComm *comm = group->comm;
  Posted *posted = calloc(1, sizeof *posted + sizeof(Match *) * (size_t)group->n_calls);
  if (!posted) abort();
  op->issued = posted;
  posted->n_left = group->n_calls;
  if (!nccl_in_turn(op, comm)) return;
  for (int k = 0; k < group->n_calls; k++) {
    const Call *call = &group->calls[k];
    int from = -1, to = -1;
    uint64_t number;
    if (call->kind == SEND) from = comm->rank, to = call->peer, number = comm->n_sent[to]++;
    else if (call->kind == RECV) from = call->peer, to = comm->rank, number = comm->n_received[from]++;
    else number = comm->n_collectives++;
    Match *match = match_of(comm->clique, from, to, number);
    match->calls[comm->rank] = call;
    match->ops[comm->rank] = op;
    match->n_posted++;
    posted->matches[k] = match;
    check_agreement(match, comm->rank);
  }
}

static bool is_ready(const Match *match) {
  if (match->lost || match->disagree || match->n_posted < match->n_needed) return false;
  for (int r = 0; r < match->clique->n_ranks; r++) {
    const Op *op = match->ops[r];
    if (op && (op->context->error || !((const Posted *)op->issued)->begun)) return false;
  }
  return true;
}

static bool group_ready(Op *op) {
  Posted *posted = op->issued;
  const struct ncclComm *comm = ((GroupWork *)op->work)->comm;
  if (comm->aborted) return true;
  if (comm->lost) return false;
  posted->begun = true;
  if (!posted->n_left) return true;
  for (int k = 0; k < ((GroupWork *)op->work)->n_calls; k++)
    if (posted->matches[k] && is_ready(posted->matches[k])) return true;
  return false;
}

// The host address of what rank r reads or writes; false, and the match has failed, if it can't be had.
static bool buffer(Match *match, int r, SimAccess access, void **out) {
  const Call *call = match->calls[r];
  int n = match->clique->n_ranks;
  size_t bytes = access == SIM_READ ? nccl_in_bytes(call, r, n) : nccl_out_bytes(call, r, n);
  uint64_t address = access == SIM_READ ? (uint64_t)(uintptr_t)call->in : (uint64_t)(uintptr_t)call->out;
  char reason[400], name[160], why[600];
  *out = NULL;
  if (!bytes) return true;
  *out = sim_memory_range(address, bytes, access, reason, sizeof reason);
  stream_order_touch(match->ops[r], address, bytes, access);
  if (*out) return true;
  nccl_name(call, name, sizeof name);
  snprintf(why, sizeof why, "%s, rank %d: %s", name, r, reason);
  match_fail(match, why);
  return false;
}

// Carries a match out and takes it off all its operations.
static void match_run(Match *match) {
  void *in[SIM_DEVICES], *out[SIM_DEVICES];
  Op *ops[SIM_DEVICES];
  int n = 0;
  for (int r = 0; r < match->clique->n_ranks; r++)
    if (match->ops[r]) {
      stream_order_begin(match->ops[r]);
      ops[n++] = match->ops[r];
    }
  stream_order_meet(ops, n);
  n = 0;
  const Call *call = NULL;
  for (int r = 0; r < match->clique->n_ranks; r++)
    if (match->ops[r]) {
      if (!buffer(match, r, SIM_READ, &in[n])) return;
      if (match->from < 0 || r == match->from) call = match->calls[r];
      n++;
    }
  n = 0;
  for (int r = 0; r < match->clique->n_ranks; r++)
    if (match->ops[r] && !buffer(match, r, SIM_WRITE, &out[n++])) return;
  if (match->from > match->to) { // nccl_compute takes the sender's first
    void *first = in[0], *second = out[0];
    in[0] = in[1], in[1] = first;
    out[0] = out[1], out[1] = second;
  }
  if (call->count) nccl_compute(call, n, in, out);
  driver_stats.collectives++;
  for (int r = 0; r < match->clique->n_ranks; r++) {
    if (!match->ops[r]) continue;
    Posted *posted = match->ops[r]->issued;
    const GroupWork *group = (const GroupWork *)match->ops[r]->work;
    for (int k = 0; k < group->n_calls; k++)
      if (posted->matches[k] == match) {
        posted->matches[k] = NULL;
        posted->n_left--;
      }
  }
  match_forget(match);
}

// Takes the operation out of what it was part of.
static void group_cancel(Op *op) {
  Posted *posted = op->issued;
  const GroupWork *group = (const GroupWork *)op->work;
  for (int k = 0; k < group->n_calls; k++) {
    Match *match = posted->matches[k];
    if (!match) continue;
    match->lost = true;
    match->ops[group->comm->rank] = NULL;
    match->calls[group->comm->rank] = NULL;
    if (!--match->n_posted) match_forget(match);
  }
  free(posted);
  op->issued = NULL;
}

static bool group_run(Op *op) {
  Posted *posted = op->issued;
  const GroupWork *group = (const GroupWork *)op->work;
  if (group->comm->aborted) {
    group_cancel(op);
    return true;
  }
  for (int k = 0; k < group->n_calls; k++)
    if (posted->matches[k] && is_ready(posted->matches[k])) match_run(posted->matches[k]);
  if (posted->n_left) return false;
  free(posted);
  op->issued = NULL;
  return true;
}

void nccl_group_destroy(Work *work) { free(((GroupWork *)work)->calls); }

void nccl_group_describe(const Work *work, char *text, size_t n_text) {
  const GroupWork *group = (const GroupWork *)work;
  char name[160];
  nccl_name(&group->calls[0], name, sizeof name);
  snprintf(text, n_text, "%s%s", name, group->n_calls > 1 ? " and others of its group" : "");
}

// Which ranks an operation still waits for.
static void group_missing(const Op *op, char *text, size_t n_text) {
  const Posted *posted = op->issued;
  const GroupWork *group = (const GroupWork *)op->work;
  size_t used = 0;
  text[0] = 0;
  for (int k = 0; k < group->n_calls && !used; k++) {
    const Match *match = posted->matches[k];
    for (int r = 0; match && r < match->clique->n_ranks && used < n_text - 20; r++) {
      bool needed = match->from < 0 || r == match->from || r == match->to;
      if (needed && (!match->ops[r] || !((const Posted *)match->ops[r]->issued)->begun))
        used += (size_t)snprintf(text + used, n_text - used, "%s %d", used ? " and" : "rank", r);
    }
  }
}

const WorkType nccl_work_type = {.name = "collective",
                                 .node = CU_GRAPH_NODE_TYPE_KERNEL,
                                 .issue = group_issue,
                                 .ready = group_ready,
                                 .run = group_run,
                                 .cancel = group_cancel,
                                 .destroy = nccl_group_destroy,
                                 .describe = nccl_group_describe,
                                 .missing = group_missing};
