// Mesh: how the processes of a job find each other, and the connections between all of them.
#ifndef SG_WORLD_MESH_H
#define SG_WORLD_MESH_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/status.h"
#include "runtime/world/socket.h"

typedef struct MeshPeer {
  char host[SOCKET_HOST];    // its machine's name
  char address[SOCKET_HOST]; // where it is reached
  int32_t process, port;
  int32_t devices;   // that it brings
  int control, data; // connections; -1 to itself, and where none is wanted
} MeshPeer;

typedef struct MeshOptions {
  int rank, size;
  const char *meet; // where rank 0 listens: addresses, each on a line, the first that answers counts
  int port;
  int listener; // rank 0: a socket that listens there already, which stays open; -1 = none
  uint64_t job; // equal for all processes of the job, different for others, so that strangers are turned away
  int devices;  // of this process
  bool with_data;
  double patience; // seconds until all must have come
} MeshOptions;

typedef struct Mesh {
  int rank, size;
  MeshPeer *peers; // by rank
} Mesh;

// Brings all processes together: each tells rank 0 who it is, rank 0 tells all where all are, and then every two of
// them connect. EXIT_PEER, naming those that are missing, once patience is at an end.
Status mesh_open(const MeshOptions *options, Mesh *out);
void mesh_close(Mesh *mesh);
// "rank 2 (host b, process 1234)", in `out`.
void mesh_name(const Mesh *mesh, int rank, char *out, size_t size);

#endif
