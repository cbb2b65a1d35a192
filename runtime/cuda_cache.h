// CUDA cache: CUDA C text of kernels -> images (cubins or PTX) of several kernels each, compiled in parallel and kept
// in the kernel cache by content, as kernel_cache.h does for the CPU.
//
// What a kernel is compiled with is NVRTC's version, the kind of code and its architecture, the flags, and the text
// before the first kernel. No GPU is needed.
#ifndef SG_CUDA_CACHE_H
#define SG_CUDA_CACHE_H

#include "runtime/base/arena.h"
#include "runtime/base/hash.h"
#include "runtime/cuda_compile.h"
#include "runtime/kernel_cache.h"

typedef struct CudaImage {
  Hash content;     // equal ones are the same module
  const void *data; // of PTX, closed by a zero
  size_t size;
  const char *log;     // what ptxas said of machine code; "" for PTX
  const char **symbol; // of the kernels that are to be taken from it
  int n_symbols;
} CudaImage;

typedef struct CudaImages {
  Arena *arena; // owns everything
  CudaImage *image;
  int n;
  bool was_cached; // all of them
} CudaImages;

// The images of all kernels in `source`. EXIT_DEVICE if there is no NVRTC or it refuses a kernel: the message names
// the kernel, its operations, the user's line and the place where the source was kept, and has the log's first lines.
// `notice` may be NULL.
Status cuda_images_load(const char *source, const char *flags, CudaCode code, KernelNotice *notice, void *context,
                        CudaImages **out);
void cuda_images_free(CudaImages *images); // NULL is allowed

// What the kernels take of a multiprocessor; of machine code only. Returns how many; in `arena`.
int cuda_images_resources(const CudaImages *images, Arena *arena, CudaResources **out);

#endif
