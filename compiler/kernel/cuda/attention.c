// Attention on CUDA: a block makes some rows of scores by tiles, their softmax in place, and their products with
// values.
#include "compiler/kernel/cuda/attention.h"

#include "compiler/kernel/cuda/contract.h"
#include "compiler/kernel/ir_build.h"

enum { ROWS = 16, WIDTH = 64, DEEP = 16, MOST_KEYS = 512, MOST_VALUES = 64 };

// ---- matching

static bool is_last_axis(const Node *reduction) {
  const AttrValue *axes = &reduction->attr[op_attr_index(reduction->op, "axes")];
  return axes->ints.rank == 1 && axes->ints.dim[0] == reduction->in[0]->shape.rank - 1 &&
         node_attr(reduction, "keep").i;
}

// The five nodes of a softmax over the last axis.
static bool match_softmax(const Node *weights, const Node **out_scores) {
  if (weights->op != OP_div || weights->in[1]->op != OP_sum || weights->in[0]->op != OP_exp) return false;
  const Node *e = weights->in[0], *sum = weights->in[1], *shifted = e->in[0];
  if (sum->in[0] != e || !is_last_axis(sum) || shifted->op != OP_sub || shifted->in[1]->op != OP_max) return false;
  const Node *scores = shifted->in[0];
  *out_scores = scores;
  return shifted->in[1]->in[0] == scores && is_last_axis(shifted->in[1]);
}

static bool is_in(const Group *group, const Node *node) {
  for (int i = 0; i < group->n_nodes; i++) {
    if (group->nodes[i] == node) return true;
  }
  return false;
}

bool cuda_attention_match(const Group *group, CudaAttention *out) {
  *out = (CudaAttention){0};
  int n_products = 0;
  for (int i = 0; i < group->n_nodes; i++) {
    const Node *node = group->nodes[i];
    if (op_info(node->op)->cls == CLASS_REDUCE || op_info(node->op)->cls == CLASS_ELEMENTWISE) continue;
    if (node->op != OP_matmul || n_products++ == 2) return false;
    if (!out->product) out->product = node;
    else out->result = node;
  }
  if (n_products != 2 || group->n_outs != 1 || group->outs[0] != out->result) return false;
  out->weights = out->result->in[0];
  if (node_attr(out->result, "transpose_a").i || !match_softmax(out->weights, &out->scores)) return false;
  const Node *product = out->product, *result = out->result;
  int rank = product->shape.rank;
  if (!is_in(group, out->weights) || !shape_equal(out->scores->shape, product->shape) || rank != result->shape.rank ||
      rank < 3 || is_in(group, result->in[1]) || product->shape.dim[rank - 1] > MOST_KEYS ||
      result->shape.dim[rank - 1] > MOST_VALUES)
    return false;
  // Leading axes are those of all operands, and each matrix has its own.
  int64_t n = 1;
  for (int i = 0; i < rank - 2; i++) {
    n *= result->shape.dim[i];
    const Node *operands[] = {product->in[0], product->in[1], result->in[1]};
    for (int k = 0; k < 3; k++) {
      if (operands[k]->shape.rank != rank || operands[k]->shape.dim[i] != result->shape.dim[i]) return false;
    }
  }
  if (n < 2) return false; // a single matrix is not walked by its number (CudaProduct)
  // What remains is elementwise: in front of the product, or between it and the scores.
  const Node *softmax[] = {out->weights, out->weights->in[0], out->weights->in[1], out->weights->in[0]->in[0],
                           out->weights->in[0]->in[0]->in[1]};
  for (int i = 0; i < group->n_nodes; i++) {
    const Node *node = group->nodes[i];
    bool is_known = node == product || node == result;
    for (int k = 0; k < 5; k++) is_known = is_known || node == softmax[k];
    if (!is_known && op_info(node->op)->cls != CLASS_ELEMENTWISE) return false;
  }
  return true;
}

// ---- the kernel

static const char softmax_rows[] =
    // Each of n_rows rows of N numbers, LINE apart, becomes its softmax. With barriers before and after.
    "template <int N, int LINE> INLINE void sg_softmax(float *rows, int n_rows) {\n"
    "  __syncthreads();\n"
    "  for (int r = threadIdx.x / 32; r < n_rows; r += blockDim.x / 32) {\n"
    "    float *row = rows + r * LINE, top = -INF, sum = 0.0f;\n"
    "    for (int k = threadIdx.x % 32; k < N; k += 32) top = smaximum(top, row[k]);\n"
    "    top = team_max<32>(top);\n"
    "    for (int k = threadIdx.x % 32; k < N; k += 32) sum += row[k] = sexp(row[k] - top);\n"
    "    sum = team_sum<32>(sum);\n"
    "    for (int k = threadIdx.x % 32; k < N; k += 32) row[k] /= sum;\n"
    "  }\n"
    "  __syncthreads();\n"
    "}\n";

void cuda_attention_preamble(Text *out) { text_put(out, softmax_rows); }

typedef struct Attention {
  Lower *lower;
  Ir *ir;
  IrStmt *body;
  IrExpr *m0, *memory;
  IrBuffer *rows;
  int64_t line;
} Attention;

static IrExpr *named(Attention *s, IrStmt *lambda, const CudaOperand *how) {
  const char *call = arena_printf(s->ir->arena, "sg_operand<%d, %s>", how->read, how->along_k ? "true" : "false");
  return ir_call(s->ir, IR_INDEX, call, 1, (IrExpr *[]){ir_ref(s->ir, lambda->var)});
}

// Products of all columns, a tile after the other. Operands whose `how` is NULL, and scores, stand in shared memory.
static void put_product(Attention *s, const CudaProduct *p, int width, IrStmt *left, const CudaOperand *how_left,
                        IrStmt *right, const CudaOperand *how_right, IrStmt *finish, bool is_result) {
  static const CudaOperand kept = {.read = CUDA_READ_VALUE, .along_k = true};
  Ir *ir = s->ir;
  IrExpr *column, *zero = ir_int(ir, 0), *thread = ir_ref(ir, ir->function->thread);
  int64_t columns = ceil_div(p->n, width);
  CudaTile tile = {ROWS, width, DEEP, 4, width / 16, 0, 1};
  CudaSpan of_left = {s->m0, p->m, ROWS, p->k, zero, ir_int(ir, p->k)};
  if (how_left)
    cuda_count_operand(ir, ir_count(ir, cuda_calls(ir, left), "column", columns, &column), left, &tile, how_left,
                       &of_left, thread);
  IrStmt *block = ir_count(ir, cuda_calls(ir, right), "column", columns, &column);
  CudaSpan of_right = {ir_scale(ir, column, width), p->n, width, p->k, zero, ir_int(ir, p->k)};
  cuda_count_operand(ir, block, right, &tile, how_right, &of_right, thread);
  if (is_result) {
    block = ir_count(ir, cuda_calls(ir, finish), "column", columns, &column);
    cuda_count_results(ir, block, finish, &tile, p, s->m0, ir_scale(ir, column, width), thread);
  }
  block = ir_count(ir, s->body, "column", columns, &column);
  const char *call =
      arena_printf(ir->arena, "sg_gemm<%s, %lld, %lld, %lld, 1, 1>", cuda_tile_name(&tile, PRECISION_F32, ir->arena),
                   (long long)p->m, (long long)p->n, (long long)p->k);
  ir_do(ir, block, call, 9,
        (IrExpr *[]){s->m0, ir_scale(ir, column, width), zero, zero, named(s, left, how_left ? how_left : &kept),
                     named(s, right, how_right), ir_ref(ir, finish->var),
                     ir_call(ir, IR_POINTER, "sg_nowhere", 0, NULL), s->memory});
  ir_barrier(ir, block);
}

// Where the score of row m and key k stands.
static IrExpr *place(const Attention *s, IrVar *m, IrVar *k) {
  Ir *ir = s->ir;
  return ir_add(ir, ir_scale(ir, ir_sub(ir, ir_ref(ir, m), s->m0), s->line), ir_ref(ir, k));
}

static void put_scores(Attention *s, const CudaAttention *attention, CudaProduct *p) {
  Ir *ir = s->ir;
  CudaOperand a = cuda_operand(s->lower, p->a, p->m_var, p->m, p->k_var, p->k);
  CudaOperand b = cuda_operand(s->lower, p->b, p->n_var, p->n, p->k_var, p->k);
  IrStmt *left = cuda_put_operand(s->lower, s->body, "queries", a.read, p->a, p->m_var, p->k_var);
  IrStmt *right = cuda_put_operand(s->lower, s->body, "keys", b.read, p->b, p->n_var, p->k_var);
  IrVar *sum = ir_var(ir, IR_FLOAT, "sum", 0, 0);
  IrStmt *finish = ir_lambda(ir, s->body, "score", 3, (IrVar *[]){p->m_var, p->n_var, sum});
  lower_bind(s->lower, attention->product, p->index, ir_ref(ir, sum));
  IrExpr *value = lower_value(s->lower, attention->scores, p->index);
  Emit emit;
  emit_begin(&emit, s->lower, finish->body[0]);
  emit_expect(&emit, value);
  value = emit_value(&emit, value);
  ir_store(ir, emit_block(&emit), s->rows, place(s, p->m_var, p->n_var), value);
  put_product(s, p, WIDTH, left, &a, right, &b, finish, false);
}

static void put_results(Attention *s, const CudaAttention *attention, CudaProduct *p) {
  Ir *ir = s->ir;
  CudaOperand b = cuda_operand(s->lower, p->b, p->n_var, p->n, p->k_var, p->k);
  IrExpr *weight = ir_load(ir, s->rows, place(s, p->m_var, p->k_var));
  IrStmt *left = cuda_put_value(s->lower, s->body, "weights", weight, 2, (IrVar *[]){p->m_var, p->k_var});
  IrStmt *right = cuda_put_operand(s->lower, s->body, "values", b.read, p->b, p->n_var, p->k_var);
  IrStmt *finish = cuda_put_results(s->lower, s->body, "finish", attention->result, 2, (IrVar *[]){p->m_var, p->n_var},
                                    p->index, p->is_valid);
  put_product(s, p, p->n > WIDTH / 2 ? WIDTH : WIDTH / 2, left, NULL, right, &b, finish, true);
}

void cuda_attention_schedule(Lower *lower, const CudaAttention *attention) {
  Ir *ir = lower->ir;
  Attention s = {.lower = lower, .ir = ir, .body = ir->function->body};
  CudaProduct scores = cuda_product(lower, attention->product);
  // What the second product reads of its first operand is the weight at (row, depth), which stands in shared memory.
  CudaProduct results = cuda_product(lower, attention->result);
  CudaTile widest = {ROWS, WIDTH, DEEP, 4, 4, 0, 1};
  ir_threads(ir, cuda_tile_threads(&widest));
  IrExpr *at[2];
  ir_tasks(ir, 2, (int64_t[]){scores.batches, (scores.m + ROWS - 1) / ROWS}, (const char *[]){"batch", "row"}, at);
  ir_let_as(ir, s.body, scores.batch_var, at[0]);
  ir_let_as(ir, s.body, results.batch_var, at[0]);
  s.m0 = ir_scale(ir, at[1], ROWS);
  s.line = (scores.n + 3) / 4 * 4 + 1;
  s.rows = ir_shared(ir, "scores", IR_FLOAT, ROWS * s.line);
  s.memory = ir_address(ir, ir_shared(ir, "tiles", IR_FLOAT, cuda_tile_shared(&widest)), ir_int(ir, 0));
  put_scores(&s, attention, &scores);
  const char *softmax = arena_printf(ir->arena, "sg_softmax<%lld, %lld>", (long long)scores.n, (long long)s.line);
  IrExpr *n_rows = ir_min(ir, ir_int(ir, ROWS), ir_sub(ir, ir_int(ir, scores.m), s.m0));
  ir_do(ir, s.body, softmax, 2, (IrExpr *[]){ir_address(ir, s.rows, ir_int(ir, 0)), n_rows});
  put_results(&s, attention, &results);
}
