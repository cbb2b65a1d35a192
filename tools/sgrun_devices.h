// sgrun_devices: the devices that a command trains on, in this process and in others.
#ifndef SG_TOOLS_SGRUN_DEVICES_H
#define SG_TOOLS_SGRUN_DEVICES_H

#include "runtime/train/team.h"
#include "tools/sgrun.h"

#define TEAM_OPTIONS                                                                                                   \
  {"devices", 0, "LIST", "cpu (default), cpu:0-3, cuda, cuda:0,2: the batch is shared out among them"},                \
      {"bucket", 0, "MB", "of gradients that are summed over the devices at once, at most (default 4)"}, {             \
    "timeout", 0, "SECONDS", "without a sign of life until another process counts as lost (default 30)"                \
  }

typedef struct Devices {
  World *world; // NULL: one device in all
  Team *team;
  int n; // of this process
  Device **device;
  Collective **joined, **guarded; // of GPUs: NCCL's, and the same under the world's watch; else NULL
} Devices;

// Opens what --devices says, joins the other processes that mpirun, srun, torchrun or sgrun itself started (by what the
// environment says; see docs/parallel.md), and tells the devices of each other. devices_close ends it in every case.
ExitCode devices_open(const Cli *cli, Devices *out);
// `code`: how the command ends here; the others are told where it is an error.
void devices_close(Devices *devices, ExitCode code);

// Threads of each of `n` CPU devices (0 = all that the process may use): --threads, or the cores that this process may
// use, shared among its devices and with the processes beside it that may use the same ones.
int devices_threads(const Cli *cli, int n);

// Whether this process is the one that writes files and talks.
bool devices_is_first(const Devices *devices);
// Whether this process is the first of its machine.
bool devices_is_leader(void);

#endif
