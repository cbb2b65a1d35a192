// What a generated kernel and the machine share: the record of a thread, of a block, and the machine's services.
//
// A kernel is one C function that runs one thread. Where the thread has to wait for others (a barrier, a shuffle) the
// function saves its live registers, says in the record what it waits for, and returns; it goes on at `pc` when it is
// called again. This header is compiled into generated code as it stands, so it includes nothing of the project.
#ifndef SIM_KERNEL_THREAD_H
#define SIM_KERNEL_THREAD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SIM_INLINE      static inline __attribute__((always_inline, unused))
#define SIM_UNLIKELY(x) __builtin_expect(!!(x), 0)

// What a thread waits for.
enum {
  WAIT_NOTHING,
  WAIT_EXITED,
  WAIT_BARRIER, // of the block: number and count in `barrier` and `barrier_count`
  WAIT_WARP,    // bar.warp.sync
  WAIT_SHUFFLE,
  WAIT_VOTE,
  WAIT_ACTIVE,
  WAIT_MATCH,
  WAIT_REDUX,
  WAIT_ELECT,
  WAIT_MATRIX, // mma, wmma.mma: detail is a SimMatrix
  WAIT_LOAD_MATRIX,
  WAIT_STORE_MATRIX,
  WAIT_WMMA_LOAD,
  WAIT_WMMA_STORE,
};

// Sub-operations.
enum { SHUFFLE_UP, SHUFFLE_DOWN, SHUFFLE_XOR, SHUFFLE_INDEX };
enum { VOTE_ALL, VOTE_ANY, VOTE_UNIFORM, VOTE_BALLOT };
enum { MATCH_ANY, MATCH_ALL };
enum { REDUX_ADD, REDUX_MIN_U, REDUX_MAX_U, REDUX_MIN_S, REDUX_MAX_S, REDUX_AND, REDUX_OR, REDUX_XOR };
enum { BARRIER_SYNC, BARRIER_ARRIVE, BARRIER_POPC, BARRIER_AND, BARRIER_OR };

// Element types of matrices.
enum { ELEMENT_F16, ELEMENT_BF16, ELEMENT_TF32, ELEMENT_F32, ELEMENT_F64, ELEMENT_S8, ELEMENT_U8, ELEMENT_S32 };

// A matrix instruction, or a fragment of wmma.load and wmma.store.
typedef struct SimMatrix {
  int m, n, k;
  int a, b, c, d;            // element types
  bool a_columns, b_columns; // wmma: column major
  bool is_wmma, is_transposed, is_saturated;
  char fragment;   // 'a', 'b', 'c': of wmma.load and wmma.store
  int space;       // 0 generic, 1 global, 2 shared
  int n_registers; // that a thread gives or gets
} SimMatrix;

// Kinds of access.
enum { ACCESS_READ, ACCESS_WRITE, ACCESS_ATOMIC, ACCESS_STRONG_READ, ACCESS_STRONG_WRITE };

// Windows of generic addresses; device memory lies at 0x0001............, which no host pointer equals.
#define SIM_SHARED_WINDOW 0x0002000000000000ull
#define SIM_LOCAL_WINDOW  0x0004000000000000ull
#define SIM_PARAM_WINDOW  0x0008000000000000ull
#define SIM_SHARED_SPAN   (1ull << 18) // shared addresses lie below; the state of byte k is bytes[k - span]
enum { SIM_SHARED_BASE = 1024 };       // nothing lies below in shared memory

typedef struct SimThread {
  uint32_t pc, wait, tid[3], index, lane, warp, site;
  uint32_t mask, sub;
  uint32_t barrier, barrier_count;
  uint64_t address;
  uint32_t stride;
  const SimMatrix *detail;
  int64_t fuel;
  uint8_t *local;
  void *save;
  void *copies; // of cp.async
  uint64_t now; // race checking: see machine_race.c
  uint32_t in[32], out[16];
} SimThread;

struct SimApi;

typedef struct SimBlock {
  const struct SimApi *api;
  uint64_t global_base, global_limit; // limit: ~(span - 1)
  uint8_t *global;                    // state of byte k at global[k - span]
  uint64_t global_span;
  uint8_t *shared;
  uint32_t dynamic, dynamic_bytes; // start of the dynamic shared memory
  uint32_t ctaid[3], ntid[3], nctaid[3], index;
  uint32_t local_bytes, param_bytes;
  const uint8_t *params;
  const uint64_t *symbols; // addresses of the module's variables on this device
  uint64_t instructions, flops;
  void *machine;
} SimBlock;

typedef struct SimApi {
  void (*fault)(SimThread *, SimBlock *, int kind, uint64_t address, unsigned n, unsigned site)
      __attribute__((noreturn));
  // Accesses that the quick test did not pass: other devices' memory, first writes, faults.
  uint8_t *(*global)(SimThread *, SimBlock *, uint64_t address, unsigned n, int access, unsigned site);
  void (*shared)(SimThread *, SimBlock *, uint64_t address, unsigned n, int access, unsigned site);
  void (*race)(SimThread *, SimBlock *, int is_shared, uint64_t address, unsigned n, int access, unsigned site);
  void (*touch)(SimThread *, SimBlock *, int is_shared, uint64_t address, unsigned n, int access, unsigned site);
  void (*fence)(SimThread *, SimBlock *, int level); // 0 block, 1 device, 2 system
  void (*copy)(SimThread *, SimBlock *, uint64_t to, uint64_t from, unsigned n, unsigned n_source, unsigned site);
  void (*commit)(SimThread *, SimBlock *);
  void (*await_copies)(SimThread *, SimBlock *, int groups_left, unsigned site); // -1: also what is not committed
  int (*print)(SimThread *, SimBlock *, uint64_t format, uint64_t arguments, unsigned site);
  void (*assert_fail)(SimThread *, SimBlock *, uint64_t message, uint64_t file, unsigned line, uint64_t function,
                      unsigned site) __attribute__((noreturn));
  double (*directed)(int operation, int mode, double a, double b, double c); // f64 in a rounding mode
} SimApi;

typedef struct SimSite {
  int line, source_line;
  const char *text;
} SimSite;

typedef struct SimSharedVariable {
  uint32_t offset, bytes;
  const char *name;
} SimSharedVariable;

typedef struct SimEntry { // a kernel in a generated library
  const char *name;
  void (*run)(SimThread *, SimBlock *);
  int n_params;
  const unsigned *param_offset, *param_size;
  unsigned param_bytes;
  unsigned static_shared;             // as the real compiler would lay it out
  unsigned shared_end, dynamic_align; // where dynamic shared memory may begin, behind the gaps that find overruns
  const SimSharedVariable *shared;
  int n_shared;
  unsigned local_bytes, frame_end; // local memory that addresses may reach, and with the parameters of calls behind it
  unsigned save_bytes, max_threads;
  const SimSite *sites;
  int n_sites;
} SimEntry;

typedef struct SimSymbol { // a module's variable
  const char *name;
  uint64_t bytes, align;
  const uint8_t *initial;
  uint64_t n_initial;
  const uint64_t (*references)[2]; // offset, symbol whose address stands there
  int n_references;
} SimSymbol;

typedef struct SimLibrary { // what a generated library exports, under the name sim_library
  const SimEntry *entries;
  int n_entries;
  const SimSymbol *symbols;
  int n_symbols;
} SimLibrary;

#endif
