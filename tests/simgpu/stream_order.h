// Whether something orders two operations that touch the same memory. Running lazily shows a missing wait with some
// seeds; where sim_options.finds_races, it is found with every seed, by vector clocks (Flanagan and Freund, FastTrack,
// 2009): each operation has a place in a chain (its stream, or a branch of a graph) and knows up to which place of
// every chain all is done before it. What the host has waited for comes before all that it issues afterwards.
#ifndef SIM_STREAM_ORDER_H
#define SIM_STREAM_ORDER_H

#include "tests/simgpu/stream_queue.h"

// Begins anew, with nothing touched; for when the option is turned on.
void stream_order_restart(void);
// A chain for a new stream or branch. There are 255, then they are shared, and less is found.
int stream_order_chain(void);

// All of these do nothing where the option is off.
void stream_order_issue(Op *op);                    // comes after what the host has waited for
void stream_order_join(Op *op, const Op *before);   // and after this, which is done
void stream_order_join_lane(Op *op, const Lane *l); // and after what is done of a stream
void stream_order_begin(Op *op);                    // takes its place
void stream_order_end(Op *op);
void stream_order_meet(Op *const *ops,
                       int n_ops);    // running ones that wait for each other: all come after what is before any
void stream_order_host(const Op *op); // the host knows that this is done
void stream_order_host_lane(const Lane *lane);
void stream_order_host_all(void);
bool stream_order_host_knows(const Op *op); // that an operation which is done is done
void stream_order_release(Op *op);          // frees what the operation holds
void stream_order_release_lane(Lane *lane);

// The operation touches a range; a conflict with another that nothing orders fails its context.
void stream_order_touch(Op *op, uint64_t address, uint64_t bytes, SimAccess access);
// For launches: what kernels touch counts as touched by this operation. NULL: none.
void stream_order_set_running(Op *op);
// The host frees a range: all that touches it must be known to be done. Reported, not a failure.
void stream_order_free(uint64_t address, uint64_t bytes);

#endif
