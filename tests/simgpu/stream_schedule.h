// Which operation runs next. Lazily: hardly anything runs before someone waits for it, and then in an order that the
// seed chooses and only real dependences bind. Each stream has a random rank, the highest that can run does, and ranks
// change now and then: so one stream may get far ahead of another, which uniform choice rarely does (cf. Burckhardt
// et al., A randomized scheduler with probabilistic guarantees of finding bugs, 2010).
#ifndef SIM_STREAM_SCHEDULE_H
#define SIM_STREAM_SCHEDULE_H

#include "tests/simgpu/stream_queue.h"

// Runs operations until this one is done. False, reported and with the context failed, where that can never be.
bool schedule_wait(Op *op);
// As schedule_wait for all operations of a stream, or of a context.
bool schedule_wait_stream(Stream *stream);
bool schedule_wait_context(Context *context);
// Drops all operations of failed contexts.
void schedule_drop(void);
// Some operation, sometimes: what a call that only asks gives the device time for.
void schedule_nudge(void);
// At the end of a call: everything that can run in the eager mode; else now and then something.
void schedule_breathe(void);
// A call of the user has come. From schedule_expect_host on, a thread of the simulator runs what is pending when no
// call has come for a while, since the user may wait for what a host function does.
void schedule_touch(void);
void schedule_expect_host(void);
// The options have changed.
void schedule_restart(void);

#endif
