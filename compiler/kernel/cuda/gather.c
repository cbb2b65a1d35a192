// Gathers: the template of the operand, and its parts as local functions.
#include "compiler/kernel/cuda/gather.h"

#include "compiler/kernel/ir_build.h"

enum { MOST_TAPS = 31 }; // bits of a mask, and one that is never set

static const char gather[] =
    // base(c) is where the column's elements lie step(k) behind, has(c, tap) whether those of the tap are there.
    "template <int TAPS, class Base, class Step, class Has> struct SgGather {\n"
    "  Base base;\n"
    "  Step step;\n"
    "  Has has;\n"
    "};\n"
    "template <int TAPS, class Base, class Step, class Has> INLINE SgGather<TAPS, Base, Step, Has>\n"
    "sg_gather(Base base, Step step, Has has) { return {base, step, has}; }\n"
    // Each thread has a column. The steps of the next tile stand in shared memory, made one tile ahead.
    "template <class T, int TILE, int C, int K, int TAPS, class Base, class Step, class Has>\n"
    "struct SgStage<T, TILE, C, K, SgGather<TAPS, Base, Step, Has>> {\n"
    "  using O = SgGather<TAPS, Base, Step, Has>;\n"
    "  static constexpr int KP = T::KP, BK = T::BK, STRIDE = TILE + T::PAD, APART = T::THREADS / TILE;\n"
    "  static constexpr int N = BK / KP / APART;\n"
    "  static_assert(T::THREADS % TILE == 0 && BK / KP % APART == 0 && BK <= T::THREADS, \"no such gather\");\n"
    "#if __CUDA_ARCH__ >= 800\n"
    "  static constexpr bool IS_ASYNC = T::IS_PLAIN;\n"
    "#else\n"
    "  static constexpr bool IS_ASYNC = false;\n"
    "#endif\n"
    "  const float *from;\n"
    "  unsigned mask;\n"
    "  int slot;\n"
    "  float value[IS_ASYNC ? 1 : N][KP];\n"
    "  static SG_METHOD int2 *steps(int slot) {\n"
    "    __shared__ int2 all[2 * BK];\n"
    "    return all + slot * BK;\n"
    "  }\n"
    "  static SG_METHOD void prepare(const O &o, int k0, int slot) {\n"
    "    if (threadIdx.x >= BK) return;\n"
    "    const int k = k0 + threadIdx.x;\n"
    "    steps(slot)[threadIdx.x] = k < K ? make_int2(o.step(k), k % TAPS) : make_int2(0, TAPS);\n"
    "  }\n"
    "  SG_METHOD void begin(const O &o, int c0, int k0) {\n"
    "    const int c = c0 + threadIdx.x % TILE;\n"
    "    from = o.base(c), mask = 0, slot = 0;\n"
    "#pragma unroll\n"
    "    for (int tap = 0; tap < TAPS; tap++)\n"
    "      if ((C % TILE == 0 || c < C) && o.has(c, tap)) mask |= 1u << tap;\n"
    "    prepare(o, k0, 0);\n"
    "    __syncthreads();\n"
    "  }\n"
    "  SG_METHOD void load(const O &o, int, int k0, typename T::Word *to) {\n"
    "#pragma unroll\n"
    "    for (int i = 0; i < N; i++) {\n"
    "      const int d = threadIdx.x / TILE + i * APART;\n"
    "#pragma unroll\n"
    "      for (int j = 0; j < KP; j++) {\n"
    "        const int2 step = steps(slot)[d * KP + j];\n"
    "        const float *at = mask >> step.y & 1 ? from + step.x : nullptr;\n"
    "        if constexpr (IS_ASYNC) sg_copy_async<1>((float *)to + d * STRIDE + threadIdx.x % TILE, at);\n"
    "        else value[i][j] = at ? *at : 0.0f;\n"
    "      }\n"
    "    }\n"
    "    slot ^= 1;\n"
    "    prepare(o, k0 + BK, slot);\n"
    "  }\n"
    "  SG_METHOD void store(const O &, int, int, typename T::Word *to) {\n"
    "    if constexpr (!IS_ASYNC) {\n"
    "#pragma unroll\n"
    "      for (int i = 0; i < N; i++)\n"
    "        to[(threadIdx.x / TILE + i * APART) * STRIDE + threadIdx.x % TILE] = T::word(value[i][0], value[i][KP - "
    "1]);\n"
    "    }\n"
    "  }\n"
    "};\n";

void cuda_preamble_gather(Text *out) { text_put(out, gather); }

// The index as a sum of terms without k and terms without n; false where a term has both.
static bool take_apart(Ir *ir, IrExpr *index, const CudaProduct *p, CudaGather *out) {
  out->pixel = out->step = ir_int(ir, 0);
  bool is_sum = index->kind == IR_SUM;
  for (int i = 0; i < (is_sum ? index->n_args : 1); i++) {
    IrExpr *term = is_sum ? ir_scale(ir, index->arg[i], index->coef[i]) : index;
    bool has_n = ir_uses(term, p->n_var), has_k = ir_uses(term, p->k_var);
    if (has_n && has_k) return false;
    IrExpr **part = has_k ? &out->step : &out->pixel;
    *part = ir_add(ir, *part, term);
  }
  if (is_sum) out->pixel = ir_offset(ir, out->pixel, index->i);
  return true;
}

bool cuda_gather(Lower *lower, const CudaProduct *p, CudaGather *out) {
  Ir *ir = lower->ir;
  CudaPlace place;
  if (p->taps < 2 || p->taps > MOST_TAPS || !cuda_find_place(p->b, &place)) return false;
  if (!take_apart(ir, place.index, p, out)) return false;
  out->buffer = place.buffer;
  out->tap = ir_var(ir, IR_INDEX, "tap", 0, p->taps - 1);
  out->has = ir_int(ir, 1);
  if (!place.guard) return true;
  IrVar *channel = ir_var(ir, IR_INDEX, "channel", 0, p->k / p->taps - 1);
  IrExpr *k = ir_add(ir, ir_scale(ir, ir_ref(ir, channel), p->taps), ir_ref(ir, out->tap));
  out->has = ir_substitute(ir, place.guard, p->k_var, k);
  return !ir_uses(out->has, channel);
}

IrExpr *cuda_put_gather(Lower *lower, const CudaProduct *p, const CudaGather *gather, IrStmt **first) {
  Ir *ir = lower->ir;
  IrStmt *body = ir->function->body;
  *first = cuda_put_value(lower, body, "base", ir_address(ir, gather->buffer, gather->pixel), 1, (IrVar *[]){p->n_var});
  IrStmt *step = cuda_put_value(lower, body, "step", gather->step, 1, (IrVar *[]){p->k_var});
  IrStmt *has = cuda_put_value(lower, body, "has", gather->has, 2, (IrVar *[]){p->n_var, gather->tap});
  const char *call = arena_printf(ir->arena, "sg_gather<%lld>", (long long)p->taps);
  return ir_call(ir, IR_INDEX, call, 3,
                 (IrExpr *[]){ir_ref(ir, (*first)->var), ir_ref(ir, step->var), ir_ref(ir, has->var)});
}
