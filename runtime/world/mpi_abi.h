// MPI as Open MPI's library has it: the functions that are used, and the few values that are not functions.
//
// Included with MPI_FUNCTION defined it lists the functions; a test compares all of it with mpi.h.
#ifdef MPI_FUNCTION
MPI_FUNCTION(Init_thread, (int *argc, char ***argv, int wanted, int *got))
MPI_FUNCTION(Finalize, (void))
MPI_FUNCTION(Comm_rank, (MpiComm comm, int *rank))
MPI_FUNCTION(Comm_size, (MpiComm comm, int *size))
MPI_FUNCTION(Bcast, (void *data, int count, MpiDatatype type, int root, MpiComm comm))
MPI_FUNCTION(Isend, (const void *data, int count, MpiDatatype type, int to, int tag, MpiComm comm, MpiRequest *request))
MPI_FUNCTION(Irecv, (void *data, int count, MpiDatatype type, int from, int tag, MpiComm comm, MpiRequest *request))
MPI_FUNCTION(Testall, (int count, MpiRequest *requests, int *is_done, void *statuses))
#elif !defined(SG_WORLD_MPI_ABI_H)
#define SG_WORLD_MPI_ABI_H

// Handles are pointers to what the library exports as ompi_mpi_comm_world and the like.
typedef void *MpiComm, *MpiDatatype, *MpiRequest;

enum { MPI_ABI_THREAD_SERIALIZED = 2 };
#define MPI_ABI_STATUSES_IGNORE ((void *)0)

#endif
