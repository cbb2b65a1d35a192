// CUDA compile: CUDA C text -> machine code or PTX through NVRTC, for a GPU that need not be there.
#ifndef SG_CUDA_COMPILE_H
#define SG_CUDA_COMPILE_H

#include <stdbool.h>

#include "runtime/base/arena.h"
#include "runtime/base/status.h"
#include "runtime/base/text.h"

// What to make: machine code (a cubin) of that architecture (compute capability times ten), or PTX.
typedef struct CudaCode {
  int compute;
  bool is_ptx;
} CudaCode;

// The architectures that NVRTC makes code for, ascending; returned in `arena`. EXIT_DEVICE if there is no NVRTC.
Status cuda_architectures(Arena *arena, int **out, int *out_n);

// What a device of that compute capability is best given: machine code where NVRTC knows it, else, or where
// SGC_CUDA_CODE is "ptx", PTX of the nearest older architecture, which the driver translates. EXIT_DEVICE if NVRTC
// knows none so old; EXIT_USAGE for another value of SGC_CUDA_CODE.
Status cuda_code_choose(int compute, CudaCode *out);

// Code of just that architecture, whatever the environment says. EXIT_DEVICE, naming those that NVRTC makes code for,
// if it is none of them.
Status cuda_code_exact(int compute, bool is_ptx, CudaCode *out);

// NVRTC's version, such as "13.0"; in `out`. EXIT_DEVICE if there is none.
Status cuda_compiler_version(Text *out);

// Compiles the text and appends the cubin or PTX (without its closing zero) to `image`, and what the compiler said to
// `log` in any case. `flags` are words; `is_verbose` asks for ptxas's account of each kernel. EXIT_DEVICE if the text
// is refused (the status says only that). May be called from several threads at once.
Status cuda_compile(const char *source, const char *flags, CudaCode code, bool is_verbose, Text *image, Text *log);

// What ptxas says that a kernel takes of a multiprocessor.
typedef struct CudaResources {
  const char *symbol;
  int registers;                 // a thread
  int shared;                    // bytes a block, beside what is asked for at the launch
  int stack;                     // bytes a thread
  int spill_stores, spill_loads; // bytes a thread
} CudaResources;

// The accounts in the log of a verbose compilation to machine code, in the order of the log; in `arena`.
int cuda_resources(const char *log, Arena *arena, CudaResources **out);

// Machine code as text that people read, by nvdisasm or cuobjdump. EXIT_DEVICE with the remedy if neither is there.
Status cuda_disassemble(const void *cubin, size_t size, Text *out);

#endif
