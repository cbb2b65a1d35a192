// Concat pass: who writes in place, where, and what is still copied.
#include "tests/compiler/plan_case.h"

static Arena *arena;

static bool can_epilogue(const Target *target, const Group *group, Text *why) {
  (void)target, (void)why;
  for (int i = 0; i < group->n_nodes; i++) {
    if (i && op_info(group->nodes[i]->op)->cls != CLASS_ELEMENTWISE) return false;
  }
  return true;
}

static Graph *placed(const char *text) {
  Graph *graph = plan_parse(arena, text);
  if (!graph) return NULL;
  PassContext context = {.target = &plan_target};
  pass_setup(&context, graph);
  pass_layout(&context, graph);
  fuse_with(&context, graph, can_epilogue);
  pass_concat(&context, graph);
  plan_verify(graph, "concat");
  return graph;
}

static const Node *find_op(const Graph *graph, Op op, int skip) {
  for (int i = 0; i < graph->n_nodes; i++) {
    if (graph->nodes[i]->op == op && skip-- == 0) return graph->nodes[i];
  }
  return NULL;
}

// A ghost module whose result goes into a second concat: nothing is copied, offsets add up.
static void test_nested(void) {
  Graph *graph = placed("graph nested\n"
                        "%0 = input \"x\" : [2, 24, 16, 16]\n"
                        "%1 = param \"w1\" init=constant(0) : [12, 24, 1, 1]\n"
                        "%2 = param \"w2\" init=constant(0) : [12, 1, 3, 3]\n"
                        "%3 = param \"w3\" init=constant(0) : [10, 24, 1, 1]\n"
                        "%4 = param \"w4\" init=constant(0) : [8, 34, 1, 1]\n"
                        "%5 = conv2d(%0, %1) : [2, 12, 16, 16]\n"
                        "%6 = relu(%5) : [2, 12, 16, 16]\n"
                        "%7 = conv2d(%6, %2) padding=1 groups=12 : [2, 12, 16, 16]\n"
                        "%8 = relu(%7) : [2, 12, 16, 16]\n"
                        "%9 = concat(%6, %8) axis=1 : [2, 24, 16, 16]\n"
                        "%10 = conv2d(%0, %3) : [2, 10, 16, 16]\n"
                        "%11 = concat(%10, %9) axis=1 : [2, 34, 16, 16]\n"
                        "%12 = conv2d(%11, %4) : [2, 8, 16, 16]\n"
                        "output \"y\" = %12\n");
  if (!graph) return;
  CHECK(plan_count(graph, OP_concat) == 0, "no concat is computed\n%s", plan_text(arena, graph));
  const Node *inner = find_op(graph, OP_concat, 0), *outer = find_op(graph, OP_concat, 1);
  const Node *second = find_op(graph, OP_relu, 1);
  CHECK(inner->group < 0 && outer->group < 0, "groups %d and %d", inner->group, outer->group);
  CHECK(storage_root(second) == outer, "root");
  CHECK(storage_offset(second) == (2 + 2) * 16 * 16 * 8, "offset %lld", (long long)storage_offset(second));
  CHECK(storage_batch_stride(second) == (2 + 2 + 2) * 16 * 16 * 8, "stride %lld",
        (long long)storage_batch_stride(second));
  CHECK(plan_kernels(graph) == 4 + 4 + 1, "four weights, four convolutions, the result: %d", plan_kernels(graph));
}

// What fills the last block of another input is stored after it, as whole blocks are: the kernel waits for it.
static void test_filled(void) {
  Graph *graph = placed("graph filled\n"
                        "%0 = input \"x\" : [1, 24, 16, 16]\n"
                        "%1 = input \"y\" : [1, 4, 16, 16]\n"
                        "%2 = param \"w\" init=constant(0) : [12, 24, 1, 1]\n"
                        "%3 = param \"v\" init=constant(0) : [8, 16, 3, 3]\n"
                        "%4 = conv2d(%0, %2) : [1, 12, 16, 16]\n"
                        "%5 = concat(%4, %1) axis=1 : [1, 16, 16, 16]\n"
                        "%6 = conv2d(%5, %3) padding=1 : [1, 8, 16, 16]\n"
                        "output \"z\" = %6\n");
  if (!graph) return;
  const Node *concat = find_op(graph, OP_concat, 0), *first = find_op(graph, OP_conv2d, 0);
  CHECK(first->into == concat && concat->group >= 0, "the convolution writes in place, the input is copied");
  int n, n_waited = 0;
  Group *groups = group_collect(graph, arena, &n);
  for (int i = 0; i < n; i++) {
    if (groups[i].nodes[0] != concat) continue;
    for (int k = 0; k < groups[i].n_ins; k++) n_waited += groups[i].ins[k] == first;
  }
  CHECK(n_waited == 1, "the kernel waits for the convolution");
}

// The input that is there before, and the second of two equal ones, are copied.
static void test_copies(void) {
  Graph *graph = placed("graph copies\n"
                        "%0 = input \"x\" : [1, 2, 16, 16]\n"
                        "%1 = relu(%0) : [1, 2, 16, 16]\n"
                        "%2 = concat(%0, %1, %1) axis=1 : [1, 6, 16, 16]\n"
                        "output \"y\" = %2\n");
  if (!graph) return;
  const Node *concat = find_op(graph, OP_concat, 0), *relu = find_op(graph, OP_relu, 0);
  CHECK(concat->group >= 0, "it has a kernel");
  CHECK(!concat_is_in_place(concat, 0) && concat_is_in_place(concat, 1) && !concat_is_in_place(concat, 2), "places");
  CHECK(relu->into == concat && relu->into_offset == 2 * 16 * 16, "at %d", relu->into_offset);
  int n;
  Group *groups = group_collect(graph, arena, &n);
  CHECK(n == 2 && groups[1].n_ins == 2, "%d groups, %d ins", n, groups[1].n_ins);
}

// What is an output itself keeps its buffer; a value of two concats stands in the first; batches with gaps are copied.
static void test_refusals(void) {
  Graph *graph = placed("graph refusals\n"
                        "%0 = input \"x\" : [2, 2, 16, 16]\n"
                        "%1 = relu(%0) : [2, 2, 16, 16]\n"
                        "%2 = abs(%0) : [2, 2, 16, 16]\n"
                        "%3 = concat(%1, %2) axis=1 : [2, 4, 16, 16]\n"
                        "output \"y\" = %3\n");
  if (!graph) return;
  CHECK(plan_count(graph, OP_concat) == 1 && !find_op(graph, OP_relu, 0)->into, "plain pictures of a batch");

  graph = placed("graph outputs\n"
                 "%0 = input \"x\" : [1, 2, 16, 16]\n"
                 "%1 = relu(%0) : [1, 2, 16, 16]\n"
                 "%2 = abs(%0) : [1, 2, 16, 16]\n"
                 "%3 = concat(%1, %2) axis=1 : [1, 4, 16, 16]\n"
                 "%4 = concat(%2, %2) axis=1 : [1, 4, 16, 16]\n"
                 "output \"y\" = %3\n"
                 "output \"z\" = %4\n"
                 "output \"r\" = %1\n");
  if (!graph) return;
  CHECK(!find_op(graph, OP_relu, 0)->into, "an output keeps its own buffer");
  CHECK(find_op(graph, OP_abs, 0)->into == find_op(graph, OP_concat, 0), "the first concat has it");
  CHECK(plan_count(graph, OP_concat) == 2, "%d concats", plan_count(graph, OP_concat));
}

// Images behind images: any layout, if axis 0 is the concat's.
static void test_images(void) {
  Graph *graph = placed("graph images\n"
                        "%0 = input \"x\" : [1, 8, 8, 8]\n"
                        "%1 = param \"w\" init=constant(0) : [16, 8, 1, 1]\n"
                        "%2 = conv2d(%0, %1) : [1, 16, 8, 8]\n"
                        "%3 = relu(%2) : [1, 16, 8, 8]\n"
                        "%4 = abs(%2) : [1, 16, 8, 8]\n"
                        "%5 = concat(%3, %4) axis=0 : [2, 16, 8, 8]\n"
                        "output \"y\" = %5\n");
  if (!graph) return;
  const Node *abs = find_op(graph, OP_abs, 0);
  CHECK(plan_count(graph, OP_concat) == 0, "%s", plan_text(arena, graph));
  CHECK(storage_offset(abs) == 2 * 8 * 8 * 8, "offset %lld", (long long)storage_offset(abs));
}

// Gradients as rows of a bucket: their kernels write into it. One that somebody else reads, too, is copied.
static void test_rows(void) {
  Graph *graph = placed("graph rows\n"
                        "%0 = input \"x\" : [2, 4, 8, 8]\n"
                        "%1 = input \"g\" : [2, 8, 8, 8]\n"
                        "%2 = conv2d_dw(%0, %1) stride=1 padding=1 dilation=1 groups=1 kh=3 kw=3 : [8, 4, 3, 3]\n"
                        "%3 = reshape(%2) shape=[288] : [288]\n"
                        "%4 = sum(%1) axes=[0, 2, 3] : [8]\n"
                        "%5 = sum(%0) axes=[0, 2] : [4, 8]\n"
                        "%6 = reshape(%5) shape=[32] : [32]\n"
                        "%7 = concat(%4, %3, %6) axis=0 : [328]\n"
                        "%8 = all_reduce(%7) which=sum : [328]\n"
                        "%9 = abs(%5) : [4, 8]\n"
                        "output \"y\" = %8\n"
                        "output \"z\" = %9\n");
  if (!graph) return;
  const Node *bucket = find_op(graph, OP_concat, 0), *dw = find_op(graph, OP_conv2d_dw, 0);
  CHECK(storage_root(dw) == bucket && storage_offset(dw) == 8, "the weight's gradient stands behind the bias's\n%s",
        plan_text(arena, graph));
  CHECK(storage_root(find_op(graph, OP_sum, 0)) == bucket, "the bias's gradient stands in the bucket");
  CHECK(storage_root(find_op(graph, OP_sum, 1)) != bucket, "one with another reader stays where it is");
  CHECK(plan_count(graph, OP_concat) == 1, "that one is copied");
}

int main(void) {
  arena = arena_new();
  test_rows();
  test_nested();
  test_filled();
  test_copies();
  test_refusals();
  test_images();
  arena_free(arena);
  return check_report("concat");
}
