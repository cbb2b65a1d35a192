// Communicators of the simulated NCCL. The calls of a group on one communicator are one
// operation of a stream; it begins when it is the first there, each call is carried out when the operations of all
// ranks that have a part in it have begun, and the operation ends with its last call. Ranks may be in several processes
// of this machine (nccl_shared.h, nccl_spread.c); a communicator that is all in one takes nothing of that.
#ifndef SIM_NCCL_STATE_H
#define SIM_NCCL_STATE_H

#include "tests/simgpu/driver_graph.h"
#include <nccl.h>

typedef enum CallKind { ALL_REDUCE, REDUCE, BROADCAST, ALL_GATHER, REDUCE_SCATTER, SEND, RECV } CallKind;

// One call of the interface.
typedef struct Call {
  CallKind kind;
  const void *in;
  void *out;
  size_t count; // as the interface counts: of each rank's part for all_gather and reduce_scatter
  ncclDataType_t type;
  ncclRedOp_t op;
  int peer; // the root, or the other rank of send and recv; else -1
} Call;

typedef struct Clique Clique;

struct ncclComm {
  Clique *clique;
  int rank, n_ranks;
  Context *context;
  uint64_t n_calls;       // of the user, for SIMGPU_NCCL_FAIL
  uint64_t n_collectives; // issued
  uint64_t n_sent[SIM_DEVICES], n_received[SIM_DEVICES];
  Op *last; // operations of a communicator don't overlap
  ncclResult_t error;
  bool blocking;
  bool lost;                    // takes no part any more: its process has died or hangs, as SIMGPU_NCCL_FAIL has it
  bool aborted;                 // what is pending ends without effect
  uint64_t thread, thread_call; // which thread last called outside a group, and with which of n_calls
};

// A call that several ranks have a part in.
typedef struct Match {
  Clique *clique;
  uint64_t number;                // of the clique's collectives; of the messages from one rank to another
  int from, to;                   // -1: a collective
  const Call *calls[SIM_DEVICES]; // of each rank; of send and recv the two ranks'
  Op *ops[SIM_DEVICES];
  int n_posted, n_needed;
  bool done;
  bool lost;     // a rank has dropped out: never carried out
  bool disagree; // and neither is this one; all ranks fail
  struct Match *next;
} Match;

// Kept, with its communicators, as long as the process lives: queued operations point at them.
struct Clique {
  int64_t process; // that made the id
  uint64_t id;
  int n_ranks, n_joined;     // joined: of this process
  struct NcclShared *shared; // of those made by unique ids, until all turn out to be in this process; else NULL
  bool is_spread;            // all have joined, in several processes
  struct ncclComm *ranks[SIM_DEVICES]; // NULL: not yet there
  Match *matches;
  Clique *next;
};

// What an operation holds.
typedef struct GroupWork {
  Work work;
  struct ncclComm *comm;
  Call *calls;
  int n_calls;
} GroupWork;

extern const WorkType nccl_work_type, nccl_spread_type;
// For both: an operation comes after its communicator's last one; false, and the context has failed, if that is gone.
bool nccl_in_turn(Op *op, struct ncclComm *comm);
void nccl_group_destroy(Work *work);
void nccl_group_describe(const Work *work, char *text, size_t n_text);

// Whether the thread is between ncclGroupStart and ncclGroupEnd. What comes there is kept for the end.
bool nccl_grouping(void);
void nccl_group_add(struct ncclComm *comm, Call call, Stream *stream);
// The end of the group waits until the clique has all its ranks.
void nccl_group_join(Clique *clique);
// Queues one operation.
ncclResult_t nccl_queue(struct ncclComm *comm, const Call *calls, int n_calls, Stream *stream);

// The live communicator behind a handle, or NULL.
struct ncclComm *nccl_comm(ncclComm_t handle);
// Whether all ranks have joined.
bool nccl_is_complete(Clique *clique);
// Waits until all ranks of the clique have joined; an error, reported, if they never do.
ncclResult_t nccl_wait_joined(Clique *clique);
// What the communicator is to say of its others; ncclSuccess: nothing.
ncclResult_t nccl_error(const struct ncclComm *comm);
void nccl_name(const Call *call, char *text, size_t n_text); // "all_reduce of 100 float32"
size_t nccl_type_bytes(ncclDataType_t type);                 // 0: unknown
// Bytes that a rank reads and writes, 0 where it has no part.
size_t nccl_in_bytes(const Call *call, int rank, int n_ranks), nccl_out_bytes(const Call *call, int rank, int n_ranks);

// Carries a matched call out on host addresses of each rank's buffers. out[r] may be in[r].
void nccl_compute(const Call *call, int n_ranks, void *const *in, void *const *out);

#endif
