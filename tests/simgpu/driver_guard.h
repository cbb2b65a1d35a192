// The host's accesses to pinned memory that a copy may still read or write. Where sim_options.finds_races, the pages
// that lie wholly in such memory are protected from the call on until the host knows that the copy is done; an access
// before is reported, and then goes on.
#ifndef SIM_DRIVER_GUARD_H
#define SIM_DRIVER_GUARD_H

#include "tests/simgpu/stream_queue.h"

// A copy is queued that reads the range (the host may too) or writes it (the host may do neither).
void guard_copy(Op *op, uint64_t start, size_t bytes, bool writes);
// Around the simulator's own accesses.
void guard_open(uint64_t start, size_t bytes);
void guard_close(uint64_t start, size_t bytes);
// Ends guards of copies that the host knows to be done.
void guard_update(void);
// The memory is no longer pinned.
void guard_forget(uint64_t start, size_t bytes);

#endif
