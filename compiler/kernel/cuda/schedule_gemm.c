// Schedule of matrix products on CUDA: a block makes a tile, or a part of its sums.
#include "compiler/kernel/cuda/gather.h"
#include "compiler/kernel/cuda/patch.h"
#include "compiler/kernel/ir_build.h"

typedef struct Product {
  Lower *lower;
  Ir *ir;
  CudaProduct p;
  CudaTile tile;
  IrExpr *thread, *m0, *n0, *split, *is_last; // of the block; whether it is the last of those that share its tile
} Product;

// Of the depth, the part that the block adds up.
static int64_t part_size(const Product *s) {
  return ceil_div(ceil_div(s->p.k, s->tile.bk), s->tile.splits) * s->tile.bk;
}
static IrExpr *part_begin(const Product *s) { return ir_scale(s->ir, s->split, part_size(s)); }
static IrExpr *part_end(const Product *s) {
  return ir_min(s->ir, ir_int(s->ir, s->p.k), ir_offset(s->ir, part_begin(s), part_size(s)));
}

// As SgStage brings one operand's part of each step to shared memory.
void cuda_count_operand(Ir *ir, IrStmt *block, IrStmt *lambda, const CudaTile *tile, const CudaOperand *how,
                        const CudaSpan *span, IrExpr *thread) {
  int threads = cuda_tile_threads(tile), four = how->read == CUDA_READ_FOUR ? 4 : 1, pack = tile->pack == 2 ? 2 : 1;
  int vc = how->along_k ? 1 : four, vk = how->along_k && four > pack ? four : pack;
  int deep = tile->bk / vk, wide = span->width / vc, pieces = deep * wide;
  IrExpr *round, *row;
  IrVar *step = ir_var(ir, IR_INDEX, "step", 0, span->k - 1);
  block = ir_for(ir, block, step, span->begin, span->end, tile->bk, IR_SERIAL);
  block = ir_count(ir, block, "round", ceil_div(pieces, threads), &round);
  block = ir_count(ir, block, "row", vk * vc / four, &row);
  IrExpr *piece = ir_add(ir, ir_scale(ir, round, threads), thread);
  IrExpr *column = how->along_k ? ir_div(ir, piece, deep) : ir_scale(ir, ir_mod(ir, piece, wide), vc);
  IrExpr *depth = ir_scale(ir, how->along_k ? ir_mod(ir, piece, deep) : ir_div(ir, piece, wide), vk);
  IrExpr *c = ir_add(ir, span->c0, column), *k = ir_add(ir, ir_add(ir, ir_ref(ir, step), depth), row);
  IrExpr *is_in = ir_and(ir, ir_less(ir, piece, ir_int(ir, pieces)), ir_less(ir, c, ir_int(ir, span->n_c)));
  block = cuda_where(ir, block, ir_and(ir, is_in, ir_less(ir, k, ir_int(ir, span->k))));
  cuda_call(ir, block, lambda, (IrExpr *[]){c, k}, four == 4);
}

// As the end of sg_gemm hands out a warp's results, some rows at a time.
void cuda_count_results(Ir *ir, IrStmt *block, IrStmt *lambda, const CudaTile *t, const CudaProduct *p, IrExpr *m0,
                        IrExpr *n0, IrExpr *thread) {
  int wn = 8 * t->tn, warps_n = t->bn / wn, rows = t->pack ? 8 : 4, gm = t->tm < 4 ? t->tm : 4;
  IrExpr *warp = ir_div(ir, thread, 32), *lane = ir_mod(ir, thread, 32), *pass, *e;
  block = ir_count(ir, block, "pass", t->pack ? t->tm / 2 : t->tm, &pass);
  block = ir_count(ir, block, "e", rows * wn / 32 ? rows * wn / 32 : 1, &e);
  IrExpr *at = ir_add(ir, ir_scale(ir, e, 32), lane), *r = ir_div(ir, at, wn), *row;
  if (t->pack) row = ir_add(ir, ir_scale(ir, pass, 8), r);
  else
    row = ir_add(ir, ir_scale(ir, ir_div(ir, pass, gm), 4 * gm), ir_add(ir, ir_scale(ir, r, gm), ir_mod(ir, pass, gm)));
  IrExpr *m = ir_add(ir, ir_add(ir, m0, ir_scale(ir, ir_div(ir, warp, warps_n), 4 * t->tm)), row);
  IrExpr *n = ir_add(ir, ir_add(ir, n0, ir_scale(ir, ir_mod(ir, warp, warps_n), wn)), ir_mod(ir, at, wn));
  block = cuda_where(ir, block, ir_and(ir, ir_less(ir, m, ir_int(ir, p->m)), ir_less(ir, n, ir_int(ir, p->n))));
  cuda_call(ir, block, lambda, (IrExpr *[]){m, n}, false);
}

void cuda_count_parts(Ir *ir, int64_t floats) {
  double requests = (double)(floats / 32) * 2;
  ir->function->requests += requests;
  ir->function->sectors += 4 * requests;
  ir->function->ideal_sectors += 4 * requests;
}

static CudaSpan span_of(const Product *s, bool is_left) {
  const CudaProduct *p = &s->p;
  return (CudaSpan){is_left ? s->m0 : s->n0,
                    is_left ? p->m : p->n,
                    is_left ? s->tile.bm : s->tile.bn,
                    p->k,
                    part_begin(s),
                    part_end(s)};
}

static IrStmt *put_operand(Product *s, IrStmt *body, const char *name, const CudaOperand *how, bool is_left) {
  const CudaProduct *p = &s->p;
  return cuda_put_operand(s->lower, body, name, how->read, is_left ? p->a : p->b, is_left ? p->m_var : p->n_var,
                          p->k_var);
}

static IrExpr *operand(Product *s, const char *name, const CudaOperand *how, bool is_left) {
  Ir *ir = s->ir;
  IrStmt *lambda = put_operand(s, ir->function->body, name, how, is_left);
  CudaSpan span = span_of(s, is_left);
  cuda_count_operand(ir, cuda_calls(ir, lambda), lambda, &s->tile, how, &span, s->thread);
  const char *call = arena_printf(ir->arena, "sg_operand<%d, %s>", how->read, how->along_k ? "true" : "false");
  return ir_call(ir, IR_INDEX, call, 1, (IrExpr *[]){ir_ref(ir, lambda->var)});
}

// What it touches is what the operand would as one function, which is not part of the kernel.
static IrExpr *gathered(Product *s, const CudaGather *gather) {
  static const CudaOperand whole = {.read = CUDA_READ_ONE};
  IrStmt *first, *aside = ARENA_ARRAY(s->ir->arena, IrStmt, 1);
  aside->kind = IR_BLOCK;
  IrExpr *call = cuda_put_gather(s->lower, &s->p, gather, &first);
  IrStmt *lambda = put_operand(s, aside, "right", &whole, false);
  CudaSpan span = span_of(s, false);
  cuda_count_operand(s->ir, cuda_calls(s->ir, first), lambda, &s->tile, &whole, &span, s->thread);
  return call;
}

void cuda_schedule_gemm(Lower *lower, const CudaContract *contract) {
  Ir *ir = lower->ir;
  IrStmt *body = ir->function->body;
  Product s = {.lower = lower, .ir = ir, .p = cuda_product(lower, contract->core)};
  const CudaProduct *p = &s.p;
  CudaOperand a = cuda_operand(lower, p->a, p->m_var, p->m, p->k_var, p->k);
  if (!contract->patch && a.along_k && cuda_is_dot(p)) {
    cuda_schedule_dot(lower, contract, p);
    return;
  }
  CudaOperand b = cuda_operand(lower, p->b, p->n_var, p->n, p->k_var, p->k);
  const CudaTile *tile = &s.tile;
  CudaPatch patch;
  CudaGather gather;
  enum { GATHER = 4 }; // operations for an element
  if (contract->patch) b = (CudaOperand){CUDA_READ_COSTLY, false, contract->price, contract->patch};
  else if (b.read == CUDA_READ_ONE && !b.along_k && cuda_gather(lower, p, &gather))
    b = (CudaOperand){CUDA_READ_GATHER, false, GATHER, NULL};
  s.tile = cuda_choose_tile(contract->target, p, &a, &b);
  if (contract->patch) patch = cuda_patch(lower, contract->core, contract->patch, tile, &s.p);
  int64_t rows = ceil_div(p->m, tile->bm), columns = ceil_div(p->n, tile->bn), tiles = p->batches * rows * columns;
  s.thread = ir_threads(ir, cuda_tile_threads(tile));
  ir->function->blocks_a_multiprocessor = cuda_tile_resident(tile);
  IrExpr *at[4];
  ir_tasks(ir, 4, (int64_t[]){p->batches, tile->splits, columns, rows},
           (const char *[]){"batch", "split", "column", "row"}, at);
  if (p->batches > 1) ir_let_as(ir, body, p->batch_var, at[0]);
  s.m0 = ir_scale(ir, at[3], tile->bm);
  s.n0 = ir_scale(ir, at[2], tile->bn);
  s.split = at[1];
  s.is_last = ir_equal(ir, at[1], ir_int(ir, tile->splits - 1));
  IrExpr *number = ir_add(ir, ir_scale(ir, at[0], rows * columns), ir_add(ir, ir_scale(ir, at[2], rows), at[3]));
  IrExpr *partial = ir_call(ir, IR_POINTER, "sg_nowhere", 0, NULL);
  if (tile->splits > 1) {
    int64_t size = tiles * tile->splits * tile->bm * tile->bn;
    partial = ir_address(ir, ir_scratch(ir, "partial", IR_FLOAT, size), ir_int(ir, 0));
    cuda_count_parts(ir, size);
  }
  if (contract->patch) cuda_patch_open(lower, &patch, at[2], &s.p);
  IrExpr *left = operand(&s, "left", &a, true), *right;
  if (contract->patch) right = cuda_put_patch(lower, &patch, s.thread, part_begin(&s), part_end(&s));
  else right = b.read == CUDA_READ_GATHER ? gathered(&s, &gather) : operand(&s, "right", &b, false);
  IrStmt *finish = cuda_put_results(lower, body, "finish", contract->core, 2, (IrVar *[]){p->m_var, p->n_var}, p->index,
                                    p->is_valid);
  cuda_count_results(ir, cuda_where(ir, cuda_calls(ir, finish), s.is_last), finish, tile, p, s.m0, s.n0, s.thread);
  IrExpr *memory = ir_address(ir, ir_shared(ir, "tiles", IR_FLOAT, cuda_tile_shared(tile)), ir_int(ir, 0));
  const char *call = arena_printf(ir->arena, "sg_gemm<%s, %lld, %lld, %lld, %d, %lld>",
                                  cuda_tile_name(tile, contract->target->precision, ir->arena), (long long)p->m,
                                  (long long)p->n, (long long)p->k, tile->splits, (long long)tiles);
  ir_do(ir, body, call, 9,
        (IrExpr *[]){s.m0, s.n0, s.split, number, left, right, ir_ref(ir, finish->var), partial, memory});
}
