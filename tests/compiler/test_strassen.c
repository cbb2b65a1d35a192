// Strassen pass: which convolutions it takes, how they are cut, and that the graph still says the same.
#include "tests/compiler/plan_case.h"
#include "tests/compiler/values.h"

typedef struct Case {
  const char *name;
  int height, width, first, second; // channels of the two parts of x
  int out, kernel, padding;
  bool is_made; // the weight is computed from another input in every run
  int half;     // of the channels that is expected, 0 = one product
} Case;

static const Case cases[] = {
    {.name = "many channels", .height = 60, .width = 80, .first = 256, .out = 256, .kernel = 1, .half = 128},
    {.name = "a rest", .height = 60, .width = 80, .first = 256, .second = 12, .out = 256, .kernel = 1, .half = 128},
    {.name = "whole blocks of both",
     .height = 60,
     .width = 80,
     .first = 256,
     .second = 32,
     .out = 256,
     .kernel = 1,
     .half = 144},
    {.name = "blocks behind one that is not full",
     .height = 60,
     .width = 80,
     .first = 140,
     .second = 156,
     .out = 256,
     .kernel = 1,
     .half = 144},
    {.name = "outputs that fill no pairs", .height = 60, .width = 80, .first = 256, .out = 248, .kernel = 1},
    {.name = "few outputs", .height = 120, .width = 160, .first = 256, .out = 32, .kernel = 1},
    {.name = "few pixels", .height = 4, .width = 4, .first = 1024, .out = 1024, .kernel = 1},
    {.name = "little work", .height = 15, .width = 20, .first = 128, .out = 128, .kernel = 1},
    {.name = "padding, added behind",
     .height = 60,
     .width = 80,
     .first = 256,
     .out = 256,
     .kernel = 1,
     .padding = 1,
     .half = 128},
    {.name = "taps", .height = 60, .width = 80, .first = 256, .out = 256, .kernel = 5, .padding = 2},
    {.name = "weights of every run",
     .height = 60,
     .width = 80,
     .first = 256,
     .out = 256,
     .kernel = 1,
     .is_made = true,
     .half = 128},
    {.name = "weights of every run, few pixels",
     .height = 15,
     .width = 20,
     .first = 256,
     .out = 512,
     .kernel = 1,
     .is_made = true},
};

static Graph *built(Arena *arena, const Case *c) {
  int oh = c->height + 2 * c->padding - c->kernel + 1, ow = c->width + 2 * c->padding - c->kernel + 1;
  int second = c->second ? c->second : 16, in = c->first + c->second;
  const char *x = c->second ? "%6" : "%2";
  return plan_parse(arena,
                    arena_printf(arena,
                                 "graph case\n"
                                 "%%0 = input \"x\" : [1, 16, %d, %d]\n"
                                 "%%1 = param \"a\" init=constant(0) : [%d, 16, 1, 1]\n"
                                 "%%2 = conv2d(%%0, %%1) : [1, %d, %d, %d]\n"
                                 "%%3 = param \"b\" init=constant(0) : [%d, 16, 1, 1]\n"
                                 "%%4 = conv2d(%%0, %%3) : [1, %d, %d, %d]\n"
                                 "%%5 = relu(%%4) : [1, %d, %d, %d]\n"
                                 "%%6 = concat(%%2, %%5) axis=1 : [1, %d, %d, %d]\n"
                                 "%%7 = %s \"w\"%s : [%d, %d, %d, %d]\n"
                                 "%%8 = conv2d(%s, %%7) padding=%d : [1, %d, %d, %d]\n"
                                 "%%9 = relu(%%8) : [1, %d, %d, %d]\n"
                                 "output \"y\" = %%9\n",
                                 c->height, c->width, c->first, c->first, c->height, c->width, second, second,
                                 c->height, c->width, second, c->height, c->width, c->first + second, c->height,
                                 c->width, c->is_made ? "input" : "param", c->is_made ? "" : " init=constant(0)",
                                 c->out, in, c->kernel, c->kernel, x, c->padding, c->out, oh, ow, c->out, oh, ow));
}

static const Node *sums_in(const Graph *graph) {
  for (int i = 0; i < graph->n_nodes; i++) {
    if (graph->nodes[i]->op == OP_strassen_weight) return graph->nodes[i];
  }
  return NULL;
}

static const Node *user_of(const Graph *graph, const Node *weight) {
  for (int i = 0; i < graph->n_nodes; i++) {
    if (graph->nodes[i]->n_in > 1 && graph->nodes[i]->in[1] == weight) return graph->nodes[i];
  }
  return NULL;
}

static Graph *cut(Arena *arena, const Case *c, const PassContext *context) {
  Graph *graph = built(arena, c);
  pass_setup(context, graph);
  pass_layout(context, graph);
  bool is_changed = pass_strassen(context, graph);
  plan_verify(graph, "strassen");
  CHECK(is_changed == (sums_in(graph) != NULL), "%s: says what it did", c->name);
  return graph;
}

static void check_case(const Case *c) {
  Arena *arena = arena_new();
  PassContext context = {.target = &plan_target};
  Graph *graph = cut(arena, c, &context);
  const Node *sums = sums_in(graph);
  int half = sums ? sums->layout->half : 0;
  CHECK(half == c->half, "%s: halves of %d channels, expected %d", c->name, half, c->half);
  CHECK(!sums || sums->is_setup == !c->is_made, "%s: once, or in every run", c->name);
  if (sums) {
    int64_t inputs = sums->shape.dim[1], kept = layout_elements(sums->shape, sums->layout);
    CHECK(kept == c->out * inputs + 3 * (c->out / 2) * half, "%s: three quarters more weights", c->name);
    int64_t products = node_cost(user_of(graph, sums)).multiply_adds;
    CHECK(products == (int64_t)c->height * c->width * c->out * (inputs - half / 4), "%s: seven of eight", c->name);
  }
  arena_free(arena);
}

// What stands in the graph is the same convolution, and its text can be read back.
static void check_values(void) {
  Arena *arena = arena_new();
  PassContext context = {.target = &plan_target};
  Case c = {
      .name = "values", .height = 60, .width = 80, .first = 140, .second = 156, .out = 256, .kernel = 1, .half = 144};
  Graph *whole = built(arena, &c), *parts = cut(arena, &c, &context);
  const char *text = plan_text(arena, parts);
  Graph *again = plan_parse(arena, text);
  CHECK(again && strcmp(plan_text(arena, again), text) == 0, "the text is read back\n%s", text);
  const float *value[2];
  Graph *graphs[2] = {whole, parts};
  for (int i = 0; i < 2; i++) {
    Values values = values_new(arena, graphs[i]);
    values_fill(&values, graphs[i], -1, 1);
    values_run(&values, graphs[i]);
    value[i] = values.of[graph_find_output(graphs[i], "y")->id];
  }
  CHECK(memcmp(value[0], value[1], sizeof(float) * 256 * 60 * 80) == 0, "the reference evaluator knows no sums");
  arena_free(arena);
}

static void check_exact(void) {
  Arena *arena = arena_new();
  PassContext exact = {.target = &plan_target, .exact = true}, cuda = {.target = target_cuda(80)};
  CHECK(!sums_in(cut(arena, &cases[0], &exact)), "exact: one product");
  CHECK(!pass_strassen(&cuda, built(arena, &cases[0])), "GPU: one product");
  arena_free(arena);
}

int main(void) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_case(&cases[i]);
  check_values();
  check_exact();
  return check_report("strassen");
}
