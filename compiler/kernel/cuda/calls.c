// What the calls of templates do to memory, as statements beside the kernel's text.
#include "compiler/kernel/cuda/contract.h"
#include "compiler/kernel/ir_build.h"

IrStmt *cuda_calls(Ir *ir, IrStmt *lambda) {
  lambda->calls = ARENA_ARRAY(ir->arena, IrStmt, 1);
  lambda->calls->kind = IR_BLOCK;
  return lambda->calls;
}

IrStmt *cuda_where(Ir *ir, IrStmt *block, IrExpr *condition) {
  return ir_is_int(condition, 1) ? block : ir_if(ir, block, condition)->body[0];
}

void cuda_call(Ir *ir, IrStmt *block, IrStmt *lambda, IrExpr *const *args, bool is_four) {
  for (int i = 0; i < lambda->n_params; i++) {
    if (lambda->param[i]->type == IR_INDEX) ir_let_as(ir, block, lambda->param[i], args[i]);
  }
  ARENA_PUSH(ir->arena, block->body, block->n_body, block->cap_body, lambda->body[0]);
  IrExpr *value = lambda->value;
  if (!value) return;
  if (value->kind == IR_SELECT && value->type == IR_POINTER) {
    block = cuda_where(ir, block, value->arg[0]);
    value = value->arg[1];
  }
  ir_do(ir, block, value->kind != IR_ADDRESS ? "value" : is_four ? "load_quad" : "load_one", 1, &value);
}
