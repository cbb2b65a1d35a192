// Transport: how bytes go between the processes of a job.
#ifndef SG_WORLD_TRANSPORT_H
#define SG_WORLD_TRANSPORT_H

#include <stddef.h>

#include "runtime/base/status.h"
#include "runtime/world/watch.h"

// What goes to a peer, or comes from it.
typedef struct Parcel {
  void *data;
  size_t size;
} Parcel;

typedef struct Transport Transport;
typedef struct TransportTable {
  const char *name; // "tcp", "mpi"
  // Sends send[r] to each rank r and fills receive[r] from it, all at the same time; sizes are agreed beforehand, 0 =
  // nothing. Those of the own rank are left alone. By one thread at a time. EXIT_PEER once a peer has failed.
  Status (*exchange)(Transport *transport, const Parcel *send, const Parcel *receive);
  void (*close)(Transport *transport);
} TransportTable;

struct Transport {
  const TransportTable *table;
  const Mesh *mesh;
  Watch *watch;
};

// Over the data connections of the mesh.
Status transport_open_tcp(const Mesh *mesh, Watch *watch, Transport **out);

// Over MPI, which transport_mpi_begin has started; its ranks must be those of the mesh.
Status transport_open_mpi(const Mesh *mesh, Watch *watch, Transport **out);

// Whether this process was started by mpirun or srun for MPI, by what the environment says.
bool transport_mpi_is_launched(void);
// Opens the MPI library (SGC_MPI overrides its path) and starts it. EXIT_DEVICE where there is none, or one of another
// kind than Open MPI, whose binary interface this speaks.
Status transport_mpi_begin(int *out_rank, int *out_size);
// Rank 0's bytes to all.
Status transport_mpi_broadcast(void *data, int size);
// Ends MPI. Not after a failure: it would wait for the dead.
void transport_mpi_end(void);

#endif
