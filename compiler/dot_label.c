// Dot labels: what stands on the boxes and edges of a picture.
#include "compiler/dot_label.h"

#include <string.h>

#include "compiler/graph_summary.h"
#include "compiler/ops/build.h"

static const char SMALL[] = "<BR/><FONT POINT-SIZE=\"8\" COLOR=\"#6B6F76\">";

void dot_put_escaped(Text *out, const char *text) {
  if (!*text) text_put(out, " "); // Graphviz takes no empty elements
  for (; *text; text++) {
    switch (*text) {
    case '&': text_put(out, "&amp;"); break;
    case '<': text_put(out, "&lt;"); break;
    case '>': text_put(out, "&gt;"); break;
    case '"': text_put(out, "&quot;"); break;
    default: text_write(out, (unsigned char)*text < 32 ? "?" : text, 1);
    }
  }
}

void dot_put_shape(Text *out, Shape shape, int64_t batch) {
  int first = shape.rank > 1 && shape.dim[0] == batch ? 1 : 0;
  if (shape.rank == 0) text_put(out, "scalar");
  for (int i = first; i < shape.rank; i++) text_printf(out, i > first ? "×%lld" : "%lld", (long long)shape.dim[i]);
}

void dot_put_costs(Text *out, int64_t parameters, int64_t multiply_adds) {
  char text[COUNT_TEXT];
  if (parameters) text_printf(out, "%s parameter%s", count_text(parameters, text), parameters == 1 ? "" : "s");
  if (parameters && multiply_adds) text_put(out, " · ");
  if (multiply_adds) text_printf(out, "%s multiply-adds", count_short(multiply_adds, text));
}

// ---- ops ------------------------------------------------------------------------------------------------------------

// The sign of an op with two operands, or NULL.
static const char *sign_of(Op op) {
  switch ((int)op) {
  case OP_add: return "+";
  case OP_sub: return "−";
  case OP_mul: return "×";
  case OP_div: return "÷";
  case OP_minimum: return "min";
  case OP_maximum: return "max";
  case OP_less: return "<";
  case OP_less_equal: return "≤";
  case OP_equal: return "=";
  default: return NULL;
  }
}

// The first parameter or state behind a value.
static const Node *leaf_behind(const Node *node) {
  if (node->op == OP_param || node->op == OP_state) return node;
  for (int k = 0; k < node->n_in; k++) {
    const Node *leaf = leaf_behind(node->in[k]);
    if (leaf) return leaf;
  }
  return NULL;
}

// What to call an operand that is not drawn: its number, the last word of its parameter's name, or "constant".
static void put_operand(Text *out, const Node *node) {
  const Node *leaf = leaf_behind(node);
  while (!leaf && node->n_in == 1) node = node->in[0];
  if (node->op == OP_fill) {
    text_printf(out, "%.4g", node_attr(node, "value").f);
  } else if (leaf) {
    const char *dot = strrchr(leaf->name, '.');
    dot_put_escaped(out, dot ? dot + 1 : leaf->name);
  } else {
    text_put(out, "constant");
  }
}

static void put_arithmetic(Text *out, const Picture *picture, const Node *node) {
  const char *sign = sign_of(node->op);
  // Seen from an operand that is drawn, the other one is named.
  bool is_a_hidden = !picture->is_fed[node->in[0]->id], is_b_hidden = !picture->is_fed[node->in[1]->id];
  if (is_a_hidden && !is_b_hidden && !(op_info(node->op)->flags & OPF_COMMUTES)) {
    put_operand(out, node->in[0]);
    text_put(out, " ");
    dot_put_escaped(out, sign);
    return;
  }
  dot_put_escaped(out, sign);
  if (is_a_hidden == is_b_hidden) return;
  text_put(out, " ");
  put_operand(out, node->in[is_a_hidden ? 0 : 1]);
}

static bool is_conv(const Node *node) {
  return node->op == OP_conv2d || node->op == OP_conv2d_dx || node->op == OP_conv2d_dw;
}

static void put_conv(Text *out, const Node *node) {
  Shape weight = node->op == OP_conv2d_dw ? node->shape : node->in[1]->shape;
  bool is_depthwise = weight.dim[1] == 1 && node_attr(node, "groups").i == weight.dim[0] && weight.dim[0] > 1;
  text_printf(out, "%s %lld×%lld", is_depthwise ? "depthwise" : "conv", (long long)weight.dim[2],
              (long long)weight.dim[3]);
  if (node->op == OP_conv2d_dx) text_put(out, " by x");
  if (node->op == OP_conv2d_dw) text_put(out, " by weight");
}

static void put_list(Text *out, const char *what, Shape list) {
  text_put(out, what);
  for (int i = 0; i < list.rank; i++) text_printf(out, i ? ", %lld" : " %lld", (long long)list.dim[i]);
}

// The attributes worth saying, as a few words.
static void put_details(Text *out, const Node *node) {
  switch ((int)node->op) {
  case OP_conv2d: {
    long long stride = node_attr(node, "stride").i, dilation = node_attr(node, "dilation").i;
    long long padding = node_attr(node, "padding").i, usual = dilation * (node->in[1]->shape.dim[2] / 2);
    const char *gap = "";
    if (stride != 1) text_printf(out, "stride %lld", stride), gap = ", ";
    if (dilation != 1) text_printf(out, "%sdilation %lld", gap, dilation), gap = ", ";
    if (padding != usual) text_printf(out, "%spadding %lld", gap, padding);
    break;
  }
  case OP_resize:
  case OP_resize_grad: {
    bool is_nearest = resize_is_nearest(node), is_aligned = node_attr(node, "align_corners").i == 1;
    text_put(out, is_nearest ? "nearest" : is_aligned ? "bilinear, corners aligned" : "bilinear");
    break;
  }
  case OP_sum:
  case OP_max:
  case OP_variance: {
    Shape axes = node_attr(node, "axes").ints;
    put_list(out, axes.rank == 1 ? "over axis" : "over axes", axes);
    break;
  }
  case OP_concat:
  case OP_softmax:
  case OP_cumsum:
  case OP_flip: text_printf(out, "axis %lld", (long long)node_attr(node, "axis").i); break;
  case OP_slice:
    text_printf(out, "%lld to %lld of axis %lld", (long long)node_attr(node, "start").i,
                (long long)node_attr(node, "stop").i, (long long)node_attr(node, "axis").i);
    break;
  case OP_transpose: put_list(out, "axes", node_attr(node, "perm").ints); break;
  case OP_clamp: text_printf(out, "%.4g to %.4g", node_attr(node, "lo").f, node_attr(node, "hi").f); break;
  case OP_leaky_relu: text_printf(out, "slope %.4g", node_attr(node, "slope").f); break;
  default: break;
  }
}

// An op's name as words: "leaky relu".
static void put_words(Text *out, const char *name) {
  for (; *name; name++) text_write(out, *name == '_' ? " " : name, 1);
}

// Appends a second or third line unless it is empty.
static void put_small_line(Text *out, const Text *line) {
  if (!line->size) return;
  text_put(out, SMALL);
  dot_put_escaped(out, text_get(line));
  text_put(out, "</FONT>");
}

bool dot_is_bare_sign(const Picture *picture, const Node *node) {
  return sign_of(node->op) && picture->is_fed[node->in[0]->id] == picture->is_fed[node->in[1]->id];
}

void dot_put_node_label(Text *out, const Picture *picture, const PictureBox *box, const char *title) {
  const Node *node = box->node;
  Text line = {0};
  if (*title) {
    text_put(out, "<B>");
    dot_put_escaped(out, title);
    text_put(out, "</B><BR/>");
  }
  if (!*title) text_put(out, "<B>");
  if (is_conv(node)) {
    put_conv(out, node);
  } else if (sign_of(node->op)) {
    put_arithmetic(out, picture, node);
  } else {
    put_words(out, op_info(node->op)->name);
  }
  if (!*title) text_put(out, "</B>");
  put_details(&line, node);
  put_small_line(out, &line);
  text_clear(&line);
  if (box->multiply_adds) dot_put_costs(&line, box->parameters, box->multiply_adds);
  put_small_line(out, &line);
  text_free(&line);
}

void dot_put_module_label(Text *out, const Picture *picture, const PictureBox *box, const char *title) {
  text_put(out, "<B>");
  dot_put_escaped(out, title);
  text_put(out, "</B>");
  const char *name = picture->graph->modules[box->module].name;
  if (strcmp(name, title)) {
    text_put(out, "  <FONT COLOR=\"#5C6168\">");
    dot_put_escaped(out, name);
    text_put(out, "</FONT>");
  }
  Text line = {0};
  dot_put_costs(&line, box->parameters, box->multiply_adds);
  put_small_line(out, &line);
  text_free(&line);
}
