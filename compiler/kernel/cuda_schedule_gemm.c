// Schedule of matrix products on CUDA: a block makes a tile, or a part of its sums.
#include "compiler/kernel/cuda_contract.h"
#include "compiler/kernel/ir_build.h"

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

static IrExpr *operand(Lower *lower, const char *name, const CudaOperand *how, IrExpr *e, IrVar *c, IrVar *k) {
  Ir *ir = lower->ir;
  IrExpr *function = cuda_put_operand(lower, ir->function->body, name, how->read, e, c, k);
  const char *call = arena_printf(ir->arena, "sg_operand<%d, %s>", how->read, how->along_k ? "true" : "false");
  return ir_call(ir, IR_INDEX, call, 1, &function);
}

void cuda_schedule_gemm(Lower *lower, const CudaContract *contract) {
  Ir *ir = lower->ir;
  IrStmt *body = ir->function->body;
  CudaProduct p = cuda_product(lower, contract->core);
  CudaOperand a = cuda_operand(lower, p.a, p.m_var, p.m, p.k_var, p.k);
  CudaOperand b = cuda_operand(lower, p.b, p.n_var, p.n, p.k_var, p.k);
  CudaTile tile = cuda_choose_tile(contract->target, &p, &a, &b);
  int64_t rows = ceil_div(p.m, tile.bm), columns = ceil_div(p.n, tile.bn), tiles = p.batches * rows * columns;
  ir_threads(ir, cuda_tile_threads(&tile));
  ir->function->blocks_a_multiprocessor = cuda_tile_resident(&tile);
  IrExpr *at[4];
  ir_tasks(ir, 4, (int64_t[]){p.batches, tile.splits, columns, rows},
           (const char *[]){"batch", "split", "column", "row"}, at);
  if (p.batches > 1) ir_let_as(ir, body, p.batch_var, at[0]);
  IrExpr *number = ir_add(ir, ir_scale(ir, at[0], rows * columns), ir_add(ir, ir_scale(ir, at[2], rows), at[3]));
  IrExpr *partial = ir_call(ir, IR_POINTER, "sg_nowhere", 0, NULL);
  if (tile.splits > 1) {
    int64_t size = tiles * tile.splits * tile.bm * tile.bn;
    partial = ir_address(ir, ir_scratch(ir, "partial", IR_FLOAT, size), ir_int(ir, 0));
  }
  IrExpr *arg[] = {
      ir_scale(ir, at[3], tile.bm),
      ir_scale(ir, at[2], tile.bn),
      at[1],
      number,
      operand(lower, "left", &a, p.a, p.m_var, p.k_var),
      operand(lower, "right", &b, p.b, p.n_var, p.k_var),
      cuda_put_results(lower, body, "finish", contract->core, 2, (IrVar *[]){p.m_var, p.n_var}, p.index, p.is_valid),
      partial,
      ir_address(ir, ir_shared(ir, "tiles", IR_FLOAT, cuda_tile_shared(&tile)), ir_int(ir, 0))};
  const char *call = arena_printf(ir->arena, "sg_gemm<%s, %lld, %lld, %lld, %d, %lld>",
                                  cuda_tile_name(&tile, contract->target->precision, ir->arena), (long long)p.m,
                                  (long long)p.n, (long long)p.k, tile.splits, (long long)tiles);
  ir_do(ir, body, call, 9, arg);
}
void cuda_schedule_dot(Lower *lower, const CudaContract *contract) { (void)lower, (void)contract; }
