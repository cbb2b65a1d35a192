// Products of matrices with few columns on CUDA, as in a squeeze-and-excite block: a warp makes a result, its threads
// going side by side through the depth. A tile would do little but wait, one step of its depth after the other.
#include "compiler/kernel/cuda/contract.h"
#include "compiler/kernel/ir_build.h"

enum { THREADS = 128, WARP = 32, FEW = 4 };

static const char dot[] =
    "INLINE float sg_element(float value) { return value; }\n"
    "INLINE float sg_element(const float *from) { return from ? *from : 0.0f; }\n"
    // Result (m, n) of the warp, if `is_in`: the sum of K products.
    "template <int K, class A, class B, class Out> INLINE void sg_dot(int m, int n, bool is_in, A a, B b, Out out) {\n"
    "  float sum = 0.0f;\n"
    "#pragma unroll 8\n"
    "  for (int k = is_in ? threadIdx.x % 32 : K; k < K; k += 32) sum += sg_element(a(m, k)) * sg_element(b(n, k));\n"
    "  sum = team_sum<32>(sum);\n"
    "  if (is_in && threadIdx.x % 32 == 0) out(m, n, sum);\n"
    "}\n";

void cuda_preamble_dot(Text *out) { text_put(out, dot); }

bool cuda_is_dot(const CudaProduct *p) { return p->n <= FEW && p->k >= WARP; }

typedef struct Dot {
  Lower *lower;
  const CudaProduct *p;
  IrExpr *lane, *is_in;
} Dot;

// The operand as an address where it lies in memory, else as a value.
static IrExpr *operand(Dot *d, const char *name, IrExpr *e, IrVar *c, IrExpr *at) {
  Ir *ir = d->lower->ir;
  const CudaProduct *p = d->p;
  IrStmt *lambda = cuda_put_source(d->lower, ir->function->body, name, e, 2, (IrVar *[]){c, p->k_var});
  IrVar *k = ir_var(ir, IR_INDEX, "k", 0, p->k - 1);
  IrStmt *block = cuda_where(ir, cuda_calls(ir, lambda), d->is_in);
  block = ir_for(ir, block, k, d->lane, ir_int(ir, p->k), WARP, IR_SERIAL);
  cuda_call(ir, block, lambda, (IrExpr *[]){at, ir_ref(ir, k)}, false);
  return ir_ref(ir, lambda->var);
}

void cuda_schedule_dot(Lower *lower, const CudaContract *contract, const CudaProduct *p) {
  Ir *ir = lower->ir;
  IrStmt *body = ir->function->body;
  IrExpr *thread = ir_threads(ir, THREADS), *at[2];
  int64_t results = p->m * p->n, warps = THREADS / WARP;
  ir_tasks(ir, 2, (int64_t[]){p->batches, ceil_div(results, warps)}, (const char *[]){"batch", "block"}, at);
  if (p->batches > 1) ir_let_as(ir, body, p->batch_var, at[0]);
  IrExpr *result = ir_add(ir, ir_scale(ir, at[1], warps), ir_div(ir, thread, WARP));
  Dot d = {lower, p, ir_mod(ir, thread, WARP), ir_less(ir, result, ir_int(ir, results))};
  IrExpr *m = ir_div(ir, result, p->n), *n = ir_mod(ir, result, p->n);
  IrExpr *left = operand(&d, "left", p->a, p->m_var, m), *right = operand(&d, "right", p->b, p->n_var, n);
  IrStmt *finish = cuda_put_results(lower, body, "finish", contract->core, 2, (IrVar *[]){p->m_var, p->n_var}, p->index,
                                    p->is_valid);
  IrExpr *is_first = ir_and(ir, d.is_in, ir_equal(ir, d.lane, ir_int(ir, 0)));
  cuda_call(ir, cuda_where(ir, cuda_calls(ir, finish), is_first), finish, (IrExpr *[]){m, n}, false);
  ir_do(ir, body, arena_printf(ir->arena, "sg_dot<%lld>", (long long)p->k), 6,
        (IrExpr *[]){m, n, d.is_in, left, right, ir_ref(ir, finish->var)});
}
