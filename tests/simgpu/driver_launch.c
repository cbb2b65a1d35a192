// Kernel launches: what the real driver refuses at the call is refused here, the rest runs in the stream's time.
#include "tests/simgpu/driver_graph.h"
#include "tests/simgpu/driver_handle.h"
#include "tests/simgpu/driver_module.h"
#include "tests/simgpu/stream_order.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct LaunchWork {
  Work work;
  const Function *function;
  SimLaunch launch; // params points at the copy below
  char *params;
} LaunchWork;

static CUresult error_of(SimFaultKind kind) {
  switch (kind) {
  case SIM_OK: return CUDA_SUCCESS;
  case SIM_BAD_LAUNCH: return CUDA_ERROR_INVALID_VALUE;
  case SIM_BAD_ADDRESS: return CUDA_ERROR_ILLEGAL_ADDRESS;
  case SIM_MISALIGNED: return CUDA_ERROR_MISALIGNED_ADDRESS;
  case SIM_ENDLESS: return CUDA_ERROR_LAUNCH_TIMEOUT;
  default: return CUDA_ERROR_LAUNCH_FAILED; // a trap; and what a real device doesn't notice
  }
}

static bool launch_run(Op *op) {
  LaunchWork *work = (LaunchWork *)op->work;
  const SimKernel *kernel = work->function->kernel;
  if (!kernel) {
    driver_fail(op->context, CUDA_ERROR_LAUNCH_FAILED, "kernel %s: its module was unloaded before it ran",
                work->function->name);
    return true;
  }
  SimLaunch launch = work->launch;
  SimFault fault = {0};
  launch.peers = op->context->peers;
  driver_stats.launches++;
  stream_order_set_running(op);
  bool good = sim_machine_run(kernel, &launch, &fault);
  stream_order_set_running(NULL);
  if (!good) driver_fail(op->context, error_of(fault.kind), "%s", fault.text);
  return true;
}

static void launch_destroy(Work *work) { free(((LaunchWork *)work)->params); }

static void launch_describe(const Work *work, char *text, size_t n_text) {
  const LaunchWork *launch = (const LaunchWork *)work;
  const uint32_t *grid = launch->launch.grid, *block = launch->launch.block;
  snprintf(text, n_text, "kernel %s <%u,%u,%u> of <%u,%u,%u>", launch->function->name, grid[0], grid[1], grid[2],
           block[0], block[1], block[2]);
}

static const WorkType launch_type = {.name = "kernel",
                                     .node = CU_GRAPH_NODE_TYPE_KERNEL,
                                     .run = launch_run,
                                     .destroy = launch_destroy,
                                     .describe = launch_describe};

static CUresult refuse(const Function *f, CUresult error, const char *why) {
  driver_report("kernel %s not launched: %s", f->name, why);
  return error;
}

static CUresult check_shape(const Function *f, const CUlaunchConfig *c) {
  unsigned long long threads = (unsigned long long)c->blockDimX * c->blockDimY * c->blockDimZ;
  if (!c->gridDimX || !c->gridDimY || !c->gridDimZ || c->gridDimX > 2147483647u || c->gridDimY > 65535 ||
      c->gridDimZ > 65535)
    return refuse(f, CUDA_ERROR_INVALID_VALUE, "a dimension of the grid is zero or too large");
  if (!threads || c->blockDimX > 1024 || c->blockDimY > 1024 || c->blockDimZ > 64 || threads > 1024)
    return refuse(f, CUDA_ERROR_INVALID_VALUE, "a dimension of the block is zero or too large");
  if (threads > f->kernel->max_threads)
    return refuse(f, CUDA_ERROR_INVALID_VALUE, "more threads a block than its launch bounds allow");
  if (c->sharedMemBytes > (unsigned)f->max_dynamic_shared)
    return refuse(f, CUDA_ERROR_INVALID_VALUE,
                  "more dynamic shared memory than CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES allows");
  return CUDA_SUCCESS;
}

// Copies the parameters from an array of addresses, or from the one buffer that `extra` names.
static CUresult copy_params(const Function *f, void **params, void **extra, char *out) {
  const SimKernel *kernel = f->kernel;
  if (!kernel->n_params) return CUDA_SUCCESS;
  if (params && extra) return refuse(f, CUDA_ERROR_INVALID_VALUE, "both kernelParams and extra are given");
  if (params) {
    for (int k = 0; k < kernel->n_params; k++) {
      if (!params[k]) return refuse(f, CUDA_ERROR_INVALID_VALUE, "a parameter's address is NULL");
      memcpy(out + kernel->param_offset[k], params[k], kernel->param_size[k]);
    }
    return CUDA_SUCCESS;
  }
  const void *buffer = NULL;
  size_t bytes = 0;
  for (int k = 0; extra && extra[k] != CU_LAUNCH_PARAM_END; k += 2) {
    if (extra[k] == CU_LAUNCH_PARAM_BUFFER_POINTER) buffer = extra[k + 1];
    else if (extra[k] == CU_LAUNCH_PARAM_BUFFER_SIZE) bytes = *(const size_t *)extra[k + 1];
    else return refuse(f, CUDA_ERROR_INVALID_VALUE, "extra holds something unknown");
  }
  if (!buffer || bytes < kernel->param_bytes) return refuse(f, CUDA_ERROR_INVALID_VALUE, "parameters are missing");
  memcpy(out, buffer, kernel->param_bytes);
  return CUDA_SUCCESS;
}

static CUresult check_attributes(const Function *f, const CUlaunchConfig *c) {
  for (unsigned k = 0; k < c->numAttrs; k++) switch (c->attrs[k].id) {
    case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
      if (c->attrs[k].value.cooperative) return refuse(f, CUDA_ERROR_NOT_SUPPORTED, "cooperative");
      break;
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
      if (c->attrs[k].value.clusterDim.x * c->attrs[k].value.clusterDim.y * c->attrs[k].value.clusterDim.z > 1)
        return refuse(f, CUDA_ERROR_NOT_SUPPORTED, "clusters are not simulated");
      break;
    case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT:
    case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT:
      return refuse(f, CUDA_ERROR_NOT_SUPPORTED, "events of a launch are not simulated");
    default: break; // hints
    }
  return CUDA_SUCCESS;
}

static CUresult launch(Context *context, const CUlaunchConfig *c, CUfunction function, void **params, void **extra) {
  Stream *stream = stream_of(c->hStream, context);
  if (!handle_is(function, HANDLE_FUNCTION)) return CUDA_ERROR_INVALID_HANDLE;
  const Function *f = (const Function *)function;
  if (!stream || stream->context != context || f->context != context)
    return refuse(f, CUDA_ERROR_INVALID_HANDLE, "the function or the stream is not of the current context");
  CUresult result = check_attributes(f, c);
  if (!result) result = check_shape(f, c);
  if (result) return result;
  LaunchWork *work = work_new(&launch_type, sizeof *work);
  work->function = f;
  work->params = calloc(1, f->kernel->param_bytes + 1);
  if (!work->params) abort();
  work->launch = (SimLaunch){.device = context->device,
                             .grid = {c->gridDimX, c->gridDimY, c->gridDimZ},
                             .block = {c->blockDimX, c->blockDimY, c->blockDimZ},
                             .shared = c->sharedMemBytes,
                             .params = work->params};
  result = copy_params(f, params, extra, work->params);
  if (!result) return stream_put(stream, &work->work, NULL);
  work_release(&work->work);
  return result;
}

CUresult CUDAAPI cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction f, void **kernelParams, void **extra) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  if (!config || (config->numAttrs && !config->attrs)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  return driver_leave(launch(context, config, f, kernelParams, extra));
}

CUresult CUDAAPI cuLaunchKernel(CUfunction f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ,
                                unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ,
                                unsigned int sharedMemBytes, CUstream hStream, void **kernelParams, void **extra) {
  CUlaunchConfig config = {.gridDimX = gridDimX,
                           .gridDimY = gridDimY,
                           .gridDimZ = gridDimZ,
                           .blockDimX = blockDimX,
                           .blockDimY = blockDimY,
                           .blockDimZ = blockDimZ,
                           .sharedMemBytes = sharedMemBytes,
                           .hStream = hStream};
  return cuLaunchKernelEx(&config, f, kernelParams, extra);
}
