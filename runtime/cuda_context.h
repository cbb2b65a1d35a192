// CUDA context: what the parts of the CUDA device share.
#ifndef SG_CUDA_CONTEXT_H
#define SG_CUDA_CONTEXT_H

#include "runtime/base/arena.h"
#include "runtime/base/hash.h"
#include "runtime/base/strmap.h"
#include "runtime/cuda_api.h"
#include "runtime/cuda_device.h"

// Numbers of queues lie below this (QUEUE_COLLECTIVE is the last). Queue 0 begins and ends every sequence.
enum { CUDA_QUEUES = QUEUE_COLLECTIVE + 1 };

// Scratch memory of a queue. Sequences hold on to the block they were made with, so a larger one that comes later does
// not take it from them.
typedef struct CudaScratch {
  CudaAddress address;
  int64_t floats;
  int n_users;
} CudaScratch;

// A module in the context, shared by all programs that have its kernels.
typedef struct CudaLoaded {
  Hash content;
  CudaModule module;
  int n_users;
  struct CudaLoaded *next;
} CudaLoaded;

typedef struct CudaDevice {
  Device device;
  const CudaApi *api;
  int number, compute, most_shared; // bytes of shared memory that a block may ask for
  char name[16];                    // "cuda:0"
  CudaOrdinal ordinal;
  CudaContext context;
  CudaStream queue[CUDA_QUEUES]; // opened when first used
  CudaStream sends, receives;    // copies to and from the host beside the queues
  CudaScratch *scratch[CUDA_QUEUES];
  CudaLoaded *loaded;
  BlasHandle blas; // of cuda_blas
  bool has_no_blas;
  int64_t held; // bytes beyond what alloc gave
  bool is_synchronous, uses_graphs, gave_notice;
  const char *under_way; // name of the program that was run last, for messages
} CudaDevice;

static inline CudaDevice *cuda_of(Device *device) { return (CudaDevice *)device; }

// As cuda_api_check, with the device's name in front.
#define CUDA_TRY(cuda, call, ...) TRY(cuda_check((cuda), (call), __VA_ARGS__))
Status cuda_check(const CudaDevice *cuda, CudaResult result, const char *format, ...)
    __attribute__((format(printf, 3, 4), warn_unused_result));

// As above of a kernel. A fault is its own only if no other ran before it unwatched (`is_alone`).
Status cuda_check_kernel(const CudaDevice *cuda, CudaResult result, bool is_alone, const char *symbol,
                         const char *label) __attribute__((warn_unused_result));
// Makes the device's context that of the calling thread, which every entry of the table does first.
Status cuda_enter(CudaDevice *cuda);
// The stream of a queue, opened if need be.
Status cuda_queue(CudaDevice *cuda, int queue, CudaStream *out);
// Waits for a stream; asks the collective meanwhile whether all others are still there.
Status cuda_wait(CudaDevice *cuda, CudaStream stream);
void cuda_notice(CudaDevice *cuda, const char *text);

// ---- memory (cuda_memory.c)

Status cuda_alloc(Device *device, int64_t floats, float **out);
void cuda_free(Device *device, float *memory);
Status cuda_alloc_host(Device *device, int64_t floats, float **out);
void cuda_free_host(Device *device, float *memory);
Status cuda_upload(Device *device, float *to, const float *from, int64_t floats);
Status cuda_download(Device *device, float *to, const float *from, int64_t floats);
// Zeroed memory that counts as `held`, and its end (0 is allowed).
Status cuda_hold(CudaDevice *cuda, int64_t bytes, CudaAddress *out);
void cuda_release(CudaDevice *cuda, CudaAddress address, int64_t bytes);
// Floats of scratch that the program's steps need in each queue, workspaces of the library included.
void cuda_scratch_needs(CudaDevice *cuda, const Program *program, int64_t need[CUDA_QUEUES]);
// A block of at least `floats` for the queue.
Status cuda_scratch_take(CudaDevice *cuda, int queue, int64_t floats, CudaScratch **out);
void cuda_scratch_give(CudaDevice *cuda, int queue, CudaScratch *scratch); // NULL is allowed
// EXIT_DEVICE, with what is needed and what is free, if the program cannot have the memory it will ask for.
Status cuda_memory_fits(CudaDevice *cuda, const Program *program);

// ---- modules (cuda_module.c)

Status cuda_load(Device *device, const Program *program, void **out);
void cuda_unload(Device *device, void *module);
// The function of a symbol, or NULL.
CudaFunction cuda_function(const void *module, const char *symbol);

// ---- sequences (cuda_sequence.c makes them, cuda_run.c runs them)

// A step made ready.
typedef struct CudaStep {
  const Step *step;
  CudaFunction function; // NULL: an all-reduce
  struct CudaGemm *gemm; // the library's product that takes the kernel's place, or NULL
  int way;               // of the product
  CudaAddress workspace;
  CudaStream stream;
  CudaEvent done;   // recorded behind it, where someone waits for it; else NULL
  CudaEvent *waits; // what it waits for
  int n_waits;
  unsigned n_blocks;
  CudaAddress *args; // of an all-reduce: from, to
  void **parameters; // pointers to args
  int n_rows;        // parameter 1 of steps with rows
} CudaStep;

// An input or output that is moved.
typedef struct CudaTransfer {
  float *host;
  CudaAddress address, landing; // inputs wait in `landing` until the run before has ended
  size_t bytes;
  CudaEvent *waits; // outputs: what it waits for
  int n_waits;
} CudaTransfer;

typedef struct CudaTable {
  CudaAddress address;
  int64_t bytes;
} CudaTable;

typedef struct CudaSequence {
  Arena *arena;
  const Program *program;
  CudaStep *step;
  int n_steps;
  CudaTransfer *input, *output;
  int n_inputs, n_outputs;
  int64_t landing_bytes;
  CudaAddress landing;
  int *queues, n_queues;  // those in use but for 0
  CudaEvent begin, *ends; // ends: of each queue in `queues`
  CudaEvent sent, taken;  // inputs are in `landing`, and out of it
  CudaEvent received;     // outputs are in host memory
  CudaEvent clock[2];
  CudaScratch *scratch[CUDA_QUEUES];
  CudaTable *tables;
  int n_tables, cap_tables;
  CudaEvent *events; // all of them, to be destroyed
  int n_events, cap_events;
  int n_runs;
  bool is_sent, has_collective, cannot_capture;
  bool is_broken_off; // its last run was not put whole: its queues do not end in queue 0
  CudaGraphExec graph;
  const Collective *graph_collective; // that the graph was captured with
} CudaSequence;

Status cuda_prepare(Device *device, const SequencePlan *plan, void **out);
void cuda_drop(Device *device, void *sequence);
Status cuda_send(Device *device, void *sequence);
Status cuda_run(Device *device, void *sequence, double *seconds);

#endif
