// Fuse pass: which nodes share a kernel, with a code generator that can do everything or what the case says.
#include "tests/compiler/plan_case.h"

static Arena *arena;

static bool can_all(const Target *target, const Group *group, Text *why) {
  (void)target, (void)group, (void)why;
  return true;
}

// One contraction at most, as the first member.
static bool can_epilogue(const Target *target, const Group *group, Text *why) {
  (void)target;
  for (int i = 1; i < group->n_nodes; i++) {
    if (op_info(group->nodes[i]->op)->cls != CLASS_CONTRACT) continue;
    text_put(why, "a contraction behind another node");
    return false;
  }
  return true;
}

static bool can_nothing(const Target *target, const Group *group, Text *why) {
  (void)target, (void)group;
  text_put(why, "nothing can be fused");
  return false;
}

static Graph *fused(const char *text, FusePredicate *predicate, Text *explain) {
  Graph *graph = plan_parse(arena, text);
  if (!graph) return NULL;
  PassContext context = {.target = &plan_target, .explain = explain};
  pass_layout(&context, graph);
  fuse_with(&context, graph, predicate);
  plan_verify(graph, "fuse");
  return graph;
}

static const Node *find_op(const Graph *graph, Op op) {
  for (int i = 0; i < graph->n_nodes; i++) {
    if (graph->nodes[i]->op == op) return graph->nodes[i];
  }
  return NULL;
}

static const char *const residual_block = "graph block\n"
                                          "%0 = input \"x\" : [1, 16, 64, 64]\n"
                                          "%1 = param \"w\" init=constant(0) : [16, 16, 3, 3]\n"
                                          "%2 = param \"b\" init=constant(0) : [1, 16, 1, 1]\n"
                                          "%3 = conv2d(%0, %1) padding=1 : [1, 16, 64, 64]\n"
                                          "%4 = add(%3, %2) : [1, 16, 64, 64] at \"block.net\":3:1:4\n"
                                          "%5 = relu(%4) : [1, 16, 64, 64] at \"block.net\":4:1:4\n"
                                          "%6 = conv2d(%5, %1) padding=1 : [1, 16, 64, 64]\n"
                                          "%7 = add(%6, %2) : [1, 16, 64, 64]\n"
                                          "%8 = add(%7, %5) : [1, 16, 64, 64]\n"
                                          "%9 = relu(%8) : [1, 16, 64, 64]\n"
                                          "output \"y\" = %9\n";

// Bias, activation, residual and the result's relayout go with the convolutions; the weight is packed once.
static void test_epilogues(void) {
  Graph *graph = fused(residual_block, can_epilogue, NULL);
  if (!graph) return;
  CHECK(plan_kernels(graph) == 3, "%d kernels\n%s", plan_kernels(graph), plan_text(arena, graph));
  const Node *relu = find_op(graph, OP_relu), *conv = find_op(graph, OP_conv2d);
  CHECK(relu->group == conv->group, "the activation is in the first convolution's kernel");
}

// Every node alone when the generator can do nothing, and each near miss is said with its reason and its bytes.
static void test_refusal(void) {
  Text text = {0};
  Graph *graph = fused(residual_block, can_nothing, &text);
  if (!graph) return;
  CHECK(plan_kernels(graph) == 9, "%d kernels\n%s", plan_kernels(graph), plan_text(arena, graph));
  const char *want = "not fused: conv2d [1, 16, 64, 64] into add [1, 16, 64, 64]: nothing can be fused (524.3 kB)\n";
  CHECK(strstr(text_get(&text), want), "%s", text_get(&text));
  text_free(&text);
}

// Kernels are explained by their ops, results, source lines and what fusion spares: here two values of 262144 bytes
// that are neither stored nor loaded, in the first convolution's kernel.
static void test_explain(void) {
  Graph *graph = fused(residual_block, can_epilogue, NULL);
  if (!graph) return;
  Text text = {0};
  explain_kernels(graph, &text);
  const char *want = ": conv2d + add + relu\n"
                     "    gives relu [1, 16, 64, 64]\n"
                     "    from block.net:3 block.net:4\n"
                     "    fusion spares 1.0 MB\n";
  CHECK(strstr(text_get(&text), want), "%s", text_get(&text));
  CHECK(strstr(text_get(&text), "2 kernels a run, 1 once after loading; fusion spares 3.1 MB a run\n"), "%s",
        text_get(&text));
  text_free(&text);
}

// p needs the sum of q, which needs p's operand: joining p to that operand's kernel would close a cycle.
static void test_cycle(void) {
  Graph *graph = fused("graph cycle\n"
                       "%0 = input \"x\" : [4, 4096]\n"
                       "%1 = relu(%0) : [4, 4096]\n"
                       "%2 = sum(%1) axes=[0] : [4096]\n"
                       "%3 = transpose(%1) perm=[1, 0] : [4096, 4]\n"
                       "%4 = matmul(%3, %1) : [4096, 4096]\n"
                       "%5 = sum(%4) axes=[0, 1] : []\n"
                       "%6 = mul(%1, %5) : [4, 4096]\n"
                       "output \"y\" = %6\n"
                       "output \"z\" = %2\n",
                       can_all, NULL);
  if (!graph) return;
  const Node *relu = find_op(graph, OP_relu), *mul = find_op(graph, OP_mul), *sum = find_op(graph, OP_sum);
  CHECK(relu->group != mul->group, "a cycle through the matrix product\n%s", plan_text(arena, graph));
  CHECK(relu->group == sum->group, "the sum is computed with its operand");
}

// A depthwise convolution with its activation goes into a pointwise one; with resize and concat in front, too.
static void test_decoder(void) {
  const char *text = "graph decoder\n"
                     "%0 = input \"x\" : [1, 32, 32, 32]\n"
                     "%1 = input \"skip\" : [1, 16, 64, 64]\n"
                     "%2 = param \"w1\" init=constant(0) : [32, 32, 1, 1]\n"
                     "%3 = param \"w2\" init=constant(0) : [16, 16, 1, 1]\n"
                     "%4 = param \"w3\" init=constant(0) : [48, 1, 3, 3]\n"
                     "%5 = param \"w4\" init=constant(0) : [16, 48, 1, 1]\n"
                     "%6 = conv2d(%0, %2) : [1, 32, 32, 32]\n"
                     "%7 = conv2d(%1, %3) : [1, 16, 64, 64]\n"
                     "%8 = resize(%6) size=[64, 64] mode=bilinear align_corners=true : [1, 32, 64, 64]\n"
                     "%9 = concat(%8, %7) axis=1 : [1, 48, 64, 64]\n"
                     "%10 = conv2d(%9, %4) padding=1 groups=48 : [1, 48, 64, 64]\n"
                     "%11 = leaky_relu(%10) slope=0.01 : [1, 48, 64, 64]\n"
                     "%12 = conv2d(%11, %5) : [1, 16, 64, 64]\n"
                     "output \"y\" = %12\n";
  Graph *graph = fused(text, can_all, NULL);
  if (!graph) return;
  // four weights once; two convolutions, the rest as one
  CHECK(plan_kernels(graph) == 7, "%d kernels\n%s", plan_kernels(graph), plan_text(arena, graph));
  CHECK(find_op(graph, OP_resize)->group == find_op(graph, OP_leaky_relu)->group, "resize goes into the depthwise");
  CHECK(find_op(graph, OP_concat)->group == find_op(graph, OP_leaky_relu)->group, "and the concat");
}

// A resize goes into a 3x3 convolution by tiles, unless the convolution is dilated.
static void test_tiles(void) {
  for (int dilation = 1; dilation <= 2; dilation++) {
    const char *text =
        arena_printf(arena,
                     "graph tiles\n"
                     "%%0 = input \"x\" : [1, 32, 32, 32]\n"
                     "%%1 = param \"w1\" init=constant(0) : [32, 32, 1, 1]\n"
                     "%%2 = param \"w2\" init=constant(0) : [32, 32, 3, 3]\n"
                     "%%3 = conv2d(%%0, %%1) : [1, 32, 32, 32]\n"
                     "%%4 = resize(%%3) size=[64, 64] mode=bilinear align_corners=false : [1, 32, 64, 64]\n"
                     "%%5 = conv2d(%%4, %%2) padding=%d dilation=%d : [1, 32, 64, 64]\n"
                     "%%6 = relu(%%5) : [1, 32, 64, 64]\n"
                     "output \"y\" = %%6\n",
                     dilation, dilation);
    Graph *graph = plan_parse(arena, text);
    if (!graph) return;
    PassContext context = {.target = &plan_target};
    pass_layout(&context, graph);
    pass_winograd(&context, graph);
    pass_fuse(&context, graph);
    bool is_one = find_op(graph, OP_resize)->group == find_op(graph, OP_conv2d_winograd)->group;
    CHECK(is_one == (dilation == 1), "dilation %d\n%s", dilation, plan_text(arena, graph));
  }
}

// An update of AdamW's kind is one kernel with three results.
static void test_update(void) {
  Graph *graph = fused("graph update\n"
                       "%0 = input \"g\" : [64, 1024]\n"
                       "%1 = state \"m\" init=constant(0) : [64, 1024]\n"
                       "%2 = state \"v\" init=constant(0) : [64, 1024]\n"
                       "%3 = param \"p\" init=constant(0) : [64, 1024]\n"
                       "%4 = add(%1, %0) : [64, 1024]\n"
                       "%5 = mul(%0, %0) : [64, 1024]\n"
                       "%6 = add(%2, %5) : [64, 1024]\n"
                       "%7 = sqrt(%6) : [64, 1024]\n"
                       "%8 = div(%4, %7) : [64, 1024]\n"
                       "%9 = sub(%3, %8) : [64, 1024]\n"
                       "update %1 = %4\n"
                       "update %2 = %6\n"
                       "update %3 = %9\n",
                       can_all, NULL);
  if (!graph) return;
  int n;
  Group *groups = group_collect(graph, arena, &n);
  CHECK(n == 1, "%d kernels", n);
  CHECK(groups[0].n_ins == 4 && groups[0].n_outs == 3, "%d in, %d out", groups[0].n_ins, groups[0].n_outs);
}

// Numbers in which updates differ that are otherwise the same go to memory, so that they share a launch; others stay.
static void test_numbers(void) {
  Graph *graph = plan_parse(arena, "graph numbers\n"
                                   "%0 = input \"x\" : [8]\n"
                                   "%1 = input \"y\" : [9]\n"
                                   "%2 = state \"a\" init=constant(0) : [8]\n"
                                   "%3 = state \"b\" init=constant(0) : [9]\n"
                                   "%4 = fill() shape=[] value=0.9 : []\n"
                                   "%5 = fill() shape=[] value=0.125 : []\n"
                                   "%6 = fill() shape=[] value=0.25 : []\n"
                                   "%7 = mul(%2, %4) : [8]\n"
                                   "%8 = mul(%0, %5) : [8]\n"
                                   "%9 = add(%7, %8) : [8]\n"
                                   "%10 = mul(%3, %4) : [9]\n"
                                   "%11 = mul(%1, %6) : [9]\n"
                                   "%12 = add(%10, %11) : [9]\n"
                                   "update %2 = %9\n"
                                   "update %3 = %12\n");
  if (!graph) return;
  CHECK(fuse_numbers(graph), "nothing moved");
  for (int i = 0; i < 2; i++) {
    const Node *sum = graph->updates[i].value;
    CHECK(sum->in[0]->in[1]->op == OP_fill, "the common number moved");
    const Node *own = sum->in[1]->in[1];
    CHECK(own->op == OP_constant && own->data[0] == (i ? 0.25f : 0.125f), "the number stays");
  }
  CHECK(!fuse_numbers(graph), "moved twice");
}

// Reductions of the same value become one kernel, vectors of one length too; set-up stays apart.
static void test_side_by_side(void) {
  Graph *graph = fused("graph side\n"
                       "%0 = input \"x\" : [64, 1024]\n"
                       "%1 = param \"a\" init=constant(0) : [64]\n"
                       "%2 = param \"b\" init=constant(0) : [64]\n"
                       "%3 = sum(%0) axes=[1] : [64]\n"
                       "%4 = mul(%0, %0) : [64, 1024]\n"
                       "%5 = sum(%4) axes=[1] : [64]\n"
                       "%6 = exp(%1) : [64]\n"
                       "%7 = exp(%2) : [64]\n"
                       "%8 = abs(%6) : [64]\n"
                       "output \"s\" = %3\n"
                       "output \"q\" = %5\n"
                       "output \"e\" = %8\n"
                       "output \"f\" = %7\n",
                       can_all, NULL);
  if (!graph) return;
  PassContext context = {.target = &plan_target};
  CHECK(plan_kernels(graph) == 2, "%d kernels\n%s", plan_kernels(graph), plan_text(arena, graph));
  pass_setup(&context, graph);
  fuse_with(&context, graph, can_all);
  for (int i = 0; i < graph->n_nodes; i++) {
    for (int k = 0; k < i; k++) {
      const Node *a = graph->nodes[i], *b = graph->nodes[k];
      if (a->group >= 0 && a->group == b->group) CHECK(a->is_setup == b->is_setup, "%d and %d", i, k);
    }
  }
}

// The centred maps of batch norm are not stored: the sum of squares and the result both start from the maps.
static void test_duplicates(void) {
  Graph *graph = fused("graph norm\n"
                       "%0 = input \"x\" : [2, 16, 64, 64]\n"
                       "%1 = param \"w\" init=constant(0) : [16, 16, 1, 1]\n"
                       "%2 = conv2d(%0, %1) : [2, 16, 64, 64]\n"
                       "%3 = sum(%2) axes=[0, 2, 3] keep=true : [1, 16, 1, 1]\n"
                       "%4 = sub(%2, %3) : [2, 16, 64, 64]\n"
                       "%5 = mul(%4, %4) : [2, 16, 64, 64]\n"
                       "%6 = sum(%5) axes=[0, 2, 3] keep=true : [1, 16, 1, 1]\n"
                       "%7 = mul(%4, %6) : [2, 16, 64, 64]\n"
                       "output \"y\" = %7\n",
                       can_epilogue, NULL);
  if (!graph) return;
  int n;
  Group *groups = group_collect(graph, arena, &n);
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < groups[i].n_outs; k++) {
      CHECK(groups[i].outs[k]->op != OP_sub, "the centred maps are stored\n%s", plan_text(arena, graph));
    }
  }
}

// Members and values of every group are consistent, whatever random graph and whatever the generator refuses.
static uint64_t state = 1;
static int pick(int n) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (int)((state >> 33) % (uint64_t)n);
}

// A softmax over channels that weighs a sum is one kernel: its exponentials are never stored.
static void test_softmax_sum(void) {
  Graph *graph = fused("graph softmax\n"
                       "%0 = input \"x\" : [1, 8, 64, 64]\n"
                       "%1 = input \"c\" : [1, 8, 1, 1]\n"
                       "%2 = max(%0) axes=[1] keep=true : [1, 1, 64, 64]\n"
                       "%3 = sub(%0, %2) : [1, 8, 64, 64]\n"
                       "%4 = exp(%3) : [1, 8, 64, 64]\n"
                       "%5 = sum(%4) axes=[1] keep=true : [1, 1, 64, 64]\n"
                       "%6 = mul(%4, %1) : [1, 8, 64, 64]\n"
                       "%7 = sum(%6) axes=[1] keep=true : [1, 1, 64, 64]\n"
                       "%8 = div(%7, %5) : [1, 1, 64, 64]\n"
                       "output \"y\" = %8\n",
                       kernel_can_fuse, NULL);
  if (graph) CHECK(plan_kernels(graph) == 1, "%d kernels\n%s", plan_kernels(graph), plan_text(arena, graph));
}

static bool can_by_chance(const Target *target, const Group *group, Text *why) {
  (void)target, (void)group, (void)why;
  return pick(3) != 0;
}

static void test_random(void) {
  for (int round = 0; round < 60; round++) {
    Arena *own = arena_new();
    Graph *graph = graph_new(own, "random");
    Node *node[40];
    int n = 0;
    for (; n < 3; n++) node[n] = graph_input(graph, arena_printf(own, "x%d", n), SHAPE(64, 128));
    for (; n < 40; n++) {
      Node *a = node[pick(n)], *b = node[pick(n)];
      int what = pick(5);
      if (what == 0) node[n] = graph_reshape(graph, graph_sum(graph, a, (int[]){1}, 1, true), SHAPE(64, 1));
      else if (what == 1 && a->shape.dim[1] != 1)
        node[n] = graph_slice(graph, graph_binary(graph, OP_add, a, b), 0, 0, 64);
      else if (what == 2) node[n] = graph_unary(graph, OP_exp, a);
      else node[n] = graph_binary(graph, what == 3 ? OP_mul : OP_sub, a, b);
    }
    for (int i = 20; i < 40; i += 5) graph_output(graph, arena_printf(own, "y%d", i), node[i], false);
    graph_sort(graph);
    PassContext context = {.target = &plan_target};
    pass_layout(&context, graph);
    fuse_with(&context, graph, round % 2 ? can_all : can_by_chance);
    plan_verify(graph, "fuse");
    int n_groups, n_members = 0, n_needed = 0;
    Group *groups = group_collect(graph, own, &n_groups); // BUG on a cycle
    bool *is_stored = ARENA_ARRAY(own, bool, graph->n_nodes);
    for (int i = 0; i < graph->n_nodes; i++) n_needed += node_needs_kernel(graph->nodes[i]);
    for (int i = 0; i < n_groups; i++) {
      n_members += groups[i].n_nodes;
      for (int k = 0; k < groups[i].n_ins; k++) {
        const Node *root = storage_root(groups[i].ins[k]);
        CHECK(op_is_leaf(root->op) || is_stored[root->id], "round %d: group %d reads %d too early", round, i, root->id);
      }
      for (int k = 0; k < groups[i].n_outs; k++) is_stored[groups[i].outs[k]->id] = true;
    }
    CHECK(n_members == n_needed, "%d members for %d nodes", n_members, n_needed);
    arena_free(own);
  }
}

int main(void) {
  arena = arena_new();
  test_epilogues();
  test_refusal();
  test_explain();
  test_cycle();
  test_decoder();
  test_tiles();
  test_update();
  test_numbers();
  test_side_by_side();
  test_duplicates();
  test_softmax_sum();
  test_random();
  arena_free(arena);
  return check_report("fuse");
}
