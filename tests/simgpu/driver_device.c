#include "tests/simgpu/driver_device.h"
#include "tests/simgpu/driver_state.h"
#include <stdio.h>
#include <string.h>

// What a back end asks of a device, by compute capability (CUDA C++ Programming Guide, "Compute Capabilities"), with
// the multiprocessors of a well-known device of that kind.
typedef struct Model {
  int compute;
  int multiprocessors, threads, blocks, shared, shared_optin; // a multiprocessor's, the last a block's
  int l2_bytes, clock_khz, bus_bits, memory_khz;
} Model;

static const Model models[] = {
    {61, 28, 2048, 32, 98304, 49152, 2883584, 1582000, 352, 5505000},
    {75, 40, 1024, 16, 65536, 65536, 4194304, 1590000, 256, 5001000},
    {80, 108, 2048, 32, 167936, 166912, 41943040, 1410000, 5120, 1215000},
    {86, 84, 1536, 16, 102400, 101376, 6291456, 1740000, 384, 9751000},
    {89, 128, 1536, 24, 102400, 101376, 75497472, 2520000, 384, 10501000},
    {90, 132, 2048, 32, 233472, 232448, 52428800, 1980000, 5120, 2619000},
    {100, 148, 2048, 32, 233472, 232448, 132644864, 1965000, 8192, 3996000},
    {120, 170, 1536, 24, 102400, 101376, 100663296, 2407000, 512, 14001000},
};

static const Model *model(void) {
  const Model *best = &models[0];
  for (size_t k = 0; k < sizeof models / sizeof *models; k++)
    if (models[k].compute <= sim_options.compute) best = &models[k];
  return best;
}

CUresult CUDAAPI cuInit(unsigned int Flags) {
  if (Flags) return CUDA_ERROR_INVALID_VALUE;
  driver_lock();
  bool any = driver_open();
  driver_unlock();
  return any ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}

CUresult CUDAAPI cuDriverGetVersion(int *driverVersion) {
  if (!driverVersion) return CUDA_ERROR_INVALID_VALUE;
  *driverVersion = 13000;
  return CUDA_SUCCESS;
}

// Enters for a question about a device.
static CUresult enter_device(CUdevice dev, const void *out) {
  CUresult result = driver_enter(NULL);
  if (result) return result;
  if (dev < 0 || dev >= driver_devices) return driver_leave(CUDA_ERROR_INVALID_DEVICE);
  return out ? CUDA_SUCCESS : driver_leave(CUDA_ERROR_INVALID_VALUE);
}

CUresult CUDAAPI cuDeviceGetCount(int *count) {
  CUresult result = enter_device(0, count);
  if (result) return result;
  *count = driver_devices;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuDeviceGet(CUdevice *device, int ordinal) {
  CUresult result = enter_device(ordinal, device);
  if (result) return result;
  *device = ordinal;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuDeviceGetName(char *name, int len, CUdevice dev) {
  CUresult result = enter_device(dev, name);
  if (result) return result;
  if (len > 0) snprintf(name, (size_t)len, "simulated sm_%d", sim_options.compute);
  return driver_leave(len > 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CUresult CUDAAPI cuDeviceGetUuid(CUuuid *uuid, CUdevice dev) {
  CUresult result = enter_device(dev, uuid);
  if (result) return result;
  memset(uuid, 0, sizeof *uuid);
  snprintf(uuid->bytes, sizeof uuid->bytes, "simgpu %d", dev);
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuDeviceTotalMem(size_t *bytes, CUdevice dev) {
  CUresult result = enter_device(dev, bytes);
  if (result) return result;
  *bytes = sim_memory_capacity(dev);
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuDeviceGetPCIBusId(char *pciBusId, int len, CUdevice dev) {
  CUresult result = enter_device(dev, pciBusId);
  if (result) return result;
  if (len > 0) snprintf(pciBusId, (size_t)len, "0000:%02X:00.0", dev + 1);
  return driver_leave(len > 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CUresult CUDAAPI cuDeviceGetByPCIBusId(CUdevice *dev, const char *pciBusId) {
  CUresult result = enter_device(0, dev);
  if (result) return result;
  unsigned domain = 0, bus = 0;
  bool read = pciBusId && (sscanf(pciBusId, "%x:%x:", &domain, &bus) == 2 || sscanf(pciBusId, "%x:", &bus) == 1);
  if (!read || domain || bus < 1 || bus > (unsigned)driver_devices) return driver_leave(CUDA_ERROR_INVALID_DEVICE);
  *dev = (CUdevice)bus - 1;
  return driver_leave(CUDA_SUCCESS);
}

// The attribute's value; false if the device has nothing to say to it.
static bool attribute(CUdevice_attribute attrib, CUdevice dev, int *out) {
  const Model *m = model();
  switch (attrib) {
  case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *out = sim_options.compute / 10; break;
  case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *out = sim_options.compute % 10; break;
  case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *out = m->multiprocessors; break;
  case CU_DEVICE_ATTRIBUTE_WARP_SIZE: *out = 32; break;
  case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
  case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X:
  case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y: *out = 1024; break;
  case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z: *out = 64; break;
  case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X: *out = 2147483647; break;
  case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
  case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z: *out = 65535; break;
  case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: *out = 49152; break;
  case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: *out = m->shared_optin; break;
  case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR: *out = m->shared; break;
  case CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK: *out = m->compute >= 80 ? 1024 : 0; break;
  case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR: *out = m->threads; break;
  case CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR: *out = m->blocks; break;
  case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK:
  case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR: *out = 65536; break;
  case CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY: *out = 65536; break;
  case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE: *out = m->l2_bytes; break;
  case CU_DEVICE_ATTRIBUTE_CLOCK_RATE: *out = m->clock_khz; break;
  case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE: *out = m->memory_khz; break;
  case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH: *out = m->bus_bits; break;
  case CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT: *out = 2; break;
  case CU_DEVICE_ATTRIBUTE_GPU_OVERLAP:
  case CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS:
  case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
  case CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED:
  case CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED:
  case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED:
  case CU_DEVICE_ATTRIBUTE_ECC_ENABLED: *out = 1; break;
  case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID: *out = dev + 1; break;
  case CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID:
  case CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID: *out = 0; break;
  // What the simulator can't do, and a program must not count on.
  case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY:
  case CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY:
  case CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS:
  case CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS:
  case CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM:
  case CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH:
  case CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH:
  case CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED:
  case CU_DEVICE_ATTRIBUTE_KERNEL_EXEC_TIMEOUT:
  case CU_DEVICE_ATTRIBUTE_INTEGRATED:
  case CU_DEVICE_ATTRIBUTE_COMPUTE_MODE: // CU_COMPUTEMODE_DEFAULT
  case CU_DEVICE_ATTRIBUTE_MULTI_GPU_BOARD: *out = 0; break;
  default: return false;
  }
  return true;
}

int device_attribute(CUdevice_attribute attrib, int device) {
  int value = 0;
  return attribute(attrib, device, &value) ? value : 0;
}

CUresult CUDAAPI cuDeviceGetAttribute(int *pi, CUdevice_attribute attrib, CUdevice dev) {
  CUresult result = enter_device(dev, pi);
  if (result) return result;
  if (attribute(attrib, dev, pi)) return driver_leave(CUDA_SUCCESS);
  driver_report("cuDeviceGetAttribute: attribute %d is not simulated", (int)attrib);
  return driver_leave(CUDA_ERROR_INVALID_VALUE);
}
