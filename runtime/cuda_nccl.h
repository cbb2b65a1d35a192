// CUDA NCCL: joins GPUs, of one process or of many, as what Device.collective asks for.
//
// Each device is driven by a thread or process of its own. The sums of a run are the same bits on all devices.
#ifndef SG_CUDA_NCCL_H
#define SG_CUDA_NCCL_H

#include "runtime/cuda_api.h"
#include "runtime/device.h"

// Joins `n` CUDA devices of this process; out[i] is for device i. EXIT_DEVICE if NCCL is missing or refuses.
// `timeout`: seconds without an answer after which the others count as lost. cuda_nccl_close ends each, in every case.
Status cuda_nccl_open(Device *const *devices, int n, double timeout, Collective **out);

// One rank of a job over several processes: rank 0 makes the ids, which whoever starts the job passes on to all.
// Returns when all ranks have joined.
Status cuda_nccl_ids(NcclId out[LANE_COUNT]);
Status cuda_nccl_join(Device *device, const NcclId ids[LANE_COUNT], int n_ranks, int rank, double timeout,
                      Collective **out);

void cuda_nccl_close(Collective *collective); // NULL is allowed

#endif
