// Walk: walks of reference evaluators: strides and strided copies of row-major arrays. Private to compiler/ops/.
#ifndef SG_OPS_WALK_H
#define SG_OPS_WALK_H

#include "runtime/tensor.h"

// Row-major strides of a shape, in elements.
void walk_strides(Shape shape, int64_t stride[MAX_RANK]);

// Strides that read an array of shape `from` along the axes of `to`: 0 where broadcasting repeats.
void walk_broadcast(Shape from, Shape to, int64_t stride[MAX_RANK]);

// Moves to the next index of `shape` in row-major order and keeps n offsets in step. False after the last.
bool walk_next(Shape shape, int64_t index[MAX_RANK], int n, const int64_t stride[][MAX_RANK], int64_t *offset);

// dst[index . dst_stride] = src[index . src_stride] for every index of `shape`.
void walk_copy(Shape shape, const float *src, const int64_t *src_stride, float *dst, const int64_t *dst_stride);

// An axis seen as [outer][n][inner].
typedef struct AxisSplit {
  int64_t outer, n, inner;
} AxisSplit;
AxisSplit walk_split(Shape shape, int64_t axis);

#endif
