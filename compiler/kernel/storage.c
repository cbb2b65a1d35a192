// Storage: where the elements of values stand when they are kept inside another value's buffer.
#include "compiler/kernel/group.h"
#include "compiler/kernel/kernel.h"

const Node *storage_root(const Node *node) {
  while (node->into) node = node->into;
  return node;
}

// Floats between neighbours along axis 1 in units of into_offset: a block of channels, or one element.
static int64_t offset_unit(const Node *node) {
  if (!node_is_blocked(node->into)) return 1;
  return node->into->shape.dim[2] * node->into->shape.dim[3] * node->into->layout->block;
}

int64_t storage_offset(const Node *node) {
  int64_t offset = 0;
  for (; node->into; node = node->into) offset += node->into_offset * offset_unit(node);
  return offset;
}

// Floats from image to image if the value has a buffer of its own.
static int64_t own_stride(const Node *node) {
  if (node->shape.rank == 0) return 1;
  int64_t images = node->shape.dim[0];
  return layout_elements(node->shape, node->layout) / (images ? images : 1);
}

// Whether the value's images are as far apart as those of the value that it stands in: channels of the same pictures.
// Any other view is contiguous.
static bool shares_images(const Node *node) {
  const Node *into = node->into;
  if (node_is_blocked(node) || node_is_blocked(into)) return node_is_blocked(node) && node_is_blocked(into);
  if (node_is_view(node)) return node->op == OP_slice && node_attr(node, "axis").i == 1;
  return into->op == OP_concat && node_attr(into, "axis").i == 1;
}

int64_t storage_batch_stride(const Node *node) {
  while (node->into && shares_images(node)) node = node->into;
  return own_stride(node);
}

bool storage_is_contiguous(const Node *node) {
  return node->shape.rank == 0 || node->shape.dim[0] == 1 || storage_batch_stride(node) == own_stride(node);
}
