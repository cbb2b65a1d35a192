// Every gradient rule against central differences of the reference evaluator.
#include "compiler/pass/pass.h"
#include "tests/check.h"
#include "tests/compiler/values.h"

enum { MAX_IN = 3 };

typedef enum Kind {
  GRID,  // distinct values spread over lo..hi
  MASK,  // 0 and 1 in turn; not differentiated
  INDEX, // -1, 0, 1, ... below hi; not differentiated
} Kind;

typedef struct Operand {
  Shape shape;
  double lo, hi;
  Kind kind;
} Operand;

// One application of an op. attrs: "name=number name=[a,b] name=word".
typedef struct Case {
  Op op;
  const char *attrs;
  Operand in[MAX_IN];
} Case;

#define DIMS(...)                                                                                                      \
  {                                                                                                                    \
    .rank = sizeof((int[]){__VA_ARGS__}) / sizeof(int), .dim = { __VA_ARGS__ }                                         \
  }
#define X(...)                                                                                                         \
  { DIMS(__VA_ARGS__), -2, 2, GRID }
#define POS(...)                                                                                                       \
  { DIMS(__VA_ARGS__), 0.5, 3, GRID }
#define NONE(...)                                                                                                      \
  { DIMS(__VA_ARGS__), 0, 1, MASK }

static const Case cases[] = {
    {OP_neg, "", {X(2, 5)}},
    {OP_abs, "", {X(2, 5)}},
    {OP_exp, "", {X(2, 5)}},
    {OP_log, "", {POS(2, 5)}},
    {OP_sqrt, "", {POS(2, 5)}},
    {OP_rsqrt, "", {POS(2, 5)}},
    {OP_sin, "", {X(2, 5)}},
    {OP_cos, "", {X(2, 5)}},
    {OP_tanh, "", {X(2, 5)}},
    {OP_sigmoid, "", {X(2, 5)}},
    {OP_relu, "", {X(2, 5)}},
    {OP_leaky_relu, "slope=0.1", {X(2, 5)}},
    {OP_leaky_relu, "slope=-0.5", {X(2, 5)}},
    {OP_leaky_relu, "slope=0", {X(2, 5)}},
    {OP_elu, "alpha=1", {X(2, 5)}},
    {OP_elu, "alpha=0.3", {X(2, 5)}},
    {OP_elu, "alpha=-0.7", {X(2, 5)}},
    {OP_hard_sigmoid, "", {{DIMS(2, 9), -5, 5, GRID}}},
    {OP_clamp, "lo=-0.7 hi=1.1", {X(2, 5)}},

    {OP_add, "", {X(2, 3), X(2, 3)}},
    {OP_add, "", {X(2, 3, 4), X(3, 1)}},
    {OP_add, "", {X(1, 3), X(2, 1)}},
    {OP_sub, "", {X(2, 3), X(2, 3)}},
    {OP_sub, "", {X(3), X(2, 2, 3)}},
    {OP_mul, "", {X(2, 3), X(2, 3)}},
    {OP_mul, "", {X(2, 3, 2, 2), X(1, 3, 1, 1)}},
    {OP_mul, "", {{{0}, -2, 2, GRID}, X(2, 3)}},
    {OP_div, "", {X(2, 3), POS(2, 3)}},
    {OP_div, "", {X(2, 3), POS(1, 3)}},
    {OP_div, "", {X(3), POS(2, 3)}},
    {OP_minimum, "", {X(2, 4), X(2, 4)}},
    {OP_minimum, "", {X(2, 4), X(4)}},
    {OP_maximum, "", {X(2, 4), X(2, 4)}},
    {OP_maximum, "", {X(1, 4), X(2, 1)}},
    {OP_less, "", {X(2, 4), X(2, 4)}},
    {OP_less_equal, "", {X(2, 4), X(4)}},
    {OP_equal, "", {X(2, 4), X(2, 4)}},
    {OP_select, "", {NONE(2, 4), X(2, 4), X(2, 4)}},
    {OP_select, "", {NONE(2, 3, 4), X(4), X(3, 1)}},

    {OP_sum, "axes=[1]", {X(2, 3, 4)}},
    {OP_sum, "axes=[0,2] keep=1", {X(2, 3, 4)}},
    {OP_sum, "axes=[0,1,2]", {X(2, 3, 4)}},
    {OP_max, "axes=[1]", {X(2, 3, 4)}},
    {OP_max, "axes=[-1,0] keep=1", {X(2, 3, 4)}},
    {OP_cumsum, "axis=1", {X(2, 5)}},
    {OP_cumsum, "axis=-2 reverse=1", {X(3, 4)}},
    {OP_variance, "axes=[1]", {X(2, 6)}},
    {OP_variance, "axes=[0,2,3]", {X(2, 3, 2, 2)}},
    {OP_variance, "axes=[-1] keep=1", {X(2, 2, 5)}},
    {OP_softmax, "axis=1", {X(2, 3, 2)}},
    {OP_softmax, "axis=-1", {X(2, 5)}},

    {OP_reshape, "shape=[3,-1]", {X(2, 3, 2)}},
    {OP_transpose, "perm=[2,0,1]", {X(2, 3, 4)}},
    {OP_broadcast, "shape=[2,3,4]", {X(3, 1)}},
    {OP_concat, "axis=1", {X(2, 1, 3), X(2, 3, 3), X(2, 2, 3)}},
    {OP_slice, "axis=1 start=1 stop=4 step=1", {X(2, 5, 2)}},
    {OP_slice, "axis=1 start=1 stop=8 step=3", {X(2, 9, 2)}},
    {OP_slice, "axis=0 start=0 stop=7 step=2", {X(7, 2)}},
    {OP_slice, "axis=-1 start=2 stop=6 step=2", {X(2, 9)}},
    {OP_pad, "before=[0,1,2] after=[3,0,1] value=0.5", {X(2, 2, 3)}},
    {OP_flip, "axis=1", {X(2, 3, 2)}},

    {OP_matmul, "", {X(3, 4), X(4, 2)}},
    {OP_matmul, "transpose_a=1", {X(4, 3), X(4, 2)}},
    {OP_matmul, "transpose_b=1", {X(3, 4), X(2, 4)}},
    {OP_matmul, "transpose_a=1 transpose_b=1", {X(4, 3), X(2, 4)}},
    {OP_matmul, "", {X(2, 3, 4), X(2, 4, 2)}},
    {OP_matmul, "", {X(2, 2, 3, 4), X(4, 2)}},
    {OP_matmul, "transpose_b=1", {X(2, 3, 4), X(2, 4)}},
    {OP_matmul, "transpose_a=1", {X(2, 4, 3), X(4, 2)}},
    {OP_matmul, "", {X(3, 4), X(2, 4, 2)}},
    {OP_matmul, "transpose_a=1 transpose_b=1", {X(2, 1, 4, 3), X(3, 2, 4)}},

    {OP_conv2d, "stride=1 padding=0 dilation=1 groups=1", {X(2, 3, 3, 4), X(2, 3, 1, 1)}},
    {OP_conv2d, "stride=1 padding=1 dilation=1 groups=1", {X(1, 2, 4, 5), X(3, 2, 3, 3)}},
    {OP_conv2d, "stride=1 padding=0 dilation=1 groups=1", {X(1, 2, 4, 5), X(2, 2, 3, 3)}},
    {OP_conv2d, "stride=1 padding=1 dilation=1 groups=1", {X(1, 2, 2, 3), X(3, 2, 1, 1)}},
    {OP_conv2d, "stride=1 padding=3 dilation=1 groups=1", {X(1, 1, 3, 3), X(2, 1, 2, 2)}},
    {OP_conv2d, "stride=1 padding=2 dilation=2 groups=1", {X(1, 2, 5, 4), X(2, 2, 3, 3)}},
    {OP_conv2d, "stride=1 padding=1 dilation=1 groups=1", {X(1, 2, 4, 4), X(2, 2, 3, 1)}},
    {OP_conv2d, "stride=2 padding=1 dilation=1 groups=1", {X(1, 2, 5, 6), X(2, 2, 3, 3)}},
    {OP_conv2d, "stride=3 padding=0 dilation=1 groups=1", {X(1, 1, 7, 8), X(2, 1, 2, 2)}},
    {OP_conv2d, "stride=2 padding=0 dilation=1 groups=1", {X(2, 3, 4, 6), X(2, 3, 2, 2)}},
    {OP_conv2d, "stride=2 padding=2 dilation=2 groups=2", {X(1, 4, 5, 5), X(2, 2, 2, 2)}},
    {OP_conv2d, "stride=1 padding=1 dilation=1 groups=3", {X(1, 3, 4, 3), X(3, 1, 3, 3)}},
    {OP_conv2d, "stride=2 padding=2 dilation=1 groups=3", {X(2, 3, 5, 4), X(3, 1, 5, 5)}},
    {OP_conv2d, "stride=1 padding=1 dilation=1 groups=2", {X(1, 4, 3, 4), X(6, 2, 3, 3)}},
    {OP_conv2d, "stride=1 padding=0 dilation=1 groups=2", {X(1, 2, 3, 4), X(4, 1, 2, 2)}},

    {OP_resize, "size=[5,7] mode=bilinear align_corners=1", {X(1, 2, 3, 4)}},
    {OP_resize, "size=[5,7] mode=bilinear align_corners=0", {X(1, 2, 3, 4)}},
    {OP_resize, "size=[2,2] mode=bilinear align_corners=0", {X(1, 2, 4, 5)}},
    {OP_resize, "size=[1,3] mode=bilinear align_corners=1", {X(1, 2, 4, 5)}},
    {OP_resize, "size=[6,5] mode=nearest align_corners=-1", {X(1, 2, 3, 4)}},
    {OP_resize, "size=[2,2] mode=nearest align_corners=-1", {X(1, 2, 5, 4)}},

    {OP_nearest, "", {X(2, 3), X(2, 4), NONE(2, 4)}},
    {OP_gather, "", {X(2, 4), {DIMS(2, 6), 0, 4, INDEX}}},
    {OP_random, "shape=[2,3] stream=7", {NONE(2)}},
};
enum { N_CASES = sizeof cases / sizeof *cases };

// ---- building a case

static AttrValue parse_value(const AttrSpec *spec, const char *text) {
  AttrValue value = {.i = strtoll(text, NULL, 10), .f = strtod(text, NULL)};
  for (int i = 0; i < spec->n_choices; i++) {
    if (!strncmp(text, spec->choices[i], strlen(spec->choices[i]))) value.i = i;
  }
  if (*text == '[') {
    char *at = (char *)text;
    while (*at != ']') value.ints.dim[value.ints.rank++] = strtoll(at + 1, &at, 10);
  }
  return value;
}

static void parse_attrs(Op op, const char *text, AttrValue *out) {
  const OpInfo *info = op_info(op);
  for (int i = 0; i < info->n_attrs; i++) {
    out[i] = info->attrs[i].fallback;
    char key[64];
    snprintf(key, sizeof key, "%s=", info->attrs[i].name);
    const char *at = strstr(text, key);
    if (at) out[i] = parse_value(&info->attrs[i], at + strlen(key));
  }
}

static int case_operands(const Case *c) {
  int n = op_info(c->op)->n_in;
  if (n != OP_VARIADIC) return n;
  for (n = 0; n < MAX_IN && c->in[n].shape.rank;) n++;
  return n;
}

// Distinct values in a scattered order; operands are shifted against each other, so that none coincide.
static void set_operand(const Operand *operand, int k, float *out) {
  int64_t n = shape_elements(operand->shape);
  for (int64_t i = 0; i < n; i++) {
    double place = (double)(i * 7 % n) + 0.35 + 0.2 * k;
    // where 7 divides n, places repeat: keep the order instead
    if (n % 7 == 0) place = (double)(i * 5 % n) + 0.35 + 0.2 * k;
    if (n % 35 == 0) place = (double)(i * 3 % n) + 0.35 + 0.2 * k;
    switch (operand->kind) {
    case GRID: out[i] = (float)(operand->lo + (operand->hi - operand->lo) * place / (double)n); break;
    case MASK: out[i] = (float)(i % 2 == 0); break;
    case INDEX: out[i] = (float)(i % ((int64_t)operand->hi + 1) - 1); break;
    }
  }
}

// ---- checking it

typedef struct Bench {
  Graph *graph;
  Values values;
  Node *leaf[MAX_IN], *result, *seed;
} Bench;

// sum of result * seed, in double.
static double objective(Bench *bench) {
  values_run(&bench->values, bench->graph);
  const float *y = bench->values.of[bench->result->id], *g = bench->values.of[bench->seed->id];
  double total = 0;
  for (int64_t i = 0; i < shape_elements(bench->result->shape); i++) total += (double)y[i] * (double)g[i];
  return total;
}

// Central difference, with Richardson's step to cancel its h^2 term.
static double slope_at(Bench *bench, float *x) {
  float at = *x;
  double slope[2];
  for (int k = 0; k < 2; k++) {
    float h = k ? 0.008f : 0.016f, up = at + h, down = at - h;
    *x = up;
    double above = objective(bench);
    *x = down;
    slope[k] = (above - objective(bench)) / ((double)up - (double)down);
  }
  *x = at;
  values_run(&bench->values, bench->graph);
  return (4 * slope[1] - slope[0]) / 3;
}

static void check_operand(const Case *c, Bench *bench, int k, const float *gradient) {
  float *x = bench->values.of[bench->leaf[k]->id];
  int64_t n = shape_elements(bench->leaf[k]->shape);
  double largest = 1, worst = 0;
  int64_t where = 0;
  double got = 0, want = 0;
  for (int64_t i = 0; i < n; i++) {
    double slope = slope_at(bench, &x[i]);
    largest = fmax(largest, fabs(slope));
    double error = fabs(slope - (double)gradient[i]);
    if (!(error <= worst)) worst = error, where = i, got = (double)gradient[i], want = slope;
  }
  CHECK(worst <= 4e-4 * largest, "%s %s: gradient of operand %d at %lld is %.7g, differences say %.7g",
        op_info(c->op)->name, c->attrs, k, (long long)where, got, want);
}

// Gradients of bench->result by the first n leaves that `c` says are differentiable.
static void check_bench(const Case *c, Arena *arena, Bench *bench, int n) {
  Graph *graph = bench->graph;
  Node *wrt[MAX_IN], *grads[MAX_IN];
  int n_wrt = 0;
  for (int k = 0; k < n; k++) {
    if (c->in[k].kind == GRID) wrt[n_wrt++] = bench->leaf[k];
  }
  bench->seed = graph_input(graph, "seed", bench->result->shape);
  Diag *diag = diag_new(arena, 20);
  bool is_good = grad_build_seeded(graph, &bench->result, &bench->seed, 1, wrt, n_wrt, grads, diag);
  CHECK(is_good, "%s %s: grad_build_seeded", op_info(c->op)->name, c->attrs);
  if (!is_good) return;
  bench->values = values_new(arena, graph);
  for (int k = 0; k < n; k++) set_operand(&c->in[k], k, values_leaf(&bench->values, bench->leaf[k]));
  values_fill(&bench->values, graph, -1, 1);
  values_run(&bench->values, graph);
  for (int k = 0, w = 0; k < n; k++) {
    if (c->in[k].kind != GRID) continue;
    CHECK(shape_equal(grads[w]->shape, bench->leaf[k]->shape), "%s: shape of gradient %d", op_info(c->op)->name, k);
    size_t size = sizeof(float) * (size_t)shape_elements(grads[w]->shape);
    float *gradient = arena_memdup(arena, bench->values.of[grads[w]->id], size);
    check_operand(c, bench, k, gradient);
    w++;
  }
}

static int add_leaves(const Case *c, Bench *bench, int n) {
  for (int k = 0; k < n; k++) {
    char name[16];
    snprintf(name, sizeof name, "x%d", k);
    bench->leaf[k] = graph_input(bench->graph, name, c->in[k].shape);
  }
  return n;
}

static void check_case(const Case *c) {
  Arena *arena = arena_new();
  Bench bench = {.graph = graph_new(arena, "case")};
  int n = add_leaves(c, &bench, case_operands(c));
  AttrValue attrs[OP_MAX_ATTRS];
  parse_attrs(c->op, c->attrs, attrs);
  bench.result = graph_add(bench.graph, c->op, bench.leaf, n, attrs);
  check_bench(c, arena, &bench, n);
  arena_free(arena);
}

// Batch norm with batch statistics, written as the language writes it: the gradient of the variance leaves out what
// would flow through the mean inside it, which must be right in sum.
static void check_batch_norm(void) {
  const Case c = {OP_variance, "in batch norm", {X(2, 3, 2, 2), X(3), X(3)}};
  Arena *arena = arena_new();
  Bench bench = {.graph = graph_new(arena, "norm")};
  Graph *graph = bench.graph;
  int n = add_leaves(&c, &bench, 3), axes[] = {0, 2, 3};
  Node *x = bench.leaf[0];
  AttrValue attrs[OP_MAX_ATTRS];
  parse_attrs(OP_variance, "axes=[0,2,3]", attrs);
  Node *mean = graph_binary(graph, OP_div, graph_sum(graph, x, axes, 3, false), graph_scalar(graph, 8));
  Node *variance = graph_add(graph, OP_variance, &x, 1, attrs);
  Node *root = graph_unary(graph, OP_rsqrt, graph_binary(graph, OP_add, variance, graph_scalar(graph, 1e-5)));
  Node *scale = graph_binary(graph, OP_mul, bench.leaf[1], root);
  Node *centred = graph_binary(graph, OP_sub, x, graph_reshape(graph, mean, SHAPE(1, 3, 1, 1)));
  Node *scaled = graph_binary(graph, OP_mul, centred, graph_reshape(graph, scale, SHAPE(1, 3, 1, 1)));
  bench.result = graph_binary(graph, OP_add, scaled, graph_reshape(graph, bench.leaf[2], SHAPE(1, 3, 1, 1)));
  check_bench(&c, arena, &bench, n);
  arena_free(arena);
}

// A new op needs a case.
static void check_coverage(void) {
  for (int op = 0; op < OP_COUNT; op++) {
    if (!op_info((Op)op)->grad) continue;
    bool is_covered = false;
    for (int i = 0; i < N_CASES; i++) is_covered |= cases[i].op == (Op)op;
    CHECK(is_covered, "%s has a gradient rule but no case in this test", op_info((Op)op)->name);
  }
}

// ---- the pass itself

// d/dx of x sin(x) + x^2 y, where x is used four times, and a leaf without influence.
static void check_shared_uses(void) {
  Arena *arena = arena_new();
  Graph *graph = graph_new(arena, "shared");
  Node *x = graph_input(graph, "x", SHAPE(3)), *y = graph_input(graph, "y", SHAPE(3));
  Node *other = graph_input(graph, "other", SHAPE(2, 2));
  Node *a = graph_binary(graph, OP_mul, x, graph_unary(graph, OP_sin, x));
  Node *b = graph_binary(graph, OP_mul, graph_binary(graph, OP_mul, x, x), y);
  Node *loss = graph_sum(graph, graph_binary(graph, OP_add, a, b), (int[]){0}, 1, false);
  Node *grads[2];
  CHECK(grad_build(graph, loss, (Node *[]){x, other}, 2, grads, diag_new(arena, 20)), "grad_build");
  Values values = values_new(arena, graph);
  values_fill(&values, graph, -1, 1);
  values_run(&values, graph);
  for (int i = 0; i < 3; i++) {
    double vx = (double)values.of[x->id][i], vy = (double)values.of[y->id][i];
    CHECK_NEAR((double)values.of[grads[0]->id][i], sin(vx) + vx * cos(vx) + 2 * vx * vy, 1e-6, "element %d", i);
  }
  CHECK(shape_equal(grads[1]->shape, other->shape), "zeros have the leaf's shape");
  for (int i = 0; i < 4; i++) CHECK(values.of[grads[1]->id][i] == 0, "no dependence, no gradient");
  arena_free(arena);
}

static bool mentions(const Graph *graph, int from, Op op) {
  for (int i = from; i < graph->n_nodes; i++) {
    if (graph->nodes[i]->op == op) return true;
  }
  return false;
}

// The gradient does not flow where no leaf of wrt is, and says where it comes from.
static void check_reach_and_place(void) {
  Arena *arena = arena_new();
  Graph *graph = graph_new(arena, "reach");
  Node *x = graph_input(graph, "x", SHAPE(3)), *w = graph_param(graph, "w", SHAPE(3), (Init){0});
  graph->at_loc = (SrcLoc){.file = "a.net", .line = 3, .column = 1, .length = 1};
  Node *side = graph_unary(graph, OP_tanh, graph_unary(graph, OP_exp, x));
  graph->at_loc = (SrcLoc){.file = "a.net", .line = 7, .column = 1, .length = 1};
  Node *product = graph_binary(graph, OP_mul, side, w);
  graph->at_loc = (SrcLoc){.file = "a.net", .line = 9, .column = 1, .length = 1};
  Node *loss = graph_sum(graph, product, (int[]){0}, 1, false);
  int n = graph->n_nodes;
  Node *grad;
  CHECK(grad_build(graph, loss, &w, 1, &grad, diag_new(arena, 20)), "grad_build");
  CHECK(!mentions(graph, n, OP_exp) && !mentions(graph, n, OP_tanh) && !mentions(graph, n, OP_sub),
        "nothing flows into the side that no parameter reaches");
  CHECK(grad->op == OP_mul && grad->loc.line == 7, "the gradient of line 7 is at line %d", grad->loc.line);
  arena_free(arena);
}

static void check_faults(void) {
  Arena *arena = arena_new();
  Graph *graph = graph_new(arena, "faults");
  Node *w = graph_param(graph, "w", SHAPE(1, 1, 4, 4), (Init){0});
  AttrValue attrs[OP_MAX_ATTRS];
  parse_attrs(OP_resize_grad, "size=[2,2] mode=nearest align_corners=-1", attrs);
  Node *y = graph_add(graph, OP_resize_grad, &w, 1, attrs), *grad;
  Node *loss = graph_sum(graph, y, (int[]){0, 1, 2, 3}, 4, false);
  Diag *diag = diag_new(arena, 20);
  CHECK(!grad_build(graph, loss, &w, 1, &grad, diag) && diag_errors(diag) == 1, "an op without gradient is reported");
  CHECK(!grad_build(graph, y, &w, 1, &grad, diag) && diag_errors(diag) == 2, "a loss of four numbers is reported");
  arena_free(arena);
}

int main(void) {
  check_coverage();
  for (int i = 0; i < N_CASES; i++) check_case(&cases[i]);
  check_batch_norm();
  check_shared_uses();
  check_reach_and_place();
  check_faults();
  return check_report("grad");
}
