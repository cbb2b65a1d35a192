// Team: the devices of this process that train together, and the world they share with other processes.
#ifndef SG_TRAIN_TEAM_H
#define SG_TRAIN_TEAM_H

#include <stdbool.h>

#include "runtime/base/share.h"
#include "runtime/data/loader.h"
#include "runtime/exec.h"
#include "runtime/world/world.h"

typedef struct Team Team;

// `devices` of this process, each driven by a thread of its own; `world` may be NULL where there is one device in all.
Status team_open(World *world, int devices, Team **out);
void team_close(Team *team); // NULL is allowed

int team_devices(const Team *team); // of this process
World *team_world(const Team *team);
bool team_is_first(const Team *team); // whether this process writes the files and does the talking

// What device `i` of this process gets of a batch of all devices, and what this process gets.
Share team_share(const Team *team, int64_t batch, int i);
Share team_part(const Team *team, int64_t batch);

// Runs the programs side by side, execs[i] on device i. One that fails ends the others, here and elsewhere.
Status team_run(Team *team, Exec *const *execs);

// team_run in two parts, for work of the host in between: devices that compute while the host does other work
// (team_overlaps) have begun when team_start returns, and the inputs may be written; others do all in team_finish.
// team_finish is not called after team_start has failed. team_send, in between, begins to copy the inputs of the next
// run, which must not be written until that has been started.
Status team_start(Team *team, Exec *const *execs);
Status team_send(Team *team, Exec *const *execs);
Status team_finish(Team *team, Exec *const *execs);
bool team_overlaps(const Team *team, Exec *const *execs);

// Copies parameters and states of the first device of all to every other one.
Status team_spread(Team *team, Exec *const *execs);

// Takes the loader's next batch, of this process's samples, and puts each device's share into its inputs "rgb" and "gt"
// (those that there are); with that the number of its first sample. `batch`: samples of all devices. `out` may be NULL.
Status team_feed(Team *team, Exec *const *execs, int64_t batch, Loader *loader, Batch *out);

#endif
