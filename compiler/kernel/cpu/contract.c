// Contract: the door of the contraction schedules.
#include "compiler/kernel/cpu/contract.h"

#include "compiler/kernel/cpu/contract_match.h"
#include "compiler/kernel/cpu/micro.h"
#include "compiler/kernel/cpu/schedule_conv.h"
#include "compiler/kernel/cuda/contract.h"
#include "runtime/base/status.h"

bool contract_is_in(const Group *group) {
  for (int i = 0; i < group->n_nodes; i++) {
    if (op_info(group->nodes[i]->op)->cls == CLASS_CONTRACT) return true;
  }
  return false;
}

bool contract_can_fuse(const Target *target, const Group *group, Text *why) {
  CudaContract cuda;
  if (target->kind == TARGET_CUDA) return cuda_contract_match(target, group, &cuda, why);
  Contract contract;
  return contract_match(target, group, &contract, why);
}

void contract_schedule(Lower *lower) {
  Ir *ir = lower_ir(lower);
  if (ir->target->kind == TARGET_CUDA) {
    CudaContract cuda;
    if (!cuda_contract_match(ir->target, lower_group(lower), &cuda, NULL)) BUG("a group that does not match");
    cuda_contract_schedule(lower, &cuda);
    return;
  }
  Schedule schedule = {.lower = lower, .ir = ir, .body = ir->function->body, .vl = ir->target->vector};
  if (!contract_match(ir->target, lower_group(lower), &schedule.contract, NULL)) BUG("a group that does not match");
  switch (schedule.contract.form) {
  case CONTRACT_POINTWISE: schedule_pointwise(&schedule); return;
  case CONTRACT_DENSE: schedule_dense(&schedule); return;
  case CONTRACT_WINOGRAD: schedule_winograd(&schedule); return;
  case CONTRACT_DEPTHWISE: schedule_depthwise(&schedule); return;
  case CONTRACT_DX_DENSE: schedule_dense_dx(&schedule); return;
  case CONTRACT_DX: schedule_depthwise_dx(&schedule); return;
  case CONTRACT_DW_DENSE: schedule_grad_dense(&schedule); return;
  case CONTRACT_DW_DEPTHWISE: schedule_grad_depthwise(&schedule); return;
  case CONTRACT_DW_WINOGRAD: schedule_grad_winograd(&schedule); return;
  case CONTRACT_MATMUL: schedule_matmul(&schedule); return;
  }
}

const Gemm *contract_as_gemm(const Target *target, const Group *group, Arena *arena) {
  CudaContract cuda;
  Gemm gemm;
  if (target->kind != TARGET_CUDA || !contract_is_in(group)) return NULL;
  if (!cuda_contract_match(target, group, &cuda, NULL) || !cuda_gemm_describe(&cuda, &gemm)) return NULL;
  return arena_memdup(arena, &gemm, sizeof gemm);
}

void contract_preamble(const Target *target, Text *source) {
  if (target->kind == TARGET_CUDA) cuda_contract_preamble(target, source);
  if (target->kind != TARGET_CPU) return;
  micro_common(target, source);
  micro_gemm(target, source);
  micro_conv(target, source);
  micro_matmul(target, source);
  micro_few(target, source);
  micro_depthwise(target, source);
  micro_resize(target, source);
  micro_depthwise_dx(target, source);
  micro_dense_dx(target, source);
  micro_grad(target, source);
  micro_winograd(target, source);
  micro_winograd_dw(source);
  micro_strassen(target, source);
}
