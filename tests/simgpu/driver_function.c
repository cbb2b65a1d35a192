// Attributes and occupancy of functions. The simulator has no registers; it says 32 a thread.
#include "tests/simgpu/driver_device.h"
#include "tests/simgpu/driver_handle.h"
#include "tests/simgpu/driver_module.h"

enum { REGISTERS = 32 };

static CUresult enter_function(CUfunction handle, Function **out_function) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  *out_function = (Function *)handle;
  return handle_is(handle, HANDLE_FUNCTION) ? CUDA_SUCCESS : driver_leave(CUDA_ERROR_INVALID_HANDLE);
}

CUresult CUDAAPI cuFuncGetAttribute(int *pi, CUfunction_attribute attrib, CUfunction hfunc) {
  Function *f;
  CUresult result = enter_function(hfunc, &f);
  if (result) return result;
  if (!pi) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  switch (attrib) {
  case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *pi = (int)f->kernel->max_threads; break;
  case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES: *pi = (int)f->kernel->static_shared; break;
  case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: *pi = f->max_dynamic_shared; break;
  case CU_FUNC_ATTRIBUTE_NUM_REGS: *pi = REGISTERS; break;
  case CU_FUNC_ATTRIBUTE_PTX_VERSION:
  case CU_FUNC_ATTRIBUTE_BINARY_VERSION: *pi = sim_options.compute; break;
  case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
  case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
  case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA: *pi = 0; break;
  case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT: *pi = -1; break;
  default: return driver_leave(CUDA_ERROR_INVALID_VALUE);
  }
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuFuncSetAttribute(CUfunction hfunc, CUfunction_attribute attrib, int value) {
  Function *f;
  CUresult result = enter_function(hfunc, &f);
  if (result) return result;
  if (attrib == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT)
    return driver_leave(value >= -1 && value <= 100 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
  if (attrib != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  int most = device_attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, f->context->device);
  if (value < 0 || value + (int)f->kernel->static_shared > most) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  f->max_dynamic_shared = value;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuFuncSetCacheConfig(CUfunction hfunc, CUfunc_cache config) {
  Function *f;
  CUresult result = enter_function(hfunc, &f);
  return result ? result : driver_leave(config > CU_FUNC_CACHE_PREFER_EQUAL ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS);
}

CUresult CUDAAPI cuFuncGetName(const char **name, CUfunction hfunc) {
  Function *f;
  CUresult result = enter_function(hfunc, &f);
  if (result) return result;
  *name = f->name;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuFuncGetParamInfo(CUfunction func, size_t paramIndex, size_t *paramOffset, size_t *paramSize) {
  Function *f;
  CUresult result = enter_function(func, &f);
  if (result) return result;
  if (paramIndex >= (size_t)f->kernel->n_params) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  if (paramOffset) *paramOffset = f->kernel->param_offset[paramIndex];
  if (paramSize) *paramSize = f->kernel->param_size[paramIndex];
  return driver_leave(CUDA_SUCCESS);
}

// ---- occupancy (CUDA C++ Best Practices Guide, "Occupancy", with registers and shared memory in whole units)

static int blocks_for(const Function *f, int threads, size_t dynamic) {
  int device = f->context->device;
  if (threads < 1 || threads > (int)f->kernel->max_threads) return 0;
  int warps = (threads + 31) / 32;
  int reserved = device_attribute(CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK, device);
  size_t shared = f->kernel->static_shared + dynamic;
  int blocks = device_attribute(CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR, device);
  int by_threads = device_attribute(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, device) / 32 / warps;
  int by_registers = 65536 / (REGISTERS * 32 * warps);
  if (by_threads < blocks) blocks = by_threads;
  if (by_registers < blocks) blocks = by_registers;
  if ((int)dynamic > f->max_dynamic_shared) return 0;
  shared = (shared + (size_t)reserved + 127) / 128 * 128;
  size_t all = (size_t)device_attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, device);
  if (shared && all / shared < (size_t)blocks) blocks = (int)(all / shared);
  return blocks;
}

CUresult CUDAAPI cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *numBlocks, CUfunction func, int blockSize,
                                                                      size_t dynamicSMemSize, unsigned int flags) {
  Function *f;
  CUresult result = enter_function(func, &f);
  if (result) return result;
  if (!numBlocks || blockSize < 1 || flags > 1) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  *numBlocks = blocks_for(f, blockSize, dynamicSMemSize);
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuOccupancyMaxActiveBlocksPerMultiprocessor(int *numBlocks, CUfunction func, int blockSize,
                                                             size_t dynamicSMemSize) {
  return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(numBlocks, func, blockSize, dynamicSMemSize, 0);
}

CUresult CUDAAPI cuOccupancyMaxPotentialBlockSize(int *minGridSize, int *blockSize, CUfunction func,
                                                  CUoccupancyB2DSize blockSizeToDynamicSMemSize, size_t dynamicSMemSize,
                                                  int blockSizeLimit) {
  Function *f;
  CUresult result = enter_function(func, &f);
  if (result) return result;
  int limit = (int)f->kernel->max_threads, best = 0, best_blocks = 0;
  if (blockSizeLimit > 0 && blockSizeLimit < limit) limit = blockSizeLimit;
  for (int threads = limit / 32 * 32; threads >= 32; threads -= 32) {
    size_t shared = blockSizeToDynamicSMemSize ? blockSizeToDynamicSMemSize(threads) : dynamicSMemSize;
    int blocks = blocks_for(f, threads, shared);
    if (blocks * threads > best * best_blocks) best = threads, best_blocks = blocks;
  }
  if (!best) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  *blockSize = best;
  *minGridSize = best_blocks * device_attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, f->context->device);
  return driver_leave(CUDA_SUCCESS);
}
