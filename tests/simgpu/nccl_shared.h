// What the ranks of a communicator share when they are in several processes of one machine: a directory in shared
// memory with a page of counters, which each rank raises its own of, and a file for each buffer that is on its way.
// Nothing is locked, so a process that is killed leaves the others waiting, as real ones would be.
#ifndef SIM_NCCL_SHARED_H
#define SIM_NCCL_SHARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct NcclShared NcclShared;

// Makes the directory of an id that this process has given out; false where it can't.
bool nccl_shared_make(int64_t process, uint64_t number);
// Opens it; NULL if there is none. A thread calls `changed` from then on when another process may have gone on.
NcclShared *nccl_shared_open(int64_t process, uint64_t number, void (*changed)(void));
// Removes the directory; what is open stays usable but for buffers not yet read.
void nccl_shared_remove(NcclShared *shared);

// A rank of this process joins, with its device. False if that rank is there already, or the device taken by rank
// *out_other (-1: not so).
bool nccl_shared_join(NcclShared *shared, int rank, int n_ranks, int device, int *out_other);
bool nccl_shared_has(const NcclShared *shared, int rank);
int nccl_shared_ranks(const NcclShared *shared);                     // how many ranks the first one spoke of; 0: none
bool nccl_shared_is_other(const NcclShared *shared, int rank);       // whether the rank is in another process
bool nccl_shared_is_alive(const NcclShared *shared, int rank);       // and whether that process lives
bool nccl_shared_leave(NcclShared *shared);                          // true: it was the last one
void nccl_shared_set_error(NcclShared *shared, int rank, int error); // what the rank's communicator is to say
int nccl_shared_error(const NcclShared *shared, int rank);           // 0: nothing

// Buffers under way. `to` is -1 for a part of a collective, else the rank that a message is for; `number` counts the
// collectives, or the messages of the pair, from 0, and each is posted in turn.
typedef struct NcclPlace {
  int from, to;
  uint64_t number;
} NcclPlace;
bool nccl_shared_post(NcclShared *shared, NcclPlace place, const void *head, size_t n_head, const void *data,
                      size_t n_data);
bool nccl_shared_is_posted(const NcclShared *shared, NcclPlace place);
// Reads a posted buffer: its head, and its data, to be freed; false where it is not to be had.
bool nccl_shared_read(const NcclShared *shared, NcclPlace place, void *head, size_t n_head, void **out_data,
                      size_t *out_n);
// The rank has done its part of a collective, or has read the message: what nobody needs any more goes.
void nccl_shared_done(NcclShared *shared, NcclPlace place, int rank, int n_ranks);
bool nccl_shared_is_taken(const NcclShared *shared, NcclPlace place); // a message has been read

#endif
