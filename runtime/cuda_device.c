// CUDA device: opening a GPU, its streams, waiting, closing.
#include "runtime/cuda_device.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/base/clock.h"
#include "runtime/cuda_context.h"

// ---- GPUs -----------------------------------------------------------------------------------------------------------

static Status open_driver(const CudaApi **api, int *out_count) {
  TRY(cuda_api_open(CUDA_DRIVER, api));
  CudaResult result = (*api)->cuInit(0);
  int count = 0;
  if (!result) result = (*api)->cuDeviceGetCount(&count);
  if (result == CUDA_NO_DEVICE || (!result && !count))
    return status_make(EXIT_DEVICE, "the CUDA driver '%s' finds no GPU (CUDA_VISIBLE_DEVICES is %s)",
                       cuda_api_path(CUDA_DRIVER),
                       getenv("CUDA_VISIBLE_DEVICES") ? getenv("CUDA_VISIBLE_DEVICES") : "not set");
  TRY(cuda_api_check(*api, result, "starting the CUDA driver '%s'", cuda_api_path(CUDA_DRIVER)));
  *out_count = count;
  return STATUS_OK;
}

static Status find_gpu(int number, const CudaApi **api, CudaOrdinal *out) {
  int count = 0;
  TRY(open_driver(api, &count));
  if (number < 0 || number >= count)
    return status_make(EXIT_DEVICE, "there is no cuda:%d; there %s cuda:0%s%.0d", number, count > 1 ? "are" : "is",
                       count > 1 ? " to cuda:" : "", count - 1);
  return cuda_api_check(*api, (*api)->cuDeviceGet(out, number), "cuda:%d", number);
}

Status cuda_gpu_count(int *out) {
  const CudaApi *api;
  return open_driver(&api, out);
}

static Status get_attribute(const CudaApi *api, CudaOrdinal ordinal, CudaValue attribute, int *out) {
  return cuda_api_check(api, api->cuDeviceGetAttribute(out, attribute, ordinal), "asking for attribute %d of a GPU",
                        (int)attribute);
}

static Status get_compute(const CudaApi *api, CudaOrdinal ordinal, int *out) {
  int major = 0, minor = 0;
  TRY(get_attribute(api, ordinal, CUDA_ATTRIBUTE_COMPUTE_MAJOR, &major));
  TRY(get_attribute(api, ordinal, CUDA_ATTRIBUTE_COMPUTE_MINOR, &minor));
  *out = 10 * major + minor;
  return STATUS_OK;
}

Status cuda_gpu(int number, CudaGpu *out) {
  const CudaApi *api;
  CudaOrdinal ordinal;
  size_t memory = 0;
  *out = (CudaGpu){0};
  TRY(find_gpu(number, &api, &ordinal));
  TRY(cuda_api_check(api, api->cuDeviceGetName(out->name, sizeof out->name, ordinal), "cuda:%d", number));
  TRY(cuda_api_check(api, api->cuDeviceTotalMem_v2(&memory, ordinal), "cuda:%d", number));
  out->memory = (int64_t)memory;
  TRY(get_attribute(api, ordinal, CUDA_ATTRIBUTE_MULTIPROCESSORS, &out->multiprocessors));
  return get_compute(api, ordinal, &out->compute);
}

Status cuda_gpu_free_memory(int number, int64_t *out) {
  const CudaApi *api;
  CudaOrdinal ordinal;
  CudaContext context;
  size_t available = 0, total = 0;
  TRY(find_gpu(number, &api, &ordinal));
  TRY(cuda_api_check(api, api->cuDevicePrimaryCtxRetain(&context, ordinal), "opening cuda:%d", number));
  CudaResult result = api->cuCtxSetCurrent(context);
  if (!result) result = api->cuMemGetInfo_v2(&available, &total);
  *out = (int64_t)available;
  api->cuDevicePrimaryCtxRelease_v2(ordinal);
  return cuda_api_check(api, result, "the free memory of cuda:%d", number);
}

// ---- what the parts share -------------------------------------------------------------------------------------------

// Errors of a kernel that ran: whichever call comes next is told, and all after it.
static bool is_fault(CudaResult result) { return result >= CUDA_FIRST_FAULT && result <= CUDA_LAST_FAULT; }

static Status make_error(const CudaDevice *cuda, CudaResult result, const char *hint, const char *format,
                         va_list args) {
  char *what = NULL;
  if (vasprintf(&what, format, args) < 0) BUG("out of memory");
  Status status = cuda_api_check(cuda->api, result, "%s: %s%s", cuda->name, what, hint);
  free(what);
  return status;
}

Status cuda_check(const CudaDevice *cuda, CudaResult result, const char *format, ...) {
  if (result == CUDA_OK) return STATUS_OK;
  va_list args;
  va_start(args, format);
  Status status;
  if (is_fault(result) && cuda->under_way) {
    Text hint = {0};
    text_printf(&hint, " after a kernel of '%s' failed (run again with SGC_CUDA_SYNC=1 to learn which)",
                cuda->under_way);
    status = make_error(cuda, result, text_get(&hint), format, args);
    text_free(&hint);
  } else {
    status = make_error(cuda, result, "", format, args);
  }
  va_end(args);
  return status;
}

Status cuda_check_kernel(const CudaDevice *cuda, CudaResult result, bool is_alone, const char *symbol,
                         const char *label) {
  if (is_fault(result) && !is_alone) return cuda_check(cuda, result, "launching");
  if (result == CUDA_OK) return STATUS_OK;
  return cuda_api_check(cuda->api, result, "%s: kernel '%s' (%s)", cuda->name, symbol, label ? label : "");
}

Status cuda_enter(CudaDevice *cuda) {
  return cuda_check(cuda, cuda->api->cuCtxSetCurrent(cuda->context), "entering the context");
}

Status cuda_queue(CudaDevice *cuda, int queue, CudaStream *out) {
  if (queue < 0 || queue >= CUDA_QUEUES) return status_make(EXIT_DEVICE, "there is no queue %d", queue);
  if (!cuda->queue[queue])
    CUDA_TRY(cuda, cuda->api->cuStreamCreate(&cuda->queue[queue], CUDA_STREAM_NON_BLOCKING), "opening a stream");
  *out = cuda->queue[queue];
  return STATUS_OK;
}

// Spins at first, because most runs end soon; longer ones need not keep a core busy.
static void pause_turn(int turn) {
  if (turn < 1000) sched_yield();
  else nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
}

// Waits while the collective has no objection. What it was waited for ends by itself once it has one, which is given a
// moment, so that memory and modules are not taken from under it.
static Status wait_together(CudaDevice *cuda, CudaStream stream, CudaResult *result) {
  enum { MOMENT = 5 }; // seconds
  Collective *collective = cuda->device.collective;
  Status objection = STATUS_OK;
  double start = clock_seconds();
  for (int turn = 0; (*result = cuda->api->cuStreamQuery(stream)) == CUDA_NOT_READY; turn++) {
    if (!objection) {
      objection = collective->check(collective, clock_seconds() - start);
      if (objection) start = clock_seconds();
    } else if (clock_seconds() - start > MOMENT) {
      break;
    }
    pause_turn(turn);
  }
  return objection;
}

Status cuda_wait(CudaDevice *cuda, CudaStream stream) {
  CudaResult result;
  if (cuda->device.collective && cuda->device.collective->check) TRY(wait_together(cuda, stream, &result));
  else result = cuda->api->cuStreamSynchronize(stream);
  return cuda_check(cuda, result, "waiting");
}

void cuda_notice(CudaDevice *cuda, const char *text) {
  if (cuda->gave_notice || !cuda->device.notice) return;
  cuda->gave_notice = true;
  cuda->device.notice(cuda->device.notice_context, text);
}

// ---- the table ------------------------------------------------------------------------------------------------------

static Status cuda_sync(Device *device) {
  CudaDevice *cuda = cuda_of(device);
  TRY(cuda_enter(cuda));
  return cuda_wait(cuda, cuda->queue[0]); // every sequence ends there
}

static int64_t cuda_memory(const Device *device) { return ((const CudaDevice *)device)->held; }

static void cuda_close(Device *device) {
  CudaDevice *cuda = cuda_of(device);
  const CudaApi *api = cuda->api;
  api->cuCtxSetCurrent(cuda->context);
  for (int i = 0; i < CUDA_QUEUES; i++) {
    cuda_scratch_give(cuda, i, cuda->scratch[i]);
    if (cuda->queue[i]) api->cuStreamDestroy_v2(cuda->queue[i]);
  }
  if (cuda->sends) api->cuStreamDestroy_v2(cuda->sends);
  if (cuda->receives) api->cuStreamDestroy_v2(cuda->receives);
  if (cuda->blas) api->cublasLtDestroy(cuda->blas);
  api->cuDevicePrimaryCtxRelease_v2(cuda->ordinal);
  free(cuda);
}

static const DeviceTable cuda_table = {.kind = "cuda",
                                       .is_host = false,
                                       .alloc = cuda_alloc,
                                       .free = cuda_free,
                                       .alloc_host = cuda_alloc_host,
                                       .free_host = cuda_free_host,
                                       .upload = cuda_upload,
                                       .download = cuda_download,
                                       .load = cuda_load,
                                       .unload = cuda_unload,
                                       .prepare = cuda_prepare,
                                       .drop = cuda_drop,
                                       .send = cuda_send,
                                       .run = cuda_run,
                                       .sync = cuda_sync,
                                       .memory = cuda_memory,
                                       .close = cuda_close};

static bool is_on(const char *variable, bool usual) {
  const char *value = getenv(variable);
  return value && *value ? strcmp(value, "0") != 0 : usual;
}

static Status open_parts(CudaDevice *cuda) {
  CudaStream main_queue;
  TRY(get_compute(cuda->api, cuda->ordinal, &cuda->compute));
  TRY(get_attribute(cuda->api, cuda->ordinal, CUDA_ATTRIBUTE_SHARED_OPTIN, &cuda->most_shared));
  TRY(cuda_enter(cuda));
  TRY(cuda_queue(cuda, 0, &main_queue));
  CUDA_TRY(cuda, cuda->api->cuStreamCreate(&cuda->sends, CUDA_STREAM_NON_BLOCKING), "opening a stream");
  CUDA_TRY(cuda, cuda->api->cuStreamCreate(&cuda->receives, CUDA_STREAM_NON_BLOCKING), "opening a stream");
  return STATUS_OK;
}

Status device_open_cuda(int number, Device **out) {
  const CudaApi *api;
  CudaOrdinal ordinal;
  CudaContext context;
  TRY(find_gpu(number, &api, &ordinal));
  TRY(cuda_api_check(api, api->cuDevicePrimaryCtxRetain(&context, ordinal), "opening cuda:%d", number));
  CudaDevice *cuda = calloc(1, sizeof *cuda);
  if (!cuda) BUG("out of memory");
  *cuda = (CudaDevice){.device = {.table = &cuda_table},
                       .api = api,
                       .number = number,
                       .ordinal = ordinal,
                       .context = context,
                       .is_synchronous = is_on("SGC_CUDA_SYNC", false),
                       .uses_graphs = is_on("SGC_CUDA_GRAPH", true)};
  snprintf(cuda->name, sizeof cuda->name, "cuda:%d", number);
  Status status = open_parts(cuda);
  if (status) cuda_close(&cuda->device);
  else *out = &cuda->device;
  return status;
}
