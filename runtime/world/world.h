// World: all devices of a job, those of this process and those of the others, and what they do together.
//
// Devices are numbered through: those of process 0 first. Sums are formed in the order of these numbers, whatever
// processes and machines the devices are spread over, so that the same devices give the same bits however they are
// spread.
#ifndef SG_WORLD_WORLD_H
#define SG_WORLD_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/device.h"

typedef struct World World;

typedef enum WorldVia { WORLD_ALONE, WORLD_TCP, WORLD_MPI } WorldVia;

typedef struct WorldOptions {
  WorldVia via;
  int rank, size;   // of the process; ignored for MPI, which knows them
  const char *meet; // TCP: where rank 0 listens (see mesh.h)
  int port, listener;
  const char *job; // any text, the same for all processes of a job
  int devices;     // of this process
  double timeout;  // seconds without a sign of life after which another process counts as lost
  double patience; // seconds until all processes must have come
  double stall;    // seconds after which one that lives, but does not come to an operation of all, counts as lost
} WorldOptions;

// What 0 stands for in WorldOptions.
enum { WORLD_TIMEOUT = 30, WORLD_PATIENCE = 300, WORLD_STALL = 1800 };

// Meets the other processes. EXIT_PEER, naming those that are missing, where they do not all come.
Status world_open(const WorldOptions *options, World **out);
// Says goodbye; after a failure it does not wait for anybody. NULL is allowed.
void world_close(World *world);

int world_rank(const World *world);      // of the process; 0 for NULL, a process alone
int world_processes(const World *world); // 1 for NULL
int world_size(const World *world);      // devices of all processes
int world_first(const World *world);     // number of this process's first device

// What the i-th device of this process takes part in all-reduces by (Device.collective). Each of the devices begins
// the same operations in the same order. They run on a thread of the world's, beside the computation.
Collective *world_collective(World *world, int device);

// One that is formed elsewhere (`inner`: NCCL's, of a GPU), but whose waiting ends once a process of the world fails:
// `inner` is then asked with an endless time waited, so that it gives up.
// It is the caller's to free(); `inner` outlives it.
Collective *world_guard(World *world, Collective *inner);

// The following are called by one thread of each process, at the same points of the program, while no all-reduce runs.
// Bytes of process 0 to all.
Status world_broadcast(World *world, void *data, size_t size);
// Adds up the numbers of all processes, in the order of the ranks.
Status world_sum(World *world, double *numbers, int n);
Status world_barrier(World *world);

// Whether a peer or this process has failed: EXIT_PEER with its name.
Status world_check(World *world);
// Tells the others that this process cannot go on, and why, so that they end too.
void world_fail(World *world, const char *why);

#endif
