// Winograd: dense 3x3 convolutions of blocked values with stride 1 take Winograd's tiles where these need clearly fewer
// operations, and so do their gradients by the weight. In inference weights are transformed once after loading.
#include "compiler/ops/winograd.h"

#include <inttypes.h>

#include "compiler/kernel/cpu/micro.h"
#include "compiler/kernel/tuning.h"
#include "compiler/ops/build.h"
#include "compiler/pass/layout.h"
#include "compiler/pass/pass.h"
#include "compiler/pass/rewrite.h"
#include "runtime/kernel_abi.h"

// What a tile costs besides its products, in vector operations for each channel block it reads and writes: sums of the
// transforms, loads and stores. And the share of the direct convolution's operations below which a change pays.
typedef struct TileCost {
  int m;
  double input, output;
} TileCost;
static const TileCost tile_costs[] = {{4, 240, 170}, {2, 64, 44}};
static const double PAYS_BELOW = 0.75;
// What an element of a weight that the program keeps costs, in multiply-adds, where tiles of 4x4 would make the weight
// half as large again as the last cache, or larger: its way from memory.
static const double KEPT = 8;
// And what it costs to transform one for tiles of 4x4.
static const double TRANSFORMED = 100;

static bool is_candidate(const Node *node) {
  if (node->op != OP_conv2d || conv_kind(node) != CONV_DENSE || node->in[1]->op != OP_relayout) return false;
  Shape weight = node->in[1]->shape;
  return weight.dim[2] == 3 && weight.dim[3] == 3 && conv_attrs(node).stride == 1 && node_is_blocked(node) &&
         node_is_blocked(node->in[0]);
}

// Tiles of m x m results of the picture that the convolution makes, or whose gradient it takes.
static double count_tiles(const Node *conv, const Node *picture, int m) {
  return (double)winograd_count_tiles(picture->shape, conv_attrs(conv).dilation, m);
}

// Whether tiles of 4x4 shall be made with the weight as it is, which the convolution transforms in every run: where
// tiles are few beside the channels, it is the weight's way from memory that takes the time, and a transformed one is
// four times as large. Each task then reads all tiles, which the tasks share: a quarter of what a transformed weight
// takes, at most.
static bool reads_weight(const Target *target, const Node *conv) {
  double in = (double)conv->in[0]->shape.dim[1], out = (double)conv->shape.dim[1];
  if (!conv->in[1]->is_setup || conv->shape.dim[0] * MICRO_WINOGRAD_COUNTERS > SG_COUNTERS) return false;
  return 36 * in * out * sizeof(float) > 4 * (double)target->l2 &&
         count_tiles(conv, conv, 4) < in * out / (4 * (in + out));
}

// What was measured for the convolution, or its gradient by the weight, if anything was.
static int64_t measured(const Target *target, const Node *node, const Node *x, const Node *y, int64_t model,
                        int64_t most) {
  const int64_t *in = x->shape.dim, *out = y->shape.dim;
  ConvAttrs attrs = conv_attrs(node);
  return tuning_layer(target, "tile", model, 0, most,
                      "%s:%" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64 "->%" PRId64 ",padding=%" PRId64
                      ",dilation=%" PRId64,
                      op_info(node->op)->name, in[0], in[1], in[2], in[3], out[1], attrs.padding, attrs.dilation);
}

// The m that computes the convolution in the fewest operations, or 0 for the direct way.
static int choose(const Target *target, const Node *conv) {
  double in = (double)conv->in[0]->shape.dim[1], out = (double)conv->shape.dim[1];
  bool is_large = conv->in[1]->is_setup && target->l3 && 36 * in * out * sizeof(float) > 1.5 * (double)target->l3;
  double kept = is_large ? KEPT * in * out : 0;
  double least = PAYS_BELOW * ((double)node_cost(conv).inside + 9 * kept);
  int best = 0;
  for (size_t i = 0; i < sizeof tile_costs / sizeof *tile_costs; i++) {
    const TileCost *cost = &tile_costs[i];
    int t = cost->m + 2;
    double work = count_tiles(conv, conv, cost->m) * (t * t * in * out + cost->input * in + cost->output * out);
    if (cost->m == 4 && reads_weight(target, conv)) work += TRANSFORMED * in * out + 9 * kept;
    else work += t * t * kept;
    if (work < least) least = work, best = cost->m;
  }
  return 2 * (int)measured(target, conv, conv->in[0], conv, best / 2, 2);
}

// The weight in the layout of `packed`, G g G' of every kernel g.
static Node *transformed(Graph *graph, const Node *packed, int m) {
  double filter[WINOGRAD_MAX][3];
  winograd_matrices(m, NULL, filter, NULL);
  int t = m + 2;
  float *matrix = ARENA_ARRAY(graph->arena, float, 9 * t * t);
  for (int k = 0; k < 9; k++) {
    for (int i = 0; i < t * t; i++) matrix[k * t * t + i] = (float)(filter[i / t][k / 3] * filter[i % t][k % 3]);
  }
  Node *constant = graph_constant(graph, SHAPE(9, t * t), matrix);
  Node *weight = graph_add(graph, OP_winograd_weight, (Node *[]){packed->in[0], constant}, 2, NULL);
  weight->layout = packed->layout;
  constant->is_setup = weight->is_setup = packed->is_setup;
  return weight;
}

static Node *convolution(const Target *target, Graph *graph, const Node *conv, int m) {
  bool is_read = m == 4 && reads_weight(target, conv);
  Node *weight = is_read ? conv->in[1] : transformed(graph, conv->in[1], m);
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(OP_conv2d_winograd, "padding")].i = conv_attrs(conv).padding;
  attrs[op_attr_index(OP_conv2d_winograd, "dilation")].i = conv_attrs(conv).dilation;
  Node *result = graph_add(graph, OP_conv2d_winograd, (Node *[]){conv->in[0], weight}, 2, attrs);
  result->layout = conv->layout;
  result->is_setup = conv->is_setup;
  return result;
}

// ---- gradients by the weight

static bool is_gradient(const Node *node) {
  return node->op == OP_conv2d_dw && conv_kind(node) == CONV_DENSE && node->shape.dim[2] == 3 &&
         node->shape.dim[3] == 3 && conv_attrs(node).stride == 1 && node_is_blocked(node->in[0]) &&
         node_is_blocked(node->in[1]);
}

// Operations of the transforms are those of `tile_costs`; a task owns a part of the channels on either side, so that
// each value is transformed for every part of the other.
static bool pays_for_gradient(const Node *node) {
  enum { PART = 64 };
  const int64_t *x = node->in[0]->shape.dim, *g = node->in[1]->shape.dim;
  double in = (double)x[1], out = (double)g[1], direct = (double)node_cost(node).inside;
  double tiles = count_tiles(node, node->in[1], 4);
  double in_parts = (double)ceil_div(x[1], PART), out_parts = (double)ceil_div(g[1], PART);
  double work = tiles * (36 * in * out + tile_costs[0].input * in * out_parts + tile_costs[0].output * out * in_parts);
  return work < PAYS_BELOW * direct;
}

static Node *gradient(Graph *graph, const Node *node) {
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(OP_conv2d_dw_winograd, "padding")].i = conv_attrs(node).padding;
  attrs[op_attr_index(OP_conv2d_dw_winograd, "dilation")].i = conv_attrs(node).dilation;
  return graph_add(graph, OP_conv2d_dw_winograd, node->in, 2, attrs);
}

static Node *rewrite(void *context, Graph *graph, Node *node) {
  const Target *target = context;
  if (is_gradient(node)) {
    bool pays = measured(target, node, node->in[0], node->in[1], pays_for_gradient(node), 1);
    return pays ? gradient(graph, node) : NULL;
  }
  int m = is_candidate(node) ? choose(target, node) : 0;
  return m ? convolution(target, graph, node, m) : NULL;
}

bool pass_winograd(const PassContext *context, Graph *graph) {
  if (context->target->kind != TARGET_CPU || context->exact) return false;
  if (!graph_rewrite(graph, rewrite, (void *)context->target)) return false;
  layout_mark_views(graph, false);
  return true;
}
