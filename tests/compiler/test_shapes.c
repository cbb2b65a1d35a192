// Shape rules of every op of the table: results, normal forms, and what is refused with which words.
#include "tests/compiler/op_case.h"

static const OpCase accepted[] = {
    {"fill", {0}, "shape=[2, 3] value=0.5", "[2, 3]"},
    {"fill", {0}, "shape=[] value=0.5", "[]"},
    {"iota", {0}, "shape=[2, 3] axis=-1", "[2, 3]"},
    {"neg", {"[2, 3]"}, "", "[2, 3]"},
    {"abs", {"[2, 3]"}, "", "[2, 3]"},
    {"exp", {"[]"}, "", "[]"},
    {"log", {"[1]"}, "", "[1]"},
    {"sqrt", {"[2, 3]"}, "", "[2, 3]"},
    {"rsqrt", {"[2, 3]"}, "", "[2, 3]"},
    {"sin", {"[2, 3]"}, "", "[2, 3]"},
    {"cos", {"[2, 3]"}, "", "[2, 3]"},
    {"tanh", {"[2, 3]"}, "", "[2, 3]"},
    {"sigmoid", {"[2, 3]"}, "", "[2, 3]"},
    {"relu", {"[2, 3, 1, 1, 5, 6]"}, "", "[2, 3, 1, 1, 5, 6]"},
    {"leaky_relu", {"[2, 3]"}, "slope=0.01", "[2, 3]"},
    {"elu", {"[2, 3]"}, "", "[2, 3]"},
    {"hard_sigmoid", {"[2, 3]"}, "", "[2, 3]"},
    {"clamp", {"[2, 3]"}, "lo=0 hi=1", "[2, 3]"},
    {"add", {"[2, 1, 4]", "[3, 1]"}, "", "[2, 3, 4]"},
    {"add", {"[]", "[3, 1]"}, "", "[3, 1]"},
    {"sub", {"[5, 1]", "[1, 4]"}, "", "[5, 4]"},
    {"mul", {"[2, 8, 3, 5]", "[2, 8, 1, 1]"}, "", "[2, 8, 3, 5]"},
    {"div", {"[4]", "[]"}, "", "[4]"},
    {"minimum", {"[4]", "[2, 1]"}, "", "[2, 4]"},
    {"maximum", {"[4]", "[4]"}, "", "[4]"},
    {"less", {"[4]", "[1]"}, "", "[4]"},
    {"less_equal", {"[4]", "[1]"}, "", "[4]"},
    {"equal", {"[4]", "[1]"}, "", "[4]"},
    {"select", {"[4, 1]", "[3]", "[2, 1, 1]"}, "", "[2, 4, 3]"},
    {"sum", {"[2, 3, 4]"}, "axes=[1]", "[2, 4]"},
    {"sum", {"[2, 3, 4]"}, "axes=[-1, 0] keep=true", "[1, 3, 1]"},
    {"sum", {"[2, 3]"}, "axes=[0, 1]", "[]"},
    {"max", {"[2, 3, 4]"}, "axes=[2] keep=true", "[2, 3, 1]"},
    {"cumsum", {"[2, 3]"}, "axis=-2", "[2, 3]"},
    {"variance", {"[2, 3, 4, 5]"}, "axes=[0, 2, 3]", "[3]"},
    {"reshape", {"[2, 3, 4]"}, "shape=[6, -1]", "[6, 4]"},
    {"reshape", {"[1, 1]"}, "shape=[]", "[]"},
    {"transpose", {"[2, 3, 4]"}, "perm=[2, 0, -2]", "[4, 2, 3]"},
    {"broadcast", {"[3, 1]"}, "shape=[2, 3, 4]", "[2, 3, 4]"},
    {"concat", {"[2, 3, 4]", "[2, 1, 4]", "[2, 5, 4]"}, "axis=-2", "[2, 9, 4]"},
    {"concat", {"[2]"}, "axis=0", "[2]"},
    {"slice", {"[2, 8]"}, "axis=1 start=1 stop=6", "[2, 5]"},
    {"slice", {"[2, 8]"}, "axis=-1 start=1 stop=8 step=3", "[2, 3]"},
    {"slice", {"[2, 8]"}, "axis=1 start=-3 stop=-1", "[2, 2]"},
    {"pad", {"[2, 3]"}, "before=[1, 0] after=[0, 2] value=0", "[3, 5]"},
    {"flip", {"[2, 3]"}, "axis=-1", "[2, 3]"},
    {"matmul", {"[5, 7]", "[7, 6]"}, "", "[5, 6]"},
    {"matmul", {"[7, 5]", "[6, 7]"}, "transpose_a=true transpose_b=true", "[5, 6]"},
    {"matmul", {"[2, 1, 4, 5]", "[3, 5, 6]"}, "", "[2, 3, 4, 6]"},
    {"conv2d", {"[2, 3, 11, 13]", "[4, 3, 5, 5]"}, "stride=2 padding=2", "[2, 4, 6, 7]"},
    {"conv2d", {"[1, 8, 6, 7]", "[12, 2, 3, 3]"}, "padding=1 groups=4", "[1, 12, 6, 7]"},
    {"conv2d", {"[1, 3, 5, 7]", "[4, 3, 3, 3]"}, "padding=18 dilation=18", "[1, 4, 5, 7]"},
    {"conv2d", {"[1, 5, 4, 6]", "[4, 5, 1, 1]"}, "padding=1", "[1, 4, 6, 8]"},
    {"conv2d_winograd", {"[2, 3, 11, 13]", "[5, 3, 6, 6]"}, "padding=1 dilation=2", "[2, 5, 9, 11]"},
    {"conv2d_winograd", {"[2, 3, 11, 13]", "[5, 3, 3, 3]"}, "padding=1 dilation=2", "[2, 5, 9, 11]"},
    {"conv2d_dw_winograd", {"[2, 3, 11, 13]", "[2, 5, 9, 11]"}, "padding=1 dilation=2", "[5, 3, 3, 3]"},
    {"conv2d_dx",
     {"[2, 4, 6, 7]", "[4, 3, 5, 5]"},
     "stride=2 padding=2 dilation=1 groups=1 height=11 width=13",
     "[2, 3, 11, 13]"},
    {"conv2d_dw",
     {"[2, 3, 11, 13]", "[2, 4, 6, 7]"},
     "stride=2 padding=2 dilation=1 groups=1 kh=5 kw=5",
     "[4, 3, 5, 5]"},
    {"resize", {"[2, 3, 5, 7]"}, "size=[11, 13] mode=bilinear align_corners=true", "[2, 3, 11, 13]"},
    {"resize", {"[2, 3, 5, 7]"}, "size=[10, 14] mode=nearest", "[2, 3, 10, 14]"},
    {"resize_grad", {"[2, 3, 11, 13]"}, "size=[5, 7] mode=bilinear align_corners=false", "[2, 3, 5, 7]"},
    {"softmax", {"[2, 3, 4]"}, "axis=1", "[2, 3, 4]"},
    {"nearest", {"[2, 5]", "[2, 9]", "[2, 9]"}, "", "[2, 5]"},
    {"gather", {"[2, 9]", "[2, 5]"}, "", "[2, 5]"},
    {"scatter_add", {"[2, 5]", "[2, 5]"}, "size=9", "[2, 9]"},
    {"random", {"[2]"}, "shape=[4, 5] stream=9", "[4, 5]"},
    {"random", {"[3]"}, "shape=[4, 5] stream=9 each=5", "[4, 5]"},
    {"all_reduce", {"[7]"}, "which=max", "[7]"},
    {"relayout", {"[2, 3, 4, 5]"}, "", "[2, 3, 4, 5]"},
    {"strassen_weight", {"[64, 32, 1, 1]"}, "", "[64, 32, 1, 1]"},
    {"winograd_weight", {"[8, 5, 3, 3]", "[9, 36]"}, "", "[8, 5, 6, 6]"},
};

static const OpCase refused[] = {
    {"winograd_weight", {"[8, 5, 3, 3]", "[9, 25]"}, "", "[9, 16] or [9, 36] are needed"},
    {"fill", {0}, "value=0.5", "shape is missing"},
    {"fill", {0}, "shape=[2, 0] value=1", "size of axis 1 of [2, 0] is not positive"},
    {"fill", {0}, "shape=[1048576, 1048576, 2] value=1", "has more than 2^40 elements"},
    {"fill", {0}, "shape=[9223372036854775807, 9223372036854775807] value=1", "has more than 2^40 elements"},
    {"iota", {0}, "shape=[2] axis=1", "axis 1 does not exist, the operand has 1 axis"},
    {"neg", {0}, "", "neg takes 1 operand, not 0"},
    {"leaky_relu", {"[2]"}, "", "slope is missing"},
    {"clamp", {"[2]"}, "lo=1 hi=0", "lo is above hi: 1 and 0"},
    {"clamp", {"[2]"}, "lo=nan hi=0", "lo is above hi"},
    {"add",
     {"[1, 24, 8, 8]", "[1, 40, 8, 8]"},
     "",
     "sizes of axis 1 differ: 24 and 40, of shapes [1, 24, 8, 8] and [1, 40, 8, 8]"},
    {"add", {"[2, 3]", "[2]"}, "", "sizes of axis 1 differ: 3 and 2"},
    {"add", {"[1048576, 1, 1048576]", "[1024, 1]"}, "", "has more than 2^40 elements"},
    {"select", {"[2]", "[3]", "[1]"}, "", "sizes of axis 0 differ: 2 and 3"},
    {"select", {"[2]", "[2]"}, "", "select takes 3 operands, not 2"},
    {"sum", {"[2, 3]"}, "axes=[]", "axes is empty"},
    {"sum", {"[2, 3]"}, "axes=[2]", "axis 2 does not exist, the operand has 2 axes"},
    {"sum", {"[2, 3]"}, "axes=[1, -1]", "axis 1 is named twice"},
    {"max", {"[]"}, "axes=[0]", "axis 0 does not exist, the operand has 0 axes"},
    {"cumsum", {"[2]"}, "axis=-2", "axis -2 does not exist"},
    {"variance", {"[2]"}, "axes=[0, 1, 2, 3, 4, 5, 6]", "too many numbers"},
    {"reshape", {"[2, 3]"}, "shape=[4, 2]", "cannot reshape [2, 3], which has 6 elements, to [4, 2]"},
    {"reshape", {"[2, 3]"}, "shape=[4, -1]", "cannot reshape [2, 3], which has 6 elements, to [4, -1]"},
    {"reshape", {"[2, 3]"}, "shape=[-1, -1]", "only one size of [-1, -1] may be -1"},
    {"reshape", {"[2, 3]"}, "shape=[-2, -3]", "size of axis 0 of [-2, -3] is not positive"},
    {"transpose", {"[2, 3]"}, "perm=[0]", "perm [0] must name each axis of [2, 3] once"},
    {"transpose", {"[2, 3]"}, "perm=[0, 0]", "names axis 0 twice"},
    {"transpose", {"[2, 3]"}, "perm=[0, 2]", "axis 2 does not exist"},
    {"broadcast", {"[3]"}, "shape=[1]", "[3] cannot be repeated to [1]"},
    {"broadcast", {"[3]"}, "shape=[4]", "sizes of axis 0 differ: 3 and 4"},
    {"concat", {0}, "axis=0", "concat takes at least one operand"},
    {"concat", {"[2, 3]", "[2]"}, "axis=0", "numbers of axes differ: [2, 3] and [2]"},
    {"concat", {"[2, 3]", "[3, 3]"}, "axis=1", "sizes of axis 0 differ: 2 and 3, of shapes [2, 3] and [3, 3]"},
    {"concat", {"[]"}, "axis=0", "axis 0 does not exist"},
    {"slice", {"[2, 8]"}, "axis=1 start=6 stop=6", "elements 6 to 6 of axis 1 do not exist in [2, 8]"},
    {"slice", {"[2, 8]"}, "axis=1 start=0 stop=9", "elements 0 to 9 of axis 1 do not exist in [2, 8]"},
    {"slice", {"[2, 8]"}, "axis=1 start=0 stop=8 step=0", "step must be at least 1, not 0"},
    {"pad", {"[2, 3]"}, "before=[1] after=[0, 2] value=0", "need one size for each axis of [2, 3]"},
    {"pad", {"[2]"}, "before=[-1] after=[0] value=0", "padding of axis 0 is negative"},
    {"pad",
     {"[2]"},
     "before=[9223372036854775807] after=[9223372036854775807] value=0",
     "padding of axis 0 is too large"},
    {"flip", {"[2, 3]"}, "axis=2", "axis 2 does not exist"},
    {"matmul", {"[5, 7]", "[6, 7]"}, "", "inner sizes differ: 7 and 6, of shapes [5, 7] and [6, 7]"},
    {"matmul", {"[5, 7]", "[7]"}, "", "matrices need at least two axes: shapes [5, 7] and [7]"},
    {"matmul", {"[2, 5, 7]", "[3, 7, 1]"}, "", "sizes of axis 0 differ: 2 and 3"},
    {"conv2d",
     {"[1, 3, 8, 8]", "[4, 5, 3, 3]"},
     "",
     "x [1, 3, 8, 8] has 3 channels a group, weight [4, 5, 3, 3] is made for 5"},
    {"conv2d",
     {"[1, 6, 8, 8]", "[4, 3, 3, 3]"},
     "groups=4",
     "channels are not divisible by 4 groups: x is [1, 6, 8, 8]"},
    {"conv2d",
     {"[1, 3, 2, 2]", "[4, 3, 3, 3]"},
     "",
     "the kernel of weight [4, 3, 3, 3] does not fit into x [1, 3, 2, 2]"},
    {"conv2d", {"[3, 8, 8]", "[4, 3, 3, 3]"}, "", "x must have 4 axes, but its shape is [3, 8, 8]"},
    {"conv2d", {"[1, 3, 8, 8]", "[4, 3, 3]"}, "", "weight must have 4 axes"},
    {"conv2d", {"[1, 3, 8, 8]", "[4, 3, 3, 3]"}, "stride=0", "stride must lie in 1..1048576, not 0"},
    {"conv2d", {"[1, 3, 8, 8]", "[4, 3, 3, 3]"}, "padding=-1", "padding must lie in 0..1048576, not -1"},
    {"conv2d", {"[1, 3, 8, 8]", "[4, 3, 3, 3]"}, "dilation=9223372036854775807", "dilation must lie in"},
    {"conv2d_winograd", {"[1, 3, 8, 8]", "[4, 3, 5, 5]"}, "padding=1 dilation=1", "or transformed"},
    {"conv2d_dw_winograd", {"[1, 3, 8, 8]", "[1, 4, 7, 8]"}, "padding=1 dilation=1", "no 3x3 convolution"},
    {"conv2d", {"[1, 3, 8, 8]", "[4, 3, 3, 3]"}, "groups=0", "groups must lie in"},
    {"conv2d_dx",
     {"[2, 4, 6, 8]", "[4, 3, 5, 5]"},
     "stride=2 padding=2 dilation=1 groups=1 height=11 width=13",
     "the convolution's result is [2, 4, 6, 7], its gradient [2, 4, 6, 8]"},
    {"conv2d_dx",
     {"[2, 4, 6, 8]", "[4, 3]"},
     "stride=2 padding=2 dilation=1 groups=1 height=11 width=13",
     "weight must have 4 axes"},
    {"conv2d_dw",
     {"[2, 3, 11, 13]", "[2, 4, 6, 7]"},
     "stride=2 padding=2 dilation=1 groups=1 kh=5 kw=0",
     "kw must lie in 1..1048576, not 0"},
    {"resize",
     {"[2, 3, 5, 7]"},
     "size=[11, 13] mode=bilinear",
     "bilinear needs align_corners=true or align_corners=false"},
    {"resize",
     {"[2, 3, 5, 7]"},
     "size=[11, 13] mode=nearest align_corners=true",
     "align_corners means nothing to nearest"},
    {"resize", {"[2, 3, 5, 7]"}, "size=[11] mode=nearest", "size is a height and a width, not 1 number"},
    {"resize", {"[2, 3, 5, 7]"}, "size=[0, 4] mode=nearest", "sizes must lie in 1..1048576"},
    {"resize", {"[2, 3, 5, 7]"}, "size=[4, 4] mode=cubic", "unknown choice 'cubic'"},
    {"resize", {"[3, 5, 7]"}, "size=[4, 4] mode=nearest", "x must have 4 axes"},
    {"resize_grad", {"[3, 5, 7]"}, "size=[4, 4] mode=nearest", "x must have 4 axes"},
    {"softmax", {"[2, 3, 4]"}, "axis=3", "axis 3 does not exist, the operand has 3 axes"},
    {"nearest", {"[2, 5]", "[3, 9]", "[3, 9]"}, "", "queries and points do not match: shapes [2, 5] and [3, 9]"},
    {"nearest", {"[2, 5]", "[2, 9]", "[2, 8]"}, "", "points and mask do not match: shapes [2, 9] and [2, 8]"},
    {"gather", {"[2, 9]", "[3, 5]"}, "", "x and indices do not match"},
    {"gather", {"[9]", "[3, 5]"}, "", "x must have 2 axes"},
    {"random", {"[3]"}, "shape=[4] stream=9", "the key is not of shape [2]"},
    {"random", {"[2]"}, "shape=[4] stream=9 each=4", "the key is not of shape [3]"},
    {"all_reduce", {"[7]", "[7]"}, "which=max", "at most, the all-reduce before"},
    {"scatter_add", {"[2, 5]", "[2, 4]"}, "size=9", "values and indices do not match"},
    {"scatter_add", {"[2, 5]", "[2, 5]"}, "size=0", "is not positive"},
    {"relayout", {"[2]", "[2]"}, "", "relayout takes 1 operand, not 2"},
    {"blur", {"[2]"}, "", "unknown op 'blur'"},
    {"relu", {"[1, 1, 1, 1, 1, 1, 1]"}, "", "too many numbers"},
};

static void check_accepted(const OpCase *item) {
  Arena *arena = arena_new();
  Text errors = {0};
  Graph *graph = case_build(arena, item, &errors);
  CHECK(graph, "%s %s: %s", item->op, item->attributes, text_get(&errors));
  if (graph) {
    char shape[SHAPE_TEXT];
    CHECK_TEXT(shape_text(graph_find_output(graph, "r")->shape, shape), item->want, "%s %s", item->op,
               item->attributes);
    Text why = {0};
    CHECK(graph_verify(graph, &why), "%s: %s", item->op, text_get(&why));
    text_free(&why);
  }
  text_free(&errors);
  arena_free(arena);
}

static void check_refused(const OpCase *item) {
  Arena *arena = arena_new();
  Text errors = {0};
  Graph *graph = case_build(arena, item, &errors);
  CHECK(!graph && strstr(text_get(&errors), item->want), "%s %s: wanted '%s', got '%s'", item->op, item->attributes,
        item->want, text_get(&errors));
  text_free(&errors);
  arena_free(arena);
}

// No rule may rely on the number of operands: one too many is refused for every op that has a fixed number.
static void check_operand_counts(void) {
  for (int op = 0; op < OP_COUNT; op++) {
    const OpInfo *info = op_info((Op)op);
    if (info->n_in < 1) continue;
    Arena *arena = arena_new();
    Graph *graph = graph_new(arena, "g");
    Node *x = graph_input(graph, "x", SHAPE(1, 1, 1, 1)), *in[] = {x, x, x, x};
    AttrValue attrs[OP_MAX_ATTRS] = {0};
    Text why = {0};
    CHECK(!graph_try_add(graph, (Op)op, in, info->n_in + 1, attrs, &why), "%s took too many operands", info->name);
    CHECK(strstr(text_get(&why), "takes"), "%s: %s", info->name, text_get(&why));
    CHECK(graph->n_nodes == 1, "%s: a refused node stayed in the graph", info->name);
    text_free(&why);
    arena_free(arena);
  }
}

static void check_normal_forms(void) {
  Arena *arena = arena_new();
  Text errors = {0};
  Graph *graph = case_build(arena, &(OpCase){"sum", {"[2, 3, 4]"}, "axes=[-1, 0]", ""}, &errors);
  Shape axes = node_attr(graph_find_output(graph, "r"), "axes").ints;
  CHECK(shape_equal(axes, SHAPE(0, 2)), "axes count from 0 and ascend");
  graph = case_build(arena, &(OpCase){"slice", {"[2, 8]"}, "axis=-1 start=-3 stop=-1", ""}, &errors);
  const Node *slice = graph_find_output(graph, "r");
  CHECK(node_attr(slice, "axis").i == 1, "the axis counts from 0");
  CHECK(node_attr(slice, "start").i == 5 && node_attr(slice, "stop").i == 7, "start and stop count from 0");
  graph = case_build(arena, &(OpCase){"reshape", {"[2, 8]"}, "shape=[4, -1]", ""}, &errors);
  CHECK(shape_equal(node_attr(graph_find_output(graph, "r"), "shape").ints, SHAPE(4, 4)), "-1 is replaced");
  text_free(&errors);
  arena_free(arena);
}

int main(void) {
  int n_accepted = sizeof accepted / sizeof *accepted, n_refused = sizeof refused / sizeof *refused;
  check_all_ops_named(accepted, n_accepted, "shape");
  for (int i = 0; i < n_accepted; i++) check_accepted(&accepted[i]);
  for (int i = 0; i < n_refused; i++) check_refused(&refused[i]);
  check_operand_counts();
  check_normal_forms();
  return check_report("shapes");
}
