// Target: what the code generator knows of a machine. Schedules read it; none names a machine.
#ifndef SG_TARGET_H
#define SG_TARGET_H

#include <stdbool.h>
#include <stdint.h>

typedef enum TargetKind { TARGET_CPU, TARGET_REFERENCE, TARGET_CUDA } TargetKind;

// What the factors of sums of products are rounded to; sums are of f32 always. All but f32 are tensor cores'.
typedef enum Precision { PRECISION_F32, PRECISION_TF32, PRECISION_BF16, PRECISION_F16 } Precision;

typedef struct Target {
  TargetKind kind;
  const char *name;     // "cpu-avx2-8", "reference", "cuda-sm_80", "cuda-sm_80-f16"
  int vector;           // floats a vector, also the block of NCHWc: 4, 8 or 16
  int wide;             // floats of an accumulator of the matrix product's register tile: vector, or two of them
  int queues;           // that steps may run on side by side, up to MAX_QUEUES of the plan
  int registers;        // vector registers: 16 or 32; CUDA: those that a thread may have
  int64_t l1, l2;       // bytes of data cache a core; CUDA: l1 is the shared memory that a block may ask for
  int64_t l3;           // bytes of the last cache, which the cores share; 0: none
  const char *cc_flags; // for cc, or NVRTC
  const char *machine;  // CPU: where its code runs, as `uname -m` says it; NULL for this machine
  int compute;          // CUDA: compute capability times ten, from 61 on; values stay row by row, vectors are one float
  Precision precision;
  struct Tuning *tuning; // what was measured (compiler/kernel/tuning.h), or NULL: cost models decide
} Target;

// The machine we run on (from compiler builtins and sysfs), for its own cc.
const Target *target_host(void);
// Any machine of a kind that cpu_executes (runtime/base/cpu.h) knows, with the caches that such machines have at least;
// NULL where there is none of that name.
const Target *target_cpu(const char *kind);
// The reference evaluator: plain layouts, no fusion, no generated code.
const Target *target_reference(void);
// A GPU of that compute capability times ten (80 is sm_80), or NULL where it is none that kernels are made for.
const Target *target_cuda(int compute);
// The target with another precision, or NULL where the machine does not multiply so.
const Target *target_with_precision(const Target *target, Precision precision);
// By what users write: "f32", "tf32", "bf16", "f16". False if there is none of that name.
bool precision_find(const char *name, Precision *out);
// Whether accumulators hold two blocks, so that weights stand in pairs of blocks (LAYOUT_WEIGHT_PAIRS).
bool target_has_pairs(const Target *target);
// How many that is: 2, or 1.
int target_paired(const Target *target);
// Whether so much is written that nothing of it is in a cache when it is read again. False where the last cache's size
// is not known.
bool target_outgrows_caches(const Target *target, int64_t bytes);
// By what users write: "cpu", "cpu:neon", "reference", "cuda:sm_80". NULL if there is none of that name ("cuda" alone
// needs a device to be asked).
const Target *target_find(const char *name);

#endif
