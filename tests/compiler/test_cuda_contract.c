// Tests of the contractions on CUDA: every form at odd sizes, strides, dilations, groups, several images, with what may
// be fused in front of and behind it. Needs a device, real or simulated.
#include "compiler/ops/build.h"
#include "tests/compiler/cuda_case.h"

static void set_int(AttrValue *attrs, Op op, const char *name, int64_t value) {
  attrs[op_attr_index(op, name)].i = value;
}

static Node *add_conv(Graph *graph, Node *x, Node *w, int stride, int padding, int dilation, int groups) {
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  set_int(attrs, OP_conv2d, "stride", stride);
  set_int(attrs, OP_conv2d, "padding", padding);
  set_int(attrs, OP_conv2d, "dilation", dilation);
  set_int(attrs, OP_conv2d, "groups", groups);
  return graph_add(graph, OP_conv2d, (Node *[]){x, w}, 2, attrs);
}

// The value stands behind another of `before` channels (of one image) in a concat.
static void put_into_concat(Graph *graph, Node *node, int before) {
  Shape shape = node->shape;
  shape.dim[1] = before;
  Node *other = graph_input(graph, "other", shape);
  AttrValue attrs[OP_MAX_ATTRS] = {{.i = 1}};
  Node *all = graph_add(graph, OP_concat, (Node *[]){other, node}, 2, attrs);
  all->name = "all";
  node->into = other->into = all;
  node->into_offset = before * shape.dim[2] * shape.dim[3];
  graph_output(graph, "all", all, false);
}

// ---- convolutions

typedef struct Conv {
  const char *name;
  int images, height, width, in, out, kernel, stride, padding, dilation, groups;
  // What is computed from x in front of it: a(ffine and relu), r(esize), j(oined by 5 more channels), s(cale),
  // d(epthwise), or by 2 (D).
  const char *before;
  const char
      *after; // what follows: b(ias), r(elu), l(eaky relu), s(igmoid), + (residual), k(eep), * (scale by [N, C, 1, 1])
  bool in_concat, out_concat, turned;
} Conv;

static Node *affine(Graph *graph, Node *x, const char *scale, const char *shift) {
  Shape shape = SHAPE(1, x->shape.dim[1], 1, 1);
  x = graph_binary(graph, OP_mul, x, graph_input(graph, scale, shape));
  return graph_unary(graph, OP_relu, graph_binary(graph, OP_add, x, graph_input(graph, shift, shape)));
}

static Node *resized(Graph *graph, Node *x, int height, int width) {
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(OP_resize, "size")].ints = SHAPE(height, width);
  set_int(attrs, OP_resize, "mode", 0);
  set_int(attrs, OP_resize, "align_corners", 1);
  return graph_add(graph, OP_resize, &x, 1, attrs);
}

static Node *joined(Graph *graph, Node *x, const char *name, int channels) {
  AttrValue attrs[OP_MAX_ATTRS] = {{.i = 1}};
  Shape shape = x->shape;
  shape.dim[1] = channels;
  return graph_add(graph, OP_concat, (Node *[]){x, graph_input(graph, name, shape)}, 2, attrs);
}

static Node *flipped(Graph *graph, Node *x, int axis) {
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  set_int(attrs, OP_flip, "axis", axis);
  return graph_add(graph, OP_flip, &x, 1, attrs);
}

static void add_case(KernelCases *cases, const Conv *c) {
  Graph *graph = graph_new(cases->arena, c->name);
  const char *before = c->before ? c->before : "";
  int shrink = strchr(before, 'r') ? 2 : 1, channels = strchr(before, 'j') ? c->in - 5 : c->in;
  Node *x = graph_input(graph, "x", SHAPE(c->images, channels, c->height / shrink, c->width / shrink));
  if (c->in_concat) put_into_concat(graph, x, 5);
  for (const char *b = before; *b; b++) {
    if (*b == 'a') x = affine(graph, x, "scale", "shift");
    if (*b == 'r') x = resized(graph, x, c->height, c->width);
    if (*b == 's') x = graph_binary(graph, OP_mul, x, graph_input(graph, "gate", SHAPE(c->images, c->in, 1, 1)));
    if (*b == 'j') x = joined(graph, x, "skip", 5);
    if (*b == 'd' || *b == 'D') {
      x = add_conv(graph, x, graph_input(graph, "wd", SHAPE(c->in, 1, 3, 3)), *b == 'D' ? 2 : 1, 1, 1, c->in);
      x = graph_unary(graph, OP_relu, x);
    }
  }
  Node *w = graph_input(graph, "w", SHAPE(c->out, c->in / c->groups, c->kernel, c->kernel));
  if (c->turned) w = flipped(graph, flipped(graph, w, 2), 3);
  Node *y = add_conv(graph, x, w, c->stride, c->padding, c->dilation, c->groups);
  for (const char *a = c->after ? c->after : ""; *a; a++) {
    AttrValue attrs[OP_MAX_ATTRS] = {{.f = 0.1}};
    if (*a == 'b') y = graph_binary(graph, OP_add, y, graph_input(graph, "bias", SHAPE(1, c->out, 1, 1)));
    if (*a == 'r') y = graph_unary(graph, OP_relu, y);
    if (*a == 'l') y = graph_add(graph, OP_leaky_relu, &y, 1, attrs);
    if (*a == 's') y = graph_unary(graph, OP_sigmoid, y);
    if (*a == '+') y = graph_binary(graph, OP_add, y, graph_input(graph, "residual", y->shape));
    if (*a == 'k') graph_output(graph, "kept", y, false);
    if (*a == '*') y = graph_binary(graph, OP_mul, y, graph_input(graph, "factor", SHAPE(c->images, c->out, 1, 1)));
  }
  if (c->out_concat) put_into_concat(graph, y, 9);
  else graph_output(graph, "y", y, false);
  cases_add(cases, graph, c->name, 2e-6 * sqrt((double)(c->in / c->groups * c->kernel * c->kernel) + 9));
}

// clang-format off
static const Conv convs[] = {
    {.name = "pointwise 16->8", .images = 1, .height = 13, .width = 17, .in = 16, .out = 8, .kernel = 1},
    {.name = "pointwise 24->72", .images = 2, .height = 12, .width = 10, .in = 24, .out = 72, .kernel = 1, .after = "br"},
    {.name = "pointwise 12->20", .images = 2, .height = 5, .width = 7, .in = 12, .out = 20, .kernel = 1, .after = "b+l"},
    {.name = "pointwise in concats", .images = 1, .height = 6, .width = 11, .in = 7, .out = 6, .kernel = 1, .after = "br+", .in_concat = true, .out_concat = true},
    {.name = "pointwise in concats, aligned", .images = 1, .height = 6, .width = 12, .in = 8, .out = 6, .kernel = 1, .in_concat = true, .out_concat = true},
    {.name = "pointwise 30->3", .images = 2, .height = 6, .width = 11, .in = 30, .out = 3, .kernel = 1, .after = "br"},
    {.name = "pointwise, more", .images = 2, .height = 7, .width = 9, .in = 16, .out = 13, .kernel = 1, .after = "brk*"},
    {.name = "pointwise large", .images = 1, .height = 15, .width = 20, .in = 160, .out = 240, .kernel = 1, .after = "b+"},
    {.name = "pointwise many pixels", .images = 1, .height = 60, .width = 80, .in = 40, .out = 21, .kernel = 1, .after = "bs"},
    {.name = "pointwise deep", .images = 1, .height = 6, .width = 8, .in = 700, .out = 33, .kernel = 1, .after = "br"},
    {.name = "pointwise wide", .images = 2, .height = 26, .width = 34, .in = 64, .out = 256, .kernel = 1, .after = "b"},
    {.name = "squeeze 72->20", .images = 2, .height = 1, .width = 1, .in = 72, .out = 20, .kernel = 1, .after = "br"},
    {.name = "excite 20->72", .images = 2, .height = 1, .width = 1, .in = 20, .out = 72, .kernel = 1, .after = "bs"},
    {.name = "stem", .images = 2, .height = 22, .width = 34, .in = 3, .out = 16, .kernel = 3, .stride = 2, .padding = 1, .after = "br"},
    {.name = "5x5 by 3", .images = 1, .height = 9, .width = 17, .in = 3, .out = 8, .kernel = 5, .stride = 3, .padding = 2},
    {.name = "patches of sixteen", .images = 1, .height = 32, .width = 48, .in = 10, .out = 9, .kernel = 16, .stride = 16, .after = "b"},
    {.name = "bridge", .images = 2, .height = 4, .width = 6, .in = 48, .out = 40, .kernel = 1, .padding = 1, .after = "b"},
    {.name = "dense 3x3", .images = 2, .height = 17, .width = 19, .in = 20, .out = 12, .kernel = 3, .padding = 1, .after = "b+r"},
    {.name = "dense 3x3, 64", .images = 1, .height = 24, .width = 32, .in = 64, .out = 64, .kernel = 3, .padding = 1, .after = "br"},
    {.name = "dense 3x3, 3700", .images = 1, .height = 4, .width = 5, .in = 3700, .out = 4, .kernel = 3, .padding = 1},
    {.name = "dense 3x3 by 2", .images = 1, .height = 11, .width = 16, .in = 13, .out = 27, .kernel = 3, .stride = 2, .padding = 1},
    {.name = "dense 3x3 dilated", .images = 1, .height = 13, .width = 12, .in = 10, .out = 8, .kernel = 3, .padding = 6, .dilation = 6, .after = "b"},
    {.name = "dense 5x5, more", .images = 2, .height = 9, .width = 8, .in = 11, .out = 11, .kernel = 5, .padding = 2, .after = "s"},
    {.name = "dense 2x2 patches", .images = 1, .height = 8, .width = 8, .in = 16, .out = 16, .kernel = 2, .stride = 2},
    {.name = "smaller than its kernel", .images = 1, .height = 3, .width = 2, .in = 8, .out = 8, .kernel = 5, .padding = 2},
    {.name = "head to one channel", .images = 1, .height = 40, .width = 52, .in = 32, .out = 1, .kernel = 3, .padding = 1, .after = "bs"},
    {.name = "turned", .images = 1, .height = 10, .width = 12, .in = 12, .out = 20, .kernel = 3, .padding = 1, .turned = true},
    {.name = "two groups", .images = 2, .height = 10, .width = 12, .in = 12, .out = 20, .kernel = 3, .padding = 1, .groups = 2, .after = "br"},
    {.name = "groups of one input", .images = 1, .height = 10, .width = 12, .in = 6, .out = 18, .kernel = 3, .padding = 1, .groups = 6, .after = "b"},
    {.name = "affine before pointwise", .images = 2, .height = 10, .width = 12, .in = 24, .out = 40, .kernel = 1, .before = "a", .after = "b"},
    {.name = "affine before dense", .images = 1, .height = 10, .width = 13, .in = 24, .out = 40, .kernel = 3, .padding = 1, .before = "a", .after = "b"},
    {.name = "gate before pointwise", .images = 2, .height = 10, .width = 12, .in = 24, .out = 40, .kernel = 1, .before = "s", .after = "b"},
    {.name = "resize before pointwise", .images = 1, .height = 10, .width = 12, .in = 24, .out = 40, .kernel = 1, .before = "r", .after = "b"},
    {.name = "depthwise before pointwise", .images = 2, .height = 17, .width = 13, .in = 20, .out = 36, .kernel = 1, .before = "d", .after = "br"},
    {.name = "depthwise by 2 before pointwise", .images = 2, .height = 26, .width = 48, .in = 23, .out = 17, .kernel = 1, .before = "D", .after = "b+"},
    {.name = "resize before both", .images = 2, .height = 18, .width = 40, .in = 21, .out = 34, .kernel = 1, .before = "rd", .after = "bl"},
    {.name = "resize and affine before both", .images = 1, .height = 18, .width = 24, .in = 8, .out = 9, .kernel = 1, .before = "rad"},
    {.name = "resize and join before both", .images = 1, .height = 12, .width = 70, .in = 19, .out = 3, .kernel = 1, .before = "rjd", .after = "b"},
    {.name = "depthwise by 2 before few", .images = 1, .height = 56, .width = 272, .in = 48, .out = 12, .kernel = 1, .before = "D", .after = "b+"},
    {.name = "affine before both, deep", .images = 1, .height = 7, .width = 9, .in = 300, .out = 40, .kernel = 1, .before = "ad", .after = "b"},
    {.name = "depthwise 3", .images = 2, .height = 10, .width = 13, .in = 20, .out = 20, .kernel = 3, .padding = 1, .groups = 20, .after = "br"},
    {.name = "depthwise 3 wide", .images = 1, .height = 33, .width = 70, .in = 3, .out = 3, .kernel = 3, .padding = 1, .groups = 3, .after = "br+"},
    {.name = "depthwise 3 by 2", .images = 1, .height = 11, .width = 14, .in = 24, .out = 24, .kernel = 3, .stride = 2, .padding = 1, .groups = 24, .after = "b", .in_concat = true},
    {.name = "depthwise 5", .images = 1, .height = 15, .width = 20, .in = 7, .out = 7, .kernel = 5, .padding = 2, .groups = 7, .after = "l"},
    {.name = "depthwise 5 by 2", .images = 2, .height = 13, .width = 27, .in = 18, .out = 18, .kernel = 5, .stride = 2, .padding = 2, .groups = 18, .after = "b"},
    {.name = "depthwise 7", .images = 1, .height = 9, .width = 12, .in = 8, .out = 8, .kernel = 7, .padding = 3, .groups = 8, .after = "s"},
    {.name = "depthwise 3 dilated", .images = 1, .height = 9, .width = 12, .in = 8, .out = 8, .kernel = 3, .padding = 2, .dilation = 2, .groups = 8, .after = "k*", .out_concat = true},
    {.name = "depthwise 3 small", .images = 1, .height = 2, .width = 1, .in = 8, .out = 8, .kernel = 3, .padding = 1, .groups = 8, .after = "+"},
    {.name = "depthwise 4 by 3", .images = 1, .height = 14, .width = 12, .in = 8, .out = 8, .kernel = 4, .stride = 3, .padding = 1, .groups = 8},
    {.name = "resize before depthwise", .images = 2, .height = 48, .width = 40, .in = 9, .out = 9, .kernel = 3, .padding = 1, .groups = 9, .before = "r", .after = "br"},
    {.name = "resize and join before depthwise", .images = 2, .height = 44, .width = 70, .in = 11, .out = 11, .kernel = 3, .padding = 1, .groups = 11, .before = "rj", .after = "l"},
    {.name = "resize before depthwise 5 by 2", .images = 1, .height = 64, .width = 34, .in = 10, .out = 10, .kernel = 5, .stride = 2, .padding = 2, .groups = 10, .before = "r"},
    {.name = "depthwise 3 far apart", .images = 1, .height = 30, .width = 41, .in = 3, .out = 3, .kernel = 3, .padding = 12, .dilation = 12, .groups = 3},
    {.name = "depthwise 3 by 2 wide", .images = 1, .height = 21, .width = 144, .in = 3, .out = 3, .kernel = 3, .stride = 2, .padding = 1, .groups = 3, .after = "b"},
    {.name = "affine before depthwise", .images = 2, .height = 10, .width = 13, .in = 20, .out = 20, .kernel = 3, .padding = 1, .groups = 20, .before = "a", .after = "b"},
};

// ---- gradients

typedef struct Grad {
  const char *name;
  bool is_dx; // by x, else by the weight
  int images, height, width, in, out, kernel, stride, padding, dilation, groups;
} Grad;

static const Grad grads[] = {
    {.name = "dW pointwise 24->72", .images = 2, .height = 12, .width = 10, .in = 24, .out = 72, .kernel = 1},
    {.name = "dW pointwise 21->23", .images = 3, .height = 5, .width = 7, .in = 21, .out = 23, .kernel = 1},
    {.name = "dW pointwise many pixels", .images = 2, .height = 60, .width = 82, .in = 16, .out = 8, .kernel = 1},
    {.name = "dW pointwise, sums in groups", .images = 3, .height = 111, .width = 140, .in = 13, .out = 3, .kernel = 1},
    {.name = "dW pointwise large", .images = 1, .height = 15, .width = 20, .in = 160, .out = 250, .kernel = 1},
    {.name = "dW of one pixel", .images = 4, .height = 1, .width = 1, .in = 72, .out = 20, .kernel = 1},
    {.name = "dW bridge", .images = 2, .height = 4, .width = 6, .in = 20, .out = 40, .kernel = 1, .padding = 1},
    {.name = "dW dense 3x3", .images = 2, .height = 9, .width = 11, .in = 20, .out = 12, .kernel = 3, .padding = 1},
    {.name = "dW dense 3x3 by 2", .images = 1, .height = 10, .width = 11, .in = 13, .out = 27, .kernel = 3, .stride = 2, .padding = 1},
    {.name = "dW dense dilated", .images = 1, .height = 10, .width = 11, .in = 9, .out = 8, .kernel = 3, .padding = 3, .dilation = 3},
    {.name = "dW stem", .images = 2, .height = 22, .width = 34, .in = 3, .out = 16, .kernel = 3, .stride = 2, .padding = 1},
    {.name = "dW to few channels", .images = 2, .height = 6, .width = 11, .in = 30, .out = 3, .kernel = 1},
    {.name = "dW of a head", .images = 1, .height = 40, .width = 53, .in = 32, .out = 1, .kernel = 3, .padding = 1},
    {.name = "dW by windows 20->70", .images = 2, .height = 24, .width = 25, .in = 20, .out = 70, .kernel = 3, .padding = 1},
    {.name = "dW by windows 40->13", .images = 3, .height = 19, .width = 21, .in = 40, .out = 13, .kernel = 3, .padding = 1},
    {.name = "dW by windows 7->3 of 2x2", .images = 2, .height = 31, .width = 19, .in = 7, .out = 3, .kernel = 2},
    {.name = "dW by windows 33->2, padded by 2", .images = 2, .height = 26, .width = 34, .in = 33, .out = 2, .kernel = 3, .padding = 2},
    {.name = "dW by windows, sums in groups", .images = 2, .height = 100, .width = 131, .in = 9, .out = 6, .kernel = 3, .padding = 1},
    {.name = "dW of groups", .images = 2, .height = 9, .width = 11, .in = 12, .out = 18, .kernel = 3, .padding = 1, .groups = 3},
    {.name = "dW depthwise 3", .images = 2, .height = 10, .width = 13, .in = 21, .out = 21, .kernel = 3, .padding = 1, .groups = 21},
    {.name = "dW depthwise 3, many pixels", .images = 2, .height = 70, .width = 93, .in = 5, .out = 5, .kernel = 3, .padding = 1, .groups = 5},
    {.name = "dW depthwise 3 by 2", .images = 1, .height = 11, .width = 14, .in = 20, .out = 20, .kernel = 3, .stride = 2, .padding = 1, .groups = 20},
    {.name = "dW depthwise 5", .images = 1, .height = 15, .width = 20, .in = 7, .out = 7, .kernel = 5, .padding = 2, .groups = 7},
    {.name = "dW depthwise 5 by 2", .images = 2, .height = 13, .width = 27, .in = 16, .out = 16, .kernel = 5, .stride = 2, .padding = 2, .groups = 16},
    {.name = "dW depthwise 7", .images = 1, .height = 9, .width = 12, .in = 8, .out = 8, .kernel = 7, .padding = 3, .groups = 8},
    {.name = "dW depthwise 3 dilated", .images = 1, .height = 9, .width = 12, .in = 8, .out = 8, .kernel = 3, .padding = 2, .dilation = 2, .groups = 8},
    {.name = "dW depthwise 3 small", .images = 1, .height = 2, .width = 1, .in = 8, .out = 8, .kernel = 3, .padding = 1, .groups = 8},
    {.name = "dx depthwise 3 by 2", .is_dx = true, .images = 2, .height = 11, .width = 14, .in = 21, .out = 21, .kernel = 3, .stride = 2, .padding = 1, .groups = 21},
    {.name = "dx depthwise 5 by 2", .is_dx = true, .images = 1, .height = 12, .width = 27, .in = 20, .out = 20, .kernel = 5, .stride = 2, .padding = 2, .groups = 20},
    {.name = "dx depthwise 3", .is_dx = true, .images = 1, .height = 5, .width = 9, .in = 8, .out = 8, .kernel = 3, .padding = 1, .groups = 8},
    {.name = "dx dense 3", .is_dx = true, .images = 2, .height = 11, .width = 14, .in = 21, .out = 23, .kernel = 3, .padding = 1},
    {.name = "dx dense 3 by 2", .is_dx = true, .images = 2, .height = 11, .width = 14, .in = 21, .out = 23, .kernel = 3, .stride = 2, .padding = 1},
    {.name = "dx dense 3 by 2, narrow", .is_dx = true, .images = 1, .height = 4, .width = 3, .in = 40, .out = 8, .kernel = 3, .stride = 2, .padding = 1},
    {.name = "dx dense patches", .is_dx = true, .images = 1, .height = 16, .width = 24, .in = 16, .out = 12, .kernel = 4, .stride = 4},
    {.name = "dx patches of sixteen", .is_dx = true, .images = 1, .height = 32, .width = 48, .in = 5, .out = 12, .kernel = 16, .stride = 16},
    {.name = "dx dense 5 by 3, dilated", .is_dx = true, .images = 1, .height = 21, .width = 17, .in = 9, .out = 17, .kernel = 5, .stride = 3, .padding = 3, .dilation = 2},
    {.name = "dx dense 5 by 4", .is_dx = true, .images = 1, .height = 21, .width = 18, .in = 9, .out = 17, .kernel = 5, .stride = 4, .padding = 3},
    {.name = "dx dense by more than the kernel", .is_dx = true, .images = 1, .height = 11, .width = 13, .in = 9, .out = 8, .kernel = 2, .stride = 3, .padding = 1},
    {.name = "dx of groups by 2", .is_dx = true, .images = 1, .height = 11, .width = 13, .in = 12, .out = 18, .kernel = 3, .stride = 2, .padding = 1, .groups = 3},
    {.name = "dx depthwise 3 by 4", .is_dx = true, .images = 1, .height = 9, .width = 12, .in = 8, .out = 8, .kernel = 3, .stride = 4, .groups = 8},
};
// clang-format on

static void add_grad(KernelCases *cases, const Grad *c) {
  Graph *graph = graph_new(cases->arena, c->name);
  int span = c->dilation * (c->kernel - 1) + 1;
  int oh = (c->height + 2 * c->padding - span) / c->stride + 1, ow = (c->width + 2 * c->padding - span) / c->stride + 1;
  Node *g = graph_input(graph, "g", SHAPE(c->images, c->out, oh, ow)), *y;
  Op op = c->is_dx ? OP_conv2d_dx : OP_conv2d_dw;
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  set_int(attrs, op, "stride", c->stride);
  set_int(attrs, op, "padding", c->padding);
  set_int(attrs, op, "dilation", c->dilation);
  set_int(attrs, op, "groups", c->groups);
  if (c->is_dx) {
    set_int(attrs, op, "height", c->height);
    set_int(attrs, op, "width", c->width);
    Node *w = graph_input(graph, "w", SHAPE(c->out, c->in / c->groups, c->kernel, c->kernel));
    y = graph_add(graph, op, (Node *[]){g, w}, 2, attrs);
  } else {
    set_int(attrs, op, "kh", c->kernel);
    set_int(attrs, op, "kw", c->kernel);
    Node *x = graph_input(graph, "x", SHAPE(c->images, c->in, c->height, c->width));
    y = graph_add(graph, op, (Node *[]){x, g}, 2, attrs);
  }
  graph_output(graph, "y", y, false);
  double terms = c->is_dx ? (double)c->out / c->groups * c->kernel * c->kernel : (double)c->images * oh * ow;
  cases_add(cases, graph, c->name, 2e-6 * sqrt(terms + 9));
}

// ---- gradients of resizes, large enough for shared memory

typedef struct Resize {
  const char *name;
  int images, channels, height, width, from_height, from_width; // of the result, and of what is gathered
  bool is_nearest, is_aligned;
} Resize;

static const Resize resizes[] = {
    {"resize_grad by 2, aligned corners", 2, 3, 52, 72, 104, 144, false, true},
    {"resize_grad by 2", 1, 5, 33, 70, 66, 140, false, false},
    {"resize_grad, nearest", 1, 9, 40, 31, 80, 62, true, false},
    {"resize_grad, small planes", 2, 30, 11, 13, 23, 27, false, true},
    {"resize_grad of a smaller picture", 1, 4, 120, 99, 101, 88, false, true},
    {"resize_grad by 6", 1, 2, 21, 37, 126, 222, false, true},
};

static void add_resize(KernelCases *cases, const Resize *c) {
  Graph *graph = graph_new(cases->arena, c->name);
  Node *g = graph_input(graph, "g", SHAPE(c->images, c->channels, c->from_height, c->from_width));
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(OP_resize_grad, "size")].ints = SHAPE(c->height, c->width);
  set_int(attrs, OP_resize_grad, "mode", c->is_nearest);
  set_int(attrs, OP_resize_grad, "align_corners", c->is_nearest ? -1 : c->is_aligned);
  Node *y = graph_add(graph, OP_resize_grad, &g, 1, attrs);
  Node *mask = graph_input(graph, "mask", y->shape);
  graph_output(graph, "y", graph_binary(graph, OP_mul, y, mask), false);
  cases_add(cases, graph, c->name, 1e-5);
}

// ---- matrix products

typedef struct Product {
  int a[5], b[5]; // sizes, 0 ends
  bool ta, tb, has_bias;
} Product;

static Shape shape_from(const int *sizes) {
  Shape shape = {0};
  for (; shape.rank < 5 && sizes[shape.rank]; shape.rank++) shape.dim[shape.rank] = sizes[shape.rank];
  return shape;
}

static void add_product(KernelCases *cases, const Product *c) {
  Arena *arena = cases->arena;
  char a[SHAPE_TEXT], b[SHAPE_TEXT];
  Shape sa = shape_from(c->a), sb = shape_from(c->b);
  const char *name =
      arena_printf(arena, "matmul %s%s %s%s", shape_text(sa, a), c->ta ? "'" : "", shape_text(sb, b), c->tb ? "'" : "");
  Graph *graph = graph_new(arena, "product");
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  set_int(attrs, OP_matmul, "transpose_a", c->ta);
  set_int(attrs, OP_matmul, "transpose_b", c->tb);
  Node *y = graph_add(graph, OP_matmul, (Node *[]){graph_input(graph, "a", sa), graph_input(graph, "b", sb)}, 2, attrs);
  if (c->has_bias) {
    y = graph_binary(graph, OP_add, y, graph_input(graph, "bias", SHAPE(y->shape.dim[y->shape.rank - 1])));
    y = graph_unary(graph, OP_relu, y);
  }
  graph_output(graph, "y", y, false);
  cases_add(cases, graph, name, 1e-5);
}

static const Product products[] = {
    {{5, 7}, {7, 9}, false, false, false},
    {{1, 33}, {33, 40}, false, false, true},
    {{100, 64}, {64, 252}, false, false, true},
    {{7, 100}, {7, 50}, true, false, false},
    {{60, 30}, {19, 30}, false, true, true},
    {{30, 70}, {5, 30}, true, true, false},
    {{13, 8}, {8, 1}, false, false, false},
    {{2, 3, 20, 12}, {2, 3, 12, 16}, false, false, true},
    {{2, 1, 20, 12}, {3, 31, 12}, false, true, false},
    {{4, 9, 6}, {6, 24}, false, false, true},
    {{6, 24}, {2, 6, 10}, true, false, false},
    {{300, 1}, {1, 300}, false, false, false},
    {{2, 4, 60, 32}, {2, 4, 60, 32}, false, true, false},
    {{3, 4, 256}, {256, 128}, false, false, true},
    {{1, 256}, {64, 256}, false, true, true},
    {{16, 3000}, {3000, 24}, false, false, false},
};

// ---- attention

typedef struct Attention {
  const char *name;
  int images, heads, queries, keys, width, values;
  bool has_scale; // of the scores, else of the queries
} Attention;

static const Attention attentions[] = {
    {"attention of one token more than a tile", 1, 2, 17, 17, 16, 16, false},
    {"attention as AdaBins'", 1, 4, 132, 132, 32, 32, false},
    {"attention across, wide values", 2, 3, 21, 70, 24, 50, true},
};

static void add_attention(KernelCases *cases, const Attention *c) {
  Graph *graph = graph_new(cases->arena, c->name);
  Node *q = graph_input(graph, "q", SHAPE(c->images, c->heads, c->queries, c->width));
  Node *k = graph_input(graph, "k", SHAPE(c->images, c->heads, c->keys, c->width));
  Node *v = graph_input(graph, "v", SHAPE(c->images, c->heads, c->keys, c->values));
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  set_int(attrs, OP_matmul, "transpose_b", 1);
  if (!c->has_scale) q = graph_binary(graph, OP_mul, q, graph_scalar(graph, 0.5));
  Node *scores = graph_add(graph, OP_matmul, (Node *[]){q, k}, 2, attrs);
  if (c->has_scale) scores = graph_binary(graph, OP_mul, scores, graph_scalar(graph, 1.5));
  Node *e = graph_unary(graph, OP_exp, graph_binary(graph, OP_sub, scores, build_max(graph, scores, 3)));
  Node *weights = graph_binary(graph, OP_div, e, graph_sum(graph, e, (int[]){3}, 1, true));
  set_int(attrs, OP_matmul, "transpose_b", 0);
  graph_output(graph, "y", graph_add(graph, OP_matmul, (Node *[]){weights, v}, 2, attrs), false);
  cases_add(cases, graph, c->name, 1e-5);
}

// ---- all

// Of every `step` cases one.
static void add_all(KernelCases *cases, bool is_exact, size_t first, size_t step) {
  for (size_t i = first; i < sizeof convs / sizeof *convs; i += step) {
    Conv c = convs[i];
    if (!c.stride) c.stride = 1;
    if (!c.dilation) c.dilation = 1;
    if (!c.groups) c.groups = 1;
    if (!is_exact || (!c.before && c.groups < c.in)) add_case(cases, &c);
  }
  for (size_t i = first; i < sizeof grads / sizeof *grads; i += step) {
    Grad c = grads[i];
    if (!c.stride) c.stride = 1;
    if (!c.dilation) c.dilation = 1;
    if (!c.groups) c.groups = 1;
    if (!is_exact || c.groups < c.in) add_grad(cases, &c);
  }
  for (size_t i = first; i < sizeof products / sizeof *products; i += step) add_product(cases, &products[i]);
}

// What explain counts: every kernel touches a good part of its buffers at least once.
static void check_counts(const KernelCases *cases) {
  for (int i = 0; i < cases->n; i++) {
    const KernelInfo *info = &cases->list[i].info;
    CHECK(info->sectors >= info->ideal_sectors && 32 * info->ideal_sectors >= (double)info->bytes / 2,
          "%s: %.0f sectors, %.0f ideal ones, %lld bytes", cases->list[i].name, info->sectors, info->ideal_sectors,
          (long long)info->bytes);
  }
}

// Where TEST_WHOLE is set every case in every precision; else some of each.
int main(int argc, char **argv) {
  CudaTest test;
  bool is_whole = getenv("TEST_WHOLE") != NULL;
  if (argc < 1 || !gpu_find(argv[0]) || !cuda_test_begin(&test)) return check_report("cuda_contract");
  KernelCases cases;
  cases_begin(&cases, target_cuda(test.compute));
  add_all(&cases, false, 0, is_whole ? 1 : 3);
  for (size_t i = 0; i < sizeof resizes / sizeof *resizes; i += is_whole ? 1 : 2) add_resize(&cases, &resizes[i]);
  for (size_t i = 0; i < sizeof attentions / sizeof *attentions; i++) add_attention(&cases, &attentions[i]);
  check_counts(&cases);
  cuda_cases_run(&test, &cases);
  // Tensor cores, with factors that rounding leaves alone.
  test.is_coarse = true;
  for (Precision p = PRECISION_TF32; p <= PRECISION_F16; p++) {
    const Target *target = target_with_precision(target_cuda(test.compute), p);
    if (!target) continue;
    cases_begin(&cases, target);
    add_all(&cases, true, is_whole ? 0 : (size_t)p, is_whole ? 1 : 9);
    cuda_cases_run(&test, &cases);
  }
  return check_report("cuda_contract");
}
