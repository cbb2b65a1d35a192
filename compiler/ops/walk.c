// Walk: walks of reference evaluators: strides and strided copies.
#include "compiler/ops/walk.h"

#include <string.h>

void walk_strides(Shape shape, int64_t stride[MAX_RANK]) {
  int64_t step = 1;
  for (int i = shape.rank - 1; i >= 0; i--) {
    stride[i] = step;
    step *= shape.dim[i];
  }
}

void walk_broadcast(Shape from, Shape to, int64_t stride[MAX_RANK]) {
  int64_t own[MAX_RANK] = {0};
  walk_strides(from, own);
  int extra = to.rank - from.rank;
  for (int i = 0; i < to.rank; i++) {
    stride[i] = i < extra || from.dim[i - extra] == 1 ? 0 : own[i - extra];
  }
}

bool walk_next(Shape shape, int64_t index[MAX_RANK], int n, const int64_t stride[][MAX_RANK], int64_t *offset) {
  for (int i = shape.rank - 1; i >= 0; i--) {
    index[i]++;
    for (int k = 0; k < n; k++) offset[k] += stride[k][i];
    if (index[i] < shape.dim[i]) return true;
    for (int k = 0; k < n; k++) offset[k] -= stride[k][i] * shape.dim[i];
    index[i] = 0;
  }
  return false;
}

void walk_copy(Shape shape, const float *src, const int64_t *src_stride, float *dst, const int64_t *dst_stride) {
  int64_t stride[2][MAX_RANK] = {{0}}, index[MAX_RANK] = {0}, offset[2] = {0};
  memcpy(stride[0], src_stride, sizeof(int64_t) * (size_t)shape.rank);
  memcpy(stride[1], dst_stride, sizeof(int64_t) * (size_t)shape.rank);
  do {
    dst[offset[1]] = src[offset[0]];
  } while (walk_next(shape, index, 2, stride, offset));
}

AxisSplit walk_split(Shape shape, int64_t axis) {
  AxisSplit split = {.outer = 1, .n = shape.dim[axis], .inner = 1};
  for (int i = 0; i < axis; i++) split.outer *= shape.dim[i];
  for (int i = (int)axis + 1; i < shape.rank; i++) split.inner *= shape.dim[i];
  return split;
}
