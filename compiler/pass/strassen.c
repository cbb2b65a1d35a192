// Strassen: pointwise convolutions with many channels on both sides take seven products of quarters for eight. The sums
// of a weight that is known before the pictures are made once after loading, those of others in every run.
#include <inttypes.h>

#include "compiler/kernel/cpu/micro.h"
#include "compiler/kernel/tuning.h"
#include "compiler/ops/build.h"
#include "compiler/pass/layout.h"
#include "compiler/pass/pass.h"
#include "compiler/pass/rewrite.h"

// What the sums cost, in multiply-adds: those of x for each of its elements, those of y likewise, and the way of three
// quarters more weights through the caches, and what makes them in every run, for each of theirs. As measured on
// AVX-512 (128 to 2048 channels).
static const double INPUT = 3.8, OUTPUT = 6.5, KEPT = 6, MADE = 20;
// The share of the product's multiply-adds, and their number, from which a change pays.
static const double PAYS_FROM = 0.03, PAYS_FROM_WORK = 4e6;

// Channels in whole blocks.
static int64_t whole_channels(const Layout *layout) {
  int64_t n = 0;
  for (int i = 0; i < layout->c.n; i++) n += layout->c.segment[i] / layout->block * layout->block;
  return n;
}

// Input channels of a half, or 0 if the convolution cannot be cut.
static int64_t half_of(const Target *target, const Node *conv) {
  if (!conv_is_pointwise(conv) || conv_attrs(conv).padding || !node_is_blocked(conv) || !node_is_blocked(conv->in[0]))
    return 0;
  const Node *weight = conv->in[1];
  if (weight->op != OP_relayout || weight->in[0]->layout) return 0;
  int64_t outputs = conv->shape.dim[1], unit = 2 * conv->layout->block * target_paired(target);
  if (outputs % unit || whole_channels(conv->layout) != outputs) return 0;
  if (conv->in[0]->layout->c.n > MICRO_STRASSEN_SEGMENTS) return 0;
  int64_t block = conv->in[0]->layout->block;
  return whole_channels(conv->in[0]->layout) / (2 * block) * block;
}

static bool pays(const Node *conv, int64_t half) {
  double outputs = (double)conv->shape.dim[1], pixels = (double)shape_elements(conv->shape) / outputs;
  double inputs = 2 * (double)half, work = pixels * inputs * outputs;
  double sums = (conv->in[1]->is_setup ? KEPT : KEPT + MADE) * inputs * outputs;
  double saved = work / 8 - pixels * (INPUT * outputs + OUTPUT * inputs) - sums;
  return saved > PAYS_FROM * work && saved > PAYS_FROM_WORK;
}

static bool is_chosen(const Target *target, const Node *conv, int64_t half) {
  const int64_t *in = conv->in[0]->shape.dim;
  return tuning_layer(target, "strassen", pays(conv, half), 0, 1,
                      "%s:%" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64 "->%" PRId64, op_info(conv->op)->name, in[0],
                      in[1], in[2], in[3], conv->shape.dim[1]);
}

static Node *rewrite(void *context, Graph *graph, Node *node) {
  const Target *target = context;
  if (node->op != OP_conv2d) return NULL;
  int64_t half = half_of(target, node);
  if (!half || !is_chosen(target, node, half)) return NULL;
  Layout *layout = arena_memdup(graph->arena, node->in[1]->layout, sizeof *layout);
  layout->kind = LAYOUT_WEIGHT_STRASSEN;
  layout->half = (int)half;
  layout->in = node->in[0]->layout->c;
  Node *weight = graph_add(graph, OP_strassen_weight, &node->in[1]->in[0], 1, NULL);
  weight->layout = layout;
  weight->is_setup = node->in[1]->is_setup;
  Node *result = graph_add(graph, OP_conv2d, (Node *[]){node->in[0], weight}, 2, node->attr);
  result->layout = node->layout;
  return result;
}

bool pass_strassen(const PassContext *context, Graph *graph) {
  if (context->target->kind != TARGET_CPU || context->exact) return false;
  if (!graph_rewrite(graph, rewrite, (void *)context->target)) return false;
  layout_mark_views(graph, false);
  return true;
}
