// Contract node: which contractions, alone, the micro-kernels take.
#include "compiler/kernel/cpu/contract_match.h"
#include "compiler/kernel/group.h"
#include "compiler/ops/build.h"

static bool has_kind(const Node *node, LayoutKind kind) { return node->layout && node->layout->kind == kind; }
static bool is_packed(const Target *target, const Node *weight) {
  return has_kind(weight, target_has_pairs(target) ? LAYOUT_WEIGHT_PAIRS : LAYOUT_WEIGHT);
}
static bool is_plain(const Node *node) { return !node->layout || node->layout->kind == LAYOUT_PLAIN; }

static bool is_depthwise(const Node *node, const Node *x, const Node *y) {
  int64_t groups = node_attr(node, "groups").i;
  return groups > 1 && groups == x->shape.dim[1] && groups == y->shape.dim[1];
}

static bool match_conv2d(const Target *target, const Node *node, ContractForm *form, Text *why) {
  const Node *x = node->in[0], *w = node->in[1];
  int64_t kh = w->shape.dim[2], kw = w->shape.dim[3];
  if (is_depthwise(node, x, node)) {
    *form = CONTRACT_DEPTHWISE;
    if (!node_is_blocked(x) || !node_is_blocked(node)) return group_refuse(why, "depthwise needs blocked values");
    if (!has_kind(w, LAYOUT_WEIGHT_DW)) return group_refuse(why, "the depthwise weight is not packed");
    if (!channels_equal(x->layout, node->layout) || !channels_equal(w->layout, node->layout))
      return group_refuse(why, "channels are cut differently");
    if (kh != kw) return group_refuse(why, "the depthwise kernel is not square");
    return x->layout->block == target->vector || group_refuse(why, "blocks of another size");
  }
  if (node_attr(node, "groups").i != 1) return group_refuse(why, "grouped convolution");
  bool is_unpadded_pointwise = conv_is_pointwise(node) && node_attr(node, "padding").i == 0;
  *form = is_unpadded_pointwise && node_is_blocked(x) ? CONTRACT_POINTWISE : CONTRACT_DENSE;
  bool is_sums = *form == CONTRACT_POINTWISE && node_is_blocked(node) && has_kind(w, LAYOUT_WEIGHT_STRASSEN);
  if (!is_packed(target, w) && !is_sums) return group_refuse(why, "the weight is not packed");
  if (w->layout->block != target->vector || (node_is_blocked(x) && x->layout->block != target->vector))
    return group_refuse(why, "blocks of another size");
  if (node_is_blocked(node) ? !channels_equal(w->layout, node->layout) : w->layout->c.n != 1)
    return group_refuse(why, "the weight is packed for other channels");
  return true;
}

static bool match_winograd(const Target *target, const Node *node, ContractForm *form, Text *why) {
  const Node *x = node->in[0], *w = node->in[1];
  *form = CONTRACT_WINOGRAD;
  if (!node_is_blocked(x) || !node_is_blocked(node)) return group_refuse(why, "tiles need blocked values");
  if (!is_packed(target, w) || !channels_equal(w->layout, node->layout))
    return group_refuse(why, "the weight is packed for other channels");
  return (x->layout->block == target->vector && node->layout->block == target->vector) ||
         group_refuse(why, "blocks of another size");
}

static bool match_dw_winograd(const Target *target, const Node *node, ContractForm *form, Text *why) {
  *form = CONTRACT_DW_WINOGRAD;
  if (!is_plain(node)) return group_refuse(why, "a weight gradient that is not plain");
  for (int k = 0; k < 2; k++) {
    if (!node_is_blocked(node->in[k]) || node->in[k]->layout->block != target->vector)
      return group_refuse(why, "tiles need blocked values");
  }
  return true;
}

static bool match_dx(const Target *target, const Node *node, ContractForm *form, Text *why) {
  const Node *g = node->in[0], *w = node->in[1];
  if (node_attr(node, "groups").i == 1) {
    *form = CONTRACT_DX_DENSE;
    if (!node_is_blocked(g) || !node_is_blocked(node) || !is_plain(w))
      return group_refuse(why, "dense needs blocked values and a plain weight");
    return (g->layout->block == target->vector && node->layout->block == target->vector) ||
           group_refuse(why, "blocks of another size");
  }
  *form = CONTRACT_DX;
  if (!is_depthwise(node, g, node)) return group_refuse(why, "grouped convolution");
  if (!node_is_blocked(g) || !node_is_blocked(node)) return group_refuse(why, "depthwise needs blocked values");
  if (!has_kind(w, LAYOUT_WEIGHT_DW)) return group_refuse(why, "the depthwise weight is not packed");
  if (!channels_equal(g->layout, node->layout) || !channels_equal(w->layout, node->layout))
    return group_refuse(why, "channels are cut differently");
  if (w->shape.dim[2] != w->shape.dim[3] || node_attr(node, "dilation").i != 1)
    return group_refuse(why, "the depthwise kernel is not square, or dilated");
  return g->layout->block == target->vector || group_refuse(why, "blocks of another size");
}

static bool match_weight_gradient(const Target *target, const Node *node, ContractForm *form, Text *why) {
  const Node *x = node->in[0], *g = node->in[1];
  if (!is_plain(node)) return group_refuse(why, "a weight gradient that is not plain");
  if ((node_is_blocked(x) && x->layout->block != target->vector) ||
      (node_is_blocked(g) && g->layout->block != target->vector))
    return group_refuse(why, "blocks of another size");
  if (is_depthwise(node, x, g)) {
    *form = CONTRACT_DW_DEPTHWISE;
    if (!node_is_blocked(x) || !node_is_blocked(g) || !channels_equal(x->layout, g->layout))
      return group_refuse(why, "depthwise needs equally blocked values");
    return node->shape.dim[2] == node->shape.dim[3] || group_refuse(why, "the depthwise kernel is not square");
  }
  *form = CONTRACT_DW_DENSE;
  if (node_attr(node, "groups").i != 1) return group_refuse(why, "grouped convolution");
  return node_is_blocked(x) || node_is_blocked(g) || group_refuse(why, "both values are plain");
}

// The tables of the micro-kernels hold ints.
static bool fits_tables(const Node *node) {
  const int64_t most = (int64_t)1 << 30;
  bool fits = layout_elements(node->shape, node->layout) <= most * node->shape.dim[0];
  for (int k = 0; k < node->n_in; k++) {
    const Node *in = node->in[k];
    fits &= layout_elements(in->shape, in->layout) <= most * (in->shape.dim[0] ? in->shape.dim[0] : 1);
  }
  return fits;
}

bool contract_match_node(const Target *target, const Node *node, ContractForm *form, Text *why) {
  if (shape_elements(node->shape) == 0 || shape_elements(node->in[0]->shape) == 0)
    return group_refuse(why, "an empty value");
  if (!fits_tables(node)) return group_refuse(why, "values of more than 2^30 elements an image");
  switch (node->op) {
  case OP_matmul:
    *form = CONTRACT_MATMUL;
    return (is_plain(node) && is_plain(node->in[0]) && is_plain(node->in[1])) ||
           group_refuse(why, "matrices are not plain");
  case OP_conv2d: return match_conv2d(target, node, form, why);
  case OP_conv2d_winograd: return match_winograd(target, node, form, why);
  case OP_conv2d_dw_winograd: return match_dw_winograd(target, node, form, why);
  case OP_conv2d_dx: return match_dx(target, node, form, why);
  case OP_conv2d_dw: return match_weight_gradient(target, node, form, why);
  default: return group_refuse(why, "no micro-kernel for %s", op_info(node->op)->name);
  }
}
