// Tests of the contraction kernels: every form at odd sizes, with channels that do not fill their blocks, several
// segments, values inside a concat and several images, for vectors of 4, 8 and 16 floats.
#include "compiler/kernel/tuning.h"
#include "tests/compiler/kernel_case.h"

typedef struct Conv {
  const char *name;
  int images, height, width;
  int in[3], out[3]; // segments, 0 ends
  int kernel, stride, padding, dilation;
  bool is_depthwise, plain_in, plain_out;
  int bias;  // 0 none, 1 as the result is stored, 2 plain [1, C, 1, 1], 3 plain [C, 1, 1]
  Op act;    // OP_relu, OP_leaky_relu, or OP_input for none
  int order; // residual: 0 none, 1 before the activation, 2 after it
  int more;  // nodes that follow: 0 none, 1 sigmoid, 2 times [N, C, 1, 1] and the activation's value kept, 3 a mean
             // weighted by a softmax over the channels, and their maximum, 4 mean and squares of each row, 5 set to 0
             // where another picture is, and sums of rows of that and of its product with a third picture
  bool in_concat, out_concat;
  bool is_made;                // x is sigmoid(value) * scale, [N, C, 1, 1], + shift, [1, C, 1, 1]
  int tile;                    // results a side of a Winograd tile, 0 = none; with a kernel its weight is read
  int half;                    // input channels of half a product of Strassen's, 0 = none
  int from_height, from_width; // x is resized from this; 0 = not
  bool is_nearest, is_aligned;
  double tolerance; // 0 = what one chain of additions needs
} Conv;

static int count(const int *segments) {
  int n = 0;
  while (n < 3 && segments[n]) n++;
  return n;
}
static int total(const int *segments) { return segments[0] + segments[1] + segments[2]; }

static LayoutKind weight_kind(const KernelCases *cases) {
  return target_has_pairs(cases->target) ? LAYOUT_WEIGHT_PAIRS : LAYOUT_WEIGHT;
}

static const Layout *sums_of(Arena *arena, const Layout *weight, int half, ChannelMap in) {
  Layout *layout = arena_memdup(arena, weight, sizeof *weight);
  layout->kind = LAYOUT_WEIGHT_STRASSEN;
  layout->half = half;
  layout->in = in;
  return layout;
}

static Node *add_conv(Graph *graph, Node *x, Node *w, int stride, int padding, int dilation, int groups) {
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(OP_conv2d, "stride")].i = stride;
  attrs[op_attr_index(OP_conv2d, "padding")].i = padding;
  attrs[op_attr_index(OP_conv2d, "dilation")].i = dilation;
  attrs[op_attr_index(OP_conv2d, "groups")].i = groups;
  return graph_add(graph, OP_conv2d, (Node *[]){x, w}, 2, attrs);
}

static Node *add_winograd(Graph *graph, Node *x, Node *w, int padding, int dilation) {
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(OP_conv2d_winograd, "padding")].i = padding;
  attrs[op_attr_index(OP_conv2d_winograd, "dilation")].i = dilation;
  return graph_add(graph, OP_conv2d_winograd, (Node *[]){x, w}, 2, attrs);
}

static Node *add_resize(Graph *graph, Node *x, int64_t height, int64_t width, bool is_nearest, bool is_aligned) {
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(OP_resize, "size")].ints = SHAPE(height, width);
  attrs[op_attr_index(OP_resize, "mode")].i = is_nearest;
  attrs[op_attr_index(OP_resize, "align_corners")].i = is_nearest ? -1 : is_aligned;
  Node *y = graph_add(graph, OP_resize, &x, 1, attrs);
  y->layout = x->layout;
  return y;
}

static Node *add_act(Graph *graph, Op act, Node *x) {
  if (act == OP_input) return x;
  AttrValue attrs[OP_MAX_ATTRS] = {{.f = 0.1}};
  Node *y = graph_add(graph, act, &x, 1, attrs);
  y->layout = x->layout;
  return y;
}

static Node *add_binary(Graph *graph, Op op, Node *a, Node *b) {
  Node *y = graph_binary(graph, op, a, b);
  y->layout = a->layout;
  return y;
}

static Node *input(Graph *graph, const char *name, Shape shape, const Layout *layout) {
  Node *node = graph_input(graph, name, shape);
  node->layout = layout;
  return node;
}

static Node *reduce(Graph *graph, Op op, Node *x, int axis) {
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(op, "axes")].ints = SHAPE(axis);
  attrs[op_attr_index(op, "keep")].i = true;
  return graph_add(graph, op, &x, 1, attrs);
}

static Node *add_reduction(Graph *graph, Op op, Node *x) { return reduce(graph, op, x, 1); }

static Node *add_rows(Graph *graph, Op op, Node *x) {
  Node *y = reduce(graph, op, x, 3);
  y->layout = x->layout;
  return y;
}

// As batch norm wants them: of each row the mean, and the squares of the distances from it.
static void add_moments(Graph *graph, Node *x) {
  Node *mean =
      add_binary(graph, OP_mul, add_rows(graph, OP_sum, x), graph_scalar(graph, 1.0 / (double)x->shape.dim[3]));
  Node *distance = add_binary(graph, OP_sub, x, mean);
  graph_output(graph, "mean", mean, false);
  graph_output(graph, "squares", add_rows(graph, OP_sum, add_binary(graph, OP_mul, distance, distance)), false);
  graph_output(graph, "largest", add_rows(graph, OP_max, x), false);
}

// As the gradient of batch norm and relu wants them.
static Node *add_masked(Graph *graph, Node *x) {
  Node *mask = input(graph, "mask", x->shape, x->layout), *other = input(graph, "other", x->shape, x->layout);
  Node *mean = input(graph, "centre", SHAPE(1, x->shape.dim[1], 1, 1), x->layout), *zero = graph_scalar(graph, 0);
  Node *is_on = add_binary(graph, OP_less, mask, zero);
  Node *y = graph_add(graph, OP_select, (Node *[]){is_on, x, zero}, 3, NULL);
  y->layout = x->layout;
  graph_output(graph, "sum", add_rows(graph, OP_sum, y), false);
  Node *product = add_binary(graph, OP_mul, y, add_binary(graph, OP_sub, other, mean));
  graph_output(graph, "product", add_rows(graph, OP_sum, product), false);
  return y;
}

// The mean of values of the channels, weighted by their softmax; the largest goes out, too.
static Node *add_mean(Graph *graph, Node *x) {
  Node *most = add_reduction(graph, OP_max, x);
  graph_output(graph, "most", most, false);
  Node *weight = graph_unary(graph, OP_exp, add_binary(graph, OP_sub, x, most));
  weight->layout = x->layout;
  Node *value = add_binary(graph, OP_mul, weight, input(graph, "value", SHAPE(1, x->shape.dim[1], 1, 1), x->layout));
  return graph_binary(graph, OP_div, add_reduction(graph, OP_sum, value), add_reduction(graph, OP_sum, weight));
}

// The value becomes the second part of a concat that holds it; the first part is another input of `before` channels.
static Node *put_into_concat(Graph *graph, Node *node, int block, int before) {
  Shape shape = node->shape;
  shape.dim[1] = before;
  Arena *arena = graph->arena;
  Node *other = input(graph, node->op == OP_input ? "other in" : "other", shape,
                      case_layout(arena, LAYOUT_BLOCKED, block, 1, &before));
  int segments[4] = {before};
  for (int i = 0; i < node->layout->c.n; i++) segments[i + 1] = node->layout->c.segment[i];
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[0].i = 1;
  Node *all = graph_add(graph, OP_concat, (Node *[]){other, node}, 2, attrs);
  all->layout = case_layout(arena, LAYOUT_BLOCKED, block, node->layout->c.n + 1, segments);
  all->name = "all";
  node->into = all;
  node->into_offset = (before + block - 1) / block;
  other->into = all;
  return all;
}

static void add_case(KernelCases *cases, const Conv *c) {
  Arena *arena = cases->arena;
  Graph *graph = graph_new(arena, c->name);
  int block = cases->target->vector, inputs = total(c->in), outputs = total(c->out);
  int kernel = c->tile && !c->kernel ? c->tile + 2 : c->kernel;
  const Layout *x_layout = c->plain_in ? NULL : case_layout(arena, LAYOUT_BLOCKED, block, count(c->in), c->in);
  const Layout *y_layout = c->plain_out ? NULL : case_layout(arena, LAYOUT_BLOCKED, block, count(c->out), c->out);
  const Layout *w_layout = case_layout(arena, c->is_depthwise ? LAYOUT_WEIGHT_DW : weight_kind(cases), block,
                                       c->plain_out ? 1 : count(c->out), c->plain_out ? &outputs : c->out);
  if (c->half) w_layout = sums_of(arena, w_layout, c->half, x_layout->c);
  int height = c->from_height ? c->from_height : c->height, width = c->from_height ? c->from_width : c->width;
  Node *x = input(graph, "x", SHAPE(c->images, inputs, height, width), x_layout);
  Node *w = input(graph, "w", SHAPE(outputs, c->is_depthwise ? 1 : inputs, kernel, kernel), w_layout);
  if (c->in_concat) graph_output(graph, "x in", put_into_concat(graph, x, block, 5), false);
  if (c->is_made) {
    x = graph_unary(graph, OP_sigmoid, x);
    x->layout = x_layout;
    x = add_binary(graph, OP_mul, x, input(graph, "factor", SHAPE(c->images, inputs, 1, 1), x_layout));
    x = add_binary(graph, OP_add, x, input(graph, "shift", SHAPE(1, inputs, 1, 1), x_layout));
  }
  if (c->from_height) x = add_resize(graph, x, c->height, c->width, c->is_nearest, c->is_aligned);
  Node *y = c->tile ? add_winograd(graph, x, w, c->padding, c->dilation)
                    : add_conv(graph, x, w, c->stride, c->padding, c->dilation, c->is_depthwise ? inputs : 1);
  y->layout = y_layout;
  if (c->bias) {
    Shape shape = c->bias == 3 ? SHAPE(outputs, 1, 1) : SHAPE(1, outputs, 1, 1);
    y = add_binary(graph, OP_add, y, input(graph, "bias", shape, c->bias == 1 ? y_layout : NULL));
  }
  if (c->order == 1) y = add_binary(graph, OP_add, y, input(graph, "residual", y->shape, y_layout));
  y = add_act(graph, c->act, y);
  if (c->order == 2) y = add_binary(graph, OP_add, y, input(graph, "residual", y->shape, y_layout));
  if (c->more == 1) {
    y = graph_unary(graph, OP_sigmoid, y);
    y->layout = y_layout;
  }
  if (c->more == 2) {
    graph_output(graph, "kept", y, false);
    y = add_binary(graph, OP_mul, y, input(graph, "scale", SHAPE(c->images, outputs, 1, 1), y_layout));
  }
  if (c->more == 3) y = add_mean(graph, y);
  if (c->more == 4) add_moments(graph, y);
  if (c->more == 5) y = add_masked(graph, y);
  Node *out = c->out_concat ? put_into_concat(graph, y, block, 9) : y;
  graph_output(graph, "y", out, false);
  double tolerance = c->tolerance > 0 ? c->tolerance : 2e-6 * sqrt((double)(inputs * c->kernel * c->kernel) + 9);
  cases_add(cases, graph, c->name, tolerance);
}

// clang-format off
static const Conv convs[] = {
    // pointwise, from the table of the encoder scaled down, and odd ones
    {.name = "pointwise -> softmax", .images = 2, .height = 5, .width = 117, .in = {16}, .out = {29}, .kernel = 1, .bias = 1, .more = 3, .tolerance = 1e-5},
    {.name = "pointwise -> softmax, segments", .images = 1, .height = 3, .width = 7, .in = {9, 4}, .out = {5, 20}, .kernel = 1, .act = OP_relu, .order = 1, .more = 3, .in_concat = true, .tolerance = 1e-5},
    {.name = "pointwise 16->8", .images = 1, .height = 13, .width = 17, .in = {16}, .out = {8}, .kernel = 1},
    {.name = "pointwise 24->72", .images = 2, .height = 12, .width = 10, .in = {24}, .out = {72}, .kernel = 1, .bias = 1, .act = OP_relu},
    {.name = "pointwise 12->20", .images = 2, .height = 5, .width = 7, .in = {12}, .out = {20}, .kernel = 1, .bias = 1, .act = OP_leaky_relu, .order = 1},
    {.name = "pointwise 12+12->30", .images = 1, .height = 9, .width = 5, .in = {12, 12}, .out = {30}, .kernel = 1, .bias = 2, .act = OP_relu, .order = 2},
    {.name = "pointwise 20+3->10+10", .images = 3, .height = 4, .width = 6, .in = {20, 3}, .out = {10, 10}, .kernel = 1, .bias = 3},
    {.name = "pointwise in concats", .images = 2, .height = 6, .width = 11, .in = {7, 9}, .out = {6}, .kernel = 1, .bias = 1, .in_concat = true, .out_concat = true},
    {.name = "pointwise to plain", .images = 2, .height = 6, .width = 11, .in = {30}, .out = {3}, .kernel = 1, .bias = 2, .act = OP_relu, .plain_out = true},
    {.name = "pointwise to plain, wide", .images = 2, .height = 3, .width = 5, .in = {9}, .out = {37}, .kernel = 1, .plain_out = true},
    {.name = "squeeze 72->20", .images = 2, .height = 1, .width = 1, .in = {36, 36}, .out = {20}, .kernel = 1, .bias = 1, .act = OP_relu},
    {.name = "excite 20->72", .images = 2, .height = 1, .width = 1, .in = {20}, .out = {36, 36}, .kernel = 1, .bias = 1, .more = 1},
    {.name = "pointwise, more", .images = 2, .height = 7, .width = 9, .in = {16}, .out = {13}, .kernel = 1, .bias = 1, .act = OP_relu, .more = 2},
    {.name = "pointwise large", .images = 1, .height = 15, .width = 20, .in = {160}, .out = {240}, .kernel = 1, .bias = 1, .order = 1},
    {.name = "pointwise, rows", .images = 2, .height = 7, .width = 139, .in = {16}, .out = {13}, .kernel = 1, .bias = 1, .act = OP_relu, .more = 4, .tolerance = 2e-5},
    {.name = "pointwise, rows masked", .images = 2, .height = 7, .width = 9, .in = {9, 4}, .out = {5, 20}, .kernel = 1, .more = 5, .in_concat = true, .out_concat = true, .tolerance = 2e-5},
    {.name = "pointwise, a few pixels more than a tile", .images = 1, .height = 1, .width = 19, .in = {9}, .out = {32}, .kernel = 1, .bias = 1},
    {.name = "pointwise, nearly two tiles", .images = 1, .height = 1, .width = 23, .in = {9}, .out = {60}, .kernel = 1, .bias = 1},
    {.name = "pointwise many pixels", .images = 1, .height = 60, .width = 81, .in = {40}, .out = {21}, .kernel = 1, .bias = 1, .more = 1},
    // by Strassen's products
    {.name = "seven products", .images = 2, .height = 12, .width = 10, .in = {32}, .out = {64}, .half = 16, .kernel = 1, .bias = 1, .act = OP_relu, .tolerance = 1e-5},
    {.name = "seven products and a rest", .images = 1, .height = 5, .width = 7, .in = {41}, .out = {64}, .half = 16, .kernel = 1, .bias = 3, .act = OP_leaky_relu, .tolerance = 1e-5},
    {.name = "seven products, segments", .images = 2, .height = 6, .width = 11, .in = {32, 9, 20}, .out = {64, 64}, .half = 16, .kernel = 1, .more = 1, .in_concat = true, .out_concat = true, .tolerance = 1e-5},
    {.name = "seven products, blocks of all segments", .images = 2, .height = 6, .width = 11, .in = {20, 36, 50}, .out = {64}, .half = 32, .kernel = 1, .bias = 1, .act = OP_relu, .in_concat = true, .tolerance = 1e-5},
    {.name = "seven products, none of the first segment", .images = 1, .height = 5, .width = 9, .in = {3, 48, 19}, .out = {64}, .half = 32, .kernel = 1, .tolerance = 1e-5},
    {.name = "seven products of one pixel", .images = 3, .height = 1, .width = 1, .in = {48}, .out = {128}, .half = 16, .kernel = 1, .tolerance = 1e-5},
    {.name = "seven products, many pixels", .images = 1, .height = 60, .width = 81, .in = {80}, .out = {192}, .half = 32, .kernel = 1, .bias = 1, .act = OP_relu, .tolerance = 1e-5},
    {.name = "seven products -> softmax", .images = 1, .height = 3, .width = 117, .in = {32}, .out = {64}, .half = 16, .kernel = 1, .bias = 1, .more = 3, .tolerance = 3e-5},
    {.name = "seven products, something added", .images = 2, .height = 5, .width = 9, .in = {32}, .out = {64}, .half = 16, .kernel = 1, .bias = 1, .act = OP_relu, .order = 2, .tolerance = 1e-5},
    {.name = "seven products, rows", .images = 1, .height = 7, .width = 39, .in = {32, 8}, .out = {64}, .half = 16, .kernel = 1, .more = 4, .tolerance = 2e-5},
    // with taps
    {.name = "stem", .images = 2, .height = 22, .width = 34, .in = {3}, .out = {16}, .kernel = 3, .stride = 2, .padding = 1, .bias = 1, .act = OP_relu, .plain_in = true},
    {.name = "stem of six", .images = 1, .height = 21, .width = 33, .in = {6}, .out = {16}, .kernel = 3, .stride = 2, .padding = 1, .plain_in = true},
    {.name = "plain stride 1", .images = 1, .height = 9, .width = 14, .in = {4}, .out = {5}, .kernel = 3, .padding = 1, .plain_in = true, .plain_out = true, .bias = 3},
    {.name = "plain pointwise", .images = 1, .height = 9, .width = 14, .in = {5}, .out = {9}, .kernel = 1, .plain_in = true},
    {.name = "plain patches of sixteen", .images = 1, .height = 32, .width = 48, .in = {2}, .out = {9}, .kernel = 16, .stride = 16, .plain_in = true, .bias = 1},
    {.name = "plain 3x3 dilated", .images = 1, .height = 9, .width = 14, .in = {3}, .out = {8}, .kernel = 3, .padding = 2, .dilation = 2, .plain_in = true},
    {.name = "plain 5x5 by 3", .images = 1, .height = 9, .width = 17, .in = {3}, .out = {8}, .kernel = 5, .stride = 3, .padding = 2, .plain_in = true},
    {.name = "blocked patches of sixteen", .images = 1, .height = 32, .width = 48, .in = {10}, .out = {9}, .kernel = 16, .stride = 16},
    {.name = "long sum of taps", .images = 1, .height = 32, .width = 48, .in = {128}, .out = {16}, .kernel = 16, .stride = 16, .tolerance = 1e-6},
    {.name = "bridge", .images = 2, .height = 4, .width = 6, .in = {48}, .out = {40}, .kernel = 1, .padding = 1, .bias = 1},
    {.name = "dense 3x3", .images = 2, .height = 17, .width = 19, .in = {20}, .out = {12}, .kernel = 3, .padding = 1, .bias = 1, .act = OP_relu, .order = 1},
    {.name = "dense 3x3 by 2", .images = 1, .height = 11, .width = 16, .in = {9, 4}, .out = {27}, .kernel = 3, .stride = 2, .padding = 1},
    {.name = "dense 3x3 dilated", .images = 1, .height = 13, .width = 12, .in = {10}, .out = {8}, .kernel = 3, .padding = 6, .dilation = 6, .bias = 1},
    {.name = "dense 5x5 in concats", .images = 2, .height = 9, .width = 8, .in = {11}, .out = {6, 5}, .kernel = 5, .padding = 2, .in_concat = true, .out_concat = true, .more = 1},
    {.name = "dense 3x3, rows", .images = 2, .height = 17, .width = 19, .in = {20}, .out = {12}, .kernel = 3, .padding = 1, .more = 4, .tolerance = 2e-5},
    {.name = "dense 3x3 by 3", .images = 1, .height = 11, .width = 10, .in = {6}, .out = {8}, .kernel = 3, .stride = 3, .padding = 0},
    {.name = "dense 2x2 patches", .images = 1, .height = 8, .width = 8, .in = {16}, .out = {16}, .kernel = 2, .stride = 2, .plain_in = true},
    {.name = "dense smaller than its kernel", .images = 1, .height = 3, .width = 2, .in = {8}, .out = {8}, .kernel = 5, .padding = 2},
    {.name = "head to one channel", .images = 1, .height = 10, .width = 13, .in = {32}, .out = {1}, .kernel = 3, .padding = 1, .plain_out = true, .bias = 2},
    {.name = "few outputs, segments", .images = 2, .height = 7, .width = 43, .in = {9, 12}, .out = {2}, .kernel = 3, .stride = 2, .padding = 1, .plain_out = true, .bias = 3, .act = OP_leaky_relu, .in_concat = true},
    {.name = "few outputs, in lines, segments", .images = 2, .height = 6, .width = 43, .in = {9, 16}, .out = {2}, .kernel = 3, .padding = 1, .plain_out = true, .bias = 3, .act = OP_relu, .in_concat = true},
    {.name = "few outputs, in lines without padding", .images = 1, .height = 7, .width = 29, .in = {24}, .out = {1}, .kernel = 3, .plain_out = true},
    {.name = "few outputs, narrow", .images = 2, .height = 5, .width = 3, .in = {12}, .out = {2}, .kernel = 3, .padding = 1, .plain_out = true, .act = OP_relu},
    {.name = "few outputs, pointwise, segments", .images = 1, .height = 5, .width = 5, .in = {12, 5}, .out = {2}, .kernel = 1, .plain_out = true, .bias = 3},
    // Winograd's tiles; random weights of tiles make larger sums than those of kernels
    {.name = "tiles of 4", .images = 2, .height = 17, .width = 19, .in = {20}, .out = {28}, .padding = 1, .dilation = 1, .tile = 4, .bias = 1, .act = OP_relu, .order = 1, .tolerance = 2e-5},
    {.name = "tiles of 4, segments", .images = 1, .height = 9, .width = 26, .in = {9, 4}, .out = {8, 6}, .padding = 0, .dilation = 1, .tile = 4, .bias = 2, .act = OP_leaky_relu, .in_concat = true, .out_concat = true, .tolerance = 2e-5},
    {.name = "tiles of 4, more", .images = 2, .height = 30, .width = 41, .in = {16}, .out = {13}, .padding = 1, .dilation = 1, .tile = 4, .bias = 1, .act = OP_relu, .order = 2, .more = 2, .tolerance = 2e-5},
    {.name = "tiles of 4, dilated", .images = 1, .height = 23, .width = 14, .in = {10}, .out = {40}, .padding = 3, .dilation = 3, .tile = 4, .bias = 3, .tolerance = 2e-5},
    {.name = "tiles of 4, many channels", .images = 1, .height = 7, .width = 10, .in = {130}, .out = {140}, .padding = 1, .dilation = 1, .tile = 4, .tolerance = 2e-5},
    {.name = "tiles of 4, smaller than one", .images = 1, .height = 2, .width = 1, .in = {8}, .out = {8}, .padding = 1, .dilation = 1, .tile = 4, .tolerance = 2e-5},
    {.name = "tiles of 2", .images = 2, .height = 11, .width = 9, .in = {20}, .out = {12}, .padding = 1, .dilation = 1, .tile = 2, .bias = 1, .act = OP_relu, .more = 1, .tolerance = 2e-5},
    {.name = "tiles of 4, rows masked", .images = 2, .height = 30, .width = 41, .in = {16}, .out = {13}, .padding = 1, .dilation = 1, .tile = 4, .more = 5, .tolerance = 2e-5},
    {.name = "tiles of 2, rows", .images = 1, .height = 11, .width = 90, .in = {8}, .out = {12}, .padding = 1, .dilation = 1, .tile = 2, .more = 4, .tolerance = 2e-5},
    {.name = "tiles of 2, dilated beyond the picture", .images = 1, .height = 13, .width = 12, .in = {10}, .out = {8}, .padding = 12, .dilation = 12, .tile = 2, .bias = 1, .order = 1, .tolerance = 2e-5},
    {.name = "tiles of 4, long rows", .images = 1, .height = 6, .width = 90, .in = {8}, .out = {16}, .padding = 1, .dilation = 1, .tile = 4, .act = OP_relu, .tolerance = 2e-5},
    {.name = "tiles of 4, several rows a task", .images = 1, .height = 190, .width = 150, .in = {8}, .out = {8}, .padding = 1, .dilation = 1, .tile = 4, .tolerance = 2e-5},
    {.name = "tiles of 4, weights read", .images = 2, .height = 17, .width = 19, .in = {20}, .out = {28}, .kernel = 3, .padding = 1, .dilation = 1, .tile = 4, .bias = 1, .act = OP_relu, .order = 1, .tolerance = 2e-5},
    {.name = "tiles of 4, weights read, segments", .images = 1, .height = 9, .width = 26, .in = {9, 4}, .out = {8, 6}, .kernel = 3, .padding = 0, .dilation = 1, .tile = 4, .bias = 2, .act = OP_leaky_relu, .order = 2, .in_concat = true, .out_concat = true, .tolerance = 2e-5},
    {.name = "tiles of 4, weights read, many channels", .images = 1, .height = 7, .width = 10, .in = {330}, .out = {140}, .kernel = 3, .padding = 1, .dilation = 1, .tile = 4, .more = 2, .tolerance = 2e-5},
    {.name = "tiles of 4, weights read, dilated", .images = 1, .height = 23, .width = 14, .in = {10}, .out = {40}, .kernel = 3, .padding = 3, .dilation = 3, .tile = 4, .bias = 3, .tolerance = 2e-5},
    {.name = "resize by 2 -> tiles of 4, weights read", .images = 2, .height = 18, .width = 60, .in = {20}, .out = {28}, .kernel = 3, .padding = 1, .dilation = 1, .tile = 4, .from_height = 9, .from_width = 30, .bias = 1, .act = OP_relu, .tolerance = 2e-5},
    {.name = "resize by 2 -> tiles of 4", .images = 2, .height = 18, .width = 60, .in = {20}, .out = {28}, .padding = 1, .dilation = 1, .tile = 4, .from_height = 9, .from_width = 30, .bias = 1, .act = OP_relu, .tolerance = 2e-5},
    {.name = "resize by 1.7 -> tiles of 4, segments", .images = 1, .height = 22, .width = 19, .in = {9, 4}, .out = {8, 6}, .padding = 0, .dilation = 1, .tile = 4, .from_height = 13, .from_width = 11, .is_aligned = true, .bias = 2, .order = 1, .in_concat = true, .out_concat = true, .tolerance = 2e-5},
    {.name = "nearest -> tiles of 2", .images = 1, .height = 15, .width = 41, .in = {12}, .out = {13}, .padding = 1, .dilation = 1, .tile = 2, .from_height = 4, .from_width = 13, .is_nearest = true, .more = 1, .tolerance = 2e-5},
    {.name = "one line resized -> tiles of 4", .images = 1, .height = 3, .width = 30, .in = {8}, .out = {8}, .padding = 2, .dilation = 1, .tile = 4, .from_height = 1, .from_width = 2, .tolerance = 2e-5},
    // depthwise
    {.name = "depthwise 3", .images = 2, .height = 10, .width = 13, .in = {20}, .out = {20}, .kernel = 3, .padding = 1, .is_depthwise = true, .bias = 1, .act = OP_relu},
    {.name = "depthwise 3 by 2", .images = 1, .height = 11, .width = 14, .in = {12, 12}, .out = {12, 12}, .kernel = 3, .stride = 2, .padding = 1, .is_depthwise = true, .bias = 3},
    {.name = "depthwise 5", .images = 1, .height = 15, .width = 20, .in = {7}, .out = {7}, .kernel = 5, .padding = 2, .is_depthwise = true, .act = OP_leaky_relu},
    {.name = "depthwise 5 by 2", .images = 2, .height = 13, .width = 27, .in = {9, 9}, .out = {9, 9}, .kernel = 5, .stride = 2, .padding = 2, .is_depthwise = true, .bias = 2, .in_concat = true, .out_concat = true},
    {.name = "depthwise 7", .images = 1, .height = 9, .width = 12, .in = {8}, .out = {8}, .kernel = 7, .padding = 3, .is_depthwise = true, .more = 1},
    {.name = "depthwise 5 by 2, rows", .images = 2, .height = 13, .width = 57, .in = {9, 9}, .out = {9, 9}, .kernel = 5, .stride = 2, .padding = 2, .is_depthwise = true, .more = 4, .in_concat = true, .out_concat = true, .tolerance = 2e-5},
    {.name = "depthwise 3, rows masked", .images = 2, .height = 10, .width = 13, .in = {20}, .out = {20}, .kernel = 3, .padding = 1, .is_depthwise = true, .more = 5, .tolerance = 2e-5},
    {.name = "depthwise 3 dilated", .images = 1, .height = 9, .width = 12, .in = {8}, .out = {8}, .kernel = 3, .padding = 2, .dilation = 2, .is_depthwise = true, .more = 2},
    {.name = "depthwise 3 small", .images = 1, .height = 2, .width = 1, .in = {8}, .out = {8}, .kernel = 3, .padding = 1, .is_depthwise = true, .order = 1},
    {.name = "depthwise 3 unpadded", .images = 1, .height = 9, .width = 12, .in = {8}, .out = {8}, .kernel = 3, .is_depthwise = true},
    {.name = "depthwise 4 by 3", .images = 1, .height = 14, .width = 12, .in = {8}, .out = {8}, .kernel = 4, .stride = 3, .padding = 1, .is_depthwise = true},
};
// clang-format on

// Those whose weights are more than a small cache holds.
// clang-format off
static const Conv deep[] = {
    {.name = "deep patches", .images = 2, .height = 20, .width = 24, .in = {20}, .out = {27}, .kernel = 4, .stride = 4, .bias = 1, .act = OP_relu},
    {.name = "deep, segments", .images = 1, .height = 23, .width = 17, .in = {9, 12}, .out = {20, 12}, .kernel = 3, .stride = 1, .dilation = 2, .bias = 3, .act = OP_leaky_relu, .in_concat = true, .out_concat = true},
    {.name = "made -> pointwise", .images = 2, .height = 13, .width = 22, .in = {20, 7}, .out = {13}, .kernel = 1, .stride = 1, .is_made = true, .bias = 1, .act = OP_relu, .order = 2, .in_concat = true},
    {.name = "made -> pointwise, rows", .images = 1, .height = 15, .width = 20, .in = {40}, .out = {21}, .kernel = 1, .stride = 1, .is_made = true, .more = 4, .tolerance = 2e-5},
    {.name = "made -> pointwise to plain", .images = 2, .height = 20, .width = 17, .in = {24}, .out = {3}, .kernel = 1, .stride = 1, .is_made = true, .plain_out = true, .bias = 2},
    {.name = "made -> pointwise -> softmax", .images = 1, .height = 17, .width = 31, .in = {16}, .out = {29}, .kernel = 1, .stride = 1, .is_made = true, .more = 3, .tolerance = 1e-5},
    {.name = "deep to one pixel", .images = 1, .height = 7, .width = 7, .in = {30}, .out = {10}, .kernel = 7, .stride = 1},
};
// clang-format on

// ---- chains: [resize, concat ->] depthwise -> pointwise ------------------------------------------------------------

typedef struct Chain {
  const char *name;
  int images, height, width;   // of the depthwise convolution's operand
  int first[3], second[3];     // channels of its two parts; second may be empty
  int from_height, from_width; // the first part is resized from this; 0 = not
  bool is_nearest, is_aligned;
  int kernel, stride, padding;
  Op act;
  int out[3]; // of the pointwise convolution; none = there is none
  bool has_residual, is_plain, in_concat, has_mean;
  int half; // of the pointwise convolution
} Chain;

static void add_chain(KernelCases *cases, const Chain *c) {
  Arena *arena = cases->arena;
  Graph *graph = graph_new(arena, c->name);
  int block = cases->target->vector, n_first = count(c->first), n_second = count(c->second), segments[6];
  for (int i = 0; i < n_first; i++) segments[i] = c->first[i];
  for (int i = 0; i < n_second; i++) segments[n_first + i] = c->second[i];
  int inputs = total(c->first) + total(c->second), outputs = total(c->out), n_segments = n_first + n_second;
  const Layout *layout = case_layout(arena, LAYOUT_BLOCKED, block, n_segments, segments);
  int height = c->from_height ? c->from_height : c->height, width = c->from_height ? c->from_width : c->width;
  Node *x = input(graph, "x", SHAPE(c->images, total(c->first), height, width),
                  case_layout(arena, LAYOUT_BLOCKED, block, n_first, c->first));
  if (c->in_concat) graph_output(graph, "x in", put_into_concat(graph, x, block, 3), false);
  if (c->from_height) x = add_resize(graph, x, c->height, c->width, c->is_nearest, c->is_aligned);
  if (n_second) {
    Node *skip = input(graph, "skip", SHAPE(c->images, total(c->second), c->height, c->width),
                       case_layout(arena, LAYOUT_BLOCKED, block, n_second, c->second));
    AttrValue attrs[OP_MAX_ATTRS] = {{.i = 1}};
    x = graph_add(graph, OP_concat, (Node *[]){x, skip}, 2, attrs);
    x->layout = layout;
  }
  Node *w = input(graph, "wd", SHAPE(inputs, 1, c->kernel, c->kernel),
                  case_layout(arena, LAYOUT_WEIGHT_DW, block, n_segments, segments));
  Node *y = add_conv(graph, x, w, c->stride, c->padding, 1, inputs);
  y->layout = layout;
  y = add_binary(graph, OP_add, y, input(graph, "bd", SHAPE(1, inputs, 1, 1), layout));
  y = add_act(graph, c->act, y);
  if (outputs) {
    const Layout *to = c->is_plain ? NULL : case_layout(arena, LAYOUT_BLOCKED, block, count(c->out), c->out);
    const Layout *packed =
        case_layout(arena, weight_kind(cases), block, c->is_plain ? 1 : count(c->out), c->is_plain ? &outputs : c->out);
    if (c->half) packed = sums_of(arena, packed, c->half, layout->c);
    y = add_conv(graph, y, input(graph, "wp", SHAPE(outputs, inputs, 1, 1), packed), 1, 0, 1, 1);
    y->layout = to;
    y = add_binary(graph, OP_add, y, input(graph, "bp", SHAPE(outputs, 1, 1), NULL));
    if (c->has_residual) y = add_binary(graph, OP_add, y, input(graph, "residual", y->shape, to));
    y = add_act(graph, c->act, y);
  }
  if (c->has_mean) y = add_mean(graph, y);
  graph_output(graph, "y", y, false);
  cases_add(cases, graph, c->name, 1e-5);
}

// clang-format off
static const Chain chains[] = {
    {.name = "depthwise -> pointwise", .images = 2, .height = 17, .width = 13, .first = {20}, .kernel = 3, .padding = 1, .act = OP_relu, .out = {12}},
    {.name = "depthwise -> pointwise, segments", .images = 1, .height = 40, .width = 21, .first = {12, 9}, .kernel = 5, .stride = 2, .padding = 2, .act = OP_leaky_relu, .out = {30, 6}, .has_residual = true, .in_concat = true},
    {.name = "depthwise -> pointwise to plain", .images = 1, .height = 19, .width = 33, .first = {30}, .kernel = 3, .padding = 1, .act = OP_relu, .out = {3}, .is_plain = true},
    {.name = "resize -> concat -> depthwise -> pointwise", .images = 2, .height = 14, .width = 22, .first = {20}, .second = {12}, .from_height = 7, .from_width = 11, .is_aligned = true, .kernel = 3, .padding = 1, .act = OP_leaky_relu, .out = {18}},
    {.name = "resize by 1.7 -> concat -> depthwise -> pointwise", .images = 1, .height = 22, .width = 19, .first = {9, 3}, .second = {8, 4}, .from_height = 13, .from_width = 10, .kernel = 5, .padding = 2, .act = OP_relu, .out = {7}, .has_residual = true, .in_concat = true},
    {.name = "depthwise -> pointwise -> softmax", .images = 2, .height = 14, .width = 22, .first = {20}, .kernel = 3, .padding = 1, .act = OP_relu, .out = {18}, .has_mean = true},
    {.name = "resize -> concat -> depthwise -> pointwise -> softmax", .images = 1, .height = 9, .width = 100, .first = {20}, .second = {12}, .from_height = 7, .from_width = 50, .is_aligned = true, .kernel = 3, .padding = 1, .act = OP_relu, .out = {40}, .has_mean = true},
    {.name = "resize by 2 -> depthwise -> pointwise, 60 rows in 16 pieces", .images = 1, .height = 60, .width = 52, .first = {20}, .from_height = 30, .from_width = 26, .kernel = 3, .padding = 1, .act = OP_relu, .out = {12}},
    {.name = "resize -> depthwise -> pointwise", .images = 1, .height = 30, .width = 24, .first = {30}, .from_height = 5, .from_width = 8, .is_nearest = true, .kernel = 3, .padding = 1, .act = OP_relu, .out = {3}, .is_plain = true},
    {.name = "depthwise -> seven products", .images = 2, .height = 17, .width = 13, .first = {40}, .kernel = 3, .padding = 1, .act = OP_relu, .out = {64}, .half = 16},
    {.name = "resize -> concat -> depthwise -> seven products", .images = 1, .height = 14, .width = 22, .first = {32}, .second = {12, 12}, .from_height = 7, .from_width = 11, .is_aligned = true, .kernel = 3, .padding = 1, .act = OP_leaky_relu, .out = {128}, .half = 16},
    {.name = "resize -> concat -> depthwise -> seven products of all segments", .images = 1, .height = 14, .width = 22, .first = {20}, .second = {28, 16}, .from_height = 7, .from_width = 11, .kernel = 3, .padding = 1, .act = OP_relu, .out = {64}, .half = 16},
    {.name = "resize by 2 -> depthwise", .images = 2, .height = 14, .width = 22, .first = {20}, .from_height = 7, .from_width = 11, .kernel = 3, .padding = 1, .act = OP_relu},
    {.name = "resize by 1.7 -> depthwise, rows not blended", .images = 1, .height = 22, .width = 19, .first = {12}, .from_height = 13, .from_width = 10, .kernel = 3, .padding = 1, .act = OP_relu},
    {.name = "resize by 1.7 and repeated -> depthwise", .images = 1, .height = 22, .width = 19, .first = {12}, .from_height = 13, .from_width = 10, .is_nearest = true, .kernel = 3, .padding = 1, .act = OP_relu},
    {.name = "a line resized -> depthwise", .images = 1, .height = 5, .width = 12, .first = {9}, .from_height = 1, .from_width = 4, .kernel = 3, .padding = 2, .act = OP_input},
    {.name = "two lines resized -> depthwise without padding", .images = 1, .height = 9, .width = 12, .first = {9}, .from_height = 2, .from_width = 4, .is_aligned = true, .kernel = 3, .padding = 0, .act = OP_input},
    {.name = "resize -> concat -> depthwise", .images = 2, .height = 12, .width = 10, .first = {13}, .second = {16}, .from_height = 6, .from_width = 5, .is_aligned = true, .kernel = 3, .padding = 1, .act = OP_relu},
    {.name = "resize -> concat -> depthwise by 2", .images = 1, .height = 12, .width = 11, .first = {13}, .second = {16}, .from_height = 6, .from_width = 5, .kernel = 3, .stride = 2, .padding = 1, .act = OP_input},
};
// clang-format on

// ---- gradients ------------------------------------------------------------------------------------------------------

typedef struct Grad {
  const char *name;
  bool is_dx; // by x, else by the weight
  int images, height, width;
  int in[3], out[3];
  int kernel, stride, padding, dilation;
  bool is_depthwise, plain_x, plain_g, in_concat, is_tiled, is_masked;
} Grad;

static void set_int(AttrValue *attrs, Op op, const char *name, int value) { attrs[op_attr_index(op, name)].i = value; }

static void add_grad(KernelCases *cases, const Grad *c) {
  Arena *arena = cases->arena;
  Graph *graph = graph_new(arena, c->name);
  int block = cases->target->vector, inputs = total(c->in), outputs = total(c->out), k = c->kernel;
  int span = c->dilation * (k - 1) + 1;
  int oh = (c->height + 2 * c->padding - span) / c->stride + 1, ow = (c->width + 2 * c->padding - span) / c->stride + 1;
  const Layout *x_layout = c->plain_x ? NULL : case_layout(arena, LAYOUT_BLOCKED, block, count(c->in), c->in);
  const Layout *g_layout = c->plain_g ? NULL : case_layout(arena, LAYOUT_BLOCKED, block, count(c->out), c->out);
  Node *g = input(graph, "g", SHAPE(c->images, outputs, oh, ow), g_layout);
  Op op = c->is_dx ? OP_conv2d_dx : OP_conv2d_dw;
  if (c->is_tiled) op = OP_conv2d_dw_winograd;
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  set_int(attrs, op, "padding", c->padding);
  set_int(attrs, op, "dilation", c->dilation);
  if (!c->is_tiled) {
    set_int(attrs, op, "stride", c->stride);
    set_int(attrs, op, "groups", c->is_depthwise ? inputs : 1);
  }
  Node *y;
  if (c->is_dx) {
    const Layout *w_layout =
        c->is_depthwise ? case_layout(arena, LAYOUT_WEIGHT_DW, block, count(c->out), c->out) : NULL;
    set_int(attrs, op, "height", c->height);
    set_int(attrs, op, "width", c->width);
    y = graph_add(graph, op,
                  (Node *[]){g, input(graph, "w", SHAPE(outputs, c->is_depthwise ? 1 : inputs, k, k), w_layout)}, 2,
                  attrs);
    y->layout = x_layout;
    if (c->is_masked) y = add_masked(graph, y);
  } else {
    if (!c->is_tiled) {
      set_int(attrs, op, "kh", k);
      set_int(attrs, op, "kw", k);
    }
    Node *x = input(graph, "x", SHAPE(c->images, inputs, c->height, c->width), x_layout);
    if (c->in_concat) graph_output(graph, "x in", put_into_concat(graph, x, block, 5), false);
    y = graph_add(graph, op, (Node *[]){x, g}, 2, attrs);
  }
  graph_output(graph, "y", y, false);
  cases_add(cases, graph, c->name, 2e-6 * sqrt((double)(c->images * oh * ow) + 9));
}

// clang-format off
static const Grad grads[] = {
    {.name = "dW pointwise 24->72", .images = 2, .height = 12, .width = 10, .in = {24}, .out = {72}, .kernel = 1},
    {.name = "dW pointwise 12+9->20+3", .images = 3, .height = 5, .width = 7, .in = {12, 9}, .out = {20, 3}, .kernel = 1, .in_concat = true},
    {.name = "dW pointwise many pixels", .images = 2, .height = 61, .width = 83, .in = {16}, .out = {8}, .kernel = 1},
    {.name = "dW pointwise large", .images = 1, .height = 15, .width = 20, .in = {160}, .out = {250}, .kernel = 1},
    {.name = "dW of one pixel", .images = 4, .height = 1, .width = 1, .in = {72}, .out = {20}, .kernel = 1},
    {.name = "dW bridge", .images = 2, .height = 4, .width = 6, .in = {20}, .out = {40}, .kernel = 1, .padding = 1},
    {.name = "dW dense 3x3", .images = 2, .height = 9, .width = 11, .in = {20}, .out = {12}, .kernel = 3, .padding = 1},
    {.name = "dW dense 3x3 by 2", .images = 1, .height = 10, .width = 11, .in = {9, 4}, .out = {27}, .kernel = 3, .stride = 2, .padding = 1},
    {.name = "dW dense dilated", .images = 1, .height = 10, .width = 11, .in = {9}, .out = {8}, .kernel = 3, .padding = 3, .dilation = 3},
    {.name = "dW tiles", .images = 2, .height = 9, .width = 11, .in = {20}, .out = {12}, .kernel = 3, .padding = 1, .is_tiled = true},
    {.name = "dW tiles, dilated", .images = 1, .height = 13, .width = 11, .in = {9}, .out = {8}, .kernel = 3, .padding = 3, .dilation = 3, .is_tiled = true},
    {.name = "dW tiles, segments", .images = 2, .height = 22, .width = 18, .in = {12, 9}, .out = {20, 3}, .kernel = 3, .in_concat = true, .is_tiled = true},
    {.name = "dW tiles, many channels", .images = 1, .height = 24, .width = 31, .in = {130}, .out = {100}, .kernel = 3, .padding = 1, .is_tiled = true},
    {.name = "dW tiles, parts of an image", .images = 1, .height = 62, .width = 66, .in = {20}, .out = {28}, .kernel = 3, .padding = 1, .is_tiled = true},
    {.name = "dW tiles, parts of some images", .images = 5, .height = 31, .width = 47, .in = {9}, .out = {8}, .kernel = 3, .padding = 1, .is_tiled = true},
    {.name = "dW pointwise, parts of an image", .images = 3, .height = 75, .width = 99, .in = {12, 9}, .out = {30}, .kernel = 1, .in_concat = true},
    {.name = "dW pointwise, parts of some images", .images = 11, .height = 17, .width = 30, .in = {40}, .out = {56}, .kernel = 1},
    {.name = "dW dense, parts of an image", .images = 2, .height = 40, .width = 51, .in = {9, 4}, .out = {27}, .kernel = 3, .stride = 2, .padding = 1},
    {.name = "dW depthwise, parts of an image", .images = 2, .height = 121, .width = 99, .in = {9}, .out = {9}, .kernel = 3, .padding = 1, .is_depthwise = true},
    {.name = "dW to many plain channels", .images = 2, .height = 16, .width = 21, .in = {20}, .out = {24}, .kernel = 1, .plain_g = true},
    {.name = "dW of plain patches", .images = 2, .height = 12, .width = 16, .in = {24}, .out = {16}, .kernel = 4, .stride = 4, .plain_g = true},
    {.name = "dW stem", .images = 2, .height = 22, .width = 34, .in = {3}, .out = {16}, .kernel = 3, .stride = 2, .padding = 1, .plain_x = true},
    {.name = "dW stem of seven", .images = 1, .height = 21, .width = 33, .in = {7}, .out = {16}, .kernel = 3, .stride = 2, .padding = 1, .plain_x = true},
    {.name = "dW to few channels", .images = 2, .height = 6, .width = 11, .in = {30}, .out = {3}, .kernel = 1, .plain_g = true},
    {.name = "dW of a head", .images = 1, .height = 6, .width = 11, .in = {32}, .out = {1}, .kernel = 3, .padding = 1, .stride = 2, .plain_g = true},
    {.name = "dW depthwise 3", .images = 2, .height = 10, .width = 13, .in = {12, 9}, .out = {12, 9}, .kernel = 3, .padding = 1, .is_depthwise = true, .in_concat = true},
    {.name = "dW depthwise 3 by 2", .images = 1, .height = 11, .width = 14, .in = {20}, .out = {20}, .kernel = 3, .stride = 2, .padding = 1, .is_depthwise = true},
    {.name = "dW depthwise 5", .images = 1, .height = 15, .width = 20, .in = {7}, .out = {7}, .kernel = 5, .padding = 2, .is_depthwise = true},
    {.name = "dW depthwise 5 by 2", .images = 2, .height = 13, .width = 27, .in = {16}, .out = {16}, .kernel = 5, .stride = 2, .padding = 2, .is_depthwise = true},
    {.name = "dW depthwise 7", .images = 1, .height = 9, .width = 12, .in = {8}, .out = {8}, .kernel = 7, .padding = 3, .is_depthwise = true},
    {.name = "dW depthwise 3 dilated", .images = 1, .height = 9, .width = 12, .in = {8}, .out = {8}, .kernel = 3, .padding = 2, .dilation = 2, .is_depthwise = true},
    {.name = "dW depthwise 3 small", .images = 1, .height = 2, .width = 1, .in = {8}, .out = {8}, .kernel = 3, .padding = 1, .is_depthwise = true},
    {.name = "dx depthwise 3 by 2", .is_dx = true, .images = 2, .height = 11, .width = 14, .in = {12, 9}, .out = {12, 9}, .kernel = 3, .stride = 2, .padding = 1, .is_depthwise = true},
    {.name = "dx depthwise 3, rows masked", .is_dx = true, .images = 2, .height = 11, .width = 44, .in = {12, 9}, .out = {12, 9}, .kernel = 3, .padding = 1, .is_depthwise = true, .is_masked = true},
    {.name = "dx depthwise 5 by 2", .is_dx = true, .images = 1, .height = 12, .width = 27, .in = {20}, .out = {20}, .kernel = 5, .stride = 2, .padding = 2, .is_depthwise = true},
    {.name = "dx depthwise 3", .is_dx = true, .images = 1, .height = 5, .width = 9, .in = {8}, .out = {8}, .kernel = 3, .padding = 1, .is_depthwise = true},
    {.name = "dx dense 3 by 2", .is_dx = true, .images = 2, .height = 11, .width = 14, .in = {12, 9}, .out = {20, 3}, .kernel = 3, .stride = 2, .padding = 1},
    {.name = "dx dense 3 by 2, narrow", .is_dx = true, .images = 1, .height = 4, .width = 3, .in = {40}, .out = {8}, .kernel = 3, .stride = 2, .padding = 1},
    {.name = "dx dense patches", .is_dx = true, .images = 1, .height = 16, .width = 24, .in = {16}, .out = {12}, .kernel = 4, .stride = 4},
    {.name = "dx dense 5 by 3, dilated", .is_dx = true, .images = 1, .height = 21, .width = 17, .in = {9}, .out = {17}, .kernel = 5, .stride = 3, .padding = 3, .dilation = 2},
    {.name = "dx dense by more than the kernel", .is_dx = true, .images = 1, .height = 11, .width = 13, .in = {9}, .out = {8}, .kernel = 2, .stride = 3, .padding = 1},
    {.name = "dx depthwise 3 by 4", .is_dx = true, .images = 1, .height = 9, .width = 12, .in = {8}, .out = {8}, .kernel = 3, .stride = 4, .padding = 0, .is_depthwise = true},
};
// clang-format on

// ---- matrix products ------------------------------------------------------------------------------------------------

typedef struct Product {
  int a[5], b[5]; // sizes, 0 ends
  bool ta, tb;
} Product;

static Shape shape_from(const int *sizes) {
  Shape shape = {0};
  while (shape.rank < 5 && sizes[shape.rank]) {
    shape.dim[shape.rank] = sizes[shape.rank];
    shape.rank++;
  }
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
  graph_output(graph, "y", y, false);
  cases_add(cases, graph, name, 1e-5);
}

static const Product products[] = {
    {{5, 7}, {7, 9}, false, false},
    {{1, 33}, {33, 40}, false, false},
    {{100, 64}, {64, 250}, false, false},
    {{7, 100}, {7, 50}, true, false},
    {{60, 30}, {19, 30}, false, true},
    {{30, 70}, {5, 30}, true, true},
    {{13, 8}, {8, 1}, false, false},
    {{2, 3, 20, 12}, {2, 3, 12, 16}, false, false},
    {{2, 1, 20, 12}, {3, 31, 12}, false, true},
    {{4, 9, 6}, {6, 24}, false, false},
    {{6, 24}, {2, 6, 10}, true, false},
    {{300, 1}, {1, 300}, false, false},
};

static void add_all(KernelCases *cases) {
  for (size_t i = 0; i < sizeof convs / sizeof *convs; i++) {
    Conv c = convs[i];
    if (!c.stride) c.stride = 1;
    if (!c.dilation) c.dilation = 1;
    if (c.act == 0) c.act = OP_input;
    add_case(cases, &c);
  }
  for (size_t i = 0; i < sizeof grads / sizeof *grads; i++) {
    Grad c = grads[i];
    if (!c.stride) c.stride = 1;
    if (!c.dilation) c.dilation = 1;
    add_grad(cases, &c);
  }
  for (size_t i = 0; i < sizeof products / sizeof *products; i++) add_product(cases, &products[i]);
}

// Those that need small caches, so that fusing is worth while, tiles are small and results go past them.
static void add_small(KernelCases *cases) {
  for (size_t i = 0; i < sizeof convs / sizeof *convs; i++) {
    Conv c = convs[i];
    if (c.act == 0) c.act = OP_input;
    if (c.tile) add_case(cases, &c);
  }
  for (size_t i = 0; i < sizeof deep / sizeof *deep; i++) {
    Conv c = deep[i];
    if (!c.dilation) c.dilation = 1;
    if (!c.act) c.act = OP_input;
    add_case(cases, &c);
  }
  for (size_t i = 0; i < sizeof chains / sizeof *chains; i++) {
    Chain c = chains[i];
    if (!c.stride) c.stride = 1;
    add_chain(cases, &c);
  }
}

// As the cost models say or, with a tuning, with each alternative to that.
static void run(const Target *target, void (*add)(KernelCases *)) {
  KernelCases cases;
  cases_begin(&cases, target);
  for (int i = 0; i < (target->tuning ? KNOB_ALTERNATIVES : 1); i++) {
    if (target->tuning) tuning_force(target->tuning, i, -1);
    add(&cases);
  }
  cases_run(&cases);
}

static void test_target(const Target *target) {
  run(target, add_all);
  Target small = *target;
  small.l2 = 4 << 10;
  small.l3 = 1;
  run(&small, add_small);
}

// Whatever schedules leave open is correct with every alternative.
static void test_alternatives(void) {
  Arena *arena = arena_new();
  Target target = *target_host();
  target.tuning = tuning_new(arena);
  test_target(&target);
  const TuningSubject *subject;
  int most = tuning_subjects(target.tuning, &subject), used = tuning_used(target.tuning);
  CHECK(used > most / 2 && used <= most, "%d of %d kernels took another choice than the cost model's", used, most);
  arena_free(arena);
}

// Other vectors and accumulators than this machine's: floats of each. Some with a last cache of next to nothing.
static void test_widths(void) {
  static const int widths[][2] = {{4, 4}, {4, 8}, {8, 8}, {16, 16}};
  for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
    Target target = *target_host();
    if (target.vector == widths[i][0] && target.wide == widths[i][1]) continue;
    target.vector = widths[i][0];
    target.wide = widths[i][1];
    target.registers = target.vector == 16 ? 32 : 16;
    if (i % 2) target.l3 = 4 << 10; // pictures that no cache holds
    test_target(&target);
  }
}

// A resize in front of tiles, into 18 x 30.
static bool can_resize(const Target *target, int from_height, int from_width) {
  enum { CHANNELS = 8 };
  Arena *arena = arena_new();
  Graph *graph = graph_new(arena, "resized");
  KernelCases cases = {.target = target};
  const Layout *blocked = case_layout(arena, LAYOUT_BLOCKED, target->vector, 1, (int[]){CHANNELS});
  Node *x = input(graph, "x", SHAPE(1, CHANNELS, from_height, from_width), blocked);
  Node *w = input(graph, "w", SHAPE(CHANNELS, CHANNELS, 6, 6),
                  case_layout(arena, weight_kind(&cases), target->vector, 1, (int[]){CHANNELS}));
  Node *members[2] = {add_resize(graph, x, 18, 30, false, false)};
  members[1] = add_winograd(graph, members[0], w, 1, 1);
  members[1]->layout = blocked;
  graph_output(graph, "y", members[1], false);
  graph_sort(graph);
  members[0]->group = members[1]->group = 0;
  Group group = group_make(group_index(graph, arena), members, 2, arena);
  bool can = kernel_can_fuse(target, &group, NULL);
  arena_free(arena);
  return can;
}

static void test_resizes(const Target *target) {
  CHECK(can_resize(target, 18, 30) && can_resize(target, 9, 15), "tiles read a picture that is made larger");
  CHECK(!can_resize(target, 36, 30), "tiles have no room for more rows than they have");
  CHECK(!can_resize(target, 9, 200), "tiles have no room for more columns than they have");
}

// Whether the tasks of a convolution by tiles transform these together.
static bool is_joint(const Target *target, int height, int width, int inputs, int outputs) {
  Arena *arena = arena_new();
  Graph *graph = graph_new(arena, "joint");
  KernelCases cases = {.target = target};
  Node *x = input(graph, "x", SHAPE(1, inputs, height, width),
                  case_layout(arena, LAYOUT_BLOCKED, target->vector, 1, (int[]){inputs}));
  Node *w = input(graph, "w", SHAPE(outputs, inputs, 6, 6),
                  case_layout(arena, weight_kind(&cases), target->vector, 1, (int[]){outputs}));
  Node *y = add_winograd(graph, x, w, 1, 1);
  y->layout = case_layout(arena, LAYOUT_BLOCKED, target->vector, 1, (int[]){outputs});
  graph_output(graph, "y", y, false);
  graph_sort(graph);
  y->group = 0;
  Group group = group_make(group_index(graph, arena), &y, 1, arena);
  Text text = {0};
  KernelInfo info;
  kernel_emit(target, &group, arena, &text, &info);
  bool is = strstr(text_get(&text), "sg_winograd_joint_4(") != NULL;
  text_free(&text);
  arena_free(arena);
  return is;
}

static void test_joints(void) {
  Target target = *target_cpu("avx2");
  target.l3 = 16 << 20;
  CHECK(is_joint(&target, 15, 20, 512, 256), "many channels of few tiles are transformed once");
  CHECK(!is_joint(&target, 240, 320, 32, 32), "tasks of many tiles have tiles of their own");
  target.l3 = 1 << 20;
  CHECK(!is_joint(&target, 15, 20, 512, 256), "tiles stay in the last cache or with their task");
}

int main(void) {
  Target target = *target_host();
  test_joints();
  test_resizes(&target);
  test_target(&target);
#ifdef __SANITIZE_ADDRESS__
  (void)test_alternatives, (void)test_widths; // kernels compile slowly then
#else
  test_alternatives();
  test_widths();
#endif
  return check_report("contract");
}
