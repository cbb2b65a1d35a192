// stub
#include "compiler/kernel/cuda_contract.h"
void cuda_preamble_depthwise(Text *out) { (void)out; }
void cuda_schedule_depthwise(Lower *lower, const CudaContract *contract) { (void)lower, (void)contract; }
void cuda_schedule_depthwise_dw(Lower *lower, const CudaContract *contract) { (void)lower, (void)contract; }
void cuda_schedule_dot(Lower *lower, const CudaContract *contract) { (void)lower, (void)contract; }
