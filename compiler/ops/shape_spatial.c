// Shape rules of contractions, interpolation and index ops.
#include "compiler/ops/rules.h"

static int64_t int_attr(const Node *node, const char *name) { return node_attr(node, name).i; }

// ---- matrix product -------------------------------------------------------------------------------------------------

bool shape_matmul(Node *node, Text *why) {
  Shape a = node->in[0]->shape, b = node->in[1]->shape;
  char ta[SHAPE_TEXT], tb[SHAPE_TEXT];
  if (a.rank < 2 || b.rank < 2) {
    text_printf(why, "matrices need at least two axes: shapes %s and %s", shape_text(a, ta), shape_text(b, tb));
    return false;
  }
  bool is_ta = int_attr(node, "transpose_a"), is_tb = int_attr(node, "transpose_b");
  int64_t rows = a.dim[a.rank - (is_ta ? 1 : 2)], inner_a = a.dim[a.rank - (is_ta ? 2 : 1)];
  int64_t inner_b = b.dim[b.rank - (is_tb ? 1 : 2)], columns = b.dim[b.rank - (is_tb ? 2 : 1)];
  if (inner_a != inner_b) {
    text_printf(why, "inner sizes differ: %lld and %lld, of shapes %s%s and %s%s", (long long)inner_a,
                (long long)inner_b, shape_text(a, ta), is_ta ? " (transposed)" : "", shape_text(b, tb),
                is_tb ? " (transposed)" : "");
    return false;
  }
  Shape lead_a = a, lead_b = b, shape;
  lead_a.rank -= 2;
  lead_b.rank -= 2;
  if (!broadcast_shapes(lead_a, lead_b, &shape, why)) return false;
  shape.dim[shape.rank++] = rows;
  shape.dim[shape.rank++] = columns;
  return set_shape(node, shape, why);
}

// ---- convolution ----------------------------------------------------------------------------------------------------

int64_t conv_size(int64_t in, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
  int64_t span = in + 2 * padding - dilation * (kernel - 1);
  return span < 1 ? 0 : (span - 1) / stride + 1;
}

// Also keeps products of the attributes and sizes below 2^62.
static bool check_range(const Node *node, const char *name, int64_t least, Text *why) {
  const int64_t most = 1 << 20;
  int64_t value = int_attr(node, name);
  if (value >= least && value <= most) return true;
  text_printf(why, "%s must lie in %lld..%lld, not %lld", name, (long long)least, (long long)most, (long long)value);
  return false;
}

static bool check_conv(const Node *node, Text *why) {
  return check_range(node, "stride", 1, why) && check_range(node, "padding", 0, why) &&
         check_range(node, "dilation", 1, why) && check_range(node, "groups", 1, why);
}

// The shape of conv2d's result for x and weight under the node's attributes.
static bool conv_result(const Node *node, Shape x, Shape weight, Shape *out, Text *why) {
  if (!check_conv(node, why) || !require_rank("x", x, 4, why) || !require_rank("weight", weight, 4, why)) return false;
  int64_t groups = int_attr(node, "groups");
  char tx[SHAPE_TEXT], tw[SHAPE_TEXT];
  if (x.dim[1] % groups || weight.dim[0] % groups) {
    text_printf(why, "channels are not divisible by %lld groups: x is %s, weight is %s", (long long)groups,
                shape_text(x, tx), shape_text(weight, tw));
    return false;
  }
  if (weight.dim[1] != x.dim[1] / groups) {
    text_printf(why, "x %s has %lld channels a group, weight %s is made for %lld", shape_text(x, tx),
                (long long)(x.dim[1] / groups), shape_text(weight, tw), (long long)weight.dim[1]);
    return false;
  }
  if (!op_shape_ok(weight, why)) return false;
  int64_t stride = int_attr(node, "stride"), padding = int_attr(node, "padding"), dilation = int_attr(node, "dilation");
  Shape shape = SHAPE(x.dim[0], weight.dim[0], 0, 0);
  for (int i = 2; i < 4; i++) {
    shape.dim[i] = conv_size(x.dim[i], weight.dim[i], stride, padding, dilation);
    if (shape.dim[i] < 1) {
      text_printf(why, "the kernel of weight %s does not fit into x %s with padding %lld and dilation %lld",
                  shape_text(weight, tw), shape_text(x, tx), (long long)padding, (long long)dilation);
      return false;
    }
  }
  *out = shape;
  return op_shape_ok(shape, why);
}

bool shape_conv2d(Node *node, Text *why) {
  Shape shape;
  return conv_result(node, node->in[0]->shape, node->in[1]->shape, &shape, why) && set_shape(node, shape, why);
}

// Whether convolving x with weight gives what stands in as the gradient of the result.
static bool check_gout(const Node *node, Shape x, Shape weight, Shape gout, Text *why) {
  Shape shape;
  if (!conv_result(node, x, weight, &shape, why)) return false;
  if (shape_equal(shape, gout)) return true;
  char a[SHAPE_TEXT], b[SHAPE_TEXT];
  text_printf(why, "the convolution's result is %s, its gradient %s", shape_text(shape, a), shape_text(gout, b));
  return false;
}

bool shape_conv2d_dx(Node *node, Text *why) {
  Shape gout = node->in[0]->shape, weight = node->in[1]->shape;
  if (!require_rank("gradient", gout, 4, why) || !require_rank("weight", weight, 4, why) || !check_conv(node, why) ||
      !check_range(node, "height", 1, why) || !check_range(node, "width", 1, why))
    return false;
  int64_t groups = int_attr(node, "groups");
  if (weight.dim[1] > ((int64_t)1 << 40) / groups) {
    text_put(why, "too many channels");
    return false;
  }
  Shape x = SHAPE(gout.dim[0], weight.dim[1] * groups, int_attr(node, "height"), int_attr(node, "width"));
  return check_gout(node, x, weight, gout, why) && set_shape(node, x, why);
}

bool shape_conv2d_dw(Node *node, Text *why) {
  Shape x = node->in[0]->shape, gout = node->in[1]->shape;
  if (!require_rank("x", x, 4, why) || !require_rank("gradient", gout, 4, why) || !check_conv(node, why) ||
      !check_range(node, "kh", 1, why) || !check_range(node, "kw", 1, why))
    return false;
  Shape weight = SHAPE(gout.dim[1], x.dim[1] / int_attr(node, "groups"), int_attr(node, "kh"), int_attr(node, "kw"));
  return check_gout(node, x, weight, gout, why) && set_shape(node, weight, why);
}

bool shape_winograd_weight(Node *node, Text *why) {
  Shape weight = node->in[0]->shape, matrix = node->in[1]->shape;
  if (!require_rank("weight", weight, 4, why) || !require_rank("matrix", matrix, 2, why)) return false;
  int64_t t = matrix.dim[1] == 16 ? 4 : 6;
  if (weight.dim[2] != 3 || weight.dim[3] != 3 || matrix.dim[0] != 9 || matrix.dim[1] != t * t) {
    char tw[SHAPE_TEXT], tm[SHAPE_TEXT];
    text_printf(why, "a weight [O, C, 3, 3] and a matrix [9, 16] or [9, 36] are needed, not %s and %s",
                shape_text(weight, tw), shape_text(matrix, tm));
    return false;
  }
  return set_shape(node, SHAPE(weight.dim[0], weight.dim[1], t, t), why);
}

bool shape_conv2d_winograd(Node *node, Text *why) {
  Shape x = node->in[0]->shape, weight = node->in[1]->shape;
  if (!require_rank("x", x, 4, why) || !require_rank("weight", weight, 4, why) ||
      !check_range(node, "padding", 0, why) || !check_range(node, "dilation", 1, why))
    return false;
  bool is_tile = weight.dim[2] == weight.dim[3] && (weight.dim[2] == 3 || weight.dim[2] == 4 || weight.dim[2] == 6);
  if (!is_tile || weight.dim[1] != x.dim[1]) {
    char tx[SHAPE_TEXT], tw[SHAPE_TEXT];
    text_printf(why, "x %s needs a weight [O, C, 3, 3], or transformed [O, C, 4, 4] or [O, C, 6, 6], not %s",
                shape_text(x, tx), shape_text(weight, tw));
    return false;
  }
  Shape shape = SHAPE(x.dim[0], weight.dim[0], 0, 0);
  for (int i = 2; i < 4; i++) {
    shape.dim[i] = conv_size(x.dim[i], 3, 1, int_attr(node, "padding"), int_attr(node, "dilation"));
    if (shape.dim[i] < 1) {
      text_put(why, "the kernel does not fit into x");
      return false;
    }
  }
  return op_shape_ok(shape, why) && set_shape(node, shape, why);
}

bool shape_conv2d_dw_winograd(Node *node, Text *why) {
  Shape x = node->in[0]->shape, gout = node->in[1]->shape;
  if (!require_rank("x", x, 4, why) || !require_rank("gradient", gout, 4, why) ||
      !check_range(node, "padding", 0, why) || !check_range(node, "dilation", 1, why))
    return false;
  bool fits = gout.dim[0] == x.dim[0];
  for (int i = 2; i < 4; i++)
    fits &= gout.dim[i] == conv_size(x.dim[i], 3, 1, int_attr(node, "padding"), int_attr(node, "dilation"));
  if (!fits) {
    char tx[SHAPE_TEXT], tg[SHAPE_TEXT];
    text_printf(why, "no 3x3 convolution of x %s has a result of %s", shape_text(x, tx), shape_text(gout, tg));
    return false;
  }
  return set_shape(node, SHAPE(gout.dim[1], x.dim[1], 3, 3), why);
}

// ---- interpolation --------------------------------------------------------------------------------------------------

ResizeTap resize_tap(bool is_nearest, bool align_corners, int64_t in, int64_t out, int64_t i) {
  ResizeTap tap = {0};
  if (is_nearest) {
    tap.low = tap.high = i * in / out;
    return tap;
  }
  double source;
  if (align_corners) {
    source = out > 1 ? (double)i * (double)(in - 1) / (double)(out - 1) : 0;
  } else {
    source = ((double)i + 0.5) * (double)in / (double)out - 0.5;
    if (source < 0) source = 0;
  }
  tap.low = (int64_t)source;
  if (tap.low > in - 1) tap.low = in - 1;
  tap.high = tap.low + 1 < in ? tap.low + 1 : tap.low;
  tap.weight = source - (double)tap.low;
  return tap;
}

bool shape_resize(Node *node, Text *why) {
  Shape x = node->in[0]->shape, size = node_attr(node, "size").ints;
  if (!require_rank("x", x, 4, why)) return false;
  if (size.rank != 2) {
    text_printf(why, "size is a height and a width, not %d number%s", size.rank, size.rank == 1 ? "" : "s");
    return false;
  }
  const int64_t most = 1 << 20; // keeps resize_tap exact
  for (int i = 0; i < 2; i++) {
    if (size.dim[i] >= 1 && size.dim[i] <= most && x.dim[2 + i] <= most) continue;
    char from[SHAPE_TEXT], to[SHAPE_TEXT];
    text_printf(why, "sizes must lie in 1..%lld: x is %s, size %s", (long long)most, shape_text(x, from),
                shape_text(size, to));
    return false;
  }
  bool is_nearest = int_attr(node, "mode") == 1;
  int64_t corners = int_attr(node, "align_corners");
  if (!is_nearest && corners < 0) {
    text_put(why, "bilinear needs align_corners=true or align_corners=false");
    return false;
  }
  if (is_nearest && corners >= 0) {
    text_put(why, "align_corners means nothing to nearest");
    return false;
  }
  return set_shape(node, SHAPE(x.dim[0], x.dim[1], size.dim[0], size.dim[1]), why);
}

// ---- index ops ------------------------------------------------------------------------------------------------------

static bool check_rows(const char *name_a, Shape a, const char *name_b, Shape b, bool is_equal, Text *why) {
  if (!require_rank(name_a, a, 2, why) || !require_rank(name_b, b, 2, why)) return false;
  if (a.dim[0] == b.dim[0] && (!is_equal || a.dim[1] == b.dim[1])) return true;
  char ta[SHAPE_TEXT], tb[SHAPE_TEXT];
  text_printf(why, "%s and %s do not match: shapes %s and %s", name_a, name_b, shape_text(a, ta), shape_text(b, tb));
  return false;
}

bool shape_nearest(Node *node, Text *why) {
  Shape queries = node->in[0]->shape, points = node->in[1]->shape, mask = node->in[2]->shape;
  return check_rows("queries", queries, "points", points, false, why) &&
         check_rows("points", points, "mask", mask, true, why) && set_shape(node, queries, why);
}

bool shape_gather(Node *node, Text *why) {
  Shape x = node->in[0]->shape, indices = node->in[1]->shape;
  return check_rows("x", x, "indices", indices, false, why) && set_shape(node, indices, why);
}

bool shape_scatter_add(Node *node, Text *why) {
  Shape values = node->in[0]->shape, indices = node->in[1]->shape;
  return check_rows("values", values, "indices", indices, true, why) &&
         set_shape(node, SHAPE(values.dim[0], int_attr(node, "size")), why);
}
