// Contractions that are one product of matrices kept row by row, for a device's library.
//
// Found in the same expressions that kernels are made of: an operand is a matrix where its index is a sum of constant
// multiples of its row, its column and the number of the product.
#include "compiler/kernel/cuda/contract.h"
#include "compiler/kernel/ir_build.h"

typedef struct Matrix {
  const IrBuffer *buffer; // NULL: not asked for
  int64_t row, batch;     // floats from a row to the next, from a matrix to the next
  bool is_transposed;
} Matrix;

// The coefficient of the variable in *e, which loses that part. False where it is not linear.
static bool take(Ir *ir, IrExpr **e, IrVar *var, int64_t *out) {
  *out = 0;
  if (!var) return true;
  if (!ir_affine_in(*e, var, out)) return false;
  *e = ir_sub(ir, *e, ir_scale(ir, ir_ref(ir, var), *out));
  return true;
}

// A matrix of rows x columns at `index`.
static bool find_matrix(Ir *ir, IrExpr *index, IrVar *row, IrVar *column, IrVar *batch, Matrix *out) {
  int64_t of_row, of_column;
  if (!take(ir, &index, row, &of_row) || !take(ir, &index, column, &of_column) || !take(ir, &index, batch, &out->batch))
    return false;
  // A variable of one value is none: its neighbours can stand anywhere.
  if (row->lo == row->hi) of_row = column->hi + 1;
  if (column->lo == column->hi) of_column = of_row == 1 ? row->hi + 1 : 1;
  out->is_transposed = of_column != 1;
  out->row = out->is_transposed ? of_column : of_row;
  int64_t length = out->is_transposed ? row->hi + 1 : column->hi + 1;
  return ir_is_int(index, 0) && (of_column == 1 || of_row == 1) && out->row >= length;
}

static bool find_operand(Ir *ir, const IrExpr *e, IrVar *row, IrVar *column, IrVar *batch, Matrix *out) {
  if (e->kind != IR_LOAD || e->buffer->kind != IR_BUFFER_IN) return false;
  out->buffer = e->buffer;
  return find_matrix(ir, e->arg[0], row, column, batch, out);
}

// What follows the contraction: at most a bias along the last axis of a matmul, then relu.
static bool find_epilogue(const CudaContract *contract, Gemm *out, const Node **out_bias) {
  const Group *group = contract->group;
  const Node *top = contract->core;
  *out_bias = NULL;
  for (int i = 0; i < group->n_nodes; i++) {
    const Node *node = group->nodes[i];
    if (node == contract->core || op_info(node->op)->cls == CLASS_MOVEMENT) continue; // in front of an operand
    if (node->op == OP_relu && node->in[0] == top && !out->relu) {
      out->relu = true;
    } else if (node->op == OP_add && contract->core->op == OP_matmul && !out->has_bias && !out->relu) {
      const Node *other = node->in[0] == top ? node->in[1] : node->in[1] == top ? node->in[0] : NULL;
      if (!other || other == top || shape_elements(other->shape) != out->n ||
          other->shape.dim[other->shape.rank - 1] != out->n)
        return false;
      out->has_bias = true;
      *out_bias = other;
    } else {
      return false;
    }
    top = node;
  }
  return group->n_outs == 1 && group->outs[0] == top;
}

static bool describe(const CudaContract *contract, Lower *lower, Gemm *out) {
  Ir *ir = lower->ir;
  const Group *group = contract->group;
  CudaProduct p = cuda_product(lower, contract->core);
  if (!ir_is_int(p.is_valid, 1)) return false;
  IrVar *batch = p.batches > 1 ? p.batch_var : NULL, *n_var = p.n_var;
  IrExpr *e[] = {p.a, p.b, lower_offset(lower, contract->core, p.index)};
  *out = (Gemm){.m = p.m, .n = p.n, .k = p.k, .batch = p.batches};
  int64_t images = contract->core->op == OP_matmul ? 1 : contract->core->shape.dim[0];
  if (contract->core->op != OP_conv2d_dw && images > 1) { // the images of a convolution are the batch
    if (batch) return false;
    out->n = p.n / images;
    out->batch = images;
    batch = ir_var(ir, IR_INDEX, "image", 0, images - 1);
    n_var = ir_var(ir, IR_INDEX, "pixel", 0, out->n - 1);
    IrExpr *n = ir_add(ir, ir_scale(ir, ir_ref(ir, batch), out->n), ir_ref(ir, n_var));
    ir_substitute_all(ir, 3, e, p.n_var, n);
  }
  Matrix a, b, result;
  const Node *bias;
  if (!find_operand(ir, e[0], p.m_var, p.k_var, batch, &a) || !find_operand(ir, e[1], p.k_var, n_var, batch, &b) ||
      !find_matrix(ir, e[2], p.m_var, n_var, batch, &result) || result.is_transposed ||
      !find_epilogue(contract, out, &bias))
    return false;
  out->a_row = a.row, out->b_row = b.row, out->out_row = result.row;
  out->a_batch = a.batch, out->b_batch = b.batch, out->out_batch = result.batch;
  out->a_transposed = a.is_transposed, out->b_transposed = b.is_transposed;
  out->b_first = lower->in[0] == b.buffer;
  if (group->n_ins != 2 + out->has_bias || a.buffer == b.buffer) return false;
  if (lower->in[0] != a.buffer && !out->b_first) return false;
  return lower->in[1] == (out->b_first ? a.buffer : b.buffer) && (!bias || lower->in[2] == lower_in(lower, bias));
}

bool cuda_gemm_describe(const CudaContract *contract, Gemm *out) {
  static const GemmPrecision precisions[] = {GEMM_F32, GEMM_TF32, GEMM_BF16, GEMM_F16};
  if (contract->form != CUDA_GEMM) return false;
  Arena *arena = arena_new();
  Ir *ir = ir_new(arena, contract->target);
  bool is_gemm = describe(contract, lower_new(ir, contract->group), out);
  out->precision = precisions[contract->target->precision];
  arena_free(arena);
  return is_gemm;
}
