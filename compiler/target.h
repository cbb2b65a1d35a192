// Target: what the code generator knows of a machine. Schedules read it; none names a machine.
#ifndef SG_TARGET_H
#define SG_TARGET_H

#include <stdbool.h>
#include <stdint.h>

typedef enum TargetKind { TARGET_CPU, TARGET_REFERENCE, TARGET_CUDA } TargetKind;

typedef struct Target {
  TargetKind kind;
  const char *name;     // "cpu-avx2-8", "reference"
  int vector;           // floats a vector, also the block of NCHWc: 4, 8 or 16
  int queues;           // that steps may run on side by side, up to MAX_QUEUES of the plan
  int registers;        // vector registers: 16 or 32
  int64_t l1, l2;       // bytes of data cache a core
  const char *cc_flags; // for the host's cc, or NVRTC
  int compute;          // CUDA: compute capability times ten, 75 ..; values stay row by row, vectors are one float
} Target;

// The machine we run on (from compiler builtins and sysfs), for its own cc.
const Target *target_host(void);
// The reference evaluator: plain layouts, no fusion, no generated code.
const Target *target_reference(void);
// A GPU of that compute capability times ten (80 is sm_80), or NULL where it is none that kernels are made for.
const Target *target_cuda(int compute);
// By what users write: "cpu", "reference", "cuda:sm_80". NULL if there is none of that name ("cuda" alone needs a
// device to be asked).
const Target *target_find(const char *name);

#endif
