// Contract match: recognises what a group around a contraction computes.
#include "compiler/kernel/cpu/contract_match.h"

#include <inttypes.h>

#include "compiler/kernel/cpu/micro.h"
#include "compiler/kernel/group.h"
#include "compiler/kernel/lower.h"
#include "compiler/kernel/tuning.h"
#include "compiler/ops/build.h"

static bool is_plain(const Node *node) { return !node->layout || node->layout->kind == LAYOUT_PLAIN; }

static bool holds(Node *const *nodes, int n, const Node *node) {
  for (int i = 0; i < n; i++) {
    if (nodes[i] == node) return true;
  }
  return false;
}

static bool is_contraction(const Node *node) { return op_info(node->op)->cls == CLASS_CONTRACT; }

// The only member that uses `value`, if there is exactly one and the value is needed nowhere else.
static const Node *only_user(const Group *group, const Node *value) {
  if (holds(group->outs, group->n_outs, value)) return NULL;
  const Node *user = NULL;
  for (int i = 0; i < group->n_nodes; i++) {
    for (int k = 0; k < group->nodes[i]->n_in; k++) {
      if (group->nodes[i]->in[k] != value) continue;
      if (user) return NULL;
      user = group->nodes[i];
    }
  }
  return user;
}

// One value for each channel of `node`, in memory and in an order the micro-kernels can read.
static bool is_bias(const Group *group, const Node *node, const Node *operand) {
  Shape s = operand->shape;
  int extra = 4 - s.rank;
  if (extra < 0 || s.rank < 3 || !holds(group->ins, group->n_ins, operand)) return false;
  if (extra == 0 && s.dim[0] != 1) return false;
  if (s.dim[1 - extra] != node->shape.dim[1] || s.dim[2 - extra] != 1 || s.dim[3 - extra] != 1) return false;
  if (is_plain(operand)) return true;
  return node_is_blocked(operand) && node_is_blocked(node) && channels_equal(operand->layout, node->layout);
}

static bool is_residual(const Group *group, const Node *node, const Node *operand) {
  return holds(group->ins, group->n_ins, operand) && shape_equal(operand->shape, node->shape) &&
         node_is_blocked(node) && layout_equal(operand->layout, node->layout);
}

// Takes the node into the stage, or returns false.
static bool absorb(ContractStage *stage, const Group *group, const Node *node) {
  bool is_done = stage->residual && stage->add_after;
  if (is_done || !shape_equal(node->shape, stage->node->shape) || !layout_equal(node->layout, stage->node->layout))
    return false;
  if (node->op == OP_relu || node->op == OP_leaky_relu) {
    if (stage->act != MICRO_LINEAR) return false;
    stage->act = node->op == OP_relu ? MICRO_RELU : MICRO_LEAKY;
    stage->slope = node->op == OP_relu ? 0 : node_attr(node, "slope").f;
    return true;
  }
  if (node->op != OP_add || node->in[0] == node->in[1]) return false;
  const Node *other = node->in[node->in[0] == stage->top];
  if (!stage->bias && stage->act == MICRO_LINEAR && is_bias(group, stage->node, other)) {
    stage->bias = other;
    return true;
  }
  if (stage->residual || !is_residual(group, stage->node, other)) return false;
  stage->residual = other;
  stage->add_after = stage->act != MICRO_LINEAR;
  return true;
}

static void match_stage(const Group *group, const Node *node, bool can_add, ContractStage *out) {
  *out = (ContractStage){.node = node, .top = node};
  for (;;) {
    const Node *user = only_user(group, out->top);
    if (!user) return;
    ContractStage before = *out;
    if (!absorb(out, group, user) || (out->residual && !can_add)) {
      *out = before;
      return;
    }
    out->top = user;
  }
}

// ---- groups --------------------------------------------------------------------------------------------------------

// The last contraction of the group; the others must be found by match_lead.
static const Node *find_core(const Group *group, int *out_n) {
  const Node *core = NULL;
  *out_n = 0;
  for (int i = 0; i < group->n_nodes; i++) {
    if (!is_contraction(group->nodes[i])) continue;
    core = group->nodes[i];
    ++*out_n;
  }
  return core;
}

// Nodes that the stage computes.
static int stage_size(const ContractStage *stage) {
  return 1 + (stage->bias != NULL) + (stage->residual != NULL) + (stage->act != MICRO_LINEAR);
}

// The values that the convolution's operand is made of. Sets *out_n to the number of members that make it.
static bool match_front(const Group *group, const Node *conv, Front *out, int *out_n, Text *why) {
  const Node *x = conv->in[0];
  *out_n = 0;
  if (holds(group->ins, group->n_ins, x)) return true;
  if (only_user(group, x) != conv) return group_refuse(why, "the convolution's input goes elsewhere too");
  if (conv->op == OP_conv2d_winograd && (x->op != OP_resize || node_attr(conv, "dilation").i != 1))
    return group_refuse(why, "tiles read a stored or a resized value");
  bool is_concat = x->op == OP_concat && node_attr(x, "axis").i == 1;
  int n_parts = is_concat ? x->n_in : 1, segment = 0;
  if (n_parts > FRONT_PARTS) return group_refuse(why, "too many parts");
  *out_n = is_concat;
  int64_t first = 0;
  for (int k = 0; k < n_parts; k++) {
    const Node *part = is_concat ? x->in[k] : x;
    FrontPart *to = &out->part[out->n++];
    *to = (FrontPart){.source = part, .first = first};
    if (!node_is_blocked(part) || part->layout->block != x->layout->block) return group_refuse(why, "a plain part");
    for (int i = 0; i < part->layout->c.n; i++, segment++) {
      if (segment >= x->layout->c.n || x->layout->c.segment[segment] != part->layout->c.segment[i])
        return group_refuse(why, "parts are cut differently");
    }
    first += to->blocks = channel_blocks(part->layout);
    if (part->op == OP_resize && holds(group->nodes, group->n_nodes, part)) {
      if (only_user(group, part) != (is_concat ? x : conv))
        return group_refuse(why, "a resized value goes elsewhere too");
      to->resize = part;
      to->source = part->in[0];
      if (part->shape.dim[2] < part->in[0]->shape.dim[2])
        return group_refuse(why, "the resize makes the picture smaller");
      // Tiles blend columns on the stack, where there is room for as many as they have.
      if (conv->op == OP_conv2d_winograd && part->shape.dim[3] < part->in[0]->shape.dim[3])
        return group_refuse(why, "the resize makes the picture narrower");
      ++*out_n;
    }
    if (!holds(group->ins, group->n_ins, to->source)) return group_refuse(why, "a part is computed inside");
    if (!layout_equal(to->source->layout, part->layout)) return group_refuse(why, "a part is stored otherwise");
  }
  return segment == x->layout->c.n || group_refuse(why, "parts are cut differently");
}

// Whether the value between, of `size` bytes an image, had better not go through memory.
static bool pays_to_join(const Target *target, const Node *depthwise, const Node *pointwise, int64_t size) {
  const int64_t *y = depthwise->shape.dim, *w = depthwise->in[1]->shape.dim;
  return tuning_layer(target, "joined", size > target->l2, 0, 1,
                      "depthwise_pointwise:%" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64 "->%" PRId64 ",kernel=%" PRId64
                      ",stride=%" PRId64,
                      y[0], y[1], y[2], y[3], pointwise->shape.dim[1], w[2], node_attr(depthwise, "stride").i);
}

// A depthwise convolution in front of a pointwise one.
static bool match_lead(const Target *target, const Group *group, Contract *out, Text *why) {
  if (out->form != CONTRACT_POINTWISE) return group_refuse(why, "only pointwise convolutions take a producer in");
  for (int i = 0; i < group->n_nodes; i++) {
    const Node *node = group->nodes[i];
    if (!is_contraction(node) || node == out->core.node) continue;
    ContractForm form;
    if (!contract_match_node(target, node, &form, why)) return false;
    if (form != CONTRACT_DEPTHWISE) return group_refuse(why, "two convolutions of which the first is not depthwise");
    match_stage(group, node, false, &out->lead);
    if (out->lead.top != out->core.node->in[0] || only_user(group, out->lead.top) != out->core.node)
      return group_refuse(why, "the depthwise result goes elsewhere too");
    if (!holds(group->ins, group->n_ins, node->in[1]))
      return group_refuse(why, "the depthwise weight is computed inside");
    // Fusing saves a way through memory only where the value between does not stay in the cache.
    int64_t size = 4 * shape_elements(node->shape) / node->shape.dim[0];
    if (!pays_to_join(target, node, out->core.node, size))
      return group_refuse(why, "the value between fits the cache (%lld KB)", (long long)(size >> 10));
  }
  return out->has_lead = true;
}

// Whether an operand of `size` bytes an image that is made element by element had better not go through memory.
static bool pays_to_make(const Target *target, const Node *pointwise, int64_t size) {
  const int64_t *x = pointwise->in[0]->shape.dim;
  return tuning_layer(target, "made", size > target->l2 / 2, 0, 1,
                      "pointwise:%" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64 "->%" PRId64, x[0], x[1], x[2], x[3],
                      pointwise->shape.dim[1]);
}

// The operand of a pointwise convolution, made of what is stored. Sets *out_n to the number of members that make it.
static bool match_made(const Group *group, Contract *out, int *out_n, Text *why) {
  const Node *conv = out->core.node, *x = conv->in[0];
  if (out->form != CONTRACT_POINTWISE) return group_refuse(why, "the input is computed inside");
  if (only_user(group, x) != conv) return group_refuse(why, "the convolution's input goes elsewhere too");
  if (!lower_can_lanes(group, x, x->layout, 0, NULL, false, why)) return false;
  int64_t size = 4 * shape_elements(x->shape) / x->shape.dim[0];
  if (!pays_to_make(out->target, conv, size))
    return group_refuse(why, "the value between fits the cache (%lld KB)", (long long)(size >> 10));
  Arena *arena = arena_new();
  const Node **behind = ARENA_ARRAY(arena, const Node *, group->n_nodes);
  int n = 0;
  behind[n++] = x;
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < behind[i]->n_in; k++) {
      const Node *in = behind[i]->in[k];
      if (holds(group->nodes, group->n_nodes, in) && !holds((Node *const *)behind, n, in)) behind[n++] = in;
    }
  }
  arena_free(arena);
  *out_n = n;
  out->made = x;
  return true;
}

static bool reduces_channels(const Node *node) {
  Shape axes = node_attr(node, "axes").ints;
  return axes.rank == 1 && axes.dim[0] == 1 && node_attr(node, "keep").i;
}

// Whether the node is made of the channels of its own pixel in `top`.
static bool is_of_pixels(const Group *group, const Node *node, const Node *top) {
  if (node == top || !holds(group->nodes, group->n_nodes, node)) return true;
  OpClass cls = op_info(node->op)->cls;
  if (cls != CLASS_ELEMENTWISE && (cls != CLASS_REDUCE || !reduces_channels(node))) return false;
  for (int k = 0; k < node->n_in; k++) {
    if (!is_of_pixels(group, node->in[k], top)) return false;
  }
  return true;
}

// Reductions over the channels of each pixel, and what is computed of them.
static bool match_pixels(const Group *group, Contract *out, Text *why) {
  const Node *top = out->core.top;
  Shape pixels = top->shape;
  if (out->form != CONTRACT_POINTWISE || !node_is_blocked(top))
    return group_refuse(why, "only the channels of a pointwise convolution are reduced with it");
  pixels.dim[1] = 1;
  for (int i = 0; i < group->n_outs; i++) {
    const Node *node = group->outs[i];
    if (!shape_equal(node->shape, pixels) || node_is_blocked(node)) return group_refuse(why, "results of other shapes");
    if (!is_of_pixels(group, node, top)) return group_refuse(why, "a reduction over more than the channels");
  }
  return out->has_pixels = true;
}

static bool has_reduction(const Group *group) {
  for (int i = 0; i < group->n_nodes; i++) {
    if (op_info(group->nodes[i]->op)->cls == CLASS_REDUCE) return true;
  }
  return false;
}

static bool match_rest(const Group *group, int n_front, Contract *out, Text *why) {
  const Node *top = out->core.top;
  int n_stages = stage_size(&out->core) + (out->has_lead ? stage_size(&out->lead) : 0) + n_front;
  bool has_rows = false;
  for (int i = 0; i < group->n_nodes; i++) has_rows |= node_reduces_rows(group->nodes[i]);
  if (has_reduction(group) && !has_rows) return match_pixels(group, out, why);
  if (!rows_match(group, top, &out->rows, why)) return false;
  out->result = out->rows.picture[0];
  for (int i = 0; i < out->rows.n_pictures; i++) {
    if (out->rows.picture[i] == top) out->result = top;
  }
  out->has_rest = group->n_nodes > n_stages;
  if (!out->has_rest) return true;
  if (!node_is_blocked(top)) return group_refuse(why, "nothing is computed on a plain result");
  if (out->form == CONTRACT_WINOGRAD && node_attr(out->core.node, "dilation").i != 1)
    return group_refuse(why, "tiles of a dilated convolution are no rows");
  return rows_can_put(group, &out->rows, top, why);
}

bool contract_match(const Target *target, const Group *group, Contract *out, Text *why) {
  *out = (Contract){.target = target, .group = group};
  if (target->kind != TARGET_CPU) return group_refuse(why, "not a target with micro-kernels");
  int n;
  const Node *core = find_core(group, &n);
  if (!core) return group_refuse(why, "no contraction");
  if (n > 2) return group_refuse(why, "more than two contractions");
  if (!contract_match_node(target, core, &out->form, why)) return false;
  if (!holds(group->ins, group->n_ins, core->in[1])) return group_refuse(why, "an operand is computed inside");
  bool is_forward = core->op == OP_conv2d || core->op == OP_conv2d_winograd;
  if (!is_forward && out->form != CONTRACT_DX && group->n_nodes > 1)
    return group_refuse(why, "gradients by weights, and those that are not depthwise, stay alone");
  const Layout *weight = core->in[1]->layout;
  bool can_add = out->form != CONTRACT_DEPTHWISE && !(weight && weight->kind == LAYOUT_WEIGHT_STRASSEN);
  if (is_forward) match_stage(group, core, can_add, &out->core);
  else out->core = (ContractStage){.node = core, .top = core};
  if (n == 2 && !match_lead(target, group, out, why)) return false;
  int n_front = 0;
  bool has_front = out->has_lead || out->form == CONTRACT_DEPTHWISE || out->form == CONTRACT_WINOGRAD;
  const Node *first = out->has_lead ? out->lead.node : core;
  if (has_front && !match_front(group, first, &out->front, &n_front, why)) return false;
  if (!has_front && !holds(group->ins, group->n_ins, core->in[0]) && !match_made(group, out, &n_front, why))
    return false;
  return match_rest(group, n_front, out, why);
}
