// CUDA device: one GPU. Programs are those compiled for its architecture or an older one.
//
// Environment: SGC_CUDA_SYNC=1 waits for each kernel and so names the one that fails; SGC_CUDA_GRAPH=0 launches
// kernels one by one instead of replaying a captured graph; SGC_CUDA_CODE=ptx leaves machine code to the driver;
// runtime/cuda_api.h says which variables name the libraries.
#ifndef SG_CUDA_DEVICE_H
#define SG_CUDA_DEVICE_H

#include "runtime/cuda_compile.h"
#include "runtime/device.h"

// Opens GPU `number` of those that the driver shows. EXIT_DEVICE says what is missing: driver, GPU, or that number.
Status device_open_cuda(int number, Device **out);

// What the driver tells of a GPU.
typedef struct CudaGpu {
  char name[128];
  int compute; // capability times ten
  int multiprocessors;
  int64_t memory; // bytes
} CudaGpu;

// How many GPUs there are. EXIT_DEVICE where there is no driver or it finds none.
Status cuda_gpu_count(int *out);
Status cuda_gpu(int number, CudaGpu *out);
// Bytes of its memory that are free now; takes as long as opening it.
Status cuda_gpu_free_memory(int number, int64_t *out);

#endif
