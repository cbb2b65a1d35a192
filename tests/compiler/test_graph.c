// Graphs: building, replacing, sorting, counting, the verifier's invariants and the costs.
#include "compiler/graph.h"
#include "tests/check.h"

static Arena *arena;

static Graph *parse(const char *text) {
  Diag *diag = diag_new(arena, 20);
  Graph *graph = graph_parse(arena, "test", text, diag);
  Text errors = {0};
  diag_print(diag, &errors, false);
  CHECK(graph, "%s", text_get(&errors));
  text_free(&errors);
  if (!graph) exit(1);
  return graph;
}

static const char *print(const Graph *graph) {
  Text text = {0};
  graph_print(graph, &text);
  const char *copy = arena_strdup(arena, text_get(&text));
  text_free(&text);
  return copy;
}

static void check_shorthands(void) {
  Graph *graph = graph_new(arena, "g");
  Node *x = graph_input(graph, "x", SHAPE(2, 3, 4));
  CHECK(graph_reshape(graph, x, SHAPE(2, 3, 4)) == x, "a reshape to the same shape is the value itself");
  CHECK(graph_sum(graph, x, NULL, 0, true) == x, "a sum over no axes is the value itself");
  CHECK(graph_sum_to(graph, x, SHAPE(2, 3, 4)) == x, "nothing was repeated");
  CHECK(shape_equal(graph_sum_to(graph, x, SHAPE(3, 1))->shape, SHAPE(3, 1)), "sum to [3, 1]");
  CHECK(graph_sum_to(graph, x, (Shape){0})->shape.rank == 0, "sum to a scalar");
  CHECK(shape_equal(graph_slice(graph, x, 2, 1, 3)->shape, SHAPE(2, 3, 2)), "slice");
  CHECK(shape_equal(graph_transpose(graph, x, (int[]){2, 0, 1})->shape, SHAPE(4, 2, 3)), "transpose");
  CHECK(graph_scalar(graph, 2)->shape.rank == 0, "scalar");
  Node *y = graph_select(graph, x, graph_unary(graph, OP_exp, x), graph_fill(graph, SHAPE(4), 1));
  CHECK(shape_equal(y->shape, x->shape), "select");
  CHECK(graph_find_leaf(graph, "x") == x && !graph_find_leaf(graph, "y"), "leaves by name");
  graph_output(graph, "y", y, false);
  CHECK(graph_find_output(graph, "y") == y && !graph_find_output(graph, "x"), "outputs by name");
}

static void check_places(void) {
  Graph *graph = graph_new(arena, "g");
  SrcLoc loc = {"a.net", 3, 4, 5};
  int module = graph_module(graph, "conv", "enc.0", 0, loc);
  Node *x = graph_input(graph, "x", SHAPE(2));
  x->loc = loc;
  x->module = module;
  graph_at(graph, x);
  Node *y = graph_unary(graph, OP_neg, x);
  CHECK(y->loc.line == 3 && y->module == module, "new nodes inherit place and module");
}

static void check_replace(void) {
  Graph *graph = parse("%x = input \"x\" : [2]\n%s = state \"s\" : [2]\n%a = neg(%x)\n%b = exp(%a)\n%c = add(%a, %b)\n"
                       "%d = neg(%a)\noutput \"a\" = %a\nupdate %s = %a\n");
  Node *a = graph_find_output(graph, "a"), *d = graph->nodes[graph->n_nodes - 1];
  graph_replace(graph, a, d);
  CHECK(d->in[0] == a, "what replaces a node may be made from it");
  CHECK(graph_find_output(graph, "a") == d && graph->updates[0].value == d, "outputs and updates follow");
  CHECK(graph->nodes[4]->in[0] == d && graph->nodes[4]->in[1]->in[0] == d, "operands follow");
  graph_sort(graph);
  CHECK_TEXT(print(graph),
             "graph graph\n%0 = input \"x\" : [2]\n%1 = state \"s\" init=constant(0) : [2]\n%2 = neg(%0) : [2]\n"
             "%3 = neg(%2) : [2]\noutput \"a\" = %3\nupdate %1 = %3\n",
             "sorted, without what nothing needs");
}

static void check_sort(void) {
  Graph *graph =
      parse("%x = input \"x\" : [2]\n%unused = input \"unused\" : [2]\n%w = param \"w\" : [2]\n%a = neg(%x)\n"
            "%b = exp(%x)\n%c = add(%a, %b)\noutput \"c\" = %c\n");
  Node *c = graph_find_output(graph, "c"), *x = graph->nodes[0];
  Node *late = graph_unary(graph, OP_sin, x);
  c->in[0] = late; // now stands behind its user
  Text why = {0};
  CHECK(!graph_verify(graph, &why), "an operand behind its user");
  text_free(&why);
  graph_sort(graph);
  CHECK(graph_verify(graph, &why), "%s", text_get(&why));
  text_free(&why);
  CHECK_TEXT(
      print(graph),
      "graph graph\n%0 = input \"x\" : [2]\n%1 = input \"unused\" : [2]\n%2 = exp(%0) : [2]\n%3 = sin(%0) : [2]\n"
      "%4 = add(%3, %2) : [2]\noutput \"c\" = %4\n",
      "inputs stay, order is kept where it can be");
}

// Deep graphs must not run out of stack.
static void check_depth(void) {
  Graph *graph = graph_new(arena, "deep");
  Node *x = graph_input(graph, "x", SHAPE(1));
  for (int i = 0; i < 200000; i++) x = graph_unary(graph, OP_neg, x);
  graph_output(graph, "y", x, false);
  for (int i = 0; i < graph->n_nodes / 2; i++) { // back to front
    Node *swap = graph->nodes[i];
    graph->nodes[i] = graph->nodes[graph->n_nodes - 1 - i];
    graph->nodes[graph->n_nodes - 1 - i] = swap;
  }
  graph_sort(graph);
  CHECK(graph->n_nodes == 200001 && graph->nodes[200000] == x, "200000 nodes in a chain");
}

static void check_uses(void) {
  Graph *graph = parse("%x = input \"x\" : [2]\n%s = state \"s\" : [2]\n%a = mul(%x, %x)\noutput \"a\" = %a\n"
                       "tap \"b\" = %a\nupdate %s = %a\n");
  int *uses = graph_count_uses(graph, arena);
  CHECK(uses[0] == 2 && uses[1] == 0 && uses[2] == 3, "%d %d %d", uses[0], uses[1], uses[2]);
}

// ---- verifier -------------------------------------------------------------------------------------------------------

static const char *const sound =
    "module 1 conv \"c\" parent 0\n%x = input \"x\" : [1, 8, 4, 4]\n%w = param \"w\" : [8, 8, 1, 1]\n"
    "%n = state \"n\" : [1, 8, 4, 4]\n%k = constant {1} : []\n%s = neg(%w) setup\n"
    "%y = conv2d(%x, %s) module=1 layout=blocked8(8) into=%z+1\n%z = concat(%y, %y) axis=1 layout=blocked8(8, 8)\n"
    "output \"y\" = %y\ntap \"t\" = %z\nupdate %n = %y\n";

static Graph *fresh(void) { return parse(sound); }

// Breaks a fresh copy of the sound graph: the verifier must cite the invariant of that number.
#define CHECK_BROKEN(number, ...)                                                                                      \
  do {                                                                                                                 \
    Graph *graph = fresh();                                                                                            \
    Node **node = graph->nodes;                                                                                        \
    (void)node;                                                                                                        \
    __VA_ARGS__;                                                                                                       \
    Text why = {0};                                                                                                    \
    CHECK(!graph_verify(graph, &why), "must be refused: %s", #__VA_ARGS__);                                            \
    CHECK(strstr(text_get(&why), "invariant " #number ":"), "%s: %s", #__VA_ARGS__, text_get(&why));                   \
    text_free(&why);                                                                                                   \
  } while (0)

static void check_verifier(void) {
  Text why = {0};
  CHECK(graph_verify(fresh(), &why), "%s", text_get(&why));
  text_free(&why);
  Node stranger = {.op = OP_fill};
  int segments[] = {4, 3};
  Layout wrong = {.kind = LAYOUT_BLOCKED, .block = 8, .c = {2, segments}},
         narrow = {.kind = LAYOUT_BLOCKED, .block = 4, .c = {1, (int[]){16}}};
  CHECK_BROKEN(1, node[2]->id = 3);
  CHECK_BROKEN(2, node[5]->in[0] = &stranger);
  CHECK_BROKEN(2, node[5]->in[0] = node[5]);
  CHECK_BROKEN(2, node[5]->in[0] = node[6]);
  CHECK_BROKEN(3, node[5]->n_in = 1);
  CHECK_BROKEN(4, node[5]->shape.dim[0] = 2);
  CHECK_BROKEN(4, node[5]->attr[0].i = 0);
  CHECK_BROKEN(4, node[6]->attr[0].i = -3);
  CHECK_BROKEN(4, node[0]->shape.dim[0] = 0);
  CHECK_BROKEN(5, node[1]->name = "x");
  CHECK_BROKEN(5, node[1]->name = NULL);
  CHECK_BROKEN(6, node[3]->data = NULL);
  CHECK_BROKEN(6, node[1]->data = (float[]){1});
  CHECK_BROKEN(7, graph->outputs[0].node = &stranger);
  CHECK_BROKEN(7, graph->outputs[1].name = "y");
  CHECK_BROKEN(7, graph->outputs[1].name = "");
  CHECK_BROKEN(8, graph->updates[0].leaf = node[0]);
  CHECK_BROKEN(8, graph->updates[0].leaf = node[1]);
  CHECK_BROKEN(8, graph->updates[0].value = &stranger);
  CHECK_BROKEN(8, graph_update(graph, node[2], node[5]));
  CHECK_BROKEN(9, node[5]->module = 2);
  CHECK_BROKEN(9, graph->modules[1].parent = 1);
  CHECK_BROKEN(10, node[5]->layout = &wrong);
  CHECK_BROKEN(10, wrong.c.n = 0; node[5]->layout = &wrong);
  CHECK_BROKEN(11, node[5]->into = node[0]);
  CHECK_BROKEN(11, node[5]->into_offset = 2);
  CHECK_BROKEN(11, node[5]->into = &stranger);
  CHECK_BROKEN(11, node[6]->layout = &narrow);
  CHECK_BROKEN(12, node[6]->is_setup = true);
  CHECK_BROKEN(12, node[0]->is_setup = true);
}

// ---- costs ----------------------------------------------------------------------------------------------------------

static void check_costs(void) {
  Graph *graph =
      parse("%x = input \"x\" : [2, 8, 10, 12]\n%w = param \"w\" : [16, 2, 3, 3]\n%b = param \"b\" : [1, 16, 1, 1]\n"
            "%c = conv2d(%x, %w) stride=2 padding=1 groups=4\n%y = add(%c, %b)\n"
            "%dx = conv2d_dx(%c, %w) stride=2 padding=1 dilation=1 groups=4 height=10 width=12\n"
            "%dw = conv2d_dw(%x, %c) stride=2 padding=1 dilation=1 groups=4 kh=3 kw=3\n"
            "%m = reshape(%y) shape=[2, 16, 30]\n%g = matmul(%m, %m) transpose_b=true\n"
            "%gt = matmul(%m, %m) transpose_a=true\noutput \"g\" = %g\n");
  CHECK(shape_equal(graph->nodes[3]->shape, SHAPE(2, 16, 5, 6)), "the convolution's shape");
  int64_t conv = 2 * 16 * 5 * 6 * 2 * 3 * 3;
  CHECK(node_cost(graph->nodes[3]).multiply_adds == conv, "grouped convolution");
  int64_t inside = 2 * 16 * 2 * (5 * 3 - 1) * (6 * 3 - 1); // the first tap of the first row and column is padding
  for (int i = 3; i < 7; i++) {
    if (i == 4) continue;
    CHECK(node_cost(graph->nodes[i]).inside == inside, "node %d: %lld on the picture", i,
          (long long)node_cost(graph->nodes[i]).inside);
    CHECK(node_cost(graph->nodes[i]).flops == 2 * inside, "two operations each");
  }
  CHECK(node_cost(graph->nodes[3]).bytes == 4 * (2 * 8 * 10 * 12 + 16 * 2 * 9 + 2 * 16 * 5 * 6), "bytes");
  CHECK(node_cost(graph->nodes[4]).multiply_adds == 0, "a bias counts nothing");
  CHECK(node_cost(graph->nodes[5]).multiply_adds == conv, "gradient by x costs what the convolution costs");
  CHECK(node_cost(graph->nodes[6]).multiply_adds == conv, "gradient by the weight, too");
  CHECK(node_cost(graph->nodes[7]).bytes == 0, "a reshape moves nothing");
  CHECK(node_cost(graph->nodes[8]).multiply_adds == 2 * 16 * 16 * 30, "matrix product");
  CHECK(node_cost(graph->nodes[9]).multiply_adds == 2 * 30 * 30 * 16, "matrix product, transposed");
  CHECK(graph_cost(graph).parameters == 16 * 2 * 9 + 16, "parameters once");
  CHECK(graph_cost(graph).multiply_adds == 3 * conv + 2 * 16 * 16 * 30 + 2 * 30 * 30 * 16, "the sum");
}

// Every result and tap of kernels of all kinds, one by one.
static void check_padding(void) {
  static const int cases[][5] = {{3, 1, 1, 1, 9}, {3, 2, 1, 1, 10}, {5, 2, 2, 1, 7},  {3, 1, 12, 12, 15},
                                 {3, 1, 7, 7, 9}, {1, 2, 0, 1, 9},  {2, 3, 1, 2, 11}, {3, 1, 9, 9, 4}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const int *c = cases[i], kernel = c[0], stride = c[1], padding = c[2], dilation = c[3], size = c[4];
    int results = (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1, pairs = 0;
    for (int y = 0; y < results; y++)
      for (int tap = 0; tap < kernel; tap++) {
        int at = y * stride - padding + tap * dilation;
        pairs += at >= 0 && at < size;
      }
    char text[512];
    snprintf(text, sizeof text,
             "%%x = input \"x\" : [1, 2, %d, %d]\n%%w = param \"w\" : [3, 2, %d, %d]\n"
             "%%y = conv2d(%%x, %%w) stride=%d padding=%d dilation=%d\noutput \"y\" = %%y\n",
             size, size, kernel, kernel, stride, padding, dilation);
    Graph *graph = parse(text);
    CHECK(node_cost(graph->nodes[2]).inside == 2 * 3 * pairs * pairs, "case %zu: %lld, not %d", i,
          (long long)node_cost(graph->nodes[2]).inside, 2 * 3 * pairs * pairs);
  }
}

// 3 x 4 tiles of 4 x 4 results, of 32 channels in and 24 out: 36 products each, and the transforms.
static void check_tiles(void) {
  Graph *graph = parse("%x = input \"x\" : [1, 32, 12, 16]\n%u = param \"u\" : [24, 32, 6, 6]\n"
                       "%y = conv2d_winograd(%x, %u) padding=1 dilation=1\noutput \"y\" = %y\n");
  CHECK(node_cost(graph->nodes[2]).inside == 12 * 36 * 32 * 24, "products of tiles");
  CHECK(node_cost(graph->nodes[2]).flops == 12 * (2 * 36 * 32 * 24 + 32 * 240 + 24 * 160), "and transforms: %lld",
        (long long)node_cost(graph->nodes[2]).flops);
}

int main(void) {
  arena = arena_new();
  check_shorthands();
  check_places();
  check_replace();
  check_sort();
  check_depth();
  check_uses();
  check_verifier();
  check_costs();
  check_padding();
  check_tiles();
  arena_free(arena);
  return check_report("graph");
}
