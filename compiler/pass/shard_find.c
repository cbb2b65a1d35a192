// Shard, first part: what each value is on one device.
//
// Kinds flow forward from the inputs. Sums stay parts of sums through everything linear, so that what is added up or
// scaled before it is used goes over the network once; where a user needs the whole, the node is marked as reduced and
// the kinds behind it are found again, until nothing changes.
#include <stdio.h>

#include "compiler/pass/rewrite.h"
#include "compiler/pass/shard.h"

typedef struct Finder {
  Sharder *sharder;
  bool changed, failed;
} Finder;

static const ShardValue whole = {.kind = SHARD_WHOLE}, part_of_sum = {.kind = SHARD_SUM};

static ShardValue split_at(int axis, int64_t inner) {
  return (ShardValue){.kind = SHARD_SPLIT, .axis = axis, .inner = inner};
}

static ShardValue *value_of(Finder *finder, const Node *node) { return &finder->sharder->value[node->id]; }
static ShardKind seen(Finder *finder, const Node *node) { return shard_seen(finder->sharder, node); }

// Its users need the whole of a part of a sum.
static void reduce(Finder *finder, const Node *node) {
  ShardValue *value = value_of(finder, node);
  if (value->is_reduced || (value->kind != SHARD_SUM && value->kind != SHARD_MAX)) return;
  value->is_reduced = finder->changed = true;
}

static ShardValue reduce_all(Finder *finder, const Node *node) {
  for (int k = 0; k < node->n_in; k++) reduce(finder, node->in[k]);
  return whole;
}

static ShardValue fail(Finder *finder, const Node *node, const char *why) {
  Diag *diag = finder->sharder->diag;
  if (!finder->failed) {
    diag_error(diag, node->loc, "%s cannot be shared out among devices: %s", op_info(node->op)->name, why);
    diag_hint(diag, "every sample must be computed by itself, up to sums and maxima over the batch; "
                    "train on one device, or write it so that the batch stays the outermost axis");
  }
  finder->failed = true;
  return whole;
}

static bool is_split(Finder *finder, const Node *node) { return seen(finder, node) == SHARD_SPLIT; }
static bool is_sum(Finder *finder, const Node *node) { return seen(finder, node) == SHARD_SUM; }

// A part of a sum, or zero, which is one too.
static bool is_sum_or_zero(Finder *finder, const Node *node) { return is_sum(finder, node) || is_fill_of(node, 0); }

static bool any_split(Finder *finder, const Node *node) {
  bool any = false;
  for (int k = 0; k < node->n_in; k++) any |= is_split(finder, node->in[k]);
  return any;
}

static bool any_sum(Finder *finder, const Node *node) {
  bool any = false;
  for (int k = 0; k < node->n_in; k++) any |= is_sum(finder, node->in[k]);
  return any;
}

// ---- by op ----------------------------------------------------------------------------------------------------------

// Operands whose axes are aligned at the right, as broadcasting does, are split along the same one.
static ShardValue aligned(Finder *finder, const Node *node) {
  ShardValue result = whole;
  for (int k = 0; k < node->n_in; k++) {
    const Node *in = node->in[k];
    reduce(finder, in);
    if (!is_split(finder, in)) continue;
    const ShardValue *value = value_of(finder, in);
    int axis = value->axis + node->shape.rank - in->shape.rank;
    if (result.kind == SHARD_SPLIT && (result.axis != axis || result.inner != value->inner))
      return fail(finder, node, "its operands are split along different axes");
    result = split_at(axis, value->inner);
  }
  return result;
}

static int level_of(Finder *finder, const Node *node) {
  int level = 0;
  for (int k = 0; k < node->n_in; k++) {
    const ShardValue *value = value_of(finder, node->in[k]);
    if (value->level + value->is_reduced > level) level = value->level + value->is_reduced;
  }
  return level;
}

// Whether an element-wise op of parts of sums is one itself: linear in them, no larger, and nothing that would have to
// wait for another all-reduce first, beside which the sums could have gone.
static bool is_linear(Finder *finder, const Node *node) {
  int64_t n = shape_elements(node->shape);
  int level = level_of(finder, node);
  for (int k = 0; k < node->n_in; k++) {
    if (!is_sum(finder, node->in[k])) continue;
    if (shape_elements(node->in[k]->shape) < n || value_of(finder, node->in[k])->level < level) return false;
  }
  bool first = is_sum(finder, node->in[0]);
  switch (node->op) {
  case OP_neg: return true;
  case OP_add:
  case OP_sub: return is_sum_or_zero(finder, node->in[0]) && is_sum_or_zero(finder, node->in[1]);
  case OP_mul: return first != is_sum(finder, node->in[1]);
  case OP_div: return first && !is_sum(finder, node->in[1]);
  case OP_select: return !first && is_sum_or_zero(finder, node->in[1]) && is_sum_or_zero(finder, node->in[2]);
  default: return false;
  }
}

static ShardValue find_elementwise(Finder *finder, const Node *node) {
  if (!any_split(finder, node) && any_sum(finder, node) && is_linear(finder, node)) return part_of_sum;
  return aligned(finder, node);
}

static bool has_axis(Shape axes, int axis) {
  for (int i = 0; i < axes.rank; i++) {
    if (axes.dim[i] == axis) return true;
  }
  return false;
}

static ShardValue find_reduction(Finder *finder, const Node *node) {
  const Node *x = node->in[0];
  if (is_sum(finder, x) && node->op == OP_sum) return part_of_sum;
  if (!is_split(finder, x)) return reduce_all(finder, node);
  const ShardValue *value = value_of(finder, x);
  Shape axes = node_attr(node, "axes").ints;
  if (has_axis(axes, value->axis)) {
    if (node->op == OP_variance) return fail(finder, node, "the pass 'expand' has to run before");
    return (ShardValue){.kind = node->op == OP_sum ? SHARD_SUM : SHARD_MAX, .is_reduced = node->op == OP_max};
  }
  int axis = value->axis;
  for (int i = 0; i < axes.rank && !node_attr(node, "keep").i; i++) axis -= axes.dim[i] < value->axis;
  return split_at(axis, value->inner);
}

// Ops that work along one axis and leave the others alone.
static ShardValue find_along(Finder *finder, const Node *node) {
  int axis = (int)node_attr(node, "axis").i;
  if (any_split(finder, node)) {
    ShardValue result = aligned(finder, node);
    return result.kind == SHARD_SPLIT && result.axis == axis ? fail(finder, node, "it works along the batch") : result;
  }
  bool is_all = node->op != OP_softmax;
  for (int k = 0; k < node->n_in; k++) is_all &= is_sum_or_zero(finder, node->in[k]);
  return is_all && any_sum(finder, node) ? part_of_sum : reduce_all(finder, node);
}

static ShardValue find_pad(Finder *finder, const Node *node) {
  const Node *x = node->in[0];
  if (is_sum(finder, x) && node_attr(node, "value").f == 0) return part_of_sum;
  if (!is_split(finder, x)) return reduce_all(finder, node);
  int axis = value_of(finder, x)->axis;
  if (node_attr(node, "before").ints.dim[axis] || node_attr(node, "after").ints.dim[axis])
    return fail(finder, node, "it pads the batch");
  return *value_of(finder, x);
}

bool shard_reshaped_axis(int64_t batch, Shape from, int axis, Shape to, int *out_axis, int64_t *out_inner) {
  int64_t outer = 1, in_front = 1;
  for (int i = 0; i < axis; i++) outer *= from.dim[i];
  for (int i = 0; i < to.rank && in_front <= outer; i++) {
    if (in_front == outer && to.dim[i] % batch == 0) {
      *out_axis = i;
      *out_inner = to.dim[i] / batch;
      return true;
    }
    in_front *= to.dim[i];
  }
  return false;
}

static ShardValue find_reshape(Finder *finder, const Node *node) {
  const Node *x = node->in[0];
  if (is_sum(finder, x)) return part_of_sum;
  if (!is_split(finder, x)) return whole;
  ShardValue value = {.kind = SHARD_SPLIT};
  if (shard_reshaped_axis(finder->sharder->shard->batch, x->shape, value_of(finder, x)->axis, node->shape, &value.axis,
                          &value.inner))
    return value;
  char a[SHAPE_TEXT], b[SHAPE_TEXT], why[2 * SHAPE_TEXT + 80];
  snprintf(why, sizeof why, "from %s to %s, samples no longer stand one after the other", shape_text(x->shape, a),
           shape_text(node->shape, b));
  return fail(finder, node, why);
}

static ShardValue find_transpose(Finder *finder, const Node *node) {
  const Node *x = node->in[0];
  if (is_sum(finder, x)) return part_of_sum;
  if (!is_split(finder, x)) return whole;
  Shape perm = node_attr(node, "perm").ints;
  int axis = 0;
  while (perm.dim[axis] != value_of(finder, x)->axis) axis++;
  return split_at(axis, value_of(finder, x)->inner);
}

static ShardValue find_broadcast(Finder *finder, const Node *node) {
  const Node *x = node->in[0];
  if (is_sum(finder, x) && shape_elements(x->shape) == shape_elements(node->shape)) return part_of_sum;
  if (!is_split(finder, x)) return reduce_all(finder, node);
  return split_at(value_of(finder, x)->axis + node->shape.rank - x->shape.rank, value_of(finder, x)->inner);
}

// a [.., rows, inner] or its transpose, b [.., inner, columns] likewise.
static ShardValue find_matmul(Finder *finder, const Node *node) {
  int rank = node->shape.rank;
  bool is_inner = false;
  ShardValue result = whole;
  reduce_all(finder, node);
  for (int k = 0; k < 2; k++) {
    const Node *in = node->in[k];
    if (!is_split(finder, in)) continue;
    const ShardValue *value = value_of(finder, in);
    bool is_turned = node_attr(node, k ? "transpose_b" : "transpose_a").i;
    int from_end = in->shape.rank - value->axis; // 2: rows of the operand as it is stored, 1: columns
    bool is_last = from_end <= 2 && (from_end == 1) != is_turned;
    ShardValue own = split_at(rank - (from_end > 2 ? from_end : k ? 1 : 2), value->inner);
    if (from_end <= 2 && is_last == (k == 0)) own = part_of_sum;
    is_inner |= own.kind == SHARD_SUM;
    if (own.kind == SHARD_SUM) own.inner = value->inner;
    if (result.kind != SHARD_WHOLE && (own.kind != result.kind || own.axis != result.axis || own.inner != result.inner))
      return fail(finder, node, "its operands are split along different axes");
    result = own;
  }
  return is_inner ? part_of_sum : result;
}

static ShardValue find_conv(Finder *finder, const Node *node) {
  reduce_all(finder, node);
  if (!any_split(finder, node)) return whole;
  for (int k = 0; k < 2; k++) {
    const Node *in = node->in[k];
    bool has_pictures = k == 0 || node->op == OP_conv2d_dw;
    if (is_split(finder, in) && (!has_pictures || value_of(finder, in)->axis != 0 || value_of(finder, in)->inner != 1))
      return fail(finder, node, "it is split along another axis than that of the pictures");
  }
  return node->op == OP_conv2d_dw ? part_of_sum : split_at(0, 1);
}

static ShardValue find_resize(Finder *finder, const Node *node) {
  const Node *x = node->in[0];
  reduce(finder, x);
  if (!is_split(finder, x)) return whole;
  return value_of(finder, x)->axis < 2 ? *value_of(finder, x) : fail(finder, node, "it works along the batch");
}

static ShardValue find_rows(Finder *finder, const Node *node) {
  reduce_all(finder, node);
  if (!any_split(finder, node)) return whole;
  ShardValue result = whole;
  for (int k = 0; k < node->n_in; k++) {
    if (!is_split(finder, node->in[k])) continue;
    const ShardValue *value = value_of(finder, node->in[k]);
    if (value->axis != 0 || (result.kind == SHARD_SPLIT && result.inner != value->inner))
      return fail(finder, node, "its rows are not those of samples");
    result = *value;
  }
  return result;
}

static ShardValue find_input(Finder *finder, const Node *node) {
  bool is_batch = node->shape.rank >= 2 && node->shape.dim[0] == finder->sharder->shard->batch;
  return is_batch ? split_at(0, 1) : whole;
}

static ShardValue find_node(Finder *finder, const Node *node) {
  switch (op_info(node->op)->cls) {
  case CLASS_LEAF: return node->op == OP_input ? find_input(finder, node) : whole;
  case CLASS_ELEMENTWISE: return find_elementwise(finder, node);
  case CLASS_SPATIAL: return find_resize(finder, node);
  default: break;
  }
  switch (node->op) {
  case OP_sum:
  case OP_max:
  case OP_variance: return find_reduction(finder, node);
  case OP_softmax:
  case OP_cumsum:
  case OP_concat:
  case OP_slice:
  case OP_flip: return find_along(finder, node);
  case OP_pad: return find_pad(finder, node);
  case OP_reshape: return find_reshape(finder, node);
  case OP_transpose: return find_transpose(finder, node);
  case OP_broadcast: return find_broadcast(finder, node);
  case OP_matmul: return find_matmul(finder, node);
  case OP_conv2d:
  case OP_conv2d_dx:
  case OP_conv2d_dw: return find_conv(finder, node);
  case OP_nearest:
  case OP_gather:
  case OP_scatter_add: return find_rows(finder, node);
  case OP_random: return any_split(finder, node) ? fail(finder, node, "its key is split") : reduce_all(finder, node);
  default: return any_split(finder, node) ? fail(finder, node, "no rule for it is known") : reduce_all(finder, node);
  }
}

static void find_results(Finder *finder) {
  const Graph *graph = finder->sharder->graph;
  for (int i = 0; i < graph->n_outputs; i++) reduce(finder, graph->outputs[i].node);
  for (int i = 0; i < graph->n_updates; i++) {
    const GraphUpdate *update = &graph->updates[i];
    reduce(finder, update->value);
    if (is_split(finder, update->value) && !finder->failed) {
      diag_error(finder->sharder->diag, update->value->loc, "the new value of '%s' has a part for each sample",
                 update->leaf->name);
      diag_hint(finder->sharder->diag, "every device keeps the whole of it; sum it over the batch");
      finder->failed = true;
    }
  }
}

bool shard_find(Sharder *sharder) {
  Finder finder = {.sharder = sharder, .changed = true};
  while (finder.changed && !finder.failed) {
    finder.changed = false;
    for (int i = 0; i < sharder->n && !finder.failed; i++) {
      ShardValue value = find_node(&finder, sharder->graph->nodes[i]);
      value.level = level_of(&finder, sharder->graph->nodes[i]);
      value.is_reduced |= sharder->value[i].is_reduced && (value.kind == SHARD_SUM || value.kind == SHARD_MAX);
      sharder->value[i] = value;
    }
    if (!finder.failed) find_results(&finder);
  }
  return !finder.failed;
}
