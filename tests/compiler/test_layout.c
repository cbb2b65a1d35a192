// Layout pass: which values are blocked, with which segments, and what relayouts remain.
#include "compiler/ops/eval.h"
#include "tests/compiler/plan_case.h"

static Arena *arena;

static Graph *laid_out(const char *text) {
  Graph *graph = plan_parse(arena, text);
  if (!graph) return NULL;
  PassContext context = {.target = &plan_target};
  pass_layout(&context, graph);
  plan_verify(graph, "layout");
  return graph;
}

static const char *layout_text(const Node *node) {
  if (!node->layout) return "plain";
  Text text = {0};
  text_printf(&text, "%d:", node->layout->block);
  for (int k = 0; k < node->layout->c.n; k++) text_printf(&text, k ? ",%d" : "%d", node->layout->c.segment[k]);
  const char *copy = arena_strdup(arena, text_get(&text));
  text_free(&text);
  return copy;
}

// The layout of the only node of that op, as text; "?" if there is none.
static const char *layout_of(const Graph *graph, Op op) {
  for (int i = 0; i < graph->n_nodes; i++)
    if (graph->nodes[i]->op == op) return layout_text(graph->nodes[i]);
  return "?";
}

// Convolution, bias, activation, convolution: one relayout at the end, weights packed, the picture read as it is.
static void test_chain(void) {
  Graph *graph = laid_out("graph chain\n"
                          "%0 = input \"x\" : [2, 3, 32, 32]\n"
                          "%1 = param \"w\" init=constant(0) : [16, 3, 3, 3]\n"
                          "%2 = param \"b\" init=constant(0) : [16]\n"
                          "%3 = conv2d(%0, %1) stride=2 padding=1 : [2, 16, 16, 16]\n"
                          "%4 = reshape(%2) shape=[1, 16, 1, 1] : [1, 16, 1, 1]\n"
                          "%5 = add(%3, %4) : [2, 16, 16, 16]\n"
                          "%6 = relu(%5) : [2, 16, 16, 16]\n"
                          "%7 = param \"v\" init=constant(0) : [12, 16, 1, 1]\n"
                          "%8 = conv2d(%6, %7) : [2, 12, 16, 16]\n"
                          "output \"y\" = %8\n");
  if (!graph) return;
  // two weights, the result; the bias is a view
  CHECK(plan_count(graph, OP_relayout) == 3, "%d relayouts\n%s", plan_count(graph, OP_relayout),
        plan_text(arena, graph));
  CHECK(plan_count(graph, OP_reshape) == 0, "the reshape of the bias is a view");
  CHECK_TEXT(layout_of(graph, OP_relu), "8:16", "activation");
  CHECK_TEXT(layout_of(graph, OP_input), "plain", "picture");
}

// A concat keeps the segments of its inputs, and a residual from a convolution adopts them.
static void test_concat(void) {
  Graph *graph = laid_out("graph concat\n"
                          "%0 = input \"x\" : [1, 24, 16, 16]\n"
                          "%1 = param \"w1\" init=constant(0) : [12, 24, 1, 1]\n"
                          "%2 = param \"w2\" init=constant(0) : [12, 1, 3, 3]\n"
                          "%3 = param \"w3\" init=constant(0) : [24, 24, 1, 1]\n"
                          "%4 = conv2d(%0, %1) : [1, 12, 16, 16]\n"
                          "%5 = conv2d(%4, %2) padding=1 groups=12 : [1, 12, 16, 16]\n"
                          "%6 = concat(%4, %5) axis=1 : [1, 24, 16, 16]\n"
                          "%7 = conv2d(%0, %3) : [1, 24, 16, 16]\n"
                          "%8 = add(%6, %7) : [1, 24, 16, 16]\n"
                          "output \"y\" = %8\n");
  if (!graph) return;
  CHECK_TEXT(layout_of(graph, OP_concat), "8:12,12", "concat");
  CHECK_TEXT(layout_of(graph, OP_add), "8:12,12", "sum");
  CHECK(plan_count(graph, OP_relayout) == 4, "%s", plan_text(arena, graph)); // three weights and the result
}

// Plain inputs go where the last block of the one in front has no channels: if they fill it, if nobody else reads zeros
// there, and if no depthwise convolution reads the blocks by itself.
static void test_fillers(void) {
  const char *text = "graph fill\n"
                     "%%0 = input \"x\" : [1, 24, 16, 16]\n"
                     "%%1 = input \"y\" : [1, 1, 16, 16]\n"
                     "%%2 = input \"z\" : [1, %d, 16, 16]\n"
                     "%%3 = param \"w\" init=constant(0) : [12, 24, 1, 1]\n"
                     "%%4 = param \"v\" init=constant(0) : [%d, %d, 3, 3]\n"
                     "%%5 = conv2d(%%0, %%3) : [1, 12, 16, 16]\n"
                     "%%6 = concat(%%5, %%1, %%2) axis=1 : [1, %d, 16, 16]\n"
                     "%%7 = conv2d(%%6, %%4) padding=1 groups=%d : [1, %d, 16, 16]\n"
                     "output \"o\" = %%7\n%s";
  const struct {
    int rest, groups;
    const char *more, *expected;
  } cases[] = {
      {3, 1, "", "8:16"},
      {2, 1, "", "8:12,3"},
      {3, 16, "", "8:12,4"},
      {3, 1, "output \"p\" = %5\n", "8:12,4"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int all = 13 + cases[i].rest, groups = cases[i].groups;
    Graph *graph =
        laid_out(arena_printf(arena, text, cases[i].rest, all, all / groups, all, groups, all, cases[i].more));
    if (!graph) return;
    const char *got = "?";
    for (int k = 0; k < graph->n_nodes; k++)
      if (graph->nodes[k]->op == OP_concat && graph->nodes[k]->layout) got = layout_text(graph->nodes[k]);
    CHECK_TEXT(got, cases[i].expected, "concat");
  }
}

// Large reductions to few results, and those of rows of pictures, go by rows first; others stay as they are.
static void test_reductions(void) {
  const char *text = "graph reduce\n"
                     "%%0 = input \"x\" : [4, %d, 64, 64]\n"
                     "%%1 = sum(%%0) axes=[0, 2, 3] : [%d]\n"
                     "%%2 = max(%%0) axes=[0, 1, 2, 3] keep=true : [1, 1, 1, 1]\n"
                     "%%3 = sum(%%0) axes=[1] : [4, 64, 64]\n"
                     "output \"a\" = %%1\n"
                     "output \"b\" = %%2\n"
                     "output \"c\" = %%3\n";
  Graph *few = laid_out(arena_printf(arena, text, 16, 16)), *many = laid_out(arena_printf(arena, text, 512, 512));
  if (!few || !many) return;
  CHECK(plan_count(few, OP_sum) == 3 && plan_count(few, OP_max) == 2, "%s", plan_text(arena, few));
  CHECK(plan_count(many, OP_sum) == 3 && plan_count(many, OP_max) == 2, "%s", plan_text(arena, many));
}

// The squares of batch norm are summed by rows around the row's mean, so that they do not wait for the mean of all.
static void test_distances(void) {
  const char *text = "graph variance\n"
                     "%0 = input \"x\" : [2, 16, 96, 100]\n"
                     "%1 = sum(%0) axes=[0, 2, 3] keep=true : [1, 16, 1, 1]\n"
                     "%2 = fill() shape=[] value=5.2083333333333333e-5 : []\n"
                     "%3 = mul(%1, %2) : [1, 16, 1, 1]\n"
                     "%4 = sub(%0, %3) : [2, 16, 96, 100]\n"
                     "%5 = mul(%4, %4) : [2, 16, 96, 100]\n"
                     "%6 = sum(%5) axes=[0, 2, 3] keep=true : [1, 16, 1, 1]\n"
                     "output \"m\" = %3\n"
                     "output \"v\" = %6\n";
  Graph *before = plan_parse(arena, text), *after = laid_out(text);
  if (!before || !after) return;
  float *x = ARENA_ARRAY(arena, float, 2 * 16 * 96 * 100);
  for (int i = 0; i < 2 * 16 * 96 * 100; i++) x[i] = 100 + (float)(i % 1009 * 7919 % 1009) / 1009;
  for (int i = 0; i < 2; i++) {
    const float *const leaf_before[16] = {x}, *leaf_after[64] = {0};
    for (int k = 0; k < after->n_nodes; k++) {
      if (after->nodes[k]->op == OP_input) leaf_after[k] = x;
    }
    const float *want = graph_eval(before, arena, leaf_before)[before->outputs[i].node->id];
    const float *got = graph_eval(after, arena, leaf_after)[after->outputs[i].node->id];
    for (int c = 0; c < 16; c++) CHECK_NEAR(got[c], want[c], 1e-5 * fabs(want[c]), "%s", before->outputs[i].name);
  }
  CHECK(plan_count(after, OP_sum) == 5, "rows of x, rows of squares, three sums of rows: %d",
        plan_count(after, OP_sum));
  PassContext context = {.target = &plan_target};
  pass_fuse(&context, after);
  int n, n_reads = 0;
  Group *groups = group_collect(after, arena, &n);
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < groups[i].n_ins; k++) n_reads += groups[i].ins[k]->op == OP_input;
  }
  CHECK(n_reads == 1, "x is read by %d kernels\n%s", n_reads, plan_text(arena, after));
}

// Padding of a pointwise convolution is done to its result.
static void test_pointwise(void) {
  Graph *graph = laid_out("graph bridge\n"
                          "%0 = input \"x\" : [1, 16, 15, 20]\n"
                          "%1 = param \"w\" init=constant(0) : [16, 16, 1, 1]\n"
                          "%2 = conv2d(%0, %1) padding=1 : [1, 16, 17, 22]\n"
                          "output \"y\" = %2\n");
  if (!graph) return;
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if (node->op == OP_conv2d) CHECK(node_attr(node, "padding").i == 0, "%s", plan_text(arena, graph));
  }
  CHECK(plan_count(graph, OP_pad) == 1, "one padding");
}

// Slices of a concat's gradient are views at its borders; what they flow into has the inputs' segments.
static void test_slices(void) {
  Graph *graph = laid_out("graph slices\n"
                          "%0 = input \"x\" : [2, 40, 16, 16]\n"
                          "%1 = param \"w\" init=constant(0) : [40, 1, 3, 3]\n"
                          "%2 = conv2d(%0, %1) padding=1 groups=40 : [2, 40, 16, 16]\n"
                          "%3 = slice(%2) axis=1 start=0 stop=20 : [2, 20, 16, 16]\n"
                          "%4 = slice(%2) axis=1 start=20 stop=40 : [2, 20, 16, 16]\n"
                          "%5 = relu(%3) : [2, 20, 16, 16]\n"
                          "%6 = mul(%5, %4) : [2, 20, 16, 16]\n"
                          "output \"y\" = %6\n");
  if (!graph) return;
  CHECK_TEXT(layout_of(graph, OP_conv2d), "8:20,20", "depthwise result");
  CHECK(plan_count(graph, OP_slice) == 0, "slices are views\n%s", plan_text(arena, graph));
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if (node->op != OP_slice || node_attr(node, "start").i == 0) continue;
    CHECK(storage_offset(node) == 3 * 16 * 16 * 8, "offset %lld", (long long)storage_offset(node));
    CHECK(storage_batch_stride(node) == 6 * 16 * 16 * 8, "stride %lld", (long long)storage_batch_stride(node));
    CHECK(!storage_is_contiguous(node), "a slice of channels of two images has gaps");
    CHECK(storage_root(node)->op == OP_conv2d, "root");
  }
}

// A reduction to one value a channel keeps its axes; the vectors that meet it are views of plain ones.
static void test_batch_norm(void) {
  Graph *graph = laid_out("graph norm\n"
                          "%0 = input \"x\" : [2, 8, 16, 16]\n"
                          "%1 = param \"w\" init=constant(0) : [16, 8, 1, 1]\n"
                          "%2 = param \"scale\" init=constant(1) : [16]\n"
                          "%3 = conv2d(%0, %1) : [2, 16, 16, 16]\n"
                          "%4 = sum(%3) axes=[0, 2, 3] : [16]\n"
                          "%5 = mul(%4, %2) : [16]\n"
                          "%6 = reshape(%5) shape=[1, 16, 1, 1] : [1, 16, 1, 1]\n"
                          "%7 = sub(%3, %6) : [2, 16, 16, 16]\n"
                          "output \"y\" = %7\n"
                          "update %2 = %5\n");
  if (!graph) return;
  CHECK_TEXT(layout_of(graph, OP_sum), "8:16", "sum");
  CHECK_TEXT(layout_of(graph, OP_mul), "plain", "arithmetic on vectors");
  CHECK(plan_count(graph, OP_relayout) == 2, "the weight and the result\n%s", plan_text(arena, graph));
}

// Narrow values stay plain, and narrow neighbours in a concat share a segment.
static void test_narrow(void) {
  Graph *graph = laid_out("graph narrow\n"
                          "%0 = input \"x\" : [1, 16, 16, 16]\n"
                          "%1 = param \"w1\" init=constant(0) : [32, 16, 1, 1]\n"
                          "%2 = param \"w2\" init=constant(0) : [1, 16, 1, 1]\n"
                          "%3 = param \"w3\" init=constant(0) : [2, 16, 1, 1]\n"
                          "%4 = conv2d(%0, %1) : [1, 32, 16, 16]\n"
                          "%5 = conv2d(%0, %2) : [1, 1, 16, 16]\n"
                          "%6 = conv2d(%0, %3) : [1, 2, 16, 16]\n"
                          "%7 = concat(%4, %5, %6) axis=1 : [1, 35, 16, 16]\n"
                          "%8 = relu(%7) : [1, 35, 16, 16]\n"
                          "output \"y\" = %8\n");
  if (!graph) return;
  CHECK_TEXT(layout_of(graph, OP_relu), "8:32,3", "segments");
  CHECK(plan_count(graph, OP_concat) == 2, "one concat of the narrow ones, one of all");
}

// Weights, their gradients and moments stay plain whatever they meet.
static void test_weights(void) {
  Graph *graph = laid_out("graph weights\n"
                          "%0 = input \"x\" : [2, 16, 8, 8]\n"
                          "%1 = param \"w\" init=constant(0) : [16, 16, 1, 1]\n"
                          "%2 = state \"m\" init=constant(0) : [16, 16, 1, 1]\n"
                          "%3 = conv2d(%0, %1) : [2, 16, 8, 8]\n"
                          "%4 = conv2d_dw(%0, %3) stride=1 padding=0 dilation=1 groups=1 kh=1 kw=1 : [16, 16, 1, 1]\n"
                          "%5 = add(%2, %4) : [16, 16, 1, 1]\n"
                          "%6 = sub(%1, %5) : [16, 16, 1, 1]\n"
                          "%7 = sum(%3) axes=[0, 2, 3] keep=true : [1, 16, 1, 1]\n"
                          "%8 = mul(%5, %7) : [16, 16, 1, 1]\n"
                          "update %1 = %6\n"
                          "update %2 = %8\n");
  if (!graph) return;
  CHECK_TEXT(layout_of(graph, OP_conv2d_dw), "plain", "gradient");
  CHECK_TEXT(layout_of(graph, OP_sub), "plain", "update");
  CHECK_TEXT(layout_of(graph, OP_mul), "plain", "product with a value of each channel");
  CHECK(plan_count(graph, OP_relayout) == 1, "only the weight is packed\n%s", plan_text(arena, graph));
}

// In an inference graph the packing of weights belongs to the set-up, in a training step to each run.
static void test_setup(void) {
  const char *text = "graph setup\n"
                     "%0 = input \"x\" : [1, 16, 8, 8]\n"
                     "%1 = param \"w\" init=constant(0) : [16, 16, 1, 1]\n"
                     "%2 = conv2d(%0, %1) : [1, 16, 8, 8]\n"
                     "%3 = mul(%1, %1) : [16, 16, 1, 1]\n"
                     "output \"y\" = %2\n";
  for (int is_training = 0; is_training < 2; is_training++) {
    Text all = {0};
    text_put(&all, text);
    if (is_training) text_put(&all, "update %1 = %3\n");
    Graph *graph = laid_out(text_get(&all));
    text_free(&all);
    if (!graph) return;
    for (int i = 0; i < graph->n_nodes; i++) {
      const Node *node = graph->nodes[i];
      if (node->op != OP_relayout || node->layout == NULL) continue;
      CHECK(node->is_setup == !is_training, "setup %d", node->is_setup);
    }
  }
}

static void test_reference_target(void) {
  Graph *graph = plan_parse(arena, "graph plain\n"
                                   "%0 = input \"x\" : [1, 16, 8, 8]\n"
                                   "%1 = param \"w\" init=constant(0) : [16, 16, 1, 1]\n"
                                   "%2 = conv2d(%0, %1) : [1, 16, 8, 8]\n"
                                   "output \"y\" = %2\n");
  PassContext context = {.target = &(Target){.kind = TARGET_REFERENCE}};
  CHECK(graph && !pass_layout(&context, graph) && plan_count(graph, OP_relayout) == 0, "left plain");
}

// The check finds what the pass must not do.
static void test_check(void) {
  Graph *graph = laid_out("graph check\n"
                          "%0 = input \"x\" : [1, 16, 8, 8]\n"
                          "%1 = param \"w\" init=constant(0) : [16, 1, 3, 3]\n"
                          "%2 = conv2d(%0, %1) padding=1 groups=16 : [1, 16, 8, 8]\n"
                          "%3 = relu(%2) : [1, 16, 8, 8]\n"
                          "output \"y\" = %3\n");
  if (!graph) return;
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    if (node->op == OP_input || node->op == OP_param) continue;
    const Layout *before = node->layout;
    node->layout = before && before->kind == LAYOUT_BLOCKED ? NULL : layout_single(arena, LAYOUT_BLOCKED, 8, 16);
    Text why = {0};
    CHECK(!layout_check(graph, &why) && why.size, "node %d in another layout is found", i);
    text_free(&why);
    node->layout = before;
  }
}

int main(void) {
  arena = arena_new();
  test_chain();
  test_concat();
  test_fillers();
  test_reductions();
  test_distances();
  test_pointwise();
  test_slices();
  test_batch_norm();
  test_narrow();
  test_weights();
  test_setup();
  test_reference_target();
  test_check();
  arena_free(arena);
  return check_report("layout");
}
