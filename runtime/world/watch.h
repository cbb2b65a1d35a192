// Watch: whether the other processes of the job still live. A thread of its own sends and expects signs of life over
// connections of its own, so that neither a long computation nor a library that hangs hides a dead peer.
#ifndef SG_WORLD_WATCH_H
#define SG_WORLD_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/world/mesh.h"

typedef struct Watch Watch;

// `timeout`: seconds without a sign of life after which a peer counts as lost (stopped, or cut off). One that ends is
// noticed at once. The mesh outlives the watch.
Status watch_open(const Mesh *mesh, double timeout, Watch **out);
// Says goodbye to the others, which may go on without this process. NULL is allowed.
void watch_close(Watch *watch);

// The error once a peer has failed: EXIT_PEER with its name and what is known, a new one with each call; STATUS_OK
// before. All processes learn of it, whoever notices first.
Status watch_check(Watch *watch);
// As watch_check, cheap enough for every turn of a loop: whether there is an error.
bool watch_has_failed(const Watch *watch);
// Becomes readable when a peer has failed, for poll().
int watch_fd(const Watch *watch);
// What this process knows of a peer that it cannot reach any more, `what` telling how it noticed. The first word
// counts.
void watch_blame(Watch *watch, int rank, const char *what);
// This process cannot go on: the others are told why, and fail with it.
void watch_fail(Watch *watch, const char *why);

// How many operations of all devices this process has begun: the others can then tell who is behind.
void watch_progress(Watch *watch, int64_t n);
// The peer that has begun the fewest operations, and how many; -1 if none has begun fewer than `n`.
int watch_behind(Watch *watch, int64_t n);

#endif
