// Reference evaluators of reductions and softmax.
#include <math.h>

#include "compiler/ops/rules.h"
#include "compiler/ops/walk.h"

// For each element of x: where it goes in the reduced array. Strides are 0 along reduced axes.
static void reduced_strides(const Node *node, int64_t stride[MAX_RANK]) {
  Shape kept = node->in[0]->shape, axes = node_attr(node, "axes").ints;
  for (int i = 0; i < axes.rank; i++) kept.dim[axes.dim[i]] = 1;
  walk_broadcast(kept, node->in[0]->shape, stride);
}

static void sum_into(const Node *node, const float *x, double *acc) {
  int64_t stride[1][MAX_RANK] = {{0}}, index[MAX_RANK] = {0}, offset = 0;
  reduced_strides(node, stride[0]);
  do {
    acc[offset] += *x++;
  } while (walk_next(node->in[0]->shape, index, 1, stride, &offset));
}

static void reduce_sum(const RefArgs *args) {
  int64_t n = shape_elements(args->node->shape);
  Arena *scratch = arena_new();
  double *acc = ARENA_ARRAY(scratch, double, n);
  sum_into(args->node, args->in[0], acc);
  for (int64_t i = 0; i < n; i++) args->out[i] = (float)acc[i];
  arena_free(scratch);
}

static void reduce_max(const RefArgs *args) {
  const Node *node = args->node;
  for (int64_t i = 0, n = shape_elements(node->shape); i < n; i++) args->out[i] = -INFINITY;
  int64_t stride[1][MAX_RANK] = {{0}}, index[MAX_RANK] = {0}, offset = 0;
  reduced_strides(node, stride[0]);
  const float *x = args->in[0];
  do {
    if (*x > args->out[offset] || isnan(*x)) args->out[offset] = *x;
    x++;
  } while (walk_next(node->in[0]->shape, index, 1, stride, &offset));
}

void ref_reduce(const RefArgs *args) {
  if (args->node->op == OP_max) {
    reduce_max(args);
  } else {
    reduce_sum(args);
  }
}

void ref_variance(const RefArgs *args) {
  const Node *node = args->node;
  int64_t n = shape_elements(node->shape), n_each = shape_elements(node->in[0]->shape) / n;
  Arena *scratch = arena_new();
  double *mean = ARENA_ARRAY(scratch, double, n), *acc = ARENA_ARRAY(scratch, double, n);
  sum_into(node, args->in[0], mean);
  for (int64_t i = 0; i < n; i++) mean[i] /= (double)n_each;
  int64_t stride[1][MAX_RANK] = {{0}}, index[MAX_RANK] = {0}, offset = 0;
  reduced_strides(node, stride[0]);
  const float *x = args->in[0];
  do {
    double d = *x++ - mean[offset];
    acc[offset] += d * d;
  } while (walk_next(node->in[0]->shape, index, 1, stride, &offset));
  for (int64_t i = 0; i < n; i++) args->out[i] = (float)(acc[i] / (double)n_each);
  arena_free(scratch);
}

void ref_cumsum(const RefArgs *args) {
  const Node *node = args->node;
  AxisSplit split = walk_split(node->shape, node_attr(node, "axis").i);
  bool is_reverse = node_attr(node, "reverse").i;
  for (int64_t o = 0; o < split.outer; o++) {
    for (int64_t k = 0; k < split.inner; k++) {
      double acc = 0;
      for (int64_t j = 0; j < split.n; j++) {
        int64_t i = is_reverse ? split.n - 1 - j : j;
        int64_t at = (o * split.n + i) * split.inner + k;
        acc += args->in[0][at];
        args->out[at] = (float)acc;
      }
    }
  }
}

void ref_softmax(const RefArgs *args) {
  const Node *node = args->node;
  AxisSplit split = walk_split(node->shape, node_attr(node, "axis").i);
  for (int64_t o = 0; o < split.outer; o++) {
    for (int64_t k = 0; k < split.inner; k++) {
      const float *x = args->in[0] + o * split.n * split.inner + k;
      float *out = args->out + o * split.n * split.inner + k;
      double largest = -INFINITY, sum = 0;
      for (int64_t i = 0; i < split.n; i++) largest = fmax(largest, x[i * split.inner]);
      for (int64_t i = 0; i < split.n; i++) sum += exp(x[i * split.inner] - largest);
      for (int64_t i = 0; i < split.n; i++) out[i * split.inner] = (float)(exp(x[i * split.inner] - largest) / sum);
    }
  }
}
