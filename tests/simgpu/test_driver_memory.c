// Devices, contexts, memory and copies.
#include "tests/check.h"
#if __has_include(<cuda.h>)
#include "tests/simgpu/calls.h"

static void devices(void) {
  int n = 0, value = 0, minor = 0;
  char name[64];
  size_t bytes = 0;
  CUdevice device;
  OK(cuDeviceGetCount, &n);
  CHECK(n >= 1, "%d devices", n);
  OK(cuDeviceGet, &device, 0);
  GIVES(CUDA_ERROR_INVALID_DEVICE, cuDeviceGet, &device, n);
  OK(cuDeviceGetName, name, sizeof name, 0);
  CHECK(strlen(name) > 3, "name %s", name);
  OK(cuDeviceTotalMem, &bytes, 0);
  CHECK(bytes >= 1 << 28, "%zu bytes", bytes);
  OK(cuDeviceGetAttribute, &value, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0);
  OK(cuDeviceGetAttribute, &minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0);
  CHECK(value * 10 + minor >= 61, "compute capability %d.%d", value, minor);
  OK(cuDeviceGetAttribute, &value, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 0);
  CHECK(value >= 49152, "%d bytes of shared memory", value);
  OK(cuDeviceGetAttribute, &value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 0);
  CHECK(value == 32, "warps of %d", value);
  OK(cuDriverGetVersion, &value);
  CHECK(value >= 12000, "version %d", value);
  char bus[32];
  OK(cuDeviceGetPCIBusId, bus, sizeof bus, 0);
  OK(cuDeviceGetByPCIBusId, &device, bus);
  CHECK(device == 0, "%s is device %d", bus, device);
}

static void contexts(void) {
  CUcontext first, now, popped;
  OK(cuCtxGetCurrent, &first);
  OK(cuCtxPushCurrent, first);
  OK(cuCtxPopCurrent, &popped);
  OK(cuCtxGetCurrent, &now);
  CHECK(popped == first && now == first, "push and pop");
  OK(cuCtxSetCurrent, NULL);
  CUdeviceptr p;
  GIVES(CUDA_ERROR_INVALID_CONTEXT, cuMemAlloc, &p, 4);
  OK(cuCtxSetCurrent, first);
  unsigned flags;
  int active = 0;
  OK(cuDevicePrimaryCtxGetState, 0, &flags, &active);
  CHECK(active == 1, "the primary context is active");
}

static void allocation(void) {
  CUdeviceptr p = 0, base = 0;
  size_t size = 0, free_before, free_then, total;
  OK(cuMemGetInfo, &free_before, &total);
  OK(cuMemAlloc, &p, 64 << 20);
  OK(cuMemGetInfo, &free_then, &total);
  CHECK(free_before - free_then >= 64 << 20, "%zu bytes less", free_before - free_then);
  CHECK(p % 256 == 0, "alignment of %llx", p);
  OK(cuMemGetAddressRange, &base, &size, p + 1000);
  CHECK(base == p && size == 64 << 20, "range %zu", size);
  unsigned type = 0;
  OK(cuPointerGetAttribute, &type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p);
  CHECK(type == CU_MEMORYTYPE_DEVICE, "memory type %u", type);
  OK(cuMemFree, p);
  if (simulator.report) { // on a device these would be undefined
    GIVES(CUDA_ERROR_INVALID_VALUE, cuMemFree, p);
    CHECK(reported("no allocation begins"), "freed twice");
  }
  OK(cuMemFree, 0);
  GIVES(CUDA_ERROR_INVALID_VALUE, cuMemAlloc, &p, 0);
  GIVES(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc, &p, (size_t)1 << 44);
}

enum { N = 1000 };

static void copies(void) {
  CUdeviceptr a, b;
  float host[N], back[N];
  for (int k = 0; k < N; k++) host[k] = (float)k;
  OK(cuMemAlloc, &a, sizeof host);
  OK(cuMemAlloc, &b, sizeof host);
  OK(cuMemcpyHtoD, a, host, sizeof host);
  OK(cuMemcpyDtoD, b, a, sizeof host);
  OK(cuMemcpyDtoH, back, b, sizeof host);
  CHECK(!memcmp(host, back, sizeof host), "there and back");
  OK(cuMemsetD32, b + 8, 0x3f800000, 4);
  OK(cuMemsetD8, b, 0, 8);
  OK(cuMemcpyDtoH, back, b, sizeof host);
  CHECK(back[0] == 0 && back[2] == 1 && back[5] == 1 && back[6] == 6, "memsets");
  OK(cuMemsetD16, b, 0x4049, 1);
  unsigned short half = 0;
  OK(cuMemcpyDtoH, &half, b, 2);
  CHECK(half == 0x4049, "memset of 16 bits");
  GIVES(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD, b + 4, host, sizeof host);
  CHECK(reported("does not lie in device memory"), "copy past the end");
  OK(cuMemFree, a);
  OK(cuMemFree, b);
}

// A staging buffer is used again before its copy is known to be done.
static int torn(int seed, bool waits) {
  CUdeviceptr a, b;
  CUstream stream;
  CUevent event;
  int *pinned, first = -1;
  option_number("SIMGPU_SEED", seed);
  OK(cuMemAlloc, &a, 4);
  OK(cuMemAlloc, &b, 4);
  OK(cuMemHostAlloc, (void **)&pinned, 4, 0);
  OK(cuStreamCreate, &stream, CU_STREAM_NON_BLOCKING);
  OK(cuEventCreate, &event, CU_EVENT_DISABLE_TIMING);
  *pinned = 1;
  OK(cuMemcpyHtoDAsync, a, pinned, 4, stream);
  OK(cuEventRecord, event, stream);
  if (waits) OK(cuEventSynchronize, event);
  *pinned = 2;
  OK(cuMemcpyHtoDAsync, b, pinned, 4, stream);
  OK(cuStreamSynchronize, stream);
  OK(cuMemcpyDtoH, &first, a, 4);
  OK(cuMemFree, a);
  OK(cuMemFree, b);
  OK(cuMemFreeHost, pinned);
  OK(cuEventDestroy, event);
  OK(cuStreamDestroy, stream);
  return first != 1;
}

static void staging(void) {
  int careless = 0, careful = 0;
  for (int seed = 0; seed < 20; seed++) careless += torn(seed, false), careful += torn(seed, true);
  CHECK(careful == 0, "%d of 20 with the event awaited", careful);
  if (simulator.report) CHECK(careless >= 10, "%d of 20 without", careless);
}

// The destination of a copy is not to be read before the copy is done, not even for what was there before.
static void stale(void) {
  CUdeviceptr a;
  CUstream stream;
  int *pinned, early = 0;
  if (!simulator.report) return;
  OK(cuMemAlloc, &a, 4);
  OK(cuMemHostAlloc, (void **)&pinned, 4, 0);
  OK(cuStreamCreate, &stream, CU_STREAM_NON_BLOCKING);
  for (int seed = 0; seed < 16; seed++) {
    option_number("SIMGPU_SEED", seed);
    *pinned = 5;
    OK(cuMemsetD32Async, a, 5, 1, stream);
    OK(cuMemcpyDtoHAsync, pinned, a, 4, stream);
    early += *(volatile int *)pinned != 5;
    OK(cuStreamSynchronize, stream);
    CHECK(*pinned == 5, "%d", *pinned);
    // Behind a copy that still reads the memory, it must stay.
    OK(cuMemcpyHtoDAsync, a, pinned, 4, stream);
    OK(cuMemcpyDtoHAsync, pinned, a, 4, stream);
    OK(cuStreamSynchronize, stream);
    CHECK(*pinned == 5, "%d after both ways", *pinned);
  }
  CHECK(early >= 8, "%d of 16 read early", early);
  OK(cuStreamDestroy, stream);
  OK(cuMemFreeHost, pinned);
  OK(cuMemFree, a);
}

// What the documentation leaves open about pageable memory, both ways.
static void pageable(void) {
  CUdeviceptr a;
  CUstream stream;
  OK(cuMemAlloc, &a, 4);
  OK(cuStreamCreate, &stream, CU_STREAM_NON_BLOCKING);
  int value = 1, back = 0;
  option("SIMGPU_PAGEABLE", "staged");
  OK(cuMemcpyHtoDAsync, a, &value, 4, stream);
  value = 2;
  OK(cuMemcpyDtoHAsync, &back, a, 4, stream);
  CHECK(back == 1, "staged: %d", back);
  if (simulator.report) {
    option("SIMGPU_PAGEABLE", "late");
    option("SIMGPU_SEED", "1");
    OK(cuMemcpyHtoDAsync, a, &value, 4, stream);
    value = 3;
    OK(cuMemcpyDtoHAsync, &back, a, 4, stream);
    OK(cuStreamSynchronize, stream);
    CHECK(back == 3, "late: %d", back);
    // The source of a synchronous copy may be used again at once, in any case.
    OK(cuMemcpyHtoD, a, &value, 4);
    value = 4;
    OK(cuMemcpyDtoH, &back, a, 4);
    CHECK(back == 3, "synchronous: %d", back);
    option("SIMGPU_PAGEABLE", NULL);
  }
  OK(cuStreamSynchronize, stream);
  OK(cuStreamDestroy, stream);
  OK(cuMemFree, a);
}

static void pinned(void) {
  void *p = NULL;
  static char own[8192];
  OK(cuMemHostAlloc, &p, 4096, CU_MEMHOSTALLOC_PORTABLE);
  unsigned flags = 0, type = 0;
  OK(cuMemHostGetFlags, &flags, p);
  CHECK(flags & CU_MEMHOSTALLOC_PORTABLE, "flags %u", flags);
  OK(cuPointerGetAttribute, &type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, (CUdeviceptr)p);
  CHECK(type == CU_MEMORYTYPE_HOST, "type %u", type);
  OK(cuMemFreeHost, p);
  OK(cuMemHostRegister, own, sizeof own, 0);
  GIVES(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, cuMemHostRegister, own, sizeof own, 0);
  OK(cuMemHostUnregister, own);
  GIVES(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, cuMemHostUnregister, own);
}

static void stream_ordered(void) {
  CUdeviceptr a = 0;
  CUstream stream;
  int back = 0;
  CUmemoryPool pool;
  cuuint64_t keep = 1 << 20;
  OK(cuDeviceGetDefaultMemPool, &pool, 0);
  OK(cuMemPoolSetAttribute, pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep);
  OK(cuStreamCreate, &stream, CU_STREAM_NON_BLOCKING);
  OK(cuMemAllocAsync, &a, 4, stream);
  OK(cuMemsetD32Async, a, 7, 1, stream);
  OK(cuMemcpyDtoHAsync, &back, a, 4, stream);
  OK(cuMemFreeAsync, a, stream);
  OK(cuStreamSynchronize, stream);
  CHECK(back == 7, "%d", back);
  OK(cuStreamDestroy, stream);
}

static void peers(void) {
  CUcontext first, second;
  CUdeviceptr a, b;
  int n, yes = 0, back = 0;
  OK(cuDeviceGetCount, &n);
  if (n < 2) return;
  OK(cuDeviceCanAccessPeer, &yes, 0, 1);
  OK(cuCtxGetCurrent, &first);
  OK(cuDevicePrimaryCtxRetain, &second, 1);
  OK(cuMemAlloc, &a, 4);
  OK(cuMemsetD32, a, 11, 1);
  OK(cuCtxSynchronize);
  OK(cuCtxSetCurrent, second);
  OK(cuMemAlloc, &b, 4);
  OK(cuMemcpyPeer, b, second, a, first, 4);
  OK(cuMemcpyDtoH, &back, b, 4);
  CHECK(back == 11, "%d", back);
  CHECK(gpu.cuMemcpyPeer(b, first, a, second, 4) == CUDA_ERROR_INVALID_VALUE || !simulator.report, "wrong contexts");
  if (yes) {
    OK(cuCtxEnablePeerAccess, first, 0);
    GIVES(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, cuCtxEnablePeerAccess, first, 0);
    OK(cuCtxDisablePeerAccess, first);
    GIVES(CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, cuCtxDisablePeerAccess, first);
  }
  OK(cuMemFree, b);
  OK(cuMemFree, a);
  OK(cuCtxSetCurrent, first);
  OK(cuDevicePrimaryCtxRelease, 1);
}

static void leaks(void) {
  if (!simulator.memory) return;
  uint64_t used, peak;
  int live;
  simulator.memory(0, &used, &peak, &live);
  CHECK(live == 0 && used == 0, "%d allocations of %llu bytes are left", live, (unsigned long long)used);
  CHECK(peak >= 64 << 20, "peak %llu", (unsigned long long)peak);
}

int main(void) {
  if (!calls_begin(2)) {
    CHECK(0, "the library opens");
    return check_report("test_driver_memory");
  }
  devices();
  contexts();
  allocation();
  copies();
  staging();
  stale();
  pageable();
  pinned();
  stream_ordered();
  peers();
  leaks();
  if (simulator.report) CHECK_TEXT(simulator.report(), "", "faults");
  return check_report("test_driver_memory");
}
#else
int main(void) {
  CHECK_SKIP("no CUDA toolkit's headers");
  return check_report("test_driver_memory");
}
#endif
