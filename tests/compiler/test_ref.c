// Reference evaluators of every op of the table, against values worked out by hand.
#include "compiler/ops/eval.h"
#include "tests/compiler/op_case.h"

static const OpCase cases[] = {
    {"fill", {0}, "shape=[3] value=0.5", "0.5 0.5 0.5"},
    {"iota", {0}, "shape=[2, 3] axis=1", "0 1 2 0 1 2"},
    {"iota", {0}, "shape=[2, 3] axis=0", "0 0 0 1 1 1"},
    {"neg", {"{1, -2} : [2]"}, "", "-1 2"},
    {"abs", {"{1, -2} : [2]"}, "", "1 2"},
    {"exp", {"{0, 1} : [2]"}, "", "1 2.718281828"},
    {"log", {"{1, 10} : [2]"}, "", "0 2.302585093"},
    {"log", {"{0, -1} : [2]"}, "", "-inf nan"},
    {"sqrt", {"{4, 2} : [2]"}, "", "2 1.414213562"},
    {"rsqrt", {"{4, 0} : [2]"}, "", "0.5 inf"},
    {"sin", {"{0, 1} : [2]"}, "", "0 0.8414709848"},
    {"cos", {"{0, 1} : [2]"}, "", "1 0.5403023059"},
    {"tanh", {"{0, 1} : [2]"}, "", "0 0.761594156"},
    {"sigmoid", {"{0, 1, -1000} : [3]"}, "", "0.5 0.7310585786 0"},
    {"relu", {"{-1, 0, 2, nan} : [4]"}, "", "0 0 2 nan"},
    {"leaky_relu", {"{-1, 0, 2} : [3]"}, "slope=0.25", "-0.25 0 2"},
    {"elu", {"{-1, 0, 2} : [3]"}, "", "-0.6321205588 0 2"},
    {"elu", {"{-1} : [1]"}, "alpha=2", "-1.2642411177"},
    {"hard_sigmoid", {"{-4, -3, 0, 1.5, 4} : [5]"}, "", "0 0 0.5 0.75 1"},
    {"clamp", {"{-4, 0.25, 4, nan} : [4]"}, "lo=0 hi=1", "0 0.25 1 nan"},
    {"add", {"{1, 2} : [2, 1]", "{10, 20, 30} : [3]"}, "", "11 21 31 12 22 32"},
    {"sub", {"{1, 2} : [2]", "{10} : [1]"}, "", "-9 -8"},
    {"mul", {"{1, 2} : [2]", "{3, 4} : [2]"}, "", "3 8"},
    {"div", {"{1, 2} : [2]", "{4, 0} : [2]"}, "", "0.25 inf"},
    {"minimum", {"{1, 4, nan} : [3]", "{3, 3, 0} : [3]"}, "", "1 3 nan"},
    {"maximum", {"{1, 4} : [2]", "{3, nan} : [2]"}, "", "3 nan"},
    {"less", {"{1, 2, 3} : [3]", "{2} : []"}, "", "1 0 0"},
    {"less_equal", {"{1, 2, 3} : [3]", "{2} : []"}, "", "1 1 0"},
    {"equal", {"{1, 2, nan} : [3]", "{1, 3, nan} : [3]"}, "", "1 0 0"},
    {"select", {"{1, 0, -2} : [3]", "{5} : []", "{6, 7, 8} : [3]"}, "", "5 7 5"},
    {"sum", {"{1, 2, 3, 4, 5, 6} : [2, 3]"}, "axes=[1]", "6 15"},
    {"sum", {"{1, 2, 3, 4, 5, 6} : [2, 3]"}, "axes=[0] keep=true", "5 7 9"},
    {"sum", {"{1, 2, 3, 4, 5, 6} : [2, 3]"}, "axes=[0, 1]", "21"},
    {"sum", {"{1, 2, 3, 4, 5, 6, 7, 8} : [2, 2, 2]"}, "axes=[0, 2]", "14 22"},
    {"max", {"{1, 7, 3, -4, -5, -6} : [2, 3]"}, "axes=[1]", "7 -4"},
    {"max", {"{1, nan, 3, -4, -5, -6} : [2, 3]"}, "axes=[0]", "1 nan 3"},
    {"cumsum", {"{1, 2, 3, 4, 5, 6} : [2, 3]"}, "axis=1", "1 3 6 4 9 15"},
    {"cumsum", {"{1, 2, 3, 4, 5, 6} : [2, 3]"}, "axis=1 reverse=true", "6 5 3 15 11 6"},
    {"cumsum", {"{1, 2, 3, 4, 5, 6} : [2, 3]"}, "axis=0", "1 2 3 5 7 9"},
    {"variance", {"{1, 2, 3, 4} : [2, 2]"}, "axes=[0, 1]", "1.25"},
    {"variance", {"{1, 3, 5, 5} : [2, 2]"}, "axes=[1] keep=true", "1 0"},
    {"reshape", {"{1, 2, 3, 4} : [2, 2]"}, "shape=[4]", "1 2 3 4"},
    {"transpose", {"{1, 2, 3, 4, 5, 6} : [2, 3]"}, "perm=[1, 0]", "1 4 2 5 3 6"},
    {"transpose", {"{1, 2, 3, 4, 5, 6} : [1, 2, 3]"}, "perm=[2, 0, 1]", "1 4 2 5 3 6"},
    {"broadcast", {"{1, 2} : [2, 1]"}, "shape=[2, 2, 2]", "1 1 2 2 1 1 2 2"},
    {"concat", {"{1, 2} : [2, 1]", "{3, 4, 5, 6} : [2, 2]"}, "axis=1", "1 3 4 2 5 6"},
    {"concat", {"{1, 2} : [1, 2]", "{3, 4} : [1, 2]"}, "axis=0", "1 2 3 4"},
    {"slice", {"{1, 2, 3, 4, 5, 6, 7, 8} : [2, 4]"}, "axis=1 start=1 stop=4 step=2", "2 4 6 8"},
    {"pad", {"{1, 2} : [1, 2]"}, "before=[0, 1] after=[1, 0] value=9", "9 1 2 9 9 9"},
    {"flip", {"{1, 2, 3, 4, 5, 6} : [2, 3]"}, "axis=1", "3 2 1 6 5 4"},
    {"flip", {"{1, 2, 3, 4, 5, 6} : [2, 3]"}, "axis=0", "4 5 6 1 2 3"},
    {"matmul", {"{1, 2, 3, 4} : [2, 2]", "{5, 6, 7, 8} : [2, 2]"}, "", "19 22 43 50"},
    {"matmul", {"{1, 2, 3, 4} : [2, 2]", "{5, 6, 7, 8} : [2, 2]"}, "transpose_a=true", "26 30 38 44"},
    {"matmul", {"{1, 2, 3, 4} : [2, 2]", "{5, 6, 7, 8} : [2, 2]"}, "transpose_b=true", "17 23 39 53"},
    {"matmul", {"{1, 2, 3, 4} : [2, 1, 2]", "{1, 1} : [2, 1]"}, "", "3 7"},
    {"conv2d", {"{1, 2, 3, 4, 5, 6, 7, 8, 9} : [1, 1, 3, 3]", "{1, 0, 0, -1} : [1, 1, 2, 2]"}, "", "-4 -4 -4 -4"},
    {"conv2d", {"{1, 2, 3, 4} : [1, 1, 2, 2]", "{10} : [1, 1, 1, 1]"}, "padding=1 stride=2", "0 0 0 40"},
    {"conv2d", {"{1, 2, 3, 4} : [1, 2, 1, 2]", "{10, 100} : [2, 1, 1, 1]"}, "groups=2", "10 20 300 400"},
    {"conv2d", {"{1, 2, 3, 4, 5} : [1, 1, 1, 5]", "{1, 10} : [1, 1, 1, 2]"}, "dilation=3", "41 52"},
    {"conv2d_dx",
     {"{1, 2, 3, 4} : [1, 1, 2, 2]", "{1, 0, 0, -1} : [1, 1, 2, 2]"},
     "stride=1 padding=0 dilation=1 groups=1 height=3 width=3",
     "1 2 0 3 3 -2 0 -3 -4"},
    {"conv2d_dw",
     {"{1, 2, 3, 4, 5, 6, 7, 8, 9} : [1, 1, 3, 3]", "{1, 0, 0, 1} : [1, 1, 2, 2]"},
     "stride=1 padding=0 dilation=1 groups=1 kh=2 kw=2",
     "6 8 12 14"},
    // the kernel with 1 in the middle, transformed
    {"conv2d_winograd",
     {"{1, 2, 3, 4} : [1, 1, 2, 2]", "{0, 0, 0, 0, 0, 0.25, -0.25, 0, 0, -0.25, 0.25, 0, 0, 0, 0, 0} : [1, 1, 4, 4]"},
     "padding=1 dilation=1",
     "1 2 3 4"},
    {"conv2d_winograd",
     {"{1, 2, 3, 4, 5, 6} : [1, 1, 2, 3]",
      "{0, 0, 0, 0, 0, 0.25, -0.25, 0, 0, -0.25, 0.25, 0, 0, 0, 0, 0} : [1, 1, 4, 4]"},
     "padding=2 dilation=2",
     "1 2 3 4 5 6"},
    {"conv2d_winograd",
     {"{1, 2, 3, 4, 5, 6} : [1, 1, 2, 3]", "{0, 1, 0, 0, 1, 0, 0, 0, 10} : [1, 1, 3, 3]"},
     "padding=1 dilation=1",
     "51 62 3 5 7 9"},
    {"conv2d_dw_winograd",
     {"{1, 2, 3, 4, 5, 6, 7, 8, 9} : [1, 1, 3, 3]", "{2} : [1, 1, 1, 1]"},
     "padding=0 dilation=1",
     "2 4 6 8 10 12 14 16 18"},
    {"resize", {"{0, 3} : [1, 1, 1, 2]"}, "size=[1, 4] mode=bilinear align_corners=true", "0 1 2 3"},
    {"resize", {"{0, 4} : [1, 1, 1, 2]"}, "size=[1, 4] mode=bilinear align_corners=false", "0 1 3 4"},
    {"resize", {"{1, 2, 3, 4} : [1, 1, 2, 2]"}, "size=[1, 1] mode=bilinear align_corners=false", "2.5"},
    {"resize", {"{1, 2, 3, 4} : [1, 1, 2, 2]"}, "size=[1, 1] mode=bilinear align_corners=true", "1"},
    {"resize", {"{1, 2, 3, 4, 5} : [1, 1, 1, 5]"}, "size=[1, 3] mode=nearest", "1 2 4"},
    {"resize_grad", {"{1, 1, 1, 1} : [1, 1, 1, 4]"}, "size=[1, 2] mode=bilinear align_corners=false", "2 2"},
    {"resize_grad", {"{1, 2, 3} : [1, 1, 1, 3]"}, "size=[1, 5] mode=nearest", "1 2 0 3 0"},
    {"softmax", {"{0, 0, 1000, 1000} : [2, 2]"}, "axis=1", "0.5 0.5 0.5 0.5"},
    {"softmax", {"{0, 0.6931471806, 0, 0} : [2, 2]"}, "axis=0", "0.5 0.6666666667 0.5 0.3333333333"},
    {"nearest", {"{0, 2.4, 9, nan} : [1, 4]", "{3, 2, 7, 8} : [1, 4]", "{1, 1, 1, 0} : [1, 4]"}, "", "1 1 2 -1"},
    {"nearest", {"{5, 3} : [1, 2]", "{6, 4, 4, 2} : [1, 4]", "{1, 1, 1, 1} : [1, 4]"}, "", "0 1"},
    {"nearest", {"{5} : [1, 1]", "{6} : [1, 1]", "{0} : [1, 1]"}, "", "-1"},
    {"gather", {"{10, 20, 30, 40} : [2, 2]", "{1, -1, 0, 7, 0, nan} : [2, 3]"}, "", "20 0 10 0 30 0"},
    {"scatter_add", {"{1, 2, 4, 8} : [1, 4]", "{2, 0, 2, -1} : [1, 4]"}, "size=3", "2 0 5"},
    // Words of Philox4x32-10 under the key {1, 2}, counters {0, 0, 5, 0} and {1, 0, 5, 0}, by another implementation.
    {"random",
     {"{1, 2} : [2]"},
     "shape=[5] stream=5",
     "0.7001808285713196 0.7111172676086426 0.10869717597961426 0.37913060188293457 0.5036309361457825"},
    {"random",
     {"{1, 2, 1} : [3]"},
     "shape=[3] stream=5 each=2",
     "0.10869717597961426 0.37913060188293457 0.5036309361457825"},
    {"all_reduce", {"{1, 2} : [2]"}, "which=sum", "1 2"},
    {"relayout", {"{1, 2} : [1, 2]"}, "", "1 2"},
    {"strassen_weight", {"{1, 2} : [1, 2]"}, "", "1 2"},
    {"winograd_weight",
     {"{1, 2, 0, 0, 0, 0, 0, 0, 4} : [1, 1, 3, 3]",
      "{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, "
      "0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "
      "0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "
      "0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "
      "0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.5} : [9, 16]"},
     "",
     "1 2 4 0 0 0 0 0 0 0 0 0 0 0 0 5"},
};

static void check_values(const OpCase *item) {
  Arena *arena = arena_new();
  Text errors = {0};
  Graph *graph = case_build(arena, item, &errors);
  CHECK(graph, "%s %s: %s", item->op, item->attributes, text_get(&errors));
  text_free(&errors);
  if (!graph) {
    arena_free(arena);
    return;
  }
  const Node *node = graph_find_output(graph, "r");
  const float *got = graph_eval(graph, arena, NULL)[node->id];
  const char *want = item->want;
  int64_t n = shape_elements(node->shape);
  for (int64_t i = 0; i < n; i++) {
    char *end;
    double value = strtod(want, &end);
    CHECK(end != want, "%s: %lld values, expected fewer", item->op, (long long)n);
    want = end;
    bool is_equal = isnan(value) ? isnan(got[i]) : got[i] == (float)value || fabs(got[i] - value) < 1e-6 * fabs(value);
    CHECK(is_equal, "%s %s: value %lld is %.9g, expected %.9g", item->op, item->attributes, (long long)i, got[i],
          value);
  }
  CHECK(want[strspn(want, " ")] == 0, "%s: %lld values, expected more", item->op, (long long)n);
  arena_free(arena);
}

// Where a leaf has no value, neither has what depends on it, and the rest is computed all the same.
static void check_partial(void) {
  Arena *arena = arena_new();
  Graph *graph = graph_new(arena, "g");
  Node *x = graph_input(graph, "x", SHAPE(2)), *one = graph_scalar(graph, 1);
  Node *two = graph_binary(graph, OP_add, one, one), *y = graph_binary(graph, OP_mul, x, two);
  const float **values = graph_eval(graph, arena, NULL);
  CHECK(!values[x->id] && !values[y->id], "values of and behind an input that has none");
  CHECK(values[two->id] && values[two->id][0] == 2, "1 + 1 from constants alone");
  const float *leaves[8] = {0};
  leaves[x->id] = (const float[]){3, 4};
  values = graph_eval(graph, arena, leaves);
  CHECK(values[x->id] == leaves[x->id], "a leaf's value is lent");
  CHECK(values[y->id][0] == 6 && values[y->id][1] == 8, "2 * x");
  arena_free(arena);
}

int main(void) {
  int n = sizeof cases / sizeof *cases;
  check_all_ops_named(cases, n, "value");
  for (int i = 0; i < n; i++) check_values(&cases[i]);
  check_partial();
  return check_report("ref");
}
