// CUDA NCCL: communicators behind the Collective interface.
#include "runtime/cuda_nccl.h"

#include <stdbool.h>
#include <stdlib.h>

#include "runtime/cuda_context.h"

typedef struct Nccl {
  Collective collective;
  const CudaApi *api;
  CudaDevice *cuda;
  NcclComm comm[LANE_COUNT]; // a communicator for each lane; NULL once given up
  int rank, n_ranks;
  double timeout;
} Nccl;

static Status refused(const CudaApi *api, NcclResult result, const char *what) {
  if (result == NCCL_OK || result == NCCL_UNDER_WAY) return STATUS_OK;
  return status_make(EXIT_DEVICE, "NCCL: %s: %s (NCCL_DEBUG=INFO says more)", what, api->ncclGetErrorString(result));
}

// Ends what the device waits for in vain; nothing can be reduced any more.
static void give_up(Nccl *nccl) {
  for (int lane = 0; lane < LANE_COUNT; lane++) {
    if (nccl->comm[lane]) nccl->api->ncclCommAbort(nccl->comm[lane]);
    nccl->comm[lane] = NULL;
  }
}

static Status is_lost(const Nccl *nccl, const char *why) {
  return status_make(EXIT_PEER, "rank %d of %d (%s) has lost another one: %s", nccl->rank, nccl->n_ranks,
                     nccl->cuda->name, why);
}

static Status all_reduce(Collective *collective, CollectiveLane lane, bool is_max, const float *from, float *to,
                         int64_t floats, void *queue) {
  Nccl *nccl = (Nccl *)collective;
  if (!nccl->comm[lane]) return is_lost(nccl, "the connection was given up");
  NcclResult result = nccl->api->ncclAllReduce(from, to, (size_t)floats, NCCL_FLOAT32, is_max ? NCCL_MAX : NCCL_SUM,
                                               nccl->comm[lane], queue);
  return result == NCCL_UNDER_WAY ? STATUS_OK : refused(nccl->api, result, "all-reduce");
}

static Status check(Collective *collective, double waited) {
  Nccl *nccl = (Nccl *)collective;
  for (int lane = 0; lane < LANE_COUNT; lane++) {
    NcclResult trouble = NCCL_OK;
    if (!nccl->comm[lane]) return is_lost(nccl, "the connection was given up");
    NcclResult result = nccl->api->ncclCommGetAsyncError(nccl->comm[lane], &trouble);
    if (result) trouble = result;
    if (trouble == NCCL_OK || trouble == NCCL_UNDER_WAY) continue;
    Status status = is_lost(nccl, nccl->api->ncclGetErrorString(trouble));
    give_up(nccl);
    return status;
  }
  if (waited < nccl->timeout) return STATUS_OK;
  give_up(nccl);
  return status_make(EXIT_PEER, "rank %d of %d (%s) had no answer from the others for %.0f s", nccl->rank,
                     nccl->n_ranks, nccl->cuda->name, nccl->timeout);
}

static Nccl *make(const CudaApi *api, Device *device, int rank, int n_ranks, double timeout) {
  Nccl *nccl = malloc(sizeof *nccl);
  if (!nccl) BUG("out of memory");
  *nccl = (Nccl){.collective = {.all_reduce = all_reduce, .check = check, .is_capturable = true},
                 .api = api,
                 .cuda = cuda_of(device),
                 .rank = rank,
                 .n_ranks = n_ranks,
                 .timeout = timeout};
  return nccl;
}

Status cuda_nccl_open(Device *const *devices, int n, double timeout, Collective **out) {
  const CudaApi *api;
  TRY(cuda_api_open(CUDA_NCCL, &api));
  int *numbers = malloc(sizeof *numbers * (size_t)n);
  NcclComm *comms = calloc((size_t)n, sizeof(NcclComm));
  if (!numbers || !comms) BUG("out of memory");
  for (int i = 0; i < n; i++) {
    numbers[i] = cuda_of(devices[i])->number;
    out[i] = &make(api, devices[i], i, n, timeout)->collective;
  }
  Status status = STATUS_OK;
  for (int lane = 0; lane < LANE_COUNT && !status; lane++) {
    status = refused(api, api->ncclCommInitAll(comms, n, numbers), "joining the GPUs");
    for (int i = 0; i < n && !status; i++) ((Nccl *)out[i])->comm[lane] = comms[i];
  }
  free(numbers);
  free(comms);
  return status;
}

Status cuda_nccl_ids(NcclId out[LANE_COUNT]) {
  const CudaApi *api;
  TRY(cuda_api_open(CUDA_NCCL, &api));
  for (int lane = 0; lane < LANE_COUNT; lane++) TRY(refused(api, api->ncclGetUniqueId(&out[lane]), "making an id"));
  return STATUS_OK;
}

Status cuda_nccl_join(Device *device, const NcclId ids[LANE_COUNT], int n_ranks, int rank, double timeout,
                      Collective **out) {
  const CudaApi *api;
  TRY(cuda_api_open(CUDA_NCCL, &api));
  TRY(cuda_enter(cuda_of(device)));
  Nccl *nccl = make(api, device, rank, n_ranks, timeout);
  *out = &nccl->collective;
  for (int lane = 0; lane < LANE_COUNT; lane++)
    TRY(refused(api, api->ncclCommInitRank(&nccl->comm[lane], n_ranks, ids[lane], rank), "joining the other ranks"));
  return STATUS_OK;
}

void cuda_nccl_close(Collective *collective) {
  Nccl *nccl = (Nccl *)collective;
  if (!nccl) return;
  status_free(cuda_enter(nccl->cuda));
  for (int lane = 0; lane < LANE_COUNT; lane++)
    if (nccl->comm[lane]) nccl->api->ncclCommDestroy(nccl->comm[lane]);
  free(nccl);
}
