// CUDA contractions: groups around a convolution or a matrix product as calls of templates.
//
// What an operand is at (m, k) or (k, n), and what becomes of a finished sum, are local functions of the kernel, made
// of the same lowered expressions as everywhere (compute.h, lower.h); the templates (gemm.c, ...) walk tiles,
// stage operands in shared memory and add up. So whatever can be lowered can be fused: elementwise members behind the
// contraction are computed from its sums before they are stored, members in front of it while operands are loaded.
#ifndef SG_CUDA_CONTRACT_H
#define SG_CUDA_CONTRACT_H

#include "compiler/kernel/compute.h"
#include "compiler/kernel/cuda/attention.h"
#include "compiler/kernel/cuda/window.h"
#include "compiler/kernel/emit.h"

typedef enum CudaForm {
  CUDA_GEMM,         // tiles of a matrix product
  CUDA_DEPTHWISE,    // conv2d of one channel each
  CUDA_DEPTHWISE_DW, // its gradient by the weight
  CUDA_DENSE_DW,     // that of a dense conv2d, by windows of its operand
  CUDA_ATTENTION,    // two products with a softmax between
} CudaForm;

typedef struct CudaContract {
  const Target *target;
  const Group *group;
  CudaForm form;
  const Node *core; // the contraction whose sums are made; others are computed while operands are loaded
  CudaAttention attention;
  CudaWindow window; // CUDA_DEPTHWISE, unless it is a gradient
  const Node *patch; // CUDA_GEMM: the depthwise convolution that the pointwise one's operand is made of, or NULL
  int64_t price;     // operations for an element of that one's operand
} CudaContract;

// Recognises the group, or returns false and appends the reason to `why` (if not NULL).
bool cuda_contract_match(const Target *target, const Group *group, CudaContract *out, Text *why);
// The product of a group that matched, in the group's one kernel.
void cuda_contract_schedule(Lower *lower, const CudaContract *contract);
// Whether the group is one product of matrices as a device's library computes it, with a bias and relu at most.
bool cuda_gemm_describe(const CudaContract *contract, Gemm *out);
// The templates. Stand after the generic preamble.
void cuda_contract_preamble(const Target *target, Text *source);

// ---- a contraction as products of matrices

// `batches` products C[m, n] = sum over k of A[m, k] * B[k, n], as functions of the variables; `index` is where C[m, n]
// stands in the contraction's value, and only where `is_valid`.
typedef struct CudaProduct {
  int64_t m, n, k, batches;
  IrVar *m_var, *n_var, *k_var, *batch_var;
  IrExpr *a, *b, *index[MAX_RANK], *is_valid;
  int64_t taps; // of a convolution whose pixels are columns: the depth is channels by taps; else 0
} CudaProduct;
CudaProduct cuda_product(Lower *lower, const Node *core);

// ---- operands and results

// How a template reads an operand; the numbers are those of SgOperand in gemm.c.
typedef enum CudaRead {
  CUDA_READ_VALUE = 0,
  CUDA_READ_ONE = 1,
  CUDA_READ_COSTLY = 2,
  CUDA_READ_GATHER = 3, // by SgGather (gather.h)
  CUDA_READ_FOUR = 4
} CudaRead;
typedef struct CudaOperand {
  CudaRead read;
  bool along_k;  // neighbours in k, not in c, are neighbours in memory
  int64_t price; // rough number of operations for each element
  // NULL, or a depthwise convolution that it is made of by patches (patch.h); the price is that of its operand.
  const Node *patch;
} CudaOperand;
// How the operand with value e at (c, k) is best read; c < n_c, k < n_k.
CudaOperand cuda_operand(Lower *lower, IrExpr *e, const IrVar *c, int64_t n_c, const IrVar *k, int64_t n_k);
// An element that is a place in memory, or zero where the guard fails.
typedef struct CudaPlace {
  const IrBuffer *buffer;
  IrExpr *index, *guard; // guard NULL: always
} CudaPlace;
bool cuda_find_place(IrExpr *e, CudaPlace *out); // whether e is one
// Appends the local function `name`(c, k) for it.
IrStmt *cuda_put_operand(Lower *lower, IrStmt *body, const char *name, CudaRead read, IrExpr *e, IrVar *c, IrVar *k);
// Appends the local function `name`(params...) whose value is e.
IrStmt *cuda_put_value(Lower *lower, IrStmt *body, const char *name, IrExpr *e, int n_params, IrVar *const *params);
// The same, but where e is a place in memory its address, or a null pointer where e is zero for another reason.
IrStmt *cuda_put_source(Lower *lower, IrStmt *body, const char *name, IrExpr *e, int n_params, IrVar *const *params);
// Appends the local function `name`(params..., sum) that stores every result of the group that stands at `index` of
// the core's value, where `is_valid`.
IrStmt *cuda_put_results(Lower *lower, IrStmt *body, const char *name, const Node *core, int n_params,
                         IrVar *const *params, IrExpr *const *index, IrExpr *is_valid);

// ---- tiles

// So many parts of a sum meet at once; more meet in groups, and then the groups (sg_group in gemm.c).
enum { CUDA_FEW_SPLITS = 64 };
// The groups of so many; 0: they meet at once.
int cuda_split_groups(int splits);
// Counts that parts of sums, of so many floats, go through memory, by whole lines.
void cuda_count_parts(Ir *ir, int64_t floats);
typedef struct CudaTile {
  int bm, bn, bk, tm, tn; // block's tile; a thread's part of it, of the warp's 4 tm x 8 tn
  int pack;               // 0: by multiply-adds; else by tensor cores, with 1 or 2 factors in a word
  int splits;             // parts of the sum, in blocks of their own
} CudaTile;
int cuda_tile_threads(const CudaTile *tile);
const char *cuda_tile_name(const CudaTile *tile, Precision precision, Arena *arena); // its template
int cuda_tile_shared(const CudaTile *tile);                                          // floats of shared memory
// Blocks that a multiprocessor shall have room for: the registers that they leave each other are enough.
int cuda_tile_resident(const CudaTile *tile);
// The tile with the least time by a model of occupancy, waves, instructions and bytes.
CudaTile cuda_choose_tile(const Target *target, const CudaProduct *product, const CudaOperand *a, const CudaOperand *b);
// Streaming multiprocessors of a usual GPU of the architecture.
int cuda_multiprocessors(const Target *target);

// ---- what templates' calls touch (IrStmt.calls), for access.h

// The block of a local function's calls; empty when made.
IrStmt *cuda_calls(Ir *ir, IrStmt *lambda);
// Appends a call of the function, of four floats' address if is_four, to a part of the block.
void cuda_call(Ir *ir, IrStmt *block, IrStmt *lambda, IrExpr *const *args, bool is_four);
IrStmt *cuda_where(Ir *ir, IrStmt *block, IrExpr *condition); // the block of an if, or `block` where that holds always

// What a block of sg_gemm brings of an operand: at (c, k), c from c0 on, `width` of n_c; k from `begin` to below `end`,
// of `k` in all.
typedef struct CudaSpan {
  IrExpr *c0;
  int64_t n_c;
  int width;
  int64_t k;
  IrExpr *begin, *end;
} CudaSpan;
// Append to the block how sg_gemm calls an operand, and finish(m, n, sum) for the tile at (m0, n0).
void cuda_count_operand(Ir *ir, IrStmt *block, IrStmt *lambda, const CudaTile *tile, const CudaOperand *how,
                        const CudaSpan *span, IrExpr *thread);
void cuda_count_results(Ir *ir, IrStmt *block, IrStmt *lambda, const CudaTile *tile, const CudaProduct *product,
                        IrExpr *m0, IrExpr *n0, IrExpr *thread);

// ---- schedules

void cuda_schedule_gemm(Lower *lower, const CudaContract *contract);
// Whether a product has so few columns that each result is better made by itself, where neighbours in the depth are
// neighbours in memory; and that.
bool cuda_is_dot(const CudaProduct *product);
void cuda_schedule_dot(Lower *lower, const CudaContract *contract, const CudaProduct *product);
// Whether the gradient by the weight is made by windows (CUDA_DENSE_DW); else it is a product of matrices.
bool cuda_dense_dw_fits(const Target *target, const Node *core);
void cuda_schedule_dense_dw(Lower *lower, const CudaContract *contract);
void cuda_schedule_depthwise(Lower *lower, const CudaContract *contract);
void cuda_schedule_depthwise_dw(Lower *lower, const CudaContract *contract);
void cuda_preamble_dot(Text *out);
void cuda_preamble_gemm(Text *out);
void cuda_preamble_mma(Precision precision, Text *out);
void cuda_preamble_depthwise(Text *out);
void cuda_preamble_dense_dw(Text *out);

#endif
