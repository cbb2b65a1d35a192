// Gradient rules of element-wise ops.
//
// Where the derivative can be had from the result, it is: the result is kept for the next layer anyway, and the operand
// then need not be.
#include "compiler/ops/build.h"
#include "compiler/ops/rules.h"

static Node *zero(Graph *graph) { return graph_scalar(graph, 0); }

// g where `condition` holds, else 0.
static Node *keep_where(Graph *graph, Node *condition, Node *g) {
  return graph_select(graph, condition, g, zero(graph));
}

static Node *is_positive(Graph *graph, Node *x) { return graph_binary(graph, OP_less, zero(graph), x); }

static Node *mul(Graph *graph, Node *a, Node *b) { return graph_binary(graph, OP_mul, a, b); }

// Comparisons and indices are constant wherever they are differentiable.
void grad_zero(Graph *graph, Node *node, Node *gout, Node **gin) {
  (void)graph, (void)gout;
  for (int i = 0; i < node->n_in; i++) gin[i] = NULL;
}

void grad_neg(Graph *graph, Node *node, Node *gout, Node **gin) {
  (void)node;
  gin[0] = graph_unary(graph, OP_neg, gout);
}

void grad_abs(Graph *graph, Node *node, Node *gout, Node **gin) {
  Node *is_negative = graph_binary(graph, OP_less, node->in[0], zero(graph));
  Node *right = keep_where(graph, is_positive(graph, node->in[0]), gout);
  gin[0] = graph_select(graph, is_negative, graph_unary(graph, OP_neg, gout), right);
}

void grad_exp(Graph *graph, Node *node, Node *gout, Node **gin) { gin[0] = mul(graph, gout, node); }

void grad_log(Graph *graph, Node *node, Node *gout, Node **gin) {
  gin[0] = graph_binary(graph, OP_div, gout, node->in[0]);
}

void grad_sqrt(Graph *graph, Node *node, Node *gout, Node **gin) {
  gin[0] = graph_binary(graph, OP_div, build_scale(graph, gout, 0.5), node);
}

// y = x^(-1/2), y' = -1/2 y^3.
void grad_rsqrt(Graph *graph, Node *node, Node *gout, Node **gin) {
  Node *cube = mul(graph, mul(graph, node, node), node);
  gin[0] = mul(graph, build_scale(graph, gout, -0.5), cube);
}

void grad_sin(Graph *graph, Node *node, Node *gout, Node **gin) {
  gin[0] = mul(graph, gout, graph_unary(graph, OP_cos, node->in[0]));
}

void grad_cos(Graph *graph, Node *node, Node *gout, Node **gin) {
  gin[0] = graph_unary(graph, OP_neg, mul(graph, gout, graph_unary(graph, OP_sin, node->in[0])));
}

void grad_tanh(Graph *graph, Node *node, Node *gout, Node **gin) {
  Node *slope = graph_binary(graph, OP_sub, graph_scalar(graph, 1), mul(graph, node, node));
  gin[0] = mul(graph, gout, slope);
}

void grad_sigmoid(Graph *graph, Node *node, Node *gout, Node **gin) {
  Node *rest = graph_binary(graph, OP_sub, graph_scalar(graph, 1), node);
  gin[0] = mul(graph, gout, mul(graph, node, rest));
}

void grad_relu(Graph *graph, Node *node, Node *gout, Node **gin) {
  gin[0] = keep_where(graph, is_positive(graph, node), gout);
}

void grad_leaky_relu(Graph *graph, Node *node, Node *gout, Node **gin) {
  double slope = node_attr(node, "slope").f;
  // the result has the operand's sign only where the slope keeps it
  Node *sign = slope >= 0 ? node : node->in[0];
  gin[0] = graph_select(graph, is_positive(graph, sign), gout, build_scale(graph, gout, slope));
}

// Below 0: alpha exp(x) = y + alpha.
void grad_elu(Graph *graph, Node *node, Node *gout, Node **gin) {
  double alpha = node_attr(node, "alpha").f;
  Node *sign = alpha >= 0 ? node : node->in[0];
  Node *slope = graph_binary(graph, OP_add, node, graph_scalar(graph, alpha));
  gin[0] = graph_select(graph, is_positive(graph, sign), gout, mul(graph, gout, slope));
}

void grad_hard_sigmoid(Graph *graph, Node *node, Node *gout, Node **gin) {
  Node *below_one = graph_binary(graph, OP_less, node, graph_scalar(graph, 1));
  Node *inside = keep_where(graph, below_one, build_scale(graph, gout, 1.0 / 6));
  gin[0] = keep_where(graph, is_positive(graph, node), inside);
}

void grad_clamp(Graph *graph, Node *node, Node *gout, Node **gin) {
  Node *lo = graph_scalar(graph, node_attr(node, "lo").f), *hi = graph_scalar(graph, node_attr(node, "hi").f);
  Node *above = graph_binary(graph, OP_less_equal, lo, node->in[0]);
  Node *below = graph_binary(graph, OP_less_equal, node->in[0], hi);
  gin[0] = keep_where(graph, above, keep_where(graph, below, gout));
}

// ---- two and three operands: what broadcasting repeated is summed up again

static void spread(Graph *graph, Node *node, Node **gin) {
  for (int i = 0; i < node->n_in; i++) {
    if (gin[i]) gin[i] = graph_sum_to(graph, gin[i], node->in[i]->shape);
  }
}

void grad_add(Graph *graph, Node *node, Node *gout, Node **gin) {
  gin[0] = gin[1] = gout;
  spread(graph, node, gin);
}

// Summed up before the sign is changed: the sum is then the one that other rules ask for, too.
void grad_sub(Graph *graph, Node *node, Node *gout, Node **gin) {
  gin[0] = gin[1] = gout;
  spread(graph, node, gin);
  gin[1] = graph_unary(graph, OP_neg, gin[1]);
}

void grad_mul(Graph *graph, Node *node, Node *gout, Node **gin) {
  gin[0] = mul(graph, gout, node->in[1]);
  gin[1] = mul(graph, gout, node->in[0]);
  spread(graph, node, gin);
}

// d(a / b) = da / b - (a / b) db / b.
void grad_div(Graph *graph, Node *node, Node *gout, Node **gin) {
  Node *share = graph_binary(graph, OP_div, gout, node->in[1]);
  gin[0] = share;
  gin[1] = graph_unary(graph, OP_neg, mul(graph, share, node));
  spread(graph, node, gin);
}

// Where both are equal the first operand is the one chosen.
static void grad_choice(Graph *graph, Node *node, Node *first_chosen, Node *gout, Node **gin) {
  gin[0] = graph_select(graph, first_chosen, gout, zero(graph));
  gin[1] = graph_select(graph, first_chosen, zero(graph), gout);
  spread(graph, node, gin);
}

void grad_minimum(Graph *graph, Node *node, Node *gout, Node **gin) {
  grad_choice(graph, node, graph_binary(graph, OP_less_equal, node->in[0], node->in[1]), gout, gin);
}

void grad_maximum(Graph *graph, Node *node, Node *gout, Node **gin) {
  grad_choice(graph, node, graph_binary(graph, OP_less_equal, node->in[1], node->in[0]), gout, gin);
}

void grad_select(Graph *graph, Node *node, Node *gout, Node **gin) {
  gin[0] = NULL;
  gin[1] = graph_select(graph, node->in[0], gout, zero(graph));
  gin[2] = graph_select(graph, node->in[0], zero(graph), gout);
  spread(graph, node, gin);
}
