// Gradient rules of spatial ops.
#include "compiler/ops/rules.h"

void grad_resize(Graph *graph, Node *node, Node *gout, Node **gin) {
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  const AttrSpec *specs = op_info(OP_resize_grad)->attrs;
  for (int i = 0; i < op_info(OP_resize_grad)->n_attrs; i++) attrs[i] = node_attr(node, specs[i].name);
  Shape x = node->in[0]->shape;
  attrs[op_attr_index(OP_resize_grad, "size")].ints = SHAPE(x.dim[2], x.dim[3]);
  gin[0] = graph_add(graph, OP_resize_grad, &gout, 1, attrs);
}
