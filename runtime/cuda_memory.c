// CUDA memory: of the device, pinned memory of the host, copies, scratch, and whether a program fits.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/cuda_gemm.h"

static double megabytes(int64_t bytes) { return 1e-6 * (double)bytes; }

static Status out_of_memory(const CudaDevice *cuda, CudaResult result, int64_t bytes) {
  size_t available = 0, total = 0;
  if (result != CUDA_OUT_OF_MEMORY || cuda->api->cuMemGetInfo_v2(&available, &total))
    return cuda_check(cuda, result, "allocating %.1f MB", megabytes(bytes));
  return status_make(EXIT_DEVICE, "%s cannot allocate %.1f MB: %.0f of its %.0f MB are free", cuda->name,
                     megabytes(bytes), megabytes((int64_t)available), megabytes((int64_t)total));
}

static Status alloc_zeroed(CudaDevice *cuda, int64_t bytes, CudaAddress *out) {
  bytes = bytes < 4 ? 4 : (bytes + 3) / 4 * 4;
  CudaResult result = cuda->api->cuMemAlloc_v2(out, (size_t)bytes);
  if (result) return out_of_memory(cuda, result, bytes);
  Status status =
      cuda_check(cuda, cuda->api->cuMemsetD32Async(*out, 0, (size_t)bytes / 4, cuda->queue[0]), "clearing memory");
  if (!status) status = cuda_wait(cuda, cuda->queue[0]);
  if (status) cuda->api->cuMemFree_v2(*out);
  return status;
}

Status cuda_alloc(Device *device, int64_t floats, float **out) {
  CudaDevice *cuda = cuda_of(device);
  CudaAddress address;
  if (floats < 0 || floats > INT64_MAX / 8)
    return status_make(EXIT_DEVICE, "cannot allocate %lld floats", (long long)floats);
  TRY(cuda_enter(cuda));
  TRY(alloc_zeroed(cuda, floats * (int64_t)sizeof(float), &address));
  *out = (float *)(uintptr_t)address;
  return STATUS_OK;
}

void cuda_free(Device *device, float *memory) {
  CudaDevice *cuda = cuda_of(device);
  if (!memory) return;
  status_free(cuda_enter(cuda));
  cuda->api->cuMemFree_v2((CudaAddress)(uintptr_t)memory);
}

Status cuda_alloc_host(Device *device, int64_t floats, float **out) {
  CudaDevice *cuda = cuda_of(device);
  void *memory = NULL;
  if (floats < 0 || floats > INT64_MAX / 8)
    return status_make(EXIT_DEVICE, "cannot allocate %lld floats", (long long)floats);
  size_t bytes = (size_t)(floats + 1) * sizeof(float);
  TRY(cuda_enter(cuda));
  CUDA_TRY(cuda, cuda->api->cuMemAllocHost_v2(&memory, bytes), "pinning %.1f MB of the host's memory",
           megabytes((int64_t)bytes));
  memset(memory, 0, bytes);
  *out = memory;
  return STATUS_OK;
}

void cuda_free_host(Device *device, float *memory) {
  CudaDevice *cuda = cuda_of(device);
  if (!memory) return;
  status_free(cuda_enter(cuda));
  cuda->api->cuMemFreeHost(memory);
}

Status cuda_upload(Device *device, float *to, const float *from, int64_t floats) {
  CudaDevice *cuda = cuda_of(device);
  TRY(cuda_enter(cuda));
  CUDA_TRY(
      cuda,
      cuda->api->cuMemcpyHtoDAsync_v2((CudaAddress)(uintptr_t)to, from, (size_t)floats * sizeof *from, cuda->queue[0]),
      "copying to the device");
  return cuda_wait(cuda, cuda->queue[0]);
}

Status cuda_download(Device *device, float *to, const float *from, int64_t floats) {
  CudaDevice *cuda = cuda_of(device);
  TRY(cuda_enter(cuda));
  CUDA_TRY(
      cuda,
      cuda->api->cuMemcpyDtoHAsync_v2(to, (CudaAddress)(uintptr_t)from, (size_t)floats * sizeof *from, cuda->queue[0]),
      "copying from the device");
  return cuda_wait(cuda, cuda->queue[0]);
}

Status cuda_hold(CudaDevice *cuda, int64_t bytes, CudaAddress *out) {
  TRY(alloc_zeroed(cuda, bytes, out));
  cuda->held += bytes;
  return STATUS_OK;
}

void cuda_release(CudaDevice *cuda, CudaAddress address, int64_t bytes) {
  if (!address) return;
  cuda->api->cuMemFree_v2(address);
  cuda->held -= bytes;
}

// ---- scratch --------------------------------------------------------------------------------------------------------

Status cuda_scratch_take(CudaDevice *cuda, int queue, int64_t floats, CudaScratch **out) {
  CudaScratch *scratch = cuda->scratch[queue];
  if (!scratch || scratch->floats < floats) {
    CudaAddress address;
    TRY(cuda_hold(cuda, floats * (int64_t)sizeof(float), &address));
    cuda_scratch_give(cuda, queue, scratch); // the device's own hold on it
    scratch = malloc(sizeof *scratch);
    if (!scratch) BUG("out of memory");
    *scratch = (CudaScratch){address, floats, 1};
    cuda->scratch[queue] = scratch;
  }
  scratch->n_users++;
  *out = scratch;
  return STATUS_OK;
}

void cuda_scratch_give(CudaDevice *cuda, int queue, CudaScratch *scratch) {
  if (!scratch || --scratch->n_users) return;
  cuda_release(cuda, scratch->address, scratch->floats * (int64_t)sizeof(float));
  if (cuda->scratch[queue] == scratch) cuda->scratch[queue] = NULL;
  free(scratch);
}

// ---- whether a program fits -----------------------------------------------------------------------------------------

void cuda_scratch_needs(CudaDevice *cuda, const Program *program, int64_t need[CUDA_QUEUES]) {
  memset(need, 0, CUDA_QUEUES * sizeof *need);
  for (int i = 0; i < program->n_setup + program->n_steps; i++) {
    const Step *step = i < program->n_setup ? &program->setup[i] : &program->steps[i - program->n_setup];
    if (step->queue < 0 || step->queue >= CUDA_QUEUES) continue;
    int64_t floats = step->scratch, workspace = SG_COUNTERS + CUDA_GEMM_WORKSPACE / (int64_t)sizeof(float);
    if (step->gemm && floats < workspace && cuda_blas(cuda)) floats = workspace;
    if (floats > need[step->queue]) need[step->queue] = floats;
  }
}

// Bytes of scratch that the program's steps need beyond what the queues have.
static int64_t scratch_bytes(CudaDevice *cuda, const Program *program) {
  int64_t need[CUDA_QUEUES], sum = 0;
  cuda_scratch_needs(cuda, program, need);
  for (int i = 0; i < CUDA_QUEUES; i++)
    if (!cuda->scratch[i] || cuda->scratch[i]->floats < need[i]) sum += need[i] * (int64_t)sizeof(float);
  return sum;
}

Status cuda_memory_fits(CudaDevice *cuda, const Program *program) {
  enum { REGION_LIMIT = 1 << 28 }; // megabytes: beyond, sums would overflow
  size_t available = 0, total = 0;
  CUDA_TRY(cuda, cuda->api->cuMemGetInfo_v2(&available, &total), "asking for the free memory");
  int64_t weights = program->persistent, slab = program->slab, inputs = 0;
  for (int i = 0; i < program->n_buffers; i++)
    if (program->buffers[i].kind == BUFFER_INPUT) inputs += shape_elements(program->buffers[i].shape);
  const int64_t limit = (int64_t)REGION_LIMIT << 18;
  bool is_beyond = weights > limit || slab > limit || inputs > limit;
  int64_t rest = is_beyond ? 0 : inputs * (int64_t)sizeof(float) + scratch_bytes(cuda, program);
  double need = 4 * ((double)weights + (double)slab) + (double)rest;
  if (!is_beyond && need <= (double)available) return STATUS_OK;
  return status_make(
      EXIT_DEVICE,
      "'%s' needs %.0f MB on %s (%.0f weights and constants, %.0f activations, %.0f scratch and inputs), "
      "but %.0f of its %.0f MB are free: use a smaller batch or picture, or end other programs that use "
      "the GPU (nvidia-smi lists them)",
      program->name, 1e-6 * need, cuda->name, 4e-6 * (double)weights, 4e-6 * (double)slab, megabytes(rest),
      megabytes((int64_t)available), megabytes((int64_t)total));
}
