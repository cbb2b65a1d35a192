// Target: what the code generator knows of a machine. Schedules read it; none names a machine.
#ifndef SG_TARGET_H
#define SG_TARGET_H

#include <stdbool.h>
#include <stdint.h>

typedef enum TargetKind { TARGET_CPU, TARGET_REFERENCE } TargetKind;

typedef struct Target {
  TargetKind kind;
  const char *name;     // "cpu-avx2-8", "reference"
  int vector;           // floats a vector, also the block of NCHWc: 4, 8 or 16
  int registers;        // vector registers: 16 or 32
  int64_t l1, l2;       // bytes of data cache a core
  const char *cc_flags; // for the host's cc
} Target;

// The machine we run on (from compiler builtins and sysfs), for its own cc.
const Target *target_host(void);
// The reference evaluator: plain layouts, no fusion, no generated code.
const Target *target_reference(void);

#endif
